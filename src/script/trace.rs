//! `--trace`: one page that shows a run, step by step, and needs nothing but a browser: pictures
//! before and after, what changed, the input that was sent and when the glass confirmed a frame
//! after it, what guests printed.

use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};
use tabard_display::{Frame, RawInput, png_bytes};
use tabard_view::{FrameSerial, OutputId};

use super::diff;
use super::report::{Fate, Result as StepResult};
use crate::harness::Harness;

/// The page, but for what it shows.
const PAGE: &str = include_str!("trace.html");
/// Where the page has what it shows.
const PLACE: &str = "\"TRACE\"";
/// Pictures of a page are at most so long together, in bytes; the last is always there.
const MAX_PICTURES_BYTES: usize = 9 * 1024 * 1024;
/// What a guest printed during a step, of which the end is kept.
const MAX_SERIAL_CHARS: usize = 8_000;

/// What is known of a run so far.
#[derive(Debug)]
pub(crate) struct Trace {
    begin: Instant,
    steps: Vec<Value>,
    /// What was sent: the number of the step, when, and in words.
    inputs: Vec<(usize, Instant, String)>,
    /// Frames, when they were seen to be presented.
    frames: Vec<(Instant, FrameSerial)>,
    /// Each picture once, as a data address.
    pictures: Vec<String>,
    bytes: usize,
    /// The last picture, and its number if it was kept.
    last: Option<(Frame, Option<usize>)>,
}

/// How things stood before a step.
#[derive(Debug)]
pub(crate) struct Before {
    at: Instant,
    frame: Option<Frame>,
    picture: Option<usize>,
    serial: Vec<u64>,
}

impl Trace {
    /// Begins to record.
    pub(crate) fn begin(harness: &Harness) -> Self {
        harness.record();
        Self::new()
    }

    fn new() -> Self {
        Self {
            begin: Instant::now(),
            steps: Vec::new(),
            inputs: Vec::new(),
            frames: Vec::new(),
            pictures: Vec::new(),
            bytes: 0,
            last: None,
        }
    }

    /// A step begins.
    pub(crate) fn before(&mut self, harness: &Harness, screen: OutputId) -> Before {
        // A frame may come between two steps; input does not.
        self.frames.extend(harness.recorded().frames);
        let frame = harness.snapshot(screen).map(|snapshot| snapshot.frame);
        let picture = frame.as_ref().and_then(|frame| self.picture(frame, false));
        let guests = 0..harness.guests().len();
        let serial = guests.map(|guest| harness.serial_bytes(guest)).collect();
        Before { at: Instant::now(), frame, picture, serial }
    }

    /// It is over.
    pub(crate) fn after(
        &mut self,
        harness: &Harness,
        screen: OutputId,
        before: &Before,
        result: &StepResult,
    ) {
        let frame = harness.snapshot(screen).map(|snapshot| snapshot.frame);
        let failed = matches!(result.fate, Fate::Failed { .. });
        let picture = frame.as_ref().and_then(|frame| self.picture(frame, failed));
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
        let serial: Vec<Value> = harness
            .guests()
            .iter()
            .enumerate()
            .filter_map(|(guest, name)| {
                let from = before.serial.get(guest).copied().unwrap_or_default();
                let text = harness.serial_from(guest, from);
                let skip = text.chars().count().saturating_sub(MAX_SERIAL_CHARS);
                let text: String = text.chars().skip(skip).collect();
                (!text.is_empty()).then(|| json!({ "guest": name, "text": text }))
            })
            .collect();
        let mut step = entry(result);
        if let Some(map) = step.as_object_mut() {
            map.insert("ms".to_owned(), self.ms(before.at).into());
            map.insert("before".to_owned(), before.picture.into());
            map.insert("after".to_owned(), picture.into());
            map.insert("changed".to_owned(), changed.into());
            map.insert("serial".to_owned(), serial.into());
        }
        self.steps.push(step);
    }

    /// A step was not played.
    pub(crate) fn not_played(&mut self, result: &StepResult) {
        self.steps.push(entry(result));
    }

    /// The page.
    pub(crate) fn page(&self, title: &str) -> String {
        let mut steps = self.steps.clone();
        for (index, step) in steps.iter_mut().enumerate() {
            let inputs = self.inputs.iter().filter(|(of, ..)| *of == index);
            let input: Vec<Value> = inputs.map(|(_, at, words)| self.input(*at, words)).collect();
            if let Some(map) = step.as_object_mut() {
                map.insert("input".to_owned(), input.into());
            }
        }
        let all = json!({ "script": title, "steps": steps, "pictures": self.pictures });
        // In a script element nothing but its end can end it.
        PAGE.replacen(PLACE, &all.to_string().replace('<', "\\u003c"), 1)
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

    fn ms(&self, at: Instant) -> f64 {
        let since = at.checked_duration_since(self.begin).unwrap_or(Duration::ZERO);
        (since.as_secs_f64() * 10_000.0).round() / 10.0
    }

    /// The number of a picture; one that is as the last is not kept twice.
    fn picture(&mut self, frame: &Frame, must: bool) -> Option<usize> {
        if let Some((last, number)) = &self.last
            && last == frame
            && (number.is_some() || !must)
        {
            return *number;
        }
        let coded = png_bytes(frame).map(|bytes| Base64::encode_string(&bytes)).ok();
        let address = coded.map(|text| format!("data:image/png;base64,{text}"));
        let fits = |address: &String| must || self.bytes + address.len() <= MAX_PICTURES_BYTES;
        let number = address.filter(fits).map(|address| {
            self.bytes += address.len();
            self.pictures.push(address);
            self.pictures.len() - 1
        });
        self.last = Some((frame.clone(), number));
        number
    }
}

fn entry(result: &StepResult) -> Value {
    let (fate, cause, details) = match &result.fate {
        Fate::Passed => ("passed", "", ""),
        Fate::Failed { cause, details } => ("failed", cause.as_str(), details.as_str()),
        Fate::Skipped => ("not run", "", ""),
        Fate::LeftOut(why) => ("skipped", why.as_str(), ""),
    };
    json!({
        "line": result.line,
        "file": result.file.as_ref().map(|file| file.to_string_lossy()),
        "text": result.text,
        "section": result.section,
        "took_ms": (result.took.as_secs_f64() * 10_000.0).round() / 10.0,
        "fate": fate,
        "cause": cause,
        "details": details,
    })
}

fn words(input: &RawInput) -> String {
    let verb = |pressed: bool| if pressed { "pressed" } else { "released" };
    match input {
        RawInput::Key { code, pressed } => format!("key {code} {}", verb(*pressed)),
        RawInput::Button { code, pressed } => format!("button {code:#x} {}", verb(*pressed)),
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
        let mut trace = Trace::new();
        trace.not_played(&StepResult {
            file: None,
            line: 3,
            text: "echo \"</script><script>alert(1)</script>\"".to_owned(),
            section: String::new(),
            took: Duration::ZERO,
            fate: Fate::Skipped,
        });
        let page = trace.page("a.tabard");
        assert!(!page.contains(PLACE) && !page.contains("</script><script>alert"), "{page}");
        assert_eq!(page.matches("<script").count(), 2);
        assert!(!page.contains("http:") && !page.contains("https:") && !page.contains("src=\""));
        assert!(page.contains("default-src 'none'"));
    }
}
