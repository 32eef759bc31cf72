//! What is played on the seat, in its order. Each scene ends in a state that the next one can begin
//! from; to show that something does not arrive, a marker is sent after it by the same way.

use std::time::Instant;

use super::desk::{CARDS, Desk, TIME, check};
use super::hands::{pretend, pretend_types, type_text, unpretend, usable};
use super::photo::{self, Named, is_live, named, selected_row};
use super::random::{self, Tally};
use super::unit;
use crate::test_host::arguments::Plan;
use crate::test_host::qmp::Glass;
use crate::test_host::step;

/// Codes of linux/input-event-codes.h for keys that scenes type.
const KEY_A: u64 = 30;
const KEY_G: u64 = 34;
const KEY_H: u64 = 35;
const KEY_J: u64 = 36;

/// Plays everything.
///
/// # Errors
/// A sentence that names the scene and says what did not hold.
pub fn play(desk: &mut Desk, plan: &Plan, tally: &mut Tally) -> Result<(), String> {
    let files = "/repository/xtask/src/test_host/seat";
    desk.shell(&format!("cd /tmp && mkdir -p logs && cp {files}/*.toml . && chvt 1"))?;
    desk.shell("{ sh </dev/tty1 >/dev/tty1 2>&1; } &")?;
    scene("a console to begin with", || usable(desk, "before"))?;
    scene("says what is missing or waited for, and leaves the console", || refusals(desk))?;
    scene("begins with the chord, on one screen", || first_chord(desk))?;
    scene("a second screen has bar and banner on its first frame", || second_screen(desk))?;
    scene("nobody else hears the keyboard, nor leaves the path", || alone(desk))?;
    if plan.whole {
        scene("a screen is lost and comes back", || lost_screen(desk))?;
    }
    scene("another takes a card away, and gives it back", || usurped_screen(desk))?;
    scene("a second keyboard types nothing until it is accepted", || second_keyboard(desk))?;
    scene("a keyboard that could point waits like any other", || composite(desk))?;
    scene("unplugged with a key held, no key stays down", || unplug(desk))?;
    scene("the chord over menu, crash and flood", || chords(desk))?;
    scene("random actions", || random::play(desk, plan, tally))?;
    scene("after the end the console is usable", || end_normally(desk))?;
    scene("after SIGKILL the console is usable", || end_killed(desk))?;
    if plan.whole {
        // Last, because this systemd takes over the control groups of the machine.
        scene("the machine's desktop, under systemd", || unit::play(desk))?;
    }
    Ok(())
}

fn scene(what: &str, play: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    step(what, play).map_err(|why| format!("{what}: {why}"))
}

/// Without rights or devices there is one clear error, and the console is as it was.
fn refusals(desk: &mut Desk) -> Result<(), String> {
    // While they are away, or may not be used: what is run, and what it must name.
    let run = "tabard run desk.toml --seat --tty 1 --logs logs";
    // What is not there yet is waited for, until a signal ends the session.
    let waits = |path: &str| {
        format!(
            "mv {path} /dev/away; mkdir {path}; {run} >waits 2>&1 & session=$!; \
             until grep -q 'session waits.*{path}' waits || [ ! -e /proc/$session ]; \
             do usleep 20000; done; kill $session; wait $session; echo status $?; cat waits; \
             rmdir {path}; mv /dev/away {path}"
        )
    };
    let as_another = "su other -c 'cd /tmp; tabard run desk.toml --seat --tty 1 --logs /tmp/other \
                      2>&1; echo status $?'";
    desk.shell("echo 'other:x:9:9::/tmp:/bin/sh' >>/etc/passwd; mkdir -m 777 other")?;
    let no_terminal =
        format!("mv /dev/tty1 /dev/away; {run} 2>&1; echo status $?; mv /dev/away /dev/tty1");
    let tries = [
        (waits("/dev/dri"), ["/dev/dri", "Connect"], "status 0"),
        (waits("/dev/input"), ["/dev/input", "no keyboard"], "status 0"),
        (no_terminal, ["/dev/tty1", "--tty"], "status 2"),
        (as_another.to_owned(), ["/dev/dri/card0", "as root"], "status 2"),
    ];
    for (line, words, status) in tries {
        let why = desk.shell(&line)?;
        let errors = why.lines().filter(|line| line.contains(words[0])).count();
        let named = errors == 1 && words.iter().all(|word| why.contains(word));
        check(named && why.contains(status), || format!("{words:?} in: {why}"))?;
        eprint!("{why}");
    }
    usable(desk, "refused")
}

/// Starts with one screen, for the second to come later, and with readers of every device.
fn first_chord(desk: &mut Desk) -> Result<(), String> {
    let driver = "/sys/bus/virtio/drivers/virtio_gpu";
    // The card is a child of a PCI device, and so is what the driver is bound to.
    desk.shell("pci=$(readlink -f /sys/class/drm/card1/device); pci=${pci%/virtio*}")?;
    desk.shell(&format!("second=$(cd $pci; echo virtio*) && echo $second >{driver}/unbind"))?;
    desk.shell("until [ ! -e /dev/dri/card1 ]; do usleep 20000; done")?;
    desk.cards = vec![CARDS[0]];
    // They hear everything until somebody holds the devices alone.
    desk.shell("for device in /dev/input/event*; do cat $device >>heard & done")?;
    let end = Instant::now() + TIME;
    while desk.shell("wc -c <heard")?.trim() == "0" {
        check(Instant::now() < end, || "the second reader hears nothing at all".to_owned())?;
        desk.qmp.press(&["shift"])?;
    }
    desk.start("desk.toml")?;
    desk.see_named(Named::Trusted)?;
    desk.keep("first-screen")?;
    desk.until_heard("both guests", |ears| {
        [Named::Low, Named::High].iter().all(|guest| ears.of(*guest).said("ready") == 1)
    })?;
    // Nothing but the chord is obeyed: these would go to a guest and type, or end the desk.
    for key in ["1", "j", "q", "q", "y"] {
        desk.qmp.press(&[key])?;
    }
    desk.chord()?;
    desk.see("the list of guests", |glass| selected_row(glass).is_some())?;
    desk.keep("guests")?;
    for guest in [Named::Low, Named::High] {
        desk.choose(guest)?;
        // A photograph may be ahead of the card's own word, and input is muted until then.
        desk.mark(guest)?;
        let got = desk.ears.receivers(KEY_J);
        check(got.is_empty(), || format!("before the chord it typed into {got:?}"))?;
        desk.ears.forget();
        desk.qmp.press(&["g"])?;
        desk.mark(guest)?;
        let got = desk.ears.receivers(KEY_G);
        check(got == [guest], || format!("{guest:?} is named and {got:?} got the key"))?;
        desk.call_trusted()?;
    }
    desk.choose(Named::Low)
}

/// A screen that comes later has bar and banner as soon as it shows anything of Tabard's, and the
/// keys go on to the guest that it names.
fn second_screen(desk: &mut Desk) -> Result<(), String> {
    desk.shell("echo $second >/sys/bus/virtio/drivers/virtio_gpu/bind &")?;
    first_frame(desk, Named::Low)?;
    desk.mark(Named::Low)?;
    desk.keep("two-screens")?;
    desk.go(Named::High)?;
    desk.mark(Named::High)
}

/// Waits until the second screen names this as the first one does: before that it shows nothing of
/// Tabard's at all.
fn first_frame(desk: &mut Desk, who: Named) -> Result<(), String> {
    let end = Instant::now() + TIME;
    let mut before = 0_u32;
    loop {
        let glass = desk.qmp.glass(CARDS[1])?;
        if named(&glass) == Some(who) {
            break;
        }
        // Either nothing of ours, or all of it.
        check(!photo::is_tabards(&glass), || "a first frame without bar or banner".to_owned())?;
        check(Instant::now() < end, || "the second screen stays dark".to_owned())?;
        before += 1;
    }
    eprintln!("seat: {before} photographs before the first frame");
    desk.cards = CARDS.to_vec();
    desk.see_named(who)
}

/// Another program takes the right to draw on a card whose picture is still. Nothing that is typed
/// reaches anybody until that screen shows bar and banner again; the chord is obeyed all the while.
fn usurped_screen(desk: &mut Desk) -> Result<(), String> {
    const LOST: &str = "$(grep -c screen-removed logs/audit.jsonl)";
    desk.go(Named::Low)?;
    desk.mark(Named::Low)?;
    desk.shell(&format!("lost={LOST}; rm -f card; mkfifo card"))?;
    desk.shell("{ usurp /dev/dri/card1 <card >usurp.log 2>&1 & } && exec 8>card")?;
    let said = desk.shell("until grep . usurp.log; do usleep 20000; done")?;
    check(said.contains("taken, 1 screens"), || format!("the card cannot be taken away: {said}"))?;
    desk.shell(&format!("until [ {LOST} -gt $lost ]; do usleep 20000; done"))?;
    check(!photo::is_tabards(&desk.qmp.glass(CARDS[1])?), || "it is not taken away".to_owned())?;
    desk.ears.forget();
    desk.qmp.press(&["j"])?;
    desk.cards = vec![CARDS[0]];
    desk.call_trusted()?;
    for key in ["2", "j"] {
        desk.qmp.press(&[key])?;
    }
    desk.shell("exec 8>&-; until [ -z \"$(pidof usurp)\" ]; do usleep 20000; done")?;
    first_frame(desk, Named::Trusted)?;
    desk.choose(Named::Low)?;
    desk.mark(Named::Low)?;
    let got = desk.ears.receivers(KEY_J);
    check(got.is_empty(), || format!("what was typed without the second screen reached {got:?}"))
}

/// The driver lets the card of a lit screen go, so that commits fail: nothing of ours stays on it, and
/// keys reach the guest that the screen which is left names. Then it comes back.
fn lost_screen(desk: &mut Desk) -> Result<(), String> {
    desk.go(Named::Low)?;
    desk.shell("echo $second >/sys/bus/virtio/drivers/virtio_gpu/unbind &")?;
    type_text(desk, "typed while it goes")?;
    let end = Instant::now() + TIME;
    while photo::is_tabards(&desk.qmp.glass(CARDS[1])?) {
        check(Instant::now() < end, || "the lost screen still shows a bar or a banner".to_owned())?;
    }
    desk.cards = vec![CARDS[0]];
    desk.see_named(Named::Low)?;
    desk.mark(Named::Low)?;
    second_screen(desk)
}

/// What is typed into a guest is heard by it alone, and no key leaves the path.
fn alone(desk: &mut Desk) -> Result<(), String> {
    desk.go(Named::Low)?;
    desk.mark(Named::Low)?;
    let before = desk.shell("wc -c <heard")?;
    desk.shell("{ timeout 60 chvt 2; echo chvt $?; } &")?;
    type_text(desk, "touch /tmp/x\n")?;
    for way_out in [["ctrl", "alt", "f2"], ["ctrl", "alt", "delete"], ["alt", "sysrq", "k"]] {
        desk.qmp.press(&way_out)?;
    }
    desk.qmp.press(&["alt", "right"])?;
    desk.mark(Named::Low)?;
    let now = desk.shell("wc -c <heard; [ ! -e x ]; cat /sys/class/tty/tty0/active; pidof chvt")?;
    let words: Vec<&str> = now.split_whitespace().collect();
    check(words.len() == 3 && words[..2] == [before.trim(), "tty1"], || {
        format!("heard by others, or the path was left: {before} then {now}")
    })?;
    desk.shell("kill $(pidof chvt)")?;
    let second = desk.shell("tabard run desk.toml --seat --logs logs2 2>&1; echo status $?")?;
    eprint!("{second}");
    check(second.contains("/dev/dri/card") && second.contains("status 2"), || second.clone())?;
    desk.see_named(Named::Low)?;
    desk.mark(Named::Low)
}

fn second_keyboard(desk: &mut Desk) -> Result<(), String> {
    desk.go(Named::Low)?;
    let quiet = desk.qmp.glass(CARDS[0])?.notice();
    pretend(desk, "keyboard")?;
    desk.see("the notice of a new keyboard", |glass| glass.notice() != quiet)?;
    desk.keep("second-keyboard")?;
    desk.ears.forget();
    types(desk, &[])?;
    // Accepted, it types; pulled out, it is forgotten.
    desk.call_trusted()?;
    let waits = desk.qmp.glass(CARDS[0])?.notice();
    desk.ask("k")?;
    desk.press_until(&["y"], "no notice any more", |glass| glass.notice() != waits)?;
    desk.choose(Named::Low)?;
    types(desk, &[Named::Low])?;
    unpretend(desk)?;
    desk.mark(Named::Low)
}

fn composite(desk: &mut Desk) -> Result<(), String> {
    pretend(desk, "both")?;
    types(desk, &[])?;
    desk.call_trusted()?;
    let list = desk.qmp.glass(CARDS[0])?;
    // The list of devices says that it waits.
    desk.press_until(&["i"], "the list of devices", |glass| {
        glass.differing(&list, 100, 600) > 2000
    })?;
    desk.keep("refused")?;
    unpretend(desk)?;
    desk.press_until(&["esc"], "the list of guests", |glass| selected_row(glass).is_some())?;
    desk.choose(Named::Low)
}

/// The pretended device types, and then markers are typed: who got what the device typed.
fn types(desk: &mut Desk, wanted: &[Named]) -> Result<(), String> {
    desk.mark(Named::Low)?;
    desk.ears.forget();
    pretend_types(desk)?;
    // Two devices that are ready together may be read in any order; a second marker is read after.
    desk.mark(Named::Low)?;
    desk.mark(Named::Low)?;
    let got = desk.ears.receivers(KEY_A);
    check(got == wanted, || format!("the device typed into {got:?} instead of {wanted:?}"))
}

/// The only keyboard is pulled out with a key held, and comes back.
pub fn unplug(desk: &mut Desk) -> Result<(), String> {
    desk.go(Named::High)?;
    desk.mark(Named::High)?;
    desk.ears.forget();
    desk.qmp.keys(&[("shift", true), ("h", true)])?;
    desk.until_heard("the press", |ears| ears.receivers(KEY_H) == [Named::High])?;
    desk.replug()?;
    desk.until_heard("the releases", |ears| ears.of(Named::High).is_up())?;
    // The only keyboard needs no question.
    desk.mark(Named::High)
}

/// The chord works wherever it is pressed.
fn chords(desk: &mut Desk) -> Result<(), String> {
    // In the menu, over its lists and questions.
    for key in [None, Some("i"), Some("h"), Some("q")] {
        desk.call_trusted()?;
        let list = desk.qmp.glass(CARDS[0])?;
        if let Some(key) = key {
            desk.press_until(&[key], "an answer", |glass| glass.differing(&list, 0, 700) > 300)?;
        }
        desk.chord()?;
        desk.see("the list of guests", |glass| selected_row(glass).is_some())?;
        desk.mark_trusted()?;
    }
    // Over a guest whose process is killed.
    desk.choose(Named::High)?;
    desk.mark(Named::High)?;
    desk.crash(Named::High)?;
    desk.qmp.press(&["g"])?;
    desk.call_trusted()?;
    desk.keep("crashed")?;
    desk.revive(Named::High)?;
    // Over one that paints false banners without end, and never reads a key.
    desk.call_trusted()?;
    desk.start_row(3)?;
    desk.choose(Named::Third)?;
    let forged = |glass: &Glass| glass.pixel(glass.width / 20, 60) != Some([0; 3]);
    desk.see("false banners", forged)?;
    desk.keep("flood")?;
    for _ in 0..3 {
        desk.call_trusted()?;
        desk.choose(Named::Third)?;
    }
    desk.call_trusted()?;
    desk.select(3)?;
    desk.ask("s")?;
    desk.press_until(&["y"], "the flood to end", |glass| !is_live(glass, 3))?;
    desk.choose(Named::Low)?;
    desk.mark(Named::Low)
}

fn end_normally(desk: &mut Desk) -> Result<(), String> {
    desk.call_trusted()?;
    desk.ask("q")?;
    desk.press_until_said(&["y"], "ended 0")?;
    usable(desk, "ended")
}

fn end_killed(desk: &mut Desk) -> Result<(), String> {
    desk.start("desk.toml")?;
    desk.see_named(Named::Trusted)?;
    desk.chord()?;
    desk.see("the list of guests", |glass| selected_row(glass).is_some())?;
    desk.choose(Named::High)?;
    desk.mark(Named::High)?;
    // The session is the oldest of its processes; the guardian is another.
    desk.shell("kill -9 $(pidof tabard | tr ' ' '\\n' | sort -n | head -n 1)")?;
    desk.shell("until [ -z \"$(pidof tabard tabard-vmm tabard-engine)\" ]; do usleep 20000; done")?;
    usable(desk, "killed")
}
