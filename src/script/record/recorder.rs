//! What was done, and what came of it, as lines of a script: before a step what must be there, after
//! it the conditions that held when the user went on. Nothing is written about time.

use tabard_input::KeyCode;
use tabard_view::Recipient;

use super::draft::{Draft, quoted, word};
use super::gestures::Gesture;
use super::glass::{Glass, Moment};
use super::telling;
use crate::script::keys::{self, Stroke};

/// A user who pauses for so long looks at what came of what was typed, in milliseconds.
const PAUSE_MS: u128 = 700;
/// What a step may wait if the script says no more, in seconds; the head of the script says it.
const TIMEOUT_S: u64 = 60;

/// The log of one recording.
pub(super) struct Recorder {
    pub(super) glass: Glass,
    draft: Draft,
    begun: Option<Moment>,
    pending: Option<Pending>,
    /// Where the script has put the pointer, in pixels of the screen.
    pointer: Option<(u32, u32)>,
    /// The first that went wrong with the files.
    fault: Option<String>,
}

/// What was done and is not yet in the script.
struct Pending {
    what: What,
    /// How things stood before it.
    before: Moment,
    /// When its last part was done.
    last: Moment,
    /// What must be there before it.
    first: Vec<String>,
}

/// What was done.
enum What {
    /// Characters, and whether they are a password.
    Text(String, bool),
    /// The secure-attention key, and what was pressed on the trusted screen to go somewhere.
    Sak(Option<Stroke>),
    /// Other steps that wait for nothing by themselves.
    Steps(Vec<String>),
    /// Steps that wait for what they do, and a guest of which a line is waited for.
    Whole(Vec<String>, Option<usize>),
}

impl Recorder {
    /// Nothing was done yet.
    pub(super) fn new(glass: Glass, draft: Draft) -> Self {
        Self {
            begun: Some(glass.moment()),
            glass,
            draft,
            pending: None,
            pointer: None,
            fault: None,
        }
    }

    /// Takes a gesture; `before` is how things stood when it began, and `away` when the pointer left
    /// the place where it was before, if it did.
    pub(super) fn gesture(&mut self, gesture: &Gesture, before: &Moment, away: Option<&Moment>) {
        match gesture {
            Gesture::Sak => self.begin(What::Sak(None), before, away, Vec::new()),
            Gesture::Key(stroke) => self.key(stroke, before, away),
            Gesture::Click { at, button, modifiers } => {
                let first = self.target(*at, before, away);
                let line = format!("click {}{}", self.place(*at, before), button_word(*button));
                let steps = under(modifiers, line);
                self.begin(What::Steps(steps), before, away, first);
                self.pointer = Some(*at);
            }
            Gesture::Drag { from, to, button, modifiers } => {
                let line = if *button == KeyCode::BUTTON_LEFT {
                    format!("drag {} {}", self.place(*from, before), self.place(*to, before))
                } else {
                    "# A drag with another button than the left one has no word in scripts"
                        .to_owned()
                };
                self.begin(What::Steps(under(modifiers, line)), before, away, Vec::new());
                self.pointer = Some(*to);
            }
            Gesture::Wheel { at, vertical, horizontal } => {
                let mut steps = self.moved(*at, before);
                let sideways =
                    if *horizontal == 0 { String::new() } else { format!(" {horizontal}") };
                steps.push(format!("wheel {vertical}{sideways}"));
                self.begin(What::Steps(steps), before, away, Vec::new());
            }
        }
    }

    /// Takes a step as it was typed. Its own words are kept; what came of it is waited for unless it
    /// waits by itself.
    pub(super) fn typed(&mut self, line: String, kind: Typed, before: &Moment) {
        let (what, first) = match kind {
            // What is typed at the lock is a password: it does not belong into a file.
            Typed::Text if before.login => (What::Text(String::new(), true), Vec::new()),
            Typed::Text | Typed::Input => (What::Steps(vec![line]), Vec::new()),
            Typed::Pointed { at, click } => {
                let away = before.clone();
                let first = if click { self.target(at, before, Some(&away)) } else { Vec::new() };
                self.pointer = Some(at);
                (What::Steps(vec![line]), first)
            }
            Typed::Whole(guest) => (What::Whole(vec![line], guest), Vec::new()),
        };
        self.begin(what, before, None, first);
    }

    /// The screen has another size.
    pub(super) fn resized(&mut self, size: tabard_view::Size, scale: tabard_view::Scale) {
        if self.begun.is_some() && self.pending.is_none() {
            self.draft.screen = (size, scale);
        } else {
            self.verbatim(vec![format!("screen resize {}", super::draft::screen(size, scale))]);
        }
    }

    /// Adds lines as they are.
    pub(super) fn verbatim(&mut self, lines: Vec<String>) {
        let now = self.glass.moment();
        self.finish(&now, None);
        self.write(lines);
    }

    /// Makes a needle of a part of what a guest shows, and waits for it in the script.
    ///
    /// # Errors
    /// A sentence.
    pub(super) fn needle(
        &mut self,
        name: &str,
        guest: usize,
        rect: tabard_view::Rect,
    ) -> Result<(), String> {
        let now = self.glass.moment();
        let shown = now.guests.get(guest).map(|then| &then.part.picture);
        let picture = shown.filter(|picture| picture.size.rect().covers(rect) && !rect.is_empty());
        let picture = picture.ok_or("The part ends outside the picture of the guest")?;
        self.draft.named_needle(name, picture, rect)?;
        let guest = self.name(guest);
        self.verbatim(vec![format!("wait-for needle {} of {guest}", word(name))]);
        Ok(())
    }

    /// Ends the recording; the script has all of it then.
    ///
    /// # Errors
    /// The first that went wrong with the files, in a sentence.
    pub(super) fn end(mut self, ended: bool) -> Result<Draft, String> {
        let now = self.glass.moment();
        let by_user = self.pending.as_ref().is_some_and(|one| ended && one.before.asks_to_end());
        if by_user && let Some(pending) = self.pending.take() {
            // Nothing is on the glass any more.
            let mut lines = pending.first;
            lines.extend(pending.what.lines());
            lines.push("wait-for ended".to_owned());
            self.write(lines);
        } else {
            self.finish(&now, None);
        }
        self.fault.map_or(Ok(self.draft), Err)
    }

    fn key(&mut self, stroke: &Stroke, before: &Moment, away: Option<&Moment>) {
        // From the trusted screen to a guest is one step.
        if let Some(Pending { what: What::Sak(goto @ None), last, .. }) = &mut self.pending
            && before.recipient == Recipient::Trusted
            && stroke.modifiers.is_empty()
            && (KeyCode::DIGIT_1..=KeyCode::DIGIT_9).contains(&stroke.key)
        {
            *goto = Some(stroke.clone());
            *last = before.clone();
            return;
        }
        let character = keys::character_of(stroke);
        if let (Some(pending), Some(character)) = (&mut self.pending, character)
            && pending.continues(character, before)
            && let What::Text(text, _) = &mut pending.what
        {
            text.push(character);
            pending.last = before.clone();
            return;
        }
        let what = match character {
            Some(character) if !matches!(character, '\n' | '\t') => {
                What::Text(character.to_string(), before.login)
            }
            _ => What::Steps(vec![chord(stroke)]),
        };
        self.begin(what, before, away, Vec::new());
    }

    /// What was done before is over, and this begins.
    fn begin(&mut self, what: What, before: &Moment, away: Option<&Moment>, first: Vec<String>) {
        self.finish(before, away);
        let (before, last) = (before.clone(), before.clone());
        self.pending = Some(Pending { what, before, last, first });
    }

    /// Writes what was done, with what had come of it when the user went on.
    fn finish(&mut self, after: &Moment, away: Option<&Moment>) {
        if let Some(start) = self.begun.take() {
            let lines = self.beginning(&start, after);
            self.write(lines);
        }
        let Some(pending) = self.pending.take() else { return };
        let mut lines = Vec::new();
        let outcome = self.outcome(&pending, after, away);
        lines.extend(outcome.marks.then(|| "mark".to_owned()));
        lines.extend(pending.first);
        match (&pending.what, after.guest()) {
            (What::Sak(Some(_)), Some(guest)) => lines.push(format!("switch {}", self.name(guest))),
            (what, _) => {
                lines.extend(what.lines());
                lines.extend(outcome.waits);
            }
        }
        self.draft.secret |= matches!(pending.what, What::Text(_, true));
        self.write(lines);
    }

    fn write(&mut self, lines: Vec<String>) {
        if let Err(fault) = self.draft.add(lines) {
            self.fault.get_or_insert(fault);
        }
    }

    /// What must be there before the first step.
    fn beginning(&self, start: &Moment, now: &Moment) -> Vec<String> {
        let limit = limit(start, now);
        let mut lines = Vec::new();
        for (guest, then) in now.guests.iter().enumerate() {
            let name = self.name(guest);
            let told = telling::line(&self.glass.printed(guest, 0, then.serial_bytes));
            if let Some(text) = told {
                lines.push(format!("wait-for serial {name} {}{limit}", quoted(&text)));
            } else if then.own.is_some() && now.rested(&then.part) {
                lines.push(format!("wait-for stable {name}{limit}"));
            }
        }
        lines.push(format!("wait-for focus {}{limit}", self.recipient(now.recipient)));
        lines
    }

    /// What came of what was done.
    fn outcome(&mut self, pending: &Pending, after: &Moment, away: Option<&Moment>) -> Outcome {
        let before = &pending.before;
        let limit = limit(&pending.last, after);
        let mut outcome = Outcome::default();
        let watched = match &pending.what {
            // These wait until the glass shows the trusted screen.
            What::Sak(None) if after.recipient == Recipient::Trusted => return outcome,
            What::Whole(_, guest) => {
                let Some(guest) = guest else { return outcome };
                *guest
            }
            _ if before.recipient != after.recipient => {
                let line = format!("wait-for focus {}{limit}", self.recipient(after.recipient));
                outcome.waits.push(line);
                return outcome;
            }
            _ => match before.guest() {
                Some(guest) => guest,
                None => {
                    outcome.waits = trusted(before, after, &limit);
                    return outcome;
                }
            },
        };
        let (Some(then), Some(now)) = (before.guests.get(watched), after.guests.get(watched))
        else {
            return outcome;
        };
        let name = self.name(watched);
        let printed = |until: &Moment| {
            let to = until.guests.get(watched)?.serial_bytes;
            telling::line(&self.glass.printed(watched, then.serial_bytes, to))
        };
        // What a guest prints because the pointer leaves is not of this step.
        if let Some(text) = away.and_then(printed).or_else(|| printed(after)) {
            outcome.marks = true;
            outcome.waits.push(format!("wait-for serial {name} {}{limit}", quoted(&text)));
        }
        if matches!(pending.what, What::Whole(..)) {
            return outcome;
        }
        // The moment when the pointer was still where the script has it is the better one.
        let rested = |moment: &Moment| {
            moment.guests.get(watched).is_some_and(|guest| moment.rested(&guest.part))
        };
        let moments = away.into_iter().chain([after]).filter(|moment| rested(moment));
        let seen = moments
            .filter_map(|moment| moment.guests.get(watched))
            .find(|seen| seen.part.version != then.part.version);
        if let Some(seen) = seen {
            let own = then.own.as_ref().zip(seen.own.as_ref());
            let pointer = self.pointer_in(now.content);
            let changed = own.and_then(|(then, now)| telling::changed(then, now, pointer));
            // A line says more than a picture: it is there whatever the guest draws.
            if let Some((rect, (_, own))) = changed.zip(own).filter(|_| !outcome.marks) {
                match self.draft.needle(&self.glass.guests()[watched].clone(), own, rect) {
                    Ok(needle) => {
                        outcome.waits.push(format!("wait-for needle {needle} of {name}{limit}"));
                    }
                    Err(fault) => {
                        self.fault.get_or_insert(fault);
                    }
                }
            }
            outcome.waits.push(format!("wait-for stable {name}{limit}"));
        }
        outcome
    }

    /// What is clicked on must be there before, as it was when the pointer was still elsewhere.
    fn target(&mut self, at: (u32, u32), before: &Moment, away: Option<&Moment>) -> Vec<String> {
        let (Some((guest, place)), Some(away)) = (before.place(at), away) else {
            return Vec::new();
        };
        let then = before.guests.get(guest).zip(away.guests.get(guest));
        let Some((own, shown)) =
            then.and_then(|(now, then)| Some((now.own.clone()?, then.part.picture.clone())))
        else {
            return Vec::new();
        };
        let same = |rect: &tabard_view::Rect| {
            crate::script::diff::crop(&own, *rect) == crate::script::diff::crop(&shown, *rect)
        };
        let Some(rect) = telling::target(&own, place).filter(same) else { return Vec::new() };
        let name = self.glass.guests().get(guest).cloned().unwrap_or_default();
        match self.draft.needle(&name, &own, rect) {
            Ok(needle) => vec![format!("wait-for needle {needle} of {}", word(&name))],
            Err(fault) => {
                self.fault.get_or_insert(fault);
                Vec::new()
            }
        }
    }

    /// A step that brings the pointer there, if the script has it elsewhere.
    fn moved(&mut self, at: (u32, u32), moment: &Moment) -> Vec<String> {
        if self.pointer == Some(at) {
            return Vec::new();
        }
        self.pointer = Some(at);
        vec![format!("move {}", self.place(at, moment))]
    }

    fn place(&self, at: (u32, u32), moment: &Moment) -> String {
        match moment.place(at) {
            Some((guest, (x, y))) => format!("at {} {x} {y}", self.name(guest)),
            None => format!("{} {}", at.0, at.1),
        }
    }

    fn pointer_in(&self, content: Option<tabard_view::Rect>) -> Option<(u32, u32)> {
        let ((x, y), content) = self.pointer.zip(content)?;
        Some((x.checked_sub(content.x)?, y.checked_sub(content.y)?))
    }

    fn name(&self, guest: usize) -> String {
        word(self.glass.guests().get(guest).map_or("", String::as_str))
    }

    fn recipient(&self, recipient: Recipient) -> String {
        match recipient {
            Recipient::Guest(guest) => self.name(guest.0.into()),
            Recipient::Trusted => "trusted".to_owned(),
            Recipient::Nobody => "nobody".to_owned(),
        }
    }
}

/// What a typed step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Typed {
    /// A text.
    Text,
    /// Keys, or the wheel.
    Input,
    /// Something with the pointer, which is here afterwards, in pixels of the screen.
    Pointed { at: (u32, u32), click: bool },
    /// It waits for what it does; of this guest a line may be waited for too.
    Whole(Option<usize>),
}

/// What came of a step.
#[derive(Default)]
struct Outcome {
    /// Whether what was printed before it must not count.
    marks: bool,
    waits: Vec<String>,
}

impl Pending {
    /// Whether a character belongs to the text that was typed before it.
    fn continues(&self, character: char, now: &Moment) -> bool {
        let What::Text(text, secret) = &self.what else { return false };
        let pause = now.at.saturating_duration_since(self.last.at).as_millis();
        // A line that was sent off had an answer to wait for.
        let sent = text.ends_with('\n') && pause >= 300;
        let secret_ends = *secret && matches!(character, '\n' | '\t');
        now.recipient == self.before.recipient
            && *secret == now.login
            && !sent
            && !secret_ends
            && (*secret || pause < PAUSE_MS)
    }
}

impl What {
    fn lines(&self) -> Vec<String> {
        match self {
            Self::Text(_, true) => vec!["type \"${PASSWORD}\"".to_owned()],
            Self::Text(text, false) => vec![format!("type {}", quoted(text))],
            Self::Sak(goto) => {
                let after = goto.iter().map(chord);
                ["sak".to_owned()].into_iter().chain(after).collect()
            }
            Self::Steps(lines) | Self::Whole(lines, _) => lines.clone(),
        }
    }
}

/// What the trusted screen says now and did not say before.
fn trusted(before: &Moment, after: &Moment, limit: &str) -> Vec<String> {
    let mut waits = Vec::new();
    if after.screen.version == before.screen.version || !after.rested(&after.screen) {
        return waits;
    }
    // What is typed at the lock is shown as stars; how many is nobody's business.
    if !after.login
        && let Some(text) = telling::text(&before.texts, &after.texts)
    {
        waits.push(format!("wait-for text {}{limit}", quoted(&text)));
    }
    waits.push(format!("wait-for stable{limit}"));
    waits
}

/// The end of a line that may have to wait longer than others: what was waited for took long.
fn limit(from: &Moment, to: &Moment) -> String {
    let seconds = to.at.saturating_duration_since(from.at).as_secs().saturating_mul(3);
    if seconds > TIMEOUT_S { format!(" within {}s", seconds.min(3600)) } else { String::new() }
}

/// A step with modifiers held meanwhile.
fn under(modifiers: &[KeyCode], line: String) -> Vec<String> {
    let name = |key: &KeyCode| key.name().unwrap_or_default().to_owned();
    let press = modifiers.iter().map(|key| format!("press {}", name(key)));
    let release = modifiers.iter().rev().map(|key| format!("release {}", name(key)));
    press.chain([line]).chain(release).collect()
}

fn button_word(button: KeyCode) -> &'static str {
    match button {
        KeyCode::BUTTON_RIGHT => " right",
        KeyCode::BUTTON_MIDDLE => " middle",
        _ => "",
    }
}

/// A key with its modifiers, as a step.
fn chord(stroke: &Stroke) -> String {
    let Some(key) = stroke.key.name() else {
        return format!("# The key with the code {} has no name in scripts", stroke.key.0);
    };
    let modifier = |key: &KeyCode| match *key {
        KeyCode::LEFT_CTRL => "Ctrl+".to_owned(),
        KeyCode::LEFT_ALT => "Alt+".to_owned(),
        KeyCode::LEFT_SHIFT => "Shift+".to_owned(),
        KeyCode::LEFT_META => "Meta+".to_owned(),
        other => format!("{}+", other.name().unwrap_or_default()),
    };
    let held: String = stroke.modifiers.iter().map(modifier).collect();
    format!("key {held}{key}")
}
