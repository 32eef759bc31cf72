//! The tasks behind the aliases of `.cargo/config.toml`: what a newcomer runs, and what the
//! continuous integration runs.
#![forbid(unsafe_code)]

mod build;
mod clients;
mod conformance;
mod counted;
mod debian;
mod demo;
mod engines;
mod fuzz;
mod images;
mod installer;
mod lines;
mod measure;
mod packages;
mod stock;
mod table;
mod test_host;
mod verify;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask TASK

  verify          install what the tests need (as root), then format, lints, build, tests, docs
  demo [ARGS]     build and show a desk of real guests; ARGS go to `tabard demo`
  demo --seat [--vnc]
                  show the same desk as owner of a whole machine: that of the test host, in a
                  window of QEMU's or at a VNC socket
  demo --debian [--engine auto|kvm|qemu] [--programs FOLDER] [--out FOLDER]
                  two stock Debian desktops of two labels, in pictures
  stock [--engine kvm|qemu] [--programs FOLDER]
                  play the scripts of tests/stock: stock Debian guests under Tabard
  clients kvm|qemu
                  try what other programs drive a desk with: the Rust crate's example, the Python package
  measure         print every promised figure as a line of JSON, write docs/specification.md
  test-host [--timeout SECONDS] [--programs FOLDER] [--carry FOLDER]... -- COMMAND...
                  run a command in a stock Debian system with an emulated AMD KVM; it finds
                  what is carried in /carried
  test-host --seat [--actions NUMBER] [--seed NUMBER]
                  play `tabard run --seat` there, with QEMU as its screens and keyboards, so many
                  random actions among it; pictures are in target/test-host/pictures
  conformance     run the tests that stand for each requirement, write docs/conformance.md
  fuzz [ARGS]     build the fuzzer with branch counters and run it; ARGS go to `tabard-fuzz`
  lines [--check] count the lines of both sides; with --check, fail when one is over its budget

`cargo verify`, `cargo demo`, `cargo measure`, `cargo test-host` and
`cargo lines` are short for these.";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let task = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match (task.as_str(), rest.as_slice()) {
        ("verify", []) => verify::run(),
        ("demo", rest) => match demo::run(rest) {
            Ok(status) => return status,
            Err(why) => Err(why),
        },
        ("measure", []) => measure::run(),
        ("stock", rest) => stock::run_by_hand(rest),
        ("clients", [engine]) => clients::run_by_hand(engine),
        ("test-host", rest) => match test_host::run(rest) {
            Ok(status) => return status,
            Err(why) => Err(why),
        },
        ("conformance", []) => conformance::run(),
        ("fuzz", rest) => fuzz::run(rest),
        ("lines", []) => print_lines(false),
        ("lines", [flag]) if flag == "--check" => print_lines(true),
        ("" | "help" | "--help" | "-h", _) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!(
                "xtask: {:?} is no task\n\n{USAGE}",
                std::env::args().skip(1).collect::<Vec<_>>().join(" ")
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("{why}");
            ExitCode::FAILURE
        }
    }
}

/// Prints how long each side is and, to check, fails if one is too long.
fn print_lines(check: bool) -> Result<(), String> {
    let mut over = Vec::new();
    for side in lines::SIDES {
        let count = lines::count(&build::root(), side).map_err(|error| error.to_string())?;
        println!(
            "{}: {} lines, promised {}, budget {}; {} with comments and every presenter",
            side.name, count.code, side.promise, side.budget, count.whole
        );
        if count.code > side.budget {
            over.push(format!("{} is over its budget by {}", side.name, count.code - side.budget));
        }
    }
    if check && !over.is_empty() {
        return Err(format!("xtask: {}", over.join("; ")));
    }
    Ok(())
}
