//! The agent's part of the wire: frames through one shared buffer, which the other side reads
//! once for each message and gives back.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals};
use tabard_agent_wire::FromGuest;
use tabard_wire::{AGENT_BUFFER_BYTES, FromVmm, ToVmm};

use super::Process;

/// Frames that one scenario sends; the other side takes ten a second.
const FRAMES: u32 = 12;

/// The buffer, and whose turn it is.
#[derive(Default)]
pub(super) struct Agent {
    /// The buffer.
    pub(super) buffer: Option<File>,
    /// The other side has given it back.
    pub(super) taken: bool,
}

impl Process {
    fn frame(&mut self, bytes: &[u8]) {
        let buffer = self.agent.buffer.as_ref().expect("there is a buffer");
        buffer.write_all_at(bytes, 0).unwrap();
        let bytes = u32::try_from(bytes.len()).unwrap().clamp(1, AGENT_BUFFER_BYTES);
        self.agent.taken = false;
        self.tell(FromVmm::AgentFrame { bytes });
    }

    /// Waits until the buffer was given back, and rewrites it all the while.
    fn until_taken(&mut self) {
        let scribble = self.random.bytes(4096);
        while !self.agent.taken {
            let buffer = self.agent.buffer.as_ref().expect("there is a buffer");
            buffer.write_all_at(&scribble, self.random.below(4096)).unwrap();
            if self.turn().is_none() {
                std::process::exit(0);
            }
        }
    }

    /// Frames that make no sense, that lie about their length, and that change while they are
    /// read; then the longest text there is.
    pub(super) fn agent_frames(&mut self) {
        self.tell(FromVmm::AgentOpen(true));
        for round in 0..FRAMES {
            let text = "\u{202e}TRUSTED \u{1b}[2J\n".repeat(1 + round as usize * 200);
            let mut bytes = match round % 4 {
                0 => self.random.bytes(1 + round as usize * 5000),
                1 => FromGuest::Offer(&text).encode(),
                2 => {
                    let nonce = [round as u8; 16];
                    FromGuest::Ask { id: round, nonce, text: "Is this you?\n\u{202e}" }.encode()
                }
                _ => vec![b'T'; AGENT_BUFFER_BYTES as usize],
            };
            if round % 3 == 2 {
                let at = self.random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << self.random.below(8);
            }
            self.frame(&bytes);
            self.until_taken();
        }
        self.done();
    }

    /// Comes and goes without end, now and then with a frame.
    pub(super) fn agent_open_storm(&mut self) {
        for round in 0..4_000 {
            self.tell(FromVmm::AgentOpen(round % 2 == 0));
        }
        self.frame(&FromGuest::Offer("from nobody").encode());
        self.until_taken();
        self.done();
    }

    /// Speaks again before the buffer was given back.
    pub(super) fn agent_out_of_turn(&mut self) {
        self.tell(FromVmm::AgentOpen(true));
        let frame = FromGuest::Offer("twice").encode();
        self.done();
        for _ in 0..2 {
            self.frame(&frame);
        }
    }

    /// The buffer must not change its length under the one who reads it.
    pub(super) fn agent_buffer_truncated(&mut self) {
        let buffer = self.agent.buffer.as_ref().expect("there is a buffer");
        let length = u64::from(AGENT_BUFFER_BYTES);
        for other in [0, 1, 4096, length - 1, length + 1] {
            assert!(buffer.set_len(other).is_err(), "the buffer changed its length");
        }
        assert!(fcntl_add_seals(buffer, SealFlags::WRITE).is_err(), "a seal was added");
        // The pages may go; the reader must then see zeroes.
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _gone = fallocate(buffer, hole, 0, length);
        self.tell(FromVmm::AgentFrame { bytes: AGENT_BUFFER_BYTES });
        self.agent.taken = false;
        self.until_taken();
        self.done();
    }

    /// Notes what the session says to the agent.
    pub(super) fn heard(&mut self, message: ToVmm) {
        self.agent.taken |= message == ToVmm::AgentTaken;
    }
}
