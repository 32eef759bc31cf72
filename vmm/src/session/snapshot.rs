//! Keeps the guest and starts it from what was kept, as the line of a test asks. The machine that is
//! kept stands still meanwhile and goes on as before.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use tabard_snapshot::line::{Heard, Set};
use tabard_snapshot::{FromGuest, Line, Refusal, ToGuest};
use tabard_wire::{FromVmm, SurfaceGeometry};
use vmm_sys_util::epoll::{ControlOperation, EpollEvent, EventSet};

use super::{Phase, Session, Stop, TOKEN_SNAPSHOTS, protocol};
use crate::machine::{Machine, lock};
use crate::snapshot::{Source, keep};

/// What the line is about.
#[derive(Default)]
pub struct Snapshots {
    line: Option<Line>,
    /// To be kept in, once the machine stands still.
    keeping: Option<Set>,
    /// The machine that is made now comes from a snapshot, and who asked waits for this answer.
    owed: Option<FromGuest>,
}

impl Snapshots {
    fn answer(&self, message: FromGuest) {
        // Whoever asked may be gone.
        let _gone = self.line.as_ref().map(|line| line.answer(message));
    }
}

impl Session {
    /// Takes the line; before `Load`, and once.
    pub(super) fn set_line(&mut self, socket: OwnedFd) -> Result<(), Stop> {
        if self.snapshots.line.is_some() || !matches!(self.phase, Phase::Setup(_)) {
            return Err(protocol());
        }
        let line = Line::from(socket);
        // It is heard in each turn; what has to wait must not wake the loop all the time.
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, TOKEN_SNAPSHOTS);
        let added = self.epoll.ctl(ControlOperation::Add, line.as_fd().as_raw_fd(), event);
        added.map_err(crate::machine::device_error)?;
        self.snapshots.line = Some(line);
        Ok(())
    }

    /// Whether files as long as memory are written.
    pub(super) fn keeps(&self) -> bool {
        self.snapshots.line.is_some()
    }

    /// What the machine that is to be loaded is made from, if not from its kernel. One that makes no
    /// sense is refused, and nothing is loaded.
    pub(super) fn source(&mut self) -> Result<Option<Source>, Stop> {
        match self.snapshots.line.as_ref().map(Line::asked) {
            Some(Heard::Said((ToGuest::From, files))) => match Source::read(files) {
                Ok(source) => {
                    self.snapshots.owed = Some(FromGuest::Started);
                    Ok(Some(source))
                }
                Err(refusal) => {
                    self.snapshots.answer(FromGuest::Refused(refusal));
                    Err(Stop::Failed(refusal.into()))
                }
            },
            _ => Ok(None),
        }
    }

    /// Says that a machine could not be made from its snapshot.
    pub(super) fn not_started(&mut self) {
        if self.snapshots.owed.take().is_some() {
            self.snapshots.answer(FromGuest::Refused(Refusal::Malformed));
        }
    }

    /// Does what the line asks.
    pub(super) fn hear_line(&mut self) -> Result<(), Stop> {
        // Before `Load` a message waits for it, and after it for the machine to run.
        if !matches!(self.phase, Phase::Live { .. }) {
            return Ok(());
        }
        let Some(line) = &self.snapshots.line else { return Ok(()) };
        match line.asked() {
            Heard::Nothing => Ok(()),
            Heard::Closed => {
                // A line that says what it may not is heard no more.
                let event = EpollEvent::default();
                let fd = line.as_fd().as_raw_fd();
                let _gone = self.epoll.ctl(ControlOperation::Delete, fd, event);
                self.snapshots.line = None;
                Ok(())
            }
            Heard::Said((ToGuest::Keep, files)) => self.begin_keeping(files),
            Heard::Said((ToGuest::From, files)) => self.go_back(files),
        }
    }

    fn begin_keeping(&mut self, files: Set) -> Result<(), Stop> {
        let Phase::Live { machine, blueprint, paused } = &mut self.phase else {
            self.snapshots.answer(FromGuest::Refused(Refusal::NoMachine));
            return Ok(());
        };
        let overlays = blueprint.volumes.iter().filter(|volume| volume.overlay.is_some()).count();
        let refusal = if blueprint.volumes.iter().any(|one| one.overlay.is_none() && !one.read_only)
        {
            Some(Refusal::Writes)
        } else if blueprint.basic_display {
            Some(Refusal::BasicDisplay)
        } else {
            (files.overlays.len() != overlays).then_some(Refusal::Malformed)
        };
        if let Some(refusal) = refusal {
            self.snapshots.answer(FromGuest::Refused(refusal));
            return Ok(());
        }
        let still = *paused || machine.pause();
        self.snapshots.keeping = Some(files);
        if still { self.keep_now().map(drop) } else { Ok(()) }
    }

    /// Keeps the machine, which stands still; `false` if nobody asked for it.
    pub(super) fn keep_now(&mut self) -> Result<bool, Stop> {
        let Some(files) = self.snapshots.keeping.take() else { return Ok(false) };
        let geometry = self.surface.as_ref().ok_or_else(protocol)?.geometry();
        let Phase::Live { machine, blueprint, paused } = &mut self.phase else { return Ok(true) };
        let kept = machine.settle();
        let kept = kept.and_then(|()| keep(machine, &blueprint.volumes, geometry, &files));
        let (paused, goes_on) = (*paused, machine.hardware.goes_on());
        match kept {
            Ok(_) if goes_on && !paused => {
                machine.resume();
            }
            // It is kept once it goes on: what is typed before would be lost.
            Ok(state) if !goes_on => {
                self.snapshots.owed = Some(FromGuest::Kept);
                self.make_anew(Some(Source { state, memory: None, overlays: files.overlays }))?;
                if paused && let Phase::Live { machine, paused, .. } = &mut self.phase {
                    *paused = true;
                    machine.pause();
                }
                return Ok(true);
            }
            Ok(_) => {}
            Err(refusal) => {
                self.snapshots.answer(FromGuest::Refused(refusal));
                // What could not be written is as it was, unless QEMU has lost it.
                if !paused {
                    machine.resume();
                }
                return Ok(true);
            }
        }
        self.snapshots.answer(FromGuest::Kept);
        Ok(true)
    }

    /// Starts the machine from a snapshot in the place of the one that runs.
    fn go_back(&mut self, files: Set) -> Result<(), Stop> {
        if !matches!(self.phase, Phase::Live { .. }) {
            self.snapshots.answer(FromGuest::Refused(Refusal::NoMachine));
            return Ok(());
        }
        match Source::read(files) {
            Ok(source) => {
                self.snapshots.owed = Some(FromGuest::Started);
                self.make_anew(Some(source))?;
                self.outbox.announce(FromVmm::Running);
                Ok(())
            }
            Err(refusal) => {
                self.snapshots.answer(FromGuest::Refused(refusal));
                Ok(())
            }
        }
    }

    /// A machine that was made from a snapshot runs: its display has the size of the surface that it
    /// has now, and who waits for it hears so.
    pub(super) fn arrived(&mut self) {
        if let Phase::Live { machine, .. } = &mut self.phase
            && let Some(geometry) = self.resized.take()
        {
            machine.tell_size(geometry);
        }
        if let Some(owed) = self.snapshots.owed.take() {
            self.snapshots.answer(owed);
        }
    }
}

impl Machine {
    /// Tells the driver of the display that it has another size than it believes.
    fn tell_size(&mut self, geometry: SurfaceGeometry) {
        let mut gpu = lock(&self.devices.gpu);
        gpu.device().ask_again();
        gpu.config_changed();
        drop(gpu);
        self.hardware.resized(geometry);
    }

    /// What its disks are asked for is done and told, as far as it was asked for.
    fn settle(&mut self) -> Result<(), Refusal> {
        match &self.disks {
            None => Ok(()),
            Some(disks) => disks.settle(),
        }
    }
}
