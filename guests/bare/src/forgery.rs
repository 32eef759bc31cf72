//! Pictures by which the hostile guests pretend to be Tabard. A guest's pixels stay in its
//! rectangle whatever they look like: that is what these are for.

use crate::canvas::{Canvas, rect, rgb};
use crate::font::{BODY, HEADING};
use core::ops::{Deref, DerefMut};
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::Dimensions;

const BAR_HEIGHT: u32 = 44;
const MARGIN: i32 = 48;
const WHITE: Rgb888 = rgb(0xffffff);

/// A label that a guest may pretend to have.
#[derive(Clone, Copy)]
pub struct Label {
    text: &'static str,
    color: Rgb888,
}

/// Red SECRET.
pub const SECRET: Label = Label { text: "SECRET", color: rgb(0xc8102e) };
/// Green UNCLASSIFIED.
pub const UNCLASSIFIED: Label = Label { text: "UNCLASSIFIED", color: rgb(0x007a33) };

/// Paints a false trusted bar and false banners over the whole picture.
pub fn banners<P>(canvas: &mut Canvas<P>, label: Label)
where
    P: Deref<Target = [u32]> + DerefMut,
{
    let (width, height) = (canvas.width(), canvas.height() as i32);
    canvas.fill(canvas.bounding_box(), label.color);
    centred(canvas, 8, "TYPING INTO bank ", WHITE);
    canvas.fill(
        rect(
            8,
            BAR_HEIGHT as i32,
            width.saturating_sub(16),
            canvas.height() - canvas.height().min(2 * BAR_HEIGHT),
        ),
        rgb(0xfbfbf7),
    );
    centred(canvas, height - BAR_HEIGHT as i32 + 8, label.text, WHITE);
    let line = "Please type your password here";
    let x = (width as i32 - BODY.width(line) as i32) / 2;
    canvas.text(&BODY, x, height / 2, line, rgb(0x1c1e22));
}

/// Paints a false trusted screen over the whole picture.
pub fn trusted_screen<P>(canvas: &mut Canvas<P>)
where
    P: Deref<Target = [u32]> + DerefMut,
{
    let width = canvas.width();
    canvas.fill(canvas.bounding_box(), rgb(0x101114));
    canvas.fill(rect(0, 0, width, BAR_HEIGHT), rgb(0xf4f6f8));
    centred(canvas, 8, "TRUSTED PATH", rgb(0x101114));
    canvas.text(&HEADING, MARGIN, 76, "Go to", WHITE);
    let rows = [("notes", SECRET), ("web", UNCLASSIFIED), ("plans", SECRET)];
    for (index, (name, label)) in rows.into_iter().enumerate() {
        let y = 124 + index as i32 * 74;
        canvas.fill(rect(MARGIN, y, width.saturating_sub(2 * MARGIN as u32), 62), rgb(0x1e2128));
        canvas.fill(rect(MARGIN + 18, y + 14, 34, 34), rgb(0x3d414b));
        canvas.letter(&BODY, MARGIN + 29, y + 19, char::from(b'1' + index as u8), WHITE);
        canvas.text(&BODY, MARGIN + 74, y + 19, name, WHITE);
        canvas.fill(rect(MARGIN + 200, y + 14, 220, 34), label.color);
        let x = MARGIN + 310 - BODY.width(label.text) as i32 / 2;
        canvas.text(&BODY, x, y + 19, label.text, WHITE);
    }
    canvas.text(&BODY, MARGIN, 124 + 3 * 74 + 20, "Locked: type your password", rgb(0x9aa3b5));
}

fn centred<P>(canvas: &mut Canvas<P>, y: i32, text: &str, color: Rgb888)
where
    P: Deref<Target = [u32]> + DerefMut,
{
    let x = (canvas.width() as i32 - HEADING.width(text) as i32) / 2;
    canvas.text(&HEADING, x, y, text, color);
}

#[cfg(test)]
mod tests {
    use super::{SECRET, banners, trusted_screen};
    use crate::canvas::Canvas;

    #[test]
    fn pictures_of_any_size_are_covered() {
        for (width, height) in [(1, 1), (40, 30), (640, 480)] {
            let mut canvas = Canvas::new(vec![0; (width * height) as usize], width, height);
            banners(&mut canvas, SECRET);
            trusted_screen(&mut canvas);
            assert_eq!(canvas.take_damage(), Some([0, 0, width, height]));
        }
    }
}
