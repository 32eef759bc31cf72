//! `cargo demo`: builds the release and becomes `tabard demo`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::build;

/// Builds and shows; returns only if that was not possible.
///
/// # Errors
/// A sentence that says why.
pub fn run(args: &[String]) -> Result<(), String> {
    eprintln!("[1/2] building tabard and tabard-vmm; the first time takes some minutes");
    let tabard = build::release()?;
    eprintln!("[2/2] {} demo", tabard.display());
    let error = Command::new(&tabard).arg("demo").args(args).exec();
    Err(format!("Cannot start {}: {error}", tabard.display()))
}
