//! The socket to `tabard`: takes messages with their descriptors, sends messages without ever
//! waiting.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendFlags, SocketType, recvmsg, sendmsg,
};
use tabard_wire::{FromVmm, MESSAGE_BYTES, ToVmm};

/// What came from `tabard`.
#[derive(Debug)]
pub enum Received {
    /// A message, with a descriptor exactly if its kind carries one.
    Message(ToVmm, Option<OwnedFd>),
    /// Nothing now.
    Nothing,
    /// The other end is gone.
    Closed,
    /// Bytes that are no message, or descriptors that do not belong to it; they are closed.
    Broken,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Yes,
    /// The socket is full.
    Full,
    /// The other end is gone.
    Closed,
}

/// This end of the wire.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
}

/// How long the last message of a process may wait for `tabard` to read.
const LAST_WORD: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

impl Wire {
    /// Takes the socket.
    ///
    /// # Errors
    /// `PROTOTYPE` if it is not a `SOCK_SEQPACKET` socket, otherwise the errno.
    pub fn new(socket: OwnedFd) -> Result<Self, Errno> {
        if rustix::net::sockopt::socket_type(&socket)? != SocketType::SEQPACKET {
            return Err(Errno::PROTOTYPE);
        }
        rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
        Ok(Self { socket })
    }

    /// Takes one message if there is one.
    pub fn receive(&self) -> Received {
        // One byte more than a message, so that a longer one is seen.
        let mut bytes = [0; MESSAGE_BYTES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received =
            recvmsg(&self.socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags);
        let received = match received {
            Ok(received) => received,
            Err(Errno::AGAIN | Errno::INTR) => return Received::Nothing,
            Err(_) => return Received::Closed,
        };
        // Every descriptor is owned from here on and closed unless it is returned.
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        if received.bytes == 0 {
            return Received::Closed;
        }
        if received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
            return Received::Broken;
        }
        let Some(message) = bytes.get(..received.bytes).and_then(|b| ToVmm::decode(b).ok()) else {
            return Received::Broken;
        };
        if descriptors.len() != usize::from(message.carries_descriptor()) {
            return Received::Broken;
        }
        Received::Message(message, descriptors.pop())
    }

    /// Sends a message unless the socket is full.
    pub fn send(&self, message: FromVmm) -> Sent {
        let bytes = message.encode();
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let mut none = SendAncillaryBuffer::default();
        loop {
            return match sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut none, flags) {
                Ok(_) => Sent::Yes,
                Err(Errno::INTR) => continue,
                Err(Errno::AGAIN | Errno::NOBUFS) => Sent::Full,
                Err(_) => Sent::Closed,
            };
        }
    }

    /// Waits a little for room, for the last message before the process ends.
    pub fn wait_for_room(&self) {
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        // Whatever comes of it, the process ends next.
        let _ends = poll(&mut fds, Some(&LAST_WORD));
    }
}

impl AsFd for Wire {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
