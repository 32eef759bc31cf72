//! Tests of the editor: keys in, text and caret out.

use super::{Editor, MAX_LETTERS, Place};
use crate::keys::{Key, Press};

fn text(editor: &Editor) -> String {
    let lines = (0..editor.line_count()).map(|line| editor.line(line).iter().collect());
    lines.collect::<Vec<String>>().join("\n")
}

fn press(editor: &mut Editor, keys: &[Key]) {
    for &key in keys {
        editor.press(Press { key, shift: false, control: false }, 10);
    }
}

fn press_shift(editor: &mut Editor, key: Key) {
    editor.press(Press { key, shift: true, control: false }, 10);
}

fn at(line: usize, column: usize) -> Place {
    Place { line, column }
}

#[test]
fn typing_and_enter_make_lines() {
    let mut editor = Editor::new("");
    press(&mut editor, &[Key::Letter('a'), Key::Enter, Key::Letter('b')]);
    assert_eq!(text(&editor), "a\nb");
    assert_eq!(editor.caret(), at(1, 1));
}

#[test]
fn backspace_at_the_start_of_a_line_joins_it_to_the_one_before() {
    let mut editor = Editor::new("ab\ncd");
    press(&mut editor, &[Key::Home, Key::Backspace]);
    assert_eq!(text(&editor), "abcd");
    assert_eq!(editor.caret(), at(0, 2));
}

#[test]
fn delete_at_the_end_of_a_line_joins_the_next() {
    let mut editor = Editor::new("ab\ncd");
    press(&mut editor, &[Key::Up, Key::End, Key::Delete]);
    assert_eq!(text(&editor), "abcd");
}

#[test]
fn nothing_happens_beyond_either_end() {
    let mut editor = Editor::new("x");
    press(&mut editor, &[Key::Delete, Key::Right, Key::Down, Key::Home]);
    press(&mut editor, &[Key::Backspace, Key::Left, Key::Up]);
    assert_eq!(text(&editor), "x");
    assert_eq!(editor.caret(), at(0, 0));
}

#[test]
fn the_column_survives_a_short_line() {
    let mut editor = Editor::new("long line\n\nlong line");
    press(&mut editor, &[Key::Up, Key::Up]);
    assert_eq!(editor.caret(), at(0, 9));
}

#[test]
fn shift_and_arrows_select_and_typing_replaces() {
    let mut editor = Editor::new("abc");
    press_shift(&mut editor, Key::Left);
    press_shift(&mut editor, Key::Left);
    assert_eq!(editor.selection(), Some((at(0, 1), at(0, 3))));
    press(&mut editor, &[Key::Letter('x')]);
    assert_eq!(text(&editor), "ax");
}

#[test]
fn a_line_can_be_selected_cut_and_pasted() {
    let mut editor = Editor::new("one\ntwo\nthree");
    press(&mut editor, &[Key::Up, Key::Control('l'), Key::Control('x')]);
    assert_eq!(text(&editor), "one\nthree");
    press(&mut editor, &[Key::Up, Key::Control('v')]);
    assert_eq!(text(&editor), "two\none\nthree");
}

#[test]
fn cutting_without_a_selection_keeps_text_and_clipboard() {
    let mut editor = Editor::new("one");
    press(&mut editor, &[Key::Control('a'), Key::Control('c'), Key::End, Key::Control('x')]);
    press(&mut editor, &[Key::Control('v')]);
    assert_eq!(text(&editor), "oneone");
}

#[test]
fn undo_takes_back_a_run_of_letters_at_once() {
    let mut editor = Editor::new("start ");
    press(&mut editor, &[Key::Letter('a'), Key::Letter('b'), Key::Enter, Key::Letter('c')]);
    press(&mut editor, &[Key::Control('z'), Key::Control('z'), Key::Control('z')]);
    assert_eq!(text(&editor), "start ");
}

#[test]
fn undo_brings_back_what_was_cut() {
    let mut editor = Editor::new("one\ntwo");
    press(&mut editor, &[Key::Control('a'), Key::Delete, Key::Control('z')]);
    assert_eq!(text(&editor), "one\ntwo");
}

#[test]
fn the_text_stops_growing_at_its_limit() {
    let mut editor = Editor::new(&"x".repeat(MAX_LETTERS));
    press(&mut editor, &[Key::Letter('y'), Key::Enter, Key::Tab]);
    assert_eq!(editor.line(0).len(), MAX_LETTERS);
    assert_eq!(editor.line_count(), 1);
}

#[test]
fn control_and_arrows_move_by_words() {
    let mut editor = Editor::new("two words");
    editor.press(Press { key: Key::Left, shift: false, control: true }, 10);
    assert_eq!(editor.caret(), at(0, 4));
}
