//! What an agent inside a guest and `tabard` say to each other over the guest's console port
//! `tabard.agent`: frames with a fixed header, a bounded body and one strict decoder.
//!
//! A frame is `"TA"`, a version, a kind, the length of the body (32 bits, little-endian), the
//! body. Every number is little-endian. Nothing here says who is asked or where text goes: an agent
//! offers and asks, the user decides on the trusted screen.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

extern crate alloc;

mod frame;
mod from_guest;
mod to_guest;

pub use frame::{FrameError, Header, Stream};
pub use from_guest::FromGuest;
pub use to_guest::{Answer, Refusal, ToGuest};

/// Name of the console port (virtio 1.2, 5.3.6.2: `VIRTIO_CONSOLE_PORT_NAME`).
pub const PORT_NAME: &str = "tabard.agent";
/// Version of what is said here.
pub const VERSION: u8 = 1;
/// Bytes of a frame's header.
pub const HEADER_BYTES: usize = 8;
/// Most bytes of a text that is offered or given: 64 KiB.
pub const MAX_TEXT_BYTES: usize = 65_536;
/// Most bytes of a frame's body: a text, or an answer with all that it repeats.
pub const MAX_BODY_BYTES: usize = MAX_TEXT_BYTES;
/// Most characters of a question.
pub const MAX_QUESTION_CHARS: usize = 200;
/// Bytes of a question's nonce.
pub const NONCE_BYTES: usize = 16;
