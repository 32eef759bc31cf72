//! Finds out that the host slept: the clock that counts sleep has gone ahead of the one that does
//! not (`CLOCK_BOOTTIME` and `CLOCK_MONOTONIC` of clock_gettime(2)). The session locks then, before
//! it takes any input.

use std::time::Duration;

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Less than this is no sleep, but the time between two looks at two clocks.
const LEAST_SLEEP: Duration = Duration::from_millis(500);
/// How often to look while nothing else happens, so that a wake-up without input is noticed too.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long the host had slept since it was started, when it was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slept(Duration);

impl Slept {
    pub(super) fn now() -> Self {
        let monotonic = duration(clock_gettime(ClockId::Monotonic));
        Self(duration(clock_gettime(ClockId::Boottime)).saturating_sub(monotonic))
    }

    /// Whether the host slept since this was last asked.
    pub(super) fn again(&mut self, now: Self) -> bool {
        let before = std::mem::replace(self, now);
        now.0.saturating_sub(before.0) >= LEAST_SLEEP
    }
}

fn duration(time: Timespec) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(seconds, nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sleep_is_noticed_once() {
        let at = |ms| Slept(Duration::from_millis(ms));
        let mut slept = at(7_000);
        assert!(!slept.again(at(7_001)));
        assert!(slept.again(at(9_000)));
        assert!(!slept.again(at(9_000)));
    }

    #[test]
    fn a_host_that_is_awake_has_not_slept() {
        let mut slept = Slept::now();
        assert!(!slept.again(Slept::now()));
    }
}
