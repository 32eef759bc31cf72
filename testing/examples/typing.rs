//! What is typed reaches the guest that the glass names, and no other. Run it by
//! `cargo run --package tabard-test --example typing` after `cargo build --workspace`.

use tabard_test::{RawInput, Stage, key};

const DESK: &str = r#"
[desk]
name = "Typing"
theme = "us"
[guests.web]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
memory = "64M"
[guests.plans]
label = "SECRET"
kernel = "builtin:probe"
memory = "64M"
"#;

fn main() {
    let stage = Stage::judged(DESK);

    // The steps of docs/scripts.md, checked and played until one fails.
    let steps = [
        "wait-for serial web \"ready\"",
        "wait-for serial plans \"ready\"",
        "switch web",
        "wait-for stable",
        "mark",
        "type \"hello\"",
        "wait-for serial web \"\\\"code\\\":24,\\\"value\\\":0\"",
        "expect no-event plans",
        "expect banner web \"UNCLASSIFIED\"",
    ];
    stage.play(&steps.join("\n")).unwrap_or_else(|error| panic!("{error}"));

    // What steps do not say is said by the harness: one event, and what the guest makes of it.
    stage.input(RawInput::Key { code: key::A, pressed: true });
    stage.until("web sees A go down", |stage| stage.keys(0).ends_with(&[(u64::from(key::A), 1)]));
    stage.input(RawInput::Key { code: key::A, pressed: false });

    // Every frame was looked at: bars, banners, rings and guests' rectangles.
    stage.assert_judged();
    println!("{} frames judged, none wrong", stage.findings().frames);
}
