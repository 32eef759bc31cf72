//! The guardian of the console: a small process of its own that takes the terminal and gives it
//! back when the session is gone, however it went. It does nothing in between, so there is nothing
//! in it to break; and it is not the session, so a session that is killed cannot take it along.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use thiserror::Error;

use super::vt::{self, Terminal};

/// The hidden subcommand that becomes the guardian.
pub const SUBCOMMAND: &str = "seat-guardian";
/// What it says once the terminal is taken.
const TAKEN: &str = "taken";

/// Why the console cannot be had. Each message names the terminal and says what to do.
#[derive(Debug, Error)]
pub enum ConsoleError {
    /// There are no virtual terminals, or they may not be used.
    #[error(
        "Cannot find the virtual terminal: /dev/tty0: {0}. Start as root on a machine with a \
         console, or name a terminal with --tty"
    )]
    NoActive(std::io::Error),
    /// The guardian did not start.
    #[error("Cannot start the guardian of the console: {0}")]
    Guardian(std::io::Error),
    /// The terminal was refused; the guardian's own words.
    #[error("{0}")]
    Refused(String),
}

/// The console, held by a guardian until this is dropped.
#[derive(Debug)]
pub(super) struct Console {
    guardian: Child,
    /// While this end is open, the console is ours.
    held: Option<ChildStdin>,
}

impl Console {
    /// Has a guardian take this terminal, or else the one that is in front. What it returns
    /// besides ends when the guardian does.
    pub(super) fn take(tty: Option<&Path>) -> Result<(Self, ChildStdout), ConsoleError> {
        let tty = match tty {
            Some(tty) => tty.to_path_buf(),
            None => vt::active().map_err(ConsoleError::NoActive)?,
        };
        let mut guardian = Command::new("/proc/self/exe")
            .arg(SUBCOMMAND)
            .arg(&tty)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(ConsoleError::Guardian)?;
        let (held, words) = (guardian.stdin.take(), guardian.stdout.take());
        let console = Self { guardian, held };
        let Some(mut words) = words else {
            return Err(ConsoleError::Refused("The guardian of the console is mute".to_owned()));
        };
        let mut line = String::new();
        // Its first line ends with a line feed, also when it ends before it says anything.
        let read = BufReader::new(words.by_ref()).read_line(&mut line);
        match read.map_err(ConsoleError::Guardian)? {
            _ if line.trim() == TAKEN => Ok((console, words)),
            0 => Err(ConsoleError::Refused("The guardian of the console broke".to_owned())),
            _ => Err(ConsoleError::Refused(line.trim().to_owned())),
        }
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Its end of the pipe closes, which is the guardian's cue.
        self.held = None;
        // Fails only if it is reaped already.
        let _ = self.guardian.wait();
    }
}

/// Is the guardian: takes the terminal, waits until the session is gone, gives it back.
#[must_use]
pub fn command(tty: &Path) -> ExitCode {
    // Out of reach of what a terminal sends to the session's group.
    let _ = rustix::process::setpgid(None, None);
    let terminal = match take(tty) {
        Ok(terminal) => terminal,
        Err(why) => {
            // Whoever started this may be gone; then nobody wants to know.
            let _ = writeln!(std::io::stdout(), "{why}");
            return ExitCode::from(2);
        }
    };
    let mut out = std::io::stdout();
    // A session that is gone already must not keep the terminal from being given back.
    if writeln!(out, "{TAKEN}").and_then(|()| out.flush()).is_ok() {
        let mut rest = Vec::new();
        // Nothing is ever sent; it returns when the last other end is closed.
        let _ = std::io::stdin().read_to_end(&mut rest);
    }
    match terminal.restore() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let name = tty.display();
            let _ = writeln!(std::io::stderr(), "tabard: cannot give {name} back: {error}");
            ExitCode::FAILURE
        }
    }
}

fn take(path: &Path) -> Result<Terminal, String> {
    let name = path.display();
    let cause = |error: std::io::Error| {
        format!(
            "Cannot take the terminal {name}: {error}. Start as root (the unit tabard@.service \
             does), or name another with --tty"
        )
    };
    let number = number(path).ok_or_else(|| {
        format!("{name} is no virtual terminal. Name one with --tty, such as /dev/tty2")
    })?;
    let terminal = Terminal::open(path).map_err(cause)?;
    if terminal.is_graphical() {
        return Err(format!(
            "Another display server draws on {name}. End it, or name another terminal with --tty"
        ));
    }
    terminal.take(number).map_err(|error| {
        // Half taken is not taken.
        let _ = terminal.restore();
        cause(error)
    })?;
    Ok(terminal)
}

/// The number of a terminal such as `/dev/tty2`.
fn number(path: &Path) -> Option<i32> {
    let digits = path.to_str()?.strip_prefix("/dev/tty")?;
    digits.parse().ok().filter(|number| (1..=63).contains(number))
}

/// The terminal of an argument such as `/dev/tty2`, `tty2` or `2`.
#[must_use]
pub fn terminal(text: &str) -> PathBuf {
    let digits = text.trim_start_matches("/dev/").trim_start_matches("tty");
    PathBuf::from(format!("/dev/tty{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_may_be_named_in_three_ways() {
        for text in ["/dev/tty2", "tty2", "2"] {
            assert_eq!(number(&terminal(text)), Some(2), "{text}");
        }
        for text in ["/dev/tty0", "tty", "ttyS0", "tty64", "/dev/null"] {
            assert_eq!(number(&terminal(text)), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_terminal_is_refused_with_a_way_out() {
        let why = take(Path::new("/dev/null")).err().unwrap();
        assert!(why.contains("/dev/null") && why.contains("--tty"), "{why}");
    }
}
