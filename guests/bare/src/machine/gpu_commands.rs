//! The words of virtio-gpu commands (virtio 1.2, 5.7.6.7), 2D only. All fields are 32 bits wide
//! but for addresses and offsets, which are two of them, low word first.

pub(super) const RESP_OK_NODATA: u32 = 0x1100;
pub(super) const RESP_OK_DISPLAY_INFO: u32 = 0x1101;
/// Words of the longest answer: the display info of 16 scanouts.
pub(super) const RESPONSE_WORDS: usize = HEADER_WORDS + 16 * 6;
/// Words of the header that every command and answer starts with.
pub(super) const HEADER_WORDS: usize = 6;
/// Words of the longest command.
pub(super) const COMMAND_WORDS: usize = 14;

/// `VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM`.
pub(super) const FORMAT_BGRA: u32 = 1;
/// `VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM`.
pub(super) const FORMAT_BGRX: u32 = 2;

/// X, Y, width, height in pixels.
pub(super) type Area = [u32; 4];

/// One command, ready to be sent.
#[derive(Clone, Copy)]
pub(super) struct Command {
    words: [u32; COMMAND_WORDS],
    len: usize,
}

impl Command {
    fn new(kind: u32, body: &[u32]) -> Self {
        let mut words = [0; COMMAND_WORDS];
        words[0] = kind;
        words[HEADER_WORDS..HEADER_WORDS + body.len()].copy_from_slice(body);
        Self { words, len: HEADER_WORDS + body.len() }
    }

    /// The command as the device reads it.
    pub(super) fn words(&self) -> &[u32] {
        &self.words[..self.len]
    }

    pub(super) fn get_display_info() -> Self {
        Self::new(0x100, &[])
    }

    pub(super) fn resource_create(resource: u32, format: u32, width: u32, height: u32) -> Self {
        Self::new(0x101, &[resource, format, width, height])
    }

    pub(super) fn resource_unref(resource: u32) -> Self {
        Self::new(0x102, &[resource, 0])
    }

    pub(super) fn set_scanout(resource: u32, [x, y, width, height]: Area) -> Self {
        Self::new(0x103, &[x, y, width, height, 0, resource])
    }

    pub(super) fn resource_flush(resource: u32, [x, y, width, height]: Area) -> Self {
        Self::new(0x104, &[x, y, width, height, resource, 0])
    }

    pub(super) fn transfer(resource: u32, [x, y, width, height]: Area, offset: u64) -> Self {
        let (low, high) = (offset as u32, (offset >> 32) as u32);
        Self::new(0x105, &[x, y, width, height, low, high, resource, 0])
    }

    pub(super) fn attach_backing(resource: u32, address: u64, bytes: u32) -> Self {
        let (low, high) = (address as u32, (address >> 32) as u32);
        Self::new(0x106, &[resource, 1, low, high, bytes, 0])
    }

    pub(super) fn update_cursor(resource: u32, hot: (u32, u32), at: (u32, u32)) -> Self {
        Self::new(0x300, &[0, at.0, at.1, 0, resource, hot.0, hot.1, 0])
    }

    pub(super) fn move_cursor(at: (u32, u32)) -> Self {
        Self::new(0x301, &[0, at.0, at.1, 0, 0, 0, 0, 0])
    }
}
