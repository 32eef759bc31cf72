//! The power button of a guest, and what its window says when it has ended: Tabard's own words,
//! never its last picture.

mod common;

use common::{SCREEN, Stage, key};
use tabard_view::{Picture, Recipient};

/// What the window of a guest shows; nothing before the first picture of the desk.
fn picture(stage: &Stage, guest: usize) -> Option<Picture> {
    let view = stage.shown().view?;
    Some(view.output(SCREEN)?.windows().get(guest)?.picture.clone())
}

/// The words in the window of a guest; nothing while it shows a picture of its own.
fn words(stage: &Stage, guest: usize) -> Option<String> {
    match picture(stage, guest)? {
        Picture::Words { title, .. } => Some(title),
        _ => None,
    }
}

#[test]
fn the_power_button_is_an_answer_to_the_question_before_a_stop() {
    let stage = Stage::ready(common::DESK);
    stage.sak();
    for code in [key::S, key::O] {
        // No key is obeyed before the glass shows what it will do.
        stage.until_open(Recipient::Trusted);
        stage.tap(code);
    }
    stage.until("the process is gone", |stage| stage.status().guests[0].1.is_none());
    stage.tap(key::KEY_2);

    stage.until("the window says why", |stage| {
        words(stage, 0).as_deref() == Some("Switched itself off")
    });
    assert!(stage.status().guests[1].1.is_some(), "the other guest runs on");
}

#[test]
fn the_window_of_a_guest_whose_process_dies_shows_words_and_not_its_last_picture() {
    let stage = Stage::ready(common::DESK);
    // A guest says on its serial port that it is ready, which may be heard before its first frame
    // is on the glass.
    stage.until("the window shows the guest's own picture", |stage| {
        picture(stage, 0) == Some(Picture::Live)
    });
    let process = stage.status().guests[0].1.unwrap();
    let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();

    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();

    stage.until("the window says why", |stage| {
        words(stage, 0).as_deref() == Some("Failed: its virtual machine process died")
    });
}
