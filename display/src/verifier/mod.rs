//! Looks at a finished frame before anyone else does: is every bar and every banner there, whole,
//! in its place, with the right words, colour, pattern and shape, and nothing of another? It
//! shares no code with the compositor but the font atlas, so that one fault is not made twice.

mod arrow;
mod figures;
mod look;
mod piece;
mod plan;
mod setter;
mod sheet;
mod trusted;

use std::collections::HashMap;
use std::sync::Arc;

use tabard_labels::{LabelId, LabelSet};
use tabard_view::{Bar, OutputId, OutputView, Rect, Scale, Size, View};
use thiserror::Error;

use self::arrow::Arrow;
use self::piece::{Fault, Piece, Said, What};
use self::setter::Setter;
use self::sheet::{Bounds, Sheet, allow_all};
use crate::font::{FontError, Fonts};
use crate::{Frame, Pictures};

/// Sheets kept, in pixels of all of them (8 MiB); a clock makes a new bar each minute.
const MAX_KEPT_PIXELS: usize = 4 << 20;

/// Why a frame must not be shown.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Mismatch {
    /// The view itself breaks a rule of the glass; which, in words.
    #[error("Screen {} is to show what it must not: {rule}", .output.0)]
    View {
        /// The screen.
        output: OutputId,
        /// The rule that is broken.
        rule: &'static str,
    },
    /// A pixel of Tabard's own is not what it must be.
    #[error("Screen {} has a wrong pixel at {x},{y}, in {piece}: {found:#08x}", .output.0)]
    Pixel {
        /// The screen.
        output: OutputId,
        /// Its column.
        x: u32,
        /// Its row.
        y: u32,
        /// What should be there.
        piece: &'static str,
        /// The pixel, 0xRRGGBB.
        found: u32,
    },
}

/// All that decides how a sheet looks.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Kind {
    Bar(Bar),
    Banner(String, LabelId),
    PanelEdge,
    PanelWords(String, String),
    Said(Said),
}

/// Checks frames against the views that they show.
pub struct Verifier {
    labels: LabelSet,
    fonts: Fonts,
    sheets: HashMap<(Kind, Size, Scale), Arc<Sheet>>,
    kept_pixels: usize,
}

impl Verifier {
    /// A verifier for views that use these labels.
    ///
    /// # Errors
    ///
    /// [`FontError`] if a built-in font cannot be read.
    pub fn new(labels: LabelSet) -> Result<Self, FontError> {
        Ok(Self::with_fonts(labels, Fonts::new()?))
    }

    /// As [`Verifier::new`], with fonts that were read before.
    pub(crate) fn with_fonts(labels: LabelSet, fonts: Fonts) -> Self {
        Self { labels, fonts, sheets: HashMap::new(), kept_pixels: 0 }
    }

    /// Looks at all of Tabard's own pixels in the frame that shows `output` of `view`, every time:
    /// what the compositor says it has not touched is looked at as well. Of `pictures` it matters
    /// only which guest shows a cursor of its own.
    ///
    /// # Errors
    ///
    /// The first [`Mismatch`] that was found; the frame must not be shown.
    pub fn verify(
        &mut self,
        view: &View,
        output: &OutputView,
        pictures: &Pictures,
        frame: &Frame,
    ) -> Result<(), Mismatch> {
        let broken = |rule| Mismatch::View { output: output.id, rule };
        if frame.size != output.size {
            return Err(broken("The frame has another size than its screen"));
        }
        let arrow = Arrow::of(output, pictures);
        let setter = &mut Setter { fonts: &mut self.fonts, scale: output.scale };
        for piece in plan::pieces(setter, view, output).map_err(broken)? {
            // What is listed may end below the screen.
            let rect = piece.rect.intersect(frame.size.rect());
            let found = match self.must(output, &piece).map_err(broken)? {
                Must::Flat(color) => flat(frame, rect, color, arrow.as_ref()),
                Must::Sheet(sheet) => drawn(frame, rect, &sheet, arrow.as_ref()),
            };
            if let Some((x, y)) = found {
                let found = frame.pixel(x, y).unwrap_or_default() & 0x00ff_ffff;
                let piece = piece.what.name();
                return Err(Mismatch::Pixel { output: output.id, x, y, piece, found });
            }
        }
        Ok(())
    }

    /// What a piece must look like.
    fn must(&mut self, output: &OutputView, piece: &Piece) -> Result<Must, Fault> {
        let kind = match &piece.what {
            What::Flat(color) => return Ok(Must::Flat(*color)),
            What::LabelColor(window) => {
                let label = self.labels.get(window.label).ok_or(UNKNOWN)?;
                return Ok(Must::Flat(label.appearance.color.to_u32()));
            }
            What::Bar => Kind::Bar(output.bar.clone()),
            What::TopBanner(window) => Kind::Banner(window.name.clone(), window.label),
            What::BottomBanner(window) => Kind::Banner(String::new(), window.label),
            What::PanelEdge => Kind::PanelEdge,
            What::PanelWords { title, detail } => {
                Kind::PanelWords((*title).to_owned(), (*detail).to_owned())
            }
            What::Said(said) => Kind::Said(said.clone()),
        };
        let size = piece.rect.size();
        let key = (kind, size, output.scale);
        if let Some(sheet) = self.sheets.get(&key) {
            return Ok(Must::Sheet(Arc::clone(sheet)));
        }
        let setter = &mut Setter { fonts: &mut self.fonts, scale: output.scale };
        let sheet = match &key.0 {
            Kind::Bar(bar) => look::bar(setter, bar, &self.labels),
            Kind::Banner(name, label) => {
                let mut sheet = Sheet::new(size, look::BACKGROUND);
                let whole = sheet.whole();
                let label = self.labels.get(*label);
                look::banner(setter, &mut sheet, whole, name, label).map(|()| sheet)
            }
            Kind::PanelEdge => Some(look::panel_edge(setter, size)),
            Kind::Said(said) => said.sheet(setter, size, &self.labels),
            Kind::PanelWords(title, detail) => Some(look::panel_words(setter, size, title, detail)),
        };
        let sheet = Arc::new(sheet.ok_or(UNKNOWN)?);
        let pixels = (size.width as usize).saturating_mul(size.height as usize);
        self.kept_pixels = self.kept_pixels.saturating_add(pixels);
        if self.kept_pixels > MAX_KEPT_PIXELS {
            self.sheets.clear();
            self.kept_pixels = pixels;
        }
        self.sheets.insert(key, Arc::clone(&sheet));
        Ok(Must::Sheet(sheet))
    }
}

const UNKNOWN: Fault = "A label is not in the configuration";

/// What a piece must look like.
enum Must {
    Flat(u32),
    Sheet(Arc<Sheet>),
}

/// The first pixel of `rect` that is not of this colour.
fn flat(frame: &Frame, rect: Rect, color: u32, arrow: Option<&Arrow>) -> Option<(u32, u32)> {
    let wrong = |pixels: &[u32]| {
        let differing = |all: u32, pixel: &u32| all | ((pixel ^ color) & 0x00ff_ffff);
        pixels.iter().fold(0, differing) != 0
    };
    let bounds = Bounds::flat(color);
    rows(frame, rect, arrow, |_, _, pixels| wrong(pixels), |_, _| Some(bounds))
}

/// The first pixel of `rect` that is not as this sheet says.
fn drawn(frame: &Frame, rect: Rect, sheet: &Sheet, arrow: Option<&Arrow>) -> Option<(u32, u32)> {
    let wrong =
        |x: u32, y: u32, pixels: &[u32]| !allow_all(sheet.row(y, x, pixels.len() as u32), pixels);
    rows(frame, rect, arrow, wrong, |x, y| sheet.row(y, x, 1).first().copied())
}

/// The first pixel of `rect` that is wrong: `wrong` judges what lies free in a row, from a place
/// in the rectangle on; what lies under the arrow is judged pixel by pixel by `bounds` and it.
fn rows(
    frame: &Frame,
    rect: Rect,
    arrow: Option<&Arrow>,
    wrong: impl Fn(u32, u32, &[u32]) -> bool,
    bounds: impl Fn(u32, u32) -> Option<Bounds>,
) -> Option<(u32, u32)> {
    (rect.y..rect.bottom()).find_map(|y| {
        let row = y.saturating_sub(rect.y);
        let span = |from: u32, to: u32| {
            let width = to.saturating_sub(from);
            let pixels = frame.row(y, from, width);
            let short = pixels.len() as u32 != width;
            let bad = short || wrong(from.saturating_sub(rect.x), row, pixels);
            // Now that something is wrong, it may be looked for slowly.
            let place = |x: &u32| {
                let pixel = frame.row(y, *x, 1);
                pixel.is_empty() || wrong(x.saturating_sub(rect.x), row, pixel)
            };
            bad.then(|| ((from..to).find(place).unwrap_or(from), y))
        };
        let under = arrow.map(|arrow| arrow.rect.intersect(rect)).unwrap_or_default();
        let Some(arrow) = arrow.filter(|_| !under.is_empty() && under.contains(under.x, y)) else {
            return span(rect.x, rect.right());
        };
        let covered = |x: &u32| {
            let bounds = bounds(x.saturating_sub(rect.x), row);
            let pixel = frame.pixel(*x, y);
            let right = bounds
                .zip(pixel)
                .is_some_and(|(bounds, pixel)| arrow.over(*x, y, bounds).allow(pixel));
            !right
        };
        span(rect.x, under.x)
            .or_else(|| (under.x..under.right()).find(covered).map(|x| (x, y)))
            .or_else(|| span(under.right(), rect.right()))
    })
}
