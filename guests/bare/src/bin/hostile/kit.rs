//! What every attack needs: seeded randomness, the devices, and a display driven by hand.

use alloc::format;
use alloc::vec::Vec;
use tabard_bare::machine::raw::{Memory, NEXT, RING_SIZE, Ring, Slot, WRITE};
use tabard_bare::machine::{Machine, serial};
use tabard_bare::screen::Screen;

/// Virtio device types (virtio 1.2, chapter 5).
pub const BLOCK: u32 = 2;
/// The agent's port.
pub const CONSOLE: u32 = 3;
/// Random numbers.
pub const RNG: u32 = 4;
/// Display.
pub const GPU: u32 = 16;
/// Keyboard or pointer.
pub const INPUT: u32 = 18;

/// Descriptors of the cursor's queue.
pub const CURSOR_RING: u16 = 16;

/// Most words of a command that is sent as a whole.
const COMMAND_WORDS: usize = 16 * 1024;
/// Room for an answer: an EDID and more.
const ANSWER_BYTES: usize = 4096;

/// `VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM`.
pub const FORMAT: u32 = 2;

/// Numbers from a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `end`; 0 if that is 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11).checked_rem(end).unwrap_or(0)
    }

    /// 32 bits: any, or one of those that programs get wrong.
    pub fn word(&mut self) -> u32 {
        const ODD: [u32; 12] = [
            0,
            1,
            2,
            0x7fff,
            0x8000,
            0xffff,
            0x10000,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_fffe,
            0xffff_ffff,
            0x4000_0001,
        ];
        match self.below(3) {
            0 => self.next() as u32,
            1 => self.below(4096) as u32,
            _ => *self.pick(&ODD),
        }
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len() as u64) as usize]
    }
}

/// The guest.
pub struct Kit {
    /// Its machine.
    pub machine: Machine,
    /// Its screen, as a well-behaved guest has it; not to be used after a device is taken.
    pub screen: Screen,
    /// The randomness of this run.
    pub random: Random,
    name: &'static str,
    seed: u64,
    scenarios: usize,
}

impl Kit {
    /// A guest that is about to attack.
    pub fn new(
        machine: Machine,
        screen: Screen,
        name: &'static str,
        seed: u64,
        scenarios: usize,
    ) -> Self {
        let mixed = (seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1;
        Self { machine, screen, random: Random(mixed), name, seed, scenarios }
    }

    /// Says that the attack has been carried out.
    pub fn done(&self) {
        let (name, seed, count) = (self.name, self.seed, self.scenarios);
        serial::line(&format!("{{\"done\":\"{name}\",\"seed\":{seed},\"scenarios\":{count}}}"));
    }

    /// Every device that the machine announces.
    pub fn slots(&self) -> Vec<Slot> {
        self.machine.options.devices().iter().map(|&(base, _)| Slot { base }).collect()
    }

    /// Whether there is a device of a type.
    pub fn has(&self, kind: u32) -> bool {
        self.slots().into_iter().any(|slot| slot.kind() == kind)
    }

    /// The first device of a type, taken from the driver that had it.
    pub fn take(&mut self, kind: u32) -> Slot {
        self.machine.abandon_devices();
        let found = self.slots().into_iter().find(|slot| slot.kind() == kind);
        found.expect("the machine has the device")
    }

    /// The display, driven by hand.
    pub fn gpu(&mut self) -> Gpu {
        Gpu::new(self.take(GPU))
    }
}

/// The display (virtio 1.2, 5.7), without any care.
pub struct Gpu {
    /// Its registers.
    pub slot: Slot,
    /// The control queue.
    pub control: Ring,
    /// The cursor's queue.
    pub cursor: Ring,
    /// Where commands are written.
    pub command: Memory,
    /// Where answers come.
    pub answer: Memory,
}

impl Gpu {
    /// Resets the display and sets its queues up.
    pub fn new(slot: Slot) -> Self {
        let (mut control, mut cursor) = (Ring::new(), Ring::new());
        slot.begin();
        control.attach(slot, 0);
        cursor.attach_sized(slot, 1, CURSOR_RING.into());
        slot.finish();
        let command = Memory::new(COMMAND_WORDS * 4);
        let answer = Memory::new(ANSWER_BYTES);
        Self { slot, control, cursor, command, answer }
    }

    /// Sends a command: its kind, then the words behind the header. The code of the answer, 0 if
    /// none came.
    pub fn send(&mut self, kind: u32, body: &[u32]) -> u32 {
        self.write(0, kind, body);
        self.post(0, (24 + body.len() * 4) as u32, ANSWER_BYTES as u32);
        self.collect()
    }

    /// Writes a command to a place in the memory for commands.
    pub fn write(&mut self, at: usize, kind: u32, body: &[u32]) {
        self.command.put_words(at, &[kind, 0, 0, 0, 0, 0]);
        self.command.put_words(at + 24, body);
    }

    /// Makes the command at `at` available and kicks the device, without waiting.
    pub fn post(&mut self, at: usize, bytes: u32, room: u32) {
        let command = self.command.address() + at as u64;
        self.control.descriptor(0, command, bytes, NEXT, 1);
        self.control.descriptor(1, self.answer.address(), room, WRITE, 0);
        self.control.offer(0, RING_SIZE);
        self.answer.put32(0, 0);
        self.slot.kick(0);
    }

    /// Waits for the answer to what was posted.
    pub fn collect(&mut self) -> u32 {
        if self.control.await_one() { self.answer.get32(0) } else { 0 }
    }

    /// Sends a command on the cursor's queue.
    pub fn send_cursor(&mut self, kind: u32, body: &[u32]) {
        self.write(0, kind, body);
        let command = self.command.address();
        self.cursor.descriptor(0, command, (24 + body.len() * 4) as u32, 0, 0);
        self.cursor.offer(0, CURSOR_RING);
        self.slot.kick(1);
        self.cursor.await_one();
    }

    /// The size that the host wants.
    pub fn size(&mut self) -> (u32, u32) {
        self.send(0x100, &[]);
        let (width, height) = (self.answer.get32(32), self.answer.get32(36));
        (width.clamp(16, 4096), height.clamp(16, 4096))
    }

    /// Makes `resource` of this size with its pixels at `pixels` and shows it.
    pub fn show(&mut self, resource: u32, (width, height): (u32, u32), pixels: u64) {
        self.send(0x101, &[resource, FORMAT, width, height]);
        let bytes = width.wrapping_mul(height).wrapping_mul(4);
        self.send(0x106, &[resource, 1, pixels as u32, (pixels >> 32) as u32, bytes, 0]);
        self.send(0x103, &[0, 0, width, height, 0, resource]);
        self.flush(resource, [0, 0, width, height]);
    }

    /// Transfers and flushes from the start of the resource.
    pub fn flush(&mut self, resource: u32, [x, y, width, height]: [u32; 4]) {
        self.send(0x105, &[x, y, width, height, 0, 0, resource, 0]);
        self.send(0x104, &[x, y, width, height, resource, 0]);
    }
}

/// Pixels in a colour of a label.
pub fn pixels(random: &mut Random, (width, height): (u32, u32)) -> Memory {
    const LABELS: [u32; 6] = [0x007a33, 0x502b85, 0x0033a0, 0xc8102e, 0xff8c00, 0xfce83a];
    let mut memory = Memory::new(width as usize * height as usize * 4);
    let color = *random.pick(&LABELS);
    for at in (0..memory.bytes()).step_by(4) {
        memory.put32(at, color);
    }
    memory
}
