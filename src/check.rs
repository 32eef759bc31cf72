//! `tabard check`: everything that is wrong with a desk, and nothing started.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::session::desk::Desk;
use crate::session::{check_guests, open_kvm, vmm_program};

/// Arguments of `tabard check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The desk file.
    desk: PathBuf,
}

/// Runs the command.
#[must_use]
pub fn command(args: &CheckArgs) -> ExitCode {
    let desk = match Desk::read(&args.desk) {
        Ok(desk) => desk,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    // A host that cannot run guests can still say whether the files are there.
    let loader = match (vmm_program(), open_kvm()) {
        (Ok(program), Ok(kvm)) => Some((program, kvm)),
        (Err(error), _) => {
            eprintln!("tabard: kernels were not tried: {error}");
            None
        }
        (_, Err(error)) => {
            eprintln!("tabard: kernels were not tried: {error}");
            None
        }
    };
    let loader = loader.as_ref().map(|(program, kvm)| (program.as_path(), kvm));
    if let Err(error) = check_guests(&desk, loader) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    println!("{}: desk {:?} is good", args.desk.display(), desk.name);
    for guest in &desk.guests {
        let label = desk.labels.get(guest.label).map_or("", |label| label.text.as_str());
        println!(
            "  {:<20} {:<28} {} MiB, {} processor(s), {}{}",
            guest.name,
            label,
            guest.memory_mib,
            guest.vcpus,
            guest.kernel,
            if guest.autostart { "" } else { ", started by hand" }
        );
    }
    println!("  {} opens the trusted screen", desk.sak);
    ExitCode::SUCCESS
}
