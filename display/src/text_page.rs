//! A page of a guest's text on the trusted screen: every character in a cell of its own, spaces as
//! dots, and what was put in place of a character on a plate that no guest's text can have.

use tabard_labels::{LabelId, LabelSet};
use tabard_view::{PAGE_COLUMNS, PAGE_LINES, Rect, TextKind, TextLine, TextPage};

use crate::art;
use crate::font::{Style, Weight};
use crate::paint::{Align, Painter};
use crate::theme;

/// Height of the line that says from whom to whom, in units.
const PARTIES_UNITS: u32 = 44;
/// Height of the line below it, in units.
const SUMMARY_UNITS: u32 = 34;
/// Height of the line with page and challenge, in units.
const FOOT_UNITS: u32 = 46;
/// Space around the text, in units.
const PAD_UNITS: u32 = 14;
/// The largest letters of the text, in units.
const MOST_TEXT: u32 = 20;
/// The smallest, in units.
const LEAST_TEXT: u32 = 6;
/// Height of a line of the text, in parts of ten of its letters' size.
const LINE_TENTHS: u32 = 13;

/// Draws the page into the whole frame.
pub(crate) fn draw(painter: &mut Painter, page: &TextPage, labels: &LabelSet) {
    let whole = painter.frame.size.rect();
    let (top, rest) = whole.cut_top(painter.px(PARTIES_UNITS));
    let (summary, rest) = rest.cut_top(painter.px(SUMMARY_UNITS));
    let (panel, foot) = rest.cut_bottom(painter.px(FOOT_UNITS));
    parties(painter, top, page, labels);
    let face = (Weight::Regular, theme::SMALL_TEXT + 1, 10);
    painter.fitted(summary, Align::Left, &page.summary, face, theme::TEXT_DIM);
    text(painter, panel, &page.lines);
    foot_line(painter, foot, page);
}

/// Name and label of the one, and of the other if there is one.
fn parties(painter: &mut Painter, rect: Rect, page: &TextPage, labels: &LabelSet) {
    let gap = painter.px(54);
    let half = rect.width.saturating_sub(gap) / 2;
    party(painter, Rect { width: half, ..rect }, &page.from, labels);
    let Some(to) = &page.to else { return };
    let right = Rect { x: rect.right().saturating_sub(half), width: half, ..rect };
    party(painter, right, to, labels);
    let between = Rect { x: rect.x.saturating_add(half), width: gap, ..rect };
    let style = Style { weight: Weight::Bold, size_px: painter.px(22) };
    painter.text(between, Align::Centre, "to", style, theme::TEXT);
}

fn party(painter: &mut Painter, rect: Rect, (name, label): &(String, LabelId), labels: &LabelSet) {
    art::strip(painter, rect.middle(rect.width, painter.px(36)), name, labels.get(*label));
}

/// The lines, in letters as large as fit.
fn text(painter: &mut Painter, panel: Rect, lines: &[TextLine]) {
    painter.rounded(panel, painter.px(7), theme::PANEL);
    let inside = panel.inset(painter.px(PAD_UNITS));
    let columns = u32::try_from(PAGE_COLUMNS).unwrap_or(1).max(1);
    let rows = u32::try_from(PAGE_LINES).unwrap_or(1).max(1);
    let (most, least) = (painter.px(MOST_TEXT), painter.px(LEAST_TEXT).max(1));
    let cell_of = |painter: &mut Painter, size_px| {
        painter.tools.fonts.width("M", Style { weight: Weight::Mono, size_px }).max(1)
    };
    let line_of = |size_px: u32| size_px.saturating_mul(LINE_TENTHS) / 10;
    let size_px = (least..=most.max(least))
        .rev()
        .find(|&size_px| {
            cell_of(painter, size_px).saturating_mul(columns) <= inside.width
                && line_of(size_px).saturating_mul(rows) <= inside.height
        })
        .unwrap_or(least);
    let style = Style { weight: Weight::Mono, size_px };
    let (cell, height) = (cell_of(painter, size_px), line_of(size_px).max(1));
    let dot = (size_px / 6).max(1);
    for (row, line) in (0u32..).zip(lines) {
        let y = inside.y.saturating_add(height.saturating_mul(row));
        let mut x = inside.x;
        let mut all = String::new();
        for run in &line.0 {
            let count = u32::try_from(run.shown.chars().count()).unwrap_or(0);
            let width = cell.saturating_mul(count);
            let ink = match run.kind {
                TextKind::Plain => theme::TEXT,
                TextKind::Marked => {
                    painter.fill(Rect::new(x, y, width, height), theme::MARKED);
                    theme::TEXT
                }
                TextKind::Break => theme::HATCH,
                TextKind::Warning => {
                    painter.fill(Rect::new(x, y, width, height), theme::ACCENT);
                    theme::INK
                }
            };
            for letter in run.shown.chars() {
                let place = Rect::new(x, y, cell, height);
                let mut bytes = [0; 4];
                painter.draw_line(place, Align::Left, letter.encode_utf8(&mut bytes), style, ink);
                // A space must be as easy to count as a letter, and a zero be no O.
                match letter {
                    ' ' if run.kind == TextKind::Plain => {
                        painter.fill(place.middle(dot, dot), theme::HATCH);
                    }
                    '0' => painter.fill(place.middle(dot, dot), ink),
                    _ => {}
                }
                x = x.saturating_add(cell);
            }
            all.push_str(&run.shown);
        }
        painter.note(Rect::new(inside.x, y, x.saturating_sub(inside.x), height), &all);
    }
}

/// Which page it is, and what is to be typed.
fn foot_line(painter: &mut Painter, rect: Rect, page: &TextPage) {
    let number = format!("Page {} of {}", page.page.saturating_add(1), page.pages);
    let face = (Weight::Regular, 16, 10);
    painter.fitted(rect, Align::Left, &number, face, theme::TEXT_DIM);
    if page.to.is_none() {
        return;
    }
    if page.challenge.is_empty() {
        let words = "it can be released on the last page";
        painter.fitted(rect, Align::Right, words, face, theme::TEXT_DIM);
        return;
    }
    let typed = usize::from(page.typed).saturating_mul(2).min(page.challenge.len());
    let (done, open) = page.challenge.split_at_checked(typed).unwrap_or(("", &page.challenge));
    let style = Style { weight: Weight::Bold, size_px: painter.px(22) };
    let parts = [
        ("type  ", theme::TEXT_DIM),
        (done, theme::HATCH),
        (open, theme::ACCENT),
        ("  to release it", theme::TEXT_DIM),
    ];
    let all: String = parts.iter().map(|(text, _)| *text).collect();
    let width = painter.tools.fonts.width(&all, style);
    let mut place = Rect { x: rect.right().saturating_sub(width), ..rect };
    for (text, ink) in parts {
        let drawn = painter.draw_line(place, Align::Left, text, style, ink);
        place.x = place.x.saturating_add(drawn.width);
    }
    painter.note(Rect { x: rect.right().saturating_sub(width), width, ..rect }, &all);
}
