//! The audit log: damaged in many ways, each found and placed; cut off by SIGKILL at any moment,
//! and gone on with.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use tabard::audit::{Damage, Report, Verifier, verify};
use tabard::session::audit::{Entry, Log, LogError, beside};
use tabard::session::hex::hex;

/// The environment variable that makes this program write a log until it is killed.
const WRITE_INTO: &str = "TABARD_TEST_AUDIT_LOG";

/// A log of 200 records, closed; its lines without their line feeds.
fn log(folder: &Path) -> (PathBuf, Vec<String>) {
    let path = folder.join("audit.jsonl");
    let mut log = Log::open(&path).unwrap();
    for number in 1..=200u64 {
        log.append(&[Entry::new("switch").text("guest", "mail").number("count", number)]).unwrap();
    }
    log.finish().unwrap();
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (path, lines)
}

/// Opens a log that was just closed. Another test may start a process at this very moment, which
/// has a copy of the lock until it runs its own program.
fn open(path: &Path) -> Result<Log, LogError> {
    let begin = Instant::now();
    loop {
        match Log::open(path) {
            Err(LogError::InUse(_)) if begin.elapsed() < Duration::from_secs(20) => {}
            other => return other,
        }
        std::thread::yield_now();
    }
}

fn reopened(path: &Path) -> Log {
    open(path).unwrap()
}

fn found(path: &Path) -> Report {
    let key = std::fs::read_to_string(beside(path, ".pub")).unwrap();
    let mut verifier = Verifier::new(key.trim()).unwrap();
    verifier.head_file(path).unwrap();
    verify(&std::fs::read(path).unwrap(), &verifier)
}

/// Line and damage that are found in a log of these lines.
fn damage(path: &Path, lines: &[String]) -> Option<(u64, Damage)> {
    std::fs::write(path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    found(path).fault.map(|fault| (fault.line, fault.damage))
}

/// Hashes every line from this index on anew, as somebody without the key can.
fn rechain(lines: &mut [String], from: usize) {
    for index in from..lines.len() {
        let before = if index == 0 { "0".repeat(64) } else { tail(&lines[index - 1]).to_owned() };
        let body = lines[index].split(",\"prev\":\"").next().unwrap().to_owned();
        let number = body.split_once(',').unwrap().1.to_owned();
        let body = format!("{{\"n\":{},{number},\"prev\":\"{before}\"", index + 1);
        let hash = Sha256::digest(format!("tabard audit record 1\n{body}"));
        lines[index] = format!("{body},\"hash\":\"{}\"}}", hex(&hash));
    }
}

/// The hash at the end of a line.
fn tail(line: &str) -> &str {
    &line[line.len() - 66..line.len() - 2]
}

fn checkpoints(lines: &[String]) -> Vec<usize> {
    (0..lines.len()).filter(|at| lines[*at].contains("\"kind\":\"checkpoint\"")).collect()
}

#[test]
fn a_log_damaged_in_fourteen_ways_is_found_out_and_where() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = log(folder.path());
    let last = good.len() as u64;
    assert_eq!(damage(&path, &good), None);
    assert!(checkpoints(&good).len() >= 4, "{:?}", checkpoints(&good));
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines = good.clone();
        change(&mut lines);
        damage(&path, &lines)
    };

    // 1, 2: records cut out of the middle and off the front.
    assert_eq!(with(&|l| drop(l.drain(99..101))), Some((100, Damage::Cut(2))));
    assert_eq!(with(&|l| drop(l.remove(0))), Some((1, Damage::Cut(1))));
    // 3, 4: the end cut off, and everything: rolled back to an earlier log.
    assert_eq!(with(&|l| l.truncate(150)), Some((151, Damage::RolledBack(last))));
    assert_eq!(with(&Vec::clear), Some((1, Damage::RolledBack(last))));
    // 5, 6: two records swapped, and one doubled.
    assert_eq!(with(&|l| l.swap(49, 50)), Some((50, Damage::Cut(1))));
    assert_eq!(with(&|l| l.insert(50, l[49].clone())), Some((51, Damage::Moved(50, 51))));
    // 7, 8: a word altered, and a line that is no record slipped in.
    let mail_to_mall = |l: &mut Vec<String>| l[30] = l[30].replace("mail", "mall");
    assert_eq!(with(&mail_to_mall), Some((31, Damage::Altered)));
    assert_eq!(with(&|l| l.insert(70, "# nothing".into())), Some((71, Damage::NoRecord)));
    // 9: altered with a hash of its own that fits.
    let one_rehashed = |l: &mut Vec<String>| {
        mail_to_mall(l);
        rechain(&mut l[..31], 30);
    };
    assert_eq!(with(&one_rehashed), Some((32, Damage::Unchained)));
    // 10: altered, and all after it hashed anew: the next checkpoint's signature does not fit.
    let next = *checkpoints(&good).iter().find(|at| **at > 30).unwrap();
    let all_rehashed = |l: &mut Vec<String>| {
        mail_to_mall(l);
        rechain(l, 30);
    };
    assert_eq!(with(&all_rehashed), Some((next as u64 + 1, Damage::Forged)));
    // 11: the same, and every checkpoint left out: the head does not fit either.
    let stripped = |l: &mut Vec<String>| {
        mail_to_mall(l);
        l.retain(|line| !line.contains("checkpoint"));
        rechain(l, 0);
    };
    assert_eq!(
        with(&stripped),
        Some((last - checkpoints(&good).len() as u64 + 1, Damage::RolledBack(last)))
    );
    // 12: the same, filled up again to the length of the head.
    let filled = |l: &mut Vec<String>| {
        stripped(l);
        while l.len() < good.len() {
            l.push(l[1].clone());
        }
        rechain(l, 0);
    };
    assert_eq!(with(&filled), Some((last, Damage::Replaced(last))));
    // 13: a checkpoint signed by a key of the forger's.
    let own_key = |l: &mut Vec<String>| {
        let key = SigningKey::from_bytes(&[7; 32]);
        let statement = format!("tabard audit checkpoint 1\n{next}\n{}", tail(&l[next - 1]));
        let signature = hex(&key.sign(statement.as_bytes()).to_bytes());
        let public = hex(key.verifying_key().as_bytes());
        l[next] = format!(
            "{{\"n\":1,\"time_ms\":1,\"kind\":\"checkpoint\",\"key\":\"{public}\",\"signature\":\"{signature}\",\"prev\":\"x\""
        );
        rechain(l, next);
    };
    assert_eq!(with(&own_key), Some((next as u64 + 1, Damage::WrongKey)));
    // 14: rolled back together with a head file that is made up to fit.
    let head = std::fs::read(beside(&path, ".head")).unwrap();
    let words = format!("150 {} {}\n", tail(&good[149]), "00".repeat(64));
    std::fs::write(beside(&path, ".head"), words).unwrap();
    assert_eq!(with(&|l| l.truncate(150)), Some((151, Damage::ForgedHead)));
    std::fs::write(beside(&path, ".head"), head).unwrap();
    assert_eq!(damage(&path, &good), None);
}

#[test]
fn a_thousand_records_at_once_have_their_checkpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let entries: Vec<Entry> =
        (0..1000u64).map(|count| Entry::new("volume").number("count", count)).collect();
    let mut log = Log::open(&path).unwrap();
    log.append(&entries).unwrap();
    log.append(&entries[..1]).unwrap();
    log.finish().unwrap();

    let report = found(&path);

    assert_eq!((report.fault, report.signed), (None, report.records));
    let lines: Vec<String> =
        std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(checkpoints(&lines).len() as u64, report.records - 1001);
    assert!(checkpoints(&lines).windows(2).all(|pair| pair[1] - pair[0] <= 65));
}

#[test]
fn a_long_run_without_a_checkpoint_is_a_forgery() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = log(folder.path());
    std::fs::remove_file(beside(&path, ".head")).unwrap();
    let mut lines: Vec<String> = Vec::new();
    while lines.len() < 1000 {
        lines.push(good[0].clone());
    }
    rechain(&mut lines, 0);
    assert!(matches!(damage(&path, &lines), Some((_, Damage::NoCheckpoint))));
}

#[test]
fn an_unfinished_record_is_a_torn_tail_and_is_gone_on_from_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = log(folder.path());
    let whole = std::fs::read(&path).unwrap();
    let mut log = reopened(&path);
    log.append(&[Entry::new("switch").text("guest", "mail")]).unwrap();
    drop(log);
    // The head would say that the checkpoint after it had been written.
    let first_end = whole.len()
        + std::fs::read(&path).unwrap()[whole.len()..]
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap();
    let longer = std::fs::read(&path).unwrap();
    for cut in whole.len() + 1..=first_end {
        let (fresh, log_path) = (tempfile::tempdir().unwrap(), "audit.jsonl");
        let path_now = fresh.path().join(log_path);
        for ending in [".key", ".pub"] {
            std::fs::copy(beside(&path, ending), beside(&path_now, ending)).unwrap();
        }
        std::fs::write(&path_now, &longer[..cut]).unwrap();
        let report = found(&path_now);
        assert_eq!((report.fault, report.torn_bytes), (None, cut - whole.len()));

        drop(reopened(&path_now));

        let report = found(&path_now);
        assert_eq!((report.fault, report.torn_bytes), (None, 0), "cut at {cut}");
        let text = std::fs::read_to_string(&path_now).unwrap();
        assert!(text.contains(&format!("\"torn_bytes\":{}", cut - whole.len())), "cut at {cut}");
    }
}

#[test]
fn a_session_does_not_go_on_with_a_log_that_was_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let (path, mut lines) = log(folder.path());
    lines.truncate(150);
    damage(&path, &lines);
    assert!(matches!(open(&path), Err(LogError::Damaged(..))));
    lines.push("{}".to_owned());
    damage(&path, &lines);
    assert!(matches!(open(&path), Err(LogError::Damaged(..))));
}

/// A log of one session that was killed after so many records beyond its last checkpoint.
fn killed(folder: &Path, beyond: usize) -> (PathBuf, Vec<String>) {
    let (path, _) = log(folder);
    let mut log = reopened(&path);
    let switch = || Entry::new("switch").text("guest", "mail");
    log.append(&[Entry::new("start")]).unwrap();
    for _ in 0..beyond {
        log.append(&[switch()]).unwrap();
    }
    drop(log);
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (path, lines)
}

/// The records of this kind in a log.
fn of_kind(path: &Path, kind: &str) -> Vec<String> {
    let kind = format!("\"kind\":\"{kind}\"");
    let log = std::fs::read_to_string(path).unwrap();
    log.lines().filter(|line| line.contains(&kind)).map(str::to_owned).collect()
}

#[test]
fn a_log_that_is_opened_is_held_against_its_head_by_hash_and_signature() {
    let folder = tempfile::tempdir().unwrap();
    let (path, good) = log(folder.path());
    let refused = |lines: &[String]| {
        damage(&path, lines);
        let refused = open(&path).err();
        assert!(matches!(refused, Some(LogError::Damaged(..))), "{refused:?}");
    };
    // Another history of the same length, whole but for the signatures.
    let mut other = good.clone();
    other[30] = other[30].replace("mail", "mall");
    rechain(&mut other, 30);
    refused(&other);
    // The same, gone on with.
    other.push(good[0].clone());
    rechain(&mut other, 30);
    refused(&other);
    // A head file that somebody made up for it.
    let head = beside(&path, ".head");
    let before = std::fs::read(&head).unwrap();
    std::fs::write(
        &head,
        format!("{} {} {}\n", other.len(), tail(other.last().unwrap()), "00".repeat(64)),
    )
    .unwrap();
    refused(&other);
    std::fs::write(&head, before).unwrap();
    assert_eq!(damage(&path, &good), None);
    drop(reopened(&path));
}

#[test]
fn what_was_written_after_the_head_must_follow_it() {
    let folder = tempfile::tempdir().unwrap();
    // More than the head can be looked for in at once.
    let (path, good) = killed(folder.path(), 60);
    for at in [good.len() - 30, good.len() - 2] {
        let mut lines = good.clone();
        lines[at] = lines[at].replace("mail", "mall");
        rechain(&mut lines[..at + 1], at);
        damage(&path, &lines);
        assert!(matches!(open(&path), Err(LogError::Damaged(..))), "record {at}");
    }
    let long = Entry::new("note").text("text", "\u{1}".repeat(512));
    damage(&path, &good);
    let mut log = reopened(&path);
    log.append(&vec![long; 60]).unwrap();
    drop(log);
    let length = std::fs::metadata(&path).unwrap().len();
    drop(reopened(&path));
    assert!(std::fs::metadata(&path).unwrap().len() > length);
    assert_eq!(found(&path).fault, None);
}

#[test]
fn a_log_whose_last_session_ended_without_a_word_says_so() {
    // What no signature covers can be cut off; that something is missing cannot be hidden.
    for left in [0, 39, 41] {
        let folder = tempfile::tempdir().unwrap();
        let (path, lines) = killed(folder.path(), 40);
        let report = found(&path);
        assert_eq!((report.fault, report.records - report.signed), (None, 41));
        assert!(!report.in_order);
        let before = of_kind(&path, "no-stop").len();
        damage(&path, &lines[..lines.len() - 41 + left]);

        drop(reopened(&path));

        let found = of_kind(&path, "no-stop");
        assert_eq!(found.len(), before + 1);
        assert!(found.last().unwrap().contains(&format!("\"unsigned\":{left},")), "{found:?}");
    }
}

#[test]
fn a_log_whose_last_session_said_that_it_ends_is_gone_on_with_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    for _ in 0..2 {
        let mut log = reopened(&path);
        log.append(&[Entry::new("start")]).unwrap();
        // The last of them is a checkpoint's turn.
        log.append(&vec![Entry::new("switch"); 62]).unwrap();
        log.append(&[Entry::new("stop")]).unwrap();
        log.finish().unwrap();
        let report = found(&path);
        assert!(report.in_order && report.unended == 0, "{report:?}");
    }
    assert_eq!(of_kind(&path, "no-stop"), [""; 0]);
    // A stop that no signature covers is anybody's.
    let mut log = reopened(&path);
    log.append(&[Entry::new("start")]).unwrap();
    log.append(&[Entry::new("stop")]).unwrap();
    drop(log);
    assert!(!found(&path).in_order);
    drop(reopened(&path));
    assert_eq!(of_kind(&path, "no-stop").len(), 1);
}

#[test]
fn one_session_has_the_log_at_a_time_and_its_key_is_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = log(folder.path());
    let mode = |ending| std::fs::metadata(beside(&path, ending)).unwrap().permissions().mode();
    assert_eq!(mode(".key") & 0o777, 0o600);
    let held = reopened(&path);
    assert!(matches!(Log::open(&path), Err(LogError::InUse(_))));
    drop(held);
    std::fs::set_permissions(beside(&path, ".key"), std::fs::Permissions::from_mode(0o644))
        .unwrap();
    assert!(matches!(open(&path), Err(LogError::Beside(..))));
}

#[test]
fn a_key_that_is_missing_beside_its_log_is_not_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (path, _) = log(folder.path());
    std::fs::remove_file(beside(&path, ".key")).unwrap();
    for gone in ["", ".pub", ".head"] {
        if !gone.is_empty() {
            std::fs::remove_file(beside(&path, gone)).unwrap();
        }
        let refused = open(&path).err();
        let Some(LogError::Beside(_, why)) = &refused else { panic!("{refused:?}") };
        assert!(why.to_string().contains("missing"), "{why}");
    }
    assert!(!beside(&path, ".key").exists());
}

#[test]
fn what_a_session_writes_is_its_owners_alone() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let above = tempfile::tempdir().unwrap();
    let desk = tabard::session::desk::Desk::parse(common::DESK, Path::new("test.toml")).unwrap();
    let logs = above.path().join("state/logs");
    let options = common::options(common::vmm(), &logs);
    let sizes = [(common::SIZE, tabard_view::Scale::ONE)];
    let start = || tabard::harness::Harness::start(&desk, &sizes, options.clone()).unwrap();
    start().stop();
    let old = logs.join("alpha.serial");
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o644)).unwrap();
    let harness = start();
    common::until("a guest runs", || harness.status().guests.iter().all(|guest| guest.1.is_some()));
    harness.stop();

    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&logs), mode(logs.parent().unwrap())), (0o700, 0o700));
    let files: Vec<_> =
        std::fs::read_dir(&logs).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 9, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Not a test of its own: what the next one starts, and kills.
#[test]
fn writer_that_is_killed() {
    let Some(path) = std::env::var_os(WRITE_INTO) else { return };
    let mut log = Log::open(Path::new(&path)).unwrap();
    let mut out = std::io::stdout();
    for number in 0u64.. {
        log.append(&[Entry::new("switch").text("guest", "mail").number("count", number)]).unwrap();
        // Only now may the effect take place.
        writeln!(out, "flushed {number}").unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn killed_at_a_hundred_random_points_the_log_holds_all_that_was_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let program = std::env::current_exe().unwrap();
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut before = 0;
    for round in 0..100 {
        let mut child = Command::new(&program)
            .args(["writer_that_is_killed", "--exact", "--nocapture", "--test-threads=1"])
            .env(WRITE_INTO, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let reader = BufReader::new(child.stdout.take().unwrap());
        let lines = std::thread::spawn(move || {
            reader.lines().map_while(Result::ok).filter(|line| line.contains("flushed")).count()
        });
        // xorshift64: a moment from 1 to 50 ms, and now and then before anything was written.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        std::thread::sleep(Duration::from_micros(1000 + state % 49_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let flushed = lines.join().unwrap() as u64;

        if !beside(&path, ".pub").exists() {
            assert_eq!(flushed, 0, "nothing is written before there is a key");
            continue;
        }
        let report = found(&path);
        assert_eq!(report.fault, None, "round {round}");
        assert!(report.records >= before + flushed, "round {round}: {report:?}, {flushed} flushed");
        before = report.records;
    }
    assert!(before > 100, "only {before} records were written in all");
}

/// Signals that this program was told to ignore, as `nohup` does; who starts it tells it so.
fn is_ignored(signal: u32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1
}

#[test]
fn invariant_10_a_signal_ends_a_session_in_order() {
    use std::os::unix::process::CommandExt;
    common::vmm();
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1)] {
        if is_ignored(number) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let desk = folder.path().join("desk.toml");
        std::fs::write(&desk, common::DESK).unwrap();
        let mut session = common::tabard_on_engine("run")
            .args(["--headless", "--logs"])
            .args([folder.path(), &desk])
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let path = folder.path().join("audit.jsonl");
        let runs = || path.exists() && of_kind(&path, "guest-running").len() == 2;
        common::until("both guests run", runs);

        // To all of them, as a terminal does it.
        let group = format!("-{}", session.id());
        let sent = Command::new("kill").args(["-s", name, "--", &group]).status().unwrap();

        assert!(sent.success());
        assert_eq!(session.wait().unwrap().code(), Some(0), "{name}");
        let stop = of_kind(&path, "stop");
        assert!(matches!(&stop[..], [stop] if stop.contains(&format!("SIG{name}"))), "{stop:?}");
        assert_eq!(of_kind(&path, "process-failed"), [""; 0], "{name}");
        let report = found(&path);
        assert_eq!((report.fault, report.signed), (None, report.records));
        assert!(report.in_order);
    }
}

#[test]
fn invariant_10_a_session_that_was_made_and_never_ran_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let desk = tabard::session::desk::Desk::parse(common::DESK, Path::new("test.toml")).unwrap();
    let options = common::options(common::vmm(), folder.path());
    drop(tabard::session::prepare(&desk, &options).unwrap());
    assert!(found(&folder.path().join("audit.jsonl")).in_order);
}

#[test]
fn invariant_10_a_session_leaves_a_log_that_is_whole_and_says_what_happened() {
    let stage = common::Stage::ready(common::DESK);
    stage.switch(1);
    let pid = stage.status().guests[0].1.unwrap();
    let killed = Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap();
    assert!(killed.success());
    stage.until("its end is noticed", |stage| stage.status().guests[0].1.is_none());

    let common::Stage { harness, logs, .. } = stage;
    harness.stop();

    let path = logs.path().join("audit.jsonl");
    let report = found(&path);
    assert_eq!((report.fault, report.signed), (None, report.records));
    let text = std::fs::read_to_string(&path).unwrap();
    let at = |words: &str| text.find(words).unwrap_or_else(|| panic!("no {words} in {text}"));
    let order = [
        at("\"kind\":\"start\""),
        at("\"kind\":\"policy\""),
        at("\"kind\":\"label\",\"guest\":\"alpha\",\"label\":\"SECRET//ALPHA\""),
        at("\"kind\":\"guest-start\",\"guest\":\"alpha\""),
        at("\"kind\":\"attention\""),
        at("\"kind\":\"switch\",\"guest\":\"bravo\""),
        at("\"kind\":\"process-failed\",\"guest\":\"alpha\""),
        at("\"kind\":\"stop\""),
    ];
    assert!(order.is_sorted(), "{text}");
    let shown = Command::new(common::tabard()).args(["audit", "show"]).arg(&path).output().unwrap();
    assert!(String::from_utf8_lossy(&shown.stdout).contains("switch            guest=bravo"));
    let verified =
        Command::new(common::tabard()).args(["audit", "verify"]).arg(&path).output().unwrap();
    assert_eq!(verified.status.code(), Some(0));
}
