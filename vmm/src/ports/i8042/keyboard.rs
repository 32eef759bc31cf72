//! A keyboard on the first port: its commands, and Linux key codes as scan codes of set 1.

use serde::{Deserialize, Serialize};

use super::Outgoing;

const ACKNOWLEDGE: u8 = 0xfa;
const RESEND: u8 = 0xfe;
const SELF_TEST_PASSED: u8 = 0xaa;
const RELEASED: u8 = 0x80;
const EXTENDED: u8 = 0xe0;

/// The keyboard.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keyboard {
    pub(super) out: Outgoing,
    scanning: bool,
    /// The command whose parameter comes next.
    pending: u8,
    /// Keys that are down for the guest, by Linux code; codes are below 256.
    down: [u64; 4],
}

/// Scan code of a Linux key code, and whether `EXTENDED` comes before it.
#[must_use]
pub fn scan_code(code: u16) -> Option<(bool, u8)> {
    let plain = |code: u16| u8::try_from(code).ok().map(|code| (false, code));
    let extended = |scan: u8| Some((true, scan));
    match code {
        // Linux numbers these keys by their scan codes.
        1..=83 | 86..=88 => plain(code),
        96 => extended(0x1c),
        97 => extended(0x1d),
        98 => extended(0x35),
        99 => extended(0x37),
        100 => extended(0x38),
        102 => extended(0x47),
        103 => extended(0x48),
        104 => extended(0x49),
        105 => extended(0x4b),
        106 => extended(0x4d),
        107 => extended(0x4f),
        108 => extended(0x50),
        109 => extended(0x51),
        110 => extended(0x52),
        111 => extended(0x53),
        125 => extended(0x5b),
        126 => extended(0x5c),
        127 => extended(0x5d),
        _ => None,
    }
}

impl Keyboard {
    /// Whether the guest believes that this key is down.
    #[must_use]
    pub fn is_down(&self, code: u16) -> bool {
        let word = self.down.get(usize::from(code / 64)).copied().unwrap_or(0);
        word & (1 << (code % 64)) != 0
    }

    /// How many bytes wait for the guest.
    pub(super) fn waiting(&self) -> usize {
        self.out.0.len()
    }

    fn set_down(&mut self, code: u16, pressed: bool) {
        let bit = 1 << (code % 64);
        if let Some(word) = self.down.get_mut(usize::from(code / 64)) {
            *word = if pressed { *word | bit } else { *word & !bit };
        }
    }

    /// A key by its Linux code; keys that such a keyboard does not have are dropped. A release
    /// without its press is dropped too.
    pub fn key(&mut self, code: u16, pressed: bool) {
        let Some((extended, scan)) = scan_code(code).filter(|_| self.scanning) else { return };
        if !pressed && !self.is_down(code) {
            return;
        }
        let scan = if pressed { scan } else { scan | RELEASED };
        let sent = if extended { self.out.put(&[EXTENDED, scan]) } else { self.out.put(&[scan]) };
        if sent {
            self.set_down(code, pressed);
        }
    }

    /// A byte from the guest.
    pub(super) fn write(&mut self, value: u8) {
        let answer: &[u8] = match (std::mem::take(&mut self.pending), value) {
            // Which set: 2, seen through the translation.
            (0xf0, 0) => &[ACKNOWLEDGE, 0x41],
            (0xed | 0xf0 | 0xf3, _) => &[ACKNOWLEDGE],
            (_, 0xed | 0xf0 | 0xf3) => {
                self.pending = value;
                &[ACKNOWLEDGE]
            }
            (_, 0xee) => &[0xee],
            // The identifier 0xab83, seen through the translation.
            (_, 0xf2) => &[ACKNOWLEDGE, 0xab, 0x41],
            (_, 0xf4) => {
                self.scanning = true;
                &[ACKNOWLEDGE]
            }
            (_, 0xf5) => {
                self.scanning = false;
                &[ACKNOWLEDGE]
            }
            (_, 0xf6..=0xfa) => &[ACKNOWLEDGE],
            (_, 0xff) => {
                *self = Self { scanning: true, ..Self::default() };
                &[ACKNOWLEDGE, SELF_TEST_PASSED]
            }
            _ => &[RESEND],
        };
        self.out.put(answer);
    }
}
