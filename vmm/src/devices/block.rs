//! virtio-blk (virtio 1.2, 5.2) over a raw image that `tabard` opened. Every sector is checked
//! against the size before the file is touched; a read-only volume refuses all that would write.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};
use virtio_queue::Queue;

use super::requests::{self, Request};
use super::{Device, DeviceError, MAX_QUEUE_SIZE, Progress, read_bytes};
use crate::memory::GuestRam;

/// Bytes of a sector, whatever the image.
pub const SECTOR_BYTES: u64 = 512;

/// Most bytes of one request, so that a guest cannot make the host hold more for it.
const MAX_REQUEST_BYTES: usize = 4 << 20;
/// Most sectors of one discard or write of zeroes.
const MAX_CLEAR_SECTORS: u32 = 1 << 22;
/// Data segments of one request: the ring's descriptors without header and status.
const MAX_SEGMENTS: u32 = 254;
/// Most requests of one turn.
const MAX_REQUESTS_PER_TURN: usize = 4;

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

/// How a request ended, as its last byte says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Status {
    Ok = 0,
    Failed = 1,
    Unsupported = 2,
}

/// A volume.
#[derive(Debug)]
pub struct Block {
    file: File,
    sectors: u64,
    read_only: bool,
    identifier: [u8; IDENTIFIER_BYTES],
    buffer: Vec<u8>,
}

impl Block {
    /// The volume in `file`; bytes after its last whole sector are not part of it.
    ///
    /// # Errors
    /// When its size cannot be read.
    pub fn new(file: File, read_only: bool, index: u8) -> std::io::Result<Self> {
        let sectors = file.metadata()?.len() / SECTOR_BYTES;
        let mut identifier = [0; IDENTIFIER_BYTES];
        for (slot, byte) in identifier.iter_mut().zip(format!("tabard-{index}").bytes()) {
            *slot = byte;
        }
        Ok(Self { file, sectors, read_only, identifier, buffer: Vec::new() })
    }

    /// Byte offset of `bytes` bytes from `sector`; `None` if they are not all in the volume.
    fn place(&self, sector: u64, bytes: u64) -> Option<u64> {
        let end = sector.checked_add(bytes.div_ceil(SECTOR_BYTES))?;
        let whole = bytes.is_multiple_of(SECTOR_BYTES) && end <= self.sectors;
        if whole { sector.checked_mul(SECTOR_BYTES) } else { None }
    }

    fn read(&mut self, sector: u64, request: &mut Request<'_>) -> Option<()> {
        let length = request.writer.available_bytes();
        let offset = self.place(sector, u64::try_from(length).ok()?)?;
        self.buffer.resize(length.min(MAX_REQUEST_BYTES), 0);
        if self.buffer.len() != length {
            return None;
        }
        self.file.read_exact_at(&mut self.buffer, offset).ok()?;
        request.writer.write_all(&self.buffer).ok()
    }

    fn write(&mut self, sector: u64, request: &mut Request<'_>) -> Option<()> {
        let length = request.reader.available_bytes();
        let offset = self.place(sector, u64::try_from(length).ok()?)?;
        if self.read_only || length > MAX_REQUEST_BYTES {
            return None;
        }
        self.buffer.resize(length, 0);
        request.reader.read_exact(&mut self.buffer).ok()?;
        self.file.write_all_at(&self.buffer, offset).ok()
    }

    /// Discard and write-zeroes: one segment, as the configuration says.
    fn clear(&mut self, discard: bool, request: &mut Request<'_>) -> Status {
        let mut segment = [0; 16];
        if request.reader.available_bytes() != segment.len()
            || request.reader.read_exact(&mut segment).is_err()
            || self.read_only
        {
            return Status::Failed;
        }
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = segment;
        let sector = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let count = u32::from_le_bytes([i, j, k, l]);
        let flags = u32::from_le_bytes([m, n, o, p]);
        // A discard has no flags; of others only `unmap` is known (virtio 1.2, 5.2.6.2).
        if flags & !FLAG_UNMAP != 0 || (discard && flags != 0) {
            return Status::Unsupported;
        }
        let bytes = u64::from(count).saturating_mul(SECTOR_BYTES);
        let Some(offset) = self.place(sector, bytes).filter(|_| count <= MAX_CLEAR_SECTORS) else {
            return Status::Failed;
        };
        if bytes == 0 {
            return Status::Ok;
        }
        let mode = if discard || flags & FLAG_UNMAP != 0 {
            FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE
        } else {
            FallocateFlags::ZERO_RANGE | FallocateFlags::KEEP_SIZE
        };
        if fallocate(&self.file, mode, offset, bytes).is_ok() || discard {
            // A discard is advice: a file that cannot have holes just keeps its bytes.
            return Status::Ok;
        }
        if self.write_zeroes(offset, bytes).is_some() { Status::Ok } else { Status::Failed }
    }

    /// For files that cannot clear a range themselves.
    fn write_zeroes(&mut self, offset: u64, bytes: u64) -> Option<()> {
        let zeroes = vec![0; MAX_REQUEST_BYTES];
        let mut done = 0u64;
        while done < bytes {
            let step = usize::try_from(bytes.checked_sub(done)?).ok()?.min(zeroes.len());
            self.file.write_all_at(zeroes.get(..step)?, offset.checked_add(done)?).ok()?;
            done = done.checked_add(u64::try_from(step).ok()?)?;
        }
        Some(())
    }

    fn serve(&mut self, request: &mut Request<'_>) -> Result<Status, DeviceError> {
        let mut header = [0; 16];
        request.reader.read_exact(&mut header).map_err(|_| DeviceError::Malformed)?;
        let [a, b, c, d, _, _, _, _, e, f, g, h, i, j, k, l] = header;
        let kind = u32::from_le_bytes([a, b, c, d]);
        let sector = u64::from_le_bytes([e, f, g, h, i, j, k, l]);
        let done = match kind {
            KIND_READ => self.read(sector, request),
            KIND_WRITE => self.write(sector, request),
            KIND_FLUSH => self.file.sync_data().ok(),
            KIND_IDENTIFY => {
                if request.writer.available_bytes() < IDENTIFIER_BYTES {
                    None
                } else {
                    request.writer.write_all(&self.identifier).ok()
                }
            }
            KIND_DISCARD | KIND_WRITE_ZEROES => {
                return Ok(self.clear(kind == KIND_DISCARD, request));
            }
            _ => return Ok(Status::Unsupported),
        };
        Ok(if done.is_some() { Status::Ok } else { Status::Failed })
    }
}

impl Device for Block {
    fn device_type(&self) -> u32 {
        2
    }

    fn features(&self) -> u64 {
        let common = FEATURE_SEGMENTS | FEATURE_FLUSH;
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
        let fields: [(usize, &[u8]); 9] = [
            (0, &self.sectors.to_le_bytes()),
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

    fn process(
        &mut self,
        _index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for _ in 0..MAX_REQUESTS_PER_TURN {
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            // The status is the last byte of the chain, whatever comes before it.
            let room = request.writer.available_bytes();
            let last = room.checked_sub(1).ok_or(DeviceError::Malformed)?;
            let mut status = request.writer.split_at(last).map_err(|_| DeviceError::Malformed)?;
            let answer = self.serve(&mut request)?;
            status.write_all(&[answer as u8]).map_err(|_| DeviceError::Malformed)?;
            let written = request.writer.bytes_written().saturating_add(1);
            requests::give_back(queue, ram, request.head, written)?;
            progress.used = true;
        }
        progress.more = true;
        Ok(progress)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::testing::Driver;

    fn volume(read_only: bool) -> (Driver<Block>, File) {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(&[7; 4096], 0).unwrap();
        let block = Block::new(file.try_clone().unwrap(), read_only, 0).unwrap();
        (Driver::on(block), file)
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
        assert_eq!(driver.request(0, &request, 1), [0]);
        let answer = driver.request(0, &header(KIND_READ, 6), 1025);
        assert_eq!(answer[..512], [7; 512]);
        assert_eq!(answer[512..1024], [9; 512]);
        assert_eq!((answer.len(), answer[1024], bytes(&file)[3584]), (1025, 0, 9));
    }

    #[test]
    fn a_request_past_the_end_fails_and_the_file_does_not_grow() {
        let (mut driver, file) = volume(false);
        for sector in [8, 7, u64::MAX, u64::MAX / 512] {
            let request = [&header(KIND_WRITE, sector)[..], &[9; 1024]].concat();
            assert_eq!(driver.request(0, &request, 1).last(), Some(&1), "{sector}");
            let answer = driver.request(0, &header(KIND_READ, sector), 1025);
            assert_eq!(answer.len(), 1, "{sector}");
        }
        assert_eq!(bytes(&file), [7; 4096]);
    }

    #[test]
    fn a_read_only_volume_refuses_to_change() {
        let (mut driver, file) = volume(true);
        let request = [&header(KIND_WRITE, 0)[..], &[9; 512]].concat();
        assert_eq!(driver.request(0, &request, 1), [1]);
        assert_eq!(driver.request(0, &segment(KIND_DISCARD, 0, 8, 0), 1), [1]);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, 0, 8, 0), 1), [1]);
        assert_eq!(driver.request(0, &header(KIND_FLUSH, 0), 1), [0]);
        assert_eq!(bytes(&file), [7; 4096]);
        driver.write(0x14, 0);
        assert_eq!(u64::from(driver.read(0x10)) & FEATURE_READ_ONLY, FEATURE_READ_ONLY);
    }

    #[test]
    fn discarded_and_zeroed_sectors_read_as_zero() {
        let (mut driver, file) = volume(false);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, 1, 1, 0), 1), [0]);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, 2, 1, 1), 1), [0]);
        let expected = [&[7; 512][..], &[0; 1024], &[7; 2560]].concat();
        assert_eq!(bytes(&file), expected);
        assert_eq!(driver.request(0, &segment(KIND_DISCARD, 0, 8, 0), 1), [0]);
        assert_eq!(file.metadata().unwrap().len(), 4096);
    }

    #[test]
    fn clearing_past_the_end_or_with_unknown_flags_is_refused() {
        let (mut driver, file) = volume(false);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, 1, 8, 0), 1), [1]);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, u64::MAX, 8, 0), 1), [1]);
        assert_eq!(driver.request(0, &segment(KIND_WRITE_ZEROES, 0, 8, 2), 1), [2]);
        assert_eq!(driver.request(0, &segment(KIND_DISCARD, 0, 8, 1), 1), [2]);
        assert_eq!(bytes(&file), [7; 4096]);
    }

    #[test]
    fn the_volume_says_its_name_and_size() {
        let (mut driver, _) = volume(false);
        let answer = driver.request(0, &header(KIND_IDENTIFY, 0), 21);
        assert_eq!((&answer[..9], answer[20]), (&b"tabard-0\0"[..], 0));
        assert_eq!((driver.read(0x100), driver.read(0x104)), (8, 0));
    }

    #[test]
    fn an_unknown_request_is_unsupported_and_a_short_one_needs_a_reset() {
        let (mut driver, _) = volume(false);
        assert_eq!(driver.request(0, &header(99, 0), 1), [2]);
        driver.request(0, &[0; 15], 1);
        assert!(driver.needs_reset());
    }
}
