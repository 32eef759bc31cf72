//! QEMU's part of a snapshot: its processors and chipset as it writes them itself
//! (`xen-save-devices-state`, which leaves out memory), and what it reads to become that machine again
//! (QEMU, `docs/devel/migration/main.rst`: a stream of sections, numbers big-endian).
//!
//! QEMU can neither write nor read the state of our keyboard, pointer and source of chance; they are
//! taken out of a machine before it is written, which ends it, so that it goes on in a new QEMU too.
//! What the drivers had told of them is known here, and is added as what QEMU reads for disks.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Emulated;
use super::backend::snapshot::Kept;
use super::command::OWN;
use super::early::Early;
use super::message::FEATURE_PROTOCOL;
use super::monitor::Said;
use super::port::SocketPort;
use crate::agent::Agent;
use crate::bus::virtio_base;
use crate::memory::file_bytes;
use crate::snapshot::{KeepHardware, KeepSlot, Refusal, memory, part, value};
use crate::vcpu::Event;

/// The longest state that QEMU may write, in bytes; one with 64 processors has about a million.
const MAX_BYTES: u64 = 8 << 20;
/// How long QEMU may take for one thing that it is asked.
const PATIENCE: Duration = Duration::from_secs(10);

/// `QEMU_VM_FILE_MAGIC` and `QEMU_VM_FILE_VERSION`.
const HEAD: &[u8] = b"QEVM\0\0\0\x03";
const END: u8 = 0;
const SECTION: u8 = 4;
const SUBSECTION: u8 = 5;
const FOOTER: u8 = 0x7e;
/// `VIRTIO_QUEUE_MAX`: so many rings stand in a state, whatever a device has.
const RINGS: usize = 1024;
/// A ring that no driver has set up has some size.
const SOME_SIZE: u16 = 128;
/// Virtio's bits for a driver that has its device: acknowledge, driver, ready, features.
const DRIVEN: u8 = 0xf;
/// The alignment that nobody asks for since virtio 1.0.
const ALIGNMENT: u32 = 4096;
/// Numbers of our sections: far behind those of QEMU's own.
const FIRST_SECTION: u32 = 0x7461_6200;

/// What is kept of the engine.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptEngine {
    /// As QEMU wrote it.
    stream: Vec<u8>,
    early: Early,
}

/// A machine that QEMU is to become.
pub(super) struct Arrival {
    pub(super) stream: Vec<u8>,
    pub(super) early: Early,
}

impl Arrival {
    /// From what was kept of the engine, and of the devices in slot order.
    ///
    /// # Errors
    /// `Malformed`.
    pub(super) fn new(hardware: Value, slots: &[Value]) -> Result<Self, Refusal> {
        let kept: KeptEngine = part(hardware)?;
        let mut stream = kept.stream;
        if !stream.starts_with(HEAD) || stream.pop() != Some(END) {
            return Err(Refusal::Malformed);
        }
        for (index, (slot, (.., rings))) in slots.iter().zip(OWN).enumerate() {
            let device: Kept = part(slot.clone())?;
            if device.rings.len() != usize::from(rings) {
                return Err(Refusal::Malformed);
            }
            let name = section_name(virtio_base(index));
            // A machine that came from a snapshot has it already.
            if !contains(&stream, name.as_bytes()) {
                let number = u32::try_from(index).unwrap_or(0).saturating_add(FIRST_SECTION);
                stream.extend(section(number, &name, &device));
            }
        }
        stream.push(END);
        Ok(Self { stream, early: kept.early })
    }
}

fn section_name(base: u64) -> String {
    format!("virtio-mmio@{base:016x}/vhost-user-blk")
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// What QEMU reads as the state of a disk (`virtio_load` in its `hw/virtio/virtio.c`).
fn section(number: u32, name: &str, device: &Kept) -> Vec<u8> {
    let mut bytes = vec![SECTION];
    bytes.extend(number.to_be_bytes());
    text(&mut bytes, name);
    // Instance and version.
    bytes.extend([0, 0, 0, 0, 0, 0, 0, 1]);
    // Of the registers: which half of the features was selected, twice, and a page shift.
    bytes.extend([0; 12]);
    let features = if device.driven { device.features & !FEATURE_PROTOCOL } else { 0 };
    let [low, ..] = [features & 0xffff_ffff];
    // An interrupt that may be pending is looked for once more; that costs its driver a look.
    bytes.extend(if device.driven { [DRIVEN, 1] } else { [0, 0] });
    bytes.extend([0; 2]);
    bytes.extend(u32::try_from(low).unwrap_or(0).to_be_bytes());
    // No configuration: QEMU has asked for it anew.
    bytes.extend([0; 4]);
    let rings = || device.rings.iter().map(|ring| Ring::of(ring, device.driven));
    bytes.extend(u32::try_from(device.rings.len()).unwrap_or(0).to_be_bytes());
    for ring in rings() {
        bytes.extend(u32::from(ring.size).to_be_bytes());
        bytes.extend(ALIGNMENT.to_be_bytes());
        bytes.extend(ring.places[0].to_be_bytes());
        bytes.extend(ring.base.to_be_bytes());
    }
    subsection(&mut bytes, "virtio/64bit_features");
    bytes.extend(features.to_be_bytes());
    let all = || rings().chain(std::iter::repeat(Ring::default())).take(RINGS);
    subsection(&mut bytes, "virtio/virtqueues");
    for Ring { places: [_, available, used], .. } in all() {
        bytes.extend(available.to_be_bytes());
        bytes.extend(used.to_be_bytes());
    }
    subsection(&mut bytes, "virtio/extra_state");
    subsection(&mut bytes, "virtio_mmio/state");
    bytes.extend(u32::try_from(low).unwrap_or(0).to_be_bytes());
    bytes.extend(u32::try_from(features >> 32).unwrap_or(0).to_be_bytes());
    for ring in all() {
        bytes.extend(if ring.enabled { ring.size } else { 0 }.to_be_bytes());
        bytes.push(ring.enabled.into());
        for place in ring.places {
            let (low, high) = (place & 0xffff_ffff, place >> 32);
            bytes.extend(u32::try_from(low).unwrap_or(0).to_be_bytes());
            bytes.extend(u32::try_from(high).unwrap_or(0).to_be_bytes());
        }
    }
    if device.driven {
        subsection(&mut bytes, "virtio/started");
        bytes.push(1);
    }
    bytes.push(FOOTER);
    bytes.extend(number.to_be_bytes());
    bytes
}

/// A ring as QEMU's registers have it.
#[derive(Clone, Copy, Default)]
struct Ring {
    size: u16,
    base: u16,
    enabled: bool,
    /// Descriptors, the driver's ring, the device's.
    places: [u64; 3],
}

impl Ring {
    fn of(kept: &super::backend::snapshot::KeptRing, driven: bool) -> Self {
        match kept.places.filter(|_| driven) {
            Some(places) => Self { size: kept.size, base: kept.base, enabled: true, places },
            None => Self { size: SOME_SIZE, ..Self::default() },
        }
    }
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(u8::try_from(text.len()).unwrap_or(0));
    bytes.extend(text.bytes());
}

/// Begins one of version 1.
fn subsection(bytes: &mut Vec<u8>, name: &str) {
    bytes.push(SUBSECTION);
    text(bytes, name);
    bytes.extend(1u32.to_be_bytes());
}

impl KeepHardware for Emulated {
    fn keep(&mut self, to: &File) -> Result<Value, Refusal> {
        let kept = self.take_state(to);
        if kept.is_err() {
            // Without its keyboard it cannot go on.
            self.broke(&"It did not give its state");
        }
        kept
    }

    fn goes_on(&self) -> bool {
        false
    }
}

impl Emulated {
    fn take_state(&mut self, to: &File) -> Result<Value, Refusal> {
        if !self.posed {
            for (kind, name, _) in OWN {
                // The display has no state that QEMU would write.
                if kind != "gpu" {
                    let path = format!("/machine/peripheral/{name}");
                    let gone = json!({ "path": path, "property": "realized", "value": false });
                    self.ask("qom-set", gone)?;
                }
            }
        }
        let file = json!({ "filename": format!("/dev/fd/{}", self.state_number) });
        self.ask("xen-save-devices-state", file)?;
        let bytes = file_bytes(&self.state).map_err(|_| Refusal::Engine)?;
        if bytes > MAX_BYTES {
            return Err(Refusal::Engine);
        }
        let mut stream = vec![0; usize::try_from(bytes).unwrap_or(0)];
        self.state.read_exact_at(&mut stream, 0).map_err(|_| Refusal::Engine)?;
        // It has nothing more to do, and would stumble over devices that it has no more.
        self.over = true;
        self.sibling.end().map_err(|_| Refusal::Engine)?;
        memory::copy(self.sibling.memory(), to)?;
        value(&KeptEngine { stream, early: self.early.clone() })
    }

    /// QEMU is what it was given the state of; it runs, unless it was told to stop meanwhile.
    pub(super) fn arrived(&mut self) {
        if self.awaited.take_if(|awaited| *awaited == Said::Stopped).is_some() {
            self.mailbox.put(Event::Paused);
        } else {
            self.run();
        }
        self.mailbox.put(Event::Arrived);
    }

    /// Asks QEMU for something and waits until it is done. Its devices are answered meanwhile.
    fn ask(&mut self, what: &str, arguments: Value) -> Result<(), Refusal> {
        let begin = Instant::now();
        self.monitor.ask(what, arguments);
        self.answered = None;
        while self.answered.is_none() && !self.over {
            let left = PATIENCE.checked_sub(begin.elapsed()).ok_or(Refusal::Engine)?;
            let left = Timespec::try_from(left).map_err(|_| Refusal::Engine)?;
            let monitor = PollFd::new(self.monitor.socket(), PollFlags::IN);
            let links = self.links.iter().map(|link| {
                // A link that is gone has no events, and none that is not has none for ever.
                link.as_ref().map_or(self.sibling.socket().as_fd(), |link| link.socket().as_fd())
            });
            let links = links.map(|socket| PollFd::from_borrowed_fd(socket, PollFlags::IN));
            let mut fds: Vec<PollFd<'_>> = std::iter::once(monitor).chain(links).collect();
            poll(&mut fds, Some(&left)).map_err(|_| Refusal::Engine)?;
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            drop(fds);
            for index in ready.iter().skip(1).enumerate().filter(|(_, ready)| **ready) {
                self.serve_link(index.0);
            }
            if ready.first() == Some(&true) {
                self.hear_monitor();
            }
        }
        if self.answered == Some(true) { Ok(()) } else { Err(Refusal::Engine) }
    }

    /// Lets QEMU read what it is to become; [`Said::Answered`] tells when it has.
    pub(super) fn arrive(&mut self, stream: &[u8]) -> Result<(), Refusal> {
        self.state.write_all_at(stream, 0).map_err(|_| Refusal::File)?;
        let events = json!({ "capabilities": [{ "capability": "events", "state": true }] });
        self.monitor.execute("migrate-set-capabilities", Some(events));
        let file = format!("file:/dev/fd/{}", self.state_number);
        self.monitor.execute("migrate-incoming", Some(json!({ "uri": file })));
        Ok(())
    }
}

/// The end of the arrival, as QEMU says it.
pub(super) fn arrival(status: &str) -> Option<Said> {
    match status {
        "completed" => Some(Said::Arrived(true)),
        "failed" => Some(Said::Arrived(false)),
        _ => None,
    }
}

impl KeepSlot for SocketPort {
    fn keep(&mut self) -> Result<Value, Refusal> {
        self.port().kept()
    }

    fn restore(&mut self, kept: Value) -> Result<(), Refusal> {
        self.port().become_kept(kept)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::backend::snapshot::KeptRing;
    use super::*;

    fn slots() -> Vec<Value> {
        let device = |(.., rings): (&str, &str, u8)| {
            let ring = KeptRing { size: 64, base: 3, places: Some([0x1000, 0x2000, 0x3000]) };
            let rings = vec![ring; rings.into()];
            value(&Kept { driven: true, features: 1 << 32 | 2, rings, ..Kept::default() }).unwrap()
        };
        OWN.into_iter().map(device).collect()
    }

    fn engine(stream: &[u8]) -> Value {
        value(&KeptEngine { stream: stream.to_vec(), early: Early::default() }).unwrap()
    }

    fn find(stream: &[u8], what: &[u8]) -> Vec<usize> {
        let all = stream.windows(what.len()).enumerate();
        all.filter(|(_, window)| *window == what).map(|(at, _)| at).collect()
    }

    #[test]
    fn each_of_our_devices_is_added_as_a_disk_once_and_before_the_end() {
        let written = [HEAD, b"what QEMU has", &[END]].concat();
        let first = Arrival::new(engine(&written), &slots()).unwrap().stream;
        assert!(first.starts_with(&written[..written.len() - 1]));
        assert_eq!(first.last(), Some(&END));
        for name in ["feb00000", "feb00200", "feb00400", "feb00600"] {
            let name = format!("virtio-mmio@00000000{name}/vhost-user-blk");
            assert_eq!(find(&first, name.as_bytes()).len(), 1, "{name}");
        }
        // One that came from a snapshot has them already.
        let second = Arrival::new(engine(&first), &slots()).unwrap().stream;
        assert_eq!(first, second);
    }

    #[test]
    fn a_ring_is_told_where_the_driver_put_it() {
        let device: Kept = part(slots()[0].clone()).unwrap();
        let bytes = section(7, "name", &device);
        let at = find(&bytes, b"virtio/virtqueues")[0] + 17 + 4;
        assert_eq!(bytes[at..at + 8], 0x2000u64.to_be_bytes());
        assert_eq!(bytes[at + 8..at + 16], 0x3000u64.to_be_bytes());
        let idle = section(7, "name", &Kept { driven: false, ..device });
        assert!(find(&idle, b"virtio/started").is_empty() && idle.len() < bytes.len());
        assert_eq!(bytes[bytes.len() - 5..], [FOOTER, 0, 0, 0, 7]);
    }

    proptest! {
        #[test]
        fn a_stream_that_is_none_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Arrival::new(engine(&bytes), &slots()).is_err());
        }
    }
}
