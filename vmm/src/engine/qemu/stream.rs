//! A stream socket to QEMU that is read and written without ever waiting.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg,
    sendmsg,
};

/// Most bytes of one read.
const READ_BYTES: usize = 16 << 10;

/// What a read found.
#[derive(Debug, PartialEq, Eq)]
pub enum Read {
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing now.
    Nothing,
    /// The other end is gone.
    Closed,
}

/// Reads what is there. Descriptors that come along are closed: nobody was promised any.
pub fn read(socket: &OwnedFd) -> Read {
    let mut bytes = vec![0; READ_BYTES];
    let mut none = RecvAncillaryBuffer::default();
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut none, flags) {
        Ok(received) if received.bytes == 0 => Read::Closed,
        Ok(received) => {
            bytes.truncate(received.bytes);
            Read::Bytes(bytes)
        }
        Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
        Err(_) => Read::Closed,
    }
}

/// Writes as much as there is room for; how much that was.
pub fn write(socket: &OwnedFd, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> usize {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = fd.into_iter().collect();
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return 0;
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    loop {
        return match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Err(Errno::INTR) => continue,
            // Its end is told by the next read.
            other => other.unwrap_or(0),
        };
    }
}
