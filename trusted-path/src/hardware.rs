//! What the monitor makes of the host's keyboards, pointers and screens: which it heeds, and what it
//! says of them on the bar and on the page of devices.

use crate::devices::{Known, MAX_DEVICES, Part, Waiting};
use crate::guests::Guest;
use crate::{Effect, LockCause, Monitor, focus::Focus, trusted_screen::TrustedScreen, words};
use tabard_input::{Device, DeviceClass, DeviceName, SourceId};
use tabard_view::Hint;

impl Monitor {
    /// The same monitor for a seat: it begins on the trusted screen and waits for the chord, so
    /// that the user has learnt it, and Tabard knows which keyboard is the user's.
    #[must_use]
    pub fn awaiting_chord(mut self) -> Self {
        self.seated = true;
        let previous = match self.focus {
            Focus::Guest(guest) => Some(guest),
            Focus::Trusted(ref screen) => screen.previous,
            // The lock screen asks for the chord itself.
            Focus::Locked(_) => return self,
        };
        let unproven = true;
        self.focus = Focus::Trusted(TrustedScreen {
            unproven,
            ..TrustedScreen::new(previous, &self.guests)
        });
        self.view.recipient = self.recipient();
        self
    }

    pub(crate) fn device_appeared(&mut self, source: SourceId, device: Device) {
        let proven = match &self.focus {
            Focus::Guest(_) => true,
            Focus::Trusted(screen) => !screen.unproven,
            Focus::Locked(_) => self.is_known(),
        };
        self.devices.add(source, device, proven);
    }

    pub(crate) fn device_gone(&mut self, source: SourceId) -> Vec<Effect> {
        let had_one = self.devices.may_type();
        let mut effects = self.source_lost(source);
        self.devices.remove(source, self.config.login.keep_wireless);
        // Whoever brings the next keyboard, which needs no question, need not be who had this one.
        if had_one && !self.devices.may_type() {
            effects.extend(self.lock(LockCause::SeatLost));
        }
        effects
    }

    /// The chord was completed on this keyboard. If no other is accepted, it is the user's: there
    /// is no other way to accept one then.
    pub(crate) fn chord_on(&mut self, source: SourceId) {
        let port = |source| self.devices.get(source).map(|known| known.device.port);
        let is_it = |one: &Waiting| one.part == Part::Keys && port(one.source) == port(source);
        let waiting = self.devices.waiting().into_iter().find(is_it);
        if let Some(waiting) = waiting.filter(|_| !self.devices.may_type()) {
            self.decide(waiting, true);
        }
    }

    /// The user accepts this, or dismisses it for this session.
    pub(crate) fn decide(&mut self, waiting: Waiting, accepted: bool) {
        self.devices.decide(waiting, accepted);
    }

    /// A screen is left out, or no longer.
    pub(crate) fn screen_dark(&mut self, name: DeviceName, dark: bool) {
        self.dark.retain(|other| *other != name);
        if dark && self.dark.len() < MAX_DEVICES {
            self.dark.push(name);
        }
    }

    /// The words of the bar while a screen is left out.
    pub(crate) fn dark_notice(&self) -> String {
        let first = self.dark.first();
        first.map_or(String::new(), |name| format!("Screen {} stays dark", name.as_str()))
    }

    /// One line for the bar while a keyboard waits, or is waited for.
    pub(crate) fn waiting_notice(&self, chord: &str) -> Option<String> {
        if self.seated && self.devices.keyboards().next().is_none() {
            return Some("There is no keyboard: plug one in".to_owned());
        }
        let waiting = self.devices.waiting();
        let asks = |one: &&Waiting| one.part == Part::Keys && !one.dismissed;
        let keyboard = waiting.first().filter(asks);
        keyboard.map(|_| match &self.focus {
            _ if !self.devices.may_type() => format!("Press {chord} on the keyboard that is yours"),
            Focus::Trusted(_) => "A new keyboard waits: press K to accept it".to_owned(),
            Focus::Guest(_) => format!("A new keyboard waits: {chord}, then K"),
            Focus::Locked(_) => format!("A new keyboard waits: log in, then {chord}, K"),
        })
    }

    /// Every device, every screen, and what each guest runs on, for the trusted screen.
    pub(crate) fn device_lines(&self) -> Vec<Hint> {
        let waiting = self.devices.waiting();
        let line = |known: &Known| {
            let class = match known.device.kind.class {
                DeviceClass::Keyboard => "Keyboard",
                DeviceClass::Pointer => "Pointer",
                DeviceClass::Refused(_) => "Refused",
            };
            let group = waiting.iter().position(|one| self.devices.is_of(known, one));
            // The other nodes of a device that waits are in the line of its last.
            let last = group.and_then(|at| waiting.get(at)).map(|one| one.last);
            if last.is_some_and(|last| last != known.source) {
                return None;
            }
            // The number that accepts it, where one key can.
            let place = group.filter(|at| *at < 9);
            let number = place.map_or(String::new(), |at| format!(" {}", at.saturating_add(1)));
            let port =
                group.map_or(String::new(), |_| format!(" ({})", known.device.port.as_str()));
            let text = format!("{}: {}{port}", known.device.name.as_str(), known.state());
            Some(Hint { key: format!("{class}{number}"), text })
        };
        let screen = |(index, output): (usize, &crate::outputs::Output)| {
            let number = index.saturating_add(1);
            let (width, height) = (output.size.width, output.size.height);
            Hint { key: "Screen".to_owned(), text: format!("{number}: {width} x {height}") }
        };
        // The newest first: what was refused or waits must not fall off the end of the screen.
        let screens = self.outputs.iter().enumerate().map(screen);
        let guest = |guest: &Guest| {
            let engine = if guest.config.emulated { words::EMULATED } else { "kvm" };
            Hint { key: "Guest".to_owned(), text: format!("{}: {engine}", guest.config.name) }
        };
        let guests = self.guests.iter().filter(|guest| guest.shown).map(guest);
        let dark = self.dark.iter().map(|name| Hint {
            key: "Screen".to_owned(),
            text: format!("{}: cannot be lit, stays dark", name.as_str()),
        });
        let screens = screens.chain(dark);
        screens.chain(self.devices.known.iter().rev().filter_map(line)).chain(guests).collect()
    }
}

#[cfg(test)]
mod tests;
