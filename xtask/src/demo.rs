//! `cargo demo`: builds the release and becomes `tabard demo`; with `--seat`, shows a whole seat in
//! the test host, and with `--debian` two Debian desktops.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::{build, debian, test_host};

/// Builds and shows. With `--seat` or `--debian`, and where there is no `/dev/kvm`, it shows in
/// the test host; otherwise it returns only if it could not show anything.
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
        return debian(rest);
    }
    if !Path::new("/dev/kvm").exists() {
        eprintln!(
            "There is no /dev/kvm, so no guest runs on this machine itself (`cargo run -- doctor` \
             says what is missing). Instead, `cargo demo --debian` plays a tour of two Debian \
             desktops in an emulated machine, without a window:"
        );
        let without_window: Vec<String> =
            args.iter().filter(|word| *word != "--headless").cloned().collect();
        return debian(&without_window);
    }
    eprintln!("[1/2] building tabard and tabard-vmm; the first time takes some minutes");
    let tabard = build::release()?;
    eprintln!("[2/2] {} demo", tabard.display());
    let error = Command::new(&tabard).arg("demo").args(args).exec();
    Err(format!("Cannot start {}: {error}", tabard.display()))
}

/// `cargo demo --debian`, with the arguments after that word.
///
/// # Errors
/// A sentence that says what went wrong.
fn debian(args: &[String]) -> Result<ExitCode, String> {
    let mut programs = None;
    let mut out = build::root().join("demo/debian");
    for pair in args.chunks(2) {
        match pair {
            [word, value] if word == "--programs" => programs = Some(PathBuf::from(value)),
            [word, value] if word == "--out" => out = Path::new(value).to_path_buf(),
            _ => {
                return Err(format!(
                    "Write: cargo demo --debian [--programs FOLDER] [--out FOLDER]; \
                     there is no {}",
                    pair.join(" ")
                ));
            }
        }
    }
    debian::run(programs, &out).map(|()| ExitCode::SUCCESS)
}
