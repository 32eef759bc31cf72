//! One cell of a console's grid.

use tabard_display::Frame;
use tabard_view::Size;
/// What a cell shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cell {
    /// One colour.
    Blank,
    /// Two colours: where the one is that is not in its upper left corner, a bit a pixel.
    Ink(Vec<bool>),
    /// More colours, or it ends outside of the picture.
    Other,
}

/// What the cell at this pixel shows.
pub(crate) fn cell(frame: &Frame, x: u32, y: u32, size: Size) -> Cell {
    let Some(ground) = frame.pixel(x, y) else { return Cell::Other };
    let mut ink = Vec::with_capacity(size.width as usize * size.height as usize);
    let mut color = None;
    for y in y..y.saturating_add(size.height) {
        let row = frame.row(y, x, size.width);
        if row.len() != size.width as usize {
            return Cell::Other;
        }
        for pixel in row {
            let other = *pixel != ground;
            if other && *color.get_or_insert(*pixel) != *pixel {
                return Cell::Other;
            }
            ink.push(other);
        }
    }
    if color.is_none() { Cell::Blank } else { Cell::Ink(ink) }
}
