//! What other crates get: steps, their failures, and the judge.

use tabard_test::{LiveError, Stage};

const DESK: &str = r#"
[desk]
name = "Stage"
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

#[test]
fn steps_are_played_and_leave_their_marks_to_the_next() {
    let stage = Stage::judged(DESK);
    let said =
        stage.play("wait-for serial web \"ready\"\nswitch web\nmark\necho \"there\"").unwrap();
    assert_eq!(said, ["there"]);
    stage.play("key A").unwrap();
    stage.play("wait-for serial web \"\\\"code\\\":30,\\\"value\\\":0\"\nshot a/b.png").unwrap();
    stage.play("expect no-serial web \"ready\"").unwrap();
    assert!(stage.logs.path().join("pictures/a/b.png").is_file());
    stage.assert_judged();
}

#[test]
fn a_step_that_fails_says_why_and_a_fault_plays_nothing() {
    let stage = Stage::judged(DESK);
    match stage.play("mark\nexpect locked\nmark") {
        Err(LiveError::Failed { step, cause, details }) => {
            assert_eq!(
                (step.as_str(), cause.as_str()),
                ("expect locked", "The screen is not locked")
            );
            assert!(details.contains("fail-2-actual.png"), "{details}");
        }
        other => panic!("{other:?}"),
    }
    let fault = stage.play("sak\nbogus").unwrap_err().to_string();
    assert!(fault.contains("steps:2: There is no command \"bogus\""), "{fault}");
    stage.play("wait-for focus web").unwrap();
}
