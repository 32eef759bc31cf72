//! Writes the guest's serial output to the log that `tabard` opened, up to a limit, and never
//! waits for a reader.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Stat, fstat};

use crate::memory::file_bytes;

/// The line that ends a log which reached its limit.
pub const LIMIT_LINE: &[u8] =
    b"\n[tabard: the log of this serial port ends here, its limit is reached]\n";

/// The log.
#[derive(Debug)]
pub struct SerialLog {
    file: File,
    /// Whether a write can wait for somebody: not for a regular file.
    may_block: bool,
    /// Shared by all handles, so that a guest cannot reset itself to a fresh limit.
    limit: Arc<Mutex<Limit>>,
}

#[derive(Debug)]
struct Limit {
    left_bytes: u64,
    closed: bool,
}

impl SerialLog {
    /// A log into `file` of at most `limit_bytes`, then [`LIMIT_LINE`] once.
    #[must_use]
    pub fn new(file: File, limit_bytes: u64) -> Self {
        let regular = |stat: Stat| FileType::from_raw_mode(stat.st_mode).is_file();
        let may_block = !fstat(&file).is_ok_and(regular);
        let limit = Limit { left_bytes: limit_bytes, closed: false };
        Self { file, may_block, limit: Arc::new(Mutex::new(limit)) }
    }

    /// A second handle to the same log, for after a reset; the limit goes on.
    ///
    /// # Errors
    /// When the descriptor cannot be duplicated.
    pub fn try_clone(&self) -> io::Result<Self> {
        Ok(Self {
            file: self.file.try_clone()?,
            may_block: self.may_block,
            limit: Arc::clone(&self.limit),
        })
    }

    /// How long the file may become, in bytes.
    #[must_use]
    pub fn longest_bytes(&self) -> u64 {
        let limit = self.limit.lock().unwrap_or_else(PoisonError::into_inner);
        let last_line = u64::try_from(LIMIT_LINE.len()).unwrap_or(0);
        let now = file_bytes(&self.file).unwrap_or(0);
        now.saturating_add(limit.left_bytes).saturating_add(last_line)
    }

    /// Writes if nobody has to be waited for; a reader that is slow loses bytes.
    fn put(&mut self, bytes: &[u8]) {
        if self.may_block {
            let mut fds = [PollFd::new(&self.file, PollFlags::OUT)];
            let now = Timespec { tv_sec: 0, tv_nsec: 0 };
            if !matches!(poll(&mut fds, Some(&now)), Ok(1)) {
                return;
            }
        }
        // A full disk or a closed pipe is not the guest's business.
        let _dropped = self.file.write_all(bytes);
    }
}

impl Write for SerialLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let shared = Arc::clone(&self.limit);
        let mut limit = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if length <= limit.left_bytes {
            limit.left_bytes = limit.left_bytes.saturating_sub(length);
            self.put(bytes);
        } else if !limit.closed {
            limit.closed = true;
            limit.left_bytes = 0;
            self.put(LIMIT_LINE);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_the_limit_is_dropped_and_said_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut log = SerialLog::new(file.reopen().unwrap(), 3);
        for byte in b"abcdef" {
            log.write_all(&[*byte]).unwrap();
        }
        let mut expected = b"abc".to_vec();
        expected.extend(LIMIT_LINE);
        assert_eq!(std::fs::read(file.path()).unwrap(), expected);
    }

    #[test]
    fn the_limit_goes_on_after_a_reset() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let log = SerialLog::new(file.reopen().unwrap(), 3);
        for _ in 0..5 {
            log.try_clone().unwrap().write_all(b"ab").unwrap();
        }
        let mut expected = b"ab".to_vec();
        expected.extend(LIMIT_LINE);
        assert_eq!(std::fs::read(file.path()).unwrap(), expected);
    }

    #[test]
    fn a_full_pipe_does_not_block() {
        let (_reader, writer) = std::io::pipe().unwrap();
        let mut log = SerialLog::new(File::from(std::os::fd::OwnedFd::from(writer)), u64::MAX);
        for _ in 0..100_000 {
            log.write_all(b"0123456789").unwrap();
        }
    }
}
