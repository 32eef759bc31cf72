//! What a picture shows, for scripts that test a desk: [needles](Needle), which are parts of a
//! picture to look for, in the form of os-autoinst, and the [text of consoles](read_console).
//!
//! It only looks. Nothing of the trusted session links it, and what it finds decides nothing but
//! whether a test passes.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bounds;
mod cell;
mod console;
mod font;
mod form;
mod grey;
mod needle;
mod page;
mod search;
mod set;
mod sieve;

pub use console::{UNKNOWN, read_console};
pub use font::{Font, FontFault};
pub use form::{Area, Click, FormError, Kind, Needle};
pub use needle::{AreaVerdict, Judged, Pattern, PatternError, Verdict, best};
pub use page::page;
pub use set::{Set, SetFault};
