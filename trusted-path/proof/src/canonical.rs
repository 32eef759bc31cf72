//! The canonical form of a state. Numbers that only count are replaced by what they mean, so that
//! states which differ in nothing but the count are one state, and a search ends by itself.
//!
//! What they mean, and why nothing is lost:
//!
//! - *Views.* A screen opens input once it has confirmed its threshold, that is the first view that
//!   named the recipient or the first that was made for this screen, whichever is newer. A
//!   threshold only ever rises, and to the number of a view that is not made yet. So of every other
//!   number it matters only whether it is below the threshold, at it or above it, and whether it
//!   is that of the newest view.
//! - *Confirmations on their way* that are below the threshold change nothing now and never will. They
//!   are not remembered; instead one of them may arrive at any time ([`crate::Action::Stale`]).
//!   Of the others all are alike, and one is as good as many.
//! - *Timers, checks of passwords and questions* are compared for equality, questions also for their
//!   order. Number 0 is nobody's, and may come at any time as an old one.
//! - *Wrong passwords* make the wait longer up to the tenth ([`tabard_trusted_path::delay_seconds`]).
//!
//! The test `a_state_and_its_canonical_form_go_the_same_way` holds this against the monitor that
//! counts on.

use std::collections::BTreeMap;

use tabard_trusted_path::proof::Number;
use tabard_view::{FrameSerial, OutputId};

use crate::judge::World;
use crate::locks::MOST_WRONG;
use crate::model::State;

/// A view that is below a threshold, on the glass.
const OLD: FrameSerial = FrameSerial(1);
/// The threshold, if there is a newer view.
const SINCE: u64 = 2;
/// The newest view. One more is a view that is not made yet.
const NEWEST: u64 = 3;
/// The timer of the text that was taken, and that of the question that is shown.
const TIMERS: [u32; 2] = [1, 2];
/// A timer or a check that is over, and is neither of these nor the next nor number 0.
const OVER: u32 = u32::MAX;
/// Letters of a challenge.
const LETTERS: usize = 4;

/// What the monitor's numbers are before they are changed.
#[derive(Default)]
struct Before {
    newest: FrameSerial,
    recipient: FrameSerial,
    held: Option<u32>,
    dead: Option<u32>,
    ticket: u32,
    /// The threshold of each screen, and whether it is reached.
    screens: BTreeMap<OutputId, (FrameSerial, bool)>,
    /// The place of each question, from 1.
    questions: BTreeMap<u32, u32>,
}

impl State {
    /// The first view that opens input on this screen; 0 if there is no such screen.
    pub(crate) fn threshold(&mut self, screen: OutputId) -> FrameSerial {
        before(self).screens.get(&screen).map_or(FrameSerial(0), |(threshold, _)| *threshold)
    }

    /// The same state in its canonical form.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let before = before(&mut self);
        for number in self.monitor.numbers() {
            before.monitor(number);
        }
        before.world(&mut self.world);
        self.confirmations.retain(|(screen, serial)| {
            before.screens.get(screen).is_some_and(|(since, reached)| serial >= since && !reached)
        });
        for (screen, serial) in &mut self.confirmations {
            *serial = before.rank(before.screens.get(screen).map_or(*serial, |(since, _)| *since));
        }
        self.confirmations.sort_unstable();
        self.confirmations.dedup();
        self
    }
}

fn before(state: &mut State) -> Before {
    let mut before = Before::default();
    let mut screens = Vec::new();
    for number in state.monitor.numbers() {
        match number {
            Number::Newest(serial) => before.newest = *serial,
            Number::Recipient(serial) => before.recipient = *serial,
            Number::Screen { output, confirmed, first } => {
                screens.push((output, *confirmed, *first));
            }
            Number::Held(timer) => before.held = Some(*timer),
            Number::Dead(timer) => before.dead = Some(*timer),
            Number::Ticket(ticket) => before.ticket = *ticket,
            Number::Question(number) => drop(before.questions.insert(*number, 0)),
            Number::Timers(_) | Number::Wrong(_) => {}
        }
    }
    before.questions.extend(state.world.questions.waiting().map(|number| (number, 0)));
    for (place, number) in (1..).zip(before.questions.values_mut()) {
        *number = place;
    }
    let since = before.recipient;
    before.screens.extend(screens.into_iter().map(|(screen, confirmed, first)| {
        let threshold = since.max(first);
        (screen, (threshold, confirmed >= threshold))
    }));
    before
}

impl Before {
    fn rank(&self, serial: FrameSerial) -> FrameSerial {
        FrameSerial(match serial.cmp(&self.newest) {
            std::cmp::Ordering::Less => SINCE,
            std::cmp::Ordering::Equal => NEWEST,
            std::cmp::Ordering::Greater => NEWEST + 1,
        })
    }

    fn timer(&self, timer: u32) -> u32 {
        let is = |other: Option<u32>| other == Some(timer);
        if is(self.held) {
            TIMERS[0]
        } else if is(self.dead) {
            TIMERS[1]
        } else {
            OVER
        }
    }

    fn question(&self, number: u32) -> u32 {
        self.questions.get(&number).copied().unwrap_or(0)
    }

    fn ticket(&self, ticket: u32) -> u32 {
        match ticket == self.ticket {
            true => u32::from(ticket != 0),
            false => OVER,
        }
    }

    fn monitor(&self, number: Number<'_>) {
        match number {
            Number::Newest(serial) | Number::Recipient(serial) => *serial = self.rank(*serial),
            Number::Screen { output, confirmed, first } => {
                if let Some((since, reached)) = self.screens.get(&output) {
                    *first = self.rank(*since);
                    *confirmed = if *reached { *first } else { FrameSerial(0) };
                }
            }
            Number::Held(timer) | Number::Dead(timer) => *timer = self.timer(*timer),
            Number::Timers(timers) => *timers = TIMERS[1],
            Number::Question(number) => *number = self.question(*number),
            Number::Ticket(ticket) => *ticket = self.ticket(*ticket),
            Number::Wrong(times) => *times = (*times).min(MOST_WRONG),
        }
    }

    fn world(&self, world: &mut World) {
        for shown in world.glass.values_mut().flatten() {
            shown.serial = if shown.serial == self.newest { FrameSerial(NEWEST) } else { OLD };
        }
        world.flows.renumber(|timer| self.timer(timer), LETTERS);
        let asked = self.questions.values().copied().max().unwrap_or(0);
        world.questions.renumber(|timer| self.timer(timer), |number| self.question(number), asked);
        world.locks.renumber(|ticket| self.ticket(ticket));
    }
}
