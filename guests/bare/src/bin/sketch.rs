//! x
#![no_std]
#![no_main]
use tabard_bare::{
    guest,
    machine::{Machine, Wake},
    screen::Screen,
};
guest!(run);
fn run(mut machine: Machine) -> ! {
    let mut s = Screen::new("sketch", machine.gpu.take());
    s.present_as("ready");
    loop {
        if let Wake::Display = machine.wait() {
            s.resize();
        }
    }
}
