//! One socket to QEMU that a device is behind: whole messages with their descriptors, a bounded number
//! at a time, and never a wait.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendFlags, recvmsg, sendmsg,
};

use super::backend::{Answer, Memory};
use super::message::{Broken, HEADER_BYTES, Header, MAX_REGIONS, Request};
use crate::machine::lock;

/// Most messages of one turn, so that QEMU cannot keep the wire waiting.
const MAX_MESSAGES_PER_TURN: usize = 32;

/// The socket and what has come of the next message.
pub struct Link {
    socket: OwnedFd,
    device: Arc<Mutex<dyn Answer>>,
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

impl Link {
    /// A device behind a socket.
    #[must_use]
    pub fn new(socket: OwnedFd, device: Arc<Mutex<dyn Answer>>) -> Self {
        Self { socket, device, bytes: Vec::new(), fds: Vec::new() }
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// While the machine is to stand still, rings that stop are no reset.
    pub fn hold(&self, held: bool) {
        lock(&self.device).hold(held);
    }

    /// Answers what has come; `false` once QEMU has closed its end.
    ///
    /// # Errors
    /// `Broken`: there is nothing more to be said to this QEMU.
    pub fn serve(&mut self, memory: &Memory) -> Result<bool, Broken> {
        for _ in 0..MAX_MESSAGES_PER_TURN {
            match self.next()? {
                Next::Message(header) => self.answer(header, memory)?,
                Next::Nothing => return Ok(true),
                Next::Closed => return Ok(false),
            }
        }
        // The rest wakes the loop again.
        Ok(true)
    }

    fn answer(&mut self, header: Header, memory: &Memory) -> Result<(), Broken> {
        let bytes = std::mem::take(&mut self.bytes);
        let fds = std::mem::take(&mut self.fds);
        let body = bytes.get(HEADER_BYTES..).unwrap_or_default();
        let mut device = lock(&self.device);
        let request = Request::decode(header.request, body, device.rings())?;
        if fds.len() != request.descriptors() {
            return Err(Broken::Descriptors(header.request));
        }
        match device.answer(request, fds, memory)? {
            Some(reply) => self.send(&reply),
            None => Ok(()),
        }
    }

    /// Sends a reply. One that does not fit finds a QEMU that does not read what it asked for.
    fn send(&self, reply: &[u8]) -> Result<(), Broken> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut none = SendAncillaryBuffer::default();
        loop {
            return match sendmsg(&self.socket, &[IoSlice::new(reply)], &mut none, flags) {
                Ok(sent) if sent == reply.len() => Ok(()),
                Ok(_) => Err(Broken::Socket(Errno::AGAIN)),
                Err(Errno::INTR) => continue,
                // Its end is told by the next read.
                Err(Errno::PIPE | Errno::CONNRESET) => Ok(()),
                Err(errno) => Err(Broken::Socket(errno)),
            };
        }
    }

    /// Reads on, never past the end of a message: descriptors belong to the bytes that they came
    /// with.
    fn next(&mut self) -> Result<Next, Broken> {
        loop {
            let header =
                self.bytes.first_chunk().map(|bytes| Header::decode(*bytes)).transpose()?;
            let length = header
                .map_or(HEADER_BYTES, |header| HEADER_BYTES.saturating_add(header.body_bytes));
            let missing = length.saturating_sub(self.bytes.len());
            match header {
                Some(header) if missing == 0 => return Ok(Next::Message(header)),
                _ => {}
            }
            match self.read(missing)? {
                Some(0) => return Ok(Next::Closed),
                Some(_) => {}
                None => return Ok(Next::Nothing),
            }
        }
    }

    /// Reads up to so many bytes; `None` if there are none now.
    fn read(&mut self, missing: usize) -> Result<Option<usize>, Broken> {
        let mut bytes = vec![0; missing];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_REGIONS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received =
            recvmsg(self.socket.as_fd(), &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
        let received = match received {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(Errno::CONNRESET) => return Ok(Some(0)),
            Err(errno) => return Err(Broken::Socket(errno)),
        };
        // Every descriptor is owned from here on, and closed unless its message wants it.
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                self.fds.extend(rights);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || self.fds.len() > MAX_REGIONS {
            return Err(Broken::Descriptors(0));
        }
        self.bytes.extend(bytes.get(..received.bytes).unwrap_or_default());
        Ok(Some(received.bytes))
    }
}

/// On the session's own thread; the device may be dropped on another, which waits for nothing.
impl Drop for Link {
    fn drop(&mut self) {
        lock(&self.device).let_go();
    }
}

/// What came.
enum Next {
    Message(Header),
    Nothing,
    Closed,
}
