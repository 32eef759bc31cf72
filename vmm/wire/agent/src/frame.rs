//! Frames: their header, and finding them in a stream of bytes. The stream comes from a guest, so
//! nothing here panics or grows beyond one frame and what came with it.

use alloc::vec::Vec;
use core::fmt;

use crate::{HEADER_BYTES, MAX_BODY_BYTES, VERSION};

/// The first two bytes of every frame.
const MAGIC: [u8; 2] = *b"TA";

/// Why bytes are not a frame, or a frame is not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// It does not begin with the magic bytes.
    Magic,
    /// A version that is not spoken here.
    Version(u8),
    /// A kind that this side may not receive.
    Kind(u8),
    /// A body longer than any, or of a length that its kind cannot have.
    Length(u32),
    /// A text that is not UTF-8, or has more characters than allowed.
    Text,
    /// A field with a value outside of its range.
    Range,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("The bytes do not begin a frame"),
            Self::Version(version) => write!(f, "Version {version} is not spoken here"),
            Self::Kind(kind) => write!(f, "Unknown kind {kind}"),
            Self::Length(bytes) => write!(f, "A body of {bytes} bytes cannot be"),
            Self::Text => f.write_str("The text is not UTF-8 or too long"),
            Self::Range => f.write_str("A field is out of range"),
        }
    }
}

impl core::error::Error for FrameError {}

/// What a frame begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is; each direction has its own kinds.
    pub kind: u8,
    /// Bytes of the body, at most [`MAX_BODY_BYTES`].
    pub body_bytes: u32,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// `Magic`, `Version`, or `Length` of a body that is too long.
    pub fn decode(bytes: [u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        let [m0, m1, version, kind, a, b, c, d] = bytes;
        if [m0, m1] != MAGIC {
            return Err(FrameError::Magic);
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let body_bytes = u32::from_le_bytes([a, b, c, d]);
        if usize::try_from(body_bytes).is_ok_and(|bytes| bytes <= MAX_BODY_BYTES) {
            Ok(Self { kind, body_bytes })
        } else {
            Err(FrameError::Length(body_bytes))
        }
    }

    /// Bytes of the whole frame.
    #[must_use]
    pub fn frame_bytes(self) -> usize {
        usize::try_from(self.body_bytes).unwrap_or(MAX_BODY_BYTES).saturating_add(HEADER_BYTES)
    }
}

/// A frame of this kind; a body that is too long is cut.
pub(crate) fn frame(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let [m0, m1] = MAGIC;
    let mut frame = alloc::vec![m0, m1, VERSION, kind, 0, 0, 0, 0];
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.truncate(HEADER_BYTES.saturating_add(MAX_BODY_BYTES));
    let body = u32::try_from(frame.len().saturating_sub(HEADER_BYTES)).unwrap_or(0);
    for (place, byte) in frame.iter_mut().skip(4).zip(body.to_le_bytes()) {
        *place = byte;
    }
    frame
}

/// Parts a whole frame into its kind and body.
pub(crate) fn parts(frame: &[u8]) -> Result<(u8, &[u8]), FrameError> {
    let (head, body) = frame.split_first_chunk::<HEADER_BYTES>().ok_or(FrameError::Magic)?;
    let header = Header::decode(*head)?;
    if header.frame_bytes() == frame.len() {
        Ok((header.kind, body))
    } else {
        Err(FrameError::Length(header.body_bytes))
    }
}

/// Takes the first `N` bytes of a body.
pub(crate) fn field<const N: usize>(body: &[u8]) -> Result<(&[u8; N], &[u8]), FrameError> {
    let short = || FrameError::Length(u32::try_from(body.len()).unwrap_or(u32::MAX));
    body.split_first_chunk::<N>().ok_or_else(short)
}

/// Cuts a stream of bytes into frames.
#[derive(Debug, Default)]
pub struct Stream {
    bytes: Vec<u8>,
}

impl Stream {
    /// Adds bytes. Take frames until there is none before adding more: then the stream never
    /// holds more than one frame and the last bytes that came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The first frame, header included; `None` until all of it has come.
    ///
    /// # Errors
    /// What [`Header::decode`] says; there is no way to find the next frame then.
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        let Some((head, _)) = self.bytes.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = Header::decode(*head)?.frame_bytes();
        if self.bytes.len() < length {
            return Ok(None);
        }
        let rest = self.bytes.split_off(length);
        Ok(Some(core::mem::replace(&mut self.bytes, rest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_header_says_what_is_wrong_with_it() {
        assert_eq!(Header::decode(*b"TX\x01\x01\0\0\0\0"), Err(FrameError::Magic));
        assert_eq!(Header::decode(*b"TA\x02\x01\0\0\0\0"), Err(FrameError::Version(2)));
        assert_eq!(Header::decode(*b"TA\x01\x01\x01\0\x01\0"), Err(FrameError::Length(65_537)));
        assert!(Header::decode(*b"TA\x01\x01\0\0\x01\0").is_ok());
    }

    proptest! {
        #[test]
        fn frames_come_out_of_a_stream_however_it_is_cut(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6),
            cut in 1..50usize,
        ) {
            let frames: Vec<Vec<u8>> = bodies.iter().map(|body| frame(1, &[body])).collect();
            let mut stream = Stream::default();
            let mut found = Vec::new();
            for piece in frames.concat().chunks(cut) {
                stream.push(piece);
                while let Some(frame) = stream.next_frame().unwrap() { found.push(frame); }
            }
            prop_assert_eq!(found, frames);
        }

        #[test]
        fn any_bytes_are_taken_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut stream = Stream::default();
            stream.push(&bytes);
            while let Ok(Some(frame)) = stream.next_frame() {
                prop_assert!(parts(&frame).is_ok());
            }
        }
    }
}
