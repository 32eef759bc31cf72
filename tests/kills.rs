//! Processes of guests that are killed at random while somebody types and switches: no frame is
//! wrong, the secure-attention key always comes through, and nothing is left behind. Alone in its
//! program, because it counts what the whole program uses.
//!
//! `TABARD_KILLS=500` sets how many.

mod common;

use common::{SIZE, Stage, key, vmm};
use rustix::process::{Pid, Signal, kill_process};
use tabard::oracle::Oracle;
use tabard_view::{Recipient, Scale};

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

fn kill(process: u32, signal: Signal) {
    let process = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    // It may have ended by itself meanwhile.
    let _gone = kill_process(process, signal);
}

/// Processes below this one, its descriptors, and its resident memory in KiB.
fn used() -> (usize, usize, u64) {
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
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (processes, descriptors, resident.trim().trim_end_matches(" kB").parse().unwrap())
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
    let mut before = None;
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
        if round == 0 {
            before = Some(used());
        }
    }
    let after = used();
    let before = before.unwrap();
    println!(
        "{count} kills: processes {} -> {}, descriptors {} -> {}, resident {} -> {} KiB",
        before.0, after.0, before.1, after.1, before.2, after.2
    );
    // A guest is a keeper and a machine; a machine may be between the fork and the other's end.
    assert!(after.0 <= 2 * GUESTS, "{} processes are left", after.0);
    assert!(after.1 <= before.1 + 8, "descriptors {} -> {}", before.1, after.1);
    assert!(after.2 <= before.2 + 32 * 1024, "memory {} -> {} KiB", before.2, after.2);
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
