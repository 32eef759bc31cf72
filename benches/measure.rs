//! Measures what `docs/specification.md` promises, on real guests, and prints one JSON object a
//! line. Run it by `cargo measure`, which builds what it needs and writes the table.

#[path = "measure/compose.rs"]
mod compose;
#[path = "measure/debian.rs"]
mod debian;
#[path = "measure/desk.rs"]
mod desk;
#[path = "measure/emulated.rs"]
mod emulated;
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

use self::figure::Promise;

/// What any part can fail with: a sentence for the one who runs it.
type Fault = Box<dyn Error>;

/// Some figures that are measured together.
struct Part {
    name: &'static str,
    needs: Need,
    figures: &'static [Promise],
    measure: fn() -> Result<(), Fault>,
}

/// What a part cannot be measured without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Kvm,
    Qemu,
    /// QEMU, and the Debian guest that `cargo measure` makes.
    Debian,
    /// What only the test host has: it runs where it is asked for by name.
    TestHost,
}

const PARTS: [Part; 13] = [
    part("compose", Need::Nothing, &compose::FIGURES, compose::measure),
    part("start", Need::Kvm, &latency::START, latency::start),
    part("keys", Need::Kvm, &latency::KEYS, latency::keys),
    part("attention", Need::Kvm, &latency::ATTENTION, latency::attention),
    part("timing", Need::Kvm, &timing::FIGURES, timing::measure),
    part("processes", Need::Kvm, &processes::FIGURES, processes::measure),
    part("qemu-start", Need::Qemu, &latency::START_ON_QEMU, latency::start_on_qemu),
    part("qemu-keys", Need::Qemu, &latency::KEYS_ON_QEMU, latency::keys_on_qemu),
    part("qemu-idle", Need::Qemu, &processes::IDLE_ON_QEMU, processes::idle_on_qemu),
    part("qemu-memory", Need::Qemu, &processes::MEMORY_ON_QEMU, processes::memory_on_qemu),
    part("qemu-debian", Need::Debian, &emulated::BOOT, emulated::boot),
    part("qemu-reads", Need::Debian, &emulated::READ, emulated::read),
    part("stock", Need::TestHost, &stock::FIGURES, stock::measure),
];

const fn part(
    name: &'static str,
    needs: Need,
    figures: &'static [Promise],
    measure: fn() -> Result<(), Fault>,
) -> Part {
    Part { name, needs, figures, measure }
}

impl Need {
    /// Why it is not there, and what to do, if it is not.
    fn missing(self) -> Option<String> {
        match self {
            Self::Nothing | Self::TestHost => None,
            Self::Kvm => tabard::session::open_kvm().err().map(|error| error.to_string()),
            Self::Qemu => tabard::engine::find().err().map(|error| error.to_string()),
            Self::Debian => Self::Qemu.missing().or_else(|| {
                let none = std::env::var_os(debian::IMAGE).is_none();
                none.then(|| format!("{} names no image; run `cargo measure`", debian::IMAGE))
            }),
        }
    }
}

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
    for Part { name, needs, figures, measure } in PARTS {
        let asked = wanted.iter().any(|one| one == name);
        if !asked && (!wanted.is_empty() || needs == Need::TestHost) {
            continue;
        }
        if let Some(why) = needs.missing() {
            eprintln!("measure: {name} is left out: {why}");
            figures.iter().for_each(Promise::not_measured);
            continue;
        }
        eprintln!("measure: {name} ...");
        // Each record of the log would wait for what the build, or the part before, has left to write.
        rustix::fs::sync();
        if let Err(error) = measure() {
            eprintln!("measure: {name} failed: {error}");
            status = ExitCode::FAILURE;
        }
    }
    status
}
