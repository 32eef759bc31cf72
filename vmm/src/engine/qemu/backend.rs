//! A device of ours as QEMU's messages see it: its rings, and what is written when they have work.
//! Guest memory is what `tabard` made and we have mapped; QEMU can only say where in it a ring is,
//! so nothing that it sends is ever mapped, and nothing that it holds can shrink under us.

pub(super) mod snapshot;

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;

use rustix::fs::{OFlags, fcntl_getfl, fstat};
use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::super::Watch;
use super::message::{
    Addresses, Broken, FEATURE_PROTOCOL, MAX_RING_SIZE, PROTOCOL_BACKEND_REQUESTS, PROTOCOL_CONFIG,
    Region, Request, reply,
};
use crate::devices::rings::{self, FEATURE_EVENT_IDX, Turn};
use crate::devices::{Attached, Device, Serve};
use crate::memory::GuestRam;

/// Offset of the index in a used ring (virtio 1.2, 2.7.8).
const USED_INDEX: u64 = 2;

/// Most sockets that are held for QEMU: it gives one with each start of its display device.
const MAX_KEPT: usize = 512;

/// One ring.
#[derive(Default)]
struct Ring {
    size: u16,
    addresses: Option<Addresses>,
    base: u16,
    enabled: bool,
    /// Written by the guest; never read, only waited for.
    kick: Option<OwnedFd>,
    call: Option<OwnedFd>,
    /// Exists while the ring is served; built from checked numbers only.
    queue: Option<Queue>,
}

/// A device and its rings.
pub struct Backend<D> {
    device: D,
    ram: GuestRam,
    regions: Vec<Region>,
    rings: Vec<Ring>,
    /// Where kicks are waited for, and the token of the first ring's.
    watch: Watch,
    first_token: u64,
    features: u64,
    /// The driver did what only a reset can mend.
    broken: bool,
    /// The driver took features that were never offered.
    unfit: bool,
    /// The machine is to stand still: that rings stop is no reset. Whether a driver had the device
    /// before.
    held: Option<bool>,
    /// Sockets that QEMU gave and that it wants to be held open.
    kept: Vec<OwnedFd>,
    /// QEMU takes it for a disk.
    posed: Option<snapshot::Posed>,
    /// It was made from a snapshot.
    woken: bool,
}

impl<D: Device> Backend<D> {
    /// A device that no driver has taken.
    pub fn new(device: D, ram: GuestRam, watch: Watch, first_token: u64) -> Self {
        let rings = device.queue_sizes().iter().map(|_| Ring::default()).collect();
        Self {
            device,
            ram,
            regions: Vec::new(),
            rings,
            watch,
            first_token,
            features: 0,
            broken: false,
            unfit: false,
            held: None,
            kept: Vec::new(),
            posed: None,
            woken: false,
        }
    }

    fn offered(&self) -> u64 {
        self.device.features() | rings::FEATURES
    }

    fn protocol_features(&self) -> u64 {
        let config = if self.device.has_config() { PROTOCOL_CONFIG } else { 0 };
        PROTOCOL_BACKEND_REQUESTS | config | self.posed_features()
    }

    fn ring(&mut self, index: usize) -> Result<&mut Ring, Broken> {
        self.rings.get_mut(index).ok_or(Broken::Range("Number of a ring"))
    }

    /// Where an address of QEMU's is in the guest.
    fn guest_address(&self, user: u64) -> Option<GuestAddress> {
        let within = |region: &Region| {
            let offset = user.checked_sub(region.user).filter(|offset| *offset < region.bytes)?;
            region.guest.checked_add(offset)
        };
        self.regions.iter().find_map(within).map(GuestAddress)
    }

    /// The queue of a ring, from what was said of it; `None` if that makes no sense.
    fn queue(&self, ring: &Ring) -> Option<Queue> {
        let addresses = ring.addresses?;
        let mut queue = Queue::new(MAX_RING_SIZE).ok()?;
        queue.try_set_size(ring.size).ok()?;
        let used = self.guest_address(addresses.used)?;
        queue.try_set_desc_table_address(self.guest_address(addresses.descriptors)?).ok()?;
        queue.try_set_avail_ring_address(self.guest_address(addresses.available)?).ok()?;
        queue.try_set_used_ring_address(used).ok()?;
        queue.set_event_idx(self.features & FEATURE_EVENT_IDX != 0);
        queue.set_ready(true);
        if !queue.is_valid(&self.ram) {
            return None;
        }
        let index = GuestAddress(used.0.saturating_add(USED_INDEX));
        let next_used: u16 = self.ram.load(index, Ordering::Acquire).unwrap_or(0);
        queue.set_next_avail(ring.base);
        queue.set_next_used(next_used);
        Some(queue)
    }

    /// Serves a ring from now on, if all is known of it. Size and places are the guest's own choice,
    /// which QEMU passes on: where they make no sense, the device waits for its reset.
    fn start(&mut self, index: usize) -> Result<(), Broken> {
        let ring = self.rings.get(index).ok_or(Broken::Range("Number of a ring"))?;
        if ring.queue.is_some() || !ring.enabled || ring.kick.is_none() {
            return Ok(());
        }
        let queue = self.queue(ring);
        self.broken |= queue.is_none();
        let ring = self.ring(index)?;
        ring.queue = queue;
        // What was offered before is looked at now, in the loop's own time.
        if let Some(kick) = &ring.kick {
            write_one(kick);
        }
        Ok(())
    }

    /// Serves a ring no more; where it is to go on.
    fn stop(&mut self, index: usize) -> Result<u16, Broken> {
        let watch = self.watch.clone();
        let ring = self.ring(index)?;
        if let Some(queue) = ring.queue.take() {
            ring.base = queue.next_avail();
        }
        if let Some(kick) = ring.kick.take() {
            watch.remove(&kick);
        }
        let base = ring.base;
        // Of a reset QEMU says nothing else than that the rings stop.
        if self.held.is_none() && self.rings.iter().all(|ring| ring.queue.is_none()) {
            self.reset();
        }
        Ok(base)
    }

    fn reset(&mut self) {
        self.device.reset();
        self.broken = false;
        self.held = self.held.map(|_| false);
    }

    /// Takes a table that says nothing but what is so: parts of our memory, in their places.
    fn set_memory(
        &mut self,
        regions: Vec<Region>,
        fds: &[OwnedFd],
        memory: &Memory,
    ) -> Result<(), Broken> {
        for (region, fd) in regions.iter().zip(fds) {
            memory.check(region, fd)?;
        }
        self.regions = regions;
        Ok(())
    }

    fn set_kick(&mut self, index: usize, fd: OwnedFd) -> Result<(), Broken> {
        let token = u64::try_from(index).unwrap_or(u64::MAX).saturating_add(self.first_token);
        let watch = self.watch.clone();
        must_be_counter(&fd)?;
        let ring = self.ring(index)?;
        if let Some(old) = ring.kick.take() {
            watch.remove(&old);
        }
        // Not everything can be waited for; what QEMU gives can.
        watch.add_edge(&fd, token).map_err(|_| Broken::Descriptors(12))?;
        ring.kick = Some(fd);
        Ok(())
    }
}

/// The guest's memory: which file it is, and what is where.
pub struct Memory {
    /// Device and number of the file.
    pub identity: (u64, u64),
    /// Start in the guest, bytes, and start in the file.
    pub ranges: Vec<(u64, u64, u64)>,
}

impl Memory {
    fn check(&self, region: &Region, fd: &OwnedFd) -> Result<(), Broken> {
        let stat = fstat(fd).map_err(|_| Broken::Descriptors(5))?;
        if (stat.st_dev, stat.st_ino) != self.identity {
            return Err(Broken::Descriptors(5));
        }
        let inside = |&(start, bytes, offset): &(u64, u64, u64)| {
            let from = region.guest.checked_sub(start)?;
            let end = from.checked_add(region.bytes).filter(|end| *end <= bytes);
            let same = offset.checked_add(from) == Some(region.offset);
            region.user.checked_add(region.bytes)?;
            (end.is_some() && same && region.bytes > 0).then_some(())
        };
        self.ranges.iter().find_map(inside).ok_or(Broken::Range("Region of memory"))
    }
}

/// A device that QEMU's messages go to, whatever its type.
pub trait Answer: Send {
    /// How many rings it has.
    fn rings(&self) -> usize;
    /// Does what a request asks; the reply, where there is one. The number of descriptors is the
    /// request's.
    ///
    /// # Errors
    /// [`Broken`].
    fn answer(
        &mut self,
        request: Request,
        fds: Vec<OwnedFd>,
        memory: &Memory,
    ) -> Result<Option<Vec<u8>>, Broken>;
    /// While the machine is to stand still, rings that stop are no reset.
    fn hold(&mut self, held: bool);
    /// Waits for no ring any more. QEMU has the same descriptors: a wait for them would outlive ours.
    fn let_go(&mut self);
}

impl<D: Device> Answer for Backend<D> {
    fn rings(&self) -> usize {
        self.rings.len()
    }

    fn answer(
        &mut self,
        request: Request,
        mut fds: Vec<OwnedFd>,
        memory: &Memory,
    ) -> Result<Option<Vec<u8>>, Broken> {
        let number = |value: u64| value.to_le_bytes();
        match request {
            Request::GetFeatures => {
                return Ok(Some(reply(1, &number(self.offered() | FEATURE_PROTOCOL))));
            }
            Request::SetFeatures(features) => {
                // The guest chose them, of whatever it likes.
                self.unfit = features & !(self.offered() | FEATURE_PROTOCOL) != 0;
                self.features = features;
                if !self.unfit {
                    self.device.accept(features & !FEATURE_PROTOCOL);
                }
            }
            Request::GetProtocolFeatures => {
                return Ok(Some(reply(15, &number(self.protocol_features()))));
            }
            Request::SetProtocolFeatures(features) => {
                if features & !self.protocol_features() != 0 {
                    return Err(Broken::Range("Features of the protocol"));
                }
            }
            Request::SetOwner => {}
            Request::GetRings => return self.posed_rings().map(Some),
            Request::SetMemory(regions) => self.set_memory(regions, &fds, memory)?,
            Request::SetRingSize(index, size) => self.ring(index)?.size = size,
            Request::SetRingAddresses(index, addresses) => {
                self.ring(index)?.addresses = Some(addresses);
            }
            Request::SetRingBase(index, base) => {
                let kept = std::mem::replace(&mut self.ring(index)?.base, base);
                // A ring that begins anew while the machine was held: the guest did reset the device.
                if base == 0 && kept != 0 && self.rings.iter().all(|ring| ring.queue.is_none()) {
                    self.reset();
                }
            }
            Request::GetRingBase(index) => {
                let base = self.stop(index)?;
                let mut body = u32::try_from(index).unwrap_or(0).to_le_bytes().to_vec();
                body.extend(u32::from(base).to_le_bytes());
                return Ok(Some(reply(11, &body)));
            }
            Request::SetRingKick(index) => {
                let fd = fds.pop().ok_or(Broken::Descriptors(12))?;
                self.set_kick(index, fd)?;
                // Without the protocol's features a ring is enabled from the start.
                if self.features & FEATURE_PROTOCOL == 0 {
                    self.ring(index)?.enabled = true;
                }
                self.start(index)?;
            }
            Request::SetRingCall(index, _) => {
                let call = fds.pop();
                if let Some(call) = &call {
                    must_be_counter(call)?;
                }
                self.ring(index)?.call = call;
            }
            Request::SetRingError(..) => {}
            Request::SetRingEnabled(index, enabled) => {
                self.ring(index)?.enabled = enabled;
                if enabled {
                    self.start(index)?;
                    self.wake_driver(index);
                }
            }
            // None is let go while QEMU lives: with the end of an old one it reads the new one, without
            // end (`vhost_user_gpu_chr_read` in QEMU's `hw/display/vhost-user-gpu.c`).
            Request::SetBackendSocket | Request::SetGpuSocket => {
                self.kept.extend(fds.pop());
                if self.kept.len() > MAX_KEPT {
                    return Err(Broken::Range("Number of sockets"));
                }
            }
            Request::GetConfig { offset, bytes, flags } => {
                let mut body = Vec::new();
                for word in [offset, bytes, flags] {
                    body.extend(word.to_le_bytes());
                }
                let mut data = vec![0; usize::try_from(bytes).unwrap_or(0)];
                self.device.read_config(offset.into(), &mut data);
                self.mark_config(offset, &mut data);
                body.extend(data);
                return Ok(Some(reply(24, &body)));
            }
            Request::SetConfig { offset, data } => self.device.write_config(offset.into(), &data),
        }
        Ok(None)
    }

    fn let_go(&mut self) {
        let kicks = self.rings.iter_mut().filter_map(|ring| ring.kick.take());
        kicks.for_each(|kick| self.watch.remove(&kick));
    }

    fn hold(&mut self, held: bool) {
        let driven = self.is_driven();
        self.held = held.then_some(driven);
    }
}

/// A descriptor that is written is an event counter (or of their kin, which have no type of file) and
/// must not make us wait. Whoever takes the flag away later and fills it makes only its own guest wait.
fn must_be_counter(fd: &OwnedFd) -> Result<(), Broken> {
    let flags = fcntl_getfl(fd).map_err(|_| Broken::Descriptors(13))?;
    let mode = fstat(fd).map_err(|_| Broken::Descriptors(13))?.st_mode;
    let counter = mode & libc::S_IFMT == 0 && flags.contains(OFlags::NONBLOCK);
    if counter { Ok(()) } else { Err(Broken::Descriptors(13)) }
}

fn write_one(fd: &OwnedFd) {
    // Full, or gone: then it is told already, or to nobody.
    let _pending = rustix::io::write(fd, &1u64.to_ne_bytes());
}

impl<D: Device> Serve for Backend<D> {
    fn serve(&mut self, index: usize) -> bool {
        if self.broken || self.unfit {
            return false;
        }
        let Some(ring) = self.rings.get_mut(index) else { return false };
        let (Some(queue), true) = (ring.queue.as_mut(), ring.enabled) else { return false };
        match rings::turn(&mut self.device, index, queue, &self.ram) {
            Ok(Turn { interrupt, more }) => {
                if let Some(call) = ring.call.as_ref().filter(|_| interrupt) {
                    write_one(call);
                }
                more
            }
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    fn queues(&self) -> usize {
        self.rings.len()
    }
}

impl<D: Device> Attached<D> for Backend<D> {
    fn device(&mut self) -> &mut D {
        &mut self.device
    }

    fn device_and_ram(&mut self) -> (&mut D, &GuestRam) {
        (&mut self.device, &self.ram)
    }

    fn config_changed(&mut self) {
        // QEMU's own part of the device tells the driver, see `display`; of a disk it is told here.
        self.announce_config();
    }

    fn is_driven(&self) -> bool {
        let served = self.rings.first().is_some_and(|ring| ring.queue.is_some());
        !self.broken && !self.unfit && self.held.unwrap_or(served)
    }
}
