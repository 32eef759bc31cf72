//! Monitors that are broken on purpose: a checker that does not catch them proves nothing.

use tabard_trusted_path::{
    Effect, Event, GuestInput, Monitor, Passage, Record, ShownText, Timer, Verdict,
};
use tabard_view::{GuestId, OutputId};

use crate::Start;

/// What is broken, one for each invariant that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Invariant 1: takes its own order to draw for the confirmation that it was drawn.
    KeysBeforeGlass,
    /// Invariant 2: does not see the chord's last key while a guest has the keyboard.
    DeafToSak,
    /// Invariant 3: a guest that starts to run takes the keyboard.
    GuestTakesFocus,
    /// Invariant 4: forgets the releases that a guest is owed when the keyboard goes elsewhere.
    KeysLeftDown,
    /// Invariant 5: clicks go to the first guest, wherever the keyboard is.
    PointerStays,
    /// Invariant 1: takes a question for seen that is not on the glass yet.
    QuestionUnseen,
    /// Invariant 1: does not wait until a question was seen for its time.
    NoDeadTime,
    /// Invariant 3: a guest that asks again answers itself.
    GuestAnswersItself,
    /// Invariant 3: takes the end of a question's time for a yes.
    LateMeansYes,
    /// Invariant 8: takes a wrong password for a right one.
    AnyPasswordOpens,
    /// Invariant 8: does not lock when the host is about to sleep.
    LockIsForgotten,
    /// Invariant 8: a password that was being checked when the screen was to be locked opens it.
    CheckOutlivesLock,
    /// Invariant 9: hands over what the policy refuses.
    RefusalIsIgnored,
    /// Invariant 9: takes a text that is to be reviewed for one that was.
    ReviewIsSkipped,
    /// Invariant 9: hands over another text than the one that was taken and reviewed.
    TextIsSwapped,
}

impl Fault {
    /// All of them, with the number of the invariant that each breaks.
    pub const ALL: [(u8, Self); 15] = [
        (1, Self::KeysBeforeGlass),
        (2, Self::DeafToSak),
        (3, Self::GuestTakesFocus),
        (4, Self::KeysLeftDown),
        (5, Self::PointerStays),
        (1, Self::QuestionUnseen),
        (1, Self::NoDeadTime),
        (3, Self::GuestAnswersItself),
        (3, Self::LateMeansYes),
        (8, Self::AnyPasswordOpens),
        (8, Self::LockIsForgotten),
        (8, Self::CheckOutlivesLock),
        (9, Self::RefusalIsIgnored),
        (9, Self::ReviewIsSkipped),
        (9, Self::TextIsSwapped),
    ];

    /// Where a search finds it.
    #[must_use]
    pub fn start(self) -> Start {
        match self {
            Self::RefusalIsIgnored | Self::ReviewIsSkipped | Self::TextIsSwapped => Start::Exchange,
            Self::QuestionUnseen
            | Self::NoDeadTime
            | Self::GuestAnswersItself
            | Self::LateMeansYes => Start::Asked,
            Self::AnyPasswordOpens | Self::LockIsForgotten | Self::CheckOutlivesLock => {
                Start::Locked
            }
            _ => Start::AtWork,
        }
    }

    /// One step of a monitor with this fault.
    pub(crate) fn step(self, monitor: &mut Monitor, event: Event) -> Vec<Effect> {
        match (self, event) {
            (Self::KeysBeforeGlass, event) => {
                let effects = monitor.step(event);
                let serial = monitor.view().serial;
                for output in [OutputId(0), OutputId(1)] {
                    monitor.step(Event::Presented { output, serial });
                }
                effects
            }
            (Self::DeafToSak, Event::Key { code, pressed: true, .. })
                if code == crate::desk::ESCAPE =>
            {
                Vec::new()
            }
            (Self::GuestTakesFocus, Event::Guest { guest, .. }) => {
                let mut effects = monitor.step(event);
                for (_, event) in crate::desk::click(monitor, guest) {
                    effects.extend(monitor.step(event));
                }
                effects
            }
            (Self::KeysLeftDown, event) => {
                let before = monitor.recipient();
                let mut effects = monitor.step(event);
                if monitor.recipient() != before {
                    effects.retain(|effect| !matches!(effect, Effect::Deliver { .. }));
                }
                effects
            }
            (Self::PointerStays, event) => {
                let mut effects = monitor.step(event);
                for effect in &mut effects {
                    if let Effect::Deliver { guest, input: GuestInput::Button { .. } } = effect {
                        *guest = GuestId(0);
                    }
                }
                effects
            }
            (Self::AnyPasswordOpens, Event::PasswordChecked { ticket, .. }) => {
                monitor.step(Event::PasswordChecked { ticket, right: true })
            }
            (Self::LockIsForgotten, Event::Lock(_)) => Vec::new(),
            (Self::CheckOutlivesLock, Event::Lock(_)) if monitor.is_locked() => Vec::new(),
            (Self::RefusalIsIgnored, event) => {
                let mut effects = monitor.step(event);
                for effect in &mut effects {
                    if let Effect::Audit(Record::Passage(passage, Verdict::Refused)) = *effect {
                        *effect = Effect::Give(passage);
                    }
                }
                effects
            }
            (Self::ReviewIsSkipped, event) => {
                let mut effects = monitor.step(event);
                if let Some(ShownText::Clip(_)) = monitor.shown_text() {
                    let serial = monitor.view().serial;
                    for output in [OutputId(0), OutputId(1)] {
                        monitor.step(Event::Presented { output, serial });
                    }
                    for pressed in [true, false].repeat(4) {
                        let code = crate::desk::CHALLENGE;
                        let key = Event::Key { source: crate::desk::MOUSE, code, pressed };
                        effects.extend(monitor.step(key));
                    }
                }
                effects
            }
            (Self::TextIsSwapped, event) => {
                let mut effects = monitor.step(event);
                for effect in &mut effects {
                    if let Effect::Give(Passage { clip, .. }) = effect {
                        let other = crate::desk::CLIPS.into_iter().find(|other| other != clip);
                        *clip = other.unwrap_or(*clip);
                    }
                }
                effects
            }
            (Self::QuestionUnseen, event) => {
                let mut effects = monitor.step(event);
                if let Some(ShownText::Question(_)) = monitor.shown_text() {
                    let serial = monitor.view().serial;
                    for output in [OutputId(0), OutputId(1)] {
                        effects.extend(monitor.step(Event::Presented { output, serial }));
                    }
                }
                effects
            }
            (Self::NoDeadTime, event) => {
                let mut effects = monitor.step(event);
                let timers: Vec<Timer> = effects.iter().filter_map(started).collect();
                for timer in timers {
                    effects.extend(monitor.step(Event::Elapsed(timer)));
                }
                effects
            }
            (Self::GuestAnswersItself, Event::Asked { guest, question }) => {
                let mut effects = monitor.step(event);
                let yes = Some(true);
                effects.push(Effect::Answer { guest, number: question.number, yes });
                effects
            }
            (Self::LateMeansYes, event @ Event::Elapsed(_)) => {
                let mut effects = monitor.step(event);
                for effect in &mut effects {
                    if let Effect::Answer { yes, .. } = effect {
                        *yes = Some(true);
                    }
                }
                effects
            }
            (_, event) => monitor.step(event),
        }
    }
}

/// The timer that an effect starts.
fn started(effect: &Effect) -> Option<Timer> {
    match effect {
        Effect::Timer { timer, .. } => Some(*timer),
        _ => None,
    }
}
