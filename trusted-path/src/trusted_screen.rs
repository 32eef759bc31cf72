//! The trusted screen: a list of guests, what each key does, and questions before anything that
//! loses work. It changes nothing itself; it answers with an [`Action`].

use crate::guests::{Guest, Guests};
use crate::outputs::Output;
use crate::{GuestCommand, GuestState};
use tabard_input::KeyCode;
use tabard_view::{GuestId, layout};

/// The state of the trusted screen while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TrustedScreen {
    previous: Option<GuestId>,
    selected: GuestId,
    help: bool,
    ask: Option<Ask>,
}

/// A question that waits for the same key once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    /// Whether to end this guest.
    Stop(GuestId),
    /// Whether to start this guest afresh.
    Reset(GuestId),
    /// Whether to end the desk.
    Quit,
}

/// What the user wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing beyond the trusted screen itself.
    Nothing,
    /// To type into this guest.
    Go(GuestId),
    /// This done to this guest.
    Command(GuestId, GuestCommand),
    /// The other layout.
    ToggleLayout,
    /// To end the desk.
    Quit,
}

impl TrustedScreen {
    /// As it opens: the list, with the guest that had the keyboard selected.
    pub(crate) fn new(previous: Option<GuestId>) -> Self {
        Self { previous, selected: previous.unwrap_or(GuestId(0)), help: false, ask: None }
    }

    /// The guest that had the keyboard.
    pub(crate) fn previous(&self) -> Option<GuestId> {
        self.previous
    }

    /// The guest that Enter and the letters act on.
    pub(crate) fn selected(&self) -> GuestId {
        self.selected
    }

    /// Whether the list of keys is shown instead of the guests.
    pub(crate) fn help(&self) -> bool {
        self.help
    }

    /// The open question.
    pub(crate) fn ask(&self) -> Option<Ask> {
        self.ask
    }

    /// A fresh press of a key. A question is answered by its own key (or Y), and dropped by any
    /// other, which then does what it always does; Esc only drops it.
    pub(crate) fn key(&mut self, code: KeyCode, guests: &Guests) -> Action {
        if is_modifier(code) {
            return Action::Nothing;
        }
        if let Some(ask) = self.ask.take() {
            if code == ask.key() || code == KeyCode::Y {
                return ask.answer(guests);
            }
            if code == KeyCode::ESC {
                return Action::Nothing;
            }
        }
        if self.help {
            self.help = false;
            return Action::Nothing;
        }
        match code {
            KeyCode::ESC => self.previous.map_or(Action::Nothing, Action::Go),
            KeyCode::ENTER | KeyCode::KP_ENTER => Action::Go(self.selected),
            KeyCode::UP => self.select(usize::from(self.selected.0).saturating_sub(1), guests),
            KeyCode::DOWN => self.select(usize::from(self.selected.0).saturating_add(1), guests),
            KeyCode::HOME => self.select(0, guests),
            KeyCode::END => self.select(guests.len().saturating_sub(1), guests),
            KeyCode::S => self.start_or_stop(guests),
            KeyCode::R => self.reset(guests),
            KeyCode::P => self.pause_or_resume(guests),
            KeyCode::D => Action::ToggleLayout,
            KeyCode::H | KeyCode::F1 | KeyCode::SLASH | KeyCode::HELP => {
                self.help = true;
                Action::Nothing
            }
            KeyCode::Q => {
                self.ask = Some(Ask::Quit);
                Action::Nothing
            }
            _ => digit(code)
                .and_then(|index| guests.at(index))
                .map_or(Action::Nothing, |guest| Action::Go(guest.id)),
        }
    }

    /// The rows that are shown: the page that has the selected guest.
    pub(crate) fn shown(&self, output: &Output, guests: usize) -> impl Iterator<Item = GuestId> {
        let rows = layout::trusted_rows_that_fit(output.size, output.scale);
        let selected = usize::from(self.selected.0);
        let page = selected.checked_div(rows).unwrap_or(0);
        let ids = (0..=u8::MAX).map(GuestId).take(guests);
        ids.skip(page.saturating_mul(rows)).take(rows)
    }

    /// The guest whose row has this pixel.
    pub(crate) fn row_at(&self, output: &Output, guests: usize, x: u32, y: u32) -> Option<GuestId> {
        if self.help {
            return None;
        }
        self.shown(output, guests)
            .enumerate()
            .find(|(index, _)| {
                layout::trusted_row(output.size, output.scale, *index).contains(x, y)
            })
            .map(|(_, guest)| guest)
    }

    fn select(&mut self, index: usize, guests: &Guests) -> Action {
        if let Some(guest) = guests.at(index) {
            self.selected = guest.id;
        }
        Action::Nothing
    }

    fn start_or_stop(&mut self, guests: &Guests) -> Action {
        match guests.state(self.selected) {
            Some(state) if state.is_alive() => {
                self.ask = Some(Ask::Stop(self.selected));
                Action::Nothing
            }
            _ => Action::Command(self.selected, GuestCommand::Start),
        }
    }

    fn reset(&mut self, guests: &Guests) -> Action {
        if guests.state(self.selected).is_some_and(GuestState::is_alive) {
            self.ask = Some(Ask::Reset(self.selected));
        }
        Action::Nothing
    }

    fn pause_or_resume(&mut self, guests: &Guests) -> Action {
        match guests.state(self.selected) {
            Some(GuestState::Running) => Action::Command(self.selected, GuestCommand::Pause),
            Some(GuestState::Paused) => Action::Command(self.selected, GuestCommand::Resume),
            _ => Action::Nothing,
        }
    }
}

impl Ask {
    /// The key that answers it.
    pub(crate) fn key(self) -> KeyCode {
        match self {
            Self::Stop(_) => KeyCode::S,
            Self::Reset(_) => KeyCode::R,
            Self::Quit => KeyCode::Q,
        }
    }

    /// What a yes means. A guest that ended by itself meanwhile is left alone: a yes to
    /// stopping it must not start it.
    fn answer(self, guests: &Guests) -> Action {
        let alive = |id| guests.get(id).filter(|guest: &&Guest| guest.state.is_alive());
        match self {
            Self::Quit => Action::Quit,
            Self::Stop(id) => alive(id)
                .map_or(Action::Nothing, |guest| Action::Command(guest.id, GuestCommand::Stop)),
            Self::Reset(id) => alive(id)
                .map_or(Action::Nothing, |guest| Action::Command(guest.id, GuestCommand::Reset)),
        }
    }
}

/// The index of the guest that a key of the digit row goes to.
fn digit(code: KeyCode) -> Option<usize> {
    let row = KeyCode::DIGIT_1.0..=KeyCode::DIGIT_9.0;
    row.contains(&code.0).then(|| usize::from(code.0.saturating_sub(KeyCode::DIGIT_1.0)))
}

/// Keys that only change others: they neither answer nor drop a question.
fn is_modifier(code: KeyCode) -> bool {
    matches!(
        code,
        KeyCode::LEFT_CTRL
            | KeyCode::RIGHT_CTRL
            | KeyCode::LEFT_ALT
            | KeyCode::RIGHT_ALT
            | KeyCode::LEFT_SHIFT
            | KeyCode::RIGHT_SHIFT
            | KeyCode::LEFT_META
            | KeyCode::RIGHT_META
            | KeyCode::CAPS_LOCK
    )
}
