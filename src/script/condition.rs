//! What `wait-for` waits for and `expect` expects: whether it holds, and if not, why.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tabard_display::{Frame, read_png};
use tabard_view::{Recipient, Rect};

use super::diff;
use super::fault::one_line;
use super::hands::{Hands, bar_words, guest_id, on_glass};
use super::needles::Needles;
use super::step::{Condition, Focus, Region};
use crate::harness::Snapshot;
use crate::session::desk::chain;

/// Lines of a guest's serial log that a failure prints.
const SERIAL_LINES: usize = 12;

/// Why a step failed.
#[derive(Debug, Default)]
pub(crate) struct Failure {
    /// In a sentence.
    pub(crate) cause: String,
    /// Further pictures, each with what it is.
    pub(crate) pictures: Vec<(&'static str, Frame)>,
}

impl From<&str> for Failure {
    fn from(cause: &str) -> Self {
        cause.to_owned().into()
    }
}

impl From<String> for Failure {
    fn from(cause: String) -> Self {
        Self { cause, pictures: Vec::new() }
    }
}

/// A guest at the moment of the last mark.
#[derive(Debug, Clone, Default)]
pub(crate) struct Mark {
    /// What it had printed, in bytes.
    pub(crate) serial_bytes: u64,
    /// Its picture, if it had a window.
    pub(crate) picture: Option<Frame>,
}

/// Where conditions look.
#[derive(Debug)]
pub(crate) struct Eyes<'h> {
    /// The screen, and how long to look.
    pub(crate) hands: Hands<'h>,
    /// What each guest had printed and shown at the last mark.
    pub(crate) marks: &'h [Mark],
    /// The needles that the script names.
    pub(crate) needles: &'h Needles,
    /// The folder of the script, where pictures to compare with are.
    pub(crate) folder: PathBuf,
}

impl Eyes<'_> {
    /// Waits until a condition holds.
    pub(crate) fn wait_for(&self, condition: &Condition) -> Result<(), Failure> {
        if let Condition::Stable { guest, quiet } = condition {
            return self.stable(guest.as_deref(), *quiet);
        }
        if *condition == Condition::Ended {
            // The hands give up when the desk ends: here that is what is wanted.
            let left = self.hands.deadline.saturating_duration_since(Instant::now());
            return if self.hands.harness.wait(left, |harness| harness.ended()) {
                Ok(())
            } else {
                Err("The desk has not ended".to_owned().into())
            };
        }
        let expected = self.expected(condition)?;
        let mut read = None;
        let what = words(condition);
        let waited = self.hands.wait(&what, |_| {
            // A log that did not grow has nothing new in it; it may be long.
            let length = self.log_length(condition);
            if length.is_some() && length == read {
                return false;
            }
            read = length;
            match (condition, &expected) {
                (Condition::Region { region, tolerance, .. }, Some(expected)) => self
                    .part(Some(region))
                    .is_ok_and(|actual| diff::equal(expected, &actual, *tolerance)),
                _ => self.look(condition, expected.as_ref()).is_ok(),
            }
        });
        match waited {
            Ok(()) => Ok(()),
            Err(in_vain) => match self.look(condition, expected.as_ref()) {
                Ok(()) => Err(format!("{in_vain}; it came too late").into()),
                Err(why) => {
                    let cause = format!("{in_vain}. {}", why.cause);
                    Err(Failure { cause, ..why })
                }
            },
        }
    }

    /// Fails unless a condition holds at this moment.
    pub(crate) fn expect(&self, condition: &Condition) -> Result<(), Failure> {
        let expected = self.expected(condition)?;
        self.look(condition, expected.as_ref())
    }

    /// The last lines that a guest printed.
    pub(crate) fn serial_tail(&self, guest: usize) -> String {
        let text = self.hands.harness.serial(guest);
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().skip(lines.len().saturating_sub(SERIAL_LINES)).fold(
            String::new(),
            |mut tail, line| {
                tail.push_str(&one_line(line));
                tail.push('\n');
                tail
            },
        )
    }

    fn look(&self, condition: &Condition, expected: Option<&Frame>) -> Result<(), Failure> {
        match condition {
            Condition::Text { text, present } => self.text(text, *present)?,
            Condition::Focus(focus) => self.focus(focus)?,
            Condition::InputOpen(open) => {
                let is_open = self.hands.harness.status().input_open;
                let word = if is_open { "open" } else { "muted" };
                holds(is_open == *open, || format!("Input is {word}"))?;
            }
            Condition::Banner { guest, text } => self.banner(guest, text)?,
            Condition::Region { region, tolerance, .. } => {
                return self.region(region, expected, *tolerance);
            }
            Condition::Serial { guest, text, present } => self.serial(guest, text, *present)?,
            Condition::NoEvent(guest) => {
                let printed = self.printed(guest)?;
                let event = printed.lines().find(|line| is_event(line));
                holds(event.is_none(), || {
                    format!("{guest} received input: {}", event.unwrap_or_default())
                })?;
            }
            Condition::Unchanged(guest) => return self.unchanged(guest),
            Condition::Locked(locked) => {
                let word = if *locked { "not locked" } else { "locked" };
                let is_locked = self.hands.harness.status().locked;
                holds(is_locked == *locked, || format!("The screen is {word}"))?;
            }
            Condition::Running(guest, running) => {
                let index = self.hands.guest(guest)?;
                let status = self.hands.harness.status();
                let process = status.guests.get(index).and_then(|(_, process)| *process);
                let word = if process.is_some() { "a process" } else { "no process" };
                holds(process.is_some() == *running, || format!("{guest} has {word}"))?;
            }
            Condition::Jail(guest, wanted) => {
                let index = self.hands.guest(guest)?;
                let jails = self.hands.harness.status().jails;
                let has = jails.get(index).copied().flatten();
                let lacks = wanted.lacking_in(has.unwrap_or_default());
                holds(lacks.is_empty(), || format!("The jail of {guest} lacks: {lacks}"))?;
            }
            Condition::Ended => {
                holds(self.hands.harness.ended(), || "The desk has not ended".to_owned())?;
            }
            Condition::ScreenText { guest, text, present, within } => {
                return self.screen_text(guest, text, *present, *within);
            }
            Condition::OcrText { guest, text, within } => {
                return self.ocr_text(guest, text, *within);
            }
            Condition::Needle { name, guest } => {
                return self.needle(name, guest.as_deref()).map(drop);
            }
            Condition::Stable { .. } => {}
        }
        Ok(())
    }

    fn text(&self, text: &str, present: bool) -> Result<(), String> {
        let snapshot = self.hands.snapshot()?;
        let found = snapshot.texts.iter().any(|drawn| drawn.text.contains(text));
        holds(found == present, || {
            let all: Vec<&str> = snapshot.texts.iter().map(|drawn| drawn.text.as_str()).collect();
            let verb = if present { "did not draw" } else { "drew" };
            format!("Tabard {verb} {text:?}; it drew: {}", all.join(" | "))
        })
    }

    fn focus(&self, focus: &Focus) -> Result<(), String> {
        let recipient = match focus {
            Focus::Guest(name) => Recipient::Guest(guest_id(self.hands.guest(name)?)?),
            Focus::Trusted => Recipient::Trusted,
            Focus::Nobody => Recipient::Nobody,
        };
        holds(on_glass(self.hands.harness, recipient), || {
            let status = self.hands.harness.status();
            let bar = self
                .hands
                .snapshot()
                .map_or_else(|why| why, |snapshot| bar_words(&snapshot, self.hands.screen));
            let input = if status.input_open { "open" } else { "muted" };
            format!(
                "Input goes to {}, and is {input}; the bar says: {bar}",
                self.named(status.recipient)
            )
        })
    }

    fn named(&self, recipient: Recipient) -> String {
        match recipient {
            Recipient::Guest(id) => {
                self.hands.harness.guests().get(usize::from(id.0)).cloned().unwrap_or_default()
            }
            Recipient::Trusted => "the trusted screen".to_owned(),
            Recipient::Nobody => "nobody".to_owned(),
        }
    }

    fn banner(&self, guest: &str, text: &str) -> Result<(), String> {
        let window = self.hands.window(self.hands.guest(guest)?)?;
        let snapshot = self.hands.snapshot()?;
        let bar = snapshot
            .view
            .as_deref()
            .and_then(|view| view.output(self.hands.screen))
            .map(|output| output.bar.rect)
            .unwrap_or_default();
        // In solo the trusted bar is the upper banner.
        let top = if window.frame.top.is_empty() { bar } else { window.frame.top };
        for (name, place) in [("upper", top), ("lower", window.frame.bottom)] {
            let says = texts_in(&snapshot, place);
            holds(says.contains(text), || {
                format!("The {name} banner of {guest} says {says:?}, not {text:?}")
            })?;
        }
        Ok(())
    }

    /// The picture that a condition compares with.
    fn expected(&self, condition: &Condition) -> Result<Option<Frame>, String> {
        let Condition::Region { file, .. } = condition else { return Ok(None) };
        let path = self.folder.join(file);
        read_png(&path).map(Some).map_err(|error| chain(&error))
    }

    fn region(
        &self,
        region: &Region,
        expected: Option<&Frame>,
        tolerance: u8,
    ) -> Result<(), Failure> {
        let Some(expected) = expected else { return Ok(()) };
        let snapshot = self.hands.snapshot()?;
        let rect = self.rect(region)?;
        if !snapshot.frame.size.rect().covers(rect) {
            let size = snapshot.frame.size;
            let cause =
                format!("The region ends outside the screen of {}x{}", size.width, size.height);
            return Err(cause.into());
        }
        let actual = diff::crop(&snapshot.frame, rect);
        let Some(difference) = diff::compare(expected, &actual, tolerance) else { return Ok(()) };
        Err(Failure {
            cause: format!("The region differs: {}", difference.words()),
            pictures: vec![
                ("region", actual),
                ("expected", expected.clone()),
                ("difference", difference.image),
            ],
        })
    }

    fn unchanged(&self, guest: &str) -> Result<(), Failure> {
        let index = self.hands.guest(guest)?;
        let marked = self.marks.get(index).and_then(|mark| mark.picture.as_ref());
        let marked = marked.ok_or("It had no window at the last mark; mark when it has one")?;
        let actual = self.part(Some(&Region::Guest(guest.to_owned())))?;
        let Some(difference) = diff::compare(marked, &actual, 0) else { return Ok(()) };
        Err(Failure {
            cause: format!("{guest} changed since the last mark: {}", difference.words()),
            pictures: vec![
                ("region", actual),
                ("expected", marked.clone()),
                ("difference", difference.image),
            ],
        })
    }

    /// The guests as they are now, for [`Eyes::marks`].
    pub(crate) fn mark(&self) -> Vec<Mark> {
        let names = self.hands.harness.guests().iter().enumerate();
        names
            .map(|(index, name)| Mark {
                serial_bytes: self.hands.harness.serial_bytes(index),
                picture: self.part(Some(&Region::Guest(name.clone()))).ok(),
            })
            .collect()
    }

    /// The part of the screen that a region is.
    pub(crate) fn rect(&self, region: &Region) -> Result<Rect, String> {
        match region {
            Region::Screen(rect) => Ok(*rect),
            Region::Guest(name) => Ok(self.hands.window(self.hands.guest(name)?)?.frame.content),
        }
    }

    fn serial(&self, guest: &str, text: &str, present: bool) -> Result<(), String> {
        let printed = self.printed(guest)?;
        holds(printed.contains(text) == present, || {
            let verb = if present { "did not print" } else { "printed" };
            format!("{guest} {verb} {text:?} since the last mark")
        })
    }

    fn printed(&self, guest: &str) -> Result<String, String> {
        let index = self.hands.guest(guest)?;
        let from = self.marks.get(index).map_or(0, |mark| mark.serial_bytes);
        Ok(self.hands.harness.serial_from(index, from))
    }

    fn log_length(&self, condition: &Condition) -> Option<u64> {
        let Condition::Serial { guest, .. } = condition else { return None };
        let index = self.hands.guest(guest).ok()?;
        Some(self.hands.harness.serial_bytes(index))
    }

    fn stable(&self, guest: Option<&str>, quiet: Duration) -> Result<(), Failure> {
        let region = guest.map(|name| Region::Guest(name.to_owned()));
        let mut last: Option<(Frame, Instant)> = None;
        let what = format!("the picture to stay as it is for {} ms", quiet.as_millis());
        let mut why = None;
        let waited = self.hands.wait(&what, |_| {
            let frame = match self.part(region.as_ref()) {
                Ok(frame) => frame,
                Err(error) => {
                    why = Some(error);
                    last = None;
                    return false;
                }
            };
            match &last {
                Some((seen, since)) if *seen == frame => since.elapsed() >= quiet,
                _ => {
                    last = Some((frame, Instant::now()));
                    false
                }
            }
        });
        waited.map_err(|in_vain| match why {
            Some(why) => format!("{in_vain}. {why}").into(),
            None => in_vain.into(),
        })
    }

    fn part(&self, region: Option<&Region>) -> Result<Frame, String> {
        let rect = region.map(|region| self.rect(region)).transpose()?;
        let snapshot = self.hands.snapshot()?;
        Ok(rect.map_or_else(|| snapshot.frame.clone(), |rect| diff::crop(&snapshot.frame, rect)))
    }
}

/// Whether a line is what the probe prints for an event; the ones that only end a report count
/// too, because they say that there was one.
fn is_event(line: &str) -> bool {
    line.starts_with("{\"device\":")
}

fn texts_in(snapshot: &Snapshot, place: Rect) -> String {
    let inside: Vec<&str> = snapshot
        .texts
        .iter()
        .filter(|drawn| !drawn.rect.intersect(place).is_empty())
        .map(|drawn| drawn.text.as_str())
        .collect();
    inside.join(" ")
}

fn holds(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

/// What a condition waits for, in words.
fn words(condition: &Condition) -> String {
    match condition {
        Condition::Text { text, present: true } => format!("Tabard to draw {text:?}"),
        Condition::Text { text, present: false } => format!("Tabard no longer to draw {text:?}"),
        Condition::Focus(Focus::Guest(name)) => format!("{name} to receive input"),
        Condition::Focus(Focus::Trusted) => "the trusted screen to receive input".to_owned(),
        Condition::Focus(Focus::Nobody) => "nobody to receive input".to_owned(),
        Condition::InputOpen(true) => "input to be open".to_owned(),
        Condition::InputOpen(false) => "input to be muted".to_owned(),
        Condition::Banner { guest, .. } => format!("the banners of {guest}"),
        Condition::Region { file, .. } => format!("the region to look as {}", file.display()),
        Condition::ScreenText { guest, text, present: true, .. } => {
            format!("{guest} to show {text:?}")
        }
        Condition::ScreenText { guest, text, .. } => format!("{guest} no longer to show {text:?}"),
        Condition::OcrText { guest, text, .. } => format!("OCR to read {text:?} off {guest}"),
        Condition::Needle { name, .. } => format!("the needle {name}"),
        Condition::Stable { .. } => "the picture to be stable".to_owned(),
        Condition::Serial { guest, text, .. } => format!("{guest} to print {text:?}"),
        Condition::NoEvent(guest) => format!("no event in {guest}"),
        Condition::Unchanged(guest) => format!("{guest} to look as at the last mark"),
        Condition::Locked(true) => "the lock".to_owned(),
        Condition::Locked(false) => "somebody to log in".to_owned(),
        Condition::Running(guest, true) => format!("a process of {guest}"),
        Condition::Running(guest, false) => format!("the process of {guest} to end"),
        Condition::Jail(guest, _) => format!("the jail of {guest}"),
        Condition::Ended => "the desk to end".to_owned(),
    }
}
