//! Tabard: a trusted-path virtual KVM switch and multilevel desktop.
//!
//! The trusted session is in [`session`], and in [`seat`] what it owns of the machine; the other modules are commands for a person at a
//! prompt.

pub mod audit;
pub mod check;
pub mod confirm;
pub mod demo;
pub mod doctor;
pub mod engine;
pub mod flows;
pub mod harness;
pub mod image;
pub mod lock;
pub mod needle;
pub mod oracle;
pub mod packages;
pub mod passwd;
pub mod run;
pub mod script;
pub mod seat;
pub mod signals;
pub mod window;
mod xml;

pub use tabard_session as session;
