//! The machine without any driver's manners, for hostile guests: registers of every width, rings
//! written by hand, ports and model-specific registers.

use super::memory::Pages;
use super::{interrupts, serial};
use core::arch::asm;
use core::ptr::{read_volatile, write_volatile};

/// Below this address is RAM, which `Memory` is for; from here on are devices or nothing.
pub const DEVICE_HOLE: usize = 0xc000_0000;

/// Descriptor flags (virtio 1.2, 2.7.5).
pub const NEXT: u16 = 1;
/// The device writes.
pub const WRITE: u16 = 2;
/// The buffer is a table of descriptors.
pub const INDIRECT: u16 = 4;

/// Descriptors of the largest ring that is made here.
pub const RING_SIZE: u16 = 256;

/// Rounds of asking for an answer before sleeping.
const SPIN_ROUNDS: u32 = 3_000;
/// Naps before an answer counts as none, and their length in ticks of the local APIC's timer:
/// nanoseconds under KVM.
const NAPS: u32 = 60;
const NAP_TICKS: u32 = 500_000;

/// Reads `width` bytes (1, 2, 4 or 8) from the hole for devices; 0 for another width or address.
pub fn peek(address: usize, width: usize) -> u64 {
    if address < DEVICE_HOLE || address > u32::MAX as usize - 8 {
        return 0;
    }
    // The identity map covers the hole, and nothing of this program is in it.
    match width {
        // SAFETY: as above.
        1 => u64::from(unsafe { read_volatile(address as *const u8) }),
        // SAFETY: as above; unaligned accesses are what the caller is after.
        2 => u64::from(unsafe { read16(address) }),
        // SAFETY: as above.
        4 => u64::from(unsafe { read32(address) }),
        // SAFETY: as above.
        8 => unsafe { read64(address) },
        _ => 0,
    }
}

/// Writes the lowest `width` bytes (1, 2, 4 or 8) of `value` to the hole for devices.
pub fn poke(address: usize, width: usize, value: u64) {
    if address < DEVICE_HOLE || address > u32::MAX as usize - 8 {
        return;
    }
    // The identity map covers the hole, and nothing of this program is in it.
    match width {
        // SAFETY: as above.
        1 => unsafe {
            asm!("mov [{0}], {1:l}", in(reg) address, in(reg_abcd) value, options(nostack));
        },
        // SAFETY: as above.
        2 => unsafe {
            asm!("mov [{0}], {1:x}", in(reg) address, in(reg) value, options(nostack));
        },
        // SAFETY: as above.
        4 => unsafe {
            asm!("mov [{0}], {1:e}", in(reg) address, in(reg) value, options(nostack));
        },
        // SAFETY: as above.
        8 => unsafe { asm!("mov [{0}], {1}", in(reg) address, in(reg) value, options(nostack)) },
        _ => {}
    }
}

/// # Safety
/// The address is mapped.
unsafe fn read16(address: usize) -> u16 {
    let value: u16;
    // SAFETY: the caller vouches for the address.
    unsafe { asm!("mov {0:x}, [{1}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// # Safety
/// The address is mapped.
unsafe fn read32(address: usize) -> u32 {
    let value: u32;
    // SAFETY: the caller vouches for the address.
    unsafe { asm!("mov {0:e}, [{1}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// # Safety
/// The address is mapped.
unsafe fn read64(address: usize) -> u64 {
    let value: u64;
    // SAFETY: the caller vouches for the address.
    unsafe { asm!("mov {0}, [{1}]", out(reg) value, in(reg) address, options(nostack)) };
    value
}

/// Reads a byte from a port.
pub fn port_in8(port: u16) -> u8 {
    let value: u8;
    // SAFETY: raises #GP at CPL 3; the handler in `boot` does it and steps over it.
    unsafe { asm!("in al, dx", out("al") value, in("dx") port, options(nostack)) };
    value
}

/// Reads four bytes from a port.
pub fn port_in32(port: u16) -> u32 {
    let value: u32;
    // SAFETY: as in `port_in8`.
    unsafe { asm!("in eax, dx", out("eax") value, in("dx") port, options(nostack)) };
    value
}

/// Writes a byte to a port.
pub fn port_out8(port: u16, value: u8) {
    // SAFETY: as in `port_in8`; no device of this machine reads memory by itself for a port.
    unsafe { asm!("out dx, al", in("al") value, in("dx") port, options(nostack)) };
}

/// Writes four bytes to a port.
pub fn port_out32(port: u16, value: u32) {
    // SAFETY: as in `port_out8`.
    unsafe { asm!("out dx, eax", in("eax") value, in("dx") port, options(nostack)) };
}

/// VMware's way in: the magic number in EAX, a command in ECX, an answer in EBX.
pub fn backdoor(port: u16, magic: u32, command: u32) -> (u32, u32) {
    let (eax, ebx): (u32, u64);
    // SAFETY: as in `port_in8`; RBX is put back.
    unsafe {
        asm!(
            "xchg {saved}, rbx",
            "in eax, dx",
            "xchg {saved}, rbx",
            saved = inout(reg) 0u64 => ebx,
            inout("eax") magic => eax,
            in("ecx") command,
            in("dx") port,
            options(nostack)
        );
    }
    (eax, ebx as u32)
}

/// Reads a model-specific register; all ones if it is not there.
pub fn read_msr(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: raises #GP at CPL 3; the handler in `boot` does it, and survives its fault.
    unsafe { asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high, options(nostack)) };
    u64::from(high) << 32 | u64::from(low)
}

/// Writes a model-specific register other than 0; `false` if it cannot be written.
pub fn write_msr(index: u32, value: u64) -> bool {
    let (low, high) = (value as u32, (value >> 32) as u32);
    let left: u32;
    // SAFETY: as in `read_msr`. What the value does to this machine is its own loss.
    unsafe {
        asm!("wrmsr", inout("ecx") index => left, in("eax") low, in("edx") high, options(nostack))
    };
    left == index
}

/// EAX, EBX, ECX and EDX of a CPUID leaf, as CPL 0 sees them.
pub fn cpuid(leaf: u32, index: u32) -> [u32; 4] {
    let (eax, ebx, ecx, edx): (u32, u64, u32, u32);
    // SAFETY: `sti` raises #GP at CPL 3; the handler in `boot` asks for the leaf instead. RBX is
    // the compiler's and is put back.
    unsafe {
        asm!(
            "xchg {0}, rbx", "sti", "xchg {0}, rbx",
            inout(reg) 0u64 => ebx, inout("eax") leaf => eax, inout("ecx") index => ecx,
            out("edx") edx, options(nostack)
        )
    };
    [eax, ebx as u32, ecx, edx]
}

/// Ends the machine by a triple fault.
pub fn triple_fault() -> ! {
    // SAFETY: raises #GP at CPL 3; the handler in `boot` takes the machine down.
    unsafe { asm!("cli", options(noreturn)) };
}

/// Sleeps for ever; whatever interrupts come are taken and forgotten.
pub fn sleep() -> ! {
    loop {
        interrupts::wait();
    }
}

/// Spins for ever.
pub fn spin() -> ! {
    loop {
        core::hint::spin_loop();
    }
}

/// Prints bytes as they are.
pub fn print(bytes: &[u8]) {
    serial::bytes(bytes);
}

/// Memory that devices read and write while this program does.
pub struct Memory {
    pages: Pages,
}

impl Memory {
    /// So many bytes, zeroed, from a page boundary on.
    ///
    /// # Panics
    /// If memory is short: the guest says so and stops.
    pub fn new(bytes: usize) -> Self {
        Self { pages: Pages::new(bytes.div_ceil(4)).expect("memory is short") }
    }

    /// Physical address.
    pub fn address(&self) -> u64 {
        self.pages.address()
    }

    /// Length in bytes.
    pub fn bytes(&self) -> usize {
        self.pages.len() * 4
    }

    fn place(&self, at: usize, width: usize) -> *mut u8 {
        assert!(at.checked_add(width).is_some_and(|end| end <= self.bytes()), "outside");
        (self.address() as usize + at) as *mut u8
    }

    /// Writes two bytes.
    pub fn put16(&mut self, at: usize, value: u16) {
        let place = self.place(at, 2).cast();
        // SAFETY: inside the block, and every address given here is even.
        unsafe { write_volatile::<u16>(place, value) }
    }

    /// Writes four bytes.
    pub fn put32(&mut self, at: usize, value: u32) {
        let place = self.place(at, 4).cast();
        // SAFETY: inside the block, and every address given here is a multiple of four.
        unsafe { write_volatile::<u32>(place, value) }
    }

    /// Writes eight bytes.
    pub fn put64(&mut self, at: usize, value: u64) {
        self.put32(at, value as u32);
        self.put32(at + 4, (value >> 32) as u32);
    }

    /// Reads two bytes.
    pub fn get16(&self, at: usize) -> u16 {
        // SAFETY: inside the block, and every address given here is even.
        unsafe { read_volatile::<u16>(self.place(at, 2).cast()) }
    }

    /// Reads four bytes.
    pub fn get32(&self, at: usize) -> u32 {
        // SAFETY: inside the block, and every address given here is a multiple of four.
        unsafe { read_volatile::<u32>(self.place(at, 4).cast()) }
    }

    /// Writes words from `at` on.
    pub fn put_words(&mut self, at: usize, words: &[u32]) {
        for (index, word) in words.iter().enumerate() {
            self.put32(at + index * 4, *word);
        }
    }
}

/// A virtio-mmio device (virtio 1.2, 4.2.2) by its registers.
#[derive(Clone, Copy)]
pub struct Slot {
    /// Address of the first register.
    pub base: usize,
}

impl Slot {
    /// Reads a register.
    pub fn read(self, register: usize) -> u32 {
        peek(self.base + register, 4) as u32
    }

    /// Writes a register.
    pub fn write(self, register: usize, value: u32) {
        poke(self.base + register, 4, value.into());
    }

    /// Virtio device type.
    pub fn kind(self) -> u32 {
        self.read(0x08)
    }

    /// The status register.
    pub fn status(self) -> u32 {
        self.read(0x70)
    }

    /// Back to power-on state.
    pub fn reset(self) {
        self.write(0x70, 0);
    }

    /// From reset to features agreed: none but version 1.
    pub fn begin(self) {
        self.reset();
        self.write(0x70, 1);
        self.write(0x70, 3);
        self.write(0x24, 1);
        self.write(0x20, 1);
        self.write(0x70, 11);
    }

    /// Says where a queue is, and that it is ready.
    pub fn queue(self, index: u32, size: u32, descriptors: u64, available: u64, used: u64) {
        self.write(0x30, index);
        self.write(0x38, size);
        for (register, address) in [(0x80, descriptors), (0x90, available), (0xa0, used)] {
            self.write(register, address as u32);
            self.write(register + 4, (address >> 32) as u32);
        }
        self.write(0x44, 1);
    }

    /// Driver ready.
    pub fn finish(self) {
        self.write(0x70, 15);
    }

    /// Says that a queue has work.
    pub fn kick(self, queue: u32) {
        self.write(0x50, queue);
    }
}

/// A ring of [`RING_SIZE`] descriptors, written by hand: nothing is checked.
pub struct Ring {
    /// Descriptors from 0, available ring from 4096, used ring from 8192.
    pub memory: Memory,
    index: u16,
    seen: u16,
}

impl Ring {
    /// Where the available ring starts.
    pub const AVAILABLE: usize = 4096;
    /// Where the used ring starts.
    pub const USED: usize = 8192;

    /// An empty ring that wants no interrupts.
    pub fn new() -> Self {
        let mut memory = Memory::new(3 * 4096);
        memory.put16(Self::AVAILABLE, 1);
        Self { memory, index: 0, seen: 0 }
    }

    /// Makes it queue `queue` of a device.
    pub fn attach(&mut self, slot: Slot, queue: u32) {
        let at = self.memory.address();
        let (available, used) = (at + Self::AVAILABLE as u64, at + Self::USED as u64);
        slot.queue(queue, RING_SIZE.into(), at, available, used);
    }

    /// As [`Ring::attach`], of a queue with at most `size` descriptors, a power of two.
    pub fn attach_sized(&mut self, slot: Slot, queue: u32, size: u32) {
        let at = self.memory.address();
        let (available, used) = (at + Self::AVAILABLE as u64, at + Self::USED as u64);
        slot.queue(queue, size, at, available, used);
    }

    /// Writes a descriptor.
    pub fn descriptor(&mut self, index: u16, address: u64, bytes: u32, flags: u16, next: u16) {
        let at = usize::from(index % RING_SIZE) * 16;
        self.memory.put64(at, address);
        self.memory.put32(at + 8, bytes);
        self.memory.put16(at + 12, flags);
        self.memory.put16(at + 14, next);
    }

    /// Offers a chain, in a ring of `size` descriptors.
    pub fn offer(&mut self, head: u16, size: u16) {
        let at = Self::AVAILABLE + 4 + usize::from(self.index % size) * 2;
        self.memory.put16(at, head);
        self.index = self.index.wrapping_add(1);
        self.memory.put16(Self::AVAILABLE + 2, self.index);
    }

    /// Moves the index of the available ring to any place.
    pub fn set_index(&mut self, index: u16) {
        self.index = index;
        self.memory.put16(Self::AVAILABLE + 2, index);
    }

    /// How many chains came back since the last call.
    pub fn returned(&mut self) -> u16 {
        let used = self.memory.get16(Self::USED + 2);
        let new = used.wrapping_sub(self.seen);
        self.seen = used;
        new
    }

    /// Waits until a chain comes back; `false` if none does for long.
    pub fn await_one(&mut self) -> bool {
        let asked = (0..SPIN_ROUNDS).any(|_| {
            core::hint::spin_loop();
            self.returned() > 0
        });
        // Whoever serves the queue may need this very processor.
        asked
            || (0..NAPS).any(|_| {
                interrupts::nap(NAP_TICKS);
                self.returned() > 0
            })
    }
}

impl Default for Ring {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the processor is QEMU's emulated one, which says so (QEMU, `target/i386/cpu.c`).
pub fn is_emulated() -> bool {
    let [_, ebx, ecx, edx] = cpuid(0x4000_0000, 0);
    [ebx, ecx, edx] == [*b"TCGT", *b"CGTC", *b"GTCG"].map(u32::from_le_bytes)
}
