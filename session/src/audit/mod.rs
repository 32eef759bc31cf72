//! The audit log of a session. A thread of its own holds the file; the loop waits for it before
//! an effect takes place, but not for ever, so that a disk that hangs cannot hold up the
//! secure-attention key for good.

mod chain;
mod key;
mod log;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use tabard_display::{Bell, Ringing};

pub use super::keys::beside;
pub use chain::{Entry, Hash, Line, Value, sha256_hex};
pub use key::{Head, signed};
pub use log::{CHECKPOINT_EVERY, Log, LogError};
pub(crate) use words::Names;

/// How long an effect may wait for its record, where the desk says to slow down.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long where it says to stop: a disk that is busy is not full, and a guest that keeps it busy
/// with its own volume must not end the session of all.
const LONGEST: Duration = Duration::from_secs(10);
/// How often a write that failed is tried again, where the desk says to slow down.
const RETRY: Duration = Duration::from_millis(200);
/// Batches of records that may wait while the disk is full; with the last one the session ends,
/// because nothing is ever lost silently.
const MAX_WAITING: usize = 512;

/// What happens when records cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFull {
    /// The session ends, and with it every guest.
    #[default]
    Stop,
    /// Everything that is recorded takes a second, until there is room again, or until
    /// `MAX_WAITING` batches wait.
    Slow,
}

/// The session's hold on its log.
#[derive(Debug)]
pub(crate) struct Audit {
    batches: Option<Ringing<Vec<Entry>>>,
    answers: Receiver<Result<(), String>>,
    /// What the answers ring.
    pub(crate) bell: Bell,
    /// Batches that are not on the disk yet.
    waiting: usize,
    on_full: OnFull,
    quit: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Whether the end of the session is in it.
    ended: bool,
    pub(crate) names: Names,
}

/// Records could not be written, and the desk says to end then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The audit log cannot be written: {0}")]
pub struct Unwritten(String);

impl Audit {
    /// Opens the log and starts its thread, whose answers ring this bell.
    ///
    /// # Errors
    /// [`LogError`].
    pub(crate) fn open(
        path: &Path,
        on_full: OnFull,
        names: Names,
        bell: Bell,
    ) -> Result<Self, LogError> {
        let log = Log::open(path)?;
        let working = Bell::default();
        let (batches, work) = working.channel(MAX_WAITING);
        // Two answers a batch at most, and some of them not taken yet.
        let (answer, answers) = bell.channel(MAX_WAITING.saturating_mul(4));
        let (quit, quitting) = bounded(0);
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || serve(log, (&work, &working), &answer, &quitting, on_full))
            .map_err(|error| LogError::File(path.to_path_buf(), error))?;
        let (batches, quit, thread) = (Some(batches), Some(quit), Some(thread));
        Ok(Self { batches, answers, bell, waiting: 0, on_full, quit, thread, ended: false, names })
    }

    /// Whether records still wait to be written, after a write that came back.
    pub(crate) fn waits(&mut self) -> bool {
        let written = self.answers.try_iter().filter(Result::is_ok).count();
        self.waiting = self.waiting.saturating_sub(written);
        self.waiting > 0
    }

    /// Writes records and waits until they are on the disk.
    ///
    /// # Errors
    /// [`Unwritten`]: the session must end.
    pub(crate) fn write(&mut self, entries: Vec<Entry>) -> Result<(), Unwritten> {
        if entries.is_empty() {
            return Ok(());
        }
        let sent = self.batches.as_ref().is_some_and(|batches| batches.try_send(entries).is_ok());
        if !sent {
            return Err(Unwritten("too many records wait for it".to_owned()));
        }
        self.waiting = self.waiting.saturating_add(1);
        let patience = if self.on_full == OnFull::Slow { PATIENCE } else { LONGEST };
        let deadline = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
        while self.waiting > 0 {
            match self.bell.receive(&self.answers, Some(deadline)) {
                Ok(Ok(())) => self.waiting = self.waiting.saturating_sub(1),
                Ok(Err(_)) if self.on_full == OnFull::Slow => {}
                Ok(Err(why)) => return Err(Unwritten(why)),
                Err(RecvTimeoutError::Timeout) if self.on_full == OnFull::Slow => break,
                Err(_) => return Err(Unwritten("it does not answer".to_owned())),
            }
        }
        // What else rang meanwhile was not looked at.
        self.bell.ring();
        Ok(())
    }

    /// Writes that the session ends, and why, after `last`.
    pub(crate) fn end(&mut self, last: Option<Entry>, why: &str) {
        if !std::mem::replace(&mut self.ended, true) {
            let stop = Entry::new("stop").text("why", why);
            // It is ending: the thread of the log says what is not in it.
            let _ = self.write(last.into_iter().chain([stop]).collect());
        }
    }
}

impl Drop for Audit {
    /// Ends the thread, which signs what there is first.
    fn drop(&mut self) {
        self.end(None, "it did not run, or broke");
        self.quit = None;
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A broken thread has said so on standard error.
            let _ = thread.join();
        }
    }
}

/// The thread that holds the file.
fn serve(
    mut log: Log,
    (work, bell): (&Receiver<Vec<Entry>>, &Bell),
    answer: &Ringing<Result<(), String>>,
    quitting: &Receiver<()>,
    on_full: OnFull,
) {
    while let Ok(batch) = bell.receive(work, None) {
        let mut told = false;
        while let Err(error) = log.append(&batch) {
            if !std::mem::replace(&mut told, true) {
                eprintln!("tabard: {error}");
                // Nobody waits for it if the session is ending.
                let _ = answer.try_send(Err(error.to_string()));
            }
            let ending = quitting.recv_timeout(RETRY) == Err(RecvTimeoutError::Disconnected);
            if on_full == OnFull::Stop || ending {
                eprintln!("tabard: {error}; {} records are not in it", batch.len());
                return;
            }
        }
        // Nobody waits for it if the session is ending.
        let _ = answer.try_send(Ok(()));
    }
    if let Err(error) = log.finish() {
        eprintln!("tabard: {error}; its end is not signed");
    }
}
