//! One end of the wire to one `tabard-vmm`. The loop writes itself while the process reads as fast;
//! what the socket does not take at once waits in a bounded queue for a thread that writes. A
//! guest that does not read, or reads slowly, never makes the loop wait.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rustix::io::Errno;
use rustix::net::{
    RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recv, send, sendmsg,
};
use tabard_display::{Bell, Ringing};
use tabard_wire::{DecodeError, FromVmm, MESSAGE_BYTES, ToVmm};

/// Messages that may wait for one `tabard-vmm`; one that has stopped reading holds no more.
const TO_VMM_QUEUE: usize = 2048;
/// Messages of one `tabard-vmm` that may wait for the loop; beyond it the sender waits, and its
/// process merges damage meanwhile.
const FROM_VMM_QUEUE: usize = 64;
/// Stack of the threads of one `tabard-vmm`: they hold one message each.
pub(super) const STACK_BYTES: usize = 128 * 1024;

/// What came from a `tabard-vmm`.
#[derive(Debug)]
pub(crate) enum Incoming {
    /// A message that decoded.
    Message(FromVmm),
    /// Bytes that are not a message: the guest is ended.
    Garbage(DecodeError),
    /// The other end is closed: the process has ended.
    Closed,
}

/// A message with the descriptor that it must carry.
struct Outgoing {
    message: ToVmm,
    descriptor: Option<OwnedFd>,
}

/// The queue is full: the process does not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The guest's process does not read its messages")]
pub struct NotReading;

/// The session's end of the wire.
pub(crate) struct Channel {
    socket: Arc<OwnedFd>,
    outgoing: Sender<Outgoing>,
    /// Messages that are queued or being written. Only the loop adds to it, so that nothing
    /// overtakes them while it is not 0.
    behind: Arc<AtomicUsize>,
    /// What the process says.
    pub(crate) incoming: Receiver<Incoming>,
}

impl Channel {
    /// Starts the two threads on this socket; what comes in rings this bell.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub(crate) fn new(name: &str, socket: OwnedFd, bell: &Bell) -> io::Result<Self> {
        let socket = Arc::new(socket);
        let (outgoing, to_write) = bounded::<Outgoing>(TO_VMM_QUEUE);
        let (read, incoming) = bell.channel(FROM_VMM_QUEUE);
        let behind = Arc::new(AtomicUsize::new(0));
        let (writer, reader) = (Arc::clone(&socket), Arc::clone(&socket));
        let queued = Arc::clone(&behind);
        spawn(format!("to {name}"), move || write_all(&writer, &to_write, &queued))?;
        spawn(format!("from {name}"), move || read_all(&reader, &read))?;
        Ok(Self { socket, outgoing, behind, incoming })
    }

    /// Sends a message that carries no descriptor, and never waits.
    ///
    /// # Errors
    /// [`NotReading`] if the queue is full. A closed wire is no error here: the reader reports it.
    pub(crate) fn send(&self, message: ToVmm) -> Result<(), NotReading> {
        self.queue(Outgoing { message, descriptor: None })
    }

    /// Sends a message with its descriptor.
    ///
    /// # Errors
    /// As [`Channel::send`].
    pub(crate) fn send_with(&self, message: ToVmm, descriptor: OwnedFd) -> Result<(), NotReading> {
        self.queue(Outgoing { message, descriptor: Some(descriptor) })
    }

    fn queue(&self, outgoing: Outgoing) -> Result<(), NotReading> {
        let free = self.behind.load(Ordering::Acquire) == 0;
        if free && write_one(&self.socket, &outgoing, SendFlags::DONTWAIT) != Err(Errno::AGAIN) {
            return Ok(());
        }
        self.behind.fetch_add(1, Ordering::Relaxed);
        match self.outgoing.try_send(outgoing) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
            Err(TrySendError::Full(_)) => {
                self.behind.fetch_sub(1, Ordering::Relaxed);
                Err(NotReading)
            }
        }
    }
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name).stack_size(STACK_BYTES).spawn(run).map(drop)
}

fn write_all(socket: &OwnedFd, messages: &Receiver<Outgoing>, behind: &AtomicUsize) {
    let mut waiting = None;
    while let Some(mut next) = waiting.take().or_else(|| messages.recv().ok()) {
        // Of pointer positions in a row only the newest matters; a slow guest gets fewer.
        while matches!(next.message, ToVmm::Pointer { .. }) {
            match messages.try_recv() {
                Ok(newer) if matches!(newer.message, ToVmm::Pointer { .. }) => {
                    next = newer;
                    behind.fetch_sub(1, Ordering::Relaxed);
                }
                Ok(other) => {
                    waiting = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        // After an error the count stays, and the loop only queues, for nobody: the wire is gone.
        if write_one(socket, &next, SendFlags::empty()).is_err() {
            return;
        }
        behind.fetch_sub(1, Ordering::Release);
    }
}

fn write_one(socket: &OwnedFd, outgoing: &Outgoing, flags: SendFlags) -> Result<(), Errno> {
    let flags = flags | SendFlags::NOSIGNAL;
    let bytes = outgoing.message.encode();
    loop {
        let sent = match &outgoing.descriptor {
            None => send(socket, &bytes, flags),
            Some(descriptor) => {
                let descriptors = [descriptor.as_fd()];
                let mut space =
                    [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                ancillary.push(SendAncillaryMessage::ScmRights(&descriptors));
                let bytes = [io::IoSlice::new(&bytes)];
                sendmsg(socket, &bytes, &mut ancillary, flags)
            }
        };
        match sent {
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

fn read_all(socket: &OwnedFd, to_loop: &Ringing<Incoming>) {
    // One byte more than a message, so that a longer datagram shows its length. `recv` takes no
    // descriptors: the kernel closes any that a hostile process attaches.
    let mut buffer = [0_u8; MESSAGE_BYTES + 1];
    loop {
        let incoming = match recv(socket, &mut buffer, RecvFlags::empty()) {
            Ok((_, 0)) => Incoming::Closed,
            Ok((length, _)) => match FromVmm::decode(buffer.get(..length).unwrap_or_default()) {
                Ok(message) => Incoming::Message(message),
                Err(error) => Incoming::Garbage(error),
            },
            Err(Errno::INTR) => continue,
            Err(_) => Incoming::Closed,
        };
        let last = !matches!(incoming, Incoming::Message(_));
        if to_loop.send(incoming).is_err() || last {
            return;
        }
    }
}
