//! The trusted session: it starts the guests' processes, and joins input, monitor and display in
//! one loop. It decides nothing itself: every event goes to the monitor, every effect is carried
//! out to the letter.
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

mod accounts;
mod agent;
pub mod audit;
mod cgroup;
mod channel;
pub mod confirm;
pub mod desk;
mod engine;
mod exchange;
mod failures;
mod frames;
mod guest;
pub mod hex;
mod image;
pub mod keys;
mod login;
mod memory;
mod preflight;
mod process;
mod run;
mod sleep;
mod start;
mod volume;

pub use accounts::{Account, AccountsError, PasswordError, read_accounts};
pub use engine::{Engine, Qemu, stock_kernel_obstacle};
pub use image::{BUILTIN_PREFIX, ImageError, text as file_text};
pub use process::{ProcessError, open_kvm, probe_jail};
pub use run::{Control, Outcome, Session, Status};
pub use start::{
    Options, StartError, check_accounts, check_guests, file_name, prepare, vmm_program,
};
pub use volume::VolumeError;
