//! For the model checker only: what its judge must see of the monitor, and views numbered anew,
//! so that states that differ in nothing but the count of views are one state.

use std::collections::BTreeSet;

use tabard_view::{FrameSerial, GuestId};

use crate::{Monitor, guests::GuestState};

impl Monitor {
    /// Whether this guest has a machine that can be told anything.
    #[must_use]
    pub fn is_there(&self, guest: GuestId) -> bool {
        matches!(self.guests.state(guest), Some(GuestState::Running | GuestState::Paused))
    }

    /// Every view number that this monitor remembers, 0 ("none yet") among them.
    #[must_use]
    pub fn serials(&self) -> BTreeSet<FrameSerial> {
        let outputs = self.outputs.serials();
        outputs.chain([FrameSerial(0), self.recipient_serial, self.view.serial]).collect()
    }

    /// Replaces every number by another. The map must keep their order, and 0.
    pub fn renumber(&mut self, number: impl Fn(FrameSerial) -> FrameSerial) {
        self.outputs.renumber(&number);
        self.recipient_serial = number(self.recipient_serial);
        self.view.serial = number(self.view.serial);
    }
}
