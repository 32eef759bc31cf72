//! One guest as the session sees it: its process if it has one, its surface, and what the
//! process said of its picture. Everything the process says ends here as pixels of its own
//! rectangle or as one of a few words.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::{Receiver, TryRecvError};
use tabard_display::{Bell, CursorImage, GuestPicture, Surface, SurfaceError, SurfaceShape};
use tabard_trusted_path::{Ending, GuestInput, GuestReport};
use tabard_view::{Rect, Size};
use tabard_wire::{FailReason, FromVmm, Layers, StopReason, SurfaceGeometry, ToVmm};

use super::agent::{Agent, OutOfTurn, Said};
use super::channel::{Incoming, NotReading};
use super::engine::Engine;
use super::memory::sealed;
use super::process::{GuestProcess, MachineSpec, ProcessError};

/// Why a guest could not start.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// Its process.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its surface.
    #[error("Cannot make a surface: {0}")]
    Surface(#[from] SurfaceError),
    /// It has no place on any screen yet.
    #[error("The screen is too small for it")]
    NoSize,
}

/// What changed because of a message.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    /// Pixels of its surface.
    pub(crate) damage: Option<Rect>,
    /// Its state.
    pub(crate) report: Option<GuestReport>,
    /// A line for the log of the session.
    pub(crate) log: Option<String>,
    /// What its agent has to say.
    pub(crate) said: Option<Said>,
    /// Whether its agent has come or gone.
    pub(crate) listens: Option<bool>,
    /// Which lock keys it has on: Num, Caps and Scroll.
    pub(crate) lights: Option<[bool; 3]>,
}

/// A guest of the desk.
pub(crate) struct Guest {
    spec: MachineSpec,
    process: Option<GuestProcess>,
    /// Closes once its last process is gone; until then there is no other.
    ending: Option<Receiver<()>>,
    /// Whether it is to be started then.
    waits: bool,
    bell: Bell,
    /// The size of its surfaces.
    geometry: Option<SurfaceGeometry>,
    /// What its running process draws on.
    surface: Option<Arc<Surface>>,
    /// Surfaces of this run: what the process counts from 1.
    generation: u32,
    /// Surfaces of all runs: a new one is never taken for an old one on the glass.
    surfaces: u32,
    /// The layers of its process's jail, as the process said at its start.
    jail: Option<Layers>,
    /// What its process was told to do and has not done yet.
    awaited: Option<GuestReport>,
    picture_px: Size,
    cursor: Option<CursorImage>,
    /// Images of its cursor: one that was hidden is never taken for the next one.
    cursors: u32,
    /// Its agent.
    pub(crate) agent: Agent,
}

impl Guest {
    /// A guest that does not run yet. What its processes say, and their ends, ring this bell.
    pub(crate) fn new(spec: MachineSpec, bell: &Bell) -> Self {
        Self {
            spec,
            process: None,
            ending: None,
            waits: false,
            bell: bell.clone(),
            geometry: None,
            surface: None,
            generation: 0,
            surfaces: 0,
            jail: None,
            awaited: None,
            picture_px: Size::default(),
            cursor: None,
            cursors: 0,
            agent: Agent::default(),
        }
    }

    /// The layers of its process's jail, once it has said which.
    pub(crate) fn jail(&self) -> Option<Layers> {
        self.jail
    }

    /// What the desk demands of its jail and the running process has not reported.
    fn jail_lacks(&self) -> Layers {
        self.spec.jail.lacking_in(self.jail.unwrap_or_default())
    }

    /// What runs its instructions.
    pub(crate) fn engine(&self) -> Option<Engine> {
        self.spec.engine()
    }

    /// The process ids of its `tabard-vmm` and its `tabard-engine`, if it has them.
    pub(crate) fn process_ids(&self) -> (Option<u32>, Option<u32>) {
        let (vmm, engine) = self.process.as_ref().map(GuestProcess::ids).unzip();
        (vmm, engine.flatten())
    }

    /// What its process says; `None` without a process.
    pub(crate) fn incoming(&self) -> Option<&Receiver<Incoming>> {
        self.process.as_ref().map(|process| &process.channel.incoming)
    }

    /// Its pixels for the compositor; `None` while there is nothing of it to show.
    pub(crate) fn picture(&self) -> Option<GuestPicture> {
        Some(GuestPicture {
            surface: Arc::clone(self.surface.as_ref()?),
            generation: self.surfaces,
            width_px: self.picture_px.width,
            height_px: self.picture_px.height,
            cursor: self.cursor,
        })
    }

    /// Gives it a surface of this size, from now on or from its next start.
    ///
    /// # Errors
    /// [`GuestError`] if memory is short or its process does not take it; the caller ends it.
    pub(crate) fn resize(&mut self, size: Size) -> Result<(), GuestError> {
        let Ok(geometry) = SurfaceGeometry::new(size.width, size.height) else { return Ok(()) };
        self.geometry = Some(geometry);
        self.share()
    }

    /// Makes a surface for its process, if it has one.
    fn share(&mut self) -> Result<(), GuestError> {
        let (Some(process), Some(geometry)) = (&self.process, self.geometry) else { return Ok(()) };
        let (surface, memory) = Surface::create(shape(geometry))?;
        self.generation = self.generation.wrapping_add(1);
        self.surfaces = self.surfaces.wrapping_add(1);
        self.surface = Some(surface);
        // The picture of the old surface is not in the new one; the process copies it over.
        self.picture_px = Size::default();
        self.cursor = None;
        Ok(process.surface(self.generation, geometry, memory).map_err(ProcessError::from)?)
    }

    /// Starts its process and lets it load; it boots once it says that it has. Nothing is started
    /// beside a process that is still ending: [`Guest::due`] says when to ask again.
    ///
    /// # Errors
    /// [`GuestError`]; no process is left then.
    pub(crate) fn start(&mut self, program: &Path) -> Result<(), GuestError> {
        self.geometry.ok_or(GuestError::NoSize)?;
        self.stop();
        self.waits = self.ends();
        if self.waits {
            return Ok(());
        }
        self.jail = None;
        self.generation = 0;
        self.process = Some(GuestProcess::start(program, &self.spec, &self.bell)?);
        // A surface of its own for each run: nothing of the last one is left in it. It is made
        // while the process enters its jail.
        let started = self.set_up();
        if started.is_err() {
            self.stop();
        }
        started
    }

    fn set_up(&mut self) -> Result<(), GuestError> {
        let (agent, memory) = Agent::new().map_err(ProcessError::from)?;
        self.agent = agent;
        let Some(process) = &self.process else { return Ok(()) };
        process.channel.send_with(ToVmm::AgentBuffer, memory).map_err(ProcessError::from)?;
        self.share()?;
        Ok(self.send(ToVmm::Load).map_err(ProcessError::from)?)
    }

    /// Sends its agent a frame. One that memory is too short for is lost, as on any line.
    ///
    /// # Errors
    /// [`NotReading`].
    pub(crate) fn tell_agent(&self, frame: &[u8]) -> Result<(), NotReading> {
        let Some(process) = &self.process else { return Ok(()) };
        let Ok(memory) = sealed("tabard-frame", frame) else { return Ok(()) };
        let bytes = u32::try_from(frame.len()).unwrap_or(0);
        process.channel.send_with(ToVmm::AgentFrame { bytes }, memory)
    }

    /// Ends its process. From now on nothing comes from it; it is gone a little later.
    pub(crate) fn stop(&mut self) {
        self.agent = Agent::default();
        self.waits = false;
        if let Some(process) = self.process.take() {
            self.ending = Some(process.end(&self.bell));
        }
        self.surface = None;
        self.picture_px = Size::default();
        self.cursor = None;
    }

    fn ends(&self) -> bool {
        self.ending.as_ref().is_some_and(|gone| gone.try_recv() == Err(TryRecvError::Empty))
    }

    /// Whether it was to be started before its last process was gone, which it is now.
    pub(crate) fn due(&self) -> bool {
        self.waits && !self.ends()
    }

    /// Sends a message, if it has a process.
    ///
    /// # Errors
    /// [`NotReading`].
    pub(crate) fn send(&mut self, message: ToVmm) -> Result<(), NotReading> {
        self.awaited = match message {
            ToVmm::Boot | ToVmm::Reset | ToVmm::Resume => Some(GuestReport::Running),
            ToVmm::Pause => Some(GuestReport::Paused),
            _ => self.awaited,
        };
        self.process.as_ref().map_or(Ok(()), |process| process.channel.send(message))
    }

    /// Delivers input; `false` if it does not read and lost something that must not be lost.
    pub(crate) fn deliver(&mut self, input: GuestInput) -> bool {
        let (message, must_arrive) = match input {
            GuestInput::Key { code, pressed } => (ToVmm::Key { code, pressed }, !pressed),
            GuestInput::Button { code, pressed } => (ToVmm::Button { code, pressed }, !pressed),
            GuestInput::Pointer { x, y } => (ToVmm::Pointer { x, y }, false),
            GuestInput::Wheel { vertical, horizontal } => {
                (ToVmm::Wheel { vertical, horizontal }, false)
            }
        };
        self.send(message).is_ok() || !must_arrive
    }

    /// Takes one message of its process; `question` is the number that a question in it gets.
    pub(crate) fn take(&mut self, incoming: Incoming, question: u32) -> Changed {
        match incoming {
            Incoming::Message(message) => self.message(message, question),
            Incoming::Garbage(error) => {
                self.violation(format!("its process broke the protocol: {error}"))
            }
            Incoming::Closed => self.ended(Ending::ProcessDied, "its process ended".to_owned()),
        }
    }

    fn message(&mut self, message: FromVmm, question: u32) -> Changed {
        // Its jail is what it says first: before anything reached it that could make it lie.
        if !matches!(message, FromVmm::Jailed { .. }) {
            self.jail.get_or_insert_default();
        }
        match message {
            FromVmm::Jailed { layers } if self.jail.is_none() => {
                self.jail = Some(layers);
                Changed::default()
            }
            FromVmm::Jailed { .. } => self.violation("its process spoke of its jail out of turn"),
            FromVmm::EngineJailed { layers } => {
                // What only one of the two processes holds does not hold.
                self.jail = self.jail.map(|held| held.lacking_in(held.lacking_in(layers)));
                Changed::default()
            }
            FromVmm::Loaded if !self.jail_lacks().is_empty() => {
                self.ended(Ending::LoadFailed, lacking(self.jail_lacks()))
            }
            FromVmm::Loaded => match self.send(ToVmm::Boot) {
                Ok(()) => Changed::default(),
                Err(error) => self.violation(error.to_string()),
            },
            FromVmm::Running => self.reached(GuestReport::Running),
            FromVmm::Paused => self.reached(GuestReport::Paused),
            FromVmm::Stopped(reason) => {
                let (ending, words) = stop_words(reason);
                self.ended(ending, words.to_owned())
            }
            FromVmm::Failed { reason, detail } => {
                self.ended(Ending::LoadFailed, fail_words(reason, detail))
            }
            FromVmm::Damage { generation, rect } => {
                let rect = Rect::new(rect.x, rect.y, rect.width, rect.height);
                self.damage(generation, rect)
            }
            FromVmm::Scanout { generation, width, height } => {
                if generation == self.generation {
                    self.picture_px = Size { width, height };
                }
                self.damage(generation, Rect::new(0, 0, u32::MAX, u32::MAX))
            }
            FromVmm::AgentFrame { bytes } => {
                match self.agent.frame(bytes, question, Instant::now()) {
                    Ok(said) => Changed { said: Some(said), ..Changed::default() },
                    Err(OutOfTurn) => self.violation("its process spoke for its agent out of turn"),
                }
            }
            FromVmm::AgentOpen(open) => {
                self.agent.closed();
                Changed { listens: Some(open), ..Changed::default() }
            }
            FromVmm::Lights(lights) => Changed { lights: Some(lights), ..Changed::default() },
            FromVmm::Cursor { generation, visible, hot_x, hot_y } => {
                if generation != self.generation {
                    return Changed::default();
                }
                self.cursors = self.cursors.wrapping_add(1);
                self.cursor = visible.then_some(CursorImage {
                    hot_x: u32::from(hot_x),
                    hot_y: u32::from(hot_y),
                    serial: self.cursors,
                });
                // An empty rectangle: nothing of the surface changed, but a frame is due.
                Changed { damage: Some(Rect::default()), ..Changed::default() }
            }
        }
    }

    fn damage(&self, generation: u32, rect: Rect) -> Changed {
        let Some(geometry) = self.geometry.filter(|_| generation == self.generation) else {
            return Changed::default();
        };
        let whole = Size { width: geometry.width_px(), height: geometry.height_px() };
        Changed { damage: Some(rect.intersect(whole.rect())), ..Changed::default() }
    }

    /// Its process did what it was told to. Of anything else it says of its state nothing comes: each
    /// change is a record and a frame, and a flood of them would fill the log and keep the user
    /// waiting.
    fn reached(&mut self, state: GuestReport) -> Changed {
        Changed { report: self.awaited.take_if(|awaited| *awaited == state), ..Changed::default() }
    }

    /// Ends it because of what it sent.
    fn violation(&mut self, words: impl Into<String>) -> Changed {
        self.ended(Ending::ProtocolViolation, words.into())
    }

    /// Ends its process and says why.
    pub(crate) fn ended(&mut self, ending: Ending, words: String) -> Changed {
        self.stop();
        Changed {
            report: Some(GuestReport::Stopped(ending)),
            log: Some(format!("Guest {}: {words}", self.spec.name)),
            ..Changed::default()
        }
    }
}

impl Drop for Guest {
    /// Nothing of it is left when this returns.
    fn drop(&mut self) {
        // It never says anything: this waits for its end. A process that was not told to end yet is
        // ended after this.
        let _ = self.ending.take().map(|gone| gone.recv());
    }
}

fn stop_words(reason: StopReason) -> (Ending, &'static str) {
    match reason {
        StopReason::PowerOff => (Ending::PowerOff, "powered off"),
        StopReason::TripleFault => (Ending::TripleFault, "its processor faulted three times"),
        StopReason::Panicked => (Ending::Panicked, "its operating system panicked"),
        StopReason::KvmInternal => {
            (Ending::Machine, "KVM could not run it; `tabard doctor` says what this KVM can run")
        }
        StopReason::EngineEnded => {
            (Ending::Machine, "QEMU, its processor, ended; its messages are beside the serial log")
        }
        StopReason::EngineBroke => {
            (Ending::ProtocolViolation, "QEMU, its processor, broke the protocol")
        }
        StopReason::Unexpected => (Ending::Machine, "it did what this machine has no device for"),
    }
}

/// Where things are in a surface, as the compositor takes it.
pub(crate) fn shape(geometry: SurfaceGeometry) -> SurfaceShape {
    SurfaceShape {
        width_px: geometry.width_px(),
        height_px: geometry.height_px(),
        stride_bytes: geometry.stride_bytes(),
        cursor_offset_bytes: geometry.cursor_offset_bytes(),
        total_bytes: geometry.total_bytes(),
    }
}

/// That these layers of a jail are missing.
pub(crate) fn lacking(missing: Layers) -> String {
    format!("its jail lacks: {missing}; `tabard doctor` says what mends that")
}

/// What went wrong while loading, in words for the person who wrote the desk file.
pub(crate) fn fail_words(reason: FailReason, detail: u64) -> String {
    match reason {
        FailReason::Kvm => {
            format!("KVM refused to make a machine (error {detail}); run `tabard doctor`")
        }
        FailReason::Memory => {
            format!("its memory could not be had (error {detail}); write a smaller memory")
        }
        FailReason::KernelFormat => format!(
            "its kernel is neither an ELF nor a bzImage file (it starts with {detail:#010x}); check the path of kernel"
        ),
        FailReason::KernelTruncated => format!(
            "its kernel is cut short: {detail} bytes are missing at the end; copy the file again"
        ),
        FailReason::KernelMachine => format!(
            "its kernel is for another kind of processor (ELF machine {detail}); use one for x86-64"
        ),
        FailReason::KernelEntry => {
            "its kernel has no PVH or Linux 64-bit entry; use a Linux kernel or a PVH ELF"
                .to_owned()
        }
        FailReason::TooLarge => {
            format!("its kernel and initrd need {detail} MiB; write a larger memory")
        }
        FailReason::Initrd if detail == 0 => {
            "its initrd is no archive that Linux can unpack; check the path of initrd".to_owned()
        }
        FailReason::Initrd => format!("its initrd cannot be read (error {detail}); check the file"),
        FailReason::CommandLine => {
            format!("its command line of {detail} bytes cannot be used; shorten cmdline")
        }
        FailReason::Device => format!("a device could not be set up (error {detail})"),
        FailReason::Protocol => "its process did not understand the session".to_owned(),
        FailReason::Engine => {
            format!("QEMU could not be started (error {detail}); run `tabard doctor`")
        }
        FailReason::Jail => {
            format!("its jail could not be entered (error {detail}); run `tabard doctor`")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::Images;

    #[test]
    fn a_cursor_that_was_hidden_does_not_come_back_as_the_one_before() {
        let spec = MachineSpec {
            name: "a".to_owned(),
            ground: Err("none".to_owned()),
            jail: Layers::default(),
            memory_mib: 64,
            vcpus: 1,
            images: Images::open("builtin:probe", None, "", Path::new("/")).unwrap(),
            basic_display: false,
            volumes: Vec::new(),
            serial_log: "/dev/null".into(),
            messages: None,
            serial_limit_bytes: 0,
            snapshots: None,
        };
        let mut guest = Guest::new(spec, &Bell::default());
        let mut serial = |visible| {
            let message = FromVmm::Cursor { generation: 0, visible, hot_x: 0, hot_y: 0 };
            guest.take(Incoming::Message(message), 0);
            guest.cursor.map(|cursor| cursor.serial)
        };
        let shown = [true, false, true, true].map(&mut serial);
        assert_eq!(shown[1], None);
        assert!(shown[0] < shown[2] && shown[2] < shown[3], "{shown:?}");
    }
}
