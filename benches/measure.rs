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
#[path = "measure/reads.rs"]
mod reads;
#[path = "measure/rfb.rs"]
mod rfb;
#[path = "measure/stock.rs"]
mod stock;
#[path = "measure/timing.rs"]
mod timing;

use std::error::Error;
use std::process::ExitCode;

/// What any part can fail with: a sentence for the one who runs it.
type Fault = Box<dyn Error>;

/// A part and what it is called.
type Part = (&'static str, fn() -> Result<(), Fault>);

const PARTS: [Part; 6] = [
    ("compose", compose::measure),
    ("start", latency::start),
    ("keys", latency::keys),
    ("attention", latency::attention),
    ("timing", timing::measure),
    ("processes", processes::measure),
];

/// Parts that run only when they are named, because they need what only the test host has.
const ON_REQUEST: [Part; 1] = [("stock", stock::measure)];

fn main() -> ExitCode {
    // `cargo bench` passes flags of its own; what is left are names of parts to measure alone.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let [word, device] = wanted.as_slice()
        && word == "reads"
    {
        return match reads::run(device) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("measure: {device}: {error}");
                ExitCode::FAILURE
            }
        };
    }
    let mut status = ExitCode::SUCCESS;
    let asked = |name: &str| wanted.iter().any(|one| one == name);
    let usual = PARTS.into_iter().filter(|(name, _)| wanted.is_empty() || asked(name));
    for (name, part) in usual.chain(ON_REQUEST.into_iter().filter(|(name, _)| asked(name))) {
        eprintln!("measure: {name} ...");
        // Each record of the log would wait for what the build, or the part before, has left to write.
        rustix::fs::sync();
        if let Err(error) = part() {
            eprintln!("measure: {name} failed: {error}");
            status = ExitCode::FAILURE;
        }
    }
    status
}
