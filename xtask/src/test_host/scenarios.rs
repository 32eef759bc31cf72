//! The scripts of `tests/test-host`: stock Debian guests under Tabard, in one boot of the test
//! host. Pictures and results are in `target/test-host/results/scenarios`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::arguments::Arguments;
use super::make_folder;
use super::seat::Plan;
use crate::build;

/// For all scripts together, on a machine that has other things to do as well.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Runs every script with the programs in this folder, or with a release built for it; before
/// them, in the same boot, plays this on the seat.
///
/// # Errors
/// A sentence that names what could not be done or failed.
pub fn run(programs: Option<PathBuf>, seat: Option<Plan>) -> Result<(), String> {
    let folder = build::target_dir()?.join("test-host/guests");
    make_folder(&folder)?;
    let tabard = match &programs {
        Some(programs) => programs.join("tabard"),
        None => build::release()?,
    };
    let tiny = super::tiny_image(&tabard, &folder.join("tiny"))?;
    let arguments = Arguments {
        programs: tabard.parent().map(Path::to_path_buf),
        timeout: TIMEOUT,
        carried: vec![tiny],
        command: ["sh", "tests/test-host/run.sh"].map(str::to_owned).to_vec(),
        seat,
    };
    let status = super::run_with(arguments)?;
    if status == ExitCode::SUCCESS {
        return Ok(());
    }
    Err("A script of tests/test-host failed; pictures and serial logs are in \
         target/test-host/results/scenarios"
        .to_owned())
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
