//! Snapshots of guests: what a test keeps of one and starts it from again. [`mod@line`] is what
//! `tabard test` and a guest's process say to each other about it, [`manifest`] says what a snapshot
//! is of and what it is refused for, [`folder`] keeps it on disk, [`extents`] finds what is not zero.
//!
//! A snapshot is data of one class: its files are for their owner only, and it starts only a guest of
//! that class, that program and that machine. Nothing but `tabard test` makes or reads one.
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

pub mod extents;
pub mod folder;
pub mod line;
pub mod manifest;

pub use extents::{Extent, data, put_page_runs};
pub use folder::{Folder, FolderError, Opened};
pub use line::{FromGuest, Line, Refusal, ToGuest};
pub use manifest::{FORMAT, Files, Manifest, Part};
