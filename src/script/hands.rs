//! What a person at the desk does: keys, pointer, and the trusted screen. Nothing here reaches
//! round the trusted path: a guest is chosen, stopped or reset by the keys that a user has.

use std::time::{Duration, Instant};

use tabard_display::RawInput;
use tabard_input::KeyCode;
use tabard_trusted_path::LayoutMode;
use tabard_view::{
    BarKind, Content, OutputId, Recipient, Rect, Scale, Size, TrustedBody, TrustedRow, Window,
};

use super::keys::{self, Stroke};
use super::pace::Typing;
use super::step::{Button, Manage, Place};
use crate::harness::{Harness, Snapshot};

/// The hands, and the screen that they look at.
#[derive(Debug)]
pub(crate) struct Hands<'h> {
    /// The desk.
    pub(crate) harness: &'h Harness,
    /// The screen that places are on.
    pub(crate) screen: OutputId,
    /// Until when the step may wait.
    pub(crate) deadline: Instant,
    /// Whether to act without waiting until input is open.
    pub(crate) now: bool,
    /// How long a finger rests between two characters; zero for as long as the guest needs.
    pub(crate) pace: Duration,
    /// What was typed and not answered yet.
    pub(crate) typing: &'h Typing,
}

/// Why something could not be done, in a sentence.
pub(crate) type Done = Result<(), String>;

impl Hands<'_> {
    /// Waits until `condition` holds; `what` is what was waited for.
    pub(crate) fn wait(&self, what: &str, mut condition: impl FnMut(&Harness) -> bool) -> Done {
        let begin = Instant::now();
        let left = self.deadline.saturating_duration_since(begin);
        let mut held = false;
        self.harness.wait(left, |harness| {
            held = condition(harness);
            held || harness.ended()
        });
        if held {
            Ok(())
        } else if self.harness.ended() {
            Err(format!("The desk ended while waiting for {what}"))
        } else {
            let waited = begin.elapsed().as_secs_f64();
            Err(format!("Waited {waited:.1} s in vain for {what}"))
        }
    }

    /// Presses and releases keys, one after the other.
    pub(crate) fn strokes(&self, strokes: &[Stroke]) -> Done {
        for stroke in strokes {
            self.open()?;
            if self.pace.is_zero() && !self.now {
                self.typing.keep_pace(self.harness, self.screen, self.deadline, stroke);
            }
            self.stroke(stroke);
            if !self.pace.is_zero() {
                self.harness.wait(self.pace, Harness::ended);
            }
        }
        Ok(())
    }

    /// Presses a key.
    pub(crate) fn press(&self, key: KeyCode) -> Done {
        self.open()?;
        self.key(key, true);
        Ok(())
    }

    /// Releases a key. It does not wait: a finger comes up whatever the screen shows.
    pub(crate) fn release(&self, key: KeyCode) {
        self.key(key, false);
    }

    /// Moves the pointer.
    pub(crate) fn point(&self, place: &Place) -> Done {
        self.open()?;
        let (x, y) = self.pixel(place)?;
        self.harness.input(RawInput::Pointer { output: self.screen, x, y });
        Ok(())
    }

    /// Moves the pointer, presses and releases a button.
    pub(crate) fn click(&self, place: &Place, button: Button) -> Done {
        self.point(place)?;
        self.button(button, true);
        self.button(button, false);
        Ok(())
    }

    /// Draws a line with the left button.
    pub(crate) fn drag(&self, from: &Place, to: &Place) -> Done {
        /// Places on the way, as a hand that is not infinitely fast.
        const STEPS: i64 = 16;
        self.point(from)?;
        let (from, to) = (self.pixel(from)?, self.pixel(to)?);
        let button = Button(KeyCode::BUTTON_LEFT);
        self.button(button, true);
        let part = |from: u32, to: u32, step: i64| {
            let (from, to) = (i64::from(from), i64::from(to));
            u32::try_from(from + (to - from) * step / STEPS).unwrap_or(0)
        };
        for step in 1..=STEPS {
            let (x, y) = (part(from.0, to.0, step), part(from.1, to.1, step));
            self.harness.input(RawInput::Pointer { output: self.screen, x, y });
        }
        self.button(button, false);
        Ok(())
    }

    /// Turns the wheel.
    pub(crate) fn wheel(&self, vertical: i16, horizontal: i16) -> Done {
        self.open()?;
        self.harness.input(RawInput::Wheel { vertical, horizontal });
        Ok(())
    }

    /// Presses the secure-attention key; unless in a hurry, waits until the glass says so.
    pub(crate) fn sak(&self) -> Done {
        let chord = keys::chord(self.harness.sak())
            .map_err(|error| format!("Cannot press the desk's secure-attention key: {error}"))?;
        self.stroke(&chord);
        if self.now {
            return Ok(());
        }
        self.wait("the trusted screen", |harness| {
            on_glass(harness, Recipient::Trusted)
                && (self.rows().is_some() || harness.status().locked)
        })
    }

    /// Locks the screen by way of the trusted screen, and waits until the glass says so.
    pub(crate) fn lock(&self) -> Done {
        self.sak()?;
        self.tap(KeyCode::L);
        self.wait("the lock screen", |harness| {
            harness.status().locked && on_glass(harness, Recipient::Trusted)
        })
    }

    /// Goes to a guest by way of the trusted screen, and waits until the glass names it.
    pub(crate) fn switch(&self, guest: usize) -> Done {
        self.sak()?;
        self.go(guest)?;
        if self.now {
            return Ok(());
        }
        let id = guest_id(guest)?;
        self.wait(&format!("the glass to name {}", self.name(guest)), |harness| {
            on_glass(harness, Recipient::Guest(id))
        })
    }

    /// Chooses a layout by way of the trusted screen, and goes back to the guest that had the
    /// keyboard.
    pub(crate) fn layout(&self, layout: LayoutMode) -> Done {
        self.sak()?;
        // The list says what D would change to; there is no other sign of the layout on it.
        let shown = self.trusted_hint("D").ok_or("The trusted screen does not offer layouts")?;
        let other = if shown.contains("all guests") { LayoutMode::Desk } else { LayoutMode::Solo };
        if other == layout {
            self.tap(KeyCode::D);
            self.wait("the other layout", |_| {
                self.trusted_hint("D").is_some_and(|now| now != shown)
            })?;
        }
        self.back()
    }

    /// Does something to a guest by way of the trusted screen, waits until that shows, and goes
    /// back to the guest that had the keyboard.
    pub(crate) fn manage(&self, manage: Manage, guest: usize) -> Done {
        self.sak()?;
        self.select(guest)?;
        let name = self.name(guest);
        let state = self.row(guest).map(|row| row.state).unwrap_or_default();
        let alive = matches!(state.as_str(), "running" | "starting" | "paused");
        let (key, asks, wanted, possible) = match manage {
            Manage::Start => (KeyCode::S, false, "running", !alive),
            Manage::Stop => (KeyCode::S, true, "stopped", alive),
            Manage::Shutdown => (KeyCode::S, true, "switched off", state == "running"),
            Manage::Reset => (KeyCode::R, true, "running", alive),
            Manage::Pause => (KeyCode::P, false, "paused", state == "running"),
            Manage::Resume => (KeyCode::P, false, "running", state == "paused"),
        };
        if !possible {
            let verb = format!("{manage:?}").to_lowercase();
            return Err(format!("There is nothing to {verb}: {name} is {state}"));
        }
        self.tap(key);
        if asks {
            self.wait("the question before work is lost", |_| self.asked())?;
            self.tap(if manage == Manage::Shutdown { KeyCode::O } else { key });
            self.wait("the answer to be taken", |_| !self.asked())?;
        }
        // A guest that had failed is shown so until its new start shows.
        let mut moved = state != "failed";
        let mut now = String::new();
        self.wait(&format!("{name} to be {wanted}"), |_| {
            now = self.row(guest).map(|row| row.state).unwrap_or_default();
            moved |= now != state;
            now == wanted || (now == "failed" && moved)
        })?;
        if now == "failed" {
            return Err(format!(
                "{name} failed; its serial log and the session's messages say why"
            ));
        }
        self.back()
    }

    /// Waits until a screen shows a view that was made for this size and scale.
    pub(crate) fn sized(&self, screen: OutputId, size: Size, scale: Scale) -> Done {
        self.wait(&format!("a picture of {}x{}", size.width, size.height), |harness| {
            let view = harness.snapshot(screen).and_then(|snapshot| snapshot.view);
            let output = view.as_deref().and_then(|view| view.output(screen));
            output.is_some_and(|output| output.size == size && output.scale == scale)
        })
    }

    /// The guest's window on the screen of the hands.
    pub(crate) fn window(&self, guest: usize) -> Result<Window, String> {
        let id = guest_id(guest)?;
        let snapshot = self.snapshot()?;
        let output = snapshot.view.as_deref().and_then(|view| view.output(self.screen));
        output
            .and_then(|output| output.windows().iter().find(|window| window.guest == id).cloned())
            .ok_or_else(|| format!("{} has no window on the screen now", self.name(guest)))
    }

    /// What the screen of the hands shows.
    pub(crate) fn snapshot(&self) -> Result<Snapshot, String> {
        self.harness
            .snapshot(self.screen)
            .ok_or_else(|| format!("There is no screen {}", u32::from(self.screen.0) + 1))
    }

    /// The place of a guest in the desk file.
    pub(crate) fn guest(&self, name: &str) -> Result<usize, String> {
        let found = self.harness.guests().iter().position(|guest| guest == name);
        found.ok_or_else(|| format!("The desk has no guest {name:?}"))
    }

    fn name(&self, guest: usize) -> &str {
        self.harness.guests().get(guest).map_or("", String::as_str)
    }

    /// Waits until input is open, unless in a hurry: what is typed before goes nowhere.
    pub(super) fn open(&self) -> Done {
        if self.now || self.harness.status().input_open {
            return Ok(());
        }
        self.wait("input to be open", |harness| harness.status().input_open)
    }

    fn stroke(&self, stroke: &Stroke) {
        for key in &stroke.modifiers {
            self.key(*key, true);
        }
        self.tap(stroke.key);
        for key in stroke.modifiers.iter().rev() {
            self.key(*key, false);
        }
    }

    pub(super) fn tap(&self, key: KeyCode) {
        self.key(key, true);
        self.key(key, false);
    }

    fn key(&self, KeyCode(code): KeyCode, pressed: bool) {
        self.harness.input(RawInput::Key { code, pressed });
    }

    fn button(&self, Button(KeyCode(code)): Button, pressed: bool) {
        self.harness.input(RawInput::Button { code, pressed });
    }

    /// The pixel of the screen that a place is.
    fn pixel(&self, place: &Place) -> Result<(u32, u32), String> {
        match place {
            Place::Screen(x, y) => Ok((*x, *y)),
            Place::Guest(name, x, y) => {
                let Rect { x: left, y: top, width, height } =
                    self.window(self.guest(name)?)?.frame.content;
                if *x >= width || *y >= height {
                    return Err(format!(
                        "{x},{y} is outside the picture of {name}, which has {width}x{height} pixels"
                    ));
                }
                Ok((left.saturating_add(*x), top.saturating_add(*y)))
            }
        }
    }

    /// From the open trusted screen to a guest: by its number, or by arrows and Enter.
    fn go(&self, guest: usize) -> Done {
        // The key that its row shows: a user who is not cleared for all counts only the others.
        // What is typed in a hurry is typed before there is a row, as the desk file counts.
        let shown = self.row(guest).and_then(|row| row.key.parse::<u16>().ok());
        let counted = u16::try_from(guest).ok().filter(|_| self.now).map(|index| index + 1);
        match shown.or(counted).filter(|number| (1..=9).contains(number)) {
            Some(number) => self.tap(KeyCode(KeyCode::DIGIT_1.0 + number - 1)),
            None => {
                self.select(guest)?;
                self.tap(KeyCode::ENTER);
            }
        }
        Ok(())
    }

    pub(super) fn select(&self, guest: usize) -> Done {
        self.tap(KeyCode::HOME);
        for _ in 0..guest {
            self.tap(KeyCode::DOWN);
        }
        if self.now {
            return Ok(());
        }
        self.wait(&format!("{} to be selected", self.name(guest)), |_| {
            self.row(guest).is_some_and(|row| row.selected)
        })
    }

    /// Leaves the trusted screen, if there is a guest to go back to.
    fn back(&self) -> Done {
        if self.trusted_hint("Esc").is_none() {
            return Ok(());
        }
        self.tap(KeyCode::ESC);
        self.wait("the way back from the trusted screen", |harness| {
            let status = harness.status();
            status.recipient != Recipient::Trusted && on_glass(harness, status.recipient)
        })
    }

    /// Whether a question is open on the trusted screen.
    fn asked(&self) -> bool {
        self.trusted_hint("Esc").is_some_and(|hint| hint == "leave it as it is")
    }

    pub(super) fn trusted_hint(&self, key: &str) -> Option<String> {
        self.trusted(|screen| {
            screen.hints.iter().find(|hint| hint.key == key).map(|hint| hint.text.clone())
        })?
    }

    pub(super) fn rows(&self) -> Option<Vec<TrustedRow>> {
        self.trusted(|screen| match &screen.body {
            TrustedBody::Guests(rows) => Some(rows.clone()),
            TrustedBody::Help(_) | TrustedBody::Text(_) | TrustedBody::Login(_) => None,
        })?
    }

    fn row(&self, guest: usize) -> Option<TrustedRow> {
        let id = guest_id(guest).ok()?;
        self.rows()?.into_iter().find(|row| row.guest == id)
    }

    fn trusted<T>(&self, look: impl FnOnce(&tabard_view::TrustedScreen) -> T) -> Option<T> {
        let snapshot = self.snapshot().ok()?;
        match &snapshot.view.as_deref()?.output(self.screen)?.content {
            Content::Trusted(screen) => Some(look(screen)),
            Content::Windows(_) | Content::Blank => None,
        }
    }
}

/// Whether monitor and glass agree that this is the recipient, and input is open.
pub(crate) fn on_glass(harness: &Harness, recipient: Recipient) -> bool {
    let status = harness.status();
    if status.recipient != recipient || !status.input_open {
        return false;
    }
    // Input is open only when every screen confirmed: looking at the first is to be sure of it.
    let snapshot = harness.snapshot(OutputId(0));
    let view = snapshot.and_then(|snapshot| snapshot.view);
    view.is_none_or(|view| view.recipient == recipient)
}

/// What the bar of a screen says about the recipient, in words.
pub(crate) fn bar_words(snapshot: &Snapshot, screen: OutputId) -> String {
    let output = snapshot.view.as_deref().and_then(|view| view.output(screen));
    match output.map(|output| &output.bar.kind) {
        Some(BarKind::TypingInto { name, .. }) => format!("TYPING INTO {name}"),
        Some(BarKind::Trusted { message }) => format!("TRUSTED PATH {message}"),
        Some(BarKind::Nobody { message }) => message.clone(),
        None => "nothing yet".to_owned(),
    }
}

/// The number of a guest as the view has it.
pub(crate) fn guest_id(guest: usize) -> Result<tabard_view::GuestId, String> {
    u8::try_from(guest)
        .map(tabard_view::GuestId)
        .map_err(|_| format!("There is no guest of the number {guest}"))
}

/// The moment at which a step that may wait so long gives up.
pub(crate) fn deadline(timeout: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(timeout).unwrap_or(now)
}
