//! `cargo verify`: everything that must hold before a change is taken, in the order in which a
//! fault is cheapest to find. It stops at the first step that fails.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::counted::{self, Counted};
use crate::{build, clients, engines, packages, stock, test_host};

/// The target that `guests/build.rs` builds the bare-metal guests for.
const GUEST_TARGET: &str = "x86_64-unknown-linux-gnu";
/// Programs of tests that start no guest.
const WITHOUT_GUESTS: [&str; 4] = ["architecture", "ci_page", "circles", "line_budget"];
/// The packages whose tests start guests.
const WITH_GUESTS: [&str; 3] = ["tabard", "tabard-vmm", "tabard-test"];
/// Programs of tests that play QEMU's part or take it over, whatever the engine.
const QEMU_ONLY: [&str; 2] = ["jail_qemu", "sibling"];
/// What names the engine to the tests that start guests.
const ENGINE: &str = "TABARD_TEST_ENGINE";
/// Names of tests begin so where only KVM has what they look at.
const KVM_ONLY: &str = "on_kvm_";

/// Random actions on the seat; `cargo test-host --seat --actions 200` plays more.
const SEAT_ACTIONS: u32 = 10;

/// Runs all steps.
///
/// # Errors
/// A sentence that names the step that failed.
pub fn run() -> Result<(), String> {
    let started = Instant::now();
    let target = build::target_dir()?;
    let programs = target.join("debug");
    let tabard = programs.join("tabard");
    let kvm = engines::kvm();
    let stock_kvm = engines::stock_on_kvm();
    let total = 13 + u32::from(kvm.is_ok()) + u32::from(stock_kvm.is_ok());
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
    // The tests of `tabard` start the programs beside it, which `cargo test` does not build.
    steps.run(
        "build",
        &mut [
            build::cargo().args(["build", "--workspace", "--bins"]),
            // Programs of guests' processes and of QEMU that were taken over.
            build::cargo().args(["build", "--package", "tabard-vmm", "--examples"]),
        ],
    )?;
    steps.task("a QEMU to run guests on", || engines::ensure_qemu(&tabard))?;
    steps.run("unit tests", &mut unit_tests(&target).iter_mut().collect::<Vec<_>>())?;

    let mut counts = Vec::new();
    for engine in kvm.is_ok().then_some("kvm").into_iter().chain(["qemu"]) {
        let counted = steps.task(&format!("end-to-end tests on the engine {engine}"), || {
            let mut tests = end_to_end(engine)?;
            if engine != "kvm" {
                tests.args(["--", "--skip", KVM_ONLY]);
            }
            counted::run(tests.env(ENGINE, engine))
        })?;
        counts.push((engine, counted));
    }
    let engine = if kvm.is_ok() { "kvm" } else { "qemu" };
    steps.task("the clients of other programs", || clients::run(&tabard, engine))?;
    for engine in stock_kvm.is_ok().then_some("kvm").into_iter().chain(["qemu"]) {
        steps.task(&format!("stock Debian guests on the engine {engine}"), || {
            stock::run(&tabard, engine, None)
        })?;
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
    // Last, because it needs an emulated machine: screens, keyboards and a console of its own.
    steps.task("the seat, in the test host", || {
        let plan = test_host::Plan { actions: SEAT_ACTIONS, whole: false, ..Default::default() };
        test_host::run_seat(&programs, plan)
    })?;

    for line in closing(&counts, &kvm, &stock_kvm) {
        println!("verify: {line}");
    }
    println!("verify: all {} steps passed in {}", steps.total, time(started.elapsed()));
    Ok(())
}

/// All tests that start no guest.
fn unit_tests(target: &Path) -> Vec<Command> {
    let mut guests = bare(target);
    guests.args(["test", "--locked", "--lib", "--no-default-features"]);
    let packages = WITH_GUESTS.map(|name| ["--package", name]).concat();
    let mut others = build::cargo();
    others.args(["test", "--workspace"]);
    others.args(WITH_GUESTS.map(|name| ["--exclude", name]).concat());
    let mut these = build::cargo();
    these.arg("test").args(&packages).args(["--lib", "--bins"]);
    these.args(WITHOUT_GUESTS.map(|name| ["--test", name]).concat());
    let mut docs = build::cargo();
    docs.arg("test").args(&packages).arg("--doc");
    vec![guests, others, these, docs]
}

/// All tests that start guests, on this engine.
fn end_to_end(engine: &str) -> Result<Command, String> {
    let mut cargo = build::cargo();
    // Each takes minutes: all that fail are to be known after one run.
    cargo.args(["test", "--no-fail-fast"]);
    cargo.args(WITH_GUESTS.map(|name| ["--package", name]).concat());
    let metadata = build::metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let ours = packages
        .filter(|package| package["name"].as_str().is_some_and(|name| WITH_GUESTS.contains(&name)));
    let targets = ours.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let mut names: Vec<&str> = targets
        .filter(|target| target["kind"][0] == "test")
        .filter_map(|target| target["name"].as_str())
        .filter(|name| !WITHOUT_GUESTS.contains(name))
        .filter(|name| engine != "kvm" || !QEMU_ONLY.contains(name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        cargo.args(["--test", name]);
    }
    Ok(cargo)
}

/// What was tried on which engine, and what this machine could not show.
fn closing(
    counts: &[(&str, Counted)],
    kvm: &Result<(), String>,
    stock_kvm: &Result<(), String>,
) -> Vec<String> {
    let words: Vec<String> =
        counts.iter().map(|(engine, counted)| format!("{counted} on {engine}")).collect();
    let engines = if stock_kvm.is_ok() { "kvm and on qemu" } else { "qemu" };
    let mut lines = vec![format!(
        "end-to-end tests: {}; {} scripts of stock Debian guests on {engines}; the seat on qemu",
        words.join(", "),
        stock::count()
    )];
    lines.extend(match (kvm, stock_kvm) {
        (Err(why), _) => Some(format!("not exercised here: the engine kvm, because {why}")),
        (_, Err(why)) => Some(format!("not exercised here: stock kernels on kvm, because {why}")),
        _ => None,
    });
    lines
}

/// The cargo of `guests/bare`, a workspace of its own that builds in a folder of its own.
fn bare(target: &Path) -> Command {
    let mut cargo = build::cargo();
    cargo.current_dir(build::root().join("guests/bare"));
    cargo.env("CARGO_TARGET_DIR", target.join("bare"));
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
    fn packages(&mut self) -> Result<(), String> {
        if let Some(line) = self.task("packages", || packages::ensure(&packages::TESTS))? {
            self.advice.push(format!("These packages are missing; run: {line}"));
        }
        Ok(())
    }

    fn run(&mut self, name: &str, commands: &mut [&mut Command]) -> Result<(), String> {
        self.task(name, || commands.iter_mut().try_for_each(|command| build::run(command)))
    }

    fn task<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, String>,
    ) -> Result<T, String> {
        self.done += 1;
        let place = format!("[{}/{}]", self.done, self.total);
        println!("{place} {name} ...");
        let started = Instant::now();
        let done = work().map_err(|why| {
            let advice: String = self.advice.iter().map(|line| format!("\n{line}")).collect();
            format!("verify: FAILED at {place} {name}: {why}{advice}")
        })?;
        println!("{place} {name} ... {}", time(started.elapsed()));
        Ok(done)
    }
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
    fn what_was_not_exercised_is_one_line_that_says_why() {
        let (passed, no) = (Counted { passed: 12, ignored: 0 }, || Err("it is gone".to_owned()));
        let lines = closing(&[("qemu", passed)], &no(), &no());
        assert!(lines[0].starts_with("end-to-end tests: 12 on qemu; "), "{}", lines[0]);
        assert_eq!(lines[1], "not exercised here: the engine kvm, because it is gone");
        let lines = closing(&[("kvm", passed), ("qemu", passed)], &Ok(()), &no());
        assert!(lines[1].contains("stock kernels on kvm"), "{}", lines[1]);
        assert_eq!(closing(&[("kvm", passed)], &Ok(()), &Ok(())).len(), 1);
    }

    #[test]
    fn the_programs_without_guests_are_there() {
        for program in WITHOUT_GUESTS {
            assert!(build::root().join("tests").join(program).with_extension("rs").is_file());
        }
    }
}
