//! Rectangles of a screen and what each must show.

use tabard_labels::LabelId;
use tabard_view::{Hint, LoginForm, Rect, TextLine, TrustedRow, Window};

use super::look::{PANEL, RING};
use super::setter::Align;
use crate::font::Weight;

/// Why a view may not be shown.
pub(super) type Fault = &'static str;

/// A rectangle of the screen and what it must show.
#[derive(Debug)]
pub(super) struct Piece<'v> {
    pub(super) rect: Rect,
    pub(super) what: What<'v>,
}

/// What a piece must show.
#[derive(Debug, Clone)]
pub(super) enum What<'v> {
    Flat(u32),
    LabelColor(&'v Window),
    Bar,
    TopBanner(&'v Window),
    BottomBanner(&'v Window),
    PanelEdge,
    PanelWords { title: &'v str, detail: &'v str },
    Said(Said),
}

impl What<'_> {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Flat(RING) => "the ring of focus",
            Self::Said(_) => "the trusted screen",
            Self::Flat(PANEL) | Self::PanelEdge | Self::PanelWords { .. } => "Tabard's words",
            Self::Flat(_) => "the background",
            Self::LabelColor(_) => "the border of a guest",
            Self::Bar => "the trusted bar",
            Self::TopBanner(_) => "the upper banner of a guest",
            Self::BottomBanner(_) => "the lower banner of a guest",
        }
    }
}

/// Texts that stand in one line: each part with its ink. Several parts are never made smaller.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Words {
    pub(super) parts: Vec<(String, u32)>,
    pub(super) align: Align,
    pub(super) face: (Weight, u32, u32),
}

/// A part of the trusted screen, and all that decides how it looks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Said {
    /// Texts on the background.
    Words(Vec<Words>),
    /// A guest of the list.
    Row(Box<TrustedRow>),
    /// From whom a text is, and who would get it.
    Parties((String, LabelId), Option<(String, LabelId)>),
    /// Lines of a guest's text in letters of this size, each in a cell of this width.
    Lines(Vec<TextLine>, u32, u32),
    /// The panel behind that text, of this height, from this row on.
    Panel(u32, u32),
    /// Who logs in.
    Login(Box<LoginForm>),
    /// Keys and what they do.
    Hints(Vec<Hint>),
}

impl From<Said> for What<'_> {
    fn from(said: Said) -> Self {
        Self::Said(said)
    }
}
