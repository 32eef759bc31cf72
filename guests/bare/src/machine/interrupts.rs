//! Interrupts: the IO-APICs' pins, the local APIC, and the one place that sleeps.
//!
//! Works for lines that pulse and for lines that stay up until the device is acknowledged: the
//! device is acknowledged first, the local APIC is told afterwards.

use core::arch::asm;
use core::cell::UnsafeCell;
use core::ptr::{read_volatile, write_volatile};
use core::sync::atomic::{AtomicU8, Ordering};

/// The second is where QEMU's microvm has it, with pins numbered on from the first one's.
const IO_APICS: [usize; 2] = [0xfec0_0000, 0xfec1_0000];
const IO_APIC_PINS: u32 = 24;
const LOCAL_APIC_ID: usize = 0xfee0_0020;
const LOCAL_APIC_TASK_PRIORITY: usize = 0xfee0_0080;
const LOCAL_APIC_EOI: usize = 0xfee0_00b0;
const LOCAL_APIC_SPURIOUS: usize = 0xfee0_00f0;
const LOCAL_APIC_TIMER: usize = 0xfee0_0320;
const LOCAL_APIC_TIMER_COUNT: usize = 0xfee0_0380;
const LOCAL_APIC_TIMER_DIVIDE: usize = 0xfee0_03e0;
const LOCAL_APIC_ENABLE: u32 = 0x100;

const FIRST_VECTOR: u32 = 32;
const SPURIOUS_VECTOR: u32 = 63;
const TIMER_VECTOR: u32 = 62;
/// Divide by one.
const TIMER_WHOLE: u32 = 0b1011;

/// Registers of a virtio-mmio device (virtio 1.2, 4.2.2).
const INTERRUPT_STATUS: usize = 0x60;
const INTERRUPT_ACK: usize = 0x64;
const STATUS_CONFIG: u32 = 2;

/// As many devices as QEMU's microvm has slots, and more than Tabard gives a guest.
const MAX_DEVICES: usize = 32;

/// A device that may interrupt.
#[derive(Clone, Copy)]
struct Source {
    base: usize,
    pin: u32,
    /// Whether its configuration may change: then the reason for the interrupt must be read.
    configurable: bool,
}

struct State {
    sources: [Option<Source>; MAX_DEVICES],
    config_changed: bool,
}

struct SingleThreaded(UnsafeCell<State>);

// SAFETY: the guest has one processor, and the interrupt handler does not touch this.
unsafe impl Sync for SingleThreaded {}

static STATE: SingleThreaded =
    SingleThreaded(UnsafeCell::new(State { sources: [None; MAX_DEVICES], config_changed: false }));

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    // SAFETY: the closures of this module never call `with` again.
    work(unsafe { &mut *STATE.0.get() })
}

fn read(address: usize) -> u32 {
    // SAFETY: only called with device registers, which the identity map covers.
    unsafe { read_volatile(address as *const u32) }
}

fn write(address: usize, value: u32) {
    // SAFETY: only called with device registers, which the identity map covers.
    unsafe { write_volatile(address as *mut u32, value) }
}

fn write_io_apic(base: usize, register: u32, value: u32) {
    write(base, register);
    write(base + 0x10, value);
}

/// The vector of a pin. Two pins, one of each IO-APIC, share one: whoever interrupts is asked.
fn vector(pin: u32) -> u32 {
    FIRST_VECTOR + pin % IO_APIC_PINS
}

/// Turns the local APIC on.
pub(super) fn init() {
    write(LOCAL_APIC_TASK_PRIORITY, 0);
    write(LOCAL_APIC_SPURIOUS, LOCAL_APIC_ENABLE | SPURIOUS_VECTOR);
}

/// Routes `pin` to this processor and remembers the device behind it.
pub(super) fn enable(base: usize, pin: u32, configurable: bool) {
    let Some(io_apic) = IO_APICS.get((pin / IO_APIC_PINS) as usize) else { return };
    with(|state| {
        if let Some(free) = state.sources.iter_mut().find(|source| source.is_none()) {
            *free = Some(Source { base, pin, configurable });
        }
    });
    let own = pin % IO_APIC_PINS;
    write_io_apic(*io_apic, 0x11 + 2 * own, read(LOCAL_APIC_ID) & 0xff00_0000);
    // Edge, active high: right for a pulse, and right for a level that falls when acknowledged.
    write_io_apic(*io_apic, 0x10 + 2 * own, vector(pin));
    // A line that rose before now gave no edge: lower it, its cause is found by polling.
    let pending = read(base + INTERRUPT_STATUS);
    write(base + INTERRUPT_ACK, pending);
}

/// Sleeps until a device interrupts, and acknowledges it.
pub(super) fn wait() {
    unsafe extern "C" {
        static last_vector: AtomicU8;
    }
    // SAFETY: `hlt` raises #GP at CPL 3; the handler in `boot` waits for one interrupt and steps
    // over it. The interrupt handler writes `last_vector` only.
    unsafe { asm!("hlt", options(nostack)) };
    // SAFETY: the byte is in the data section of the boot code for as long as the guest runs.
    let raised = u32::from(unsafe { last_vector.load(Ordering::Relaxed) });
    with(|state| {
        for source in state.sources.iter().flatten().filter(|source| vector(source.pin) == raised) {
            if source.configurable {
                let reason = read(source.base + INTERRUPT_STATUS);
                state.config_changed |= reason & STATUS_CONFIG != 0;
                write(source.base + INTERRUPT_ACK, reason);
            } else {
                // Reading the reason would cost another exit and tell nothing.
                write(source.base + INTERRUPT_ACK, 1);
            }
        }
    });
    if raised != SPURIOUS_VECTOR {
        write(LOCAL_APIC_EOI, 0);
    }
}

/// Sleeps until a device interrupts, or for so many ticks of the local APIC's timer.
pub(super) fn nap(ticks: u32) {
    write(LOCAL_APIC_TIMER_DIVIDE, TIMER_WHOLE);
    write(LOCAL_APIC_TIMER, TIMER_VECTOR);
    write(LOCAL_APIC_TIMER_COUNT, ticks);
    wait();
}

/// Whether a device's configuration changed since the last call.
pub(super) fn take_config_changed() -> bool {
    with(|state| core::mem::take(&mut state.config_changed))
}
