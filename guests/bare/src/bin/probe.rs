//! Says every input event that it receives, on the serial port and on its screen. For tests.
//!
//! With `agent=1` on its command line it is also an agent: F2 offers `offer=`, then `pad=` spaces
//! and `tail=`; F3 offers `other=`, and so does
//! another size of the screen; F4 asks `ask=`; F5 asks that a hundred times. It says what it is
//! given and answered.
//!
//! With `cpu=1` it says what it can learn of its processor: leaves of CPUID at both privilege levels,
//! and which of KVM's own registers it can write.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::String;
use embedded_graphics::prelude::Dimensions;
use tabard_agent_wire::{FromGuest, ToGuest};
use tabard_bare::canvas::{rect, rgb};
use tabard_bare::cursor::ARROW;
use tabard_bare::font::{BODY, HEADING, SMALL};
use tabard_bare::guest;
use tabard_bare::json;
use tabard_bare::keys::EV_SYN;
use tabard_bare::machine::{Device, InputEvent, Machine, Wake, raw, serial};
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
    if machine.options.get("agent").is_some() {
        machine.open_agent();
        serial::line("{\"agent\":\"open\"}");
    }
    if machine.options.get("cpu").is_some() {
        tell_processor();
    }
    let mut asked = 0;
    loop {
        match machine.wait() {
            Wake::Display => {
                if screen.resize() {
                    paint(&mut screen, &last);
                    screen.present();
                    // The one thing that reaches a guest while the trusted screen is open.
                    let other = machine.options.get("other").map(String::from);
                    if let Some(text) = other {
                        machine.send_frame(&FromGuest::Offer(&text).encode());
                        serial::line("{\"offered\":\"other\"}");
                    }
                }
            }
            Wake::Input(events) => {
                let before = pointer;
                for frame in machine.take_frames() {
                    heard(&frame);
                }
                for event in events {
                    act(&mut machine, &event, &mut asked);
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

/// Does what a function key stands for.
fn act(machine: &mut Machine, event: &InputEvent, asked: &mut u32) {
    /// Key codes of F2 to F5.
    const KEYS: [u16; 4] = [60, 61, 62, 63];
    if event.device != Device::Keyboard || (event.kind, event.value) != (1, 1) {
        return;
    }
    let option = |machine: &Machine, key| String::from(machine.options.get(key).unwrap_or(""));
    let mut ask = |machine: &mut Machine| {
        *asked += 1;
        let text = option(machine, "ask");
        machine.send_frame(&FromGuest::Ask { id: *asked, nonce: [7; 16], text: &text }.encode());
    };
    match KEYS.iter().position(|code| *code == event.code) {
        Some(0) => {
            let pad = option(machine, "pad").parse().unwrap_or(0);
            let text = option(machine, "offer") + &" ".repeat(pad) + &option(machine, "tail");
            machine.send_frame(&FromGuest::Offer(&text).encode());
        }
        Some(1) => {
            let text = option(machine, "other");
            machine.send_frame(&FromGuest::Offer(&text).encode());
        }
        Some(2) => ask(machine),
        Some(3) => (0..100).for_each(|_| ask(machine)),
        _ => {}
    }
}

/// Leaves of CPUID that say what a processor is, and some that no guest should have.
const LEAVES: [u32; 24] = [
    0,
    1,
    4,
    7,
    0xa,
    0xb,
    0xd,
    0x12,
    0x14,
    0x1d,
    0x1f,
    0x23,
    0x4000_0000,
    0x4000_0001,
    0x8000_0000,
    0x8000_0001,
    0x8000_0008,
    0x8000_000a,
    0x8000_001b,
    0x8000_001d,
    0x8000_001e,
    0x8000_001f,
    0x8000_0022,
    0x8000_0026,
];

/// Says what the processor tells of itself.
fn tell_processor() {
    for (leaf, index) in LEAVES.iter().flat_map(|leaf| (0..4).map(move |index| (*leaf, index))) {
        let native = core::arch::x86_64::__cpuid_count(leaf, index);
        let native = [native.eax, native.ebx, native.ecx, native.edx];
        for (level, [eax, ebx, ecx, edx]) in [(0, raw::cpuid(leaf, index)), (3, native)] {
            serial::line(&format!(
                "{{\"cpuid\":\"{leaf:08x}.{index}\",\"level\":{level},\"is\":\"{eax:08x} {ebx:08x} {ecx:08x} {edx:08x}\"}}"
            ));
        }
    }
    // The clock, pages for faults, steal time and ends of interrupts, and what is newer. The address
    // is below this program, and the first bit says that the page is to be used.
    for register in 0x4b56_4d00..=0x4b56_4d08 {
        let written = raw::write_msr(register, 0x5001);
        raw::write_msr(register, 0);
        serial::line(&format!("{{\"msr\":\"{register:08x}\",\"written\":{written}}}"));
    }
    serial::line("{\"processor\":\"told\"}");
}

/// Says what came from `tabard`. Of a text: its length, both ends and a checksum (FNV-1a).
fn heard(frame: &[u8]) {
    let line = match ToGuest::decode(frame) {
        Ok(ToGuest::Give(text)) => {
            let sum = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |sum, byte| {
                (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
            });
            let head: String = text.chars().take(40).collect();
            let tail = text.chars().rev().take(40).collect::<alloc::vec::Vec<_>>();
            let tail: String = tail.into_iter().rev().collect();
            format!(
                "{{\"given\":{},\"head\":\"{}\",\"tail\":\"{}\",\"sum\":\"{sum:016x}\"}}",
                text.len(),
                json::escape(&head),
                json::escape(&tail)
            )
        }
        Ok(ToGuest::Answer { id, answer, statement }) => format!(
            "{{\"answered\":{id},\"answer\":\"{answer:?}\",\"statement\":\"{}\"}}",
            json::escape(statement)
        ),
        Ok(ToGuest::Refused { id, why }) => format!("{{\"refused\":{id},\"why\":\"{why:?}\"}}"),
        Err(error) => format!("{{\"error\":\"frame: {error}\"}}"),
    };
    serial::line(&line);
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
