//! What one guest's work does to the time at which another's keys arrive: how much later they come
//! while it draws without end, and whether they come later when its frames do.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tabard::harness::Harness;
use tabard::session::Engine;
use tabard_display::headless::Inspected;
use tabard_view::{GuestId, Recipient};

use crate::Fault;
use crate::desk::{LIMIT, harness, key};
use crate::figure::{Limit, Promise, percentile_ms};

const KEYS: usize = 400;
const LEFT_CTRL: u16 = 29;
const LEFT_ALT: u16 = 56;
const ESC: u16 = 1;
const KEY_2: u16 = 3;
const A: u16 = 30;

/// The guest that is typed into; the other is guest 0.
const TYPED: usize = 1;
/// How often it is looked whether a key has arrived.
const LOOK: Duration = Duration::from_micros(50);

/// One key: how long it took, and how long before it the last frame had been made.
struct Sample {
    delay: Duration,
    since_frame: Duration,
}

/// What is measured here.
pub const FIGURES: [Promise; 3] = [
    Promise::new("input_delay_idle_p50", "ms", Limit::None),
    Promise::new("input_delay_flooded_p50", "ms", Limit::Most(16.7)),
    Promise::new("input_frame_correlation", "", Limit::Most(0.3)),
];

/// Measures [`FIGURES`].
pub fn measure() -> Result<(), Fault> {
    let idle = samples("probe")?;
    let flooded = samples("flood")?;
    let delays = |samples: &[Sample]| -> Vec<Duration> {
        samples.iter().map(|sample| sample.delay).collect()
    };
    FIGURES[0].print(percentile_ms(&delays(&idle), 0.5), None);
    FIGURES[1].print(percentile_ms(&delays(&flooded), 0.5), None);
    FIGURES[2].print(correlation(&flooded).abs(), None);
    Ok(())
}

/// Types into a probe beside this guest.
fn samples(other: &str) -> Result<Vec<Sample>, Fault> {
    let logs = tempfile::tempdir()?;
    let frame = Arc::new(Mutex::new(Instant::now()));
    let seen = Arc::clone(&frame);
    let inspector = Box::new(move |_: &Inspected<'_>| {
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    });
    let harness = harness(&[other, "probe"], Engine::Kvm, logs.path(), Some(inspector))?;
    until(&harness, |harness| harness.serial(TYPED).contains("\"ready\""))?;
    for (code, pressed) in [(LEFT_CTRL, true), (LEFT_ALT, true), (ESC, true)] {
        key(&harness, code, pressed);
    }
    for code in [ESC, LEFT_ALT, LEFT_CTRL] {
        key(&harness, code, false);
    }
    until(&harness, |harness| harness.status().recipient == Recipient::Trusted)?;
    until(&harness, |harness| harness.status().input_open)?;
    key(&harness, KEY_2, true);
    key(&harness, KEY_2, false);
    let typed = Recipient::Guest(GuestId(1));
    until(&harness, |harness| {
        let status = harness.status();
        status.recipient == typed && status.input_open
    })?;
    (0..KEYS)
        .map(|index| {
            // Out of step with any refresh.
            sleep(Duration::from_micros(7_000 + (index as u64 * 7_919) % 9_000));
            let last = *frame.lock().unwrap_or_else(PoisonError::into_inner);
            let before = harness.serial_bytes(TYPED);
            let pressed = Instant::now();
            key(&harness, A, true);
            let arrived = loop {
                if harness.serial_bytes(TYPED) > before {
                    break Instant::now();
                }
                if pressed.elapsed() > LIMIT {
                    return Err("A key never arrived".into());
                }
                sleep(LOOK);
            };
            key(&harness, A, false);
            Ok(Sample {
                delay: arrived.duration_since(pressed),
                since_frame: pressed.saturating_duration_since(last),
            })
        })
        .collect()
}

fn until(harness: &Harness, condition: impl FnMut(&Harness) -> bool) -> Result<(), Fault> {
    if harness.wait(LIMIT, condition) { Ok(()) } else { Err("The desk did not get ready".into()) }
}

/// Pearson's coefficient of how late a key came and how long before it the last frame had been
/// made. A tenth of the keys, those that took longest, are left out: one that met the scheduler's
/// turn would count for hundreds.
fn correlation(samples: &[Sample]) -> f64 {
    let mut samples: Vec<(f64, f64)> = samples
        .iter()
        .map(|one| (one.delay.as_secs_f64(), one.since_frame.as_secs_f64()))
        .collect();
    samples.sort_by(|one, other| one.0.total_cmp(&other.0));
    samples.truncate(samples.len() * 9 / 10);
    let count = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|one| one.0), mean(|one| one.1));
    let (mut both, mut of_x, mut of_y) = (0.0, 0.0, 0.0);
    for (a, b) in &samples {
        both += (a - x) * (b - y);
        of_x += (a - x).powi(2);
        of_y += (b - y).powi(2);
    }
    if of_x * of_y == 0.0 { 0.0 } else { both / (of_x * of_y).sqrt() }
}
