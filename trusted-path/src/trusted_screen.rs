//! The trusted screen: a list of guests, what each key does, and questions before anything that
//! loses work. It changes nothing itself; it answers with an [`Action`].

use crate::devices::Waiting;
use crate::guests::Guests;
use crate::outputs::Output;
use crate::sheet::{Sheet, Turn};
use crate::{GuestCommand, GuestState};
use tabard_input::KeyCode;
use tabard_view::{GuestId, layout};

/// The state of the trusted screen while it is open.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct TrustedScreen {
    /// The guest that had the keyboard.
    pub(crate) previous: Option<GuestId>,
    /// The guest that Enter and the letters act on.
    pub(crate) selected: GuestId,
    /// Whether the list of keys is shown instead of the guests.
    pub(crate) help: bool,
    /// Whether the list of devices and screens is shown instead of the guests.
    pub(crate) devices: bool,
    /// A seat that has just begun: nothing but the chord is obeyed.
    pub(crate) unproven: bool,
    /// The open question.
    pub(crate) ask: Option<Ask>,
    /// The text of a guest that is shown instead of the guests.
    pub(crate) sheet: Option<Sheet>,
    /// What came of the last key; empty if there is nothing to say.
    pub(crate) message: String,
}

/// A question that waits for the same key once more. It is about the selected guest: whatever
/// selects another drops the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Ask {
    /// Whether to end the guest.
    Stop,
    /// Whether to start the guest afresh.
    Reset,
    /// Whether this keyboard may type, or point too; and the key that asked.
    Accept(Waiting, KeyCode),
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
    /// To take the text that this guest offers.
    TakeText(GuestId),
    /// To give this guest the text that was taken.
    GiveText(GuestId),
    /// To see the question that waits.
    OpenQuestion,
    /// What a key did to the open text.
    Sheet(Turn),
    /// That this keyboard may type, or point too; or that it may not in this session.
    Decide(Waiting, bool),
    /// To lock the screen.
    Lock,
    /// To end the desk.
    Quit,
}

impl Action {
    /// The guest that it is about.
    pub(crate) fn guest(self) -> Option<GuestId> {
        match self {
            Self::Go(guest)
            | Self::Command(guest, _)
            | Self::TakeText(guest)
            | Self::GiveText(guest) => Some(guest),
            _ => None,
        }
    }
}

impl TrustedScreen {
    /// As it opens: the list, with the guest that had the keyboard selected.
    pub(crate) fn new(previous: Option<GuestId>, guests: &Guests) -> Self {
        let first = guests.shown().first().copied();
        Self {
            previous,
            selected: previous.or(first).unwrap_or(GuestId(0)),
            help: false,
            devices: false,
            unproven: false,
            ask: None,
            sheet: None,
            message: String::new(),
        }
    }

    /// A fresh press of a key. A question is answered by its own key (or Y); O answers that about
    /// stopping by the power button, which loses nothing. Any other key drops the question and
    /// then does what it always does; Esc only drops it. `waiting` is what may be accepted.
    pub(crate) fn key(&mut self, code: KeyCode, guests: &Guests, waiting: &[Waiting]) -> Action {
        let code = code.on_digit_row();
        // Keys that only change others neither answer nor drop a question.
        if self.unproven || code.is_modifier() || code == KeyCode::CAPS_LOCK {
            return Action::Nothing;
        }
        self.message.clear();
        if let Some(sheet) = &mut self.sheet {
            return Action::Sheet(sheet.key(code));
        }
        let state = guests.state(self.selected).unwrap_or(GuestState::Off);
        if let Some(ask) = self.ask.take() {
            if code == ask.key() || code == KeyCode::Y {
                return match ask {
                    Ask::Quit => Action::Quit,
                    Ask::Accept(waiting, _) => Action::Decide(waiting, true),
                    Ask::Stop if state.is_alive() => self.command(GuestCommand::Stop),
                    Ask::Reset if state.is_alive() => self.command(GuestCommand::Reset),
                    // It ended by itself meanwhile: a yes to stopping it must not start it.
                    Ask::Stop | Ask::Reset => Action::Nothing,
                };
            }
            if let (Ask::Accept(waiting, _), KeyCode::N) = (ask, code) {
                return Action::Decide(waiting, false);
            }
            if ask == Ask::Stop && code == KeyCode::O && state == GuestState::Running {
                return self.command(GuestCommand::PowerButton);
            }
            if code == KeyCode::ESC {
                return Action::Nothing;
            }
        }
        // By its number only where that is shown.
        let asked = match code {
            KeyCode::K if !self.help => waiting.first(),
            _ if self.devices => digit(code).and_then(|index| waiting.get(index)),
            _ => None,
        };
        if let Some(waiting) = asked {
            return self.question(Ask::Accept(*waiting, code));
        }
        if self.help || self.devices {
            (self.help, self.devices) = (false, false);
            return Action::Nothing;
        }
        match code {
            KeyCode::I => {
                self.devices = true;
                Action::Nothing
            }
            KeyCode::ESC => self.previous.map_or(Action::Nothing, Action::Go),
            KeyCode::ENTER | KeyCode::KP_ENTER => Action::Go(self.selected),
            KeyCode::UP => self.select(self.place(guests).saturating_sub(1), guests),
            KeyCode::DOWN => self.select(self.place(guests).saturating_add(1), guests),
            KeyCode::HOME => self.select(0, guests),
            KeyCode::END => self.select(guests.shown().len().saturating_sub(1), guests),
            KeyCode::S if state.is_alive() => self.question(Ask::Stop),
            KeyCode::S => self.command(GuestCommand::Start),
            KeyCode::R if state.is_alive() => self.question(Ask::Reset),
            KeyCode::P if state == GuestState::Running => self.command(GuestCommand::Pause),
            KeyCode::P if state == GuestState::Paused => self.command(GuestCommand::Resume),
            KeyCode::D => Action::ToggleLayout,
            KeyCode::C => Action::TakeText(self.selected),
            KeyCode::V => Action::GiveText(self.selected),
            KeyCode::A => Action::OpenQuestion,
            KeyCode::H | KeyCode::F1 | KeyCode::SLASH | KeyCode::HELP => {
                self.help = true;
                Action::Nothing
            }
            KeyCode::L => Action::Lock,
            KeyCode::Q => self.question(Ask::Quit),
            _ => digit(code)
                .and_then(|index| guests.shown().get(index).copied())
                .map_or(Action::Nothing, Action::Go),
        }
    }

    /// The rows that are shown: the page that has the selected guest.
    pub(crate) fn shown(&self, output: &Output, guests: &Guests) -> impl Iterator<Item = GuestId> {
        let rows = layout::trusted_rows_that_fit(output.size, output.scale);
        let page = self.place(guests).checked_div(rows).unwrap_or(0);
        guests.shown().into_iter().skip(page.saturating_mul(rows)).take(rows)
    }

    /// The place of the selected guest among those that are shown.
    fn place(&self, guests: &Guests) -> usize {
        guests.shown().iter().position(|guest| *guest == self.selected).unwrap_or(0)
    }

    /// The guest whose row has this pixel.
    pub(crate) fn row_at(
        &self,
        output: &Output,
        guests: &Guests,
        x: u32,
        y: u32,
    ) -> Option<GuestId> {
        if self.help || self.devices || self.unproven || self.sheet.is_some() {
            return None;
        }
        self.shown(output, guests)
            .enumerate()
            .find(|(index, _)| {
                layout::trusted_row(output.size, output.scale, *index).contains(x, y)
            })
            .map(|(_, guest)| guest)
    }

    /// What came of the last key.
    pub(crate) fn news(&self) -> Option<String> {
        (!self.message.is_empty()).then(|| self.message.clone())
    }

    fn select(&mut self, index: usize, guests: &Guests) -> Action {
        if let Some(guest) = guests.shown().get(index) {
            self.selected = *guest;
        }
        Action::Nothing
    }

    fn question(&mut self, ask: Ask) -> Action {
        self.ask = Some(ask);
        Action::Nothing
    }

    fn command(&self, command: GuestCommand) -> Action {
        Action::Command(self.selected, command)
    }
}

impl Ask {
    /// The key that answers it.
    pub(crate) fn key(self) -> KeyCode {
        match self {
            Self::Stop => KeyCode::S,
            Self::Reset => KeyCode::R,
            Self::Accept(_, key) => key,
            Self::Quit => KeyCode::Q,
        }
    }
}

/// The place, among the guests that are shown, of the one that a key of the digit row goes to.
fn digit(code: KeyCode) -> Option<usize> {
    let row = KeyCode::DIGIT_1..=KeyCode::DIGIT_9;
    row.contains(&code).then(|| usize::from(code.0.saturating_sub(KeyCode::DIGIT_1.0)))
}
