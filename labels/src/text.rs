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
    /// Spaces that a reader cannot see.
    #[error("Text begins or ends with a space, or has two in a row")]
    Spacing,
}

/// Checks the name of a level or a category: ASCII letters, digits, space, `-`, `_` and `.`.
///
/// # Errors
///
/// [`TextError`] if it is empty, longer than [`MAX_NAME_CHARS`], has another character, or spaces
/// that cannot be seen.
pub fn check_name(name: &str) -> Result<(), TextError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.');
    check(name, MAX_NAME_CHARS, allowed, "ASCII letters, digits, space, '-', '_' and '.'")
}

/// Checks a banner text or the name of a label: printable ASCII.
///
/// # Errors
///
/// [`TextError`] if it is empty, longer than [`MAX_TEXT_CHARS`], has another character, or spaces
/// that cannot be seen.
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
