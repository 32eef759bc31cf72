//! Guests that flood, hang, forge or die: the glass stays true, the user stays in command.

mod common;

use common::{SCREEN, Stage, key};
use tabard_display::RawInput;
use tabard_view::{GuestId, OutputView, Recipient};

const DESK: &str = r#"
[desk]
name = "Hostile"
theme = "us"
[guests.flood]
label = "UNCLASSIFIED"
kernel = "builtin:flood"
memory = "64M"
[guests.hang]
label = "CONFIDENTIAL"
kernel = "builtin:hang"
memory = "64M"
[guests.good]
label = "SECRET"
kernel = "builtin:probe"
memory = "64M"
"#;

/// The pixels of the frame outside every guest's content, row by row.
fn outside(output: &OutputView, pixels: &[u32]) -> Vec<u32> {
    let mut rest = Vec::with_capacity(pixels.len());
    for (row, y) in pixels.chunks(output.size.width as usize).zip(0..) {
        let mut guests: Vec<_> = output
            .windows()
            .iter()
            .map(|window| window.frame.content)
            .filter(|content| content.contains(content.x, y))
            .collect();
        guests.sort_by_key(|content| content.x);
        let mut from = 0;
        for content in guests {
            rest.extend_from_slice(&row[from..content.x as usize]);
            from = content.right() as usize;
        }
        rest.extend_from_slice(&row[from..]);
    }
    rest
}

#[test]
fn invariant_6_a_guests_pixels_stay_in_its_rectangle_while_it_floods() {
    let stage = Stage::ready(DESK);
    let mut last = stage.shown();
    let mut compared = 0;
    // The flood paints fake banners; frames that differ inside it must not differ outside.
    stage.until("50 different frames", |stage| {
        let now = stage.shown();
        let view = now.view.clone().unwrap();
        // The minute may turn; then the bar changes, and the next two are compared.
        if last.view.as_ref() == Some(&view) && now.frame.pixels != last.frame.pixels {
            let output = view.output(SCREEN).unwrap();
            let (before, after) =
                (outside(output, &last.frame.pixels), outside(output, &now.frame.pixels));
            assert!(before == after, "a pixel outside the guests changed");
            assert!(after.len() < now.frame.pixels.len());
            compared += 1;
        }
        last = now;
        compared >= 50
    });
}

#[test]
fn invariant_6_the_size_a_guest_is_told_leaves_the_banners_out() {
    let stage = Stage::ready(common::DESK);
    for (index, window) in stage.view().output(SCREEN).unwrap().windows().iter().enumerate() {
        let size = window.frame.content;
        let line = format!("\"width\":{},\"height\":{}", size.width, size.height);
        assert!(stage.serial(index).contains(&line), "{line} not in {}", stage.serial(index));
        assert!(window.frame.content.intersect(window.frame.top).is_empty());
        assert!(window.frame.content.intersect(window.frame.bottom).is_empty());
    }
}

#[test]
fn invariant_2_sak_always_wins_over_a_flood_and_a_guest_that_hangs() {
    let stage = Stage::ready(DESK);
    for guest in [0, 1] {
        stage.switch(guest);
        // It never reads; what is typed waits or is lost, and blocks nobody.
        for _ in 0..500 {
            stage.tap(key::A);
        }
        stage.sak();
        stage.until_open(Recipient::Trusted);
    }
    stage.switch(2);
    stage.settle(2);
    assert_eq!(stage.keys(2).len(), 2, "keys typed into others arrived");
}

#[test]
fn invariant_3_only_the_user_switches_no_guest_changes_focus_while_it_floods_or_dies() {
    let stage = Stage::ready(DESK);
    stage.switch(2);
    let process = stage.status().guests[0].1.expect("it has a process");
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
    stage.until("it is gone", |stage| stage.status().guests[0].1.is_none());
    stage.until("its window says so", |stage| {
        stage.view().output(SCREEN).unwrap().windows().iter().any(|window| {
            window.guest == GuestId(0) && window.picture != tabard_view::Picture::Live
        })
    });
    assert_eq!(stage.status().recipient, Recipient::Guest(GuestId(2)));
    stage.settle(2);
}

#[test]
fn a_process_that_is_stopped_and_reads_nothing_blocks_nobody() {
    let stage = Stage::ready(DESK);
    stage.switch(1);
    let process = stage.status().guests[1].1.expect("it has a process");
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    for _ in 0..5000 {
        stage.tap(key::A);
    }
    stage.switch(2);
    stage.settle(2);
    assert_eq!(stage.keys(2).len(), 2);
}

#[test]
fn a_process_that_does_not_take_its_new_surface_is_ended_and_shown_so() {
    let stage = Stage::ready(DESK);
    stage.switch(1);
    let windows = stage.view().output(SCREEN).unwrap().windows().to_vec();
    let content = windows[1].frame.content;
    stage.input(RawInput::Pointer { output: SCREEN, x: content.x + 9, y: content.y + 9 });
    let process = stage.status().guests[1].1.expect("it has a process");
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::STOP).unwrap();
    // Turns of the wheel may be lost, so they fill the queue and end nobody.
    for _ in 0..5000 {
        stage.input(RawInput::Wheel { vertical: 1, horizontal: 0 });
    }
    assert!(stage.status().guests[1].1.is_some());

    stage.resize(SCREEN, tabard_view::Size { width: 1000, height: 700 }, tabard_view::Scale::ONE);

    stage.until("its window says that it ended", |stage| {
        stage.view().output(SCREEN).unwrap().windows().iter().any(|window| {
            window.guest == GuestId(1)
                && matches!(window.picture, tabard_view::Picture::Words { .. })
        })
    });
    assert!(stage.status().guests[1].1.is_none());
}

#[test]
fn invariant_2_a_process_that_does_not_end_when_asked_keeps_nobody_waiting() {
    let program = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs");
    let screens = [(common::SIZE, tabard_view::Scale::ONE)];
    let stage = Stage::watched(DESK, &screens, program.join("stubborn.sh"), None);
    let process = |stage: &Stage| stage.status().guests[0].1;
    stage.until("it is deaf to being asked", |stage| {
        let name = process(stage).map(|id| std::fs::read_to_string(format!("/proc/{id}/comm")));
        name.is_some_and(|name| name.unwrap() == "sleep\n")
    });
    let first = process(&stage).unwrap();
    let lives = || std::path::Path::new(&format!("/proc/{first}")).exists();
    stage.sak();
    for code in [key::S, key::S] {
        // No key is obeyed before the glass shows what it will do.
        stage.until_open(Recipient::Trusted);
        stage.tap(code);
    }

    stage.until("it is stopped", |stage| process(stage).is_none());
    stage.switch(1);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    assert!(lives(), "it ended before the user had the trusted screen: this shows nothing");

    // Started again before it is gone: the next one must not be beside it.
    stage.tap(key::KEY_1);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.tap(key::S);
    stage.until("it is started again", |stage| process(stage).is_some());
    assert!(!lives(), "two processes of one guest lived at once");
}

#[test]
fn stopping_the_desk_leaves_no_process_behind() {
    let stage = Stage::ready(DESK);
    let processes: Vec<u32> =
        stage.status().guests.iter().map(|guest| guest.1.expect("it has a process")).collect();
    let Stage { harness, .. } = stage;
    harness.stop();
    for process in processes {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "{process} is left");
    }
}
