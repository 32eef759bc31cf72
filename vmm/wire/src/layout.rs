//! The geometry of a shared surface: pixels first, then the guest's cursor image.

use std::ops::RangeInclusive;

use crate::DecodeError;

/// Smallest width or height of a surface, in pixels.
pub const MIN_SIDE_PX: u32 = 16;
/// Largest width or height of a surface, in pixels; keeps every product inside 32 bits.
pub const MAX_SIDE_PX: u32 = 8192;
/// Width and height of a cursor image, in pixels (virtio-gpu allows exactly this size).
pub const CURSOR_SIDE_PX: u32 = 64;
/// Bytes of a cursor image: 64 x 64 pixels, 4 bytes each, premultiplied `B G R A` in memory.
pub const CURSOR_BYTES: u64 = 64 * 64 * 4;

/// Bytes of the buffer for the frames of a guest's agent: the longest frame (a header and 64 KiB).
pub const AGENT_BUFFER_BYTES: u32 = 65_536 + 8;

/// The length of a frame, checked.
pub(crate) fn agent_bytes(bytes: u32) -> Result<u32, DecodeError> {
    within(bytes, 1..=AGENT_BUFFER_BYTES, "agent frame")
}

/// A number that must be in a range.
pub(crate) fn within<T: PartialOrd>(
    number: T,
    range: RangeInclusive<T>,
    field: &'static str,
) -> Result<T, DecodeError> {
    if range.contains(&number) { Ok(number) } else { Err(DecodeError::Range(field)) }
}

/// Size of a shared surface. `tabard` chooses it; the memfd holds `stride_bytes * height` bytes
/// of pixels (`B G R X` in memory, so `0xXXRRGGBB` as a little-endian `u32`) padded to the next
/// 4096, then [`CURSOR_BYTES`] of cursor image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SurfaceGeometry {
    width_px: u32,
    height_px: u32,
}

impl SurfaceGeometry {
    /// A surface of this size.
    ///
    /// # Errors
    /// `Range` if a side is outside [`MIN_SIDE_PX`]`..=`[`MAX_SIDE_PX`].
    pub fn new(width_px: u32, height_px: u32) -> Result<Self, DecodeError> {
        let sides = MIN_SIDE_PX..=MAX_SIDE_PX;
        within(width_px, sides.clone(), "width")?;
        within(height_px, sides, "height")?;
        Ok(Self { width_px, height_px })
    }

    /// Width in pixels.
    #[must_use]
    pub fn width_px(self) -> u32 {
        self.width_px
    }

    /// Height in pixels.
    #[must_use]
    pub fn height_px(self) -> u32 {
        self.height_px
    }

    /// Bytes from one row to the next; a multiple of 64 so that rows start on cache lines.
    #[must_use]
    pub fn stride_bytes(self) -> u32 {
        self.width_px.saturating_mul(4).next_multiple_of(64)
    }

    /// Where the cursor image starts, in bytes from the start of the memfd.
    #[must_use]
    pub fn cursor_offset_bytes(self) -> u64 {
        u64::from(self.stride_bytes())
            .saturating_mul(u64::from(self.height_px))
            .next_multiple_of(4096)
    }

    /// Length of the whole memfd in bytes.
    #[must_use]
    pub fn total_bytes(self) -> u64 {
        self.cursor_offset_bytes().saturating_add(CURSOR_BYTES)
    }
}

/// A rectangle of surface pixels; `FromVmm::Damage` guarantees that it lies inside the surface
/// limits, not inside any one surface: clip it before use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge, pixels from the surface's left.
    pub x: u32,
    /// Top edge, pixels from the surface's top.
    pub y: u32,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}
