//! One request away from its device: what waits for a disk, with all that it needs, so that it
//! runs without a lock.

use vm_memory::GuestAddress;

use super::Tools;

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
    /// Fill the buffer from here.
    Read {
        offset: u64,
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
    pub(super) tools: Tools,
    pub(super) work: Work,
    /// Names the chain when it is given back.
    pub(super) head: u16,
    /// Where the answer goes: address and bytes of each piece.
    pub(super) room: Vec<(GuestAddress, u32)>,
    pub(super) epoch: u64,
    /// Whether a write has to be on the disk before it is answered.
    pub(super) durable: bool,
}

impl Job {
    /// Does the work. This is what may wait.
    pub fn run(&mut self) {
        let Tools { disk, buffer } = &mut self.tools;
        let done = match self.work {
            Work::Read { offset } => disk.read(buffer, offset),
            Work::Write { offset } => disk.write(buffer, offset),
            Work::Flush => disk.flush(),
            Work::Discard { offset, bytes } => {
                disk.discard(offset, bytes);
                Ok(())
            }
            Work::Zeroes { offset, bytes, hole } => disk.write_zeroes(offset, bytes, hole),
            Work::Answer(_) => return,
        };
        let writes = matches!(self.work, Work::Write { .. } | Work::Zeroes { .. });
        let done = done.and_then(|()| if self.durable && writes { disk.flush() } else { Ok(()) });
        // What was written is no part of the answer.
        if !matches!(self.work, Work::Read { .. }) {
            buffer.clear();
        }
        self.work = Work::Answer(if done.is_ok() { Status::Ok } else { Status::Failed });
    }
}
