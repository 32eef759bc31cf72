//! The wire between `tabard` (trusted) and one `tabard-vmm` (hostile until proven otherwise):
//! fixed-size little-endian messages over a `SOCK_SEQPACKET` pair.
//!
//! Nothing here names focus, labels or other guests, and no path ever crosses. Decoding is
//! strict: a wrong length, an unknown kind, a value out of range or a reserved byte that is not
//! zero is an error, and the session ends the guest that sent it.
#![forbid(unsafe_code)]

mod cursor;
mod from_vmm;
mod jail;
mod layout;
mod to_vmm;

pub use from_vmm::{FailReason, FromVmm, StopReason};
pub use jail::{Layer, Layers};
pub use layout::{
    AGENT_BUFFER_BYTES, CURSOR_BYTES, CURSOR_SIDE_PX, MAX_SIDE_PX, MIN_SIDE_PX, Rect,
    SurfaceGeometry,
};
pub use to_vmm::ToVmm;

/// Length of every message on the wire, in bytes.
pub const MESSAGE_BYTES: usize = 32;

/// Largest absolute pointer coordinate; a guest sees both axes as 0..=this.
pub const POINTER_MAX: u16 = 32767;

/// Why bytes from the other side are not a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The datagram is not exactly [`MESSAGE_BYTES`] long.
    #[error("A message must be {MESSAGE_BYTES} bytes, this one has {0}")]
    Length(usize),
    /// The kind is not one that this side may receive.
    #[error("Unknown message kind {0}")]
    Kind(u16),
    /// A field holds a value outside its range.
    #[error("Field {0} is out of range")]
    Range(&'static str),
    /// Bytes that must be zero are not.
    #[error("Reserved bytes are not zero")]
    Reserved,
}
