//! What hands did, out of single events: keys with the modifiers that were held, clicks, drags. No
//! clock and no screen in here.

use tabard_display::RawInput;
use tabard_input::KeyCode;

use crate::script::keys::Stroke;

/// How far a pointer may move while a button is down and still have clicked, in pixels each way.
const STILL_PX: u32 = 3;

/// Something that a person did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Gesture {
    /// A key, with modifiers held; or a modifier alone.
    Key(Stroke),
    /// The secure-attention key of the desk.
    Sak,
    /// A button at a place of the screen.
    Click { at: (u32, u32), button: KeyCode, modifiers: Vec<KeyCode> },
    /// The pointer moved with a button down.
    Drag { from: (u32, u32), to: (u32, u32), button: KeyCode, modifiers: Vec<KeyCode> },
    /// Notches of the wheel: away from the user, to the right.
    Wheel { at: (u32, u32), vertical: i16, horizontal: i16 },
}

/// What is held at the moment.
#[derive(Debug)]
pub(super) struct Hand {
    sak: Stroke,
    modifiers: Vec<KeyCode>,
    /// A modifier that went down last, with nothing after it.
    alone: Option<KeyCode>,
    button: Option<(KeyCode, (u32, u32))>,
    /// Where the pointer is, in pixels of the screen.
    pointer: (u32, u32),
}

impl Hand {
    /// Nothing is held; `sak` is the secure-attention key of the desk.
    pub(super) fn new(sak: Stroke) -> Self {
        Self { sak, modifiers: Vec::new(), alone: None, button: None, pointer: (0, 0) }
    }

    /// Takes an event; what it was the end of, if it was.
    pub(super) fn take(&mut self, input: RawInput) -> Option<Gesture> {
        match input {
            RawInput::Key { code, pressed } => self.key(KeyCode(code), pressed),
            RawInput::Pointer { x, y, .. } => {
                self.pointer = (x, y);
                None
            }
            RawInput::Button { code, pressed: true } => {
                self.alone = None;
                self.button = Some((KeyCode(code), self.pointer));
                None
            }
            RawInput::Button { code, pressed: false } => {
                let (button, from) = self.button.take_if(|(button, _)| button.0 == code)?;
                let (to, modifiers) = (self.pointer, self.modifiers.clone());
                let still = from.0.abs_diff(to.0) <= STILL_PX && from.1.abs_diff(to.1) <= STILL_PX;
                Some(if still {
                    Gesture::Click { at: from, button, modifiers }
                } else {
                    Gesture::Drag { from, to, button, modifiers }
                })
            }
            RawInput::Wheel { vertical, horizontal } => {
                Some(Gesture::Wheel { at: self.pointer, vertical, horizontal })
            }
            RawInput::Lost => {
                self.modifiers.clear();
                (self.alone, self.button) = (None, None);
                None
            }
        }
    }

    fn key(&mut self, key: KeyCode, pressed: bool) -> Option<Gesture> {
        if key.is_modifier() {
            if pressed {
                self.modifiers.push(key);
                self.alone = (self.modifiers.len() == 1).then_some(key);
                return None;
            }
            self.modifiers.retain(|held| *held != key);
            let alone = self.alone.take_if(|alone| *alone == key);
            return alone.map(|key| Gesture::Key(Stroke { modifiers: Vec::new(), key }));
        }
        if !pressed {
            return None;
        }
        self.alone = None;
        let wanted = |held: &KeyCode| self.sak.modifiers.contains(held);
        if key == self.sak.key
            && self.modifiers.len() == self.sak.modifiers.len()
            && self.modifiers.iter().all(wanted)
        {
            return Some(Gesture::Sak);
        }
        Some(Gesture::Key(Stroke { modifiers: self.modifiers.clone(), key }))
    }
}

#[cfg(test)]
mod tests {
    use tabard_view::OutputId;

    use super::*;
    use crate::script::keys;

    fn key(code: KeyCode, pressed: bool) -> RawInput {
        RawInput::Key { code: code.0, pressed }
    }

    fn gestures(inputs: &[RawInput]) -> Vec<Gesture> {
        let mut hand = Hand::new(keys::chord("Ctrl+Alt+Escape").unwrap());
        inputs.iter().filter_map(|input| hand.take(*input)).collect()
    }

    #[test]
    fn a_modifier_belongs_to_the_keys_that_are_pressed_under_it() {
        let shift = KeyCode::LEFT_SHIFT;
        let told = gestures(&[
            key(shift, true),
            key(KeyCode::A, true),
            key(KeyCode::B, true),
            key(KeyCode::A, false),
            key(KeyCode::B, false),
            key(shift, false),
            key(KeyCode::C, true),
        ]);
        let stroke = |modifiers: &[KeyCode], key| {
            Gesture::Key(Stroke { modifiers: modifiers.to_vec(), key })
        };
        assert_eq!(
            told,
            [stroke(&[shift], KeyCode::A), stroke(&[shift], KeyCode::B), stroke(&[], KeyCode::C)]
        );
    }

    #[test]
    fn the_secure_attention_key_is_one_gesture_and_a_lone_modifier_another() {
        let (ctrl, alt) = (KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT);
        let chord = [key(ctrl, true), key(alt, true), key(KeyCode::ESC, true)];
        assert_eq!(gestures(&chord), [Gesture::Sak]);
        let alone = gestures(&[key(ctrl, true), key(ctrl, false)]);
        assert_eq!(alone, [Gesture::Key(Stroke { modifiers: Vec::new(), key: ctrl })]);
        assert!(gestures(&[key(ctrl, true), RawInput::Lost, key(ctrl, false)]).is_empty());
    }

    #[test]
    fn a_button_clicks_where_it_went_down_or_drags() {
        let at = |x| RawInput::Pointer { output: OutputId(0), x, y: 5 };
        let button = |pressed| RawInput::Button { code: KeyCode::BUTTON_LEFT.0, pressed };
        let (left, modifiers) = (KeyCode::BUTTON_LEFT, Vec::new());
        let told = gestures(&[at(9), button(true), at(11), button(false)]);
        let click = Gesture::Click { at: (9, 5), button: left, modifiers: modifiers.clone() };
        assert_eq!(told, [click]);
        let told = gestures(&[at(9), button(true), at(99), button(false)]);
        assert_eq!(told, [Gesture::Drag { from: (9, 5), to: (99, 5), button: left, modifiers }]);
    }
}
