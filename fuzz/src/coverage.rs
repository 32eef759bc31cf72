//! Branch counters. A build with `-Cpasses=sancov-module` and inline 8-bit counters (LLVM's
//! SanitizerCoverage) announces one byte for each edge of the program; without it there are none.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Start and length of each announced array.
static ARRAYS: Mutex<Vec<(usize, usize)>> = Mutex::new(Vec::new());

fn arrays() -> MutexGuard<'static, Vec<(usize, usize)>> {
    ARRAYS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Called by the constructors that the instrumentation adds, once for each array, before `main`.
#[unsafe(no_mangle)]
extern "C" fn __sanitizer_cov_8bit_counters_init(start: *mut u8, end: *mut u8) {
    let length = (end as usize).saturating_sub(start as usize);
    let mut arrays = arrays();
    if length > 0 && !arrays.iter().any(|(known, _)| *known == start as usize) {
        arrays.push((start as usize, length));
    }
}

/// Whether this program counts branches.
pub fn is_built_in() -> bool {
    !arrays().is_empty()
}

/// How often each edge was taken, in eight classes, over all executions of a target.
pub struct Map {
    seen: Vec<u8>,
}

/// Once, twice, three times, up to 7, 15, 31, 127, more: a loop that runs longer is new.
fn class(count: u8) -> u8 {
    match count {
        0 => 0,
        1 => 1,
        2 => 2,
        3 => 4,
        4..=7 => 8,
        8..=15 => 16,
        16..=31 => 32,
        32..=127 => 64,
        _ => 128,
    }
}

impl Map {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { seen: vec![0; arrays().iter().map(|(_, length)| length).sum()] }
    }

    /// Forgets what was counted since the last look.
    pub fn clear(&self) {
        for (start, length) in arrays().iter() {
            counted(*start, *length, |_, _| {});
        }
    }

    /// Adds what was counted since [`Map::clear`]; how many edges or classes are new.
    pub fn take(&mut self) -> u32 {
        let mut new = 0;
        let mut place = 0;
        for (start, length) in arrays().iter() {
            let seen = &mut self.seen;
            counted(*start, *length, |at, count| {
                if let Some(seen) = seen.get_mut(place + at) {
                    let class = class(count);
                    new += u32::from(*seen & class == 0);
                    *seen |= class;
                }
            });
            place += length;
        }
        new
    }

    /// Edges and classes seen so far.
    pub fn features(&self) -> u32 {
        self.seen.iter().map(|seen| seen.count_ones()).sum()
    }
}

/// Shows each counter that is not zero, and zeroes it. Most are zero: eight are looked at at once.
fn counted(start: usize, length: usize, mut visit: impl FnMut(usize, u8)) {
    let mut at = 0;
    while at < length {
        let place = start + at;
        if place.is_multiple_of(8) && length - at >= 8 {
            // SAFETY: the instrumentation announced these bytes; they live as long as the
            // program, which has one thread. Eight are left, and the place is aligned.
            if unsafe { (place as *const u64).read_volatile() } == 0 {
                at += 8;
                continue;
            }
        }
        // SAFETY: as above.
        let count = unsafe { (place as *const u8).read_volatile() };
        if count != 0 {
            visit(at, count);
            // SAFETY: as above.
            unsafe { (place as *mut u8).write_volatile(0) };
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_that_is_not_zero_is_shown_once() {
        let mut counters = [0u8; 37];
        for at in [0, 1, 8, 20, 36] {
            counters[at] = at as u8 + 1;
        }
        let mut shown = Vec::new();
        counted(counters.as_mut_ptr() as usize, 37, |at, count| shown.push((at, count)));
        assert_eq!(shown, [(0, 1), (1, 2), (8, 9), (20, 21), (36, 37)]);
        counted(counters.as_mut_ptr() as usize, 37, |_, _| panic!("it was zeroed"));
    }
}
