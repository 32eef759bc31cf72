//! The pieces of the trusted screen, and what Tabard says in place of a guest's pixels.

use tabard_labels::LabelSet;
use tabard_view::{Hint, Rect, Scale, TrustedRow};

use crate::art;
use crate::font::{Style, Weight};
use crate::paint::{Align, Painter};
use crate::theme;

/// Size of ordinary text, in units.
const PLAIN_TEXT: u32 = 16;
/// Height of a line of hints, in units.
pub(crate) const HINT_UNITS: u32 = 36;
/// Height of an entry of the help table, in units.
const HELP_UNITS: u32 = 42;
/// Narrower than this many units, a row stacks state and remark.
const NARROW_UNITS: u32 = 860;
/// Below this width the keys of the help stand in one column, in units.
const NARROW_HELP_UNITS: u32 = 600;

/// One guest: key, name, label, state, remark.
pub(crate) fn row(painter: &mut Painter, row: &TrustedRow, labels: &LabelSet) {
    let rect = painter.frame.size.rect();
    let radius = painter.px(7);
    let ring = painter.px(3);
    if row.selected {
        painter.rounded(rect, radius, theme::RING);
        painter.rounded(rect.inset(ring), radius.saturating_sub(ring), theme::PANEL_SELECTED);
    } else {
        painter.rounded(rect, radius, theme::PANEL);
    }
    let pad = painter.px(18);
    let inner = rect.middle(rect.width.saturating_sub(pad.saturating_mul(2)), rect.height);
    let cap_width = painter.px(34);
    if !row.key.is_empty() {
        let cap = Rect { width: cap_width, ..inner }.middle(cap_width, painter.px(34));
        key_cap(painter, cap, &row.key, theme::SMALL_TEXT + 4);
    }
    // Columns are shares of the row, so that all rows have the same.
    let narrow = rect.width < painter.px(NARROW_UNITS);
    let (plate_at, plate_end, state_end) = if narrow { (30, 72, 100) } else { (25, 57, 74) };
    let part = |percent: u32| pad.saturating_add(inner.width.saturating_mul(percent) / 100);
    let gap = painter.px(16);
    let column = |from: u32, to: u32| Rect { x: from, width: to.saturating_sub(from), ..rect };

    let name_at = pad.saturating_add(cap_width).saturating_add(gap.saturating_mul(5) / 4);
    let ink = if row.live { theme::TEXT } else { theme::TEXT_DIM };
    let place = column(name_at, part(plate_at).saturating_sub(gap));
    // Smaller and then in two lines if it is long.
    let name = art::fit(painter, ("", "", &row.name), (20, 14), (place.width, place.height));
    art::words(painter, place, Align::Left, &name, ink);

    let place = column(part(plate_at), part(plate_end));
    let plate = place.middle(place.width, painter.px(36));
    art::strip(painter, plate, "", labels.get(row.label));

    let state = column(part(plate_end).saturating_add(gap.saturating_mul(2)), part(state_end));
    let remark = if narrow { state } else { column(part(state_end), inner.right()) };
    let (state, remark, align) = if narrow && !row.remark.is_empty() {
        let half = Rect { height: rect.height / 2, ..state };
        let lift = painter.px(5);
        (half.moved(0, lift), half.moved(0, half.height.saturating_sub(lift)), Align::Left)
    } else {
        (state, remark, Align::Right)
    };
    let face = (Weight::Regular, PLAIN_TEXT, 11);
    painter.fitted(state, Align::Left, &row.state, face, ink);
    painter.fitted(remark, align, &row.remark, face, theme::ACCENT);
}

/// A key as it looks on a keyboard.
fn key_cap(painter: &mut Painter, rect: Rect, key: &str, size: u32) {
    let radius = painter.px(5);
    painter.rounded(rect, radius, theme::KEYCAP_EDGE);
    let (top, _) = rect.cut_bottom(painter.px(3));
    painter.rounded(top, radius, theme::KEYCAP);
    let room = top.middle(rect.width.saturating_sub(painter.px(3).saturating_mul(2)), top.height);
    painter.fitted(room, Align::Centre, key, (Weight::Bold, size, 9), theme::TEXT);
}

/// Width of the cap that a key needs.
fn cap_width(painter: &mut Painter, key: &str) -> u32 {
    let style = Style { weight: Weight::Bold, size_px: painter.px(theme::SMALL_TEXT) };
    let text = painter.tools.fonts.width(key, style);
    text.saturating_add(painter.px(16)).max(painter.px(28))
}

/// Keys and what they do, from left to right, as many lines as fit.
pub(crate) fn hints(painter: &mut Painter, hints: &[Hint]) {
    let whole = painter.frame.size.rect();
    let (line, cap) = (painter.px(HINT_UNITS), painter.px(27));
    let style = Style { weight: Weight::Regular, size_px: painter.px(theme::SMALL_TEXT + 1) };
    let (mut x, mut y) = (0u32, 0u32);
    for hint in hints {
        let wide = cap_width(painter, &hint.key);
        let text = painter.tools.fonts.width(&hint.text, style);
        let total = wide.saturating_add(painter.px(8)).saturating_add(text);
        if x > 0 && x.saturating_add(total) > whole.width {
            (x, y) = (0, y.saturating_add(line));
        }
        if y.saturating_add(cap) > whole.height {
            return;
        }
        key_cap(painter, Rect::new(x, y, wide, cap), &hint.key, theme::SMALL_TEXT);
        let after = x.saturating_add(wide).saturating_add(painter.px(8));
        let room = whole.width.saturating_sub(after);
        let shown = painter.tools.fonts.elide(&hint.text, style, room);
        let place = Rect::new(after, y, room, cap.saturating_sub(painter.px(3)));
        painter.text(place, Align::Left, &shown, style, theme::TEXT_DIM);
        x = x.saturating_add(total).saturating_add(painter.px(24));
    }
}

/// Columns and rows of a help table of so many keys on a screen of this width.
fn help_grid(scale: Scale, width: u32, count: usize) -> (u32, u32) {
    let columns = if width < scale.px(NARROW_HELP_UNITS) { 1 } else { 2 };
    (columns, u32::try_from(count).unwrap_or(u32::MAX).div_ceil(columns).max(1))
}

/// The height that a help table would like to have, in pixels.
pub(crate) fn help_height(scale: Scale, width: u32, count: usize) -> u32 {
    scale.px(HELP_UNITS).saturating_mul(help_grid(scale, width, count).1)
}

/// Every key and what it does, in two columns, or one where the screen is narrow.
pub(crate) fn help(painter: &mut Painter, hints: &[Hint]) {
    let whole = painter.frame.size.rect();
    let (columns, rows) = help_grid(painter.scale, whole.width, hints.len());
    let gap = painter.px(40);
    let gaps = gap.saturating_mul(columns.saturating_sub(1));
    let wide = whole.width.saturating_sub(gaps).checked_div(columns).unwrap_or(0);
    let line = painter.px(HELP_UNITS).min(whole.height.checked_div(rows).unwrap_or(0));
    let cap_height = painter.px(28).min(line.saturating_sub(painter.px(2)));
    let per_column = usize::try_from(rows).unwrap_or(1).max(1);
    // All texts at one size: the largest at which the longest fits.
    let mut size_px = painter.px(PLAIN_TEXT);
    let mut places = Vec::new();
    for (column, hints) in (0u32..).zip(hints.chunks(per_column)) {
        let x = wide.saturating_add(gap).saturating_mul(column);
        let widest = hints.iter().map(|hint| cap_width(painter, &hint.key)).max().unwrap_or(0);
        let caps = widest.min(wide / 2);
        let text_x = x.saturating_add(caps).saturating_add(painter.px(16));
        let room = x.saturating_add(wide).saturating_sub(text_x);
        let sizes = (size_px, painter.px(10));
        for (row, hint) in (0u32..).zip(hints) {
            let y = line.saturating_mul(row);
            let cap = Rect::new(x, y, cap_width(painter, &hint.key).min(caps), cap_height);
            let text = Rect::new(text_x, y, room, cap_height.saturating_sub(painter.px(3)));
            let fonts = &mut painter.tools.fonts;
            let (_, style) = fonts.shrink(&hint.text, Weight::Regular, sizes, room);
            size_px = size_px.min(style.size_px);
            places.push((hint, cap, text));
        }
    }
    let style = Style { weight: Weight::Regular, size_px };
    for (hint, cap, place) in places {
        key_cap(painter, cap, &hint.key, theme::SMALL_TEXT);
        let text = painter.tools.fonts.elide(&hint.text, style, place.width);
        painter.text(place, Align::Left, &text, style, theme::TEXT);
    }
}

/// What Tabard says where a guest has nothing to show.
pub(crate) fn words(painter: &mut Painter, title: &str, detail: &str) {
    let whole = painter.frame.size.rect();
    let pad = painter.px(12);
    let room = whole.middle(whole.width.saturating_sub(pad.saturating_mul(2)), whole.height);
    let (above, below) = room.cut_top(whole.height.saturating_mul(3) / 5);
    painter.fitted(above, Align::Centre, title, (Weight::Bold, 26, 12), theme::TEXT);
    painter.fitted(below, Align::Centre, detail, (Weight::Regular, 15, 9), theme::TEXT_DIM);
}

/// A word on a plate over a dimmed picture.
pub(crate) fn plate(painter: &mut Painter, title: &str) {
    let whole = painter.frame.size.rect();
    let edge = painter.px(6);
    art::hatch(painter, whole, theme::PANEL, theme::HATCH);
    let inside = whole.inset(edge);
    painter.fill(inside, theme::PANEL);
    let room = inside.middle(inside.width.saturating_sub(painter.px(16)), inside.height);
    painter.fitted(room, Align::Centre, title, (Weight::Bold, 22, 11), theme::TEXT);
}
