//! One request away from its device: what waits for a disk, with all that it needs, so that it
//! runs without the device's lock, and several run at a time. Nothing orders them: a flush makes
//! durable what was answered before it came, as virtio 1.2, 5.2.6.2, wants, and holds nobody.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use vm_memory::GuestAddress;

use super::direct;
use super::disk::Disk;
use super::image::room;
use crate::memory::GuestRam;

/// How a request ended, as its last byte says (virtio 1.2, 5.2.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Ok = 0,
    Failed = 1,
    Unsupported = 2,
}

/// What is to be done; offsets and lengths in bytes, all of them inside the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Fill the room from here.
    Read {
        offset: u64,
        bytes: usize,
    },
    /// Write the buffer here.
    Write {
        offset: u64,
    },
    Flush,
    Discard {
        offset: u64,
        bytes: u64,
    },
    Zeroes {
        offset: u64,
        bytes: u64,
        hole: bool,
    },
    /// Nothing any more.
    Answer(Status),
}

/// A request between the ring and its answer.
#[derive(Debug)]
pub struct Job {
    pub(super) disk: Arc<Disk>,
    /// What is written, or what was read if not into the room itself.
    pub(super) buffer: Vec<u8>,
    pub(super) work: Work,
    /// Names the chain when it is given back.
    pub(super) head: u16,
    /// Where the answer goes: address and bytes of each piece.
    pub(super) room: Vec<(GuestAddress, u32)>,
    pub(super) ram: GuestRam,
    /// Bytes of the room that are filled already.
    pub(super) written: usize,
    pub(super) epoch: u64,
    /// The epoch of the device; while this is locked no reset can end.
    pub(super) present: Arc<RwLock<u64>>,
    /// Whether a write has to be on the disk before it is answered.
    pub(super) durable: bool,
}

impl Job {
    /// Does the work. This is what may wait.
    pub fn run(&mut self) {
        if let Work::Read { offset, bytes } = self.work {
            let done = self.read(offset, bytes);
            self.work = Work::Answer(if done.is_ok() { Status::Ok } else { Status::Failed });
            return;
        }
        let disk = &self.disk;
        let done = match self.work {
            Work::Write { offset } => disk.write(&self.buffer, offset),
            Work::Flush => disk.flush(),
            Work::Discard { offset, bytes } => {
                disk.discard(offset, bytes);
                Ok(())
            }
            Work::Zeroes { offset, bytes, hole } => disk.write_zeroes(offset, bytes, hole),
            Work::Read { .. } | Work::Answer(_) => return,
        };
        let writes = matches!(self.work, Work::Write { .. } | Work::Zeroes { .. });
        let done = done.and_then(|()| if self.durable && writes { disk.flush() } else { Ok(()) });
        // What was written is no part of the answer.
        self.buffer.clear();
        self.work = Work::Answer(if done.is_ok() { Status::Ok } else { Status::Failed });
    }

    /// Reads into the room itself, or by the buffer what lies partly in an overlay
    /// or has no room of whole blocks.
    fn read(&mut self, offset: u64, bytes: usize) -> io::Result<()> {
        if let Some(image) = self.disk.image_alone() {
            // A driver that has reset the device may use the room for something else: a reset waits
            // for this read, and a read that comes after it touches nothing.
            let present = self.present.read().unwrap_or_else(PoisonError::into_inner);
            if *present != self.epoch {
                return Err(io::ErrorKind::Interrupted.into());
            }
            if direct::read(image, &self.ram, &self.room, bytes, offset)? {
                self.written = bytes;
                return Ok(());
            }
        }
        self.buffer = room(bytes)?;
        self.disk.read(&mut self.buffer, offset)
    }
}
