//! Every sentence that the monitor puts on the screen, in plain English.

use crate::trusted_screen::Ask;
use crate::{Ending, GuestState, LayoutMode, Part};
use tabard_view::{Hint, Picture};

/// What fills the window of a guest in this state. `focused` is whether the trusted screen will
/// have it selected when it opens.
pub(crate) fn picture(state: GuestState, chord: &str, focused: bool) -> Picture {
    let then = if focused { "then" } else { "select it, then" };
    let words = |title: &str, detail: String| Picture::Words { title: title.to_owned(), detail };
    match state {
        GuestState::Running => Picture::Live,
        GuestState::Paused => Picture::Veiled { title: "paused".to_owned() },
        GuestState::Starting => words("Starting", String::new()),
        GuestState::Off => words("Not started", format!("{chord}, {then} S, starts it")),
        GuestState::Ended(ending) => {
            words(ending_title(ending), format!("{chord}, {then} S, starts it again"))
        }
    }
}

fn ending_title(ending: Ending) -> &'static str {
    match ending {
        Ending::PowerOff => "Switched itself off",
        Ending::TripleFault => "Crashed: its processor gave up (triple fault)",
        Ending::Panicked => "Crashed: its operating system panicked",
        Ending::Machine => "Failed: KVM could not run it any further",
        Ending::ProcessDied => "Failed: its virtual machine process died",
        Ending::ProtocolViolation => "Ended: its virtual machine process broke the rules",
        Ending::LoadFailed => "Not started: its kernel could not be loaded",
        Ending::ByUser => "Stopped",
    }
}

/// The state of a guest on its row of the trusted screen.
pub(crate) fn state(state: GuestState) -> &'static str {
    match state {
        GuestState::Off => "not started",
        GuestState::Starting => "starting",
        GuestState::Running => "running",
        GuestState::Paused => "paused",
        GuestState::Ended(Ending::PowerOff) => "switched off",
        GuestState::Ended(Ending::ByUser) => "stopped",
        GuestState::Ended(_) => "failed",
    }
}

/// The time as the bar shows it.
pub(crate) fn clock(minute_of_day: u16) -> String {
    let (hours, minutes) = (minute_of_day / 60, minute_of_day % 60);
    format!("{hours:02}:{minutes:02}Z")
}

/// The time, after the lock keys that are on.
pub(crate) fn lights(lights: [bool; 3], clock: &str) -> String {
    let names = ["Num", "Caps", "Scroll"].into_iter().zip(lights).filter(|(_, on)| *on);
    let parts = names.map(|(name, _)| name).chain(Some(clock).filter(|clock| !clock.is_empty()));
    parts.collect::<Vec<_>>().join("  ")
}

/// What the bar says when an output cannot show the guests.
pub(crate) fn too_small(mode: LayoutMode, chord: &str) -> String {
    match mode {
        LayoutMode::Desk => format!("screen too small for all guests; {chord}, then D: one guest"),
        LayoutMode::Solo => "screen too small to show a guest".to_owned(),
    }
}

/// What the bar says after TRUSTED PATH.
pub(crate) fn trusted_message(question: Option<&str>, all_fit: bool) -> String {
    match question {
        Some(question) => question.to_owned(),
        None if all_fit => "no guest sees these keys".to_owned(),
        None => "this screen is too small for the guests".to_owned(),
    }
}

/// An open question.
pub(crate) fn question(ask: Ask, name: &str) -> String {
    let key = ask.key();
    match ask {
        Ask::Stop => format!("{key} again stops {name}; what it has not saved is lost"),
        Ask::Reset => format!("{key} again resets {name}; what it has not saved is lost"),
        Ask::Accept(one, _) if one.part == Part::Pointer => {
            format!("{key} again lets {name} point")
        }
        Ask::Accept(..) => format!("{key} again accepts the keyboard {name}"),
        Ask::Quit => format!("{key} again ends the desk and stops every guest"),
    }
}

/// The hints while a question is open.
pub(crate) fn question_hints(ask: Ask, name: &str) -> Vec<Hint> {
    let yes = match ask {
        Ask::Stop => format!("again to stop {name}"),
        Ask::Reset => format!("again to reset {name}"),
        Ask::Accept(one, _) if one.part == Part::Pointer => {
            format!("again to let {name} point too")
        }
        Ask::Accept(..) => format!("again to let the keyboard {name} type"),
        Ask::Quit => "again to end the desk and stop every guest".to_owned(),
    };
    let mut hints = vec![hint(&ask.key().to_string(), &yes)];
    if ask == Ask::Stop {
        hints.push(hint("O", "press its power button, so that it shuts down in order"));
    }
    if let Ask::Accept(..) = ask {
        hints.push(hint("N", "ask no more in this session"));
    }
    hints.push(hint("Esc", "leave it as it is"));
    hints
}

/// The hints below the list of guests.
pub(crate) fn list_hints(selected: GuestState, mode: LayoutMode, can_go_back: bool) -> Vec<Hint> {
    let mut hints = vec![hint("1-9", "go"), hint("Up Down", "select"), hint("Enter", "go")];
    hints.push(hint("S", if selected.is_alive() { "stop" } else { "start" }));
    if selected.is_alive() {
        hints.push(hint("R", "reset"));
    }
    match selected {
        GuestState::Running => hints.push(hint("P", "pause")),
        GuestState::Paused => hints.push(hint("P", "resume")),
        _ => {}
    }
    hints.push(match mode {
        LayoutMode::Solo => hint("D", "all guests side by side"),
        LayoutMode::Desk => hint("D", "one guest at a time"),
    });
    if can_go_back {
        hints.push(hint("Esc", "back"));
    }
    hints.push(hint("?", "help"));
    hints.push(hint("Q", "end the desk"));
    hints
}

/// Every key and what it does.
pub(crate) fn help(chord: &str) -> Vec<Hint> {
    vec![
        hint(chord, "this screen, from anywhere"),
        hint("1 to 9", "type into that guest"),
        hint("Up Down", "select a guest (Home End: first, last)"),
        hint("Enter", "type into the selected guest"),
        hint("Esc", "back, or no to a question"),
        hint("S", "start it, or stop it (asks first)"),
        hint("S then O", "press its power button"),
        hint("R", "reset it (asks first)"),
        hint("P", "pause it, or let it go on"),
        hint("D", "side by side, or one at a time"),
        hint("? or H or F1", "this help"),
        hint("C", "take the text that it offers"),
        hint("V", "give it the text that was taken"),
        hint("A", "see a question of a guest"),
        hint("I", "keyboards, pointers, screens, engines"),
        hint("K, I 1-9", "accept a new keyboard (asks first)"),
        hint("L", "lock the screen, if the desk has users"),
        hint("Q", "end the desk (asks first)"),
        hint("Y", "yes to a question"),
        hint("Click", "types into that guest from now on"),
    ]
}

/// The title of the list of devices.
pub(crate) const DEVICES: &str = "Devices and screens";
/// What the bar says while locked.
pub(crate) const LOCKED: &str = "locked: no guest is shown, none sees these keys";
/// What the bar says while records wait.
pub(crate) const RECORDS_WAIT: &str = "the audit log is full: all waits for it";
/// What the bar says of a guest whose processor is emulated.
pub(crate) const EMULATED: &str = "qemu: emulated, slower";
/// What the lock screen says while a password is checked.
pub(crate) const CHECKING: &str = "Checking...";

/// What the lock screen says after a wrong password.
pub(crate) fn wrong_password(seconds: u32) -> String {
    let word = if seconds == 1 { "second" } else { "seconds" };
    format!("That was not it. Wait {seconds} {word}")
}

/// The hints of the lock screen. The chord comes first: what follows it no guest can have faked.
pub(crate) fn login_hints(chord: &str, several_users: bool) -> Vec<Hint> {
    let mut hints = vec![hint(chord, "first of all"), hint("Enter", "log in")];
    if several_users {
        hints.push(hint("Up Down", "another user"));
    }
    hints.push(hint("Esc", "begin again"));
    hints.push(hint("Backspace", "one back"));
    hints.push(hint("Keyboard", "US, whatever is printed on it"));
    hints
}

/// The hints below the list of devices while something waits.
pub(crate) fn device_hints() -> Vec<Hint> {
    vec![hint("1-9", "accept what has this number"), hint("Esc", "back to the list")]
}

/// The hints below the help.
pub(crate) fn help_hints() -> Vec<Hint> {
    vec![hint("Any key", "back to the list")]
}

pub(crate) fn hint(key: &str, text: &str) -> Hint {
    Hint { key: key.to_owned(), text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_has_two_digits_each() {
        assert_eq!((clock(0), clock(14 * 60 + 7)), ("00:00Z".into(), "14:07Z".into()));
    }

    #[test]
    fn lock_keys_stand_before_the_clock() {
        assert_eq!(lights([false, true, false], "14:07Z"), "Caps  14:07Z");
        assert_eq!(lights([true; 3], ""), "Num  Caps  Scroll");
        assert_eq!(lights([false; 3], "14:07Z"), "14:07Z");
    }

    #[test]
    fn an_ended_guest_says_why_and_what_to_press() {
        let picture = picture(GuestState::Ended(Ending::TripleFault), "Ctrl+Alt+Esc", true);
        assert_eq!(
            picture,
            Picture::Words {
                title: "Crashed: its processor gave up (triple fault)".into(),
                detail: "Ctrl+Alt+Esc, then S, starts it again".into(),
            }
        );
    }
}
