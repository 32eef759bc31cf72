//! Login and lock on the trusted screen: who, the phrase by which the user knows this screen, and
//! a place for the password that shows how much was typed and nothing else.

use tabard_view::{LoginForm, Rect, Scale};

use crate::font::Weight;
use crate::paint::{Align, Painter};
use crate::theme;

/// Height of a line of the form, in units.
const LINE_UNITS: u32 = 56;
/// Space between lines, in units.
const GAP_UNITS: u32 = 14;
/// Width of the column of names, in units; narrow screens give it a third.
const NAME_UNITS: u32 = 180;
/// Letters of a value in a line of [`TALL_UNITS`] or more, in units.
const VALUE_TEXT: u32 = 22;
/// See [`VALUE_TEXT`].
const TALL_UNITS: u32 = 34;
/// Lines of the form: user, phrase, password, message.
const LINES: u32 = 4;
/// Stars that fit a password's place; more typed characters only say that there are more.
const MOST_DOTS: usize = 24;

/// The height that the form would like to have on a screen of this scale, in pixels.
pub(crate) fn height(scale: Scale) -> u32 {
    scale.px(LINE_UNITS.saturating_add(GAP_UNITS)).saturating_mul(LINES)
}

/// Draws the form into the whole frame.
pub(crate) fn draw(painter: &mut Painter, form: &LoginForm) {
    let whole = painter.frame.size.rect();
    let each = whole.height.checked_div(LINES).unwrap_or(0);
    let gap = painter.px(GAP_UNITS).min(each / 3);
    let line = |index: u32| Rect {
        y: each.saturating_mul(index),
        height: each.saturating_sub(gap),
        ..whole
    };
    field(painter, line(0), "User", &form.user, theme::PANEL, theme::TEXT);
    if !form.phrase.is_empty() {
        field(painter, line(1), "Your phrase", &form.phrase, theme::BACKGROUND, theme::ACCENT);
    }
    let typed = usize::from(form.typed);
    let mut dots = "*".repeat(typed.min(MOST_DOTS));
    if typed > MOST_DOTS {
        dots.push('+');
    }
    if form.open {
        dots.push('_');
    }
    let ground = if form.open { theme::PANEL_SELECTED } else { theme::PANEL };
    field(painter, line(2), "Password", &dots, ground, theme::TEXT);
    let place = value_place(painter, line(3));
    painter.fitted(place, Align::Left, &form.message, (Weight::Bold, 20, 10), theme::ACCENT);
}

/// A name and a value on a ground.
fn field(painter: &mut Painter, rect: Rect, name: &str, value: &str, ground: u32, ink: u32) {
    let place = value_place(painter, rect);
    let name_place = Rect { width: place.x.saturating_sub(rect.x), ..rect };
    painter.fitted(name_place, Align::Left, name, (Weight::Regular, 17, 10), theme::TEXT_DIM);
    painter.rounded(place, painter.px(7), ground);
    let pad = painter.px(16);
    let inside = place.middle(place.width.saturating_sub(pad.saturating_mul(2)), place.height);
    // Lines that had to be low have small letters.
    let tall = painter.px(TALL_UNITS).max(1);
    let most = VALUE_TEXT.saturating_mul(rect.height).checked_div(tall).unwrap_or(0);
    let face = (Weight::Bold, most.clamp(10, VALUE_TEXT), 10);
    painter.fitted(inside, Align::Left, value, face, ink);
}

/// Where the value of a line stands.
fn value_place(painter: &Painter, rect: Rect) -> Rect {
    let name = painter.px(NAME_UNITS).min(rect.width / 3);
    Rect { x: rect.x.saturating_add(name), width: rect.width.saturating_sub(name), ..rect }
}
