//! virtio-console (virtio 1.2, 5.3) with one named port, `tabard.agent`, for a program inside the
//! guest. Its bytes are cut into frames here and not looked into any further.

mod control;
mod port;
mod snapshot;

use std::collections::VecDeque;
use std::io::{Read, Write};

use tabard_agent_wire::{MAX_BODY_BYTES, PORT_NAME};
use virtio_queue::Queue;

use self::control::{CONTROL_BYTES, Control, Event};
pub use self::port::Port;
use super::{Device, DeviceError, Progress, read_bytes, requests};
use crate::memory::GuestRam;

/// `VIRTIO_CONSOLE_F_MULTIPORT`.
const FEATURE_MULTIPORT: u64 = 1 << 1;

/// The number of the agent's port. Port 0 is never announced: it would be a terminal.
const AGENT_PORT: u32 = 1;

/// Queues (virtio 1.2, 5.3.2). Those of port 0 are there and never served.
pub const CONTROL_TO_GUEST: usize = 2;
/// Control messages of the driver.
pub const CONTROL_FROM_GUEST: usize = 3;
/// Bytes for the agent.
pub const TO_GUEST: usize = 4;
/// Bytes of the agent.
pub const FROM_GUEST: usize = 5;

const QUEUE_SIZE: u16 = 32;

/// Control messages that wait for buffers; a driver that asks without end gets no more answers.
const MAX_CONTROL: usize = 16;
/// Most buffers taken in one turn.
const MAX_PER_TURN: usize = 16;
/// Most bytes of one buffer of the guest. Linux sends 32 KiB at a time.
const MAX_CHAIN_BYTES: usize = MAX_BODY_BYTES;

/// The device.
#[derive(Default)]
pub struct Console {
    control: VecDeque<Control>,
    /// The agent's port.
    pub port: Port,
    /// The guest was told that this side is closed: its writers wait until that changes.
    closed_here: bool,
}

impl Console {
    fn say(&mut self, control: Control) {
        if self.control.len() < MAX_CONTROL {
            self.control.push_back(control);
        }
    }

    /// What the driver says about ports (virtio 1.2, 5.3.6.2). About other ports there is
    /// nothing to say.
    fn heard(&mut self, control: &Control) {
        match (control.event, control.port) {
            (Event::DEVICE_READY, _) if control.value == 1 => {
                self.say(Control::new(AGENT_PORT, Event::DEVICE_ADD, 1));
            }
            (Event::PORT_READY, AGENT_PORT) if control.value == 1 => {
                self.say(Control::named(AGENT_PORT, PORT_NAME));
                self.say(Control::new(AGENT_PORT, Event::PORT_OPEN, 1));
            }
            (Event::PORT_OPEN, AGENT_PORT) => {
                let open = control.value == 1;
                self.port.set_open(open);
                if open && std::mem::take(&mut self.closed_here) {
                    self.say(Control::new(AGENT_PORT, Event::PORT_OPEN, 1));
                }
            }
            _ => {}
        }
    }

    fn take_control(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for _ in 0..MAX_PER_TURN {
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            let mut bytes = [0; CONTROL_BYTES];
            request.reader.read_exact(&mut bytes).map_err(|_| DeviceError::Malformed)?;
            requests::give_back(queue, ram, request.head, 0)?;
            self.heard(&Control::decode(bytes));
            progress.used = true;
        }
        progress.more = true;
        Ok(progress)
    }

    fn send_control(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        while let Some(control) = self.control.front() {
            let Some(mut request) = requests::next(queue, ram)? else { break };
            let bytes = control.encode();
            request.writer.write_all(&bytes).map_err(|_| DeviceError::Malformed)?;
            requests::give_back(queue, ram, request.head, bytes.len())?;
            self.control.pop_front();
            progress.used = true;
        }
        Ok(progress)
    }

    fn send_bytes(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        while self.port.waits() {
            let Some(mut request) = requests::next(queue, ram)? else { break };
            let part = self.port.next_bytes(request.writer.available_bytes());
            request.writer.write_all(part).map_err(|_| DeviceError::Malformed)?;
            let length = part.len();
            self.port.sent(length);
            requests::give_back(queue, ram, request.head, length)?;
            progress.used = true;
        }
        Ok(progress)
    }

    fn take_bytes(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for _ in 0..MAX_PER_TURN {
            self.cut();
            // The next frame waits in the guest until this one is taken: a flood grows nothing.
            if self.port.is_full() {
                return Ok(progress);
            }
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            let length = request.reader.available_bytes();
            if length > MAX_CHAIN_BYTES {
                return Err(DeviceError::Malformed);
            }
            let mut bytes = vec![0; length];
            request.reader.read_exact(&mut bytes).map_err(|_| DeviceError::Malformed)?;
            requests::give_back(queue, ram, request.head, 0)?;
            self.port.take(&bytes);
            progress.used = true;
        }
        self.cut();
        progress.more = !self.port.is_full();
        Ok(progress)
    }

    /// Cuts the next frame off the stream. A stream that makes no sense is closed from this side.
    fn cut(&mut self) {
        if !self.port.cut() {
            self.closed_here = true;
            self.say(Control::new(AGENT_PORT, Event::PORT_OPEN, 0));
        }
    }
}

impl Device for Console {
    fn device_type(&self) -> u32 {
        3
    }

    fn features(&self) -> u64 {
        FEATURE_MULTIPORT
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[QUEUE_SIZE; 6]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        // Columns and rows are of no terminal; then the most ports that there may be.
        read_bytes(&[0, 0, 0, 0, 2, 0, 0, 0], offset, data);
    }

    fn process(
        &mut self,
        index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        match index {
            CONTROL_TO_GUEST => self.send_control(queue, ram),
            CONTROL_FROM_GUEST => self.take_control(queue, ram),
            TO_GUEST => self.send_bytes(queue, ram),
            FROM_GUEST => self.take_bytes(queue, ram),
            _ => Ok(Progress::default()),
        }
    }

    fn reset(&mut self) {
        self.port.set_open(false);
        *self = Self { port: std::mem::take(&mut self.port), ..Self::default() };
    }
}

#[cfg(test)]
mod tests;
