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

mod config;
mod focus;
mod guests;
mod monitor;
mod outputs;
mod pointer;
mod policy;
#[cfg(feature = "proof")]
mod proof;
mod scene;
mod trusted_screen;
mod types;
mod windows;
mod words;

#[cfg(test)]
mod invariants;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod rig;

pub use config::{ConfigError, GuestConfig, LayoutMode, MAX_GUESTS, MAX_NAME_CHARS, MonitorConfig};
pub use guests::GuestState;
pub use monitor::Monitor;
pub use policy::{Authority, Decision, Flow, FlowKind, Policy, Reason};
pub use types::{
    Effect, Ending, Event, GuestCommand, GuestInput, GuestReport, MIN_GUEST_PIXELS, POINTER_MAX,
};
