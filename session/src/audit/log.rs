//! The log file: opened where it ended, appended to, flushed. One process has it at a time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use rustix::fs::{FlockOperation, flock};

use super::chain::{Entry, Hash, Line, line, sha256_hex};
use super::key::{Head, open_key, sign, signed};
use crate::hex::hex;
use crate::keys;

/// Records between two signed checkpoints, at most: what a forger without the key could rewrite.
pub const CHECKPOINT_EVERY: u64 = 64;
/// The record of the head is looked for in so many bytes at the end, then in twice as many, and so
/// on; no record is longer.
const TAIL_BYTES: u64 = 64 * 1024;
const NO_RECORD: &str = "ends in something that is no record";
const ROLLED_BACK: &str = "was rolled back: it ends before what its head file says";

/// Why a log cannot be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system.
    #[error("Cannot write the audit log {0:?}: {1}. Make room, or name another file under [audit]")]
    File(PathBuf, #[source] io::Error),
    /// The key or the head file.
    #[error("Cannot use the files beside the audit log {0:?}: {1}")]
    Beside(PathBuf, #[source] io::Error),
    /// Two sessions would break each other's chain.
    #[error("The audit log {0:?} is in use by another session. End that one first")]
    InUse(PathBuf),
    /// Somebody else wrote here. Going on would bury it.
    #[error("The audit log {0:?} {1}. Look at it with `tabard audit verify`, and move it away")]
    Damaged(PathBuf, &'static str),
}

/// An open log.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    file: File,
    key: SigningKey,
    /// Bytes that are known to be whole records on the disk.
    length_bytes: u64,
    n: u64,
    hash: Hash,
    since_checkpoint: u64,
}

impl Log {
    /// Opens a log, or begins one. A line that a cut left unfinished is taken off, and a record
    /// says so; another says that the session before ended without a word. A log that was tampered
    /// with from its last signature on is not continued.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn open(path: &Path) -> Result<Self, LogError> {
        let failed = |error| LogError::File(path.to_path_buf(), error);
        let aside = |error| LogError::Beside(path.to_path_buf(), error);
        let damaged = |what| Err(LogError::Damaged(path.to_path_buf(), what));
        keys::make_folder(keys::folder(path)).map_err(failed)?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            return Err(LogError::InUse(path.to_path_buf()));
        }
        let length_bytes = file.metadata().map_err(failed)?.len();
        let head = Head::read(path).map_err(aside)?;
        let key = open_key(path, length_bytes > 0 || head.is_some()).map_err(aside)?;
        keys::flush_folder(path).map_err(failed)?;
        let fits =
            |head: &Head| signed(&key.verifying_key(), "head", head.n, &head.hash, &head.signature);
        if head.as_ref().is_some_and(|head| !fits(head)) {
            return damaged("has a head file that its key did not sign");
        }
        let mut tail_bytes = TAIL_BYTES;
        let (end, torn) = loop {
            let mut tail = read_tail(&mut file, length_bytes, tail_bytes).map_err(failed)?;
            let whole =
                tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
            let torn = tail.split_off(whole);
            match End::find(&tail, head.as_ref(), tail_bytes >= length_bytes) {
                Some(Ok(end)) => break (end, torn),
                Some(Err(what)) => return damaged(what),
                None => tail_bytes = tail_bytes.saturating_mul(2),
            }
        };
        let torn_bytes = u64::try_from(torn.len()).unwrap_or(u64::MAX);
        let length_bytes = length_bytes.saturating_sub(torn_bytes);
        let mut log = Self {
            path: path.to_path_buf(),
            file,
            key,
            length_bytes,
            n: end.n,
            hash: end.hash,
            // Where the last checkpoint is, is not known: the next record is followed by one.
            since_checkpoint: CHECKPOINT_EVERY,
        };
        let mut entries = Vec::new();
        if torn_bytes > 0 {
            log.file.set_len(length_bytes).map_err(failed)?;
            entries.push(
                Entry::new("recovered")
                    .number("torn_bytes", torn_bytes)
                    .text("torn_sha256", sha256_hex(&torn)),
            );
        }
        if !end.in_order {
            let signed = head.map_or(0, |head| head.n);
            entries.push(Entry::new("no-stop").number("unsigned", end.n.saturating_sub(signed)));
        }
        if !entries.is_empty() {
            log.append(&entries)?;
        }
        Ok(log)
    }

    /// Appends records and flushes them. On an error nothing of them is in the log.
    ///
    /// # Errors
    /// [`LogError::File`].
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), LogError> {
        let (mut n, mut hash, mut text) = (self.n, self.hash, String::new());
        let mut push = |entry: &Entry| {
            n = n.saturating_add(1);
            let (line, next) = line(n, now_ms(), entry, &hash);
            text.push_str(&line);
            hash = next;
            (n, hash)
        };
        let (mut since, mut signed, mut last) = (self.since_checkpoint, false, (self.n, self.hash));
        // An append of nothing is a checkpoint if one is due.
        for entry in entries.iter().map(Some).chain(entries.is_empty().then_some(None)) {
            if let Some(entry) = entry {
                last = push(entry);
                since = since.saturating_add(1);
            }
            if since >= CHECKPOINT_EVERY {
                last = push(&self.checkpoint(last.0, &last.1));
                (since, signed) = (0, true);
            }
        }
        let written = self.file.write_all(text.as_bytes()).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a record must not stay: the next one would be glued to it.
            let _ = self.file.set_len(self.length_bytes);
            return Err(LogError::File(self.path.clone(), error));
        }
        let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.length_bytes = self.length_bytes.saturating_add(bytes);
        ((self.n, self.hash), self.since_checkpoint) = (last, since);
        // The records are in the log: a head that lags behind loses nothing, and is written with
        // the next record.
        if signed && Head::write(&self.path, &self.key, last.0, &last.1).is_err() {
            self.since_checkpoint = CHECKPOINT_EVERY;
        }
        Ok(())
    }

    /// Signs all up to record `n`, which has this hash.
    fn checkpoint(&self, n: u64, hash: &Hash) -> Entry {
        Entry::new("checkpoint")
            .text("key", hex(self.key.verifying_key().as_bytes()))
            .text("signature", sign(&self.key, "checkpoint", n, hash))
    }

    /// Signs what there is, as the last act of a session.
    ///
    /// # Errors
    /// [`LogError::File`].
    pub fn finish(mut self) -> Result<(), LogError> {
        self.since_checkpoint = CHECKPOINT_EVERY;
        self.append(&[])
    }
}

/// Where a log ends.
#[derive(Debug, Clone, Copy)]
struct End {
    n: u64,
    hash: Hash,
    /// Whether its last session said that it ends, and signed that.
    in_order: bool,
}

impl End {
    /// Goes back from the end of whole records to the one that the head speaks of: each must follow
    /// the one before it, or what no signature covers was altered. `None`: they begin too late.
    fn find(whole: &[u8], head: Option<&Head>, is_all: bool) -> Option<Result<Self, &'static str>> {
        let (mut end, mut after, mut has_said) = (None::<Self>, None::<Line<'_>>, false);
        let mut lines = whole.split_inclusive(|byte| *byte == b'\n').rev().peekable();
        while let Some(text) = lines.next() {
            if lines.peek().is_none() && !is_all {
                // It may be the end of a longer one.
                return None;
            }
            let line = text.strip_suffix(b"\n").and_then(|text| std::str::from_utf8(text).ok());
            let line = line.and_then(Line::parse).filter(Line::is_whole);
            let Some(line) = line else { return Some(Err(NO_RECORD)) };
            let follows =
                |after: Line<'_>| (after.n.checked_sub(1), after.prev) == (Some(line.n), line.hash);
            if !after.is_none_or(follows) {
                return Some(Err("was altered near its end"));
            }
            let signed = head.map_or(line.n, |head| head.n);
            if head.is_some_and(|head| head.n == line.n && head.hash != line.hash) {
                return Some(Err("is another than the one that its head file speaks of"));
            }
            let in_order = head.is_some() && signed == line.n;
            let end = end.get_or_insert(Self { n: line.n, hash: line.hash, in_order });
            if end.n < signed {
                return Some(Err(ROLLED_BACK));
            }
            if line.kind != "checkpoint" && !std::mem::replace(&mut has_said, true) {
                // Its last word; a checkpoint must follow it.
                end.in_order &= line.kind == "stop" && after.is_some();
            }
            if has_said && line.n <= signed {
                return Some(Ok(*end));
            }
            after = Some(line);
        }
        // Nothing at all, or only an unfinished record, or checkpoints of nothing.
        let empty =
            (is_all && end.is_none()).then_some(Self { n: 0, hash: [0; 32], in_order: true });
        Some(if head.is_some() { Err(ROLLED_BACK) } else { empty.ok_or(NO_RECORD) })
    }
}

/// The end of the file, so many bytes of it.
fn read_tail(file: &mut File, length_bytes: u64, tail_bytes: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(length_bytes.saturating_sub(tail_bytes)))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    Ok(tail)
}

fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
