//! The `basic` display: a linear framebuffer in memory of its own, which a stock kernel draws into
//! from its first second without any module. KVM notes which pages were written; what they hold is
//! copied to the surface some thirty times a second.

use std::fs::File;

use kvm_bindings::{KVM_MEM_LOG_DIRTY_PAGES, kvm_userspace_memory_region};
use kvm_ioctls::VmFd;
use tabard_wire::{Rect, SurfaceGeometry};
use vm_memory::volatile_memory::VolatileMemory;
use vm_memory::{FileOffset, MmapRegion};

use crate::devices::gpu::News;
use crate::surface::{BYTES_PER_PIXEL, Surface};

/// Where it is in the guest's address space: in the hole below 4 GiB, below the devices.
pub const ADDRESS: u32 = 0xd000_0000;
/// How long a change may wait before it is copied, in milliseconds: two frames of a screen.
pub const PERIOD_MS: i32 = 33;

/// Number of its memory among KVM's; the guest's ordinary memory has the first.
const SLOT: u32 = 8;
const PAGE: usize = 4096;

/// What a kernel has to know about the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// Where it is in the guest's address space.
    pub address: u32,
    /// Width in pixels.
    pub width: u16,
    /// Height in pixels.
    pub height: u16,
    /// Bytes from one row to the next.
    pub stride_bytes: u16,
    /// Bytes of the whole picture.
    pub bytes: u32,
}

/// The framebuffer; its size never changes while the machine lives.
pub struct Framebuffer {
    region: MmapRegion<()>,
    mode: Mode,
    /// Whether the surface has none of the picture yet.
    whole: bool,
}

impl Framebuffer {
    /// A black picture of the surface's size, in memory of its own.
    ///
    /// # Errors
    /// If the memory cannot be had.
    pub fn new(geometry: SurfaceGeometry) -> std::io::Result<Self> {
        let bytes = usize::try_from(Self::bytes(geometry)).unwrap_or(usize::MAX);
        let region =
            MmapRegion::new(bytes.next_multiple_of(PAGE)).map_err(std::io::Error::other)?;
        Ok(Self { region, mode: mode(geometry, ADDRESS), whole: true })
    }

    /// A picture within the guest's memory: at `offset` of its file, `address` for the guest.
    ///
    /// # Errors
    /// If it cannot be mapped.
    pub fn within(
        file: File,
        offset: u64,
        address: u64,
        geometry: SurfaceGeometry,
    ) -> std::io::Result<Self> {
        let bytes = usize::try_from(Self::bytes(geometry)).unwrap_or(usize::MAX);
        let region = MmapRegion::from_file(FileOffset::new(file, offset), bytes)
            .map_err(std::io::Error::other)?;
        let address = u32::try_from(address).unwrap_or(0);
        Ok(Self { region, mode: mode(geometry, address), whole: true })
    }

    /// Bytes of a picture for a surface of this size.
    #[must_use]
    pub fn bytes(geometry: SurfaceGeometry) -> u64 {
        mode(geometry, 0).bytes.into()
    }

    /// What to tell the kernel.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Gives the memory to the guest.
    ///
    /// # Errors
    /// KVM's.
    pub fn map(&self, vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
        let region = kvm_userspace_memory_region {
            slot: SLOT,
            flags: KVM_MEM_LOG_DIRTY_PAGES,
            guest_phys_addr: ADDRESS.into(),
            memory_size: u64::try_from(self.region.size()).unwrap_or(0),
            userspace_addr: self.region.as_ptr() as u64,
        };
        // SAFETY: the mapping is private to this process, holds nothing but the guest's picture,
        // and `Machine` keeps it until after the last descriptor of the machine is closed.
        unsafe { vm.set_user_memory_region(region) }
    }

    /// Copies what differs from the surface: where nobody notes which pages were written.
    pub fn compare(&mut self, surface: &Surface) -> News {
        let geometry = surface.geometry();
        let width = u32::from(self.mode.width).min(geometry.width_px());
        let height = u32::from(self.mode.height).min(geometry.height_px());
        let scanout = std::mem::take(&mut self.whole).then_some((width, height));
        let bytes = usize::try_from(width.saturating_mul(BYTES_PER_PIXEL)).unwrap_or(0);
        let (mut theirs, mut ours) = (vec![0u8; bytes], vec![0u8; bytes]);
        let mut changed: Option<(u32, u32)> = None;
        for y in 0..height {
            let from = u64::from(y).saturating_mul(self.mode.stride_bytes.into());
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            let (Ok(from), Some(to)) =
                (self.region.get_slice(from, bytes), surface.row(0, y, width))
            else {
                continue;
            };
            from.copy_to(&mut theirs);
            to.copy_to(&mut ours);
            if theirs != ours {
                // What was compared is what is shown, whatever the guest writes meanwhile.
                to.copy_from(&theirs);
                changed = Some((changed.map_or(y, |(first, _)| first), y.saturating_add(1)));
            }
        }
        let damage = changed.or(scanout.map(|_| (0, height))).map(|(first, end)| Rect {
            x: 0,
            y: first,
            width,
            height: end.saturating_sub(first),
        });
        News { scanout, damage, ..News::default() }
    }

    /// The next [`Framebuffer::pull`] copies all: the surface is new.
    pub fn forget(&mut self) {
        self.whole = true;
    }

    /// Copies what was written since the last time, and says where that is.
    pub fn pull(&mut self, vm: &VmFd, surface: &Surface) -> News {
        // Asked even if all is copied: what was written before must not count later.
        let Ok(log) = vm.get_dirty_log(SLOT, self.region.size()) else { return News::default() };
        let geometry = surface.geometry();
        let width = u32::from(self.mode.width).min(geometry.width_px());
        let height = u32::from(self.mode.height).min(geometry.height_px());
        let whole = std::mem::take(&mut self.whole);
        let rows = if whole { Some((0, height)) } else { rows(&log, self.mode, height) };
        let scanout = whole.then_some((width, height));
        let Some((first, end)) = rows.filter(|(first, end)| first < end) else {
            return News { scanout, ..News::default() };
        };
        for y in first..end {
            let from = u64::from(y).saturating_mul(self.mode.stride_bytes.into());
            let bytes = usize::try_from(width.saturating_mul(BYTES_PER_PIXEL)).unwrap_or(0);
            let from = usize::try_from(from).unwrap_or(usize::MAX);
            if let (Ok(from), Some(to)) =
                (self.region.get_slice(from, bytes), surface.row(0, y, width))
            {
                // The guest may write meanwhile; then its own picture tears, and the next log has it.
                from.copy_to_volatile_slice(to);
            }
        }
        let damage = Rect { x: 0, y: first, width, height: end.saturating_sub(first) };
        News { scanout, damage: Some(damage), ..News::default() }
    }
}

fn mode(geometry: SurfaceGeometry, address: u32) -> Mode {
    let short = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    let stride = geometry.width_px().saturating_mul(BYTES_PER_PIXEL);
    Mode {
        address,
        width: short(geometry.width_px()),
        height: short(geometry.height_px()),
        stride_bytes: short(stride),
        bytes: stride.saturating_mul(geometry.height_px()),
    }
}

/// The rows from the first to after the last of which a page was written, below `height`.
fn rows(log: &[u64], mode: Mode, height: u32) -> Option<(u32, u32)> {
    let first = log.iter().position(|word| *word != 0)?;
    let last = log.iter().rposition(|word| *word != 0)?;
    let bit = |word: usize, bit: u32| {
        let page = u64::try_from(word).unwrap_or(0).saturating_mul(64).saturating_add(bit.into());
        page.saturating_mul(u64::try_from(PAGE).unwrap_or(0))
    };
    let start = bit(first, log.get(first)?.trailing_zeros());
    let end = bit(last, 64u32.saturating_sub(log.get(last)?.leading_zeros()));
    let stride = u64::from(mode.stride_bytes);
    let row = |row: u64| u32::try_from(row).unwrap_or(u32::MAX).min(height);
    let below = end.checked_next_multiple_of(stride)?;
    Some((row(start.checked_div(stride)?), row(below.checked_div(stride)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODE: Mode =
        Mode { address: 0, width: 512, height: 100, stride_bytes: 2048, bytes: 204_800 };

    #[test]
    fn nothing_written_is_no_row() {
        assert_eq!(rows(&[0, 0], MODE, 100), None);
    }

    #[test]
    fn a_page_is_the_rows_that_it_touches() {
        // A page has two rows of 2048 bytes.
        assert_eq!(rows(&[1 << 3], MODE, 100), Some((6, 8)));
        let odd = Mode { stride_bytes: 3000, ..MODE };
        // Bytes 4096 to 8192 are in the rows 1 and 2.
        assert_eq!(rows(&[1 << 1], odd, 100), Some((1, 3)));
    }

    #[test]
    fn all_between_the_first_and_the_last_page_is_copied() {
        assert_eq!(rows(&[1 << 2, 1 << 63], MODE, 1000), Some((4, 256)));
    }

    #[test]
    fn rows_end_where_the_surface_does() {
        assert_eq!(rows(&[u64::MAX], MODE, 100), Some((0, 100)));
        assert_eq!(rows(&[1 << 63], MODE, 100), Some((100, 100)));
    }
}
