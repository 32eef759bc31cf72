//! Holds both sides of the wall to their budgets of lines, counted as `cargo lines` counts them.

use std::path::Path;

#[path = "../xtask/src/lines.rs"]
mod lines;

fn check(name: &str) {
    let side = lines::SIDES.into_iter().find(|side| side.name == name).unwrap();
    let count = lines::count(Path::new(env!("CARGO_MANIFEST_DIR")), side).unwrap();
    let (code, budget, promise) = (count.code, side.budget, side.promise);
    println!("{name}: {code} lines, promised {promise}, budget {budget}; {} whole", count.whole);
    assert!(code > 0, "nothing of {name} was found");
    assert!(code <= budget, "{name} has {code} lines, its budget is {budget}");
}

#[test]
fn the_trusted_side_is_within_its_budget() {
    check("trusted side");
}

#[test]
fn the_guest_side_is_within_its_budget() {
    check("tabard-vmm");
}

#[test]
fn snapshots_are_within_their_budget() {
    check("snapshots");
}
