//! Whether a log is whole: each line against its hash, its number and the line before, each
//! checkpoint against the key, and the end against the head file. The first fault is the answer:
//! after it nothing can be trusted.

use std::fmt;
use std::io;
use std::path::Path;

use ed25519_dalek::VerifyingKey;

use crate::session::audit::{CHECKPOINT_EVERY, Hash, Head, Line, signed};
use crate::session::hex::unhex;

/// A session that is cut off right before a checkpoint leaves it to the next one, which writes a
/// record first; so many such cuts in a row are believed.
const MOST_CUTS: u64 = 256;

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    /// Not the form of a record.
    NoRecord,
    /// Its words do not have its hash.
    Altered,
    /// So many records are missing before it.
    Cut(u64),
    /// Its number, and the number that should be here: it was moved here, or copied.
    Moved(u64, u64),
    /// It does not follow the record before it: that one was replaced.
    Unchained,
    /// A checkpoint by another key.
    WrongKey,
    /// A checkpoint whose signature does not fit what is before it.
    Forged,
    /// No checkpoint where there must have been one.
    NoCheckpoint,
    /// It is not the record of this number that is known.
    Replaced(u64),
    /// The log ends before a record of this number that is known to have been written.
    RolledBack(u64),
    /// The head file is not signed by the key.
    ForgedHead,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecord => f.write_str("Altered: this is no record"),
            Self::Altered => f.write_str("Altered: the words of this record do not have its hash"),
            Self::Cut(1) => f.write_str("Cut: one record is missing before this one"),
            Self::Cut(count) => write!(f, "Cut: {count} records are missing before this one"),
            Self::Moved(found, expected) => {
                write!(f, "Reordered: record {found} stands where {expected} should be")
            }
            Self::Unchained => f.write_str(
                "Altered: the record before this one is not the one it was written after",
            ),
            Self::WrongKey => f.write_str("Forged: this checkpoint names another key"),
            Self::Forged => f.write_str(
                "Forged: the signature of this checkpoint does not fit what is before it",
            ),
            Self::NoCheckpoint => {
                f.write_str("Forged: there must have been a signed checkpoint before this record")
            }
            Self::Replaced(n) => {
                write!(
                    f,
                    "Rolled back: this is not the record {n} that is known to have been written"
                )
            }
            Self::RolledBack(n) => {
                write!(f, "Rolled back: the log ends here, but record {n} had been written")
            }
            Self::ForgedHead => f.write_str("Forged: the head file is not signed by this key"),
        }
    }
}

/// Damage and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub damage: Damage,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Records that are whole, from the first on.
    pub records: u64,
    /// How many of them a signature covers.
    pub signed: u64,
    /// The hash of the last one.
    pub hash: Hash,
    /// Bytes of an unfinished record at the end: no damage, but the mark of a cut.
    pub torn_bytes: usize,
    /// Whether there was a head file.
    pub has_head: bool,
    /// Sessions that ended without a `stop` before another one began.
    pub unended: u64,
    /// Whether the last session ended with a `stop` that is signed.
    pub in_order: bool,
    /// The first damage.
    pub fault: Option<Fault>,
}

/// What a log is held against.
#[derive(Debug, Clone)]
pub struct Verifier {
    key: VerifyingKey,
    digits: String,
    /// Records that are known to have been written.
    known: Vec<(u64, Hash)>,
    forged_head: bool,
    has_head: bool,
}

impl Verifier {
    /// By this public key, in hexadecimal digits.
    #[must_use]
    pub fn new(digits: &str) -> Option<Self> {
        let key = VerifyingKey::from_bytes(&unhex::<32>(digits)?).ok()?;
        let digits = digits.to_owned();
        Some(Self { key, digits, known: Vec::new(), forged_head: false, has_head: false })
    }

    /// With the head file of this log, if there is one.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head_file(&mut self, log: &Path) -> io::Result<()> {
        if let Some(head) = Head::read(log)? {
            self.has_head = true;
            self.forged_head = !signed(&self.key, "head", head.n, &head.hash, &head.signature);
            self.known(head.n, head.hash);
        }
        Ok(())
    }

    /// With a record that is known to be in the log.
    pub fn known(&mut self, n: u64, hash: Hash) {
        self.known.push((n, hash));
    }

    /// What is wrong with one line, after `before`.
    fn damage(&self, line: Option<&Line<'_>>, before: &Report) -> Option<Damage> {
        let Some(line) = line else { return Some(Damage::NoRecord) };
        let expected = before.records.saturating_add(1);
        if !line.is_whole() {
            return Some(Damage::Altered);
        }
        if line.n > expected {
            return Some(Damage::Cut(line.n - expected));
        }
        if line.n < expected {
            return Some(Damage::Moved(line.n, expected));
        }
        if line.prev != before.hash {
            return Some(Damage::Unchained);
        }
        if self.known.iter().any(|(n, hash)| *n == line.n && *hash != line.hash) {
            return Some(Damage::Replaced(line.n));
        }
        if line.kind != "checkpoint" {
            let unsigned = line.n.saturating_sub(before.signed);
            return (unsigned > CHECKPOINT_EVERY + MOST_CUTS).then_some(Damage::NoCheckpoint);
        }
        if line.field("key") != Some(self.digits.as_str()) {
            return Some(Damage::WrongKey);
        }
        let signature = line.field("signature").unwrap_or_default();
        let fits = signed(&self.key, "checkpoint", before.records, &before.hash, signature);
        (!fits).then_some(Damage::Forged)
    }
}

/// Looks at a whole log.
#[must_use]
pub fn verify(log: &[u8], verifier: &Verifier) -> Report {
    let whole = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let (whole, torn) = log.split_at(whole);
    let mut report = Report {
        records: 0,
        signed: 0,
        hash: [0; 32],
        torn_bytes: torn.len(),
        has_head: verifier.has_head,
        unended: 0,
        in_order: false,
        fault: None,
    };
    let mut running = false;
    for text in whole.split_inclusive(|byte| *byte == b'\n') {
        let line =
            std::str::from_utf8(text).ok().and_then(|text| Line::parse(text.strip_suffix('\n')?));
        if let Some(damage) = verifier.damage(line.as_ref(), &report) {
            report.fault = Some(Fault { line: report.records + 1, damage });
            return report;
        }
        if let Some(line) = line {
            (report.records, report.hash) = (line.n, line.hash);
            match line.kind {
                "checkpoint" => report.signed = line.n,
                // Said of the session before by the one that found it so.
                "recovered" | "no-stop" => {}
                "start" if running => report.unended += 1,
                kind => running = kind != "stop",
            }
        }
    }
    report.in_order = !running && report.signed == report.records;
    let last = verifier.known.iter().map(|(n, _)| *n).max().unwrap_or(0);
    let damage = if last > report.records {
        Some(Damage::RolledBack(last))
    } else {
        verifier.forged_head.then_some(Damage::ForgedHead)
    };
    report.fault = damage.map(|damage| Fault { line: report.records + 1, damage });
    report
}
