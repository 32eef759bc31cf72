//! What a `tabard-vmm` and its `tabard-engine` say to each other: fixed-size messages on a
//! `SOCK_SEQPACKET` pair. The one asks for QEMU to be started or ended, the other says what became
//! of it. Neither trusts the other more than the wire's ends do.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::machine::MAX_VOLUMES;

/// Bytes of a message.
const BYTES: usize = 16;
/// Sockets that QEMU gets for every machine: serial port, agent's port, its monitor, its display,
/// and the devices gpu, keyboard, pointer and rng.
pub const FIXED_SOCKETS: usize = 8;
/// Place of the display among them, both ends of which are for the guest's process.
pub const DISPLAY_SOCKET: usize = 3;
/// Descriptors behind the sockets: QEMU's end of the display's, the pipe that its log goes to, and the
/// file for the state of its chipset.
pub const OTHERS: usize = 3;
/// Most descriptors of one message.
const MAX_DESCRIPTORS: usize = FIXED_SOCKETS + MAX_VOLUMES + OTHERS;

/// The machine to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Order {
    /// Its memory in MiB, 16..=1048576.
    pub memory_mib: u32,
    /// Its processors, 1..=64.
    pub vcpus: u8,
    /// Its volumes, at most `MAX_VOLUMES`.
    pub volumes: u8,
    /// Whether it has a display device; where a framebuffer stands for it, not.
    pub gpu: bool,
    /// Whether it is made from a snapshot, and QEMU takes all of its devices for disks.
    pub posed: bool,
}

/// To `tabard-engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToEngine {
    /// Start QEMU. *fd*: the machine's memory.
    Start(Order),
    /// End it at once; answered by `Ended`.
    End,
}

/// From `tabard-engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromEngine {
    /// It is in its jail, whose layers are these bits; the first message.
    Jailed(u16),
    /// QEMU is on its way. *fds*: our ends of its sockets, [`FIXED_SOCKETS`], one a volume, and [`OTHERS`].
    Started {
        /// The user that QEMU takes this side for, which its display asks about.
        user: u32,
        /// QEMU's number of the file for its state.
        state: u32,
    },
    /// There is no QEMU, or no more; its status as a shell says it.
    Ended(i32),
}

/// A message as it comes: its bytes and descriptors.
pub type Message = (Vec<u8>, Vec<OwnedFd>);

/// The other side said what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Not a message between tabard-vmm and tabard-engine")]
pub struct Nonsense;

fn message(kind: u8, byte: [u8; 3], words: [u32; 2]) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let [a, b] = words.map(u32::to_le_bytes);
    let all = [kind].into_iter().chain(byte).chain(a).chain(b);
    for (slot, byte) in bytes.iter_mut().zip(all) {
        *slot = byte;
    }
    bytes
}

/// Kind, three bytes and two words; the rest must be zero.
fn parts(bytes: &[u8]) -> Result<(u8, [u8; 3], u32, u32), Nonsense> {
    let bytes: [u8; BYTES] = bytes.try_into().map_err(|_| Nonsense)?;
    let [kind, x, y, z, a, b, c, d, e, f, g, h, 0, 0, 0, 0] = bytes else { return Err(Nonsense) };
    let (one, two) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
    Ok((kind, [x, y, z], one, two))
}

impl ToEngine {
    /// As it goes out.
    #[must_use]
    pub fn encode(self) -> [u8; BYTES] {
        match self {
            Self::Start(Order { memory_mib, vcpus, volumes, gpu, posed }) => {
                let devices = u8::from(gpu) | u8::from(posed) << 1;
                message(1, [vcpus, volumes, devices], [memory_mib, 0])
            }
            Self::End => message(2, [0; 3], [0; 2]),
        }
    }

    /// As it came.
    ///
    /// # Errors
    /// `Nonsense`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        match parts(bytes)? {
            (1, [vcpus @ 1..=64, volumes, devices @ 0..=3], memory_mib @ 16..=1_048_576, 0)
                if usize::from(volumes) <= MAX_VOLUMES =>
            {
                let (gpu, posed) = (devices & 1 != 0, devices & 2 != 0);
                Ok(Self::Start(Order { memory_mib, vcpus, volumes, gpu, posed }))
            }
            (2, [0, 0, 0], 0, 0) => Ok(Self::End),
            _ => Err(Nonsense),
        }
    }
}

impl FromEngine {
    /// As it goes out.
    #[must_use]
    pub fn encode(self) -> [u8; BYTES] {
        match self {
            Self::Jailed(layers) => message(1, [0; 3], [layers.into(), 0]),
            Self::Started { user, state } => message(2, [0; 3], [user, state]),
            Self::Ended(status) => message(3, [0; 3], [status.cast_unsigned(), 0]),
        }
    }

    /// As it came.
    ///
    /// # Errors
    /// `Nonsense`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        match parts(bytes)? {
            (1, [0, 0, 0], layers, 0) => {
                u16::try_from(layers).map(Self::Jailed).map_err(|_| Nonsense)
            }
            (2, [0, 0, 0], user, state) => Ok(Self::Started { user, state }),
            (3, [0, 0, 0], status, 0) => Ok(Self::Ended(status.cast_signed())),
            _ => Err(Nonsense),
        }
    }
}

/// Sends a message with these descriptors, without waiting for a side that does not read.
///
/// # Errors
/// The errno; `PIPE` when the other side is gone, `AGAIN` when there is no room.
pub fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        return match sendmsg(&socket, &[IoSlice::new(bytes)], &mut control, flags) {
            Err(Errno::INTR) => continue,
            other => other.map(drop),
        };
    }
}

/// Takes one message: its bytes and descriptors, none if nobody will send any more, and `AGAIN`
/// where nothing is there and `flags` say not to wait.
///
/// # Errors
/// The errno; `BADMSG` for one that is too long.
pub fn receive(socket: impl AsFd, flags: RecvFlags) -> Result<Option<Message>, Errno> {
    let mut bytes = [0; BYTES + 1];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        match recvmsg(&socket, &mut slices, &mut control, flags | RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC) {
        return Err(Errno::BADMSG);
    }
    match bytes.get(..received.bytes) {
        None | Some([]) => Ok(None),
        Some(bytes) => Ok(Some((bytes.to_vec(), descriptors))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_comes_back_as_it_was_sent() {
        let order = Order { memory_mib: 64, vcpus: 2, volumes: 3, gpu: true, posed: false };
        let posed = Order { posed: true, ..order };
        assert_eq!(ToEngine::decode(&ToEngine::Start(posed).encode()), Ok(ToEngine::Start(posed)));
        for message in [ToEngine::Start(order), ToEngine::End] {
            assert_eq!(ToEngine::decode(&message.encode()), Ok(message));
        }
        let all = [FromEngine::Jailed(0xfff), FromEngine::Started { user: 65_534, state: 9 }];
        for message in all.into_iter().chain([FromEngine::Ended(-1)]) {
            assert_eq!(FromEngine::decode(&message.encode()), Ok(message));
        }
    }

    #[test]
    fn what_no_machine_has_is_nonsense() {
        let order = Order { memory_mib: 64, vcpus: 2, volumes: 3, gpu: true, posed: false };
        for wrong in [
            Order { memory_mib: 0, ..order },
            Order { vcpus: 0, ..order },
            Order { vcpus: 65, ..order },
            Order { volumes: 9, ..order },
        ] {
            assert_eq!(ToEngine::decode(&ToEngine::Start(wrong).encode()), Err(Nonsense));
        }
        assert_eq!(ToEngine::decode(&[0; BYTES]), Err(Nonsense));
        assert_eq!(ToEngine::decode(&[2; 3]), Err(Nonsense));
        let mut long = ToEngine::End.encode();
        long[15] = 1;
        assert_eq!(ToEngine::decode(&long), Err(Nonsense));
    }
}
