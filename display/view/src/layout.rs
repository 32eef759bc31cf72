//! Where everything goes: pure geometry from the size and scale of a screen. The size that a
//! guest is told is what is left after bar, banners and border, so no guest pixel can lie
//! outside its content rectangle (invariant 6).

use crate::{Rect, Scale, Size, WindowFrame};

/// Height of the trusted bar, in units.
const BAR_UNITS: u32 = 44;
/// Height of a window's banner on the desk, in units.
const BANNER_UNITS: u32 = 28;
/// Height of the bottom banner in solo, in units.
const SOLO_BANNER_UNITS: u32 = 32;
/// Width of a window's border in label colour, in units.
const BORDER_UNITS: u32 = 4;
/// Width of the ring around the focused window, in units; kept free on the others.
const RING_UNITS: u32 = 3;
/// Space between windows, in units.
const GAP_UNITS: u32 = 10;
/// Left and right margin of the trusted screen, in units.
const TRUSTED_MARGIN_UNITS: u32 = 90;
/// Space from the bar to the first row of the trusted screen, in units.
const TRUSTED_TITLE_UNITS: u32 = 112;
/// Height of a row of the trusted screen, in units.
const ROW_UNITS: u32 = 62;
/// Space between rows, in units.
const ROW_GAP_UNITS: u32 = 12;
/// Space kept below the rows for hints and footer, in units.
const TRUSTED_FOOT_UNITS: u32 = 150;

/// The trusted bar, and what is left below it.
#[must_use]
pub fn bar(size: Size, scale: Scale) -> (Rect, Rect) {
    size.rect().cut_top(scale.px(BAR_UNITS))
}

/// One guest fills the screen: the bar is its upper banner, one banner stands below.
#[must_use]
pub fn solo(size: Size, scale: Scale) -> WindowFrame {
    let (_, area) = bar(size, scale);
    let (content, bottom) = area.cut_bottom(scale.px(SOLO_BANNER_UNITS));
    let top = Rect { height: 0, ..area };
    WindowFrame { outer: area, border: area, top, content, bottom }
}

/// `count` windows side by side, in the order of the desk file, rows first.
#[must_use]
pub fn desk(size: Size, scale: Scale, count: usize) -> Vec<WindowFrame> {
    let (_, area) = bar(size, scale);
    let count = u32::try_from(count).unwrap_or(u32::MAX).min(256);
    if count == 0 {
        return Vec::new();
    }
    let (columns, rows) = grid(area.size(), count);
    let gap = scale.px(GAP_UNITS);
    let area = area.inset(gap);
    (0..count)
        .map(|index| {
            let column = index.checked_rem(columns).unwrap_or(0);
            let row = index.checked_div(columns).unwrap_or(0);
            let (x, width) = share(area.width, gap, columns, column);
            let (y, height) = share(area.height, gap, rows, row);
            frame(Rect::new(x, y, width, height).moved(area.x, area.y), scale)
        })
        .collect()
}

/// Columns and rows: the grid whose cells come nearest to the shape of a common screen (16:10).
fn grid(area: Size, count: u32) -> (u32, u32) {
    let badness = |&(columns, rows): &(u32, u32)| {
        let width = u64::from(area.width.checked_div(columns).unwrap_or(0));
        let height = u64::from(area.height.checked_div(rows).unwrap_or(0));
        // Distance from 16:10, plus the empty cells, so that a full grid wins a tie.
        let shape = width.saturating_mul(10).abs_diff(height.saturating_mul(16));
        let empty = u64::from(columns.saturating_mul(rows).saturating_sub(count));
        shape.saturating_add(empty)
    };
    let grids = (1..=count).map(|columns| (columns, count.div_ceil(columns)));
    grids.min_by_key(badness).unwrap_or((1, 1))
}

/// The start and length of part `index` of `count` parts of `length` with gaps between.
fn share(length: u32, gap: u32, count: u32, index: u32) -> (u32, u32) {
    let gaps = gap.saturating_mul(count.saturating_sub(1));
    let each = length.saturating_sub(gaps).checked_div(count).unwrap_or(0);
    (each.saturating_add(gap).saturating_mul(index), each)
}

fn frame(outer: Rect, scale: Scale) -> WindowFrame {
    let border = outer.inset(scale.px(RING_UNITS));
    let banner = scale.px(BANNER_UNITS);
    let (top, rest) = border.cut_top(banner);
    let (middle, bottom) = rest.cut_bottom(banner);
    let edge = scale.px(BORDER_UNITS);
    let width = middle.width.saturating_sub(edge.saturating_mul(2));
    let content = Rect { width, ..middle }.moved(edge, 0);
    WindowFrame { outer, border, top, content, bottom }
}

/// How many rows of the trusted screen fit, at least 1.
#[must_use]
pub fn trusted_rows_that_fit(size: Size, scale: Scale) -> usize {
    let (_, area) = bar(size, scale);
    let used = scale.px(TRUSTED_TITLE_UNITS).saturating_add(scale.px(TRUSTED_FOOT_UNITS));
    let each = scale.px(ROW_UNITS).saturating_add(scale.px(ROW_GAP_UNITS));
    let rows = area.height.saturating_sub(used).checked_div(each).unwrap_or(1).max(1);
    usize::try_from(rows).unwrap_or(1)
}

/// The rectangle of row `index` (from 0, the first that is shown).
#[must_use]
pub fn trusted_row(size: Size, scale: Scale, index: usize) -> Rect {
    let (_, area) = bar(size, scale);
    // A narrow screen gives its margins up before it gives up the rows.
    let margin = scale.px(TRUSTED_MARGIN_UNITS).min(area.width / 14);
    let each = scale.px(ROW_UNITS).saturating_add(scale.px(ROW_GAP_UNITS));
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let y = scale.px(TRUSTED_TITLE_UNITS).saturating_add(each.saturating_mul(index));
    let width = area.width.saturating_sub(margin.saturating_mul(2));
    Rect::new(margin, y, width, scale.px(ROW_UNITS)).moved(0, area.y)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size { width: 1280, height: 800 };

    #[test]
    fn desk_windows_never_overlap_and_stay_below_the_bar() {
        for count in 1..20 {
            let frames = desk(HD, Scale::ONE, count);
            let (bar, _) = bar(HD, Scale::ONE);
            for (index, one) in frames.iter().enumerate() {
                assert!(HD.rect().covers(one.outer));
                assert!(one.outer.intersect(bar).is_empty());
                for two in &frames[index + 1..] {
                    assert!(one.outer.intersect(two.outer).is_empty());
                }
            }
        }
    }

    #[test]
    fn parts_of_a_window_lie_inside_it_and_apart() {
        for frame in desk(HD, Scale::ONE, 3).into_iter().chain([solo(HD, Scale::ONE)]) {
            assert!(frame.border.covers(frame.content) && frame.outer.covers(frame.border));
            assert!(frame.top.intersect(frame.content).is_empty());
            assert!(frame.bottom.intersect(frame.content).is_empty());
        }
    }

    #[test]
    fn three_guests_stand_in_two_columns() {
        let frames = desk(HD, Scale::ONE, 3);
        assert_eq!(frames[0].outer.y, frames[1].outer.y);
        assert!(frames[2].outer.y > frames[0].outer.bottom());
    }
}
