//! Measures what `docs/specification.md` promises, on real guests, and prints one JSON object a
//! line. Run it by `cargo measure`, which builds what it needs and writes the table.

#[path = "measure/compose.rs"]
mod compose;
#[path = "measure/desk.rs"]
mod desk;
#[path = "measure/figure.rs"]
mod figure;
#[path = "measure/latency.rs"]
mod latency;
#[path = "measure/processes.rs"]
mod processes;
#[path = "measure/qemu.rs"]
mod qemu;
#[path = "measure/rfb.rs"]
mod rfb;

use std::error::Error;
use std::process::ExitCode;

/// What any part can fail with: a sentence for the one who runs it.
type Fault = Box<dyn Error>;

/// A part and what it is called.
type Part = (&'static str, fn() -> Result<(), Fault>);

const PARTS: [Part; 5] = [
    ("compose", compose::measure),
    ("start", latency::start),
    ("keys", latency::keys),
    ("attention", latency::attention),
    ("processes", processes::measure),
];

fn main() -> ExitCode {
    // `cargo bench` passes flags of its own; what is left are names of parts to measure alone.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let mut status = ExitCode::SUCCESS;
    for (name, part) in PARTS {
        if !wanted.is_empty() && !wanted.iter().any(|one| one == name) {
            continue;
        }
        eprintln!("measure: {name} ...");
        if let Err(error) = part() {
            eprintln!("measure: {name} failed: {error}");
            status = ExitCode::FAILURE;
        }
    }
    status
}
