//! The keyboard controller of a PC with its two ports, for kernels before they have a driver for
//! virtio. The keyboard speaks scan code set 1: translation is always on, as firmware leaves it.

mod keyboard;
mod mouse;
mod snapshot;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::power::Request;
use crate::devices::Trigger;
pub use keyboard::{Keyboard, scan_code};
pub use mouse::Mouse;

/// Data port.
pub const DATA: u16 = 0x60;
/// Status port when read, command port when written.
pub const COMMAND: u16 = 0x64;

/// Most bytes that wait in one direction; what does not fit is lost whole, as on a real keyboard.
const MAX_WAITING_BYTES: usize = 64;

const STATUS_OUTPUT_FULL: u8 = 1;
const STATUS_SYSTEM: u8 = 4;
/// Nobody has locked the keyboard with a key.
const STATUS_UNLOCKED: u8 = 0x10;
const STATUS_AUXILIARY: u8 = 0x20;

const CONTROL_KEYBOARD_INTERRUPT: u8 = 1;
const CONTROL_AUXILIARY_INTERRUPT: u8 = 2;
const CONTROL_SYSTEM: u8 = 4;
const CONTROL_KEYBOARD_OFF: u8 = 0x10;
const CONTROL_AUXILIARY_OFF: u8 = 0x20;
const CONTROL_TRANSLATE: u8 = 0x40;

/// Bytes from a device to the guest. A sequence goes in whole or not at all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Outgoing(VecDeque<u8>);

impl Outgoing {
    fn put(&mut self, bytes: &[u8]) -> bool {
        let fits = self.0.len().saturating_add(bytes.len()) <= MAX_WAITING_BYTES;
        if fits {
            self.0.extend(bytes);
        }
        fits
    }
}

/// The controller.
#[derive(Debug)]
pub struct I8042<T> {
    control: u8,
    /// The command that waits for its byte on the data port.
    pending: u8,
    /// What the data port reads, and whether it is of the auxiliary port.
    output: Option<(u8, bool)>,
    last: u8,
    answers: VecDeque<(u8, bool)>,
    /// The first port's device.
    pub keyboard: Keyboard,
    /// The auxiliary port's device.
    pub mouse: Mouse,
    keyboard_line: T,
    mouse_line: T,
}

impl<T: Trigger> I8042<T> {
    /// A controller as firmware would leave it.
    #[must_use]
    pub fn new(keyboard_line: T, mouse_line: T) -> Self {
        Self {
            control: CONTROL_TRANSLATE
                | CONTROL_SYSTEM
                | CONTROL_KEYBOARD_INTERRUPT
                | CONTROL_AUXILIARY_INTERRUPT,
            pending: 0,
            output: None,
            last: 0,
            answers: VecDeque::new(),
            keyboard: Keyboard::default(),
            mouse: Mouse::default(),
            keyboard_line,
            mouse_line,
        }
    }

    /// Moves the next byte to the data port, if that is free, and interrupts.
    pub fn pump(&mut self) {
        if self.output.is_some() {
            return;
        }
        let mut next = self.answers.pop_front();
        if next.is_none() && self.control & CONTROL_KEYBOARD_OFF == 0 {
            next = self.keyboard.out.0.pop_front().map(|byte| (byte, false));
        }
        if next.is_none() && self.control & CONTROL_AUXILIARY_OFF == 0 {
            next = self.mouse.next().map(|byte| (byte, true));
        }
        let Some((byte, auxiliary)) = next else { return };
        self.output = Some((byte, auxiliary));
        if auxiliary && self.control & CONTROL_AUXILIARY_INTERRUPT != 0 {
            self.mouse_line.trigger();
        } else if !auxiliary && self.control & CONTROL_KEYBOARD_INTERRUPT != 0 {
            self.keyboard_line.trigger();
        }
    }

    /// A read from a port; `None` if it is not the controller's.
    pub fn read(&mut self, port: u16) -> Option<u8> {
        match port {
            COMMAND => Some(
                STATUS_SYSTEM
                    | STATUS_UNLOCKED
                    | match self.output {
                        None => 0,
                        Some((_, false)) => STATUS_OUTPUT_FULL,
                        Some((_, true)) => STATUS_OUTPUT_FULL | STATUS_AUXILIARY,
                    },
            ),
            DATA => {
                if let Some((byte, _)) = self.output.take() {
                    self.last = byte;
                }
                self.pump();
                Some(self.last)
            }
            _ => None,
        }
    }

    /// A write to a port.
    pub fn write(&mut self, port: u16, value: u8) -> Option<Request> {
        let request = match port {
            COMMAND => self.command(value),
            DATA => self.data(value),
            _ => return None,
        };
        self.pump();
        request
    }

    fn answer(&mut self, byte: u8, auxiliary: bool) {
        if self.answers.len() < MAX_WAITING_BYTES {
            self.answers.push_back((byte, auxiliary));
        }
    }

    fn command(&mut self, value: u8) -> Option<Request> {
        self.pending = 0;
        match value {
            0x20 => self.answer(self.control, false),
            0x60 | 0xd1..=0xd4 => self.pending = value,
            0xa7 => self.control |= CONTROL_AUXILIARY_OFF,
            0xa8 => self.control &= !CONTROL_AUXILIARY_OFF,
            // Both lines test well.
            0xa9 | 0xab => self.answer(0, false),
            0xaa => self.answer(0x55, false),
            0xad => self.control |= CONTROL_KEYBOARD_OFF,
            0xae => self.control &= !CONTROL_KEYBOARD_OFF,
            // Pulses the output lines whose bit is clear; line 0 is the processor's reset.
            0xf0..=0xff if value & 1 == 0 => return Some(Request::Reset),
            _ => {}
        }
        None
    }

    fn data(&mut self, value: u8) -> Option<Request> {
        match std::mem::take(&mut self.pending) {
            0x60 => self.control = value | CONTROL_TRANSLATE,
            // The output port: line 0 low is the processor's reset.
            0xd1 if value & 1 == 0 => return Some(Request::Reset),
            0xd1 => {}
            0xd2 => self.answer(value, false),
            0xd3 => self.answer(value, true),
            0xd4 => {
                self.control &= !CONTROL_AUXILIARY_OFF;
                self.mouse.write(value);
            }
            _ => {
                self.control &= !CONTROL_KEYBOARD_OFF;
                self.keyboard.write(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
