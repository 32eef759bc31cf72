//! The trusted bar: who receives what is typed, in words, wearing the label.

use tabard_labels::LabelSet;
use tabard_view::{Bar, BarKind, Rect};

use crate::art;
use crate::font::{Style, Weight};
use crate::paint::{Align, Painter};
use crate::theme;

/// Height of the hatch under the light bar, in units.
const HATCH_UNITS: u32 = 5;

/// Draws the bar into the whole frame.
pub(crate) fn draw(painter: &mut Painter, bar: &Bar, labels: &LabelSet) {
    let whole = painter.frame.size.rect();
    match &bar.kind {
        BarKind::TypingInto { name, label } => {
            let (look, marking) = art::look(labels.get(*label));
            let ink = look.text_color.to_u32();
            painter.fill(whole, look.color.to_u32());
            let side = art::badge_px(whole.height).saturating_mul(2).saturating_add(painter.px(4));
            let words = ("TYPING INTO", name.as_str(), marking);
            let places = line(painter, whole, bar, words, (ink, ink), side);
            let flat = art::badges(painter, whole, places.message, &look);
            art::ends(painter, places.free, flat, &look);
        }
        BarKind::Trusted { message } => {
            let (rest, edge) = whole.cut_bottom(painter.px(HATCH_UNITS));
            painter.fill(whole, theme::LIGHT);
            art::hatch(painter, edge, theme::LIGHT, theme::INK);
            let words = match message.as_str() {
                "" => ("", "", "TRUSTED PATH"),
                message => ("TRUSTED PATH", message, ""),
            };
            line(painter, rest, bar, words, (theme::INK, theme::INK_DIM), painter.px(16));
        }
        BarKind::Nobody { message } => {
            painter.fill(whole, theme::NEUTRAL);
            let words = ("", "", message.as_str());
            line(painter, whole, bar, words, (theme::TEXT, theme::TEXT), painter.px(16));
        }
    }
}

/// Where things came to stand.
struct Places {
    message: Rect,
    /// What is neither small text nor notice, `message` in it.
    free: Rect,
}

/// Draws message, small texts and notice. The message comes first: the others are left out or
/// shortened before it is made small, and they never cover it.
fn line(
    painter: &mut Painter,
    rect: Rect,
    bar: &Bar,
    words: (&str, &str, &str),
    (ink, small_ink): (u32, u32),
    side: u32,
) -> Places {
    let small = Style { weight: Weight::Regular, size_px: painter.px(theme::SMALL_TEXT) };
    let notice_style = Style { weight: Weight::Bold, ..small };
    let pad = painter.px(14);
    let padded = |width: u32, pads: u32| {
        if width == 0 { 0 } else { width.saturating_add(pad.saturating_mul(pads)) }
    };
    let left = padded(painter.tools.fonts.width(&bar.left, small), 2);
    let right = padded(painter.tools.fonts.width(&bar.right, small), 2);
    let notice = padded(painter.tools.fonts.width(&bar.notice, notice_style), 4);
    // From all there is to nothing but the message; the notice outlives the small texts.
    let choices = [
        (left, right, notice),
        (0, right, notice),
        (0, 0, notice),
        (0, 0, notice.saturating_mul(2) / 3),
    ];
    let room = |choice: &(u32, u32, u32)| {
        let others = choice.0.saturating_add(choice.1).saturating_add(choice.2);
        rect.width.saturating_sub(others).saturating_sub(side.saturating_mul(2))
    };
    let comfort = Style { weight: Weight::Bold, size_px: painter.px(theme::BAR_TEXT) };
    let whole_text = [words.0, words.1, words.2].join("  ·  ");
    // Parts of its full width, in percent, at which the message is still comfortable, then small,
    // then small on two lines: before each step down, the others give way.
    let full = painter.tools.fonts.width(&whole_text, comfort);
    let steps = [(75u32, 3), (58, 4), (34, 4)];
    let choice = steps.into_iter().find_map(|(percent, tried)| {
        let wanted = full.saturating_mul(percent) / 100;
        choices.into_iter().take(tried).find(|choice| room(choice) >= wanted)
    });
    let choice = choice.unwrap_or((0, 0, 0));
    let sizes = (theme::BAR_TEXT, 11);
    let fitted = art::fit(painter, words, sizes, (room(&choice), rect.height));
    let (left, right, notice) = choice;

    // In the middle of the screen if it can be, else in the middle of what is left.
    let wide = fitted.width.saturating_add(side.saturating_mul(2));
    let last = rect.width.saturating_sub(right).saturating_sub(notice).saturating_sub(wide);
    let start = (rect.width.saturating_sub(wide) / 2).min(last).max(left);
    let place = Rect { x: rect.x.saturating_add(start), width: wide, ..rect };
    let message = art::words(painter, place, Align::Centre, &fitted, ink);

    let right_x = rect.right().saturating_sub(right);
    for (width, x, text) in [(left, rect.x, &bar.left), (right, right_x, &bar.right)] {
        if width > 0 {
            let place = Rect { x, width, ..rect };
            painter.text(place, Align::Centre, text, small, small_ink);
        }
    }
    let mut free = Rect { x: rect.x.saturating_add(left), ..rect };
    free.width = right_x.saturating_sub(free.x);
    if notice > 0 {
        let plate_width = notice.saturating_sub(pad.saturating_mul(2));
        let x =
            right_x.saturating_sub(plate_width).saturating_sub(if right == 0 { pad } else { 0 });
        let height = rect.height.saturating_sub(painter.px(9).saturating_mul(2));
        let plate = Rect { x, width: plate_width, ..rect }.middle(plate_width, height);
        notice_plate(painter, plate, &bar.notice, notice_style);
        free.width = x.saturating_sub(pad).saturating_sub(free.x);
    }
    Places { message, free }
}

/// News on a light plate: Tabard's voice, not the label's.
fn notice_plate(painter: &mut Painter, plate: Rect, notice: &str, style: Style) {
    let radius = painter.px(4);
    let edge = painter.px(1);
    painter.rounded(plate, radius, theme::INK);
    painter.rounded(plate.inset(edge), radius.saturating_sub(edge), theme::LIGHT);
    let inside = plate.inset(painter.px(8));
    let text = painter.tools.fonts.elide(notice, style, inside.width);
    let place = Rect { x: inside.x, width: inside.width, ..plate };
    painter.text(place, Align::Centre, &text, style, theme::INK);
}
