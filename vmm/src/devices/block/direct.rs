//! Reads a file straight into the pieces of guest memory that a request names: no copy of ours in
//! between, so a large read costs what the host's own copy costs.

use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use vm_memory::volatile_memory::PtrGuardMut;
use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::image::Image;
use crate::memory::GuestRam;

/// Most pieces of one `preadv` (`IOV_MAX`).
const MAX_PIECES: usize = 1024;

/// Fills the first `bytes` bytes of `room` from `offset` of the file; `false` if the file cannot be
/// read into this room. The caller has checked that the file has them.
///
/// # Errors
/// Of the file; `InvalidInput` if the room is not in memory or is less than that.
pub(super) fn read(
    image: &Image,
    ram: &GuestRam,
    room: &[(GuestAddress, u32)],
    bytes: usize,
    offset: u64,
) -> io::Result<bool> {
    let pieces = pieces(ram, room, bytes)?;
    if !image.takes(offset, pieces.iter().map(|piece| (piece.as_ptr().addr(), piece.len()))) {
        return Ok(false);
    }
    let mut vectors: Vec<libc::iovec> = pieces
        .iter()
        .map(|piece| libc::iovec { iov_base: piece.as_ptr().cast(), iov_len: piece.len() })
        .collect();
    let mut from = offset;
    let mut first = 0usize;
    while let Some(rest) = vectors.get_mut(first..).filter(|rest| !rest.is_empty()) {
        let count = libc::c_int::try_from(rest.len().min(MAX_PIECES)).unwrap_or(libc::c_int::MAX);
        let at = libc::off_t::try_from(from).map_err(|_| ErrorKind::InvalidInput)?;
        // SAFETY: each vector is a part of a piece of guest memory that `pieces` keeps mapped, and
        // which the kernel may write whatever the guest does there meanwhile: nothing in this
        // process has a reference to it.
        let done = unsafe { libc::preadv(image.file.as_raw_fd(), rest.as_ptr(), count, at) };
        let mut done = match usize::try_from(done) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(done) => done,
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() == ErrorKind::Interrupted {
                    continue;
                }
                return Err(error);
            }
        };
        from = from.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        for vector in rest {
            if vector.iov_len > done {
                vector.iov_base = vector.iov_base.cast::<u8>().wrapping_add(done).cast();
                vector.iov_len = vector.iov_len.saturating_sub(done);
                break;
            }
            done = done.saturating_sub(vector.iov_len);
            first = first.saturating_add(1);
        }
    }
    Ok(true)
}

/// The first `bytes` bytes of the room, as stretches of this process's memory; none is empty.
fn pieces(
    ram: &GuestRam,
    room: &[(GuestAddress, u32)],
    bytes: usize,
) -> io::Result<Vec<PtrGuardMut>> {
    let mut pieces = Vec::with_capacity(room.len());
    let mut left = bytes;
    for (address, length) in room {
        let length = usize::try_from(*length).unwrap_or(usize::MAX).min(left);
        for slice in ram.get_slices(*address, length) {
            let slice = slice.map_err(|_| ErrorKind::InvalidInput)?;
            if !slice.is_empty() {
                pieces.push(slice.ptr_guard_mut());
            }
        }
        left = left.saturating_sub(length);
    }
    if left == 0 { Ok(pieces) } else { Err(ErrorKind::InvalidInput.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use vm_memory::Bytes;

    use super::*;
    use crate::memory::allocate;

    fn file() -> Image {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..8192u32).map(|at| (at / 3) as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        Image::new(file).unwrap()
    }

    #[test]
    fn pieces_are_filled_in_their_order_and_not_beyond() {
        let ram = allocate(16).unwrap();
        let room = [(GuestAddress(100), 512), (GuestAddress(9000), 0), (GuestAddress(5000), 600)];

        read(&file(), &ram, &room, 1024, 512).unwrap();

        let mut found = vec![0; 1112];
        ram.read_slice(&mut found[..512], GuestAddress(100)).unwrap();
        ram.read_slice(&mut found[512..], GuestAddress(5000)).unwrap();
        let wanted: Vec<u8> = (512..1536u32).map(|at| (at / 3) as u8).collect();
        assert_eq!(found[..1024], wanted);
        assert_eq!(found[1024..], [0; 88]);
    }

    #[test]
    fn room_that_is_too_small_or_outside_of_memory_is_refused() {
        let ram = allocate(16).unwrap();
        for room in [(GuestAddress(0), 511), (GuestAddress((16 << 20) - 8), 512)] {
            let refused = read(&file(), &ram, &[room], 512, 0).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidInput);
        }
    }

    #[test]
    fn a_file_that_is_shorter_than_it_was_is_an_error() {
        let ram = allocate(16).unwrap();
        let refused = read(&file(), &ram, &[(GuestAddress(0), 4096)], 4096, 6000).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::UnexpectedEof);
    }
}
