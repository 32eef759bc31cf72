//! What a piece of the screen must look like: for each pixel the darkest and the brightest value
//! that each channel may have. Flat colour leaves no room, soft edges leave some.

use std::sync::LazyLock;

use tabard_view::{Rect, Size};

use crate::font::Glyph;

/// How far a mixed channel may be from what this code computes: two roundings and a table.
const ROUNDING: u8 = 3;
/// What lies nearer than this to an edge may have any colour between the two.
const EDGE_PX: f32 = 0.75;
/// The exponent of the mixing of text with its ground, as the specification has it.
const GAMMA: f32 = 1.5;

/// Each value of a channel in light.
static LIGHT: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|value| (value as f32 / 255.0).powf(GAMMA)));

/// The colours that a pixel may have, channel by channel: 0x00RRGGBB each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    low: u32,
    high: u32,
}

impl Bounds {
    /// This colour and no other.
    pub(super) fn flat(color: u32) -> Self {
        let color = color & 0x00ff_ffff;
        Self { low: color, high: color }
    }

    /// Whether this pixel is one of the colours; its highest byte is no colour.
    pub(super) fn allow(self, pixel: u32) -> bool {
        self.doubt(pixel) == 0
    }

    /// 0 if this pixel is one of the colours. Two channels at once and without a branch, so that
    /// the compiler makes vector code of a loop over it: a channel that is less than its bound
    /// borrows the bit that was set above it.
    fn doubt(self, pixel: u32) -> u32 {
        const OUTER: u32 = 0x00ff_00ff;
        const GUARD: u32 = 0x0100_0100;
        let less = |one: u32, other: u32| {
            let outer = ((one & OUTER) | GUARD).wrapping_sub(other & OUTER);
            let green = ((one >> 8) & 0xff | 0x100).wrapping_sub((other >> 8) & 0xff);
            (!outer & GUARD) | (!green & 0x100)
        };
        less(pixel, self.low) | less(self.high, pixel)
    }

    /// With every colour between these and that one.
    fn or_between(self, color: u32) -> Self {
        let [_, other @ ..] = color.to_be_bytes();
        let with = |bound: u32, pick: fn(u8, u8) -> u8| {
            let [_, red, green, blue] = bound.to_be_bytes();
            let [other_red, other_green, other_blue] = other;
            u32::from_be_bytes([
                0,
                pick(red, other_red),
                pick(green, other_green),
                pick(blue, other_blue),
            ])
        };
        Self { low: with(self.low, u8::min), high: with(self.high, u8::max) }
    }

    /// Each channel put through `mix`, with room for rounding.
    pub(super) fn mixed(self, mix: impl Fn(usize, u8) -> f32) -> Self {
        let with = |bound: u32| {
            let [_, channels @ ..] = bound.to_be_bytes();
            let mut index = 0usize;
            channels.map(|value| {
                let mixed = mix(index, value).round() as u8;
                index = index.saturating_add(1);
                mixed
            })
        };
        let low = with(self.low);
        let high = if self.high == self.low { low } else { with(self.high) };
        let pack = |[red, green, blue]: [u8; 3]| u32::from_be_bytes([0, red, green, blue]);
        Self {
            low: pack(low.map(|value| value.saturating_sub(ROUNDING))),
            high: pack(high.map(|value| value.saturating_add(ROUNDING))),
        }
    }
}

/// Whether each pixel is one of the colours of its place; not if there are more pixels.
pub(super) fn allow_all(bounds: &[Bounds], pixels: &[u32]) -> bool {
    let pairs = bounds.iter().zip(pixels);
    let doubt = pairs.fold(0, |doubt, (bounds, pixel)| doubt | bounds.doubt(*pixel));
    doubt == 0 && pixels.len() <= bounds.len()
}

/// A rectangle of bounds.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    pub(super) size: Size,
    bounds: Vec<Bounds>,
}

impl Sheet {
    /// A sheet of one colour.
    pub(super) fn new(size: Size, color: u32) -> Self {
        let count = (size.width as usize).saturating_mul(size.height as usize);
        Self { size, bounds: vec![Bounds::flat(color); count] }
    }

    pub(super) fn whole(&self) -> Rect {
        Rect::new(0, 0, self.size.width, self.size.height)
    }

    /// So many bounds of row `y` from column `x` on; fewer where the sheet ends.
    pub(super) fn row(&self, y: u32, x: u32, width: u32) -> &[Bounds] {
        let start =
            (y as usize).saturating_mul(self.size.width as usize).saturating_add(x as usize);
        let width = width.min(self.size.width.saturating_sub(x)) as usize;
        self.bounds.get(start..start.saturating_add(width)).unwrap_or_default()
    }

    fn at(&mut self, x: u32, y: u32) -> Option<&mut Bounds> {
        if x >= self.size.width {
            return None;
        }
        let row = (y as usize).saturating_mul(self.size.width as usize);
        self.bounds.get_mut(row.saturating_add(x as usize))
    }

    /// Everything in `rect` has this colour.
    pub(super) fn fill(&mut self, rect: Rect, color: u32) {
        let rect = rect.intersect(self.whole());
        let width = self.size.width as usize;
        let rows = self.bounds.chunks_mut(width.max(1));
        for row in rows.skip(rect.y as usize).take(rect.height as usize) {
            let row = row.iter_mut().skip(rect.x as usize).take(rect.width as usize);
            row.for_each(|pixel| *pixel = Bounds::flat(color));
        }
    }

    /// Where `edge`, of places relative to `rect`, is negative, everything has this colour; near
    /// where it is nothing, that colour may be mixed with what was there.
    pub(super) fn figure(&mut self, rect: Rect, color: u32, edge: impl Fn(f32, f32) -> f32) {
        for y in 0..rect.height {
            for x in 0..rect.width {
                let place = (rect.x.saturating_add(x), rect.y.saturating_add(y));
                let Some(pixel) = self.at(place.0, place.1) else { break };
                let edge = edge(x as f32 + 0.5, y as f32 + 0.5);
                if edge <= -EDGE_PX {
                    *pixel = Bounds::flat(color);
                } else if edge < EDGE_PX {
                    *pixel = pixel.or_between(color);
                }
            }
        }
    }

    /// A glyph with its corner here.
    pub(super) fn glyph(&mut self, (left, top): (i64, i64), glyph: &Glyph, color: u32) {
        let [_, ink @ ..] = color.to_be_bytes();
        let light = |value: u8| LIGHT.get(usize::from(value)).copied().unwrap_or_default();
        let ink = ink.map(light);
        for (y, line) in (top..).zip(glyph.coverage.chunks(glyph.width.max(1))) {
            for (x, coverage) in (left..).zip(line).filter(|(_, coverage)| **coverage > 0) {
                let place = (u32::try_from(x), u32::try_from(y));
                let (Ok(x), Ok(y)) = place else { continue };
                let Some(pixel) = self.at(x, y) else { continue };
                if *coverage == u8::MAX {
                    *pixel = Bounds::flat(color);
                    continue;
                }
                let part = f32::from(*coverage) / 255.0;
                *pixel = pixel.mixed(|channel, under| {
                    let ink = ink.get(channel).copied().unwrap_or_default();
                    (ink * part + light(under) * (1.0 - part)).powf(1.0 / GAMMA) * 255.0
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_color_leaves_no_room_and_an_edge_leaves_what_is_between() {
        let mut sheet = Sheet::new(Size { width: 8, height: 1 }, 0);
        sheet.figure(sheet.whole(), 0x00ff_0000, |x, _| x - 4.0);
        let allows = |x: u32, pixel| sheet.row(0, x, 1)[0].allow(pixel);
        assert!(allows(0, 0xaaff_0000) && !allows(0, 0x00fe_0000) && !allows(0, 0x00ff_0001));
        assert!(allows(3, 0x0080_0000) && allows(4, 0x0080_0000) && !allows(4, 0x0080_0100));
        assert!(allows(5, 0) && !allows(5, 0x0001_0000));
    }

    #[test]
    fn rows_end_where_the_sheet_ends() {
        let sheet = Sheet::new(Size { width: 4, height: 2 }, 0);
        assert_eq!((sheet.row(1, 2, 9).len(), sheet.row(2, 0, 1).len()), (2, 0));
    }
}
