//! What a script is made of, as plain values.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tabard_input::KeyCode;
use tabard_trusted_path::LayoutMode;
use tabard_view::{Rect, Scale, Size};
use tabard_wire::Layers;

use super::fault::Fault;
use super::keys::Stroke;
use super::source::OnlyIf;

/// The two halves of handing a text over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// Take the text that a guest offers.
    Take,
    /// Give the text that was taken to a guest.
    Give,
}

/// A script, parsed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Script {
    /// Its file, for messages.
    pub(crate) file: PathBuf,
    /// The desk that it names, and the line that names it.
    pub(crate) desk: Option<(usize, PathBuf)>,
    /// The screens; empty if it names none.
    pub(crate) screens: Vec<(Size, Scale)>,
    /// The folder of its needles, if it names one, and the line that does.
    pub(crate) needles: Option<(usize, PathBuf)>,
    /// Where the glyphs of consoles are from, if it says, and the line that does.
    pub(crate) font: Option<(usize, FontFrom)>,
    /// The folder of its snapshots, if it names one, and the line that does.
    pub(crate) snapshots: Option<(usize, PathBuf)>,
    /// The language that text is read in by OCR, if it names one, and the line that does.
    pub(crate) ocr_language: Option<(usize, String)>,
    /// What it does, in this order.
    pub(crate) steps: Vec<Step>,
}

/// Where the glyphs of consoles are from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FontFrom {
    /// A PSF file.
    Psf(PathBuf),
    /// A picture, the text that it shows, and the size of a cell.
    Sample(PathBuf, PathBuf, Size),
}

/// One line of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    /// The file that it is in, if that is not the script itself.
    pub(crate) file: Option<Arc<Path>>,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// The line as it was written, without comment and outer spaces.
    pub(crate) text: String,
    /// The section that it is in; empty before the first.
    pub(crate) section: String,
    /// Whether it goes ahead without waiting until input is open.
    pub(crate) now: bool,
    /// How long it may wait.
    pub(crate) timeout: Duration,
    /// How long a finger rests between two characters; zero for as long as the guest needs.
    pub(crate) pace: Duration,
    /// What must hold for it to be played.
    pub(crate) only_if: Vec<OnlyIf>,
    /// What it does.
    pub(crate) action: Action,
}

impl Step {
    /// Something that is wrong with it.
    pub(crate) fn fault(&self, cause: String) -> Fault {
        let file = self.file.as_deref().map(Path::to_path_buf);
        Fault { file, line: self.line, cause }
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Presses and releases these, one after the other.
    Strokes(Vec<Stroke>),
    /// Presses a key.
    Press(KeyCode),
    /// Releases a key.
    Release(KeyCode),
    /// Moves the pointer.
    Move(Place),
    /// Moves the pointer, presses and releases a button.
    Click(Place, Button),
    /// Waits until a needle is shown, on the screen or by a guest, and clicks on it.
    ClickNeedle(String, Option<String>, Button),
    /// Presses the left button at the first place, and releases it at the second.
    Drag(Place, Place),
    /// Turns the wheel, in notches: vertical, horizontal.
    Wheel(i16, i16),
    /// Takes a guest's text, or gives it the one that was taken.
    Exchange(Exchange, String),
    /// Reads all of a text under review and types its challenge.
    ReleaseText,
    /// Opens the question that waits longest.
    Question,
    /// Answers the open question.
    Answer(bool),
    /// Presses the secure-attention key.
    Sak,
    /// Locks the screen by way of the trusted screen.
    Lock,
    /// Goes to a guest by way of the trusted screen.
    Switch(String),
    /// Chooses a layout by way of the trusted screen.
    Layout(LayoutMode),
    /// Does something to a guest by way of the trusted screen.
    Manage(Manage, String),
    /// Waits until this holds.
    WaitFor(Condition),
    /// Fails unless this holds at once.
    Expect(Condition),
    /// Writes a picture of the screen, or of a guest.
    Shot(PathBuf, Option<String>),
    /// What guests print from here on is what `serial` and `no-event` look at.
    Mark,
    /// Keeps a guest as it is, under this name.
    Save(String, String),
    /// Starts a guest from a snapshot.
    From {
        /// The guest.
        guest: String,
        /// The snapshot.
        name: String,
        /// Whether nothing was done before: it is started from there instead of being booted.
        first: bool,
    },
    /// Kills the process of a guest.
    Kill(String),
    /// Withholds the confirmations of frames, or lets them come again.
    Hold(bool),
    /// Gives the screen another size.
    Resize(Size, Scale),
    /// Plugs a further screen in.
    AddScreen(Size, Scale),
    /// Unplugs the screen of this number, from 0.
    RemoveScreen(u8),
    /// Later places, regions and pictures are on the screen of this number, from 0.
    OnScreen(u8),
    /// Prints a line.
    Echo(String),
}

/// A button of the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Button(pub(crate) KeyCode);

/// A place on the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// Pixels of the screen.
    Screen(u32, u32),
    /// Pixels of a guest's own picture.
    Guest(String, u32, u32),
}

/// A part of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Region {
    /// Pixels of the screen.
    Screen(Rect),
    /// A guest's own picture.
    Guest(String),
}

/// What the trusted screen can do to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manage {
    /// Start it.
    Start,
    /// End it.
    Stop,
    /// Press its power button.
    Shutdown,
    /// Start it afresh.
    Reset,
    /// Halt its processors.
    Pause,
    /// Let it go on.
    Resume,
}

/// Who receives input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Focus {
    /// A guest.
    Guest(String),
    /// The trusted screen.
    Trusted,
    /// Nobody.
    Nobody,
}

/// What can be waited for, or expected.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// Tabard drew this text, whatever the guests show; or did not.
    Text {
        /// A part of one drawn text.
        text: String,
        /// Whether it must be there.
        present: bool,
    },
    /// The glass and the monitor name this recipient, and input is open.
    Focus(Focus),
    /// Whether input reaches anybody.
    InputOpen(bool),
    /// Both banners of a guest's window say this.
    Banner {
        /// The guest.
        guest: String,
        /// The marking.
        text: String,
    },
    /// A part of the screen is equal to a picture.
    Region {
        /// The part.
        region: Region,
        /// The picture, relative to the script.
        file: PathBuf,
        /// Largest difference of a colour channel that still counts as equal, 0..=255.
        tolerance: u8,
    },
    /// A guest shows this text on its console; or does not. Never what Tabard draws.
    ScreenText {
        /// The guest.
        guest: String,
        /// A part of what it shows.
        text: String,
        /// Whether it must be there.
        present: bool,
        /// The part of the guest's picture that is read; all of it if not given.
        within: Option<Rect>,
    },
    /// OCR reads this text off what a guest shows.
    OcrText {
        /// The guest.
        guest: String,
        /// A part of what is read.
        text: String,
        /// The part of the guest's picture that is read; all of it if not given.
        within: Option<Rect>,
    },
    /// A needle of this name is shown.
    Needle {
        /// A tag, several, or the name of a file.
        name: String,
        /// By this guest, or anywhere on the screen.
        guest: Option<String>,
    },
    /// The picture does not change for this long.
    Stable {
        /// Of this guest, or the whole screen.
        guest: Option<String>,
        /// For how long.
        quiet: Duration,
    },
    /// A guest printed this since the last mark; or did not.
    Serial {
        /// The guest.
        guest: String,
        /// A part of what it printed.
        text: String,
        /// Whether it must be there.
        present: bool,
    },
    /// A probe printed no input event since the last mark.
    NoEvent(String),
    /// A guest's picture is what it was at the last mark.
    Unchanged(String),
    /// The screen is locked, or is not.
    Locked(bool),
    /// A guest has a process, or has none.
    Running(String, bool),
    /// The jail of a guest's process has these layers.
    Jail(String, Layers),
    /// The session has ended.
    Ended,
}
