//! The judge of questions: who asked what, what stood on every glass when the user answered and
//! for how long, and so whether an answer is the user's own. It belongs to invariants 1 and 3.

use std::collections::BTreeMap;

use tabard_input::KeyCode;
use tabard_trusted_path::{Effect, Ending, Event, GuestReport, Timer};
use tabard_view::GuestId;

use crate::tally::Tally;

/// A question, as a screen shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    pub(crate) guest: GuestId,
    pub(crate) last_page: bool,
}

/// Questions, as they are seen from outside the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Questions {
    /// The number of the question that each guest waits for.
    waiting: BTreeMap<GuestId, u32>,
    /// The dead time that was started last, and the guest whose question it is about.
    dead: Option<(u32, GuestId)>,
    /// The guest whose question was seen for that long.
    seen: Option<GuestId>,
    /// Questions asked so far.
    pub(crate) asked: u32,
    /// Answers given so far.
    pub(crate) answered: Tally,
}

impl Questions {
    /// The numbers of the questions that guests wait for.
    pub(crate) fn waiting(&self) -> impl Iterator<Item = u32> {
        self.waiting.values().copied()
    }

    /// The number of the question that this guest waits for.
    pub(crate) fn of(&self, guest: GuestId) -> Option<u32> {
        self.waiting.get(&guest).copied()
    }

    /// Gives timers and questions other numbers; `asked` is then the newest question.
    pub(crate) fn renumber(
        &mut self,
        timer: impl Fn(u32) -> u32,
        question: impl Fn(u32) -> u32,
        asked: u32,
    ) {
        self.dead = self.dead.map(|(number, guest)| (timer(number), guest));
        for number in self.waiting.values_mut() {
            *number = question(*number);
        }
        self.asked = asked;
    }

    /// The number of the dead time that was started last.
    pub(crate) fn timer(&self) -> Option<u32> {
        self.dead.map(|(timer, _)| timer)
    }

    /// Takes a step; `shown` is the question that every screen shows, `open` the guest whose question
    /// the next view shows, `listens` whether a guest has an agent. The number of the invariant that it broke, if any.
    pub(crate) fn take(
        &mut self,
        event: &Event,
        effects: &[Effect],
        shown: Option<Asked>,
        open: Option<GuestId>,
        listens: impl Fn(GuestId) -> bool,
    ) -> Option<u8> {
        let (mut key, mut late) = (None, None);
        match *event {
            Event::Asked { guest, question } if listens(guest) => {
                self.waiting.entry(guest).or_insert(question.number);
                self.asked = self.asked.max(question.number);
            }
            Event::Listens { guest, .. }
            | Event::Guest { guest, report: GuestReport::Stopped(Ending::ProcessDied) } => {
                self.waiting.remove(&guest);
            }
            Event::Elapsed(Timer::DeadTime(number)) => {
                // The end of an earlier one says nothing of this one.
                let this = self.dead.filter(|(timer, _)| *timer == number);
                self.seen = this.map(|(_, guest)| guest).or(self.seen);
            }
            Event::Elapsed(Timer::Question(number)) => late = Some(number),
            Event::Key { code, pressed: true, .. } => key = Some(code),
            _ => {}
        }
        let broken = effects.iter().find_map(|effect| self.judge(effect, key, late, shown));
        // What was seen of a question that is closed says nothing of it when it is opened again.
        self.dead = self.dead.filter(|(_, guest)| open == Some(*guest));
        self.seen = self.seen.filter(|guest| open == Some(*guest));
        broken
    }

    fn judge(
        &mut self,
        effect: &Effect,
        key: Option<KeyCode>,
        late: Option<u32>,
        shown: Option<Asked>,
    ) -> Option<u8> {
        match *effect {
            Effect::Timer { timer: Timer::DeadTime(number), .. } => {
                self.seen = None;
                // The time counts from when the question is on every glass.
                let Some(shown) = shown else { return Some(1) };
                self.dead = Some((number, shown.guest));
                None
            }
            // Who has waited too long gets no answer, and nobody else gets none.
            Effect::Answer { guest, number, yes: None } => {
                let its_own = self.waiting.remove(&guest) == Some(number);
                (!its_own || late != Some(number)).then_some(3)
            }
            Effect::Answer { guest, number, yes: Some(yes) } => {
                self.answered.0 += 1;
                let its_own = self.waiting.remove(&guest) == Some(number);
                let by_user = key == Some(if yes { KeyCode::Y } else { KeyCode::N });
                let on_glass = shown == Some(Asked { guest, last_page: true });
                let long_enough = self.seen.take() == Some(guest);
                if !by_user || !its_own {
                    return Some(3);
                }
                (!on_glass || !long_enough).then_some(1)
            }
            _ => None,
        }
    }
}
