//! Files of memory are mostly holes. Here are the stretches of one that hold anything, and a writer
//! that leaves out pages of zeroes, so that a snapshot takes the room and the time of what a guest
//! has used, and not of what it was given.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// Bytes of a page: what is left out is a whole one.
pub const PAGE_BYTES: usize = 4096;

/// A stretch of a file that is no hole, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Where it starts.
    pub start: u64,
    /// How long it is; never 0.
    pub bytes: u64,
}

/// The first stretch at or behind `from` and before `end`; `None` if all of that is a hole. Where a
/// file system knows no holes it is all that is left.
///
/// # Errors
/// The errno of `lseek`.
pub fn data(file: &File, from: u64, end: u64) -> io::Result<Option<Extent>> {
    if from >= end {
        return Ok(None);
    }
    let start = match seek(file, SeekFrom::Data(from)) {
        Ok(start) => start,
        // Nothing but a hole up to the end of the file (lseek(2)).
        Err(Errno::NXIO) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    if start >= end {
        return Ok(None);
    }
    let hole = match seek(file, SeekFrom::Hole(start)) {
        Ok(hole) => hole.min(end),
        Err(Errno::NXIO) => end,
        Err(errno) => return Err(errno.into()),
    };
    let bytes = hole.saturating_sub(start);
    // A file that somebody empties meanwhile has no stretch here.
    Ok((bytes > 0).then_some(Extent { start, bytes }))
}

/// Writes `bytes`, which begin at `offset` of a file without anything there yet, but for whole pages
/// of zeroes.
///
/// # Errors
/// Of writing.
pub fn put_page_runs(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let zero = |page: &[u8]| page.iter().all(|byte| *byte == 0);
    let mut rest = bytes;
    let mut at = offset;
    while !rest.is_empty() {
        let pages = || rest.chunks(PAGE_BYTES);
        let skipped: usize = pages().take_while(|page| zero(page)).map(<[u8]>::len).sum();
        let (_, behind) = rest.split_at_checked(skipped).unwrap_or((rest, &[]));
        let run: usize =
            behind.chunks(PAGE_BYTES).take_while(|page| !zero(page)).map(<[u8]>::len).sum();
        let (run, left) = behind.split_at_checked(run).unwrap_or((behind, &[]));
        at = at.saturating_add(length(skipped));
        file.write_all_at(run, at)?;
        at = at.saturating_add(length(run.len()));
        rest = left;
    }
    Ok(())
}

pub(crate) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(file: &File) -> Vec<u8> {
        let mut all = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut all, 0).unwrap();
        all
    }

    fn extents(file: &File) -> Vec<Extent> {
        let end = file.metadata().unwrap().len();
        let (mut at, mut all) = (0, Vec::new());
        while let Some(extent) = data(file, at, end).unwrap() {
            at = extent.start + extent.bytes;
            all.push(extent);
        }
        all
    }

    #[test]
    fn a_file_of_nothing_has_no_stretch() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 20).unwrap();
        assert_eq!(extents(&file), []);
        assert_eq!(data(&file, 2 << 20, 1 << 20).unwrap(), None);
    }

    proptest! {
        #[test]
        fn what_is_put_is_read_back_and_zero_pages_take_no_room(
            pages in prop::collection::vec(prop::option::of(1u8..), 1..40),
            first in 0u64..4,
        ) {
            use std::os::unix::fs::MetadataExt;
            let bytes: Vec<u8> =
                pages.iter().flat_map(|page| vec![page.unwrap_or(0); PAGE_BYTES]).collect();
            let file = tempfile::tempfile().unwrap();
            let offset = first * PAGE_BYTES as u64;
            file.set_len(offset + bytes.len() as u64).unwrap();
            put_page_runs(&file, &bytes, offset).unwrap();
            prop_assert_eq!(&read(&file)[offset as usize..], &bytes[..]);
            let full = pages.iter().filter(|page| page.is_some()).count() as u64;
            prop_assert!(file.metadata().unwrap().blocks() * 512 <= full * PAGE_BYTES as u64);
            let there = |at: u64| extents(&file).iter().any(|e| (e.start..e.start + e.bytes).contains(&at));
            for (page, value) in pages.iter().enumerate() {
                if value.is_some() {
                    prop_assert!(there(offset + (page * PAGE_BYTES) as u64));
                }
            }
        }
    }
}
