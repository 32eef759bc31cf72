//! The devices behind ports: keyboard controller, clock and power block. An input is a program of
//! reads and writes by the guest, and of keys and moves by the user in between.

use tabard_vmm::devices::Trigger;
use tabard_vmm::ports::i8042::{COMMAND, DATA, I8042};
use tabard_vmm::ports::power::{Power, Request};
use tabard_vmm::ports::rtc::Rtc;

use super::{Target, outcome};

/// Ports of the clock, of the power block, and some around them.
const PORTS: [u16; 12] =
    [DATA, COMMAND, 0x70, 0x71, 0x600, 0x601, 0x602, 0x604, 0x605, 0x61f, 0x62, 0xcf9];
/// A controller that is read this often has said all that it had to say: three queues of 64 bytes,
/// one byte at the port, and the mouse's way across the screen in steps of a packet.
const MOST_WAITING: usize = 16 * 1024;
const OUTPUT_FULL: u8 = 1;
/// Writes of the command port that put the data port's byte where the host sees none.
const READ_CONTROL: u8 = 0x20;

struct NoInterrupts;

impl Trigger for NoInterrupts {
    fn trigger(&self) {}
}

/// All three.
pub struct Ports;

impl Target for Ports {
    fn name(&self) -> &'static str {
        "ports"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let write = |port: u8, value: u8| [1, port, value];
        // As Linux begins: self-test, tests of both ports, the control byte, reset and enable the
        // keyboard, the same with the mouse behind 0xd4; then keys and moves.
        let begin: Vec<u8> = [0xaa, 0xab, 0xa9, 0x20, 0xae, 0xa8]
            .iter()
            .flat_map(|command| write(1, *command).into_iter().chain([0, 0]))
            .collect();
        let mut keyboard = begin.clone();
        for byte in [0xff, 0xf2, 0xed, 2, 0xf3, 0x20, 0xf4] {
            keyboard.extend(write(0, byte).into_iter().chain([0, 0]));
        }
        keyboard.extend([2, 30, 1, 2, 30, 0, 2, 99, 1, 0, 0, 0, 0]);
        let mut mouse = begin;
        for byte in [0xff, 0xe8, 3, 0xf3, 200, 0xf3, 100, 0xf3, 80, 0xf2, 0xe9, 0xf4] {
            mouse.extend(write(1, 0xd4).into_iter().chain(write(0, byte)).chain([0, 0]));
        }
        mouse.extend([3, 5, 200, 4, 0, 1, 5, 3, 3, 255, 0, 0, 0]);
        let clock: Vec<u8> =
            (0..14).flat_map(|register| write(2, register).into_iter().chain([0, 3])).collect();
        let power = [6, 0, 4, 0, 5, 1, 6, 1, 1, 4, 0xff, 1, 5, 0x20, 1, 7, 0x34, 1, 11, 6].to_vec();
        vec![keyboard, mouse, clock, power]
    }

    fn tokens(&self) -> &[&[u8]] {
        &[b"\x01\x01\xd4", b"\x01\x01\x60", b"\x01\x00\xff", b"\x01\x00\xf4", b"\x00\x00"]
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let mut controller = I8042::new(NoInterrupts, NoInterrupts);
        let (mut clock, mut power) = (Rtc::default(), Power::new(NoInterrupts));
        let mut trace = Vec::new();
        let mut bytes = input.iter().copied();
        while let Some(step) = bytes.next() {
            let mut next = || bytes.next().unwrap_or(0);
            match step % 8 {
                0 => {
                    let port = PORTS[usize::from(next()) % PORTS.len()];
                    let read = [controller.read(port), clock.read(port), power.read(port)];
                    let owners = read.iter().flatten().count();
                    assert!(owners <= 1, "port {port:#x} has {owners} owners");
                    if port == COMMAND {
                        trace.push(read[0].unwrap_or(0));
                    }
                }
                1 => {
                    let (port, value) = (PORTS[usize::from(next()) % PORTS.len()], next());
                    let asked = [controller.write(port, value), power.write(port, value)];
                    clock.write(port, value);
                    for request in asked.into_iter().flatten() {
                        // What ends the machine is a write, and the same one always.
                        trace.push(match request {
                            Request::Reset => 0xf1,
                            Request::PowerOff => 0xf2,
                            Request::Panic => 0xf3,
                        });
                    }
                }
                2 => controller.keyboard.key(next().into(), next() & 1 == 1),
                3 => controller.mouse.move_to(i32::from(next()) * 100, i32::from(next()) * 100),
                4 => controller.mouse.button(0x110 + u16::from(next() % 9), next() & 1 == 1),
                5 => controller.mouse.turn(i16::from(next()) - 128),
                6 => power.press(),
                _ => controller.pump(),
            }
        }
        // Whatever was done to it, it comes to an end of what it says.
        let mut said = 0;
        while controller.read(COMMAND).is_some_and(|status| status & OUTPUT_FULL != 0) {
            controller.read(DATA);
            said += 1;
            assert!(said <= MOST_WAITING, "the controller never has said enough");
        }
        // And it answers a question.
        controller.write(COMMAND, READ_CONTROL);
        let full = controller.read(COMMAND).is_some_and(|status| status & OUTPUT_FULL != 0);
        assert!(full, "the controller answers no more");
        // The bytes themselves would make every input a new one.
        trace.dedup();
        trace.truncate(8);
        outcome((trace, said.min(9)))
    }
}
