//! Whether a processor faulted three times, which QEMU's monitor calls a reset like any other. QEMU
//! writes it to its log (`-d cpu_reset`), which is a pipe of which nothing else is read.

use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What the log says (QEMU, `target/i386/tcg/excp_helper.c`).
const WORDS: &[u8] = b"Triple fault";
/// Bytes read at once.
const READ_BYTES: usize = 4096;

/// The log.
pub struct Faults {
    pipe: OwnedFd,
    /// The last bytes, which the words may have begun in.
    last: Vec<u8>,
    happened: bool,
}

impl Faults {
    /// The end of the pipe that is read, without waiting.
    #[must_use]
    pub fn new(pipe: OwnedFd) -> Self {
        Self { pipe, last: Vec::new(), happened: false }
    }

    /// The pipe.
    #[must_use]
    pub fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Whether the log has said it.
    #[must_use]
    pub fn happened(&self) -> bool {
        self.happened
    }

    /// Reads what is there; `false` once QEMU has closed it.
    pub fn hear(&mut self) -> bool {
        // Asked first: nothing says that the other end made it one that does not wait.
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        if !matches!(poll(&mut [PollFd::new(&self.pipe, PollFlags::IN)], Some(&now)), Ok(1)) {
            return true;
        }
        let mut bytes = [0; READ_BYTES];
        let read = match rustix::io::read(&self.pipe, &mut bytes) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(_) => return true,
        };
        self.last.extend(bytes.get(..read).unwrap_or_default());
        self.happened |= self.last.windows(WORDS.len()).any(|window| window == WORDS);
        let keep = self.last.len().saturating_sub(WORDS.len());
        self.last.drain(..keep);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn words_in_two_pieces_are_heard() {
        let (read, mut write) = std::io::pipe().unwrap();
        let mut faults = Faults::new(read.into());
        write.write_all(b"CPU Reset (CPU 0)\nTriple f").unwrap();
        assert!(faults.hear() && !faults.happened());
        write.write_all(b"ault\n").unwrap();
        assert!(faults.hear() && faults.happened());
        drop(write);
        assert!(!faults.hear());
    }
}
