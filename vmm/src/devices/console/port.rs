//! The agent's port: bytes of the guest cut into whole frames, whole frames on their way to the
//! guest. Whatever carries the bytes, what they mean is not looked into.

mod snapshot;

use std::collections::VecDeque;

use tabard_agent_wire::Stream;

/// Frames that wait for the guest to read them. Beyond it the oldest that is not yet begun goes.
pub(super) const MAX_WAITING: usize = 4;

/// A frame on its way to the guest.
struct Outgoing {
    frame: Vec<u8>,
    /// How much of it the guest has.
    sent: usize,
}

/// One end of the port.
#[derive(Default)]
pub struct Port {
    waiting: VecDeque<Outgoing>,
    stream: Stream,
    /// A whole frame; until it is taken no more bytes are read from the guest.
    frame: Option<Vec<u8>>,
    open: bool,
    /// What is not yet told about `open`.
    news: Option<bool>,
    /// The stream made no sense: it is thrown away until the guest opens the port anew.
    broken: bool,
}

impl Port {
    /// Takes a whole frame of the agent. More may wait behind it.
    pub fn take_frame(&mut self) -> Option<Vec<u8>> {
        self.frame.take()
    }

    /// Whether the port was opened or closed since the last call.
    pub fn take_open(&mut self) -> Option<bool> {
        self.news.take()
    }

    /// Queues a frame for the agent. A port that nobody has open takes nothing: what was meant for
    /// one program must not wait for another.
    pub fn push(&mut self, frame: Vec<u8>) {
        if !self.open {
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            let oldest = self.waiting.iter().position(|outgoing| outgoing.sent == 0);
            self.waiting.remove(oldest.unwrap_or(0));
        }
        self.waiting.push_back(Outgoing { frame, sent: 0 });
    }

    /// The guest opened or closed it.
    pub fn set_open(&mut self, open: bool) {
        self.stream = Stream::default();
        self.waiting.clear();
        self.frame = None;
        self.broken = false;
        if self.open != open {
            self.open = open;
            self.news = Some(open);
        }
    }

    /// Whether a program in the guest has it open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// Whether a frame must be taken before more bytes are.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.frame.is_some()
    }

    /// Whether there are bytes for the guest.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// The next bytes for the guest, at most so many. Say with [`Port::sent`] how many went.
    #[must_use]
    pub fn next_bytes(&self, room: usize) -> &[u8] {
        let rest = self.waiting.front().and_then(|first| first.frame.get(first.sent..));
        let rest = rest.unwrap_or_default();
        rest.get(..room.min(rest.len())).unwrap_or_default()
    }

    /// So many of [`Port::next_bytes`] went.
    pub fn sent(&mut self, bytes: usize) {
        if let Some(first) = self.waiting.front_mut() {
            first.sent = first.sent.saturating_add(bytes);
            if first.sent >= first.frame.len() {
                self.waiting.pop_front();
            }
        }
    }

    /// How many frames wait for the guest.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes bytes of the guest.
    pub fn take(&mut self, bytes: &[u8]) {
        if self.open && !self.broken {
            self.stream.push(bytes);
        }
    }

    /// Cuts the next frame off the stream; `false` if the stream makes no sense, once.
    pub fn cut(&mut self) -> bool {
        if self.frame.is_some() {
            return true;
        }
        match self.stream.next_frame() {
            Ok(frame) => {
                self.frame = frame;
                true
            }
            Err(_) => {
                self.stream = Stream::default();
                self.broken = true;
                false
            }
        }
    }
}
