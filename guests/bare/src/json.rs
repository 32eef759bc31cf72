//! Texts inside of lines of JSON on the serial port.

use alloc::string::String;
use core::fmt::Write;

/// The text as it stands between the quotation marks of JSON, in ASCII.
pub fn escape(text: &str) -> String {
    let mut escaped = String::new();
    let mut units = [0; 2];
    for letter in text.chars() {
        match letter {
            '"' | '\\' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            ' '..='~' => escaped.push(letter),
            _ => {
                for unit in letter.encode_utf16(&mut units) {
                    // Writing into a string does not fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn a_line_stays_one_line_of_ascii() {
        assert_eq!(escape("a\n\"b\\\u{202e}"), r#"a\u000a\"b\\\u202e"#);
        assert_eq!(escape("\u{1f600}"), r"\ud83d\ude00");
    }
}
