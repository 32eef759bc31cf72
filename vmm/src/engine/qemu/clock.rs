//! What a Linux kernel is told of the emulated processor's clock. It would measure the clock against a
//! timer that is emulated as well, which fails on a busy host, and then it stands still for ever: it
//! has no other clock. QEMU's time-stamp counter is the host's.

use std::arch::x86_64::_rdtsc;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

/// How long the counter is compared with the host's clock: to a few parts in a hundred thousand.
const SPAN: Duration = Duration::from_millis(20);

/// The words for the command line (Linux, `Documentation/admin-guide/kernel-parameters.txt`).
#[must_use]
pub fn words() -> String {
    static KILOHERTZ: OnceLock<u64> = OnceLock::new();
    format!(" tsc_early_khz={} tsc=reliable", KILOHERTZ.get_or_init(measure))
}

/// The rate of the host's counter in kHz.
fn measure() -> u64 {
    let (began, first) = (Instant::now(), counter());
    thread::sleep(SPAN);
    let ticks = counter().wrapping_sub(first);
    let microseconds = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    ticks.saturating_mul(1000).checked_div(microseconds).unwrap_or(0)
}

fn counter() -> u64 {
    // SAFETY: every processor that this program is built for has the counter, and reading it
    // changes nothing.
    unsafe { _rdtsc() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_a_processor() {
        assert!((500_000..10_000_000).contains(&measure()), "{}", measure());
    }
}
