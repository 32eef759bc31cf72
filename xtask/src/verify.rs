//! `cargo verify`: everything that must hold before a change is taken, in the order in which a
//! fault is cheapest to find. It stops at the first step that fails.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{build, packages, stock};

/// The target that `guests/build.rs` builds the bare-metal guests for.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";

/// What `cargo test` is told to test once; what starts guests is played on each engine.
const UNIT_TESTS: [&[&str]; 3] = [
    &["--workspace", "--exclude", "tabard", "--exclude", "tabard-vmm"],
    &["--package", "tabard-vmm", "--lib", "--bins", "--examples"],
    &["--package", "tabard", "--lib", "--bins"],
];

/// The tests through real processes.
const END_TO_END: [&str; 6] = ["--package", "tabard", "--package", "tabard-vmm", "--test", "*"];
/// Their names begin so where only KVM has what they look at.
const KVM_ONLY: &str = "on_kvm_";

/// Runs all steps.
///
/// # Errors
/// A sentence that names the step that failed.
pub fn run() -> Result<(), String> {
    let started = Instant::now();
    let target = build::target_dir()?;
    let kvm = File::options().read(true).write(true).open("/dev/kvm");
    let engines: &[&str] = if kvm.is_ok() { &["kvm", "qemu"] } else { &["qemu"] };
    let total = 9 + u32::try_from(engines.len()).unwrap_or(0);
    let mut steps = Steps { total, done: 0, advice: Vec::new() };

    steps.packages()?;
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
    // The tests start the programs beside each other, which `cargo test` does not build.
    steps.run(
        "build",
        &mut [
            build::cargo().args(["build", "--workspace", "--bins"]),
            build::cargo().args(["build", "--package", "tabard-vmm", "--examples"]),
        ],
    )?;
    let programs = target.join("debug");
    steps.run(
        "QEMU, the engine without KVM",
        &mut [Command::new(programs.join("tabard")).args(["engine", "fetch"])],
    )?;
    let mut unit = bare(&target);
    unit.args(["test", "--locked", "--lib", "--no-default-features"]);
    let mut tests: Vec<Command> = UNIT_TESTS.iter().map(|words| test(words)).collect();
    let mut commands: Vec<&mut Command> = [&mut unit].into_iter().chain(&mut tests).collect();
    steps.run("unit tests", &mut commands)?;
    let mut passed = Vec::new();
    for engine in engines {
        passed.push(format!("{engine}: {}", steps.end_to_end(engine)?));
    }
    let name = "stock Debian guests";
    let begun = steps.begin(name);
    stock::run(&programs).map_err(|why| steps.failed(&why))?;
    steps.end(name, begun);
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

    println!("end-to-end tests passed on {}", passed.join(", "));
    if let Err(error) = &kvm {
        println!("not exercised, for want of KVM ({error}): the engine kvm and what it shows");
    }
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

    /// Plays the end-to-end tests on an engine; how many passed.
    fn end_to_end(&mut self, engine: &str) -> Result<u64, String> {
        let name = format!("end-to-end tests on {engine}");
        let started = self.begin(&name);
        let mut command = test(&END_TO_END);
        command.env("TABARD_TEST_ENGINE", engine);
        if engine != "kvm" {
            command.args(["--", "--skip", KVM_ONLY]);
        }
        let passed = count(&mut command).map_err(|why| self.failed(&format!("{name}: {why}")))?;
        self.end(&name, started);
        Ok(passed)
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

/// Runs tests to their end, what they print on the terminal; how many passed.
fn count(command: &mut Command) -> Result<u64, String> {
    let words = build::words(command);
    let child = command.stdout(Stdio::piped()).spawn();
    let mut child = child.map_err(|error| format!("Cannot start {words}: {error}"))?;
    let lines = child.stdout.take().map(BufReader::new).into_iter().flat_map(BufRead::lines);
    let mut passed = 0;
    for line in lines.map_while(Result::ok) {
        println!("{line}");
        passed += passed_in(&line);
    }
    let status = child.wait().map_err(|error| error.to_string())?;
    if status.success() { Ok(passed) } else { Err(format!("{words} failed: {status}")) }
}

/// How many tests a runner's closing line says to have passed.
fn passed_in(line: &str) -> u64 {
    let words = line.strip_prefix("test result: ok. ").unwrap_or_default();
    let number = words.split(' ').next().and_then(|word| word.parse().ok());
    number.filter(|_| words.contains(" passed")).unwrap_or(0)
}

fn time(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines_are_counted_and_no_others() {
        assert_eq!(passed_in("test result: ok. 12 passed; 0 failed; 0 ignored"), 12);
        assert_eq!(passed_in("test result: FAILED. 12 passed; 1 failed"), 0);
        assert_eq!(passed_in("test a ... ok"), 0);
    }
}
