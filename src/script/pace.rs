//! How fast text is typed: as fast as the guest shows that it takes it.
//!
//! Linux keeps 64 events of a device for a program that does not read them, and throws all away when
//! there are more (`evdev_pass_values`, drivers/input/evdev.c). No device is told of that, so the only
//! sign that an X server has read its keyboard is what the guest shows. Text is typed in bursts of at
//! most [`BURST_EVENTS`]; the next one waits until the guest's picture or its serial port has answered
//! the last and is at rest. Should the answer have been to an earlier burst, two of them together still
//! fit.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use tabard_display::Frame;
use tabard_view::{GuestId, OutputId, Recipient};

use super::diff;
use super::keys::Stroke;
use crate::harness::Harness;

/// Events that are typed without an answer, each with the report that ends it: less than half of what
/// Linux keeps.
const BURST_EVENTS: u32 = 28;
/// Events of one transition of a key: the key, and the end of the report.
const EVENTS_OF_TRANSITION: u32 = 2;
/// How long an answer must stay as it is: a guest draws what it has read in more than one piece.
const REST: Duration = Duration::from_millis(40);
/// A guest that shows nothing of what is typed, such as at a question for a password, is given so
/// long for each burst; longer if it has taken long to answer before.
const UNSEEN: Duration = Duration::from_secs(2);
/// How many times as long as its slowest answer so far.
const SLOWER: u32 = 4;
/// And so long at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// What was typed and not answered yet; it outlives a step.
#[derive(Debug, Default)]
pub(crate) struct Typing {
    burst: RefCell<Option<Burst>>,
    /// The slowest answer so far, whoever gave it.
    slowest: Cell<Duration>,
}

#[derive(Debug)]
struct Burst {
    recipient: Recipient,
    events: u32,
    /// What the guest showed before its first event.
    before: Sight,
}

/// What a guest shows.
#[derive(Debug, PartialEq)]
struct Sight {
    picture: Option<Frame>,
    serial_bytes: u64,
}

impl Typing {
    /// Waits, before a stroke, until the guest that has the keyboard has answered what was typed before
    /// it, if it would be more than a burst otherwise; not for ever, and not past `deadline`.
    pub(super) fn keep_pace(
        &self,
        harness: &Harness,
        screen: OutputId,
        deadline: Instant,
        stroke: &Stroke,
    ) {
        let recipient = harness.status().recipient;
        let mut typing = self.burst.borrow_mut();
        let Recipient::Guest(guest) = recipient else {
            // The trusted screen reads every key.
            *typing = None;
            return;
        };
        let keys = u32::try_from(stroke.modifiers.len()).unwrap_or(u32::MAX).saturating_add(1);
        let events = keys.saturating_mul(2 * EVENTS_OF_TRANSITION);
        if let Some(burst) = typing.as_mut().filter(|burst| burst.recipient == recipient)
            && burst.events.saturating_add(events) <= BURST_EVENTS
        {
            burst.events = burst.events.saturating_add(events);
            return;
        }
        let look = |harness: &Harness| sight(harness, screen, guest);
        if let Some(burst) = typing.take().filter(|burst| burst.recipient == recipient) {
            self.answered(harness, look, deadline, &burst.before);
        }
        *typing = Some(Burst { recipient, events, before: look(harness) });
    }

    /// Waits until a guest shows something else than before and is at rest.
    fn answered(
        &self,
        harness: &Harness,
        look: impl Fn(&Harness) -> Sight,
        deadline: Instant,
        before: &Sight,
    ) {
        let begin = Instant::now();
        let left = deadline.saturating_duration_since(begin);
        let slow = self.slowest.get().saturating_mul(SLOWER).clamp(UNSEEN, PATIENCE);
        let mut last: Option<(Sight, Instant)> = None;
        harness.wait(left.min(slow), |harness| {
            let sight = look(harness);
            let rested = last
                .as_ref()
                .is_some_and(|(seen, since)| *seen == sight && since.elapsed() >= REST);
            if last.as_ref().is_none_or(|(seen, _)| *seen != sight) && sight != *before {
                last = Some((sight, Instant::now()));
            }
            rested || harness.ended()
        });
        if let Some((_, since)) = last {
            let took = since.saturating_duration_since(begin);
            self.slowest.set(self.slowest.get().max(took));
        }
    }
}

/// What a guest shows on a screen, and how much it has printed.
fn sight(harness: &Harness, screen: OutputId, guest: GuestId) -> Sight {
    let snapshot = harness.snapshot(screen);
    let picture = snapshot.and_then(|snapshot| {
        let output = snapshot.view.as_deref()?.output(screen)?;
        let window = output.windows().iter().find(|window| window.guest == guest)?;
        Some(diff::crop(&snapshot.frame, window.frame.content))
    });
    Sight { picture, serial_bytes: harness.serial_bytes(guest.0.into()) }
}
