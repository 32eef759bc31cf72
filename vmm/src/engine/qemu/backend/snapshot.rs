//! A device and its rings for a snapshot, and how QEMU gets it back. QEMU loads no state of a
//! vhost-user keyboard, pointer, display or source of chance; of a vhost-user disk it does. So in a
//! machine that is made from a snapshot these four are disks to QEMU, and to the guest, whose drivers
//! asked what they are long before, what they were: rings, features and interrupts are the same for
//! every type. Only a driver that looks for devices anew would find a disk there.

use std::io::IoSlice;
use std::os::fd::AsFd;

use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use vm_memory::GuestAddress;

use super::super::message::{Broken, PROTOCOL_BACKEND_REQUESTS, PROTOCOL_CONFIG, notice, reply};
use super::{Backend, write_one};
use crate::devices::Device;
use crate::snapshot::{KeepSlot, Refusal, part, value};

/// The protocol's feature `MQ`, without which a disk has one ring.
const PROTOCOL_QUEUES: u64 = 1;
/// `VIRTIO_ID_GPU`, the one device whose driver is told of a change (virtio 1.2, 5).
const DISPLAY: u32 = 16;
/// `VHOST_USER_BACKEND_CONFIG_CHANGE_MSG`.
const CONFIG_CHANGED: u32 = 2;
/// Bits of a display's events above those that a driver knows.
const UNKNOWN_EVENTS: u32 = 8;

/// What is kept of a device.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Whether a driver has it.
    pub driven: bool,
    /// What the driver took of the features.
    pub features: u64,
    pub rings: Vec<KeptRing>,
    pub device: Value,
}

/// What is kept of a ring.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptRing {
    /// Descriptors.
    pub size: u16,
    /// Where it goes on.
    pub base: u16,
    /// Where descriptors, the driver's ring and the device's are in the guest; `None` if the driver
    /// never said.
    pub places: Option<[u64; 3]>,
}

/// A device that QEMU takes for a disk.
#[derive(Debug, Default)]
pub(super) struct Posed {
    /// How often its configuration changed: QEMU passes on what differs from the time before only.
    changes: u32,
    /// A change that QEMU is not yet there to hear of.
    pending: bool,
}

impl<D: Device> KeepSlot for Backend<D> {
    /// Answers what was done after QEMU had stopped the rings.
    fn settle(&mut self) {
        let stopped = self.rings.iter().filter(|ring| ring.queue.is_none());
        let queues: Vec<_> = stopped.filter_map(|ring| self.queue(ring)).collect();
        for mut queue in queues {
            // A driver that broke its ring is told by the next turn.
            let _broken = self.device.settle(&mut queue, &self.ram);
        }
    }

    /// Device and rings as they are. The machine stands still, so QEMU has stopped the rings.
    fn keep(&mut self) -> Result<Value, Refusal> {
        let driven = self.held.unwrap_or(false) && !self.broken && !self.unfit;
        let rings = self.rings.iter().map(|ring| {
            let place = |user| self.guest_address(user).map(|place: GuestAddress| place.0);
            let places = ring.addresses.and_then(|at| {
                Some([place(at.descriptors)?, place(at.available)?, place(at.used)?])
            });
            KeptRing { size: ring.size, base: ring.base, places }
        });
        let (rings, device) = (rings.collect(), self.device.keep()?);
        value(&Kept { driven, features: self.features, rings, device })
    }

    fn restore(&mut self, kept: Value) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        if kept.rings.len() != self.rings.len() {
            return Err(Refusal::Malformed);
        }
        let ram = self.ram.clone();
        self.device.restore(kept.device, &ram)?;
        // A disk is one already.
        self.posed = (self.device.device_type() != 2).then(Posed::default);
        self.woken = true;
        Ok(())
    }
}

impl<D: Device> Backend<D> {
    /// What a disk with several rings needs of the protocol.
    pub(super) fn posed_features(&self) -> u64 {
        let all = PROTOCOL_QUEUES | PROTOCOL_BACKEND_REQUESTS | PROTOCOL_CONFIG;
        self.posed.as_ref().map_or(0, |_| all)
    }

    /// How many rings there are, which QEMU asks of a disk with several and of nothing else.
    pub(super) fn posed_rings(&self) -> Result<Vec<u8>, Broken> {
        let rings = u64::try_from(self.rings.len()).unwrap_or(0).to_le_bytes();
        self.posed.as_ref().map(|_| reply(17, &rings)).ok_or(Broken::Request(17))
    }

    /// A driver whose interrupt was lost with the old machine looks at its ring again.
    pub(super) fn wake_driver(&mut self, index: usize) {
        let call = self.rings.get(index).and_then(|ring| ring.call.as_ref());
        call.filter(|_| self.woken).into_iter().for_each(write_one);
        if self.is_served() && self.posed.as_mut().is_some_and(|posed| posed.pending) {
            self.announce_config();
        }
    }

    /// Whether QEMU has started any ring: before, it forgets what it is told.
    fn is_served(&self) -> bool {
        self.rings.iter().any(|ring| ring.queue.is_some())
    }

    /// Marks configuration that QEMU reads, so that it differs from what it read before.
    pub(super) fn mark_config(&self, offset: u32, data: &mut [u8]) {
        let Some(posed) = self.posed.as_ref().filter(|_| self.device.device_type() == DISPLAY)
        else {
            return;
        };
        if let (0, Some(word)) = (offset, data.first_chunk_mut::<4>()) {
            let marked = u32::from_le_bytes(*word) | posed.changes << UNKNOWN_EVENTS;
            *word = marked.to_le_bytes();
        }
    }

    /// Lets QEMU read the configuration anew and tell the driver.
    pub(super) fn announce_config(&mut self) {
        let served = self.is_served();
        let Some(posed) = &mut self.posed else { return };
        posed.pending = !served;
        if !served {
            return;
        }
        posed.changes = posed.changes.wrapping_add(1);
        let Some(socket) = self.kept.last() else { return };
        let mut none = SendAncillaryBuffer::default();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        // A QEMU that does not read keeps the old size.
        let _full =
            sendmsg(socket.as_fd(), &[IoSlice::new(&notice(CONFIG_CHANGED))], &mut none, flags);
    }
}
