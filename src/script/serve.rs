//! `tabard test --serve`: the steps of the language from another program, one JSON object a line
//! on standard input, each answered by one on standard output.

use std::io::{BufRead, Read, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::player::Player;
use super::results;

/// A longer line is no request.
const MAX_LINE_BYTES: u64 = 1024 * 1024;
/// What a request is called in messages; its files start from the present folder.
const NAME: &str = "request";

/// Answers requests about the desk of a player.
pub(super) struct Server<'s>(pub(super) Player<'s>);

impl Server<'_> {
    /// Answers requests until they end; says whether every step passed.
    pub(super) fn serve(
        &mut self,
        mut input: impl BufRead,
        mut output: impl Write,
    ) -> std::io::Result<bool> {
        let mut well = true;
        let harness = self.0.harness;
        let engines = harness.status().engines;
        let guests = harness.guests().iter().zip(engines).map(
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
            let (said, passed) = self.request(&request);
            well &= passed;
            answer(&mut output, &said)?;
        }
    }

    fn request(&mut self, request: &Value) -> (Value, bool) {
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        let Some(text) = request.get("step").and_then(Value::as_str) else {
            let why = "A request has a text \"step\", such as {\"id\": 1, \"step\": \"sak\"}";
            return (fault(&id, &[why.to_owned()]), false);
        };
        let read = self.0.read(text, Path::new(NAME));
        let played = match read.and_then(|script| self.0.play(&script)) {
            Ok(played) => played,
            Err(faults) => return (fault(&id, &[faults.to_string()]), false),
        };
        let passed = played.passed();
        let answer = json!({
            "id": id,
            "fate": if passed { "passed" } else { "failed" },
            "steps": played.results.iter().map(results::step).collect::<Vec<Value>>(),
            "said": played.said,
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
