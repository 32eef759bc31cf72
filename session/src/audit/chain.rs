//! One record as one line of JSON, and the chain that ties each line to all before it.
//!
//! A line is `{"n":N,"time_ms":T,"kind":"K",...,"prev":"H","hash":"H"}`. The hash is the SHA-256
//! of [`DOMAIN`] and all of the line before `,"hash"`; `prev` is the hash of the line before, or
//! zeros. So nothing can be changed, cut out or moved without changing every line after it.

use sha2::{Digest, Sha256};

use crate::hex::{hex, unhex};

/// A hash of a line.
pub type Hash = [u8; 32];

/// What stands before a line when it is hashed, so that no hash made for another purpose fits.
const DOMAIN: &[u8] = b"tabard audit record 1\n";
/// Longest text of one field, in characters; what a guest's process says is cut there.
const MAX_FIELD_CHARS: usize = 512;

/// A value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Text; what is not printable ASCII is escaped.
    Text(String),
    /// A number.
    Number(u64),
}

/// What a record says, before it has its place in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What happened, in a word.
    pub kind: &'static str,
    /// More about it, in this order.
    pub fields: Vec<(&'static str, Value)>,
}

impl Entry {
    /// A record of this kind without fields.
    #[must_use]
    pub fn new(kind: &'static str) -> Self {
        Self { kind, fields: Vec::new() }
    }

    /// With a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.fields.push((name, Value::Text(text.into())));
        self
    }

    /// With a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, number: impl Into<u64>) -> Self {
        self.fields.push((name, Value::Number(number.into())));
        self
    }
}

/// The line of an entry, with its line feed, and its hash.
#[must_use]
pub fn line(n: u64, time_ms: u64, entry: &Entry, prev: &Hash) -> (String, Hash) {
    let mut body = format!("{{\"n\":{n},\"time_ms\":{time_ms},\"kind\":\"{}\"", entry.kind);
    for (name, value) in &entry.fields {
        body.push_str(&match value {
            Value::Text(text) => format!(",\"{name}\":\"{}\"", escape(text)),
            Value::Number(number) => format!(",\"{name}\":{number}"),
        });
    }
    body.push_str(&format!(",\"prev\":\"{}\"", hex(prev)));
    let hash = digest(DOMAIN, &body);
    (format!("{body},\"hash\":\"{}\"}}\n", hex(&hash)), hash)
}

/// A line taken apart. Only its form is known to be right; see [`Line::is_whole`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'t> {
    /// Its number, from 1.
    pub n: u64,
    /// Its kind.
    pub kind: &'t str,
    /// The hash of the line before it.
    pub prev: Hash,
    /// Its own hash, as it says.
    pub hash: Hash,
    body: &'t str,
}

impl<'t> Line<'t> {
    /// Takes a line apart, without its line feed.
    #[must_use]
    pub fn parse(text: &'t str) -> Option<Self> {
        let (rest, hash) = cut_hash(text.strip_suffix("\"}")?)?;
        let body = rest.strip_suffix(",\"hash\":\"")?;
        let (rest, prev) = cut_hash(body.strip_suffix('"')?)?;
        let head = rest.strip_suffix(",\"prev\":\"")?.strip_prefix("{\"n\":")?;
        let (n, rest) = head.split_once(",\"time_ms\":")?;
        let (_, rest) = rest.split_once(",\"kind\":\"")?;
        let (kind, _) = rest.split_once('"')?;
        Some(Self { n: n.parse().ok()?, kind, prev, hash, body })
    }

    /// Whether its hash is that of its words.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        digest(DOMAIN, self.body) == self.hash
    }

    /// The text of a field that holds no escapes, such as a hash.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&'t str> {
        let (_, rest) = self.body.split_once(&format!(",\"{name}\":\""))?;
        rest.split_once('"').map(|(text, _)| text)
    }
}

/// The hexadecimal hash at the end of a text, and what is before it.
fn cut_hash(text: &str) -> Option<(&str, Hash)> {
    let (rest, digits) = text.split_at_checked(text.len().checked_sub(64)?)?;
    Some((rest, unhex(digits)?))
}

fn digest(domain: &[u8], text: &str) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update(domain);
    hasher.update(text);
    hasher.finalize().into()
}

/// The SHA-256 of some bytes, such as a file, in hexadecimal digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A text inside a JSON string: printable ASCII as it is, all else by its UTF-16 code, so that no
/// text can end the line, hide, or turn the direction of writing.
fn escape(text: &str) -> String {
    let mut safe = String::new();
    for c in text.chars().take(MAX_FIELD_CHARS) {
        match c {
            '"' | '\\' => safe.extend(['\\', c]),
            ' '..='~' => safe.push(c),
            _ => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    safe.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_can_be_taken_apart_again() {
        let entry = Entry::new("switch").text("guest", "mail").number("user", 2u8);
        let (text, hash) = line(7, 12, &entry, &[3; 32]);

        let found = Line::parse(text.trim_end()).unwrap();

        assert_eq!((found.n, found.kind, found.prev, found.hash), (7, "switch", [3; 32], hash));
        assert!(found.is_whole());
        assert_eq!(found.field("guest"), Some("mail"));
    }

    proptest! {
        #[test]
        fn any_text_stays_in_its_line_and_is_read_back(text in any::<String>()) {
            let (line, _) = line(1, 0, &Entry::new("x").text("t", text.clone()), &[0; 32]);

            prop_assert!(line.trim_end().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let json: serde_json::Value = serde_json::from_str(&line).unwrap();
            let kept: String = text.chars().take(MAX_FIELD_CHARS).collect();
            prop_assert_eq!(json["t"].as_str(), Some(kept.as_str()));
            prop_assert!(Line::parse(line.trim_end()).unwrap().is_whole());
        }

        #[test]
        fn one_changed_byte_is_noticed(at in 0usize..120, with in b' '..=b'~') {
            let entry = Entry::new("switch").text("guest", "mail").number("user", 2u8);
            let (text, _) = line(7, 12, &entry, &[3; 32]);
            let mut bytes = text.trim_end().as_bytes().to_vec();
            prop_assume!(bytes[at] != with);
            bytes[at] = with;
            let text = String::from_utf8(bytes).unwrap();
            prop_assert!(!Line::parse(&text).is_some_and(|line| line.is_whole()));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = Line::parse(&text);
        }
    }
}
