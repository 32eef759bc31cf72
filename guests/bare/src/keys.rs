//! A US keyboard: evdev key codes (Linux's input-event-codes.h) to letters and commands.

/// `EV_SYN`, `EV_KEY`, `EV_REL` and `EV_ABS`.
pub const EV_SYN: u16 = 0;
/// Keys and buttons.
pub const EV_KEY: u16 = 1;
/// Relative axes.
pub const EV_REL: u16 = 2;
/// Absolute axes.
pub const EV_ABS: u16 = 3;
/// The left button of a pointer.
pub const BTN_LEFT: u16 = 0x110;
/// Absolute and relative X.
pub const AXIS_X: u16 = 0;
/// Absolute and relative Y.
pub const AXIS_Y: u16 = 1;
/// Relative wheel.
pub const REL_WHEEL: u16 = 8;

/// What a key means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Key {
    /// A letter to type.
    Letter(char),
    /// A letter with Ctrl, in lower case.
    Control(char),
    /// Enter.
    Enter,
    /// Tab.
    Tab,
    /// Backspace.
    Backspace,
    /// Delete.
    Delete,
    /// Left arrow.
    Left,
    /// Right arrow.
    Right,
    /// Up arrow.
    Up,
    /// Down arrow.
    Down,
    /// Home.
    Home,
    /// End.
    End,
    /// Page up.
    PageUp,
    /// Page down.
    PageDown,
    /// Escape.
    Escape,
}

/// A key press with what was held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Press {
    /// The key.
    pub key: Key,
    /// Whether shift was held.
    pub shift: bool,
    /// Whether control was held.
    pub control: bool,
}

/// The state of the modifier keys.
#[derive(Debug, Default)]
pub struct Keyboard {
    left_shift: bool,
    right_shift: bool,
    left_control: bool,
    right_control: bool,
    left_alt: bool,
    meta: bool,
    caps_lock: bool,
}

/// Plain and shifted letters of the key codes from 2 on; NUL where the key types nothing.
const PLAIN: &str = "1234567890-=\0\0qwertyuiop[]\0\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
const SHIFTED: &str = "!@#$%^&*()_+\0\0QWERTYUIOP{}\0\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
/// The keypad with num lock on, from code 71 on.
const KEYPAD: &str = "789-456+1230.";

impl Keyboard {
    /// Whether a shift key is held.
    pub fn shift(&self) -> bool {
        self.left_shift || self.right_shift
    }

    /// Takes a key event (`value` 0 up, 1 down, 2 repeat) and says what it means, if anything.
    pub fn event(&mut self, code: u16, value: i32) -> Option<Press> {
        let down = value != 0;
        match code {
            42 => self.left_shift = down,
            54 => self.right_shift = down,
            29 => self.left_control = down,
            97 => self.right_control = down,
            56 => self.left_alt = down,
            125 | 126 => self.meta = down,
            58 if value == 1 => self.caps_lock = !self.caps_lock,
            _ if down => return self.press(code),
            _ => {}
        }
        None
    }

    fn press(&self, code: u16) -> Option<Press> {
        let shift = self.shift();
        let control = self.left_control || self.right_control;
        let key = match code {
            1 => Key::Escape,
            14 => Key::Backspace,
            15 => Key::Tab,
            28 | 96 => Key::Enter,
            102 => Key::Home,
            103 => Key::Up,
            104 => Key::PageUp,
            105 => Key::Left,
            106 => Key::Right,
            107 => Key::End,
            108 => Key::Down,
            109 => Key::PageDown,
            111 => Key::Delete,
            _ => {
                let letter = self.letter(code, shift)?;
                match control {
                    true => Key::Control(letter.to_ascii_lowercase()),
                    // Alt and the logo key make shortcuts, and there are none.
                    false if self.left_alt || self.meta => return None,
                    false => Key::Letter(letter),
                }
            }
        };
        Some(Press { key, shift, control })
    }

    fn letter(&self, code: u16, shift: bool) -> Option<char> {
        let pick = |table: &str, first: u16| {
            let letter = *table.as_bytes().get(usize::from(code.checked_sub(first)?))?;
            (letter != 0).then_some(char::from(letter))
        };
        if code == 98 {
            return Some('/');
        }
        if let Some(letter) = pick(KEYPAD, 71) {
            return Some(letter);
        }
        let plain = pick(PLAIN, 2)?;
        let shift = shift ^ (self.caps_lock && plain.is_ascii_alphabetic());
        if shift { pick(SHIFTED, 2) } else { Some(plain) }
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, Keyboard, PLAIN, SHIFTED};

    fn typed(keyboard: &mut Keyboard, code: u16) -> Option<Key> {
        keyboard.event(code, 1).map(|press| press.key)
    }

    #[test]
    fn both_tables_name_the_same_keys() {
        let shape = |table: &str| table.bytes().map(|byte| byte == 0).collect::<Vec<_>>();
        assert_eq!(shape(PLAIN), shape(SHIFTED));
    }

    #[test]
    fn codes_type_their_letters() {
        let mut keyboard = Keyboard::default();
        let codes = [(2, '1'), (13, '='), (16, 'q'), (30, 'a'), (41, '`'), (43, '\\'), (44, 'z')];
        for (code, letter) in codes.into_iter().chain([(53, '/'), (57, ' '), (71, '7')]) {
            assert_eq!(typed(&mut keyboard, code), Some(Key::Letter(letter)));
        }
    }

    #[test]
    fn shift_and_caps_lock_undo_each_other_on_letters_only() {
        let mut keyboard = Keyboard::default();
        keyboard.event(58, 1);
        keyboard.event(58, 0);
        assert_eq!(typed(&mut keyboard, 30), Some(Key::Letter('A')));
        assert_eq!(typed(&mut keyboard, 2), Some(Key::Letter('1')));
        keyboard.event(54, 1);
        assert_eq!(typed(&mut keyboard, 30), Some(Key::Letter('a')));
        assert_eq!(typed(&mut keyboard, 2), Some(Key::Letter('!')));
    }

    #[test]
    fn repeats_type_again_and_releases_do_not() {
        let mut keyboard = Keyboard::default();
        assert!(keyboard.event(30, 2).is_some());
        assert!(keyboard.event(30, 0).is_none());
    }

    #[test]
    fn right_alt_is_ignored() {
        let mut keyboard = Keyboard::default();
        keyboard.event(100, 1);
        assert_eq!(typed(&mut keyboard, 30), Some(Key::Letter('a')));
    }
}
