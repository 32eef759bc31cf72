//! `cargo test-host -- COMMAND`: runs a command in a machine whose KVM is AMD's, which QEMU
//! emulates with a stock Debian kernel in it. So everything can be tried with stock guests, on any
//! machine, with a graphics card and keyboards that nobody else uses.
//!
//! The command finds the repository in its folder as here, and `tabard` in its path. The files
//! that it writes there come back to `target/test-host/results`.

mod arguments;
mod end_to_end;
mod machine;
mod payload;
mod protocol;
mod qmp;
mod scenarios;
mod seat;
mod show;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use crate::{build, packages};
pub use arguments::{Arguments, Extra};
pub use scenarios::debian_guest;
pub use show::run as show_seat;

/// What the test host's kernel has beside the modules of a tiny guest: KVM, and a hand and a
/// screen to test with.
const MODULES: [&str; 3] = ["kvm-amd", "uinput", "bochs"];
/// The same for a desktop, beside those of a tiny guest.
const DESKTOP_RECIPES: [&str; 2] =
    [include_str!("../../../src/image/desktop.rs"), include_str!("../../../src/image/desktop.sh")];
/// The image is made anew when one of these is another.
const RECIPES: [&str; 2] =
    [include_str!("../../../src/image/tiny.rs"), include_str!("../../../src/image/init.sh")];

/// How often a machine that breaks is started, the first time included. The processors that QEMU
/// emulates sometimes wait for each other for ever, or are given an interrupt twice.
const ATTEMPTS: u32 = 3;

/// Runs the command of `args` in the test host; its status is the result.
///
/// # Errors
/// A sentence, if the test host cannot be made or does not do what it is waited for.
pub fn run(args: &[String]) -> Result<ExitCode, String> {
    match args {
        [word, options @ ..] if word == "--scenarios" => {
            scenarios::run_by_hand(options).map(|()| ExitCode::SUCCESS)
        }
        [word] if word == "--end-to-end" => end_to_end::run().map(|()| ExitCode::SUCCESS),
        _ => run_with(arguments::parse(args)?),
    }
}

/// As [`run`], for a task that knows what it wants.
///
/// # Errors
/// As [`run`].
pub fn run_with(mut arguments: Arguments) -> Result<ExitCode, String> {
    if let Some(line) = packages::ensure(&["qemu-system-x86"])? {
        return Err(format!("The test host runs in QEMU, which is not installed. Run: {line}"));
    }
    let folder = build::target_dir()?.join("test-host");
    make_folder(&folder)?;
    let tabard = match &arguments.programs {
        Some(programs) => programs.join("tabard"),
        None => step("programs", build::release)?,
    };
    let image = folder.join("image");
    step("image", || make_image(&tabard, &image))?;
    if let Some(plan) = &arguments.seat {
        step("pretended devices", || seat::build_devices(&tabard))?;
        if plan.stock {
            if let Some(line) = packages::ensure(&["systemd"])? {
                return Err(format!(
                    "The seat is tried under systemd, which is not installed. Run: {line}"
                ));
            }
            arguments.extra = seat::extra();
            arguments.carried.push(image.clone());
        }
    }
    let payload = step("payload", || payload::pack(&arguments, &tabard, &folder))?;
    let play = || match &arguments.seat {
        Some(plan) => {
            let desk = seat::run(&folder, &image, &payload, plan)?;
            desk.leave(&arguments.command, arguments.timeout)
        }
        None => machine::run(&arguments, &folder, &image, &payload),
    };
    let mut attempts = ATTEMPTS;
    let status = loop {
        let why = match play() {
            Ok(status) => break status,
            Err(why) => why,
        };
        attempts -= 1;
        match machine::broken(&folder) {
            Some(console) if attempts > 0 => eprintln!(
                "{why}\ntest-host: the emulated machine broke, as {} tells; once more",
                console.display()
            ),
            None if attempts > 0 && why.starts_with(seat::FAULTED) => {
                eprintln!("{why}\ntest-host: the emulated processor made it; once more");
            }
            _ => return Err(why),
        }
    };
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

/// Runs a command in the test host with these folders in `/carried`; returns where the files are
/// that it wrote.
///
/// # Errors
/// A sentence, also if the command fails.
pub fn run_carrying(
    tabard: &Path,
    timeout: Duration,
    carried: Vec<PathBuf>,
    command: &[&str],
) -> Result<PathBuf, String> {
    let programs = tabard.parent().map(Path::to_path_buf);
    let command = command.iter().map(|word| (*word).to_owned()).collect();
    let extra = Extra::default();
    let status = run_with(Arguments { programs, timeout, carried, command, seat: None, extra })?;
    if status == ExitCode::SUCCESS {
        return Ok(build::target_dir()?.join("test-host/results"));
    }
    Err("The command in the test host failed; what it wrote is in target/test-host/results"
        .to_owned())
}

/// The image of a Debian desktop, built unless it is there.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn desktop_image(tabard: &Path, image: &Path) -> Result<PathBuf, String> {
    let recipe = [&DESKTOP_RECIPES[..], &RECIPES[..]].concat().concat();
    step("desktop image", || make_image_of(tabard, image, "desktop", &[], None, &recipe))?;
    Ok(image.to_path_buf())
}

/// The image of a Debian system without a desktop, built unless it is there.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn tiny_image(tabard: &Path, image: &Path) -> Result<PathBuf, String> {
    tiny_image_of(tabard, image, None)
}

/// As [`tiny_image`], of this release of Debian, or of the host's own.
fn tiny_image_of(tabard: &Path, image: &Path, release: Option<&str>) -> Result<PathBuf, String> {
    let recipe = RECIPES.concat();
    step("a Debian guest", || make_image_of(tabard, image, "tiny", &[], release, &recipe))?;
    Ok(image.to_path_buf())
}

/// Builds the image, unless the one that is there was made in the same way.
fn make_image(tabard: &Path, image: &Path) -> Result<(), String> {
    make_image_of(tabard, image, "tiny", &MODULES, None, &RECIPES.concat())
}

/// Builds an image of this profile with these modules, unless the one that is there was made by
/// this recipe.
fn make_image_of(
    tabard: &Path,
    image: &Path,
    profile: &str,
    modules: &[&str],
    release: Option<&str>,
    recipe: &str,
) -> Result<(), String> {
    let stamp = image.join("recipe");
    let recipe = format!("{}\n{release:?}\n{recipe}", modules.join(" "));
    if std::fs::read_to_string(&stamp).is_ok_and(|made| made == recipe) {
        return Ok(());
    }
    let mut command = Command::new(tabard);
    command.args(["image", "build", "--profile", profile]);
    if let Some(release) = release {
        command.args(["--release", release]);
    }
    for module in modules {
        command.args(["--module", module]);
    }
    build::run(command.arg(image))?;
    std::fs::write(&stamp, recipe).map_err(|error| cannot("write", &stamp, &error))
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

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("Cannot {what} {}: {error}", path.display())
}
