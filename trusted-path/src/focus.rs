//! Who receives input, and how a key gets there or does not. This file and `pointer.rs` are the
//! only ones that make a delivery.

use crate::trusted_screen::{Action, TrustedScreen};
use crate::{Effect, GuestCommand, GuestInput, GuestState, LayoutMode, LockCause, Monitor, Record};
use tabard_input::{Capacity, Fate, KeyCode, SourceId};
use tabard_view::{GuestId, Recipient};

/// What the user chose to work with. Only the user's own input changes it (invariant 3).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Focus {
    /// This guest.
    Guest(GuestId),
    /// The trusted screen.
    Trusted(TrustedScreen),
    /// Login or lock; the guest that had the keyboard before.
    Locked(Option<GuestId>),
}

impl Monitor {
    /// Who receives input once the view is confirmed on every output. Nobody does while some
    /// output is too small to show the guests, because it could not show who receives it.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        match self.focus {
            Focus::Trusted(_) | Focus::Locked(_) => Recipient::Trusted,
            Focus::Guest(guest) if self.all_outputs_fit() => Recipient::Guest(guest),
            Focus::Guest(_) => Recipient::Nobody,
        }
    }

    /// Whether every output has confirmed a frame that names the recipient, and there is an
    /// output. While not, input goes nowhere (invariant 1); only the chord is still obeyed.
    #[must_use]
    pub fn input_open(&self) -> bool {
        self.outputs.all_show(self.recipient_serial)
    }

    /// The guest that input goes to at this moment: confirmed on the glass, and running.
    pub(crate) fn target(&self) -> Option<GuestId> {
        match self.recipient() {
            Recipient::Guest(guest)
                if self.input_open() && self.guests.state(guest) == Some(GuestState::Running) =>
            {
                Some(guest)
            }
            _ => None,
        }
    }

    /// A key went down or up.
    pub(crate) fn key(&mut self, source: SourceId, code: KeyCode, pressed: bool) -> Vec<Effect> {
        if !code.is_key() {
            return Vec::new();
        }
        if !pressed {
            return self.release(source, code);
        }
        // Before anything else, in every state (invariant 2); the key itself goes to nobody. A
        // keyboard that nobody accepted is heard alone: it changes no key of another.
        let heeded = self.devices.heeds(source);
        let heard = |other| other == source || (heeded && self.devices.heeds(other));
        if self.config.chord.completes(code, |code| self.held.is_down(code, heard)) {
            self.held.press(source, code, Fate::Swallowed, Capacity::Always);
            return self.attention(source);
        }
        if !heeded {
            // Remembered, because it may be a key of the chord.
            let capacity = match self.capacity(code) {
                Capacity::Limited => Capacity::Foreign,
                capacity => capacity,
            };
            self.held.press(source, code, Fate::Swallowed, capacity);
            return Vec::new();
        }
        if let Some(guest) = self.target() {
            return self.press(source, code, guest).into_iter().collect();
        }
        let repeated = self.held.is_down_on(source, code);
        self.held.press(source, code, Fate::Swallowed, self.capacity(code));
        // A repeat must not confirm its own question; an unremembered press could be one.
        if repeated || !self.held.is_down_on(source, code) || !self.input_open() {
            return Vec::new();
        }
        if self.is_locked() { self.lock_key(code) } else { self.trusted_key(code) }
    }

    /// The secure-attention key, on this keyboard. On one that nobody accepted it opens the trusted
    /// screen and does nothing else: it interrupts nobody there or at the lock, and is recorded once
    /// for each time that the user went back to a guest.
    fn attention(&mut self, source: SourceId) -> Vec<Effect> {
        self.chord_on(source);
        let record = Effect::Audit(Record::Attention);
        let previous = match &self.focus {
            Focus::Guest(guest) => Some(*guest),
            _ if !self.devices.heeds(source) => return Vec::new(),
            Focus::Trusted(screen) => screen.previous,
            Focus::Locked(_) => {
                self.attention_while_locked();
                return vec![record];
            }
        };
        let left = self.leave_sheet();
        self.exchange.news.clear();
        self.focus = Focus::Trusted(TrustedScreen::new(previous, &self.guests));
        [record].into_iter().chain(left).collect()
    }

    /// A source went away with all it held.
    pub(crate) fn source_lost(&mut self, source: SourceId) -> Vec<Effect> {
        let owed = self.held.lose(source);
        self.releases(self.target(), owed)
    }

    /// Delivers a press to the present target, unless it has that key down already.
    pub(crate) fn press(
        &mut self,
        source: SourceId,
        code: KeyCode,
        guest: GuestId,
    ) -> Option<Effect> {
        let tell = self.held.press(source, code, Fate::Delivered, self.capacity(code));
        tell.then(|| Effect::Deliver { guest, input: input(code, true) })
    }

    /// Delivers a release, if the present target was told of the press.
    pub(crate) fn release(&mut self, source: SourceId, code: KeyCode) -> Vec<Effect> {
        let owed = self.held.release(source, code).then_some(code);
        self.releases(self.target(), owed)
    }

    /// The releases of these keys for a guest.
    pub(crate) fn releases(
        &self,
        guest: Option<GuestId>,
        owed: impl IntoIterator<Item = KeyCode>,
    ) -> Vec<Effect> {
        let Some(guest) = guest else { return Vec::new() };
        let release = |code| Effect::Deliver { guest, input: input(code, false) };
        owed.into_iter().map(release).collect()
    }

    fn capacity(&self, code: KeyCode) -> Capacity {
        if self.config.chord.contains(code) { Capacity::Always } else { Capacity::Limited }
    }

    fn trusted_key(&mut self, code: KeyCode) -> Vec<Effect> {
        let Focus::Trusted(screen) = &mut self.focus else { return Vec::new() };
        let asked = screen.ask;
        let action = screen.key(code, &self.guests, &self.devices.waiting());
        if screen.ask.is_some() && screen.ask != asked {
            // A key that bounces must not answer a question that is not on the glass yet.
            self.recipient_serial = self.next_serial();
        }
        if action.guest().is_some_and(|guest| !self.guests.is_shown(guest)) {
            return Vec::new();
        }
        match action {
            Action::Nothing => Vec::new(),
            Action::Lock => self.lock(LockCause::User),
            Action::Go(guest) => {
                self.focus = Focus::Guest(guest);
                Vec::new()
            }
            Action::Command(guest, command) => self.command(guest, command).into_iter().collect(),
            Action::ToggleLayout => {
                self.layout = match self.layout {
                    LayoutMode::Solo => LayoutMode::Desk,
                    LayoutMode::Desk => LayoutMode::Solo,
                };
                Vec::new()
            }
            Action::TakeText(guest) => self.take_text(guest),
            Action::GiveText(guest) => self.give_text(guest),
            Action::OpenQuestion => self.open_question(),
            Action::Sheet(turn) => self.sheet_turn(turn),
            Action::Decide(waiting, accepted) => {
                self.decide(waiting, accepted);
                Vec::new()
            }
            Action::Quit => vec![Effect::Quit],
        }
    }

    pub(crate) fn command(&mut self, guest: GuestId, command: GuestCommand) -> Option<Effect> {
        self.guests.command(guest, command).then_some(Effect::Command { guest, command })
    }
}

fn input(code: KeyCode, pressed: bool) -> GuestInput {
    if code.is_button() {
        GuestInput::Button { code: code.0, pressed }
    } else {
        GuestInput::Key { code: code.0, pressed }
    }
}
