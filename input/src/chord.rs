//! The secure-attention chord: which keys it is made of, and whether a press completes it.

use crate::KeyCode;
use std::fmt;
use thiserror::Error;

/// Why a text is no usable chord. Each message says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChordError {
    /// Nothing between two `+`, or nothing at all.
    #[error("A chord needs a key, such as Ctrl+Alt+Esc or Pause")]
    Empty,
    /// No key has this name.
    #[error("No key is called {0:?}; write for example Ctrl+Alt+Esc, F12, Pause or RightCtrl")]
    UnknownKey(String),
    /// Only the last key may be something other than a modifier.
    #[error("{0} is not a modifier; before the last key only Ctrl, Alt, Shift and Meta may stand")]
    NotAModifier(String),
    /// A modifier stands twice.
    #[error("{0} stands twice in the chord")]
    Repeated(String),
    /// It would fire as soon as somebody types a capital or starts a shortcut.
    #[error("The chord ends in the modifier {0}; end it in another key, such as Ctrl+Alt+Esc")]
    ModifierLast(String),
    /// It would take a key that people need.
    #[error("{0} is needed for typing; put Ctrl, Alt or Meta before it, or use Pause or F12")]
    NeededForTyping(String),
    /// Alt may be AltGr, which types characters on many layouts.
    #[error("{0} types a character with AltGr on many keyboards; write LeftAlt or Ctrl+Alt")]
    NeededWithAltGr(String),
}

/// One key, or either of two, that is to be held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Modifier {
    name: &'static str,
    /// The keys that count as it; twice the same if only one side was asked for.
    codes: [KeyCode; 2],
}

const CTRL: Modifier = Modifier { name: "Ctrl", codes: [KeyCode::LEFT_CTRL, KeyCode::RIGHT_CTRL] };
const ALT: Modifier = Modifier { name: "Alt", codes: [KeyCode::LEFT_ALT, KeyCode::RIGHT_ALT] };
const SHIFT: Modifier =
    Modifier { name: "Shift", codes: [KeyCode::LEFT_SHIFT, KeyCode::RIGHT_SHIFT] };
const META: Modifier = Modifier { name: "Meta", codes: [KeyCode::LEFT_META, KeyCode::RIGHT_META] };

/// The secure-attention chord: some modifiers held, then one key pressed.
///
/// Modifiers and last key may come from different keyboards: whatever the user holds anywhere
/// counts, so that no arrangement of devices can keep the chord from working. More modifiers than
/// asked for do no harm either.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Chord {
    modifiers: Vec<Modifier>,
    key: KeyCode,
}

impl Default for Chord {
    /// Ctrl+Alt+Esc.
    fn default() -> Self {
        Self { modifiers: vec![CTRL, ALT], key: KeyCode::ESC }
    }
}

impl Chord {
    /// Reads a chord such as `Ctrl+Alt+Escape`, `LeftMeta+F1`, `Pause` or `RightCtrl`.
    ///
    /// # Errors
    /// An unknown name, a wrong order, or a chord that would make ordinary typing impossible.
    pub fn parse(text: &str) -> Result<Self, ChordError> {
        let mut names: Vec<&str> = text.split('+').map(str::trim).collect();
        if names.iter().any(|name| name.is_empty()) {
            return Err(ChordError::Empty);
        }
        let last = names.pop().ok_or(ChordError::Empty)?;
        let mut modifiers = Vec::new();
        for name in names {
            let modifier = Modifier::from_name(name).ok_or_else(|| not_a_modifier(name))?;
            if modifiers.iter().any(|other| modifier.overlaps(other)) {
                return Err(ChordError::Repeated(name.to_owned()));
            }
            modifiers.push(modifier);
        }
        let key = KeyCode::from_name(last).filter(|key| key.is_key());
        if Modifier::from_name(last).is_some() && key != Some(KeyCode::RIGHT_CTRL) {
            return Err(ChordError::ModifierLast(last.to_owned()));
        }
        let key = key.ok_or_else(|| ChordError::UnknownKey(last.to_owned()))?;
        check_usable(&modifiers, key)?;
        Ok(Self { modifiers, key })
    }

    /// The last key, the one whose press completes the chord.
    #[must_use]
    pub fn key(&self) -> KeyCode {
        self.key
    }

    /// Whether this key is the last key of the chord or may stand for one of its modifiers.
    #[must_use]
    pub fn contains(&self, code: KeyCode) -> bool {
        self.key == code || self.modifiers.iter().any(|modifier| modifier.codes.contains(&code))
    }

    /// Whether pressing `code` completes the chord while what `is_down` says is down.
    #[must_use]
    pub fn completes(&self, code: KeyCode, is_down: impl Fn(KeyCode) -> bool) -> bool {
        // A repeated press counts too: after lost events the ledger may think the key still down.
        code == self.key
            && self
                .modifiers
                .iter()
                .all(|modifier| modifier.codes.iter().any(|&side| side != code && is_down(side)))
    }
}

fn not_a_modifier(name: &str) -> ChordError {
    if KeyCode::from_name(name).is_some() {
        ChordError::NotAModifier(name.to_owned())
    } else {
        ChordError::UnknownKey(name.to_owned())
    }
}

/// Refuses chords that take away a key which people need to write.
fn check_usable(modifiers: &[Modifier], key: KeyCode) -> Result<(), ChordError> {
    if is_dedicated(key) {
        return Ok(());
    }
    let strong = |modifier: &Modifier| !modifier.overlaps(&SHIFT);
    if !modifiers.iter().any(strong) {
        return Err(ChordError::NeededForTyping(key.to_string()));
    }
    let left_no_alt_gr =
        |modifier: &Modifier| strong(modifier) && !modifier.codes.contains(&KeyCode::RIGHT_ALT);
    if types_a_character(key) && !modifiers.iter().any(left_no_alt_gr) {
        return Err(ChordError::NeededWithAltGr(key.to_string()));
    }
    Ok(())
}

/// Keys that may stand alone, because nobody needs them to write.
fn is_dedicated(key: KeyCode) -> bool {
    matches!(
        key,
        KeyCode::PAUSE
            | KeyCode::SCROLL_LOCK
            | KeyCode::SYSRQ
            | KeyCode::MENU
            | KeyCode::RIGHT_CTRL
            | KeyCode::HELP
            | KeyCode::F11
            | KeyCode::F12
    ) || (KeyCode::F1..=KeyCode::F10).contains(&key)
        || (KeyCode::F13..=KeyCode::F24).contains(&key)
}

/// The rows of digits, letters and punctuation.
fn types_a_character(key: KeyCode) -> bool {
    matches!(key.0, 2..=13 | 16..=27 | 30..=41 | 43..=53)
        || matches!(key, KeyCode::SPACE | KeyCode::KEY_102ND)
}

impl Modifier {
    fn from_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "ctrl" | "control" => return Some(CTRL),
            "alt" => return Some(ALT),
            "shift" => return Some(SHIFT),
            "meta" | "super" | "win" | "logo" => return Some(META),
            _ => {}
        }
        let key = KeyCode::from_name(name).filter(|key| key.is_modifier())?;
        Some(Self { name: key.name()?, codes: [key; 2] })
    }

    /// Whether one key could stand for both.
    fn overlaps(&self, other: &Self) -> bool {
        self.codes.iter().any(|code| other.codes.contains(code))
    }
}

impl fmt::Display for Chord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for modifier in &self.modifiers {
            write!(formatter, "{}+", modifier.name)?;
        }
        write!(formatter, "{}", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Capacity, Fate, HeldKeys, SourceId};
    use proptest::prelude::*;

    fn held(codes: &[(u32, KeyCode)]) -> impl Fn(KeyCode) -> bool {
        let mut held = HeldKeys::default();
        for (source, code) in codes {
            held.press(SourceId(*source), *code, Fate::Swallowed, Capacity::Limited);
        }
        move |code| held.is_down(code, |_| true)
    }

    #[test]
    fn prints_what_it_parsed() {
        for text in
            ["Ctrl+Alt+Esc", "Pause", "F12", "RightCtrl", "LeftAlt+A", "Ctrl+Shift+F1", "Meta+L"]
        {
            assert_eq!(Chord::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Chord::parse(" control + alt + escape ").unwrap(), Chord::default());
    }

    #[test]
    fn refuses_chords_that_make_typing_impossible() {
        let refused = |text| Chord::parse(text).unwrap_err();
        assert!(matches!(refused("a"), ChordError::NeededForTyping(_)));
        assert!(matches!(refused("Esc"), ChordError::NeededForTyping(_)));
        assert!(matches!(refused("Shift+A"), ChordError::NeededForTyping(_)));
        assert!(matches!(refused("Alt+E"), ChordError::NeededWithAltGr(_)));
        assert!(matches!(refused("Shift+AltGr+E"), ChordError::NeededWithAltGr(_)));
        assert!(matches!(refused("Ctrl"), ChordError::ModifierLast(_)));
        assert!(matches!(refused("LeftShift"), ChordError::ModifierLast(_)));
        assert!(matches!(refused("Ctrl+Alt"), ChordError::ModifierLast(_)));
    }

    #[test]
    fn refuses_texts_that_are_no_chord() {
        let refused = |text| Chord::parse(text).unwrap_err();
        assert_eq!(refused(""), ChordError::Empty);
        assert_eq!(refused("Ctrl++Esc"), ChordError::Empty);
        assert_eq!(refused("Ctrl+Nonsense"), ChordError::UnknownKey("Nonsense".into()));
        assert_eq!(refused("Hyper+Esc"), ChordError::UnknownKey("Hyper".into()));
        assert_eq!(refused("Esc+Ctrl+A"), ChordError::NotAModifier("Esc".into()));
        assert_eq!(refused("Ctrl+LeftCtrl+Esc"), ChordError::Repeated("LeftCtrl".into()));
        assert_eq!(refused("Ctrl+ButtonLeft"), ChordError::UnknownKey("ButtonLeft".into()));
    }

    #[test]
    fn either_side_completes_unless_one_was_said() {
        let right = held(&[(0, KeyCode::RIGHT_CTRL), (0, KeyCode::RIGHT_ALT)]);
        assert!(Chord::default().completes(KeyCode::ESC, &right));
        assert!(!Chord::parse("LeftCtrl+Alt+Esc").unwrap().completes(KeyCode::ESC, &right));
    }

    #[test]
    fn two_keyboards_and_further_modifiers_still_complete() {
        let spread =
            held(&[(0, KeyCode::LEFT_CTRL), (1, KeyCode::LEFT_ALT), (2, KeyCode::LEFT_SHIFT)]);
        assert!(Chord::default().completes(KeyCode::ESC, &spread));
    }

    #[test]
    fn a_missing_modifier_or_another_key_does_not_complete() {
        assert!(!Chord::default().completes(KeyCode::ESC, held(&[(0, KeyCode::LEFT_CTRL)])));
        let both = held(&[(0, KeyCode::LEFT_CTRL), (0, KeyCode::LEFT_ALT)]);
        assert!(!Chord::default().completes(KeyCode::TAB, &both));
    }

    #[test]
    fn the_last_key_does_not_stand_for_its_own_modifier() {
        let chord = Chord::parse("LeftCtrl+RightCtrl").unwrap();
        assert!(!chord.completes(KeyCode::RIGHT_CTRL, held(&[(0, KeyCode::RIGHT_CTRL)])));
        assert!(chord.completes(KeyCode::RIGHT_CTRL, held(&[(0, KeyCode::LEFT_CTRL)])));
    }

    proptest! {
        #[test]
        fn whatever_parses_prints_to_the_same_chord(text in "[A-Za-z0-9+ ]{0,24}") {
            if let Ok(chord) = Chord::parse(&text) {
                prop_assert_eq!(Chord::parse(&chord.to_string()), Ok(chord));
            }
        }
    }
}
