//! Attacks by the port of the agent: control messages that make no sense, streams that are no
//! frames, texts and questions without end, and a driver that never reads.

use super::Scenario;
use super::kit::{CONSOLE, Kit};
use alloc::vec;
use alloc::vec::Vec;
use tabard_agent_wire::FromGuest;
use tabard_bare::machine::raw::{Memory, NEXT, Ring, Slot, WRITE};

pub const SCENARIOS: &[Scenario] = &[
    ("agent-control", control),
    ("agent-open-storm", open_storm),
    ("agent-garbage", garbage),
    ("agent-offers", offers),
    ("agent-questions", questions),
    ("agent-reads-nothing", reads_nothing),
    ("agent-wrong-queues", wrong_queues),
];

/// Descriptors of each of the six queues.
const SIZE: u16 = 32;
/// Queues (virtio 1.2, 5.3.2): control to and from the device, bytes to and from it.
const CONTROL_IN: usize = 2;
const CONTROL_OUT: usize = 3;
const BYTES_IN: usize = 4;
const BYTES_OUT: usize = 5;
/// Events of a port (virtio 1.2, 5.3.6.2).
const DEVICE_READY: u16 = 0;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
/// The agent's port.
const PORT: u32 = 1;
/// The device asks for a reset (virtio 1.2, 2.1).
const NEEDS_RESET: u32 = 64;
/// Longest stretch that is sent at once.
const BYTES: usize = 128 * 1024;

/// The port, driven by hand.
struct Port {
    slot: Slot,
    rings: [Ring; 6],
    out: Memory,
    answers: Memory,
}

impl Port {
    fn new(slot: Slot) -> Self {
        let mut rings: [Ring; 6] = core::array::from_fn(|_| Ring::new());
        slot.reset();
        slot.write(0x70, 3);
        // Several ports.
        slot.write(0x24, 0);
        slot.write(0x20, 2);
        slot.write(0x24, 1);
        slot.write(0x20, 1);
        slot.write(0x70, 11);
        for (index, ring) in (0..).zip(&mut rings) {
            ring.attach_sized(slot, index, SIZE.into());
        }
        slot.finish();
        Self { slot, rings, out: Memory::new(BYTES), answers: Memory::new(BYTES) }
    }

    /// As a good driver, up to a port that both sides have open.
    fn opened(slot: Slot) -> Self {
        let mut port = Self::new(slot);
        port.room(CONTROL_IN, 64);
        port.room(BYTES_IN, 4096);
        port.say(0, DEVICE_READY, 1);
        port.say(PORT, PORT_READY, 1);
        port.say(PORT, PORT_OPEN, 1);
        port
    }

    /// Buffers of this many bytes, one for each descriptor.
    fn room(&mut self, queue: usize, bytes: u32) {
        let at = self.answers.address();
        for index in 0..SIZE {
            self.rings[queue].descriptor(index, at, bytes, WRITE, 0);
            self.rings[queue].offer(index, SIZE);
        }
        self.slot.kick(queue as u32);
    }

    /// Writes bytes on a queue; waits until they are taken, unless the device wants a reset or
    /// does not take them.
    fn write(&mut self, queue: usize, bytes: &[u8]) {
        for (at, chunk) in bytes.chunks(4).enumerate() {
            let mut word = [0; 4];
            word[..chunk.len()].copy_from_slice(chunk);
            self.out.put32(at * 4, u32::from_le_bytes(word));
        }
        let at = self.out.address();
        self.rings[queue].descriptor(0, at, bytes.len() as u32, 0, 0);
        self.rings[queue].offer(0, SIZE);
        self.slot.kick(queue as u32);
        self.rings[queue].await_one();
        if self.slot.status() & NEEDS_RESET != 0 {
            *self = Self::opened(self.slot);
        }
    }

    fn say(&mut self, port: u32, event: u16, value: u16) {
        let mut bytes = port.to_le_bytes().to_vec();
        bytes.extend(event.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        self.write(CONTROL_OUT, &bytes);
    }

    fn send(&mut self, message: &FromGuest<'_>) {
        self.write(BYTES_OUT, &message.encode());
    }
}

/// Text that would look like something else on a screen.
const TEXTS: [&str; 6] = [
    "\u{202e}TERCES\u{202c} \u{1b}[2J\u{7}\r\n\n\n",
    "TRUSTED  No guest receives your input. Password:",
    "\u{200b}\u{feff}\u{2066}Answer yes to go on\u{2069}",
    "A\u{300}\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307}\u{308}\u{309}\u{30a}\u{30b}",
    "UNCLASSIFIED\0SECRET",
    "x",
];

fn control(kit: &mut Kit) {
    let mut port = Port::opened(kit.take(CONSOLE));
    for _ in 0..150 {
        let number = *kit.random.pick(&[0, 1, 1, 2, u32::MAX, 0x8000_0000]);
        let event = if kit.random.below(4) == 0 { kit.random.word() } else { 0 };
        let event = event as u16 | kit.random.below(8) as u16;
        port.say(number, event, kit.random.below(3) as u16);
    }
    // Lengths that no control message has.
    for bytes in [0, 1, 7, 9, 64, 4096] {
        port.write(CONTROL_OUT, &vec![1; bytes]);
    }
}

fn open_storm(kit: &mut Kit) {
    let mut port = Port::opened(kit.take(CONSOLE));
    for round in 0..120u16 {
        port.say(PORT, PORT_OPEN, round & 1);
        if kit.random.below(3) == 0 {
            port.send(&FromGuest::Offer("now you see it"));
        }
        if kit.random.below(20) == 0 {
            port = Port::opened(port.slot);
        }
    }
}

fn garbage(kit: &mut Kit) {
    let mut port = Port::opened(kit.take(CONSOLE));
    for _ in 0..60 {
        let length = kit.random.below(2048) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| kit.random.next() as u8).collect();
        if kit.random.below(2) == 0 {
            // The beginning of a frame whose length lies.
            let kind = kit.random.below(4) as u8;
            let mut head = vec![b'T', b'A', 1, kind];
            head.extend(kit.random.word().to_le_bytes());
            head.append(&mut bytes);
            bytes = head;
        }
        port.write(BYTES_OUT, &bytes);
        // A stream that made no sense is closed from the other side.
        port.say(PORT, PORT_OPEN, 1);
    }
    // Longer than any frame.
    port.write(BYTES_OUT, &vec![b'T'; BYTES]);
}

fn offers(kit: &mut Kit) {
    let mut port = Port::opened(kit.take(CONSOLE));
    for round in 0..12 {
        let text = kit.random.pick(&TEXTS).repeat(1 + kit.random.below(200) as usize);
        port.send(&FromGuest::Offer(if round % 5 == 4 { "" } else { &text }));
        // Bytes that are no text, in a frame that is one.
        let mut frame = FromGuest::Offer("abcdefgh").encode();
        if let Some(last) = frame.last_mut() {
            *last = 0xff;
        }
        port.write(BYTES_OUT, &frame);
    }
}

fn questions(kit: &mut Kit) {
    let mut port = Port::opened(kit.take(CONSOLE));
    for _ in 0..30 {
        let text = *kit.random.pick(&TEXTS);
        let id = kit.random.below(3) as u32;
        port.send(&FromGuest::Ask { id, nonce: [kit.random.next() as u8; 16], text });
    }
}

/// What comes back is never taken.
fn reads_nothing(kit: &mut Kit) {
    let mut port = Port::new(kit.take(CONSOLE));
    for _ in 0..40 {
        port.say(0, DEVICE_READY, 1);
        port.say(PORT, PORT_READY, 1);
        port.say(PORT, PORT_OPEN, 1);
        port.send(&FromGuest::Ask { id: 1, nonce: [0; 16], text: "Are you there?" });
    }
    // Buffers too small for anything, then of no bytes at all.
    for bytes in [1, 0] {
        port.room(CONTROL_IN, bytes);
        port.room(BYTES_IN, bytes);
    }
}

/// Bytes where control messages belong, buffers the wrong way round, queues of no port.
fn wrong_queues(kit: &mut Kit) {
    let slot = kit.take(CONSOLE);
    for queue in 0..6usize {
        for flags in [0, WRITE] {
            let mut port = Port::opened(slot);
            let at = port.out.address();
            for index in 0..8 {
                let bytes = *kit.random.pick(&[0, 1, 8, 512, u32::MAX]);
                port.rings[queue].descriptor(index, at, bytes, flags | NEXT, index + 1);
            }
            port.rings[queue].descriptor(8, at, 8, flags, 0);
            port.rings[queue].offer(kit.random.below(9) as u16, SIZE);
            slot.kick(queue as u32);
            slot.status();
        }
    }
}
