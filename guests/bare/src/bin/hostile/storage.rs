//! Attacks by disks: sectors that are not there, changes of what may only be read, chains of every
//! shape, and requests that change or are taken back while they are carried out.
//!
//! What a disk must refuse is asserted here; that no image changed which must not, by who runs it.

use super::Scenario;
use super::kit::{BLOCK, Kit};
use alloc::vec::Vec;
use tabard_bare::machine::raw::{
    INDIRECT, Memory, NEXT, RING_SIZE, Ring, Slot, WRITE, is_emulated,
};

pub const SCENARIOS: &[Scenario] = &[
    ("block-sectors", sectors),
    ("block-read-only", read_only),
    ("block-lengths", lengths),
    ("block-shapes", shapes),
    ("block-kinds", kinds),
    ("block-flood", flood),
    ("block-rewrite", rewrite),
    ("block-config", config),
];

/// `VIRTIO_BLK_T_*` (virtio 1.2, 5.2.6).
const READ: u32 = 0;
const SET: u32 = 1;
const FLUSH: u32 = 4;
const IDENTIFY: u32 = 8;
const DISCARD: u32 = 11;
const ZEROES: u32 = 13;

/// `VIRTIO_BLK_F_RO`; `_FLUSH`, `_DISCARD` and `_WRITE_ZEROES`, which are taken where offered.
const READ_ONLY: u32 = 1 << 5;
const WANTED: u32 = 1 << 9 | 1 << 13 | 1 << 14;

/// Places in the memory of requests.
const STATUS: usize = 512;
const DATA: usize = 4096;
const BYTES: usize = 64 * 1024;
/// No device writes this as a status.
const NONE: u8 = 0xff;
/// Waits before a disk that neither answers nor fails counts as broken; others want the host too.
const PATIENCE: u32 = 400;
/// The device asks for a reset (virtio 1.2, 2.1).
const NEEDS_RESET: u32 = 64;

/// A disk, driven by hand.
struct Disk {
    slot: Slot,
    ring: Ring,
    memory: Memory,
    sectors: u64,
    read_only: bool,
}

impl Disk {
    fn new(slot: Slot) -> Self {
        let mut ring = Ring::new();
        slot.reset();
        slot.write(0x70, 3);
        slot.write(0x14, 0);
        let offered = slot.read(0x10);
        slot.write(0x24, 0);
        slot.write(0x20, offered & WANTED);
        slot.write(0x24, 1);
        slot.write(0x20, 1);
        slot.write(0x70, 11);
        ring.attach(slot, 0);
        slot.finish();
        let sectors = u64::from(slot.read(0x104)) << 32 | u64::from(slot.read(0x100));
        let read_only = offered & READ_ONLY != 0;
        Self { slot, ring, memory: Memory::new(BYTES), sectors, read_only }
    }

    /// After an error the device wants a reset. Nothing of before is answered after it, so the
    /// old ring and memory are the guest's again.
    fn again(&mut self) {
        *self = Self::new(self.slot);
    }

    fn header(&mut self, kind: u32, sector: u64) {
        self.memory.put_words(0, &[kind, 0, sector as u32, (sector >> 32) as u32]);
        self.memory.put32(STATUS, NONE.into());
    }

    /// Header, then this, then the status: offered, not waited for.
    fn post(&mut self, kind: u32, sector: u64, data: Option<(u64, u32, u16)>) {
        self.header(kind, sector);
        let at = self.memory.address();
        let next = if data.is_some() { 1 } else { 2 };
        self.ring.descriptor(0, at, 16, NEXT, next);
        if let Some((address, bytes, flags)) = data {
            self.ring.descriptor(1, address, bytes, NEXT | flags, 2);
        }
        self.ring.descriptor(2, at + STATUS as u64, 1, WRITE, 0);
        self.ring.offer(0, RING_SIZE);
        self.slot.kick(0);
    }

    /// As [`Disk::post`]; the status that comes, [`NONE`] if the device wants a reset instead.
    fn ask(&mut self, kind: u32, sector: u64, data: Option<(u64, u32, u16)>) -> u8 {
        self.post(kind, sector, data);
        // There no reset is ever asked for: an answer comes at once or never.
        for _ in 0..if is_emulated() { 1 } else { PATIENCE } {
            // Reading a register costs the device a turn.
            if self.slot.status() & NEEDS_RESET != 0 {
                self.again();
                return NONE;
            }
            if self.ring.returned() > 0 || self.ring.await_one() {
                return self.memory.get32(STATUS) as u8;
            }
        }
        // On QEMU nobody can tell a driver that its device wants a reset.
        assert!(is_emulated(), "a disk neither answers nor asks for a reset");
        self.again();
        NONE
    }

    /// One segment of discard or write-zeroes.
    fn clear(&mut self, kind: u32, sector: u64, count: u32, flags: u32) -> u8 {
        let words = [sector as u32, (sector >> 32) as u32, count, flags];
        self.memory.put_words(DATA, &words);
        self.ask(kind, 0, Some((self.data(), 16, 0)))
    }

    fn data(&self) -> u64 {
        self.memory.address() + DATA as u64
    }

    /// It still does what is right.
    fn is_well(&mut self) {
        self.again();
        let data = self.data();
        assert!(self.ask(READ, 0, Some((data, 512, WRITE))) == 0, "a disk is not well any more");
    }
}

/// All disks, taken from their drivers.
fn disks(kit: &mut Kit) -> Vec<Disk> {
    kit.machine.abandon_devices();
    let slots = kit.slots().into_iter().filter(|slot| slot.kind() == BLOCK);
    let disks: Vec<Disk> = slots.map(Disk::new).collect();
    assert!(!disks.is_empty(), "the machine has no disk");
    disks
}

fn sectors(kit: &mut Kit) {
    for mut disk in disks(kit) {
        let end = disk.sectors;
        let data = disk.data();
        for sector in [end, end + 1, end - 1, 1 << 32, 1 << 55, u64::MAX / 512, u64::MAX] {
            // Two sectors from here on are never all there.
            assert!(disk.ask(READ, sector, Some((data, 1024, WRITE))) != 0, "read outside");
            assert!(disk.ask(SET, sector, Some((data, 1024, 0))) != 0, "written outside");
            for kind in [DISCARD, ZEROES] {
                assert!(disk.clear(kind, sector, 2, 0) != 0, "cleared outside");
            }
        }
        for _ in 0..40 {
            let sector = kit.random.next() >> kit.random.below(64);
            let count = kit.random.word();
            let kind = *kit.random.pick(&[DISCARD, ZEROES]);
            let inside = sector.checked_add(count.into()).is_some_and(|past| past <= end);
            let flags = kit.random.below(4) as u32;
            assert!(disk.clear(kind, sector, count, flags) != 0 || inside, "cleared outside");
        }
        disk.is_well();
    }
}

fn read_only(kit: &mut Kit) {
    let mut found = false;
    for mut disk in disks(kit).into_iter().filter(|disk| disk.read_only) {
        found = true;
        for round in 0..30 {
            let data = disk.data();
            let sector = kit.random.below(disk.sectors);
            disk.memory.put32(DATA, kit.random.word());
            assert!(disk.ask(SET, sector, Some((data, 512, 0))) != 0, "written");
            for kind in [DISCARD, ZEROES] {
                assert!(disk.clear(kind, sector, 1, round & 1) != 0, "cleared");
            }
            disk.ask(FLUSH, sector, None);
        }
        // Features that were not offered do not help.
        disk.slot.write(0x24, 0);
        disk.slot.write(0x20, u32::MAX);
        let data = disk.data();
        assert!(disk.ask(SET, 0, Some((data, 512, 0))) != 0, "written after all");
        disk.is_well();
    }
    assert!(found, "the machine has no disk that is read only");
}

fn lengths(kit: &mut Kit) {
    for mut disk in disks(kit) {
        for bytes in [1, 511, 513, 1023, 0x7fff_ffff, 0xffff_fe00, u32::MAX] {
            let data = disk.data();
            assert!(disk.ask(READ, 0, Some((data, bytes, WRITE))) != 0, "read by {bytes}");
            assert!(disk.ask(SET, 0, Some((data, bytes, 0))) != 0, "written by {bytes}");
        }
        for address in [0x3ff_ffff, 0x400_0000, 0xfeb0_0000, u64::MAX - 511, 1 << 63] {
            assert!(disk.ask(READ, 0, Some((address, 512, WRITE))) != 0, "read to {address:#x}");
            assert!(disk.ask(SET, 0, Some((address, 512, 0))) != 0, "written from {address:#x}");
        }
        for _ in 0..20 {
            let bytes = kit.random.word();
            let (kind, flags) = *kit.random.pick(&[(READ, WRITE), (SET, 0), (IDENTIFY, WRITE)]);
            let data = disk.data() + kit.random.below(64);
            disk.ask(kind, kit.random.below(disk.sectors + 2), Some((data, bytes, flags)));
        }
        disk.is_well();
    }
}

/// Chains of any number of pieces in any direction: no header, no status, tables in tables.
fn shapes(kit: &mut Kit) {
    for mut disk in disks(kit) {
        for _ in 0..60 {
            let kind = *kit.random.pick(&[READ, SET, FLUSH, IDENTIFY, DISCARD, ZEROES]);
            disk.header(kind, kit.random.below(disk.sectors));
            let at = disk.memory.address();
            let pieces = 1 + kit.random.below(12) as u16;
            for index in 0..pieces {
                let address = at + *kit.random.pick(&[0, 1, 8, 15, STATUS as u64, DATA as u64]);
                let bytes = *kit.random.pick(&[0, 1, 8, 15, 16, 17, 512, 1024]);
                let flags = *kit.random.pick(&[0, 0, WRITE, WRITE, INDIRECT]);
                let last = index + 1 == pieces && kit.random.below(8) > 0;
                let next = if last { 0 } else { NEXT };
                disk.ring.descriptor(index, address, bytes, flags | next, (index + 1) % pieces);
            }
            disk.ring.offer(0, RING_SIZE);
            disk.slot.kick(0);
            for _ in 0..4 {
                disk.slot.status();
            }
            if disk.slot.status() & NEEDS_RESET != 0 || is_emulated() {
                disk.again();
            }
        }
        disk.is_well();
    }
}

fn kinds(kit: &mut Kit) {
    for mut disk in disks(kit) {
        for _ in 0..60 {
            let kind = kit.random.word();
            if [READ, SET, FLUSH, IDENTIFY, DISCARD, ZEROES].contains(&kind) {
                continue;
            }
            let data = disk.data();
            let flags = *kit.random.pick(&[0, WRITE]);
            assert!(disk.ask(kind, 0, Some((data, 512, flags))) != 0, "{kind} was done");
        }
        for room in [0, 1, 19] {
            let data = disk.data();
            assert!(disk.ask(IDENTIFY, 0, Some((data, room, WRITE))) != 0, "a name in {room}");
        }
        disk.is_well();
    }
}

/// The ring full of requests, kicked and taken back again.
fn flood(kit: &mut Kit) {
    for mut disk in disks(kit) {
        for _ in 0..6 {
            let (at, data) = (disk.memory.address(), disk.data());
            disk.header(*kit.random.pick(&[READ, FLUSH]), kit.random.below(disk.sectors));
            disk.ring.descriptor(0, at, 16, NEXT, 1);
            disk.ring.descriptor(1, data, 16 * 512, NEXT | WRITE, 2);
            disk.ring.descriptor(2, at + STATUS as u64, 1, WRITE, 0);
            for _ in 0..RING_SIZE {
                disk.ring.offer(0, RING_SIZE);
                disk.slot.kick(0);
            }
            if kit.random.below(2) == 0 {
                disk.ring.await_one();
            }
            disk.again();
        }
        disk.is_well();
    }
}

/// Header, data, descriptors and indices change while the request is carried out.
fn rewrite(kit: &mut Kit) {
    for mut disk in disks(kit) {
        for _ in 0..12 {
            let data = disk.data();
            let flags = *kit.random.pick(&[0, WRITE]);
            let kind = if flags == 0 { SET } else { READ };
            disk.post(kind, kit.random.below(disk.sectors), Some((data, 16 * 512, flags)));
            for _ in 0..400 {
                let word = kit.random.word();
                match kit.random.below(3) {
                    0 => disk.memory.put32(kit.random.below(4) as usize * 4, word),
                    1 => disk.ring.memory.put32(kit.random.below(12) as usize * 4, word),
                    _ => disk.memory.put32(DATA + kit.random.below(2048) as usize * 4, word),
                }
            }
            disk.again();
        }
        disk.is_well();
    }
}

fn config(kit: &mut Kit) {
    for mut disk in disks(kit) {
        let sectors = disk.sectors;
        for offset in 0..32 {
            disk.slot.write(0x100 + offset * 4, kit.random.word());
        }
        disk.again();
        assert!(disk.sectors == sectors, "a disk changed its size");
        disk.is_well();
    }
}
