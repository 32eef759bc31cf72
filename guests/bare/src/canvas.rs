//! A picture in memory that knows which part of it changed.

use crate::font::Face;
use core::convert::Infallible;
use core::ops::{Deref, DerefMut};
use embedded_graphics::pixelcolor::{Rgb888, RgbColor};
use embedded_graphics::prelude::{Dimensions, DrawTarget, Point, Size};
use embedded_graphics::primitives::Rectangle;
use embedded_graphics::{Pixel, prelude::PointsIter};

/// Pixels 0x00RRGGBB, row by row without gaps, and the rectangle drawn on since the last flush.
pub struct Canvas<P> {
    pixels: P,
    size: Size,
    damage: Rectangle,
}

/// 0xRRGGBB as a colour.
pub const fn rgb(value: u32) -> Rgb888 {
    Rgb888::new((value >> 16) as u8, (value >> 8) as u8, value as u8)
}

/// A rectangle by its corner and size in pixels.
pub const fn rect(x: i32, y: i32, width: u32, height: u32) -> Rectangle {
    Rectangle::new(Point::new(x, y), Size::new(width, height))
}

fn word(color: Rgb888) -> u32 {
    u32::from(color.r()) << 16 | u32::from(color.g()) << 8 | u32::from(color.b())
}

impl<P: Deref<Target = [u32]> + DerefMut> Canvas<P> {
    /// A canvas on `pixels`, which hold `width` * `height` words.
    pub fn new(pixels: P, width: u32, height: u32) -> Self {
        Self { pixels, size: Size::new(width, height), damage: Rectangle::zero() }
    }

    /// The pixels.
    pub fn pixels(&self) -> &P {
        &self.pixels
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.size.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.size.height
    }

    /// What changed since the last call: x, y, width, height; `None` if nothing did.
    pub fn take_damage(&mut self) -> Option<[u32; 4]> {
        let damage = core::mem::replace(&mut self.damage, Rectangle::zero());
        let Rectangle { top_left, size } = damage;
        (!damage.is_zero_sized()).then_some([
            top_left.x as u32,
            top_left.y as u32,
            size.width,
            size.height,
        ])
    }

    /// Counts `area` as changed.
    fn touch(&mut self, area: Rectangle) {
        if self.damage.is_zero_sized() {
            self.damage = area;
        } else if let Some(end) = area.bottom_right() {
            let old = self.damage;
            let corner = old.top_left.component_min(area.top_left);
            let end = old.bottom_right().unwrap_or(end).component_max(end);
            self.damage = Rectangle::with_corners(corner, end);
        }
    }

    /// The words of row `y` from `x` on, clipped to `width`; empty outside the picture.
    fn row(&mut self, x: u32, y: u32, width: u32) -> &mut [u32] {
        let start = (y * self.size.width + x) as usize;
        self.pixels.get_mut(start..start + width as usize).unwrap_or(&mut [])
    }

    /// Fills `area`.
    pub fn fill(&mut self, area: Rectangle, color: Rgb888) {
        let area = area.intersection(&self.bounding_box());
        if area.is_zero_sized() {
            return;
        }
        self.touch(area);
        let (x, y) = (area.top_left.x as u32, area.top_left.y as u32);
        for line in y..y + area.size.height {
            self.row(x, line, area.size.width).fill(word(color));
        }
    }

    /// Draws a straight stroke `width` pixels wide from the second of `points` to the third, with
    /// round ends and smooth edges, where it lies in `clip`. The stroke before it went from the
    /// first point to the second: where both overlap, the joint does not thicken.
    pub fn stroke(&mut self, points: [Point; 3], width: u32, color: Rgb888, clip: Rectangle) {
        let [before, from, to] = points;
        let reach = Size::new_equal(width + 3);
        let ends = Rectangle::with_corners(from, to);
        let area = Rectangle::new(ends.top_left - reach / 2, ends.size + reach)
            .intersection(&clip)
            .intersection(&self.bounding_box());
        if area.is_zero_sized() {
            return;
        }
        self.touch(area);
        let at = area.top_left;
        for y in at.y..at.y + area.size.height as i32 {
            let row = self.row(at.x as u32, y as u32, area.size.width);
            for (x, pixel) in (at.x..).zip(row) {
                let point = Point::new(x, y);
                let there = if before == from { 0.0 } else { coverage(before, from, width, point) };
                let wanted = coverage(from, to, width, point);
                if wanted > there {
                    let alpha = (wanted - there) / (1.0 - there);
                    *pixel = blend(*pixel, word(color), (alpha * 255.0) as u32);
                }
            }
        }
    }

    /// Writes `text` with its top left corner at (`x`, `y`), over what is there.
    pub fn text(&mut self, face: &Face, x: i32, y: i32, text: &str, color: Rgb888) {
        for (column, letter) in text.chars().enumerate() {
            self.letter(face, x + (column * face.cell_width) as i32, y, letter, color);
        }
    }

    /// Writes one letter with its top left corner at (`x`, `y`), over what is there.
    pub fn letter(&mut self, face: &Face, x: i32, y: i32, letter: char, color: Rgb888) {
        let cell = rect(x, y, face.cell_width as u32, face.cell_height as u32);
        let area = cell.intersection(&self.bounding_box());
        if area.is_zero_sized() || letter == ' ' {
            return;
        }
        self.touch(area);
        let skip = (area.top_left - cell.top_left).component_max(Point::zero());
        let glyph = face.glyph(letter);
        for line in 0..area.size.height {
            let from = (line as usize + skip.y as usize) * face.cell_width + skip.x as usize;
            let coverage = glyph.get(from..).unwrap_or(&[]);
            let at = area.top_left;
            let row = self.row(at.x as u32, at.y as u32 + line, area.size.width);
            for (pixel, &alpha) in row.iter_mut().zip(coverage) {
                *pixel = blend(*pixel, word(color), u32::from(alpha));
            }
        }
    }
}

/// How much of the pixel at `point` a stroke covers, 0 to 1.
fn coverage(from: Point, to: Point, width: u32, point: Point) -> f32 {
    let (dx, dy) = ((to.x - from.x) as f32, (to.y - from.y) as f32);
    let (px, py) = ((point.x - from.x) as f32, (point.y - from.y) as f32);
    let along = ((px * dx + py * dy) / (dx * dx + dy * dy).max(1.0)).clamp(0.0, 1.0);
    let (ox, oy) = (px - along * dx, py - along * dy);
    let radius = width as f32 / 2.0 + 0.5;
    // Near the edge, radius - distance is this, without a square root.
    ((radius * radius - ox * ox - oy * oy) / (2.0 * radius)).clamp(0.0, 1.0)
}

/// `over` on `under`, `alpha` 0 to 255.
fn blend(under: u32, over: u32, alpha: u32) -> u32 {
    match alpha {
        0 => under,
        255 => over,
        _ => [16, 8, 0].into_iter().fold(0, |word, shift| {
            let (u, o) = (under >> shift & 0xff, over >> shift & 0xff);
            word | ((u * (255 - alpha) + o * alpha + 127) / 255) << shift
        }),
    }
}

impl<P> Dimensions for Canvas<P> {
    fn bounding_box(&self) -> Rectangle {
        Rectangle::new(Point::zero(), self.size)
    }
}

impl<P: Deref<Target = [u32]> + DerefMut> DrawTarget for Canvas<P> {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(point, color) in pixels {
            self.fill(Rectangle::new(point, Size::new(1, 1)), color);
        }
        Ok(())
    }

    fn fill_contiguous<I>(&mut self, area: &Rectangle, colors: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Rgb888>,
    {
        self.draw_iter(area.points().zip(colors).map(|(point, color)| Pixel(point, color)))
    }

    fn fill_solid(&mut self, area: &Rectangle, color: Rgb888) -> Result<(), Infallible> {
        self.fill(*area, color);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Canvas, blend, rect, rgb};
    use embedded_graphics::prelude::Point;

    #[test]
    fn damage_covers_both_changes_and_is_taken_once() {
        let mut canvas = Canvas::new(vec![0; 100], 10, 10);
        canvas.fill(rect(1, 1, 2, 2), rgb(0xff));
        canvas.fill(rect(5, 6, 1, 1), rgb(0xff));
        assert_eq!(canvas.take_damage(), Some([1, 1, 5, 6]));
        assert_eq!(canvas.take_damage(), None);
    }

    #[test]
    fn what_lies_outside_is_clipped() {
        let mut canvas = Canvas::new(vec![0; 100], 10, 10);
        canvas.fill(rect(-5, 8, 100, 100), rgb(0x123456));
        assert_eq!(canvas.take_damage(), Some([0, 8, 10, 2]));
        assert_eq!(canvas.pixels()[79], 0);
        assert_eq!(canvas.pixels()[80], 0x123456);
    }

    #[test]
    fn a_stroke_is_solid_inside_and_stays_in_its_clip() {
        let mut canvas = Canvas::new(vec![0; 400], 20, 20);
        let clip = rect(0, 0, 20, 12);
        let points = [Point::new(5, 10), Point::new(5, 10), Point::new(15, 10)];
        canvas.stroke(points, 4, rgb(0xffffff), clip);
        assert_eq!(canvas.pixels()[10 * 20 + 10], 0xffffff);
        assert_eq!(canvas.pixels()[11 * 20 + 10], 0xffffff);
        assert!(canvas.pixels()[12 * 20..].iter().all(|&pixel| pixel == 0));
    }

    #[test]
    fn letters_at_the_edge_are_clipped() {
        let face = crate::font::BODY;
        let mut canvas = Canvas::new(vec![0; 100], 10, 10);
        canvas.letter(&face, -4, -6, 'M', rgb(0xffffff));
        canvas.letter(&face, 8, 2, 'M', rgb(0xffffff));
        assert!(canvas.pixels().iter().any(|&pixel| pixel != 0));
    }

    #[test]
    fn blending_keeps_the_ends() {
        assert_eq!(blend(0x112233, 0xaabbcc, 0), 0x112233);
        assert_eq!(blend(0x112233, 0xaabbcc, 255), 0xaabbcc);
        assert_eq!(blend(0x000000, 0xffffff, 128), 0x808080);
    }
}
