//! Physical input as plain values: key codes, sources, the secure-attention chord and the ledger
//! of keys that are down. It decides nothing about who receives them, and does no I/O.
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

mod chord;
mod held;
mod key;

pub use chord::{Chord, ChordError};
pub use held::{Capacity, Fate, HeldKeys, MAX_KEYS, MAX_KEYS_PER_SOURCE};
pub use key::KeyCode;

/// One physical device or window that input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u16);
