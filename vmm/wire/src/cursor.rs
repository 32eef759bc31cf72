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

    pub(crate) fn u8(mut self, value: u8) -> Self {
        self.put(&[value]);
        self
    }

    pub(crate) fn u16(mut self, value: u16) -> Self {
        self.put(&value.to_le_bytes());
        self
    }

    pub(crate) fn i16(mut self, value: i16) -> Self {
        self.put(&value.to_le_bytes());
        self
    }

    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.put(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(mut self, value: u64) -> Self {
        self.put(&value.to_le_bytes());
        self
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

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(DecodeError::Range(field)),
        }
    }

    pub(crate) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, DecodeError> {
        Ok(i16::from_le_bytes(self.take()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Every byte that was not read must be zero.
    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(DecodeError::Reserved) }
    }
}
