//! Attacks by keyboard and pointer: writes of LEDs, rumble and repeat to the status queue, queues
//! that are never drained or have no room, every selection of the configuration.

use super::Scenario;
use super::kit::{INPUT, Kit};
use tabard_bare::machine::raw::{Memory, RING_SIZE, Ring, Slot, WRITE};

pub const SCENARIOS: &[Scenario] = &[
    ("led-storm", led_storm),
    ("status-garbage", status_garbage),
    ("input-no-buffers", no_buffers),
    ("input-short-buffers", short_buffers),
    ("input-wrong-direction", wrong_direction),
    ("input-never-drained", never_drained),
    ("input-config", config),
    ("input-reset-storm", reset_storm),
];

struct Keyboard {
    slot: Slot,
    events: Ring,
    status: Ring,
    memory: Memory,
    size: u16,
}

impl Keyboard {
    fn new(kit: &mut Kit) -> Self {
        Self::of(kit.take(INPUT))
    }

    fn of(slot: Slot) -> Self {
        let (mut events, mut status) = (Ring::new(), Ring::new());
        slot.begin();
        slot.write(0x30, 0);
        let size = (slot.read(0x34) as u16).clamp(1, RING_SIZE);
        events.attach_sized(slot, 0, size.into());
        slot.write(0x30, 1);
        let most = slot.read(0x34).clamp(1, RING_SIZE.into());
        status.attach_sized(slot, 1, most.min(size.into()));
        slot.finish();
        Self { slot, events, status, memory: Memory::new(64 * 1024), size }
    }

    /// Sends bytes that lie at the start of the memory, as one descriptor.
    fn send(&mut self, bytes: u32, flags: u16) {
        self.status.descriptor(0, self.memory.address(), bytes, flags, 0);
        self.status.offer(0, self.size);
        self.slot.kick(1);
        self.status.await_one();
    }
}

/// `EV_LED`, `EV_SND`, `EV_REP`, `EV_FF` and everything else, in and out of range.
fn led_storm(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for round in 0..300u32 {
        let kind = *kit.random.pick(&[0x11, 0x12, 0x14, 0x15, 0x16, 0x17, 1, 3, 0, 0xffff]);
        let code = if round % 2 == 0 { round % 16 } else { kit.random.word() & 0xffff };
        keyboard.memory.put32(0, kind | code << 16);
        keyboard.memory.put32(4, if round % 3 == 0 { kit.random.word() } else { round & 1 });
        keyboard.send(8, 0);
    }
}

fn status_garbage(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for _ in 0..50 {
        for at in (0..256).step_by(4) {
            keyboard.memory.put32(at, kit.random.word());
        }
        let bytes = *kit.random.pick(&[0, 1, 7, 9, 16, 4096, 65536]);
        let flags = *kit.random.pick(&[0, WRITE]);
        keyboard.send(bytes, flags);
        if keyboard.slot.status() & 0x40 != 0 {
            keyboard = Keyboard::of(keyboard.slot);
        }
    }
}

/// The driver is ready and offers nothing: what is typed has nowhere to go.
fn no_buffers(kit: &mut Kit) {
    let keyboard = Keyboard::new(kit);
    keyboard.slot.kick(0);
}

fn short_buffers(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for index in 0..keyboard.size {
        let bytes = kit.random.below(9) as u32;
        keyboard.events.descriptor(index, keyboard.memory.address(), bytes, WRITE, 0);
        keyboard.events.offer(index, keyboard.size);
    }
    keyboard.slot.kick(0);
    core::mem::forget(keyboard);
}

fn wrong_direction(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for index in 0..keyboard.size {
        keyboard.events.descriptor(index, keyboard.memory.address(), 8, 0, 0);
        keyboard.events.offer(index, keyboard.size);
    }
    keyboard.slot.kick(0);
    core::mem::forget(keyboard);
}

/// Buffers once, and never again.
fn never_drained(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for index in 0..keyboard.size {
        let at = keyboard.memory.address() + u64::from(index) * 8;
        keyboard.events.descriptor(index, at, 8, WRITE, 0);
        keyboard.events.offer(index, keyboard.size);
    }
    keyboard.slot.kick(0);
    core::mem::forget(keyboard);
}

fn config(kit: &mut Kit) {
    let slot = kit.take(INPUT);
    for _ in 0..400 {
        let (select, which) = (kit.random.next(), kit.random.next());
        tabard_bare::machine::raw::poke(slot.base + 0x100, 1, select);
        tabard_bare::machine::raw::poke(slot.base + 0x101, 1, which);
        let at = slot.base + 0x100 + kit.random.below(0x100) as usize;
        let width = *kit.random.pick(&[1, 2, 4, 8]);
        tabard_bare::machine::raw::peek(at, width);
    }
}

fn reset_storm(kit: &mut Kit) {
    let mut keyboard = Keyboard::new(kit);
    for _ in 0..60 {
        for index in 0..4 {
            let at = keyboard.memory.address() + u64::from(index) * 8;
            keyboard.events.descriptor(index, at, 8, WRITE, 0);
            keyboard.events.offer(index, keyboard.size);
        }
        keyboard.slot.kick(0);
        keyboard = Keyboard::of(keyboard.slot);
    }
}
