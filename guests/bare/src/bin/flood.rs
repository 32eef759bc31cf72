//! Hostile: flushes without end, the whole screen and single pixels in turn, and paints false
//! banners. Never reads its input and never sleeps.
#![no_std]
#![no_main]

use tabard_bare::forgery::{SECRET, UNCLASSIFIED, banners};
use tabard_bare::guest;
use tabard_bare::machine::Machine;
use tabard_bare::screen::Screen;

/// Rounds between two looks at the size of the display.
const ROUNDS_PER_LOOK: usize = 64;

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let mut screen = Screen::new("flood", machine.gpu.take());
    banners(&mut screen.canvas, SECRET);
    screen.present_first(&mut machine);
    loop {
        for round in 0..ROUNDS_PER_LOOK {
            let label = if round % 2 == 0 { UNCLASSIFIED } else { SECRET };
            banners(&mut screen.canvas, label);
            screen.present();
            screen.flush([0, 0, 1, 1]);
        }
        if screen.resize() {
            banners(&mut screen.canvas, SECRET);
            screen.present();
        }
    }
}
