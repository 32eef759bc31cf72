//! What the end-to-end tests share: desks in temporary folders, the real programs, waiting for
//! conditions.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use tabard::harness::Harness;
use tabard::oracle::Oracle;
use tabard::session::desk::Desk;
use tabard::session::{Engine, Options};
use tabard_display::RawInput;
use tabard_display::headless::Snapshot;
use tabard_view::{BarKind, GuestId, OutputId, Recipient, Scale, Size};
use tempfile::TempDir;

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

pub const SIZE: Size = Size { width: 1280, height: 800 };
pub const SCREEN: OutputId = OutputId(0);

/// Linux key codes (linux/input-event-codes.h).
pub mod key {
    pub const ESC: u16 = 1;
    pub const KEY_1: u16 = 2;
    pub const KEY_2: u16 = 3;
    pub const KEY_3: u16 = 4;
    pub const ENTER: u16 = 28;
    pub const LEFT_CTRL: u16 = 29;
    pub const A: u16 = 30;
    pub const S: u16 = 31;
    pub const B: u16 = 48;
    pub const LEFT_SHIFT: u16 = 42;
    pub const LEFT_ALT: u16 = 56;
    pub const CAPS_LOCK: u16 = 58;
    pub const O: u16 = 24;
    pub const P: u16 = 25;
    pub const R: u16 = 19;
    pub const BTN_LEFT: u16 = 0x110;
}

/// Two probes of two labels and a notepad of a third.
pub const DESK: &str = r#"
[desk]
name = "Test"
theme = "us"
[guests.alpha]
label = "SECRET//ALPHA"
kernel = "builtin:probe"
memory = "64M"
[guests.bravo]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
memory = "64M"
"#;

/// The `tabard` under test.
pub fn tabard() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tabard"))
}

/// The `tabard-vmm` beside it.
pub fn vmm() -> PathBuf {
    let path = tabard().with_file_name("tabard-vmm");
    assert!(path.is_file(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// A subcommand of `tabard` that starts guests, on the engine that `TABARD_TEST_ENGINE` names.
pub fn tabard_on_engine(subcommand: &str) -> Command {
    let mut command = Command::new(tabard());
    command.arg(subcommand);
    if let Some(engine) = std::env::var_os("TABARD_TEST_ENGINE") {
        command.arg("--engine").arg(engine);
    }
    command
}

/// Options for the engine that `TABARD_TEST_ENGINE` names (`kvm` or `qemu`; else as the desk says).
pub fn options(vmm: PathBuf, logs: &Path) -> Options {
    let engine = std::env::var("TABARD_TEST_ENGINE").ok().map(|word| match word.as_str() {
        "kvm" => Engine::Kvm,
        "qemu" => Engine::Qemu,
        other => panic!("TABARD_TEST_ENGINE is {other:?}; write kvm or qemu"),
    });
    let (logs, notice) = (logs.to_path_buf(), String::new());
    let snapshots = Vec::new();
    Options { vmm, logs, notice, engine, qemu: tabard::run::qemu, snapshots }
}

/// A program in the place of `tabard-vmm`, by a name that `tabard-engine` stands beside.
fn beside_engine(program: &Path, folder: &Path) -> PathBuf {
    let engine = "tabard-engine";
    if program.with_file_name(engine).is_file() {
        return program.to_path_buf();
    }
    let place = folder.join("program");
    std::fs::create_dir(&place).unwrap();
    std::os::unix::fs::symlink(vmm().with_file_name(engine), place.join(engine)).unwrap();
    let name = place.join(program.file_name().unwrap());
    std::os::unix::fs::symlink(program, &name).unwrap();
    name
}

/// Whether the guests of these tests run on QEMU where nothing else is said.
pub fn on_qemu() -> bool {
    std::env::var("TABARD_TEST_ENGINE").is_ok_and(|engine| engine == "qemu")
}

/// A running desk without a screen, its logs in a folder of its own.
pub struct Stage {
    pub harness: Harness,
    pub logs: TempDir,
    guests: usize,
}

impl std::ops::Deref for Stage {
    type Target = Harness;
    fn deref(&self) -> &Harness {
        &self.harness
    }
}

impl Stage {
    pub fn new(desk: &str) -> Self {
        Self::with_outputs(desk, &[(SIZE, Scale::ONE)])
    }

    pub fn with_outputs(desk: &str, outputs: &[(Size, Scale)]) -> Self {
        Self::watched(desk, outputs, vmm(), None)
    }

    /// A desk whose guests run this program, and whose frames this oracle judges.
    pub fn watched(
        desk: &str,
        outputs: &[(Size, Scale)],
        vmm: PathBuf,
        oracle: Option<&Oracle>,
    ) -> Self {
        Self::played(desk, outputs, vmm, oracle, tempfile::tempdir().unwrap())
    }

    /// A desk whose logs and keys are where an earlier session left them.
    pub fn in_logs(desk: &str, logs: TempDir) -> Self {
        Self::played(desk, &[(SIZE, Scale::ONE)], vmm(), None, logs)
    }

    fn played(
        desk: &str,
        outputs: &[(Size, Scale)],
        vmm: PathBuf,
        oracle: Option<&Oracle>,
        logs: TempDir,
    ) -> Self {
        let desk = Desk::parse(desk, Path::new("test.toml")).unwrap();
        let mut options = options(beside_engine(&vmm, logs.path()), logs.path());
        // A desk that names engines keeps them.
        if desk.guests.iter().any(|guest| guest.engine.is_some()) {
            options.engine = None;
        }
        let inspector = oracle.map(|oracle| oracle.inspector(&desk).unwrap());
        let harness = Harness::start_inspected(&desk, outputs, options, inspector).unwrap();
        Self { harness, logs, guests: desk.guests.len() }
    }

    /// As [`Stage::new`], and every guest has said on its serial port that it is ready.
    pub fn ready(desk: &str) -> Self {
        let stage = Self::new(desk);
        for index in 0..stage.guests {
            stage.until(&format!("guest {index} is ready"), |stage| {
                stage.serial(index).contains("{\"ready\"")
            });
        }
        stage.until("input is open", |stage| stage.status().input_open);
        stage
    }

    /// What a guest has printed, as whole lines: it may be in the middle of the next.
    pub fn serial(&self, guest: usize) -> String {
        let mut log = self.harness.serial(guest);
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    /// Waits for a condition, or fails with the words and what the guests printed.
    pub fn until(&self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        if !self.harness.wait(LIMIT, |_| condition(self)) {
            let logs: Vec<String> = (0..self.guests)
                .map(|index| {
                    let log = self.serial(index);
                    let tail = log.len().saturating_sub(1500);
                    format!("--- guest {index}\n{}", log.get(tail..).unwrap_or(&log))
                })
                .collect();
            panic!("never came: {what}\nstatus {:?}\n{}", self.status(), logs.join("\n"));
        }
    }

    pub fn key(&self, code: u16, pressed: bool) {
        self.input(RawInput::Key { code, pressed });
    }

    /// Presses and releases a key.
    pub fn tap(&self, code: u16) {
        self.key(code, true);
        self.key(code, false);
    }

    /// Presses and releases Ctrl+Alt+Escape.
    pub fn sak(&self) {
        let chord = [key::LEFT_CTRL, key::LEFT_ALT, key::ESC];
        chord.iter().for_each(|code| self.key(*code, true));
        chord.iter().rev().for_each(|code| self.key(*code, false));
    }

    /// Waits until the glass names this recipient and input reaches it.
    pub fn until_open(&self, recipient: Recipient) {
        self.until(&format!("input open to {recipient:?}"), |stage| {
            let status = stage.status();
            status.recipient == recipient
                && status.input_open
                && stage.shown().view.is_some_and(|view| view.recipient == recipient)
        });
    }

    /// Switches by the trusted screen to guest 0, 1, ...
    pub fn switch(&self, guest: u8) {
        self.sak();
        self.until_open(Recipient::Trusted);
        self.tap(key::KEY_1 + u16::from(guest));
        self.until_open(Recipient::Guest(GuestId(guest)));
    }

    /// Withholds confirmations, or lets them go, from now on.
    pub fn hold(&self, hold: bool) {
        self.harness.hold(hold);
        // The answer comes after the order was taken.
        self.shown();
    }

    /// What is on the screen.
    pub fn shown(&self) -> Snapshot {
        self.snapshot(SCREEN).expect("the screen is there")
    }

    /// The view that is on the screen.
    pub fn view(&self) -> std::sync::Arc<tabard_view::View> {
        self.shown().view.expect("something was presented")
    }

    /// The name in the bar's "TYPING INTO", if it says so.
    pub fn bar_name(&self) -> Option<String> {
        match &self.view().output(SCREEN)?.bar.kind {
            BarKind::TypingInto { name, .. } => Some(name.clone()),
            _ => None,
        }
    }

    /// The key events that a probe printed, as (code, value).
    pub fn keys(&self, guest: usize) -> Vec<(u64, u64)> {
        self.events(guest, "keyboard", 1)
    }

    /// The events of one device and type that a probe printed, as (code, value).
    pub fn events(&self, guest: usize, device: &str, kind: u64) -> Vec<(u64, u64)> {
        self.serial(guest)
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|line| line["device"] == device && line["type"] == kind)
            .filter_map(|line| Some((line["code"].as_u64()?, line["value"].as_u64()?)))
            .collect()
    }

    /// Types a marker key into a guest that has the input, and waits until it is printed: all
    /// that was delivered before it has been printed then.
    pub fn settle(&self, guest: usize) {
        let before = self.keys(guest).len();
        self.tap(key::CAPS_LOCK);
        self.until("the marker key arrives", |stage| {
            stage.keys(guest).len() >= before + 2
                && stage
                    .keys(guest)
                    .ends_with(&[(u64::from(key::CAPS_LOCK), 1), (u64::from(key::CAPS_LOCK), 0)])
        });
    }
}

/// Waits until this is true, looking every few milliseconds.
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "never came: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
