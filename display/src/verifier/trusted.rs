//! What the trusted screen must look like: its title, the guests and their labels, a text of a
//! guest and between whom it is, who logs in, and what each key does. Told in this code's own
//! arithmetic, as bars and banners are. The tables of all keys and of devices it does not look at.

use tabard_labels::LabelSet;
use tabard_view::{
    Hint, LoginForm, OutputView, PAGE_COLUMNS, PAGE_LINES, Rect, Size, TextKind, TextLine,
    TextPage, TrustedBody, TrustedRow, TrustedScreen,
};

use super::figures;
use super::look::{BACKGROUND, HATCH, INK, PANEL, RING, TEXT, TEXT_DIM, banner, rounded};
use super::piece::{Fault, Piece, Said, What, Words};
use super::setter::{Align, Setter};
use super::sheet::Sheet;
use crate::font::{Style, Weight};

const SELECTED: u32 = 0x002e_333d;
const KEYCAP: u32 = 0x0043_4955;
const KEYCAP_EDGE: u32 = 0x0060_6775;
const ACCENT: u32 = 0x00ff_d166;
const MARKED: u32 = 0x0022_5577;

/// Heights and widths of the parts, in units.
const MARGIN: u32 = 90;
const TITLE: u32 = 112;
const ROW: u32 = 62;
const ROW_GAP: u32 = 12;
const HINT: u32 = 36;
const RADIUS: u32 = 7;
const PAD: u32 = 14;
/// Sizes of a guest's text, in units: wanted, and least.
const TEXT_UNITS: (u32, u32) = (20, 6);

fn put<'v>(pieces: &mut Vec<Piece<'v>>, rect: Rect, what: impl Into<What<'v>>) {
    if !rect.is_empty() {
        pieces.push(Piece { rect, what: what.into() });
    }
}

fn cut_left(rect: Rect, width: u32) -> (Rect, Rect) {
    let cut = Rect { width: width.min(rect.width), ..rect };
    (cut, Rect { x: cut.right(), width: rect.width.saturating_sub(cut.width), ..rect })
}

fn words(text: &str, align: Align, face: (Weight, u32, u32), ink: u32) -> Words {
    Words { parts: vec![(text.to_owned(), ink)], align, face }
}

/// All that must be on a trusted screen.
///
/// # Errors
/// The rule that the view breaks.
pub(super) fn pieces(
    pieces: &mut Vec<Piece<'_>>,
    setter: &mut Setter,
    output: &OutputView,
    screen: &TrustedScreen,
) -> Result<(), Fault> {
    let Size { width, height } = output.size;
    let x = setter.px(MARGIN).min(width / 14);
    let bar = output.bar.rect.height;
    let column = Rect { x, y: 0, width: width.saturating_sub(x.saturating_mul(2)), height };
    let from = |y: u32, end: u32| Rect { y, height: end.saturating_sub(y), ..column };
    let first = bar.saturating_add(setter.px(TITLE));
    let foot = height.saturating_sub(setter.px(52));
    let hint = setter.px(HINT);
    let lowest = foot.saturating_sub(hint.saturating_mul(2));
    let end = match &screen.body {
        TrustedBody::Guests(rows) => {
            let (high, gap) = (setter.px(ROW), setter.px(ROW_GAP));
            let mut end = first;
            for (index, row) in (0u32..).zip(rows) {
                let y = end.saturating_add(if index == 0 { 0 } else { gap });
                if row.rect != (Rect { y, height: high, ..column }) {
                    return Err("A guest of the list is not in its place");
                }
                put(pieces, from(end, y), What::Flat(BACKGROUND));
                put(pieces, row.rect, Said::Row(Box::new(row.clone())));
                end = row.rect.bottom();
            }
            end
        }
        TrustedBody::Login(form) => {
            let wanted = setter.px(70).saturating_mul(4);
            let place =
                Rect { y: first, height: wanted.min(lowest.saturating_sub(first)), ..column };
            put(pieces, place, Said::Login(Box::new(form.clone())));
            place.bottom()
        }
        TrustedBody::Text(page) => {
            let place = from(first, foot.saturating_sub(hint).saturating_sub(setter.px(28)));
            text(pieces, setter, place, page)?;
            place.bottom()
        }
        // Keys and what they do, and names of devices.
        TrustedBody::Help(_) => height,
    };
    let y = end.saturating_add(setter.px(28)).min(lowest.max(end));
    put(
        pieces,
        from(y, foot.min(y.saturating_add(hint.saturating_mul(4)))),
        Said::Hints(screen.hints.clone()),
    );
    let title = from(bar.saturating_add(setter.px(36)), first.saturating_sub(setter.px(12)));
    if title.bottom() <= foot {
        let face = (Weight::Bold, 32, 16);
        put(pieces, title, Said::Words(vec![words(&screen.title, Align::Left, face, TEXT)]));
    }
    // On a screen that is too low for all, the list goes over the foot.
    if end <= foot && title.bottom() <= foot {
        let face = (Weight::Regular, 14, 10);
        let place = from(foot, height.saturating_sub(setter.px(24)));
        put(pieces, place, Said::Words(vec![words(&screen.footer, Align::Left, face, TEXT_DIM)]));
    }
    Ok(())
}

/// Between whom, what it is, the lines on their panel, which page, and what is to be typed.
fn text(
    pieces: &mut Vec<Piece<'_>>,
    setter: &mut Setter,
    place: Rect,
    page: &TextPage,
) -> Result<(), Fault> {
    let (top, rest) = place.cut_top(setter.px(44));
    let (summary, rest) = rest.cut_top(setter.px(34));
    let (panel, foot) = rest.cut_bottom(setter.px(46));
    let pad = setter.px(PAD);
    let inside = panel.inset(pad);
    let (most, least) = (setter.px(TEXT_UNITS.0), setter.px(TEXT_UNITS.1));
    let fitting = (least..=most).rev().find_map(|size_px| {
        let cell = setter.width("M", Style { weight: Weight::Mono, size_px }).max(1);
        let high = size_px.saturating_mul(13) / 10;
        let fits = cell.saturating_mul(PAGE_COLUMNS as u32) <= inside.width
            && high.saturating_mul(PAGE_LINES as u32) <= inside.height;
        fits.then_some((size_px, cell, high))
    });
    let wide = |line: &TextLine| line.0.iter().map(|run| run.shown.chars().count()).sum::<usize>();
    let (Some((size_px, cell, high)), true) = (
        fitting,
        page.lines.len() <= PAGE_LINES && page.lines.iter().all(|l| wide(l) <= PAGE_COLUMNS),
    ) else {
        return Err("A page of text does not fit");
    };
    put(pieces, top, Said::Parties(page.from.clone(), page.to.clone()));
    let face = (Weight::Regular, 15, 10);
    put(pieces, summary, Said::Words(vec![words(&page.summary, Align::Left, face, TEXT_DIM)]));
    let rows = |y: u32, height: u32| Rect { y, height, ..panel };
    // Letters may lean out of their cells and lines, never as far as the round corners.
    let edge = setter.px(RADIUS);
    let margin = pad.saturating_sub(edge).saturating_mul(2);
    put(pieces, rows(panel.y, edge), Said::Panel(panel.height, 0));
    let lines = rows(
        panel.y.saturating_add(edge),
        high.saturating_mul(page.lines.len() as u32).saturating_add(margin),
    );
    let widest = cell.saturating_mul(page.lines.iter().map(wide).max().unwrap_or(0) as u32);
    let (left, right) = cut_left(lines, widest.saturating_add(pad.saturating_mul(2)));
    put(pieces, left, Said::Lines(page.lines.clone(), size_px, cell));
    put(pieces, right, What::Flat(PANEL));
    let y = lines.bottom();
    let (empty, low) = rows(y, panel.bottom().saturating_sub(y)).cut_bottom(edge);
    put(pieces, empty, What::Flat(PANEL));
    put(pieces, low, Said::Panel(panel.height, panel.height.saturating_sub(edge)));
    let face = (Weight::Regular, 16, 10);
    let number = format!("Page {} of {}", page.page.saturating_add(1), page.pages);
    let mut line = vec![words(&number, Align::Left, face, TEXT_DIM)];
    let typed = usize::from(page.typed).saturating_mul(2).min(page.challenge.len());
    match (&page.to, page.challenge.split_at_checked(typed)) {
        (None, _) => {}
        (Some(_), Some((done, open))) if !page.challenge.is_empty() => {
            let part = |text: &str, ink| (text.to_owned(), ink);
            let parts = vec![
                part("type  ", TEXT_DIM),
                part(done, HATCH),
                part(open, ACCENT),
                part("  to release it", TEXT_DIM),
            ];
            line.push(Words { parts, align: Align::Right, face: (Weight::Bold, 22, 22) });
        }
        _ => line.push(words("it can be released on the last page", Align::Right, face, TEXT_DIM)),
    }
    put(pieces, foot, Said::Words(line));
    Ok(())
}

impl Said {
    /// How it must look; `None` if a label is not in the table.
    pub(super) fn sheet(
        &self,
        setter: &mut Setter,
        size: Size,
        labels: &LabelSet,
    ) -> Option<Sheet> {
        let mut sheet = Sheet::new(size, BACKGROUND);
        let whole = sheet.whole();
        match self {
            Self::Words(all) => all.iter().for_each(|words| words.set(setter, &mut sheet, whole)),
            Self::Row(row) => self::row(setter, &mut sheet, row, labels)?,
            Self::Parties(from, to) => {
                let gap = setter.px(54);
                let half = whole.width.saturating_sub(gap) / 2;
                let plate = whole.middle(whole.width, setter.px(36));
                let left = Rect { width: half, ..plate };
                banner(setter, &mut sheet, left, &from.0, labels.get(from.1))?;
                if let Some(to) = to {
                    let x = whole.width.saturating_sub(half);
                    banner(setter, &mut sheet, Rect { x, ..left }, &to.0, labels.get(to.1))?;
                    let between = Rect { x: half, width: gap, ..whole };
                    let style = Style { weight: Weight::Bold, size_px: setter.px(22) };
                    setter.line(&mut sheet, between, Align::Centre, "to", style, TEXT);
                }
            }
            Self::Lines(all, size_px, cell) => {
                sheet.fill(whole, PANEL);
                let height = size_px.saturating_mul(13) / 10;
                let y = setter.px(PAD).saturating_sub(setter.px(RADIUS));
                let mut place = Rect { x: setter.px(PAD), y, width: *cell, height };
                for one in all {
                    line(setter, &mut sheet, one, place, *size_px);
                    place.y = place.y.saturating_add(height);
                }
            }
            Self::Panel(height, from) => {
                let (sides, radius) =
                    ((size.width as f32, *height as f32), setter.px(RADIUS) as f32);
                let from = *from as f32;
                sheet.figure(whole, PANEL, |x, y| figures::rounded(sides, radius, (x, y + from)));
            }
            Self::Login(form) => login(setter, &mut sheet, form),
            Self::Hints(all) => hints(setter, &mut sheet, all),
        }
        Some(sheet)
    }
}

impl Words {
    fn set(&self, setter: &mut Setter, sheet: &mut Sheet, rect: Rect) {
        if let [(text, ink)] = self.parts.as_slice() {
            setter.fitted(sheet, rect, self.align, text, self.face, *ink);
            return;
        }
        let style = Style { weight: self.face.0, size_px: setter.px(self.face.1) };
        let all: String = self.parts.iter().map(|(text, _)| text.as_str()).collect();
        let mut x = rect.right().saturating_sub(setter.width(&all, style));
        for (text, ink) in &self.parts {
            let set = setter.line(sheet, Rect { x, ..rect }, Align::Left, text, style, *ink);
            x = x.saturating_add(set.width);
        }
    }
}

/// Three fields, one below the other, and a message.
fn login(setter: &mut Setter, sheet: &mut Sheet, form: &LoginForm) {
    let (name, value) = cut_left(sheet.whole(), setter.px(180).min(sheet.whole().width / 3));
    let each = name.height / 4;
    let height = each.saturating_sub(setter.px(PAD).min(each / 3));
    let line = |rect: Rect, index: u32| Rect { y: each.saturating_mul(index), height, ..rect };
    let mut stars = "*".repeat(usize::from(form.typed).min(24));
    stars.push_str(if form.typed > 24 { "+" } else { "" });
    stars.push_str(if form.open { "_" } else { "" });
    let fields = [
        ("User", &form.user, PANEL, TEXT),
        ("Your phrase", &form.phrase, BACKGROUND, ACCENT),
        ("Password", &stars, if form.open { SELECTED } else { PANEL }, TEXT),
    ];
    let most = height.saturating_mul(22).checked_div(setter.px(34)).unwrap_or(0).clamp(10, 22);
    for (index, (called, said, ground, ink)) in (0u32..).zip(fields) {
        if index == 1 && form.phrase.is_empty() {
            continue;
        }
        let face = (Weight::Regular, 17, 10);
        setter.fitted(sheet, line(name, index), Align::Left, called, face, TEXT_DIM);
        let place = line(value, index);
        rounded(sheet, place, setter.px(RADIUS), ground);
        let width = place.width.saturating_sub(setter.px(16).saturating_mul(2));
        let inside = place.middle(width, height);
        setter.fitted(sheet, inside, Align::Left, said, (Weight::Bold, most, 10), ink);
    }
    let face = (Weight::Bold, 20, 10);
    setter.fitted(sheet, line(value, 3), Align::Left, &form.message, face, ACCENT);
}

/// A guest of the list: key, name, label, state, remark.
fn row(setter: &mut Setter, sheet: &mut Sheet, row: &TrustedRow, labels: &LabelSet) -> Option<()> {
    let whole = sheet.whole();
    let ring = setter.px(3);
    rounded(sheet, whole, setter.px(RADIUS), if row.selected { RING } else { PANEL });
    if row.selected {
        let radius = setter.px(RADIUS).saturating_sub(ring);
        rounded(sheet, whole.inset(ring), radius, SELECTED);
    }
    let pad = setter.px(18);
    let inner = whole.middle(whole.width.saturating_sub(pad.saturating_mul(2)), whole.height);
    let side = setter.px(34);
    if !row.key.is_empty() {
        let place = Rect { width: side, ..inner }.middle(side, side);
        cap(setter, sheet, place, &row.key, 18);
    }
    let narrow = whole.width < setter.px(860);
    let [plate, plate_end, state_end] = if narrow { [30, 72, 100] } else { [25, 57, 74] }
        .map(|percent: u32| pad.saturating_add(inner.width.saturating_mul(percent) / 100));
    let gap = setter.px(16);
    let column = |x: u32, end: u32| Rect { x, width: end.saturating_sub(x), ..whole };
    let ink = if row.live { TEXT } else { TEXT_DIM };

    let at = pad.saturating_add(side).saturating_add(gap.saturating_mul(5) / 4);
    let place = column(at, plate.saturating_sub(gap));
    let name = setter.words(("", "", &row.name), (20, 14), (place.width, place.height));
    setter.lines(sheet, place, Align::Left, &name, ink);

    let place = column(plate, plate_end);
    let place = place.middle(place.width, setter.px(36));
    banner(setter, sheet, place, "", labels.get(row.label))?;

    let mut state = column(plate_end.saturating_add(gap.saturating_mul(2)), state_end);
    let mut remark = (column(state_end, inner.right()), Align::Right);
    if narrow && !row.remark.is_empty() {
        let half = Rect { height: whole.height / 2, ..state };
        let lift = setter.px(5);
        state = half.moved(0, lift);
        remark = (half.moved(0, half.height.saturating_sub(lift)), Align::Left);
    } else if narrow {
        remark.0 = state;
    }
    let face = (Weight::Regular, 16, 11);
    setter.fitted(sheet, state, Align::Left, &row.state, face, ink);
    setter.fitted(sheet, remark.0, remark.1, &row.remark, face, ACCENT);
    Some(())
}

/// A key in letters of at most so many units.
fn cap(setter: &mut Setter, sheet: &mut Sheet, rect: Rect, key: &str, most: u32) {
    rounded(sheet, rect, setter.px(5), KEYCAP_EDGE);
    let (top, _) = rect.cut_bottom(setter.px(3));
    rounded(sheet, top, setter.px(5), KEYCAP);
    let room = top.middle(top.width.saturating_sub(setter.px(3).saturating_mul(2)), top.height);
    setter.fitted(sheet, room, Align::Centre, key, (Weight::Bold, most, 9), TEXT);
}

/// Keys and what they do, one after the other, in as many lines as there is room for.
fn hints(setter: &mut Setter, sheet: &mut Sheet, hints: &[Hint]) {
    let size = sheet.size;
    let key_style = Style { weight: Weight::Bold, size_px: setter.px(14) };
    let style = Style { weight: Weight::Regular, size_px: setter.px(15) };
    let mut place = Rect { height: setter.px(27), ..Rect::default() };
    for hint in hints {
        let wide = setter.width(&hint.key, key_style).saturating_add(setter.px(16));
        place.width = wide.max(setter.px(28));
        let at = place.width.saturating_add(setter.px(8));
        let all = at.saturating_add(setter.width(&hint.text, style));
        if place.x > 0 && place.x.saturating_add(all) > size.width {
            place = Rect { x: 0, y: place.y.saturating_add(setter.px(HINT)), ..place };
        }
        if place.bottom() > size.height {
            return;
        }
        cap(setter, sheet, place, &hint.key, 14);
        let x = place.x.saturating_add(at);
        let (text, _) =
            Rect { x, width: size.width.saturating_sub(x), ..place }.cut_bottom(setter.px(3));
        let shown = setter.cut(&hint.text, style, text.width);
        setter.line(sheet, text, Align::Left, &shown, style, TEXT_DIM);
        place.x = place.x.saturating_add(all).saturating_add(setter.px(24));
    }
}

/// A line of a guest's text, its first letter in `place`.
fn line(setter: &mut Setter, sheet: &mut Sheet, line: &TextLine, mut place: Rect, size_px: u32) {
    let style = Style { weight: Weight::Mono, size_px };
    let cell = place.width;
    for run in &line.0 {
        let width = cell.saturating_mul(run.shown.chars().count() as u32);
        let (ground, ink) = match run.kind {
            TextKind::Plain => (None, TEXT),
            TextKind::Marked => (Some(MARKED), TEXT),
            TextKind::Break => (None, HATCH),
            TextKind::Warning => (Some(ACCENT), INK),
        };
        if let Some(ground) = ground {
            sheet.fill(Rect { width, ..place }, ground);
        }
        for letter in run.shown.chars() {
            setter.line(sheet, place, Align::Left, letter.encode_utf8(&mut [0; 4]), style, ink);
            // A space is as easy to count as a letter, and a zero no O.
            let dot = (size_px / 6).max(1);
            match (letter, run.kind) {
                (' ', TextKind::Plain) => sheet.fill(place.middle(dot, dot), HATCH),
                ('0', _) => sheet.fill(place.middle(dot, dot), ink),
                _ => {}
            }
            place.x = place.x.saturating_add(cell);
        }
    }
}
