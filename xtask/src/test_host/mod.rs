//! `cargo test-host`: a machine that QEMU emulates, with a stock Debian kernel in it, graphics cards
//! and keyboards that nobody else uses. Tabard runs its guests on the engine `qemu` in there, and
//! where a command is to be tried by hand, on AMD's KVM.
//!
//! The command finds the repository in its folder as here, and `tabard` in its path. The files
//! that it writes there come back to `target/test-host/results`.

mod arguments;
mod engine;
mod libraries;
mod machine;
mod payload;
mod protocol;
mod qmp;
mod seat;
mod show;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::build::cannot;
use crate::{build, engines, images, packages};
pub use arguments::Plan;
use arguments::{Arguments, Extra};
pub use show::run as show_seat;

/// What the test host's kernel has beside the modules of a tiny guest: KVM, and a hand and a
/// screen to test with.
const MODULES: [&str; 3] = ["kvm-amd", "uinput", "bochs"];
/// For the scenes of the seat and what follows them, on a machine that has other things to do.
const SEAT_TIMEOUT: Duration = Duration::from_secs(600);

/// Runs the command of `args` in the test host; its status is the result.
///
/// # Errors
/// A sentence, if the test host cannot be made or does not do what it is waited for.
pub fn run(args: &[String]) -> Result<ExitCode, String> {
    run_with(arguments::parse(args)?)
}

/// Plays the seat with the programs in this folder, and then what needs a machine of its own:
/// control groups of guests.
///
/// # Errors
/// A sentence that says what failed.
pub fn run_seat(programs: &Path, plan: Plan) -> Result<(), String> {
    let arguments = Arguments {
        programs: Some(programs.to_path_buf()),
        timeout: SEAT_TIMEOUT,
        carried: Vec::new(),
        command: GROUPS.map(str::to_owned).to_vec(),
        seat: Some(plan),
        extra: Extra::default(),
    };
    if run_with(arguments)? == ExitCode::SUCCESS {
        return Ok(());
    }
    Err(format!("{} failed in the test host", GROUPS.join(" ")))
}

/// What is run there after the seat.
const GROUPS: [&str; 3] = ["sh", "tests/test-host/cgroup.sh", "/repository/cgroup"];

fn run_with(mut arguments: Arguments) -> Result<ExitCode, String> {
    if let Some(line) = packages::ensure(&["qemu-system-x86"])? {
        return Err(format!("The test host runs in QEMU, which is not installed. Run: {line}"));
    }
    let folder = build::target_dir()?.join("test-host");
    make_folder(&folder)?;
    let tabard = match &arguments.programs {
        Some(programs) => programs.join("tabard"),
        None => step("programs", build::release)?,
    };
    engines::ensure_qemu(&tabard)?;
    let image = step("image", || make_image(&tabard))?;
    if let Some(plan) = &arguments.seat {
        step("pretended devices", || seat::build_devices(&tabard))?;
        if plan.whole {
            if let Some(line) = packages::ensure(&["systemd"])? {
                return Err(format!(
                    "The seat is tried under systemd, which is not installed. Run: {line}"
                ));
            }
            arguments.extra = seat::extra();
        }
    }
    let payload = step("payload", || payload::pack(&arguments, &tabard, &folder))?;
    let status = match &arguments.seat {
        Some(plan) => {
            let desk = seat::run(&folder, &image, &payload, plan)?;
            desk.leave(&arguments.command, arguments.timeout)
        }
        None => machine::run(&arguments, &folder, &image, &payload),
    }?;
    step("results", || unpack_results(&folder))?;
    Ok(ExitCode::from(status))
}

/// Runs one step and says how long it took.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    eprintln!("test-host: {name} ...");
    let begin = Instant::now();
    let result = work()?;
    eprintln!("test-host: {name} ... {:.1} s", begin.elapsed().as_secs_f64());
    Ok(result)
}

/// The system of the machine: its kernel, and what that starts with.
fn make_image(tabard: &Path) -> Result<PathBuf, String> {
    let folder = build::target_dir()?.join("test-host/image");
    images::tiny_with(tabard, folder, &MODULES)
}

/// Puts what the command has written into a folder of its own.
fn unpack_results(folder: &Path) -> Result<PathBuf, String> {
    let results = folder.join("results");
    if results.exists() {
        std::fs::remove_dir_all(&results).map_err(|error| cannot("delete", &results, &error))?;
    }
    make_folder(&results)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--verbose", "--no-same-owner", "--file"]);
    let names =
        build::output(tar.arg(folder.join("results.tar")).arg("--directory").arg(&results))?;
    match names.lines().filter(|name| !name.ends_with('/')).count() {
        0 => eprintln!("test-host: the command wrote no files in the repository"),
        count => eprintln!("test-host: {count} files in {}", results.display()),
    }
    Ok(results)
}

fn make_folder(path: &Path) -> Result<(), String> {
    std::fs::create_dir_all(path).map_err(|error| cannot("make", path, &error))
}
