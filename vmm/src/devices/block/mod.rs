//! virtio-blk (virtio 1.2, 5.2) over a raw image that `tabard` opened. Every sector is checked
//! against the size before the file is touched; a read-only volume refuses all that would write.
//!
//! The device takes requests and answers them, both at once and under its lock; what waits for a
//! disk is a [`Job`] in between, which a thread of `crate::disks` runs without that lock.

mod direct;
mod disk;
mod image;
mod job;
mod snapshot;

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, PoisonError, RwLock};

use virtio_queue::Queue;
use vm_memory::{Bytes, GuestAddress};

use self::disk::Disk;
pub use self::job::Job;
use self::job::{Status, Work};
use super::{Device, DeviceError, MAX_QUEUE_SIZE, Progress, read_bytes, requests};
use crate::memory::{GuestRam, file_bytes};

/// Bytes of a sector, whatever the image.
pub const SECTOR_BYTES: u64 = 512;

/// Most bytes of one request, so that a guest cannot make the host hold more for it.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Most sectors of one discard or write of zeroes.
const MAX_CLEAR_SECTORS: u32 = 1 << 22;
/// Data segments of one request, and bytes of each: together a request that is taken.
const MAX_SEGMENTS: u32 = 126;
const MAX_SEGMENT_BYTES: u32 = 32 << 10;
const _: () = assert!((MAX_SEGMENTS * MAX_SEGMENT_BYTES) as usize <= MAX_REQUEST_BYTES);

const FEATURE_SEGMENT_SIZE: u64 = 1 << 1;
const FEATURE_SEGMENTS: u64 = 1 << 2;
const FEATURE_READ_ONLY: u64 = 1 << 5;
const FEATURE_FLUSH: u64 = 1 << 9;
const FEATURE_DISCARD: u64 = 1 << 13;
const FEATURE_WRITE_ZEROES: u64 = 1 << 14;

const KIND_READ: u32 = 0;
const KIND_WRITE: u32 = 1;
const KIND_FLUSH: u32 = 4;
const KIND_IDENTIFY: u32 = 8;
const KIND_DISCARD: u32 = 11;
const KIND_WRITE_ZEROES: u32 = 13;

const IDENTIFIER_BYTES: usize = 20;
const FLAG_UNMAP: u32 = 1;

/// A volume.
#[derive(Debug)]
pub struct Block {
    sectors: u64,
    read_only: bool,
    identifier: [u8; IDENTIFIER_BYTES],
    disk: Arc<Disk>,
    /// Taken from the ring and not yet fetched by a thread.
    waiting: Option<Job>,
    /// Done and not yet told to the driver.
    done: Vec<Job>,
    /// Grows with each reset: what was asked before is not answered after it.
    epoch: Arc<RwLock<u64>>,
    /// Whether the driver will never ask for a flush, so that each write must be durable at once.
    write_through: bool,
}

impl Block {
    /// The volume in `image`; bytes after its last whole sector are not part of it. With a file
    /// for an overlay, that takes all writes.
    ///
    /// # Errors
    /// When a size cannot be read or the overlay cannot be emptied.
    pub fn new(
        image: File,
        overlay: Option<File>,
        read_only: bool,
        index: u8,
    ) -> std::io::Result<Self> {
        let sectors = file_bytes(&image)? / SECTOR_BYTES;
        let mut identifier = [0; IDENTIFIER_BYTES];
        for (slot, byte) in identifier.iter_mut().zip(format!("tabard-{index}").bytes()) {
            *slot = byte;
        }
        Ok(Self {
            sectors,
            read_only,
            identifier,
            disk: Arc::new(Disk::new(image, overlay)?),
            waiting: None,
            done: Vec::new(),
            epoch: Arc::default(),
            write_through: true,
        })
    }

    /// The job that waits to be run.
    pub fn take_job(&mut self) -> Option<Job> {
        self.waiting.take()
    }

    /// Takes a job back that has been run; the next turn answers it.
    pub fn finish(&mut self, job: Job) {
        if job.epoch == self.epoch() {
            self.done.push(job);
        }
    }

    fn epoch(&self) -> u64 {
        *self.epoch.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Byte offset of `bytes` bytes from `sector`; `None` if they are not all in the volume.
    fn place(&self, sector: u64, bytes: usize) -> Option<u64> {
        let bytes = u64::try_from(bytes).ok()?;
        let end = sector.checked_add(bytes.div_ceil(SECTOR_BYTES))?;
        let whole = bytes.is_multiple_of(SECTOR_BYTES) && end <= self.sectors;
        if whole { sector.checked_mul(SECTOR_BYTES) } else { None }
    }

    /// What a request asks for, with the bytes to write in the buffer.
    fn work(
        &self,
        kind: u32,
        sector: u64,
        reader: &mut impl Read,
        (readable, writable): (usize, usize),
        buffer: &mut Vec<u8>,
    ) -> Work {
        match kind {
            KIND_READ => match self.place(sector, writable) {
                Some(offset) if writable <= MAX_REQUEST_BYTES => {
                    Work::Read { offset, bytes: writable }
                }
                _ => Work::Answer(Status::Failed),
            },
            KIND_WRITE => match self.place(sector, readable) {
                Some(offset) if !self.read_only && readable <= MAX_REQUEST_BYTES => {
                    let bytes = image::room(readable).and_then(|mut bytes| {
                        reader.read_exact(&mut bytes)?;
                        Ok(bytes)
                    });
                    match bytes {
                        Ok(bytes) => {
                            *buffer = bytes;
                            Work::Write { offset }
                        }
                        Err(_) => Work::Answer(Status::Failed),
                    }
                }
                _ => Work::Answer(Status::Failed),
            },
            KIND_FLUSH => Work::Flush,
            KIND_IDENTIFY if writable >= IDENTIFIER_BYTES => {
                buffer.extend(self.identifier);
                Work::Answer(Status::Ok)
            }
            KIND_IDENTIFY => Work::Answer(Status::Failed),
            KIND_DISCARD | KIND_WRITE_ZEROES => self.clear(kind == KIND_DISCARD, readable, reader),
            _ => Work::Answer(Status::Unsupported),
        }
    }

    /// Discard and write-zeroes: one segment, as the configuration says.
    fn clear(&self, discard: bool, readable: usize, reader: &mut impl Read) -> Work {
        let mut segment = [0; 16];
        if readable != segment.len() || reader.read_exact(&mut segment).is_err() || self.read_only {
            return Work::Answer(Status::Failed);
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = segment;
        let sector = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let count = u32::from_le_bytes([i, j, k, l]);
        let flags = u32::from_le_bytes([m, n, o, p]);
        // A discard has no flags; of others only `unmap` is known (virtio 1.2, 5.2.6.2).
        if flags & !FLAG_UNMAP != 0 || (discard && flags != 0) {
            return Work::Answer(Status::Unsupported);
        }
        let end = sector.checked_add(count.into()).filter(|end| *end <= self.sectors);
        let offset = end.and_then(|_| sector.checked_mul(SECTOR_BYTES));
        let Some(offset) = offset.filter(|_| count <= MAX_CLEAR_SECTORS) else {
            return Work::Answer(Status::Failed);
        };
        let bytes = u64::from(count).saturating_mul(SECTOR_BYTES);
        match (bytes, discard) {
            (0, _) => Work::Answer(Status::Ok),
            (_, true) => Work::Discard { offset, bytes },
            (_, false) => Work::Zeroes { offset, bytes, hole: flags & FLAG_UNMAP != 0 },
        }
    }

    /// Takes the next request from the ring, if there is one.
    fn take_request(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<(), DeviceError> {
        let Some((mut request, room)) = requests::next_with_room(queue, ram)? else {
            return Ok(());
        };
        let mut header = [0; 16];
        request.reader.read_exact(&mut header).map_err(|_| DeviceError::Malformed)?;
        // The status is the last byte of the chain, whatever comes before it.
        let writable = request.writer.available_bytes().checked_sub(1);
        let writable = writable.ok_or(DeviceError::Malformed)?;
        let [a, b, c, d, _, _, _, _, e, f, g, h, i, j, k, l] = header;
        let kind = u32::from_le_bytes([a, b, c, d]);
        let sector = u64::from_le_bytes([e, f, g, h, i, j, k, l]);
        let lengths = (request.reader.available_bytes(), writable);
        let mut buffer = Vec::new();
        let work = self.work(kind, sector, &mut request.reader, lengths, &mut buffer);
        let (disk, present) = (Arc::clone(&self.disk), Arc::clone(&self.epoch));
        let (head, ram, written) = (request.head, ram.clone(), 0);
        let (epoch, durable) = (self.epoch(), self.write_through);
        self.waiting =
            Some(Job { disk, buffer, work, head, room, ram, written, epoch, present, durable });
        Ok(())
    }
}

/// Tells the driver what became of its request.
fn answer(job: Job, queue: &mut Queue, ram: &GuestRam) -> Result<(), DeviceError> {
    let Job { buffer, work, head, room, written: before, .. } = job;
    let status = match work {
        Work::Answer(status) => status,
        // A job that has not been run.
        _ => Status::Failed,
    };
    let written = fill(ram, &room, if status == Status::Ok { &buffer } else { &[] })?;
    put_status(ram, &room, status)?;
    requests::give_back(queue, ram, head, before.saturating_add(written).saturating_add(1))
}

/// Writes `bytes` to the start of the room that the driver gave; returns how many.
fn fill(ram: &GuestRam, room: &[(GuestAddress, u32)], bytes: &[u8]) -> Result<usize, DeviceError> {
    let mut rest = bytes;
    for (address, length) in room {
        let length = usize::try_from(*length).map_err(|_| DeviceError::Malformed)?;
        let (now, later) = rest.split_at(length.min(rest.len()));
        ram.write_slice(now, *address).map_err(|_| DeviceError::Malformed)?;
        rest = later;
    }
    Ok(bytes.len().saturating_sub(rest.len()))
}

/// Writes the status to the last byte of the room.
fn put_status(
    ram: &GuestRam,
    room: &[(GuestAddress, u32)],
    status: Status,
) -> Result<(), DeviceError> {
    let last = room.iter().rev().find(|(_, length)| *length > 0);
    let place = last
        .and_then(|(address, length)| address.0.checked_add(u64::from(*length).checked_sub(1)?));
    let place = place.ok_or(DeviceError::Malformed)?;
    ram.write_obj(status as u8, GuestAddress(place)).map_err(|_| DeviceError::Malformed)
}

impl Device for Block {
    fn device_type(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        let common = FEATURE_SEGMENT_SIZE | FEATURE_SEGMENTS | FEATURE_FLUSH;
        if self.read_only {
            common | FEATURE_READ_ONLY
        } else {
            common | FEATURE_DISCARD | FEATURE_WRITE_ZEROES
        }
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[MAX_QUEUE_SIZE]
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        // `virtio_blk_config` (virtio 1.2, 5.2.4), up to `write_zeroes_may_unmap`.
        let mut config = [0; 60];
        let fields: [(usize, &[u8]); 10] = [
            (0, &self.sectors.to_le_bytes()),
            (8, &MAX_SEGMENT_BYTES.to_le_bytes()),
            (12, &MAX_SEGMENTS.to_le_bytes()),
            (36, &MAX_CLEAR_SECTORS.to_le_bytes()),
            (40, &1u32.to_le_bytes()),
            // Sectors of discard alignment: a page of the host.
            (44, &8u32.to_le_bytes()),
            (48, &MAX_CLEAR_SECTORS.to_le_bytes()),
            (52, &1u32.to_le_bytes()),
            (56, &[1]),
            (57, &[0]),
        ];
        for (at, field) in fields {
            for (slot, byte) in config.iter_mut().skip(at).zip(field) {
                *slot = *byte;
            }
        }
        read_bytes(&config, offset, data);
    }

    fn accept(&mut self, features: u64) {
        // Without the feature a write is stable when it is answered (virtio 1.2, 5.2.6.2).
        self.write_through = features & FEATURE_FLUSH == 0;
    }

    fn process(
        &mut self,
        _index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for job in std::mem::take(&mut self.done) {
            answer(job, queue, ram)?;
            progress.used = true;
        }
        // One at a time: each thread takes one, and only then has memory of ours in use.
        if self.waiting.is_none() {
            self.take_request(queue, ram)?;
        }
        progress.more = requests::available(queue, ram)? > 0;
        Ok(progress)
    }

    fn reset(&mut self) {
        let mut epoch = self.epoch.write().unwrap_or_else(PoisonError::into_inner);
        *epoch = epoch.wrapping_add(1);
        self.write_through = true;
        self.waiting = None;
        self.done.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::devices::Serve;
    use crate::devices::testing::Driver;

    /// While this is locked the disk is too slow to flush.
    impl Block {
        pub(crate) fn slow(&self) -> Arc<std::sync::Mutex<()>> {
            let image = self.disk.image_alone().unwrap();
            Arc::clone(&image.slow)
        }
    }

    fn volume(read_only: bool) -> (Driver<Block>, File) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 4096], 0).unwrap();
        let block = Block::new(file.try_clone().unwrap(), None, read_only, 0).unwrap();
        (Driver::on(block), file)
    }

    /// Sends a request, and does what the thread for disks does.
    fn ask(driver: &mut Driver<Block>, request: &[u8], room: u32) -> Vec<u8> {
        let before = driver.ask(0, request, room);
        driver.transport.serve(0);
        while let Some(mut job) = driver.transport.device().take_job() {
            job.run();
            driver.transport.device().finish(job);
            driver.transport.serve(0);
        }
        driver.answer(0, before)
    }

    fn header(kind: u32, sector: u64) -> Vec<u8> {
        [&kind.to_le_bytes()[..], &[0; 4], &sector.to_le_bytes()].concat()
    }

    fn segment(kind: u32, sector: u64, sectors: u32, flags: u32) -> Vec<u8> {
        let words = [sectors.to_le_bytes(), flags.to_le_bytes()].concat();
        [&header(kind, 0)[..], &sector.to_le_bytes(), &words].concat()
    }

    fn bytes(file: &File) -> Vec<u8> {
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read() {
        let (mut driver, file) = volume(false);
        let request = [&header(KIND_WRITE, 7)[..], &[9; 512]].concat();
        assert_eq!(ask(&mut driver, &request, 1), [0]);
        let answer = ask(&mut driver, &header(KIND_READ, 6), 1025);
        assert_eq!(answer[..512], [7; 512]);
        assert_eq!(answer[512..1024], [9; 512]);
        assert_eq!((answer.len(), answer[1024], bytes(&file)[3584]), (1025, 0, 9));
    }

    #[test]
    fn a_request_past_the_end_fails_and_the_file_does_not_grow() {
        let (mut driver, file) = volume(false);
        for sector in [8, 7, u64::MAX, u64::MAX / 512] {
            let request = [&header(KIND_WRITE, sector)[..], &[9; 1024]].concat();
            assert_eq!(ask(&mut driver, &request, 1).last(), Some(&1), "{sector}");
            let answer = ask(&mut driver, &header(KIND_READ, sector), 1025);
            assert_eq!(answer.len(), 1, "{sector}");
        }
        assert_eq!(bytes(&file), [7; 4096]);
    }

    #[test]
    fn a_read_only_volume_refuses_to_change() {
        let (mut driver, file) = volume(true);
        let request = [&header(KIND_WRITE, 0)[..], &[9; 512]].concat();
        assert_eq!(ask(&mut driver, &request, 1), [1]);
        assert_eq!(ask(&mut driver, &segment(KIND_DISCARD, 0, 8, 0), 1), [1]);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, 0, 8, 0), 1), [1]);
        assert_eq!(ask(&mut driver, &header(KIND_FLUSH, 0), 1), [0]);
        assert_eq!(bytes(&file), [7; 4096]);
        driver.write(0x14, 0);
        assert_eq!(u64::from(driver.read(0x10)) & FEATURE_READ_ONLY, FEATURE_READ_ONLY);
    }

    #[test]
    fn discarded_and_zeroed_sectors_read_as_zero() {
        let (mut driver, file) = volume(false);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, 1, 1, 0), 1), [0]);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, 2, 1, 1), 1), [0]);
        let expected = [&[7; 512][..], &[0; 1024], &[7; 2560]].concat();
        assert_eq!(bytes(&file), expected);
        assert_eq!(ask(&mut driver, &segment(KIND_DISCARD, 0, 8, 0), 1), [0]);
        assert_eq!(file.metadata().unwrap().len(), 4096);
    }

    #[test]
    fn clearing_past_the_end_or_with_unknown_flags_is_refused() {
        let (mut driver, file) = volume(false);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, 1, 8, 0), 1), [1]);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, u64::MAX, 8, 0), 1), [1]);
        assert_eq!(ask(&mut driver, &segment(KIND_WRITE_ZEROES, 0, 8, 2), 1), [2]);
        assert_eq!(ask(&mut driver, &segment(KIND_DISCARD, 0, 8, 1), 1), [2]);
        assert_eq!(bytes(&file), [7; 4096]);
    }

    #[test]
    fn the_volume_says_its_name_and_size() {
        let (mut driver, _) = volume(false);
        let answer = ask(&mut driver, &header(KIND_IDENTIFY, 0), 21);
        assert_eq!((&answer[..9], answer[20]), (&b"tabard-0\0"[..], 0));
        assert_eq!((driver.read(0x100), driver.read(0x104)), (8, 0));
    }

    #[test]
    fn a_driver_is_told_how_large_a_request_may_be() {
        let (mut driver, _) = volume(true);
        let limits = FEATURE_SEGMENTS | FEATURE_SEGMENT_SIZE;
        assert_eq!(u64::from(driver.read(0x10)) & limits, limits);
        let [bytes, segments] = [0x108, 0x10c].map(|register| driver.read(register));
        assert!(bytes >= 4096 && (bytes * segments) as usize <= MAX_REQUEST_BYTES);
    }

    #[test]
    fn an_unknown_request_is_unsupported_and_a_short_one_needs_a_reset() {
        let (mut driver, _) = volume(false);
        assert_eq!(ask(&mut driver, &header(99, 0), 1), [2]);
        ask(&mut driver, &[0; 15], 1);
        assert!(driver.needs_reset());
    }

    #[test]
    fn the_registers_answer_while_a_request_waits_for_its_disk() {
        let (mut driver, _) = volume(false);
        let before = driver.ask(0, &header(KIND_READ, 0), 513);
        driver.transport.serve(0);
        let mut job = driver.transport.device().take_job().unwrap();

        assert_eq!((driver.read(0x100), driver.read(0x70)), (8, 15));
        assert_eq!(driver.answer(0, before), [0u8; 0]);

        job.run();
        driver.transport.device().finish(job);
        driver.transport.serve(0);
        assert_eq!(driver.answer(0, before)[..513], [&[7; 512][..], &[0]].concat());
    }

    #[test]
    fn a_request_from_before_a_reset_is_not_answered_and_the_next_is() {
        let (mut driver, file) = volume(false);
        let request = [&header(KIND_WRITE, 7)[..], &[9; 512]].concat();
        let before = driver.ask(0, &request, 1);
        driver.transport.serve(0);
        let mut job = driver.transport.device().take_job().unwrap();
        driver.write(0x70, 0);
        job.run();
        driver.transport.device().finish(job);

        driver.transport.serve(0);
        assert_eq!((driver.used_index(0), bytes(&file)[3584]), (before, 9));
        let ram = driver.ram.clone();
        for page in 0..3 {
            ram.write_slice(&[0; 4096], GuestAddress(0x10_0000 + page * 4096)).unwrap();
        }
        driver.negotiate();
        driver.set_up_queue(0, 16);
        driver.write(0x70, 15);
        assert_eq!(ask(&mut driver, &header(KIND_READ, 7), 513)[..2], [9; 2]);
    }

    #[test]
    fn a_read_from_before_a_reset_writes_nothing_to_memory() {
        for reset in [false, true] {
            let (mut driver, _) = volume(false);
            driver.ask(0, &header(KIND_READ, 0), 513);
            driver.transport.serve(0);
            let mut job = driver.transport.device().take_job().unwrap();
            if reset {
                driver.write(0x70, 0);
            }

            job.run();

            let first: u8 = driver.ram.read_obj(job.room[0].0).unwrap();
            assert_eq!(first, if reset { 0 } else { 7 });
        }
    }

    #[test]
    fn writes_are_durable_at_once_for_a_driver_that_cannot_flush() {
        let (mut driver, _) = volume(false);
        let request = [&header(KIND_WRITE, 7)[..], &[9; 512]].concat();
        driver.ask(0, &request, 1);
        driver.transport.serve(0);
        assert!(driver.transport.device().take_job().unwrap().durable);

        let mut block = volume(false).0;
        let device = block.transport.device();
        device.accept(FEATURE_FLUSH);
        assert!(!device.write_through);
    }

    #[test]
    fn a_disposable_volume_is_written_and_its_image_is_not() {
        let (_, file) = volume(false);
        let overlay = tempfile::tempfile().unwrap();
        overlay.set_len(4096).unwrap();
        let block = Block::new(file.try_clone().unwrap(), Some(overlay), false, 0).unwrap();
        let mut driver = Driver::on(block);

        let request = [&header(KIND_WRITE, 7)[..], &[9; 512]].concat();
        assert_eq!(ask(&mut driver, &request, 1), [0]);
        assert_eq!(ask(&mut driver, &header(KIND_FLUSH, 0), 1), [0]);
        assert_eq!(ask(&mut driver, &header(KIND_READ, 7), 513)[..512], [9; 512]);
        assert_eq!(ask(&mut driver, &segment(KIND_DISCARD, 0, 8, 0), 1), [0]);

        assert_eq!(ask(&mut driver, &header(KIND_READ, 7), 513)[..512], [0; 512]);
        assert_eq!(bytes(&file), [7; 4096]);
    }
}
