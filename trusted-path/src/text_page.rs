//! Makes every character of a guest's text visible, so that what a person has read is what is
//! there: nothing turns the direction of writing, hides, joins, looks like another letter, or
//! lies beyond the end of a line or behind a long run of spaces.
//!
//! Printable ASCII is shown as it is, and the letters of Latin-1 on a ground of their own, so that
//! none passes for its neighbour without the mark. Everything else is shown by its number (Unicode
//! Technical Report 36, "Unicode Security Considerations", is the catalogue of what it could
//! pretend), and a long run of one character by that character and its count. The lines can be read back into
//! exactly the text they were made of; a law below holds that.

use tabard_view::{PAGE_COLUMNS, PAGE_LINES, TextKind, TextLine, TextRun};

/// Runs of one character from this length on are counted instead of drawn. Shorter ones cannot
/// push anything out of sight.
const LONG_RUN: usize = 32;
/// Spaces are drawn as dots, and counted from this many on.
const LONG_SPACES: usize = 16;

/// How many pages a text has: at least one.
#[must_use]
pub fn text_pages(text: &str) -> u16 {
    let pages = text_lines(text).len().div_ceil(PAGE_LINES).max(1);
    u16::try_from(pages).unwrap_or(u16::MAX)
}

/// The lines of one page, from 0.
#[must_use]
pub fn text_page(text: &str, page: u16) -> Vec<TextLine> {
    let first = usize::from(page).saturating_mul(PAGE_LINES);
    text_lines(text).into_iter().skip(first).take(PAGE_LINES).collect()
}

/// Every line of a text.
fn text_lines(text: &str) -> Vec<TextLine> {
    let mut layout = Layout::default();
    let mut rest = text.chars().peekable();
    while let Some(letter) = rest.next() {
        let mut count = 1usize;
        while rest.next_if_eq(&letter).is_some() {
            count = count.saturating_add(1);
        }
        layout.run(letter, count);
    }
    layout.finish()
}

/// Lines that are being filled.
#[derive(Default)]
struct Layout {
    done: Vec<TextLine>,
    line: Vec<TextRun>,
    columns: usize,
}

impl Layout {
    /// A character that comes so many times in a row.
    fn run(&mut self, letter: char, count: usize) {
        let long = if letter == ' ' { LONG_SPACES } else { LONG_RUN };
        match letter {
            _ if count >= long => self.warning(letter, count),
            '\n' => {
                for _ in 0..count {
                    self.put("\\n", TextKind::Break);
                    self.end_line();
                }
            }
            ' '..='~' => {
                let mut place = [0; 4];
                for _ in 0..count {
                    self.put(letter.encode_utf8(&mut place), TextKind::Plain);
                }
            }
            // Without the signs × and ÷, which are between them.
            'À'..='Ö' | 'Ø'..='ö' | 'ø'..='ÿ' => {
                let mut place = [0; 4];
                for _ in 0..count {
                    self.put(letter.encode_utf8(&mut place), TextKind::Marked);
                }
            }
            _ => {
                for _ in 0..count {
                    self.warning(letter, 1);
                }
            }
        }
        if letter == '\n' && count >= long {
            self.end_line();
        }
    }

    fn warning(&mut self, letter: char, count: usize) {
        let times = if count == 1 { String::new() } else { format!(" x{count}") };
        self.put(&format!("<U+{:04X}{times}>", u32::from(letter)), TextKind::Warning);
    }

    /// Adds to the line what is never broken, on a new line if it does not fit.
    fn put(&mut self, shown: &str, kind: TextKind) {
        let width = shown.chars().count();
        // The sign of a line's end may stand in the margin: no line is opened for it alone.
        let room = if kind == TextKind::Break { 2 } else { 0 };
        if self.columns.saturating_add(width) > PAGE_COLUMNS.saturating_sub(2).saturating_add(room)
        {
            self.end_line();
        }
        self.columns = self.columns.saturating_add(width);
        match self.line.last_mut() {
            Some(last) if last.kind == kind => last.shown.push_str(shown),
            _ => self.line.push(TextRun { shown: shown.to_owned(), kind }),
        }
    }

    fn end_line(&mut self) {
        self.done.push(TextLine(std::mem::take(&mut self.line)));
        self.columns = 0;
    }

    fn finish(mut self) -> Vec<TextLine> {
        if !self.line.is_empty() || self.done.is_empty() {
            self.end_line();
        }
        self.done
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> String {
        let line = |line: &TextLine| line.0.iter().map(|run| run.shown.as_str()).collect();
        text_lines(text).iter().map(line).collect::<Vec<String>>().join("|")
    }

    /// What the lines were made of, from what is drawn and its kind alone.
    fn read_back(lines: &[TextLine]) -> String {
        let mut text = String::new();
        for run in lines.iter().flat_map(|line| &line.0) {
            match run.kind {
                TextKind::Plain | TextKind::Marked => text.push_str(&run.shown),
                TextKind::Break => text.push_str(&run.shown.replace("\\n", "\n")),
                TextKind::Warning => {
                    for name in run.shown.split_terminator('>') {
                        let name = name.strip_prefix("<U+").unwrap();
                        let (code, count) = name.split_once(" x").unwrap_or((name, "1"));
                        let letter = char::from_u32(u32::from_str_radix(code, 16).unwrap());
                        let count = count.parse().unwrap();
                        text.extend(std::iter::repeat_n(letter.unwrap(), count));
                    }
                }
            }
        }
        text
    }

    #[test]
    fn what_turns_hides_or_pretends_shows_its_number() {
        assert_eq!(shown("a\u{202e}b"), "a<U+202E>b");
        assert_eq!(shown("a\u{200b}\u{200b}b"), "a<U+200B><U+200B>b");
        assert_eq!(shown("p\u{430}y\t\u{1b}"), "p<U+0430>y<U+0009><U+001B>");
    }

    #[test]
    fn letters_of_latin_1_can_be_read_and_are_marked() {
        let lines = text_lines("Grüße ×÷ a\u{308} \u{e9}t\u{e9}");
        let marked = lines[0].0.iter().filter(|run| run.kind == TextKind::Marked);
        assert_eq!(marked.map(|run| run.shown.as_str()).collect::<Vec<_>>(), ["üß", "é", "é"]);
        assert_eq!(shown("Grüße ×÷ a\u{308}"), "Grüße <U+00D7><U+00F7> a<U+0308>");
    }

    #[test]
    fn a_secret_behind_64_kib_of_spaces_is_on_the_first_page() {
        let text = format!("hello{}secret", " ".repeat(65_525));
        assert_eq!(shown(&text), "hello<U+0020 x65525>secret");
        assert_eq!(text_pages(&text), 1);
        let text = format!("hello{}secret", "\n".repeat(65_525));
        assert_eq!(shown(&text), "hello<U+000A x65525>|secret");
    }

    #[test]
    fn a_name_of_a_character_is_never_broken_and_plain_text_cannot_forge_one() {
        let text = format!("{}\u{202e}\n<U+202E>", "xy".repeat(33));
        let lines = text_lines(&text);
        let all: Vec<_> = lines.iter().flat_map(|line| &line.0).collect();
        assert!(all.iter().any(|run| run.shown == "<U+202E>" && run.kind == TextKind::Warning));
        assert!(all.iter().any(|run| run.shown == "<U+202E>" && run.kind == TextKind::Plain));
    }

    #[test]
    fn an_empty_text_is_one_empty_page() {
        assert_eq!((text_pages(""), text_page("", 0).len()), (1, 1));
    }

    #[test]
    fn the_longest_text_has_a_number_of_pages_that_fits() {
        let worst: String = "\u{1}\u{2}".repeat(32_768);
        assert!(text_pages(&worst) < u16::MAX);
        assert_eq!(text_page(&worst, text_pages(&worst)), Vec::new());
    }

    fn text() -> impl Strategy<Value = String> {
        let letter = prop_oneof![
            4 => prop::char::range(' ', '~').prop_map(|c| (c, 1)),
            2 => prop::char::range('\u{a0}', '\u{ff}').prop_map(|c| (c, 1)),
            1 => (any::<char>(), 1..3usize),
            1 => Just(('\n', 1)),
            1 => (prop::sample::select(vec![' ', '\n', 'x', '\u{202e}']), 1..100usize),
        ];
        prop::collection::vec(letter, 0..120).prop_map(|all| {
            all.into_iter().flat_map(|(c, count)| std::iter::repeat_n(c, count)).collect()
        })
    }

    proptest! {
        #[test]
        fn the_pages_say_exactly_the_text(text in text()) {
            let pages = (0..text_pages(&text)).flat_map(|page| text_page(&text, page));
            prop_assert_eq!(read_back(&pages.collect::<Vec<_>>()), text);
        }

        #[test]
        fn every_line_fits_and_only_marked_letters_are_no_printable_ascii(text in text()) {
            for line in text_lines(&text) {
                let columns: usize = line.0.iter().map(|run| run.shown.chars().count()).sum();
                prop_assert!(columns <= PAGE_COLUMNS, "{:?}", line);
                for run in &line.0 {
                    let ascii = run.shown.chars().all(|letter| (' '..='~').contains(&letter));
                    let latin = run.shown.chars().all(|letter| {
                        letter.is_alphabetic() && ('\u{c0}'..='\u{ff}').contains(&letter)
                    });
                    let right = if run.kind == TextKind::Marked { latin } else { ascii };
                    prop_assert!(right, "{:?}", run);
                }
            }
        }

        #[test]
        fn different_texts_look_different(one in text(), two in text()) {
            prop_assert_eq!(text_lines(&one) == text_lines(&two), one == two);
        }
    }
}
