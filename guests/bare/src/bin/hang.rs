//! Hostile: paints a false trusted screen, then spins for ever with interrupts off and never
//! drains a queue again.
#![no_std]
#![no_main]

use tabard_bare::forgery::trusted_screen;
use tabard_bare::guest;
use tabard_bare::machine::Machine;
use tabard_bare::screen::Screen;

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let mut screen = Screen::new("hang", machine.gpu.take());
    trusted_screen(&mut screen.canvas);
    screen.present_first(&mut machine);
    // CPL 3 always runs with interrupts off here; only the wait that never comes turns them on.
    loop {
        core::hint::spin_loop();
    }
}
