//! A mouse with a wheel on the auxiliary port, by the IntelliMouse protocol.

use serde::{Deserialize, Serialize};

use super::Outgoing;

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const DEFAULT_RATE: u8 = 100;
/// The sample rates that a driver sets one after another to ask for a wheel.
const WHEEL_KNOCK: [u8; 3] = [200, 100, 80];
const WHEEL_IDENTIFIER: u8 = 3;
/// Largest movement of one packet.
const MAX_STEP: i32 = 255;

/// The mouse. Movements add up while the guest does not read.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mouse {
    out: Outgoing,
    reporting: bool,
    pending: u8,
    rates: [u8; 3],
    identifier: u8,
    buttons: u8,
    moved: (i32, i32),
    wheel: i32,
    changed: bool,
    /// Where the pointer was, in pixels.
    place: Option<(i32, i32)>,
}

impl Mouse {
    /// The pointer is at this pixel; the guest hears how far it moved.
    pub fn move_to(&mut self, x: i32, y: i32) {
        let (old_x, old_y) = self.place.replace((x, y)).unwrap_or((x, y));
        if self.reporting {
            // The mouse's vertical axis points up.
            self.moved.0 = self.moved.0.saturating_add(x.saturating_sub(old_x));
            self.moved.1 = self.moved.1.saturating_add(old_y.saturating_sub(y));
            self.changed = true;
        }
    }

    /// How many bytes wait for the guest.
    pub(super) fn waiting(&self) -> usize {
        self.out.0.len()
    }

    /// A button by its Linux code; those after the middle one are dropped.
    pub fn button(&mut self, code: u16, pressed: bool) {
        let bit = match code {
            0x110 => 1,
            0x111 => 2,
            0x112 => 4,
            _ => return,
        };
        self.buttons = if pressed { self.buttons | bit } else { self.buttons & !bit };
        self.changed |= self.reporting;
    }

    /// The wheel turned by so many detents, up is positive.
    pub fn turn(&mut self, detents: i16) {
        if self.reporting {
            self.wheel = self.wheel.saturating_sub(detents.into()).clamp(-MAX_STEP, MAX_STEP);
            self.changed = true;
        }
    }

    /// The next byte for the guest.
    pub(super) fn next(&mut self) -> Option<u8> {
        if self.out.0.is_empty() && self.changed {
            self.packet();
        }
        self.out.0.pop_front()
    }

    fn packet(&mut self) {
        let step = |value: i32| value.clamp(-MAX_STEP, MAX_STEP);
        let (x, y) = (step(self.moved.0), step(self.moved.1));
        let wheel = self.wheel.clamp(-8, 7);
        let low = |value: i32| value.to_le_bytes().first().copied().unwrap_or(0);
        let first = self.buttons | 8 | if x < 0 { 0x10 } else { 0 } | if y < 0 { 0x20 } else { 0 };
        let packet = [first, low(x), low(y), low(wheel)];
        let length = if self.identifier == WHEEL_IDENTIFIER { 4 } else { 3 };
        self.out.put(packet.get(..length).unwrap_or(&[]));
        self.moved = (self.moved.0.saturating_sub(x), self.moved.1.saturating_sub(y));
        self.wheel = if length == 4 { self.wheel.saturating_sub(wheel) } else { 0 };
        self.changed = self.moved != (0, 0) || self.wheel != 0;
    }

    /// A byte from the guest.
    pub(super) fn write(&mut self, value: u8) {
        match (std::mem::take(&mut self.pending), value) {
            (0xf3, rate) => {
                let [_, second, third] = self.rates;
                self.rates = [second, third, rate];
                if self.rates == WHEEL_KNOCK {
                    self.identifier = WHEEL_IDENTIFIER;
                }
                self.out.put(&[ACKNOWLEDGE]);
            }
            (0xe8, _) => {
                self.out.put(&[ACKNOWLEDGE]);
            }
            (_, 0xe8 | 0xf3) => {
                self.pending = value;
                self.out.put(&[ACKNOWLEDGE]);
            }
            (_, 0xe9) => {
                let status = if self.reporting { 0x20 } else { 0 };
                self.out.put(&[ACKNOWLEDGE, status, 2, DEFAULT_RATE]);
            }
            (_, 0xf2) => {
                self.out.put(&[ACKNOWLEDGE, self.identifier]);
            }
            (_, 0xf4 | 0xf5) => {
                self.reporting = value == 0xf4;
                self.changed = false;
                self.out.put(&[ACKNOWLEDGE]);
            }
            (_, 0xe6 | 0xe7 | 0xea) => {
                self.out.put(&[ACKNOWLEDGE]);
            }
            (_, 0xf6 | 0xff) => {
                *self = Self { place: self.place, ..Self::default() };
                self.out.put(if value == 0xff { &[ACKNOWLEDGE, 0xaa, 0] } else { &[ACKNOWLEDGE] });
            }
            _ => {
                self.out.put(&[RESEND]);
            }
        }
    }
}
