//! The bytes of virtio-gpu 2D (virtio 1.2, 5.7.6): requests read from a guest, answers written
//! to it. Nothing is believed here; a field is only taken from its place.

use tabard_wire::Rect;

/// Bytes of the header of every request and answer.
pub const HEADER_BYTES: usize = 24;
/// Bytes of the longest request that is read whole, header included.
pub const REQUEST_BYTES: usize = 56;
/// Bytes of one `virtio_gpu_mem_entry`.
pub const ENTRY_BYTES: usize = 16;
/// Displays in an answer to `GET_DISPLAY_INFO`.
pub const MAX_SCANOUTS: usize = 16;
/// Bytes reserved for an EDID in an answer.
pub const EDID_ROOM_BYTES: usize = 1024;

const FLAG_FENCE: u32 = 1;

/// Codes of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Answer {
    /// Done.
    Ok = 0x1100,
    /// Done; display info follows.
    DisplayInfo = 0x1101,
    /// Done; an EDID follows.
    Edid = 0x1104,
    /// Refused for a reason without a code of its own.
    Unspecified = 0x1200,
    /// A limit of this device.
    OutOfMemory = 0x1201,
    /// There is one scanout, number 0.
    InvalidScanout = 0x1202,
    /// No such resource, or it exists already.
    InvalidResource = 0x1203,
    /// A number that makes no sense.
    InvalidParameter = 0x1205,
}

/// A request as the guest wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Which displays are there, and how large?
    GetDisplayInfo,
    /// Make a resource.
    ResourceCreate {
        /// Its name.
        resource: u32,
        /// Format of its pixels.
        format: u32,
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Forget a resource.
    ResourceUnref {
        /// Its name.
        resource: u32,
    },
    /// Show a part of a resource.
    SetScanout {
        /// The part.
        rect: Rect,
        /// Which display.
        scanout: u32,
        /// Which resource; 0 for none.
        resource: u32,
    },
    /// Show what was transferred.
    ResourceFlush {
        /// The part.
        rect: Rect,
        /// Which resource.
        resource: u32,
    },
    /// Take pixels from the backing.
    TransferToHost {
        /// The part.
        rect: Rect,
        /// Where it starts in the backing, in bytes.
        offset: u64,
        /// Which resource.
        resource: u32,
    },
    /// Say where a resource's pixels are.
    AttachBacking {
        /// Which resource.
        resource: u32,
        /// How many memory entries follow.
        entries: u32,
    },
    /// Take the backing away.
    DetachBacking {
        /// Which resource.
        resource: u32,
    },
    /// Describe a display.
    GetEdid {
        /// Which display.
        scanout: u32,
    },
    /// Change the image of the cursor.
    UpdateCursor {
        /// Which resource; 0 for none.
        resource: u32,
        /// Hot spot in pixels from the left.
        hot_x: u32,
        /// Hot spot in pixels from the top.
        hot_y: u32,
    },
    /// Move the cursor. `tabard` draws it where the pointer is, so the place is not read.
    MoveCursor,
    /// Anything else.
    Unknown(u32),
}

/// A request with its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// What is asked.
    pub command: Command,
    flags: u32,
    fence: u64,
    context: u32,
    ring: u8,
}

/// Takes fields from the front of a buffer; what is missing reads as zero.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let Some((field, rest)) = self.0.split_first_chunk::<N>() else {
            self.0 = &[];
            return [0; N];
        };
        self.0 = rest;
        *field
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take())
    }

    fn rect(&mut self) -> Rect {
        Rect { x: self.u32(), y: self.u32(), width: self.u32(), height: self.u32() }
    }
}

impl Message {
    /// Reads a request. Fewer bytes than the kind needs make it [`Command::Unknown`], which is
    /// answered by an error; `None` if not even the header is there.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER_BYTES {
            return None;
        }
        let mut fields = Fields(bytes);
        let kind = fields.u32();
        let (flags, fence, context) = (fields.u32(), fields.u64(), fields.u32());
        let [ring, _, _, _] = fields.take::<4>();
        let command = if fields.0.len() < body_length(kind) {
            Command::Unknown(kind)
        } else {
            body(kind, &mut fields)
        };
        Some(Self { command, flags, fence, context, ring })
    }

    /// The header of the answer; a fence is signalled by it (virtio 1.2, 5.7.6.7).
    #[must_use]
    pub fn answer(&self, answer: Answer) -> [u8; HEADER_BYTES] {
        let fenced = self.flags & FLAG_FENCE != 0;
        let mut bytes = [0; HEADER_BYTES];
        let fields = (answer as u32)
            .to_le_bytes()
            .into_iter()
            .chain((self.flags & FLAG_FENCE).to_le_bytes())
            .chain(if fenced { self.fence } else { 0 }.to_le_bytes())
            .chain(if fenced { self.context } else { 0 }.to_le_bytes())
            .chain([if fenced { self.ring } else { 0 }, 0, 0, 0]);
        for (slot, byte) in bytes.iter_mut().zip(fields) {
            *slot = byte;
        }
        bytes
    }
}

/// Bytes that follow the header `head` in the fixed part of a request; 0 for an unknown kind.
#[must_use]
pub fn body_bytes(head: &[u8]) -> usize {
    body_length(Fields(head).u32())
}

fn body_length(kind: u32) -> usize {
    match kind {
        0x102 | 0x106 | 0x107 | 0x10a => 8,
        0x101 => 16,
        0x103 | 0x104 => 24,
        0x105 | 0x300 | 0x301 => 32,
        _ => 0,
    }
}

fn body(kind: u32, fields: &mut Fields<'_>) -> Command {
    match kind {
        0x100 => Command::GetDisplayInfo,
        0x101 => Command::ResourceCreate {
            resource: fields.u32(),
            format: fields.u32(),
            width: fields.u32(),
            height: fields.u32(),
        },
        0x102 => Command::ResourceUnref { resource: fields.u32() },
        0x103 => Command::SetScanout {
            rect: fields.rect(),
            scanout: fields.u32(),
            resource: fields.u32(),
        },
        0x104 => Command::ResourceFlush { rect: fields.rect(), resource: fields.u32() },
        0x105 => Command::TransferToHost {
            rect: fields.rect(),
            offset: fields.u64(),
            resource: fields.u32(),
        },
        0x106 => Command::AttachBacking { resource: fields.u32(), entries: fields.u32() },
        0x107 => Command::DetachBacking { resource: fields.u32() },
        0x10a => Command::GetEdid { scanout: fields.u32() },
        0x300 => {
            let _position: [u8; 16] = fields.take();
            Command::UpdateCursor {
                resource: fields.u32(),
                hot_x: fields.u32(),
                hot_y: fields.u32(),
            }
        }
        0x301 => Command::MoveCursor,
        other => Command::Unknown(other),
    }
}

/// Address and length of one `virtio_gpu_mem_entry`.
#[must_use]
pub fn entry(bytes: &[u8; ENTRY_BYTES]) -> (u64, u32) {
    let mut fields = Fields(bytes);
    (fields.u64(), fields.u32())
}

/// The first display's `virtio_gpu_display_one`, 24 bytes; the others stay zero.
#[must_use]
pub fn display_one(width: u32, height: u32) -> [u8; 24] {
    let mut bytes = [0; 24];
    let words = [0, 0, width, height, 1, 0];
    for (slot, byte) in bytes.iter_mut().zip(words.into_iter().flat_map(u32::to_le_bytes)) {
        *slot = byte;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_cut_short_is_unknown() {
        let mut bytes = [0; HEADER_BYTES + 15];
        bytes[..4].copy_from_slice(&0x101u32.to_le_bytes());
        assert_eq!(Message::parse(&bytes).unwrap().command, Command::Unknown(0x101));
    }

    #[test]
    fn less_than_a_header_is_nothing() {
        assert_eq!(Message::parse(&[0; HEADER_BYTES - 1]), None);
    }

    #[test]
    fn a_fence_is_given_back() {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&0x100u32.to_le_bytes());
        bytes[4] = 1;
        bytes[8..16].copy_from_slice(&77u64.to_le_bytes());
        let answer = Message::parse(&bytes).unwrap().answer(Answer::Ok);
        assert_eq!(answer[..4], 0x1100u32.to_le_bytes());
        assert_eq!(answer[4], 1);
        assert_eq!(answer[8..16], 77u64.to_le_bytes());
    }
}
