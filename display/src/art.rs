//! How a label is drawn: its text always on flat colour, a shape at either side of the text, the
//! pattern only at the ends, so that no label rests on colour alone.

use std::f32::consts::TAU;

use tabard_labels::{Appearance, Label, Pattern, Rgb, Shape};
use tabard_view::Rect;

use crate::font::{Fonts, Style, Weight};
use crate::paint::{Align, Painter, polygon};
use crate::theme;

/// What stands for a label that the configuration does not have: it cannot be mistaken for one.
const UNKNOWN: Appearance = Appearance {
    color: Rgb::BLACK,
    text_color: Rgb::WHITE,
    pattern: Pattern::Plain,
    pattern_color: Rgb::BLACK,
    shape: Shape::Cross,
};

/// The look and the marking of a label.
pub(crate) fn look(label: Option<&Label>) -> (Appearance, &str) {
    label.map_or((UNKNOWN, "UNKNOWN LABEL"), |label| (label.appearance, &label.text))
}

/// A label's words, fitted to a width.
pub(crate) struct Fitted {
    /// One line or two.
    pub lines: Vec<String>,
    pub style: Style,
    /// Width of the widest line in pixels.
    pub width: u32,
}

/// Fits `before name · marking` into a width and height: by a smaller size, then by two lines,
/// then by a shorter name. The marking itself is cut only when nothing else is left, and then
/// its level stays and "…" says that there is more.
pub(crate) fn fit(
    painter: &mut Painter,
    (before, name, marking): (&str, &str, &str),
    (most, least): (u32, u32),
    (width, height): (u32, u32),
) -> Fitted {
    let (most_px, least_px) = (painter.px(most), painter.px(least.min(most)));
    let tiny_px = painter.px(theme::LEAST_TEXT);
    let fonts = &mut painter.tools.fonts;
    let bold = |size_px| Style { weight: Weight::Bold, size_px };
    let join = |name: &str| match (before, name) {
        ("", "") => marking.to_owned(),
        ("", _) => format!("{name}  ·  {marking}"),
        _ if marking.is_empty() => format!("{before}  ·  {name}"),
        _ => format!("{before}  {name}  ·  {marking}"),
    };
    let full = join(name);
    let lines = |lines: Vec<String>, style, fonts: &mut Fonts| {
        let widths = lines.iter().map(|line| fonts.width(line, style));
        let width = widths.max().unwrap_or(0);
        Fitted { lines, style, width }
    };
    for size_px in (least_px..=most_px).rev() {
        if fonts.width(&full, bold(size_px)) <= width {
            return lines(vec![full], bold(size_px), fonts);
        }
    }
    for size_px in (tiny_px..=least_px.max(tiny_px)).rev() {
        if size_px.saturating_mul(5) / 2 > height {
            continue;
        }
        // Between name and marking if both fit, else where the halves are most alike.
        let parted = full.split_once("  ·  ").map(|(a, b)| (a.to_owned(), b.to_owned()));
        let parted = parted.filter(|(first, second)| {
            fonts.width(first, bold(size_px)).max(fonts.width(second, bold(size_px))) <= width
        });
        let broken = parted.or_else(|| fonts.break_in_two(&full, bold(size_px), width));
        if let Some((first, second)) = broken {
            return lines(vec![first, second], bold(size_px), fonts);
        }
    }
    let style = bold(tiny_px);
    for keep in (0..=name.chars().count()).rev() {
        let short: String = name.chars().take(keep).chain(['…']).collect();
        let text = if keep == 0 { marking.to_owned() } else { join(&short) };
        if fonts.width(&text, style) <= width {
            return lines(vec![text], style, fonts);
        }
    }
    let level = marking.split('/').next().unwrap_or(marking);
    let text = fonts.elide(&format!("{level}…"), style, width);
    lines(vec![text], style, fonts)
}

/// Draws fitted words into `rect` and notes them as one text.
pub(crate) fn words(
    painter: &mut Painter,
    rect: Rect,
    align: Align,
    fitted: &Fitted,
    color: u32,
) -> Rect {
    let count = u32::try_from(fitted.lines.len()).unwrap_or(1).max(1);
    let step = if count == 1 { 0 } else { fitted.style.size_px.saturating_mul(6) / 5 };
    let lift = step.saturating_mul(count.saturating_sub(1)) / 2;
    let mut whole = Rect::default();
    for (index, line) in (0u32..).zip(&fitted.lines) {
        let height = rect.height.saturating_sub(lift.saturating_mul(2));
        let y = rect.y.saturating_add(step.saturating_mul(index));
        let place = Rect { y, height, ..rect };
        whole = whole.union(painter.draw_line(place, align, line, fitted.style, color));
    }
    let glue = if fitted.lines.first().is_some_and(|line| line.ends_with('/')) { "" } else { " " };
    painter.note(whole, &fitted.lines.join(glue));
    whole
}

/// Sizes of a strip's text in units: wanted, and least on one line.
pub(crate) const STRIP_TEXT: (u32, u32) = (15, 11);

/// A banner or plate: fills `rect` with the label.
pub(crate) fn strip(painter: &mut Painter, rect: Rect, name: &str, label: Option<&Label>) {
    let (appearance, marking) = look(label);
    painter.fill(rect, appearance.color.to_u32());
    let badge = badge_px(rect.height);
    let aside = badge.saturating_mul(2).saturating_add(painter.px(6));
    let room = rect.width.saturating_sub(aside.saturating_mul(2));
    // A little smaller rather than without its pattern.
    let ends_px = painter.px(pattern_units(appearance.pattern));
    let spare = room.saturating_sub(ends_px.saturating_mul(2));
    let mut fitted = fit(painter, ("", name, marking), STRIP_TEXT, (spare, rect.height));
    if fitted.lines.len() > 1 || fitted.width > spare || spare == 0 {
        fitted = fit(painter, ("", name, marking), STRIP_TEXT, (room, rect.height));
    }
    let middle = words(painter, rect, Align::Centre, &fitted, appearance.text_color.to_u32());
    let flat = badges(painter, rect, middle, &appearance);
    ends(painter, rect, flat, &appearance);
}

/// Side of a badge in a strip of this height.
pub(crate) fn badge_px(height: u32) -> u32 {
    height.min(height.saturating_add(40) / 2).saturating_mul(11) / 20
}

/// Draws the shape at both sides of `middle`; returns the rectangle around all three.
pub(crate) fn badges(
    painter: &mut Painter,
    rect: Rect,
    middle: Rect,
    appearance: &Appearance,
) -> Rect {
    let side = badge_px(rect.height);
    let gap = side.saturating_mul(3) / 4;
    let y = rect.y.saturating_add(rect.height.saturating_sub(side) / 2);
    let left = middle.x.saturating_sub(gap).saturating_sub(side);
    let right = middle.right().saturating_add(gap);
    for x in [left, right] {
        let place = Rect::new(x, y, side, side);
        if rect.covers(place) {
            shape(painter, place, appearance.shape, appearance.text_color.to_u32());
        }
    }
    let margin = painter.px(8);
    let x = left.saturating_sub(margin);
    let end = right.saturating_add(side).saturating_add(margin);
    Rect::new(x, rect.y, end.saturating_sub(x), rect.height)
}

/// Fills both ends of `rect` with the pattern, mirrored, at most a fifth of it each and never
/// over `flat`.
pub(crate) fn ends(painter: &mut Painter, rect: Rect, flat: Rect, appearance: &Appearance) {
    let most = rect.width / 5;
    let left = flat.x.saturating_sub(rect.x).min(most);
    let right = rect.right().saturating_sub(flat.right()).min(most);
    let color = appearance.pattern_color.to_u32();
    // Whole periods only, so that the pattern does not end in the middle of a figure.
    let period = painter.px(pattern_units(appearance.pattern));
    let whole = |length: u32| length.saturating_sub(length.checked_rem(period).unwrap_or(0));
    let (left, right) = (whole(left), whole(right));
    let unit = painter.px(100) as f32 / 100.0;
    let distance = pattern(appearance.pattern, unit, rect.height as f32, period as f32);
    painter.shade(Rect { width: left, ..rect }, color, &distance);
    let x = rect.right().saturating_sub(right);
    let mirrored = |x: f32, y: f32| distance(right as f32 - x, y);
    painter.shade(Rect { x, width: right, ..rect }, color, mirrored);
}

/// Length after which a pattern repeats, in units.
fn pattern_units(pattern: Pattern) -> u32 {
    match pattern {
        Pattern::Chevrons | Pattern::Waves => 24,
        Pattern::Diagonals => 16,
        Pattern::Bars | Pattern::Checks => 14,
        Pattern::Plain | Pattern::Dots | Pattern::Grid => 12,
    }
}

/// The distance function of a pattern: pixels to its edge, negative inside.
fn pattern(pattern: Pattern, unit: f32, height: f32, period: f32) -> Box<dyn Fn(f32, f32) -> f32> {
    // Distance to the middle of the nearest stripe, stripes being `period` apart.
    let stripe = move |at: f32| ((at / period).rem_euclid(1.0) - 0.5).abs() * period;
    let half = height / 2.0;
    match pattern {
        Pattern::Plain => Box::new(|_, _| f32::MAX),
        Pattern::Bars => Box::new(move |x, _| stripe(x) - 3.0 * unit),
        Pattern::Chevrons => Box::new(move |x, y| {
            let slanted = x + (y - half).abs() * 0.8;
            (stripe(slanted) - 5.0 * unit) / 1.28
        }),
        Pattern::Dots => {
            Box::new(move |x, y| stripe(x).hypot(stripe(y - half + period / 2.0)) - 3.2 * unit)
        }
        Pattern::Checks => Box::new(move |x, y| {
            let across = period / 4.0 - stripe(x);
            let down = period / 4.0 - stripe(y - half + period / 4.0);
            let sign = if (across > 0.0) == (down > 0.0) { -1.0 } else { 1.0 };
            across.abs().min(down.abs()) * sign
        }),
        Pattern::Diagonals => Box::new(move |x, y| (stripe(x + y - half) - 4.0 * unit) * 0.707),
        Pattern::Waves => Box::new(move |x, y| {
            let wave = (x / period * TAU).sin() * 2.6 * unit;
            let apart = 9.0 * unit;
            let place = (y - half + wave) / apart;
            ((place.rem_euclid(1.0) - 0.5).abs() * apart - 1.9 * unit) * 0.85
        }),
        Pattern::Grid => {
            Box::new(move |x, y| stripe(x).min(stripe(y - half + period / 2.0)) - 1.0 * unit)
        }
    }
}

/// Draws a shape into a square.
fn shape(painter: &mut Painter, rect: Rect, shape: Shape, color: u32) {
    let side = rect.width as f32;
    let (centre, radius) = (side / 2.0, side / 2.0);
    let circle = move |x: f32, y: f32| (x - centre).hypot(y - centre);
    let placed = |corners: &[(f32, f32)]| -> Vec<(f32, f32)> {
        corners.iter().map(|(x, y)| (centre + x * radius, centre + y * radius)).collect()
    };
    let drawn = |painter: &mut Painter, corners: &[(f32, f32)]| {
        let corners = placed(corners);
        painter.shade(rect, color, |x, y| polygon(&corners, x, y));
    };
    match shape {
        Shape::Square => drawn(painter, &boxed(0.88, 0.88)),
        Shape::Bar => drawn(painter, &boxed(1.0, 0.36)),
        Shape::Ring => {
            painter.shade(rect, color, |x, y| (circle(x, y) - radius * 0.74).abs() - radius * 0.24)
        }
        Shape::Disc => painter.shade(rect, color, |x, y| circle(x, y) - radius * 0.96),
        Shape::Triangle => drawn(painter, &[(0.0, -0.94), (1.0, 0.86), (-1.0, 0.86)]),
        Shape::Diamond => drawn(painter, &[(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]),
        Shape::Cross => {
            let (across, down) = (placed(&boxed(0.96, 0.32)), placed(&boxed(0.32, 0.96)));
            painter.shade(rect, color, |x, y| polygon(&across, x, y).min(polygon(&down, x, y)));
        }
        Shape::Star => {
            let corner = |index: u8| {
                let reach = if index.is_multiple_of(2) { 1.06 } else { 0.46 };
                let (sin, cos) = (TAU * f32::from(index) / 10.0).sin_cos();
                (sin * reach, 0.08 - cos * reach)
            };
            let corners: Vec<(f32, f32)> = (0..10).map(corner).collect();
            drawn(painter, &corners);
        }
    }
}

fn boxed(x: f32, y: f32) -> [(f32, f32); 4] {
    [(-x, -y), (x, -y), (x, y), (-x, y)]
}

/// Tabard's own hatch: thin slanted stripes along a whole edge, which no label has.
pub(crate) fn hatch(painter: &mut Painter, rect: Rect, ground: u32, stripe: u32) {
    painter.fill(rect, ground);
    let period = painter.px(10) as f32;
    painter.shade(rect, stripe, |x, y| {
        (((x + y) / period).rem_euclid(1.0) - 0.5).abs() * period * 0.707 - period * 0.177
    });
}
