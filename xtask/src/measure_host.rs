//! `cargo measure --test-host`: stock Debian guests under Tabard and under QEMU, both on the KVM of
//! the test host, in one run. Prints one JSON object a line and writes the second table of
//! `docs/specification.md`.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use serde_json::Value;

use crate::test_host::{Arguments, Extra};
use crate::{build, measure, packages, test_host};

/// For all rounds, on a machine that has other things to do as well.
const TIMEOUT: Duration = Duration::from_secs(900);
/// Where the command leaves its figures, below the repository.
const FIGURES: &str = "measure/figures";
/// What QEMU loads besides its libraries: the firmware of `-M microvm`, what lets that boot a
/// bzImage, and where Debian builds it so, the module of the graphics card.
const FILES: [&str; 4] = [
    "/usr/share/qemu/bios-microvm.bin",
    "/usr/share/qemu/linuxboot_dma.bin",
    "/usr/share/qemu/pvh.bin",
    "/usr/lib/x86_64-linux-gnu/qemu/hw-display-virtio-gpu.so",
];

/// Measures the release, or the programs in this folder: `tabard`, `tabard-vmm` and `measure`.
///
/// # Errors
/// A sentence, if something cannot be measured or a figure is over its limit.
pub fn run(programs: Option<&Path>) -> Result<(), String> {
    if let Some(line) = packages::ensure(&["qemu-system-x86"])? {
        return Err(format!("The peer is QEMU, which is not installed. Run: {line}"));
    }
    let (tabard, measure) = match programs {
        Some(folder) => (folder.join("tabard"), folder.join("measure")),
        None => (build::release()?, measuring_program()?),
    };
    let guest = test_host::debian_guest(&tabard, None)?;
    let arguments = Arguments {
        programs: tabard.parent().map(Path::to_path_buf),
        timeout: TIMEOUT,
        carried: vec![guest],
        command: ["sh", "-c", COMMAND].map(str::to_owned).to_vec(),
        seat: None,
        extra: Extra {
            programs: vec![measure, PathBuf::from("/usr/bin/qemu-system-x86_64")],
            files: FILES.iter().map(PathBuf::from).filter(|file| file.exists()).collect(),
        },
    };
    if test_host::run_with(arguments)? != ExitCode::SUCCESS {
        return Err("measure: the measuring program failed in the test host".to_owned());
    }
    let file = build::target_dir()?.join("test-host/results").join(FIGURES);
    let text = std::fs::read_to_string(&file)
        .map_err(|error| format!("Cannot read {}: {error}", file.display()))?;
    let figures: Vec<Value> =
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    measure::write_table("measure-test-host", &figures)
}

/// Runs the measuring program; its status counts, not that of `tee`.
const COMMAND: &str = "mount -t debugfs none /sys/kernel/debug; mkdir -p /repository/measure && \
    measure stock >/repository/measure/figures; status=$?; \
    cat /repository/measure/figures; exit $status";

/// Builds the program of `benches/` under the name `measure`.
fn measuring_program() -> Result<PathBuf, String> {
    let mut bench = build::cargo();
    // Nothing is measured in it, so it need not be fast.
    bench.args(["build", "--package", "tabard", "--bench", "measure"]);
    bench.args(["--message-format", "json-render-diagnostics"]);
    let messages = build::output(&mut bench)?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let program = built
        .filter(|message| message["target"]["name"] == "measure")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or("Cargo did not say where it put the measuring program")?;
    // Cargo puts a hash behind the name.
    let named = build::target_dir()?.join("test-host/measure");
    build::run(Command::new("cp").arg(&program).arg(&named))?;
    Ok(named)
}
