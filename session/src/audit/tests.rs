//! A disk that is full: nothing is lost without a word, whichever the desk chose. The disk of a
//! child process is full when its files reach a limit of their size (setrlimit(2)).

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;
use tabard::audit::{Report, Verifier, verify};

const LOG: &str = "TABARD_TEST_FULL_LOG";
const ON_FULL: &str = "TABARD_TEST_ON_FULL";
const FULL_BYTES: u64 = 16 * 1024;

/// Runs the test below in a process of its own, for which a file that grows too far is an error
/// and not the end; what it printed, and what is in its log.
fn child(on_full: &str) -> (String, Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(std::env::current_exe().unwrap())
        .args(["audit::tests::writer_whose_disk_is_full", "--exact", "--nocapture"])
        .env(LOG, &path)
        .env(ON_FULL, on_full)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
    let key = std::fs::read_to_string(beside(&path, ".pub")).unwrap();
    let mut verifier = Verifier::new(key.trim()).unwrap();
    verifier.head_file(&path).unwrap();
    let log = std::fs::read(&path).unwrap();
    let report = verify(&log, &verifier);
    (words, report, String::from_utf8(log).unwrap())
}

/// The numbers of the records that a log holds, in their order.
fn counts(log: &str) -> Vec<u64> {
    let number = |line: &str| line.split(",\"count\":").nth(1)?.split(',').next()?.parse().ok();
    log.lines().filter_map(number).collect()
}

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Not a test of its own: what the others start.
#[test]
fn writer_whose_disk_is_full() {
    let (Some(path), Ok(on_full)) = (std::env::var_os(LOG), std::env::var(ON_FULL)) else {
        return;
    };
    let on_full = if on_full == "slow" { OnFull::Slow } else { OnFull::Stop };
    let mut audit =
        Audit::open(Path::new(&path), on_full, Names::default(), Bell::default()).unwrap();
    limit(Some(FULL_BYTES));
    let entry = |count: u64| vec![Entry::new("switch").number("count", count)];
    for count in 0u64.. {
        let begin = Instant::now();
        if let Err(error) = audit.write(entry(count)) {
            println!("refused {count}: {error}");
            return;
        }
        if begin.elapsed() >= PATIENCE {
            println!("slow {count}");
            assert!(audit.waits(), "a record waits");
            limit(None);
            audit.write(entry(count + 1)).unwrap();
            assert!(!audit.waits(), "all is on the disk again");
            return;
        }
    }
}

#[test]
fn a_disk_that_is_busy_for_a_while_is_waited_for() {
    let (bell, working) = (Bell::default(), Bell::default());
    let (batches, work) = working.channel::<Vec<Entry>>(1);
    let (answer, answers) = bell.channel(1);
    let disk = thread::spawn(move || {
        working.receive(&work, None).unwrap();
        // What a busy disk does.
        thread::sleep(PATIENCE * 3 / 2);
        answer.send(Ok(())).unwrap();
    });
    let mut audit = Audit {
        batches: Some(batches),
        answers,
        bell,
        waiting: 0,
        on_full: OnFull::Stop,
        quit: None,
        thread: Some(disk),
        ended: true,
        names: Names::default(),
    };
    assert_eq!(audit.write(vec![Entry::new("switch")]), Ok(()));
    assert_eq!(audit.waiting, 0);
}

#[test]
fn a_full_disk_ends_the_session_with_a_whole_log_of_all_before() {
    let (words, report, log) = child("stop");
    assert_eq!((report.fault, report.torn_bytes), (None, 0));
    let refused = words.split("refused ").nth(1).unwrap().split(':').next().unwrap();
    let refused: u64 = refused.parse().unwrap();
    assert!(refused > 10 && words.contains("Make room"), "{words}");
    assert_eq!(counts(&log), (0..refused).collect::<Vec<_>>());
}

#[test]
fn a_full_disk_slows_the_session_down_and_loses_nothing() {
    let (words, report, log) = child("slow");
    assert_eq!((report.fault, report.torn_bytes), (None, 0));
    let slow: u64 = words.split("slow ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(counts(&log), (0..=slow + 1).collect::<Vec<_>>());
}
