//! The judge: knows the glass, the fingers and what each guest was told, from outside the
//! monitor, and says which invariant a step broke.

use std::collections::{BTreeMap, BTreeSet};

use tabard_input::KeyCode;
use tabard_trusted_path::{Effect, Event, GuestInput, LayoutMode};
use tabard_view::{FrameSerial, GuestId, OutputId, Recipient, View};

use crate::desk::{ALT, CTRL, ESCAPE};
use crate::flows::{Flows, Review};
use crate::locks::Locks;
use crate::questions::{Asked, Questions};

/// What can be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct World {
    /// What each screen physically shows, and the number of that view.
    pub(crate) glass: BTreeMap<OutputId, Option<Shown>>,
    /// Keys that are physically down.
    pub(crate) down: BTreeSet<KeyCode>,
    /// Keys and buttons that each guest was told are down.
    pub(crate) told: BTreeSet<(GuestId, u16)>,
    /// Texts.
    pub(crate) flows: Flows,
    /// Questions of guests.
    pub(crate) questions: Questions,
    /// Login and lock.
    pub(crate) locks: Locks,
}

/// What a screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Shown {
    pub(crate) serial: FrameSerial,
    pub(crate) recipient: Recipient,
    pub(crate) review: Option<Review>,
    pub(crate) question: Option<Asked>,
}

/// One step, from outside.
pub(crate) struct Step<'s> {
    pub(crate) event: &'s Event,
    pub(crate) effects: &'s [Effect],
    pub(crate) recipient_before: Recipient,
    pub(crate) recipient: Recipient,
    pub(crate) layout_before: LayoutMode,
    pub(crate) layout: LayoutMode,
    /// Guests whose machine is gone: nothing can be told to them.
    pub(crate) gone: &'s [GuestId],
    /// What is to be shown now.
    pub(crate) view: &'s View,
    /// The guest whose question that shows.
    pub(crate) open: Option<GuestId>,
    /// Whether it shows a text under review.
    pub(crate) reviewing: bool,
}

impl World {
    fn names_everywhere(&self, guest: GuestId) -> bool {
        !self.glass.is_empty()
            && self
                .glass
                .values()
                .all(|shown| shown.is_some_and(|shown| shown.recipient == Recipient::Guest(guest)))
    }

    /// What every screen shows alike, such as a review.
    fn everywhere<T: Copy + PartialEq>(&self, of: impl Fn(Shown) -> Option<T>) -> Option<T> {
        let mut shown = self.glass.values().map(|shown| shown.and_then(&of));
        let first = shown.next()??;
        shown.all(|other| other == Some(first)).then_some(first)
    }

    /// Takes a step; the number of the first invariant that it broke, if any.
    pub(crate) fn take(&mut self, step: &Step<'_>) -> Option<u8> {
        let chord = matches!(step.event, Event::Key { code, pressed: true, .. } if *code == ESCAPE)
            && self.down.contains(&CTRL)
            && self.down.contains(&ALT)
            && !self.down.contains(&ESCAPE);
        let pressed_now = self.fingers(step.event);
        let mut broken = None;
        let mut fail = |number: u8| {
            broken.get_or_insert(number);
        };
        let review = self.everywhere(|shown| shown.review);
        let question = self.everywhere(|shown| shown.question);
        if chord && step.recipient != Recipient::Trusted {
            fail(2);
        }
        let by_user = matches!(
            step.event,
            Event::Key { .. }
                | Event::Button { .. }
                | Event::Pointer { .. }
                | Event::Wheel { .. }
                // A password that somebody typed, and a lock, which takes and gives nobody.
                | Event::PasswordChecked { .. }
                | Event::Lock(_)
        );
        if !by_user
            && (step.recipient != step.recipient_before || step.layout != step.layout_before)
        {
            fail(3);
        }
        for effect in step.effects {
            let Effect::Deliver { guest, input } = effect else { continue };
            match *input {
                GuestInput::Key { code, pressed } | GuestInput::Button { code, pressed } => {
                    let was_told = self.told.contains(&(*guest, code));
                    if pressed {
                        self.told.insert((*guest, code));
                        if !self.names_everywhere(*guest) {
                            // Keys to another than the glass names break 1; clicks break 5, as
                            // the keyboard is where the glass says.
                            fail(if matches!(input, GuestInput::Key { .. }) { 1 } else { 5 });
                        }
                        if chord {
                            fail(2);
                        }
                        // A press that no finger made just now was carried over.
                        if was_told || !pressed_now.contains(&code) {
                            fail(4);
                        }
                    } else {
                        self.told.remove(&(*guest, code));
                        if !was_told {
                            fail(4);
                        }
                    }
                }
                GuestInput::Pointer { .. } | GuestInput::Wheel { .. } => {
                    if !self.names_everywhere(*guest) || step.recipient != Recipient::Guest(*guest)
                    {
                        fail(5);
                    }
                }
            }
        }
        // A machine that is gone holds nothing; to all others, who has not the keyboard any more
        // was told that everything is up.
        self.told.retain(|(guest, _)| !step.gone.contains(guest));
        let left_down =
            self.told.iter().any(|(guest, _)| step.recipient != Recipient::Guest(*guest));
        if left_down {
            fail(4);
        }
        if !self.locks.take(step.event, step.effects, step.view) {
            fail(8);
        }
        if !self.flows.take(step.event, step.effects, review, step.reviewing) {
            fail(9);
        }
        let listens = |guest| self.flows.listens(guest);
        if let Some(number) =
            self.questions.take(step.event, step.effects, question, step.open, listens)
        {
            fail(number);
        }
        broken
    }

    /// Moves the fingers; the codes that went down in this step.
    fn fingers(&mut self, event: &Event) -> Vec<u16> {
        match *event {
            Event::Key { code, pressed: true, .. } => {
                self.down.insert(code);
                vec![code.0]
            }
            Event::Key { code, pressed: false, .. } => {
                self.down.remove(&code);
                Vec::new()
            }
            Event::Button { code, pressed: true, .. } => vec![code],
            Event::SourceLost(_) => {
                self.down.clear();
                Vec::new()
            }
            _ => Vec::new(),
        }
    }
}
