//! A machine with `tabard` on its seat, and the user in front of it: fingers, eyes, and a shell
//! behind the scenes. Nothing here waits for a time; each wait is for something to be seen or heard.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::json;

use super::heard::Ears;
use super::photo::{Named, is_live, named, selected_row};
use crate::test_host::machine::{Hardware, Host};
use crate::test_host::payload::{Payload, quoted};
use crate::test_host::protocol::Said;
use crate::test_host::qmp::{Glass, Qmp};

/// For one thing to happen in a machine without acceleration, on a busy computer.
pub const TIME: Duration = Duration::from_secs(60);
/// After which a user who sees no answer presses again: input is muted while the glass changes,
/// and a photograph may be a moment ahead of the card's own word.
const AGAIN: Duration = Duration::from_secs(2);
/// The same where pressing again is harmless at any time.
const SOON: Duration = Duration::from_millis(500);
/// Between two photographs of a wait; each costs the machine time.
const LOOK: Duration = Duration::from_millis(60);

/// The cards by QEMU's names for them.
pub const CARDS: [&str; 2] = ["gpu0", "gpu1"];
/// Keys that mean nothing to Tabard, and their codes: once one has arrived, all before it has. They
/// take turns, so that one that was late is not taken for the next.
const MARKERS: [(&str, u64); 8] = [
    ("m", 50),
    ("f6", 64),
    ("f7", 65),
    ("f8", 66),
    ("f9", 67),
    ("f10", 68),
    ("kp_add", 78),
    ("kp_subtract", 74),
];

/// The machine and its user.
pub struct Desk {
    /// The machine.
    pub host: Host,
    /// Fingers and eyes.
    pub qmp: Qmp,
    /// What the guests said.
    pub ears: Ears,
    /// What the shell has said since it was last given a line.
    said: String,
    lines: u32,
    /// Markers that were typed.
    marks: usize,
    /// The number of the keyboard that is plugged in.
    plugged: u32,
    /// The cards that are to show what the session shows.
    pub cards: Vec<&'static str>,
    /// Where the pictures go that are kept.
    pictures: PathBuf,
}

impl Desk {
    /// Switches the machine on.
    ///
    /// # Errors
    /// A sentence.
    pub fn boot(folder: &Path, image: &Path, payload: &Payload) -> Result<Self, String> {
        let socket = folder.join("qmp.sock");
        // It is there if an earlier machine was killed.
        let _ = std::fs::remove_file(&socket);
        let devices = [
            "virtio-gpu-pci,id=gpu0",
            "virtio-gpu-pci,id=gpu1",
            "pcie-root-port,id=port0,chassis=1",
            "pcie-root-port,id=port1,chassis=2",
            "virtio-keyboard-pci,id=keyboard0,bus=port0",
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
            kvm: false,
            typed: true,
        };
        let console = folder.join("console.log");
        let mut host = Host::start(folder, image, payload, &console, &hardware)?;
        let qmp = Qmp::connect(&socket, folder)?;
        host.wait_ready()?;
        let pictures = folder.join("pictures");
        crate::test_host::make_folder(&pictures)?;
        Ok(Self {
            host,
            qmp,
            ears: Ears::default(),
            said: String::new(),
            lines: 0,
            marks: 0,
            plugged: 0,
            cards: CARDS.to_vec(),
            pictures,
        })
    }

    /// Runs a command, if there is one, and switches the machine off; the command's status.
    ///
    /// # Errors
    /// A sentence.
    pub fn leave(mut self, command: &[String], time: Duration) -> Result<u8, String> {
        let command = if command.is_empty() { "true".to_owned() } else { quoted(command) };
        let line = format!("killall cat; cd /repository; {command}; exit $?");
        self.host.type_line(&line)?;
        let status = self.host.wait_exit(time)?;
        self.host.wait_off().map(|()| status)
    }

    /// Runs a line in the machine to its end; what it printed. It must succeed.
    ///
    /// # Errors
    /// A sentence with what it printed.
    pub fn shell(&mut self, line: &str) -> Result<String, String> {
        self.lines += 1;
        let mark = format!("@{}@", self.lines);
        self.said.clear();
        let then = if line.ends_with('&') { "" } else { ";" };
        self.host.type_line(&format!("{line}{then} echo {mark}$?@"))?;
        let ended = |text: &str| {
            let rest = text.split(&mark).nth(1)?;
            // With its end of line, or that would be the beginning of the next answer.
            rest.split_once("@\n").map(|(status, _)| status.to_owned())
        };
        let status = self.hear(line, ended)?;
        let text = self.said.split(&mark).next().unwrap_or_default().to_owned();
        if status == "0" { Ok(text) } else { Err(format!("{line:?} failed ({status}): {text}")) }
    }

    fn hear<T>(&mut self, what: &str, done: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        self.hear_within(what, TIME, done)
    }

    fn hear_within<T>(
        &mut self,
        what: &str,
        time: Duration,
        done: impl Fn(&str) -> Option<T>,
    ) -> Result<T, String> {
        if let Some(found) = done(&self.said) {
            return Ok(found);
        }
        let said = &mut self.said;
        self.host.wait_quietly(what, time, |one| {
            if let Said::Output(bytes) = one {
                said.push_str(&String::from_utf8_lossy(bytes));
            }
            done(said)
        })
    }

    /// Starts a session of this desk file; 5 and 6 are what its guests say.
    ///
    /// # Errors
    /// A sentence.
    pub fn start(&mut self, file: &str) -> Result<(), String> {
        self.shell("rm -f logs/*")?;
        self.shell(&format!(
            "{{ tabard run {file} --seat --tty 1 --logs logs 2>run.log; echo ended $?; }} &"
        ))?;
        self.open_ears()
    }

    /// Opens what the guests of a session say, once it is there.
    ///
    /// # Errors
    /// A sentence.
    pub fn open_ears(&mut self) -> Result<(), String> {
        self.ears = Ears::default();
        self.shell("until [ -e logs/low.serial -a -e logs/high.serial ]; do usleep 20000; done")?;
        self.shell("exec 5<logs/low.serial 6<logs/high.serial").map(drop)
    }

    /// Reads what the guests have said.
    ///
    /// # Errors
    /// A sentence.
    pub fn listen(&mut self) -> Result<(), String> {
        let text = self.shell("cat <&5; echo @high@; cat <&6")?;
        let (low, high) = text.split_once("@high@\n").ok_or("The guests' logs cannot be read")?;
        self.ears.of_mut(Named::Low).take(low);
        self.ears.of_mut(Named::High).take(high);
        Ok(())
    }

    /// Listens until this holds.
    ///
    /// # Errors
    /// A sentence.
    pub fn until_heard(&mut self, what: &str, done: impl Fn(&Ears) -> bool) -> Result<(), String> {
        let end = Instant::now() + TIME;
        loop {
            self.listen()?;
            if done(&self.ears) {
                return Ok(());
            }
            check(Instant::now() < end, || format!("waited in vain to hear {what}"))?;
        }
    }

    /// Types the marker into this guest, again if it is lost, until the guest says it: everything
    /// that was typed before, for whomever, has been decided by then.
    ///
    /// # Errors
    /// A sentence.
    pub fn mark(&mut self, guest: Named) -> Result<(), String> {
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            if self.mark_once(guest)? {
                return Ok(());
            }
        }
        Err(format!("typed in vain into {guest:?}"))
    }

    /// Types a marker once; whether the guest says it soon.
    fn mark_once(&mut self, guest: Named) -> Result<bool, String> {
        let (key, code) = MARKERS[self.marks % MARKERS.len()];
        self.marks += 1;
        self.ears.take_receivers(code);
        self.qmp.press(&[key])?;
        let again = Instant::now() + AGAIN;
        while Instant::now() < again {
            self.listen()?;
            if self.ears.receivers(code) == [guest] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same on the trusted screen, by moving the selection.
    ///
    /// # Errors
    /// A sentence.
    pub fn mark_trusted(&mut self) -> Result<(), String> {
        let row = selected_row(&self.qmp.glass(self.cards[0])?);
        let (key, wanted) = if row == Some(1) { ("end", Some(3)) } else { ("home", Some(1)) };
        self.press_until(&[key], "the selection to move", |glass| selected_row(glass) == wanted)
    }

    /// A photograph of every card, and whom it names.
    ///
    /// # Errors
    /// A sentence.
    pub fn look(&mut self) -> Result<Vec<Glass>, String> {
        self.cards.clone().into_iter().map(|card| self.qmp.glass(card)).collect()
    }

    /// Waits until a photograph of every card is as it should be.
    ///
    /// # Errors
    /// A sentence, and a picture of each card is kept.
    pub fn see(&mut self, what: &str, good: impl Fn(&Glass) -> bool) -> Result<(), String> {
        if self.see_within(TIME, good)? {
            return Ok(());
        }
        self.keep("failed")?;
        Err(format!(
            "waited in vain to see {what}; what was seen is in {}",
            self.pictures.display()
        ))
    }

    /// As [`Desk::see`]; whether it was seen in this time.
    ///
    /// # Errors
    /// A sentence.
    pub fn see_within(
        &mut self,
        time: Duration,
        good: impl Fn(&Glass) -> bool,
    ) -> Result<bool, String> {
        let end = Instant::now() + time;
        loop {
            if self.look()?.iter().all(&good) {
                return Ok(true);
            }
            if Instant::now() > end {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until every card names this.
    ///
    /// # Errors
    /// A sentence.
    pub fn see_named(&mut self, who: Named) -> Result<(), String> {
        self.see(&format!("{who:?} named"), |glass| named(glass) == Some(who))
    }

    /// Presses keys, again when nothing comes of it, until this is seen on every card.
    ///
    /// # Errors
    /// A sentence.
    pub fn press_until(
        &mut self,
        keys: &[&str],
        what: &str,
        good: impl Fn(&Glass) -> bool,
    ) -> Result<(), String> {
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            self.qmp.press(keys)?;
            if self.see_within(AGAIN, &good)? {
                return Ok(());
            }
        }
        self.see(what, good)
    }

    /// Presses the chord.
    ///
    /// # Errors
    /// A sentence.
    pub fn chord(&mut self) -> Result<(), String> {
        self.qmp.press(&["ctrl", "alt", "esc"])
    }

    /// To the trusted screen. The chord needs to be pressed once only, whatever goes on.
    ///
    /// # Errors
    /// A sentence.
    pub fn call_trusted(&mut self) -> Result<(), String> {
        self.chord()?;
        self.see_named(Named::Trusted)
    }

    /// By the trusted screen to a guest.
    ///
    /// # Errors
    /// A sentence.
    pub fn go(&mut self, guest: Named) -> Result<(), String> {
        self.call_trusted()?;
        self.choose(guest)
    }

    /// From the trusted screen to a guest.
    ///
    /// # Errors
    /// A sentence.
    pub fn choose(&mut self, guest: Named) -> Result<(), String> {
        let end = Instant::now() + TIME;
        while Instant::now() < end {
            self.qmp.press(&[digit(guest)])?;
            if self.see_within(SOON, |glass| named(glass) == Some(guest))? {
                return Ok(());
            }
        }
        self.see_named(guest)
    }

    /// Waits until this is named and what was typed is decided; a key that goes there and came too
    /// early is pressed again.
    ///
    /// # Errors
    /// A sentence.
    pub fn settle(&mut self, who: Named, again: &str) -> Result<(), String> {
        let end = Instant::now() + TIME;
        loop {
            // What is seen may still be the picture of before; only the marker tells.
            let seen = self.see_within(SOON, |glass| named(glass) == Some(who))?;
            if seen && who == Named::Trusted {
                return self.mark_trusted();
            }
            if seen && self.mark_once(who)? {
                return Ok(());
            }
            check(Instant::now() < end, || format!("came not to {who:?}"))?;
            if !again.is_empty() {
                self.qmp.press(&[again])?;
            }
        }
    }

    /// Presses a key that asks, and once the question is there, that for yes.
    ///
    /// # Errors
    /// A sentence.
    pub fn ask(&mut self, key: &str) -> Result<(), String> {
        let quiet = self.qmp.glass(self.cards[0])?;
        self.press_until(&[key], "a question", |glass| glass.differing(&quiet, 0, 38) > 200)
    }

    /// Moves the selection to a row of the trusted screen, from 1.
    ///
    /// # Errors
    /// A sentence.
    pub fn select(&mut self, row: usize) -> Result<(), String> {
        self.see("the list of guests", |glass| selected_row(glass).is_some())?;
        match row {
            1 => self.press_until(&["home"], "row 1", |glass| selected_row(glass) == Some(1)),
            3 => self.press_until(&["end"], "row 3", |glass| selected_row(glass) == Some(3)),
            _ => {
                self.press_until(&["home"], "row 1", |glass| selected_row(glass) == Some(1))?;
                let end = Instant::now() + TIME;
                while selected_row(&self.qmp.glass(self.cards[0])?) != Some(row) {
                    check(Instant::now() < end, || format!("row {row} is not selected"))?;
                    let below = selected_row(&self.qmp.glass(self.cards[0])?) < Some(row);
                    self.qmp.press(&[if below { "down" } else { "up" }])?;
                    self.see_within(AGAIN, |glass| selected_row(glass) == Some(row))?;
                }
                Ok(())
            }
        }
    }

    /// Kills a guest's process; it is gone when this returns.
    ///
    /// # Errors
    /// A sentence.
    pub fn crash(&mut self, guest: Named) -> Result<(), String> {
        let log = if guest == Named::High { "high.serial" } else { "low.serial" };
        let of = format!("ls -l /proc/$one/fd 2>/dev/null | grep -q {log}");
        self.shell(&format!(
            "for one in $(pidof tabard-vmm); do if {of}; then kill -9 $one; \
             while [ -d /proc/$one/fd ] && {of}; do usleep 20000; done; fi; done"
        ))
        .map(drop)
    }

    /// From the trusted screen: starts the guest of this row, from 1, if it does not run.
    ///
    /// # Errors
    /// A sentence.
    pub fn start_row(&mut self, row: usize) -> Result<(), String> {
        let end = Instant::now() + TIME;
        let runs = |glass: &Glass| is_live(glass, row);
        loop {
            // Before each press: it also drops a question that a press too many has asked.
            self.select(row)?;
            if self.see_within(SOON, runs)? {
                return Ok(());
            }
            check(Instant::now() < end, || format!("the guest of row {row} does not start"))?;
            self.qmp.press(&["s"])?;
            self.see_within(AGAIN, runs)?;
        }
    }

    /// Starts a guest again if it has ended, and goes to it.
    ///
    /// # Errors
    /// A sentence.
    pub fn revive(&mut self, guest: Named) -> Result<(), String> {
        let end = Instant::now() + TIME;
        loop {
            self.call_trusted()?;
            self.start_row(if guest == Named::High { 2 } else { 1 })?;
            self.choose(guest)?;
            // The list may have been one of before the crash.
            for _ in 0..3 {
                if self.mark_once(guest)? {
                    return Ok(());
                }
            }
            check(Instant::now() < end, || format!("{guest:?} does not come back"))?;
        }
    }

    /// Pulls the only keyboard out, with whatever is held on it, and plugs one into another port.
    ///
    /// # Errors
    /// A sentence.
    pub fn replug(&mut self) -> Result<(), String> {
        const LISTED: &str = "grep -q 'Virtio Keyboard' /proc/bus/input/devices";
        self.qmp.ask("device_del", &json!({ "id": format!("keyboard{}", self.plugged) }))?;
        self.shell(&format!("while {LISTED}; do usleep 20000; done"))?;
        self.plugged += 1;
        let (id, bus) = (format!("keyboard{}", self.plugged), format!("port{}", self.plugged % 2));
        self.qmp
            .ask("device_add", &json!({ "driver": "virtio-keyboard-pci", "id": id, "bus": bus }))?;
        self.shell(&format!("until {LISTED}; do usleep 20000; done")).map(drop)
    }

    /// Presses keys, again when nothing comes of it, until the shell or what runs behind it has
    /// said this.
    ///
    /// # Errors
    /// A sentence.
    pub fn press_until_said(&mut self, keys: &[&str], words: &str) -> Result<(), String> {
        let end = Instant::now() + TIME;
        self.said.clear();
        loop {
            self.qmp.press(keys)?;
            let heard = self.hear_within(words, AGAIN, |text| text.contains(words).then_some(()));
            if heard.is_ok() || Instant::now() > end {
                return heard;
            }
        }
    }

    /// Keeps a picture of every card.
    ///
    /// # Errors
    /// A sentence.
    pub fn keep(&mut self, name: &str) -> Result<(), String> {
        for card in self.cards.clone() {
            let file = self.pictures.join(format!("{name}-{card}.png"));
            self.qmp.photograph(card, &file)?;
        }
        Ok(())
    }
}

/// The key that goes to a guest from the trusted screen.
pub fn digit(guest: Named) -> &'static str {
    match guest {
        Named::Low => "1",
        Named::High => "2",
        Named::Third | Named::Trusted => "3",
    }
}

/// An error unless this holds.
///
/// # Errors
/// What `why` says.
pub fn check(holds: bool, why: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(why()) }
}
