//! virtio-gpu in 2D: one scanout, flushed by rectangles, and the hardware cursor.

use super::gpu_commands::{
    Area, COMMAND_WORDS, Command, FORMAT_BGRA, FORMAT_BGRX, RESP_OK_DISPLAY_INFO, RESP_OK_NODATA,
    RESPONSE_WORDS,
};
use super::interrupts;
use super::memory::{Identity, Pages};
use alloc::boxed::Box;
use core::fmt;
use core::hint::spin_loop;
use virtio_drivers::device::common::Feature;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::{Error, Result};

/// Width and height of the cursor's picture in pixels.
pub const CURSOR_SIDE: u32 = 64;

const CONTROL_QUEUE: u16 = 0;
const CURSOR_QUEUE: u16 = 1;
const QUEUE_SIZE: usize = 8;
/// Commands sent together; each takes two descriptors.
const BATCH: usize = 4;
/// Rounds of asking before sleeping: a host that answers at all does so within a few of these.
const SPIN_ROUNDS: u32 = 50_000;

/// Offsets in the configuration space, and the event that says the display changed.
const EVENTS_READ: usize = 0;
const EVENTS_CLEAR: usize = 4;

/// Resource of the cursor; the screen's count up from the next.
const CURSOR_RESOURCE: u32 = 1;

/// Why the display did not do as told.
#[derive(Debug, Clone, Copy)]
pub enum GpuError {
    /// The queue did not take the command.
    Queue(Error),
    /// The device answered with this code.
    Refused(u32),
    /// No scanout is enabled.
    NoScanout,
}

impl fmt::Display for GpuError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queue(error) => write!(out, "the queue failed: {error}"),
            Self::Refused(code) => write!(out, "the device answered {code:#x}"),
            Self::NoScanout => write!(out, "no scanout is enabled"),
        }
    }
}

impl From<Error> for GpuError {
    fn from(error: Error) -> Self {
        Self::Queue(error)
    }
}

/// Command and answer of one request, where the device reads and writes them.
struct Slot {
    command: [u8; COMMAND_WORDS * 4],
    response: [u8; RESPONSE_WORDS * 4],
}

/// A queue with buffers for the requests under way on it.
struct Requests {
    index: u16,
    queue: VirtQueue<Identity, QUEUE_SIZE>,
    slots: Box<[Slot; BATCH]>,
}

impl Requests {
    fn new(transport: &mut MmioTransport<'static>, index: u16) -> Result<Self> {
        let mut queue = VirtQueue::new(transport, index, false, false)?;
        // Answers are awaited on the spot: an interrupt for each would only cost time.
        queue.set_dev_notify(false);
        let slot = || Slot { command: [0; COMMAND_WORDS * 4], response: [0; RESPONSE_WORDS * 4] };
        Ok(Self { index, queue, slots: Box::new([slot(), slot(), slot(), slot()]) })
    }

    /// Sends up to [`BATCH`] commands by one notification and waits for all answers.
    fn run(&mut self, transport: &mut MmioTransport<'static>, commands: &[Command]) -> Result<()> {
        let mut tokens = [(0, 0); BATCH];
        for ((slot, command), token) in self.slots.iter_mut().zip(commands).zip(&mut tokens) {
            for (bytes, word) in slot.command.chunks_exact_mut(4).zip(command.words()) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
            let len = command.words().len() * 4;
            slot.response[..4].fill(0);
            // SAFETY: the slots live as long as the queue and stay untouched until popped below.
            let head =
                unsafe { self.queue.add(&[&slot.command[..len]], &mut [&mut slot.response]) }?;
            *token = (head, len);
        }
        if self.queue.should_notify() {
            transport.notify(self.index);
        }
        for _ in commands {
            let done = self.await_used();
            let found = tokens.iter().position(|&(head, len)| len != 0 && head == done);
            let Some((slot, token)) =
                found.and_then(|at| Some((self.slots.get_mut(at)?, tokens.get_mut(at)?)))
            else {
                return Err(Error::WrongToken);
            };
            let inputs = [&slot.command[..token.1]];
            // SAFETY: the same buffers as were added under this token.
            unsafe { self.queue.pop_used(done, &inputs, &mut [&mut slot.response]) }?;
            *token = (0, 0);
        }
        Ok(())
    }

    /// Waits for an answer: briefly by asking, then asleep, so that a stuck host costs nothing.
    fn await_used(&mut self) -> u16 {
        for _ in 0..SPIN_ROUNDS {
            if let Some(token) = self.queue.peek_used() {
                return token;
            }
            spin_loop();
        }
        self.queue.set_dev_notify(true);
        let token = loop {
            if let Some(token) = self.queue.peek_used() {
                break token;
            }
            interrupts::wait();
        };
        self.queue.set_dev_notify(false);
        token
    }

    /// Word `index` of the answer to command `slot` of the last batch.
    fn answer(&self, slot: usize, index: usize) -> u32 {
        let bytes = self.slots[slot].response.get(index * 4..index * 4 + 4);
        bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
    }
}

/// The display.
pub struct Gpu {
    transport: MmioTransport<'static>,
    control: Requests,
    cursor: Requests,
    resource: u32,
    size: (u32, u32),
    /// The cursor's picture; the device reads it once, on the update.
    cursor_pixels: Option<Pages>,
    /// Whether the pointer has a picture that could be moved.
    cursor_shown: bool,
}

impl Gpu {
    pub(super) fn new(mut transport: MmioTransport<'static>) -> Result<Self> {
        transport.begin_init(Feature::VERSION_1);
        let control = Requests::new(&mut transport, CONTROL_QUEUE)?;
        let cursor = Requests::new(&mut transport, CURSOR_QUEUE)?;
        transport.finish_init();
        Ok(Self {
            transport,
            control,
            cursor,
            resource: CURSOR_RESOURCE,
            size: (0, 0),
            cursor_pixels: None,
            cursor_shown: false,
        })
    }

    fn control(&mut self, commands: &[Command]) -> core::result::Result<(), GpuError> {
        self.control.run(&mut self.transport, commands)?;
        for slot in 0..commands.len() {
            match self.control.answer(slot, 0) {
                RESP_OK_NODATA | RESP_OK_DISPLAY_INFO => {}
                code => return Err(GpuError::Refused(code)),
            }
        }
        Ok(())
    }

    /// The size that the host wants, in pixels. Also tells it that its change was noticed.
    ///
    /// # Errors
    ///
    /// Where the host does not answer or has no scanout for us.
    pub fn wanted_size(&mut self) -> core::result::Result<(u32, u32), GpuError> {
        let events: u32 = self.transport.read_config_space(EVENTS_READ)?;
        if events != 0 {
            self.transport.write_config_space(EVENTS_CLEAR, events)?;
        }
        self.control(&[Command::get_display_info()])?;
        let word = |index| self.control.answer(0, super::gpu_commands::HEADER_WORDS + index);
        // Of each scanout: x, y, width, height, enabled, flags. Ours is the first.
        match (word(2), word(3), word(4)) {
            (0, _, _) | (_, 0, _) | (_, _, 0) => Err(GpuError::NoScanout),
            (width, height, _) => Ok((width, height)),
        }
    }

    /// Shows `pixels`, `width` * `height` of 0x00RRGGBB, from now on. The caller keeps them until
    /// the next call or [`Gpu::detach`].
    ///
    /// # Errors
    ///
    /// Where the host refuses.
    pub fn attach(
        &mut self,
        pixels: &Pages,
        width: u32,
        height: u32,
    ) -> core::result::Result<(), GpuError> {
        self.detach()?;
        let resource = self.resource.wrapping_add(1).max(CURSOR_RESOURCE + 1);
        let area = [0, 0, width, height];
        self.control(&[
            Command::resource_create(resource, FORMAT_BGRX, width, height),
            Command::attach_backing(resource, pixels.address(), pixels.bytes()),
            Command::transfer(resource, area, 0),
        ])?;
        self.control(&[
            Command::set_scanout(resource, area),
            Command::resource_flush(resource, area),
        ])?;
        self.resource = resource;
        self.size = (width, height);
        Ok(())
    }

    /// Lets go of the pixels shown so far.
    ///
    /// # Errors
    ///
    /// Where the host refuses.
    pub fn detach(&mut self) -> core::result::Result<(), GpuError> {
        if self.size != (0, 0) {
            self.size = (0, 0);
            self.control(&[Command::resource_unref(self.resource)])?;
        }
        Ok(())
    }

    /// Brings one or two rectangles of the pixels to the glass, by one notification; the first
    /// is on the glass before the second is looked at.
    ///
    /// # Errors
    ///
    /// Where the host refuses.
    pub fn flush(
        &mut self,
        first: Area,
        second: Option<Area>,
    ) -> core::result::Result<(), GpuError> {
        let width = u64::from(self.size.0);
        let resource = self.resource;
        let pair = |area: Area| {
            let [x, y, _, _] = area;
            let offset = (u64::from(y) * width + u64::from(x)) * 4;
            [Command::transfer(resource, area, offset), Command::resource_flush(resource, area)]
        };
        let [transfer, flush] = pair(first);
        match second.map(pair) {
            Some([transfer2, flush2]) => self.control(&[transfer, flush, transfer2, flush2]),
            None => self.control(&[transfer, flush]),
        }
    }

    /// Gives the pointer a picture of [`CURSOR_SIDE`] squared pixels 0xAARRGGBB, pointing at
    /// `hot`.
    ///
    /// # Errors
    ///
    /// Where the host refuses.
    pub fn set_cursor(
        &mut self,
        picture: &[u32],
        hot: (u32, u32),
    ) -> core::result::Result<(), GpuError> {
        let Some(mut pixels) = Pages::new((CURSOR_SIDE * CURSOR_SIDE) as usize) else {
            return Ok(());
        };
        for (to, from) in pixels.iter_mut().zip(picture) {
            *to = *from;
        }
        if self.cursor_pixels.is_some() {
            self.control(&[Command::resource_unref(CURSOR_RESOURCE)])?;
        }
        let side = CURSOR_SIDE;
        self.control(&[
            Command::resource_create(CURSOR_RESOURCE, FORMAT_BGRA, side, side),
            Command::attach_backing(CURSOR_RESOURCE, pixels.address(), pixels.bytes()),
            Command::transfer(CURSOR_RESOURCE, [0, 0, side, side], 0),
        ])?;
        self.cursor_pixels = Some(pixels);
        let at = (self.size.0 / 2, self.size.1 / 2);
        self.cursor
            .run(&mut self.transport, &[Command::update_cursor(CURSOR_RESOURCE, hot, at)])?;
        self.cursor_shown = true;
        Ok(())
    }

    /// Moves the cursor's picture.
    ///
    /// # Errors
    ///
    /// Where the queue fails.
    pub fn move_cursor(&mut self, at: (u32, u32)) -> core::result::Result<(), GpuError> {
        if self.cursor_shown {
            self.cursor.run(&mut self.transport, &[Command::move_cursor(at)])?;
        }
        Ok(())
    }
}
