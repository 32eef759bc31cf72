//! The clipboard of the session, by the programs that own the protocols: `wl-copy` and `wl-paste`
//! under Wayland, `xclip` under X11.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use tabard_agent_wire::MAX_TEXT_BYTES;

/// How long a program may take to hand over what it has on the clipboard. A machine that is itself
/// emulated takes seconds to start one.
const PATIENCE: Duration = Duration::from_secs(10);
/// [`MAX_TEXT_BYTES`], as a limit of a reader.
const LONGEST_BYTES: u64 = MAX_TEXT_BYTES as u64;

/// How to reach the clipboard.
#[derive(Debug, Clone)]
pub(crate) struct Clipboard {
    copy: Vec<String>,
    paste: Vec<String>,
}

impl Clipboard {
    /// That of the session around, if there is one.
    pub(crate) fn of_session() -> Option<Self> {
        let set = |name| {
            std::env::var_os(name).is_some_and(|value: std::ffi::OsString| !value.is_empty())
        };
        if set("WAYLAND_DISPLAY") {
            Some(Self::new("wl-copy --type text/plain", "wl-paste --no-newline --type text"))
        } else if set("DISPLAY") {
            Some(Self::new("xclip -selection clipboard -in", "xclip -selection clipboard -out"))
        } else {
            None
        }
    }

    /// By these programs: one reads a text, one prints it.
    pub(crate) fn new(copy: &str, paste: &str) -> Self {
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
        Self { copy: words(copy), paste: words(paste) }
    }

    /// Puts a text onto the clipboard.
    ///
    /// # Errors
    /// If the program cannot be run or refuses.
    pub(crate) fn copy(&self, text: &str) -> io::Result<()> {
        let mut child = command(&self.copy)?.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?;
        let written =
            child.stdin.take().map_or(Ok(()), |mut input| input.write_all(text.as_bytes()));
        // One that refuses may do so before it has read: what it says tells more than a broken pipe.
        let status = child.wait()?;
        if status.success() { written } else { Err(io::Error::other(format!("copying: {status}"))) }
    }

    /// The text on the clipboard; `None` if there is none, or one that may not be offered. The
    /// program that has it may be broken or be another's: it gets [`PATIENCE`] and no more bytes
    /// than a text may have.
    pub(crate) fn paste(&self) -> Option<String> {
        let mut command = command(&self.paste).ok()?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().ok()?;
        let output = child.stdout.take()?.take(LONGEST_BYTES + 1);
        let (sender, read) = sync_channel(1);
        thread::spawn(move || {
            let mut output = output;
            let mut bytes = Vec::new();
            let read = output.read_to_end(&mut bytes).map(|_| bytes);
            // Nobody listens once the time is over.
            let _ = sender.send(read);
        });
        let bytes = read.recv_timeout(PATIENCE).ok().and_then(Result::ok);
        let whole = bytes.filter(|bytes| bytes.len() <= MAX_TEXT_BYTES);
        if whole.is_none() {
            // What is not read to its end would wait for a reader.
            let _ = child.kill();
        }
        let status = child.wait().ok()?;
        whole.filter(|_| status.success()).and_then(|bytes| String::from_utf8(bytes).ok())
    }
}

fn command(words: &[String]) -> io::Result<Command> {
    let mut words = words.iter();
    let program = words.next().map(OsStr::new).ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    command.args(words).stderr(Stdio::null());
    Ok(command)
}
