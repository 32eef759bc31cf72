//! Power and clock for a snapshot: a few bytes each.

use super::power::Power;
use super::rtc::Rtc;
use crate::devices::Trigger;

impl<T: Trigger> Power<T> {
    /// The events that the guest has not read.
    #[must_use]
    pub fn kept(&self) -> u8 {
        self.events
    }

    /// As it was.
    pub fn become_kept(&mut self, events: u8) {
        self.events = events;
    }
}

impl Rtc {
    /// The register that is chosen, and the memory; the time is the host's.
    #[must_use]
    pub fn kept(&self) -> (u8, Vec<u8>) {
        (self.index, self.memory.to_vec())
    }

    /// As it was; `None` for another length of memory.
    pub fn become_kept(&mut self, (index, memory): (u8, Vec<u8>)) -> Option<()> {
        self.memory = memory.try_into().ok()?;
        self.index = index & 0x7f;
        Some(())
    }
}
