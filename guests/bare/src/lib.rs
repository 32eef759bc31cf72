//! What the bare-metal guests share: the machine underneath, a canvas, letters and keys.
//!
//! Everything runs at CPL 3 on an identity map, waits by interrupt and uses no CPU when idle.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod canvas;
pub mod cursor;
pub mod drawing;
pub mod editor;
pub mod font;
pub mod forgery;
pub mod json;
pub mod keys;
pub mod options;
pub mod pointer;

#[cfg(not(test))]
#[allow(unsafe_code, reason = "the one module tree that touches hardware")]
pub mod machine;
#[cfg(not(test))]
pub mod screen;
