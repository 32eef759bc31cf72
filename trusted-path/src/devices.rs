//! The keyboards and pointers of the host: which are there, and which keyboards the user accepted.
//! A new keyboard types nothing until somebody says on the trusted screen that it is theirs; what
//! it sends meanwhile reaches nobody and changes nothing, but that the chord opens the trusted screen.

use crate::guests::Guest;
use crate::{Effect, LockCause, Monitor, focus::Focus, trusted_screen::TrustedScreen, words};
use tabard_input::{Device, DeviceClass, DeviceName, SourceId, Spare};
use tabard_view::Hint;

/// Devices that are remembered at once.
const MAX_DEVICES: usize = 64;
/// Refused devices that are still listed when they are gone, so that the user learns of them.
const MAX_REFUSED: usize = 8;

/// What the user accepts of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// That it types.
    Keys,
    /// That it points.
    Pointer,
}

/// A part of a physical device that waits for the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    /// Its first node.
    pub(crate) source: SourceId,
    pub(crate) part: Part,
    /// Its last node: a later one was not there when the user was asked.
    last: SourceId,
    /// Whether the user said that it is not to be used in this session.
    dismissed: bool,
}

/// A device that is plugged in, or a refused one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) source: SourceId,
    pub(crate) device: Device,
    types: bool,
    points: bool,
    dismissed: bool,
    gone: bool,
}

/// All devices, in the order in which they appeared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Devices {
    known: Vec<Known>,
    /// What was dismissed: it stays so when it comes back.
    dismissed: Vec<Device>,
    /// Wireless keyboards that were accepted and are asleep.
    asleep: Vec<Device>,
}

impl Devices {
    /// A device is there. A pointer needs no question: it can only choose what is on the glass.
    /// A keyboard needs none if it is the only one, with all its nodes, and `proven`: the user has
    /// shown that the session has a keyboard, so that no device can be first by waiting for the start.
    fn add(&mut self, source: SourceId, device: Device, proven: bool) {
        let old = self.known.iter().position(|known| known.gone);
        let refused = self.known.iter().filter(|known| known.gone).count();
        if (self.known.len() >= MAX_DEVICES || refused > MAX_REFUSED)
            && let Some(old) = old
        {
            self.known.remove(old);
        }
        if self.known.len() >= MAX_DEVICES || self.known.iter().any(|known| known.source == source)
        {
            return;
        }
        let awake = self.asleep.iter().position(|other| *other == device);
        let same = |known: &Known| known.types && known.device.port == device.port;
        let only = proven && self.keyboards().all(same);
        let types = device.kind.types() && (awake.is_some() || only);
        if let Some(place) = awake {
            self.asleep.remove(place);
        }
        let points = device.kind.class == DeviceClass::Pointer;
        let dismissed = self.dismissed.contains(&device);
        self.known.push(Known { source, device, types, points, dismissed, gone: false });
    }

    /// A device is gone. One that sleeps may be kept in mind.
    fn remove(&mut self, source: SourceId, keep_wireless: bool) {
        let asleep = |known: &&Known| keep_wireless && known.types && known.device.is_wireless();
        let asleep = self.get(source).filter(asleep).map(|known| known.device);
        asleep.into_iter().for_each(|device| remember(&mut self.asleep, device));
        for known in &mut self.known {
            known.gone |= known.source == source;
        }
        self.known.retain(|known| !known.gone || known.is_refused());
    }

    /// Whether the keys of this source may reach anybody. What is no device of the host, such as
    /// the window, is the session's own.
    pub(crate) fn heeds(&self, source: SourceId) -> bool {
        source.0 < SourceId::FIRST_DEVICE || self.get(source).is_some_and(|known| known.types)
    }

    /// Whether its movement and buttons may.
    pub(crate) fn heeds_pointer(&self, source: SourceId) -> bool {
        source.0 < SourceId::FIRST_DEVICE || self.get(source).is_some_and(|known| known.points)
    }

    /// Who logs in next says anew what may type.
    pub(crate) fn forget_wireless(&mut self) {
        self.asleep.clear();
    }

    /// What waits for the user's word, one entry for each physical device: keyboards, the oldest
    /// first, then what else they offer, and in the end what was dismissed.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = Vec::new();
        for known in &self.known {
            let Some(part) = known.waits() else { continue };
            let (source, dismissed) = (known.source, known.dismissed);
            match waiting.iter_mut().find(|one| self.is_of(known, one)) {
                Some(one) => one.last = source,
                None => waiting.push(Waiting { source, part, last: source, dismissed }),
            }
        }
        waiting.sort_by_key(|one| (one.dismissed, one.part != Part::Keys));
        waiting
    }

    /// Whether this node waits in the same way and is of the same physical device.
    fn is_of(&self, known: &Known, waiting: &Waiting) -> bool {
        let port = self.get(waiting.source).map(|first| first.device.port);
        port == Some(known.device.port)
            && known.waits() == Some(waiting.part)
            && known.dismissed == waiting.dismissed
    }

    /// The user said this of what waits.
    fn decide(&mut self, waiting: Waiting, accepted: bool) {
        let meant = |known: &&Known| known.source <= waiting.last && self.is_of(known, &waiting);
        let meant: Vec<SourceId> =
            self.known.iter().filter(meant).map(|known| known.source).collect();
        for known in self.known.iter_mut().filter(|known| meant.contains(&known.source)) {
            self.dismissed.retain(|device| *device != known.device);
            match waiting.part {
                _ if !accepted => remember(&mut self.dismissed, known.device),
                Part::Keys => known.types = true,
                Part::Pointer => known.points = true,
            }
            known.dismissed = !accepted;
        }
    }

    /// What may type or point.
    pub(crate) fn accepted(&self) -> Vec<(SourceId, Part)> {
        let parts = |known: &Known| {
            let part = |part, on: bool| on.then_some((known.source, part));
            [part(Part::Keys, known.types), part(Part::Pointer, known.points)]
        };
        self.known.iter().flat_map(parts).flatten().collect()
    }

    pub(crate) fn get(&self, source: SourceId) -> Option<&Known> {
        self.known.iter().find(|known| known.source == source)
    }

    /// Whether there is a keyboard that the user accepted.
    fn may_type(&self) -> bool {
        self.keyboards().any(|known| known.types)
    }

    fn keyboards(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(|known| known.device.kind.types())
    }
}

impl Known {
    fn waits(&self) -> Option<Part> {
        let kind = self.device.kind;
        match kind.types() {
            true if !self.types => Some(Part::Keys),
            true if kind.points() && !self.points => Some(Part::Pointer),
            _ => None,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.device.kind.class, DeviceClass::Refused(_))
    }

    /// What became of it.
    fn state(&self) -> String {
        let state = match self.device.kind.class {
            DeviceClass::Keyboard if self.types => "accepted",
            DeviceClass::Keyboard if self.dismissed => "dismissed, types nothing",
            DeviceClass::Keyboard => "waits, types nothing",
            DeviceClass::Pointer => "in use",
            DeviceClass::Refused(why) => return why.to_string(),
        };
        let spare = match self.device.kind.spare {
            Spare::Nothing => "",
            Spare::Keys => "; its keys are thrown away",
            Spare::Pointer if self.points => "; points too",
            Spare::Pointer => "; its pointer is thrown away",
            Spare::Stray => "; what else it offers is thrown away",
        };
        format!("{state}{spare}")
    }
}

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

fn remember(list: &mut Vec<Device>, device: Device) {
    if !list.contains(&device) && list.len() < MAX_DEVICES {
        list.push(device);
    }
}

#[cfg(test)]
mod tests;
