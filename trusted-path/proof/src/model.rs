//! The state space: the real monitor, a presenter that draws and confirms when it likes, guests
//! that report what they like, and a user with five keys and a pointer.

use std::hash::{Hash, Hasher};

use stateright::{Model, Property};
use tabard_input::KeyCode;
use tabard_trusted_path::{
    Effect, Ending, Event, GuestReport, LockCause, LoginConfig, Monitor, Policy, Question,
    ShownText, Timer,
};
use tabard_view::{Content, FrameSerial, GuestId, OutputId, OutputView, TrustedBody};

use crate::Fault;
use crate::desk::{
    self, CLIPS, Cast, D, EXCHANGE_KEYS, FIRST, KEYBOARD, KEYS, LOCK_KEYS, MOUSE, ONE,
    QUESTION_KEYS, SECOND,
};
use crate::flows::Review;
use crate::judge::{Shown, Step, World};
use crate::locks::MOST_WRONG;
use crate::questions::Asked;

/// A guest that has failed so often in a row is left alone until a minute has passed: how often it
/// failed changes only how long it waits.
const FAILURES: u8 = 3;
/// A user's next password is right after so many wrong ones, for the same reason. The second number
/// is that of a smaller search.
const WRONG: [u32; 2] = [MOST_WRONG, 1];

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A key goes down, or up if it is down.
    Key(KeyCode),
    /// The keyboard is unplugged and plugged in again, with all keys up.
    KeyboardLost,
    /// A press and a release in the middle of this guest's window.
    Click(GuestId),
    /// A guest's process says this.
    Report(GuestId, GuestReport),
    /// The screen puts the newest view on its glass; its confirmation is then on its way.
    Draw(OutputId),
    /// A confirmation that is on its way arrives, of the first view that opens input or of a later
    /// one. One that never arrives is lost.
    Confirm(OutputId),
    /// A confirmation arrives that is too old to open input, even if by one view only: late, or
    /// out of order, or of before the screen was another.
    Stale(OutputId),
    /// The second screen appears or goes.
    Plug,
    /// A key goes down and up again.
    Tap(KeyCode),
    /// The chord goes down, and everything up again.
    Attention,
    /// A guest's agent offers the first or the second text.
    Offer(GuestId, usize),
    /// A guest's agent comes or goes.
    Listen(GuestId),
    /// Every screen puts the newest view on its glass and says so, before anything else happens.
    Show,
    /// A guest asks something.
    Ask(GuestId),
    /// A question was seen for its time.
    Seen,
    /// The time in which a text can be given is over.
    Expire,
    /// The question that this guest waits for has waited for its time; or one that was answered
    /// before.
    Late(Option<GuestId>),
    /// The session answers the last check of a password, perhaps once more.
    Answer(bool),
    /// The session answers an earlier check.
    OldAnswer(bool),
    /// Every timer of before ends once more.
    OldTimers,
    /// The wait before the last guest's next start is over, perhaps once more.
    Restart,
    /// A minute has begun.
    Minute,
    /// The wait after a wrong password is over.
    DelayOver,
    /// The host is about to sleep.
    Lock,
}

/// A state of everything.
#[derive(Debug, Clone)]
pub struct State {
    pub(crate) monitor: Monitor,
    pub(crate) world: World,
    /// Confirmations on their way.
    pub(crate) confirmations: Vec<(OutputId, FrameSerial)>,
    /// How often the last guest had failed when it was last to start again by itself.
    failures: Option<u8>,
    /// The invariant that was broken on the way here.
    broken: Option<u8>,
    /// Steps of the way here; no part of what the state is.
    steps: usize,
}

impl State {
    /// The number of the invariant that was broken, if one was.
    #[must_use]
    pub fn broken(&self) -> Option<u8> {
        self.broken
    }

    /// How many steps led here.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// How many texts were given on the way here.
    #[must_use]
    pub fn given(&self) -> usize {
        self.world.flows.given.0
    }

    /// How many questions were answered on the way here.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.world.questions.answered.0
    }

    /// How often somebody logged in on the way here.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.world.locks.logins.0
    }

    /// The screen puts the newest view on its glass.
    fn draw(&mut self, output: OutputId) -> FrameSerial {
        let view = self.monitor.seen();
        let review = view.output(output).and_then(|output| self.review(output));
        let question = view.output(output).and_then(|output| self.question(output));
        let shown = Shown { serial: view.serial, recipient: view.recipient, review, question };
        self.world.glass.insert(output, Some(shown));
        shown.serial
    }

    /// Whether this key types what need not be typed at the lock: all but one letter.
    fn types_in_vain(&self, code: KeyCode) -> bool {
        code.ascii(false).is_some() && (code != desk::A || self.typed() > 0)
    }

    /// The characters of the password that is being typed, as a screen shows it.
    fn typed(&self) -> u8 {
        let view = self.monitor.seen();
        let typed = view.outputs.iter().find_map(|output| match &output.content {
            Content::Trusted(screen) => match &screen.body {
                TrustedBody::Login(form) => Some(form.typed),
                _ => None,
            },
            _ => None,
        });
        typed.unwrap_or(0)
    }

    /// The only screen puts the newest view up and says so.
    fn show(&mut self) {
        let serial = self.draw(FIRST);
        self.step(Event::Presented { output: FIRST, serial }, None);
    }

    fn attention(&mut self, fault: Option<Fault>) {
        for code in [desk::CTRL, desk::ALT, desk::ESCAPE] {
            self.step(Event::Key { source: KEYBOARD, code, pressed: true }, fault);
        }
        self.step(Event::SourceLost(KEYBOARD), fault);
    }

    fn tap(&mut self, code: KeyCode, fault: Option<Fault>) {
        for pressed in [true, false] {
            self.step(Event::Key { source: KEYBOARD, code, pressed }, fault);
        }
    }

    /// The review that a screen shows, with the text that the session would fill in.
    fn review(&self, output: &OutputView) -> Option<Review> {
        let Content::Trusted(screen) = &output.content else { return None };
        let TrustedBody::Text(page) = &screen.body else { return None };
        let Some(ShownText::Clip(text)) = self.monitor.shown_text() else { return None };
        // Each guest has the label of its own number.
        let [from, to] = [page.from.1, page.to.as_ref()?.1].map(|label| GuestId(label.0 as u8));
        Some(Review { from, to, text, last_page: page.page + 1 >= page.pages })
    }

    /// The question that a screen shows, with the text that the session would fill in.
    fn question(&self, output: &OutputView) -> Option<Asked> {
        let Content::Trusted(screen) = &output.content else { return None };
        let TrustedBody::Text(page) = &screen.body else { return None };
        let Some(ShownText::Question(guest)) = self.monitor.shown_text() else { return None };
        let said = GuestId(page.from.1.0 as u8);
        let last_page = page.page + 1 >= page.pages;
        (said == guest).then_some(Asked { guest, last_page })
    }

    /// A guest asks; its questions have one page, those of the first guest two.
    fn ask(&mut self, guest: GuestId, fault: Option<Fault>) {
        let number = self.world.questions.asked + 1;
        let pages = if guest == GuestId(0) { 2 } else { 1 };
        self.step(Event::Asked { guest, question: Question { number, pages } }, fault);
    }

    fn step(&mut self, event: Event, fault: Option<Fault>) {
        let (recipient_before, layout_before) = (self.monitor.recipient(), self.monitor.layout());
        let effects = match fault {
            None => self.monitor.step(event),
            Some(fault) => fault.step(&mut self.monitor, event),
        };
        let failures = effects.iter().find_map(|effect| match effect {
            Effect::Timer { timer: Timer::Restart(_, failures), .. } => Some(*failures),
            _ => None,
        });
        self.failures = failures.or(self.failures);
        // A guest that the desk has not is gone.
        let guests = Cast::Three.guests().iter().copied();
        let gone: Vec<GuestId> = guests.filter(|guest| !self.monitor.is_there(*guest)).collect();
        let broken = self.world.take(&Step {
            event: &event,
            effects: &effects,
            recipient_before,
            recipient: self.monitor.recipient(),
            layout_before,
            layout: self.monitor.layout(),
            gone: &gone,
            view: self.monitor.seen(),
            reviewing: matches!(self.monitor.shown_text(), Some(ShownText::Clip(_))),
            open: match self.monitor.shown_text() {
                Some(ShownText::Question(guest)) => Some(guest),
                _ => None,
            },
        });
        self.broken = self.broken.or(broken);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        let parts = |state: &'_ Self| (state.failures, state.broken);
        (&self.monitor, &self.world, &self.confirmations, parts(self))
            == (&other.monitor, &other.world, &other.confirmations, parts(other))
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.monitor, &self.world, &self.confirmations, self.failures, self.broken).hash(hasher);
    }
}

/// Where a search begins, and so what may happen in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Start {
    /// All guests run, the first has the keyboard, the only screen has confirmed it.
    #[default]
    AtWork,
    /// The trusted screen is open with the second guest selected; it and the first, which is
    /// below it, offer texts. Once with a user who may downgrade and once with one who may not.
    Exchange,
    /// The trusted screen is open, and the second and the third guest wait for answers. Once on a
    /// desk without users, and once with a user who is not cleared for the third.
    Asked,
    /// The lock screen is shown, with nobody logged in; and the first user at work.
    Locked,
}

/// The model: the monitor that ships, or one with a fault.
#[derive(Debug, Clone, Copy, Default)]
pub struct Desk {
    /// What is broken on purpose.
    pub fault: Option<Fault>,
    /// Where it begins.
    pub start: Start,
    /// The guests.
    pub cast: Cast,
    /// Smaller: at work without the key that only types and the one that changes the layout, and
    /// questions without users; one wrong password in a row, and guests that do not start by themselves.
    pub small: bool,
    /// How far it goes; to the end if it is not said. The checker's own limit of depth makes the states of the last step and
    /// does not look at them; with this one, it does.
    pub steps: Option<usize>,
}

impl Desk {
    /// Where it begins; `second` of the two ways.
    fn begin(&self, second: bool) -> Option<State> {
        let guests = self.cast.guests();
        let (one, last) = (*guests.first()?, *guests.last()?);
        let locked = self.start == Start::Locked || (self.start == Start::Asked && second);
        let reviewer = second && self.start == Start::Exchange;
        let policy = Policy { downgrade: reviewer, ..Policy::default() };
        let login = if locked { desk::users() } else { LoginConfig::default() };
        let monitor =
            desk::monitor(self.cast, policy, login, self.start == Start::Locked && !self.small)?;
        let (world, confirmations) = (World::default(), Vec::new());
        let (failures, broken, steps) = (None, None, 0);
        let mut state = State { monitor, world, confirmations, failures, broken, steps };
        state.world.flows.reviewer = reviewer;
        state.world.flows.first_is_below = self.cast.first_is_below();
        state.world.locks.cleared = if locked { self.cast.cleared() } else { &[] };
        state.world.glass.insert(FIRST, None);
        state.step(desk::plug(FIRST), None);
        state.step(desk::away(), None);
        state.step(Event::Clock { minute_of_day: 0 }, None);
        for &guest in guests {
            state.step(Event::Guest { guest, report: GuestReport::Running }, None);
        }
        state.show();
        if self.start == Start::Exchange {
            for (&guest, clip) in guests.iter().zip(CLIPS) {
                state.step(Event::Listens { guest, listens: true }, None);
                state.step(Event::Offered { guest, clip: Some(clip) }, None);
            }
            state.attention(None);
            state.show();
            state.tap(KeyCode::DOWN, None);
            state.show();
        }
        if locked && second {
            state.tap(desk::A, None);
            state.tap(KeyCode::ENTER, None);
            let ticket = state.world.locks.last_ticket?;
            state.step(Event::PasswordChecked { ticket, right: true }, None);
            state.show();
        }
        if self.start == Start::Asked {
            for &guest in guests {
                state.step(Event::Listens { guest, listens: true }, None);
            }
            state.ask(last, None);
            state.ask(*guests.iter().rfind(|guest| **guest != last).unwrap_or(&one), None);
            state.attention(None);
            state.show();
        }
        Some(state.canonical())
    }

    /// The state after this, with numbers that count on. Nothing if it cannot be done.
    #[must_use]
    pub fn raw(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        state.steps += 1;
        match action {
            Action::Key(code) => {
                let pressed = !state.world.down.contains(&code);
                state.step(Event::Key { source: KEYBOARD, code, pressed }, self.fault);
            }
            Action::KeyboardLost => state.step(Event::SourceLost(KEYBOARD), self.fault),
            Action::Click(guest) => {
                for (_, event) in desk::click(&last.monitor, guest) {
                    state.step(event, self.fault);
                }
                // A hand that leaves the mouse holds no button, and it lies in a corner.
                state.step(Event::SourceLost(MOUSE), self.fault);
                state.step(desk::away(), self.fault);
            }
            Action::Report(guest, report) => {
                state.step(Event::Guest { guest, report }, self.fault);
            }
            Action::Draw(output) => {
                let serial = state.draw(output);
                state.confirmations.push((output, serial));
            }
            // The monitor never looks at what is typed, so another character says nothing new.
            Action::Tap(code) if state.monitor.is_locked() && state.types_in_vain(code) => {
                return None;
            }
            Action::Tap(code) => state.tap(code, self.fault),
            Action::Attention => state.attention(self.fault),
            Action::Offer(guest, clip) => {
                let clip = CLIPS.get(clip).copied();
                state.step(Event::Offered { guest, clip }, self.fault);
            }
            Action::Listen(guest) => {
                let listens = !state.world.flows.listens(guest);
                state.step(Event::Listens { guest, listens }, self.fault);
            }
            Action::Show => {
                let screens: Vec<OutputId> = state.world.glass.keys().copied().collect();
                for output in screens {
                    let serial = state.draw(output);
                    state.step(Event::Presented { output, serial }, self.fault);
                }
            }
            Action::Ask(guest) => state.ask(guest, self.fault),
            Action::Seen => {
                let timer = Timer::DeadTime(state.world.questions.timer()?);
                state.step(Event::Elapsed(timer), self.fault);
            }
            Action::Late(guest) => {
                let number = match guest {
                    Some(guest) => state.world.questions.of(guest)?,
                    None => 0,
                };
                state.step(Event::Elapsed(Timer::Question(number)), self.fault);
            }
            Action::OldTimers => {
                for timer in [Timer::Held(0), Timer::DeadTime(0), Timer::LoginDelay(0)] {
                    state.step(Event::Elapsed(timer), self.fault);
                }
            }
            Action::OldAnswer(right) => {
                state.step(Event::PasswordChecked { ticket: 0, right }, self.fault);
            }
            Action::Restart => {
                let last = *self.cast.guests().last()?;
                let timer = Timer::Restart(last, state.failures?);
                state.step(Event::Elapsed(timer), self.fault);
            }
            Action::Minute => {
                state.failures = None;
                state.step(Event::Clock { minute_of_day: 0 }, self.fault);
            }
            Action::Answer(right) => {
                let ticket = state.world.locks.last_ticket?;
                state.step(Event::PasswordChecked { ticket, right }, self.fault);
            }
            Action::DelayOver => {
                let timer = Timer::LoginDelay(state.world.locks.last_ticket?);
                state.step(Event::Elapsed(timer), self.fault);
            }
            Action::Lock => state.step(Event::Lock(LockCause::Suspend), self.fault),
            Action::Expire => {
                let timer = Timer::Held(state.world.flows.timer()?);
                state.step(Event::Elapsed(timer), self.fault);
            }
            Action::Confirm(output) => {
                let threshold = state.threshold(output);
                let arrives = |(from, serial): &(OutputId, FrameSerial)| {
                    *from == output && *serial >= threshold
                };
                let at = state.confirmations.iter().position(arrives)?;
                let (_, serial) = state.confirmations.remove(at);
                state.step(Event::Presented { output, serial }, self.fault);
            }
            Action::Stale(output) => {
                let serial = FrameSerial(state.threshold(output).0.checked_sub(1)?);
                state.step(Event::Presented { output, serial }, self.fault);
            }
            Action::Plug => {
                if state.world.glass.remove(&SECOND).is_some() {
                    state.confirmations.retain(|(from, _)| *from != SECOND);
                    state.step(Event::OutputRemoved(SECOND), self.fault);
                } else {
                    state.world.glass.insert(SECOND, None);
                    state.step(desk::plug(SECOND), self.fault);
                }
            }
        }
        Some(state)
    }
}

impl Model for Desk {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let one = self.start == Start::AtWork || (self.small && self.start == Start::Asked);
        let ways: &[bool] = if one { &[false] } else { &[false, true] };
        ways.iter().filter_map(|second| self.begin(*second)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.steps.is_some_and(|most| state.steps >= most) {
            return;
        }
        let guests = self.cast.guests().iter().copied();
        let two = || self.cast.guests().iter().copied().take(2);
        let Some(&last) = self.cast.guests().last() else { return };
        let died = GuestReport::Stopped(Ending::ProcessDied);
        match self.start {
            Start::AtWork => {
                let all = |code: &KeyCode| !self.small || ![desk::A, D].contains(code);
                actions.extend(KEYS.into_iter().filter(all).map(Action::Key));
                actions.extend([ONE, D].into_iter().filter(all).map(Action::Tap));
                if !state.world.down.is_empty() {
                    actions.push(Action::KeyboardLost);
                }
                for guest in guests {
                    actions.push(Action::Click(guest));
                    let reports = [GuestReport::Running, GuestReport::Paused, died];
                    actions.extend(reports.map(|report| Action::Report(guest, report)));
                }
                actions.push(Action::Plug);
            }
            Start::Exchange => {
                actions.extend(EXCHANGE_KEYS.map(Action::Tap));
                actions.push(Action::Attention);
                for guest in two() {
                    actions.extend((0..CLIPS.len()).map(|clip| Action::Offer(guest, clip)));
                }
                actions.extend(guests.map(Action::Listen));
                actions.extend(state.world.flows.timer().map(|_| Action::Expire));
                actions.push(Action::OldTimers);
            }
            Start::Asked => {
                actions.extend(QUESTION_KEYS.map(Action::Tap));
                actions.extend([Action::Attention, Action::Show, Action::Plug]);
                actions.extend(state.world.locks.users().then_some(Action::Lock));
                actions.extend(two().map(Action::Ask));
                actions.extend(guests.map(|guest| Action::Late(Some(guest))));
                actions.extend([Action::Late(None), Action::OldTimers]);
                actions.push(Action::Listen(GuestId(1)));
                actions.push(Action::Report(GuestId(1), died));
                actions.extend(state.world.questions.timer().map(|_| Action::Seen));
                actions.extend(state.world.locks.last_ticket.map(|_| Action::Answer(true)));
            }
            Start::Locked => {
                actions.extend(LOCK_KEYS.map(Action::Tap));
                actions.extend([Action::Attention, Action::Lock, Action::Plug]);
                actions.extend(two().map(Action::Click));
                if state.world.locks.last_ticket.is_some() {
                    let wrong = state.world.locks.wrong() < WRONG[usize::from(self.small)];
                    actions.push(Action::Answer(true));
                    actions.extend(wrong.then_some(Action::Answer(false)));
                    actions.extend([Action::OldAnswer(true), Action::OldAnswer(false)]);
                    actions.extend([Action::DelayOver, Action::OldTimers]);
                }
                actions.push(Action::Report(last, GuestReport::Running));
                if state.failures.is_none_or(|failures| failures < FAILURES) {
                    actions.push(Action::Report(last, died));
                }
                actions.extend(state.failures.map(|_| Action::Restart));
                actions.extend(state.monitor.is_there(last).then_some(Action::Minute));
            }
        }
        let newest = state.monitor.seen().serial;
        for (output, shown) in &state.world.glass {
            if shown.is_none_or(|shown| shown.serial != newest) {
                actions.push(Action::Draw(*output));
            }
            if state.confirmations.iter().any(|(from, _)| from == output) {
                actions.push(Action::Confirm(*output));
            }
            actions.push(Action::Stale(*output));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        Some(self.raw(last, action)?.canonical()).filter(|next| next != last)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        fn holds(number: u8, state: &State) -> bool {
            state.broken != Some(number)
        }
        vec![
            Property::always("1 glass before keys", |_, state| holds(1, state)),
            Property::always("2 the SAK always wins", |_, state| holds(2, state)),
            Property::always("3 only the user switches and answers", |_, state| holds(3, state)),
            Property::always("4 nothing is carried over", |_, state| holds(4, state)),
            Property::always("5 keyboard and pointer together", |_, state| holds(5, state)),
            Property::always("8 locked means no guest is mapped", |_, state| holds(8, state)),
            Property::always("9 flows obey the lattice", |_, state| holds(9, state)),
        ]
    }
}
