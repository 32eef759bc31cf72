//! Keys as a script writes them: chords by name, and text as a US keyboard types it.

use tabard_input::KeyCode;

/// A key to press and release, with the modifiers to hold meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stroke {
    /// Pressed first, released last, in the reverse order.
    pub(crate) modifiers: Vec<KeyCode>,
    /// The key.
    pub(crate) key: KeyCode,
}

/// Reads a chord such as `A`, `Ctrl+Alt+T`, `Shift+F1`, `RightCtrl` or `?`.
///
/// # Errors
/// A sentence that names the part which is no key.
pub(crate) fn chord(text: &str) -> Result<Stroke, String> {
    // The last part may itself be a plus sign: "Ctrl++".
    let (before, last) = match text.strip_suffix('+') {
        Some(before) => (before.strip_suffix('+').unwrap_or(before), "+"),
        None => text.rsplit_once('+').map_or(("", text), |(before, last)| (before, last)),
    };
    if last == "+" && !before.is_empty() && !text.ends_with("++") {
        return Err(format!("{text:?} ends in a plus sign; name the key after it"));
    }
    let Stroke { mut modifiers, key } = last_key(last)?;
    for name in before.split('+').rev().filter(|_| !before.is_empty()) {
        let code = key_named(name).ok_or_else(|| unknown(name))?;
        if !modifiers.contains(&code) {
            modifiers.insert(0, code);
        }
    }
    Ok(Stroke { modifiers, key })
}

/// Reads one key, for `press` and `release`: a name, or a character without Shift.
///
/// # Errors
/// A sentence that says what is wrong.
pub(crate) fn key(text: &str) -> Result<KeyCode, String> {
    match last_key(text) {
        Ok(Stroke { modifiers, key }) if modifiers.is_empty() => Ok(key),
        Ok(_) => Err(format!("{text:?} needs Shift; press Shift and then the key below it")),
        Err(error) => Err(error),
    }
}

/// The strokes that type a text on a US keyboard.
///
/// # Errors
/// A sentence that names the character which such a keyboard has no key for.
pub(crate) fn strokes(text: &str) -> Result<Vec<Stroke>, String> {
    let stroke = |c| character(c).ok_or_else(|| format!("A US keyboard has no key for {c:?}"));
    text.chars().map(stroke).collect()
}

fn last_key(text: &str) -> Result<Stroke, String> {
    if let Some(key) = key_named(text) {
        return Ok(Stroke { modifiers: Vec::new(), key });
    }
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) => character(c).ok_or_else(|| unknown(text)),
        _ => Err(unknown(text)),
    }
}

fn unknown(name: &str) -> String {
    format!("No key is called {name:?}; write for example A, Enter, F1, Ctrl+C or Left")
}

/// A key by its name; a modifier without a side is the left one.
fn key_named(name: &str) -> Option<KeyCode> {
    match name.to_ascii_lowercase().as_str() {
        "ctrl" | "control" => Some(KeyCode::LEFT_CTRL),
        "alt" => Some(KeyCode::LEFT_ALT),
        "shift" => Some(KeyCode::LEFT_SHIFT),
        "meta" | "super" | "win" | "logo" => Some(KeyCode::LEFT_META),
        _ => KeyCode::from_name(name).filter(|code| code.is_key()),
    }
}

/// The characters that need Shift, each with the character of the same key that does not.
const SHIFTED: &[(char, &str)] = &[
    ('!', "1"),
    ('@', "2"),
    ('#', "3"),
    ('$', "4"),
    ('%', "5"),
    ('^', "6"),
    ('&', "7"),
    ('*', "8"),
    ('(', "9"),
    (')', "0"),
    ('_', "-"),
    ('+', "="),
    ('{', "["),
    ('}', "]"),
    (':', ";"),
    ('"', "'"),
    ('~', "`"),
    ('|', "\\"),
    ('<', ","),
    ('>', "."),
    ('?', "/"),
];

fn character(c: char) -> Option<Stroke> {
    let plain = |key| Stroke { modifiers: Vec::new(), key };
    let shifted = |key| Stroke { modifiers: vec![KeyCode::LEFT_SHIFT], key };
    match c {
        '\n' => Some(plain(KeyCode::ENTER)),
        '\t' => Some(plain(KeyCode::TAB)),
        ' ' => Some(plain(KeyCode::SPACE)),
        'A'..='Z' => KeyCode::from_name(c.encode_utf8(&mut [0; 4])).map(shifted),
        '!'..='~' => match SHIFTED.iter().find(|(above, _)| *above == c) {
            Some((_, below)) => KeyCode::from_name(below).map(shifted),
            None => KeyCode::from_name(c.encode_utf8(&mut [0; 4])).map(plain),
        },
        _ => None,
    }
}

/// The character that a stroke types on a US keyboard, if it types one.
pub(crate) fn character_of(stroke: &Stroke) -> Option<char> {
    // Either Shift makes the same character.
    let side = |key: &KeyCode| match *key {
        KeyCode::RIGHT_SHIFT => KeyCode::LEFT_SHIFT,
        other => other,
    };
    let modifiers = stroke.modifiers.iter().map(side).collect();
    let stroke = Stroke { modifiers, key: stroke.key };
    let mut all = ('\x20'..='\x7e').chain(['\n', '\t']);
    all.find(|c| character(*c).as_ref() == Some(&stroke))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stroke(modifiers: &[KeyCode], key: KeyCode) -> Stroke {
        Stroke { modifiers: modifiers.to_vec(), key }
    }

    #[test]
    fn chords_hold_their_modifiers_in_the_order_written() {
        let (ctrl, alt) = (KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT);
        assert_eq!(chord("Ctrl+Alt+Escape"), Ok(stroke(&[ctrl, alt], KeyCode::ESC)));
        assert_eq!(chord("a"), Ok(stroke(&[], KeyCode::A)));
        assert_eq!(chord("RightCtrl"), Ok(stroke(&[], KeyCode::RIGHT_CTRL)));
    }

    #[test]
    fn characters_stand_for_their_keys() {
        let shift = KeyCode::LEFT_SHIFT;
        assert_eq!(chord("?"), Ok(stroke(&[shift], KeyCode::SLASH)));
        assert_eq!(chord("+"), Ok(stroke(&[shift], KeyCode::EQUAL)));
        assert_eq!(chord("Ctrl++"), Ok(stroke(&[KeyCode::LEFT_CTRL, shift], KeyCode::EQUAL)));
        assert_eq!(key("/"), Ok(KeyCode::SLASH));
    }

    #[test]
    fn what_is_no_key_is_named() {
        assert!(chord("Ctrl+Hyper").unwrap_err().contains("Hyper"));
        assert!(chord("Hyper+A").unwrap_err().contains("Hyper"));
        assert!(chord("Ctrl+").is_err() && chord("").is_err() && chord("Ctrl+ButtonLeft").is_err());
        assert!(key("?").unwrap_err().contains("Shift"));
        assert!(strokes("caf\u{e9}").unwrap_err().contains('\u{e9}'));
    }

    #[test]
    fn every_printable_character_has_a_key_of_its_own() {
        let printable: String = ('\x20'..='\x7e').chain(['\n', '\t']).collect();
        let mut all = strokes(&printable).unwrap();
        let count = all.len();
        all.sort_by_key(|stroke| (stroke.key, stroke.modifiers.clone()));
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn every_stroke_of_a_character_leads_back_to_it() {
        for c in ('\x20'..='\x7e').chain(['\n', '\t']) {
            assert_eq!(character_of(&character(c).unwrap()), Some(c));
        }
        assert_eq!(character_of(&stroke(&[KeyCode::LEFT_CTRL], KeyCode::A)), None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC{0,12}|[A-Za-z+]{0,12}") {
            let _ = (chord(&text), key(&text), strokes(&text));
        }
    }
}
