//! The devices that a guest sees, as plain state: no thread, no descriptor and no KVM in here.
//! Whatever a guest writes, a device answers, refuses or asks for a reset; it never panics and
//! never works without bound.

pub mod block;
pub mod console;
pub mod gpu;
pub mod input;
mod requests;
pub mod rings;
pub mod rng;
pub mod transport;

#[cfg(test)]
pub(crate) mod testing;

use virtio_queue::Queue;

use crate::memory::GuestRam;
use crate::snapshot::{Keep, KeepSlot};

/// Largest virtqueue of any device, in descriptors; also the longest chain that is followed, so
/// that a chain of 65,535 indirect descriptors cannot make the device allocate for it.
pub const MAX_QUEUE_SIZE: u16 = 256;

/// Raises the interrupt line of a device.
pub trait Trigger: Send {
    /// Pulses the line (edge).
    fn trigger(&self);
}

/// What a device did with a queue in one turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Buffers were given back: the driver wants an interrupt.
    pub used: bool,
    /// The turn's budget was spent before the queue was empty: call again.
    pub more: bool,
}

/// What a driver did that only a reset of the device can mend (virtio 1.2, 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The rings or a head index make no sense or lie outside of memory.
    #[error("Virtqueue is broken")]
    Queue,
    /// A chain has no room for an answer, or is longer than any allowed.
    #[error("Request cannot be answered")]
    Malformed,
}

/// A virtio device behind a transport.
pub trait Device: Keep + Send {
    /// Virtio device type (virtio 1.2, chapter 5).
    fn device_type(&self) -> u32;

    /// Feature bits of the device type; the transport adds its own.
    fn features(&self) -> u64 {
        0
    }

    /// Largest size of each queue, in descriptors; the length is the number of queues.
    fn queue_sizes(&self) -> &'static [u16];

    /// Whether it has a configuration space.
    fn has_config(&self) -> bool {
        true
    }

    /// Fills `data` from the configuration space; bytes beyond it stay zero.
    fn read_config(&self, _offset: u64, _data: &mut [u8]) {}

    /// Writes to the configuration space; what is read-only is left alone.
    fn write_config(&mut self, _offset: u64, _data: &[u8]) {}

    /// The driver has settled on these features of those that were offered.
    fn accept(&mut self, _features: u64) {}

    /// Serves a queue for one bounded turn.
    ///
    /// # Errors
    /// [`DeviceError`] when the driver has to reset the device.
    fn process(
        &mut self,
        index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError>;

    /// Back to power-on state.
    fn reset(&mut self) {}
}

/// A device behind whatever carries its queues: the registers of our own machine, or an engine's
/// messages.
pub trait Serve: KeepSlot + Send {
    /// Serves queue `index` for one bounded turn; `true` if there is more to do.
    fn serve(&mut self, index: usize) -> bool;
    /// How many queues the device has.
    fn queues(&self) -> usize;
}

/// A device of a known type behind whatever carries its queues.
pub trait Attached<D>: Serve {
    /// The device itself.
    fn device(&mut self) -> &mut D;
    /// The device and the memory that it reads.
    fn device_and_ram(&mut self) -> (&mut D, &GuestRam);
    /// Tells the driver that the configuration space changed.
    fn config_changed(&mut self);
    /// Whether a driver has taken the device.
    fn is_driven(&self) -> bool;
}

/// Copies `source[offset..]` to `data` as far as it goes and zeroes the rest.
pub(crate) fn read_bytes(source: &[u8], offset: u64, data: &mut [u8]) {
    let rest = usize::try_from(offset).ok().and_then(|offset| source.get(offset..));
    let rest = rest.unwrap_or(&[]);
    for (at, byte) in data.iter_mut().enumerate() {
        *byte = rest.get(at).copied().unwrap_or(0);
    }
}
