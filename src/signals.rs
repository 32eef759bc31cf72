//! The signals by which a session is asked to end: it ends as if its user had closed it, with its
//! last record written and signed. What comes before the session runs waits until it does.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator;
use tabard_display::Ringing;

use crate::session::Control;

/// Signals that are caught and not yet obeyed.
pub struct Signals(iterator::Signals);

impl Signals {
    /// Catches them from now on: SIGTERM (`systemctl stop`), SIGINT (Ctrl+C), and SIGHUP (the
    /// terminal was closed) unless this program was told to ignore it, as `nohup` does.
    ///
    /// # Errors
    /// What the system gave.
    pub fn catch() -> io::Result<Self> {
        let hangup = (!ignores_hangup()).then_some(SIGHUP);
        let signals = [SIGTERM, SIGINT].into_iter().chain(hangup);
        // A log at the limit of its length is an error of its write, and not the end of the process.
        signal_hook::flag::register(SIGXFSZ, Arc::default())?;
        Ok(Self(iterator::Signals::new(signals)?))
    }

    /// Has each end the session, on a thread of its own.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn serve(mut self, session: Ringing<Control>) -> io::Result<()> {
        let serve = move || {
            for signal in self.0.forever() {
                let why = match signal {
                    SIGINT => "SIGINT",
                    SIGHUP => "SIGHUP",
                    _ => "SIGTERM",
                };
                // A session that has ended already needs no word.
                if session.send(Control::Quit(why)).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("signals".to_owned()).spawn(serve).map(drop)
    }
}

/// Whether SIGHUP was ignored when this program was started (proc_pid_status(5)).
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (SIGHUP - 1) != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_at_its_limit_is_not_the_end_of_the_session() {
        let _caught = Signals::catch().unwrap();
        let own = rustix::process::getpid();
        // Without a handler this ends the process.
        rustix::process::kill_process(own, rustix::process::Signal::XFSZ).unwrap();
    }
}
