//! Sets text as the specification of bars and banners says, glyph by glyph from the font atlas:
//! which size, which lines, what is left out where there is no room.

use tabard_view::{Rect, Scale};

use super::sheet::Sheet;
use crate::font::{Fonts, Style, Weight};

/// The least size of a label's words, in units.
const LEAST_UNITS: u32 = 9;
/// No more characters of a line than this are set.
const MAX_CHARS: usize = 512;
/// What stands between two parts of one line.
const DOT: &str = "  ·  ";

/// Units as pixels: rounded to the nearest, at least one.
pub(super) fn px(scale: Scale, units: u32) -> u32 {
    let percent = u32::from(scale.percent());
    (units.saturating_mul(percent).saturating_add(50) / 100).max(1)
}

/// Where in its rectangle a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Align {
    Left,
    Centre,
    Right,
}

/// Lines of one size, ready to be set.
pub(super) struct Lines {
    pub(super) lines: Vec<String>,
    pub(super) style: Style,
    /// Of the widest, in pixels.
    pub(super) width: u32,
}

/// The font atlas and a scale.
pub(super) struct Setter<'a> {
    pub(super) fonts: &'a mut Fonts,
    pub(super) scale: Scale,
}

impl Setter<'_> {
    pub(super) fn px(&self, units: u32) -> u32 {
        px(self.scale, units)
    }

    pub(super) fn width(&mut self, text: &str, style: Style) -> u32 {
        let mut pen = 0.0;
        for character in text.chars().take(MAX_CHARS) {
            pen += self.fonts.glyph(character, style).advance;
        }
        f32::ceil(pen) as u32
    }

    /// Sets a line in the middle of the height of `rect`; the place that it takes.
    pub(super) fn line(
        &mut self,
        sheet: &mut Sheet,
        rect: Rect,
        align: Align,
        text: &str,
        style: Style,
        color: u32,
    ) -> Rect {
        let width = self.width(text, style);
        let spare = rect.width.saturating_sub(width);
        let x = rect.x.saturating_add(match align {
            Align::Left => 0,
            Align::Centre => spare / 2,
            Align::Right => spare,
        });
        let capital = self.fonts.glyph('H', style).height;
        let base = rect.y.saturating_add(rect.height.saturating_add(capital) / 2);
        let mut pen = x as f32;
        for character in text.chars().take(MAX_CHARS) {
            let glyph = self.fonts.glyph(character, style);
            let left = (pen.round() as i64).saturating_add(i64::from(glyph.left));
            let top = i64::from(base).saturating_sub(i64::from(glyph.top));
            sheet.glyph((left, top), &glyph, color);
            pen += glyph.advance;
        }
        Rect { x, width, ..rect }
    }

    /// Sets one line or two in the middle of the height of `rect`; the columns that they take.
    pub(super) fn lines(
        &mut self,
        sheet: &mut Sheet,
        rect: Rect,
        align: Align,
        lines: &Lines,
        color: u32,
    ) -> Rect {
        let step =
            if lines.lines.len() > 1 { lines.style.size_px.saturating_mul(6) / 5 } else { 0 };
        let height = rect.height.saturating_sub((step / 2).saturating_mul(2));
        let mut place = Rect { height, ..rect };
        let mut columns = Rect::default();
        for line in &lines.lines {
            columns = columns.union(self.line(sheet, place, align, line, lines.style, color));
            place.y = place.y.saturating_add(step);
        }
        columns
    }

    /// Sets a line at the largest size of the two and between at which it fits, else at the
    /// smaller one and cut.
    pub(super) fn fitted(
        &mut self,
        sheet: &mut Sheet,
        rect: Rect,
        align: Align,
        text: &str,
        (weight, most, least): (Weight, u32, u32),
        color: u32,
    ) {
        let least_px = self.px(least);
        let style = |size_px| Style { weight, size_px };
        let fitting = (least_px..=self.px(most)).rev().map(style);
        let fitting = { fitting }.find(|style| self.width(text, *style) <= rect.width);
        let style = fitting.unwrap_or(style(least_px));
        let text = self.cut(text, style, rect.width);
        self.line(sheet, rect, align, &text, style, color);
    }

    /// As much of a text as fits, with "…" where something is missing.
    pub(super) fn cut(&mut self, text: &str, style: Style, width: u32) -> String {
        if self.width(text, style) <= width {
            return text.chars().take(MAX_CHARS).collect();
        }
        let mut end = self.fonts.glyph('…', style).advance;
        let fits = |character: &char| {
            end += self.fonts.glyph(*character, style).advance;
            end <= width as f32
        };
        let kept: String = text.chars().take_while(fits).collect();
        format!("{}…", kept.trim_end())
    }

    /// The words of a bar or a banner in `width` by `height` pixels: whole on one line, else whole
    /// on two smaller ones, else with a shorter name; the marking is cut last of all.
    pub(super) fn words(
        &mut self,
        (before, name, marking): (&str, &str, &str),
        (most, least): (u32, u32),
        (width, height): (u32, u32),
    ) -> Lines {
        let bold = |size_px| Style { weight: Weight::Bold, size_px };
        let join = |name: &str| {
            let whose = [before, name].join(if marking.is_empty() { DOT } else { "  " });
            let whose = if before.is_empty() { name } else { &whose };
            let parts = [whose, marking];
            let only = name.is_empty() && before.is_empty();
            if only || (marking.is_empty() && !before.is_empty()) {
                parts.concat()
            } else {
                parts.join(DOT)
            }
        };
        let full = join(name);
        let (most_px, least_px) = (self.px(most), self.px(least));
        let tiny_px = self.px(LEAST_UNITS);
        for size_px in (least_px..=most_px).rev() {
            let wide = self.width(&full, bold(size_px));
            if wide <= width {
                return Lines { lines: vec![full], style: bold(size_px), width: wide };
            }
        }
        for style in (tiny_px..=least_px).rev().map(bold) {
            // Two lines and half a one between and around them.
            let high_enough = style.size_px.saturating_mul(5) / 2 <= height;
            if let Some(lines) = high_enough.then(|| self.two(&full, style, width)).flatten() {
                let width = lines.iter().map(|line| self.width(line, style)).max().unwrap_or(0);
                return Lines { lines, style, width };
            }
        }
        let style = bold(tiny_px);
        let letters = name.chars().count();
        let shorter = (1..=letters).rev().map(|keep| {
            let short: String = name.chars().take(keep).collect();
            join(&(short + "…"))
        });
        let fitting = shorter.chain([marking.to_owned()]);
        let fitting = { fitting }.find(|text| self.width(text, style) <= width);
        let level = marking.split('/').next().unwrap_or_default();
        let text = fitting.unwrap_or_else(|| self.cut(&format!("{level}…"), style, width));
        Lines { width: self.width(&text, style), lines: vec![text], style }
    }

    /// A text on two lines that both fit: parted between name and marking, else at the blank or
    /// stroke nearest to its middle, else in its middle.
    fn two(&mut self, text: &str, style: Style, width: u32) -> Option<Vec<String>> {
        let mut fits = |first: &str, second: &str| {
            let fit = self.width(first, style) <= width && self.width(second, style) <= width;
            fit.then(|| vec![first.to_owned(), second.to_owned()])
        };
        if let Some(lines) = text.split_once(DOT).and_then(|(first, second)| fits(first, second)) {
            return Some(lines);
        }
        let middle = text.len() / 2;
        let mut ends: Vec<usize> = [' ', '/']
            .into_iter()
            .flat_map(|mark| text.match_indices(mark).map(|(at, _)| at.saturating_add(1)))
            .collect();
        ends.sort_by_key(|end| (end.abs_diff(middle), *end));
        ends.push(text.floor_char_boundary(middle));
        ends.into_iter().find_map(|end| {
            let (first, second) = text.split_at_checked(end)?;
            fits(first.trim_end(), second.trim_start())
        })
    }
}
