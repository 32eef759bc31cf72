//! What goes into the monitor and what comes out of it, as plain values.

use crate::{LockCause, Record, UserId};
use tabard_input::{Device, DeviceName, KeyCode, SourceId};
use tabard_view::{FrameSerial, GuestId, OutputId, Scale, Size};

/// The highest coordinate of [`GuestInput::Pointer`]: the right or bottom edge.
pub const POINTER_MAX: u16 = 32767;
/// The least width and height in pixels that is worth giving to a guest.
pub const MIN_GUEST_PIXELS: u32 = 16;

/// Something that happened, from the outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// A key went down or up. Repeats may be left in; they change nothing.
    Key {
        /// The keyboard.
        source: SourceId,
        /// The key, 1..=255; others are ignored.
        code: KeyCode,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer is now here.
    Pointer {
        /// The pointing device.
        source: SourceId,
        /// The output it points at; an unknown one is ignored.
        output: OutputId,
        /// Pixels from the left, clamped to the output.
        x: u32,
        /// Pixels from the top, clamped to the output.
        y: u32,
    },
    /// A button went down or up.
    Button {
        /// The pointing device.
        source: SourceId,
        /// evdev code, `BTN_LEFT`..=`BTN_TASK` (0x110..=0x117); others are ignored.
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// A wheel turned, in notches.
    Wheel {
        /// The pointing device.
        source: SourceId,
        /// Notches, away from the user positive.
        vertical: i16,
        /// Notches, to the right positive.
        horizontal: i16,
    },
    /// All keys and buttons of a source are up, such as when a window loses the keyboard.
    SourceLost(SourceId),
    /// A keyboard or pointer of the host is there. What it sends counts only from here on.
    DeviceAppeared {
        /// Its number, [`SourceId::FIRST_DEVICE`] or above and never used before.
        source: SourceId,
        /// What it is.
        device: Device,
    },
    /// A keyboard or pointer of the host is gone, and with it all that it held.
    DeviceGone(SourceId),
    /// The pointer was moved by so many pixels.
    PointerMoved {
        /// The pointing device.
        source: SourceId,
        /// To the right.
        dx: i32,
        /// Downwards.
        dy: i32,
    },
    /// The pointer was put at this place of the screen that it is on.
    PointerAt {
        /// The pointing device.
        source: SourceId,
        /// 0 (left edge) ..= 65535 (right edge).
        x: u16,
        /// 0 (top edge) ..= 65535 (bottom edge).
        y: u16,
    },
    /// A screen appeared.
    OutputAdded {
        /// The screen.
        output: OutputId,
        /// Its size in pixels.
        size: Size,
        /// Its scale.
        scale: Scale,
    },
    /// A screen changed its size or scale; an unknown one counts as added.
    OutputResized {
        /// The screen.
        output: OutputId,
        /// Its size in pixels.
        size: Size,
        /// Its scale.
        scale: Scale,
    },
    /// A screen went away.
    OutputRemoved(OutputId),
    /// A connected screen is left out, because it cannot be lit; or no longer. It shows nothing.
    ScreenDark {
        /// What it is called.
        name: DeviceName,
        /// Whether it is.
        dark: bool,
    },
    /// The frame that shows this view is on the glass of this output.
    Presented {
        /// The screen.
        output: OutputId,
        /// The number of the view that is shown.
        serial: FrameSerial,
    },
    /// The state of a guest changed; nothing that a guest can send is more than this.
    Guest {
        /// The guest.
        guest: GuestId,
        /// Its new state.
        report: GuestReport,
    },
    /// A guest's agent offers this text from now on, or nothing any more.
    Offered {
        /// The guest.
        guest: GuestId,
        /// The text, by its digest; its characters stay with the session.
        clip: Option<Clip>,
    },
    /// A guest's agent has its port open, or has closed it.
    Listens {
        /// The guest.
        guest: GuestId,
        /// Open or closed.
        listens: bool,
    },
    /// A guest switched lights of its keyboard.
    Lights {
        /// The guest.
        guest: GuestId,
        /// Which are on: Num, Caps and Scroll.
        lights: [bool; 3],
    },
    /// A guest asks the user something.
    Asked {
        /// The guest.
        guest: GuestId,
        /// The question.
        question: Question,
    },
    /// The answer to [`Effect::CheckPassword`].
    PasswordChecked {
        /// The number of the check.
        ticket: u32,
        /// Whether it is the password of the user.
        right: bool,
    },
    /// Whether records wait, because the audit log cannot be written: the bar says so.
    RecordsWait(bool),
    /// Lock the screen; nothing happens on a desk without users.
    Lock(LockCause),
    /// A timer of [`Effect::Timer`] ran out.
    Elapsed(Timer),
    /// The time, whenever the minute changes.
    Clock {
        /// Minutes since midnight UTC, 0..=1439; others are ignored.
        minute_of_day: u16,
    },
}

/// A SHA-256 digest (FIPS 180-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

/// A text, named by its digest: another text is another clip.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Clip {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub bytes: u32,
    /// Its pages, as [`crate::text_pages`] counts them.
    pub pages: u16,
}

/// A text between two guests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Passage {
    /// The guest that it was taken from.
    pub from: GuestId,
    /// The guest that gets it, or would.
    pub to: GuestId,
    /// The text.
    pub clip: Clip,
}

/// A question of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Question {
    /// The session's number of it: a later question has a higher one.
    pub number: u32,
    /// Its pages, as [`crate::text_pages`] counts them.
    pub pages: u16,
}

/// What a timer is for. Each has a number of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Timer {
    /// How long a text that was taken can be given.
    Held(u32),
    /// How long a question must be seen before it can be answered.
    DeadTime(u32),
    /// How long the question of this number waits.
    Question(u32),
    /// How long no password is taken after a wrong one.
    LoginDelay(u32),
    /// How long a guest stays down after this failure, counted from 1.
    Restart(GuestId, u8),
}

/// What a guest is doing now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestReport {
    /// It runs, after a start, a reset or a pause.
    Running,
    /// It is paused.
    Paused,
    /// It has ended.
    Stopped(Ending),
}

/// Why a guest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ending {
    /// It switched itself off.
    PowerOff,
    /// Its processor gave up.
    TripleFault,
    /// Its operating system panicked and said so.
    Panicked,
    /// KVM could not go on (internal error, unexpected exit).
    Machine,
    /// Its `tabard-vmm` process died.
    ProcessDied,
    /// Its `tabard-vmm` process sent something that the wire forbids, and was ended.
    ProtocolViolation,
    /// Its kernel or another file could not be loaded.
    LoadFailed,
    /// The user stopped it.
    ByUser,
}

/// What the session must do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Write this down, and flush it, before carrying out any effect of the same step.
    Audit(Record),
    /// Hand input to a guest.
    Deliver {
        /// The guest.
        guest: GuestId,
        /// The input.
        input: GuestInput,
    },
    /// Do something to a guest.
    Command {
        /// The guest.
        guest: GuestId,
        /// What to do.
        command: GuestCommand,
    },
    /// Keep the text that this guest offers now, unchanged, until [`Effect::Forget`].
    Take {
        /// The guest.
        guest: GuestId,
        /// The text.
        clip: Clip,
    },
    /// Hand the text that was kept to a guest.
    Give(Passage),
    /// Keep the text that was taken no longer.
    Forget,
    /// Send a guest the signed answer to its question, or that there is none.
    Answer {
        /// The guest.
        guest: GuestId,
        /// The session's number of the question.
        number: u32,
        /// What the user said; nothing if the question has waited too long.
        yes: Option<bool>,
    },
    /// Say [`Event::Elapsed`] after this time.
    Timer {
        /// What for.
        timer: Timer,
        /// Milliseconds from now.
        after_ms: u32,
    },
    /// Take the password by [`crate::Monitor::take_secret`], check it, and say
    /// [`Event::PasswordChecked`].
    CheckPassword {
        /// Whose it should be.
        user: UserId,
        /// The number of the check.
        ticket: u32,
    },
    /// There is a new view to compose and present.
    Redraw,
    /// The user ends the desk: stop every guest and leave.
    Quit,
}

/// Input as a guest receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestInput {
    /// A key.
    Key {
        /// evdev code, 1..=255.
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// A button; the pointer's place was delivered before it.
    Button {
        /// evdev code, 0x110..=0x117.
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer's place on the guest's screen.
    Pointer {
        /// 0 (left edge) ..= [`POINTER_MAX`] (right edge).
        x: u16,
        /// 0 (top edge) ..= [`POINTER_MAX`] (bottom edge).
        y: u16,
    },
    /// A wheel, in notches as in [`Event::Wheel`].
    Wheel {
        /// Notches, away from the user positive.
        vertical: i16,
        /// Notches, to the right positive.
        horizontal: i16,
    },
}

/// What to do to a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestCommand {
    /// Start it; a report of [`GuestReport::Running`] or [`GuestReport::Stopped`] must follow.
    Start,
    /// End it; a report of [`GuestReport::Stopped`] must follow.
    Stop,
    /// Press its power button; it shuts down in order, or is switched off if it has no driver for
    /// the button, or does nothing.
    PowerButton,
    /// Start it afresh; a report as after [`GuestCommand::Start`] must follow.
    Reset,
    /// Halt its processors; a report of [`GuestReport::Paused`] must follow.
    Pause,
    /// Go on after a pause; a report of [`GuestReport::Running`] must follow.
    Resume,
    /// Give it a screen of this size in pixels. Comes before the first [`GuestCommand::Start`],
    /// and also while it is stopped.
    Resize(Size),
}
