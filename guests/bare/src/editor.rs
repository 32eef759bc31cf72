//! The text of an editor: caret, selection, clipboard and undo. Knows nothing of pixels.

use crate::keys::{Key, Press};
use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;

/// The longest text in letters: what a machine of 32 MiB holds beside its picture.
pub const MAX_LETTERS: usize = 400_000;
/// Letters kept for undoing.
const MAX_UNDO_LETTERS: usize = 400_000;
/// Steps kept for undoing.
const MAX_UNDO_STEPS: usize = 4_000;
const TAB_WIDTH: usize = 4;

/// A place between letters: line, then column, both from 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Letters before it in its line.
    pub column: usize,
}

/// One replacement, as it is undone: what lies from `start` to `end` was `before`.
struct Step {
    start: Place,
    end: Place,
    before: Vec<char>,
    /// Whether the next letter typed belongs to the same step.
    typing: bool,
}

/// A text being edited.
pub struct Editor {
    lines: Vec<Vec<char>>,
    letters: usize,
    caret: Place,
    /// The other end of the selection.
    anchor: Option<Place>,
    /// The column to return to when moving over shorter lines.
    goal: Option<usize>,
    clipboard: Vec<char>,
    undo: VecDeque<Step>,
    undo_letters: usize,
}

impl Editor {
    /// An editor with the caret at the end of `text`.
    pub fn new(text: &str) -> Self {
        let mut editor = Self {
            lines: vec![Vec::new()],
            letters: 0,
            caret: Place::default(),
            anchor: None,
            goal: None,
            clipboard: Vec::new(),
            undo: VecDeque::new(),
            undo_letters: 0,
        };
        let text: Vec<char> = text.chars().filter(|&letter| letter != '\r').collect();
        editor.replace(Place::default(), Place::default(), &text);
        editor
    }

    /// Number of lines, at least 1.
    pub fn line_count(&self) -> usize {
        self.lines.len()
    }

    /// The letters of a line; none beyond the last line.
    pub fn line(&self, line: usize) -> &[char] {
        self.lines.get(line).map_or(&[], Vec::as_slice)
    }

    /// Where the next letter goes.
    pub fn caret(&self) -> Place {
        self.caret
    }

    /// First and last place of the selection, if there is one.
    pub fn selection(&self) -> Option<(Place, Place)> {
        let anchor = self.anchor.filter(|&anchor| anchor != self.caret)?;
        Some((anchor.min(self.caret), anchor.max(self.caret)))
    }

    /// Acts on a key; `page` is the number of lines that Page Up and Page Down move.
    pub fn press(&mut self, press: Press, page: usize) {
        let Press { key, shift, control } = press;
        match key {
            Key::Letter(letter) => self.type_letter(letter),
            Key::Enter => self.insert(&['\n']),
            Key::Tab => {
                let fill = TAB_WIDTH - self.caret.column % TAB_WIDTH;
                self.insert(&[' '; TAB_WIDTH][..fill]);
            }
            Key::Backspace if self.selection().is_none() => {
                let from = if control { self.word_left() } else { self.before(self.caret) };
                self.delete(from, self.caret);
            }
            Key::Delete if self.selection().is_none() => {
                let to = if control { self.word_right() } else { self.after(self.caret) };
                self.delete(self.caret, to);
            }
            Key::Backspace | Key::Delete => self.insert(&[]),
            Key::Left if control => self.go(self.word_left(), shift),
            Key::Right if control => self.go(self.word_right(), shift),
            Key::Left => match self.selection() {
                Some((start, _)) if !shift => self.go(start, false),
                _ => self.go(self.before(self.caret), shift),
            },
            Key::Right => match self.selection() {
                Some((_, end)) if !shift => self.go(end, false),
                _ => self.go(self.after(self.caret), shift),
            },
            Key::Up => self.go_lines(1, true, shift),
            Key::Down => self.go_lines(1, false, shift),
            Key::PageUp => self.go_lines(page, true, shift),
            Key::PageDown => self.go_lines(page, false, shift),
            Key::Home if control => self.go(Place::default(), shift),
            Key::Home => self.go(Place { column: 0, ..self.caret }, shift),
            Key::End if control => self.go(self.last(), shift),
            Key::End => self.go(self.line_end(self.caret.line), shift),
            Key::Escape => self.anchor = None,
            Key::Control('a') => {
                self.anchor = Some(Place::default());
                self.caret = self.last();
            }
            Key::Control('l') => self.select_line(),
            Key::Control('c') => {
                if self.selection().is_none() {
                    self.copy_line();
                }
                self.copy();
            }
            Key::Control('x') => {
                self.copy();
                self.insert(&[]);
            }
            Key::Control('v') => {
                let text = core::mem::take(&mut self.clipboard);
                self.insert(&text);
                self.clipboard = text;
            }
            Key::Control('z') => self.undo(),
            Key::Control(_) => {}
        }
        if !matches!(key, Key::Up | Key::Down | Key::PageUp | Key::PageDown) {
            self.goal = None;
        }
    }

    /// Puts the caret at `place` or at the nearest one that exists; `select` extends the
    /// selection to it.
    pub fn go(&mut self, place: Place, select: bool) {
        self.anchor = if select { self.anchor.or(Some(self.caret)) } else { None };
        self.caret = self.nearest(place);
        if let Some(step) = self.undo.back_mut() {
            step.typing = false;
        }
    }

    /// Puts the caret at `place` and selects from there as it moves on.
    pub fn start_selection(&mut self, place: Place) {
        self.go(place, false);
        self.anchor = Some(self.caret);
        self.goal = None;
    }

    /// Selects the caret's line with its end; done again, the next line too.
    fn select_line(&mut self) {
        let start = match self.selection() {
            Some((start, _)) => Place { column: 0, ..start },
            None => Place { column: 0, ..self.caret },
        };
        let next = Place { line: self.caret.line + 1, column: 0 };
        self.anchor = Some(start);
        self.caret =
            if next.line < self.lines.len() { next } else { self.line_end(self.caret.line) };
    }

    fn copy(&mut self) {
        if let Some((start, end)) = self.selection() {
            self.clipboard = self.between(start, end);
        }
    }

    /// Without a selection the whole line is copied, its end included.
    fn copy_line(&mut self) {
        self.clipboard = self.line(self.caret.line).to_vec();
        self.clipboard.push('\n');
    }

    /// What was copied or cut last, or given.
    pub fn clipboard(&self) -> &[char] {
        &self.clipboard
    }

    /// Puts a text where [`Key::Control`]`('v')` finds it. One longer than the editor takes at
    /// once stays out.
    pub fn set_clipboard(&mut self, text: &str) {
        self.clipboard = text.chars().filter(|&letter| letter != '\r').take(MAX_LETTERS).collect();
    }

    fn type_letter(&mut self, letter: char) {
        let place = self.caret;
        let joins = self.selection().is_none()
            && self.undo.back().is_some_and(|step| step.typing && step.end == place);
        if !joins {
            self.insert(&[letter]);
            if let Some(step) = self.undo.back_mut() {
                step.typing = true;
            }
        } else if self.letters < MAX_LETTERS {
            self.splice(place, place, &[letter]);
            if let Some(step) = self.undo.back_mut() {
                step.end = self.caret;
            }
        }
    }

    /// Puts `text` in the place of the selection or at the caret.
    fn insert(&mut self, text: &[char]) {
        let (start, end) = self.selection().unwrap_or((self.caret, self.caret));
        self.replace(start, end, text);
    }

    fn delete(&mut self, start: Place, end: Place) {
        self.replace(start, end, &[]);
    }

    /// The one way to change the text that can be undone.
    fn replace(&mut self, start: Place, end: Place, text: &[char]) {
        if (start == end && text.is_empty()) || self.letters + text.len() > MAX_LETTERS {
            return;
        }
        let before = self.splice(start, end, text);
        self.undo_letters += before.len();
        self.undo.push_back(Step { start, end: self.caret, before, typing: false });
        while self.undo_letters > MAX_UNDO_LETTERS || self.undo.len() > MAX_UNDO_STEPS {
            let Some(oldest) = self.undo.pop_front() else { break };
            self.undo_letters -= oldest.before.len();
        }
    }

    fn undo(&mut self) {
        if let Some(step) = self.undo.pop_back() {
            self.undo_letters -= step.before.len();
            self.splice(step.start, step.end, &step.before);
        }
    }

    /// Replaces what lies from `start` to `end`, puts the caret behind it, and returns what was
    /// there.
    fn splice(&mut self, start: Place, end: Place, text: &[char]) -> Vec<char> {
        let before = self.between(start, end);
        let tail = self.line(end.line).get(end.column..).unwrap_or(&[]).to_vec();
        let mut pieces = text.split(|&letter| letter == '\n');
        if let Some(line) = self.lines.get_mut(start.line) {
            line.truncate(start.column);
            line.extend_from_slice(pieces.next().unwrap_or(&[]));
        }
        let rest: Vec<Vec<char>> = pieces.map(<[char]>::to_vec).collect();
        let last = start.line + rest.len();
        self.lines.splice(start.line + 1..end.line + 1, rest);
        self.caret = self.line_end(last);
        if let Some(line) = self.lines.get_mut(last) {
            line.extend_from_slice(&tail);
        }
        self.letters = self.letters + text.len() - before.len();
        self.anchor = None;
        before
    }

    fn between(&self, start: Place, end: Place) -> Vec<char> {
        let mut text = Vec::new();
        for line in start.line..=end.line {
            let letters = self.line(line);
            let from = if line == start.line { start.column } else { 0 };
            let to = if line == end.line { end.column } else { letters.len() };
            text.extend_from_slice(letters.get(from..to).unwrap_or(&[]));
            if line != end.line {
                text.push('\n');
            }
        }
        text
    }

    fn go_lines(&mut self, count: usize, up: bool, select: bool) {
        let goal = *self.goal.get_or_insert(self.caret.column);
        let line = self.caret.line;
        let place = match up {
            true if line == 0 => Place::default(),
            true => Place { line: line.saturating_sub(count), column: goal },
            false if line + 1 == self.lines.len() => self.last(),
            false => Place { line: (line + count).min(self.lines.len() - 1), column: goal },
        };
        self.go(place, select);
    }

    fn nearest(&self, place: Place) -> Place {
        let line = place.line.min(self.lines.len() - 1);
        Place { line, column: place.column.min(self.line(line).len()) }
    }

    fn line_end(&self, line: usize) -> Place {
        Place { line, column: self.line(line).len() }
    }

    fn last(&self) -> Place {
        self.line_end(self.lines.len() - 1)
    }

    fn before(&self, place: Place) -> Place {
        match (place.line, place.column) {
            (0, 0) => place,
            (line, 0) => self.line_end(line - 1),
            (line, column) => Place { line, column: column - 1 },
        }
    }

    fn after(&self, place: Place) -> Place {
        let Place { line, column } = place;
        if column < self.line(line).len() {
            Place { line, column: column + 1 }
        } else if line + 1 < self.lines.len() {
            Place { line: line + 1, column: 0 }
        } else {
            place
        }
    }

    /// The start of the word before the caret.
    fn word_left(&self) -> Place {
        let mut place = self.before(self.caret);
        while place.column > 0 && !self.starts_word(place) {
            place.column -= 1;
        }
        place
    }

    /// The start of the next word, or the end of the line.
    fn word_right(&self) -> Place {
        let mut place = self.after(self.caret);
        while place.column < self.line(place.line).len() && !self.starts_word(place) {
            place.column += 1;
        }
        place
    }

    fn starts_word(&self, place: Place) -> bool {
        let is_word =
            |index: usize| self.line(place.line).get(index).is_some_and(|l| l.is_alphanumeric());
        is_word(place.column) && !place.column.checked_sub(1).is_some_and(is_word)
    }
}

#[cfg(test)]
#[path = "editor_tests.rs"]
mod tests;
