//! The bytes of a volume: an image, and for a disposable guest an overlay of what it wrote, which
//! never reaches the image. Everything here may wait for a disk, so it runs without the device's lock,
//! in several threads at once.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FallocateFlags, fallocate};

use super::image::Image;
use crate::memory::file_bytes;

/// What an overlay keeps together: the block of the file systems that guests use, so that most
/// writes need nothing of the image.
const CLUSTER_BYTES: u64 = 4096;
/// Zeroes written at once into an overlay, in bytes.
const ZEROES_BYTES: usize = 64 << 10;

/// An image with what belongs over it. The caller has checked that ranges lie in the image.
#[derive(Debug)]
pub(super) struct Disk {
    image: Image,
    overlay: Option<RwLock<Overlay>>,
}

impl Disk {
    /// The image, with an empty overlay if there is a file for one.
    ///
    /// # Errors
    /// When the file of the overlay cannot be emptied.
    pub(super) fn new(image: File, overlay: Option<File>) -> io::Result<Self> {
        Ok(Self {
            image: Image::new(image)?,
            overlay: overlay.map(Overlay::new).transpose()?.map(RwLock::new),
        })
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        match &self.overlay {
            None => self.image.read(buffer, offset),
            Some(overlay) => reads(overlay).read(&self.image, buffer, offset),
        }
    }

    /// The image, if all that is read comes from it.
    pub(super) fn image_alone(&self) -> Option<&Image> {
        self.overlay.is_none().then_some(&self.image)
    }

    pub(super) fn write(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        match &self.overlay {
            None => self.image.write(bytes, offset),
            Some(overlay) => writes(overlay).write(&self.image, bytes, offset),
        }
    }

    /// Returns once all that was written would survive a loss of power; an overlay survives
    /// nothing, by design.
    pub(super) fn flush(&self) -> io::Result<()> {
        if self.overlay.is_some() { Ok(()) } else { self.image.sync() }
    }

    /// Gives the room of a range back where that is possible: advice, so it never fails.
    pub(super) fn discard(&self, offset: u64, bytes: u64) {
        if self.overlay.is_none() {
            // A file that cannot have holes keeps its bytes.
            let _kept = self.image.clear(FallocateFlags::PUNCH_HOLE, offset, bytes, false);
        }
    }

    /// Makes a range read as zeroes, as a hole if that may be.
    pub(super) fn write_zeroes(&self, offset: u64, bytes: u64, hole: bool) -> io::Result<()> {
        let how = if hole { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
        if self.overlay.is_none() {
            return self.image.clear(how, offset, bytes, true);
        }
        let zeroes = vec![0; ZEROES_BYTES];
        let mut done = 0u64;
        while done < bytes {
            let left = usize::try_from(bytes.saturating_sub(done)).unwrap_or(usize::MAX);
            let step = zeroes.get(..left.min(ZEROES_BYTES)).unwrap_or(&zeroes);
            self.write(step, offset.saturating_add(done))?;
            done = done.saturating_add(length(step));
        }
        Ok(())
    }
}

fn reads(overlay: &RwLock<Overlay>) -> RwLockReadGuard<'_, Overlay> {
    overlay.read().unwrap_or_else(PoisonError::into_inner)
}

fn writes(overlay: &RwLock<Overlay>) -> RwLockWriteGuard<'_, Overlay> {
    overlay.write().unwrap_or_else(PoisonError::into_inner)
}

/// What was written over an image: clusters, in the order of their first write, in a file that
/// nobody else has.
#[derive(Debug)]
struct Overlay {
    file: File,
    /// Where the cluster of this number in the image is in the file, in clusters.
    places: BTreeMap<u64, u64>,
    /// Clusters that the file has room for. The file is sealed at this size by its owner, so that
    /// no guest takes more memory than its desk file says.
    room: u64,
}

impl Overlay {
    fn new(file: File) -> io::Result<Self> {
        let bytes = file_bytes(&file)?;
        if bytes > 0 {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            fallocate(&file, hole, 0, bytes)?;
        }
        Ok(Self { file, places: BTreeMap::new(), room: bytes / CLUSTER_BYTES })
    }

    fn read(&self, image: &Image, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (place, bytes) = self.run(at, length(rest));
            let split = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(split);
            match place {
                Some(place) => self.file.read_exact_at(now, place)?,
                None => image.read(now, at)?,
            }
            at = at.saturating_add(bytes);
            rest = later;
        }
        Ok(())
    }

    /// The stretch from `at`, of at most `most` bytes, that lies together: in the overlay at the
    /// place that is returned, or in the image.
    fn run(&self, at: u64, most: u64) -> (Option<u64>, u64) {
        let cluster = at / CLUSTER_BYTES;
        let within = at % CLUSTER_BYTES;
        let mut bytes = CLUSTER_BYTES.saturating_sub(within);
        let Some(first) = self.places.get(&cluster) else {
            // All up to the next cluster that was written.
            let next = self.places.range(cluster..).next().map(|(next, _)| *next);
            let end = next.map_or(u64::MAX, |next| next.saturating_mul(CLUSTER_BYTES));
            return (None, most.min(end.saturating_sub(at)));
        };
        let mut ahead = 1u64;
        while bytes < most
            && self.places.get(&cluster.saturating_add(ahead)) == Some(&first.saturating_add(ahead))
        {
            bytes = bytes.saturating_add(CLUSTER_BYTES);
            ahead = ahead.saturating_add(1);
        }
        let place = first.saturating_mul(CLUSTER_BYTES).saturating_add(within);
        (Some(place), bytes.min(most))
    }

    fn write(&mut self, image: &Image, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = at % CLUSTER_BYTES;
            let step = CLUSTER_BYTES.saturating_sub(within).min(length(rest));
            let whole = step == CLUSTER_BYTES;
            let place = self.place_to_write(image, at / CLUSTER_BYTES, whole)?;
            let split = usize::try_from(step).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at(split);
            self.file.write_all_at(now, place.saturating_add(within))?;
            at = at.saturating_add(step);
            rest = later;
        }
        Ok(())
    }

    /// Where a cluster is, in bytes of the file; one that is new has the image's bytes unless all
    /// of it will be written.
    fn place_to_write(&mut self, image: &Image, cluster: u64, whole: bool) -> io::Result<u64> {
        if let Some(place) = self.places.get(&cluster) {
            return Ok(place.saturating_mul(CLUSTER_BYTES));
        }
        let next = u64::try_from(self.places.len()).unwrap_or(u64::MAX);
        if next >= self.room {
            return Err(ErrorKind::StorageFull.into());
        }
        let place = next.saturating_mul(CLUSTER_BYTES);
        if !whole {
            let mut old = vec![0; usize::try_from(CLUSTER_BYTES).unwrap_or(0)];
            let from = cluster.saturating_mul(CLUSTER_BYTES);
            // The image's last cluster may be a part of one.
            let there = file_bytes(&image.file)?.saturating_sub(from).min(CLUSTER_BYTES);
            let there = usize::try_from(there).unwrap_or(0);
            image.read(old.get_mut(..there).unwrap_or_default(), from)?;
            self.file.write_all_at(&old, place)?;
        }
        self.places.insert(cluster, next);
        Ok(place)
    }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IMAGE_BYTES: u64 = 10 * 4096 + 1024;

    fn image() -> (File, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        let bytes: Vec<u8> = (0..IMAGE_BYTES).map(|at| (at / 7) as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        (file, bytes)
    }

    fn room(clusters: u64) -> File {
        let file = tempfile::tempfile().unwrap();
        file.set_len(clusters * CLUSTER_BYTES).unwrap();
        file
    }

    fn all(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    proptest! {
        /// A disk with an overlay reads like a file that was written, and the image never changes.
        #[test]
        fn an_overlay_is_a_copy_that_leaves_the_image_alone(
            writes in prop::collection::vec((0..IMAGE_BYTES, 1..9000u64, any::<u8>()), 0..12),
            (from, bytes) in (0..IMAGE_BYTES, 1..20_000u64),
        ) {
            let (file, mut model) = image();
            let disk = Disk::new(file.try_clone().unwrap(), Some(room(11))).unwrap();
            for (at, bytes, value) in writes {
                let bytes = bytes.min(IMAGE_BYTES - at);
                let written = vec![value; bytes as usize];
                disk.write(&written, at).unwrap();
                model[at as usize..(at + bytes) as usize].copy_from_slice(&written);
            }
            let bytes = bytes.min(IMAGE_BYTES - from);
            let mut read = vec![0; bytes as usize];
            disk.read(&mut read, from).unwrap();
            prop_assert_eq!(&read[..], &model[from as usize..(from + bytes) as usize]);
            prop_assert_eq!(all(&file), image().1);
        }
    }

    #[test]
    fn an_overlay_that_is_full_refuses_and_keeps_what_it_has() {
        let (file, _) = image();
        let disk = Disk::new(file, Some(room(1))).unwrap();
        disk.write(&[9; 4096], 4096).unwrap();

        let refused = disk.write(&[9; 4096], 0).unwrap_err();

        assert_eq!(refused.kind(), ErrorKind::StorageFull);
        disk.write(&[8; 512], 4096).unwrap();
        let mut read = [0; 4096];
        disk.read(&mut read, 4096).unwrap();
        assert_eq!((read[0], read[4095]), (8, 9));
    }

    #[test]
    fn a_new_disk_begins_with_an_empty_overlay() {
        let (file, bytes) = image();
        let overlay = room(2);
        let disk = |overlay: &File| {
            Disk::new(file.try_clone().unwrap(), Some(overlay.try_clone().unwrap())).unwrap()
        };
        disk(&overlay).write(&[9; 4096], 0).unwrap();

        let again = disk(&overlay);

        let mut read = vec![1; 4096];
        again.read(&mut read, 0).unwrap();
        assert_eq!(read, bytes[..4096]);
        assert_eq!(all(&overlay), vec![0; 8192]);
    }

    #[test]
    fn zeroes_read_back_with_an_overlay_and_without() {
        for overlay in [None, Some(room(11))] {
            let (file, bytes) = image();
            let disk = Disk::new(file, overlay).unwrap();
            for (at, hole) in [(512, true), (8192, false)] {
                disk.write_zeroes(at, 1024, hole).unwrap();
                let mut read = vec![1; 2048];
                disk.read(&mut read, at).unwrap();
                assert_eq!(read[..1024], [0; 1024]);
                assert_eq!(read[1024..], bytes[at as usize + 1024..][..1024]);
            }
        }
    }
}
