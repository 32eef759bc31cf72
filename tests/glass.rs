//! Glass before keys, and the secure-attention key from every state.

mod common;

use common::{DESK, SCREEN, Stage, key};
use tabard_view::{Content, GuestId, OutputId, Recipient, Scale, Size};

#[test]
fn invariant_1_glass_before_keys_input_is_muted_until_the_banner_is_confirmed() {
    let stage = Stage::ready(DESK);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.hold(true);
    stage.tap(key::KEY_2);
    stage.until("the switch is decided", |stage| {
        stage.status().recipient == Recipient::Guest(GuestId(1))
    });
    assert!(!stage.status().input_open);

    stage.tap(key::A);
    // The answer comes after the key was taken; only then may the confirmation come.
    assert!(!stage.status().input_open);
    stage.hold(false);
    stage.until_open(Recipient::Guest(GuestId(1)));
    stage.settle(1);

    let marker = u64::from(key::CAPS_LOCK);
    assert_eq!(stage.keys(1), [(marker, 1), (marker, 0)], "typed before the glass said so");
}

#[test]
fn invariant_1_glass_before_keys_an_output_that_appears_mutes_until_it_names_the_guest() {
    let stage = Stage::ready(DESK);
    stage.hold(true);
    stage.add_output(OutputId(1), Size { width: 800, height: 600 }, Scale::ONE);
    stage.until("input is muted", |stage| !stage.status().input_open);
    stage.hold(false);
    stage.until_open(Recipient::Guest(GuestId(0)));
    let second = stage.snapshot(OutputId(1)).expect("the new screen has a picture");
    assert_eq!(second.view.unwrap().output(OutputId(1)).unwrap().bar.rect.width, 800);
}

#[test]
fn invariant_2_sak_always_wins_from_a_guest_the_trusted_screen_and_help() {
    let stage = Stage::ready(DESK);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.sak();
    stage.until_open(Recipient::Trusted);
    // F1 opens help.
    stage.tap(59);
    stage
        .until("help", |stage| stage.shown().texts.iter().any(|drawn| drawn.text.contains("Home")));
    stage.sak();
    stage.until("the list is back", |stage| {
        stage.shown().texts.iter().any(|drawn| drawn.text.contains("Go to"))
    });
    stage.tap(key::ESC);
    stage.until_open(Recipient::Guest(GuestId(0)));
    stage.settle(0);
    let escape = u64::from(key::ESC);
    assert!(stage.keys(0).iter().all(|(code, _)| *code != escape), "the chord's key was delivered");
}

#[test]
fn invariant_2_sak_always_wins_while_confirmations_are_withheld() {
    let stage = Stage::ready(DESK);
    stage.hold(true);
    stage.sak();
    stage.until("the trusted screen is decided", |stage| {
        stage.status().recipient == Recipient::Trusted
    });
    stage.hold(false);
    stage.until_open(Recipient::Trusted);
    assert!(matches!(stage.view().output(SCREEN).unwrap().content, Content::Trusted(_)));
}

#[test]
fn invariant_2_sak_always_wins_over_a_stopped_a_paused_and_a_killed_guest() {
    let stage = Stage::ready(DESK);
    // P pauses, S twice stops.
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.tap(key::P);
    stage.until("paused", |stage| says(stage, "paused"));
    stage.tap(key::KEY_1);
    stage.until_open(Recipient::Guest(GuestId(0)));
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.tap(key::KEY_2);
    stage.until_open(Recipient::Guest(GuestId(1)));
    let process = stage.status().guests[1].1.expect("it has a process");
    kill(process);
    stage.until("its window says so", |stage| stage.status().guests[1].1.is_none());
    stage.sak();
    stage.until_open(Recipient::Trusted);
}

#[test]
fn invariant_3_only_the_user_switches_a_guest_that_dies_keeps_the_focus() {
    let stage = Stage::ready(DESK);
    let process = stage.status().guests[0].1.expect("it has a process");
    kill(process);
    stage.until("its window says so", |stage| {
        stage.shown().texts.iter().any(|drawn| drawn.text.contains("process"))
    });
    assert_eq!(stage.status().recipient, Recipient::Guest(GuestId(0)));
    assert_eq!(stage.bar_name().as_deref(), Some("alpha"));
    // What is typed now reaches nobody.
    stage.tap(key::A);
    stage.switch(1);
    stage.settle(1);
    assert_eq!(stage.keys(1).len(), 2);
}

#[test]
fn a_guest_that_was_stopped_starts_again() {
    let stage = Stage::ready(DESK);
    let process = stage.status().guests[0].1.expect("it has a process");
    kill(process);
    stage.until("it is gone", |stage| stage.status().guests[0].1.is_none());
    stage.sak();
    stage.until_open(Recipient::Trusted);
    stage.tap(key::S);
    stage.until("it is ready again", |stage| stage.serial(0).matches("{\"ready\"").count() == 2);
    stage.switch(0);
    stage.settle(0);
}

fn says(stage: &Stage, words: &str) -> bool {
    stage.shown().texts.iter().any(|drawn| drawn.text.contains(words))
}

fn kill(process: u32) {
    let process = rustix::process::Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
}
