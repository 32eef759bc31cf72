//! A line of a script as words: bare ones, and quoted ones with escapes.

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// What it says, without quotes and escapes.
    pub(crate) text: String,
    /// Whether it was quoted: a quoted word is never one of the language.
    pub(crate) quoted: bool,
}

/// Splits a line at spaces. `#` at the start of a word begins a comment.
///
/// # Errors
/// A sentence that says what is wrong with the quotes.
pub(crate) fn words(line: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next().filter(|first| *first != '#') {
        let (word, after) = if first == '"' { quoted(rest)? } else { bare(rest)? };
        words.push(word);
        let trimmed = after.trim_start();
        if !after.is_empty() && trimmed.len() == after.len() {
            return Err("Put a space after the closing quote".to_owned());
        }
        rest = trimmed;
    }
    Ok(words)
}

fn bare(text: &str) -> Result<(Word, &str), String> {
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    // A lone quotation mark may be meant as a key or as text: only quoting it says which.
    if word.contains('"') {
        return Err(format!("Quote the whole of {word}, and write quotation marks in it as \\\""));
    }
    Ok((Word { text: word.to_owned(), quoted: false }, after))
}

fn quoted(text: &str) -> Result<(Word, &str), String> {
    let mut word = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => {
                let after = text.get(at + 1..).unwrap_or_default();
                return Ok((Word { text: word, quoted: true }, after));
            }
            '\\' => match characters.next().map(|(_, c)| c) {
                Some('n') => word.push('\n'),
                Some('t') => word.push('\t'),
                Some(c @ ('"' | '\\')) => word.push(c),
                Some(other) => {
                    return Err(format!("There is no \\{other}; write \\n, \\t, \\\" or \\\\"));
                }
                None => break,
            },
            c => word.push(c),
        }
    }
    Err("A quotation mark is never closed; close it on the same line".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(line: &str) -> Vec<(String, bool)> {
        words(line).unwrap().into_iter().map(|word| (word.text, word.quoted)).collect()
    }

    #[test]
    fn words_are_split_at_spaces_and_end_at_a_comment() {
        assert_eq!(
            texts("  key\tCtrl+C  # copies"),
            [("key".into(), false), ("Ctrl+C".into(), false)]
        );
        assert!(texts("# nothing").is_empty() && texts("").is_empty());
        assert_eq!(texts("a#b"), [("a#b".into(), false)]);
    }

    #[test]
    fn quotes_keep_spaces_and_know_escapes() {
        assert_eq!(texts(r#""a # \"b\"\\\n""#), [("a # \"b\"\\\n".into(), true)]);
        assert_eq!(texts(r#""""#), [(String::new(), true)]);
    }

    #[test]
    fn quotes_that_make_no_sense_are_errors() {
        for bad in [r#""open"#, r#""a\"#, r#""a\q""#, r#""a"b"#, r#"a"b""#] {
            assert!(words(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_from_its_quotes(text in "[^\r]{0,40}") {
            let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let words = words(&format!("\"{escaped}\"")).unwrap();
            prop_assert_eq!(words, vec![Word { text, quoted: true }]);
        }

        #[test]
        fn no_line_panics(line in "\\PC{0,60}") {
            let _ = words(&line);
        }
    }
}
