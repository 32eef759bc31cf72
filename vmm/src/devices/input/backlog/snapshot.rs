//! What waits for a guest and what it knows to be down, for a snapshot.

use serde::{Deserialize, Serialize};

use super::{Backlog, MAX_BACKLOG_REPORTS, Report};
use crate::snapshot::Refusal;

/// A code is below this: a guest can ask for a bit of each.
const CODES: usize = 0x300;

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    reports: Vec<Report>,
    down: Vec<u16>,
}

impl Backlog {
    /// For a snapshot.
    pub(in crate::devices::input) fn kept(&self) -> Kept {
        Kept {
            reports: self.reports.iter().copied().collect(),
            down: self.down.iter().copied().collect(),
        }
    }

    /// As it was.
    ///
    /// # Errors
    /// `Malformed` for more than a guest can have.
    pub(in crate::devices::input) fn of(kept: Kept) -> Result<Self, Refusal> {
        let known = |code: &u16| usize::from(*code) < CODES;
        // Releases may exceed the bound, one for each key.
        let most = MAX_BACKLOG_REPORTS.saturating_add(CODES);
        if kept.reports.len() > most || !kept.down.iter().all(known) {
            return Err(Refusal::Malformed);
        }
        Ok(Self { reports: kept.reports.into(), down: kept.down.into_iter().collect() })
    }

    /// Forgets what waits, and releases what is down.
    pub(in crate::devices::input) fn let_go(&mut self) {
        self.reports.clear();
        let mut down: Vec<u16> = self.down.iter().copied().collect();
        down.sort_unstable();
        self.reports.extend(down.into_iter().map(|code| Report::Key { code, pressed: false }));
    }
}
