//! Says every input event that it receives, on the serial port and on its screen. For tests.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use embedded_graphics::prelude::Dimensions;
use tabard_bare::canvas::{rect, rgb};
use tabard_bare::cursor::ARROW;
use tabard_bare::font::{BODY, HEADING, SMALL};
use tabard_bare::guest;
use tabard_bare::keys::EV_SYN;
use tabard_bare::machine::{Device, Machine, Wake, serial};
use tabard_bare::pointer::Pointer;
use tabard_bare::screen::Screen;

const BACKGROUND: u32 = 0x0f1419;
const INK: u32 = 0xd5dbe2;
const FAINT: u32 = 0x76828f;
const ACCENT: u32 = 0x7fc8f8;
const MARGIN: i32 = 24;
/// Where the list begins.
const TOP: i32 = 96;
const LINE: i32 = 24;

guest!(run);

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let mut screen = Screen::new("probe", machine.gpu.take());
    let mut last: VecDeque<String> = VecDeque::new();
    let mut pointer = Pointer::default();
    paint(&mut screen, &last);
    screen.present_first(&mut machine);
    screen.set_cursor(&ARROW);
    loop {
        match machine.wait() {
            Wake::Display => {
                if screen.resize() {
                    paint(&mut screen, &last);
                    screen.present();
                }
            }
            Wake::Input(events) => {
                let before = pointer;
                for event in events {
                    let size = (screen.canvas.width(), screen.canvas.height());
                    let device = match event.device {
                        Device::Keyboard => "keyboard",
                        Device::Pointer { max } => {
                            pointer.event((event.kind, event.code, event.value), max, size);
                            "pointer"
                        }
                    };
                    let line = format!(
                        "{{\"device\":\"{device}\",\"type\":{},\"code\":{},\"value\":{}}}",
                        event.kind, event.code, event.value
                    );
                    serial::line(&line);
                    if event.kind != EV_SYN {
                        last.push_front(line);
                    }
                }
                last.truncate(200);
                list(&mut screen, &last);
                screen.present();
                if (pointer.x, pointer.y) != (before.x, before.y) {
                    screen.move_cursor(pointer.x, pointer.y);
                }
            }
        }
    }
}

fn paint(screen: &mut Screen, last: &VecDeque<String>) {
    let canvas = &mut screen.canvas;
    canvas.fill(canvas.bounding_box(), rgb(BACKGROUND));
    canvas.text(&HEADING, MARGIN, MARGIN, "Probe", rgb(INK));
    let about = "Every input event this machine receives, the newest first";
    canvas.text(&SMALL, MARGIN, MARGIN + 36, about, rgb(FAINT));
    list(screen, last);
}

/// Draws the events that fit.
fn list(screen: &mut Screen, last: &VecDeque<String>) {
    let canvas = &mut screen.canvas;
    let (width, height) = (canvas.width(), canvas.height() as i32);
    let lines = ((height - TOP - MARGIN) / LINE).max(0);
    for (row, line) in (0..lines).zip(last) {
        let y = TOP + row * LINE;
        canvas.fill(rect(0, y, width, LINE as u32), rgb(BACKGROUND));
        let color = if row == 0 { ACCENT } else { INK };
        canvas.text(&BODY, MARGIN, y, line, rgb(color));
    }
}
