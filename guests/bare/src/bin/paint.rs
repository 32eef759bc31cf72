//! Draws into the framebuffer of the `basic` display, without a driver. For tests.
//!
//! `width=W` is its width in pixels and `at=A` its address: row 10 becomes red, and after a while of
//! nothing but counting to `rounds=N`, row 100 blue.
#![no_std]
#![no_main]

use tabard_bare::guest;
use tabard_bare::machine::{Machine, framebuffer, serial};

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let number = |name| machine.options.get(name).and_then(|number| number.parse::<usize>().ok());
    let width = number("width").unwrap_or(640);
    let at = number("at").unwrap_or(framebuffer::ADDRESS);
    let rounds = number("rounds").unwrap_or(0);
    // SAFETY: the test gives this guest a framebuffer of more than 100 rows of this width.
    unsafe { framebuffer::fill(at, 10 * width, width, 0x00ff_0000) };
    serial::line("{\"painted\":10}");
    for round in 0..rounds {
        core::hint::black_box(round);
    }
    // SAFETY: as above.
    unsafe { framebuffer::fill(at, 100 * width, width, 0x0000_00ff) };
    serial::line("{\"painted\":100}");
    loop {
        machine.wait();
    }
}
