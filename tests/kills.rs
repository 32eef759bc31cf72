//! Processes of guests that are killed at random while somebody types and switches: no frame is
//! wrong, the secure-attention key always comes through, and nothing is left behind. Alone in its
//! program, because it counts what the whole program uses.
//!
//! `TABARD_KILLS=500` sets how many.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use common::{SIZE, Stage, key, vmm};
use rustix::process::{Pid, Signal, kill_process};
use tabard::oracle::Oracle;
use tabard_view::{Recipient, Scale};

/// Bytes that the whole program has allocated and not given back.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, which counts: what is held is exact, what is resident also has the gaps
/// that the allocator keeps.
struct Counting;

// SAFETY: it is the system's allocator; counting changes nothing of what it promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this very function.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the promises of this very function.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const DESK: &str = r#"
[desk]
name = "Kills"
theme = "us"
[guests.alpha]
label = "SECRET//ALPHA"
kernel = "builtin:probe"
memory = "64M"
[guests.bravo]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
memory = "64M"
[guests.victim]
label = "SECRET"
kernel = "builtin:sketch"
memory = "64M"
"#;
const GUESTS: usize = 3;
/// Most that the second half of the kills may leave allocated, in KiB.
const HELD_KIB: u64 = 1024;
/// What each minute may add besides, in KiB: compositor, verifier and oracle keep the bars with the
/// clock that they have drawn, up to 16, 8 and 16 MiB. That is all of what grows, and it ends.
const MINUTE_KIB: u64 = 3 * 1024;
/// Gaps between what is allocated, in KiB.
const GAPS_KIB: u64 = 4 * 1024;
/// A surface for each guest and one that is just going, in KiB.
const SURFACES_KIB: u64 = 4 * 4 * 1024;

fn kill(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    // It may have ended by itself meanwhile.
    let _gone = kill_process(process, signal);
}

/// What this process uses, and those below it.
#[derive(Debug, Clone, Copy)]
struct Used {
    processes: usize,
    descriptors: usize,
    /// What is allocated, in KiB.
    held_kib: u64,
    /// Resident memory of its own in KiB: heap and stacks.
    own_kib: u64,
    /// Resident memory that it shares in KiB: the surfaces.
    shared_kib: u64,
}

impl std::fmt::Display for Used {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processes, descriptors, held_kib, own_kib, shared_kib } = self;
        write!(
            f,
            "{processes} processes, {descriptors} descriptors, {held_kib} KiB allocated, \
             resident {own_kib} KiB of its own and {shared_kib} KiB shared"
        )
    }
}

fn used() -> Used {
    let own = std::process::id().to_string();
    let parent = |pid: &str| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.to_owned())
    };
    let all: Vec<String> = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .collect();
    let below = |pid: &String| {
        let mut at = Some(pid.clone());
        while let Some(one) = at {
            at = parent(&one);
            if at.as_ref() == Some(&own) {
                return true;
            }
        }
        false
    };
    let processes = all.iter().filter(|pid| below(pid)).count();
    let descriptors = std::fs::read_dir("/proc/self/fd").unwrap().count();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let held_kib = HELD.load(Ordering::Relaxed) as u64 / 1024;
    let (own_kib, shared_kib) = (kib("RssAnon:"), kib("RssShmem:"));
    Used { processes, descriptors, held_kib, own_kib, shared_kib }
}

/// Kills this many processes of guests at random while somebody types and switches.
fn kills(count: usize) {
    let oracle = Oracle::default();
    let stage = Stage::watched(DESK, &[(SIZE, Scale::ONE)], vmm(), Some(&oracle));
    let running = |stage: &Stage| stage.status().guests.iter().all(|guest| guest.1.is_some());
    stage.until("all guests have processes", running);
    stage.until("input is open", |stage| stage.status().input_open);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        // xorshift64 (Marsaglia, 2003).
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below as u64).unwrap()
    };
    // The first round warms up what is allocated once.
    let mut known = Vec::new();
    let mut half = Instant::now();
    for round in 0..=count {
        let victim = random(GUESTS);
        let focus = u8::try_from(random(GUESTS)).unwrap();
        // Somewhere between the chord and the typing, the process goes.
        let moment = random(3);
        let process = stage.status().guests[victim].1.expect("it has a process");
        let strike = |now: usize| {
            if now == moment {
                kill(process, Signal::KILL);
            }
        };
        stage.sak();
        strike(0);
        stage.until_open(Recipient::Trusted);
        stage.tap(key::KEY_1 + u16::from(focus));
        strike(1);
        for _ in 0..4 {
            stage.tap(key::A);
        }
        strike(2);
        stage.until("it is gone", |stage| stage.status().guests[victim].1.is_none());
        // The user starts it again: the chord, the guest's number, S.
        stage.sak();
        stage.until_open(Recipient::Trusted);
        stage.tap(key::KEY_1 + u16::try_from(victim).unwrap());
        stage.sak();
        stage.until_open(Recipient::Trusted);
        stage.tap(key::S);
        stage.until("it is started again", running);
        if [0, count / 2].contains(&round) {
            println!("after {round} kills: {}", used());
            known.push(used());
            half = Instant::now();
        }
    }
    let after = used();
    println!("after {count} kills: {after}");
    let [before, middle] = known[..] else { panic!("a run of {count} has no middle") };
    // A guest is a keeper and a machine; a machine may be between the fork and the other's end.
    assert!(after.processes <= 2 * GUESTS, "{} processes are left", after.processes);
    assert!(after.descriptors <= before.descriptors + 8, "{before} -> {after}");
    // Caches and buffers find their sizes in the first half. Afterwards nothing may come that
    // stays, but for the clock; surfaces are as large as they are.
    let minutes = half.elapsed().as_secs() / 60 + 1;
    let held = after.held_kib.saturating_sub(middle.held_kib);
    assert!(held <= HELD_KIB + minutes * MINUTE_KIB, "{before} -> {middle} -> {after}");
    let grown = after.own_kib.saturating_sub(middle.own_kib);
    assert!(grown <= held + GAPS_KIB, "{before} -> {middle} -> {after}");
    assert!(after.shared_kib <= before.shared_kib + SURFACES_KIB, "{before} -> {after}");
    let Stage { harness, .. } = stage;
    harness.stop();
    let findings = oracle.findings();
    assert_eq!(findings.violations, 0, "{:?}", findings.words);
}

#[test]
fn kills_of_processes_at_random_leave_nothing_behind() {
    let count = std::env::var("TABARD_KILLS").ok().and_then(|text| text.parse().ok());
    kills(count.unwrap_or(24));
}
