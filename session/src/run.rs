//! The loop of the session. Input comes first in every turn, then the presenter's word, then the
//! guests, a bounded number of messages each: no guest can keep the user waiting (invariant 2).

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use tabard_display::{Bell, FrameSender, Pictures, PresenterEvent, RawInput};
use tabard_input::{DeviceName, HostEvent, KeyCode, SourceId};
use tabard_trusted_path::{
    Effect, Ending, Event, GuestCommand, GuestReport, LockCause, Monitor, Passage, Question, Timer,
};
use tabard_view::{GuestId, Recipient, Size};
use tabard_wire::{Layers, ToVmm};

use super::agent::Said;
use super::audit::{Audit, Entry};
use super::channel::Incoming;
use super::confirm::Confirmer;
use super::engine::Engine;
use super::exchange::Exchange;
use super::frames::Frames;
use super::guest::{Changed, Guest};
use super::login::Checker;
use super::sleep::{LOOK_EVERY, Slept};

/// Messages of one guest that are taken before input is looked at again.
const GUEST_BURST: usize = 16;
/// Events of one source that are taken in one turn.
const INPUT_BURST: usize = 64;
/// The source that the presenter's own input counts as.
const WINDOW: SourceId = SourceId(0);
/// The source that a script's input counts as.
const SCRIPT: SourceId = SourceId(1);
/// Lines about guests that are printed in one minute; a guest that dies in a loop fills no log.
const LOG_LINES_PER_MINUTE: u32 = 60;

/// What a script or a test asks of a running session.
#[derive(Debug)]
pub enum Control {
    /// Input, as if from a device.
    Input(RawInput),
    /// Answer with the present state.
    Query(Sender<Status>),
    /// Lock the screen, and say so once no screen shows a guest any more; `false` if the desk has
    /// no users and so no lock.
    Lock(Sender<bool>),
    /// End the session; why, in words.
    Quit(&'static str),
}

/// The state of a session at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who is to receive input.
    pub recipient: Recipient,
    /// Whether input reaches the recipient: the glass names it everywhere.
    pub input_open: bool,
    /// Whether the screen is locked, or nobody has logged in yet.
    pub locked: bool,
    /// For each guest its size, and the process id of its `tabard-vmm`.
    pub guests: Vec<(Option<Size>, Option<u32>)>,
    /// For each guest what runs its instructions.
    pub engines: Vec<Option<Engine>>,
    /// For each guest the process id of its `tabard-engine`.
    pub engine_ids: Vec<Option<u32>>,
    /// For each guest the layers of its jail, as its running processes have reported them.
    pub jails: Vec<Option<Layers>>,
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The user closed it, or a signal or whoever else may.
    Closed,
    /// The presenter failed; why, in words.
    Failed(String),
    /// The verifier refused a frame: all screens are blank. Why, in words.
    Refused(String),
    /// The audit log could not be written, and nothing takes effect without it. Why, in words.
    Unwritten(String),
}

/// A session that is ready to run.
pub struct Session {
    monitor: Monitor,
    guests: Vec<Guest>,
    program: PathBuf,
    exchange: Exchange,
    minute_of_day: Option<u16>,
    log_left: u32,
    /// The keyboards and pointers of a seat.
    devices: Receiver<HostEvent>,
    checker: Checker,
    bell: Bell,
    slept: Slept,
    /// Who waits for the lock to be on the glass.
    locking: Vec<Sender<bool>>,
    audit: Audit,
    /// What the monitor was told of it.
    records_wait: bool,
    /// Why the session must end at once: nothing takes effect any more.
    broken: Option<Outcome>,
    /// Who closes it, if it is closed.
    closer: &'static str,
}

impl Session {
    pub(crate) fn new(
        monitor: Monitor,
        guests: Vec<Guest>,
        program: PathBuf,
        confirmer: Confirmer,
        audit: Audit,
        checker: Checker,
    ) -> Self {
        Self {
            monitor,
            guests,
            program,
            exchange: Exchange::new(confirmer),
            minute_of_day: None,
            log_left: LOG_LINES_PER_MINUTE,
            devices: crossbeam_channel::never(),
            checker,
            bell: audit.bell.clone(),
            slept: Slept::now(),
            locking: Vec::new(),
            audit,
            records_wait: false,
            broken: None,
            closer: "closed by the user",
        }
    }

    /// The wait that an earlier session left ends after so many seconds.
    pub(crate) fn wait(&mut self, seconds: u32) {
        self.exchange.start(Timer::LoginDelay(0), seconds.saturating_mul(1000));
    }

    /// For each guest what runs its instructions.
    #[must_use]
    pub fn engines(&self) -> Vec<Option<Engine>> {
        self.guests.iter().map(Guest::engine).collect()
    }

    /// What wakes the loop: everything that is sent to it must ring it.
    #[must_use]
    pub fn bell(&self) -> Bell {
        self.bell.clone()
    }

    /// The same session for a seat: these devices are its hands, and it begins with the chord.
    #[must_use]
    pub fn seated(mut self, devices: Receiver<HostEvent>) -> Self {
        self.devices = devices;
        self.monitor = self.monitor.awaiting_chord();
        self
    }

    /// Runs until the user quits or the presenter ends. Every guest is gone when it returns.
    pub fn run(
        mut self,
        frames: FrameSender,
        presenter: &Receiver<PresenterEvent>,
        control: &Receiver<Control>,
    ) -> Outcome {
        let outcome = self.turns(frames, presenter, control);
        let why = match &outcome {
            Outcome::Closed => self.closer,
            Outcome::Failed(why) | Outcome::Refused(why) | Outcome::Unwritten(why) => why,
        };
        let refused = matches!(outcome, Outcome::Refused(_))
            .then(|| Entry::new("frame-refused").text("why", why));
        self.audit.end(refused, why);
        outcome
    }

    fn turns(
        &mut self,
        frames: FrameSender,
        presenter: &Receiver<PresenterEvent>,
        control: &Receiver<Control>,
    ) -> Outcome {
        let mut frames = Frames::new(frames, self.monitor.view());
        self.bell.hear();
        loop {
            let more = match self.turn(&mut frames, presenter, control) {
                Ok(more) => more,
                Err(outcome) => return outcome,
            };
            let guests = &self.guests;
            let frame_due = frames.flush(|| pictures(guests));
            if !more {
                // Whatever was sent since it was looked for has rung: then this returns at once.
                thread::park_timeout(self.next_due(frame_due));
            }
        }
    }

    /// Looks everywhere once; answers whether something was left for the next turn.
    fn turn(
        &mut self,
        frames: &mut Frames,
        presenter: &Receiver<PresenterEvent>,
        control: &Receiver<Control>,
    ) -> Result<bool, Outcome> {
        self.tick(frames);
        self.run_timers(frames)?;
        let devices = self.devices.clone();
        let from_device = |session: &mut Self, event, frames: &mut Frames| {
            session.step(device_event(event), frames)
        };
        // Nobody could press the chord any more.
        let ended = Some("The reader of the input devices ended");
        let mut more = self.take(&devices, ended, frames, from_device)?;
        let ended = Some("The presenter has ended");
        more |= self.take(presenter, ended, frames, Self::presenter_event)?;
        // Nobody has to control it.
        more |= self.take(control, None, frames, Self::control)?;
        let shown = || self.monitor.input_open() || self.monitor.view().outputs.is_empty();
        if !self.locking.is_empty() && shown() {
            for answer in self.locking.drain(..) {
                // Whoever asked may have stopped waiting.
                let _ = answer.try_send(self.monitor.is_locked());
            }
        }
        more |= self.take_from_guests(frames);
        self.broken.take().map_or(Ok(more), Err)
    }

    /// Takes up to [`INPUT_BURST`] events of one source, and answers whether more may be left;
    /// fails with the words for a source that must not end.
    fn take<T>(
        &mut self,
        source: &Receiver<T>,
        ended: Option<&str>,
        frames: &mut Frames,
        act: impl Fn(&mut Self, T, &mut Frames) -> Option<Outcome>,
    ) -> Result<bool, Outcome> {
        for _ in 0..INPUT_BURST {
            match (source.try_recv(), ended) {
                (Ok(event), _) => act(self, event, frames).map_or(Ok(()), Err)?,
                (Err(TryRecvError::Disconnected), Some(ended)) => {
                    return Err(Outcome::Failed(ended.to_owned()));
                }
                (Err(_), _) => return Ok(false),
            }
        }
        Ok(true)
    }

    /// How long to sleep if nothing rings: until a frame, a timer or the next minute is due.
    fn next_due(&self, frame_due: Option<Duration>) -> Duration {
        // Only a desk with users has to notice that the host woke up.
        let idle = if self.monitor.has_users() { LOOK_EVERY } else { Duration::MAX };
        let until_minute = next_minute().min(idle);
        let wait = frame_due.map_or(until_minute, |due| due.min(until_minute));
        let agents = self.guests.iter().filter_map(|guest| guest.agent.due());
        let timer = agents.chain(self.exchange.due()).min();
        timer.map_or(wait, |due| wait.min(due.saturating_duration_since(Instant::now())))
    }

    fn tick(&mut self, frames: &mut Frames) {
        if self.slept.again(Slept::now()) {
            self.step(Event::Lock(LockCause::Suspend), frames);
        }
        let wait = self.audit.waits();
        if wait != self.records_wait {
            self.records_wait = wait;
            self.step(Event::RecordsWait(wait), frames);
        }
        let now = minute_of_day();
        if self.minute_of_day != Some(now) {
            self.minute_of_day = Some(now);
            self.log_left = LOG_LINES_PER_MINUTE;
            self.step(Event::Clock { minute_of_day: now }, frames);
        }
    }

    fn presenter_event(&mut self, event: PresenterEvent, frames: &mut Frames) -> Option<Outcome> {
        let event = match event {
            PresenterEvent::OutputAdded { output, size, scale } => {
                Event::OutputAdded { output, size, scale }
            }
            PresenterEvent::OutputResized { output, size, scale } => {
                Event::OutputResized { output, size, scale }
            }
            PresenterEvent::OutputRemoved { output } => Event::OutputRemoved(output),
            PresenterEvent::OutputDark { name, dark } => {
                let what =
                    if dark { "cannot be lit: it stays dark" } else { "is no longer left out" };
                self.log(&format!("Screen {name} {what}"));
                Event::ScreenDark { name: DeviceName::new(&name), dark }
            }
            PresenterEvent::Presented { output, serial } => {
                frames.confirmed();
                Event::Presented { output, serial }
            }
            PresenterEvent::Input(input) => host_event(WINDOW, input),
            PresenterEvent::CloseRequested => return Some(Outcome::Closed),
            PresenterEvent::Failed(why) => return Some(Outcome::Failed(why)),
            PresenterEvent::FrameRefused(why) => return Some(Outcome::Refused(why.to_string())),
        };
        self.step(event, frames)
    }

    fn control(&mut self, control: Control, frames: &mut Frames) -> Option<Outcome> {
        match control {
            Control::Input(input) => self.step(host_event(SCRIPT, input), frames),
            Control::Query(answer) => {
                // Whoever asked may have stopped waiting.
                let _ = answer.try_send(self.status());
                None
            }
            Control::Lock(answer) => {
                self.locking.push(answer);
                self.step(Event::Lock(LockCause::Suspend), frames)
            }
            Control::Quit(why) => {
                self.closer = why;
                Some(Outcome::Closed)
            }
        }
    }

    fn status(&self) -> Status {
        let ids = (0..=u8::MAX).map(GuestId);
        Status {
            recipient: self.monitor.recipient(),
            input_open: self.monitor.input_open(),
            locked: self.monitor.is_locked(),
            jails: self.guests.iter().map(Guest::jail).collect(),
            engines: self.engines(),
            engine_ids: self.guests.iter().map(|guest| guest.process_ids().1).collect(),
            guests: ids
                .zip(&self.guests)
                .map(|(id, guest)| (self.monitor.guest_size(id), guest.process_ids().0))
                .collect(),
        }
    }

    /// Answers whether a guest had more to say than it may in one turn.
    fn take_from_guests(&mut self, frames: &mut Frames) -> bool {
        let mut more = false;
        for (id, index) in (0..=u8::MAX).map(GuestId).zip(0..self.guests.len()) {
            for left in (0..GUEST_BURST).rev() {
                let Some(guest) = self.guests.get_mut(index) else { break };
                let Some(incoming) = guest.incoming() else { break };
                let incoming = match incoming.try_recv() {
                    Ok(incoming) => incoming,
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => Incoming::Closed,
                };
                let changed = guest.take(incoming, self.exchange.next_question());
                self.changed(id, changed, frames);
                more |= left == 0;
            }
        }
        more
    }

    fn changed(&mut self, id: GuestId, changed: Changed, frames: &mut Frames) {
        if let Some(line) = changed.log {
            self.log(&line);
        }
        if let Some(damage) = changed.damage {
            frames.damage(id, damage);
        }
        if let Some(report) = changed.report {
            self.step(Event::Guest { guest: id, report }, frames);
        }
        if let Some(listens) = changed.listens {
            self.step(Event::Listens { guest: id, listens }, frames);
        }
        if let Some(lights) = changed.lights {
            self.step(Event::Lights { guest: id, lights }, frames);
        }
        match changed.said {
            Some(Said::Offered(clip)) => {
                self.step(Event::Offered { guest: id, clip }, frames);
            }
            Some(Said::Asked { number, pages }) => {
                self.exchange.asked();
                let question = Question { number, pages };
                self.step(Event::Asked { guest: id, question }, frames);
            }
            Some(Said::Refused(answer)) => {
                if let Some(event) = self.tell_agent(id, &answer) {
                    self.step(event, frames);
                }
            }
            Some(Said::Nonsense) | None => {}
        }
    }

    /// Tells the monitor of timers that ran out, and processes that they may say more; starts what
    /// waited for the end of its last process.
    fn run_timers(&mut self, frames: &mut Frames) -> Result<(), Outcome> {
        let now = Instant::now();
        while let Some(timer) = self.exchange.elapsed(now) {
            self.step(Event::Elapsed(timer), frames).map_or(Ok(()), Err)?;
        }
        while let Ok((ticket, right)) = self.checker.answers.try_recv() {
            let event = Event::PasswordChecked { ticket, right };
            self.step(event, frames).map_or(Ok(()), Err)?;
        }
        for id in (0..=u8::MAX).map(GuestId).take(self.guests.len()) {
            let Some(guest) = self.guest(id) else { continue };
            let event = if guest.due() {
                self.command(id, GuestCommand::Start)
            } else if guest.agent.ready(now)
                && let Err(error) = guest.send(ToVmm::AgentTaken)
            {
                self.end(id, Ending::ProtocolViolation, &error.to_string())
            } else {
                None
            };
            if let Some(event) = event {
                self.step(event, frames);
            }
        }
        Ok(())
    }

    /// Sends a guest's agent a frame; a process that does not read is ended.
    fn tell_agent(&mut self, id: GuestId, frame: &[u8]) -> Option<Event> {
        let error = self.guest(id)?.tell_agent(frame).err()?;
        self.end(id, Ending::ProtocolViolation, &error.to_string())
    }

    /// Prints a line on standard error, where the person who started the session reads it.
    pub fn log(&mut self, line: &str) {
        if let Some(left) = self.log_left.checked_sub(1) {
            self.log_left = left;
            eprintln!("tabard: {line}");
            self.record(vec![Entry::new("note").text("text", line)]);
        }
    }

    /// Writes down what is about to take effect. If that fails, nothing may.
    fn record(&mut self, entries: Vec<Entry>) {
        if let Err(error) = self.audit.write(entries) {
            self.broken = Some(Outcome::Unwritten(error.to_string()));
        }
    }

    /// One event through the monitor, and its effects carried out; some are events again.
    fn step(&mut self, event: Event, frames: &mut Frames) -> Option<Outcome> {
        let mut events = vec![event];
        let mut outcome = None;
        while let Some(event) = events.pop() {
            let effects = self.monitor.step(event);
            self.record(self.audit.names.entries(&effects));
            if self.broken.is_some() {
                return self.broken.clone();
            }
            for effect in effects {
                match effect {
                    Effect::Audit(_) => {}
                    Effect::CheckPassword { user, ticket } => {
                        let secret = self.monitor.take_secret();
                        if !self.checker.check(user, ticket, secret) {
                            events.push(Event::PasswordChecked { ticket, right: false });
                        }
                    }
                    Effect::Deliver { guest, input } => {
                        let lost = self.guest(guest).is_some_and(|guest| !guest.deliver(input));
                        if lost {
                            events.extend(self.end(
                                guest,
                                Ending::ProtocolViolation,
                                "its process does not read its input",
                            ));
                        }
                    }
                    Effect::Command { guest, command } => {
                        events.extend(self.command(guest, command));
                    }
                    Effect::Take { guest, clip } => {
                        let offer = self.guest(guest).and_then(|guest| guest.agent.offer.clone());
                        self.exchange.keep(clip.digest, offer);
                    }
                    Effect::Give(Passage { to, clip, .. }) => {
                        if let Some(frame) = self.exchange.frame(clip.digest) {
                            events.extend(self.tell_agent(to, &frame));
                        }
                    }
                    Effect::Forget => self.exchange.forget(),
                    Effect::Answer { guest, number, yes } => {
                        let asked = self.guest(guest).and_then(|guest| guest.agent.question.take());
                        if let Some(asked) = asked.filter(|asked| asked.number == number) {
                            let frame = self.exchange.answer(guest, &asked, yes, since_epoch());
                            events.extend(self.tell_agent(guest, &frame));
                        }
                    }
                    Effect::Timer { timer, after_ms } => self.exchange.start(timer, after_ms),
                    Effect::Redraw => {
                        frames.show(self.exchange.fill(
                            self.monitor.view(),
                            &self.monitor,
                            &self.guests,
                        ));
                    }
                    Effect::Quit => outcome = Some(Outcome::Closed),
                }
            }
        }
        outcome
    }

    fn guest(&mut self, id: GuestId) -> Option<&mut Guest> {
        self.guests.get_mut(usize::from(id.0))
    }

    fn end(&mut self, id: GuestId, ending: Ending, words: &str) -> Option<Event> {
        let changed = self.guest(id)?.ended(ending, words.to_owned());
        if let Some(line) = changed.log {
            self.log(&line);
        }
        changed.report.map(|report| Event::Guest { guest: id, report })
    }

    fn command(&mut self, id: GuestId, command: GuestCommand) -> Option<Event> {
        // Not by its method: the program is borrowed beside it.
        let guest = self.guests.get_mut(usize::from(id.0))?;
        let message = match command {
            GuestCommand::Start => {
                let error = guest.start(&self.program).err()?;
                return self.end(id, Ending::LoadFailed, &format!("cannot start: {error}"));
            }
            GuestCommand::Stop => {
                guest.stop();
                let report = GuestReport::Stopped(Ending::ByUser);
                return Some(Event::Guest { guest: id, report });
            }
            GuestCommand::Resize(size) => {
                let error = guest.resize(size).err()?;
                return self.end(id, Ending::Machine, &format!("cannot be resized: {error}"));
            }
            GuestCommand::Reset => ToVmm::Reset,
            GuestCommand::PowerButton => ToVmm::PowerButton,
            GuestCommand::Pause => ToVmm::Pause,
            GuestCommand::Resume => ToVmm::Resume,
        };
        let error = guest.send(message).err()?;
        self.end(id, Ending::ProtocolViolation, &error.to_string())
    }
}

fn pictures(guests: &[Guest]) -> Pictures {
    (0..=u8::MAX)
        .map(GuestId)
        .zip(guests)
        .filter_map(|(id, guest)| Some((id, guest.picture()?)))
        .collect()
}

fn device_event(event: HostEvent) -> Event {
    match event {
        HostEvent::Appeared { source, device } => Event::DeviceAppeared { source, device },
        HostEvent::Gone(source) => Event::DeviceGone(source),
        HostEvent::Key { source, code, pressed } if code.is_button() => {
            Event::Button { source, code: code.0, pressed }
        }
        HostEvent::Key { source, code, pressed } => Event::Key { source, code, pressed },
        HostEvent::Moved { source, dx, dy } => Event::PointerMoved { source, dx, dy },
        HostEvent::At { source, x, y } => Event::PointerAt { source, x, y },
        HostEvent::Wheel { source, vertical, horizontal } => {
            Event::Wheel { source, vertical, horizontal }
        }
    }
}

fn host_event(source: SourceId, input: RawInput) -> Event {
    match input {
        RawInput::Key { code, pressed } => Event::Key { source, code: KeyCode(code), pressed },
        RawInput::Pointer { output, x, y } => Event::Pointer { source, output, x, y },
        RawInput::Button { code, pressed } => Event::Button { source, code, pressed },
        RawInput::Wheel { vertical, horizontal } => Event::Wheel { source, vertical, horizontal },
        RawInput::Lost => Event::SourceLost(source),
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn minute_of_day() -> u16 {
    u16::try_from(since_epoch().as_secs() / 60 % 1440).unwrap_or(0)
}

fn next_minute() -> Duration {
    let within = since_epoch().as_secs() % 60;
    Duration::from_secs(60_u64.saturating_sub(within).max(1))
}
