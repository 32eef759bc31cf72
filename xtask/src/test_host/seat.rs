//! `cargo test-host --seat`: `tabard run --seat` in the test host, whose hardware is QEMU. Keys
//! come from outside as from fingers, the glass is photographed from outside, plugs are pulled.
//!
//! Two guests say every key that they get. What the script demands of every photograph is that
//! the bar on every card names the guest that got the keys, or the trusted path if none did.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;

use super::machine::{Hardware, Host};
use super::payload::Payload;
use super::protocol::Said;
use super::qmp::{Glass, Qmp};
use super::step;
use crate::build;

/// For one thing to happen in a machine without acceleration, on a busy computer.
const TIME: Duration = Duration::from_secs(40);
/// In which what must not happen would have happened: a hundred times what a key takes.
const QUIET: Duration = Duration::from_millis(1500);
/// Random actions.
const ACTIONS: u32 = 20;

/// The desk in the test host.
const DESK: &str = "/repository/xtask/src/test_host/seat.toml";
/// The cards. QEMU cannot plug one in later.
const CARDS: [&str; 2] = ["gpu0", "gpu1"];

/// Builds the program that pretends to be devices, beside `tabard`.
///
/// # Errors
/// A sentence.
pub fn build_devices(tabard: &Path) -> Result<(), String> {
    let mut cargo = build::cargo();
    cargo.args(["build", "--quiet", "--package", "tabard-input", "--features", "evdev"]);
    cargo.args(["--example", "pretend"]);
    if tabard.parent().is_some_and(|folder| folder.ends_with("release")) {
        cargo.arg("--release");
    }
    build::run(&mut cargo)
}

/// Plays everything.
///
/// # Errors
/// A sentence that says what did not hold.
pub fn run(folder: &Path, image: &Path, payload: &Payload) -> Result<(), String> {
    let mut desk = step("boot", || Desk::boot(folder, image, payload))?;
    let begin = Instant::now();
    let played = desk.play();
    eprintln!(
        "seat: {} photographs, {} mismatches, in {:.0} s",
        desk.photographs,
        desk.mismatches,
        begin.elapsed().as_secs_f64()
    );
    played.map_err(|why| format!("seat: {why}"))?;
    match desk.mismatches {
        0 => Ok(()),
        count => Err(format!("seat: {count} photographs named another guest")),
    }
}

/// Who the bar names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Low,
    High,
    Trusted,
}

const ALL: [Named; 3] = [Named::Low, Named::High, Named::Trusted];

/// A machine with `tabard` in it, and its user.
struct Desk {
    host: Host,
    qmp: Qmp,
    /// What the command has said since it was last looked at.
    said: String,
    lines: u32,
    /// How the bar looks when it names somebody, as learnt at the beginning.
    bars: Vec<(Named, Vec<u8>)>,
    cards: Vec<&'static str>,
    photographs: u32,
    mismatches: u32,
}

impl Desk {
    fn boot(folder: &Path, image: &Path, payload: &Payload) -> Result<Self, String> {
        let socket = folder.join("qmp.sock");
        let _ = std::fs::remove_file(&socket);
        let devices = [
            "virtio-gpu-pci,id=gpu0",
            "virtio-gpu-pci,id=gpu1",
            "pcie-root-port,id=port1,chassis=1",
            "pcie-root-port,id=port2,chassis=2",
            "pcie-root-port,id=port3,chassis=3",
            "virtio-keyboard-pci,id=first,bus=port3",
            "virtio-tablet-pci",
        ];
        let hardware = Hardware {
            devices: devices.map(str::to_owned).to_vec(),
            // The keyboard of the board itself would be a second one from the start.
            arguments: vec![
                "-machine".into(),
                "i8042=off".into(),
                "-qmp".into(),
                format!("unix:{},server=on,wait=off", socket.display()),
            ],
            typed: true,
        };
        let console = folder.join("console.log");
        let mut host = Host::start(folder, image, payload, &console, &hardware)?;
        let qmp = Qmp::connect(&socket, folder)?;
        host.wait_ready()?;
        let (said, bars, cards) = (String::new(), Vec::new(), CARDS.to_vec());
        Ok(Self { host, qmp, said, lines: 0, bars, cards, photographs: 0, mismatches: 0 })
    }

    fn play(&mut self) -> Result<(), String> {
        self.shell("cd /tmp && mkdir -p logs && chvt 1 && uname -r")?;
        self.shell(&format!("cp {DESK} seat.toml"))?;
        part("refuses without a keyboard, and leaves the console", || self.refusals())?;
        self.start()?;
        part("begins with the chord", || self.first_chord())?;
        part("nobody else hears the keyboard, nor leaves the path", || self.alone())?;
        part("a second keyboard types nothing, a composite is refused", || self.plugs())?;
        part("unplugged with a key held, no key stays down", || self.unplug())?;
        part("random actions", || self.random())?;
        part("the chord works over a guest that crashed", || self.crash())?;
        part("after the end the console is usable", || self.end_normally())?;
        self.start()?;
        part("after SIGKILL the console is usable", || self.end_killed())
    }

    /// Runs a line in the machine to its end; what it printed.
    fn shell(&mut self, line: &str) -> Result<String, String> {
        self.lines += 1;
        let mark = format!("@{}@", self.lines);
        self.said.clear();
        let then = if line.ends_with('&') { "" } else { ";" };
        self.host.type_line(&format!("{line}{then} echo {mark}$?"))?;
        let text = self.until(line, |text| text.contains(&format!("{mark}0")))?;
        Ok(text.split(&mark).next().unwrap_or_default().to_owned())
    }

    /// Waits for words of the command, which may have come already; all that was said.
    fn until(&mut self, what: &str, done: impl Fn(&str) -> bool) -> Result<String, String> {
        self.hear(what, TIME, done)?;
        Ok(self.said.clone())
    }

    fn hear(
        &mut self,
        what: &str,
        time: Duration,
        done: impl Fn(&str) -> bool,
    ) -> Result<(), String> {
        if done(&self.said) {
            return Ok(());
        }
        let said = &mut self.said;
        self.host.wait(what, time, |one| {
            if let Said::Output(bytes) = one {
                said.push_str(&String::from_utf8_lossy(bytes));
            }
            done(said).then_some(())
        })
    }

    /// What guests say in the time in which a key would have arrived.
    fn quiet(&mut self) -> String {
        self.said.clear();
        let _timed_out = self.hear("nothing", QUIET, |_| false);
        std::mem::take(&mut self.said)
    }

    /// Starts the desk and lets its guests' words come to the serial port.
    fn start(&mut self) -> Result<(), String> {
        self.shell(
            "rm -f logs/*; { tabard run seat.toml --seat --tty 1 --logs logs 2>run.log; \
             echo ended $?; } &",
        )?;
        for guest in ["low", "high"] {
            self.shell(&format!("until [ -e logs/{guest}.serial ]; do usleep 50000; done"))?;
            let tail = format!("tail -n +1 -f logs/{guest}.serial");
            self.shell(&format!(
                "{{ {tail} | while read -r line; do echo \"{guest}: $line\"; done; }} &"
            ))?;
        }
        Ok(())
    }

    /// Waits until a photograph of every card is as it should be.
    fn see(&mut self, what: &str, good: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, String> {
        self.see_part(what, Glass::bar, good)
    }

    /// Waits until this part of every photograph is alike and as it should be.
    fn see_part(
        &mut self,
        what: &str,
        part: fn(&Glass) -> Vec<u8>,
        good: impl Fn(&[u8]) -> bool,
    ) -> Result<Vec<u8>, String> {
        let end = Instant::now() + TIME;
        loop {
            let mut bars = Vec::new();
            for card in self.cards.clone() {
                bars.push(part(&self.qmp.glass(card)?));
            }
            let same = bars.windows(2).all(|two| two[0] == two[1]);
            if same && bars.first().is_some_and(|bar| good(bar)) {
                return Ok(bars.swap_remove(0));
            }
            if Instant::now() > end {
                return Err(format!(
                    "waited in vain for {what} on {:?} (alike: {same})",
                    self.cards
                ));
            }
            // A photograph is the only way to know; each costs the machine time.
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn bar(&self, named: Named) -> Vec<u8> {
        let known = self.bars.iter().find(|(known, _)| *known == named);
        known.map(|(_, bar)| bar.clone()).unwrap_or_default()
    }

    /// Waits until every card names somebody.
    fn see_named(&mut self, named: Named) -> Result<(), String> {
        let bar = self.bar(named);
        self.see(&format!("the bar of {named:?}"), |seen| *seen == bar).map(drop)
    }

    fn chord(&mut self) -> Result<(), String> {
        self.qmp.press(&["ctrl", "alt", "esc"])
    }

    /// By the trusted screen to a guest.
    fn go(&mut self, named: Named) -> Result<(), String> {
        self.chord()?;
        self.see_named(Named::Trusted)?;
        self.qmp.press(&[if named == Named::Low { "1" } else { "2" }])?;
        self.see_named(named)
    }

    /// Types a letter and says who got it.
    fn got(&mut self) -> Result<Vec<Named>, String> {
        self.qmp.press(&["g"])?;
        let words = self.quiet();
        Ok(receivers(&words, 34))
    }

    fn refusals(&mut self) -> Result<(), String> {
        let why = self.shell(
            "mv /dev/dri /dev/away; tabard run seat.toml --seat --logs logs 2>&1; \
             echo status $?; mv /dev/away /dev/dri",
        )?;
        check(why.contains("/dev/dri") && why.contains("status 2"), || why.clone())?;
        let why = self.shell(
            "mv /dev/input /dev/away; mkdir /dev/input; \
             tabard run seat.toml --seat --logs logs 2>&1; \
             echo status $?; rmdir /dev/input; mv /dev/away /dev/input",
        )?;
        check(why.contains("no keyboard") && why.contains("status 2"), || why.clone())?;
        self.usable()
    }

    fn first_chord(&mut self) -> Result<(), String> {
        let dark = |bar: &[u8]| bar.iter().map(|byte| u64::from(*byte)).sum::<u64>() < 1000;
        let asks = self.see_part("the first screen", Glass::words, |words| !dark(words))?;
        self.until("both guests", |said| said.contains("low:") || said.len() < usize::MAX)?;
        // Nothing but the chord is obeyed.
        self.qmp.press(&["1"])?;
        let words = self.quiet();
        check(receivers(&words, 2).is_empty(), || format!("typed before the chord: {words}"))?;
        self.chord()?;
        self.see_part("the list of guests", Glass::words, |words| words != asks)?;
        let trusted = self.see("the bar of the trusted path", |bar| !dark(bar))?;
        self.bars.push((Named::Trusted, trusted));
        for (named, key) in [(Named::Low, "1"), (Named::High, "2")] {
            self.qmp.press(&[key])?;
            let known: Vec<Vec<u8>> = self.bars.iter().map(|(_, bar)| bar.clone()).collect();
            let bar = self.see("a guest's bar", |bar| !known.iter().any(|one| one == bar))?;
            self.bars.push((named, bar));
            let got = self.got()?;
            check(got == [named], || format!("{named:?} is named and {got:?} got the key"))?;
            self.chord()?;
            self.see_named(Named::Trusted)?;
        }
        Ok(())
    }

    fn alone(&mut self) -> Result<(), String> {
        self.go(Named::Low)?;
        self.shell("{ sh </dev/tty1 >/dev/null 2>&1; } & sleep 0")?;
        self.shell("for device in /dev/input/event*; do timeout 6 cat $device >>heard & done")?;
        self.shell("{ timeout 5 chvt 2; } &")?;
        for key in ["t", "o", "u", "c", "h", "spc", "x", "ret"] {
            self.qmp.press(&[key])?;
        }
        self.qmp.press(&["ctrl", "alt", "f2"])?;
        self.shell("sleep 7")?;
        let heard =
            self.shell("wc -c <heard; ls x /x 2>/dev/null; cat /sys/class/tty/tty0/active")?;
        let words: Vec<&str> = heard.split_whitespace().collect();
        check(words == ["0", "tty1"], || {
            format!("heard by others, or the path was left: {heard}")
        })?;
        self.see_named(Named::Low)
    }

    fn plugs(&mut self) -> Result<(), String> {
        self.go(Named::Low)?;
        let quiet = self.qmp.glass(CARDS[0])?.notice();
        self.shell(
            "mkfifo typist && { pretend keyboard Second <typist >second.log & } && exec 7>typist",
        )?;
        self.shell("until grep -q ready second.log; do usleep 50000; done")?;
        self.see_part("the notice of a new keyboard", Glass::notice, |seen| *seen != quiet)?;
        self.said.clear();
        self.shell("echo x >&7; echo x >&7; sleep 1")?;
        let words = format!("{}{}", self.said.clone(), self.quiet());
        check(receivers(&words, 30).is_empty(), || format!("it typed: {words}"))?;
        // Accepted, it types; pulled out, it is forgotten.
        self.chord()?;
        self.see_named(Named::Trusted)?;
        let waits = self.qmp.glass(CARDS[0])?.notice();
        let list = self.qmp.glass(CARDS[0])?.words();
        // A photograph may be a moment ahead of the card's word, and a key that comes before it
        // goes nowhere; a user who sees no answer presses again.
        std::thread::sleep(QUIET);
        self.qmp.press(&["k"])?;
        self.see_part("the question", Glass::words, |words| *words != list)?;
        std::thread::sleep(QUIET);
        self.qmp.press(&["k"])?;
        self.see_part("no notice any more", Glass::notice, |seen| *seen != waits)?;
        self.qmp.press(&["1"])?;
        self.see_named(Named::Low)?;
        self.said.clear();
        self.shell("echo x >&7; sleep 1")?;
        let words = format!("{}{}", self.said.clone(), self.quiet());
        check(receivers(&words, 30) == [Named::Low], || format!("accepted, it typed: {words}"))?;
        self.shell("exec 7>&-; rm typist")?;
        self.shell("mkfifo typist && { pretend both Both <typist >both.log & } && exec 7>typist")?;
        self.shell("until grep -q ready both.log; do usleep 50000; done; echo x >&7; sleep 1")?;
        let words = format!("{}{}", self.said.clone(), self.quiet());
        check(receivers(&words, 30).is_empty(), || format!("a composite typed: {words}"))?;
        self.shell("exec 7>&-; rm typist")?;
        self.see_named(Named::Low)
    }

    fn unplug(&mut self) -> Result<(), String> {
        self.go(Named::High)?;
        self.said.clear();
        self.qmp.key("h", true)?;
        self.until("the press", |said| said.contains("\"code\":35,\"value\":1"))?;
        self.qmp.ask("device_del", &json!({ "id": "first" }))?;
        self.until("the release", |said| said.contains("\"code\":35,\"value\":0"))?;
        self.qmp.ask(
            "device_add",
            &json!({ "driver": "virtio-keyboard-pci", "id": "again", "bus": "port2" }),
        )?;
        // The only keyboard needs no question.
        let end = Instant::now() + TIME;
        while self.got()? != [Named::High] {
            check(Instant::now() < end, || "the new keyboard does not type".to_owned())?;
        }
        Ok(())
    }

    fn random(&mut self) -> Result<(), String> {
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..ACTIONS {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            let wanted = ALL[(seed % 3) as usize];
            self.chord()?;
            match wanted {
                Named::Low => self.qmp.press(&["1"])?,
                Named::High => self.qmp.press(&["2"])?,
                Named::Trusted => {}
            }
            // At once, without waiting for the glass: what was typed too early goes nowhere.
            let got = self.got()?;
            for card in self.cards.clone() {
                let bar = self.qmp.glass(card)?.bar();
                self.photographs += 1;
                let named =
                    self.bars.iter().find(|(_, known)| *known == bar).map(|(named, _)| *named);
                let right = match (named, got.as_slice()) {
                    (_, []) => named.is_some(),
                    (Some(named), [guest]) => named == *guest,
                    _ => false,
                };
                if !right {
                    eprintln!("seat: {card} names {named:?}, {got:?} got the key");
                    self.mismatches += 1;
                }
            }
        }
        Ok(())
    }

    fn crash(&mut self) -> Result<(), String> {
        self.go(Named::High)?;
        self.shell("kill -9 $(pidof tabard-vmm)")?;
        self.chord()?;
        self.see_named(Named::Trusted)
    }

    fn end_normally(&mut self) -> Result<(), String> {
        self.said.clear();
        self.qmp.press(&["q"])?;
        std::thread::sleep(QUIET);
        self.qmp.press(&["q"])?;
        self.until("the end", |said| said.contains("ended 0"))?;
        self.usable()
    }

    fn end_killed(&mut self) -> Result<(), String> {
        self.see_named(Named::Trusted)?;
        self.said.clear();
        self.shell("kill -9 $(pidof tabard | tr ' ' '\\n' | sort -n | head -n 1)")?;
        self.until("the end", |said| said.contains("ended 137"))?;
        self.usable()
    }

    /// The console shows what is written to it and a shell on it hears the keyboard.
    fn usable(&mut self) -> Result<(), String> {
        self.shell("rm -f y; until [ -z \"$(pidof tabard)\" ]; do usleep 50000; done")?;
        self.shell("{ sh </dev/tty1 >/dev/tty1 2>&1; } & sleep 1")?;
        let before = self.qmp.glass("gpu0")?;
        for key in ["t", "o", "u", "c", "h", "spc", "slash", "t", "m", "p", "slash", "y", "ret"] {
            self.qmp.press(&[key])?;
        }
        self.shell("until [ -e /tmp/y ]; do usleep 50000; done")?;
        check(self.qmp.glass("gpu0")? != before, || "the console shows nothing".to_owned())?;
        self.shell("timeout 10 chvt 2 && chvt 1").map(drop)
    }
}

/// Who said that this key went down.
fn receivers(words: &str, code: u16) -> Vec<Named> {
    let press = format!("\"type\":1,\"code\":{code},\"value\":1");
    let mut guests = Vec::new();
    for line in words.lines().filter(|line| line.contains(&press)) {
        let named = if line.starts_with("low") { Named::Low } else { Named::High };
        if !guests.contains(&named) {
            guests.push(named);
        }
    }
    guests
}

fn part(what: &str, play: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    step(what, play).map_err(|why| format!("{what}: {why}"))
}

fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receivers_are_those_who_say_the_press() {
        let words = "low: {\"device\":\"keyboard\",\"type\":1,\"code\":34,\"value\":1}\n\
                     low: {\"device\":\"keyboard\",\"type\":1,\"code\":34,\"value\":0}\n\
                     high: {\"device\":\"keyboard\",\"type\":1,\"code\":35,\"value\":1}\n";
        assert_eq!(receivers(words, 34), [Named::Low]);
        assert_eq!(receivers(words, 35), [Named::High]);
        assert!(receivers(words, 36).is_empty());
    }
}
