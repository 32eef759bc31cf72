//! A resource for a snapshot: its shape, and where its pixels are. The pixels are the guest's.

use serde::{Deserialize, Serialize};
use tabard_wire::Rect;

use super::super::format::Format;
use super::{Resource, is_empty};
use crate::memory::GuestRam;
use crate::rect::contains;
use crate::snapshot::Refusal;

/// What is kept of one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    width: u32,
    height: u32,
    /// The number of its format.
    format: u32,
    /// Address and bytes of each stretch.
    backing: Vec<(u64, u64)>,
    transferred: [u32; 4],
    pending: [u32; 4],
}

/// A rectangle as four numbers.
pub fn numbers(rect: Rect) -> [u32; 4] {
    [rect.x, rect.y, rect.width, rect.height]
}

/// Four numbers as a rectangle inside this one, or an empty one.
///
/// # Errors
/// `Malformed`.
pub fn inside([x, y, width, height]: [u32; 4], outer: Rect) -> Result<Rect, Refusal> {
    let rect = Rect { x, y, width, height };
    if is_empty(rect) {
        return Ok(Rect::default());
    }
    if contains(outer, rect) { Ok(rect) } else { Err(Refusal::Malformed) }
}

impl Resource {
    /// For a snapshot.
    #[must_use]
    pub fn kept(&self) -> Kept {
        let entries = self.backing.entries.iter();
        Kept {
            width: self.width,
            height: self.height,
            format: self.format.code(),
            backing: entries.map(|entry| (entry.address, entry.bytes)).collect(),
            transferred: numbers(self.transferred),
            pending: numbers(self.pending),
        }
    }

    /// The same as it was, with all that is checked of a new one.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn of(kept: &Kept, ram: &GuestRam) -> Result<Self, Refusal> {
        let made = Self::new(kept.format, kept.width, kept.height);
        let mut made = made.ok_or(Refusal::Malformed)?;
        for (address, bytes) in &kept.backing {
            // A stretch of merged entries may be longer than one.
            let mut left = *bytes;
            let mut at = *address;
            while left > 0 {
                let step = u32::try_from(left).unwrap_or(1 << 31);
                if !made.backing.push(ram, at, step) {
                    return Err(Refusal::Malformed);
                }
                at = at.checked_add(step.into()).ok_or(Refusal::Malformed)?;
                left = left.saturating_sub(step.into());
            }
        }
        let bounds = made.bounds();
        made.transferred = inside(kept.transferred, bounds)?;
        made.pending = inside(kept.pending, bounds)?;
        Ok(made)
    }
}

impl Format {
    /// The number of a format.
    fn code(self) -> u32 {
        let codes = [1, 2, 3, 4, 67, 68, 121, 134];
        codes.into_iter().find(|code| Self::from_code(*code) == Some(self)).unwrap_or(0)
    }
}
