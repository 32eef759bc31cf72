//! The verifier: it never refuses what a right compositor draws, whatever the desk, and never
//! lets a wrong pixel of a bar or banner pass.

mod common;

#[path = "verifier/desks.rs"]
mod desks;
#[path = "verifier/faults.rs"]
mod faults;
#[path = "verifier/trusted.rs"]
mod trusted;
