//! The canvas and the display together: size, flushes and what is said of them on the serial port.

use crate::canvas::Canvas;
use crate::cursor::Cursor;
use crate::machine::{Gpu, GpuError, Machine, Pages, serial};
use alloc::format;

/// The size drawn on where there is no display.
const NO_DISPLAY: (u32, u32) = (640, 480);

/// What the guest draws on.
pub struct Screen {
    name: &'static str,
    gpu: Option<Gpu>,
    /// What was drawn and is not flushed yet is its damage.
    pub canvas: Canvas<Pages>,
    /// What the host asked for; the canvas is smaller if memory is short.
    wanted: (u32, u32),
    /// What is to be flushed before the canvas's damage.
    urgent: Option<[u32; 4]>,
    shown: bool,
}

impl Screen {
    /// A screen of the size that the host wants; nothing is shown before [`Screen::present`].
    pub fn new(name: &'static str, mut gpu: Option<Gpu>) -> Self {
        let wanted = match gpu.as_mut().map(Gpu::wanted_size) {
            Some(Ok(size)) => size,
            Some(Err(error)) => {
                report(error);
                NO_DISPLAY
            }
            None => NO_DISPLAY,
        };
        Self { name, gpu, canvas: fit(name, wanted), wanted, urgent: None, shown: false }
    }

    /// Follows a change of the display; whether there is a new canvas to paint.
    pub fn resize(&mut self) -> bool {
        let Some(gpu) = &mut self.gpu else { return false };
        let wanted = match gpu.wanted_size() {
            Ok(wanted) if wanted != self.wanted => wanted,
            // Switched off or unchanged: the picture stays.
            _ => return false,
        };
        if let Err(error) = gpu.detach() {
            report(error);
        }
        // The old pixels go first: there may be no room for both.
        self.canvas = fit(self.name, (1, 1));
        self.canvas = fit(self.name, wanted);
        self.wanted = wanted;
        self.shown = false;
        true
    }

    /// Brings the first picture to the glass, then opens the machine's input devices, then says on
    /// the serial port that it is ready: what the user types from then on arrives.
    pub fn present_first(&mut self, machine: &mut Machine) {
        self.show();
        machine.open_inputs();
        self.say("ready");
    }

    /// Brings what changed to the glass. The first time after a resize, says so on the serial
    /// port.
    pub fn present(&mut self) {
        if self.show() {
            self.say("resized");
        }
    }

    /// Brings what changed to the glass; whether the canvas is a new one.
    fn show(&mut self) -> bool {
        let (width, height) = (self.canvas.width(), self.canvas.height());
        let damage = self.canvas.take_damage();
        let mut areas = [self.urgent.take(), damage].into_iter().flatten();
        let result = match (&mut self.gpu, areas.next()) {
            (Some(gpu), Some(area)) if self.shown => gpu.flush(area, areas.next()),
            (Some(gpu), _) if !self.shown => gpu.attach(self.canvas.pixels(), width, height),
            _ => Ok(()),
        };
        if let Err(error) = result {
            report(error);
        }
        !core::mem::replace(&mut self.shown, true)
    }

    fn say(&self, word: &str) {
        let (name, width, height) = (self.name, self.canvas.width(), self.canvas.height());
        serial::line(&format!("{{\"{word}\":\"{name}\",\"width\":{width},\"height\":{height}}}"));
    }

    /// Has what changed so far flushed by the next [`Screen::present`] before what changes from
    /// now on, as a rectangle of its own.
    pub fn part(&mut self) {
        if self.urgent.is_none() {
            self.urgent = self.canvas.take_damage();
        }
    }

    /// Flushes one rectangle (x, y, width, height) whether it changed or not.
    pub fn flush(&mut self, area: [u32; 4]) {
        if let Some(gpu) = &mut self.gpu
            && let Err(error) = gpu.flush(area, None)
        {
            report(error);
        }
    }

    /// Gives the pointer a picture.
    pub fn set_cursor(&mut self, cursor: &Cursor) {
        if let Some(gpu) = &mut self.gpu
            && let Err(error) = gpu.set_cursor(&cursor.pixels(), cursor.hot)
        {
            report(error);
        }
    }

    /// Moves the pointer's picture.
    pub fn move_cursor(&mut self, x: i32, y: i32) {
        if let Some(gpu) = &mut self.gpu
            && let Err(error) = gpu.move_cursor((x as u32, y as u32))
        {
            report(error);
        }
    }
}

/// A canvas of the wanted size, or of half, a quarter... of it where memory is short.
fn fit(name: &str, (wanted_width, wanted_height): (u32, u32)) -> Canvas<Pages> {
    let (mut width, mut height) = (wanted_width, wanted_height);
    loop {
        if let Some(pixels) = Pages::new(width as usize * height as usize) {
            if width != wanted_width {
                serial::line(&format!(
                    "{{\"smaller\":\"{name}\",\"width\":{width},\"height\":{height},\
                     \"wanted_width\":{wanted_width},\"wanted_height\":{wanted_height}}}"
                ));
            }
            return Canvas::new(pixels, width, height);
        }
        // Reaches 1x1, and one page there is.
        (width, height) = ((width / 2).max(1), (height / 2).max(1));
    }
}

fn report(error: GpuError) {
    serial::line(&format!("{{\"error\":\"display: {error}\"}}"));
}
