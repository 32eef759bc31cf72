//! What the bar, a banner and Tabard's own words look like, pixel for pixel, for a view and a
//! table of labels.

use tabard_labels::{Appearance, Label, LabelSet};
use tabard_view::{Bar, BarKind, Rect, Size};

use super::figures::{self, period_units};
use super::setter::{Align, Setter};
use super::sheet::Sheet;
use crate::font::{Style, Weight};

/// Behind everything.
pub(super) const BACKGROUND: u32 = 0x0010_1215;
/// The ring around the window that receives input.
pub(super) const RING: u32 = 0x00ff_ffff;
/// Behind Tabard's words.
pub(super) const PANEL: u32 = 0x001b_1e24;
pub(super) const HATCH: u32 = 0x006b_7280;
pub(super) const TEXT: u32 = 0x00f3_f5f7;
pub(super) const TEXT_DIM: u32 = 0x00a3_a9b4;
const LIGHT: u32 = 0x00f6_f7f9;
pub(super) const INK: u32 = 0x0012_1418;
const INK_DIM: u32 = 0x0050_5661;
const NEUTRAL: u32 = 0x004d_535e;

/// Sizes of the words of bars and banners, in units: wanted, and least on one line.
const BAR_TEXT: (u32, u32) = (20, 11);
const BANNER_TEXT: (u32, u32) = (15, 11);

/// A banner in `rect`; `None` if the label is not in the table.
pub(super) fn banner(
    setter: &mut Setter,
    sheet: &mut Sheet,
    rect: Rect,
    name: &str,
    label: Option<&Label>,
) -> Option<()> {
    let Label { appearance, text, .. } = label?;
    sheet.fill(rect, appearance.color.to_u32());
    let aside = badge_side(rect.height).saturating_mul(2).saturating_add(setter.px(6));
    let room = rect.width.saturating_sub(aside.saturating_mul(2));
    let period = setter.px(period_units(appearance.pattern));
    let spare = room.saturating_sub(period.saturating_mul(2));
    let mut lines = setter.words(("", name, text), BANNER_TEXT, (spare, rect.height));
    if spare == 0 || lines.lines.len() > 1 || lines.width > spare {
        lines = setter.words(("", name, text), BANNER_TEXT, (room, rect.height));
    }
    let ink = appearance.text_color.to_u32();
    let columns = setter.lines(sheet, rect, Align::Centre, &lines, ink);
    ornaments(setter, sheet, (rect, rect), columns, appearance);
    Some(())
}

/// The trusted bar; `None` if its label is not in the table.
pub(super) fn bar(setter: &mut Setter, bar: &Bar, labels: &LabelSet) -> Option<Sheet> {
    let size = bar.rect.size();
    match &bar.kind {
        BarKind::TypingInto { name, label } => {
            let Label { appearance, text, .. } = labels.get(*label)?;
            let ink = appearance.text_color.to_u32();
            let mut sheet = Sheet::new(size, appearance.color.to_u32());
            let whole = sheet.whole();
            let side = badge_side(size.height).saturating_mul(2).saturating_add(setter.px(4));
            let words = ("TYPING INTO", name.as_str(), text.as_str());
            let (free, columns) = message(setter, &mut sheet, whole, bar, words, (ink, ink), side);
            ornaments(setter, &mut sheet, (free, whole), columns, appearance);
            Some(sheet)
        }
        BarKind::Trusted { message: said } => {
            let mut sheet = Sheet::new(size, LIGHT);
            let (rest, edge) = sheet.whole().cut_bottom(setter.px(5));
            hatch(setter, &mut sheet, edge, INK);
            let words = if said.is_empty() {
                ("", "", "TRUSTED PATH")
            } else {
                ("TRUSTED PATH", said.as_str(), "")
            };
            let side = setter.px(16);
            message(setter, &mut sheet, rest, bar, words, (INK, INK_DIM), side);
            Some(sheet)
        }
        BarKind::Nobody { message: said } => {
            let mut sheet = Sheet::new(size, NEUTRAL);
            let (whole, side) = (sheet.whole(), setter.px(16));
            message(setter, &mut sheet, whole, bar, ("", "", said), (TEXT, TEXT), side);
            Some(sheet)
        }
    }
}

/// Message, small texts and notice of a bar. Returns what is left to the message, and the columns
/// that it takes of it.
fn message(
    setter: &mut Setter,
    sheet: &mut Sheet,
    rect: Rect,
    bar: &Bar,
    words: (&str, &str, &str),
    (ink, small_ink): (u32, u32),
    side: u32,
) -> (Rect, Rect) {
    let small = Style { weight: Weight::Regular, size_px: setter.px(14) };
    let bold = Style { weight: Weight::Bold, ..small };
    let pad = setter.px(14);
    let mut wanted = |text: &str, style, pads: u32| match setter.width(text, style) {
        0 => 0,
        width => width.saturating_add(pad.saturating_mul(pads)),
    };
    let left = wanted(&bar.left, small, 2);
    let right = wanted(&bar.right, small, 2);
    let notice = wanted(&bar.notice, bold, 4);
    let short_notice = notice.saturating_mul(2) / 3;
    // The message gives way to nobody: the left text goes first, then the right one, and the
    // notice is shortened before the message becomes hard to read.
    let ways = [[left, right, notice], [0, right, notice], [0, 0, notice], [0, 0, short_notice]];
    let room = |way: &[u32; 3]| {
        let taken = way.iter().fold(side.saturating_mul(2), |sum, one| sum.saturating_add(*one));
        rect.width.saturating_sub(taken)
    };
    let comfort = Style { weight: Weight::Bold, size_px: setter.px(BAR_TEXT.0) };
    let full = setter.width(&[words.0, words.1, words.2].join("  ·  "), comfort);
    let steps = [(75u32, 3), (58, 4), (34, 4)].into_iter().flat_map(|(percent, count)| {
        let least = full.saturating_mul(percent) / 100;
        ways.into_iter().take(count).map(move |way| (way, least))
    });
    let way = { steps }.find(|(way, least)| room(way) >= *least).map_or([0; 3], |(way, _)| way);
    let [left, right, notice] = way;

    let lines = setter.words(words, BAR_TEXT, (room(&way), rect.height));
    let width = lines.width.saturating_add(side.saturating_mul(2));
    let last = rect.width.saturating_sub(right).saturating_sub(notice).saturating_sub(width);
    let x = (rect.width.saturating_sub(width) / 2).min(last).max(left);
    let place = Rect { x: rect.x.saturating_add(x), width, ..rect };
    let columns = setter.lines(sheet, place, Align::Centre, &lines, ink);

    let right_x = rect.right().saturating_sub(right);
    if left > 0 {
        let place = Rect { width: left, ..rect };
        setter.line(sheet, place, Align::Centre, &bar.left, small, small_ink);
    }
    if right > 0 {
        let place = Rect { x: right_x, width: right, ..rect };
        setter.line(sheet, place, Align::Centre, &bar.right, small, small_ink);
    }
    let start = rect.x.saturating_add(left);
    let mut end = right_x;
    if notice > 0 {
        let width = notice.saturating_sub(pad.saturating_mul(2));
        let beside = if right == 0 { pad } else { 0 };
        let x = right_x.saturating_sub(width).saturating_sub(beside);
        let height = rect.height.saturating_sub(setter.px(9).saturating_mul(2));
        let plate = Rect { x, width, ..rect }.middle(width, height);
        rounded(sheet, plate, setter.px(4), INK);
        let radius = setter.px(4).saturating_sub(setter.px(1));
        rounded(sheet, plate.inset(setter.px(1)), radius, LIGHT);
        let room = plate.inset(setter.px(8));
        let text = setter.cut(&bar.notice, bold, room.width);
        let place = Rect { x: room.x, width: room.width, ..plate };
        setter.line(sheet, place, Align::Centre, &text, bold, INK);
        end = x.saturating_sub(pad);
    }
    (Rect { x: start, width: end.saturating_sub(start), ..rect }, columns)
}

/// Two badges beside what is said, and the pattern at both ends of `rect`, which is in `whole`.
fn ornaments(
    setter: &Setter,
    sheet: &mut Sheet,
    (rect, whole): (Rect, Rect),
    columns: Rect,
    appearance: &Appearance,
) {
    let side = badge_side(rect.height);
    let gap = side.saturating_mul(3) / 4;
    let y = rect.y.saturating_add(rect.height.saturating_sub(side) / 2);
    let left = columns.x.saturating_sub(gap).saturating_sub(side);
    let right = columns.right().saturating_add(gap);
    let half = side as f32 / 2.0;
    for x in [left, right] {
        let place = Rect::new(x, y, side, side);
        // The bar's badges may stand beside its small texts, never outside of it.
        if whole.covers(place) {
            let ink = appearance.text_color.to_u32();
            sheet.figure(place, ink, |x, y| {
                figures::shape(appearance.shape, ((x - half) / half, (y - half) / half)) * half
            });
        }
    }
    let margin = setter.px(8);
    let flat_end = right.saturating_add(side).saturating_add(margin);
    let unit = setter.px(100) as f32 / 100.0;
    let period_px = setter.px(period_units(appearance.pattern));
    let length = |free: u32| {
        let free = free.min(rect.width / 5);
        free.checked_div(period_px).unwrap_or(0).saturating_mul(period_px)
    };
    let (period, middle) = (period_px as f32, rect.height as f32 / 2.0);
    let color = appearance.pattern_color.to_u32();
    let before = length(left.saturating_sub(margin).saturating_sub(rect.x));
    sheet.figure(Rect { width: before, ..rect }, color, |x, y| {
        figures::pattern(appearance.pattern, unit, period, (x, y - middle))
    });
    let after = length(rect.right().saturating_sub(flat_end));
    let place = Rect { x: rect.right().saturating_sub(after), width: after, ..rect };
    sheet.figure(place, color, |x, y| {
        figures::pattern(appearance.pattern, unit, period, (after as f32 - x, y - middle))
    });
}

/// Side of a badge in a strip of this height, in pixels.
fn badge_side(height: u32) -> u32 {
    height.min(height.saturating_add(40) / 2).saturating_mul(11) / 20
}

/// A rectangle with round corners.
pub(super) fn rounded(sheet: &mut Sheet, rect: Rect, radius_px: u32, color: u32) {
    let sides = (rect.width as f32, rect.height as f32);
    // Only at the ends is there anything to compute.
    let width = rect.width.saturating_sub(radius_px.saturating_mul(2));
    sheet.fill(rect.middle(width, rect.height), color);
    let end = rect.width.saturating_sub(width).div_ceil(2);
    for x in [0, rect.width.saturating_sub(end)] {
        let place = Rect { x: rect.x.saturating_add(x), width: end, ..rect };
        sheet.figure(place, color, |right, y| {
            figures::rounded(sides, radius_px as f32, (x as f32 + right, y))
        });
    }
}

/// Tabard's hatch over a whole edge.
fn hatch(setter: &Setter, sheet: &mut Sheet, rect: Rect, color: u32) {
    let period = setter.px(10) as f32;
    sheet.figure(rect, color, |x, y| figures::hatch(period, (x, y)));
}

/// An edge of the panel that stands in place of a guest's pixels.
pub(super) fn panel_edge(setter: &Setter, size: Size) -> Sheet {
    let mut sheet = Sheet::new(size, PANEL);
    let whole = sheet.whole();
    hatch(setter, &mut sheet, whole, HATCH);
    sheet
}

/// The words on that panel.
pub(super) fn panel_words(setter: &mut Setter, size: Size, title: &str, detail: &str) -> Sheet {
    let mut sheet = Sheet::new(size, PANEL);
    let width = size.width.saturating_sub(setter.px(12).saturating_mul(2));
    let room = sheet.whole().middle(width, size.height);
    let (above, below) = room.cut_top(size.height.saturating_mul(3) / 5);
    setter.fitted(&mut sheet, above, Align::Centre, title, (Weight::Bold, 26, 12), TEXT);
    setter.fitted(&mut sheet, below, Align::Centre, detail, (Weight::Regular, 15, 9), TEXT_DIM);
    sheet
}
