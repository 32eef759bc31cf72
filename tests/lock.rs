//! Login and lock, through the real programs: a password file by `tabard passwd`, a script that
//! types at the lock screen, the guests behind it, and the log of all that.

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{LIMIT, Stage, key, tabard, tabard_on_engine, vmm};
use tabard_input::KeyCode;
use tabard_view::{Content, GuestId, Recipient, TrustedBody, TrustedScreen};

const DESK: &str = include_str!("scripts/lock.toml");
const SCRIPT: &str = include_str!("scripts/lock.tabard");

/// Makes a password, as a pipe hands it in.
fn passwd(folder: &Path, user: &str, phrase: &str, password: &str) -> Output {
    let mut child = Command::new(tabard())
        .args(["passwd", "passwords", user, "--phrase", phrase])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_password_that_is_given_up_leaves_a_terminal_that_shows_what_is_typed() {
    use rustix::process::{Pid, Signal, kill_process};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, tcgetattr};
    let folder = tempfile::tempdir().unwrap();
    for signal in [Signal::INT, Signal::QUIT, Signal::TERM, Signal::HUP] {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap().into_string().unwrap();
        let end = std::fs::File::options().read(true).write(true).open(name).unwrap();
        let echo = || tcgetattr(&end).unwrap().local_modes.contains(LocalModes::ECHO);
        let mut child = Command::new(tabard())
            .args(["passwd", "passwords", "ann"])
            .current_dir(folder.path())
            .stdin(end.try_clone().unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut said, mut byte) = (Vec::new(), [0]);
        while !said.ends_with(b"New password") {
            child.stderr.as_mut().unwrap().read_exact(&mut byte).unwrap();
            said.extend(byte);
        }
        assert!(text(&said).contains("US keyboard") && !echo(), "what is typed is not shown");

        kill_process(Pid::from_child(&child), signal).unwrap();

        assert_eq!(child.wait().unwrap().code(), Some(128 + signal.as_raw()));
        assert!(echo(), "{signal:?}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn invariant_8_login_and_lock_by_script_with_a_log_of_it() {
    for size in ["1280x800", "2560x1600@2"] {
        play_login_and_lock(size);
    }
}

fn play_login_and_lock(size: &str) {
    vmm();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let log = format!("{DESK}[audit]\nfile = \"audit.jsonl\"\n");
    std::fs::write(folder.join("lock.toml"), log).unwrap();
    std::fs::write(folder.join("lock.tabard"), SCRIPT).unwrap();
    for (user, phrase, password) in
        [("ann", "ann likes rain", "correct horse"), ("bob", "", "battery staple")]
    {
        let output = passwd(folder, user, phrase, password);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    }

    let output = tabard_on_engine("test")
        .args(["lock.tabard", "--out", "out", "--size", size])
        .current_dir(folder)
        .output()
        .unwrap();

    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let log = std::fs::read_to_string(folder.join("audit.jsonl")).unwrap();
    let kinds: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split("\"kind\":\"").nth(1)?.split('"').next())
        .filter(|kind| kind.starts_with("log") || *kind == "locked")
        .collect();
    let expected =
        ["login-failed", "login", "locked", "login", "locked", "login", "locked", "login"];
    assert_eq!(kinds, expected);
    for secret in ["horse", "staple", "secret words", "likes rain"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let verified = Command::new(tabard())
        .args(["audit", "verify", "audit.jsonl"])
        .current_dir(folder)
        .output();
    assert_eq!(verified.unwrap().status.code(), Some(0));
}

#[test]
fn who_asks_for_the_lock_is_answered_when_no_screen_shows_a_guest() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(passwd(folder.path(), "ann", "", "correct horse").status.code(), Some(0));
    assert_eq!(passwd(folder.path(), "bob", "", "battery staple").status.code(), Some(0));
    let file = format!("{:?}", folder.path().join("passwords"));
    let stage = Stage::ready(&DESK.replace("\"passwords\"", &file));
    for typed in b"correct horse" {
        stage.tap((0..=255).find(|code| KeyCode(*code).ascii(false) == Some(*typed)).unwrap());
    }
    stage.tap(key::ENTER);
    stage.until_open(Recipient::Guest(GuestId(0)));

    stage.hold(true);
    let locked = stage.lock();
    stage.until("the lock", |stage| stage.status().locked);
    assert!(locked.try_recv().is_err(), "no screen has confirmed the lock yet");
    stage.hold(false);

    assert!(locked.recv_timeout(LIMIT).unwrap());
    let shown = stage.shown().view.unwrap();
    assert_eq!((shown.recipient, shown.outputs[0].windows().len()), (Recipient::Trusted, 0));
    let unlockable = Stage::ready(common::DESK);
    assert!(!unlockable.lock().recv_timeout(LIMIT).unwrap());
}

#[test]
fn a_restart_resets_no_wait_after_wrong_passwords() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(passwd(folder.path(), "ann", "", "correct horse").status.code(), Some(0));
    assert_eq!(passwd(folder.path(), "bob", "", "battery staple").status.code(), Some(0));
    let file = format!("{:?}", folder.path().join("passwords"));
    let desk = DESK.replace("\"passwords\"", &file);
    let form = |stage: &Stage| {
        let view = stage.shown().view?;
        match &view.outputs.first()?.content {
            Content::Trusted(TrustedScreen { body: TrustedBody::Login(form), .. }) => {
                Some(form.clone())
            }
            _ => None,
        }
    };
    let first = Stage::ready(&desk);
    first.tap(key::A);
    first.tap(key::ENTER);
    let counts = first.logs.path().join("failed-logins");
    first.until("it is counted", |_| counts.exists());
    let Stage { harness, logs, .. } = first;
    harness.stop();
    let counted = std::fs::read_to_string(&counts).unwrap();
    assert!(counted.starts_with("1 ") && counted.ends_with(" ann\n"), "{counted}");
    // As if there had been five more.
    std::fs::write(&counts, counted.replacen('1', "6", 1)).unwrap();

    let second = Stage::in_logs(&desk, logs);

    // 32 seconds, less what went by since the last one was counted.
    let seconds =
        |message: &str| -> Option<u32> { message.split(' ').find_map(|word| word.parse().ok()) };
    second.until("the wait", |stage| {
        form(stage).is_some_and(|form| {
            !form.open && seconds(&form.message).is_some_and(|left| (5..=32).contains(&left))
        })
    });
    second.tap(key::A);
    second.tap(key::ENTER);
    let status = second.status();
    assert!(status.locked && form(&second).is_some_and(|form| form.typed == 0));
    assert!(std::fs::read_to_string(&counts).unwrap().starts_with("6 "));
}

#[test]
fn tabard_lock_without_a_desk_that_owns_the_machine_says_what_is_missing() {
    let output = Command::new(tabard()).arg("lock").output().unwrap();
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("/run/tabard/lock") && words.contains("--seat"), "{words}");
}

#[test]
fn a_desk_whose_users_cannot_log_in_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("desk.toml"), DESK).unwrap();
    let check = || {
        let output = Command::new(tabard())
            .args(["check", "desk.toml"])
            .current_dir(folder)
            .output()
            .unwrap();
        (output.status.code(), text(&output.stderr))
    };
    let (status, words) = check();
    assert_eq!(status, Some(2));
    assert!(words.contains("password file") && words.contains("tabard passwd"), "{words}");
    assert_eq!(passwd(folder, "ann", "", "correct horse").status.code(), Some(0));
    assert!(check().1.contains("bob"), "{}", check().1);
    assert_eq!(passwd(folder, "bob", "", "battery staple").status.code(), Some(0));
    assert!(!check().1.contains("password"), "{}", check().1);
}

#[test]
fn a_password_that_cannot_be_typed_at_the_lock_is_refused_and_the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for bad in ["short", "passw\u{f6}rter"] {
        let output = passwd(folder, "ann", "", bad);
        assert_eq!(output.status.code(), Some(2));
        assert!(text(&output.stderr).contains("printable ASCII"));
    }
    assert!(!folder.join("passwords").exists());
    passwd(folder, "ann", "rain", "correct horse");
    let file = folder.join("passwords");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let first = std::fs::read_to_string(&file).unwrap();
    assert!(first.starts_with("ann:argon2id:") && !first.contains("horse"), "{first}");
    // Another password keeps nothing of the old one but the user's place.
    passwd(folder, "ann", "hail", "another horse");
    let second = std::fs::read_to_string(&file).unwrap();
    assert_eq!(second.lines().count(), 1);
    assert!(second != first && second.trim_end().ends_with(":hail"));
}
