//! The shared surface: a sealed memfd of `tabard`, mapped for writing. Nothing is mapped before
//! its seals and its size are checked, so that no access to it can ever raise SIGBUS.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::SealFlags;
use tabard_wire::{CURSOR_BYTES, SurfaceGeometry};
use vm_memory::volatile_memory::{VolatileMemory, VolatileSlice};
use vm_memory::{FileOffset, MmapRegion};

/// Bytes of one pixel, on the surface and in every format of virtio-gpu 2D.
pub const BYTES_PER_PIXEL: u32 = 4;

/// Why a descriptor is not a surface.
#[derive(Debug, thiserror::Error)]
pub enum SurfaceError {
    /// It has no seals: it is not a memfd.
    #[error("Seals cannot be read")]
    NoSeals(#[source] rustix::io::Errno),
    /// Someone could still change its size.
    #[error("Size is not sealed, seals are {0:?}")]
    Unsealed(SealFlags),
    /// The size cannot be read.
    #[error("Size cannot be read")]
    Stat(#[source] rustix::io::Errno),
    /// It is shorter than its geometry.
    #[error("Surface has {actual} bytes, its geometry needs {needed}")]
    Short {
        /// Bytes that it has.
        actual: u64,
        /// Bytes that the geometry needs.
        needed: u64,
    },
    /// It cannot be mapped.
    #[error("Surface cannot be mapped")]
    Map(#[source] vm_memory::mmap::MmapRegionError),
}

impl SurfaceError {
    /// The errno behind the error, 0 if there is none.
    #[must_use]
    pub fn errno(&self) -> u64 {
        let raw = match self {
            Self::NoSeals(errno) | Self::Stat(errno) => errno.raw_os_error(),
            Self::Map(vm_memory::mmap::MmapRegionError::Mmap(error)) => {
                error.raw_os_error().unwrap_or(0)
            }
            Self::Unsealed(_) | Self::Short { .. } | Self::Map(_) => 0,
        };
        u64::try_from(raw).unwrap_or(0)
    }
}

/// A mapped surface. Dropping it unmaps it.
#[derive(Debug)]
pub struct Surface {
    region: MmapRegion<()>,
    geometry: SurfaceGeometry,
    generation: u32,
}

impl Surface {
    /// Checks the memfd and maps it.
    ///
    /// # Errors
    /// Any [`SurfaceError`]; nothing stays mapped.
    pub fn map(
        fd: OwnedFd,
        generation: u32,
        geometry: SurfaceGeometry,
    ) -> Result<Self, SurfaceError> {
        let seals = rustix::fs::fcntl_get_seals(&fd).map_err(SurfaceError::NoSeals)?;
        if !seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL) {
            return Err(SurfaceError::Unsealed(seals));
        }
        let stat = rustix::fs::fstat(&fd).map_err(SurfaceError::Stat)?;
        let (actual, needed) = (u64::try_from(stat.st_size).unwrap_or(0), geometry.total_bytes());
        let size = usize::try_from(needed).ok().filter(|_| actual >= needed);
        let size = size.ok_or(SurfaceError::Short { actual, needed })?;
        let file = FileOffset::new(File::from(fd), 0);
        // Every page is drawn into soon: taking all at once is cheaper than a fault for each.
        let flags = libc::MAP_SHARED | libc::MAP_NORESERVE | libc::MAP_POPULATE;
        let region = MmapRegion::build(Some(file), size, libc::PROT_READ | libc::PROT_WRITE, flags)
            .map_err(SurfaceError::Map)?;
        Ok(Self { region, geometry, generation })
    }

    /// The number that names this surface on the wire.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Its size.
    #[must_use]
    pub fn geometry(&self) -> SurfaceGeometry {
        self.geometry
    }

    /// `width` pixels of row `y` from column `x`; `None` if they are not all on the surface.
    #[must_use]
    pub fn row(&self, x: u32, y: u32, width: u32) -> Option<VolatileSlice<'_>> {
        let end = u64::from(x).saturating_add(u64::from(width));
        if y >= self.geometry.height_px() || end > u64::from(self.geometry.width_px()) {
            return None;
        }
        let row_start = u64::from(y).checked_mul(u64::from(self.geometry.stride_bytes()))?;
        let offset = row_start.checked_add(u64::from(x).checked_mul(BYTES_PER_PIXEL.into())?)?;
        let length = u64::from(width).checked_mul(BYTES_PER_PIXEL.into())?;
        self.region.get_slice(usize::try_from(offset).ok()?, usize::try_from(length).ok()?).ok()
    }

    /// The cursor image.
    #[must_use]
    pub fn cursor(&self) -> Option<VolatileSlice<'_>> {
        let offset = usize::try_from(self.geometry.cursor_offset_bytes()).ok()?;
        self.region.get_slice(offset, usize::try_from(CURSOR_BYTES).ok()?).ok()
    }

    /// Makes every pixel black. The cursor image stays.
    pub fn clear(&self) {
        const ZEROS: [u8; 4096] = [0; 4096];
        for y in 0..self.geometry.height_px() {
            let mut rest = self.row(0, y, self.geometry.width_px());
            while let Some(slice) = rest.take().filter(|slice| !slice.is_empty()) {
                let step = slice.len().min(ZEROS.len());
                slice.copy_from(&ZEROS);
                rest = slice.offset(step).ok();
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, fcntl_add_seals, ftruncate, memfd_create};

    fn memfd(bytes: u64, seals: SealFlags) -> OwnedFd {
        let fd = memfd_create("surface", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&fd, bytes).unwrap();
        fcntl_add_seals(&fd, seals).unwrap();
        fd
    }

    const ALL: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW).union(SealFlags::SEAL);

    pub(crate) fn surface(generation: u32, width: u32, height: u32) -> Surface {
        let geometry = SurfaceGeometry::new(width, height).unwrap();
        Surface::map(memfd(geometry.total_bytes(), ALL), generation, geometry).unwrap()
    }

    #[test]
    fn a_memfd_that_can_shrink_is_refused() {
        let geometry = SurfaceGeometry::new(16, 16).unwrap();
        let fd = memfd(geometry.total_bytes(), SealFlags::GROW | SealFlags::SEAL);
        assert!(matches!(Surface::map(fd, 1, geometry), Err(SurfaceError::Unsealed(_))));
    }

    #[test]
    fn a_short_memfd_is_refused() {
        let geometry = SurfaceGeometry::new(16, 16).unwrap();
        let fd = memfd(geometry.total_bytes() - 1, ALL);
        assert!(matches!(Surface::map(fd, 1, geometry), Err(SurfaceError::Short { .. })));
    }

    #[test]
    fn a_file_that_is_no_memfd_is_refused() {
        let geometry = SurfaceGeometry::new(16, 16).unwrap();
        let fd = OwnedFd::from(File::open("/dev/null").unwrap());
        assert!(matches!(Surface::map(fd, 1, geometry), Err(SurfaceError::NoSeals(_))));
    }

    #[test]
    fn a_row_outside_is_refused() {
        let surface = surface(1, 20, 16);
        assert!(surface.row(0, 15, 20).is_some());
        assert!(surface.row(1, 15, 20).is_none());
        assert!(surface.row(0, 16, 1).is_none());
    }

    #[test]
    fn clearing_reaches_the_last_pixel() {
        let surface = surface(1, 1500, 16);
        surface.row(1499, 15, 1).unwrap().copy_from(&[1u8; 4]);
        surface.clear();
        let mut pixel = [9u8; 4];
        surface.row(1499, 15, 1).unwrap().copy_to(&mut pixel);
        assert_eq!(pixel, [0; 4]);
    }
}
