//! The port to `tabard` (virtio-console with ports, virtio 1.2, 5.3): whole frames in and out, and
//! never a wait for the other side.

use super::memory::Identity;
use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use tabard_agent_wire::{PORT_NAME, Stream};
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceStatus, Transport};
use virtio_drivers::{Error, Result};

/// `VIRTIO_CONSOLE_F_MULTIPORT` and `VIRTIO_F_VERSION_1`.
const FEATURES: u64 = 1 << 1 | 1 << 32;

/// The queues of control messages, and those of port 1.
const CONTROL_IN: u16 = 2;
const CONTROL_OUT: u16 = 3;
const BYTES_IN: u16 = 4;
const BYTES_OUT: u16 = 5;

const QUEUE_SIZE: usize = 8;
const BUFFER_BYTES: usize = 4096;
/// Frames that wait to be sent; more are dropped, the newest first.
const MAX_WAITING: usize = 8;

/// The number that the agent's port must have, because only its queues are set up.
const PORT: u32 = 1;

/// Control messages (virtio 1.2, 5.3.6.2).
const DEVICE_READY: u16 = 0;
const DEVICE_ADD: u16 = 1;
const PORT_READY: u16 = 3;
const PORT_OPEN: u16 = 6;
const PORT_NAMED: u16 = 7;

/// A queue that the device writes to.
struct Inbound {
    queue: VirtQueue<Identity, QUEUE_SIZE>,
    buffers: Box<[[u8; BUFFER_BYTES]; QUEUE_SIZE]>,
}

/// A queue that the device reads, with the one message that it is reading.
struct Outbound {
    index: u16,
    queue: VirtQueue<Identity, QUEUE_SIZE>,
    waiting: VecDeque<Vec<u8>>,
    sending: Option<(u16, Vec<u8>)>,
}

/// The port.
pub(super) struct AgentPort {
    transport: MmioTransport<'static>,
    control_in: Inbound,
    control_out: Outbound,
    bytes_in: Inbound,
    bytes_out: Outbound,
    stream: Stream,
    /// The device was told that the port is open here; before that it throws bytes away.
    open: bool,
}

impl AgentPort {
    /// Sets the device up and says that the driver is there; the port opens by and by.
    pub(super) fn new(mut transport: MmioTransport<'static>) -> Result<Self> {
        let known = DeviceStatus::ACKNOWLEDGE | DeviceStatus::DRIVER;
        transport.set_status(DeviceStatus::empty());
        transport.set_status(known);
        if transport.read_device_features() & FEATURES != FEATURES {
            return Err(Error::Unsupported);
        }
        transport.write_driver_features(FEATURES);
        transport.set_status(known | DeviceStatus::FEATURES_OK);
        let control_in = Inbound::new(&mut transport, CONTROL_IN)?;
        let control_out = Outbound::new(&mut transport, CONTROL_OUT)?;
        let bytes_in = Inbound::new(&mut transport, BYTES_IN)?;
        let bytes_out = Outbound::new(&mut transport, BYTES_OUT)?;
        transport.finish_init();
        transport.notify(CONTROL_IN);
        transport.notify(BYTES_IN);
        let stream = Stream::default();
        let open = false;
        let mut port =
            Self { transport, control_in, control_out, bytes_in, bytes_out, stream, open };
        port.say(0, DEVICE_READY);
        Ok(port)
    }

    /// Sends a frame as soon as the device takes it.
    pub(super) fn send(&mut self, frame: &[u8]) {
        let chunks = frame.len().div_ceil(BUFFER_BYTES * 4);
        if self.bytes_out.waiting.len() + chunks > MAX_WAITING * 4 {
            return;
        }
        self.bytes_out.waiting.extend(frame.chunks(BUFFER_BYTES * 4).map(<[u8]>::to_vec));
        self.pump_bytes();
    }

    /// Takes what came, answers what the device says of ports, sends what waits; returns the
    /// frames that are whole.
    pub(super) fn drain(&mut self) -> Vec<Vec<u8>> {
        for message in self.control_in.drain(&mut self.transport, CONTROL_IN) {
            self.heard(&message);
        }
        for bytes in self.bytes_in.drain(&mut self.transport, BYTES_IN) {
            self.stream.push(&bytes);
        }
        self.control_out.pump(&mut self.transport);
        self.pump_bytes();
        let mut frames = Vec::new();
        while let Ok(Some(frame)) = self.stream.next_frame() {
            frames.push(frame);
        }
        frames
    }

    /// Sends what waits, once the device has read that the port is open.
    fn pump_bytes(&mut self) {
        if self.open && self.control_out.sending.is_none() {
            self.bytes_out.pump(&mut self.transport);
        }
    }

    fn heard(&mut self, message: &[u8]) {
        let Some(([p0, p1, p2, p3, e0, e1, _, _], name)) = message.split_first_chunk::<8>() else {
            return;
        };
        if u32::from_le_bytes([*p0, *p1, *p2, *p3]) != PORT {
            return;
        }
        match u16::from_le_bytes([*e0, *e1]) {
            DEVICE_ADD => self.say(PORT, PORT_READY),
            // Some devices end the name with a zero.
            PORT_NAMED if name.strip_suffix(&[0]).unwrap_or(name) == PORT_NAME.as_bytes() => {
                self.open = true;
                self.say(PORT, PORT_OPEN);
            }
            _ => {}
        }
    }

    fn say(&mut self, port: u32, event: u16) {
        let mut message = port.to_le_bytes().to_vec();
        message.extend(event.to_le_bytes());
        message.extend(1u16.to_le_bytes());
        self.control_out.waiting.push_back(message);
        self.control_out.pump(&mut self.transport);
    }
}

impl Inbound {
    fn new(transport: &mut MmioTransport<'static>, index: u16) -> Result<Self> {
        let mut queue = VirtQueue::new(transport, index, false, false)?;
        let mut buffers = Box::new([[0; BUFFER_BYTES]; QUEUE_SIZE]);
        for (place, buffer) in buffers.iter_mut().enumerate() {
            // SAFETY: the buffers live as long as the queue and are read after `pop_used` only.
            let token = unsafe { queue.add(&[], &mut [buffer])? };
            if usize::from(token) != place {
                return Err(Error::WrongToken);
            }
        }
        Ok(Self { queue, buffers })
    }

    /// What the device wrote, buffer by buffer.
    fn drain(&mut self, transport: &mut MmioTransport<'static>, index: u16) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(token) = self.queue.peek_used() {
            let Some(buffer) = self.buffers.get_mut(usize::from(token)) else { return all };
            // SAFETY: buffer `token` is the one that was added under this token.
            let Ok(length) = (unsafe { self.queue.pop_used(token, &[], &mut [buffer]) }) else {
                return all;
            };
            all.push(buffer.get(..length as usize).unwrap_or_default().to_vec());
            // SAFETY: as in `new`.
            if unsafe { self.queue.add(&[], &mut [buffer]) } != Ok(token) {
                return all;
            }
        }
        if !all.is_empty() && self.queue.should_notify() {
            transport.notify(index);
        }
        all
    }
}

impl Outbound {
    fn new(transport: &mut MmioTransport<'static>, index: u16) -> Result<Self> {
        let queue = VirtQueue::new(transport, index, false, false)?;
        Ok(Self { index, queue, waiting: VecDeque::new(), sending: None })
    }

    /// Takes back what the device has read, and gives it the next message.
    fn pump(&mut self, transport: &mut MmioTransport<'static>) {
        if let Some((token, message)) = &self.sending {
            if self.queue.peek_used() != Some(*token) {
                return;
            }
            // SAFETY: the message is the one that was added under this token.
            if unsafe { self.queue.pop_used(*token, &[message.as_slice()], &mut []) }.is_err() {
                return;
            }
            self.sending = None;
        }
        let Some(message) = self.waiting.pop_front() else { return };
        // SAFETY: the message is kept, unmoved on the heap, until the device gives it back.
        if let Ok(token) = unsafe { self.queue.add(&[message.as_slice()], &mut []) } {
            self.sending = Some((token, message));
            if self.queue.should_notify() {
                transport.notify(self.index);
            }
        }
    }
}
