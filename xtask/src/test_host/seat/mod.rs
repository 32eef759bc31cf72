//! `cargo test-host --seat`: `tabard run --seat` in the test host, whose hardware is QEMU. Keys
//! come from outside as from fingers, the glass is photographed from outside, plugs are pulled.

mod desk;
mod hands;
mod heard;
mod photo;
mod random;
mod scenes;
mod unit;

use std::path::Path;
use std::time::Instant;

use super::arguments::Plan;
use super::payload::Payload;
use super::step;
use crate::build;
pub use desk::Desk;
pub use unit::extra;

/// Builds the programs that pretend to be devices and that take cards away, beside `tabard`.
///
/// # Errors
/// A sentence.
pub fn build_devices(tabard: &Path) -> Result<(), String> {
    let mut cargo = build::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--package",
        "tabard-input",
        "--features",
        "tabard-input/evdev",
    ]);
    cargo.args(["--package", "tabard-display", "--features", "tabard-display/kms"]);
    cargo.args(["--example", "pretend", "--example", "usurp"]);
    if tabard.parent().is_some_and(|folder| folder.ends_with("release")) {
        cargo.arg("--release");
    }
    build::run(&mut cargo)
}

/// Boots the machine and plays everything; the machine is left on.
///
/// # Errors
/// A sentence that says what did not hold.
pub fn run(folder: &Path, image: &Path, payload: &Payload, plan: &Plan) -> Result<Desk, String> {
    let mut desk = step("boot", || Desk::boot(folder, image, payload))?;
    let begin = Instant::now();
    let mut tally = random::Tally::default();
    let played = scenes::play(&mut desk, plan, &mut tally);
    println!("seat: {}", tally.words());
    println!("seat: everything in {:.0} s, seed {}", begin.elapsed().as_secs_f64(), plan.seed);
    played.map_err(|why| {
        let heard =
            desk.shell("tail -n 16 run.log logs/*.serial logs/*.messages").unwrap_or_default();
        format!("seat: {why}\n{heard}")
    })?;
    match tally.mismatches {
        0 => Ok(desk),
        count => Err(format!("seat: {count} mismatches")),
    }
}
