//! Resources and the guest pages behind them. No copy of the pixels is kept: a flush reads the
//! guest's own pages.

use tabard_wire::Rect;
use vm_memory::volatile_memory::VolatileSlice;
use vm_memory::{GuestAddress, GuestMemoryBackend};

pub(super) mod snapshot;

use super::format::Format;
use crate::memory::GuestRam;
use crate::rect::{contains, is_empty, sized, union};
use crate::surface::BYTES_PER_PIXEL;

/// Largest side of a resource in pixels. Larger than any surface, small enough that no product
/// of two sides and four bytes leaves 64 bits by far.
pub const MAX_RESOURCE_SIDE_PX: u32 = 16384;

/// A stretch of guest memory that holds a part of a resource.
#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Where the part starts in the resource, in bytes.
    start: u64,
    address: u64,
    bytes: u64,
}

impl Entry {
    fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes)
    }
}

/// Where a resource's bytes are in guest memory.
#[derive(Debug, Default)]
pub struct Backing {
    entries: Vec<Entry>,
    bytes: u64,
}

impl Backing {
    /// Adds a stretch; `false` if it is empty or not wholly in guest memory.
    #[must_use]
    pub fn push(&mut self, ram: &GuestRam, address: u64, bytes: u32) -> bool {
        let length = usize::try_from(bytes).unwrap_or(usize::MAX);
        if bytes == 0 || GuestMemoryBackend::get_slice(ram, GuestAddress(address), length).is_err()
        {
            return false;
        }
        let bytes = u64::from(bytes);
        // Neighbours become one, so that a framebuffer in one piece is one entry.
        match self.entries.last_mut() {
            Some(last) if last.address.checked_add(last.bytes) == Some(address) => {
                last.bytes = last.bytes.saturating_add(bytes);
            }
            _ => self.entries.push(Entry { start: self.bytes, address, bytes }),
        }
        self.bytes = self.bytes.saturating_add(bytes);
        true
    }

    /// How many entries are held after merging.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is behind the resource.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether `bytes` from `offset` are all there.
    #[must_use]
    pub fn covers(&self, offset: u64, bytes: u64) -> bool {
        offset.checked_add(bytes).is_some_and(|end| end <= self.bytes)
    }

    /// Shows `length` bytes from `offset` piece by piece to `visit`, which gets the place of the
    /// piece relative to `offset`. Pieces that are not in memory are left out.
    pub fn pieces<'a>(
        &self,
        ram: &'a GuestRam,
        offset: u64,
        length: u64,
        mut visit: impl FnMut(usize, VolatileSlice<'a>),
    ) {
        let end = offset.saturating_add(length);
        let first = self.entries.partition_point(|entry| entry.end() <= offset);
        for entry in self.entries.iter().skip(first).take_while(|entry| entry.start < end) {
            let from = entry.start.max(offset);
            let bytes = entry.end().min(end).saturating_sub(from);
            let address = entry.address.saturating_add(from.saturating_sub(entry.start));
            let place = usize::try_from(from.saturating_sub(offset));
            let (Ok(place), Ok(bytes)) = (place, usize::try_from(bytes)) else { return };
            if let Ok(slice) = GuestMemoryBackend::get_slice(ram, GuestAddress(address), bytes) {
                visit(place, slice);
            }
        }
    }
}

/// A 2D resource.
#[derive(Debug)]
pub struct Resource {
    width: u32,
    height: u32,
    format: Format,
    /// Where its pixels are.
    pub backing: Backing,
    /// Around all that the guest ever transferred; the rest has no picture.
    transferred: Rect,
    /// Around what it transferred and has not flushed yet.
    pending: Rect,
}

impl Resource {
    /// A resource without backing; `None` for a format or size that does not exist.
    #[must_use]
    pub fn new(format: u32, width: u32, height: u32) -> Option<Self> {
        let sides = 1..=MAX_RESOURCE_SIDE_PX;
        if !sides.contains(&width) || !sides.contains(&height) {
            return None;
        }
        Some(Self {
            width,
            height,
            format: Format::from_code(format)?,
            backing: Backing::default(),
            transferred: Rect::default(),
            pending: Rect::default(),
        })
    }

    /// Format of its pixels.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// All of it.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        sized(self.width, self.height)
    }

    /// Bytes from one row to the next.
    #[must_use]
    pub fn stride_bytes(&self) -> u64 {
        u64::from(self.width).saturating_mul(BYTES_PER_PIXEL.into())
    }

    /// Where a pixel is in the backing, in bytes.
    #[must_use]
    pub fn offset_of(&self, x: u32, y: u32) -> u64 {
        u64::from(y)
            .saturating_mul(self.stride_bytes())
            .saturating_add(u64::from(x).saturating_mul(BYTES_PER_PIXEL.into()))
    }

    /// Remembers a transfer. `false` if the rectangle leaves the resource, the bytes leave the
    /// backing, or `offset` is not where the rectangle is in the backing: with no copy in
    /// between, pixels cannot move on their way.
    #[must_use]
    pub fn transfer(&mut self, rect: Rect, offset: u64) -> bool {
        if !contains(self.bounds(), rect) || offset != self.offset_of(rect.x, rect.y) {
            return false;
        }
        let rows = u64::from(rect.height).saturating_sub(1).saturating_mul(self.stride_bytes());
        let row = u64::from(rect.width).saturating_mul(BYTES_PER_PIXEL.into());
        if !self.backing.covers(offset, rows.saturating_add(row)) {
            return false;
        }
        self.transferred = union(self.transferred, rect);
        self.pending = union(self.pending, rect);
        true
    }

    /// What the guest ever transferred.
    #[must_use]
    pub fn transferred(&self) -> Rect {
        self.transferred
    }

    /// Shows everything transferred at the next flush again (after a change of scanout).
    pub fn touch(&mut self) {
        self.pending = self.transferred;
    }

    /// What a flush of `rect` has to copy; what it covers is then no longer pending.
    pub fn flush(&mut self, rect: Rect) -> Option<Rect> {
        let part = crate::rect::intersect(rect, self.pending)?;
        if part == self.pending {
            self.pending = Rect::default();
        }
        Some(part)
    }

    /// Takes the backing away; nothing of it is shown any more.
    pub fn detach(&mut self) {
        self.backing = Backing::default();
        self.transferred = Rect::default();
        self.pending = Rect::default();
    }

    /// Whether anything was ever transferred.
    #[must_use]
    pub fn has_picture(&self) -> bool {
        !is_empty(self.transferred)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::allocate;
    use proptest::prelude::*;
    use vm_memory::Bytes;

    #[test]
    fn backing_outside_of_memory_is_refused() {
        let ram = allocate(16).unwrap();
        let mut backing = Backing::default();
        assert!(!backing.push(&ram, 16 << 20, 1));
        assert!(!backing.push(&ram, (16 << 20) - 1, 2));
        assert!(!backing.push(&ram, u64::MAX, u32::MAX));
        assert!(!backing.push(&ram, 0, 0));
        assert!(backing.is_empty());
    }

    #[test]
    fn neighbours_become_one_entry() {
        let ram = allocate(16).unwrap();
        let mut backing = Backing::default();
        assert!(backing.push(&ram, 0x1000, 0x1000));
        assert!(backing.push(&ram, 0x2000, 0x1000));
        assert!(backing.push(&ram, 0x1000, 0x1000));
        assert_eq!(backing.len(), 2);
    }

    #[test]
    fn a_side_of_zero_or_too_many_is_refused() {
        assert!(Resource::new(1, 0, 10).is_none());
        assert!(Resource::new(1, 10, 0).is_none());
        assert!(Resource::new(1, 65535, 65535).is_none());
    }

    #[test]
    fn a_transfer_beyond_the_backing_is_refused() {
        let ram = allocate(16).unwrap();
        let mut resource = Resource::new(1, 16, 16).unwrap();
        assert!(resource.backing.push(&ram, 0, 16 * 16 * 4 - 1));
        assert!(!resource.transfer(sized(16, 16), 0));
        assert!(resource.transfer(sized(16, 15), 0));
    }

    #[test]
    fn a_flush_without_transfer_copies_nothing() {
        let mut resource = Resource::new(1, 16, 16).unwrap();
        assert_eq!(resource.flush(sized(16, 16)), None);
    }

    proptest! {
        #[test]
        fn pieces_are_the_bytes_in_order(
            cuts in proptest::collection::vec((0u64..4096, 1u32..64), 1..40),
            offset in 0u64..500,
            length in 0u64..500,
        ) {
            let ram = allocate(16).unwrap();
            let pattern: Vec<u8> = (0..8192u32).map(|at| (at * 7 % 251) as u8).collect();
            ram.write_slice(&pattern, GuestAddress(0)).unwrap();
            let mut backing = Backing::default();
            let mut whole = Vec::new();
            for (address, bytes) in cuts {
                prop_assert!(backing.push(&ram, address, bytes));
                whole.extend(&pattern[address as usize..address as usize + bytes as usize]);
            }
            let mut seen = vec![0; length as usize];
            let mut count = 0;
            backing.pieces(&ram, offset, length, |place, slice| {
                slice.copy_to(&mut seen[place..place + slice.len()]);
                count += slice.len();
            });
            let expected: Vec<u8> =
                whole.iter().skip(offset as usize).take(length as usize).copied().collect();
            prop_assert_eq!(count, expected.len());
            prop_assert_eq!(&seen[..count], &expected[..]);
        }
    }
}
