//! A keyboard or pointer for a snapshot.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::backlog::snapshot::Kept as KeptBacklog;
use super::{Backlog, Input, LIGHTS};
use crate::memory::GuestRam;
use crate::snapshot::{Keep, Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    select: u8,
    subselect: u8,
    backlog: KeptBacklog,
    lights: [bool; LIGHTS],
}

impl Keep for Input {
    fn keep(&self) -> Result<Value, Refusal> {
        let (backlog, lights) = (self.backlog.kept(), self.lights);
        value(&Kept { select: self.select, subselect: self.subselect, backlog, lights })
    }

    fn restore(&mut self, kept: Value, _ram: &GuestRam) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        self.backlog = Backlog::of(kept.backlog)?;
        (self.select, self.subselect, self.lights) = (kept.select, kept.subselect, kept.lights);
        Ok(())
    }
}

impl Input {
    /// Nothing is carried over: what the guest believes to be down is released, because nobody holds
    /// it when a guest is started from a snapshot, and what it was about to hear is forgotten.
    pub fn let_go(&mut self) {
        self.backlog.let_go();
    }
}
