//! Shared memory that a guest's process writes and the compositor reads: the only room of this
//! crate with unsafe code. The writer is taken as hostile: it may change any byte at any time,
//! so nothing is read but through volatile or opaque access, and no value read is ever an index.

#![allow(unsafe_code)]

use std::ffi::c_void;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use thiserror::Error;

use crate::theme;

/// Width and height of a cursor image in pixels, as virtio-gpu fixes them.
pub const CURSOR_SIDE: u32 = 64;
/// Bytes of a cursor image.
pub const CURSOR_BYTES: u64 = 4 * 64 * 64;
/// The largest surface: a guest's mode comes from Tabard, so this bounds Tabard's own mistakes.
const MAX_TOTAL_BYTES: u64 = 1 << 30;

/// From this many bytes on, a row is stored past the caches.
const STREAM_BYTES: usize = 8192;

/// Where things are in a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SurfaceShape {
    /// Width in pixels, at least 1.
    pub width_px: u32,
    /// Height in pixels, at least 1.
    pub height_px: u32,
    /// Bytes from one row to the next: a multiple of 4, at least 4 a pixel.
    pub stride_bytes: u32,
    /// Where the cursor image of [`CURSOR_BYTES`] begins: a multiple of 4, after the picture.
    pub cursor_offset_bytes: u64,
    /// Size of the whole in bytes, at most 1 GiB.
    pub total_bytes: u64,
}

/// Why a surface could not be made.
#[derive(Debug, Error)]
pub enum SurfaceError {
    /// The parts do not fit into the whole.
    #[error("Surface of {0:?} does not fit together")]
    Shape(SurfaceShape),
    /// The system refused a step.
    #[error("Could not {step} shared memory of {total_bytes} bytes")]
    System {
        /// What was tried.
        step: &'static str,
        /// The size.
        total_bytes: u64,
        /// Its reason.
        source: rustix::io::Errno,
    },
}

impl SurfaceShape {
    /// A shape of this size with the least stride and the cursor right behind the picture; `None`
    /// if it would be empty or larger than 1 GiB.
    #[must_use]
    pub fn packed(width_px: u32, height_px: u32) -> Option<Self> {
        let stride_bytes = width_px.checked_mul(4)?;
        let cursor_offset_bytes = u64::from(stride_bytes).checked_mul(u64::from(height_px))?;
        let total_bytes = cursor_offset_bytes.checked_add(CURSOR_BYTES)?;
        let shape = Self { width_px, height_px, stride_bytes, cursor_offset_bytes, total_bytes };
        shape.fits().then_some(shape)
    }

    fn fits(&self) -> bool {
        let row = u64::from(self.width_px).saturating_mul(4);
        let picture = u64::from(self.stride_bytes).saturating_mul(u64::from(self.height_px));
        let cursor_end = self.cursor_offset_bytes.saturating_add(CURSOR_BYTES);
        self.width_px > 0
            && self.height_px > 0
            && self.stride_bytes.is_multiple_of(4)
            && self.cursor_offset_bytes.is_multiple_of(4)
            && u64::from(self.stride_bytes) >= row
            && self.cursor_offset_bytes >= picture
            && cursor_end <= self.total_bytes
            && self.total_bytes <= MAX_TOTAL_BYTES
    }
}

/// A read-only mapping of shared memory of fixed size.
#[derive(Debug)]
pub struct Surface {
    base: NonNull<u8>,
    length: usize,
    shape: SurfaceShape,
    id: u64,
}

// SAFETY: the mapping stays until `drop`, is never written through, and is read only by volatile
// or opaque access, which holds from any thread.
unsafe impl Send for Surface {}
// SAFETY: as above; there is no state but the mapping and constants.
unsafe impl Sync for Surface {}

impl Surface {
    /// Makes sealed shared memory, maps it read-only, and returns the map and the descriptor for
    /// the guest's process. The seals keep its size: a truncated one would raise SIGBUS here.
    ///
    /// # Errors
    ///
    /// [`SurfaceError::Shape`] if the parts do not fit, [`SurfaceError::System`] if the system
    /// has no memory or descriptor left.
    pub fn create(shape: SurfaceShape) -> Result<(Arc<Self>, OwnedFd), SurfaceError> {
        if !shape.fits() {
            return Err(SurfaceError::Shape(shape));
        }
        let length = usize::try_from(shape.total_bytes).map_err(|_| SurfaceError::Shape(shape))?;
        let refuse = |step| {
            move |source| SurfaceError::System { step, total_bytes: shape.total_bytes, source }
        };
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create(c"tabard-surface", flags).map_err(refuse("create"))?;
        // All of it now: memory that is short is found here, not by a fault while a frame is made.
        fallocate(&memory, FallocateFlags::empty(), 0, shape.total_bytes)
            .map_err(refuse("allocate"))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&memory, seals).map_err(refuse("seal"))?;
        // SAFETY: a fresh mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            mmap(std::ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, &memory, 0)
        }
        .map_err(refuse("map"))?;
        let base = NonNull::new(base.cast::<u8>()).ok_or(SurfaceError::Shape(shape))?;
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok((Arc::new(Self { base, length, shape, id }), memory))
    }

    /// A number that no other surface of this process has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Copies pixels of row `y` from column `x` on; returns how many there were. What lies
    /// beyond the surface is left as it is.
    pub fn copy_row(&self, y: u32, x: u32, into: &mut [u32]) -> usize {
        let shape = &self.shape;
        let left = shape.width_px.saturating_sub(x) as usize;
        let count = if y < shape.height_px { left.min(into.len()) } else { 0 };
        let row = u64::from(shape.stride_bytes).saturating_mul(u64::from(y));
        let offset = row.saturating_add(u64::from(x).saturating_mul(4));
        self.copy(offset, into.get_mut(..count).unwrap_or_default())
    }

    /// Like [`Surface::copy_row`], with every pixel dimmed as in a window without focus.
    pub fn dim_row(&self, y: u32, x: u32, into: &mut [u32]) -> usize {
        let mut done = 0usize;
        // In pieces that are dimmed while they are still in the nearest cache.
        for piece in into.chunks_mut(1024) {
            let at = x.saturating_add(u32::try_from(done).unwrap_or(u32::MAX));
            let count = self.copy_row(y, at, piece);
            piece.iter_mut().take(count).for_each(|pixel| *pixel = theme::dim(*pixel));
            done = done.saturating_add(count);
        }
        done
    }

    /// The cursor image as it is now: 64x64 pixels, 0xAARRGGBB, colours premultiplied.
    #[must_use]
    pub fn cursor(&self) -> Vec<u32> {
        let mut pixels = vec![0; 64 * 64];
        self.copy(self.shape.cursor_offset_bytes, &mut pixels);
        pixels
    }

    /// Copies from `offset`, a multiple of 4; nothing unless all of it lies in the mapping.
    fn copy(&self, offset: u64, into: &mut [u32]) -> usize {
        let bytes = std::mem::size_of_val(into);
        let Ok(offset) = usize::try_from(offset) else { return 0 };
        let end = offset.saturating_add(bytes);
        if into.is_empty() || end > self.length {
            return 0;
        }
        // SAFETY: `offset + bytes <= length`, so the pointer stays inside the mapping.
        let source = unsafe { self.base.as_ptr().add(offset) };
        // SAFETY: `bytes` bytes can be read at `source` (just checked) and written at `into`
        // (its own size), and a read-only mapping overlaps no slice of ours.
        unsafe { copy_opaque(source, into.as_mut_ptr().cast::<u8>(), bytes) };
        into.len()
    }
}

impl Drop for Surface {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nobody else has it.
        // An error would mean a bad address; leaking is then the safest thing left.
        let _ = unsafe { munmap(self.base.as_ptr().cast::<c_void>(), self.length) };
    }
}

/// Copies bytes that another process may be writing. The compiler sees neither the loads nor
/// their number, so it can neither repeat nor invent one.
///
/// # Safety
///
/// `bytes` bytes must be readable at `source` and writable at `target`, and not overlap.
unsafe fn copy_opaque(source: *const u8, target: *mut u8, bytes: usize) {
    // Long rows belong to a picture that is larger than the caches: storing past them saves
    // reading the target first.
    let aligned = target.addr().is_multiple_of(16);
    let streamed = if aligned && bytes >= STREAM_BYTES { bytes & !63 } else { 0 };
    if streamed > 0 {
        // SAFETY: the caller vouches for both ranges, of which this is the first `streamed`
        // bytes, a positive multiple of 64; the target is aligned to 16. SSE2 is part of x86-64.
        unsafe {
            std::arch::asm!(
                "2:",
                "prefetchnta [rsi + 512]",
                "movdqu {a}, [rsi]",
                "movdqu {b}, [rsi + 16]",
                "movdqu {c}, [rsi + 32]",
                "movdqu {d}, [rsi + 48]",
                "movntdq [rdi], {a}",
                "movntdq [rdi + 16], {b}",
                "movntdq [rdi + 32], {c}",
                "movntdq [rdi + 48], {d}",
                "add rsi, 64",
                "add rdi, 64",
                "sub rcx, 64",
                "jnz 2b",
                "sfence",
                a = out(xmm_reg) _,
                b = out(xmm_reg) _,
                c = out(xmm_reg) _,
                d = out(xmm_reg) _,
                inout("rcx") streamed => _,
                inout("rsi") source => _,
                inout("rdi") target => _,
                options(nostack)
            );
        }
    }
    // SAFETY: `streamed <= bytes`, so the rest of both ranges is what the caller vouches for;
    // the direction flag is clear by the ABI.
    unsafe {
        std::arch::asm!(
            "rep movsb",
            inout("rcx") bytes.saturating_sub(streamed) => _,
            inout("rsi") source.wrapping_add(streamed) => _,
            inout("rdi") target.wrapping_add(streamed) => _,
            options(nostack, preserves_flags)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    fn surface(width: u32, height: u32) -> (Arc<Surface>, File) {
        let shape = SurfaceShape::packed(width, height).unwrap();
        let (surface, memory) = Surface::create(shape).unwrap();
        (surface, File::from(memory))
    }

    #[test]
    fn reads_what_the_other_side_wrote() {
        let (surface, memory) = surface(5, 3);
        memory.write_all_at(&0x0012_3456u32.to_le_bytes(), (5 + 4) * 4).unwrap();

        let mut row = [7; 4];
        let count = surface.copy_row(1, 3, &mut row);

        assert_eq!((count, row), (2, [0, 0x0012_3456, 7, 7]));
    }

    #[test]
    fn reads_nothing_outside() {
        let (surface, _memory) = surface(5, 3);
        for (y, x) in [(3, 0), (0, 5), (u32::MAX, u32::MAX)] {
            assert_eq!(surface.copy_row(y, x, &mut [0; 8]), 0);
        }
    }

    #[test]
    fn cannot_be_resized_by_its_writer() {
        let (_surface, memory) = surface(5, 3);
        assert!(memory.set_len(0).is_err());
        assert!(memory.set_len(1 << 20).is_err());
    }

    #[test]
    fn dimmed_rows_are_darker() {
        let (surface, memory) = surface(1, 1);
        memory.write_all_at(&0x00ff_ffffu32.to_le_bytes(), 0).unwrap();
        let mut row = [0];
        surface.dim_row(0, 0, &mut row);
        assert_eq!(row[0], theme::dim(0x00ff_ffff));
        assert!(row[0] & 0xff < 0x90);
    }

    #[test]
    fn refuses_shapes_that_do_not_fit() {
        let good = SurfaceShape::packed(8, 8).unwrap();
        for bad in [
            SurfaceShape { stride_bytes: 28, ..good },
            SurfaceShape { cursor_offset_bytes: 128, ..good },
            SurfaceShape { total_bytes: good.total_bytes - 1, ..good },
            SurfaceShape { width_px: 0, ..good },
        ] {
            assert!(matches!(Surface::create(bad), Err(SurfaceError::Shape(_))));
        }
        assert_eq!(SurfaceShape::packed(u32::MAX, u32::MAX), None);
    }

    #[test]
    fn cursor_lies_behind_the_picture() {
        let (surface, memory) = surface(2, 2);
        let offset = surface.shape.cursor_offset_bytes;
        memory.write_all_at(&0xff00_00ffu32.to_le_bytes(), offset + 4 * 65).unwrap();
        assert_eq!(surface.cursor()[65], 0xff00_00ff);
    }
}
