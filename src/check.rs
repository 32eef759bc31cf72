//! `tabard check`: everything that is wrong with a desk, and nothing started.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::flows;
use crate::image::intact::{self, Depth};
use crate::session::desk::{Access, Attachment, Desk};
use crate::session::{check_accounts, check_guests, open_kvm, vmm_program};

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
    if let Err(why) = intact::check(&desk, Depth::Digest) {
        eprintln!("{why}");
        return ExitCode::from(2);
    }
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
    if let Err(error) = check_accounts(&desk) {
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
