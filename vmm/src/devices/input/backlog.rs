//! Reports that the guest has no buffers for yet. Bounded, and whatever is dropped, a key that
//! the guest knows to be down is always released.

pub(super) mod snapshot;

use std::collections::{HashSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::InputEvent;
use super::config::{ABS_X, ABS_Y, EV_ABS, EV_KEY, EV_REL, EV_SYN, REL_HWHEEL, REL_WHEEL};

/// Most reports that wait. Beyond it pointer moves are dropped first, then the oldest report;
/// only releases that the guest must see may exceed it, at most one for each key. A guest that
/// never drains its queue thereby cannot grow this process.
pub const MAX_BACKLOG_REPORTS: usize = 256;

/// What belongs together and is delivered together, ended by `SYN_REPORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A key or button went down or up.
    Key {
        /// Linux code.
        code: u16,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer moved.
    Motion {
        /// Horizontal, 0 at the left.
        x: u16,
        /// Vertical, 0 at the top.
        y: u16,
    },
    /// The wheels turned.
    Wheel {
        /// Detents, positive is up.
        vertical: i16,
        /// Detents, positive is right.
        horizontal: i16,
    },
}

impl Report {
    /// The events, `SYN_REPORT` last.
    #[must_use]
    pub fn events(&self) -> Vec<InputEvent> {
        let event = |kind, code, value| InputEvent { kind, code, value };
        let signed = |value: i16| i32::from(value).cast_unsigned();
        let mut events = match *self {
            Self::Key { code, pressed } => vec![event(EV_KEY, code, pressed.into())],
            Self::Motion { x, y } => {
                vec![event(EV_ABS, ABS_X, x.into()), event(EV_ABS, ABS_Y, y.into())]
            }
            Self::Wheel { vertical, horizontal } => {
                [(REL_WHEEL, vertical), (REL_HWHEEL, horizontal)]
                    .into_iter()
                    .filter(|(_, value)| *value != 0)
                    .map(|(code, value)| event(EV_REL, code, signed(value)))
                    .collect()
            }
        };
        events.push(event(EV_SYN, 0, 0));
        events
    }
}

/// The reports in order, and the keys that the guest knows to be down.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    reports: VecDeque<Report>,
    down: HashSet<u16>,
}

impl Backlog {
    /// Adds a report; a move right after a move replaces it.
    pub(super) fn push(&mut self, report: Report) {
        if let (Some(last @ Report::Motion { .. }), Report::Motion { .. }) =
            (self.reports.back_mut(), report)
        {
            *last = report;
            return;
        }
        self.reports.push_back(report);
        if self.reports.len() > MAX_BACKLOG_REPORTS {
            self.drop_one();
        }
    }

    /// The oldest report.
    pub(super) fn front(&self) -> Option<Report> {
        self.reports.front().copied()
    }

    /// The oldest report reached the guest.
    pub(super) fn delivered(&mut self) {
        if let Some(Report::Key { code, pressed }) = self.reports.pop_front() {
            if pressed {
                self.down.insert(code);
            } else {
                self.down.remove(&code);
            }
        }
    }

    fn drop_one(&mut self) {
        let motion = self.reports.iter().position(|report| matches!(report, Report::Motion { .. }));
        // The newest report is the one that must not be lost: if it is the only move, keep it.
        let motion = motion.filter(|at| at.saturating_add(1) < self.reports.len());
        if let Some(at) = motion.or_else(|| self.oldest_that_may_go()) {
            self.reports.remove(at);
        }
    }

    /// A release stays if the guest knows the key to be down and nothing about the key is before
    /// it. Older goes before newer, so a press never outlives its release.
    fn oldest_that_may_go(&self) -> Option<usize> {
        let mut seen = HashSet::new();
        self.reports.iter().position(|report| match report {
            Report::Key { code, pressed } => {
                let first = seen.insert(*code);
                *pressed || !first || !self.down.contains(code)
            }
            Report::Motion { .. } | Report::Wheel { .. } => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(code: u16, pressed: bool) -> Report {
        Report::Key { code, pressed }
    }

    fn drain(backlog: &mut Backlog) -> Vec<Report> {
        let mut all = Vec::new();
        while let Some(report) = backlog.front() {
            all.push(report);
            backlog.delivered();
        }
        all
    }

    #[test]
    fn a_release_of_a_delivered_press_survives_any_flood() {
        let mut backlog = Backlog::default();
        backlog.push(key(30, true));
        backlog.delivered();
        backlog.push(key(30, false));
        for _ in 0..10 * MAX_BACKLOG_REPORTS {
            backlog.push(key(31, true));
            backlog.push(key(31, false));
        }
        assert_eq!(backlog.front(), Some(key(30, false)));
    }

    #[test]
    fn moves_go_before_keys() {
        let mut backlog = Backlog::default();
        backlog.push(Report::Motion { x: 1, y: 1 });
        for _ in 0..MAX_BACKLOG_REPORTS {
            backlog.push(key(30, true));
        }
        let all = drain(&mut backlog);
        assert_eq!(all, vec![key(30, true); MAX_BACKLOG_REPORTS]);
    }

    #[test]
    fn a_move_replaces_the_move_before_it() {
        let mut backlog = Backlog::default();
        backlog.push(Report::Motion { x: 1, y: 1 });
        backlog.push(Report::Motion { x: 2, y: 3 });
        assert_eq!(drain(&mut backlog), vec![Report::Motion { x: 2, y: 3 }]);
    }

    #[test]
    fn a_wheel_that_turned_both_ways_is_one_report() {
        let events = Report::Wheel { vertical: -1, horizontal: 2 }.events();
        let values: Vec<_> = events.iter().map(|event| (event.code, event.value)).collect();
        assert_eq!(values, vec![(REL_WHEEL, u32::MAX), (REL_HWHEEL, 2), (0, 0)]);
    }

    /// A user at a real keyboard: each key goes down and up in turn.
    #[derive(Debug, Clone)]
    enum Step {
        Toggle(u16),
        Move(u16),
        Drain(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (1u16..20).prop_map(Step::Toggle),
            2 => any::<u16>().prop_map(Step::Move),
            1 => (0usize..40).prop_map(Step::Drain),
        ]
    }

    proptest! {
        #[test]
        fn no_key_stays_down_and_the_backlog_is_bounded(
            steps in proptest::collection::vec(step(), 0..3000),
        ) {
            let mut backlog = Backlog::default();
            let mut physical = HashSet::new();
            let mut guest = HashSet::new();
            let mut see = |report: Report| if let Report::Key { code, pressed } = report {
                if pressed { guest.insert(code); } else { guest.remove(&code); }
            };
            for step in steps {
                match step {
                    Step::Toggle(code) => {
                        let pressed = physical.insert(code);
                        if !pressed { physical.remove(&code); }
                        backlog.push(key(code, pressed));
                    }
                    Step::Move(x) => backlog.push(Report::Motion { x, y: 0 }),
                    Step::Drain(count) => for _ in 0..count {
                        if let Some(report) = backlog.front() { see(report); backlog.delivered(); }
                    },
                }
                prop_assert!(backlog.reports.len() <= MAX_BACKLOG_REPORTS + 20);
            }
            for code in physical {
                backlog.push(key(code, false));
            }
            for report in drain(&mut backlog) { see(report); }
            prop_assert!(guest.is_empty(), "{guest:?}");
        }
    }
}
