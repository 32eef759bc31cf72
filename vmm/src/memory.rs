//! Guest memory: private anonymous pages with a hole below 4 GiB for devices. `tabard` never
//! maps it.

use std::fs::File;
use std::io;

use rustix::fs::fstat;
use rustix::mm::{Advice, madvise};
use vm_memory::{
    FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion,
    GuestRegionMmap, MemoryRegionAddress, MmapRegion,
    mmap::{FromRangesError, MmapRegionBuilder, MmapRegionError},
};

/// The guest's memory; clones share the same pages.
pub type GuestRam = GuestMemoryMmap<()>;

/// Where the hole for devices starts.
pub const HOLE_START: u64 = 0xc000_0000;
/// Where the hole ends and memory goes on.
pub const HOLE_END: u64 = 0x1_0000_0000;

const PAGE_BYTES: u64 = 4096;
const HUGE_PAGE_BYTES: usize = 2 << 20;
/// Smaller gaps that are filled before the guest's memory is where it is wanted.
const MAX_TRIES: usize = 32;

/// Bytes of a MiB.
pub const MIB: u64 = 1 << 20;

/// Why guest memory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The host has not enough of it.
    #[error("Guest memory cannot be mapped")]
    Map(#[from] FromRangesError),
}

impl MemoryError {
    /// The errno behind the error, 0 if there is none.
    #[must_use]
    pub fn errno(&self) -> u64 {
        let Self::Map(FromRangesError::MmapRegion(MmapRegionError::Mmap(error))) = self else {
            return 0;
        };
        error.raw_os_error().and_then(|raw| u64::try_from(raw).ok()).unwrap_or(0)
    }
}

/// Address and length of each stretch of memory, in bytes, for a machine of `mib` MiB.
#[must_use]
pub fn ranges(mib: u32) -> Vec<(u64, u64)> {
    let bytes = u64::from(mib).saturating_mul(MIB);
    let low = bytes.min(HOLE_START);
    let high = bytes.saturating_sub(low);
    let mut ranges = vec![(0, low)];
    if high > 0 {
        ranges.push((HOLE_END, high));
    }
    ranges
}

/// Zeroed memory of `mib` MiB. Pages are taken from the host when the guest first touches them.
///
/// # Errors
/// `Map` if the host refuses.
pub fn allocate(mib: u32) -> Result<GuestRam, MemoryError> {
    let mut regions = Vec::new();
    for (start, bytes) in ranges(mib) {
        let mapped = aligned(usize::try_from(bytes).unwrap_or(usize::MAX));
        let region = mapped.map_err(FromRangesError::MmapRegion)?;
        let region = GuestRegionMmap::new(region, GuestAddress(start));
        regions.push(region.ok_or(FromRangesError::InvalidGuestRegion)?);
    }
    let ram = GuestRam::from_regions(regions).map_err(|_| FromRangesError::InvalidGuestRegion)?;
    ram.iter().for_each(prefer_huge_pages);
    Ok(ram)
}

/// A mapping that begins with a huge page, where the guest's begin too: only then can one of the host
/// stand behind one of the guest. The kernel fills its gaps from above, so what is too much is taken
/// first, until the next mapping comes to the right place. Should it never, it is only slower: newer
/// kernels see to whole huge pages themselves.
fn aligned(bytes: usize) -> Result<MmapRegion, MmapRegionError> {
    let mut too_much: Vec<MmapRegion> = Vec::new();
    for _ in 0..MAX_TRIES {
        let region = MmapRegion::new(bytes)?;
        let over = region.as_ptr().addr() & HUGE_PAGE_BYTES.saturating_sub(1);
        if over == 0 {
            return Ok(region);
        }
        drop(region);
        too_much.push(MmapRegionBuilder::new(over).with_mmap_prot(libc::PROT_NONE).build()?);
    }
    MmapRegion::new(bytes)
}

/// Where everything is in memory that is a file: a machine of so many MiB, and at the upper end of
/// what is below the hole a picture that the guest's memory map leaves out.
#[derive(Debug)]
pub struct Layout {
    mib: u32,
    /// Bytes of the picture, whole pages; 0 for none.
    picture_bytes: u64,
}

impl Layout {
    /// A layout; a picture that does not fit is left out.
    #[must_use]
    pub fn new(mib: u32, picture_bytes: u64) -> Self {
        let whole = picture_bytes.checked_next_multiple_of(PAGE_BYTES).unwrap_or(0);
        let low = ranges(mib).first().map_or(0, |(_, bytes)| *bytes);
        Self { mib, picture_bytes: if whole < low { whole } else { 0 } }
    }

    /// Start in the guest, bytes, and start in the file, of each stretch.
    #[must_use]
    pub fn ranges(&self) -> Vec<(u64, u64, u64)> {
        let mut offset = 0u64;
        let mut placed = Vec::new();
        for (start, bytes) in ranges(self.mib) {
            placed.push((start, bytes, offset));
            offset = offset.saturating_add(bytes);
        }
        placed
    }

    /// Address and place in the file of the picture.
    #[must_use]
    pub fn picture(&self) -> Option<(u64, u64)> {
        let (start, bytes, offset) = *self.ranges().first()?;
        let before = bytes.saturating_sub(self.picture_bytes);
        let there = (start.saturating_add(before), offset.saturating_add(before));
        (self.picture_bytes > 0).then_some(there)
    }

    /// Maps the file, shared with whoever else has it, but for the picture.
    ///
    /// # Errors
    /// `Map` if the host refuses.
    pub fn map(&self, file: &File) -> Result<GuestRam, MemoryError> {
        let failed = |error| MemoryError::Map(FromRangesError::MmapRegion(error));
        let mut regions = Vec::new();
        for (start, bytes, offset) in self.ranges() {
            let bytes = if start == 0 { bytes.saturating_sub(self.picture_bytes) } else { bytes };
            let file = file.try_clone().map_err(|error| failed(MmapRegionError::Mmap(error)))?;
            let length = usize::try_from(bytes).unwrap_or(usize::MAX);
            regions.push((GuestAddress(start), length, Some(FileOffset::new(file, offset))));
        }
        Ok(GuestRam::from_ranges_with_files(regions)?)
    }
}

/// Asks for 2 MiB pages: a guest that touches its memory for the first time faults 512 times less
/// often. A host that has none gives small ones.
fn prefer_huge_pages(region: &impl GuestMemoryRegion) {
    let length = usize::try_from(region.len()).unwrap_or(0);
    if let Ok(base) = region.get_host_address(MemoryRegionAddress(0)) {
        // SAFETY: base and length are of a mapping that lives as long as the region, and advice
        // about page size changes none of its bytes.
        let _ignored = unsafe { madvise(base.cast(), length, Advice::LinuxHugepage) };
    }
}

/// The length of a file that came over the wire, in bytes. `File::metadata` would do for tests
/// only: its system call names a path too, which the jail does not allow.
///
/// # Errors
/// The errno of `fstat`.
pub fn file_bytes(file: &File) -> io::Result<u64> {
    Ok(u64::try_from(fstat(file)?.st_size).unwrap_or(0))
}

/// Where memory below the hole ends.
#[must_use]
pub fn low_end(ram: &GuestRam) -> u64 {
    ram.iter().next().map_or(0, GuestMemoryRegion::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_memory_is_one_range() {
        assert_eq!(ranges(64), vec![(0, 64 * MIB)]);
    }

    #[test]
    fn memory_skips_the_hole() {
        assert_eq!(ranges(4096), vec![(0, HOLE_START), (HOLE_END, 1024 * MIB)]);
    }

    #[test]
    fn a_picture_is_cut_off_below_the_hole() {
        let layout = Layout::new(4096, 5000);
        assert_eq!(layout.picture(), Some((HOLE_START - 8192, HOLE_START - 8192)));
        assert_eq!(layout.ranges()[1], (HOLE_END, 1024 * MIB, HOLE_START));
        let file = tempfile::tempfile().unwrap();
        file.set_len(32 * MIB).unwrap();
        let ram = Layout::new(32, 5000).map(&file).unwrap();
        assert_eq!(low_end(&ram), 32 * MIB - 8192);
    }

    /// In a process of its own, as a guest has: other tests would map and unmap meanwhile.
    #[test]
    fn huge_pages_of_host_and_guest_begin_together() {
        let mut alone = std::process::Command::new(std::env::current_exe().unwrap());
        alone.args(["--ignored", "--exact", "memory::tests::huge_pages_begin_together_alone"]);
        let output = alone.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{said}");
    }

    #[test]
    #[ignore = "run by the test before"]
    fn huge_pages_begin_together_alone() {
        let small = || MmapRegion::<()>::new(4096).unwrap();
        for mib in [16, 17, 256, 4098] {
            let _crooked = small();
            for region in allocate(mib).unwrap().iter() {
                let host = region.get_host_address(MemoryRegionAddress(0)).unwrap().addr();
                assert_eq!(host % HUGE_PAGE_BYTES, 0, "{mib}");
            }
        }
    }

    #[test]
    fn fresh_memory_is_zero() {
        use vm_memory::Bytes;
        let ram = allocate(16).unwrap();
        let word: u64 = ram.read_obj(GuestAddress(16 * MIB - 8)).unwrap();
        assert_eq!(word, 0);
    }
}
