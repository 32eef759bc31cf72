//! The judge of invariant 9: what every guest offered, what was taken, what stood on the glass
//! when the user typed, and so whether a text that is given may be. It knows the desk under proof
//! by its own table and asks neither policy nor labels.

use std::collections::{BTreeMap, BTreeSet};

use tabard_input::KeyCode;
use tabard_trusted_path::{Clip, Digest, Effect, Event, Passage, Timer};
use tabard_view::GuestId;

use crate::desk::CHALLENGE;
use crate::tally::Tally;

/// A text under review, as a screen shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Review {
    pub(crate) from: GuestId,
    pub(crate) to: GuestId,
    pub(crate) text: Digest,
    pub(crate) last_page: bool,
}

/// What was taken from a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Taken {
    from: GuestId,
    clip: Clip,
    timer: Option<u32>,
    expired: bool,
}

/// Texts, as they are seen from outside the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Flows {
    /// Whether the user may release a text against the order.
    pub(crate) reviewer: bool,
    listening: BTreeSet<GuestId>,
    offers: BTreeMap<GuestId, Clip>,
    taken: Option<Taken>,
    /// Letters of the challenge typed in a row while every screen showed this review's last page.
    typed: Option<(Review, usize)>,
    /// Whether the next view shows a review, on the glass already or not.
    reviewing: bool,
    /// Texts given so far.
    pub(crate) given: Tally,
    /// Whether the first guest is below all others; no two others can be compared.
    pub(crate) first_is_below: bool,
}

impl Flows {
    /// The number of the timer that limits what is taken.
    pub(crate) fn timer(&self) -> Option<u32> {
        self.taken.and_then(|taken| taken.timer)
    }

    pub(crate) fn listens(&self, guest: GuestId) -> bool {
        self.listening.contains(&guest)
    }

    /// Gives timers other numbers, and forgets how often a letter was typed beyond `letters`.
    pub(crate) fn renumber(&mut self, timer: impl Fn(u32) -> u32, letters: usize) {
        if let Some(taken) = &mut self.taken {
            taken.timer = taken.timer.map(timer);
        }
        if let Some((_, count)) = &mut self.typed {
            *count = (*count).min(letters);
        }
    }

    /// Whether the desk's order lets a text go from one guest to another.
    fn follows_the_order(&self, from: GuestId, to: GuestId) -> bool {
        from == to || (self.first_is_below && from == GuestId(0))
    }

    /// Takes a step; `shown` is the review that every screen shows, `reviewing` whether one is open
    /// after it. Whether it held.
    pub(crate) fn take(
        &mut self,
        event: &Event,
        effects: &[Effect],
        shown: Option<Review>,
        reviewing: bool,
    ) -> bool {
        let mut key = None;
        match *event {
            Event::Listens { guest, listens } => {
                self.offers.remove(&guest);
                if listens {
                    self.listening.insert(guest);
                } else {
                    self.listening.remove(&guest);
                }
            }
            Event::Offered { guest, clip } if self.listens(guest) => {
                match clip {
                    Some(clip) => self.offers.insert(guest, clip),
                    None => self.offers.remove(&guest),
                };
            }
            Event::Elapsed(Timer::Held(number)) => {
                // A text under review lives until the review ends, from when it is opened.
                if let Some(taken) = self.taken.as_mut().filter(|_| !self.reviewing) {
                    taken.expired |= taken.timer == Some(number);
                }
            }
            Event::Key { code, pressed: true, .. } => {
                key = Some(code);
                self.typed = self.letters(code, shown);
            }
            _ => {}
        }
        self.reviewing = reviewing;
        effects.iter().all(|effect| self.may(effect, key))
    }

    /// What is typed of the challenge once this key is down.
    fn letters(&self, code: KeyCode, shown: Option<Review>) -> Option<(Review, usize)> {
        let shown = shown.filter(|shown| shown.last_page && code == CHALLENGE)?;
        let before = self.typed.filter(|(review, _)| *review == shown);
        Some((shown, before.map_or(1, |(_, count)| count + 1)))
    }

    fn may(&mut self, effect: &Effect, key: Option<KeyCode>) -> bool {
        match *effect {
            Effect::Take { guest, clip } => {
                let timer = None;
                self.taken = Some(Taken { from: guest, clip, timer, expired: false });
                key.is_some() && self.offers.get(&guest) == Some(&clip)
            }
            Effect::Timer { timer: Timer::Held(number), .. } => {
                let Some(taken) = &mut self.taken else { return false };
                taken.timer = Some(number);
                true
            }
            Effect::Give(Passage { from, to, clip }) => {
                // One text, one guest, once.
                let taken = self.taken.take();
                let this = taken.is_some_and(|taken| {
                    taken.from == from && taken.clip == clip && !taken.expired
                });
                let reviewed = self.typed.is_some_and(|(review, count)| {
                    let right = (review.from, review.to) == (from, to);
                    self.reviewer && right && review.text == clip.digest && count >= 4
                });
                let allowed = self.follows_the_order(from, to) || reviewed;
                self.given.0 += 1;
                key.is_some() && this && allowed && self.listens(to)
            }
            Effect::Forget => {
                self.taken = None;
                true
            }
            _ => true,
        }
    }
}
