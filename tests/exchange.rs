//! Texts and questions of guests through the real processes: shipped scripts for each way that a
//! text can go, what the log says of them, what the commands say of the flows of a desk, and of the
//! answer that a guest gets.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{tabard, tabard_on_engine, vmm};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tabard::session::hex::hex;

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
    let output = tabard_on_engine("test")
        .args([script, "--size", size, "--out"])
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
    run_at_both_scales("clipboard-up.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_text_goes_neither_down_nor_sideways_without_the_privilege() {
    let folder = tempfile::tempdir().unwrap();
    run_at_both_scales("clipboard-refused.tabard", folder.path());
    let refused = of_kind(&log(folder.path()), "text-refused");
    let to: Vec<&Value> = refused.iter().map(|record| &record["to"]).collect();
    assert_eq!(to, ["low", "other"]);
}

#[test]
fn a_desk_without_a_clipboard_hands_nothing_over() {
    run_at_both_scales("clipboard-off.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn invariant_9_a_text_does_not_go_to_a_guest_that_is_trusted_more() {
    run_at_both_scales("clipboard-integrity.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn what_is_replaced_after_it_was_taken_goes_as_it_was() {
    run("clipboard-replaced.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn what_goes_down_is_what_was_reviewed() {
    let folder = tempfile::tempdir().unwrap();
    run_at_both_scales("clipboard-reviewed.tabard", folder.path());

    let log = log(folder.path());
    let desk = std::fs::read(scripts().join("review.toml")).unwrap();
    let policy = of_kind(&log, "policy");
    assert_eq!(policy[0]["sha256"], sha256(&desk));
    // The first two reviews are of one text, downwards and sideways; each is released once.
    let convoy = sha256(b"Convoy leaves at dawn");
    for kind in ["text-reviewed", "text-released"] {
        let records = of_kind(&log, kind);
        for (record, to) in records.iter().zip(["low", "other"]) {
            assert_eq!((&record["guest"], &record["to"]), (&"high".into(), &to.into()));
            assert_eq!(
                (&record["sha256"], &record["bytes"]),
                (&convoy.as_str().into(), &21.into())
            );
        }
    }
    assert_eq!(of_kind(&log, "text-taken")[0]["sha256"], convoy);
    // Two reviews at the end were left.
    let [reviewed, released] =
        ["text-reviewed", "text-released"].map(|kind| of_kind(&log, kind).len());
    assert_eq!((reviewed, released), (7, 5));
    assert!(!log.contains("Convoy") && !log.contains("swordfish"), "a text is in the log");
}

/// The log of a run, which verifies.
fn log(out: &Path) -> String {
    let file = out.join("logs/audit.jsonl");
    passed(&Command::new(tabard()).args(["audit", "verify"]).arg(&file).output().unwrap());
    std::fs::read_to_string(file).unwrap()
}

/// The records of one kind.
fn of_kind(log: &str, kind: &str) -> Vec<Value> {
    let records = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["kind"] == kind).collect()
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[test]
fn a_text_that_is_not_given_in_time_is_forgotten() {
    run("clipboard-expires.tabard", tempfile::tempdir().unwrap().path());
}

#[test]
fn a_question_is_answered_by_the_user_and_the_answer_verifies() {
    let folder = tempfile::tempdir().unwrap();
    run_at_both_scales("question.tabard", folder.path());

    let answers = of_kind(&log(folder.path()), "question-answered");
    let answers: Vec<_> = answers.iter().map(|one| (&one["guest"], &one["answer"])).collect();
    let [high, low, yes, no] = ["high", "low", "yes", "no"].map(Value::from);
    assert_eq!(answers, [(&high, &no), (&high, &yes), (&low, &yes)]);
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
fn a_question_that_is_not_answered_in_time_is_withdrawn() {
    let folder = tempfile::tempdir().unwrap();
    run("question-expires.tabard", folder.path());
    let answers = of_kind(&log(folder.path()), "question-answered");
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|one| one["guest"] == "low" && one["answer"] == "none in time"));
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

#[test]
fn every_flow_of_a_desk_is_printed_with_its_reason_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let svg = folder.path().join("flows.svg");
    let output = Command::new(tabard())
        .arg("check")
        .arg(scripts().join("integrity.toml"))
        .args(["--flows", "--svg"])
        .arg(&svg)
        .output()
        .unwrap();

    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    let flows: Vec<Vec<&str>> = text
        .lines()
        .filter(|line| line.contains(" clipboard "))
        .map(|line| line.split_whitespace().filter(|word| !word.starts_with('[')).collect())
        .collect();
    let has = |what: &str, from: &str, to: &str, why: &str| {
        let ends = |words: &[&str]| words[0] == what && words[2] == from;
        flows
            .iter()
            .any(|words| ends(words) && words.contains(&to) && words.join(" ").contains(why))
    };
    assert_eq!(flows.len(), 6, "{text}");
    assert!(has("allowed", "signer", "plans", "the destination dominates the source"), "{text}");
    assert!(has("refused", "web", "signer", "less trusted than"), "{text}");
    assert!(has("refused", "plans", "web", "the source is more secret"), "{text}");
    assert!(has("refused", "plans", "signer", "more secret and less trusted"), "{text}");
    let svg = std::fs::read_to_string(svg).unwrap();
    assert!(svg.starts_with("<svg") && ["signer", "web", "plans"].iter().all(|n| svg.contains(n)));
}
