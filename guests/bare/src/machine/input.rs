//! virtio-input (virtio 1.2, 5.8): keyboards and pointers.

use super::memory::Identity;
use alloc::boxed::Box;
use alloc::vec::Vec;
use virtio_drivers::device::common::Feature;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::{Error, Result};

const EVENT_QUEUE: u16 = 0;
const QUEUE_SIZE: usize = 32;
const EVENT_BYTES: usize = 8;

/// Offsets in the configuration space.
const CONFIG_SELECT: usize = 0;
const CONFIG_SUBSEL: usize = 1;
const CONFIG_SIZE: usize = 2;
const CONFIG_DATA: usize = 8;
/// Values of the select field.
const SELECT_EV_BITS: u8 = 0x11;
const SELECT_ABS_INFO: u8 = 0x12;

const EV_REL: u8 = 2;
const EV_ABS: u8 = 3;

/// The kind of device an event is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Device {
    /// Keys only.
    Keyboard,
    /// A device with axes; `max` is the highest value of the absolute X and Y axes, 0 if it has
    /// none.
    Pointer {
        /// Highest X and highest Y.
        max: (u32, u32),
    },
}

/// An evdev event and where it is from.
#[derive(Clone, Copy, Debug)]
pub struct InputEvent {
    /// The device.
    pub device: Device,
    /// `EV_*`.
    pub kind: u16,
    /// Key, button or axis.
    pub code: u16,
    /// As evdev has it: 0 up, 1 down, 2 repeat for keys.
    pub value: i32,
}

/// One input device and the buffers it fills.
pub(super) struct Input {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Identity, QUEUE_SIZE>,
    buffers: Box<[[u8; EVENT_BYTES]; QUEUE_SIZE]>,
    device: Device,
}

impl Input {
    pub(super) fn new(mut transport: MmioTransport<'static>) -> Result<Self> {
        // Without EVENT_IDX: one notification per batch needs no help.
        transport.begin_init(Feature::VERSION_1);
        let mut queue = VirtQueue::new(&mut transport, EVENT_QUEUE, false, false)?;
        let mut buffers = Box::new([[0; EVENT_BYTES]; QUEUE_SIZE]);
        for (index, buffer) in buffers.iter_mut().enumerate() {
            // SAFETY: the buffers live as long as the queue and are read after `pop_used` only.
            let token = unsafe { queue.add(&[], &mut [buffer])? };
            if usize::from(token) != index {
                return Err(Error::WrongToken);
            }
        }
        transport.finish_init();
        transport.notify(EVENT_QUEUE);
        let device = identify(&mut transport)?;
        Ok(Self { transport, queue, buffers, device })
    }

    /// Moves all pending events to `events` and gives their buffers back to the device.
    pub(super) fn drain(&mut self, events: &mut Vec<InputEvent>) {
        let mut returned = false;
        while let Some(token) = self.queue.peek_used() {
            let Some(buffer) = self.buffers.get_mut(usize::from(token)) else { return };
            // SAFETY: buffer `token` is the one that was added under this token.
            if unsafe { self.queue.pop_used(token, &[], &mut [buffer]) }.is_err() {
                return;
            }
            let [k0, k1, c0, c1, v0, v1, v2, v3] = *buffer;
            events.push(InputEvent {
                device: self.device,
                kind: u16::from_le_bytes([k0, k1]),
                code: u16::from_le_bytes([c0, c1]),
                value: i32::from_le_bytes([v0, v1, v2, v3]),
            });
            // The descriptor just freed is the next one used, so the token stays the buffer's.
            // SAFETY: as in `new`.
            if unsafe { self.queue.add(&[], &mut [buffer]) } != Ok(token) {
                return;
            }
            returned = true;
        }
        if returned && self.queue.should_notify() {
            self.transport.notify(EVENT_QUEUE);
        }
    }
}

/// Tells a pointer from a keyboard by its axes.
fn identify(transport: &mut MmioTransport<'static>) -> Result<Device> {
    if select(transport, SELECT_EV_BITS, EV_ABS)? > 0 {
        let x = axis_max(transport, 0)?;
        let y = axis_max(transport, 1)?;
        return Ok(Device::Pointer { max: (x, y) });
    }
    if select(transport, SELECT_EV_BITS, EV_REL)? > 0 {
        // Wheels make a keyboard no pointer; X and Y do.
        let axes: u8 = transport.read_config_space(CONFIG_DATA)?;
        if axes & 3 != 0 {
            return Ok(Device::Pointer { max: (0, 0) });
        }
    }
    Ok(Device::Keyboard)
}

fn axis_max(transport: &mut MmioTransport<'static>, axis: u8) -> Result<u32> {
    if select(transport, SELECT_ABS_INFO, axis)? < 8 {
        return Ok(0);
    }
    transport.read_config_space(CONFIG_DATA + 4)
}

/// Selects a piece of configuration; its size in bytes, 0 if the device does not have it.
fn select(transport: &mut MmioTransport<'static>, what: u8, which: u8) -> Result<u8> {
    transport.write_config_space(CONFIG_SELECT, what)?;
    transport.write_config_space(CONFIG_SUBSEL, which)?;
    transport.read_config_space(CONFIG_SIZE)
}
