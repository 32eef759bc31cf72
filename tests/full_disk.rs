//! A disk that fills up under a running desk, through the real processes: with `on_full = "slow"`
//! all goes on, slower, every screen says so and nothing is lost; with `"stop"` all ends. The disk
//! is a small file system of the test's own, or, where none can be mounted, a limit of the size
//! of the log.

mod common;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{SCREEN, Stage, until};
use rustix::process::{Resource, Rlimit, setrlimit};
use tabard::audit::{Verifier, verify};
use tabard::session::Outcome;
use tabard::session::audit::beside;
use tabard_view::{GuestId, Recipient};

/// The folder of the log, for the process that the tests start.
const FOLDER: &str = "TABARD_TEST_FULL_FOLDER";
const ON_FULL: &str = "TABARD_TEST_FULL_MODE";
const BY_LIMIT: &str = "TABARD_TEST_FULL_BY_LIMIT";
/// The words of the bar.
const WAITS: &str = "the audit log is full";
/// Switches after which a disk of 64 KiB, of which all but a page is taken, is full.
const MOST: u16 = 60;

/// Runs the desk in a process of its own, in a file system of 64 KiB, or with a limit.
fn play(on_full: &str, by_limit: bool) {
    common::vmm();
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=64k tabard-test \"$TABARD_TEST_FULL_FOLDER\" && ";
    let in_namespace = |words: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "sh", "-c", &format!("{mount}{words}")]);
        command.env(FOLDER, folder.path());
        command
    };
    let may_mount = || in_namespace("true").output().is_ok_and(|output| output.status.success());
    let mut command = if !by_limit && may_mount() {
        in_namespace("exec \"$0\" \"$@\"")
    } else {
        if !by_limit {
            eprintln!("Only root may mount a file system: a limit of the log's size stands in");
        }
        // Reaching the limit is to be an error of the write and not the end of the process.
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).env(BY_LIMIT, "1");
        command
    };
    let output = command
        .arg(std::env::current_exe().unwrap())
        .args(["desk_whose_disk_fills_up", "--exact", "--nocapture"])
        .env(FOLDER, folder.path())
        .env(ON_FULL, on_full)
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && words.contains("held to the end"), "{words}");
    assert!(words.contains("Cannot write the audit log"), "{words}");
}

/// The disk of the log.
struct Disk {
    folder: PathBuf,
    by_limit: bool,
}

impl Disk {
    fn log(&self) -> PathBuf {
        self.folder.join("audit.jsonl")
    }

    fn fill(&self) {
        if self.by_limit {
            let length = self.log().metadata().unwrap().len();
            limit(Some(length));
            return;
        }
        let mut filler = OpenOptions::new().append(true).create(true).open(self.filler()).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    fn make_room(&self) {
        if self.by_limit {
            limit(None);
        } else {
            std::fs::remove_file(self.filler()).unwrap();
        }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// How many records of this kind are in the log, all of which is whole and signed.
    fn records(&self, kind: &str) -> u16 {
        let key = std::fs::read_to_string(beside(&self.log(), ".pub")).unwrap();
        let mut verifier = Verifier::new(key.trim()).unwrap();
        verifier.head_file(&self.log()).unwrap();
        let log = std::fs::read(self.log()).unwrap();
        let report = verify(&log, &verifier);
        assert_eq!((report.fault, report.torn_bytes), (None, 0));
        let kind = format!("\"kind\":\"{kind}\"");
        let lines = String::from_utf8(log).unwrap();
        u16::try_from(lines.lines().filter(|line| line.contains(&kind)).count()).unwrap()
    }
}

fn limit(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

/// Whether the bar of the screen says that records wait.
fn says_so(stage: &Stage) -> bool {
    stage.view().output(SCREEN).is_some_and(|output| output.bar.notice.contains(WAITS))
}

/// Not a test of its own: what the others start.
#[test]
fn desk_whose_disk_fills_up() {
    let (Some(folder), Ok(on_full)) = (std::env::var_os(FOLDER), std::env::var(ON_FULL)) else {
        return;
    };
    let disk = Disk { folder: folder.into(), by_limit: std::env::var_os(BY_LIMIT).is_some() };
    let audit = format!("[audit]\nfile = {:?}\non_full = {on_full:?}\n", disk.log());
    let stage = Stage::ready(&(common::DESK.to_owned() + &audit));
    stage.switch(1);
    assert!(!says_so(&stage));
    disk.fill();
    if on_full == "slow" {
        slow(stage, &disk)
    } else {
        stop(stage, &disk)
    }
    println!("held to the end");
}

fn slow(stage: Stage, disk: &Disk) {
    let mut switches = 1;
    while !says_so(&stage) {
        assert!(switches < MOST, "the disk is never full");
        stage.switch(((switches + 1) % 2) as u8);
        switches += 1;
    }

    // The user goes on working, a second for each thing that is written down.
    let begin = Instant::now();
    stage.sak();
    stage.until_open(Recipient::Trusted);
    assert!(begin.elapsed() >= Duration::from_secs(1), "{:?}", begin.elapsed());
    assert!(says_so(&stage), "the trusted screen says so too");
    stage.tap(common::key::ESC);
    let here = GuestId((switches % 2) as u8);
    stage.until_open(Recipient::Guest(here));
    stage.settle(here.0.into());
    assert!(says_so(&stage) && !stage.ended());
    let attentions = switches + 1;

    disk.make_room();
    stage.until("the words go", |stage| !says_so(stage));
    stage.switch(((switches + 1) % 2) as u8);
    let outcome = stage.harness.stop();

    assert_eq!(outcome, Outcome::Closed);
    assert_eq!(disk.records("attention"), attentions + 1);
    // Going back with Esc is a switch as well.
    assert_eq!(disk.records("switch"), switches + 2);
    assert_eq!(disk.records("stop"), 1);
}

fn stop(stage: Stage, disk: &Disk) {
    // What took effect: the records of the switch before, and of all that is seen from now on.
    let (mut attentions, mut switches) = (1, 1);
    let processes: Vec<u32> = stage.status().guests.iter().filter_map(|guest| guest.1).collect();
    assert_eq!(processes.len(), 2);
    let happens = |recipient| {
        stage.until("the next view, or the end", |stage| {
            let status = stage.status();
            stage.ended() || (status.recipient == recipient && status.input_open)
        });
        !stage.ended()
    };
    loop {
        assert!(switches < MOST, "the disk is never full");
        stage.sak();
        if !happens(Recipient::Trusted) {
            break;
        }
        attentions += 1;
        let next = (switches + 1) % 2;
        stage.tap(common::key::KEY_1 + next);
        if !happens(Recipient::Guest(GuestId(next as u8))) {
            break;
        }
        switches += 1;
    }

    let outcome = stage.harness.stop();

    let Outcome::Unwritten(why) = &outcome else { panic!("{outcome:?}") };
    assert!(why.contains("The audit log cannot be written"), "{why}");
    until("no guest is left", || processes.iter().all(|id| !alive(*id)));
    assert_eq!((disk.records("attention"), disk.records("switch")), (attentions, switches));
    // Even its end could not be written down.
    assert_eq!(disk.records("stop"), 0);
}

/// Whether the process is there and no zombie.
fn alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn invariant_10_a_desk_goes_on_slowly_while_a_small_disk_is_full_and_loses_no_record() {
    play("slow", false);
}

#[test]
fn invariant_10_a_desk_goes_on_slowly_at_a_limit_of_the_log_and_loses_no_record() {
    play("slow", true);
}

#[test]
fn invariant_10_a_desk_ends_when_a_small_disk_is_full_and_the_log_is_whole() {
    play("stop", false);
}
