//! `tabard test --serve`: the steps of the language from another program, one JSON object a line
//! on standard input, each answered by one on standard output.

use std::io::{BufRead, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::check;
use super::parse::parse_with;
use super::report::Fate;
use super::results;
use super::run::{Runner, State};
use super::snapshots::Snapshots;
use super::source::Variables;
use crate::harness::Harness;
use crate::oracle::Oracle;
use crate::session::desk::Desk;

/// A longer line is no request.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// What a request is called in messages; its files start from the present folder.
const NAME: &str = "request";

/// Where requests are played.
pub(super) struct Server<'s> {
    pub(super) desk: &'s Desk,
    pub(super) harness: &'s Harness,
    pub(super) oracle: &'s Oracle,
    pub(super) out: &'s Path,
    pub(super) logs: &'s Path,
    pub(super) snapshots: &'s Snapshots,
    pub(super) variables: &'s Variables,
}

impl Server<'_> {
    /// Answers requests until they end; says whether every step passed.
    pub(super) fn serve(
        &self,
        mut input: impl BufRead,
        mut output: impl Write,
    ) -> std::io::Result<bool> {
        let mut state = State::new(self.harness);
        let mut well = true;
        let engines = self.harness.status().engines;
        let guests = self.harness.guests().iter().zip(engines).map(
            |(name, engine)| json!({ "name": name, "engine": engine.map(|engine| engine.name()) }),
        );
        let ready = json!({ "ready": true, "version": 1, "guests": guests.collect::<Vec<_>>() });
        answer(&mut output, &ready)?;
        loop {
            let mut line = String::new();
            let read = input.by_ref().take(MAX_LINE_BYTES).read_line(&mut line)?;
            if read == 0 {
                return Ok(well);
            }
            if line.trim().is_empty() {
                continue;
            }
            let request: Value = match serde_json::from_str(&line) {
                Ok(request) => request,
                Err(error) => {
                    well = false;
                    let why = format!("It is no JSON: {error}. Write one object a line");
                    answer(&mut output, &fault(&Value::Null, &[why]))?;
                    if !line.ends_with('\n') {
                        return Ok(well);
                    }
                    continue;
                }
            };
            if request.get("end").and_then(Value::as_bool) == Some(true) {
                return Ok(well);
            }
            let (said, passed) = self.request(&request, &mut state);
            well &= passed;
            answer(&mut output, &said)?;
        }
    }

    fn request(&self, request: &Value, state: &mut State) -> (Value, bool) {
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let Some(text) = request.get("step").and_then(Value::as_str) else {
            let why = "A request has a text \"step\", such as {\"id\": 1, \"step\": \"sak\"}";
            return (fault(&id, &[why.to_owned()]), false);
        };
        let script = match parse_with(text, Path::new(NAME), self.variables) {
            Ok(script) => script,
            Err(faults) => return (fault(&id, &[faults.to_string()]), false),
        };
        if script.desk.is_some() || !script.screens.is_empty() {
            let why = "The desk runs already; name it by --desk and its screen by --size";
            return (fault(&id, &[why.to_owned()]), false);
        }
        let needles = match check::check(&script, self.desk) {
            Ok(needles) => needles,
            Err(faults) => return (fault(&id, &[faults.to_string()]), false),
        };
        let places = (self.snapshots, self.out, self.logs);
        let mut runner = Runner::new(&script, &needles, self.harness, self.oracle, places);
        std::mem::swap(&mut runner.state, state);
        let mut results = Vec::new();
        for step in &script.steps {
            let result = runner.play(step);
            let failed = matches!(result.fate, Fate::Failed { .. });
            results.push(result);
            if failed {
                break;
            }
        }
        std::mem::swap(&mut runner.state, state);
        let passed = !results.iter().any(|result| matches!(result.fate, Fate::Failed { .. }));
        let said: Vec<String> = state.said.drain(..).collect();
        let answer = json!({
            "id": id,
            "fate": if passed { "passed" } else { "failed" },
            "steps": results.iter().map(results::step).collect::<Vec<Value>>(),
            "said": said,
        });
        (answer, passed)
    }
}

fn fault(id: &Value, faults: &[String]) -> Value {
    json!({ "id": id, "fate": "fault", "faults": faults })
}

fn answer(output: &mut impl Write, answer: &Value) -> std::io::Result<()> {
    writeln!(output, "{answer}")?;
    output.flush()
}
