//! A real browser without a screen, by the protocol that drives browsers
//! (<https://www.w3.org/TR/webdriver2/>).

use std::io::{BufRead, BufReader, Lines, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

const MISSING: &str = "chromedriver is missing: run `apt-get install -y --no-install-recommends \
                       chromium chromium-driver`, or `cargo verify`, which installs it or says how";

/// A browser with one page; ended when dropped.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: TempDir,
    /// What it says from here on; without a reader it would be ended.
    _said: Lines<BufReader<ChildStdout>>,
}

impl Browser {
    pub fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect(MISSING);
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.ok().filter(|line| line.contains("started successfully"))?;
            line.rsplit_once("on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let port = port.expect("chromedriver names its port");
        let profile = tempfile::tempdir().unwrap();
        let args = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1500,1050",
            &format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({ "goog:chromeOptions": { "args": args } });
        let mut browser =
            Self { driver, port, session: String::new(), _profile: profile, _said: lines };
        let begun = browser.call(
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": options } }),
        );
        browser.session = begun["sessionId"].as_str().expect("a session").to_owned();
        browser
    }

    /// Opens a page of this machine.
    pub fn open(&self, page: &Path) {
        let page = page.canonicalize().unwrap();
        self.command("/url", &json!({ "url": format!("file://{}", page.display()) }));
    }

    /// What a piece of JavaScript returns.
    pub fn run(&self, script: &str) -> Value {
        self.command("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Types into what has the focus; keys without a character have code points of their own.
    pub fn keys(&self, keys: &str) {
        let press = |key: char| [("keyDown", key), ("keyUp", key)];
        let all = keys.chars().flat_map(press);
        let actions: Vec<Value> =
            all.map(|(kind, key)| json!({ "type": kind, "value": key })).collect();
        let hand = json!([{ "type": "key", "id": "keyboard", "actions": actions }]);
        self.command("/actions", &json!({ "actions": hand }));
    }

    /// A picture of the page, as a PNG in base 64.
    pub fn picture(&self) -> String {
        let path = format!("/session/{}/screenshot", self.session);
        self.call("GET", &path, &Value::Null).as_str().unwrap().to_owned()
    }

    fn command(&self, path: &str, body: &Value) -> Value {
        self.call("POST", &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.port,
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer).unwrap();
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let value = answer["value"].clone();
        assert!(value["error"].is_null(), "{method} {path}: {value}");
        value
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            self.call("DELETE", &format!("/session/{}", self.session), &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
