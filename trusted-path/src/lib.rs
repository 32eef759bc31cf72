//! The monitor: one pure function that decides who receives input and what is shown. It has no
//! thread, clock, file or randomness; everything comes as an [`Event`] and leaves as an [`Effect`].
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

mod monitor;
mod types;

pub use monitor::Monitor;
pub use types::{
    ConfigError, Effect, Ending, Event, GuestCommand, GuestConfig, GuestInput, GuestReport,
    LayoutMode, MAX_GUESTS, MAX_NAME_CHARS, MIN_GUEST_PIXELS, MonitorConfig, POINTER_MAX,
};
