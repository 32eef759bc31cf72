//! The agent's port for a snapshot: whether it is open, and the frames on their way.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tabard_agent_wire::{HEADER_BYTES, MAX_BODY_BYTES};

use super::{MAX_WAITING, Outgoing, Port};
use crate::snapshot::{Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    open: bool,
    broken: bool,
    /// Frames for the guest, and how much of each it has.
    waiting: Vec<(Vec<u8>, usize)>,
    /// A frame of the guest's that nobody has taken.
    frame: Option<Vec<u8>>,
}

impl Port {
    /// For a snapshot.
    ///
    /// # Errors
    /// None that a port of ours has.
    pub fn kept(&self) -> Result<Value, Refusal> {
        let waiting = self.waiting.iter().map(|one| (one.frame.clone(), one.sent));
        value(&Kept {
            open: self.open,
            broken: self.broken,
            waiting: waiting.collect(),
            frame: self.frame.clone(),
        })
    }

    /// As it was, and whoever asks hears whether it is open.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn become_kept(&mut self, kept: Value) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        let most = HEADER_BYTES.saturating_add(MAX_BODY_BYTES);
        let fits = |frame: &Vec<u8>| frame.len() <= most;
        let waits = |(frame, sent): &(Vec<u8>, usize)| fits(frame) && sent < &frame.len();
        if kept.waiting.len() > MAX_WAITING
            || !kept.waiting.iter().all(waits)
            || !kept.frame.as_ref().is_none_or(fits)
        {
            return Err(Refusal::Malformed);
        }
        self.waiting =
            kept.waiting.into_iter().map(|(frame, sent)| Outgoing { frame, sent }).collect();
        (self.frame, self.broken, self.open) = (kept.frame, kept.broken, kept.open);
        self.news = Some(kept.open);
        Ok(())
    }
}
