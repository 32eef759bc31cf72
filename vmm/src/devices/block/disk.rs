//! The bytes of a volume: an image, and for a disposable guest an overlay of what it wrote, which
//! never reaches the image. Everything here may wait for a disk, so it runs without the device's lock,
//! in several threads at once.

mod snapshot;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::fs::{FallocateFlags, fallocate};

pub(super) use self::snapshot::KeptOverlay;
use super::image::Image;
use crate::memory::file_bytes;

/// What an overlay keeps together: the block of the file systems that guests use, so that most
/// writes need nothing of the image.
const CLUSTER_BYTES: u64 = 4096;
/// Most clusters of an overlay that are known to be zero and take no room: their list does.
const MAX_ZEROED: usize = 1 << 20;

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
        // A file that cannot have holes keeps its bytes.
        let _kept = match &self.overlay {
            None => self.image.clear(FallocateFlags::PUNCH_HOLE, offset, bytes, false),
            Some(overlay) => writes(overlay).clear(&self.image, offset, bytes, false),
        };
    }

    /// Makes a range read as zeroes, as a hole if that may be.
    pub(super) fn write_zeroes(&self, offset: u64, bytes: u64, hole: bool) -> io::Result<()> {
        let how = if hole { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
        match &self.overlay {
            None => self.image.clear(how, offset, bytes, true),
            Some(overlay) => writes(overlay).clear(&self.image, offset, bytes, true),
        }
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
    /// Where the cluster of this number in the image is in the file, in clusters; nowhere, if it is
    /// zero.
    places: BTreeMap<u64, Option<u64>>,
    /// Clusters of the file that were in use and are not.
    free: Vec<u64>,
    /// Clusters of the file that were ever in use.
    used: u64,
    /// How many of the image are zero.
    zeroed: usize,
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
        let (places, free, room) = (BTreeMap::new(), Vec::new(), bytes / CLUSTER_BYTES);
        Ok(Self { file, places, free, used: 0, zeroed: 0, room })
    }

    fn read(&self, image: &Image, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let (place, bytes) = self.run(at, length(rest));
            let split = usize::try_from(bytes).unwrap_or(usize::MAX).min(rest.len());
            let (now, later) = rest.split_at_mut(split);
            match place {
                Place::Overlay(place) => self.file.read_exact_at(now, place)?,
                Place::Image => image.read(now, at)?,
                Place::Zero => now.fill(0),
            }
            at = at.saturating_add(bytes);
            rest = later;
        }
        Ok(())
    }

    /// The stretch from `at`, of at most `most` bytes, that lies together, and where.
    fn run(&self, at: u64, most: u64) -> (Place, u64) {
        let cluster = at / CLUSTER_BYTES;
        let within = at % CLUSTER_BYTES;
        let mut bytes = CLUSTER_BYTES.saturating_sub(within);
        let Some(first) = self.places.get(&cluster) else {
            // All up to the next cluster that was written.
            let next = self.places.range(cluster..).next().map(|(next, _)| *next);
            let end = next.map_or(u64::MAX, |next| next.saturating_mul(CLUSTER_BYTES));
            return (Place::Image, most.min(end.saturating_sub(at)));
        };
        let Some(first) = first else { return (Place::Zero, bytes.min(most)) };
        let mut ahead = 1u64;
        while bytes < most
            && self.places.get(&cluster.saturating_add(ahead))
                == Some(&Some(first.saturating_add(ahead)))
        {
            bytes = bytes.saturating_add(CLUSTER_BYTES);
            ahead = ahead.saturating_add(1);
        }
        let place = first.saturating_mul(CLUSTER_BYTES).saturating_add(within);
        (Place::Overlay(place), bytes.min(most))
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
        let known = self.places.get(&cluster).copied();
        if let Some(Some(place)) = known {
            return Ok(place.saturating_mul(CLUSTER_BYTES));
        }
        let next = match self.free.last() {
            Some(next) => *next,
            None if self.used < self.room => self.used,
            None => return Err(ErrorKind::StorageFull.into()),
        };
        let place = next.saturating_mul(CLUSTER_BYTES);
        if !whole {
            let mut old = vec![0; usize::try_from(CLUSTER_BYTES).unwrap_or(0)];
            if known.is_none() {
                let from = cluster.saturating_mul(CLUSTER_BYTES);
                // The image's last cluster may be a part of one.
                let there = file_bytes(&image.file)?.saturating_sub(from).min(CLUSTER_BYTES);
                let there = usize::try_from(there).unwrap_or(0);
                image.read(old.get_mut(..there).unwrap_or_default(), from)?;
            }
            self.file.write_all_at(&old, place)?;
        }
        if self.free.pop().is_none() {
            self.used = self.used.saturating_add(1);
        }
        self.zeroed = self.zeroed.saturating_sub(usize::from(known.is_some()));
        self.places.insert(cluster, Some(next));
        Ok(place)
    }

    /// Gives the room of what is in the overlay back; if all of the range `must` be zero, what is in the
    /// image is covered too, without room as long as that may be.
    fn clear(&mut self, image: &Image, offset: u64, bytes: u64, must: bool) -> io::Result<()> {
        let zeroes = vec![0; usize::try_from(CLUSTER_BYTES).unwrap_or(0)];
        let (mut at, end) = (offset, offset.saturating_add(bytes));
        while at < end {
            let (cluster, within) = (at / CLUSTER_BYTES, at % CLUSTER_BYTES);
            let step = CLUSTER_BYTES.saturating_sub(within).min(end.saturating_sub(at));
            let whole = step == CLUSTER_BYTES;
            match self.places.get(&cluster).copied() {
                Some(Some(place)) if whole => {
                    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
                    let from = place.saturating_mul(CLUSTER_BYTES);
                    fallocate(&self.file, hole, from, CLUSTER_BYTES)?;
                    self.free.push(place);
                    self.places.insert(cluster, None);
                    self.zeroed = self.zeroed.saturating_add(1);
                }
                None if must && whole && self.zeroed < MAX_ZEROED => {
                    self.places.insert(cluster, None);
                    self.zeroed = self.zeroed.saturating_add(1);
                }
                known if must && known != Some(None) => {
                    let step = usize::try_from(step).unwrap_or(usize::MAX);
                    self.write(image, zeroes.get(..step).unwrap_or(&zeroes), at)?;
                }
                _ => {}
            }
            at = at.saturating_add(step);
        }
        Ok(())
    }
}

/// Where bytes of a volume with an overlay are.
enum Place {
    Image,
    /// From here in the overlay's file.
    Overlay(u64),
    /// Nowhere: they are zero.
    Zero,
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
            writes in prop::collection::vec((0..IMAGE_BYTES, 1..9000u64, 0..9u8), 0..12),
            (from, bytes) in (0..IMAGE_BYTES, 1..20_000u64),
        ) {
            let (file, mut model) = image();
            let disk = Disk::new(file.try_clone().unwrap(), Some(room(11))).unwrap();
            for (at, bytes, value) in writes {
                let bytes = bytes.min(IMAGE_BYTES - at);
                if value == 0 {
                    disk.write_zeroes(at, bytes, true).unwrap();
                } else {
                    disk.write(&vec![value; bytes as usize], at).unwrap();
                }
                model[at as usize..(at + bytes) as usize].fill(value);
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
    fn what_is_discarded_or_zeroed_in_an_overlay_gives_its_room_back() {
        use std::os::unix::fs::MetadataExt;
        let (file, bytes) = image();
        let overlay = room(2);
        let disk = Disk::new(file, Some(overlay.try_clone().unwrap())).unwrap();
        disk.write(&[9; 8192], 0).unwrap();
        disk.discard(0, 4096);
        disk.write_zeroes(4096, 4096, false).unwrap();
        assert_eq!(overlay.metadata().unwrap().blocks(), 0);
        // More than it has room for.
        disk.write_zeroes(0, 40_960, true).unwrap();
        let mut read = vec![1; IMAGE_BYTES as usize];
        disk.read(&mut read, 0).unwrap();
        assert_eq!((&read[..40_960], &read[40_960..]), (&[0; 40_960][..], &bytes[40_960..]));

        disk.write(&[8; 512], 512).unwrap();
        disk.write(&[8; 4096], 8192).unwrap();
        disk.read(&mut read, 0).unwrap();
        assert_eq!((read[511], read[512], read[1023], read[1024]), (0, 8, 8, 0));
        assert!(disk.write(&[8; 4096], 12_288).is_err());
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
