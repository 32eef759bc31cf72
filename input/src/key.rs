//! Key codes of Linux evdev (`input-event-codes.h`) and their names as printed on a US keyboard.

use std::fmt;

/// A key or button, by its Linux evdev code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyCode(pub u16);

macro_rules! keys {
    ($($ident:ident = $code:literal, $name:literal $(| $alias:literal)*;)*) => {
        impl KeyCode {
            $(#[doc = concat!("The key \"", $name, "\".")]
            pub const $ident: KeyCode = KeyCode($code);)*

            /// Its name, if it is a key that Tabard knows by name.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some($name),)*
                    _ => None,
                }
            }

            /// The key of that name or usual other name; upper and lower case are the same.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                const NAMES: &[(&str, u16)] = &[$(($name, $code), $(($alias, $code),)*)*];
                NAMES
                    .iter()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name))
                    .map(|(_, code)| KeyCode(*code))
            }
        }
    };
}

keys! {
    ESC = 1, "Esc" | "Escape";
    DIGIT_1 = 2, "1";
    DIGIT_2 = 3, "2";
    DIGIT_3 = 4, "3";
    DIGIT_4 = 5, "4";
    DIGIT_5 = 6, "5";
    DIGIT_6 = 7, "6";
    DIGIT_7 = 8, "7";
    DIGIT_8 = 9, "8";
    DIGIT_9 = 10, "9";
    DIGIT_0 = 11, "0";
    MINUS = 12, "Minus" | "-";
    EQUAL = 13, "Equal" | "=";
    BACKSPACE = 14, "Backspace";
    TAB = 15, "Tab";
    Q = 16, "Q";
    W = 17, "W";
    E = 18, "E";
    R = 19, "R";
    T = 20, "T";
    Y = 21, "Y";
    U = 22, "U";
    I = 23, "I";
    O = 24, "O";
    P = 25, "P";
    LEFT_BRACE = 26, "LeftBrace" | "[";
    RIGHT_BRACE = 27, "RightBrace" | "]";
    ENTER = 28, "Enter" | "Return";
    LEFT_CTRL = 29, "LeftCtrl" | "LCtrl" | "LeftControl";
    A = 30, "A";
    S = 31, "S";
    D = 32, "D";
    F = 33, "F";
    G = 34, "G";
    H = 35, "H";
    J = 36, "J";
    K = 37, "K";
    L = 38, "L";
    SEMICOLON = 39, "Semicolon" | ";";
    APOSTROPHE = 40, "Apostrophe" | "'";
    GRAVE = 41, "Grave" | "`";
    LEFT_SHIFT = 42, "LeftShift" | "LShift";
    BACKSLASH = 43, "Backslash" | "\\";
    Z = 44, "Z";
    X = 45, "X";
    C = 46, "C";
    V = 47, "V";
    B = 48, "B";
    N = 49, "N";
    M = 50, "M";
    COMMA = 51, "Comma" | ",";
    DOT = 52, "Dot" | "Period" | ".";
    SLASH = 53, "Slash" | "/";
    RIGHT_SHIFT = 54, "RightShift" | "RShift";
    LEFT_ALT = 56, "LeftAlt" | "LAlt";
    SPACE = 57, "Space";
    CAPS_LOCK = 58, "CapsLock";
    F1 = 59, "F1";
    F2 = 60, "F2";
    F3 = 61, "F3";
    F4 = 62, "F4";
    F5 = 63, "F5";
    F6 = 64, "F6";
    F7 = 65, "F7";
    F8 = 66, "F8";
    F9 = 67, "F9";
    F10 = 68, "F10";
    NUM_LOCK = 69, "NumLock";
    SCROLL_LOCK = 70, "ScrollLock";
    KEY_102ND = 86, "102nd";
    F11 = 87, "F11";
    F12 = 88, "F12";
    KP_ENTER = 96, "KpEnter";
    RIGHT_CTRL = 97, "RightCtrl" | "RCtrl" | "RightControl";
    SYSRQ = 99, "SysRq" | "PrintScreen" | "Print";
    RIGHT_ALT = 100, "RightAlt" | "RAlt" | "AltGr";
    HOME = 102, "Home";
    UP = 103, "Up";
    PAGE_UP = 104, "PageUp";
    LEFT = 105, "Left";
    RIGHT = 106, "Right";
    END = 107, "End";
    DOWN = 108, "Down";
    PAGE_DOWN = 109, "PageDown";
    INSERT = 110, "Insert";
    DELETE = 111, "Delete";
    PAUSE = 119, "Pause" | "Break";
    LEFT_META = 125, "LeftMeta" | "LeftSuper" | "LeftWin";
    RIGHT_META = 126, "RightMeta" | "RightSuper" | "RightWin";
    MENU = 127, "Menu" | "Compose";
    HELP = 138, "Help";
    F13 = 183, "F13";
    F14 = 184, "F14";
    F15 = 185, "F15";
    F16 = 186, "F16";
    F17 = 187, "F17";
    F18 = 188, "F18";
    F19 = 189, "F19";
    F20 = 190, "F20";
    F21 = 191, "F21";
    F22 = 192, "F22";
    F23 = 193, "F23";
    F24 = 194, "F24";
    BUTTON_LEFT = 0x110, "ButtonLeft";
    BUTTON_RIGHT = 0x111, "ButtonRight";
    BUTTON_MIDDLE = 0x112, "ButtonMiddle";
    BUTTON_SIDE = 0x113, "ButtonSide";
    BUTTON_EXTRA = 0x114, "ButtonExtra";
    BUTTON_FORWARD = 0x115, "ButtonForward";
    BUTTON_BACK = 0x116, "ButtonBack";
    BUTTON_TASK = 0x117, "ButtonTask";
}

impl KeyCode {
    /// Whether it is one of the eight buttons of a mouse (`BTN_LEFT`..=`BTN_TASK`).
    #[must_use]
    pub fn is_button(self) -> bool {
        (Self::BUTTON_LEFT..=Self::BUTTON_TASK).contains(&self)
    }

    /// Whether it is Ctrl, Alt, Shift or Meta, of either side.
    #[must_use]
    pub fn is_modifier(self) -> bool {
        matches!(
            self,
            Self::LEFT_CTRL
                | Self::RIGHT_CTRL
                | Self::LEFT_ALT
                | Self::RIGHT_ALT
                | Self::LEFT_SHIFT
                | Self::RIGHT_SHIFT
                | Self::LEFT_META
                | Self::RIGHT_META
        )
    }

    /// Whether it is a key of a keyboard: 1..=255, the codes below the first button.
    #[must_use]
    pub fn is_key(self) -> bool {
        (1..=255).contains(&self.0)
    }
}

impl fmt::Display for KeyCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "key {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back_to_its_key() {
        for code in 0..0x300 {
            if let Some(name) = KeyCode(code).name() {
                assert_eq!(KeyCode::from_name(name), Some(KeyCode(code)), "{name}");
            }
        }
    }

    #[test]
    fn names_ignore_case_and_know_other_names() {
        assert_eq!(KeyCode::from_name("escape"), Some(KeyCode::ESC));
        assert_eq!(KeyCode::from_name("Hyper"), None);
    }
}
