//! `tabard engine`: which QEMU is used, or what is missing; `tabard engine fetch` loads one.

use std::process::ExitCode;

use super::{EngineError, Found};

/// Arguments of `tabard engine`.
#[derive(Debug, clap::Args)]
pub struct EngineArgs {
    #[command(subcommand)]
    command: Option<EngineCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum EngineCommand {
    /// Load QEMU, unless there is one that can be used.
    Fetch {
        /// Load it anew, even so.
        #[arg(long)]
        force: bool,
    },
}

/// Runs the command: 0 if there is a QEMU to use, 2 if not.
#[must_use]
pub fn command(args: &EngineArgs) -> ExitCode {
    let result = match args.command {
        None => super::look(),
        Some(EngineCommand::Fetch { force }) => fetch(force),
    };
    match result {
        Ok(found) => {
            println!("{}", words(&found));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tabard: {error}");
            ExitCode::from(2)
        }
    }
}

fn fetch(force: bool) -> Result<Found, EngineError> {
    if !force && let Ok(found) = super::look() {
        eprintln!("tabard: there is a QEMU to use; `tabard engine fetch --force` loads one anew");
        return Ok(found);
    }
    super::fetch(&mut |line| eprintln!("tabard: {line}"))
}

/// One line about a QEMU.
pub(crate) fn words(found: &Found) -> String {
    let Found { qemu, version, origin } = found;
    format!("QEMU {version}, {} ({})", qemu.program.display(), origin.words())
}
