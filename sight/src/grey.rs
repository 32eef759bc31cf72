//! A part of a picture in grey, softened, as needles are compared in: colours that differ a little
//! and edges that lie half a pixel apart do not count.

use tabard_display::Frame;
use tabard_view::Rect;

/// What an excluded area is painted with, in both pictures: the grey of pure green.
const PAINT: u8 = 150;

/// Grey pixels, row after row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Grey {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) pixels: Vec<u8>,
}

impl Grey {
    /// The part `window` of a picture, with the excluded areas painted over. It is softened with
    /// the pixels around it, as if the whole picture were.
    pub(crate) fn of(frame: &Frame, window: Rect, excluded: &[Rect]) -> Self {
        let all = frame.size.rect();
        let window = window.intersect(all);
        if window.is_empty() {
            return Self::default();
        }
        // One more pixel on each side, where there is one.
        let (left, top) = (window.x.saturating_sub(1), window.y.saturating_sub(1));
        let wide = Rect::new(
            left,
            top,
            window.right().saturating_add(1) - left,
            window.bottom().saturating_add(1) - top,
        )
        .intersect(all);
        let mut plain = Self::plain(frame, wide);
        for rect in excluded {
            plain.paint(rect.intersect(wide), wide);
        }
        let soft = plain.soften();
        soft.crop((window.x - left) as usize, (window.y - top) as usize, window)
    }

    pub(crate) fn row(&self, y: usize) -> &[u8] {
        let start = y.saturating_mul(self.width);
        self.pixels.get(start..start.saturating_add(self.width)).unwrap_or_default()
    }

    fn plain(frame: &Frame, window: Rect) -> Self {
        let (width, height) = (window.width as usize, window.height as usize);
        Self { width, height, pixels: plain(frame, window) }
    }

    fn paint(&mut self, rect: Rect, within: Rect) {
        for y in rect.y..rect.bottom() {
            let start = (y - within.y) as usize * self.width + (rect.x - within.x) as usize;
            if let Some(row) = self.pixels.get_mut(start..start + rect.width as usize) {
                row.fill(PAINT);
            }
        }
    }

    /// Each pixel becomes the mean of its neighbours in the weights 1 2 1, across and down; beyond
    /// an edge the picture is mirrored.
    fn soften(&self) -> Self {
        let mut pixels = vec![0_u8; self.pixels.len()];
        let (width, height) = (self.width, self.height);
        let last = height.saturating_sub(1);
        let mut down = vec![0_u16; width];
        for (y, out) in pixels.chunks_exact_mut(width.max(1)).enumerate() {
            let above = if y == 0 { last.min(1) } else { y - 1 };
            let below = if y == last { last.saturating_sub(1) } else { y + 1 };
            let rows = self.row(above).iter().zip(self.row(y)).zip(self.row(below));
            for (sum, ((above, here), below)) in down.iter_mut().zip(rows) {
                *sum = weigh(u16::from(*above), u16::from(*here), u16::from(*below));
            }
            let mix = |left: u16, here: u16, right: u16| {
                (weigh(left, here, right).wrapping_add(8) >> 4) as u8
            };
            if let ([first, .., end], [out_first, .., out_end]) = (&*down, &mut *out) {
                let second = down.get(1).unwrap_or(first);
                let before = down.get(width - 2).unwrap_or(end);
                *out_first = mix(*second, *first, *second);
                *out_end = mix(*before, *end, *before);
            } else if let ([only], [out_only]) = (&*down, &mut *out) {
                *out_only = mix(*only, *only, *only);
            }
            let triples = down.windows(3);
            let middle = out.iter_mut().skip(1);
            for (out, triple) in middle.zip(triples) {
                if let [left, here, right] = triple {
                    *out = mix(*left, *here, *right);
                }
            }
        }
        Self { width, height, pixels }
    }

    fn crop(self, x: usize, y: usize, to: Rect) -> Self {
        let (width, height) = (to.width as usize, to.height as usize);
        if width == self.width && height == self.height {
            return self;
        }
        let mut pixels = Vec::with_capacity(width * height);
        for row in y..y + height {
            pixels.extend_from_slice(self.row(row).get(x..x + width).unwrap_or_default());
        }
        Self { width, height, pixels }
    }
}

/// Three in the weights 1 2 1. It does not wrap: a check would take longer than the sum, and there are
/// millions.
fn weigh(before: u16, here: u16, after: u16) -> u16 {
    before.wrapping_add(here).wrapping_add(here).wrapping_add(after)
}

/// A part of a picture in grey, row after row, as it is.
pub(crate) fn plain(frame: &Frame, window: Rect) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(window.width as usize * window.height as usize);
    for y in window.y..window.bottom() {
        pixels.extend(frame.row(y, window.x, window.width).iter().map(|pixel| grey(*pixel)));
    }
    pixels
}

/// The brightness of a pixel by the weights of ITU-R BT.601.
fn grey(pixel: u32) -> u8 {
    // As for `weigh`.
    let share = |shift: u32, weight: u32| ((pixel >> shift) & 0xff).wrapping_mul(weight);
    let sum = share(16, 4899).wrapping_add(share(8, 9617)).wrapping_add(share(0, 1868));
    (sum.wrapping_add(8192) >> 14) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use tabard_view::Size;

    fn picture(width: u32, height: u32) -> Frame {
        let mut frame = Frame::new(Size { width, height });
        for (index, pixel) in frame.pixels.iter_mut().enumerate() {
            *pixel = (index as u32).wrapping_mul(2_654_435_761) & 0x00ff_ffff;
        }
        frame
    }

    #[test]
    fn brightness_has_the_weights_of_the_eye() {
        assert_eq!([0x00ff_0000, 0x0000_ff00, 0x0000_00ff].map(grey), [76, 150, 29]);
        assert_eq!(grey(0x0000_ff00), PAINT);
        assert_eq!([0, 0x00ff_ffff].map(grey), [0, 255]);
    }

    #[test]
    fn a_part_is_softened_as_in_the_whole() {
        let frame = picture(37, 23);
        let whole = Grey::of(&frame, frame.size.rect(), &[]);
        let part = Grey::of(&frame, Rect::new(5, 4, 9, 7), &[]);
        for y in 0..7 {
            assert_eq!(part.row(y), &whole.row(y + 4)[5..14]);
        }
    }

    #[test]
    fn a_line_is_spread_by_one_two_one() {
        let mut frame = Frame::new(Size { width: 5, height: 3 });
        (0..3).for_each(|y| frame.row_mut(y, 2, 1).fill(0x00f0_f0f0));
        let soft = Grey::of(&frame, frame.size.rect(), &[]);
        assert_eq!(soft.row(1), [0, 60, 120, 60, 0]);
    }

    #[test]
    fn what_is_excluded_is_one_colour() {
        let frame = picture(30, 30);
        let grey = Grey::of(&frame, frame.size.rect(), &[Rect::new(10, 10, 9, 9)]);
        assert_eq!(grey.row(14)[11..18], [PAINT; 7]);
    }

    #[test]
    fn a_picture_of_one_pixel_or_row_or_column_has_a_grey() {
        for (width, height) in [(1, 1), (1, 4), (4, 1), (2, 2)] {
            let frame = picture(width, height);
            let grey = Grey::of(&frame, frame.size.rect(), &[]);
            assert_eq!(grey.pixels.len() as u32, width * height);
        }
    }
}
