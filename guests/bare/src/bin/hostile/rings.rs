//! Attacks by virtqueues: chains that loop, nest or wrap, indices out of range, rings that
//! change, overlap or lie outside of memory.

use super::Scenario;
use super::kit::{BLOCK, CONSOLE, GPU, INPUT, Kit, RNG};
use tabard_bare::machine::raw::{INDIRECT, Memory, NEXT, RING_SIZE, Ring, Slot, WRITE};

pub const SCENARIOS: &[Scenario] = &[
    ("descriptor-loop", descriptor_loop),
    ("indirect-nested", indirect_nested),
    ("indirect-lengths", indirect_lengths),
    ("lengths-that-wrap", lengths_that_wrap),
    ("next-out-of-range", next_out_of_range),
    ("available-out-of-range", available_out_of_range),
    ("queue-sizes", queue_sizes),
    ("ready-toggled", ready_toggled),
    ("reset-storm", reset_storm),
    ("rings-outside", rings_outside),
    ("rings-overlap", rings_overlap),
    ("rewrite-rings", rewrite_rings),
    ("random-requests", random_requests),
];

/// One queue of one device and memory for buffers.
struct Queue {
    slot: Slot,
    index: u32,
    ring: Ring,
    size: u16,
    memory: Memory,
}

impl Queue {
    fn new(slot: Slot, index: u32) -> Self {
        let mut ring = Ring::new();
        slot.begin();
        slot.write(0x30, index);
        let size = (slot.read(0x34) as u16).clamp(1, RING_SIZE);
        ring.attach_sized(slot, index, size.into());
        slot.finish();
        Self { slot, index, ring, size, memory: Memory::new(64 * 1024) }
    }

    fn kick(&mut self) {
        self.slot.kick(self.index);
    }

    fn offer(&mut self, head: u16) {
        self.ring.offer(head, self.size);
    }

    /// After an error the device wants a reset: it gets one, so that the next try counts.
    fn again(self) -> Self {
        // The device is reset: nothing reads the old rings from here on.
        Self::new(self.slot, self.index)
    }
}

/// Each queue of each kind of device, one after the other; what `attack` did is kicked, and the
/// device is reset.
fn on_all(kit: &mut Kit, rounds: u32, mut attack: impl FnMut(&mut Queue, &mut Kit)) {
    let queues = [(GPU, 0), (GPU, 1), (INPUT, 0), (INPUT, 1), (RNG, 0), (BLOCK, 0)];
    let ports = (2..6).map(|index| (CONSOLE, index));
    for (kind, index) in queues.into_iter().chain(ports) {
        // A desk may give no volume.
        if !kit.has(kind) {
            continue;
        }
        let mut queue = Queue::new(kit.take(kind), index);
        for _ in 0..rounds {
            attack(&mut queue, kit);
            queue.kick();
            // The device answers within this, or not at all: reading costs it a turn.
            for _ in 0..8 {
                queue.slot.status();
            }
            queue = queue.again();
        }
    }
}

fn descriptor_loop(kit: &mut Kit) {
    on_all(kit, 12, |queue, kit| {
        let at = queue.memory.address();
        let length = 1 + kit.random.below(u64::from(queue.size)) as u16;
        let flags = *kit.random.pick(&[0, WRITE]);
        for index in 0..length {
            queue.ring.descriptor(index, at, 16, NEXT | flags, (index + 1) % length);
        }
        queue.offer(0);
    });
}

fn indirect_nested(kit: &mut Kit) {
    on_all(kit, 12, |queue, kit| {
        let at = queue.memory.address();
        // A table whose entries are tables, the first of them itself.
        for entry in 0..16u64 {
            let place = (entry * 16) as usize;
            queue.memory.put64(place, at + kit.random.below(4) * 16);
            queue.memory.put32(place + 8, 256);
            queue.memory.put16(place + 12, INDIRECT | (entry as u16 & 1));
            queue.memory.put16(place + 14, kit.random.below(20) as u16);
        }
        queue.ring.descriptor(0, at, 256, INDIRECT, 0);
        queue.ring.descriptor(1, at, 256, INDIRECT | NEXT, 0);
        queue.offer(0);
        queue.offer(1);
    });
}

fn indirect_lengths(kit: &mut Kit) {
    on_all(kit, 12, |queue, kit| {
        let at = queue.memory.address() + kit.random.below(32);
        let bytes =
            *kit.random.pick(&[0, 1, 8, 15, 17, 0xfff0, 0x10_0000, u32::MAX, u32::MAX - 15]);
        queue.ring.descriptor(0, at, bytes, INDIRECT, 0);
        queue.offer(0);
    });
}

fn lengths_that_wrap(kit: &mut Kit) {
    on_all(kit, 16, |queue, kit| {
        for index in 0..3 {
            let address = *kit.random.pick(&[
                u64::MAX,
                u64::MAX - 8,
                u64::MAX - 4095,
                1 << 63,
                0x3ff_ffff,
                0xffff_fff8,
                0x1_0000_0000,
                0xfeb0_0000,
            ]);
            let bytes = kit.random.word();
            queue.ring.descriptor(index, address, bytes, NEXT | WRITE, index + 1);
        }
        queue.offer(0);
    });
}

fn next_out_of_range(kit: &mut Kit) {
    on_all(kit, 12, |queue, kit| {
        let at = queue.memory.address();
        let next = *kit.random.pick(&[queue.size, queue.size + 1, 0x7fff, 0x8000, 0xffff]);
        queue.ring.descriptor(0, at, 64, NEXT, next);
        queue.offer(0);
    });
}

fn available_out_of_range(kit: &mut Kit) {
    on_all(kit, 12, |queue, kit| {
        let at = queue.memory.address();
        queue.ring.descriptor(0, at, 64, WRITE, 0);
        match kit.random.below(3) {
            // A head that is no descriptor.
            0 => queue.offer(*kit.random.pick(&[queue.size, 0x100, 0x7fff, 0xffff])),
            // More chains than the ring holds.
            1 => queue.ring.set_index(kit.random.next() as u16),
            // Backwards.
            _ => {
                queue.offer(0);
                queue.kick();
                queue.ring.set_index(0xffff);
            }
        }
    });
}

fn queue_sizes(kit: &mut Kit) {
    for kind in [GPU, INPUT, RNG] {
        let slot = kit.take(kind);
        let mut ring = Ring::new();
        for size in [0, 1, 3, 7, 255, 257, 512, 0x8000, 0xffff, 0x10000, 0x10001, u32::MAX] {
            slot.begin();
            ring.attach_sized(slot, kit.random.below(4) as u32, size);
            slot.finish();
            ring.offer(0, RING_SIZE);
            slot.kick(kit.random.word());
            slot.kick(0);
        }
    }
}

fn ready_toggled(kit: &mut Kit) {
    on_all(kit, 8, |queue, kit| {
        let at = queue.memory.address();
        queue.ring.descriptor(0, at, 4096, WRITE, 0);
        for _ in 0..8 {
            queue.offer(0);
            queue.kick();
            queue.slot.write(0x30, queue.index);
            queue.slot.write(0x44, kit.random.below(3) as u32);
            queue.slot.write(0x80, kit.random.word());
            queue.slot.write(0x44, 1);
        }
    });
}

fn reset_storm(kit: &mut Kit) {
    on_all(kit, 4, |queue, _| {
        let at = queue.memory.address();
        queue.ring.descriptor(0, at, 4096, WRITE, 0);
        for _ in 0..16 {
            queue.offer(0);
            queue.kick();
            queue.slot.reset();
        }
    });
}

fn rings_outside(kit: &mut Kit) {
    let places = [0, 1, 0x3ff_fff0, 0x400_0000, 0xfeb0_0000, 0xffff_fff0, u64::MAX - 15, 1 << 63];
    for kind in [GPU, INPUT, RNG] {
        let slot = kit.take(kind);
        let ring = Ring::new();
        for _ in 0..16 {
            let here = ring.memory.address();
            let mut place = || {
                let odd = kit.random.below(16);
                {
                    let far = *kit.random.pick(&places);
                    *kit.random.pick(&[here, far, here + odd])
                }
            };
            let (descriptors, available, used) = (place(), place(), place());
            slot.begin();
            slot.queue(0, 16, descriptors, available, used);
            slot.finish();
            slot.kick(0);
            slot.status();
        }
    }
}

/// One page is descriptors, available and used ring at once.
fn rings_overlap(kit: &mut Kit) {
    for kind in [GPU, INPUT, RNG] {
        let slot = kit.take(kind);
        for _ in 0..8 {
            let mut memory = Memory::new(8192);
            let at = memory.address();
            for place in (0..8192).step_by(4) {
                memory.put32(place, kit.random.word());
            }
            slot.begin();
            let (available, used) = (kit.random.below(128) * 2, kit.random.below(64) * 4);
            slot.queue(0, 256, at, at + available, at + used);
            slot.finish();
            slot.kick(0);
            for place in (0..8192).step_by(4) {
                memory.put32(place, kit.random.word());
            }
            slot.kick(0);
            slot.reset();
        }
    }
}

fn rewrite_rings(kit: &mut Kit) {
    on_all(kit, 8, |queue, kit| {
        let at = queue.memory.address();
        queue.ring.descriptor(0, at, 4096, WRITE, 0);
        for _ in 0..40 {
            queue.offer(0);
        }
        queue.kick();
        for _ in 0..2000 {
            let place = kit.random.below(0x2800) as usize & !3;
            queue.ring.memory.put32(place, kit.random.word());
        }
    });
}

/// Chains of any shape over buffers of any content.
fn random_requests(kit: &mut Kit) {
    on_all(kit, 16, |queue, kit| {
        let at = queue.memory.address();
        for place in (0..512).step_by(4) {
            queue.memory.put32(place, kit.random.word());
        }
        for index in 0..queue.size.min(16) {
            let address = match kit.random.below(5) {
                0 => kit.random.next() >> kit.random.below(64),
                _ => at + kit.random.below(4096),
            };
            let flags = kit.random.below(8) as u16;
            let next = kit.random.below(18) as u16;
            queue.ring.descriptor(index, address, kit.random.word() & 0x1ffff, flags, next);
        }
        for _ in 0..8 {
            queue.offer(kit.random.below(16) as u16);
        }
    });
}
