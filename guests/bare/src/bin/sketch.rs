//! A sketch pad: draw with the pointer. `demo=1` on the command line opens with a small drawing.
#![no_std]
#![no_main]

use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Dimensions, Point};
use embedded_graphics::primitives::Rectangle;
use tabard_bare::canvas::{rect, rgb};
use tabard_bare::cursor::PENCIL;
use tabard_bare::drawing::{COLORS, Drawing, Segment, View, WIDTHS};
use tabard_bare::font::SMALL;
use tabard_bare::guest;
use tabard_bare::keys::{Key, Keyboard};
use tabard_bare::machine::{Device, InputEvent, Machine, Wake};
use tabard_bare::pointer::Pointer;
use tabard_bare::screen::Screen;

const PAPER: Rgb888 = rgb(0x1a1d26);
const STRIP: Rgb888 = rgb(0x232733);
const RULE: Rgb888 = rgb(0x343a4a);
const INK: Rgb888 = rgb(0xf2f2ee);
const FAINT: Rgb888 = rgb(0x9aa3b5);

/// Height of the palette at the lower edge.
const STRIP_HEIGHT: i32 = 56;
/// Distance from choice to choice in the palette.
const STEP: i32 = 44;
const MARGIN: i32 = 34;
/// Where the widths begin.
const WIDTHS_AT: i32 = MARGIN + COLORS.len() as i32 * STEP + 20;

guest!(run);

struct Sketch {
    screen: Screen,
    drawing: Drawing,
    keyboard: Keyboard,
    pointer: Pointer,
    /// Whether the button went down on the paper, not on the palette.
    drawing_now: bool,
}

fn run(machine: Machine) -> ! {
    let mut machine = machine;
    let screen = Screen::new("sketch", machine.gpu.take());
    let mut sketch = Sketch {
        screen,
        drawing: Drawing::default(),
        keyboard: Keyboard::default(),
        pointer: Pointer::default(),
        drawing_now: false,
    };
    if machine.options.get("demo") == Some("1") {
        sketch.drawing.demo();
    }
    sketch.paint();
    sketch.screen.present_first(&mut machine);
    sketch.screen.set_cursor(&PENCIL);
    loop {
        match machine.wait() {
            Wake::Display => {
                if sketch.screen.resize() {
                    sketch.paint();
                    sketch.screen.present();
                }
            }
            Wake::Input(events) => {
                let before = sketch.pointer;
                for event in &events {
                    sketch.input(event);
                }
                sketch.screen.present();
                let Pointer { x, y, .. } = sketch.pointer;
                if (x, y) != (before.x, before.y) {
                    sketch.screen.move_cursor(x, y);
                }
            }
        }
    }
}

impl Sketch {
    /// The part of the picture that is drawn on.
    fn paper(&self) -> Rectangle {
        let height = self.screen.canvas.height() as i32 - STRIP_HEIGHT;
        rect(0, 0, self.screen.canvas.width(), height.max(0) as u32)
    }

    fn input(&mut self, event: &InputEvent) {
        match event.device {
            Device::Keyboard if event.kind == 1 => {
                if let Some(press) = self.keyboard.event(event.code, event.value) {
                    self.press(press.key);
                }
            }
            Device::Keyboard => {}
            Device::Pointer { max } => {
                let size = (self.screen.canvas.width(), self.screen.canvas.height());
                let before = self.pointer;
                self.pointer.event((event.kind, event.code, event.value), max, size);
                // Both axes arrive before the event that ends the report (EV_SYN).
                match (before.pressed, self.pointer.pressed) {
                    (false, true) => self.button_down(),
                    (true, true) if event.kind == 0 && self.drawing_now => self.draw(),
                    (true, false) => {
                        self.drawing_now = false;
                        self.drawing.lift();
                    }
                    _ => {}
                }
            }
        }
    }

    fn press(&mut self, key: Key) {
        let last_width = WIDTHS.len() as u8 - 1;
        match key {
            Key::Letter(digit @ '1'..='6') => self.drawing.color = digit as u8 - b'1',
            Key::Letter('+' | '=' | ']') => {
                self.drawing.width = (self.drawing.width + 1).min(last_width);
            }
            Key::Letter('-' | '[') => self.drawing.width = self.drawing.width.saturating_sub(1),
            Key::Letter('c' | 'C') => {
                self.drawing.clear();
                return self.paint();
            }
            Key::Letter('z' | 'Z') | Key::Control('z') => {
                self.drawing.undo();
                return self.paint();
            }
            _ => return,
        }
        self.paint_strip();
    }

    fn button_down(&mut self) {
        let Pointer { x, y, .. } = self.pointer;
        if self.paper().contains(Point::new(x, y)) {
            self.drawing_now = true;
            self.drawing.lift();
            return self.draw();
        }
        let choice = |from: i32| (x - from + STEP / 2).div_euclid(STEP);
        let (color, width) = (choice(MARGIN), choice(WIDTHS_AT));
        if (0..COLORS.len() as i32).contains(&color) {
            self.drawing.color = color as u8;
        } else if (0..WIDTHS.len() as i32).contains(&width) {
            self.drawing.width = width as u8;
        }
        self.paint_strip();
    }

    fn draw(&mut self) {
        let paper = self.paper();
        let view = View::new(paper.size.width, paper.size.height);
        let segment = self.drawing.draw_to(view.place(self.pointer.x, self.pointer.y));
        show(&mut self.screen, &segment, paper);
    }

    /// Draws everything anew.
    fn paint(&mut self) {
        let paper = self.paper();
        self.screen.canvas.fill(self.screen.canvas.bounding_box(), PAPER);
        for segment in self.drawing.segments() {
            show(&mut self.screen, segment, paper);
        }
        self.paint_strip();
    }

    /// Draws the palette.
    fn paint_strip(&mut self) {
        let canvas = &mut self.screen.canvas;
        let (width, height) = (canvas.width(), canvas.height() as i32);
        let top = height - STRIP_HEIGHT;
        canvas.fill(rect(0, top, width, STRIP_HEIGHT as u32), STRIP);
        canvas.fill(rect(0, top, width, 1), RULE);
        for (index, color) in COLORS.into_iter().enumerate() {
            let x = MARGIN + index as i32 * STEP;
            if index == usize::from(self.drawing.color) {
                self.dot(x, 34, INK);
                self.dot(x, 30, STRIP);
            }
            self.dot(x, 24, rgb(color));
        }
        let pen = COLORS.get(usize::from(self.drawing.color)).copied().unwrap_or_default();
        for (index, pixels) in WIDTHS.into_iter().enumerate() {
            let x = WIDTHS_AT + index as i32 * STEP;
            if index == usize::from(self.drawing.width) {
                self.dot(x, 34, FAINT);
                self.dot(x, 32, STRIP);
            }
            self.dot(x, pixels + 2, rgb(pen));
        }
        let keys = "1-6 colour   + - width   Z undo   C clear";
        let x = width as i32 - MARGIN + 14 - SMALL.width(keys) as i32;
        if x > WIDTHS_AT + WIDTHS.len() as i32 * STEP {
            let y = top + (STRIP_HEIGHT - SMALL.cell_height as i32) / 2;
            self.screen.canvas.text(&SMALL, x, y, keys, FAINT);
        }
    }

    /// A dot in the middle of the palette's height.
    fn dot(&mut self, x: i32, diameter: u32, color: Rgb888) {
        let canvas = &mut self.screen.canvas;
        let at = Point::new(x, canvas.height() as i32 - STRIP_HEIGHT / 2);
        canvas.stroke([at; 3], diameter, color, canvas.bounding_box());
    }
}

/// Draws one segment on the paper.
fn show(screen: &mut Screen, segment: &Segment, paper: Rectangle) {
    let view = View::new(paper.size.width, paper.size.height);
    screen.canvas.stroke(segment.points(view), segment.pixels(view), rgb(segment.rgb()), paper);
}
