//! What guests may get from each other and from the user through their agents: texts, by the
//! user's act and the policy's leave, and answers to questions. An agent offers and asks; only
//! keys on the trusted screen make anything of it (invariants 3 and 9).

use tabard_view::{GuestId, Recipient};

use crate::focus::Focus;
use crate::guests::{Agent, Guest};
use crate::sheet::{About, DEAD_TIME_MS, Sheet, Turn, Wait};
use crate::{
    Clip, Decision, Digest, Effect, Flow, FlowKind, Monitor, Passage, Question, Record, Timer,
    Verdict, exchange_words as words,
};

/// The least width and height of a screen for a page of text, in units.
const MIN_PAGE_UNITS: (u32, u32) = (800, 600);

/// A text that was taken from a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held {
    pub(crate) from: GuestId,
    pub(crate) clip: Clip,
    timer: u32,
}

impl Held {
    fn passage(self, to: GuestId) -> Passage {
        Passage { from: self.from, to, clip: self.clip }
    }

    fn record(self, to: GuestId, verdict: Verdict) -> Effect {
        Effect::Audit(Record::Passage(self.passage(to), verdict))
    }
}

/// What is on its way between guests, and what the bar says of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Exchange {
    pub(crate) held: Option<Held>,
    /// The last text that was given, in words; until the trusted screen opens again.
    pub(crate) news: String,
    /// Timers started so far: an old one never counts for a new thing.
    timers: u32,
}

impl Exchange {
    fn next_timer(&mut self) -> u32 {
        self.timers = self.timers.wrapping_add(1);
        self.timers
    }

    #[cfg(feature = "proof")]
    pub(crate) fn numbers(&mut self) -> impl Iterator<Item = crate::proof::Number<'_>> {
        let held = self.held.as_mut().map(|held| crate::proof::Number::Held(&mut held.timer));
        held.into_iter().chain([crate::proof::Number::Timers(&mut self.timers)])
    }
}

/// A guest's text that the trusted screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ShownText {
    /// The text that was taken, by its digest.
    Clip(Digest),
    /// The question of this guest.
    Question(GuestId),
}

impl Monitor {
    /// Which text the trusted screen shows: the session fills its lines into the view.
    #[must_use]
    pub fn shown_text(&self) -> Option<ShownText> {
        let Focus::Trusted(screen) = &self.focus else { return None };
        screen.sheet.as_ref().map(|sheet| match sheet.about {
            About::Review { clip, .. } => ShownText::Clip(clip.digest),
            About::Question { guest, .. } => ShownText::Question(guest),
        })
    }

    /// A guest offers a text, or nothing any more.
    pub(crate) fn offered(&mut self, guest: GuestId, clip: Option<Clip>) {
        if let Some(guest) = self.guests.get_mut(guest).filter(|guest| guest.agent.listens) {
            guest.agent.offer = clip;
        }
    }

    /// A guest's agent came or went; what went with it cannot be answered any more.
    pub(crate) fn listens(&mut self, guest: GuestId, listens: bool) {
        if let Some(guest) = self.guests.get_mut(guest) {
            guest.agent = Agent { listens, ..Default::default() };
        }
        self.close_stale_sheet();
    }

    /// A guest asks something. One question at a time: the session refuses the others. It does not
    /// wait for ever: a yes to what was asked long ago may not be a yes to what is so now.
    pub(crate) fn asked(&mut self, guest: GuestId, question: Question) -> Vec<Effect> {
        match self.guests.get_mut(guest).map(|guest| &mut guest.agent) {
            Some(Agent { listens: true, question: waiting @ None, .. }) => {
                *waiting = Some(question);
                let after_ms = u32::from(self.config.policy.question_seconds).saturating_mul(1000);
                vec![Effect::Timer { timer: Timer::Question(question.number), after_ms }]
            }
            _ => Vec::new(),
        }
    }

    /// Closes a question whose guest is gone: there is nobody to hear the answer.
    pub(crate) fn close_stale_sheet(&mut self) {
        let Focus::Trusted(screen) = &mut self.focus else { return };
        if let Some(About::Question { guest, number, .. }) =
            screen.sheet.as_ref().map(|sheet| &sheet.about)
        {
            let waits = self.guests.get(*guest).and_then(|guest| guest.agent.question);
            if waits.is_none_or(|question| question.number != *number) {
                screen.sheet = None;
                screen.message = words::QUESTION_GONE.to_owned();
            }
        }
    }

    /// A timer ran out.
    pub(crate) fn elapsed(&mut self, timer: Timer) -> Vec<Effect> {
        match timer {
            Timer::Held(number) => {
                // A text that is under review stays until the review ends, and ends with it.
                let reviewed = matches!(self.shown_text(), Some(ShownText::Clip(_)));
                let mine = self.exchange.held.is_some_and(|held| held.timer == number);
                if mine && !reviewed { self.forget() } else { Vec::new() }
            }
            Timer::Question(number) => {
                let old = |guest: &&mut Guest| {
                    guest.agent.question.is_some_and(|question| question.number == number)
                };
                let Some(guest) = self.guests.iter_mut().find(old) else { return Vec::new() };
                guest.agent.question = None;
                let guest = guest.id;
                self.close_stale_sheet();
                vec![Effect::Answer { guest, number, yes: None }]
            }
            Timer::LoginDelay(ticket) => {
                self.delay_over(ticket);
                Vec::new()
            }
            // Not a matter of texts: the monitor starts the guest.
            Timer::Restart(..) => Vec::new(),
            Timer::DeadTime(number) => {
                if let Some(About::Question { wait, .. }) = self.sheet().map(|s| &mut s.about)
                    && *wait == Wait::Running(number)
                {
                    *wait = Wait::Over;
                }
                Vec::new()
            }
        }
    }

    /// Starts the dead time of a question once it is on every glass.
    pub(crate) fn start_dead_time(&mut self) -> Vec<Effect> {
        if !self.input_open() {
            return Vec::new();
        }
        let Focus::Trusted(screen) = &mut self.focus else { return Vec::new() };
        let Some(Sheet { about: About::Question { wait, .. }, .. }) = &mut screen.sheet else {
            return Vec::new();
        };
        if *wait != Wait::Unseen {
            return Vec::new();
        }
        let number = self.exchange.next_timer();
        *wait = Wait::Running(number);
        vec![Effect::Timer { timer: Timer::DeadTime(number), after_ms: DEAD_TIME_MS }]
    }

    /// Takes the text that a guest offers: from now on it is this text, whatever the guest does.
    pub(crate) fn take_text(&mut self, from: GuestId) -> Vec<Effect> {
        let Some(clip) = self.guests.get(from).and_then(|guest| guest.agent.offer) else {
            let words = words::nothing_offered(self.guest_name(from));
            return self.say(words);
        };
        let timer = self.exchange.next_timer();
        self.exchange.held = Some(Held { from, clip, timer });
        let seconds = self.config.policy.clipboard_seconds;
        let words = words::taken(self.guest_name(from), clip.bytes, seconds);
        self.say(words);
        vec![
            Effect::Take { guest: from, clip },
            Effect::Timer {
                timer: Timer::Held(timer),
                after_ms: u32::from(seconds).saturating_mul(1000),
            },
        ]
    }

    /// Gives the text that was taken to a guest, or opens its review, or says why not.
    pub(crate) fn give_text(&mut self, to: GuestId) -> Vec<Effect> {
        let Some(held) = self.exchange.held else { return self.say(words::NOTHING_TAKEN) };
        let (Some(source), Some(destination)) = (self.guests.get(held.from), self.guests.get(to))
        else {
            return Vec::new();
        };
        if !destination.agent.listens {
            let words = words::not_listening(&destination.config.name);
            return self.say(words);
        }
        let classes = (source.config.class, destination.config.class);
        let flow = Flow { kind: FlowKind::Clipboard, source: classes.0, destination: classes.1 };
        // Without a person before the screen nobody pressed the key.
        match self.config.policy.decide(&flow, self.authority().as_ref()) {
            Decision::Allowed => self.hand_over(held, to, Verdict::Given),
            Decision::NeedsReview(_) => {
                let about = About::Review { to, clip: held.clip, typed: 0 };
                let open = self.open_sheet(Sheet { about, page: 0, pages: held.clip.pages });
                open.then(|| held.record(to, Verdict::Reviewed)).into_iter().collect()
            }
            Decision::Refused(reason) => {
                let (from, name) = (self.guest_name(held.from), self.guest_name(to));
                let words = words::refused(from, name, reason);
                self.say(words);
                vec![held.record(to, Verdict::Refused)]
            }
        }
    }

    /// Opens the question that waits longest.
    pub(crate) fn open_question(&mut self) -> Vec<Effect> {
        let waiting = self.questions().min_by_key(|(question, _)| question.number);
        let Some((Question { number, pages }, guest)) = waiting else {
            return self.say(words::NO_QUESTION);
        };
        let about = About::Question { guest, number, wait: Wait::Unseen };
        self.open_sheet(Sheet { about, page: 0, pages });
        Vec::new()
    }

    /// The questions that wait for this user: what is not shown asks nothing.
    pub(crate) fn questions(&self) -> impl Iterator<Item = (Question, GuestId)> {
        let shown = self.guests.iter().filter(|guest| guest.shown);
        shown.filter_map(|guest| Some((guest.agent.question?, guest.id)))
    }

    /// What a key did to the open text.
    pub(crate) fn sheet_turn(&mut self, turn: Turn) -> Vec<Effect> {
        match turn {
            Turn::Stay => Vec::new(),
            Turn::Page => {
                // No key counts for a page that the user has not yet seen.
                self.recipient_serial = self.next_serial();
                Vec::new()
            }
            Turn::Close => self.leave_sheet(),
            Turn::Release => {
                let Some(About::Review { to, .. }) = self.close_sheet() else { return Vec::new() };
                let Some(held) = self.exchange.held else { return Vec::new() };
                if self.guests.get(to).is_some_and(|guest| guest.agent.listens) {
                    self.hand_over(held, to, Verdict::Released)
                } else {
                    let words = words::not_listening(self.guest_name(to));
                    self.say(words);
                    self.forget()
                }
            }
            Turn::Answer(yes) => {
                let Some(About::Question { guest, number, .. }) = self.close_sheet() else {
                    return Vec::new();
                };
                if let Some(guest) = self.guests.get_mut(guest) {
                    guest.agent.question = None;
                }
                let words = words::answered(self.guest_name(guest), yes);
                self.say(words);
                vec![Effect::Answer { guest, number, yes: Some(yes) }]
            }
        }
    }

    /// Closes an open text undecided: a text under review is forgotten, a question waits on.
    pub(crate) fn leave_sheet(&mut self) -> Vec<Effect> {
        match self.close_sheet() {
            Some(About::Review { .. }) => self.forget(),
            Some(About::Question { .. }) | None => Vec::new(),
        }
    }

    /// Whether every screen is large enough for a whole page in letters that can be read.
    fn pages_fit(&self) -> bool {
        self.outputs.iter().all(|output| {
            let (width, height) = MIN_PAGE_UNITS;
            output.size.width >= output.scale.px(width)
                && output.size.height >= output.scale.px(height)
        })
    }

    /// Closes an open text when a screen came, or became, too small to show all of it.
    pub(crate) fn close_unfit_sheet(&mut self) -> Vec<Effect> {
        if self.pages_fit() || self.shown_text().is_none() {
            return Vec::new();
        }
        let left = self.leave_sheet();
        self.say(words::TOO_SMALL);
        left
    }

    /// Whether it is open now.
    fn open_sheet(&mut self, sheet: Sheet) -> bool {
        if !self.pages_fit() {
            self.say(words::TOO_SMALL);
            return false;
        }
        let Focus::Trusted(screen) = &mut self.focus else { return false };
        screen.sheet = Some(sheet);
        // What is typed before it is on the glass answers nothing.
        self.recipient_serial = self.next_serial();
        true
    }

    fn sheet(&mut self) -> Option<&mut Sheet> {
        let Focus::Trusted(screen) = &mut self.focus else { return None };
        screen.sheet.as_mut()
    }

    fn close_sheet(&mut self) -> Option<About> {
        let Focus::Trusted(screen) = &mut self.focus else { return None };
        screen.sheet.take().map(|sheet| sheet.about)
    }

    /// One text, one guest, once.
    fn hand_over(&mut self, held: Held, to: GuestId, verdict: Verdict) -> Vec<Effect> {
        let words = words::given(held.clip.bytes, self.guest_name(held.from), self.guest_name(to));
        self.exchange.held = None;
        self.exchange.news.clone_from(&words);
        self.say(words);
        vec![held.record(to, verdict), Effect::Give(held.passage(to)), Effect::Forget]
    }

    pub(crate) fn forget(&mut self) -> Vec<Effect> {
        self.exchange.held = None;
        vec![Effect::Forget]
    }

    /// Says something in the bar of the trusted screen, until the next key.
    fn say(&mut self, words: impl Into<String>) -> Vec<Effect> {
        if let Focus::Trusted(screen) = &mut self.focus {
            screen.message = words.into();
        }
        Vec::new()
    }

    pub(crate) fn guest_name(&self, guest: GuestId) -> &str {
        self.guests.get(guest).map_or("", |guest| &guest.config.name)
    }

    /// What the bar says beside its message.
    pub(crate) fn notice(&self) -> String {
        let waiting = match self.is_locked() {
            true => String::new(),
            false => words::questions_wait(self.questions().count()),
        };
        let slow = if self.records_wait { crate::words::RECORDS_WAIT } else { "" };
        let emulated = match self.recipient() {
            Recipient::Guest(guest) => self.guests.get(guest).is_some_and(|it| it.config.emulated),
            _ => false,
        };
        let engine = if emulated { crate::words::EMULATED } else { "" };
        let dark = self.dark_notice();
        let parts = [slow, &self.exchange.news, &waiting, &dark, &self.config.notice, engine];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  ·  ")
    }
}
