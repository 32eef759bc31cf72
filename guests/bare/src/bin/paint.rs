//! Draws into the framebuffer of the `basic` display, without a driver. For tests.
//!
//! `width=W` is its width in pixels: row 10 becomes red, and after a while of nothing but
//! counting, row 100 blue.
#![no_std]
#![no_main]

use tabard_bare::guest;
use tabard_bare::machine::{Machine, framebuffer, serial};

/// Rounds of counting between the two rows: some tenths of a second.
const WHILE: u64 = 1_000_000_000;

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let width = machine.options.get("width").and_then(|width| width.parse().ok()).unwrap_or(640);
    // SAFETY: the test gives this guest a framebuffer of more than 100 rows of this width.
    unsafe { framebuffer::fill(10 * width, width, 0x00ff_0000) };
    serial::line("{\"painted\":10}");
    for round in 0..WHILE {
        core::hint::black_box(round);
    }
    // SAFETY: as above.
    unsafe { framebuffer::fill(100 * width, width, 0x0000_00ff) };
    serial::line("{\"painted\":100}");
    loop {
        machine.wait();
    }
}
