//! What a key types on a US keyboard, for the few places where the trusted side itself reads
//! text. Caps Lock is left out on purpose: its lamp belongs to the guests.

use crate::KeyCode;

/// Runs of keys by the code of the first (`input-event-codes.h`): alone, and with Shift.
const ROWS: [(u16, &[u8], &[u8]); 6] = [
    (2, b"1234567890-=", b"!@#$%^&*()_+"),
    (16, b"qwertyuiop[]", b"QWERTYUIOP{}"),
    (30, b"asdfghjkl;'`", b"ASDFGHJKL:\"~"),
    (43, b"\\", b"|"),
    (44, b"zxcvbnm,./", b"ZXCVBNM<>?"),
    (57, b" ", b" "),
];

impl KeyCode {
    /// The printable ASCII character that this key types on a US keyboard.
    #[must_use]
    pub fn ascii(self, shift: bool) -> Option<u8> {
        ROWS.iter().find_map(|(first, plain, shifted)| {
            let row = if shift { shifted } else { plain };
            row.get(usize::from(self.0.checked_sub(*first)?)).copied()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_printable_character_has_one_key() {
        let typed: Vec<u8> = [false, true]
            .iter()
            .flat_map(|shift| (0..=255).filter_map(|code| KeyCode(code).ascii(*shift)))
            .filter(|byte| *byte != b' ')
            .collect();
        let all: BTreeSet<u8> = (b'!'..=b'~').collect();
        assert_eq!(typed.len(), all.len());
        assert_eq!(typed.into_iter().collect::<BTreeSet<u8>>(), all);
    }

    #[test]
    fn keys_type_what_is_printed_on_them() {
        assert_eq!(KeyCode::A.ascii(false), Some(b'a'));
        assert_eq!(KeyCode::GRAVE.ascii(true), Some(b'~'));
        assert_eq!(KeyCode::SPACE.ascii(true), Some(b' '));
        for code in [KeyCode::ENTER, KeyCode::LEFT_SHIFT, KeyCode::CAPS_LOCK, KeyCode::BACKSPACE] {
            assert_eq!(code.ascii(false), None);
        }
    }
}
