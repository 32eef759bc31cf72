//! The agent in real sessions: an X server and a Wayland compositor, both without a screen, with
//! other programs as the ones that copy and paste. The port is a socket that speaks the real
//! protocol.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tabard_agent_wire::{FromGuest, Stream, ToGuest};

/// Long enough for a loaded machine; a test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(60);
/// Words that a transfer must not change: other scripts, a mark of its own, several lines, spaces
/// at both ends.
const WORDS: &str = "  Gr\u{fc}\u{df}e \u{1f511}\n\u{5d0}\u{5d1} o\u{308}\ttab\n ";

/// A process that ends with the test, and the processes that it started with it.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // Clipboard programs leave their own behind; they are in the group of who started them.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

fn start(command: &mut Command) -> Process {
    let name = command.get_program().to_owned();
    let child = command.process_group(0).spawn();
    Process(child.unwrap_or_else(|error| {
        panic!("{}: {error}: run `cargo verify`, which installs it or says how", name.display())
    }))
}

fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < LIMIT, "never came: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

/// A session, an agent in it, and Tabard's end of the port.
struct Session {
    environment: Vec<(&'static str, String)>,
    copy: &'static [&'static str],
    paste: &'static [&'static str],
    folder: tempfile::TempDir,
    port: Option<UnixStream>,
    frames: Stream,
    // In this order: clients before what they are clients of.
    started: Vec<Process>,
    server: Option<Process>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.started.clear();
        self.server = None;
    }
}

impl Session {
    /// An X server, and `xsel` as the user's program: not the one that the agent uses.
    fn x11() -> Self {
        let mut command = Command::new("Xvfb");
        command.args(["-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"]);
        // A session has a client that stays. Without one the server would begin anew each time the
        // last client ends, and refuse who comes meanwhile.
        command.arg("-noreset");
        let mut server = start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
        let mut number = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut number).unwrap();
        let environment = vec![("DISPLAY", format!(":{}", number.trim()))];
        let copy: &[_] = &["xsel", "--clipboard", "--input"];
        Self::with(
            environment,
            copy,
            &["timeout", "5", "xsel", "--clipboard", "--output"],
            server,
            folder(),
        )
    }

    /// A Wayland compositor, and `wl-clipboard` as the user's program.
    fn wayland() -> Self {
        let folder = folder();
        let home = folder.path().join("runtime");
        std::fs::create_dir(&home).unwrap();
        let configuration = folder.path().join("sway");
        std::fs::write(&configuration, "xwayland disable\n").unwrap();
        // Sway does not run as root.
        let root = std::fs::metadata("/proc/self")
            .is_ok_and(|of| std::os::unix::fs::MetadataExt::uid(&of) == 0);
        let mut command = Command::new(if root { "setpriv" } else { "sway" });
        if root {
            std::os::unix::fs::chown(&home, Some(65_534), Some(65_534)).unwrap();
            let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(folder.path(), open).unwrap();
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "sway"]);
        }
        command.arg("--config").arg(&configuration);
        command.env("XDG_RUNTIME_DIR", &home).env_remove("WAYLAND_DISPLAY").env_remove("DISPLAY");
        command.env("WLR_BACKENDS", "headless").env("WLR_RENDERER", "pixman");
        command.env("WLR_LIBINPUT_NO_DEVICES", "1");
        let log = std::fs::File::create(folder.path().join("sway.log")).unwrap();
        let server = start(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log));
        let socket = home.join("wayland-1");
        let said = || std::fs::read_to_string(folder.path().join("sway.log")).unwrap();
        let begin = Instant::now();
        while UnixStream::connect(&socket).is_err() {
            assert!(begin.elapsed() < LIMIT, "the compositor did not start: {}", said());
            thread::park_timeout(Duration::from_millis(20));
        }
        let environment = vec![
            ("XDG_RUNTIME_DIR", home.display().to_string()),
            ("WAYLAND_DISPLAY", "wayland-1".to_owned()),
        ];
        Self::with(
            environment,
            &["wl-copy"],
            &["timeout", "5", "wl-paste", "--no-newline"],
            server,
            folder,
        )
    }

    fn with(
        environment: Vec<(&'static str, String)>,
        copy: &'static [&'static str],
        paste: &'static [&'static str],
        server: Process,
        folder: tempfile::TempDir,
    ) -> Self {
        let started = Vec::new();
        let frames = Stream::default();
        let server = Some(server);
        Self { environment, copy, paste, folder, port: None, frames, started, server }
    }

    /// A program in the session.
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_remove("DISPLAY").env_remove("WAYLAND_DISPLAY");
        command.env("XDG_RUNTIME_DIR", self.folder.path());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts the agent, and waits until it serves: it has seen what was on the clipboard by then.
    fn agent(&mut self) {
        let (tabard, port) = UnixStream::pair().unwrap();
        tabard.set_read_timeout(Some(LIMIT)).unwrap();
        let mut command = self.command(&[env!("CARGO_BIN_EXE_tabard-agent"), "--port", "-"]);
        // What the agent leaves behind for the clipboard is in its group.
        self.started.push(start(command.stdin(OwnedFd::from(port)).stdout(Stdio::null())));
        self.port = Some(tabard);
        // It looks at the clipboard before it reads the port.
        self.give("first");
        until("what is given is pasted", || self.paste() == "first");
    }

    /// A user copies: the program stays for as long as it has the selection.
    fn copy(&mut self, text: &str) {
        let mut process = start(self.command(self.copy).stdin(Stdio::piped()));
        process.0.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        // The parent ends once its child holds the text.
        assert!(process.0.wait().unwrap().success());
        self.started.push(process);
    }

    /// A user pastes, and does not wait for ever for who has the text.
    fn paste(&self) -> String {
        let output = self.command(self.paste).stderr(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn port(&mut self) -> &mut UnixStream {
        self.port.as_mut().unwrap()
    }

    fn give(&mut self, text: &str) {
        self.port().write_all(&ToGuest::Give(text).encode()).unwrap();
    }

    /// The text of the next offer.
    fn offer(&mut self) -> String {
        let mut chunk = [0; 4096];
        loop {
            if let Some(frame) = self.frames.next_frame().unwrap() {
                match FromGuest::decode(&frame) {
                    Ok(FromGuest::Offer(text)) => return text.to_owned(),
                    other => panic!("{other:?}"),
                }
            }
            match self.port().read(&mut chunk) {
                Ok(0) => panic!("the agent has ended"),
                Ok(length) => self.frames.push(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => panic!("no offer came: {error}"),
            }
        }
    }

    /// Copies, and waits for the offer of it.
    fn copied(&mut self, text: &str) {
        self.copy(text);
        assert!(self.offer() == text, "another text of {} bytes is offered", text.len());
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// The longest text, with a character of four bytes at every place that a cut could hit.
fn longest() -> String {
    "\u{1f511}".repeat(65_536 / 4)
}

/// What holds in every session.
fn texts_go_both_ways(session: &mut Session) {
    // Copied before the agent came: nobody meant it for another guest.
    session.copy("before");
    until("the first text", || session.paste() == "before");
    session.agent();
    // Neither was offered: this is the first offer.
    session.copied(WORDS);
    session.copied(&longest());
    session.copied("\u{202e}evil\u{200b}");

    session.give(WORDS);
    until("what is given is pasted", || session.paste() == WORDS);
    session.give(&longest());
    until("the longest text is pasted", || session.paste() == longest());
    // What was given is not offered back.
    session.copied("copied after that");
    // What is too long is not offered, and what was is no longer.
    session.copy(&"x".repeat(65_537));
    assert_eq!(session.offer(), "");
    session.copied("short again");
}

#[test]
fn under_x11_texts_go_both_ways() {
    texts_go_both_ways(&mut Session::x11());
}

#[test]
fn under_wayland_texts_go_both_ways() {
    texts_go_both_ways(&mut Session::wayland());
}

#[test]
fn a_program_that_copies_and_never_hands_over_does_not_hold_the_agent_up() {
    let mut session = Session::x11();
    session.agent();
    session.copied("copied");
    // An owner of the selection that stops answering; `--nodetach` is the process itself.
    let words = ["xsel", "--clipboard", "--nodetach", "--input"];
    let mut owner = start(session.command(&words).stdin(Stdio::piped()));
    owner.0.stdin.take().unwrap().write_all(b"never").unwrap();
    until("the owner", || session.paste() == "never");
    assert_eq!(session.offer(), "never");
    signal("-STOP", &owner);
    session.give("given all the same");
    until("what is given is pasted", || session.paste() == "given all the same");
}

fn signal(name: &str, process: &Process) {
    let id = process.0.id().to_string();
    assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
}

#[test]
fn without_a_session_or_a_port_it_says_what_is_missing() {
    let agent = |display: &str, port: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tabard-agent"));
        command.env_remove("WAYLAND_DISPLAY").env("DISPLAY", display).arg("--port").arg(port);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    assert!(agent("", Path::new("/dev/null")).contains("there is no session"));
    let words = agent(":999", Path::new("/nowhere"));
    assert!(words.contains("Is this a guest of Tabard?"), "{words}");
}
