//! Recording without a screen: each line that is typed is a step of the language, played at once and
//! kept if it passes; what came of it is added.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use tabard_view::Rect;

use super::glass::{Glass, Moment, REST};
use super::recorder::{Recorder, Typed};
use crate::harness::Harness;
use crate::script::player::Player;
use crate::script::report::Fate;
use crate::script::step::{Action, Place, Script, Step};

/// How long guests may take to come up before the first line is played.
const START: Duration = Duration::from_secs(60);
/// How long something may take to show after a step, if nothing shows before.
const ANSWER: Duration = Duration::from_millis(600);
/// A guest that never rests is not waited for longer.
const RESTLESS: Duration = Duration::from_secs(4);
/// How often a desk that has ended is noticed while nothing is typed.
const LOOK: Duration = Duration::from_millis(100);
/// What ends the recording, as the end of the input does.
const END: &str = "end";

/// The lines of standard input, read on a thread of their own: nobody waits for one when the desk has
/// ended. The thread ends with the input or with the program.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn lines() -> io::Result<Receiver<io::Result<String>>> {
    let (lines, typed) = bounded(0);
    let read = move || {
        for line in io::stdin().lines() {
            if lines.send(line).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("typed".to_owned()).spawn(read)?;
    Ok(typed)
}

/// Plays and records lines until they or the desk end; says how many were not kept.
///
/// # Errors
/// If the input cannot be read, in a sentence.
pub(super) fn record(
    player: &mut Player<'_>,
    glass: &Glass,
    recorder: &mut Recorder,
    script: &Path,
    input: &Receiver<io::Result<String>>,
) -> Result<u32, String> {
    let mut refused = 0;
    // Lines that hold for the steps after them: section, timeout, pace, font, needles.
    let mut held = String::new();
    // A guest that has not come up yet takes no key, here and when the script is played.
    player.harness.wait(START, |harness| {
        let guests = harness.status().guests;
        let runs = |guest: &usize| guests.get(*guest).is_some_and(|(_, process)| process.is_some());
        harness.ended() || (0..guests.len()).filter(runs).all(|guest| glass.is_up(guest))
    });
    settle(player, glass, &glass.moment());
    while let Some(line) = next(input, player.harness)? {
        let line = line.trim();
        if line == END || player.harness.ended() {
            break;
        }
        let done = if line.is_empty() || line.starts_with('#') {
            if !line.is_empty() {
                recorder.verbatim(vec![line.to_owned()]);
            }
            Ok(())
        } else if let Some(words) = line.strip_prefix("needle ") {
            needle(recorder, glass, words)
        } else {
            step(player, glass, recorder, script, &mut held, line)
        };
        if let Err(why) = done {
            refused += 1;
            eprintln!("tabard record: not kept: {line}: {why}");
        }
    }
    Ok(refused)
}

fn next(input: &Receiver<io::Result<String>>, harness: &Harness) -> Result<Option<String>, String> {
    if io::stdin().is_terminal() {
        eprint!("> ");
        // A prompt that comes late is no harm.
        let _ = io::stderr().flush();
    }
    loop {
        match input.recv_timeout(LOOK) {
            Ok(line) => {
                return line
                    .map(Some)
                    .map_err(|error| format!("Cannot read what is typed: {error}"));
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
            Err(RecvTimeoutError::Timeout) if harness.ended() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

fn step(
    player: &mut Player<'_>,
    glass: &Glass,
    recorder: &mut Recorder,
    script: &Path,
    held: &mut String,
    line: &str,
) -> Result<(), String> {
    let read = player.read(&format!("{held}{line}\n"), script).map_err(|faults| {
        let causes = faults.faults.iter().map(|fault| fault.cause.as_str());
        causes.collect::<Vec<_>>().join("; ")
    })?;
    let Some(step) = read.steps.first().cloned() else {
        held.push_str(line);
        held.push('\n');
        recorder.verbatim(vec![line.to_owned()]);
        return Ok(());
    };
    let before = glass.moment();
    play(player, &read)?;
    match kind(&step, &before, glass.guests()) {
        Some(kind) => {
            recorder.typed(line.to_owned(), kind, &before);
            settle(player, glass, &before);
        }
        None => recorder.verbatim(vec![line.to_owned()]),
    }
    Ok(())
}

fn play(player: &mut Player<'_>, script: &Script) -> Result<(), String> {
    let played = player.play(script).map_err(|faults| faults.to_string())?;
    played.said.iter().for_each(|line| eprintln!("{line}"));
    match played.results.last().map(|result| &result.fate) {
        Some(Fate::Failed { cause, .. }) => Err(cause.clone()),
        _ => Ok(()),
    }
}

/// What a step is; `None` for one that looks and changes nothing.
fn kind(step: &Step, before: &Moment, guests: &[String]) -> Option<Typed> {
    let index = |name: &String| guests.iter().position(|guest| guest == name);
    let on_screen = |place: &Place| match place {
        Place::Screen(x, y) => Some((*x, *y)),
        Place::Guest(name, x, y) => {
            let content = before.guests.get(index(name)?)?.content?;
            Some((content.x.saturating_add(*x), content.y.saturating_add(*y)))
        }
    };
    let pointed = |place: &Place, click: bool| match on_screen(place) {
        Some(at) => Typed::Pointed { at, click },
        None => Typed::Input,
    };
    Some(match &step.action {
        Action::WaitFor(_)
        | Action::Expect(_)
        | Action::Shot(..)
        | Action::Echo(_)
        | Action::Mark
        | Action::OnScreen(_) => return None,
        Action::Strokes(_) if step.text.contains("type ") => Typed::Text,
        Action::Strokes(_) | Action::Press(_) | Action::Release(_) | Action::Wheel(..) => {
            Typed::Input
        }
        Action::Move(place) | Action::Drag(_, place) => pointed(place, false),
        Action::Click(place, _) => pointed(place, true),
        Action::Manage(_, guest) => Typed::Whole(index(guest)),
        _ => Typed::Whole(None),
    })
}

/// `NAME X Y W H of GUEST`: a needle of what a guest shows now.
fn needle(recorder: &mut Recorder, glass: &Glass, words: &str) -> Result<(), String> {
    const FORM: &str = "write needle NAME X Y W H of GUEST";
    let words = crate::script::token::words(words)?;
    let [name, x, y, width, height, of, guest] = words.as_slice() else {
        return Err(FORM.to_owned());
    };
    let number = |word: &crate::script::token::Word| word.text.parse::<u32>().map_err(|_| FORM);
    let rect = Rect::new(number(x)?, number(y)?, number(width)?, number(height)?);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if of.text != "of" || !name.text.chars().all(plain) {
        return Err(format!("{FORM}; a NAME has letters, digits, - and _"));
    }
    let index = glass.guests().iter().position(|one| *one == guest.text);
    let index = index.ok_or_else(|| format!("The desk has no guest {:?}", guest.text))?;
    recorder.needle(&name.text, index, rect)
}

/// Waits until what a step did has shown and is at rest.
fn settle(player: &Player<'_>, glass: &Glass, before: &Moment) {
    let begin = Instant::now();
    let mut quiet = (glass.stir(), Instant::now());
    let first = before.stir();
    player.harness.wait(RESTLESS, |harness| {
        let stir = glass.stir();
        if stir != quiet.0 {
            quiet = (stir, Instant::now());
        }
        let rest = if quiet.0 == first { ANSWER } else { REST + REST / 3 };
        let still = quiet.1.elapsed() >= rest && begin.elapsed() >= rest;
        harness.ended() || still
    });
}
