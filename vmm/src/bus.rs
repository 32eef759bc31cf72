//! Where a virtual processor's port and memory accesses go. What is not here does not answer:
//! reads are all ones, writes are dropped.

mod snapshot;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use vm_superio::Serial;
use vm_superio::serial::{NoEvents, SerialState};
use vmm_sys_util::eventfd::EventFd;

use crate::acpi::Announced;
use crate::devices::Trigger;
use crate::devices::transport::{SLOT_BYTES, STATUS, Slot};
use crate::ports::i8042::I8042;
use crate::ports::power::{Power, Request};
use crate::ports::rtc::Rtc;
use crate::serial_log::SerialLog;

/// Where the first virtio device's registers are.
pub const VIRTIO_BASE: u64 = 0xfeb0_0000;
/// Interrupt of the first virtio device: pins of the I/O APIC that no legacy device uses.
pub const VIRTIO_GSI: u32 = 16;

const COM1: u16 = 0x3f8;
const COM1_PORTS: u16 = 8;
/// Interrupt of the first serial port.
pub const COM1_GSI: u32 = 4;

/// Pins for the devices after the first eight: those of the old ISA bus that nothing here uses.
const MORE_GSIS: [u32; 6] = [5, 6, 7, 10, 11, 14];
#[cfg(test)]
/// Most virtio devices of a machine: as many as have a pin of the I/O APIC for themselves.
pub const MAX_DEVICES: usize = 14;

/// Interrupts of the keyboard controller's two ports.
pub const KEYBOARD_GSI: u32 = 1;
/// The second.
pub const MOUSE_GSI: u32 = 12;

/// An interrupt line: KVM pulses it when the descriptor is written.
#[derive(Debug)]
pub struct Line(pub EventFd);

impl Trigger for Line {
    fn trigger(&self) {
        // Not blocking; a full counter means that the interrupt is pending anyway.
        let _pending = self.0.write(1);
    }
}

impl vm_superio::Trigger for Line {
    type E = std::io::Error;

    fn trigger(&self) -> Result<(), Self::E> {
        self.0.write(1)
    }
}

/// Interrupt of the virtio device in this slot; `None` if there are no more.
#[must_use]
pub fn virtio_gsi(slot: usize) -> Option<u32> {
    match slot.checked_sub(8) {
        None => u32::try_from(slot).ok()?.checked_add(VIRTIO_GSI),
        Some(more) => MORE_GSIS.get(more).copied(),
    }
}

/// Address of the virtio device in this slot.
#[must_use]
pub fn virtio_base(slot: usize) -> u64 {
    let slot = u64::try_from(slot).unwrap_or(u64::MAX);
    VIRTIO_BASE.saturating_add(SLOT_BYTES.saturating_mul(slot))
}

/// A device on the bus and the descriptor that wakes the one who serves its first queue.
pub struct Place {
    /// The device.
    pub slot: Arc<Mutex<dyn Slot>>,
    /// Written after a change of status, so that queues filled before are served.
    pub wake: EventFd,
}

/// The interrupts of what is on the ports.
pub struct Lines {
    /// First serial port.
    pub serial: Line,
    /// Generic event device.
    pub events: Line,
    /// Keyboard controller, first port.
    pub keyboard: Line,
    /// Keyboard controller, auxiliary port.
    pub mouse: Line,
}

/// The machine's ports and registers.
pub struct Bus {
    places: Vec<Place>,
    serial: Mutex<Serial<Line, NoEvents, SerialLog>>,
    power: Mutex<Power<Line>>,
    rtc: Mutex<Rtc>,
    i8042: Mutex<I8042<Line>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bus {
    /// A bus with the devices in slot order.
    #[must_use]
    pub fn new(places: Vec<Place>, lines: Lines, log: SerialLog) -> Self {
        Self {
            places,
            serial: Mutex::new(Serial::new(lines.serial, log)),
            power: Mutex::new(Power::new(lines.events)),
            rtc: Mutex::default(),
            i8042: Mutex::new(I8042::new(lines.keyboard, lines.mouse)),
        }
    }

    /// Makes the serial port what it was; `None` if that is none.
    fn set_serial(&self, state: &SerialState) -> Option<()> {
        let mut serial = lock(&self.serial);
        let line = Line(serial.interrupt_evt().0.try_clone().ok()?);
        let log = serial.writer().try_clone().ok()?;
        *serial = Serial::from_state(state, line, NoEvents, log).ok()?;
        Some(())
    }

    /// Gives the keyboard controller something to report.
    pub fn with_i8042(&self, report: impl FnOnce(&mut I8042<Line>)) {
        let mut chip = lock(&self.i8042);
        report(&mut chip);
        chip.pump();
    }

    /// Presses the power button.
    pub fn press_power_button(&self) {
        lock(&self.power).press();
    }

    /// A read from a port.
    pub fn port_read(&self, port: u16, data: &mut [u8]) {
        data.fill(0xff);
        if let Some(register) = serial_register(port) {
            let mut serial = lock(&self.serial);
            data.iter_mut().for_each(|byte| *byte = serial.read(register));
            return;
        }
        let Some(first) = data.first_mut() else { return };
        let answer = lock(&self.i8042)
            .read(port)
            .or_else(|| lock(&self.power).read(port))
            .or_else(|| lock(&self.rtc).read(port));
        *first = answer.unwrap_or(0xff);
    }

    /// A write to a port.
    pub fn port_write(&self, port: u16, data: &[u8]) -> Option<Request> {
        if let Some(register) = serial_register(port) {
            let mut serial = lock(&self.serial);
            for byte in data {
                // The log never fails, and a lost interrupt is the guest's.
                let _lost = serial.write(register, *byte);
            }
            return None;
        }
        let value = *data.first()?;
        lock(&self.rtc).write(port, value);
        let request = lock(&self.i8042).write(port, value);
        request.or_else(|| lock(&self.power).write(port, value))
    }

    /// A read from memory that is not there.
    pub fn memory_read(&self, address: u64, data: &mut [u8]) {
        data.fill(0xff);
        if let Some((place, offset)) = self.place(address) {
            place.slot.lock().unwrap_or_else(PoisonError::into_inner).read(offset, data);
        }
    }

    /// A write to memory that is not there.
    pub fn memory_write(&self, address: u64, data: &[u8]) {
        if let Some((place, offset)) = self.place(address) {
            place.slot.lock().unwrap_or_else(PoisonError::into_inner).write(offset, data);
            if offset == STATUS {
                let _pending = place.wake.write(1);
            }
        }
    }

    fn place(&self, address: u64) -> Option<(&Place, u64)> {
        let offset = address.checked_sub(VIRTIO_BASE)?;
        let index = usize::try_from(offset / SLOT_BYTES).ok()?;
        Some((self.places.get(index)?, offset % SLOT_BYTES))
    }
}

fn serial_register(port: u16) -> Option<u8> {
    let register = port.checked_sub(COM1).filter(|register| *register < COM1_PORTS)?;
    u8::try_from(register).ok()
}

/// What is appended to the command line for guests that find their devices there: size, address
/// and interrupt of each (`Documentation/admin-guide/kernel-parameters.txt`).
#[must_use]
pub fn command_line(devices: &[Announced]) -> String {
    devices
        .iter()
        .map(|Announced { base, gsi }| format!(" virtio_mmio.device={SLOT_BYTES}@{base:#x}:{gsi}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus() -> Bus {
        let line = || Line(EventFd::new(libc::EFD_NONBLOCK).unwrap());
        let log = SerialLog::new(tempfile::tempfile().unwrap(), 100);
        Bus::new(
            Vec::new(),
            Lines { serial: line(), events: line(), keyboard: line(), mouse: line() },
            log,
        )
    }

    #[test]
    fn what_is_absent_reads_as_ones() {
        let mut data = [0; 8];
        bus().memory_read(VIRTIO_BASE, &mut data);
        assert_eq!(data, [0xff; 8]);
        bus().port_read(0xcfc, &mut data[..4]);
        assert_eq!(data, [0xff; 8]);
    }

    #[test]
    fn the_keyboard_controller_resets() {
        assert_eq!(bus().port_write(0x64, &[0xfe]), Some(Request::Reset));
        assert_eq!(bus().port_write(0x64, &[0xd1]), None);
        assert_eq!(bus().port_write(0x60, &[0xfe]), None);
    }

    #[test]
    fn every_device_has_a_pin_of_its_own() {
        let mut pins: Vec<u32> = (0..MAX_DEVICES).map(|slot| virtio_gsi(slot).unwrap()).collect();
        pins.extend([KEYBOARD_GSI, COM1_GSI, 8, crate::acpi::EVENT_GSI, MOUSE_GSI]);
        pins.sort_unstable();
        pins.dedup();
        assert_eq!((pins.len(), virtio_gsi(MAX_DEVICES)), (MAX_DEVICES + 5, None));
    }

    #[test]
    fn the_command_line_names_each_device() {
        assert_eq!(
            command_line(
                &[0, 1].map(|slot| Announced {
                    base: virtio_base(slot),
                    gsi: virtio_gsi(slot).unwrap(),
                })
            ),
            " virtio_mmio.device=512@0xfeb00000:16 virtio_mmio.device=512@0xfeb00200:17"
        );
    }
}
