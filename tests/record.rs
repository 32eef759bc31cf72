//! `tabard record`: a session of forty actions on two guests, typed or done in the window, becomes a
//! script that passes whenever it is played.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::xserver::{Windowed, XServer};
use common::{tabard_on_engine, until, vmm};

/// How often what was recorded is played.
const PLAYS: usize = 10;
/// How many of them at a time: they wait more than they work.
const AT_A_TIME: usize = 3;
/// A guest that prints what it is sent, and one that shows what is typed.
const DESK: &str = r#"
[desk]
name = "Recorded"
theme = "us"
[guests.web]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
memory = "64M"
[guests.notes]
label = "SECRET"
kernel = "builtin:notepad"
memory = "64M"
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn desk(folder: &Path) {
    vmm();
    std::fs::write(folder.join("desk.toml"), DESK).unwrap();
}

/// Plays what was recorded, so often, some at a time; every play passes.
fn play(folder: &Path, script: &str, times: usize) {
    let next = AtomicUsize::new(1);
    let work = || {
        loop {
            let time = next.fetch_add(1, Ordering::Relaxed);
            if time > times {
                return;
            }
            let output = tabard_on_engine("test")
                .args([script, "--out", &format!("played-{time}")])
                .current_dir(folder)
                .output()
                .unwrap();
            let recorded = std::fs::read_to_string(folder.join(script)).unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "play {time}: {said}\n{recorded}");
        }
    };
    std::thread::scope(|scope| {
        (0..AT_A_TIME.min(times)).for_each(|_| drop(scope.spawn(work)));
    });
}

fn typed(folder: &Path, lines: &str) -> Output {
    desk(folder);
    let mut child = tabard_on_engine("record")
        .args(["desk.toml", "--headless", "-o", "rec.tabard"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// Waits of a script are conditions: nothing in it is a time but limits.
fn assert_no_times(script: &str) {
    for line in script.lines() {
        let first = line.split(' ').next().unwrap_or_default();
        assert!(!["pace", "sleep", "pause"].contains(&first), "{line}");
    }
}

#[test]
fn forty_typed_actions_on_two_guests_are_played_ten_times() {
    let folder = tempfile::tempdir().unwrap();
    let words = ["alpha", "bravo", "charlie", "delta", "echo"];
    let mut lines = vec!["section \"both guests\"".to_owned(), "switch web".to_owned()];
    for word in words {
        lines.push(format!("type \"{word}\""));
        lines.push("key Enter".to_owned());
        lines.push("key Ctrl+C".to_owned());
    }
    lines.extend(["click at web 40 60", "wheel -2", "move at web 90 90"].map(str::to_owned));
    lines.push("switch notes".to_owned());
    for word in words {
        lines.push(format!("type \"{word} \\\"quoted\\\" ${{x\\n\"").replace("${x", "$x"));
        lines.push("key Backspace".to_owned());
        lines.push("key Up".to_owned());
    }
    let rest =
        ["click at notes 200 120", "layout solo", "layout desk", "sak", "key 1", "type \"x\""];
    lines.extend(rest.map(str::to_owned));
    let actions = lines.len() - 1;
    assert!(actions >= 40, "{actions}");
    let output = typed(folder.path(), &(lines.join("\n") + "\n"));

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let script = std::fs::read_to_string(folder.path().join("rec.tabard")).unwrap();
    for wait in
        ["wait-for focus", "wait-for serial web", "wait-for needle notes-", "wait-for stable"]
    {
        assert!(script.contains(wait), "{wait}: {script}");
    }
    assert_no_times(&script);
    play(folder.path(), "rec.tabard", PLAYS);
}

#[test]
fn a_line_that_fails_is_not_kept_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let lines = "switch web\nexpect locked\nbogus\ntype \"a\"\nneedle spot 0 0 80 40 of web\nend\n";
    let output = typed(folder.path(), lines);

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("not kept: expect locked: The screen is not locked"), "{said}");
    assert!(said.contains("not kept: bogus: There is no command"), "{said}");
    let script = std::fs::read_to_string(folder.path().join("rec.tabard")).unwrap();
    assert!(
        !script.contains("locked") && script.contains("wait-for needle spot of web"),
        "{script}"
    );
    assert!(folder.path().join("rec-needles/spot.png").is_file());
    play(folder.path(), "rec.tabard", 1);

    let again = typed(folder.path(), "sak\n");
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again.stderr).contains("rec.tabard is there already"));
    assert_eq!(std::fs::read_to_string(folder.path().join("rec.tabard")).unwrap(), script);
}

/// A signal is nothing that the user did; the question that ends the desk, answered, is.
#[test]
fn a_desk_that_a_signal_ends_is_not_waited_for_and_one_that_its_user_ends_is() {
    use rustix::process::{Pid, Signal, kill_process};
    let folder = tempfile::tempdir().unwrap();
    desk(folder.path());
    let script = || std::fs::read_to_string(folder.path().join("rec.tabard")).unwrap_or_default();
    let mut child = tabard_on_engine("record")
        .args(["desk.toml", "--headless", "-o", "rec.tabard"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Its input stays open, as a terminal does.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"sak\nkey Down\nkey Down\n").unwrap();
    until("the first key is written", || script().contains("key Down"));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    until("the recording ends", || child.try_wait().unwrap().is_some());
    drop(input);
    assert!(!script().contains("ended"), "{}", script());
    play(folder.path(), "rec.tabard", 1);

    std::fs::remove_file(folder.path().join("rec.tabard")).unwrap();
    let output = typed(folder.path(), "sak\nkey Q\nkey Q\n");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(script().trim_end().ends_with("wait-for ended"), "{}", script());
    play(folder.path(), "rec.tabard", 1);
}

/// Waits until the glass has not changed for longer than a picture is looked at to be at rest.
fn at_rest(server: &XServer) {
    let mut last = (server.dump(), Instant::now());
    until("the window is at rest", || {
        // A picture of the whole screen is not had for nothing.
        std::thread::park_timeout(Duration::from_millis(50));
        let dump = server.dump();
        if dump != last.0 {
            last = (dump, Instant::now());
        }
        last.1.elapsed() > Duration::from_millis(450)
    });
}

#[test]
fn forty_actions_in_a_window_are_played_ten_times() {
    let folder = tempfile::tempdir().unwrap();
    desk(folder.path());
    let server = XServer::start();
    let mut command = tabard_on_engine("record");
    command.args(["desk.toml", "-o", "rec.tabard"]).current_dir(folder.path());
    let mut tabard = Windowed::start(&server, &mut command);
    let window = tabard.id.clone();
    let ready = |guest: &str| {
        let log = folder.path().join(format!("tabard-record/logs/{guest}.serial"));
        std::fs::read_to_string(log).unwrap_or_default().contains("{\"ready\"")
    };
    until("the guests are ready", || ready("web") && ready("notes"));
    server.xdotool(&["windowmove", &window, "0", "0"]);
    server.xdotool(&["windowfocus", "--sync", &window]);
    at_rest(&server);

    let mut actions = 0;
    let mut act = |arguments: &[&str]| {
        println!("{arguments:?}");
        server.xdotool(arguments);
        at_rest(&server);
        actions += 1;
    };
    for (to, at) in [("2", ["900", "300"]), ("1", ["200", "300"])] {
        act(&["key", "ctrl+alt+Escape"]);
        act(&["key", to]);
        for word in ["one two", "Three;", "four"] {
            act(&["type", "--delay", "20", word]);
            act(&["key", "Return"]);
        }
        act(&["key", "shift+Left"]);
        act(&["key", "BackSpace"]);
        act(&["mousemove", at[0], at[1]]);
        act(&["click", "1"]);
        act(&["click", "5"]);
        act(&[
            "mousemove",
            "640",
            "500",
            "mousedown",
            "1",
            "mousemove",
            "700",
            "540",
            "mouseup",
            "1",
        ]);
        act(&["type", "--delay", "20", "five"]);
        act(&["key", "ctrl+a"]);
        act(&["key", "End"]);
    }
    act(&["mousemove", "900", "400", "click", "1"]);
    act(&["type", "--delay", "20", "from the other side"]);
    act(&["key", "ctrl+alt+Escape"]);
    act(&["key", "Escape"]);
    act(&["key", "Tab"]);
    act(&["key", "z"]);
    assert!(actions >= 40, "{actions}");
    server.xdotool(&["windowclose", &window]);
    assert_eq!(tabard.status().code(), Some(0));

    let script = std::fs::read_to_string(folder.path().join("rec.tabard")).unwrap();
    for step in
        ["switch notes", "wait-for needle", "wait-for serial web", "wait-for focus", "click at"]
    {
        assert!(script.contains(step), "{step}: {script}");
    }
    assert_no_times(&script);
    play(folder.path(), "rec.tabard", PLAYS);
}

#[test]
fn without_a_display_a_recording_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    desk(folder.path());
    let output = Command::new(common::tabard())
        .args(["record", "desk.toml", "-o", "rec.tabard"])
        .current_dir(folder.path())
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--headless"), "{}", text(&output.stderr));
    assert!(!folder.path().join("rec.tabard").exists());
}
