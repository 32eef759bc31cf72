//! Holds a script against its desk and its folder before anything starts: every guest that it
//! names must be there, and every picture that it compares with must be readable.

use std::path::Path;

use tabard_display::read_png;

use super::fault::Faults;
use super::needles::{self, Needles};
use super::step::{Action, Condition, Focus, Place, Region, Script};
use crate::session::desk::Desk;
use crate::session::desk::chain;

/// Checks the steps of a script, and reads the needles that they name.
///
/// # Errors
/// Every fault.
pub(crate) fn check(script: &Script, desk: &Desk) -> Result<Needles, Faults> {
    let folder = script.file.parent().unwrap_or(Path::new(""));
    let mut faults = Vec::new();
    for step in &script.steps {
        let (guests, picture) = names(&step.action);
        for name in guests {
            if !desk.guests.iter().any(|guest| guest.name == *name) {
                let known: Vec<&str> =
                    desk.guests.iter().map(|guest| guest.name.as_str()).collect();
                let cause = format!("The desk has no guest {name:?}. It has {}", known.join(", "));
                faults.push(step.fault(cause));
            }
        }
        if let Some(Err(error)) = picture.map(|file| read_png(&folder.join(file))) {
            let cause = format!(
                "{}. Make it by a shot of the same part, and look at it before you trust it",
                chain(&error)
            );
            faults.push(step.fault(cause));
        }
    }
    let names = script.steps.iter().filter_map(|step| Some((step.line, needle(&step.action)?)));
    let mut needles = needles::load(script, names, &mut faults);
    let reads = script.steps.iter().find(|step| reads_console(&step.action));
    needles.font = needles::load_font(script, reads.map(|step| step.line), &mut faults);
    let reads = script.steps.iter().find(|step| reads_by_ocr(&step.action));
    needles.reader = needles::load_reader(script, reads.map(|step| step.line), &mut faults);
    if faults.is_empty() { Ok(needles) } else { Err(Faults { file: script.file.clone(), faults }) }
}

fn reads_console(action: &Action) -> bool {
    matches!(
        action,
        Action::WaitFor(Condition::ScreenText { .. })
            | Action::Expect(Condition::ScreenText { .. })
    )
}

fn reads_by_ocr(action: &Action) -> bool {
    matches!(
        action,
        Action::WaitFor(Condition::OcrText { .. }) | Action::Expect(Condition::OcrText { .. })
    )
}

fn needle(action: &Action) -> Option<&str> {
    match action {
        Action::ClickNeedle(name, ..)
        | Action::WaitFor(Condition::Needle { name, .. })
        | Action::Expect(Condition::Needle { name, .. }) => Some(name),
        _ => None,
    }
}

/// The guests that a step names, and the picture that it compares with.
fn names(action: &Action) -> (Vec<&String>, Option<&Path>) {
    let guests = match action {
        Action::Move(place) | Action::Click(place, _) => of_place(place).into_iter().collect(),
        Action::Drag(from, to) => of_place(from).into_iter().chain(of_place(to)).collect(),
        Action::Switch(name)
        | Action::Manage(_, name)
        | Action::Kill(name)
        | Action::Save(name, _)
        | Action::From { guest: name, .. }
        | Action::Exchange(_, name) => vec![name],
        Action::Shot(_, name) | Action::ClickNeedle(_, name, _) => name.iter().collect(),
        Action::WaitFor(condition) | Action::Expect(condition) => return of_condition(condition),
        _ => Vec::new(),
    };
    (guests, None)
}

fn of_place(place: &Place) -> Option<&String> {
    match place {
        Place::Guest(name, ..) => Some(name),
        Place::Screen(..) => None,
    }
}

fn of_condition(condition: &Condition) -> (Vec<&String>, Option<&Path>) {
    match condition {
        Condition::Focus(Focus::Guest(name))
        | Condition::Banner { guest: name, .. }
        | Condition::Serial { guest: name, .. }
        | Condition::NoEvent(name)
        | Condition::Unchanged(name)
        | Condition::Running(name, _)
        | Condition::Jail(name, _)
        | Condition::ScreenText { guest: name, .. }
        | Condition::OcrText { guest: name, .. }
        | Condition::Needle { guest: Some(name), .. }
        | Condition::Stable { guest: Some(name), .. } => (vec![name], None),
        Condition::Region { region: Region::Guest(name), file, .. } => (vec![name], Some(file)),
        Condition::Region { file, .. } => (Vec::new(), Some(file)),
        _ => (Vec::new(), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::parse::parse;

    const DESK: &str = "[desk]\nname = \"d\"\ntheme = \"us\"\n\
        [guests.web]\nlabel = \"UNCLASSIFIED\"\nkernel = \"builtin:probe\"\n";

    fn faults(text: &str) -> Vec<usize> {
        let desk = Desk::parse(DESK, Path::new("d.toml")).unwrap();
        let script = parse(text, Path::new("no-such-folder/t")).unwrap();
        check(&script, &desk)
            .err()
            .map(|faults| faults.faults.iter().map(|fault| fault.line).collect())
            .unwrap_or_default()
    }

    #[test]
    fn guests_that_are_not_there_are_found_before_anything_starts() {
        let text = "switch web\nswitch wed\ndrag at web 1 1 at wob 2 2\nexpect no-event wib";
        assert_eq!(faults(text), [2, 3, 4]);
    }

    #[test]
    fn needles_that_are_not_there_are_found_before_anything_starts() {
        assert_eq!(faults("sak\nwait-for needle ok\nclick needle other of wob"), [3, 2]);
    }

    #[test]
    fn a_console_is_not_read_without_a_font() {
        assert_eq!(faults("sak\nwait-for screen-text web \"a\""), [2]);
        assert_eq!(faults("font no-such.psf\nsak"), [1]);
    }

    #[test]
    fn pictures_that_are_not_there_are_found_before_anything_starts() {
        assert_eq!(faults("shot a.png\nexpect region of web a.png"), [2]);
    }
}
