//! The registers that the ACPI tables name: sleep, reset, the power button's event, and the one
//! by which a kernel says that it panicked.

use crate::acpi;
use crate::devices::Trigger;

/// `SLP_EN`: go to sleep now.
const SLEEP_ENABLE: u8 = 1 << 5;
/// Where `SLP_TYP` is.
const SLEEP_TYPE_SHIFT: u32 = 2;
const SLEEP_TYPE_MASK: u8 = 7;
/// `PVPANIC_PANICKED`, in what the device can do and in what a guest says
/// (QEMU's specification of pvpanic): without it a guest whose kernel stands still would show its
/// last picture for ever.
const PANICKED: u8 = 1;

/// What a write asks of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Start again.
    Reset,
    /// Switch off.
    PowerOff,
    /// Stop: its kernel stands still.
    Panic,
}

/// The registers and the interrupt of the event device.
#[derive(Debug)]
pub struct Power<T> {
    pub(super) events: u8,
    line: T,
}

impl<T: Trigger> Power<T> {
    /// A machine whose button was not pressed.
    #[must_use]
    pub fn new(line: T) -> Self {
        Self { events: 0, line }
    }

    /// The button is pressed: the guest hears of it by an interrupt.
    pub fn press(&mut self) {
        self.events |= acpi::EVENT_POWER_BUTTON;
        self.line.trigger();
    }

    /// A read from a port; `None` if it is not one of these.
    pub fn read(&mut self, port: u16) -> Option<u8> {
        match port {
            acpi::EVENTS => Some(std::mem::take(&mut self.events)),
            acpi::SLEEP_STATUS | acpi::SLEEP_CONTROL => Some(0),
            acpi::PANIC => Some(PANICKED),
            _ => None,
        }
    }

    /// A write to a port.
    pub fn write(&mut self, port: u16, value: u8) -> Option<Request> {
        match port {
            acpi::SLEEP_CONTROL if value & SLEEP_ENABLE != 0 => {
                let kind = (value >> SLEEP_TYPE_SHIFT) & SLEEP_TYPE_MASK;
                (kind == acpi::SLEEP_TYPE_OFF).then_some(Request::PowerOff)
            }
            acpi::RESET if value == acpi::RESET_VALUE => Some(Request::Reset),
            acpi::PANIC if value & PANICKED != 0 => Some(Request::Panic),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::Counter;
    use std::sync::atomic::Ordering;

    #[test]
    fn a_press_interrupts_and_is_read_once() {
        let counter = Counter::default();
        let mut power = Power::new(counter.clone());
        power.press();
        assert_eq!(counter.0.load(Ordering::Relaxed), 1);
        assert_eq!(power.read(acpi::EVENTS), Some(acpi::EVENT_POWER_BUTTON));
        assert_eq!(power.read(acpi::EVENTS), Some(0));
    }

    #[test]
    fn soft_off_needs_its_type_and_the_enable_bit() {
        let mut power = Power::new(Counter::default());
        assert_eq!(power.write(acpi::SLEEP_CONTROL, 0x34), Some(Request::PowerOff));
        assert_eq!(power.write(acpi::SLEEP_CONTROL, 0x14), None);
        assert_eq!(power.write(acpi::SLEEP_CONTROL, 0x20), None);
    }

    #[test]
    fn a_panic_is_what_the_device_offers_to_hear_of() {
        let mut power = Power::new(Counter::default());
        assert_eq!(power.read(acpi::PANIC), Some(PANICKED));
        assert_eq!(power.write(acpi::PANIC, PANICKED), Some(Request::Panic));
        assert_eq!(power.write(acpi::PANIC, 2), None);
    }

    #[test]
    fn the_reset_register_wants_its_value() {
        let mut power = Power::new(Counter::default());
        assert_eq!(power.write(acpi::RESET, acpi::RESET_VALUE), Some(Request::Reset));
        assert_eq!(power.write(acpi::RESET, 0), None);
    }
}
