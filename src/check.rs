//! `tabard check`: everything that is wrong with a desk, and nothing started.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::flows;
use crate::image::intact::{self, Depth};
use crate::run::{EngineArgs, qemu};
use crate::session::desk::{Access, Attachment, Desk};
use crate::session::{Options, check_accounts, check_guests, vmm_program};

/// Arguments of `tabard check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The desk file.
    desk: PathBuf,
    /// Print everything that can flow, where and why.
    #[arg(long)]
    flows: bool,
    /// Draw what can flow into this SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs the command.
#[must_use]
pub fn command(args: &CheckArgs) -> ExitCode {
    let mut desk = match Desk::read(&args.desk) {
        Ok(desk) => desk,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    if let Err(why) = intact::check(&desk, Depth::Digest) {
        eprintln!("{why}");
        return ExitCode::from(2);
    }
    // A host that cannot run guests can still say whether the files are there.
    let engine = args.engine.over(&mut desk);
    let (logs, notice) = (PathBuf::new(), String::new());
    let options =
        vmm_program().map(|vmm| Options { vmm, logs, notice, engine, qemu, snapshots: Vec::new() });
    if let Err(error) = &options {
        eprintln!("tabard: kernels were not tried: {error}");
    }
    let engines = match check_guests(&desk, options.as_ref().ok()) {
        Ok(engines) => engines,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    if let Err(error) = check_accounts(&desk) {
        eprintln!("{error}");
        return ExitCode::from(2);
    }
    println!("{}: desk {:?} is good", args.desk.display(), desk.name);
    for (guest, engine) in desk.guests.iter().zip(&engines) {
        let label = desk.labels.get(guest.label).map_or("", |label| label.text.as_str());
        let runs_on = engine.as_ref().map_or("no engine", |engine| engine.words());
        println!(
            "  {:<20} {:<28} {} MiB, {} processor(s), {runs_on}, {}{}",
            guest.name,
            label,
            guest.memory_mib,
            guest.vcpus,
            guest.kernel,
            if guest.autostart { "" } else { ", started by hand" }
        );
        if let (Err(why), Ok(_)) = (engine, &options) {
            eprintln!("tabard: {} cannot run here: {why}", guest.name);
        }
    }
    print_volumes(&desk);
    for output in &desk.outputs {
        let mode = output.wish.mode.map_or("its own mode".to_owned(), |mode| {
            let hertz = mode.hertz.map_or(String::new(), |hertz| format!("@{hertz}"));
            format!("{}x{}{hertz}", mode.size.width, mode.size.height)
        });
        let guest = output.guest.and_then(|guest| desk.guests.get(usize::from(guest.0)));
        let guest = guest.map_or("all guests", |guest| &guest.name);
        println!("  screen {:<13} {mode:<28} {guest}", output.wish.connector);
    }
    println!("  {} opens the trusted screen", desk.sak);
    show_flows(args, &desk)
}

/// Refuses a desk on which steps that are each open lead where information may not be.
fn show_flows(args: &CheckArgs, desk: &Desk) -> ExitCode {
    let flows = flows::flows(desk);
    if args.flows {
        print!("{}", flows.table(desk));
    }
    if let Some(file) = &args.svg
        && let Err(error) = std::fs::write(file, flows::draw(&flows, desk))
    {
        let file = file.display();
        eprintln!("tabard: Cannot write {file}: {error}. Name another file with --svg");
        return ExitCode::from(2);
    }
    let leaks = flows.leaks();
    for leak in &leaks {
        let way = leak.path.join(" -> ");
        eprintln!(
            "{}: Information could flow without a review by {way}. Attach less, or change a label",
            args.desk.display()
        );
    }
    if leaks.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

/// Says who may do what with which volume.
fn print_volumes(desk: &Desk) {
    for (index, volume) in desk.volumes.iter().enumerate() {
        let label = desk.labels.get(volume.label).map_or("", |label| label.text.as_str());
        println!("  volume {:<13} {:<28} {}", volume.name, label, volume.path.display());
        for guest in &desk.guests {
            let words = match guest.volumes.iter().find(|one| one.volume == index) {
                Some(Attachment { access: Access::Write, .. }) => "reads and writes it",
                Some(Attachment { access: Access::Read, .. }) => "reads it",
                Some(Attachment { access: Access::Copy, .. }) => {
                    "reads it; what it writes vanishes when it stops"
                }
                None => continue,
            };
            println!("    {} {words}", guest.name);
        }
    }
}
