//! `cargo verify`: everything that must hold before a change is taken, in the order in which a
//! fault is cheapest to find. It stops at the first step that fails.

use std::fs::File;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{build, packages, test_host};

/// The target that `guests/build.rs` builds the bare-metal guests for.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `cargo test` is told to test.
const TESTS: [&[&str]; 1] = [&["--workspace"]];
/// The same where no guest can run: all but the tests that start one.
const TESTS_WITHOUT_KVM: [&[&str]; 3] = [
    &["--workspace", "--exclude", "tabard", "--exclude", "tabard-vmm"],
    &["--package", "tabard-vmm", "--lib", "--bins"],
    &["--package", "tabard", "--lib", "--bins", "--test", "architecture", "--test", "line_budget"],
];

/// Random actions on the seat; `cargo test-host --seat --actions 200` plays more.
const SEAT_ACTIONS: u32 = 10;

/// Runs all steps.
///
/// # Errors
/// A sentence that names the step that failed.
pub fn run() -> Result<(), String> {
    let started = Instant::now();
    let target = build::target_dir()?;
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    let mut steps = Steps { total: 9, done: 0, advice: Vec::new() };

    steps.packages()?;
    if let Err(error) = &kvm {
        steps.total += 1;
        println!(
            "/dev/kvm does not open ({error}; `cargo run -- doctor` says what mends it): the end-to-end \
             tests run in the test host, an emulated machine, and tests of windows, jails and hostile \
             guests not at all"
        );
    }
    steps.run(
        "format",
        &mut [
            build::cargo().args(["fmt", "--all", "--check"]),
            bare(&target).args(["fmt", "--all", "--check"]),
        ],
    )?;
    steps.run(
        "clippy",
        &mut [
            build::cargo().args(["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
            bare(&target)
                .args(["clippy", "--locked", "--release", "--bins", "--target", GUEST_TARGET])
                .args(["--", "-D", "warnings"]),
            bare(&target)
                .args(["clippy", "--locked", "--lib", "--tests", "--no-default-features"])
                .args(["--", "-D", "warnings"]),
        ],
    )?;
    // The tests of `tabard` start the `tabard-vmm` beside it, which `cargo test` does not build.
    steps.run("build", &mut [build::cargo().args(["build", "--workspace", "--bins"])])?;
    let mut unit = bare(&target);
    unit.args(["test", "--locked", "--lib", "--no-default-features"]);
    let words: &[&[&str]] = if kvm.is_ok() { &TESTS } else { &TESTS_WITHOUT_KVM };
    let mut tests: Vec<Command> = words.iter().map(|words| test(words)).collect();
    let mut commands: Vec<&mut Command> = [&mut unit].into_iter().chain(&mut tests).collect();
    steps.run("test", &mut commands)?;
    if kvm.is_err() {
        let name = "the end-to-end tests, in the test host";
        let begun = steps.begin(name);
        test_host::run_end_to_end().map_err(|why| steps.failed(&why))?;
        steps.end(name, begun);
    }
    // The same inputs each time; `cargo fuzz-long` looks for new ones.
    steps.run(
        "fuzz",
        &mut [build::cargo()
            .args(["run", "--quiet", "--package", "tabard-fuzz", "--"])
            .args(["--executions", "3000"])],
    )?;
    steps.run(
        "proof",
        &mut [build::cargo().args(["run", "--quiet", "--release", "--package", "tabard-proof"])],
    )?;
    steps.run(
        "docs",
        &mut [build::cargo()
            .args(["doc", "--no-deps", "--workspace"])
            .env("RUSTDOCFLAGS", "-D warnings")],
    )?;

    // Last, because it takes longest: a seat of emulated hardware, and stock Debian guests on a KVM
    // that can run them, in one boot.
    let name = "the seat, then stock Debian guests, in the test host";
    let begun = steps.begin(name);
    let programs = target.join("debug");
    // The scripts after it have the Debian guests.
    let plan =
        test_host::Plan { actions: SEAT_ACTIONS, stock: false, ..test_host::Plan::default() };
    test_host::run_scenarios(Some(programs), None, Some(plan)).map_err(|why| steps.failed(&why))?;
    steps.end(name, begun);

    println!("verify: all {} steps passed in {}", steps.total, time(started.elapsed()));
    Ok(())
}

/// The cargo of `guests/bare`, a workspace of its own that builds in a folder of its own.
fn bare(target: &Path) -> Command {
    let mut cargo = build::cargo();
    cargo.current_dir(build::root().join("guests/bare"));
    cargo.env("CARGO_TARGET_DIR", target.join("bare"));
    cargo
}

fn test(words: &[&str]) -> Command {
    let mut cargo = build::cargo();
    cargo.arg("test").args(words);
    cargo
}

/// How far it is.
struct Steps {
    total: u32,
    done: u32,
    /// What the host lacks, said again if a step fails.
    advice: Vec<String>,
}

impl Steps {
    fn begin(&mut self, name: &str) -> Instant {
        self.done += 1;
        println!("[{}/{}] {name} ...", self.done, self.total);
        Instant::now()
    }

    fn end(&self, name: &str, started: Instant) {
        println!("[{}/{}] {name} ... {}", self.done, self.total, time(started.elapsed()));
    }

    fn packages(&mut self) -> Result<(), String> {
        let started = self.begin("packages");
        if let Some(line) = packages::ensure(&packages::TESTS)? {
            self.advice.push(format!("These packages are missing; run: {line}"));
        }
        self.end("packages", started);
        Ok(())
    }

    fn run(&mut self, name: &str, commands: &mut [&mut Command]) -> Result<(), String> {
        let started = self.begin(name);
        for command in commands {
            build::run(command).map_err(|why| self.failed(&format!("{name}: {why}")))?;
        }
        self.end(name, started);
        Ok(())
    }

    fn failed(&self, why: &str) -> String {
        let advice: String = self.advice.iter().map(|line| format!("\n{line}")).collect();
        format!("verify: FAILED at [{}/{}] {why}{advice}", self.done, self.total)
    }
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
