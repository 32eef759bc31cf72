//! The file of a volume. One that guests of more than one class reach was opened past the host's page
//! cache (`O_DIRECT`), in which one guest could see what another has read; such a file takes whole
//! blocks only, from memory that begins with one. What a guest asks for is widened to that here, and
//! nothing else in this program reads or writes the file of a volume.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock};

use rustix::fs::{FallocateFlags, OFlags, fallocate, fcntl_getfl};

/// What every file system and disk takes as a block: no disk has larger ones that Linux can use.
const BLOCK_BYTES: usize = 4096;
const BLOCK: u64 = 4096;
/// Zeroes written at once where a file cannot clear a range itself, in bytes.
const ZEROES_BYTES: usize = 64 << 10;

/// The file, and how it has to be read. The caller has checked that ranges lie in it.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) file: File,
    /// Whether it goes past the page cache.
    uncached: bool,
    /// Taken alone by who writes a part of a block, so that nobody changes the rest between reading
    /// and writing it; by other writers together.
    blocks: RwLock<()>,
    /// While a test holds it, the disk is too slow to sync.
    #[cfg(test)]
    pub(super) slow: std::sync::Arc<std::sync::Mutex<()>>,
}

impl Image {
    /// # Errors
    /// The errno of asking how the file was opened.
    pub(super) fn new(file: File) -> io::Result<Self> {
        let uncached = fcntl_getfl(&file)?.contains(OFlags::DIRECT);
        Ok(Self {
            file,
            uncached,
            blocks: RwLock::default(),
            #[cfg(test)]
            slow: std::sync::Arc::default(),
        })
    }

    /// Returns once all that was written would survive a loss of power.
    pub(super) fn sync(&self) -> io::Result<()> {
        #[cfg(test)]
        let _waited = self.slow.lock();
        self.file.sync_data()
    }

    /// Whether it can be read from here into memory that begins here.
    pub(super) fn takes(
        &self,
        offset: u64,
        mut pieces: impl Iterator<Item = (usize, usize)>,
    ) -> bool {
        let fits = |(start, bytes): (usize, usize)| {
            start.is_multiple_of(BLOCK_BYTES) && bytes.is_multiple_of(BLOCK_BYTES)
        };
        !self.uncached || (offset.is_multiple_of(BLOCK) && pieces.all(fits))
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if !self.uncached {
            return self.file.read_exact_at(buffer, offset);
        }
        let mut blocks = Blocks::around(offset, buffer.len())?;
        blocks.fill(&self.file, 0..blocks.bytes)?;
        buffer.copy_from_slice(blocks.asked()?);
        Ok(())
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if !self.uncached {
            return self.file.write_all_at(bytes, offset);
        }
        let mut blocks = Blocks::around(offset, bytes.len())?;
        let (_alone, _together);
        if blocks.bytes == bytes.len() {
            _together = self.blocks.read().unwrap_or_else(PoisonError::into_inner);
        } else {
            _alone = self.blocks.write().unwrap_or_else(PoisonError::into_inner);
            let last = blocks.bytes.saturating_sub(BLOCK_BYTES);
            blocks.fill(&self.file, 0..BLOCK_BYTES)?;
            blocks.fill(&self.file, last..blocks.bytes)?;
        }
        blocks.asked()?.copy_from_slice(bytes);
        let start = blocks.start;
        self.file.write_all_at(blocks.all(), start)
    }

    /// Clears a range: by the file system where it can, else, if it `must` be zero, by writing.
    pub(super) fn clear(
        &self,
        how: FallocateFlags,
        offset: u64,
        bytes: u64,
        must: bool,
    ) -> io::Result<()> {
        let end = offset.saturating_add(bytes);
        // A part of a block would be cleared in the page cache.
        let (from, to) = if self.uncached {
            (offset.next_multiple_of(BLOCK), end.saturating_sub(end % BLOCK))
        } else {
            (offset, end)
        };
        let cleared = from < to
            && fallocate(
                &self.file,
                how | FallocateFlags::KEEP_SIZE,
                from,
                to.saturating_sub(from),
            )
            .is_ok();
        match (must, cleared) {
            (false, _) => Ok(()),
            (true, true) => self.zero(offset..from).and_then(|()| self.zero(to..end)),
            (true, false) => self.zero(offset..end),
        }
    }

    fn zero(&self, range: std::ops::Range<u64>) -> io::Result<()> {
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end.saturating_sub(at)).unwrap_or(usize::MAX);
            let zeroes = vec![0; left.min(ZEROES_BYTES)];
            self.write(&zeroes, at)?;
            at = at.saturating_add(left.min(ZEROES_BYTES) as u64);
        }
        Ok(())
    }
}

/// Memory that begins with a block, for the whole blocks around a range.
struct Blocks {
    memory: Vec<u8>,
    /// Where the first block is in `memory`.
    first: usize,
    /// All of the blocks.
    bytes: usize,
    /// Where they are in the file.
    start: u64,
    /// Where in them the range is.
    asked: std::ops::Range<usize>,
}

impl Blocks {
    fn around(offset: u64, bytes: usize) -> io::Result<Self> {
        let before = usize::try_from(offset % BLOCK).unwrap_or(0);
        let end = before.checked_add(bytes).ok_or(ErrorKind::InvalidInput)?;
        let bytes = end.checked_next_multiple_of(BLOCK_BYTES).ok_or(ErrorKind::InvalidInput)?;
        let memory = room(bytes.saturating_add(BLOCK_BYTES))?;
        let first = memory.as_ptr().align_offset(BLOCK_BYTES);
        let start = offset.saturating_sub(offset % BLOCK);
        Ok(Self { memory, first, bytes, start, asked: before..end })
    }

    fn all(&mut self) -> &mut [u8] {
        self.memory
            .get_mut(self.first..)
            .and_then(|all| all.get_mut(..self.bytes))
            .unwrap_or_default()
    }

    fn asked(&mut self) -> io::Result<&mut [u8]> {
        let asked = self.asked.clone();
        self.all().get_mut(asked).ok_or_else(|| ErrorKind::InvalidInput.into())
    }

    /// Reads whole blocks of them.
    fn fill(&mut self, file: &File, part: std::ops::Range<usize>) -> io::Result<()> {
        let from = self.start.saturating_add(part.start as u64);
        let room = self.all().get_mut(part).ok_or(ErrorKind::InvalidInput)?;
        file.read_exact_at(room, from)
    }
}

/// Zeroes, or an error where this process may have no more memory: a guest that asks for much at once
/// loses its requests and not its life.
pub(super) fn room(bytes: usize) -> io::Result<Vec<u8>> {
    let mut room = Vec::new();
    room.try_reserve_exact(bytes).map_err(|_| ErrorKind::OutOfMemory)?;
    room.resize(bytes, 0);
    Ok(room)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::OpenOptionsExt;

    use proptest::prelude::*;
    use rustix::fs::{Advice, fadvise, fstatfs};
    use rustix::io::{Errno, ReadWriteFlags, preadv2};

    use super::*;

    const BYTES: usize = 6 * BLOCK_BYTES;

    fn pattern() -> Vec<u8> {
        (0..BYTES).map(|at| (at / 11) as u8).collect()
    }

    /// An image that goes past the page cache, and its file by another way.
    fn uncached() -> (Image, tempfile::NamedTempFile) {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().write_all_at(&pattern(), 0).unwrap();
        file.as_file().sync_all().unwrap();
        fadvise(file.as_file(), 0, None, Advice::DontNeed).unwrap();
        let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap();
        let mut options = File::options();
        let image = options.read(true).write(true).custom_flags(direct).open(file.path()).unwrap();
        (Image::new(image).unwrap(), file)
    }

    fn all(file: &tempfile::NamedTempFile) -> Vec<u8> {
        let mut bytes = vec![0; BYTES];
        file.as_file().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Whether the host has this block in its page cache.
    fn is_cached(file: &tempfile::NamedTempFile, block: u64) -> bool {
        let mut byte = [0];
        let mut room = [io::IoSliceMut::new(&mut byte)];
        let now = ReadWriteFlags::NOWAIT;
        preadv2(file.as_file(), &mut room, block * BLOCK, now) != Err(Errno::AGAIN)
    }

    #[test]
    fn what_is_read_and_written_leaves_nothing_in_the_page_cache() {
        let (image, file) = uncached();
        // Files in memory are all cache.
        if fstatfs(file.as_file()).unwrap().f_type == 0x0102_1994 {
            return;
        }
        image.read(&mut [0; 700], 300).unwrap();
        image.write(&[1; 5000], BLOCK * 2 + 512).unwrap();
        image.write(&[2; BLOCK_BYTES], BLOCK * 5).unwrap();
        image.clear(FallocateFlags::ZERO_RANGE, BLOCK * 3 + 512, BLOCK, true).unwrap();
        for block in 0..6 {
            assert!(!is_cached(&file, block), "{block}");
        }
        Image::new(file.reopen().unwrap()).unwrap().read(&mut [0; 700], 300).unwrap();
        assert!(is_cached(&file, 0), "the test sees nothing");
    }

    proptest! {
        #[test]
        fn ranges_that_are_no_blocks_are_read_written_and_cleared_as_they_are(
            steps in prop::collection::vec((0..BYTES, 1..9000usize, any::<u8>(), 0..4u8), 1..8),
        ) {
            let (image, file) = uncached();
            let mut model = pattern();
            for (at, bytes, value, kind) in steps {
                let bytes = bytes.min(BYTES - at);
                let (from, range) = (at as u64, at..at + bytes);
                let hole = FallocateFlags::PUNCH_HOLE;
                match kind {
                    0 => {
                        image.write(&vec![value; bytes], from).unwrap();
                        model[range].fill(value);
                    }
                    1 => {
                        image.clear(hole, from, bytes as u64, true).unwrap();
                        model[range].fill(0);
                    }
                    // What is only given back may read as it was.
                    2 => {
                        image.clear(hole, from, bytes as u64, false).unwrap();
                        let whole = range.start.next_multiple_of(4096)..range.end / 4096 * 4096;
                        if whole.start < whole.end {
                            model[whole].fill(0);
                        }
                    }
                    _ => {
                        let mut read = vec![0; bytes];
                        image.read(&mut read, from).unwrap();
                        prop_assert_eq!(&read, &model[range]);
                    }
                }
            }
            prop_assert_eq!(all(&file), model);
        }
    }

    #[test]
    fn neighbours_in_one_block_are_written_at_the_same_time_and_none_is_lost() {
        let (image, file) = uncached();
        std::thread::scope(|scope| {
            for part in 0..8u64 {
                let image = &image;
                scope.spawn(move || {
                    for count in 1..=20u8 {
                        image.write(&[count; 512], part * 512).unwrap();
                    }
                });
            }
        });
        assert_eq!(all(&file)[..BLOCK_BYTES], [20; BLOCK_BYTES]);
    }

    #[test]
    fn a_file_never_grows() {
        let (image, file) = uncached();
        file.as_file().set_len(BYTES as u64 - 512).unwrap();
        assert!(image.write(&[1; 512], BYTES as u64 - 1024).is_err());
        assert_eq!(file.as_file().metadata().unwrap().len(), BYTES as u64 - 512);
    }
}
