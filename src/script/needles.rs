//! The needles that a script names: read before anything starts, and looked for in what is shown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tabard_display::Frame;
use tabard_sight::{Font, Judged, Pattern, Set, best, read_console};
use tabard_view::Rect;

use super::condition::{Eyes, Failure};
use super::diff;
use super::fault::Fault;
use super::ocr::{LANGUAGE, Reader, words as ocr_words};
use super::step::{Button, FontFrom, Place, Region, Script};
use crate::session::desk::chain;

/// Where needles are if a script does not say: in this folder beside it.
const FOLDER: &str = "needles";
/// What may differ in a needle without counting, of 255.
const TOLERANCE: u8 = 15;

/// What a script compares pictures with.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    /// The needles of each name that it has.
    named: BTreeMap<String, Vec<Pattern>>,
    /// The glyphs of consoles.
    pub(crate) font: Option<Font>,
    /// What reads other text.
    pub(crate) reader: Option<Reader>,
}

/// Finds what reads text by OCR; `used` is the first line that needs it.
pub(crate) fn load_reader(
    script: &Script,
    used: Option<usize>,
    faults: &mut Vec<Fault>,
) -> Option<Reader> {
    let used = used?;
    let (line, language) = script.ocr_language.clone().unwrap_or((used, LANGUAGE.to_owned()));
    Reader::find(&language).map_err(|cause| faults.push(Fault { file: None, line, cause })).ok()
}

/// Reads the font that a script names; `used` is the first line that reads a console.
pub(crate) fn load_font(
    script: &Script,
    used: Option<usize>,
    faults: &mut Vec<Fault>,
) -> Option<Font> {
    let beside = script.file.parent().unwrap_or(Path::new(""));
    let Some((line, from)) = &script.font else {
        let cause = "To read what a guest shows, its font must be known. Write above the first step: \
                     font FILE.psf, or font SAMPLE.png SAMPLE.txt 8x16";
        faults.extend(used.map(|line| Fault { file: None, line, cause: cause.to_owned() }));
        return None;
    };
    let font = match from {
        FontFrom::Psf(file) => Font::read(&beside.join(file)),
        FontFrom::Sample(picture, text, size) => {
            Font::learn(&beside.join(picture), &beside.join(text), *size)
        }
    };
    font.map_err(|fault| {
        faults.push(Fault { file: None, line: *line, cause: fault.to_string() });
    })
    .ok()
}

/// What a needle was found as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sighting {
    /// In words: its name, how like it is, and where.
    pub(crate) words: String,
    /// Where a click goes, on the screen.
    pub(crate) click: (u32, u32),
}

/// Reads the needles of these names, each with the line that has it.
pub(crate) fn load<'n>(
    script: &Script,
    names: impl IntoIterator<Item = (usize, &'n str)>,
    faults: &mut Vec<Fault>,
) -> Needles {
    let mut needles = Needles::default();
    let mut names = names.into_iter().peekable();
    let Some((first, _)) = names.peek().copied() else { return needles };
    let beside = script.file.parent().unwrap_or(Path::new(""));
    let (line, named) = script.needles.clone().unwrap_or((first, PathBuf::from(FOLDER)));
    let folder = beside.join(named);
    let set = match Set::read(&folder) {
        Ok(set) => set,
        Err(all) => {
            faults.extend(all.iter().map(|fault| Fault {
                file: None,
                line,
                cause: fault.to_string(),
            }));
            return needles;
        }
    };
    for (line, name) in names {
        if needles.named.contains_key(name) {
            continue;
        }
        let found = set.named(name);
        if found.is_empty() {
            let tags = set.tags().join(", ");
            let cause = format!(
                "No needle in {} has the tag {name:?}. There are: {tags}. Make one by tabard needle new",
                folder.display()
            );
            faults.push(Fault { file: None, line, cause });
        }
        let mut patterns = Vec::new();
        for needle in found {
            match Pattern::load(needle.clone()) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => faults.push(Fault { file: None, line, cause: chain(&error) }),
            }
        }
        needles.named.insert(name.to_owned(), patterns);
    }
    needles
}

/// A needle that was looked for, by its area that lacks most.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    /// Its name.
    pub(crate) name: String,
    /// Whether all of it was found.
    pub(crate) ok: bool,
    /// How like the area is, in percent.
    pub(crate) percent: f64,
    /// How like it must be, in percent.
    pub(crate) wanted: f64,
    /// Where the area is in the needle, in pixels of what was looked at.
    pub(crate) home: Rect,
    /// Where it was found, or comes nearest.
    pub(crate) found: Rect,
    /// The area.
    pub(crate) needle: Frame,
    /// What was found.
    pub(crate) nearest: Frame,
}

impl Eyes<'_> {
    /// All needles of a name, as the screen or a guest shows them now, the best first.
    pub(crate) fn candidates(&self, name: &str, guest: Option<&str>) -> Vec<Candidate> {
        let Ok(snapshot) = self.hands.snapshot() else { return Vec::new() };
        let picture = match guest.map(|guest| self.rect(&Region::Guest(guest.to_owned()))) {
            Some(Ok(rect)) => diff::crop(&snapshot.frame, rect),
            Some(Err(_)) => return Vec::new(),
            None => snapshot.frame,
        };
        let patterns = self.needles.named.get(name).map(Vec::as_slice).unwrap_or_default();
        let candidate = |pattern: &Pattern| {
            let verdict = pattern.judge(&picture);
            let area = verdict.worst()?;
            Some(Candidate {
                name: pattern.needle.name.clone(),
                ok: verdict.ok(),
                percent: area.percent,
                wanted: area.wanted,
                home: area.home,
                found: area.found,
                needle: diff::crop(&pattern.picture, area.home),
                nearest: diff::crop(&picture, area.found),
            })
        };
        let mut all: Vec<Candidate> = patterns.iter().filter_map(candidate).collect();
        all.sort_by(|one, other| other.ok.cmp(&one.ok).then(other.percent.total_cmp(&one.percent)));
        all
    }

    /// Looks for a needle on the screen, or in the picture of a guest.
    pub(crate) fn needle(&self, name: &str, guest: Option<&str>) -> Result<Sighting, Failure> {
        let frame = self.hands.snapshot()?.frame;
        let rect = match guest {
            Some(guest) => self.rect(&Region::Guest(guest.to_owned()))?,
            None => frame.size.rect(),
        };
        let picture = if guest.is_some() { diff::crop(&frame, rect) } else { frame };
        let patterns = self.needles.named.get(name).map(Vec::as_slice).unwrap_or_default();
        let judged =
            best(patterns, &picture).ok_or_else(|| format!("There is no needle {name:?}"))?;
        if !judged.verdict.ok() {
            return Err(missed(name, &judged, &picture));
        }
        let (x, y) = judged.verdict.click().unwrap_or_default();
        let (x, y) = (x.saturating_add(rect.x), y.saturating_add(rect.y));
        Ok(Sighting { words: format!("{}, click at {x},{y}", words(&judged)), click: (x, y) })
    }

    /// Whether a guest's console shows a text.
    pub(crate) fn screen_text(
        &self,
        guest: &str,
        text: &str,
        present: bool,
        within: Option<Rect>,
    ) -> Result<(), Failure> {
        /// Lines that a failure quotes.
        const LINES: usize = 30;
        let frame = self.hands.snapshot()?.frame;
        let picture = diff::crop(&frame, self.rect(&Region::Guest(guest.to_owned()))?);
        let Some(font) = &self.needles.font else { return Err("No font is known".into()) };
        let shown = read_console(&picture, font, within);
        if shown.contains(text) == present {
            return Ok(());
        }
        let verb = if present { "does not show" } else { "shows" };
        let lines: Vec<&str> = shown.lines().filter(|line| !line.is_empty()).collect();
        let last = lines.iter().skip(lines.len().saturating_sub(LINES)).copied();
        let last = last.collect::<Vec<_>>().join(" | ");
        Err(format!("{guest} {verb} {text:?}; it shows: {last}").into())
    }

    /// Whether OCR reads a text off what a guest shows.
    pub(crate) fn ocr_text(
        &self,
        guest: &str,
        text: &str,
        within: Option<Rect>,
    ) -> Result<(), Failure> {
        let frame = self.hands.snapshot()?.frame;
        let picture = diff::crop(&frame, self.rect(&Region::Guest(guest.to_owned()))?);
        let Some(reader) = &self.needles.reader else { return Err("Nothing reads text".into()) };
        let read = ocr_words(&reader.read(&picture, within)?);
        if read.contains(&ocr_words(text)) {
            return Ok(());
        }
        Err(format!("OCR does not read {text:?} off {guest}; it reads: {read}").into())
    }

    /// Waits for a needle, and clicks on it.
    pub(crate) fn click_needle(
        &self,
        name: &str,
        guest: Option<&str>,
        button: Button,
    ) -> Result<Sighting, Failure> {
        self.hands.open()?;
        let mut found = None;
        let waited = self.hands.wait(&format!("the needle {name}"), |_| {
            found = self.needle(name, guest).ok();
            found.is_some()
        });
        match (waited, found) {
            (Ok(()), Some(sighting)) => {
                let (x, y) = sighting.click;
                self.hands.click(&Place::Screen(x, y), button)?;
                Ok(sighting)
            }
            (waited, _) => match self.needle(name, guest) {
                Err(why) => {
                    let cause = format!("{}. {}", waited.err().unwrap_or_default(), why.cause);
                    Err(Failure { cause, ..why })
                }
                Ok(_) => Err(waited.err().unwrap_or_default().into()),
            },
        }
    }
}

/// A needle and how it was judged, such as `ok-button: 99.2 % at 30,40`.
fn words(judged: &Judged<'_>) -> String {
    let Rect { x, y, .. } = judged.verdict.areas.first().map(|area| area.found).unwrap_or_default();
    let (name, percent) = (&judged.pattern.needle.name, judged.verdict.percent());
    format!("needle {name}: {percent:.1} % at {x},{y}")
}

fn missed(name: &str, judged: &Judged<'_>, picture: &Frame) -> Failure {
    let nearest = &judged.pattern.needle.name;
    let Some(area) = judged.verdict.worst() else {
        return format!("The needle {nearest} has no area").into();
    };
    let cause = if picture.size.rect().covers(area.home) {
        format!(
            "No needle {name:?} is there. The nearest is {nearest}: {:.1} % of {:.1} % at {},{}, and it was at {},{}",
            area.percent, area.wanted, area.found.x, area.found.y, area.home.x, area.home.y
        )
    } else {
        format!(
            "No needle {name:?} is there. An area of {nearest} ends at {},{}, outside the picture, which has {}x{} pixels",
            area.home.right(),
            area.home.bottom(),
            picture.size.width,
            picture.size.height
        )
    };
    let expected = diff::crop(&judged.pattern.picture, area.home);
    let found = diff::crop(picture, area.found);
    let difference = diff::compare(&expected, &found, TOLERANCE).map(|difference| difference.image);
    let mut pictures = vec![("needle", expected), ("nearest", found)];
    pictures.extend(difference.map(|image| ("difference", image)));
    Failure { cause, pictures }
}
