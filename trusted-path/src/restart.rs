//! Guests that failed start again by themselves where the desk file asks for it, each time later,
//! so that one that fails at once keeps nobody busy. A start changes no focus and no layout: only
//! the user switches (invariant 3).

use crate::{Effect, Ending, GuestCommand, GuestReport, GuestState, Monitor, Timer};
use tabard_view::GuestId;

/// Wait before the first start, in milliseconds; each further one waits twice as long.
const FIRST_MS: u32 = 1_000;
/// Doublings after which the wait stays the same, about a minute.
const MAX_DOUBLINGS: u8 = 6;

/// Whether starting again can help: not what somebody wanted, and not what cannot be loaded.
fn is_failure(ending: Ending) -> bool {
    match ending {
        Ending::PowerOff | Ending::LoadFailed | Ending::ByUser => false,
        Ending::TripleFault
        | Ending::Panicked
        | Ending::Machine
        | Ending::ProcessDied
        | Ending::ProtocolViolation => true,
    }
}

impl Monitor {
    /// Takes over what a guest is doing; a timer for its next start if it failed just now.
    pub(crate) fn report(&mut self, id: GuestId, report: GuestReport) -> Vec<Effect> {
        let was_alive = self.guests.state(id).is_some_and(GuestState::is_alive);
        self.guests.report(id, report);
        let GuestReport::Stopped(ending) = report else { return Vec::new() };
        let guest = self.guests.iter_mut().find(|guest| guest.id == id);
        let Some(guest) = guest.filter(|one| one.config.restart && was_alive) else {
            return Vec::new();
        };
        if !is_failure(ending) {
            return Vec::new();
        }
        let doublings = guest.failures.min(MAX_DOUBLINGS);
        guest.failures = guest.failures.saturating_add(1);
        let timer = Timer::Restart(id, guest.failures);
        vec![Effect::Timer { timer, after_ms: FIRST_MS.saturating_mul(1 << doublings) }]
    }

    /// The wait after this failure is over: starts the guest, unless somebody was faster.
    pub(crate) fn restart(&mut self, id: GuestId, failure: u8) -> Vec<Effect> {
        let still_down = self.guests.get(id).is_some_and(|guest| {
            guest.failures == failure
                && matches!(guest.state, GuestState::Ended(ending) if is_failure(ending))
        });
        if still_down {
            self.command(id, GuestCommand::Start).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// A minute has begun: guests that run are forgiven what was before.
    pub(crate) fn forgive(&mut self) {
        let running = |guest: &&mut crate::guests::Guest| guest.state == GuestState::Running;
        self.guests.iter_mut().filter(running).for_each(|guest| guest.failures = 0);
    }
}

#[cfg(test)]
mod tests {
    use crate::rig::{NOTES, Rig, SKETCH};
    use crate::{Effect, Ending, Event, GuestCommand, GuestReport, Timer};

    fn waits(effects: &[Effect]) -> Vec<(Timer, u32)> {
        let wait = |effect: &Effect| match effect {
            Effect::Timer { timer, after_ms } => Some((*timer, *after_ms)),
            _ => None,
        };
        effects.iter().filter_map(wait).collect()
    }

    fn starts(effects: &[Effect]) -> bool {
        let start = Effect::Command { guest: NOTES, command: GuestCommand::Start };
        effects.contains(&start)
    }

    fn died() -> GuestReport {
        GuestReport::Stopped(Ending::ProcessDied)
    }

    #[test]
    fn a_guest_that_fails_starts_again_each_time_later() {
        let mut rig = Rig::restarting();
        for (failure, expected_ms) in (1..).zip([1_000, 2_000, 4_000, 8_000]) {
            let timer = Timer::Restart(NOTES, failure);
            assert_eq!(waits(&rig.report(NOTES, died())), [(timer, expected_ms)]);
            assert!(starts(&rig.step(Event::Elapsed(timer))));
            rig.report(NOTES, GuestReport::Running);
        }
    }

    #[test]
    fn a_minute_of_running_is_a_new_beginning() {
        let mut rig = Rig::restarting();
        rig.report(NOTES, died());
        rig.step(Event::Elapsed(Timer::Restart(NOTES, 1)));
        rig.report(NOTES, GuestReport::Running);
        rig.step(Event::Clock { minute_of_day: 7 });
        assert_eq!(waits(&rig.report(NOTES, died())), [(Timer::Restart(NOTES, 1), 1_000)]);
    }

    #[test]
    fn who_was_told_to_end_or_cannot_load_stays_down() {
        for ending in [Ending::PowerOff, Ending::ByUser, Ending::LoadFailed] {
            let mut rig = Rig::restarting();
            assert_eq!(waits(&rig.report(NOTES, GuestReport::Stopped(ending))), []);
            assert!(!starts(&rig.step(Event::Elapsed(Timer::Restart(NOTES, 1)))));
        }
    }

    #[test]
    fn a_guest_whose_desk_file_does_not_ask_stays_down() {
        let mut rig = Rig::new();
        assert_eq!(waits(&rig.report(NOTES, died())), []);
        assert_eq!(waits(&rig.report(SKETCH, died())), []);
    }

    #[test]
    fn a_timer_of_an_earlier_failure_or_of_a_running_guest_starts_nothing() {
        let mut rig = Rig::restarting();
        assert!(!starts(&rig.step(Event::Elapsed(Timer::Restart(NOTES, 1)))));
        rig.report(NOTES, died());
        assert!(!starts(&rig.step(Event::Elapsed(Timer::Restart(NOTES, 2)))));
        rig.report(NOTES, GuestReport::Running);
        assert!(!starts(&rig.step(Event::Elapsed(Timer::Restart(NOTES, 1)))));
    }

    #[test]
    fn invariant_3_a_restart_leaves_the_focus_where_it_was() {
        let mut rig = Rig::restarting();
        let before = rig.monitor.view().recipient;
        rig.report(NOTES, died());
        rig.step(Event::Elapsed(Timer::Restart(NOTES, 1)));
        rig.report(NOTES, GuestReport::Running);
        rig.confirm();
        assert_eq!(rig.monitor.view().recipient, before);
    }
}
