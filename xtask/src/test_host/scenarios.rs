//! The scripts of `tests/test-host`: stock Debian guests under Tabard, in one boot of the test
//! host. Pictures and results are in `target/test-host/results/scenarios`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::arguments::{Arguments, Extra};
use super::make_folder;
use super::seat::Plan;
use crate::build;

/// For all scripts together, on a machine that has other things to do as well.
const TIMEOUT: Duration = Duration::from_secs(600);

/// As [`run`], by the words of a command line.
///
/// # Errors
/// As [`run`], or a sentence that says what they look like.
pub fn run_by_hand(words: &[String]) -> Result<(), String> {
    let (mut programs, mut release) = (None, None);
    for pair in words.chunks(2) {
        match pair {
            [word, folder] if word == "--programs" => programs = Some(PathBuf::from(folder)),
            [word, name] if word == "--release" => release = Some(name.as_str()),
            _ => {
                return Err("Write: cargo test-host --scenarios [--programs FOLDER] \
                            [--release bookworm|trixie]"
                    .to_owned());
            }
        }
    }
    run(programs, release, None)
}

/// Runs every script with the programs in this folder, or with a release built for it; the guests
/// are of this release of Debian, or of the host's own. Before the scripts, in the same boot, plays
/// this on the seat.
///
/// # Errors
/// A sentence that names what could not be done or failed.
pub fn run(
    programs: Option<PathBuf>,
    release: Option<&str>,
    seat: Option<Plan>,
) -> Result<(), String> {
    let tabard = match &programs {
        Some(programs) => programs.join("tabard"),
        None => build::release()?,
    };
    let tiny = debian_guest(&tabard, release)?;
    let arguments = Arguments {
        programs: tabard.parent().map(Path::to_path_buf),
        timeout: TIMEOUT,
        carried: vec![tiny],
        command: ["sh", "tests/test-host/run.sh"].map(str::to_owned).to_vec(),
        seat,
        extra: Extra::default(),
    };
    let status = super::run_with(arguments)?;
    if status == ExitCode::SUCCESS {
        return Ok(());
    }
    Err("A script of tests/test-host failed; pictures and serial logs are in \
         target/test-host/results/scenarios"
        .to_owned())
}

/// The folder of a tiny Debian guest, named `tiny`; it is built if need be.
///
/// # Errors
/// A sentence, if it cannot be built.
pub fn debian_guest(tabard: &Path, release: Option<&str>) -> Result<PathBuf, String> {
    let folder = build::target_dir()?.join("test-host/guests").join(release.unwrap_or("host"));
    make_folder(&folder)?;
    super::tiny_image_of(tabard, &folder.join("tiny"), release)
}

/// Copies the folders that the command finds in `/carried`.
///
/// # Errors
/// A sentence, if one cannot be copied.
pub fn carry(arguments: &Arguments, stage: &Path) -> Result<(), String> {
    if arguments.carried.is_empty() {
        return Ok(());
    }
    let to = stage.join("carried");
    make_folder(&to)?;
    arguments.carried.iter().try_for_each(|folder| {
        build::run(Command::new("cp").arg("--recursive").arg(folder).arg(&to))
    })
}
