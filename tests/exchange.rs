//! Texts and questions of guests through the real processes: shipped scripts for each way that a
//! text can go, and the answer that a guest gets verified by the command.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{tabard, vmm};
use serde_json::Value;

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts")
}

/// Runs a shipped script at scale 1; pictures and logs go to `out`.
fn run(script: &str, out: &Path) {
    run_at("1280x800", script, out);
}

/// Runs a shipped script at scale 1 and at scale 2; pictures and logs of the first go to `out`.
fn run_at_both_scales(script: &str, out: &Path) {
    run(script, out);
    run_at("2560x1600@2", script, &out.join("2x"));
}

fn run_at(size: &str, script: &str, out: &Path) {
    vmm();
    let output = Command::new(tabard())
        .args(["test", script, "--size", size, "--out"])
        .arg(out)
        .current_dir(scripts())
        .output()
        .unwrap();
    passed(&output);
}

fn passed(output: &Output) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn a_text_goes_up_once() {
    run("clipboard-up.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_text_goes_neither_down_nor_sideways_without_the_privilege() {
    run_at_both_scales("clipboard-refused.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_desk_without_a_clipboard_hands_nothing_over() {
    run("clipboard-off.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn what_is_replaced_after_it_was_taken_goes_as_it_was() {
    run("clipboard-replaced.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn what_goes_down_is_what_was_reviewed() {
    run_at_both_scales("clipboard-reviewed.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_text_that_is_not_given_in_time_is_forgotten() {
    run("clipboard-expires.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_question_is_answered_by_the_user_and_the_answer_verifies() {
    let folder = tempfile::tempdir().unwrap();
    run_at_both_scales("question.tabard", folder.path());

    let logs = folder.path().join("logs");
    let serial = std::fs::read_to_string(logs.join("high.serial")).unwrap();
    let answers = serial.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let answer = answers.into_iter().find(|line| line["answer"] == "No").unwrap();
    let statement = answer["statement"].as_str().unwrap();
    let expected = "desk: Exchange\nguest: high\nlabel: SECRET//ALPHA\n";
    assert!(statement.contains(expected), "{statement}");
    assert!(statement.contains("nonce: 07070707070707070707070707070707\nanswer: no\n"));
    assert!(statement.contains("text: Pay \\u{202e}001\\u{202c} to p\\u{430}y?\n"), "{statement}");
    let file = folder.path().join("answer");
    let verify = |statement: &str| {
        std::fs::write(&file, statement).unwrap();
        Command::new(tabard())
            .args(["confirm", "verify"])
            .arg(&file)
            .arg("--key")
            .arg(logs.join("confirm.pub"))
            .output()
            .unwrap()
    };
    passed(&verify(statement));
    let forged = verify(&statement.replace("answer: no", "answer: yes"));
    assert_eq!(forged.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&forged.stderr).contains("NOT signed"));
}

#[test]
fn every_trusted_screen_has_a_way_out_by_keys() {
    run_at_both_scales("trusted.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_notepad_is_given_what_another_copied() {
    let folder = tempfile::tempdir().unwrap();
    run("notepads.tabard", folder.path());
}
