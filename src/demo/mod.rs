//! `tabard demo`: a desk of three labelled machines, in a window where there is a display;
//! elsewhere a tour of the same machines that leaves pictures and a page to look at.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::engine::{EngineError, find_or_fetch};
use crate::run::{self, CommonArgs};
use crate::script;
use crate::session::desk::{Desk, DeskFaults};
use crate::session::{Engine, open_kvm};
use crate::window;

/// The desk of the demo.
const DESK: &str = include_str!("desk.toml");
/// What the tour does with it; every picture of the page is one of its shots.
const TOUR: &str = include_str!("tour.tabard");
/// The page that shows the pictures.
const PAGE: &str = include_str!("page.html");

/// Arguments of `tabard demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Play the tour without a screen, even where there is a display.
    #[arg(long)]
    pub headless: bool,
    /// Folder for the pictures and the page of the tour.
    #[arg(long, value_name = "FOLDER", default_value = "demo")]
    pub out: PathBuf,
    /// Size and logs.
    #[command(flatten)]
    pub common: CommonArgs,
}

/// Runs the command.
#[must_use]
pub fn command(args: &DemoArgs) -> ExitCode {
    let mut desk = match demo_desk() {
        Ok(desk) => desk,
        Err(faults) => {
            eprintln!("{faults}");
            return ExitCode::from(2);
        }
    };
    let engine = args.common.engine.over(&mut desk);
    if let Err(error) = provide(engine) {
        eprintln!("tabard: {error}");
        return ExitCode::from(2);
    }
    if !args.headless {
        match window::display() {
            Ok(()) => return run::run(desk, &args.common, false),
            Err(_) => println!("There is no display, so here is a tour in pictures."),
        }
    }
    tour(&desk, engine, args)
}

/// Makes sure of a QEMU where the guests cannot run on KVM.
fn provide(engine: Option<Engine>) -> Result<(), EngineError> {
    let needed = match (engine, open_kvm()) {
        (Some(Engine::Kvm), _) | (None, Ok(_)) => false,
        (Some(Engine::Qemu), _) => true,
        (None, Err(error)) => {
            eprintln!("tabard: {error}");
            eprintln!("tabard: until then the guests run on a processor that QEMU emulates");
            true
        }
    };
    if needed { find_or_fetch().map(drop) } else { Ok(()) }
}

/// The desk of the demo: three guests of three labels.
///
/// # Errors
/// [`DeskFaults`] if the embedded desk does not fit this version, which a test rules out.
pub fn demo_desk() -> Result<Desk, DeskFaults> {
    Desk::parse(DESK, Path::new("demo.toml"))
}

fn tour(desk: &Desk, engine: Option<Engine>, args: &DemoArgs) -> ExitCode {
    let size = args.common.size;
    let text = format!("size {}x{}\n{TOUR}", size.width, size.height);
    match script::play(&text, Path::new("tour.tabard"), desk, engine, &args.out) {
        Ok(true) => {}
        Ok(false) => {
            eprintln!(
                "tabard: the tour stopped half way; `tabard doctor` says what this host lacks"
            );
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    }
    let page = args.out.join("index.html");
    if let Err(error) = std::fs::write(&page, PAGE) {
        eprintln!("Cannot write {}: {error}. Name another folder with --out", page.display());
        return ExitCode::from(2);
    }
    let page = std::fs::canonicalize(&page).unwrap_or(page);
    println!("The tour is over. Its pictures are on the page {}", page.display());
    ExitCode::SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_desk_has_three_guests_of_three_labels() {
        let desk = demo_desk().unwrap();
        let mut labels: Vec<_> = desk.guests.iter().map(|guest| guest.label).collect();
        labels.sort();
        labels.dedup();
        assert_eq!((desk.guests.len(), labels.len()), (3, 3));
    }

    #[test]
    fn the_page_shows_every_picture_of_the_tour_and_no_other() {
        let shots: Vec<&str> =
            TOUR.lines().filter_map(|line| line.strip_prefix("shot ")).map(str::trim).collect();
        let shown: Vec<&str> =
            PAGE.split("src=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!(shots, shown);
    }
}
