//! What is done to the seat more than once: text is typed, a device pretended, a console tried.

use std::time::Instant;

use super::desk::{CARDS, Desk, TIME, check};
use super::photo;
use crate::test_host::qmp::Glass;

/// Pixels that a blinking cursor may change; a typed line changes more.
const CURSOR_PIXELS: usize = 300;

/// Types letters, digits and what a shell needs.
pub fn type_text(desk: &mut Desk, text: &str) -> Result<(), String> {
    for letter in text.chars() {
        let small = letter.to_ascii_lowercase().to_string();
        let name = match letter {
            ' ' => "spc",
            '/' => "slash",
            '>' => "dot",
            '\n' => "ret",
            _ => &small,
        };
        let shifted = letter == '>' || letter.is_ascii_uppercase();
        let keys = ["shift", name];
        desk.qmp.press(if shifted { &keys } else { &keys[1..] })?;
    }
    Ok(())
}

/// Plugs in a device that types an `a` for each line that the shell writes to 7.
pub fn pretend(desk: &mut Desk, kind: &str) -> Result<(), String> {
    desk.shell(&format!(
        "rm -f typist; mkfifo typist && {{ pretend {kind} Other <typist >other.log & }} && \
         exec 7>typist"
    ))?;
    desk.shell("until grep -q ready other.log; do usleep 20000; done").map(drop)
}

/// Pulls it out.
pub fn unpretend(desk: &mut Desk) -> Result<(), String> {
    desk.shell("exec 7>&-; until [ -z \"$(pidof pretend)\" ]; do usleep 20000; done").map(drop)
}

/// The pretended device types once, and has done so when this returns.
pub fn pretend_types(desk: &mut Desk) -> Result<(), String> {
    desk.shell(
        "typed=$(grep -c typed other.log); echo x >&7; \
         until [ $(grep -c typed other.log) -gt $typed ]; do usleep 20000; done",
    )
    .map(drop)
}

/// The console shows letters, a shell on it hears the keyboard, and another can be had.
pub fn usable(desk: &mut Desk, name: &str) -> Result<(), String> {
    desk.shell("until [ -z \"$(pidof tabard)\" ]; do usleep 20000; done; rm -f y")?;
    desk.shell("clear >/dev/tty1")?;
    let text = |glass: &Glass| !photo::is_tabards(glass) && glass.share(100, 700, [0; 3]) > 90;
    let end = Instant::now() + TIME;
    while !text(&desk.qmp.glass(CARDS[0])?) {
        check(Instant::now() < end, || "the console is not to be seen".to_owned())?;
    }
    let before = desk.qmp.glass(CARDS[0])?;
    type_text(desk, "touch /tmp/y\n")?;
    desk.shell("until [ -e /tmp/y ]; do usleep 20000; done")?;
    let shown = |glass: &Glass| glass.differing(&before, 0, 800) > CURSOR_PIXELS;
    while !shown(&desk.qmp.glass(CARDS[0])?) {
        check(Instant::now() < end, || "the console shows nothing".to_owned())?;
    }
    desk.keep(&format!("console-{name}"))?;
    desk.shell("timeout 30 chvt 2 && timeout 30 chvt 1").map(drop)
}
