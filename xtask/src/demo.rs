//! `cargo demo`: builds what the demo needs and becomes `tabard demo`; with `--seat`, shows a whole
//! seat in the test host, and with `--debian` two Debian desktops.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::{build, debian, test_host};

/// Builds and shows; without `--seat` or `--debian` it returns only if it could not show anything.
///
/// # Errors
/// A sentence that says why.
pub fn run(args: &[String]) -> Result<ExitCode, String> {
    if args.iter().any(|word| word == "--seat") {
        return test_host::show_seat(args);
    }
    if let [first, rest @ ..] = args
        && first == "--debian"
    {
        return debian::run(rest).map(|()| ExitCode::SUCCESS);
    }
    eprintln!("[1/2] building tabard and what runs its guests; the first time takes some minutes");
    let tabard = build::demo(has_display() && !args.iter().any(|word| word == "--headless"))?;
    eprintln!("[2/2] {} demo", tabard.display());
    let error = Command::new(&tabard).arg("demo").args(args).exec();
    Err(format!("Cannot start {}: {error}", tabard.display()))
}

/// Whether there is a display to open a window on.
pub fn has_display() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(set)
}
