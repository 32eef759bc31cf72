//! Results as JSON, which the program itself reads back from those that it starts, and as TAP.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::fault::one_line;
use super::report::{Fate, Result as StepResult, counts, left_out};

/// The version of the form; another means another one.
const VERSION: u64 = 1;

/// What became of a script.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Outcome {
    /// Its file.
    pub(crate) script: PathBuf,
    /// How long it took, all tries together.
    pub(crate) took: Duration,
    /// The status that it ended with: 0 passed, 1 failed, 2 could not be started, 3 a frame was
    /// refused.
    pub(crate) status: u8,
    /// How often it was tried; 0 if it was not.
    pub(crate) tries: u32,
    /// Its steps at the last try; none if it could not be started.
    pub(crate) steps: Vec<StepResult>,
    /// Why there are no steps.
    pub(crate) message: String,
}

impl Outcome {
    /// Whether it passed, but not at the first try.
    pub(crate) fn flaky(&self) -> bool {
        self.status == 0 && self.tries > 1
    }

    fn fate(&self) -> &'static str {
        match self.status {
            0 if self.flaky() => "flaky",
            0 => "passed",
            1 => "failed",
            3 => "refused",
            _ => "not started",
        }
    }
}

/// All of it as JSON.
pub(crate) fn json(outcomes: &[Outcome]) -> String {
    let scripts: Vec<Value> = outcomes.iter().map(script).collect();
    format!("{:#}\n", json!({ "version": VERSION, "scripts": scripts }))
}

fn script(outcome: &Outcome) -> Value {
    let (passed, failed, not_run) = counts(&outcome.steps);
    json!({
        "script": outcome.script.to_string_lossy(),
        "fate": outcome.fate(),
        "status": outcome.status,
        "tries": outcome.tries,
        "seconds": outcome.took.as_secs_f64(),
        "message": outcome.message,
        "passed": passed,
        "failed": failed,
        "not_run": not_run,
        "skipped": left_out(&outcome.steps),
        "steps": outcome.steps.iter().map(step).collect::<Vec<Value>>(),
    })
}

/// A step as JSON.
pub(super) fn step(result: &StepResult) -> Value {
    let mut value = json!({
        "line": result.line,
        "text": result.text,
        "section": result.section,
        "seconds": result.took.as_secs_f64(),
    });
    let mut add = |name: &str, text: &str| {
        if let Some(map) = value.as_object_mut() {
            map.insert(name.to_owned(), text.into());
        }
    };
    if let Some(file) = &result.file {
        add("file", &file.to_string_lossy());
    }
    match &result.fate {
        Fate::Passed => add("fate", "passed"),
        Fate::Skipped => add("fate", "not run"),
        Fate::LeftOut(why) => {
            add("fate", "skipped");
            add("cause", why);
        }
        Fate::Failed { cause, details } => {
            add("fate", "failed");
            add("cause", cause);
            add("details", details);
        }
    }
    value
}

/// The steps that a script has left in JSON; `None` if it is not of this form.
pub(crate) fn steps_of(text: &str) -> Option<Vec<StepResult>> {
    let value: Value = serde_json::from_str(text).ok()?;
    if value.get("version")?.as_u64()? != VERSION {
        return None;
    }
    let script = value.get("scripts")?.as_array()?.first()?;
    script.get("steps")?.as_array()?.iter().map(read_step).collect()
}

fn read_step(value: &Value) -> Option<StepResult> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fate = match value.get("fate")?.as_str()? {
        "passed" => Fate::Passed,
        "not run" => Fate::Skipped,
        "skipped" => Fate::LeftOut(text("cause")),
        "failed" => Fate::Failed { cause: text("cause"), details: text("details") },
        _ => return None,
    };
    Some(StepResult {
        file: value.get("file").and_then(Value::as_str).map(PathBuf::from),
        line: usize::try_from(value.get("line")?.as_u64()?).ok()?,
        text: text("text"),
        section: text("section"),
        took: Duration::try_from_secs_f64(value.get("seconds")?.as_f64()?).ok()?,
        fate,
    })
}

/// All of it in the Test Anything Protocol, version 14: one test a step.
pub(crate) fn tap(outcomes: &[Outcome]) -> String {
    let tests = outcomes.iter().map(|outcome| outcome.steps.len().max(1)).sum::<usize>();
    let mut tap = format!("TAP version 14\n1..{tests}\n");
    let mut number = 0;
    for outcome in outcomes {
        let script = plain(&outcome.script.to_string_lossy());
        // Writing to a string cannot fail.
        let _ = writeln!(tap, "# {script}: {}, tries: {}", outcome.fate(), outcome.tries);
        if outcome.steps.is_empty() {
            number += 1;
            let ok = if outcome.status == 0 { "ok" } else { "not ok" };
            let _ = writeln!(tap, "{ok} {number} - {script}");
            diagnose(&mut tap, &outcome.message, &outcome.script, 1);
        }
        for result in &outcome.steps {
            number += 1;
            let name = format!("{script}:{}: {}", result.line, plain(&result.text));
            let _ = match &result.fate {
                Fate::Passed => writeln!(tap, "ok {number} - {name}"),
                Fate::LeftOut(why) => writeln!(tap, "ok {number} - {name} # SKIP {}", plain(why)),
                Fate::Skipped => {
                    writeln!(tap, "not ok {number} - {name} # SKIP a step before it failed")
                }
                Fate::Failed { .. } => writeln!(tap, "not ok {number} - {name}"),
            };
            if let Fate::Failed { cause, .. } = &result.fate {
                let file = result.file.as_ref().unwrap_or(&outcome.script);
                diagnose(&mut tap, cause, file, result.line);
            }
        }
    }
    tap
}

fn diagnose(tap: &mut String, cause: &str, file: &Path, line: usize) {
    // JSON strings are YAML strings.
    let text = |text: &str| Value::from(text).to_string();
    let file = text(&file.to_string_lossy());
    let _ =
        writeln!(tap, "  ---\n  message: {}\n  file: {file}\n  line: {line}\n  ...", text(cause));
}

/// A description: `#` would begin a directive.
fn plain(text: &str) -> String {
    one_line(text).replace('\\', "\\\\").replace('#', "\\#")
}

/// The line that ends a run of several scripts.
pub(crate) fn summary_of_all(outcomes: &[Outcome], took: Duration) -> String {
    let count = |wanted: fn(&Outcome) -> bool| outcomes.iter().filter(|one| wanted(one)).count();
    let steps: Vec<StepResult> = outcomes.iter().flat_map(|one| one.steps.clone()).collect();
    let some = |count: usize, words: &str| match count {
        0 => String::new(),
        count => format!(", {count} {words}"),
    };
    format!(
        "tabard test: {} scripts passed, {} failed{}{}{} in {:.1} s",
        count(|one| one.status == 0),
        count(|one| one.status != 0 && one.status != 2),
        some(count(|one| one.status == 2), "not started"),
        some(count(Outcome::flaky), "flaky"),
        some(left_out(&steps), "steps skipped"),
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome() -> Outcome {
        let step = |line: usize, fate: Fate| StepResult {
            file: (line == 2).then(|| PathBuf::from("lib/a.tabard")),
            line,
            text: format!("echo \"#{line}\""),
            section: "s".to_owned(),
            took: Duration::from_millis(1500),
            fate,
        };
        let failed = Fate::Failed { cause: "no \"x\"".into(), details: "tail\n".into() };
        let left_out = Fate::LeftOut("only if the host has QEMU".into());
        let fates = [Fate::Passed, left_out, failed, Fate::Skipped];
        let steps = fates.into_iter().enumerate().map(|(index, fate)| step(index + 1, fate));
        Outcome {
            script: "a.tabard".into(),
            took: Duration::from_secs(3),
            status: 1,
            tries: 1,
            steps: steps.collect(),
            message: String::new(),
        }
    }

    #[test]
    fn steps_come_back_from_json() {
        let outcome = outcome();
        let text = json(std::slice::from_ref(&outcome));
        assert_eq!(steps_of(&text), Some(outcome.steps));
        assert!(text.contains("\"skipped\": 1") && text.contains("\"fate\": \"failed\""), "{text}");
        assert_eq!(steps_of("{}"), None);
        assert_eq!(steps_of(&text.replace("\"version\": 1", "\"version\": 2")), None);
    }

    #[test]
    fn tap_has_a_line_a_step_and_says_why() {
        let none = Outcome { steps: Vec::new(), status: 2, message: "no desk".into(), ..outcome() };
        let tap = tap(&[outcome(), none]);
        let lines: Vec<&str> = tap.lines().collect();
        assert_eq!(lines[..3], ["TAP version 14", "1..5", "# a.tabard: failed, tries: 1"]);
        assert_eq!(lines[3], "ok 1 - a.tabard:1: echo \"\\#1\"");
        assert_eq!(lines[4], "ok 2 - a.tabard:2: echo \"\\#2\" # SKIP only if the host has QEMU");
        assert_eq!(lines[5], "not ok 3 - a.tabard:3: echo \"\\#3\"");
        assert_eq!(lines[7], "  message: \"no \\\"x\\\"\"");
        assert!(tap.contains("not ok 4 ") && tap.contains("not ok 5 - a.tabard\n"), "{tap}");
    }

    #[test]
    fn what_passed_at_a_second_try_is_flaky() {
        let once = Outcome { status: 0, tries: 1, ..outcome() };
        let twice = Outcome { tries: 2, ..once.clone() };
        assert!(!once.flaky() && twice.flaky() && !outcome().flaky());
        assert!(json(&[twice]).contains("\"fate\": \"flaky\""));
    }
}
