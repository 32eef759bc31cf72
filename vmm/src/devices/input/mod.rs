//! virtio-input (virtio 1.2, 5.8): a keyboard or an absolute pointer. What `tabard` delivers
//! becomes events, whole reports or nothing.

mod backlog;
mod config;
mod snapshot;

use std::io::{Read, Write};

use virtio_queue::Queue;

use self::backlog::Backlog;
pub use self::backlog::{MAX_BACKLOG_REPORTS, Report};
pub use self::config::Kind;
use super::{Device, DeviceError, MAX_QUEUE_SIZE, Progress, read_bytes, requests};
use crate::memory::GuestRam;

const EVENT_QUEUE: usize = 0;

/// What switches a light, and how many there are: Num, Caps and Scroll.
const EV_LED: u16 = 0x11;
const LIGHTS: usize = 3;

/// Most status events (LEDs) taken in one turn, so that a flood cannot keep the wire waiting.
const MAX_STATUS_PER_TURN: usize = 64;

/// Bytes of a `virtio_input_event`.
const EVENT_BYTES: usize = 8;

/// One `virtio_input_event`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InputEvent {
    /// Linux `EV_*`.
    pub kind: u16,
    /// Linux code.
    pub code: u16,
    /// Value; a signed one in two's complement.
    pub value: u32,
}

impl InputEvent {
    fn bytes(self) -> [u8; EVENT_BYTES] {
        let [kind_low, kind_high] = self.kind.to_le_bytes();
        let [code_low, code_high] = self.code.to_le_bytes();
        let [a, b, c, d] = self.value.to_le_bytes();
        [kind_low, kind_high, code_low, code_high, a, b, c, d]
    }
}

/// An input device.
pub struct Input {
    kind: Kind,
    select: u8,
    subselect: u8,
    backlog: Backlog,
    /// The lights that the guest has switched on, and those that were told last.
    lights: [bool; LIGHTS],
    told: [bool; LIGHTS],
}

impl Input {
    /// A device of this kind with nothing to report.
    #[must_use]
    pub fn new(kind: Kind) -> Self {
        let (lights, told) = ([false; LIGHTS], [false; LIGHTS]);
        Self { kind, select: 0, subselect: 0, backlog: Backlog::default(), lights, told }
    }

    /// Takes a report for the guest; it goes out as soon as the guest has buffers for all of it.
    pub fn push(&mut self, report: Report) {
        self.backlog.push(report);
    }

    fn deliver(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        while let Some(report) = self.backlog.front() {
            let events = report.events();
            if usize::from(requests::available(queue, ram)?) < events.len() {
                break;
            }
            for event in events {
                let mut request = requests::next(queue, ram)?.ok_or(DeviceError::Queue)?;
                request.writer.write_all(&event.bytes()).map_err(|_| DeviceError::Malformed)?;
                requests::give_back(queue, ram, request.head, EVENT_BYTES)?;
            }
            self.backlog.delivered();
            progress.used = true;
        }
        Ok(progress)
    }

    /// Which lights are on, if that is not what was told last.
    pub fn take_lights(&mut self) -> Option<[bool; LIGHTS]> {
        let news = self.lights != self.told;
        self.told = self.lights;
        news.then_some(self.lights)
    }

    /// A guest's LEDs never reach the hardware: they are read, and words say which are on.
    fn status(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for _ in 0..MAX_STATUS_PER_TURN {
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            let mut event = [0; EVENT_BYTES];
            request.reader.read_exact(&mut event).map_err(|_| DeviceError::Malformed)?;
            requests::give_back(queue, ram, request.head, 0)?;
            let [a, b, code, over, value @ ..] = event;
            let light = self.lights.get_mut(usize::from(u16::from_le_bytes([code, over])));
            if let Some(light) = light.filter(|_| u16::from_le_bytes([a, b]) == EV_LED) {
                *light = value != [0; 4];
            }
            progress.used = true;
        }
        progress.more = true;
        Ok(progress)
    }
}

impl Device for Input {
    fn device_type(&self) -> u32 {
        18
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[MAX_QUEUE_SIZE, 64]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_bytes(&config::space(self.kind, self.select, self.subselect), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        for (place, byte) in (offset..).zip(data) {
            match place {
                0 => self.select = *byte,
                1 => self.subselect = *byte,
                _ => {}
            }
        }
    }

    fn process(
        &mut self,
        index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        if index == EVENT_QUEUE { self.deliver(queue, ram) } else { self.status(queue, ram) }
    }

    fn reset(&mut self) {
        self.select = 0;
        self.subselect = 0;
        self.backlog = Backlog::default();
        self.lights = [false; LIGHTS];
    }
}

#[cfg(test)]
mod tests;
