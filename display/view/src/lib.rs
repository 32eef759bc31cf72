//! What the screen should show, as plain values: the monitor derives a [`View`] from its state,
//! the compositor draws it, the verifier checks it. It holds no policy and no pixels.
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod layout;
mod rect;
mod scale;

pub use rect::{Rect, Size};
pub use scale::Scale;
use tabard_labels::LabelId;

/// A guest, by its place in the desk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuestId(pub u8);

/// A screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputId(pub u8);

/// Numbers the views of a monitor; each differing view has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FrameSerial(pub u64);

/// Who receives keys and pointer when this view is on the glass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Recipient {
    /// This guest.
    Guest(GuestId),
    /// The trusted screen.
    Trusted,
    /// Nobody: there is no guest to type into.
    Nobody,
}

/// Everything that all screens show at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct View {
    /// Its number.
    pub serial: FrameSerial,
    /// Who receives input once this view is confirmed on every output.
    pub recipient: Recipient,
    /// One entry for each connected screen.
    pub outputs: Vec<OutputView>,
}

/// What one screen shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OutputView {
    /// The screen.
    pub id: OutputId,
    /// Its size in pixels.
    pub size: Size,
    /// Its scale; every rectangle below is in pixels, already scaled.
    pub scale: Scale,
    /// The trusted bar, across the whole top edge.
    pub bar: Bar,
    /// What is below the bar.
    pub content: Content,
    /// The pointer, if it is on this screen.
    pub pointer: Option<Pointer>,
}

/// The trusted bar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bar {
    /// Where it is.
    pub rect: Rect,
    /// What it says in the middle.
    pub kind: BarKind,
    /// Small text at the left end (the SAK chord, or the user's phrase).
    pub left: String,
    /// Small text at the right end (the time, or how to go back).
    pub right: String,
    /// One short line of warning or news below or beside the message; empty if none.
    pub notice: String,
}

/// The message of the bar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum BarKind {
    /// "TYPING INTO name", wearing the label.
    TypingInto {
        /// The guest's name from the desk file.
        name: String,
        /// Its label.
        label: LabelId,
    },
    /// The trusted screen is open: light bar, "TRUSTED PATH".
    Trusted {
        /// What follows the words TRUSTED PATH.
        message: String,
    },
    /// No guest receives input: neutral bar.
    Nobody {
        /// Why, and what to press.
        message: String,
    },
}

/// What fills the screen below the bar.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Content {
    /// Guests inside their banners, in drawing order (they never overlap).
    Windows(Vec<Window>),
    /// The trusted screen; no guest is in the scene.
    Trusted(TrustedScreen),
    /// Nothing but the background.
    Blank,
}

/// One guest inside its banners.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Window {
    /// The guest.
    pub guest: GuestId,
    /// Its name.
    pub name: String,
    /// Its label.
    pub label: LabelId,
    /// Whether it is the recipient; others are dimmed.
    pub focused: bool,
    /// Where its parts are.
    pub frame: WindowFrame,
    /// What fills the content rectangle.
    pub picture: Picture,
}

/// The parts of a window; none of them overlap, all lie in `outer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct WindowFrame {
    /// The whole, ring of focus included.
    pub outer: Rect,
    /// Inside the focus ring: the border in label colour is what of this is not covered by the
    /// banners and the content.
    pub border: Rect,
    /// The banner above; empty where the trusted bar serves as it (solo).
    pub top: Rect,
    /// The guest's pixels: exactly the size that the guest is told.
    pub content: Rect,
    /// The banner below.
    pub bottom: Rect,
}

/// What fills a content rectangle.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Picture {
    /// The guest's own pixels.
    Live,
    /// Trusted text instead of pixels (stopped, starting, failed): never a stale frame.
    Words {
        /// One line, large.
        title: String,
        /// One line, small; what to press.
        detail: String,
    },
    /// The guest's last pixels under a trusted word ("paused").
    Veiled {
        /// The word.
        title: String,
    },
}

/// The pointer on a screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pointer {
    /// Pixels from the left.
    pub x: u32,
    /// Pixels from the top.
    pub y: u32,
    /// Whose image: inside this guest's content, clipped to it; else Tabard's own arrow.
    pub over: Option<GuestId>,
}

/// The trusted screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustedScreen {
    /// Heading, such as "Go to".
    pub title: String,
    /// What is listed.
    pub body: TrustedBody,
    /// Keys and what they do, in one line or two.
    pub hints: Vec<Hint>,
    /// One small line at the foot of the screen.
    pub footer: String,
}

/// The middle of the trusted screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum TrustedBody {
    /// The guests that fit, the selected one among them.
    Guests(Vec<TrustedRow>),
    /// Every key and what it does.
    Help(Vec<Hint>),
    /// A page of a text that came from a guest, every character of it made visible.
    Text(TextPage),
    /// Login or lock.
    Login(LoginForm),
}

/// Who logs in, and how far they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LoginForm {
    /// The name of the user.
    pub user: String,
    /// The phrase by which the user knows this screen; empty if there is none.
    pub phrase: String,
    /// How many characters of the password have been typed.
    pub typed: u8,
    /// Whether a password is taken now.
    pub open: bool,
    /// What the user must know, such as that the password was wrong; empty if nothing.
    pub message: String,
}

/// One page of a guest's text, and between whom it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextPage {
    /// Whose text it is: name and label.
    pub from: (String, LabelId),
    /// Who would get it; nobody for a question.
    pub to: Option<(String, LabelId)>,
    /// The page, from 0.
    pub page: u16,
    /// How many there are.
    pub pages: u16,
    /// Length and digest, or what is asked; one line.
    pub summary: String,
    /// The page's lines, at most [`PAGE_LINES`] of at most [`PAGE_COLUMNS`] characters.
    pub lines: Vec<TextLine>,
    /// What must be typed to agree; empty until the last page.
    pub challenge: String,
    /// How many characters of the challenge are typed.
    pub typed: u8,
}

/// Lines of a page of a guest's text.
pub const PAGE_LINES: usize = 14;
/// Characters of a line of a guest's text.
pub const PAGE_COLUMNS: usize = 72;

/// A line of a guest's text: runs of characters of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct TextLine(pub Vec<TextRun>);

/// Characters of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TextRun {
    /// What is drawn: printable characters only.
    pub shown: String,
    /// How.
    pub kind: TextKind,
}

/// How a run of a guest's text is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextKind {
    /// Printable ASCII, as it is.
    Plain,
    /// Letters of Latin-1 with marks, as they are, but on a ground that says so.
    Marked,
    /// The end of a line, where the text has one.
    Break,
    /// A name in place of what cannot be seen, could be taken for something else, or repeats.
    Warning,
}

/// One guest on the trusted screen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TrustedRow {
    /// Where it is.
    pub rect: Rect,
    /// The guest.
    pub guest: GuestId,
    /// The key that goes to it ("1"); empty if it has none.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its label.
    pub label: LabelId,
    /// Its state in a word or three.
    pub state: String,
    /// Whether the state is one of running (drawn bright) or not (drawn dim).
    pub live: bool,
    /// A remark at the right end ("had the keyboard"); empty if none.
    pub remark: String,
    /// Whether Enter acts on it.
    pub selected: bool,
}

/// A key and what it does.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hint {
    /// The key as printed on it.
    pub key: String,
    /// What it does.
    pub text: String,
}

impl View {
    /// The screen of that number.
    #[must_use]
    pub fn output(&self, id: OutputId) -> Option<&OutputView> {
        self.outputs.iter().find(|output| output.id == id)
    }
}

impl OutputView {
    /// The windows, none while the trusted screen is open.
    #[must_use]
    pub fn windows(&self) -> &[Window] {
        match &self.content {
            Content::Windows(windows) => windows,
            Content::Trusted(_) | Content::Blank => &[],
        }
    }
}
