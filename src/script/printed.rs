//! What guests print, with the time at which it was there: serial logs have none.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Logs wake nobody, so they are looked at this often.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// What is kept of all guests together, in bytes; the oldest goes first.
const MAX_BYTES: usize = 400_000;
/// What is read at once, in bytes.
const MAX_READ_BYTES: u64 = 64 * 1024;

/// Something that a guest printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printed {
    /// When it was seen to be in the log.
    pub(crate) at: Instant,
    /// The guest, by its place in the desk file.
    pub(crate) guest: usize,
    /// What; bytes that are no text are U+FFFD.
    pub(crate) text: String,
}

/// Looks at the logs until it is ended.
#[derive(Debug)]
pub(crate) struct Listener {
    heard: Arc<Mutex<Vec<Printed>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listener {
    /// Begins with what is in the logs already.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn begin(logs: Vec<PathBuf>) -> std::io::Result<Self> {
        let heard: Arc<Mutex<Vec<Printed>>> = Arc::default();
        let over = Arc::new(AtomicBool::new(false));
        let (keep, stop) = (Arc::clone(&heard), Arc::clone(&over));
        let listen = move || {
            let mut offsets = vec![0; logs.len()];
            loop {
                // What was printed before the end is still read after it.
                let last = stop.load(Ordering::Acquire);
                look(&logs, &mut offsets, &keep);
                if last {
                    return;
                }
                thread::park_timeout(LOOK_EVERY);
            }
        };
        let thread = thread::Builder::new().name("serial".to_owned()).spawn(listen)?;
        Ok(Self { heard, over, thread: Some(thread) })
    }

    /// All that was heard, in its order.
    pub(crate) fn end(mut self) -> Vec<Printed> {
        self.stop();
        std::mem::take(&mut *self.heard.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn stop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let _ = thread.join();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop();
    }
}

fn look(logs: &[PathBuf], offsets: &mut [u64], keep: &Mutex<Vec<Printed>>) {
    for (guest, (log, offset)) in logs.iter().zip(offsets).enumerate() {
        let length = std::fs::metadata(log).map_or(0, |metadata| metadata.len());
        if length <= *offset {
            continue;
        }
        let at = Instant::now();
        let read = || {
            let mut file = File::open(log)?;
            file.seek(SeekFrom::Start(*offset))?;
            let mut bytes = Vec::new();
            file.take(MAX_READ_BYTES).read_to_end(&mut bytes)?;
            std::io::Result::Ok(bytes)
        };
        // A log that cannot be read now is looked at again.
        let Ok(bytes) = read() else { continue };
        *offset += bytes.len() as u64;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let mut heard = keep.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(Printed { at, guest, text });
        let mut bytes: usize = heard.iter().map(|one| one.text.len()).sum();
        let mut old = 0;
        while bytes > MAX_BYTES && old + 1 < heard.len() {
            bytes -= heard.get(old).map_or(0, |one| one.text.len());
            old += 1;
        }
        heard.drain(..old);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_heard_in_its_order() {
        let folder = tempfile::tempdir().unwrap();
        let logs: Vec<PathBuf> = ["a", "b"].map(|name| folder.path().join(name)).to_vec();
        std::fs::write(&logs[0], "one\n").unwrap();
        let listener = Listener::begin(logs.clone()).unwrap();
        while listener.heard.lock().unwrap().is_empty() {
            thread::park_timeout(Duration::from_millis(1));
        }
        std::fs::write(&logs[1], "two\n").unwrap();
        let heard = listener.end();
        let texts: Vec<_> = heard.iter().map(|one| (one.guest, one.text.as_str())).collect();
        assert_eq!(texts, [(0, "one\n"), (1, "two\n")]);
    }
}
