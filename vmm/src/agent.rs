//! Carries whole frames between the guest's agent port and `tabard`: out through one buffer that
//! holds one frame, in through a sealed memory of each frame's own.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use tabard_wire::FromVmm;

use crate::devices::console::{CONTROL_TO_GUEST, Console, FROM_GUEST, Port, TO_GUEST};
use crate::devices::transport::Transport;
use crate::devices::{Serve, Trigger};
use crate::machine::lock;
use crate::outbox::Outbox;

/// The agent's port, whatever carries its bytes.
pub trait Agent: Send {
    /// The port.
    fn port(&mut self) -> &mut Port;
    /// Takes more bytes of the guest; `true` if some were left.
    fn take_more(&mut self) -> bool;
    /// Sends what waits for the guest.
    fn send(&mut self);
}

impl<T: Trigger> Agent for Transport<Console, T> {
    fn port(&mut self) -> &mut Port {
        &mut self.device().port
    }

    fn take_more(&mut self) -> bool {
        self.serve(FROM_GUEST)
    }

    fn send(&mut self) {
        self.serve(TO_GUEST);
        // Opening, closing and nonsense are answered on a queue of their own.
        self.serve(CONTROL_TO_GUEST);
    }
}

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

    /// Tells `tabard` what is new, as far as it can take it now; `true` if bytes of the guest were
    /// left.
    pub fn collect(&mut self, agent: &Mutex<dyn Agent>, outbox: &mut Outbox) -> bool {
        let mut agent = lock(agent);
        self.open = agent.port().take_open().unwrap_or(self.open);
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
        let Some(frame) = agent.port().take_frame() else { return false };
        let bytes = u32::try_from(frame.len()).unwrap_or(0);
        // The memory is as long as the longest frame; should it fail, the frame is lost, as on
        // any line, and the agent may say it again.
        if self.buffer.write_all_at(&frame, 0).is_ok() {
            self.full = true;
            outbox.answer(FromVmm::AgentFrame { bytes });
        }
        // What the guest sent behind it was left where it came from.
        agent.take_more()
    }

    /// Hands a frame of `tabard` to the guest.
    pub fn give(frame: OwnedFd, bytes: u32, agent: &Mutex<dyn Agent>) {
        let mut content = vec![0; usize::try_from(bytes).unwrap_or(0)];
        if File::from(frame).read_exact_at(&mut content, 0).is_ok() {
            let mut agent = lock(agent);
            agent.port().push(content);
            agent.send();
        }
    }
}
