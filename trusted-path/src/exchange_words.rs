//! What the trusted screen and the bar say about texts and questions of guests.

use tabard_view::Hint;

use crate::sheet::{About, Sheet, Wait};
use crate::words::hint;
use crate::{Clip, Reason};

/// Length in words.
fn bytes(count: u32) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}

pub(crate) fn nothing_offered(name: &str) -> String {
    format!("{name} offers no text; copy it there first")
}

pub(crate) fn taken(name: &str, count: u32, seconds: u16) -> String {
    format!("{} of {name} taken for {seconds} s; select a guest, V gives it", bytes(count))
}

pub(crate) const NOTHING_TAKEN: &str = "no text was taken; select a guest, C takes its text";

pub(crate) fn not_listening(name: &str) -> String {
    format!("{name} has no agent that could take a text")
}

pub(crate) fn refused(from: &str, to: &str, reason: Reason) -> String {
    format!("refused, {from} to {to}: {reason}")
}

pub(crate) fn given(count: u32, from: &str, to: &str) -> String {
    format!("{} of {from} given to {to}", bytes(count))
}

pub(crate) const NO_QUESTION: &str = "no guest asks anything";
pub(crate) const TOO_SMALL: &str = "a screen is too small to show a whole page of text";
/// The guest is gone, or has waited long enough.
pub(crate) const QUESTION_GONE: &str = "nobody waits for that answer any more";

pub(crate) fn answered(name: &str, yes: bool) -> String {
    format!("{name} gets the answer {}", if yes { "yes" } else { "no" })
}

/// The badge of the bar: how many guests ask, however often each does.
pub(crate) fn questions_wait(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 question waits".to_owned(),
        count => format!("{count} questions wait"),
    }
}

/// The remark on the row of a guest.
pub(crate) fn remark(asks: bool, held: bool, had_it: bool) -> &'static str {
    match (asks, held, had_it) {
        (true, _, _) => "asks a question",
        (_, true, _) => "its text is taken",
        (_, _, true) => "had the keyboard",
        _ => "",
    }
}

/// What can be done with texts and questions.
pub(crate) fn hints(offers: bool, held_of: Option<&str>, asked: bool) -> Vec<Hint> {
    let mut hints = Vec::new();
    if asked {
        hints.push(hint("A", "see the question"));
    }
    if offers {
        hints.push(hint("C", "take its text"));
    }
    if let Some(name) = held_of {
        hints.push(hint("V", &format!("give it the text of {name}")));
    }
    hints
}

pub(crate) const REVIEW_TITLE: &str = "Release this text?";
pub(crate) const QUESTION_TITLE: &str = "A guest asks";
pub(crate) const QUESTION_SUMMARY: &str = "the guest wrote this; the answer it gets is signed";

/// The length and the beginning of the digest, as the audit has it.
pub(crate) fn review_summary(clip: &Clip) -> String {
    let digest: String = clip.digest.0.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}, SHA-256 {digest}…  exactly this and nothing else goes", bytes(clip.bytes))
}

/// The hints below an open text.
pub(crate) fn sheet_hints(sheet: &Sheet) -> Vec<Hint> {
    let mut hints = Vec::new();
    if !sheet.on_last_page() {
        hints.push(hint("Enter", "next page"));
    }
    if sheet.page > 0 {
        hints.push(hint("Left", "page before"));
    }
    match &sheet.about {
        About::Review { .. } => hints.push(hint("Esc", "do not release it")),
        About::Question { wait, .. } => {
            // What is not yet obeyed is not yet offered.
            if sheet.on_last_page() && *wait == Wait::Over {
                hints.push(hint("Y", "answer yes"));
                hints.push(hint("N", "answer no"));
            }
            hints.push(hint("Esc", "later"));
        }
    }
    hints
}
