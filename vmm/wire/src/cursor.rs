//! Bounds-checked little-endian reading and writing of one message. It must never panic: the
//! bytes come from the other side.

use crate::{DecodeError, MESSAGE_BYTES};

/// Writes fields one after another into a zeroed message.
pub(crate) struct Writer {
    bytes: [u8; MESSAGE_BYTES],
    at: usize,
}

impl Writer {
    pub(crate) fn new(kind: u16) -> Self {
        let mut writer = Self { bytes: [0; MESSAGE_BYTES], at: 0 };
        writer.put(&kind.to_le_bytes());
        writer
    }

    fn put(&mut self, field: &[u8]) {
        let end = self.at.saturating_add(field.len());
        if let Some(slot) = self.bytes.get_mut(self.at..end) {
            slot.copy_from_slice(field);
        } else {
            debug_assert!(false, "message layout larger than MESSAGE_BYTES");
        }
        self.at = end;
    }

    pub(crate) fn done(self) -> [u8; MESSAGE_BYTES] {
        self.bytes
    }
}

/// Reads fields one after another; the rest must be zero.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Checks the length and takes the kind.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<(u16, Self), DecodeError> {
        if bytes.len() != MESSAGE_BYTES {
            return Err(DecodeError::Length(bytes.len()));
        }
        let mut reader = Self { rest: bytes };
        let kind = reader.u16()?;
        Ok((kind, reader))
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) =
            self.rest.split_first_chunk::<N>().ok_or(DecodeError::Length(self.rest.len()))?;
        self.rest = rest;
        Ok(*head)
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Range(field)),
        }
    }

    /// Every byte that was not read must be zero.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(DecodeError::Reserved) }
    }
}

/// A number of each of these kinds as a field.
macro_rules! numbers {
    ($($kind:ident)*) => {
        impl Writer {
            $(pub(crate) fn $kind(mut self, value: $kind) -> Self {
                self.put(&value.to_le_bytes());
                self
            })*
        }

        impl Reader<'_> {
            $(pub(crate) fn $kind(&mut self) -> Result<$kind, DecodeError> {
                Ok($kind::from_le_bytes(self.take()?))
            })*
        }
    };
}

numbers!(u8 u16 i16 u32 u64);
