//! Model checking of the monitor that ships, not of a copy: the same `Monitor::step` under every
//! order of a user's keys and clicks, a presenter's confirmations (late, out of order, lost),
//! guests' reports, and screens that come and go, to a stated depth.
//!
//! What is checked after every step is in `judge.rs`, `locks.rs`, `flows.rs` and `questions.rs`:
//! invariants 1 to 5, 8 and 9 of the design, by number. There are four places to begin: at work,
//! before the trusted screen with texts to take and give or with questions that wait, and before
//! the lock screen. For each invariant [`Fault`] has a broken monitor that the checker must catch.
#![forbid(unsafe_code)]

mod canonical;
mod desk;
mod fault;
mod flows;
mod judge;
mod locks;
mod model;
mod questions;
mod tally;

pub use desk::Cast;
pub use fault::Fault;
pub use model::{Action, Desk, Start, State};
