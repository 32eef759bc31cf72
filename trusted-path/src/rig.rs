//! What the tests share: a monitor with the hands of a user and a presenter.

use crate::{
    Effect, Event, GuestCommand, GuestConfig, GuestInput, GuestReport, LayoutMode, LoginConfig,
    Monitor, MonitorConfig, Policy,
};
use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{AccessClass, CategorySet, Compartment, LabelId, Level};
use tabard_view::{FrameSerial, GuestId, OutputId, Scale, Size, View};

pub(crate) const HD: Size = Size { width: 1280, height: 800 };
pub(crate) const ONE: OutputId = OutputId(1);
pub(crate) const TWO: OutputId = OutputId(2);
pub(crate) const NOTES: GuestId = GuestId(0);
pub(crate) const SKETCH: GuestId = GuestId(1);
pub(crate) const SPARE: GuestId = GuestId(2);
pub(crate) const KEYBOARD: SourceId = SourceId(0);
pub(crate) const MOUSE: SourceId = SourceId(1);

/// The class of the rig's label of this number: its secrecy is the number.
pub(crate) fn class(label: u16) -> AccessClass {
    let level = Level::new(u8::try_from(label).unwrap());
    AccessClass::new(Compartment::new(level, CategorySet::EMPTY), Compartment::BOTTOM)
}

pub(crate) fn config() -> MonitorConfig {
    let guest = |name: &str, label, autostart| GuestConfig {
        name: name.to_owned(),
        label: LabelId(label),
        class: class(label),
        autostart,
        restart: false,
        emulated: name == "spare",
        screen: None,
    };
    MonitorConfig {
        guests: vec![guest("notes", 7, true), guest("sketch", 3, true), guest("spare", 5, false)],
        layout: LayoutMode::Desk,
        chord: Chord::default(),
        notice: "A window is not a trusted path".to_owned(),
        footer: "tabard".to_owned(),
        policy: Policy::default(),
        login: LoginConfig::default(),
    }
}

/// A monitor that is driven event by event.
pub(crate) struct Rig {
    pub(crate) monitor: Monitor,
}

impl Rig {
    /// No output yet.
    pub(crate) fn dark() -> Self {
        Self { monitor: Monitor::new(config()).unwrap() }
    }

    /// One confirmed output, notes and sketch running, spare off, notes has the keyboard.
    pub(crate) fn new() -> Self {
        let mut rig = Self::dark();
        rig.add_output(ONE);
        rig.report(NOTES, GuestReport::Running);
        rig.report(SKETCH, GuestReport::Running);
        rig.confirm();
        rig
    }

    /// As [`Rig::new`], and notes starts again when it fails.
    pub(crate) fn restarting() -> Self {
        let mut config = config();
        config.guests.iter_mut().take(1).for_each(|guest| guest.restart = true);
        let mut rig = Self { monitor: Monitor::new(config).unwrap() };
        rig.add_output(ONE);
        rig.report(NOTES, GuestReport::Running);
        rig.report(SKETCH, GuestReport::Running);
        rig.confirm();
        rig
    }

    /// A seat: one confirmed output, all running, and nobody has pressed the chord yet.
    pub(crate) fn awaiting_chord() -> Self {
        let mut rig = Self { monitor: Monitor::new(config()).unwrap().awaiting_chord() };
        rig.add_output(ONE);
        rig.report(NOTES, GuestReport::Running);
        rig.report(SKETCH, GuestReport::Running);
        rig.confirm();
        rig
    }

    pub(crate) fn step(&mut self, event: Event) -> Vec<Effect> {
        self.monitor.step(event)
    }

    pub(crate) fn view(&self) -> View {
        self.monitor.view()
    }

    pub(crate) fn add_output(&mut self, output: OutputId) -> Vec<Effect> {
        self.step(Event::OutputAdded { output, size: HD, scale: Scale::ONE })
    }

    pub(crate) fn report(&mut self, guest: GuestId, report: GuestReport) -> Vec<Effect> {
        self.step(Event::Guest { guest, report })
    }

    /// The newest view is on the glass of every output.
    pub(crate) fn confirm(&mut self) {
        let view = self.view();
        for output in &view.outputs {
            self.present(output.id, view.serial);
        }
    }

    pub(crate) fn present(&mut self, output: OutputId, serial: FrameSerial) -> Vec<Effect> {
        self.step(Event::Presented { output, serial })
    }

    pub(crate) fn key(&mut self, code: KeyCode, pressed: bool) -> Vec<Effect> {
        self.step(Event::Key { source: KEYBOARD, code, pressed })
    }

    /// Presses and releases a key.
    pub(crate) fn tap(&mut self, code: KeyCode) -> Vec<Effect> {
        let mut effects = self.key(code, true);
        effects.extend(self.key(code, false));
        effects
    }

    /// The whole chord, pressed and released; answers everything that came of it.
    pub(crate) fn sak(&mut self) -> Vec<Effect> {
        let keys = [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC];
        let mut effects = Vec::new();
        for code in keys {
            effects.extend(self.key(code, true));
        }
        for code in keys {
            effects.extend(self.key(code, false));
        }
        effects
    }

    /// By the trusted screen to the guest on this key, everything confirmed.
    pub(crate) fn switch(&mut self, digit: KeyCode) {
        self.sak();
        self.confirm();
        self.tap(digit);
        self.confirm();
    }

    pub(crate) fn point(&mut self, x: u32, y: u32) -> Vec<Effect> {
        self.step(Event::Pointer { source: MOUSE, output: ONE, x, y })
    }

    /// Points at the middle of a guest's content.
    pub(crate) fn point_at(&mut self, guest: GuestId) -> Vec<Effect> {
        let view = self.view();
        let window = view.outputs[0].windows().iter().find(|window| window.guest == guest);
        let content = window.unwrap().frame.content;
        self.point(content.x + content.width / 2, content.y + content.height / 2)
    }

    pub(crate) fn button(&mut self, pressed: bool) -> Vec<Effect> {
        self.step(Event::Button { source: MOUSE, code: KeyCode::BUTTON_LEFT.0, pressed })
    }
}

/// Who was given what.
pub(crate) fn delivered(effects: &[Effect]) -> Vec<(GuestId, GuestInput)> {
    let one = |effect: &Effect| match effect {
        Effect::Deliver { guest, input } => Some((*guest, *input)),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

/// What was commanded.
pub(crate) fn commands(effects: &[Effect]) -> Vec<(GuestId, GuestCommand)> {
    let one = |effect: &Effect| match effect {
        Effect::Command { guest, command } => Some((*guest, *command)),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

pub(crate) fn key(code: KeyCode, pressed: bool) -> GuestInput {
    GuestInput::Key { code: code.0, pressed }
}
