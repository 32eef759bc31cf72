//! What of a screen is Tabard's own and where it must be: the rules that the rectangles of a view
//! obey, told in this code's own arithmetic, and the pieces that follow from them.

use tabard_view::{BarKind, Content, OutputView, Picture, Recipient, Rect, Scale, View, Window};

use super::look::{BACKGROUND, PANEL, RING};
use super::piece::{Fault, Piece, What};
use super::setter::{Setter, px};
use super::trusted;

/// Heights and widths of the parts, in units.
const BAR: u32 = 44;
const BANNER: u32 = 28;
const SOLO_BANNER: u32 = 32;
const BORDER: u32 = 4;
const FOCUS_RING: u32 = 3;
const MARGIN: u32 = 90;
const PANEL_EDGE: u32 = 6;
const PANEL_WORDS: u32 = 96;

/// All that must be on a screen whatever guests draw.
///
/// # Errors
/// The rule that the view breaks.
pub(super) fn pieces<'v>(
    setter: &mut Setter,
    view: &'v View,
    output: &'v OutputView,
) -> Result<Vec<Piece<'v>>, Fault> {
    one_recipient(view, output)?;
    let (size, scale) = (output.size, output.scale);
    let bar = Rect::new(0, 0, size.width, px(scale, BAR).min(size.height));
    if output.bar.rect != bar {
        return Err("The bar is not along the whole upper edge");
    }
    let below = Rect { y: bar.height, height: size.height.saturating_sub(bar.height), ..bar };
    let mut pieces = vec![Piece { rect: bar, what: What::Bar }];
    match &output.content {
        Content::Blank => pieces.push(Piece { rect: below, what: What::Flat(BACKGROUND) }),
        Content::Windows(windows) => {
            windows.iter().try_for_each(|window| around(&mut pieces, window, below, scale))?;
            let outers: Vec<Rect> = windows.iter().map(|window| window.frame.outer).collect();
            between(&mut pieces, &outers, below)?;
        }
        Content::Trusted(screen) => {
            // What is listed stands in one column, and on either side of it is nothing.
            let width = px(scale, MARGIN).min(size.width / 14);
            for x in [0, size.width.saturating_sub(width)] {
                let rect = Rect { x, width, ..below };
                pieces.push(Piece { rect, what: What::Flat(BACKGROUND) });
            }
            trusted::pieces(&mut pieces, setter, output, screen)?;
        }
    }
    Ok(pieces)
}

/// The bar, the window with the ring and the recipient of input are one. A screen that another
/// guest has for itself shows no ring; what its bar must name, another screen's ring says, and the
/// guest has a banner between its picture and that bar.
fn one_recipient(view: &View, output: &OutputView) -> Result<(), Fault> {
    let mut focused = output.windows().iter().filter(|window| window.focused);
    let (here, second) = (focused.next(), focused.next());
    let elsewhere = || view.outputs.iter().flat_map(OutputView::windows).find(|one| one.focused);
    let its =
        |one: &Window| view.recipient != Recipient::Guest(one.guest) && one.frame.top.height > 0;
    let another = !output.windows().is_empty() && output.windows().iter().all(its);
    let first = here.or_else(|| elsewhere().filter(|_| another));
    let trusted = matches!(output.content, Content::Trusted(_));
    let agree = match (view.recipient, &output.bar.kind, first) {
        (Recipient::Guest(guest), BarKind::TypingInto { name, label }, Some(window)) => {
            window.guest == guest && window.name == *name && window.label == *label
        }
        (Recipient::Trusted, BarKind::Trusted { .. }, None) => trusted,
        (Recipient::Nobody, BarKind::Nobody { .. }, None) => !trusted,
        _ => false,
    };
    if agree && second.is_none() { Ok(()) } else { Err("The bar does not name who receives input") }
}

/// Ring, border and banners of a window, and what stands in place of its pixels.
fn around<'v>(
    pieces: &mut Vec<Piece<'v>>,
    window: &'v Window,
    below: Rect,
    scale: Scale,
) -> Result<(), Fault> {
    let frame = &window.frame;
    let (outer, border, content) = (frame.outer, frame.border, frame.content);
    // One guest fills the screen: the bar is its upper banner.
    let solo = outer == below && border == below && frame.top.height == 0;
    let (ring, banner, edge) = if solo {
        (0, px(scale, SOLO_BANNER), 0)
    } else {
        (px(scale, FOCUS_RING), px(scale, BANNER), px(scale, BORDER))
    };
    let top = if solo { 0 } else { banner };
    let twice = |length: u32| length.saturating_mul(2);
    let at = |rect: Rect| Rect { width: border.width, x: border.x, ..rect };
    let whole = border.x == outer.x.saturating_add(ring)
        && border.y == outer.y.saturating_add(ring)
        && border.width == outer.width.saturating_sub(twice(ring))
        && border.height == outer.height.saturating_sub(twice(ring))
        && frame.top == at(Rect { y: border.y, height: top, ..frame.top })
        && frame.bottom == at(Rect { height: banner, ..frame.bottom })
        && frame.bottom.bottom() == border.bottom()
        && content.x == border.x.saturating_add(edge)
        && content.y == frame.top.bottom()
        && content.width == border.width.saturating_sub(twice(edge))
        && content.bottom() == frame.bottom.y;
    if !whole {
        return Err("A window is not of one piece");
    }
    if content.is_empty() {
        return Err("A window has no room for its guest");
    }
    let color = if window.focused { RING } else { BACKGROUND };
    frame_of(pieces, outer, border, What::Flat(color));
    let middle = Rect { y: content.y, height: content.height, ..border };
    frame_of(pieces, middle, content, What::LabelColor(window));
    pieces.push(Piece { rect: frame.top, what: What::TopBanner(window) });
    pieces.push(Piece { rect: frame.bottom, what: What::BottomBanner(window) });
    if let Picture::Words { title, detail } = &window.picture {
        let height = px(scale, PANEL_EDGE);
        let (rest, low) = content.cut_bottom(height);
        let (high, rest_or_less) = rest.cut_top(height);
        let words = content.middle(content.width, px(scale, PANEL_WORDS)).intersect(rest);
        // In a very low window the words reach into the upper edge.
        let high = Rect { height: high.height.min(words.y.saturating_sub(high.y)), ..high };
        let room = Rect {
            y: high.bottom(),
            height: rest.bottom().saturating_sub(high.bottom()),
            ..rest_or_less
        };
        pieces.push(Piece { rect: low, what: What::PanelEdge });
        pieces.push(Piece { rect: high, what: What::PanelEdge });
        if !words.is_empty() {
            pieces.push(Piece { rect: words, what: What::PanelWords { title, detail } });
            frame_of(pieces, room, words, What::Flat(PANEL));
        }
    }
    Ok(())
}

/// What of `outer` is not `inner`, which lies in it.
fn frame_of<'v>(pieces: &mut Vec<Piece<'v>>, outer: Rect, inner: Rect, what: What<'v>) {
    let right =
        Rect { x: inner.right(), width: outer.right().saturating_sub(inner.right()), ..inner };
    let left = Rect { x: outer.x, width: inner.x.saturating_sub(outer.x), ..inner };
    let above = Rect { height: inner.y.saturating_sub(outer.y), ..outer };
    let y = inner.bottom();
    let below = Rect { y, height: outer.bottom().saturating_sub(y), ..outer };
    let parts = [above, left, right, below].into_iter().filter(|part| !part.is_empty());
    pieces.extend(parts.map(|rect| Piece { rect, what: what.clone() }));
}

/// What of `area` no window covers; no two windows may meet, and none may leave it.
fn between(pieces: &mut Vec<Piece<'_>>, windows: &[Rect], area: Rect) -> Result<(), Fault> {
    if !windows.iter().all(|window| area.covers(*window)) {
        return Err("A window leaves the screen");
    }
    // Between two of these rows, nothing begins and nothing ends.
    let mut rows: Vec<u32> =
        windows.iter().flat_map(|window| [window.y, window.bottom()]).collect();
    rows.extend([area.y, area.bottom()]);
    rows.sort_unstable();
    rows.dedup();
    for (y, end) in rows.iter().copied().zip(rows.iter().copied().skip(1)) {
        let mut here: Vec<Rect> =
            windows.iter().copied().filter(|window| window.y <= y && y < window.bottom()).collect();
        here.sort_unstable_by_key(|window| window.x);
        let height = end.saturating_sub(y);
        let mut x = area.x;
        for window in here.iter().chain([&Rect { x: area.right(), ..area }]) {
            let Some(width) = window.x.checked_sub(x) else { return Err("Two windows meet") };
            let rect = Rect { x, y, width, height };
            pieces.push(Piece { rect, what: What::Flat(BACKGROUND) });
            x = window.right();
        }
    }
    Ok(())
}
