//! Physical input as plain values: key codes, sources, the secure-attention chord, the ledger of
//! keys that are down, and what counts as a keyboard or a pointer. It decides nothing about who
//! receives them, and does no I/O but in `evdev`, a feature.
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
mod device;
#[cfg(feature = "evdev")]
pub mod evdev;
mod held;
mod key;
mod text;

pub use chord::{Chord, ChordError};
pub use device::{
    Capabilities, Device, DeviceClass, DeviceName, DeviceRules, HostEvent, Kind,
    MAX_DEVICE_NAME_BYTES, Pointing, Refusal, Spare,
};
pub use held::{Capacity, Fate, HeldKeys, MAX_KEYS, MAX_KEYS_PER_SOURCE};
pub use key::KeyCode;

/// One physical device or window that input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId(pub u32);

impl SourceId {
    /// Numbers from here on are devices of the host, which are heard only once they have been
    /// announced and accepted; below are windows and scripts, which the session itself vouches for.
    pub const FIRST_DEVICE: u32 = 16;
}
