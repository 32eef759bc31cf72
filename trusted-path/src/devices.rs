//! The keyboards and pointers of the host: which are there, and which keyboards the user accepted.
//! A new keyboard types nothing until somebody says on the trusted screen that it is theirs; what
//! it sends meanwhile reaches nobody and changes nothing, but that the chord opens the trusted screen.

use crate::guests::Guest;
use crate::{Effect, LockCause, Monitor, focus::Focus, trusted_screen::TrustedScreen, words};
use tabard_input::{Device, DeviceClass, SourceId, Spare};
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

/// A part of a device that waits for the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    pub(crate) source: SourceId,
    pub(crate) part: Part,
}

/// A device that is plugged in, or a refused one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) source: SourceId,
    pub(crate) device: Device,
    types: bool,
    points: bool,
    gone: bool,
}

/// All devices, in the order in which they appeared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Devices(Vec<Known>);

impl Devices {
    /// A device is there. A pointer needs no question: it can only choose what is on the glass.
    /// A keyboard needs none if it is the only one and `proven`: the user has shown that the
    /// session has a keyboard, so that no device can be first by waiting for the start.
    fn add(&mut self, source: SourceId, device: Device, proven: bool) {
        let old = self.0.iter().position(|known| known.gone);
        let refused = self.0.iter().filter(|known| known.gone).count();
        if (self.0.len() >= MAX_DEVICES || refused > MAX_REFUSED)
            && let Some(old) = old
        {
            self.0.remove(old);
        }
        if self.0.len() >= MAX_DEVICES || self.0.iter().any(|known| known.source == source) {
            return;
        }
        let types = device.kind.types() && proven && self.keyboards().next().is_none();
        let points = device.kind.class == DeviceClass::Pointer;
        self.0.push(Known { source, device, types, points, gone: false });
    }

    fn remove(&mut self, source: SourceId) {
        for known in &mut self.0 {
            known.gone |= known.source == source;
        }
        self.0.retain(|known| !known.gone || known.is_refused());
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

    /// What waits for the user's word: keyboards, the oldest first, then what else they offer.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut waiting: Vec<_> = self.0.iter().filter_map(Known::waits).collect();
        waiting.sort_by_key(|one| one.part != Part::Keys);
        waiting
    }

    /// The user accepted this.
    fn accept(&mut self, Waiting { source, part }: Waiting) {
        for known in self.0.iter_mut().filter(|known| known.source == source) {
            match part {
                Part::Keys => known.types |= known.device.kind.types(),
                Part::Pointer => known.points |= known.device.kind.points(),
            }
        }
    }

    /// What may type or point.
    pub(crate) fn accepted(&self) -> Vec<Waiting> {
        let parts = |known: &Known| {
            let part = |part, on: bool| on.then_some(Waiting { source: known.source, part });
            [part(Part::Keys, known.types), part(Part::Pointer, known.points)]
        };
        self.0.iter().flat_map(parts).flatten().collect()
    }

    pub(crate) fn get(&self, source: SourceId) -> Option<&Known> {
        self.0.iter().find(|known| known.source == source)
    }

    /// Whether there is a keyboard that the user accepted.
    fn may_type(&self) -> bool {
        self.keyboards().any(|known| known.types)
    }

    fn keyboards(&self) -> impl Iterator<Item = &Known> {
        self.0.iter().filter(|known| known.device.kind.types())
    }
}

impl Known {
    fn waits(&self) -> Option<Waiting> {
        let kind = self.device.kind;
        let part = match kind.types() {
            true if !self.types => Part::Keys,
            true if kind.points() && !self.points => Part::Pointer,
            _ => return None,
        };
        Some(Waiting { source: self.source, part })
    }

    fn is_refused(&self) -> bool {
        matches!(self.device.kind.class, DeviceClass::Refused(_))
    }

    /// What became of it.
    fn state(&self) -> String {
        let state = match self.device.kind.class {
            DeviceClass::Keyboard if self.types => "accepted",
            DeviceClass::Keyboard => "waits; it types nothing until you accept it",
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
        self.devices.remove(source);
        // Whoever brings the next keyboard, which needs no question, need not be who had this one.
        if had_one && !self.devices.may_type() {
            effects.extend(self.lock(LockCause::SeatLost));
        }
        effects
    }

    /// The chord was completed on this keyboard. If no other is accepted, it is the user's: there
    /// is no other way to accept one then.
    pub(crate) fn chord_on(&mut self, source: SourceId) {
        if !self.devices.may_type() {
            self.accept(Waiting { source, part: Part::Keys });
        }
    }

    pub(crate) fn accept(&mut self, waiting: Waiting) {
        self.devices.accept(waiting);
    }

    /// One line for the bar while a keyboard waits.
    pub(crate) fn waiting_notice(&self, chord: &str) -> Option<String> {
        let waiting = self.devices.waiting();
        let keyboard = waiting.first().filter(|waiting| waiting.part == Part::Keys);
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
            // The number that accepts it, where one key can.
            let place = waiting.iter().take(9).position(|one| Some(*one) == known.waits());
            let number = place.map_or(String::new(), |at| format!(" {}", at.saturating_add(1)));
            let text = format!("{}: {}", known.device.name.as_str(), known.state());
            Hint { key: format!("{class}{number}"), text }
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
        screens.chain(self.devices.0.iter().rev().map(line)).chain(guests).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::rig::{ONE, Rig, TWO};
    use crate::{Effect, Event, GuestInput, Part};
    use tabard_input::{Device, DeviceClass, DeviceName, KeyCode, Kind, Refusal, SourceId, Spare};
    use tabard_view::{Content, GuestId, Recipient, TrustedBody};

    const FIRST: SourceId = SourceId(16);
    const SECOND: SourceId = SourceId(17);

    fn device(kind: Kind, name: &str) -> Device {
        Device { kind, name: DeviceName::new(name), port: DeviceName::new("a port") }
    }

    /// A seat with one screen and running guests, before the chord.
    fn seat() -> Rig {
        let mut rig = Rig::awaiting_chord();
        plug(&mut rig, FIRST, DeviceClass::Keyboard);
        rig.confirm();
        rig
    }

    /// The same after the chord and the way back to the first guest.
    fn typing() -> Rig {
        let mut rig = seat();
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::ESC);
        rig.confirm();
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
        rig
    }

    fn plug(rig: &mut Rig, source: SourceId, kind: impl Into<Kind>) {
        rig.step(Event::DeviceAppeared { source, device: device(kind.into(), "a device") });
    }

    fn key(rig: &mut Rig, source: SourceId, code: KeyCode, pressed: bool) -> Vec<Effect> {
        rig.step(Event::Key { source, code, pressed })
    }

    fn press(rig: &mut Rig, source: SourceId, code: KeyCode) -> Vec<Effect> {
        let mut effects = key(rig, source, code, true);
        effects.extend(key(rig, source, code, false));
        effects
    }

    /// Presses and releases the chord; everything that came of it.
    fn chord(rig: &mut Rig, source: SourceId) -> Vec<Effect> {
        let keys = [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC];
        let moves = [true, false].into_iter().flat_map(|down| keys.map(|code| (code, down)));
        moves.flat_map(|(code, down)| key(rig, source, code, down)).collect()
    }

    fn delivered(effects: &[Effect]) -> usize {
        effects.iter().filter(|effect| matches!(effect, Effect::Deliver { .. })).count()
    }

    fn lines(rig: &Rig) -> Vec<String> {
        let Content::Trusted(screen) = &rig.monitor.view().outputs[0].content else {
            return vec![];
        };
        let TrustedBody::Help(lines) = &screen.body else { return vec![] };
        lines.iter().map(|line| format!("{} {}", line.key, line.text)).collect()
    }

    #[test]
    fn a_seat_obeys_nothing_before_the_chord() {
        let mut rig = seat();
        for code in [KeyCode::DIGIT_1, KeyCode::ENTER, KeyCode::ESC, KeyCode::Q, KeyCode::Q] {
            assert_eq!(delivered(&press(&mut rig, FIRST, code)), 0);
            rig.confirm();
            assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
        }
        assert!(lines(&rig).iter().any(|line| line.starts_with("Keyboard 1 a device: waits")));
        assert!(lines(&rig).iter().any(|line| line.starts_with("Screen 1:")));
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::DIGIT_1);
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
    }

    #[test]
    fn the_keyboard_with_the_first_chord_is_accepted_and_no_other() {
        let mut rig = seat();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        chord(&mut rig, SECOND);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::DIGIT_1);
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
        press(&mut rig, SECOND, KeyCode::DIGIT_1);
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
    }

    #[test]
    fn an_unaccepted_second_keyboard_types_nothing_but_the_chord() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 0);
        assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::A)), 2);
        chord(&mut rig, SECOND);
        rig.confirm();
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
        for _ in 0..2 {
            press(&mut rig, SECOND, KeyCode::K);
            rig.confirm();
        }
        press(&mut rig, SECOND, KeyCode::DIGIT_1);
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    }

    #[test]
    fn the_chord_on_an_unaccepted_keyboard_opens_the_trusted_screen_and_does_nothing_else() {
        let attention = Effect::Audit(crate::Record::Attention);
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        let opened = chord(&mut rig, SECOND);
        assert!(opened.contains(&attention));
        rig.confirm();
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
        // A question of the owner's stays open, and no record is written without end.
        press(&mut rig, FIRST, KeyCode::Q);
        rig.confirm();
        let asked = rig.monitor.view();
        for _ in 0..100 {
            assert_eq!(chord(&mut rig, SECOND), []);
        }
        assert_eq!(rig.monitor.view(), asked);
        assert!(chord(&mut rig, FIRST).contains(&attention));
    }

    #[test]
    fn an_unaccepted_keyboard_changes_no_key_of_an_accepted_one() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        for code in [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT] {
            key(&mut rig, SECOND, code, true);
        }
        // Half of a chord on one, half on the other.
        assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::ESC)), 2);
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
        // More keys than the ledger has room for.
        for source in 17..40 {
            plug(&mut rig, SourceId(source), DeviceClass::Keyboard);
            for code in 1..=255 {
                key(&mut rig, SourceId(source), KeyCode(code), true);
            }
        }
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::ESC);
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::A)), 2);
    }

    #[test]
    fn a_second_keyboard_types_once_it_is_accepted() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        rig.confirm();
        let notice = rig.monitor.view().outputs[0].bar.notice.clone();
        assert!(notice.contains("new keyboard waits"), "{notice}");
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::K);
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::B)), 0);
        press(&mut rig, FIRST, KeyCode::K);
        press(&mut rig, FIRST, KeyCode::ESC);
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::B)), 2);
    }

    #[test]
    fn page_i_numbers_what_waits_and_a_number_twice_accepts_it() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        plug(&mut rig, SourceId(18), DeviceClass::Keyboard);
        chord(&mut rig, FIRST);
        rig.confirm();
        // The second time on the keypad.
        for code in [KeyCode::I, KeyCode::DIGIT_2, KeyCode(80)] {
            press(&mut rig, FIRST, code);
            rig.confirm();
        }
        assert!(rig.monitor.devices.heeds(SourceId(18)));
        assert!(!rig.monitor.devices.heeds(SECOND));
        assert!(lines(&rig).iter().any(|line| line.starts_with("Keyboard 1 a device: waits")));
    }

    #[test]
    fn a_keyboard_that_could_point_types_once_accepted_and_points_once_that_is_accepted_too() {
        let accepted = |part| Effect::Audit(crate::Record::DeviceAccepted(SECOND, part));
        let mut rig = typing();
        plug(&mut rig, SECOND, Kind { class: DeviceClass::Keyboard, spare: Spare::Pointer });
        let points = |rig: &mut Rig| {
            rig.step(Event::PointerMoved { source: SECOND, dx: 9, dy: 9 });
            rig.monitor.pointer.is_some()
        };
        assert!(!points(&mut rig));
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::K);
        rig.confirm();
        assert!(press(&mut rig, FIRST, KeyCode::K).contains(&accepted(Part::Keys)));
        rig.confirm();
        assert!(!points(&mut rig));
        assert_eq!(rig.monitor.waiting_notice("chord"), None);
        press(&mut rig, FIRST, KeyCode::I);
        let listed = "Keyboard 1 a device: accepted; its pointer is thrown away";
        assert!(lines(&rig).iter().any(|line| line == listed), "{:?}", lines(&rig));
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::DIGIT_1);
        rig.confirm();
        assert!(press(&mut rig, FIRST, KeyCode::DIGIT_1).contains(&accepted(Part::Pointer)));
        assert!(points(&mut rig));
    }

    #[test]
    fn a_pointer_types_nothing_and_says_that_its_keys_are_thrown_away() {
        let mut rig = typing();
        plug(&mut rig, SECOND, Kind { class: DeviceClass::Pointer, spare: Spare::Keys });
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::ENTER)), 0);
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::I);
        let listed = "Pointer a device: in use; its keys are thrown away";
        assert!(lines(&rig).iter().any(|line| line == listed));
    }

    #[test]
    fn an_answer_for_a_keyboard_that_is_gone_accepts_no_other() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::K);
        rig.confirm();
        rig.step(Event::DeviceGone(SECOND));
        plug(&mut rig, SourceId(18), DeviceClass::Keyboard);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::K);
        assert!(!rig.monitor.devices.heeds(SourceId(18)));
    }

    #[test]
    fn a_keyboard_that_is_the_only_one_needs_no_question() {
        let mut rig = typing();
        rig.step(Event::DeviceGone(FIRST));
        plug(&mut rig, SECOND, DeviceClass::Keyboard);
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 2);
    }

    #[test]
    fn unplugged_with_keys_down_leaves_none_down() {
        let mut rig = typing();
        assert_eq!(delivered(&key(&mut rig, FIRST, KeyCode::A, true)), 1);
        let effects = rig.step(Event::DeviceGone(FIRST));
        let input = GuestInput::Key { code: KeyCode::A.0, pressed: false };
        assert!(effects.contains(&Effect::Deliver { guest: GuestId(0), input }));
    }

    #[test]
    fn a_refused_device_is_listed_even_when_it_is_gone_and_types_nothing() {
        let mut rig = typing();
        plug(&mut rig, SECOND, DeviceClass::Refused(Refusal::Composite));
        rig.confirm();
        assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 0);
        rig.step(Event::DeviceGone(SECOND));
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::I);
        let lines = lines(&rig);
        assert!(lines.iter().any(|line| line.starts_with("Refused a device:")), "{lines:?}");
    }

    #[test]
    fn what_each_guest_runs_on_is_listed_and_an_emulated_one_says_so_in_the_bar() {
        let mut rig = typing();
        assert!(!rig.monitor.view().outputs[0].bar.notice.contains("emulated"));
        chord(&mut rig, FIRST);
        rig.confirm();
        press(&mut rig, FIRST, KeyCode::I);
        let lines = lines(&rig);
        for line in ["Guest notes: kvm", "Guest spare: qemu: emulated, slower"] {
            assert!(lines.iter().any(|shown| shown == line), "{lines:?}");
        }
        press(&mut rig, FIRST, KeyCode::ESC);
        press(&mut rig, FIRST, KeyCode::DIGIT_3);
        rig.confirm();
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(2)));
        assert!(rig.monitor.view().outputs[0].bar.notice.contains("emulated, slower"));
    }

    #[test]
    fn an_unannounced_device_is_nobody() {
        let mut rig = typing();
        assert_eq!(delivered(&press(&mut rig, SourceId(99), KeyCode::A)), 0);
        let moved = rig.step(Event::PointerMoved { source: SourceId(99), dx: 9, dy: 9 });
        assert_eq!(delivered(&moved), 0);
        assert_eq!(rig.monitor.pointer, None);
    }

    #[test]
    fn a_mouse_moves_over_all_screens_and_stops_at_their_ends() {
        let mut rig = typing();
        rig.add_output(TWO);
        rig.confirm();
        plug(&mut rig, SECOND, DeviceClass::Pointer);
        let mut places = Vec::new();
        for dx in [0, 1_000, 1_000, 100_000, -100_000] {
            rig.step(Event::PointerMoved { source: SECOND, dx, dy: 0 });
            let place = rig.monitor.pointer.unwrap();
            places.push((place.output, place.x));
        }
        let width = rig.monitor.view().outputs[0].size.width;
        let (middle, last) = (width / 2, width - 1);
        let expected =
            [(ONE, middle), (TWO, middle + 1_000 - width), (TWO, last), (TWO, last), (ONE, 0)];
        assert_eq!(places, expected);
    }
}
