//! A desk that runs, for one test.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tabard::harness::{Harness, Snapshot};
use tabard::oracle::{Findings, Oracle};
use tabard::script::{Live, LiveError};
use tabard::session::desk::Desk;
use tabard_display::RawInput;
use tabard_view::{BarKind, GuestId, OutputId, Recipient, Scale, Size, View};
use tempfile::TempDir;

use crate::key;
use crate::programs::{beside_engine, options, vmm};

/// Long enough for a loaded machine; a test that waits this long has failed.
pub const LIMIT: Duration = Duration::from_secs(60);
/// The screen, if a test does not say.
pub const SIZE: Size = Size { width: 1280, height: 800 };
/// The first screen.
pub const SCREEN: OutputId = OutputId(0);

/// A running desk without a screen, its logs in a folder of its own. Dropping it ends the desk and
/// every guest.
pub struct Stage {
    /// The desk.
    pub harness: Harness,
    /// The folder of its logs and keys.
    pub logs: TempDir,
    guests: usize,
    oracle: Oracle,
    live: Mutex<Live>,
}

impl std::ops::Deref for Stage {
    type Target = Harness;
    fn deref(&self) -> &Harness {
        &self.harness
    }
}

impl std::fmt::Debug for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stage").field("harness", &self.harness).finish_non_exhaustive()
    }
}

/// What starts a desk panics if the desk file is faulty or this host cannot run it; the message says
/// why and what to do.
impl Stage {
    /// Starts the desk of a desk file's text, on one screen of [`SIZE`].
    #[must_use]
    pub fn new(desk: &str) -> Self {
        Self::with_outputs(desk, &[(SIZE, Scale::ONE)])
    }

    /// As [`Stage::new`], every frame judged: see [`Stage::assert_judged`].
    #[must_use]
    pub fn judged(desk: &str) -> Self {
        Self::watched(desk, &[(SIZE, Scale::ONE)], vmm(), Some(&Oracle::default()))
    }

    /// As [`Stage::new`], on these screens.
    #[must_use]
    pub fn with_outputs(desk: &str, outputs: &[(Size, Scale)]) -> Self {
        Self::watched(desk, outputs, vmm(), None)
    }

    /// A desk whose guests run this program, and whose frames this oracle judges.
    #[must_use]
    pub fn watched(
        desk: &str,
        outputs: &[(Size, Scale)],
        vmm: PathBuf,
        oracle: Option<&Oracle>,
    ) -> Self {
        let desk = Desk::parse(desk, Path::new("test.toml"));
        Self::start(unwrapped(desk), outputs, vmm, oracle, folder())
    }

    /// A desk whose logs and keys are where an earlier session left them.
    #[must_use]
    pub fn in_logs(desk: &str, logs: TempDir) -> Self {
        let desk = Desk::parse(desk, Path::new("test.toml"));
        Self::start(unwrapped(desk), &[(SIZE, Scale::ONE)], vmm(), None, logs)
    }

    /// Starts the desk of a file, every frame judged.
    #[must_use]
    pub fn open(desk: &Path) -> Self {
        let desk = unwrapped(Desk::read(desk));
        Self::start(desk, &[(SIZE, Scale::ONE)], vmm(), Some(&Oracle::default()), folder())
    }

    fn start(
        desk: Desk,
        outputs: &[(Size, Scale)],
        vmm: PathBuf,
        oracle: Option<&Oracle>,
        logs: TempDir,
    ) -> Self {
        let vmm = unwrapped(beside_engine(&vmm, logs.path()));
        let mut options = options(vmm, logs.path());
        // A desk that names engines keeps them.
        if desk.guests.iter().any(|guest| guest.engine.is_some()) {
            options.engine = None;
        }
        let inspector = oracle.map(|oracle| unwrapped(oracle.inspector(&desk)));
        let harness = unwrapped(Harness::start_inspected(&desk, outputs, options, inspector));
        let (guests, oracle) = (desk.guests.len(), oracle.cloned().unwrap_or_default());
        let live = Live::new(desk, oracle.clone(), logs.path(), &logs.path().join("pictures"));
        Self { harness, logs, guests, oracle, live: Mutex::new(live) }
    }

    /// Plays steps of the script language, one a line, until one fails; returns what they had to say.
    /// `mark` and the chosen `screen` hold from one call to the next; pictures of `shot` are in
    /// `pictures` below the folder of the logs.
    ///
    /// # Errors
    /// [`LiveError`]: a fault in the steps, or the first step that failed and why.
    pub fn play(&self, steps: &str) -> Result<Vec<String>, LiveError> {
        // What is inside is valid at every moment, whoever panicked.
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.play(&self.harness, steps)
    }

    /// What the oracle found in every frame so far; nothing if it does not judge this desk.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.oracle.findings()
    }

    /// Fails if the oracle saw no frame, or one that was wrong.
    pub fn assert_judged(&self) {
        let findings = self.findings();
        assert!(findings.frames > 0, "no frame was judged: start it by Stage::judged");
        assert_eq!(findings.violations, 0, "{:?}", findings.words);
    }

    /// As [`Stage::new`], and every guest has said on its serial port that it is ready.
    #[must_use]
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
    #[must_use]
    pub fn serial(&self, guest: usize) -> String {
        let mut log = self.harness.serial(guest);
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    /// Waits for a condition, or fails with the words and what the guests printed.
    ///
    /// # Panics
    /// If it does not hold within [`LIMIT`].
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

    /// Presses or releases a key by its code.
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
        let _ = self.shown();
    }

    /// What is on the screen.
    ///
    /// # Panics
    /// If the session has ended.
    #[must_use]
    pub fn shown(&self) -> Snapshot {
        self.snapshot(SCREEN).expect("the screen is there")
    }

    /// The view that is on the screen.
    ///
    /// # Panics
    /// Before the first frame.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.shown().view.expect("something was presented")
    }

    /// The name in the bar's "TYPING INTO", if it says so.
    #[must_use]
    pub fn bar_name(&self) -> Option<String> {
        match &self.view().output(SCREEN)?.bar.kind {
            BarKind::TypingInto { name, .. } => Some(name.clone()),
            _ => None,
        }
    }

    /// The key events that a probe printed, as (code, value).
    #[must_use]
    pub fn keys(&self, guest: usize) -> Vec<(u64, u64)> {
        self.events(guest, "keyboard", 1)
    }

    /// The events of one device and type that a probe printed, as (code, value).
    #[must_use]
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

fn folder() -> TempDir {
    unwrapped(tempfile::tempdir())
}

/// What a test cannot do without.
fn unwrapped<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("{error}"))
}

/// Waits until this is true, looking every few milliseconds.
///
/// # Panics
/// If it is not within [`LIMIT`].
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < LIMIT, "never came: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}
