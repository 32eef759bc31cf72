//! Carries whole frames between the guest's agent port and `tabard`: out through one buffer that
//! holds one frame, in through a sealed memory of each frame's own.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use tabard_wire::FromVmm;

use crate::devices::console::{Console, FROM_GUEST, TO_GUEST};
use crate::devices::transport::Slot;
use crate::machine::{Shared, lock};
use crate::outbox::Outbox;

/// The way between port and wire.
pub struct AgentPort {
    buffer: File,
    /// A frame is in the buffer that `tabard` has not yet read.
    full: bool,
    /// What `tabard` was told of the port, and what is to be told.
    told_open: bool,
    open: bool,
}

impl AgentPort {
    /// With the memory that `tabard` gave for frames.
    #[must_use]
    pub fn new(buffer: OwnedFd) -> Self {
        Self { buffer: File::from(buffer), full: false, told_open: false, open: false }
    }

    /// `tabard` has read the buffer.
    pub fn taken(&mut self) {
        self.full = false;
    }

    /// The machine is a new one: nobody has the port open.
    pub fn reset(&mut self) {
        self.open = false;
    }

    /// Tells `tabard` what is new, as far as it can take it now; `true` if the guest's queue was
    /// left before it was empty.
    pub fn collect(&mut self, console: &Shared<Console>, outbox: &mut Outbox) -> bool {
        let mut console = lock(console);
        self.open = console.device().take_open().unwrap_or(self.open);
        // A guest that opens and closes without end waits until there is room.
        if outbox.is_crowded() {
            return false;
        }
        if self.open != self.told_open {
            self.told_open = self.open;
            outbox.answer(FromVmm::AgentOpen(self.open));
        }
        if self.full || !self.open {
            return false;
        }
        let Some(frame) = console.device().take_frame() else { return false };
        let bytes = u32::try_from(frame.len()).unwrap_or(0);
        // The memory is as long as the longest frame; should it fail, the frame is lost, as on
        // any line, and the agent may say it again.
        if self.buffer.write_all_at(&frame, 0).is_ok() {
            self.full = true;
            outbox.answer(FromVmm::AgentFrame { bytes });
        }
        // What the guest sent behind it was left in its queue.
        console.serve(FROM_GUEST)
    }

    /// Hands a frame of `tabard` to the guest.
    pub fn give(frame: OwnedFd, bytes: u32, console: &Shared<Console>) {
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
        if File::from(frame).read_exact_at(&mut content, 0).is_ok() {
            let mut console = lock(console);
            console.device().push(content);
            console.serve(TO_GUEST);
        }
    }
}
