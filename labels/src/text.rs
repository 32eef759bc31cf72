//! What a name or a banner text may be made of, and when two of them look alike.
//!
//! A label must not be forged by spelling: no control, bidirectional, zero-width or non-ASCII
//! character gets in, so what the eye reads is what was signed.

use thiserror::Error;

/// The longest name of a level or a category, in characters.
pub const MAX_NAME_CHARS: usize = 32;
/// The longest banner text, label name or marking, in characters.
pub const MAX_TEXT_CHARS: usize = 80;

/// Why a name or a text was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// Nothing to read.
    #[error("Text is empty")]
    Empty,
    /// Longer than its place allows.
    #[error("Text has {found} characters; at most {limit} are allowed")]
    TooLong {
        /// Characters found.
        found: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character outside the allowed set.
    #[error("Character {found:?} at position {position} is not allowed; use {allowed}")]
    Character {
        /// The character.
        found: char,
        /// Its position, counted in characters from 1.
        position: usize,
        /// What is allowed there.
        allowed: &'static str,
    },
    /// Only punctuation: nothing that says which label it is.
    #[error("Text has no letter or digit")]
    NoLetter,
    /// Spaces that a reader cannot see.
    #[error("Text begins or ends with a space, or has two in a row")]
    Spacing,
}

/// Checks the name of a level or a category: ASCII letters, digits, space, `-`, `_` and `.`.
///
/// # Errors
///
/// [`TextError`] if it is empty, longer than [`MAX_NAME_CHARS`], has another character, no
/// letter or digit, or spaces that cannot be seen.
pub fn check_name(name: &str) -> Result<(), TextError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    check(name, MAX_NAME_CHARS, allowed, "ASCII letters, digits, space, '-', '_' and '.'")
}

/// Checks a banner text or the name of a label: printable ASCII.
///
/// # Errors
///
/// [`TextError`] if it is empty, longer than [`MAX_TEXT_CHARS`], has another character, no
/// letter or digit, or spaces that cannot be seen.
pub fn check_text(text: &str) -> Result<(), TextError> {
    check_within(text, MAX_TEXT_CHARS)
}

/// As [`check_text`], with a limit of its own.
pub(crate) fn check_within(text: &str, limit: usize) -> Result<(), TextError> {
    check(text, limit, |c| matches!(c, ' '..='~'), "printable ASCII")
}

fn check(
    text: &str,
    limit: usize,
    is_allowed: impl Fn(char) -> bool,
    allowed: &'static str,
) -> Result<(), TextError> {
    if text.is_empty() {
        return Err(TextError::Empty);
    }
    let found = text.chars().count();
    if found > limit {
        return Err(TextError::TooLong { found, limit });
    }
    for (position, found) in (1..).zip(text.chars()) {
        if !is_allowed(found) {
            return Err(TextError::Character { found, position, allowed });
        }
    }
    if text.starts_with(' ') || text.ends_with(' ') || text.contains("  ") {
        return Err(TextError::Spacing);
    }
    if !text.contains(|c: char| c.is_ascii_alphanumeric()) {
        return Err(TextError::NoLetter);
    }
    Ok(())
}

/// Whether a hurried reader could take one text for the other.
///
/// Case, spaces and joining punctuation do not count, and look-alikes (`0` and `O`; `1`, `I`, `l`
/// and `|`; `5` and `S`; `8` and `B`; `2` and `Z`) are one. Errs on the side of refusing.
#[must_use]
pub fn look_alike(a: &str, b: &str) -> bool {
    skeleton(a) == skeleton(b)
}

/// The form in which look-alikes are equal; the idea is that of Unicode TR 39, section 4.
fn skeleton(text: &str) -> String {
    text.chars()
        .filter(|c| !matches!(c, ' ' | '-' | '_' | '.'))
        .map(|c| match c.to_ascii_uppercase() {
            '0' => 'O',
            '1' | 'L' | '|' => 'I',
            '2' => 'Z',
            '5' | '$' => 'S',
            '8' => 'B',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_pass() {
        for name in ["TOP SECRET", "Project-X_2.1", "a", &"x".repeat(MAX_NAME_CHARS)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn characters_that_could_deceive_are_refused() {
        // Tab, bidirectional override, zero-width space, Cyrillic Es, no-break space, combining.
        for c in ['\t', '\u{202e}', '\u{200b}', '\u{0421}', '\u{a0}', '\u{301}', '\u{7f}', '\0'] {
            let text = format!("SE{c}RET");

            let expected = |result| match result {
                Err(TextError::Character { found, position, .. }) => (found, position) == (c, 3),
                _ => false,
            };
            assert!(expected(check_name(&text)), "{text:?}");
            assert!(expected(check_text(&text)), "{text:?}");
        }
    }

    #[test]
    fn a_name_has_no_slash_but_a_text_may() {
        assert!(matches!(check_name("A/B"), Err(TextError::Character { found: '/', .. })));
        assert_eq!(check_text("SECRET//A/B"), Ok(()));
    }

    #[test]
    fn length_is_limited() {
        let long = |limit: usize| "x".repeat(limit + 1);

        assert_eq!(check_name(""), Err(TextError::Empty));
        assert_eq!(check_name(&long(32)), Err(TextError::TooLong { found: 33, limit: 32 }));
        assert_eq!(check_text(&long(80)), Err(TextError::TooLong { found: 81, limit: 80 }));
        assert_eq!(check_text(&"x".repeat(80)), Ok(()));
    }

    #[test]
    fn spaces_that_cannot_be_seen_are_refused() {
        for text in [" A", "A ", "A  B"] {
            assert_eq!(check_text(text), Err(TextError::Spacing), "{text:?}");
        }
    }

    #[test]
    fn punctuation_alone_is_no_name() {
        assert_eq!(check_text("--"), Err(TextError::NoLetter));
    }

    #[test]
    fn look_alikes_are_found() {
        for (a, b) in [("SECRET", "secret"), ("SECRET", "5ECRET"), ("LAB I", "lab-l"), ("CO", "C0")]
        {
            assert!(look_alike(a, b), "{a} {b}");
        }
    }

    #[test]
    fn numbered_names_are_told_apart() {
        let names: Vec<String> = (0..200).map(|number| format!("LAB {number}")).collect();

        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].iter().any(|other| look_alike(name, other)), "{name}");
        }
    }
}
