//! `--trace`: one page that shows a run, step by step and frame by frame, and needs nothing but a
//! browser: every frame of every screen, what a step changed, the input that was sent and when the
//! glass confirmed a frame after it, what guests printed and what was written to the log, each at its
//! time, and which needles came how near.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64ct::{Base64, Encoding};
use serde_json::{Map, Value, json};
use tabard_display::{Frame, RawInput, png_bytes};
use tabard_view::{FrameSerial, OutputId};

use super::diff;
use super::needles::Candidate;
use super::printed::{Listener, Printed};
use super::reel::Shot;
use super::report::{Fate, Result as StepResult};
use crate::harness::{Harness, serial_log};

/// The page, but for what it shows.
const PAGE: &str = include_str!("trace.html");
/// Where the page has what it shows.
const PLACE: &str = "\"TRACE\"";
/// The frames of a page are at most so long before they are written as text, in bytes; what was
/// shown longest ago is left out first.
pub(crate) const MAX_FRAMES_BYTES: usize = 5 * 1024 * 1024;
/// Other pictures are at most so long together, as text, in bytes.
const MAX_PICTURES_BYTES: usize = 1024 * 1024;
/// Records of the log; the last are kept.
const MAX_RECORDS: usize = 2_000;
/// A longer log of the desk is not read.
const MAX_LOG_BYTES: u64 = 16 * 1024 * 1024;
/// What of a record is for the chain that it stands in, and not for a reader.
const CHAIN: [&str; 6] = ["n", "time_ms", "prev", "hash", "signature", "key"];

/// What is known of a run so far.
#[derive(Debug)]
pub(crate) struct Trace {
    begin: Instant,
    /// The same moment on the clock that the log uses, in milliseconds since 1970.
    begin_ms: u64,
    log: PathBuf,
    guests: Vec<String>,
    listener: Option<Listener>,
    steps: Vec<Value>,
    /// What was sent: the number of the step, when, and in words.
    inputs: Vec<(usize, Instant, String)>,
    /// Frames, when they were seen to be presented.
    frames: Vec<(Instant, FrameSerial)>,
    /// So long are the pictures of steps, as text, in bytes.
    pictures_bytes: usize,
}

/// How things stood before a step.
#[derive(Debug)]
pub(crate) struct Before {
    at: Instant,
    frame: Option<Frame>,
    serial: Vec<u64>,
}

impl Trace {
    /// Begins to record a desk whose log is this file, before its session does.
    pub(crate) fn new(log: &Path) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            begin: Instant::now(),
            begin_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            log: log.to_path_buf(),
            guests: Vec::new(),
            listener: None,
            steps: Vec::new(),
            inputs: Vec::new(),
            frames: Vec::new(),
            pictures_bytes: 0,
        }
    }

    /// The session runs; its serial logs are in this folder.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn watch(&mut self, harness: &Harness, logs: &Path) -> std::io::Result<()> {
        harness.record();
        self.guests = harness.guests().to_vec();
        let files = self.guests.iter().map(|guest| serial_log(logs, guest)).collect();
        self.listener = Some(Listener::begin(files)?);
        Ok(())
    }

    /// A step begins.
    pub(crate) fn before(&mut self, harness: &Harness, screen: OutputId) -> Before {
        // A frame may come between two steps; input does not.
        self.frames.extend(harness.recorded().frames);
        let frame = harness.snapshot(screen).map(|snapshot| snapshot.frame);
        let guests = 0..harness.guests().len();
        let serial = guests.map(|guest| harness.serial_bytes(guest)).collect();
        Before { at: Instant::now(), frame, serial }
    }

    /// It is over; `candidates` are the needles that it looked for, `evidence` pictures that show why it
    /// failed.
    pub(crate) fn after(
        &mut self,
        harness: &Harness,
        screen: OutputId,
        before: &Before,
        result: &StepResult,
        candidates: &[Candidate],
        evidence: &[(&'static str, Frame)],
    ) {
        let frame = harness.snapshot(screen).map(|snapshot| snapshot.frame);
        let changed = before.frame.as_ref().zip(frame.as_ref()).and_then(|(before, after)| {
            let difference = diff::compare(before, after, 0)?;
            let rect = difference.around;
            Some(json!({ "pixels": difference.pixels, "x": rect.x, "y": rect.y,
                         "width": rect.width, "height": rect.height }))
        });
        let recorded = harness.recorded();
        let step = self.steps.len();
        let inputs = recorded.inputs.iter().map(|(at, input)| (step, *at, words(input)));
        self.inputs.extend(inputs);
        self.frames.extend(recorded.frames);
        let printed: Vec<&String> = harness
            .guests()
            .iter()
            .enumerate()
            .filter(|(guest, _)| {
                harness.serial_bytes(*guest) > before.serial.get(*guest).copied().unwrap_or(0)
            })
            .map(|(_, name)| name)
            .collect();
        let mut step = entry(result);
        let mut add = |name: &str, value: Value| step.insert(name.to_owned(), value);
        add("ms", self.ms(before.at).into());
        add("screen", screen.0.into());
        add("changed", changed.into());
        add("printed", json!(printed));
        add("needles", candidates.iter().map(|one| self.candidate(one)).collect());
        add(
            "evidence",
            evidence
                .iter()
                .map(|(what, picture)| json!({ "what": what, "picture": self.picture(picture) }))
                .collect(),
        );
        self.steps.push(step.into());
    }

    /// A step was not played.
    pub(crate) fn not_played(&mut self, result: &StepResult) {
        self.steps.push(entry(result).into());
    }

    /// The page; `shots` are all frames, before which so many were dropped.
    pub(crate) fn page(mut self, title: &str, shots: &[Shot], dropped: usize) -> String {
        let end = self.ms(Instant::now());
        let printed = self.listener.take().map(Listener::end).unwrap_or_default();
        let mut steps = std::mem::take(&mut self.steps);
        for (index, step) in steps.iter_mut().enumerate() {
            let inputs = self.inputs.iter().filter(|(of, ..)| *of == index);
            let input: Vec<Value> = inputs.map(|(_, at, words)| self.input(*at, words)).collect();
            if let Some(map) = step.as_object_mut() {
                map.insert("input".to_owned(), input.into());
            }
        }
        // A frame in which nothing changed shows nothing to whoever scrubs.
        let shots = shots.iter().filter(|shot| shot.whole || !shot.rect.is_empty());
        let all = json!({
            "script": title,
            "end_ms": end,
            "steps": steps,
            "frames": shots.map(|shot| self.shot(shot)).collect::<Vec<Value>>(),
            "dropped": dropped,
            "serial": printed.iter().map(|one| self.printed(one)).collect::<Vec<Value>>(),
            "log": self.records(),
        });
        // In a script element nothing but its end can end it.
        PAGE.replacen(PLACE, &all.to_string().replace('<', "\\u003c"), 1)
    }

    fn shot(&self, shot: &Shot) -> Value {
        let rect = shot.rect;
        json!({
            "ms": self.ms(shot.at),
            "serial": shot.serial.0,
            "screen": shot.screen.0,
            "size": [shot.size.width, shot.size.height],
            "at": [rect.x, rect.y, rect.width, rect.height],
            "whole": shot.whole,
            "png": Base64::encode_string(&shot.png),
        })
    }

    fn printed(&self, printed: &Printed) -> Value {
        let guest = self.guests.get(printed.guest).map_or("", String::as_str);
        json!({ "ms": self.ms(printed.at), "guest": guest, "text": printed.text })
    }

    /// The log of the desk since the run began.
    fn records(&self) -> Vec<Value> {
        let text = crate::session::file_text(&self.log, MAX_LOG_BYTES).unwrap_or_default();
        let record = |line: &str| {
            let Value::Object(mut map) = serde_json::from_str(line).ok()? else { return None };
            let time_ms = map.get("time_ms").and_then(Value::as_u64)?;
            let since = time_ms.checked_sub(self.begin_ms)?;
            CHAIN.iter().for_each(|name| drop(map.remove(*name)));
            let kind = map.remove("kind").unwrap_or_default();
            Some(json!({ "ms": since, "kind": kind, "of": map }))
        };
        let records: Vec<Value> = text.lines().filter_map(record).collect();
        let skip = records.len().saturating_sub(MAX_RECORDS);
        records.into_iter().skip(skip).collect()
    }

    /// What was sent, and the next frame that the glass confirmed, in that step or later.
    fn input(&self, at: Instant, words: &str) -> Value {
        let shown = self.frames.iter().find(|(frame, _)| *frame >= at);
        json!({
            "ms": self.ms(at),
            "input": words,
            "glass_ms": shown.map(|(frame, _)| self.ms(*frame)),
            "frame": shown.map(|(_, serial)| serial.0),
        })
    }

    fn candidate(&mut self, one: &Candidate) -> Value {
        let (home, found) = (one.home, one.found);
        json!({
            "name": one.name,
            "ok": one.ok,
            "percent": (one.percent * 10.0).round() / 10.0,
            "wanted": one.wanted,
            "home": [home.x, home.y, home.width, home.height],
            "found": [found.x, found.y, found.width, found.height],
            "needle": self.picture(&one.needle),
            "nearest": self.picture(&one.nearest),
        })
    }

    /// A small picture, if there is room for it.
    fn picture(&mut self, frame: &Frame) -> Option<String> {
        let text = Base64::encode_string(&png_bytes(frame).ok()?);
        let fits = self.pictures_bytes + text.len() <= MAX_PICTURES_BYTES;
        self.pictures_bytes += if fits { text.len() } else { 0 };
        fits.then_some(text)
    }

    fn ms(&self, at: Instant) -> f64 {
        let since = at.checked_duration_since(self.begin).unwrap_or(Duration::ZERO);
        (since.as_secs_f64() * 10_000.0).round() / 10.0
    }
}

fn entry(result: &StepResult) -> Map<String, Value> {
    let (fate, cause, details) = match &result.fate {
        Fate::Passed => ("passed", "", ""),
        Fate::Failed { cause, details } => ("failed", cause.as_str(), details.as_str()),
        Fate::Skipped => ("not run", "", ""),
        Fate::LeftOut(why) => ("skipped", why.as_str(), ""),
    };
    let entry = json!({
        "line": result.line,
        "file": result.file.as_ref().map(|file| file.to_string_lossy()),
        "text": result.text,
        "section": result.section,
        "took_ms": (result.took.as_secs_f64() * 10_000.0).round() / 10.0,
        "fate": fate,
        "cause": cause,
        "details": details,
    });
    match entry {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn words(input: &RawInput) -> String {
    let verb = |pressed: bool| if pressed { "pressed" } else { "released" };
    let named = |code: u16| tabard_input::KeyCode(code).to_string();
    match input {
        RawInput::Key { code, pressed } => format!("{} {}", named(*code), verb(*pressed)),
        RawInput::Button { code, pressed } => format!("{} {}", named(*code), verb(*pressed)),
        RawInput::Pointer { x, y, .. } => format!("pointer to {x},{y}"),
        RawInput::Wheel { vertical, horizontal } => format!("wheel {vertical} {horizontal}"),
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_needs_no_network_and_what_it_quotes_cannot_end_its_data() {
        let mut trace = Trace::new(Path::new("no-such-log"));
        trace.not_played(&StepResult {
            file: None,
            line: 3,
            text: "echo \"</script><script>alert(1)</script>\"".to_owned(),
            section: String::new(),
            took: Duration::ZERO,
            fate: Fate::Skipped,
        });
        let page = trace.page("a.tabard", &[], 0);
        assert!(!page.contains(PLACE) && !page.contains("</script><script>alert"), "{page}");
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("src=\""));
        assert!(page.contains("default-src 'none'"));
    }

    #[test]
    fn records_of_the_log_are_told_without_their_chain_and_only_since_the_run_began() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("audit.jsonl");
        let trace = Trace::new(&log);
        let line = |ms: u64| {
            format!(
                "{{\"n\":1,\"time_ms\":{ms},\"kind\":\"switch\",\"guest\":\"web\",\"prev\":\"0\",\"hash\":\"1\"}}\n"
            )
        };
        let lines = [line(trace.begin_ms - 1), line(trace.begin_ms + 70), "no json\n".to_owned()];
        std::fs::write(&log, lines.concat()).unwrap();
        let record = json!({ "ms": 70, "kind": "switch", "of": { "guest": "web" } });
        assert_eq!(trace.records(), [record]);
    }
}
