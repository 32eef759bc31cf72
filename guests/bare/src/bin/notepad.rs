//! A text editor. `text=` on the command line is what it opens with, `title=` its name, both
//! percent-encoded.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::Dimensions;
use tabard_agent_wire::{FromGuest, MAX_TEXT_BYTES, ToGuest};
use tabard_bare::canvas::{rect, rgb};
use tabard_bare::cursor::BEAM;
use tabard_bare::editor::{Editor, Place};
use tabard_bare::font::{BODY, SMALL};
use tabard_bare::guest;
use tabard_bare::keys::{Key, Keyboard};
use tabard_bare::machine::{Device, InputEvent, Machine, Wake, serial};
use tabard_bare::pointer::Pointer;
use tabard_bare::screen::Screen;

const PAPER: Rgb888 = rgb(0xfbfbf7);
const INK: Rgb888 = rgb(0x1c1e22);
const SELECTED: Rgb888 = rgb(0xc9dcf4);
const STATUS_PAPER: Rgb888 = rgb(0xefefe8);
const STATUS_RULE: Rgb888 = rgb(0xdcdcd2);
const STATUS_INK: Rgb888 = rgb(0x5c6068);

/// Space around the text in pixels.
const MARGIN: i32 = 20;
const LINE_HEIGHT: i32 = 26;
const STATUS_HEIGHT: i32 = 32;
/// Lines that a notch of the wheel moves.
const WHEEL_LINES: i32 = 3;

guest!(run);

/// How a cell looks.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Cell {
    letter: char,
    paper: Rgb888,
    ink: Rgb888,
}

const BLANK: Cell = Cell { letter: ' ', paper: PAPER, ink: INK };

struct Notepad {
    screen: Screen,
    editor: Editor,
    title: String,
    keyboard: Keyboard,
    pointer: Pointer,
    /// The first line and column in view.
    top: usize,
    left: usize,
    /// What the glass shows, row by row: only cells that differ are drawn.
    drawn: Vec<Cell>,
    rows: usize,
    columns: usize,
    status: String,
    /// What came of the last copy or gift, until the next key.
    news: &'static str,
}

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let screen = Screen::new("notepad", machine.gpu.take());
    let mut notepad = Notepad {
        screen,
        editor: Editor::new(machine.options.get("text").unwrap_or("")),
        title: machine.options.get("title").unwrap_or("Notes").into(),
        keyboard: Keyboard::default(),
        pointer: Pointer::default(),
        top: 0,
        left: 0,
        drawn: Vec::new(),
        rows: 0,
        columns: 0,
        status: String::new(),
        news: "",
    };
    notepad.paint();
    notepad.screen.present_first(&mut machine);
    machine.open_agent();
    notepad.screen.set_cursor(&BEAM);
    loop {
        match machine.wait() {
            Wake::Display => {
                if notepad.screen.resize() {
                    notepad.paint();
                    notepad.screen.present();
                }
            }
            Wake::Input(events) => {
                for frame in machine.take_frames() {
                    notepad.heard(&frame);
                }
                let copied = notepad.input(&events);
                if let Some(text) = copied {
                    machine.send_frame(&FromGuest::Offer(&text).encode());
                }
            }
        }
    }
}

impl Notepad {
    /// Takes a text that the user gives; Ctrl+V puts it where the caret is.
    fn heard(&mut self, frame: &[u8]) {
        if let Ok(ToGuest::Give(text)) = ToGuest::decode(frame) {
            self.editor.set_clipboard(text);
            self.news = "A text was given: Ctrl+V pastes it   ";
            serial::line(&format!("{{\"given\":{}}}", text.len()));
        }
    }

    /// Acts on events; a text to offer, if one was copied.
    fn input(&mut self, events: &[InputEvent]) -> Option<String> {
        let mut offer = None;
        let before = self.pointer;
        let caret = self.editor.caret();
        for event in events {
            match event.device {
                Device::Keyboard if event.kind == 1 => {
                    if let Some(press) = self.keyboard.event(event.code, event.value) {
                        self.news = "";
                        self.editor.press(press, self.rows.saturating_sub(1).max(1));
                        if matches!(press.key, Key::Control('c' | 'x')) {
                            offer = self.offer();
                        }
                        self.follow_caret();
                    }
                }
                Device::Keyboard => {}
                Device::Pointer { max } => self.point(event, max),
            }
        }
        let wheel = core::mem::take(&mut self.pointer.wheel).saturating_mul(WHEEL_LINES);
        let last = self.editor.line_count().saturating_sub(1);
        self.top = self.top.saturating_add_signed(-(wheel as isize)).min(last);
        if self.editor.caret() != caret {
            self.follow_caret();
        }
        // The letter first: it is what the user waits for.
        self.draw_text();
        self.screen.part();
        self.draw_status(false);
        self.screen.present();
        if (self.pointer.x, self.pointer.y) != (before.x, before.y) {
            self.screen.move_cursor(self.pointer.x, self.pointer.y);
        }
        offer
    }

    /// What was copied, unless it is longer than an agent may offer.
    fn offer(&mut self) -> Option<String> {
        let text: String = self.editor.clipboard().iter().collect();
        if text.len() > MAX_TEXT_BYTES {
            self.news = "Too long for the trusted screen: 64 KiB at most   ";
            return None;
        }
        self.news = "Copied   ";
        Some(text)
    }

    fn point(&mut self, event: &InputEvent, max: (u32, u32)) {
        let before = self.pointer;
        let size = (self.screen.canvas.width(), self.screen.canvas.height());
        self.pointer.event((event.kind, event.code, event.value), max, size);
        let row = (self.pointer.y - MARGIN).max(0) / LINE_HEIGHT;
        let column =
            (self.pointer.x - MARGIN + BODY.cell_width as i32 / 2).max(0) / BODY.cell_width as i32;
        let place = Place { line: self.top + row as usize, column: self.left + column as usize };
        match (before.pressed, self.pointer.pressed) {
            (false, true) if self.keyboard.shift() => self.editor.go(place, true),
            (false, true) => self.editor.start_selection(place),
            (true, true) if before != self.pointer => self.editor.go(place, true),
            _ => {}
        }
    }

    /// Moves the view so that the caret is in it.
    fn follow_caret(&mut self) {
        let caret = self.editor.caret();
        self.top = self.top.min(caret.line).max((caret.line + 1).saturating_sub(self.rows));
        if caret.column < self.left {
            // Some of what lies before comes into view too.
            self.left = caret.column.saturating_sub(self.columns / 4);
        }
        self.left = self.left.max((caret.column + 1).saturating_sub(self.columns));
    }

    /// Draws everything anew, for a new size.
    fn paint(&mut self) {
        let canvas = &mut self.screen.canvas;
        let (width, height) = (canvas.width() as i32, canvas.height() as i32);
        canvas.fill(canvas.bounding_box(), PAPER);
        self.rows = ((height - STATUS_HEIGHT - 2 * MARGIN) / LINE_HEIGHT).max(1) as usize;
        self.columns = ((width - 2 * MARGIN) / BODY.cell_width as i32).max(1) as usize;
        self.drawn.clear();
        self.drawn.resize(self.rows * self.columns, BLANK);
        self.follow_caret();
        self.draw_text();
        self.draw_status(true);
    }

    /// Draws the cells that differ from what the glass shows.
    fn draw_text(&mut self) {
        let caret = self.editor.caret();
        let selection = self.editor.selection();
        let lead = (LINE_HEIGHT - BODY.cell_height as i32) / 2;
        let width = BODY.cell_width as i32;
        for (row, cells) in self.drawn.chunks_exact_mut(self.columns).enumerate() {
            let line = self.top + row;
            let letters = self.editor.line(line);
            for (index, drawn) in cells.iter_mut().enumerate() {
                let place = Place { line, column: self.left + index };
                let mut cell = BLANK;
                cell.letter = letters.get(place.column).copied().unwrap_or(' ');
                // The end of a selected line shows as one selected cell.
                let exists = place.column <= letters.len() && line < self.editor.line_count();
                if exists && selection.is_some_and(|(from, to)| from <= place && place < to) {
                    cell.paper = SELECTED;
                }
                if place == caret {
                    (cell.paper, cell.ink) = (INK, PAPER);
                }
                if *drawn != cell {
                    *drawn = cell;
                    let x = MARGIN + index as i32 * width;
                    let y = MARGIN + row as i32 * LINE_HEIGHT;
                    let area = rect(x, y, width as u32, LINE_HEIGHT as u32);
                    self.screen.canvas.fill(area, cell.paper);
                    self.screen.canvas.letter(&BODY, x, y + lead, cell.letter, cell.ink);
                }
            }
        }
    }

    /// Draws the status line where it changed: title, keys, line and column.
    fn draw_status(&mut self, all: bool) {
        let Place { line, column } = self.editor.caret();
        let status = format!("{}Ln {}, Col {}", self.news, line + 1, column + 1);
        if status == self.status && !all {
            return;
        }
        let canvas = &mut self.screen.canvas;
        let (width, height) = (canvas.width() as i32, canvas.height() as i32);
        let top = height - STATUS_HEIGHT;
        let y = top + (STATUS_HEIGHT - SMALL.cell_height as i32) / 2;
        let title_end = MARGIN + SMALL.width(&self.title) as i32;
        if all {
            canvas.fill(rect(0, top, width as u32, STATUS_HEIGHT as u32), STATUS_PAPER);
            canvas.fill(rect(0, top, width as u32, 1), STATUS_RULE);
            canvas.text(&SMALL, MARGIN, y, &self.title, INK);
        }
        let length = status.len().max(self.status.len());
        let clear = (length * SMALL.cell_width) as i32;
        canvas.fill(
            rect(width - MARGIN - clear, y, clear as u32, SMALL.cell_height as u32),
            STATUS_PAPER,
        );
        let start = width - MARGIN - SMALL.width(&status) as i32;
        canvas.text(&SMALL, start, y, &status, STATUS_INK);
        let keys = "Ctrl+L select line   Ctrl+X C V cut copy paste   Ctrl+Z undo";
        let room = start - 4 * MARGIN - title_end;
        if all && room >= SMALL.width(keys) as i32 {
            let x = title_end + 2 * MARGIN + (room - SMALL.width(keys) as i32) / 2;
            canvas.text(&SMALL, x, y, keys, STATUS_INK);
        }
        self.status = status;
    }
}
