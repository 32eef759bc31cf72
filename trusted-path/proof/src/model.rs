//! The state space: the real monitor, a presenter that draws and confirms when it likes, guests
//! that report what they like, and a user with five keys and a pointer.

use std::hash::{Hash, Hasher};

use stateright::{Model, Property};
use tabard_input::KeyCode;
use tabard_trusted_path::{
    Ending, Event, GuestReport, LockCause, LoginConfig, Monitor, Policy, Question, ShownText, Timer,
};
use tabard_view::{Content, FrameSerial, GuestId, OutputId, OutputView, TrustedBody};

use crate::Fault;
use crate::desk::{
    self, CLIPS, EXCHANGE_KEYS, FIRST, GUESTS, KEYBOARD, KEYS, LOCK_KEYS, MOUSE, QUESTION_KEYS,
    SECOND,
};
use crate::flows::Review;
use crate::judge::{Shown, Step, World};
use crate::questions::Asked;

/// Confirmations that may be on their way from one screen at a time.
const ON_THE_WAY: usize = 2;

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
    /// This confirmation arrives: the first or the second that is on its way, so also late and
    /// out of order. One that never arrives is lost.
    Confirm(OutputId, usize),
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
    /// The newest question has waited for its time, perhaps answered before.
    Late,
    /// The session answers the last check of a password, perhaps once more.
    Answer(bool),
    /// The wait after a wrong password is over.
    DelayOver,
    /// The host is about to sleep.
    Lock,
}

/// A state of everything.
#[derive(Debug, Clone)]
pub struct State {
    monitor: Monitor,
    world: World,
    /// Confirmations on their way.
    confirmations: Vec<(OutputId, FrameSerial)>,
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
        self.world.flows.given
    }

    /// How many questions were answered on the way here.
    #[must_use]
    pub fn answered(&self) -> usize {
        self.world.questions.answered
    }

    /// How often somebody logged in on the way here.
    #[must_use]
    pub fn logins(&self) -> usize {
        self.world.locks.logins
    }

    /// The same state with the views numbered anew from the oldest that matters. Only the order
    /// of numbers ever counts, so two states that differ in nothing else behave alike.
    fn canonical(mut self) -> Self {
        let mut serials = self.monitor.serials();
        serials.extend(self.confirmations.iter().map(|(_, serial)| *serial));
        serials.extend(self.world.glass.values().flatten().map(|shown| shown.serial));
        let number = |serial: FrameSerial| {
            FrameSerial(serials.iter().position(|known| *known == serial).unwrap_or(0) as u64)
        };
        self.monitor.renumber(number);
        for (_, serial) in &mut self.confirmations {
            *serial = number(*serial);
        }
        for shown in self.world.glass.values_mut().flatten() {
            shown.serial = number(shown.serial);
        }
        self
    }

    /// The screen puts the newest view on its glass.
    fn draw(&mut self, output: OutputId) -> FrameSerial {
        let view = self.monitor.view();
        let review = view.output(output).and_then(|output| self.review(output));
        let question = view.output(output).and_then(|output| self.question(output));
        let shown = Shown { serial: view.serial, recipient: view.recipient, review, question };
        self.world.glass.insert(output, Some(shown));
        view.serial
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
        let pages = if guest == GUESTS[0] { 2 } else { 1 };
        self.step(Event::Asked { guest, question: Question { number, pages } }, fault);
    }

    fn step(&mut self, event: Event, fault: Option<Fault>) {
        let (recipient_before, layout_before) = (self.monitor.recipient(), self.monitor.layout());
        let effects = match fault {
            None => self.monitor.step(event),
            Some(fault) => fault.step(&mut self.monitor, event),
        };
        let gone: Vec<GuestId> =
            GUESTS.into_iter().filter(|guest| !self.monitor.is_there(*guest)).collect();
        let broken = self.world.take(&Step {
            event: &event,
            effects: &effects,
            recipient_before,
            recipient: self.monitor.recipient(),
            layout_before,
            layout: self.monitor.layout(),
            gone: &gone,
            view: &self.monitor.view(),
        });
        self.broken = self.broken.or(broken);
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        (&self.monitor, &self.world, &self.confirmations, self.broken)
            == (&other.monitor, &other.world, &other.confirmations, other.broken)
    }
}

impl Eq for State {}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.monitor, &self.world, &self.confirmations, self.broken).hash(hasher);
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
    /// How far it goes. The checker's own limit of depth makes the states of the last step and
    /// does not look at them; with this one, it does.
    pub steps: Option<usize>,
}

impl Desk {
    /// Where it begins; `second` of the two ways.
    fn begin(&self, second: bool) -> Option<State> {
        let locked = self.start == Start::Locked || (self.start == Start::Asked && second);
        let reviewer = second && self.start == Start::Exchange;
        let policy = Policy { downgrade: reviewer, ..Policy::default() };
        let login = if locked { desk::users() } else { LoginConfig::default() };
        let monitor = desk::monitor(policy, login)?;
        let (world, confirmations) = (World::default(), Vec::new());
        let mut state = State { monitor, world, confirmations, broken: None, steps: 0 };
        state.world.flows.reviewer = reviewer;
        state.world.locks.users = locked;
        state.world.glass.insert(FIRST, None);
        state.step(desk::plug(FIRST), None);
        for guest in GUESTS {
            state.step(Event::Guest { guest, report: GuestReport::Running }, None);
        }
        state.show();
        if self.start == Start::Exchange {
            for (guest, clip) in GUESTS.into_iter().zip(CLIPS) {
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
            for guest in GUESTS {
                state.step(Event::Listens { guest, listens: true }, None);
            }
            state.ask(GUESTS[2], None);
            state.ask(GUESTS[1], None);
            state.attention(None);
            state.show();
        }
        Some(state.canonical())
    }
}

impl Model for Desk {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let ways: &[bool] = if self.start == Start::AtWork { &[false] } else { &[false, true] };
        ways.iter().filter_map(|second| self.begin(*second)).collect()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if self.steps.is_some_and(|most| state.steps >= most) {
            return;
        }
        match self.start {
            Start::AtWork => {
                actions.extend(KEYS.map(Action::Key));
                if !state.world.down.is_empty() {
                    actions.push(Action::KeyboardLost);
                }
                actions.extend(GUESTS.map(Action::Click));
                for guest in GUESTS {
                    actions.push(Action::Report(guest, GuestReport::Running));
                    actions.push(Action::Report(guest, GuestReport::Paused));
                    actions.push(Action::Report(guest, GuestReport::Stopped(Ending::ProcessDied)));
                }
                actions.push(Action::Plug);
            }
            Start::Exchange => {
                actions.extend(EXCHANGE_KEYS.map(Action::Tap));
                actions.push(Action::Attention);
                for guest in [GUESTS[0], GUESTS[1]] {
                    actions.extend((0..CLIPS.len()).map(|clip| Action::Offer(guest, clip)));
                }
                actions.extend(GUESTS.map(Action::Listen));
                actions.extend(state.world.flows.timer().map(|_| Action::Expire));
            }
            Start::Asked => {
                actions.extend(QUESTION_KEYS.map(Action::Tap));
                actions.extend([Action::Attention, Action::Show, Action::Plug, Action::Late]);
                actions.extend(state.world.locks.users.then_some(Action::Lock));
                actions.extend([GUESTS[0], GUESTS[1]].map(Action::Ask));
                actions.push(Action::Listen(GUESTS[1]));
                actions.push(Action::Report(GUESTS[1], GuestReport::Stopped(Ending::ProcessDied)));
                actions.extend(state.world.questions.timer().map(|_| Action::Seen));
                actions.extend(state.world.locks.last_ticket.map(|_| Action::Answer(true)));
            }
            Start::Locked => {
                actions.extend(LOCK_KEYS.map(Action::Tap));
                actions.extend([Action::Attention, Action::Lock, Action::Plug]);
                actions.extend([GUESTS[0], GUESTS[1]].map(Action::Click));
                if state.world.locks.last_ticket.is_some() {
                    actions.extend([Action::Answer(true), Action::Answer(false)]);
                    actions.push(Action::DelayOver);
                }
                let died = GuestReport::Stopped(Ending::ProcessDied);
                actions
                    .extend([GuestReport::Running, died].map(|it| Action::Report(GUESTS[2], it)));
            }
        }
        let newest = state.monitor.view().serial;
        for (output, shown) in &state.world.glass {
            let waiting = state.confirmations.iter().filter(|(from, _)| from == output).count();
            if waiting < ON_THE_WAY && shown.is_none_or(|shown| shown.serial != newest) {
                actions.push(Action::Draw(*output));
            }
            actions.extend((0..waiting).map(|index| Action::Confirm(*output, index)));
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
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
                // A hand that leaves the mouse holds no button.
                state.step(Event::SourceLost(MOUSE), self.fault);
            }
            Action::Report(guest, report) => {
                state.step(Event::Guest { guest, report }, self.fault);
            }
            Action::Draw(output) => {
                let serial = state.draw(output);
                state.confirmations.push((output, serial));
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
            Action::Late => {
                let timer = Timer::Question(state.world.questions.asked);
                state.step(Event::Elapsed(timer), self.fault);
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
            Action::Confirm(output, index) => {
                let at = state
                    .confirmations
                    .iter()
                    .enumerate()
                    .filter(|(_, (from, _))| *from == output)
                    .nth(index)
                    .map(|(at, _)| at)?;
                let (_, serial) = state.confirmations.remove(at);
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
        Some(state.canonical()).filter(|next| next != last)
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
