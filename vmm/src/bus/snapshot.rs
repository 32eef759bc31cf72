//! What is on the ports, for a snapshot.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use vm_superio::serial::SerialState;

use super::{Bus, lock};
use crate::snapshot::{Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    serial: KeptSerial,
    power: u8,
    /// The register that is chosen, and the memory.
    rtc: (u8, Vec<u8>),
    i8042: Value,
}

/// The registers of a 16550 in the order of [`SerialState`], and what waits to be read.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptSerial {
    registers: [u8; 9],
    waiting: Vec<u8>,
}

impl Bus {
    /// For a snapshot.
    ///
    /// # Errors
    /// None that a bus of ours has.
    pub fn kept(&self) -> Result<Value, Refusal> {
        let SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer,
        } = lock(&self.serial).state();
        let registers = [
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
        ];
        value(&Kept {
            serial: KeptSerial { registers, waiting: in_buffer },
            power: lock(&self.power).kept(),
            rtc: lock(&self.rtc).kept(),
            i8042: lock(&self.i8042).kept()?,
        })
    }

    /// As it was.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn become_kept(&self, kept: Value) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        let [
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
        ] = kept.serial.registers;
        let state = SerialState {
            baud_divisor_low,
            baud_divisor_high,
            interrupt_enable,
            interrupt_identification,
            line_control,
            line_status,
            modem_control,
            modem_status,
            scratch,
            in_buffer: kept.serial.waiting,
        };
        self.set_serial(&state).ok_or(Refusal::Malformed)?;
        lock(&self.power).become_kept(kept.power);
        lock(&self.rtc).become_kept(kept.rtc).ok_or(Refusal::Malformed)?;
        lock(&self.i8042).become_kept(kept.i8042)
    }

    /// Lets whoever serves the devices look at all of their queues.
    pub fn wake_all(&self) {
        for place in &self.places {
            let _pending = place.wake.write(1);
        }
    }
}
