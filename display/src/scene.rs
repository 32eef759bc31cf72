//! A screen as a flat list of parts, in drawing order. Two screens that show the same have the
//! same parts, so what changed between two views is the difference of two lists.

use tabard_labels::LabelId;
use tabard_view::{
    Bar, Content, GuestId, Hint, LoginForm, OutputView, Picture, Rect, Scale, TextPage,
    TrustedBody, TrustedRow, TrustedScreen, Window, layout,
};

use crate::pointer::{self, PointerImage};
use crate::region::subtract;
use crate::{Pictures, login, theme, trusted};

/// Height of the hatch at the edges of Tabard's words, in units.
const HATCH_UNITS: u32 = 6;

/// Something at a place of a screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub rect: Rect,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum What {
    /// A guest's pixels, from the corner of the rectangle on.
    Guest(GuestPart),
    /// One colour.
    Solid(u32),
    /// Something of Tabard's own, drawn once and kept.
    Drawn(Drawing),
    /// The pointer: an image whose corner may lie outside the rectangle.
    Pointer { image: PointerImage, corner: (i64, i64) },
}

/// All that decides how a guest's part looks, but for the pixels themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct GuestPart {
    pub guest: GuestId,
    pub dim: bool,
    /// Surface, generation, and the size scanned out.
    pub picture: Option<(u64, u32, u32, u32)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Drawing {
    Bar(Box<Bar>),
    Banner {
        name: String,
        label: LabelId,
    },
    /// The label's colour alone.
    Border(LabelId),
    Title(String),
    Footer(String),
    Row(Box<TrustedRow>),
    Hints(Vec<Hint>),
    Help(Vec<Hint>),
    TextPage(Box<TextPage>),
    Login(Box<LoginForm>),
    Words {
        title: String,
        detail: String,
    },
    Plate(String),
    Hatch,
}

/// The parts of a screen: guests first, then all that is Tabard's over them, the pointer last.
pub(crate) fn parts(output: &OutputView, pictures: &Pictures) -> Vec<Part> {
    let mut parts = Vec::new();
    match &output.content {
        Content::Blank => {}
        Content::Windows(windows) => {
            for window in windows {
                guest(&mut parts, window, pictures);
            }
            for window in windows {
                around(&mut parts, window);
                instead(&mut parts, window, output.scale);
            }
        }
        Content::Trusted(screen) => trusted_screen(&mut parts, output, screen),
    }
    drawn(&mut parts, output.bar.rect, Drawing::Bar(Box::new(output.bar.clone())));
    parts.extend(pointer::part(output, pictures).map(|pointer| {
        let (image, corner) = (pointer.image, pointer.corner);
        Part { rect: pointer.rect, what: What::Pointer { image, corner } }
    }));
    let screen = output.size.rect();
    parts.retain(|part| !part.rect.intersect(screen).is_empty());
    parts
}

fn solid(parts: &mut Vec<Part>, rect: Rect, color: u32) {
    parts.push(Part { rect, what: What::Solid(color) });
}

fn drawn(parts: &mut Vec<Part>, rect: Rect, drawing: Drawing) {
    parts.push(Part { rect, what: What::Drawn(drawing) });
}

fn guest(parts: &mut Vec<Part>, window: &Window, pictures: &Pictures) {
    let dim = match window.picture {
        Picture::Live => !window.focused,
        Picture::Veiled { .. } => true,
        Picture::Words { .. } => return,
    };
    let picture = pictures.get(&window.guest).map(|picture| {
        (picture.surface.id(), picture.generation, picture.width_px, picture.height_px)
    });
    let part = GuestPart { guest: window.guest, dim, picture };
    parts.push(Part { rect: window.frame.content, what: What::Guest(part) });
}

/// Ring, border and banners.
fn around(parts: &mut Vec<Part>, window: &Window) {
    let frame = &window.frame;
    if window.focused {
        for edge in subtract(&[frame.outer], frame.border) {
            solid(parts, edge, theme::RING);
        }
    }
    let middle = Rect {
        y: frame.top.bottom(),
        height: frame.bottom.y.saturating_sub(frame.top.bottom()),
        ..frame.border
    };
    for rect in subtract(&[middle], frame.content) {
        drawn(parts, rect, Drawing::Border(window.label));
    }
    let name = window.name.clone();
    drawn(parts, frame.top, Drawing::Banner { name, label: window.label });
    drawn(parts, frame.bottom, Drawing::Banner { name: String::new(), label: window.label });
}

/// Tabard's own words, in place of the guest's pixels or on a plate over them.
fn instead(parts: &mut Vec<Part>, window: &Window, scale: Scale) {
    let content = window.frame.content;
    match &window.picture {
        Picture::Live => {}
        Picture::Words { title, detail } => {
            solid(parts, content, theme::PANEL);
            let (rest, below) = content.cut_bottom(scale.px(HATCH_UNITS));
            let (above, _) = rest.cut_top(scale.px(HATCH_UNITS));
            drawn(parts, above, Drawing::Hatch);
            drawn(parts, below, Drawing::Hatch);
            let (title, detail) = (title.clone(), detail.clone());
            let place = content.middle(content.width, scale.px(96)).intersect(rest);
            drawn(parts, place, Drawing::Words { title, detail });
        }
        Picture::Veiled { title } => {
            let place = content.middle(scale.px(260), scale.px(64));
            drawn(parts, place, Drawing::Plate(title.clone()));
        }
    }
}

fn trusted_screen(parts: &mut Vec<Part>, output: &OutputView, screen: &TrustedScreen) {
    let px = |units| output.scale.px(units);
    let (_, area) = layout::bar(output.size, output.scale);
    let first = layout::trusted_row(output.size, output.scale, 0);
    let column = |y: u32, end: u32| Rect { y, height: end.saturating_sub(y), ..first };
    let title = column(area.y.saturating_add(px(36)), first.y.saturating_sub(px(12)));
    drawn(parts, title, Drawing::Title(screen.title.clone()));
    let footer = column(area.bottom().saturating_sub(px(52)), area.bottom().saturating_sub(px(24)));
    drawn(parts, footer, Drawing::Footer(screen.footer.clone()));
    // Hints stand below what is listed, or at the foot if that is long.
    let line = px(trusted::HINT_UNITS);
    let lowest = footer.y.saturating_sub(line.saturating_mul(2));
    let end = match &screen.body {
        TrustedBody::Guests(rows) => {
            for row in rows {
                drawn(parts, row.rect, Drawing::Row(Box::new(row.clone())));
            }
            rows.iter().map(|row| row.rect.bottom()).max().unwrap_or(first.y)
        }
        TrustedBody::Help(keys) => {
            let room = lowest.saturating_sub(first.y).saturating_sub(px(20));
            let wanted = trusted::help_height(output.scale, first.width, keys.len());
            let table = Rect { height: room.min(wanted), ..first };
            drawn(parts, table, Drawing::Help(keys.clone()));
            table.bottom()
        }
        TrustedBody::Login(form) => {
            let height = login::height(output.scale).min(lowest.saturating_sub(first.y));
            let place = Rect { height, ..first };
            drawn(parts, place, Drawing::Login(Box::new(form.clone())));
            place.bottom()
        }
        TrustedBody::Text(page) => {
            let page_end = footer.y.saturating_sub(line).saturating_sub(px(28));
            let place = column(first.y, page_end);
            drawn(parts, place, Drawing::TextPage(Box::new(page.clone())));
            place.bottom()
        }
    };
    let y = end.saturating_add(px(28)).min(lowest.max(end));
    drawn(parts, column(y, footer.y), Drawing::Hints(screen.hints.clone()));
}
