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

mod audit;
mod config;
mod devices;
mod exchange;
mod exchange_words;
mod focus;
mod guests;
mod hardware;
mod lock;
mod monitor;
mod outputs;
mod pointer;
mod policy;
#[cfg(feature = "proof")]
pub mod proof;
mod restart;
mod scene;
mod sheet;
mod text_page;
mod trusted_screen;
mod types;
mod windows;
mod words;

#[cfg(test)]
mod exchange_tests;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod laws;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod screens_tests;

pub use audit::{Record, Verdict};
pub use config::{ConfigError, GuestConfig, LayoutMode, MAX_GUESTS, MAX_NAME_CHARS, MonitorConfig};
pub use devices::Part;
pub use exchange::ShownText;
pub use guests::GuestState;
pub use lock::{
    LockCause, LoginConfig, MAX_DELAY_SECONDS, MAX_PASSWORD_CHARS, Secret, UserConfig, UserId,
    delay_seconds,
};
pub use monitor::Monitor;
pub use policy::{Authority, Decision, Flow, FlowKind, Policy, Reason};
pub use text_page::{text_page, text_pages};
pub use types::{
    Clip, Digest, Effect, Ending, Event, GuestCommand, GuestInput, GuestReport, MIN_GUEST_PIXELS,
    POINTER_MAX, Passage, Question, Timer,
};
