//! What a key types on a US keyboard, for the few places where the trusted side itself reads
//! text. Caps Lock and Num Lock are left out on purpose: their lamps belong to the guests, so the keypad
//! always types what is printed on it.

use crate::KeyCode;

/// Runs of keys by the code of the first (`input-event-codes.h`): alone, and with Shift.
const ROWS: [(u16, &[u8], &[u8]); 11] = [
    (2, b"1234567890-=", b"!@#$%^&*()_+"),
    (16, b"qwertyuiop[]", b"QWERTYUIOP{}"),
    (30, b"asdfghjkl;'`", b"ASDFGHJKL:\"~"),
    (43, b"\\", b"|"),
    (44, b"zxcvbnm,./", b"ZXCVBNM<>?"),
    (57, b" ", b" "),
    // The keypad.
    (55, b"*", b"*"),
    (71, b"789-456+1230.", b"789-456+1230."),
    (98, b"/", b"/"),
    (117, b"=", b"="),
    (121, b",", b","),
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

    /// The key of the digit row that types the same as this one, if that is 1 to 9, else itself.
    #[must_use]
    pub fn on_digit_row(self) -> Self {
        let figure = self.ascii(false).filter(|figure| (b'1'..=b'9').contains(figure));
        let place = figure.map(|figure| u16::from(figure.saturating_sub(b'1')));
        place.map_or(self, |place| Self(Self::DIGIT_1.0.saturating_add(place)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_printable_character_has_one_key_beside_the_keypad() {
        let keypad = |code: &u16| matches!(code, 55 | 71..=83 | 98 | 117 | 121);
        let typed: Vec<u8> = [false, true]
            .iter()
            .flat_map(|shift| {
                let keys = (0..=255).filter(|code| !keypad(code));
                keys.filter_map(|code| KeyCode(code).ascii(*shift))
            })
            .filter(|byte| *byte != b' ')
            .collect();
        let all: BTreeSet<u8> = (b'!'..=b'~').collect();
        assert_eq!(typed.len(), all.len());
        assert_eq!(typed.into_iter().collect::<BTreeSet<u8>>(), all);
    }

    #[test]
    fn the_keypad_types_what_is_printed_on_it() {
        let codes = [71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 55, 98, 117, 121];
        for shift in [false, true] {
            let typed = codes.map(|code| KeyCode(code).ascii(shift).unwrap());
            assert_eq!(&typed, b"789-456+1230.*/=,");
        }
        let rows = [71, 79, 81, 82, 30].map(|code| KeyCode(code).on_digit_row());
        let digits = [KeyCode::DIGIT_7, KeyCode::DIGIT_1, KeyCode::DIGIT_3];
        assert_eq!((&rows[..3], &rows[3..]), (&digits[..], &[KeyCode(82), KeyCode::A][..]));
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
