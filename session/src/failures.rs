//! Wrong passwords since the last right one, of each user, on the disk: whoever can end the session
//! and start it again, by a plug or by a crash, gets no fresh start at guessing.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::keys;

/// The file, in the folder of logs: a line for each such user, `COUNT SECONDS NAME`.
const FILE: &str = "failed-logins";

/// One user's.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Count {
    name: String,
    wrong: u32,
    /// When the last one was given, in seconds since 1970.
    at: u64,
}

impl Count {
    fn parse(line: &str) -> Option<Self> {
        let (wrong, rest) = line.split_once(' ')?;
        let (at, name) = rest.split_once(' ')?;
        Some(Self { name: name.to_owned(), wrong: wrong.parse().ok()?, at: at.parse().ok()? })
    }
}

/// The counts and their file.
#[derive(Debug)]
pub(crate) struct Failures {
    file: PathBuf,
    counts: Vec<Count>,
}

impl Failures {
    /// As an earlier session left them in this folder.
    ///
    /// # Errors
    /// If there are some that cannot be read.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let file = folder.join(FILE);
        let text = keys::read(&file)?.unwrap_or_default();
        let counts: Option<_> = text.lines().map(Count::parse).collect();
        let damaged = || io::Error::other("a line is none. Move it away, and all counts are 0");
        Ok(Self { file, counts: counts.ok_or_else(damaged)? })
    }

    /// How many wrong passwords were given for this user, and how many seconds ago the last one was; a
    /// clock that was set back says that it was just now.
    pub(super) fn of(&self, name: &str) -> (u32, u64) {
        let count = self.counts.iter().find(|count| count.name == name);
        count.map_or((0, 0), |count| (count.wrong, now().saturating_sub(count.at)))
    }

    /// Writes down what came of a password, before anybody learns of it.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(super) fn note(&mut self, name: &str, right: bool) -> io::Result<()> {
        let (wrong, _) = self.of(name);
        if right && wrong == 0 {
            return Ok(());
        }
        self.counts.retain(|count| count.name != name);
        if !right {
            let wrong = wrong.saturating_add(1);
            self.counts.push(Count { name: name.to_owned(), wrong, at: now() });
        }
        let line = |count: &Count| format!("{} {} {}\n", count.wrong, count.at, count.name);
        let text: String = self.counts.iter().map(line).collect();
        keys::write(&self.file, text.as_bytes())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_count_that_outlives_the_session() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Failures::open(folder.path()).unwrap();
        let mut failures = open();
        for (name, right) in [("ann", false), ("bob l", false), ("bob l", false), ("ann", true)] {
            failures.note(name, right).unwrap();
        }
        assert_eq!((open().of("ann").0, open().of("bob l").0), (0, 2));
        let mut failures = open();
        failures.counts[0].at -= 100;
        assert!((100..110).contains(&failures.of("bob l").1));
        failures.counts[0].at += 1000;
        assert_eq!(failures.of("bob l"), (2, 0), "the clock was set back");
        failures.note("bob l", true).unwrap();
        assert_eq!(open().counts, []);
    }

    #[test]
    fn a_damaged_count_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["x", "1 2", "-1 2 ann", "1 x ann", "\n"] {
            keys::write(&folder.path().join(FILE), bad.as_bytes()).unwrap();
            assert!(Failures::open(folder.path()).is_err(), "{bad:?}");
        }
    }
}
