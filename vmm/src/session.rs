//! The loop of the process: the wire first, then the processors' events, then one bounded turn
//! of each queue that the guest has filled. Nothing in it waits for `tabard` or for the guest.

mod snapshot;

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tabard_wire::{FailReason, FromVmm, StopReason, SurfaceGeometry, ToVmm};
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};
use vmm_sys_util::eventfd::EventFd;

use crate::agent::AgentPort;
use crate::boot::BootError;
use crate::devices::input::Report;
use crate::engine::{FIRST_TOKEN, Watch};
use crate::intruder;
use crate::jail;
use crate::machine::{AGENT_QUEUE, Blueprint, Engine, FIXED_DEVICES, Machine, QUEUES, lock};
use crate::outbox::Outbox;
use crate::setup::Setup;
use crate::snapshot::Source;
use crate::surface::Surface;
use crate::vcpu::{Event, Mailbox};
use crate::wire::{Received, Sent, Wire};

/// Most messages taken before the guest's queues get their turn.
const MAX_MESSAGES_PER_TURN: usize = 64;

const TOKEN_WIRE: u64 = u64::MAX;
const TOKEN_PROCESSORS: u64 = u64::MAX - 1;
const TOKEN_SNAPSHOTS: u64 = u64::MAX - 2;

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// `Quit`, the end of the wire, or a guest that stopped: status 0.
    Done,
    /// The machine could not be made: status 1.
    Failed,
}

/// Why a session cannot go on.
enum Stop {
    /// Without a word.
    Quietly,
    Guest(StopReason),
    Failed(BootError),
}

impl From<BootError> for Stop {
    fn from(error: BootError) -> Self {
        Self::Failed(error)
    }
}

fn protocol() -> Stop {
    Stop::Failed(BootError::new(FailReason::Protocol, 0))
}

/// What the machine is doing.
enum Phase {
    Setup(Box<Setup>),
    Loaded(Box<Blueprint>, Machine),
    Live {
        blueprint: Box<Blueprint>,
        machine: Machine,
        paused: bool,
    },
    /// Only while one phase becomes another.
    Changing,
}

struct Session {
    wire: Wire,
    outbox: Outbox,
    epoll: Arc<Epoll>,
    interest: EventSet,
    events: Receiver<Event>,
    mailbox: Mailbox,
    notifiers: Vec<EventFd>,
    /// For each queue whether its last turn ended before it was empty.
    unfinished: Vec<bool>,
    surface: Option<Arc<Surface>>,
    /// When the framebuffer was copied last, if there is one.
    pulled: Option<Instant>,
    agent: Option<AgentPort>,
    phase: Phase,
    snapshots: snapshot::Snapshots,
    /// The size that the display has and did not have when the machine was kept.
    resized: Option<SurfaceGeometry>,
}

/// Runs one guest over the wire until either side ends it.
pub fn run(wire: Wire) -> End {
    let watch = match Watched::new(&wire) {
        Ok(watch) => watch,
        Err(error) => {
            complain!("Descriptors of the session cannot be had: {error}");
            let errno = error.raw_os_error().and_then(|raw| u64::try_from(raw).ok());
            let detail = errno.unwrap_or(0);
            wire.send(FromVmm::Failed { reason: FailReason::Device, detail });
            return End::Failed;
        }
    };
    let mut session = Session::new(wire, watch);
    let end = match session.serve() {
        Stop::Quietly => return End::Done,
        Stop::Guest(reason) => {
            session.outbox.answer(FromVmm::Stopped(reason));
            End::Done
        }
        Stop::Failed(BootError { reason, detail }) => {
            complain!("Failed: {reason:?}, {detail:#x}");
            session.outbox.answer(FromVmm::Failed { reason, detail });
            End::Failed
        }
    };
    session.outbox.last_words(&session.wire);
    end
}

/// The descriptors that the session waits on, all but the wire.
struct Watched {
    epoll: Epoll,
    wake: EventFd,
    notifiers: Vec<EventFd>,
}

impl Watched {
    fn new(wire: &Wire) -> std::io::Result<Self> {
        let epoll = Epoll::new()?;
        let watch =
            |fd, token| epoll.ctl(ControlOperation::Add, fd, EpollEvent::new(EventSet::IN, token));
        watch(wire.as_fd().as_raw_fd(), TOKEN_WIRE)?;
        let wake = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
        watch(wake.as_raw_fd(), TOKEN_PROCESSORS)?;
        let mut notifiers = Vec::new();
        // Those of the volumes are waited for by the thread that serves them.
        let own = QUEUES.iter().take(FIXED_DEVICES).sum();
        for token in (0u64..).take(QUEUES.iter().sum()) {
            let notifier = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC)?;
            if usize::try_from(token).is_ok_and(|token| token < own) {
                watch(notifier.as_raw_fd(), token)?;
            }
            notifiers.push(notifier);
        }
        Ok(Self { epoll, wake, notifiers })
    }
}

impl Session {
    fn new(wire: Wire, watch: Watched) -> Self {
        let Watched { epoll, wake, notifiers } = watch;
        let (sender, events) = channel();
        Self {
            wire,
            outbox: Outbox::default(),
            epoll: Arc::new(epoll),
            interest: EventSet::IN,
            events,
            mailbox: Mailbox { sender, wake },
            unfinished: vec![false; notifiers.len()],
            notifiers,
            surface: None,
            pulled: None,
            agent: None,
            phase: Phase::Setup(Box::default()),
            snapshots: snapshot::Snapshots::default(),
            resized: None,
        }
    }

    fn serve(&mut self) -> Stop {
        loop {
            if let Err(stop) = self.turn() {
                return stop;
            }
        }
    }

    fn turn(&mut self) -> Result<(), Stop> {
        let ready = self.wait()?;
        self.take_messages()?;
        while let Ok(event) = self.events.try_recv() {
            match event {
                Event::Reset => {
                    let paused = matches!(self.phase, Phase::Live { paused: true, .. });
                    self.reset()?;
                    self.outbox.announce(FromVmm::Running);
                    // The user's pause outlasts what the guest does.
                    if paused {
                        self.set_paused(true)?;
                    }
                }
                Event::Stopped(reason) => return Err(Stop::Guest(reason)),
                Event::Paused if self.keep_now()? => {}
                Event::Arrived => self.arrived(),
                Event::Paused => self.outbox.answer(FromVmm::Paused),
                Event::Running => self.outbox.answer(FromVmm::Running),
            }
        }
        self.hear_line()?;
        for index in ready {
            self.serve_queue(index);
        }
        self.collect_news();
        match self.outbox.flush(&self.wire) {
            Sent::Closed => Err(Stop::Quietly),
            Sent::Yes | Sent::Full => Ok(()),
        }
    }

    /// Waits for something to do; returns the queues that have work.
    fn wait(&mut self) -> Result<Vec<usize>, Stop> {
        self.watch_wire()?;
        let busy = self.unfinished.contains(&true);
        let mut events = [EpollEvent::default(); 16];
        let count = match self.epoll.wait(if busy { 0 } else { self.patience_ms() }, &mut events) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => 0,
            Err(_) => return Err(Stop::Guest(StopReason::Unexpected)),
        };
        let mut ready: Vec<usize> = self.unfinished_queues();
        for event in events.iter().take(count) {
            match event.data() {
                TOKEN_WIRE => {
                    let gone = EventSet::HANG_UP | EventSet::ERROR;
                    if event.event_set().intersects(gone) {
                        return Err(Stop::Quietly);
                    }
                }
                // It is heard in each turn.
                TOKEN_SNAPSHOTS => {}
                TOKEN_PROCESSORS => {
                    let _count = self.mailbox.wake.read();
                }
                token if token >= FIRST_TOKEN => {
                    if let Phase::Loaded(_, machine) | Phase::Live { machine, .. } = &mut self.phase
                    {
                        machine.ready(token);
                    }
                }
                token => {
                    let Ok(index) = usize::try_from(token) else { continue };
                    if let Some(notifier) = self.notifiers.get(index) {
                        let _count = notifier.read();
                    }
                    if !ready.contains(&index) {
                        ready.push(index);
                    }
                }
            }
        }
        Ok(ready)
    }

    /// How long to wait when nothing happens: a framebuffer says nothing of itself.
    fn patience_ms(&self) -> i32 {
        match &self.phase {
            Phase::Live { machine, paused: false, .. } => machine.period_ms().unwrap_or(-1),
            _ => -1,
        }
    }

    fn unfinished_queues(&self) -> Vec<usize> {
        let queues = self.unfinished.iter().enumerate();
        queues.filter(|(_, unfinished)| **unfinished).map(|(index, _)| index).collect()
    }

    /// Asks to be woken for what can be done with the wire now.
    fn watch_wire(&mut self) -> Result<(), Stop> {
        let mut interest = EventSet::empty();
        interest.set(EventSet::IN, !self.outbox.is_crowded());
        interest.set(EventSet::OUT, !self.outbox.is_empty());
        if interest != self.interest {
            let event = EpollEvent::new(interest, TOKEN_WIRE);
            self.epoll
                .ctl(ControlOperation::Modify, self.wire.as_fd().as_raw_fd(), event)
                .map_err(|_| Stop::Guest(StopReason::Unexpected))?;
            self.interest = interest;
        }
        Ok(())
    }

    fn take_messages(&mut self) -> Result<(), Stop> {
        for _ in 0..MAX_MESSAGES_PER_TURN {
            if self.outbox.is_crowded() {
                return Ok(());
            }
            match self.wire.receive() {
                Received::Message(message, fd) => self.handle(message, fd)?,
                Received::Nothing => return Ok(()),
                Received::Closed => return Err(Stop::Quietly),
                Received::Broken => return Err(protocol()),
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: ToVmm, fd: Option<OwnedFd>) -> Result<(), Stop> {
        match message {
            ToVmm::Quit => Err(Stop::Quietly),
            ToVmm::Surface { generation, geometry } => {
                let fd = fd.ok_or_else(protocol)?;
                self.set_surface(fd, generation, geometry)
            }
            ToVmm::Load => self.load(),
            ToVmm::Snapshots => self.set_line(fd.ok_or_else(protocol)?),
            ToVmm::Boot => self.boot(),
            ToVmm::Key { code, pressed } | ToVmm::Button { code, pressed } => {
                let report = Report::Key { code, pressed };
                let keyboard = matches!(message, ToVmm::Key { .. });
                self.deliver(report, keyboard);
                Ok(())
            }
            ToVmm::Pointer { x, y } => {
                self.deliver(Report::Motion { x, y }, false);
                Ok(())
            }
            ToVmm::Wheel { vertical, horizontal } => {
                self.deliver(Report::Wheel { vertical, horizontal }, false);
                Ok(())
            }
            ToVmm::Pause => self.set_paused(true),
            ToVmm::Resume => self.set_paused(false),
            ToVmm::Reset => {
                self.reset()?;
                self.outbox.answer(FromVmm::Running);
                Ok(())
            }
            ToVmm::PowerButton => {
                let heard = match &mut self.phase {
                    Phase::Live { machine, .. } => machine.press_power_button(),
                    _ => false,
                };
                // A guest that cannot see the button is switched off by it.
                if heard { Ok(()) } else { Err(Stop::Guest(StopReason::PowerOff)) }
            }
            ToVmm::AgentBuffer => match (&self.phase, fd) {
                (Phase::Setup(_), Some(fd)) if self.agent.is_none() => {
                    self.agent = Some(AgentPort::new(fd));
                    Ok(())
                }
                _ => Err(protocol()),
            },
            ToVmm::AgentTaken => {
                self.agent.as_mut().ok_or_else(protocol)?.taken();
                Ok(())
            }
            ToVmm::AgentFrame { bytes } => {
                let fd = fd.ok_or_else(protocol)?;
                if let Phase::Live { machine, .. } = &self.phase {
                    AgentPort::give(fd, bytes, &*machine.devices.agent);
                }
                Ok(())
            }
            ToVmm::Machine { .. }
            | ToVmm::Kvm
            | ToVmm::Engine
            | ToVmm::Memory
            | ToVmm::Kernel
            | ToVmm::Initrd
            | ToVmm::CommandLine
            | ToVmm::SerialLog { .. }
            | ToVmm::Volume { .. }
            | ToVmm::Overlay
            | ToVmm::NoAcpi
            | ToVmm::BasicDisplay => match &mut self.phase {
                Phase::Setup(setup) if self.surface.is_none() => Ok(setup.take(message, fd)?),
                _ => Err(protocol()),
            },
        }
    }

    fn set_surface(
        &mut self,
        fd: OwnedFd,
        generation: u32,
        geometry: SurfaceGeometry,
    ) -> Result<(), Stop> {
        let last = self.surface.as_ref().map_or(0, |surface| surface.generation());
        let early = matches!(&self.phase, Phase::Setup(setup) if !setup.is_complete());
        if early || last.checked_add(1) != Some(generation) {
            return Err(protocol());
        }
        let surface = Surface::map(fd, generation, geometry).map_err(|error| {
            complain!("{error}");
            BootError::new(FailReason::Device, error.errno())
        })?;
        let surface = Arc::new(surface);
        self.collect_news();
        self.outbox.set_generation(generation);
        self.surface = Some(Arc::clone(&surface));
        if let Phase::Loaded(_, machine) | Phase::Live { machine, .. } = &mut self.phase {
            machine.set_surface(surface);
            self.pulled = None;
        }
        Ok(())
    }

    fn load(&mut self) -> Result<(), Stop> {
        let surface = self.surface.clone().ok_or_else(protocol)?;
        let source = self.source()?;
        let Phase::Setup(setup) = std::mem::replace(&mut self.phase, Phase::Changing) else {
            return Err(protocol());
        };
        let parts = setup.finish()?;
        parts.limit(self.keeps())?;
        if let Engine::Qemu(sibling) = &parts.engine {
            let layers = sibling.jailed()?;
            self.outbox.answer(FromVmm::EngineJailed { layers });
        }
        let descriptors = |_| BootError::new(FailReason::Device, 0);
        let notifiers: Result<_, _> = self.notifiers.iter().map(EventFd::try_clone).collect();
        let blueprint = Box::new(Blueprint {
            engine: parts.engine,
            memory_mib: parts.memory_mib,
            vcpus: parts.vcpus,
            image: parts.image,
            log: parts.log,
            volumes: parts.volumes,
            basic_display: parts.basic_display,
            notifiers: notifiers.map_err(descriptors)?,
            mailbox: self.mailbox.try_clone().map_err(descriptors)?,
            watch: Watch(Arc::clone(&self.epoll)),
        });
        let machine = self.make(&blueprint, surface, source)?;
        self.phase = Phase::Loaded(blueprint, machine);
        self.outbox.answer(FromVmm::Loaded);
        Ok(())
    }

    fn boot(&mut self) -> Result<(), Stop> {
        let Phase::Loaded(blueprint, mut machine) =
            std::mem::replace(&mut self.phase, Phase::Changing)
        else {
            return Err(protocol());
        };
        intruder::act(jail::Role::Devices, &blueprint.image.command_line);
        machine.start()?;
        self.phase = Phase::Live { blueprint, machine, paused: false };
        self.outbox.answer(FromVmm::Running);
        Ok(())
    }

    fn set_paused(&mut self, pause: bool) -> Result<(), Stop> {
        let Phase::Live { machine, paused, .. } = &mut self.phase else { return Err(protocol()) };
        let changes = *paused != pause;
        *paused = pause;
        // An engine that needs its time says it by an event.
        let done = match (changes, pause) {
            (false, _) => true,
            (true, true) => machine.pause(),
            (true, false) => machine.resume(),
        };
        if done {
            self.outbox.answer(if pause { FromVmm::Paused } else { FromVmm::Running });
        }
        Ok(())
    }

    /// Loads a machine, or makes it from a snapshot.
    fn make(
        &mut self,
        blueprint: &Blueprint,
        surface: Arc<Surface>,
        source: Option<Source>,
    ) -> Result<Machine, Stop> {
        let geometry = surface.geometry();
        self.resized = source.as_ref().filter(|one| one.is_resized(geometry)).map(|_| geometry);
        Machine::load(blueprint, surface, source).map_err(|error| {
            self.not_started();
            error.into()
        })
    }

    /// Makes the machine anew: nothing of the old one is kept, its memory least of all.
    fn reset(&mut self) -> Result<(), Stop> {
        self.make_anew(None)
    }

    fn make_anew(&mut self, source: Option<Source>) -> Result<(), Stop> {
        let fresh = source.is_none();
        let surface = self.surface.clone().ok_or_else(protocol)?;
        let Phase::Live { blueprint, machine, .. } =
            std::mem::replace(&mut self.phase, Phase::Changing)
        else {
            return Err(protocol());
        };
        drop(machine);
        // All threads have ended: what they still said was about the old machine.
        while self.events.try_recv().is_ok() {}
        self.unfinished.fill(false);
        if fresh {
            surface.clear();
        }
        if let Some(agent) = &mut self.agent {
            agent.reset();
        }
        let mut machine = self.make(&blueprint, Arc::clone(&surface), source)?;
        if fresh {
            lock(&machine.devices.gpu).device().announce_nothing();
        }
        machine.start()?;
        self.phase = Phase::Live { blueprint, machine, paused: false };
        Ok(())
    }

    /// Gives a report to a device; before the machine lives there is nobody to give it to.
    fn deliver(&mut self, report: Report, keyboard: bool) {
        if let Phase::Live { machine, .. } = &mut self.phase {
            let geometry = self.surface.as_ref().map(|surface| surface.geometry());
            machine.deliver(report, keyboard, geometry);
        }
    }

    fn serve_queue(&mut self, index: usize) {
        let (Phase::Loaded(_, machine) | Phase::Live { machine, .. }) = &self.phase else { return };
        let mut first = 0usize;
        for (slot, queues) in machine.devices.slots.iter().zip(QUEUES) {
            let Some(queue) = index.checked_sub(first) else { return };
            if queue < queues {
                let more = lock(slot).serve(queue);
                if let Some(unfinished) = self.unfinished.get_mut(index) {
                    *unfinished = more;
                }
                // A change of status wakes the first queue only; serve the others with it.
                if queue == 0 && !more {
                    for other in 1..queues {
                        let more = lock(slot).serve(other);
                        if let Some(unfinished) =
                            self.unfinished.get_mut(first.saturating_add(other))
                        {
                            *unfinished = more;
                        }
                    }
                }
                return;
            }
            first = first.saturating_add(queues);
        }
    }

    fn collect_news(&mut self) {
        let (Phase::Loaded(_, machine) | Phase::Live { machine, .. }) = &mut self.phase else {
            return;
        };
        let Some(surface) = &self.surface else { return };
        let geometry = surface.geometry();
        if let Some(period) = machine.period_ms() {
            let period = Duration::from_millis(period.unsigned_abs().into());
            if self.pulled.is_none_or(|last| last.elapsed() >= period) {
                self.pulled = Some(Instant::now());
                let news = machine.pull(surface);
                self.outbox.add(news, geometry.width_px(), geometry.height_px());
            }
        }
        let news = lock(&machine.devices.gpu).device().take_news();
        self.outbox.add(news, geometry.width_px(), geometry.height_px());
        self.outbox.add_lights(lock(&machine.devices.keyboard).device().take_lights());
        if let Some(agent) = &mut self.agent {
            let more = agent.collect(&*machine.devices.agent, &mut self.outbox);
            if more && let Some(unfinished) = self.unfinished.get_mut(AGENT_QUEUE) {
                *unfinished = true;
            }
            lock(&machine.devices.agent).send();
        }
    }
}
