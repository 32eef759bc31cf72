//! Attacks by registers: every offset and width, features that were never offered, status in any
//! order, notifications without end.

use super::Scenario;
use super::kit::{GPU, INPUT, Kit, RNG};
use tabard_bare::machine::raw::{Memory, RING_SIZE, Ring, WRITE, peek, poke};

pub const SCENARIOS: &[Scenario] = &[
    ("registers-random", random),
    ("config-writes", config_writes),
    ("features-never-offered", features),
    ("status-orders", status_orders),
    ("notify-flood", notify_flood),
    ("rng-requests", rng_requests),
];

const WIDTHS: [usize; 4] = [1, 2, 4, 8];

fn random(kit: &mut Kit) {
    kit.machine.abandon_devices();
    let slots = kit.slots();
    for _ in 0..2500 {
        let slot = *kit.random.pick(&slots);
        let at = slot.base + kit.random.below(0x200) as usize;
        let width = *kit.random.pick(&WIDTHS);
        if kit.random.below(2) == 0 {
            peek(at, width);
        } else {
            let value = u64::from(kit.random.word()) << 32 | u64::from(kit.random.word());
            poke(at, width, value);
        }
    }
}

fn config_writes(kit: &mut Kit) {
    kit.machine.abandon_devices();
    for slot in kit.slots() {
        for width in WIDTHS {
            for offset in (0..0x100).step_by(7) {
                poke(slot.base + 0x100 + offset, width, kit.random.next());
            }
        }
    }
}

fn features(kit: &mut Kit) {
    for kind in [GPU, INPUT, RNG] {
        let slot = kit.take(kind);
        for _ in 0..20 {
            slot.reset();
            slot.write(0x70, 3);
            for page in [0, 1, 2, u32::MAX] {
                slot.write(0x24, page);
                slot.write(0x20, kit.random.word() | kit.random.word());
            }
            slot.write(0x70, 11);
            slot.write(0x70, 15);
            slot.kick(0);
            slot.status();
        }
    }
}

fn status_orders(kit: &mut Kit) {
    for kind in [GPU, INPUT, RNG] {
        let slot = kit.take(kind);
        let mut ring = Ring::new();
        for _ in 0..40 {
            slot.write(0x70, kit.random.word());
            ring.attach(slot, kit.random.below(3) as u32);
            ring.offer(0, RING_SIZE);
            slot.write(0x70, kit.random.below(256) as u32);
            slot.kick(kit.random.below(3) as u32);
        }
        slot.reset();
    }
}

fn notify_flood(kit: &mut Kit) {
    kit.machine.abandon_devices();
    let slots = kit.slots();
    for _ in 0..4000 {
        let slot = *kit.random.pick(&slots);
        let queue = if kit.random.below(4) == 0 { kit.random.word() } else { 0 };
        slot.kick(queue);
    }
}

/// Entropy by the mebibyte, into memory that is not there, and into none.
fn rng_requests(kit: &mut Kit) {
    let slot = kit.take(RNG);
    let memory = Memory::new(1 << 20);
    for _ in 0..60 {
        let mut ring = Ring::new();
        slot.begin();
        ring.attach(slot, 0);
        slot.finish();
        let bytes = *kit.random.pick(&[0, 1, 4096, 1 << 20, u32::MAX]);
        let flags = *kit.random.pick(&[WRITE, WRITE, 0]);
        ring.descriptor(0, memory.address(), bytes, flags, 0);
        for _ in 0..8 {
            ring.offer(0, RING_SIZE);
        }
        slot.kick(0);
        slot.status();
    }
    slot.reset();
}
