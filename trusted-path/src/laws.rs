//! The invariants as laws over random histories. The judge below knows nothing of the monitor's
//! inside: it keeps the simplest possible account of what was shown, confirmed, pressed and
//! delivered, and objects to the first effect that the design forbids.

use crate::rig::{ONE, TWO, config};
use crate::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use tabard_input::{KeyCode, SourceId};
use tabard_labels::LabelId;
use tabard_view::*;

/// A step of a random history; those that need the present view are resolved when played.
#[derive(Debug, Clone)]
enum Move {
    Event(Event),
    /// The user works the chord on two keyboards, with or without the releases.
    Chord(SourceId, bool),
    /// This output confirms the newest view, or an older one, or one that does not exist.
    Confirm(OutputId, i64),
    /// Every output confirms the newest view.
    ConfirmAll,
    /// The pointer goes into a window or row.
    PointAt(usize),
}

struct Judge {
    monitor: Monitor,
    /// Every view there was: number and recipient.
    shown: Vec<(FrameSerial, Recipient)>,
    /// For each present output: the first view of its size, and what it has confirmed.
    glass: BTreeMap<OutputId, (Size, Scale, FrameSerial, FrameSerial)>,
    running: BTreeSet<GuestId>,
    sized: BTreeSet<GuestId>,
    /// What is physically down.
    down: BTreeSet<(SourceId, KeyCode)>,
    /// What each guest believes to be down.
    believed: BTreeMap<GuestId, BTreeSet<u16>>,
    /// The text that each guest with an agent offers.
    offers: BTreeMap<GuestId, Option<Clip>>,
    /// The text that was taken, and from whom.
    kept: Option<(GuestId, Clip)>,
}

impl Judge {
    fn new(monitor: Monitor) -> Self {
        let view = monitor.view();
        Self {
            shown: vec![(view.serial, view.recipient)],
            monitor,
            glass: BTreeMap::new(),
            running: BTreeSet::new(),
            sized: BTreeSet::new(),
            down: BTreeSet::new(),
            believed: BTreeMap::new(),
            offers: BTreeMap::new(),
            kept: None,
        }
    }

    /// The recipient that every output is known to name, going back from the newest view without
    /// a break.
    fn confirmed(&self) -> Option<Recipient> {
        let (_, newest) = *self.shown.last()?;
        let unbroken = self.shown.iter().rev().take_while(|(_, recipient)| *recipient == newest);
        let since = unbroken.last()?.0;
        let shows = |(_, _, first, confirmed): &(Size, Scale, FrameSerial, FrameSerial)| {
            *confirmed >= since && confirmed >= first
        };
        let all = !self.glass.is_empty() && self.glass.values().all(shows);
        all.then_some(newest)
    }

    /// The confirmed recipient, if it is a guest that runs.
    fn named(&self) -> Option<GuestId> {
        match self.confirmed()? {
            Recipient::Guest(guest) => self.running.contains(&guest).then_some(guest),
            Recipient::Trusted | Recipient::Nobody => None,
        }
    }

    fn play(&mut self, step: Move) -> Result<(), TestCaseError> {
        match step {
            Move::Event(event) => self.judge(event)?,
            Move::Chord(source, release) => {
                let keys = [
                    (SourceId(0), KeyCode::RIGHT_CTRL),
                    (source, KeyCode::LEFT_ALT),
                    (source, KeyCode::ESC),
                ];
                for (source, code) in keys {
                    self.judge(Event::Key { source, code, pressed: true })?;
                }
                for (source, code) in keys.into_iter().filter(|_| release) {
                    self.judge(Event::Key { source, code, pressed: false })?;
                }
            }
            Move::Confirm(output, back) => {
                let serial = self.monitor.view().serial.0.saturating_add_signed(-back);
                self.judge(Event::Presented { output, serial: FrameSerial(serial) })?;
            }
            Move::ConfirmAll => {
                let view = self.monitor.view();
                for output in view.outputs {
                    self.judge(Event::Presented { output: output.id, serial: view.serial })?;
                }
            }
            Move::PointAt(index) => {
                let view = self.monitor.view();
                let Some(output) = view.outputs.first() else { return Ok(()) };
                let rects: Vec<Rect> = match &output.content {
                    Content::Windows(windows) => windows.iter().map(|w| w.frame.content).collect(),
                    Content::Trusted(TrustedScreen { body: TrustedBody::Guests(rows), .. }) => {
                        rows.iter().map(|row| row.rect).collect()
                    }
                    _ => Vec::new(),
                };
                if let Some(rect) = rects.get(index) {
                    let (output, x, y) = (output.id, rect.x + rect.width / 3, rect.y + 7);
                    self.judge(Event::Pointer { source: SourceId(2), output, x, y })?;
                }
            }
        }
        Ok(())
    }

    fn judge(&mut self, event: Event) -> Result<(), TestCaseError> {
        let (named, confirmed) = (self.named(), self.confirmed());
        let before = self.monitor.view();
        let layout = self.monitor.layout();
        let completes = self.completes_chord(event);
        let fresh = self.is_fresh_press(event);

        let effects = self.monitor.step(event);

        let view = self.monitor.view();
        self.follow(event, &view);
        self.judge_effects(event, named, fresh, &effects)?;
        self.judge_view(&before, &view, &effects)?;
        self.judge_balance(event)?;

        // 2: SAK always wins, and its last key reaches nobody.
        if completes {
            prop_assert_eq!(view.recipient, Recipient::Trusted);
            prop_assert_eq!(self.monitor.recipient(), Recipient::Trusted);
            let pressed = |effect: &Effect| {
                matches!(
                    effect,
                    Effect::Deliver { input: GuestInput::Key { pressed: true, .. }, .. }
                )
            };
            prop_assert!(!effects.iter().any(pressed));
        }
        // 1: the user's hand acts on what is on the glass or not at all; a repeat is no hand.
        let by_user = matches!(event, Event::Key { .. } | Event::Button { .. });
        let act = |effect: &Effect| matches!(effect, Effect::Command { .. } | Effect::Quit);
        let acted = effects.iter().any(act) || view.recipient != before.recipient;
        if by_user && !completes && acted {
            prop_assert!(confirmed.is_some() && fresh.is_some(), "{event:?} brought {effects:?}");
        }
        if matches!(event, Event::Guest { report: GuestReport::Stopped(_), .. }) {
            let to_the_dead = effects.iter().any(|e| matches!(e, Effect::Deliver { .. }));
            prop_assert!(!to_the_dead);
        }
        // 3: only the user switches. Screens can only mute.
        if !by_user && view.recipient != before.recipient {
            let is_nobody = [view.recipient, before.recipient].contains(&Recipient::Nobody);
            prop_assert!(is_nobody, "{event:?} changed the recipient");
        }
        if !matches!(event, Event::Key { .. }) {
            prop_assert_eq!(self.monitor.layout(), layout);
        }
        if matches!(event, Event::Guest { .. }) {
            prop_assert_eq!(arrangement(&view), arrangement(&before));
        }
        Ok(())
    }

    /// Whether a press completes Ctrl+Alt+Esc, by what is physically down.
    fn completes_chord(&self, event: Event) -> bool {
        let down = |codes: [KeyCode; 2]| self.down.iter().any(|(_, code)| codes.contains(code));
        matches!(event, Event::Key { code: KeyCode::ESC, pressed: true, .. })
            && down([KeyCode::LEFT_CTRL, KeyCode::RIGHT_CTRL])
            && down([KeyCode::LEFT_ALT, KeyCode::RIGHT_ALT])
    }

    fn is_fresh_press(&self, event: Event) -> Option<u16> {
        let (source, code) = match event {
            Event::Key { source, code, pressed: true } => (source, code),
            Event::Button { source, code, pressed: true } => (source, KeyCode(code)),
            _ => return None,
        };
        (!self.down.contains(&(source, code))).then_some(code.0)
    }

    /// Keeps the account of the outside world.
    fn follow(&mut self, event: Event, view: &View) {
        let mut set = |source, code, pressed| {
            if pressed {
                self.down.insert((source, code))
            } else {
                self.down.remove(&(source, code))
            }
        };
        match event {
            Event::Key { source, code, pressed } => {
                set(source, code, pressed);
            }
            Event::Button { source, code, pressed } => {
                set(source, KeyCode(code), pressed);
            }
            Event::SourceLost(source) => self.down.retain(|(other, _)| *other != source),
            Event::OutputAdded { output, size, scale }
            | Event::OutputResized { output, size, scale } => {
                let same = |g: &&(Size, Scale, _, _)| (g.0, g.1) == (size, scale);
                if self.glass.get(&output).filter(same).is_none() {
                    self.glass.insert(output, (size, scale, view.serial, FrameSerial(0)));
                }
            }
            Event::OutputRemoved(output) => {
                self.glass.remove(&output);
            }
            Event::Presented { output, serial } => {
                let issued = self.shown.iter().any(|(shown, _)| *shown == serial);
                if let Some(glass) = self.glass.get_mut(&output).filter(|_| issued) {
                    glass.3 = glass.3.max(serial);
                }
            }
            Event::Guest { guest, report: GuestReport::Running } => {
                self.running.insert(guest);
            }
            Event::Guest { guest, report } => {
                self.running.remove(&guest);
                if matches!(report, GuestReport::Stopped(_)) {
                    self.offers.remove(&guest);
                }
            }
            Event::Listens { guest, listens: true } => {
                self.offers.insert(guest, None);
            }
            Event::Listens { guest, listens: false } => {
                self.offers.remove(&guest);
            }
            Event::Offered { guest, clip } => {
                self.offers.entry(guest).and_modify(|offer| *offer = clip);
            }
            _ => {}
        }
        if self.shown.last().is_none_or(|(serial, _)| *serial != view.serial) {
            self.shown.push((view.serial, view.recipient));
        }
    }

    fn judge_view(&self, old: &View, new: &View, effects: &[Effect]) -> Result<(), TestCaseError> {
        let same = old.recipient == new.recipient && old.outputs == new.outputs;
        prop_assert_eq!(same, old.serial == new.serial);
        prop_assert!(new.serial >= old.serial);
        prop_assert_eq!(!same, effects.contains(&Effect::Redraw));
        prop_assert_eq!(new.recipient, self.monitor.recipient());
        let config = config();
        for output in &new.outputs {
            // Every bar says who receives input, and wears the label of the configuration (7).
            let honest = match (&output.bar.kind, new.recipient) {
                (BarKind::TypingInto { name, label }, Recipient::Guest(guest)) => {
                    let guest = &config.guests[usize::from(guest.0)];
                    (name, label) == (&guest.name, &guest.label)
                }
                (BarKind::Trusted { .. }, Recipient::Trusted) => {
                    matches!(output.content, Content::Trusted(_))
                }
                (BarKind::Nobody { .. }, Recipient::Nobody) => true,
                _ => false,
            };
            prop_assert!(honest, "{:?} while {:?}", output.bar, new.recipient);
            if let Recipient::Guest(guest) = new.recipient {
                let shows = |output: &OutputView| output.windows().iter().any(|w| w.guest == guest);
                let own = |w: &Window| {
                    self.monitor.config.guests[usize::from(w.guest.0)].screen == Some(output.id)
                };
                let another = output.windows().iter().any(own) && output.windows().len() == 1;
                prop_assert!(shows(output) || another, "no {guest:?} on {:?}", output.id);
                prop_assert!(new.outputs.iter().any(shows), "no window of {guest:?}");
            }
            for window in output.windows() {
                let guest = &config.guests[usize::from(window.guest.0)];
                prop_assert_eq!((&window.name, window.label), (&guest.name, guest.label));
                let focused = new.recipient == Recipient::Guest(window.guest);
                prop_assert_eq!(window.focused, focused);
                prop_assert!(output.bar.rect.intersect(window.frame.outer).is_empty());
                let live = window.picture == Picture::Live;
                prop_assert_eq!(live, self.running.contains(&window.guest));
            }
        }
        Ok(())
    }

    fn judge_effects(
        &mut self,
        event: Event,
        named: Option<GuestId>,
        fresh: Option<u16>,
        effects: &[Effect],
    ) -> Result<(), TestCaseError> {
        for effect in effects {
            match *effect {
                Effect::Deliver { guest, input } => {
                    // 1 and 5: keys, buttons and pointer to the named guest and no other.
                    prop_assert_eq!(Some(guest), named, "{:?} brought {:?}", event, effect);
                    let believed = self.believed.entry(guest).or_default();
                    match input {
                        GuestInput::Key { code, pressed }
                        | GuestInput::Button { code, pressed } => {
                            let is_button = matches!(input, GuestInput::Button { .. });
                            prop_assert_eq!(is_button, KeyCode(code).is_button());
                            if pressed {
                                // 4: only a press that just happened, and only once.
                                prop_assert_eq!(fresh, Some(code));
                                prop_assert!(believed.insert(code));
                            } else {
                                prop_assert!(believed.remove(&code), "release without press");
                            }
                        }
                        GuestInput::Pointer { x, y } => prop_assert!(x.max(y) <= POINTER_MAX),
                        GuestInput::Wheel { .. } => {
                            let by_wheel = matches!(event, Event::Wheel { .. });
                            prop_assert!(by_wheel);
                        }
                    }
                }
                Effect::Command { guest, command: GuestCommand::Resize(size) } => {
                    self.sized.insert(guest);
                    prop_assert!(size.width.min(size.height) >= MIN_GUEST_PIXELS);
                    prop_assert_eq!(self.monitor.guest_size(guest), Some(size));
                }
                Effect::Command { guest, command } => {
                    // Invariant 10: recorded before it is given.
                    let record = Effect::Audit(Record::Command(guest, command));
                    prop_assert!(effects.contains(&record), "{command:?} without a record");
                    if matches!(command, GuestCommand::Start | GuestCommand::Reset) {
                        prop_assert!(self.sized.contains(&guest), "{command:?} before a size");
                        self.running.remove(&guest);
                    }
                }
                // 9: only the user's hand moves a text: what was offered then, once, up the order.
                Effect::Take { guest, clip } => {
                    prop_assert_eq!(fresh, Some(KeyCode::C.0));
                    prop_assert_eq!(self.offers.get(&guest), Some(&Some(clip)));
                    self.kept = Some((guest, clip));
                }
                Effect::Give(Passage { from, to, clip }) => {
                    prop_assert_eq!(fresh, Some(KeyCode::V.0));
                    prop_assert_eq!(self.kept.take(), Some((from, clip)));
                    prop_assert!(self.offers.contains_key(&to), "nobody listens");
                    let guests = config().guests;
                    let class = |guest: GuestId| guests[usize::from(guest.0)].class;
                    prop_assert!(class(from).can_flow_to(&class(to)), "{effect:?}");
                }
                Effect::Audit(Record::Passage(Passage { from, clip, .. }, Verdict::Refused)) => {
                    prop_assert_eq!(self.kept, Some((from, clip)));
                }
                Effect::Forget => self.kept = None,
                Effect::Answer { number, yes: None, .. } => {
                    prop_assert_eq!(event, Event::Elapsed(Timer::Question(number)));
                }
                Effect::Answer { guest, yes: Some(yes), .. } => {
                    let key = if yes { KeyCode::Y } else { KeyCode::N };
                    prop_assert_eq!(fresh, Some(key.0));
                    prop_assert!(self.offers.contains_key(&guest), "nobody hears the answer");
                }
                // This desk has no users.
                Effect::CheckPassword { .. } => prop_assert!(false, "{effect:?}"),
                Effect::Timer { .. } | Effect::Redraw | Effect::Quit | Effect::Audit(_) => {}
            }
        }
        Ok(())
    }

    /// 4: whoever is not the target any more has had every release; the dead need none.
    fn judge_balance(&mut self, event: Event) -> Result<(), TestCaseError> {
        if let Event::Guest { guest, report: GuestReport::Stopped(_) } = event {
            self.believed.remove(&guest);
        }
        let named = self.named();
        for (guest, believed) in &self.believed {
            prop_assert!(Some(*guest) == named || believed.is_empty(), "{guest:?} keeps keys");
            let down = |code: &u16| self.down.iter().any(|(_, down)| down.0 == *code);
            prop_assert!(believed.iter().all(down), "{guest:?} believes a key that is up");
        }
        Ok(())
    }

    /// From here, the chord leads to the trusted screen, whatever was before.
    fn judge_sak(&self) -> Result<(), TestCaseError> {
        let mut monitor = self.monitor.clone();
        let source = SourceId(9);
        for code in [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC] {
            monitor.step(Event::Key { source, code, pressed: true });
        }
        prop_assert_eq!(monitor.recipient(), Recipient::Trusted);
        Ok(())
    }
}

/// One window as a guest could wish to change it.
type Place = (OutputId, GuestId, String, LabelId, WindowFrame);

/// Everything of a view that a guest must not move.
fn arrangement(view: &View) -> (Recipient, Vec<Place>) {
    let mut windows = Vec::new();
    for output in &view.outputs {
        for window in output.windows() {
            let Window { guest, name, label, frame, .. } = window.clone();
            windows.push((output.id, guest, name, label, frame));
        }
    }
    (view.recipient, windows)
}

fn source() -> impl Strategy<Value = SourceId> {
    (0..3u32).prop_map(SourceId)
}

fn output() -> impl Strategy<Value = OutputId> {
    prop_oneof![4 => Just(ONE), 1 => Just(TWO)]
}

fn screen() -> impl Strategy<Value = (Size, Scale)> {
    let size = prop_oneof![
        6 => Just(Size { width: 1280, height: 800 }),
        2 => Just(Size { width: 1000, height: 700 }),
        1 => Just(Size { width: 64, height: 48 }),
        1 => Just(Size { width: 0, height: 0 }),
    ];
    (size, prop_oneof![Just(100u16), Just(150)])
        .prop_map(|(size, percent)| (size, Scale::from_percent(percent).unwrap()))
}

fn a_key() -> impl Strategy<Value = KeyCode> {
    prop::sample::select(vec![
        KeyCode::A,
        KeyCode::B,
        KeyCode::LEFT_CTRL,
        KeyCode::RIGHT_CTRL,
        KeyCode::LEFT_ALT,
        KeyCode::RIGHT_ALT,
        KeyCode::ESC,
        KeyCode::DIGIT_1,
        KeyCode::DIGIT_2,
        KeyCode::DIGIT_3,
        KeyCode::ENTER,
        KeyCode::DOWN,
        KeyCode::S,
        KeyCode::R,
        KeyCode::P,
        KeyCode::D,
        KeyCode::H,
        KeyCode::Q,
        KeyCode::Y,
        KeyCode::N,
        KeyCode::C,
        KeyCode::V,
        KeyCode::A,
        KeyCode(0),
        KeyCode(300),
    ])
}

fn report() -> impl Strategy<Value = GuestReport> {
    prop_oneof![
        4 => Just(GuestReport::Running),
        1 => Just(GuestReport::Paused),
        1 => Just(GuestReport::Stopped(Ending::TripleFault)),
        1 => Just(GuestReport::Stopped(Ending::ByUser)),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let key = || {
        (source(), a_key(), any::<bool>()).prop_map(|(source, code, pressed)| Event::Key {
            source,
            code,
            pressed,
        })
    };
    let at = (output(), 0..1300u32, 0..900u32);
    prop_oneof![
        12 => key(),
        3 => at.prop_map(|(output, x, y)| Event::Pointer { source: SourceId(2), output, x, y }),
        6 => (source(), 0x10f..0x113u16, any::<bool>())
            .prop_map(|(source, code, pressed)| Event::Button { source, code, pressed }),
        1 => source().prop_map(|source| Event::Wheel { source, vertical: 1, horizontal: -1 }),
        1 => source().prop_map(Event::SourceLost),
        1 => ((0..3u8).prop_map(GuestId), any::<[bool; 3]>())
            .prop_map(|(guest, lights)| Event::Lights { guest, lights }),
        1 => (output(), screen()).prop_map(|(output, (size, scale))| {
            Event::OutputAdded { output, size, scale }
        }),
        1 => (output(), screen()).prop_map(|(output, (size, scale))| {
            Event::OutputResized { output, size, scale }
        }),
        1 => output().prop_map(Event::OutputRemoved),
        4 => ((0..3u8).prop_map(GuestId), report())
            .prop_map(|(guest, report)| Event::Guest { guest, report }),
        1 => (0..1500u16).prop_map(|minute_of_day| Event::Clock { minute_of_day }),
        4 => from_an_agent(),
    ]
}

fn from_an_agent() -> impl Strategy<Value = Event> {
    let guest = || (0..4u8).prop_map(GuestId);
    let clip = |n: u8| Clip { digest: Digest([n; 32]), bytes: n.into(), pages: 1 };
    let timer = prop_oneof![
        (0..9u32).prop_map(Timer::Held),
        (0..9u32).prop_map(Timer::DeadTime),
        (0..9u32).prop_map(Timer::Question),
    ];
    prop_oneof![
        3 => (guest(), prop::option::of((0..3u8).prop_map(clip)))
            .prop_map(|(guest, clip)| Event::Offered { guest, clip }),
        2 => (guest(), prop::bool::weighted(0.8))
            .prop_map(|(guest, listens)| Event::Listens { guest, listens }),
        2 => (guest(), 0..9u32, 1..3u16).prop_map(|(guest, number, pages)| Event::Asked {
            guest,
            question: Question { number, pages },
        }),
        2 => timer.prop_map(Event::Elapsed),
    ]
}

fn a_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        20 => event().prop_map(Move::Event),
        2 => (source(), prop::bool::weighted(0.8)).prop_map(|(s, up)| Move::Chord(s, up)),
        3 => (output(), -1..6i64).prop_map(|(output, back)| Move::Confirm(output, back)),
        9 => Just(Move::ConfirmAll),
        3 => (0..3usize).prop_map(Move::PointAt),
    ]
}

/// Which screen each guest has for itself.
const SCREENS: [[Option<OutputId>; 3]; 3] =
    [[None; 3], [None, Some(TWO), None], [Some(TWO), Some(ONE), None]];

/// A desk that runs, so that histories begin where things can go wrong.
fn running(solo: bool, screens: [Option<OutputId>; 3]) -> Judge {
    let mut config = config();
    config.guests.iter_mut().zip(screens).for_each(|(guest, screen)| guest.screen = screen);
    config.layout = if solo { LayoutMode::Solo } else { LayoutMode::Desk };
    let mut judge = Judge::new(Monitor::new(config).unwrap());
    let size = Size { width: 1280, height: 800 };
    judge.judge(Event::OutputAdded { output: ONE, size, scale: Scale::ONE }).unwrap();
    for guest in [GuestId(0), GuestId(1)] {
        judge.judge(Event::Guest { guest, report: GuestReport::Running }).unwrap();
        judge.judge(Event::Listens { guest, listens: true }).unwrap();
        let clip = Clip { digest: Digest([guest.0; 32]), bytes: 9, pages: 1 };
        judge.judge(Event::Offered { guest, clip: Some(clip) }).unwrap();
    }
    judge.play(Move::ConfirmAll).unwrap();
    judge
}

proptest! {
    #[test]
    fn invariants_1_to_5_and_7_hold_over_random_histories(
        solo in any::<bool>(),
        screens in prop::sample::select(&SCREENS[..]),
        from_the_dark in prop::bool::weighted(0.1),
        moves in proptest::collection::vec(a_move(), 1..120),
    ) {
        let mut judge = running(solo, screens);
        if from_the_dark {
            judge = Judge::new(Monitor::new(config()).unwrap());
        }
        for step in moves {
            judge.play(step)?;
            judge.judge_sak()?;
        }
    }

    #[test]
    fn no_guest_report_changes_focus_stacking_label_or_mode(
        moves in proptest::collection::vec(a_move(), 0..40),
        guest in 0..4u8,
        reports in proptest::collection::vec(report(), 1..8),
    ) {
        let mut judge = running(false, SCREENS[0]);
        for step in moves {
            judge.play(step)?;
        }
        let (before, layout) = (arrangement(&judge.monitor.view()), judge.monitor.layout());
        for report in reports {
            judge.monitor.step(Event::Guest { guest: GuestId(guest), report });
        }
        prop_assert_eq!(arrangement(&judge.monitor.view()), before);
        prop_assert_eq!(judge.monitor.layout(), layout);
    }
}

#[test]
fn the_same_history_ends_in_the_same_state() {
    let play = || {
        let mut judge = running(false, SCREENS[0]);
        judge.play(Move::Chord(SourceId(1), true)).unwrap();
        judge.play(Move::ConfirmAll).unwrap();
        judge.monitor
    };
    assert_eq!(play(), play());
}
