//! A user's day at a desk of hostile guests: switching, typing, pointing, asking for the trusted
//! screen, while two good guests write down what they get and the oracle judges every frame.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tabard::audit::{Verifier, verify};
use tabard::oracle::{Findings, Oracle};
use tabard::session::audit::beside;
use tabard_display::RawInput;
use tabard_view::{GuestId, Recipient, Scale, Size};
use tempfile::TempDir;

use crate::catalogue::{Fate, Scenario, Who, guest_scenarios};
use crate::common::{SCREEN, Stage, key};
use crate::wire::Random;

/// Hostile guests of one desk: with the two good ones, as many as the digit row has keys.
pub const HOSTILE: usize = 7;

/// After this a scenario that was not carried out has failed.
const DAY: Duration = Duration::from_secs(600);
/// How often what has ended is started again.
const RESTARTS: usize = 2;
/// The least that a user does.
const ROUNDS: usize = 2;

/// Two screens: what is true must be true on both.
const OUTPUTS: [(Size, Scale); 2] = [
    (Size { width: 1280, height: 800 }, Scale::ONE),
    (Size { width: 1024, height: 768 }, Scale::ONE),
];

const LETTERS: [u16; 6] = [key::A, key::S, key::B, key::P, key::R, 46];
const LABELS: [&str; 4] = ["UNCLASSIFIED", "CONFIDENTIAL", "SECRET", "TOP SECRET"];

/// A desk file with these scenarios, of one kind, and the two good guests behind them. Each
/// hostile guest has a disk of its own, and all of them one that they may only read.
fn desk(scenarios: &[Scenario], volumes: &Volumes) -> String {
    let mut text = String::from("[desk]\nname = \"Hostile\"\ntheme = \"us\"\n");
    let process = scenarios.iter().any(|one| one.who == Who::Process);
    for (index, (name, path)) in volumes.images.iter().enumerate() {
        // The last is what all may read.
        let common = index == scenarios.len();
        let label = if common { LABELS[0] } else { LABELS[index % LABELS.len()] };
        text.push_str(&format!(
            "[volumes.{name}]\npath = {path:?}\nlabel = {label:?}\n{}\n",
            if common { "mode = \"read-only\"" } else { "" }
        ));
    }
    let mut guest = |name: String, label: &str, kernel: &str, rest: String| {
        text.push_str(&format!(
            "[guests.{name}]\nlabel = \"{label}\"\nkernel = \"builtin:{kernel}\"\n\
             memory = \"64M\"\n{rest}\n"
        ));
    };
    for (index, Scenario { name, who, seed, .. }) in scenarios.iter().enumerate() {
        let label = LABELS[index % LABELS.len()];
        match who {
            Who::Guest => {
                let line = format!(
                    "cmdline = \"scenario={name} seed={seed}\"\nvolumes = [\"own{index}\", \"common\"]"
                );
                guest(format!("bad{index}"), label, "hostile", line);
            }
            Who::Process => {
                let line = format!("cmdline = \"wire={name} seed={seed}\"");
                guest(format!("bad{index}"), label, "probe", line);
            }
        }
    }
    for (name, label) in [("alpha", "SECRET//ALPHA"), ("bravo", "UNCLASSIFIED")] {
        let line = if process { "cmdline = \"wire=record\"" } else { "" };
        guest(name.to_owned(), label, "probe", line.to_owned());
    }
    text
}

/// The images of a desk of hostile guests.
struct Volumes {
    images: Vec<(String, PathBuf)>,
    _folder: TempDir,
}

impl Volumes {
    /// Bytes of each, all the same byte.
    const BYTES: usize = 256 * 1024;
    const BYTE: u8 = 0x5a;

    fn new(scenarios: &[Scenario]) -> Self {
        // On a disk: what guests of several classes share goes past the page cache.
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let guests = scenarios.iter().filter(|one| one.who == Who::Guest).count();
        let own = (0..guests).map(|index| format!("own{index}"));
        let names = own.chain((guests > 0).then(|| "common".to_owned()));
        let images = names.map(|name| {
            let path = folder.path().join(&name);
            std::fs::write(&path, vec![Self::BYTE; Self::BYTES]).unwrap();
            (name, path)
        });
        Self { images: images.collect(), _folder: folder }
    }

    /// No image has another length, and what all may only read has its bytes.
    fn judge(&self) {
        for (name, path) in &self.images {
            let bytes = std::fs::read(path).unwrap();
            assert_eq!(bytes.len(), Self::BYTES, "{name} changed its length");
            let same = bytes.iter().all(|byte| *byte == Self::BYTE);
            assert!(same || name != "common", "what may only be read was written");
        }
    }
}

struct Day<'a> {
    stage: &'a Stage,
    oracle: &'a Oracle,
    random: Random,
    /// What was typed into the two good guests.
    typed: [Vec<(u64, u64)>; 2],
    hostile: usize,
}

/// Lives through a day with these scenarios; panics, in words, if something was not as it must.
pub fn live(scenarios: &[Scenario], program: PathBuf) -> Findings {
    let oracle = Oracle::default();
    let volumes = Volumes::new(scenarios);
    let stage = Stage::watched(&desk(scenarios, &volumes), &OUTPUTS, program, Some(&oracle));
    let hostile = scenarios.len();
    for good in [hostile, hostile + 1] {
        stage.until(&format!("good guest {good} is ready"), |stage| {
            stage.serial(good).contains("{\"ready\"")
        });
    }
    let seed = scenarios.iter().fold(0, |sum, one| sum ^ one.seed);
    let random = Random::new(seed);
    let mut day =
        Day { stage: &stage, oracle: &oracle, random, typed: Default::default(), hostile };
    let begin = Instant::now();
    for round in 0.. {
        day.round();
        day.wake(scenarios);
        let waiting: Vec<&str> = (0..)
            .zip(scenarios)
            .filter(|(index, one)| !carried_out(&stage, *index, one))
            .map(|(_, one)| one.name)
            .collect();
        if waiting.is_empty() && round + 1 >= ROUNDS {
            break;
        }
        assert!(begin.elapsed() < DAY, "not carried out in {DAY:?}: {waiting:?}");
    }
    day.settle();
    for (index, one) in scenarios.iter().enumerate() {
        let lives = stage.status().guests[index].1.is_some();
        if one.fate == Fate::Lives {
            assert!(lives || may_end(one), "the process of {} ended", one.name);
        } else {
            stage.until(&format!("the end of {}", one.name), |stage| {
                stage.status().guests[index].1.is_none()
            });
        }
    }
    for (index, one) in scenarios.iter().enumerate().filter(|(_, one)| one.fate == Fate::Ended) {
        day.restart(index, one);
    }
    day.settle();
    let processes: Vec<u32> = stage.status().guests.iter().filter_map(|guest| guest.1).collect();
    let Stage { harness, logs, .. } = stage;
    harness.stop();
    audited(logs.path(), scenarios);
    for process in processes {
        assert!(!std::path::Path::new(&format!("/proc/{process}")).exists(), "{process} is left");
    }
    volumes.judge();
    let findings = oracle.findings();
    assert!(findings.violations == 0, "{} violations: {:#?}", findings.violations, findings.words);
    findings
}

/// The audit log is whole, and holds each end that was not the user's: the first, and that after
/// each start. Of what a process says of its state it holds what the session told it to do.
fn audited(logs: &Path, scenarios: &[Scenario]) {
    let path = logs.join("audit.jsonl");
    let key = std::fs::read_to_string(beside(&path, ".pub")).unwrap();
    let mut verifier = Verifier::new(key.trim()).unwrap();
    verifier.head_file(&path).unwrap();
    let report = verify(&std::fs::read(&path).unwrap(), &verifier);
    assert!(report.fault.is_none(), "the audit log is damaged: {report:?}");
    let log = std::fs::read_to_string(&path).unwrap();
    for (index, one) in scenarios.iter().enumerate() {
        let count =
            |kind: &str| log.matches(&format!("\"{kind}\",\"guest\":\"bad{index}\"")).count();
        assert!(count("guest-running") <= 1 + RESTARTS, "{} fills the log:\n{log}", one.name);
        assert_eq!(count("guest-paused"), 0, "nobody paused {}:\n{log}", one.name);
    }
    for (index, one) in scenarios.iter().enumerate().filter(|(_, one)| one.fate == Fate::Ended) {
        let guest = format!("\"guest\":\"bad{index}\"");
        let ends = ["process-failed", "guest-failed", "guest-stopped"];
        let ended =
            |line: &&str| ends.iter().any(|end| line.contains(end)) && line.contains(&guest);
        let count = log.lines().filter(ended).count();
        assert_eq!(count, 1 + RESTARTS, "{} in the audit log:\n{log}", one.name);
    }
}

/// How often it has said that it has attacked.
fn attacks(stage: &Stage, index: usize, scenario: &Scenario) -> usize {
    stage.serial(index).matches(&format!("{{\"done\":\"{}\"", scenario.name)).count()
}

/// Whether it has said so, or its process ended as it must.
/// Whether QEMU 10.0 may break off at this, by a fault of its own in stopping and starting a device:
/// then its guest ends with it, and nothing else does.
fn may_end(scenario: &Scenario) -> bool {
    crate::common::on_qemu() && matches!(scenario.name, "status-orders" | "registers-random")
}

fn carried_out(stage: &Stage, index: usize, scenario: &Scenario) -> bool {
    if may_end(scenario) && stage.status().guests[index].1.is_none() {
        return true;
    }
    // Whoever takes its own timer away may sleep for ever, where an answer does not come at once.
    if crate::common::on_qemu() && scenario.name == "interrupt-controllers" {
        return stage.serial(index).contains("{\"ready\"");
    }
    let log = stage.serial(index);
    let done = format!("{{\"done\":\"{}\"", scenario.name);
    let Some(line) = log.lines().find(|line| line.contains(&done)) else { return false };
    if scenario.who == Who::Guest {
        let count = format!("\"scenarios\":{}}}", guest_scenarios());
        assert!(line.contains(&count), "the catalogue and the guest differ: {line}");
    }
    true
}

/// Of key events those of the letters that are typed.
fn letters(keys: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let is_letter = |key: &&(u64, u64)| LETTERS.iter().any(|letter| u64::from(*letter) == key.0);
    keys.iter().filter(is_letter).copied().collect()
}

impl Day<'_> {
    /// Everybody is visited once, the good ones in between.
    fn round(&mut self) {
        let good = [self.hostile, self.hostile + 1];
        for index in 0..self.hostile {
            self.visit(index);
            self.visit(good[index % 2]);
        }
        self.visit(good[self.hostile % 2]);
    }

    /// Lets those go on that stand still until the user has been everywhere.
    fn wake(&self, scenarios: &[Scenario]) {
        for (index, _) in scenarios.iter().enumerate().filter(|one| one.1.name == "wire-loads-late")
        {
            let process = self.stage.status().guests[index].1.unwrap();
            let process = Pid::from_raw(process.cast_signed()).unwrap();
            kill_process(process, Signal::CONT).unwrap();
        }
    }

    /// Goes to a guest by the trusted screen, types and points.
    fn visit(&mut self, guest: usize) {
        let stage = self.stage;
        self.oracle.asked();
        stage.sak();
        stage.until_open(Recipient::Trusted);
        self.oracle.only(Recipient::Trusted);
        let id = u8::try_from(guest).unwrap();
        self.oracle.may_switch();
        stage.tap(key::KEY_1 + u16::from(id));
        let recipient = Recipient::Guest(GuestId(id));
        stage.until_open(recipient);
        self.oracle.only(recipient);
        let status = stage.status();
        assert_eq!(status.recipient, recipient, "the session and the glass differ");
        // Of what a guest leaves unread for long the oldest goes; a good one reads, in its own time.
        if let Some(good) = guest.checked_sub(self.hostile) {
            let typed = self.typed[good].len();
            stage
                .until("what was typed before", |stage| letters(&stage.keys(guest)).len() >= typed);
        }
        for _ in 0..1 + self.random.below(6) {
            let code = LETTERS[self.random.below(6) as usize];
            stage.tap(code);
            if let Some(good) = guest.checked_sub(self.hostile) {
                self.typed[good].extend([(u64::from(code), 1), (u64::from(code), 0)]);
            }
        }
        // Bravo is never pointed at; whatever pointer events it has were not its own.
        if guest != self.hostile + 1 {
            self.point();
        }
    }

    /// Starts a guest that has ended, which then attacks and ends again.
    fn restart(&mut self, index: usize, scenario: &Scenario) {
        for _ in 0..RESTARTS {
            let before = attacks(self.stage, index, scenario);
            self.visit(index);
            self.oracle.asked();
            self.stage.sak();
            self.stage.until_open(Recipient::Trusted);
            self.oracle.only(Recipient::Trusted);
            self.stage.tap(key::S);
            self.stage.until(&format!("{} again", scenario.name), |stage| {
                attacks(stage, index, scenario) > before && stage.status().guests[index].1.is_none()
            });
            self.oracle.may_switch();
        }
    }

    fn point(&mut self) {
        let (size, _) = OUTPUTS[0];
        for _ in 0..8 {
            let x = self.random.below(size.width.into()) as u32;
            let y = self.random.below(size.height.into()) as u32;
            self.stage.input(RawInput::Pointer { output: SCREEN, x, y });
        }
        self.stage.input(RawInput::Wheel { vertical: 1, horizontal: 0 });
    }

    /// The good guests have what was typed into them, in its order, and nothing else.
    fn settle(&mut self) {
        for good in 0..2 {
            let guest = self.hostile + good;
            self.oracle.asked();
            self.stage.switch(u8::try_from(guest).unwrap());
            self.stage.settle(guest);
            let chord = [key::LEFT_CTRL, key::LEFT_ALT, key::CAPS_LOCK].map(u64::from);
            let keys = self.stage.keys(guest);
            let got = letters(&keys);
            let other: Vec<_> = keys.into_iter().filter(|key| !got.contains(key)).collect();
            assert_eq!(got, self.typed[good], "what good guest {good} got is not what was typed");
            assert!(other.iter().all(|(code, _)| chord.contains(code)), "strange keys: {other:?}");
        }
        let pointed = self.stage.events(self.hostile + 1, "pointer", 3);
        assert!(pointed.is_empty(), "bravo got the pointer of others: {pointed:?}");
    }
}
