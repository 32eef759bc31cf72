//! Two stock Debian guests on the seat: what is typed arrives in the shell of the one that every
//! screen names, and in no other.

use std::time::{Duration, Instant};

use super::desk::{Desk, check};
use super::photo::{Named, named, selected_row};
use super::random::Tally;
use super::scenes::type_text;

/// For two systems to boot in a machine without acceleration.
const BOOT_TIME: Duration = Duration::from_secs(240);
/// For a line to be typed and to come out again.
const LINE_TIME: Duration = Duration::from_secs(20);
/// Turns of the keyboard from guest to guest.
const TURNS: u32 = 6;

/// Plays it, from a console to a console.
///
/// # Errors
/// A sentence.
pub fn play(desk: &mut Desk, tally: &mut Tally) -> Result<(), String> {
    desk.start("stock.toml")?;
    desk.see_named(Named::Trusted)?;
    desk.chord()?;
    desk.see("the list of guests", |glass| selected_row(glass).is_some())?;
    let end = Instant::now() + BOOT_TIME;
    let up = |desk: &Desk| {
        [Named::Low, Named::High].iter().all(|guest| desk.ears.of(*guest).said("is up after") > 0)
    };
    while !up(desk) {
        check(Instant::now() < end, || "the Debian guests do not come up".to_owned())?;
        desk.listen()?;
    }
    for turn in 0..TURNS {
        let guest = if turn % 2 == 0 { Named::Low } else { Named::High };
        desk.call_trusted()?;
        desk.choose(guest)?;
        let word = format!("line{turn}");
        line(desk, guest, &word)?;
        for glass in desk.look()? {
            tally.photograph(named(&glass) == Some(guest));
        }
        if turn < 2 {
            desk.keep(&format!("debian-{turn}"))?;
        }
    }
    // Both have spoken after the last word for the other.
    line(desk, Named::High, "last")?;
    desk.call_trusted()?;
    desk.choose(Named::Low)?;
    line(desk, Named::Low, "last")?;
    for turn in 0..TURNS {
        let (owner, other) =
            if turn % 2 == 0 { (Named::Low, Named::High) } else { (Named::High, Named::Low) };
        let word = format!("line{turn}");
        let strayed = desk.ears.of(other).said(&word) + desk.ears.of(other).said("not found");
        check(desk.ears.of(owner).said(&word) > 0 && strayed == 0, || {
            format!("{word:?} was for {owner:?}, and {other:?} heard of it")
        })?;
    }
    desk.call_trusted()?;
    desk.ask("q")?;
    desk.press_until_said(&["y"], "ended 0")
}

/// Types a line that the guest's shell sends to its serial port, until it does.
fn line(desk: &mut Desk, guest: Named, word: &str) -> Result<(), String> {
    let end = Instant::now() + LINE_TIME * 4;
    while Instant::now() < end {
        // What a line that came too early left behind is ended first.
        type_text(desk, &format!("\necho {word} >/dev/ttyS0\n"))?;
        let again = Instant::now() + LINE_TIME;
        while Instant::now() < again {
            desk.listen()?;
            if desk.ears.of(guest).said(word) > 0 {
                return Ok(());
            }
        }
    }
    Err(format!("typed {word:?} in vain into {guest:?}"))
}
