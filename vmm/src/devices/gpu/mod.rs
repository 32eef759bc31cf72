//! virtio-gpu, 2D only (virtio 1.2, 5.7). The guest's pixels are copied once, from its own
//! pages into the shared surface, when it flushes.

mod edid;
mod format;
mod paint;
mod protocol;
mod resource;
mod snapshot;

use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::Arc;

use tabard_wire::{CURSOR_SIDE_PX, Rect};
use virtio_queue::Queue;

use self::protocol::{Answer, Command, ENTRY_BYTES, Message};
use self::resource::{Backing, Resource};
use super::requests::{self, Request};
use super::{Device, DeviceError, MAX_QUEUE_SIZE, Progress, read_bytes};
use crate::memory::GuestRam;
use crate::rect::{contains, sized, union};
use crate::surface::Surface;

/// Most resources at one time. Each costs the host about a hundred bytes; a guest that creates
/// them without end would otherwise grow this process.
pub const MAX_RESOURCES: usize = 1024;

/// Most memory entries of all resources together, after merging neighbours: 24 bytes each, so
/// that scattering a backing over single bytes costs the host at most 1.5 MiB.
pub const MAX_BACKING_ENTRIES: usize = 65536;

/// Most requests of one turn, so that a flood cannot keep the wire waiting.
const MAX_REQUESTS_PER_TURN: usize = 32;

/// A turn ends after copying this many bytes, for the same reason.
const MAX_COPY_PER_TURN_BYTES: u64 = 8 << 20;

const CONTROL_QUEUE: usize = 0;
const FEATURE_EDID: u64 = 1 << 1;
const EVENT_DISPLAY: u32 = 1;

/// What `tabard` has to be told about the surface since the last time it was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// The size of the picture; `(0, 0)` for none.
    pub scanout: Option<(u32, u32)>,
    /// The cursor changed.
    pub cursor: Option<Cursor>,
    /// Around all pixels that changed.
    pub damage: Option<Rect>,
}

/// The cursor image's state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Whether the guest shows one.
    pub visible: bool,
    /// Hot spot from the left, less than [`CURSOR_SIDE_PX`].
    pub hot_x: u8,
    /// Hot spot from the top, less than [`CURSOR_SIDE_PX`].
    pub hot_y: u8,
}

/// What is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Scanout {
    resource: u32,
    /// The part of the resource, inside of it.
    part: Rect,
}

/// The display device.
pub struct Gpu {
    surface: Arc<Surface>,
    resources: HashMap<u32, Resource>,
    entries: usize,
    scanout: Option<Scanout>,
    cursor: Cursor,
    events: u32,
    news: News,
    copied_bytes: u64,
}

impl Gpu {
    /// A display of the surface's size that shows nothing.
    #[must_use]
    pub fn new(surface: Arc<Surface>) -> Self {
        Self {
            surface,
            resources: HashMap::new(),
            entries: 0,
            scanout: None,
            cursor: Cursor::default(),
            events: 0,
            news: News::default(),
            copied_bytes: 0,
        }
    }

    /// Replaces the surface. What is shown is copied whole, so that there is a picture at once.
    /// The caller tells the driver of the change of configuration.
    pub fn set_surface(&mut self, surface: Arc<Surface>, ram: &GuestRam) {
        if let (Some(old), Some(new)) = (self.surface.cursor(), surface.cursor()) {
            old.copy_to_volatile_slice(new);
        }
        self.surface = surface;
        self.events |= EVENT_DISPLAY;
        self.news = News { cursor: Some(self.cursor), ..News::default() };
        self.show(ram);
    }

    /// Says that nothing is shown, after the machine before this one was.
    pub fn announce_nothing(&mut self) {
        self.news.scanout = Some((0, 0));
        self.news.cursor = Some(Cursor::default());
        self.damage(self.surface_bounds());
    }

    /// What changed since the last call.
    pub fn take_news(&mut self) -> News {
        std::mem::take(&mut self.news)
    }

    fn surface_bounds(&self) -> Rect {
        let geometry = self.surface.geometry();
        sized(geometry.width_px(), geometry.height_px())
    }

    fn damage(&mut self, rect: Rect) {
        self.news.damage = Some(union(self.news.damage.unwrap_or_default(), rect));
    }

    /// Tells the size of the picture and paints it whole.
    fn show(&mut self, ram: &GuestRam) {
        let bounds = self.surface_bounds();
        let Some(scanout) = self.scanout else {
            self.news.scanout = Some((0, 0));
            return self.damage(bounds);
        };
        let size = (scanout.part.width.min(bounds.width), scanout.part.height.min(bounds.height));
        self.news.scanout = Some(size);
        self.damage(bounds);
        if let Some(resource) = self.resources.get(&scanout.resource) {
            let painted =
                paint::paint(&self.surface, resource, scanout.part, resource.transferred(), ram);
            self.copied_bytes = self.copied_bytes.saturating_add(painted.bytes);
        }
    }

    fn set_scanout(&mut self, rect: Rect, id: u32, resource: u32, ram: &GuestRam) -> Answer {
        if id != 0 {
            return Answer::InvalidScanout;
        }
        let scanout = if resource == 0 {
            None
        } else {
            let Some(found) = self.resources.get_mut(&resource) else {
                return Answer::InvalidResource;
            };
            if !contains(found.bounds(), rect) {
                return Answer::InvalidParameter;
            }
            found.touch();
            Some(Scanout { resource, part: rect })
        };
        self.replace_scanout(scanout, ram);
        Answer::Ok
    }

    fn replace_scanout(&mut self, scanout: Option<Scanout>, ram: &GuestRam) {
        if self.scanout == scanout {
            return;
        }
        let size = |scanout: Option<Scanout>| scanout.map(|s| (s.part.width, s.part.height));
        let same_size = size(self.scanout) == size(scanout);
        self.scanout = scanout;
        // A page flip between two resources of one size is painted by its flush.
        if !same_size || scanout.is_none() {
            self.surface.clear();
            self.copied_bytes =
                self.copied_bytes.saturating_add(self.surface.geometry().total_bytes());
            self.show(ram);
        }
    }

    fn flush(&mut self, rect: Rect, id: u32, ram: &GuestRam) -> Answer {
        let Some(resource) = self.resources.get_mut(&id) else { return Answer::InvalidResource };
        if !contains(resource.bounds(), rect) {
            return Answer::InvalidParameter;
        }
        let Some(scanout) = self.scanout.filter(|scanout| scanout.resource == id) else {
            return Answer::Ok;
        };
        let Some(part) = resource.flush(rect) else { return Answer::Ok };
        let painted = paint::paint(&self.surface, resource, scanout.part, part, ram);
        self.copied_bytes = self.copied_bytes.saturating_add(painted.bytes);
        if let Some(rect) = painted.rect {
            self.damage(rect);
        }
        Answer::Ok
    }

    fn create(&mut self, id: u32, format: u32, width: u32, height: u32) -> Answer {
        if id == 0 || self.resources.contains_key(&id) {
            return Answer::InvalidResource;
        }
        if self.resources.len() >= MAX_RESOURCES {
            return Answer::OutOfMemory;
        }
        let Some(resource) = Resource::new(format, width, height) else {
            return Answer::InvalidParameter;
        };
        self.resources.insert(id, resource);
        Answer::Ok
    }

    fn unref(&mut self, id: u32, ram: &GuestRam) -> Answer {
        let Some(resource) = self.resources.remove(&id) else { return Answer::InvalidResource };
        self.entries = self.entries.saturating_sub(resource.backing.len());
        if self.scanout.is_some_and(|scanout| scanout.resource == id) {
            self.replace_scanout(None, ram);
        }
        Answer::Ok
    }

    /// Reads the entries one by one: their number is the guest's word, their memory is not
    /// allocated before each is seen.
    fn attach(&mut self, id: u32, count: u32, reader: &mut impl Read, ram: &GuestRam) -> Answer {
        let room = MAX_BACKING_ENTRIES.saturating_sub(self.entries);
        let Some(resource) = self.resources.get_mut(&id) else { return Answer::InvalidResource };
        if !resource.backing.is_empty() {
            return Answer::Unspecified;
        }
        if usize::try_from(count).unwrap_or(usize::MAX) > MAX_BACKING_ENTRIES {
            return Answer::OutOfMemory;
        }
        let mut backing = Backing::default();
        for _ in 0..count {
            let mut bytes = [0; ENTRY_BYTES];
            if reader.read_exact(&mut bytes).is_err() {
                return Answer::InvalidParameter;
            }
            let (address, length) = protocol::entry(&bytes);
            if !backing.push(ram, address, length) {
                return Answer::InvalidParameter;
            }
            if backing.len() > room {
                return Answer::OutOfMemory;
            }
        }
        self.entries = self.entries.saturating_add(backing.len());
        resource.backing = backing;
        Answer::Ok
    }

    fn detach(&mut self, id: u32) -> Answer {
        let Some(resource) = self.resources.get_mut(&id) else { return Answer::InvalidResource };
        if resource.backing.is_empty() {
            return Answer::Unspecified;
        }
        self.entries = self.entries.saturating_sub(resource.backing.len());
        resource.detach();
        Answer::Ok
    }

    fn update_cursor(&mut self, id: u32, hot_x: u32, hot_y: u32, ram: &GuestRam) -> Answer {
        let hot = |value: u32| u8::try_from(value.min(CURSOR_SIDE_PX.saturating_sub(1)));
        let mut cursor = Cursor {
            visible: false,
            hot_x: hot(hot_x).unwrap_or(0),
            hot_y: hot(hot_y).unwrap_or(0),
        };
        if id != 0 {
            let Some(resource) = self.resources.get(&id) else { return Answer::InvalidResource };
            if resource.bounds() != sized(CURSOR_SIDE_PX, CURSOR_SIDE_PX) {
                return Answer::InvalidParameter;
            }
            cursor.visible = resource.has_picture();
            paint::paint_cursor(&self.surface, resource, ram);
        }
        self.cursor = cursor;
        self.news.cursor = Some(cursor);
        Answer::Ok
    }

    /// Does what a request asks and answers; errors only when there is no way to answer.
    fn control(&mut self, request: &mut Request<'_>, ram: &GuestRam) -> Result<(), DeviceError> {
        let message = read_message(request)?;
        let answer = match message.command {
            Command::GetDisplayInfo => Answer::DisplayInfo,
            Command::GetEdid { scanout: 0 } => Answer::Edid,
            Command::GetEdid { .. } => Answer::InvalidScanout,
            Command::ResourceCreate { resource, format, width, height } => {
                self.create(resource, format, width, height)
            }
            Command::ResourceUnref { resource } => self.unref(resource, ram),
            Command::SetScanout { rect, scanout, resource } => {
                self.set_scanout(rect, scanout, resource, ram)
            }
            Command::ResourceFlush { rect, resource } => self.flush(rect, resource, ram),
            Command::TransferToHost { rect, offset, resource } => {
                match self.resources.get_mut(&resource) {
                    None => Answer::InvalidResource,
                    Some(found) => {
                        if found.transfer(rect, offset) {
                            Answer::Ok
                        } else {
                            Answer::InvalidParameter
                        }
                    }
                }
            }
            Command::AttachBacking { resource, entries } => {
                self.attach(resource, entries, &mut request.reader, ram)
            }
            Command::DetachBacking { resource } => self.detach(resource),
            // The cursor's commands belong on the other queue.
            Command::UpdateCursor { .. } | Command::MoveCursor | Command::Unknown(_) => {
                Answer::Unspecified
            }
        };
        self.answer(&message, answer, request)
    }

    fn answer(
        &self,
        message: &Message,
        answer: Answer,
        request: &mut Request<'_>,
    ) -> Result<(), DeviceError> {
        let geometry = self.surface.geometry();
        let (width, height) = (geometry.width_px(), geometry.height_px());
        let mut body = Vec::new();
        match answer {
            Answer::DisplayInfo => {
                let one = protocol::display_one(width, height);
                body.extend(one);
                body.resize(one.len().saturating_mul(protocol::MAX_SCANOUTS), 0);
            }
            Answer::Edid => {
                let block = edid::edid(width, height);
                body.extend(u32::try_from(block.len()).unwrap_or(0).to_le_bytes());
                body.extend([0; 4]);
                body.extend(block);
                body.resize(protocol::EDID_ROOM_BYTES.saturating_add(8), 0);
            }
            _ => {}
        }
        let room = request.writer.available_bytes();
        let (head, body) = if room < protocol::HEADER_BYTES.saturating_add(body.len()) {
            (message.answer(Answer::InvalidParameter), Vec::new())
        } else {
            (message.answer(answer), body)
        };
        request.writer.write_all(&head).map_err(|_| DeviceError::Malformed)?;
        request.writer.write_all(&body).map_err(|_| DeviceError::Malformed)
    }

    /// The cursor's queue has no answers (virtio 1.2, 5.7.6.10 gives none a driver waits for).
    fn cursor(&mut self, request: &mut Request<'_>, ram: &GuestRam) -> Result<(), DeviceError> {
        if let Command::UpdateCursor { resource, hot_x, hot_y } = read_message(request)?.command {
            self.update_cursor(resource, hot_x, hot_y, ram);
        }
        Ok(())
    }
}

fn read_message(request: &mut Request<'_>) -> Result<Message, DeviceError> {
    let mut bytes = [0; protocol::REQUEST_BYTES];
    // Entries of an attach follow the fixed part, which must not be read past.
    let head = bytes.get_mut(..protocol::HEADER_BYTES).ok_or(DeviceError::Malformed)?;
    request.reader.read_exact(head).map_err(|_| DeviceError::Malformed)?;
    let wanted = protocol::body_bytes(head).min(request.reader.available_bytes());
    let end = protocol::HEADER_BYTES.saturating_add(wanted);
    let body = bytes.get_mut(protocol::HEADER_BYTES..end).ok_or(DeviceError::Malformed)?;
    request.reader.read_exact(body).map_err(|_| DeviceError::Malformed)?;
    bytes.get(..end).and_then(Message::parse).ok_or(DeviceError::Malformed)
}

impl Device for Gpu {
    fn device_type(&self) -> u32 {
        16
    }

    fn features(&self) -> u64 {
        FEATURE_EDID
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[MAX_QUEUE_SIZE, 16]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        let mut config = [0; 16];
        // events_read, events_clear, num_scanouts, num_capsets
        let words = [self.events, 0, 1, 0];
        for (slot, byte) in config.iter_mut().zip(words.into_iter().flat_map(u32::to_le_bytes)) {
            *slot = byte;
        }
        read_bytes(&config, offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        if let (4, Ok(bytes)) = (offset, <[u8; 4]>::try_from(data)) {
            self.events &= !u32::from_le_bytes(bytes);
        }
    }

    fn process(
        &mut self,
        index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        self.copied_bytes = 0;
        for _ in 0..MAX_REQUESTS_PER_TURN {
            if self.copied_bytes > MAX_COPY_PER_TURN_BYTES {
                break;
            }
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            if index == CONTROL_QUEUE {
                self.control(&mut request, ram)?;
            } else {
                self.cursor(&mut request, ram)?;
            }
            requests::give_back(queue, ram, request.head, request.writer.bytes_written())?;
            progress.used = true;
        }
        progress.more = true;
        Ok(progress)
    }

    fn reset(&mut self) {
        self.resources.clear();
        self.entries = 0;
        self.events = 0;
        if self.scanout.take().is_some() {
            self.surface.clear();
            self.news.scanout = Some((0, 0));
            self.damage(self.surface_bounds());
        }
        if self.cursor.visible {
            self.cursor = Cursor::default();
            self.news.cursor = Some(self.cursor);
        }
    }
}

#[cfg(test)]
mod tests;
