//! A running desk without a screen, for scripts, tests and the demo: real processes, real
//! machines, pictures in memory. It asks and looks; it holds no policy.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use tabard_display::headless::{Headless, HeadlessError, HeadlessHandle, Inspector};
use tabard_display::{CheckedCompositor, Compose, FontError, FrameSender, RawInput, Ringing};
use tabard_view::{FrameSerial, OutputId, Recipient, Scale, Size};

pub use tabard_display::headless::Snapshot;

use crate::session::desk::Desk;
use crate::session::{Control, Options, Outcome, StartError, Status, file_name, prepare};
use crate::signals::Signals;
use crate::window::PRESENTER_QUEUE;

/// Orders that may wait for the loop; more make the one who gives them wait.
const CONTROL_QUEUE: usize = 256;
/// How long a session may take to answer before it counts as gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Serial logs and process states wake nobody, so they are looked at this often.
const RECHECK: Duration = Duration::from_millis(10);
/// Most of a serial log that is read at once, in bytes; the session stops logging earlier.
const SERIAL_READ_LIMIT_BYTES: u64 = 32 * 1024 * 1024;

/// Why a desk without a screen did not start.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The desk cannot be started on this host.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A screen in memory could not be had.
    #[error("Cannot make a screen in memory: {0}. Look at the memory that is free")]
    Screen(#[from] HeadlessError),
    /// The system gave no thread.
    #[error("Cannot start a thread: {0}. Look at the limits that `ulimit -a` prints")]
    Thread(#[source] std::io::Error),
}

/// What was sent to a desk, and what it showed, each with its time.
#[derive(Debug, Default)]
pub struct Recorded {
    /// Input, when it was handed in.
    pub inputs: Vec<(Instant, RawInput)>,
    /// Frames, when they were seen to be presented.
    pub frames: Vec<(Instant, FrameSerial)>,
}

/// A running desk without a screen. Dropping it ends the desk and every guest.
pub struct Harness {
    guests: Vec<String>,
    sak: String,
    logs: PathBuf,
    control: Ringing<Control>,
    screen: HeadlessHandle,
    watch: Receiver<FrameSerial>,
    recording: Mutex<Option<Recorded>>,
    session: Option<JoinHandle<Outcome>>,
    presenter: Option<JoinHandle<()>>,
}

impl Harness {
    /// Starts a desk on screens of these sizes, numbered from 0. Serial logs begin empty.
    ///
    /// # Errors
    /// [`HarnessError`]; nothing is left running then.
    pub fn start(
        desk: &Desk,
        outputs: &[(Size, Scale)],
        options: Options,
    ) -> Result<Self, HarnessError> {
        Self::start_inspected(desk, outputs, options, None)
    }

    /// As [`Harness::start`]; the inspector, such as that of an [`Oracle`](crate::oracle::Oracle),
    /// sees every frame before it is confirmed.
    ///
    /// # Errors
    /// As [`Harness::start`].
    pub fn start_inspected(
        desk: &Desk,
        outputs: &[(Size, Scale)],
        options: Options,
        inspector: Option<Inspector>,
    ) -> Result<Self, HarnessError> {
        let labels = desk.labels.clone();
        let compositor = || CheckedCompositor::new(labels);
        Self::start_with(desk, outputs, options, inspector, compositor)
    }

    /// As [`Harness::start_inspected`], drawn by a compositor of one's own.
    ///
    /// # Errors
    /// As [`Harness::start`].
    pub fn start_with<C: Compose + 'static>(
        desk: &Desk,
        outputs: &[(Size, Scale)],
        options: Options,
        inspector: Option<Inspector>,
        compositor: impl FnOnce() -> Result<CheckedCompositor<C>, FontError> + Send + 'static,
    ) -> Result<Self, HarnessError> {
        let session = prepare(desk, &options)?;
        let (events, presenter_events) = session.bell().channel(PRESENTER_QUEUE);
        let (frames, requests) = FrameSender::channel(None);
        let (screen, presenter) =
            Headless::spawn_with(outputs, compositor, requests, events, inspector)?;
        let watch = screen.watch()?;
        let (control, orders) = session.bell().channel(CONTROL_QUEUE);
        // Should this fail, both ends of the presenter are dropped here, and it ends.
        let session = thread::Builder::new()
            .name("session".to_owned())
            .spawn(move || session.run(frames, &presenter_events, &orders))
            .map_err(HarnessError::Thread)?;
        Ok(Self {
            guests: desk.guests.iter().map(|guest| guest.name.clone()).collect(),
            sak: desk.sak.to_string(),
            logs: options.logs,
            control,
            screen,
            watch,
            recording: Mutex::new(None),
            session: Some(session),
            presenter: Some(presenter),
        })
    }

    /// Hands in input, as if from a device. After the end of the session it goes nowhere.
    pub fn input(&self, input: RawInput) {
        self.note(|recorded| recorded.inputs.push((Instant::now(), input)));
        // A session that has ended says so by `ended`.
        let _ = self.control.send(Control::Input(input));
    }

    /// From now on keeps what is sent and when frames were presented, for [`Harness::recorded`].
    pub fn record(&self) {
        *self.recording() = Some(Recorded::default());
    }

    /// What was recorded since the last time.
    #[must_use]
    pub fn recorded(&self) -> Recorded {
        // Frames that nobody has waited for are still to be noticed; they come late, not early.
        while let Ok(serial) = self.watch.try_recv() {
            self.note(|recorded| recorded.frames.push((Instant::now(), serial)));
        }
        self.recording().as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn recording(&self) -> MutexGuard<'_, Option<Recorded>> {
        self.recording.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Recorded)) {
        if let Some(recorded) = self.recording().as_mut() {
            note(recorded);
        }
    }

    /// The present state, with all input handed in before taken into account. After the end of
    /// the session: nobody receives input, and there are no guests.
    #[must_use]
    pub fn status(&self) -> Status {
        let (answer, status) = bounded(1);
        let _ = self.control.send(Control::Query(answer));
        status.recv_timeout(ANSWER_TIMEOUT).unwrap_or(Status {
            recipient: Recipient::Nobody,
            input_open: false,
            locked: false,
            guests: Vec::new(),
            engines: Vec::new(),
            engine_ids: Vec::new(),
            jails: Vec::new(),
        })
    }

    /// From now on these signals end the desk, in order.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn obey(&self, signals: Signals) -> std::io::Result<()> {
        signals.serve(self.control.clone())
    }

    /// Asks the session to lock, as before the host sleeps. What is returned says whether it did,
    /// once no screen shows a guest any more.
    #[must_use]
    pub fn lock(&self) -> Receiver<bool> {
        let (answer, locked) = bounded(1);
        // A session that has ended drops the order, which the receiver tells.
        let _ = self.control.send(Control::Lock(answer));
        locked
    }

    /// What a screen shows now; `None` if there is no such screen, or the session has ended.
    #[must_use]
    pub fn snapshot(&self, output: OutputId) -> Option<Snapshot> {
        self.screen.snapshot(output).ok()
    }

    /// Waits until `condition` holds, for at most `timeout`; says whether it held. It is looked
    /// at after each presented frame, and every 10 ms.
    pub fn wait(&self, timeout: Duration, mut condition: impl FnMut(&Self) -> bool) -> bool {
        let begin = Instant::now();
        loop {
            if condition(self) {
                return true;
            }
            let Some(left) = timeout.checked_sub(begin.elapsed()).filter(|left| !left.is_zero())
            else {
                return false;
            };
            let pause = left.min(RECHECK);
            match self.watch.recv_timeout(pause) {
                Ok(serial) => {
                    self.note(|recorded| recorded.frames.push((Instant::now(), serial)));
                }
                Err(crossbeam_channel::RecvTimeoutError::Timeout) => {}
                // No frame will come any more, but a log may still be filled.
                Err(crossbeam_channel::RecvTimeoutError::Disconnected) => thread::sleep(pause),
            }
        }
    }

    /// What a guest, by its place in the desk file, has printed on its first serial port since
    /// the start; empty if there is no such guest. Bytes that are no text become U+FFFD.
    #[must_use]
    pub fn serial(&self, guest: usize) -> String {
        self.serial_from(guest, 0)
    }

    /// As [`Harness::serial`], from this byte on.
    #[must_use]
    pub fn serial_from(&self, guest: usize, offset_bytes: u64) -> String {
        let read = || {
            let mut file = File::open(self.serial_log(guest)?).ok()?;
            file.seek(SeekFrom::Start(offset_bytes)).ok()?;
            let mut bytes = Vec::new();
            file.take(SERIAL_READ_LIMIT_BYTES).read_to_end(&mut bytes).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        };
        read().unwrap_or_default()
    }

    /// How much a guest has printed on its first serial port, in bytes.
    #[must_use]
    pub fn serial_bytes(&self, guest: usize) -> u64 {
        self.serial_log(guest)
            .and_then(|log| std::fs::metadata(log).ok())
            .map_or(0, |metadata| metadata.len())
    }

    /// Gives a screen another size and scale, as a user who resizes a window. Input handed in
    /// before counts before.
    pub fn resize(&self, output: OutputId, size: Size, scale: Scale) {
        self.at_screen(|screen| screen.resize(output, size, scale));
    }

    /// Plugs a screen in. Input handed in before counts before.
    pub fn add_output(&self, output: OutputId, size: Size, scale: Scale) {
        self.at_screen(|screen| screen.add_output(output, size, scale));
    }

    /// Unplugs a screen. Input handed in before counts before.
    pub fn remove_output(&self, output: OutputId) {
        self.at_screen(|screen| screen.remove_output(output));
    }

    /// Withholds confirmations, as a display that is slow; with `false` they come again. No frame
    /// that is made after it returns escapes it.
    pub fn hold(&self, hold: bool) {
        self.at_screen(|screen| screen.hold(hold));
    }

    fn at_screen(&self, order: impl FnOnce(&HeadlessHandle) -> Result<(), HeadlessError>) {
        // An answer means that the session has taken all input handed in before: the presenter's
        // events have a channel of their own, and could overtake it.
        let _ = self.status();
        // A session that has ended says so by `ended`.
        if order(&self.screen).is_ok() {
            // Orders are obeyed in turn, so an answer about no screen at all means that this one
            // has been obeyed.
            let _ = self.screen.snapshot(OutputId(u8::MAX));
        }
    }

    /// The names of the guests, in the order of the desk file.
    #[must_use]
    pub fn guests(&self) -> &[String] {
        &self.guests
    }

    /// The secure-attention key of the desk, as it is written in a desk file.
    #[must_use]
    pub fn sak(&self) -> &str {
        &self.sak
    }

    /// Whether the session has ended, by its user or by a failure.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.session.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends the desk and every guest, and says how it ended.
    pub fn stop(mut self) -> Outcome {
        self.end()
    }

    fn serial_log(&self, guest: usize) -> Option<PathBuf> {
        self.guests.get(guest).map(|name| serial_log(&self.logs, name))
    }

    fn end(&mut self) -> Outcome {
        let _ = self.control.send(Control::Quit("closed by the user"));
        let broke = |who: &str| Outcome::Failed(format!("{who} broke; its message is above"));
        let outcome = match self.session.take().map(JoinHandle::join) {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => broke("The session"),
            None => Outcome::Closed,
        };
        // The session dropped the last sender of frames, so the presenter ends too.
        match self.presenter.take().map(JoinHandle::join) {
            Some(Err(_)) => broke("The presenter"),
            _ => outcome,
        }
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        if self.session.is_some() {
            self.end();
        }
    }
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").field("guests", &self.guests).finish_non_exhaustive()
    }
}

/// The log of a guest's first serial port.
#[must_use]
pub fn serial_log(logs: &Path, guest: &str) -> PathBuf {
    logs.join(format!("{}.serial", file_name(guest)))
}
