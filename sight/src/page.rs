//! A part of a picture as programs that read text like it: dark letters on a light ground, as large as
//! in print.

use tabard_display::Frame;
use tabard_view::Rect;

use crate::grey::plain;

/// How many times as large: letters of a screen are 7 to 10 pixels high, and are read well from twice
/// that on. What is larger still is read as well, in three times the time.
const SCALE: usize = 2;
/// A ground is light if its pixels are brighter than this on the whole.
const MIDDLE: u64 = 127;
/// Pixels around it, so that no letter touches an edge.
const EDGE: usize = 12;

/// The part of a picture that is in `within`, or all of it, in the form PGM.
#[must_use]
pub fn page(frame: &Frame, within: Option<Rect>) -> Vec<u8> {
    let rect = within.unwrap_or(frame.size.rect()).intersect(frame.size.rect());
    let (width, height) = (rect.width as usize, rect.height as usize);
    let mut grey = plain(frame, rect);
    let sum: u64 = grey.iter().map(|pixel| u64::from(*pixel)).sum();
    if sum <= MIDDLE * grey.len() as u64 {
        grey.iter_mut().for_each(|pixel| *pixel = !*pixel);
    }
    let (wide, high) = (width * SCALE + 2 * EDGE, height * SCALE + 2 * EDGE);
    let mut out = format!("P5\n{wide} {high}\n255\n").into_bytes();
    let row = |y: usize| grey.get(y * width..(y + 1) * width).unwrap_or_default();
    for y in 0..high {
        let (above, down) = between(y, height);
        let (upper, lower) = (row(above), row((above + 1).min(height.saturating_sub(1))));
        for x in 0..wide {
            let (left, right) = between(x, width);
            let at = |row: &[u8], x: usize| {
                usize::from(row.get(x.min(width.saturating_sub(1))).copied().unwrap_or(u8::MAX))
            };
            let mix =
                |one: usize, other: usize, share: usize| one * (2 * SCALE - share) + other * share;
            let top = mix(at(upper, left), at(upper, left + 1), right);
            let bottom = mix(at(lower, left), at(lower, left + 1), right);
            let sum = mix(top, bottom, down);
            out.push((sum / (4 * SCALE * SCALE)) as u8);
        }
    }
    out
}

/// Between which pixels a place of the page lies: the first of them, and how far it is from there to
/// the next, in parts of `2 * SCALE`. What is beyond an edge is as the edge.
fn between(at: usize, length: usize) -> (usize, usize) {
    // The middle of a place, in those parts, from the middle of the first pixel on.
    let middle = (2 * at + 1).saturating_sub(2 * EDGE + SCALE);
    let last = length.saturating_sub(1);
    if middle / (2 * SCALE) >= last {
        (last, 0)
    } else {
        (middle / (2 * SCALE), middle % (2 * SCALE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tabard_view::Size;

    fn read(page: &[u8]) -> (usize, usize, &[u8]) {
        let mut lines = page.splitn(4, |byte| *byte == b'\n');
        assert_eq!(lines.next(), Some(&b"P5"[..]));
        let size = String::from_utf8(lines.next().unwrap().to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        assert_eq!(lines.next(), Some(&b"255"[..]));
        (width.parse().unwrap(), height.parse().unwrap(), lines.next().unwrap())
    }

    #[test]
    fn a_page_is_larger_and_light() {
        let mut frame = Frame::new(Size { width: 10, height: 6 });
        (2..5).for_each(|y| frame.row_mut(y, 3, 3).fill(0x00ff_ffff));
        let page = page(&frame, None);
        let (width, height, pixels) = read(&page);
        assert_eq!((width, height, pixels.len()), (44, 36, 44 * 36));
        assert_eq!(pixels[0], 255);
        // The middle of what was bright is dark now, its edge neither.
        let row = &pixels[(EDGE + 3 * SCALE) * width..];
        assert_eq!(row[EDGE + 4 * SCALE], 0);
        assert_eq!(row[EDGE + 6 * SCALE - 1..][..2], [63, 191]);
    }

    #[test]
    fn a_part_beyond_the_picture_is_a_small_page() {
        let frame = Frame::new(Size { width: 4, height: 4 });
        let (width, height, _) = read(&page(&frame, Some(Rect::new(9, 9, 3, 3))));
        assert_eq!((width, height), (24, 24));
        let (width, ..) = read(&page(&frame, Some(Rect::new(3, 0, 9, 1))));
        assert_eq!(width, 26);
    }
}
