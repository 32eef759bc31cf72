//! `cargo fuzz-long`: the fuzzer built with LLVM's SanitizerCoverage, so that inputs which take new
//! branches are known and kept. Stable rustc passes these options on to LLVM.

use std::process::Command;

use crate::build;

/// One counter of eight bits for each edge; `fuzz/src/coverage.rs` reads them.
const COUNTERS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 \
                        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters";

/// With a target of its own, build scripts and macros are left alone.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds the fuzzer and runs it at the lowest priority. Without desk files: they would have all
/// of a window's libraries counted, and `cargo fuzz --target desk` reaches them.
///
/// # Errors
/// A sentence, if the build or the run fails; a finding is a failure.
pub fn run(args: &[String]) -> Result<(), String> {
    let folder = build::target_dir()?.join("fuzz");
    build::run(
        build::cargo()
            .args(["build", "--package", "tabard-fuzz", "--profile", "fuzz", "--target", TARGET])
            .args(["--no-default-features", "--target-dir"])
            .arg(&folder)
            .env("RUSTFLAGS", COUNTERS),
    )?;
    let program = folder.join(TARGET).join("fuzz/tabard-fuzz");
    build::run(Command::new("nice").args(["-n", "19"]).arg(program).args(args))
}
