//! Drawing into a frame of one's own: fills, soft-edged areas, text. All of it is clipped.

use tabard_view::{Rect, Scale, Size};

use crate::font::{Fonts, Style, Weight};
use crate::{DrawnText, Frame};

/// Between the plain mixing of sRGB values, which makes light text on dark too thin, and light
/// itself, which makes it too fat.
const GAMMA: f32 = 1.5;

/// Mixes colours by coverage.
pub(crate) struct Mixer {
    to_light: Vec<u16>,
    from_light: Vec<u8>,
}

impl Mixer {
    pub(crate) fn new() -> Self {
        let light = |value: u16| ((f32::from(value) / 255.0).powf(GAMMA) * 4095.0).round() as u16;
        let value = |light: u16| ((f32::from(light) / 4095.0).powf(1.0 / GAMMA) * 255.0).round();
        Self {
            to_light: (0..256).map(light).collect(),
            from_light: (0..4096).map(|light| value(light) as u8).collect(),
        }
    }

    /// `coverage` of 255 parts of `color`, the rest of `under`.
    fn mix(&self, under: u32, color: u32, coverage: u8) -> u32 {
        let under = under.to_be_bytes();
        let mut mixed = color.to_be_bytes();
        let light = |value: u8, part: u8| {
            let light = self.to_light.get(usize::from(value)).copied().unwrap_or_default();
            u32::from(light).saturating_mul(part.into())
        };
        for (over, under) in mixed.iter_mut().zip(under) {
            let rest = u8::MAX.saturating_sub(coverage);
            let sum = light(*over, coverage).saturating_add(light(under, rest));
            let index = sum.saturating_add(127) / 255;
            *over = self.from_light.get(index as usize).copied().unwrap_or(u8::MAX);
        }
        u32::from_be_bytes(mixed) & 0x00ff_ffff
    }
}

/// What everything is drawn with.
pub(crate) struct Tools {
    pub fonts: Fonts,
    pub mixer: Mixer,
}

/// A frame being drawn.
pub(crate) struct Painter<'a> {
    pub tools: &'a mut Tools,
    pub scale: Scale,
    pub frame: Frame,
    /// The texts drawn so far, in pixels of this frame.
    pub texts: Vec<DrawnText>,
}

/// Where in its rectangle a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Centre,
    Right,
}

impl<'a> Painter<'a> {
    pub(crate) fn new(tools: &'a mut Tools, scale: Scale, size: Size, ground: u32) -> Self {
        Self { tools, scale, frame: Frame::filled(size, ground), texts: Vec::new() }
    }

    /// Units as pixels.
    pub(crate) fn px(&self, units: u32) -> u32 {
        self.scale.px(units)
    }

    pub(crate) fn fill(&mut self, rect: Rect, color: u32) {
        fill(&mut self.frame, rect, color);
    }

    /// Fills where `distance`, in pixels from a pixel's centre to the edge and negative inside,
    /// says so; edges are soft. Places are relative to `rect`.
    pub(crate) fn shade(&mut self, rect: Rect, color: u32, distance: impl Fn(f32, f32) -> f32) {
        for row in 0..rect.height {
            let line = self.frame.row_mut(rect.y.saturating_add(row), rect.x, rect.width);
            for (column, pixel) in (0u32..).zip(line) {
                let away = distance(column as f32 + 0.5, row as f32 + 0.5);
                let coverage = ((0.5 - away).clamp(0.0, 1.0) * 255.0).round() as u8;
                if coverage > 0 {
                    *pixel = self.tools.mixer.mix(*pixel, color, coverage);
                }
            }
        }
    }

    pub(crate) fn rounded(&mut self, rect: Rect, radius_px: u32, color: u32) {
        let (width, height) = (rect.width as f32, rect.height as f32);
        let radius = radius_px as f32;
        self.shade(rect, color, |x, y| {
            let right = (x - width / 2.0).abs() - width / 2.0 + radius;
            let below = (y - height / 2.0).abs() - height / 2.0 + radius;
            right.max(0.0).hypot(below.max(0.0)) + right.max(below).min(0.0) - radius
        });
    }

    /// Draws one line, centred in the height of `rect`; what does not fit is cut off at the
    /// frame's edge, so fit it first. Returns the rectangle of the text.
    pub(crate) fn text(
        &mut self,
        rect: Rect,
        align: Align,
        text: &str,
        style: Style,
        color: u32,
    ) -> Rect {
        let drawn = self.draw_line(rect, align, text, style, color);
        self.note(drawn, text);
        drawn
    }

    /// As [`Painter::text`], at the largest size between the most and the least units of `face`
    /// at which it fits, and elided if it does not fit at the least.
    pub(crate) fn fitted(
        &mut self,
        rect: Rect,
        align: Align,
        text: &str,
        (weight, most, least): (Weight, u32, u32),
        color: u32,
    ) {
        let sizes = (self.px(most), self.px(least));
        let (text, style) = self.tools.fonts.shrink(text, weight, sizes, rect.width);
        self.text(rect, align, &text, style, color);
    }

    /// As [`Painter::text`], without taking a note of it.
    pub(crate) fn draw_line(
        &mut self,
        rect: Rect,
        align: Align,
        text: &str,
        style: Style,
        color: u32,
    ) -> Rect {
        let width = self.tools.fonts.width(text, style);
        let spare = rect.width.saturating_sub(width);
        let x = rect.x.saturating_add(match align {
            Align::Left => 0,
            Align::Centre => spare / 2,
            Align::Right => spare,
        });
        let cap = self.tools.fonts.cap_height(style);
        let baseline = rect.y.saturating_add(rect.height.saturating_add(cap) / 2);
        let mut pen = x as f32;
        for character in text.chars().take(512) {
            let glyph = self.tools.fonts.glyph(character, style);
            let left = i64::from(pen.round() as u32).saturating_add(i64::from(glyph.left));
            let top = i64::from(baseline).saturating_sub(i64::from(glyph.top));
            pen += glyph.advance;
            for (row, line) in (0i64..).zip(glyph.coverage.chunks(glyph.width.max(1))) {
                let Ok(y) = u32::try_from(top.saturating_add(row)) else { continue };
                for (column, coverage) in (0i64..).zip(line) {
                    let Ok(x) = u32::try_from(left.saturating_add(column)) else { continue };
                    if let Some(pixel) = self.frame.row_mut(y, x, 1).first_mut() {
                        *pixel = self.tools.mixer.mix(*pixel, color, *coverage);
                    }
                }
            }
        }
        Rect { x, width, ..rect }
    }

    /// Takes a note that this text now stands there.
    pub(crate) fn note(&mut self, rect: Rect, text: &str) {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if !text.is_empty() {
            self.texts.push(DrawnText { rect, text });
        }
    }
}

/// Fills the part of `rect` that is in the frame.
pub(crate) fn fill(frame: &mut Frame, rect: Rect, color: u32) {
    for y in rect.y..rect.bottom().min(frame.size.height) {
        frame.row_mut(y, rect.x, rect.width).fill(color);
    }
}

/// Distance to a polygon's edge, negative inside. The corners are in order, either way round.
pub(crate) fn polygon(corners: &[(f32, f32)], x: f32, y: f32) -> f32 {
    let mut nearest = f32::MAX;
    let mut inside = false;
    let ends = corners.iter().cycle().skip(1);
    for (&(ax, ay), &(bx, by)) in corners.iter().zip(ends) {
        let (edge_x, edge_y) = (bx - ax, by - ay);
        let (from_x, from_y) = (x - ax, y - ay);
        let length = edge_x * edge_x + edge_y * edge_y;
        let along = ((from_x * edge_x + from_y * edge_y) / length).clamp(0.0, 1.0);
        nearest = nearest.min((from_x - edge_x * along).hypot(from_y - edge_y * along));
        // A ray to the right crosses this edge.
        if (ay > y) != (by > y) && x < ax + (y - ay) / edge_y * edge_x {
            inside = !inside;
        }
    }
    if inside { -nearest } else { nearest }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixing_keeps_the_ends_exact() {
        let mixer = Mixer::new();
        for (under, over) in [(0x0012_3456, 0x00ff_8c00), (0x00ff_ffff, 0)] {
            assert_eq!(mixer.mix(under, over, 255), over);
            assert_eq!(mixer.mix(under, over, 0), under);
        }
    }

    #[test]
    fn a_polygon_knows_inside_from_outside() {
        let square = [(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)];
        assert_eq!(polygon(&square, 2.0, 2.0), -2.0);
        assert_eq!(polygon(&square, 6.0, 2.0), 2.0);
    }
}
