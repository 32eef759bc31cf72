//! The line between `tabard test` and a guest's process: fixed-size messages on a `SOCK_SEQPACKET`
//! pair, with the files of a snapshot beside them. A guest's process gets the line before it loads
//! anything, and opens no file itself. Without a line it neither keeps a guest nor starts one from
//! what was kept.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};

/// Bytes of a message: what it says, and one number.
const BYTES: usize = 4;
/// Most overlays of a machine: as many as it has volumes.
pub const MAX_OVERLAYS: usize = 8;
/// Most files of a message: memory, state and overlays.
const MAX_FILES: usize = 2 + MAX_OVERLAYS;

/// To a guest's process. Files: memory, state, and one for each overlay, in the order of volumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToGuest {
    /// Keep the machine in these files, which are empty and as long as they may become. Answered by
    /// `Kept` or `Refused`; the machine goes on as before.
    Keep,
    /// Start the machine from these files: at its load, or at once in the place of the one that runs.
    /// Answered by `Started` or `Refused`.
    From,
}

/// From a guest's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromGuest {
    /// The files have all of it.
    Kept,
    /// The machine runs from where it was kept.
    Started,
    /// It was not done.
    Refused(Refusal),
}

/// Why it was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub enum Refusal {
    /// There is no machine that runs.
    #[error("its machine does not run")]
    NoMachine = 1,
    /// The guest writes to an image that stays: it would not fit what was kept.
    #[error(
        "it has a volume that it writes for good, which goes on changing after it was kept; \
         make the guest disposable, or attach the volume read-only"
    )]
    Writes = 2,
    /// The display without a driver.
    #[error("a display without a driver (display = \"basic\") cannot be kept")]
    BasicDisplay = 3,
    /// The engine does not give or take the state of its processors and chipset.
    #[error("its engine refused; its messages are beside its serial log")]
    Engine = 4,
    /// A file could not be written or read to its end.
    #[error("a file of the snapshot could not be written or read to its end")]
    File = 5,
    /// The state is none of this program, or of another machine.
    #[error("the state in it makes no sense; it was changed, or is of another machine")]
    Malformed = 6,
    /// A disk did not answer what the guest had asked for.
    #[error("a volume did not answer in time")]
    Disk = 7,
}

impl Refusal {
    const ALL: [Self; 7] = [
        Self::NoMachine,
        Self::Writes,
        Self::BasicDisplay,
        Self::Engine,
        Self::File,
        Self::Malformed,
        Self::Disk,
    ];
}

/// The other side said what it may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Not a message of the line of snapshots")]
pub struct Nonsense;

/// The files of a snapshot, as descriptors.
#[derive(Debug)]
pub struct Set {
    /// The guest's memory.
    pub memory: File,
    /// All the rest of the machine.
    pub state: File,
    /// What the guest wrote over each volume that forgets it.
    pub overlays: Vec<File>,
}

impl ToGuest {
    fn encode(self) -> [u8; BYTES] {
        [if self == Self::Keep { 1 } else { 2 }, 0, 0, 0]
    }

    fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        match bytes {
            [1, 0, 0, 0] => Ok(Self::Keep),
            [2, 0, 0, 0] => Ok(Self::From),
            _ => Err(Nonsense),
        }
    }
}

impl FromGuest {
    fn encode(self) -> [u8; BYTES] {
        match self {
            Self::Kept => [1, 0, 0, 0],
            Self::Started => [2, 0, 0, 0],
            Self::Refused(refusal) => [3, refusal as u8, 0, 0],
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Nonsense> {
        match *bytes {
            [1, 0, 0, 0] => Ok(Self::Kept),
            [2, 0, 0, 0] => Ok(Self::Started),
            [3, number, 0, 0] => {
                let refusal = Refusal::ALL.into_iter().find(|one| *one as u8 == number);
                refusal.map(Self::Refused).ok_or(Nonsense)
            }
            _ => Err(Nonsense),
        }
    }
}

/// What came.
#[derive(Debug)]
pub enum Heard<T> {
    /// A message.
    Said(T),
    /// Nothing now.
    Nothing,
    /// The other end is gone, or said what it may not.
    Closed,
}

/// One end of the line.
#[derive(Debug)]
pub struct Line(OwnedFd);

impl From<OwnedFd> for Line {
    fn from(socket: OwnedFd) -> Self {
        Self(socket)
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Line {
    /// Both ends: ours, and the one for a guest's process.
    ///
    /// # Errors
    /// The errno of `socketpair`.
    pub fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(ours), theirs))
    }

    /// Sends a guest's process a message with the files of a snapshot.
    ///
    /// # Errors
    /// The errno; `INVAL` for more overlays than a machine has volumes.
    pub fn ask(&self, message: ToGuest, files: &Set) -> Result<(), Errno> {
        let mut fds = vec![files.memory.as_fd(), files.state.as_fd()];
        fds.extend(files.overlays.iter().map(AsFd::as_fd));
        self.send(&message.encode(), &fds)
    }

    /// Answers.
    ///
    /// # Errors
    /// The errno of sending.
    pub fn answer(&self, message: FromGuest) -> Result<(), Errno> {
        self.send(&message.encode(), &[])
    }

    /// The next message to a guest's process.
    ///
    /// # Errors
    /// [`Nonsense`].
    pub fn asked(&self) -> Heard<(ToGuest, Set)> {
        self.receive(|bytes, fds| {
            let message = ToGuest::decode(bytes)?;
            let mut files = fds.into_iter().map(File::from);
            let (Some(memory), Some(state)) = (files.next(), files.next()) else {
                return Err(Nonsense);
            };
            Ok((message, Set { memory, state, overlays: files.collect() }))
        })
    }

    /// The next message of a guest's process.
    pub fn answered(&self) -> Heard<FromGuest> {
        self.receive(|bytes, fds| {
            let message = FromGuest::decode(bytes)?;
            if fds.is_empty() { Ok(message) } else { Err(Nonsense) }
        })
    }

    fn send(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if fds.len() > MAX_FILES {
            return Err(Errno::INVAL);
        }
        if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
            return Err(Errno::INVAL);
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        loop {
            return match sendmsg(&self.0, &[IoSlice::new(bytes)], &mut control, flags) {
                Err(Errno::INTR) => continue,
                other => other.map(drop),
            };
        }
    }

    fn receive<T>(&self, decode: impl Fn(&[u8], Vec<OwnedFd>) -> Result<T, Nonsense>) -> Heard<T> {
        // One byte more, so that a message that is too long is seen.
        let mut bytes = [0; BYTES + 1];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
        let received = loop {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            match recvmsg(&self.0, &mut slices, &mut control, flags) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Heard::Nothing,
                Err(_) => return Heard::Closed,
                Ok(received) => break received,
            }
        };
        // Every descriptor is owned from here on.
        let mut fds = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                fds.extend(rights);
            }
        }
        let whole = !received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
        let bytes = bytes.get(..received.bytes).filter(|_| whole).unwrap_or_default();
        decode(bytes, fds).map_or(Heard::Closed, Heard::Said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(overlays: usize) -> Set {
        let file = || tempfile::tempfile().unwrap();
        Set { memory: file(), state: file(), overlays: (0..overlays).map(|_| file()).collect() }
    }

    #[test]
    fn a_message_brings_its_files_in_their_order() {
        use std::os::unix::fs::FileExt;
        let (ours, theirs) = Line::pair().unwrap();
        let files = set(MAX_OVERLAYS);
        files.overlays[7].write_all_at(b"eighth", 0).unwrap();
        ours.ask(ToGuest::Keep, &files).unwrap();
        let Heard::Said((ToGuest::Keep, heard)) = Line::from(theirs).asked() else {
            panic!("no message")
        };
        let mut bytes = [0; 6];
        heard.overlays[7].read_exact_at(&mut bytes, 0).unwrap();
        assert_eq!(&bytes, b"eighth");
    }

    #[test]
    fn more_overlays_than_volumes_are_not_sent() {
        let (ours, _theirs) = Line::pair().unwrap();
        assert_eq!(ours.ask(ToGuest::From, &set(MAX_OVERLAYS + 1)), Err(Errno::INVAL));
    }

    #[test]
    fn every_refusal_comes_back_as_it_was_sent() {
        let (ours, theirs) = Line::pair().unwrap();
        let theirs = Line::from(theirs);
        let refusals = Refusal::ALL.map(FromGuest::Refused);
        for message in [FromGuest::Kept, FromGuest::Started].into_iter().chain(refusals) {
            theirs.answer(message).unwrap();
            let Heard::Said(heard) = ours.answered() else { panic!("no message") };
            assert_eq!(heard, message);
        }
        assert!(matches!(ours.answered(), Heard::Nothing));
        drop(theirs);
        assert!(matches!(ours.answered(), Heard::Closed));
    }

    #[test]
    fn a_message_without_its_files_ends_the_line() {
        let (ours, theirs) = Line::pair().unwrap();
        ours.send(&ToGuest::Keep.encode(), &[]).unwrap();
        assert!(matches!(Line::from(theirs).asked(), Heard::Closed));
    }

    proptest! {
        #[test]
        fn whatever_comes_is_a_message_or_the_end(bytes in prop::collection::vec(any::<u8>(), 0..9)) {
            let (ours, theirs) = Line::pair().unwrap();
            ours.send(&bytes, &[]).unwrap();
            if let Heard::Said(message) = Line::from(theirs).answered() {
                prop_assert_eq!(message.encode().to_vec(), bytes);
            }
        }
    }
}
