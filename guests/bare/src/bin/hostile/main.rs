//! Hostile: carries out one attack, named on its command line, and says so when it has.
//!
//! `scenario=NAME seed=N`: the same name and seed do the same again. Says
//! `{"done":"NAME","seed":N,"scenarios":COUNT}` once the attack has been carried out; those that
//! take their machine down or never end say it before.
#![no_std]
#![no_main]

extern crate alloc;

mod cursor;
mod display;
mod input;
mod kit;
mod machine;
mod port;
mod registers;
mod rings;
mod storage;

use alloc::format;
use alloc::string::ToString;
use embedded_graphics::prelude::Dimensions;
use kit::Kit;
use tabard_bare::canvas::rgb;
use tabard_bare::font::{BODY, HEADING};
use tabard_bare::guest;
use tabard_bare::machine::{Machine, raw, serial};
use tabard_bare::screen::Screen;

/// An attack and its name.
type Scenario = (&'static str, fn(&mut Kit));

const GROUPS: [&[Scenario]; 8] = [
    display::SCENARIOS,
    cursor::SCENARIOS,
    input::SCENARIOS,
    rings::SCENARIOS,
    registers::SCENARIOS,
    storage::SCENARIOS,
    port::SCENARIOS,
    machine::SCENARIOS,
];

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let name = machine.options.get("scenario").unwrap_or_default().to_string();
    let seed = machine.options.get("seed").and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let found = GROUPS.iter().copied().flatten().find(|(known, _)| *known == name);
    let mut screen = Screen::new("hostile", machine.gpu.take());
    let area = screen.canvas.bounding_box();
    screen.canvas.fill(area, rgb(0x2a0f12));
    screen.canvas.text(&HEADING, 24, 24, "Hostile", rgb(0xf4d6d6));
    screen.canvas.text(&BODY, 24, 64, &format!("{name}, seed {seed}"), rgb(0xf4d6d6));
    screen.present_first(&mut machine);
    let Some((name, attack)) = found else {
        serial::line(&format!("{{\"error\":\"there is no scenario {name}\"}}"));
        raw::sleep();
    };
    let count = GROUPS.iter().map(|group| group.len()).sum();
    let mut kit = Kit::new(machine, screen, name, seed, count);
    attack(&mut kit);
    kit.done();
    raw::sleep();
}
