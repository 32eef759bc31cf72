//! The agent of a Linux guest. `tabard-agent` serves a session: what is copied there is offered,
//! what the user gives goes to its clipboard. `tabard-agent ask TEXT` asks the user on the trusted
//! screen. It runs inside of the guest, with the guest's rights, and is trusted with nothing.
#![forbid(unsafe_code)]

mod ask;
mod clipboard;
mod port;
mod serve;

use std::fs::File;
use std::io;
use std::process::ExitCode;

use clipboard::Clipboard;

const USAGE: &str = "tabard-agent: run it without arguments in a session, or write\n  \
    tabard-agent --port FILE    serve by this port; - is standard input, for both ways\n  \
    tabard-agent ask TEXT    ask the user; prints the signed answer; status 0 yes, 1 no, 2 neither";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        [] => serve(port::open()),
        ["--port", file] => serve(port::named(file)),
        ["ask", text] => return ask::ask(&ask::socket_path(), text),
        _ => Err(USAGE.to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::from(2)
        }
    }
}

fn serve(port: io::Result<File>) -> Result<(), String> {
    let clipboard = Clipboard::of_session()
        .ok_or("tabard-agent: there is no session: neither WAYLAND_DISPLAY nor DISPLAY is set")?;
    let port = port.map_err(|error| {
        format!(
            "tabard-agent: cannot open the port tabard.agent: {error}. Is this a guest of Tabard?"
        )
    })?;
    let questions = ask::listen(&ask::socket_path())
        .map_err(|error| format!("tabard-agent: cannot take questions: {error}"))?;
    Err(format!("tabard-agent: the port has ended: {}", serve::serve(port, clipboard, questions)))
}
