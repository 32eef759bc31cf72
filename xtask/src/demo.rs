//! `cargo demo`: builds the release and becomes `tabard demo`; with `--seat`, shows a whole seat in
//! the test host.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::{build, test_host};

/// Builds and shows. Without `--seat` it returns only if that was not possible.
///
/// # Errors
/// A sentence that says why.
pub fn run(args: &[String]) -> Result<ExitCode, String> {
    if args.iter().any(|word| word == "--seat") {
        return test_host::show_seat(args);
    }
    eprintln!("[1/2] building tabard and tabard-vmm; the first time takes some minutes");
    let tabard = build::release()?;
    eprintln!("[2/2] {} demo", tabard.display());
    let error = Command::new(&tabard).arg("demo").args(args).exec();
    Err(format!("Cannot start {}: {error}", tabard.display()))
}
