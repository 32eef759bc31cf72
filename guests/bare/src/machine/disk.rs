//! virtio-blk (virtio 1.2, 5.2), one request at a time, and every request as it is asked for: also
//! those that a read-only disk must refuse.

use super::memory::Identity;
use alloc::vec::Vec;
use virtio_drivers::device::common::Feature;
use virtio_drivers::queue::VirtQueue;
use virtio_drivers::transport::Transport;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::{Error, Result};

const QUEUE: u16 = 0;
const QUEUE_SIZE: usize = 8;
/// Bytes of a sector.
pub const SECTOR: usize = 512;

/// `VIRTIO_BLK_F_RO`.
const READ_ONLY: u64 = 1 << 5;
/// `VIRTIO_BLK_F_FLUSH`, `VIRTIO_BLK_F_DISCARD`, `VIRTIO_BLK_F_WRITE_ZEROES`.
const WANTED: u64 = 1 << 9 | 1 << 13 | 1 << 14;

/// What is asked of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskRequest {
    /// Read one sector.
    Read,
    /// Write one sector full of this byte.
    Write(u8),
    /// Make durable what was written.
    Flush,
    /// Give up eight sectors.
    Discard,
    /// Make eight sectors read as zeroes.
    Zeroes,
}

impl DiskRequest {
    /// `VIRTIO_BLK_T_*`.
    fn kind(self) -> u32 {
        match self {
            Self::Read => 0,
            Self::Write(_) => 1,
            Self::Flush => 4,
            Self::Discard => 11,
            Self::Zeroes => 13,
        }
    }
}

/// A disk.
pub struct Disk {
    transport: MmioTransport<'static>,
    queue: VirtQueue<Identity, QUEUE_SIZE>,
    read_only: bool,
    sectors: u64,
}

impl Disk {
    pub(super) fn new(mut transport: MmioTransport<'static>) -> Result<Self> {
        let read_only = transport.read_device_features() & READ_ONLY != 0;
        transport.begin_init(Feature::from_bits_retain(Feature::VERSION_1.bits() | WANTED));
        let mut queue = VirtQueue::new(&mut transport, QUEUE, false, false)?;
        // Answers are awaited on the spot.
        queue.set_dev_notify(false);
        transport.finish_init();
        let low: u32 = transport.read_config_space(0)?;
        let high: u32 = transport.read_config_space(4)?;
        let sectors = u64::from(high) << 32 | u64::from(low);
        Ok(Self { transport, queue, read_only, sectors })
    }

    /// Whether the device says that it cannot be written.
    pub fn is_read_only(&self) -> bool {
        self.read_only
    }

    /// How many sectors it has.
    pub fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Asks, waits, and returns the status byte with what was read.
    ///
    /// # Errors
    ///
    /// Where the queue does not work.
    pub fn ask(
        &mut self,
        request: DiskRequest,
        sector: u64,
    ) -> core::result::Result<(u8, Vec<u8>), Error> {
        let mut header = [0; 16];
        header[..4].copy_from_slice(&request.kind().to_le_bytes());
        let mut status = [0xff];
        let mut read = Vec::new();
        let mut sent = Vec::new();
        match request {
            DiskRequest::Read => read.resize(SECTOR, 0),
            DiskRequest::Write(byte) => sent.resize(SECTOR, byte),
            DiskRequest::Flush => {}
            DiskRequest::Discard | DiskRequest::Zeroes => {
                sent.extend(sector.to_le_bytes());
                sent.extend(8u32.to_le_bytes());
                sent.extend(0u32.to_le_bytes());
            }
        }
        if matches!(request, DiskRequest::Read | DiskRequest::Write(_)) {
            header[8..].copy_from_slice(&sector.to_le_bytes());
        }
        let (queue, transport) = (&mut self.queue, &mut self.transport);
        match (sent.is_empty(), read.is_empty()) {
            (false, _) => {
                queue.add_notify_wait_pop(&[&header, &sent], &mut [&mut status], transport)?
            }
            (true, false) => {
                queue.add_notify_wait_pop(&[&header], &mut [&mut read, &mut status], transport)?
            }
            (true, true) => queue.add_notify_wait_pop(&[&header], &mut [&mut status], transport)?,
        };
        Ok((status[0], read))
    }
}
