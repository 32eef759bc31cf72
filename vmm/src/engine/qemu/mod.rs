//! The engine `qemu`: QEMU's emulated processor and chipset, our devices. QEMU is a sibling of this
//! process in a jail of its own, started by `tabard-engine`; it holds the guest's memory and nothing
//! else of the guest's: no wire, no surface, no disk. Kernel and tables are put into memory here, and
//! its firmware is ours (`rom`).

mod backend;
mod clock;
mod command;
mod display;
mod early;
mod faults;
mod keeper;
mod link;
mod message;
mod monitor;
mod order;
mod port;
mod rom;
mod sibling;
mod snapshot;
mod stream;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex};

use tabard_wire::{FailReason, StopReason, SurfaceGeometry};
use vm_memory::{Bytes, GuestAddress};

use self::backend::{Backend, Memory};
use self::command::FIRST_SLOTS;
use self::display::Display;
use self::early::Early;
use self::faults::Faults;
use self::link::Link;
use self::monitor::{Monitor, Said};
use self::order::Order;
use self::port::SocketPort;
use self::snapshot::Arrival;
use self::stream::Read;
use super::{FIRST_TOKEN, Hardware, Watch};
use crate::acpi::{self, Announced, Chipset};
use crate::agent::Agent;
use crate::boot::{self, BootError, Words};
use crate::bus::{command_line, virtio_base};
use crate::devices::gpu::{Gpu, News};
use crate::devices::input::{Input, Kind, Report};
use crate::devices::rng::Rng;
use crate::devices::{Device, Serve};
use crate::framebuffer::{self, Framebuffer};
use crate::machine::{Blueprint, Devices, FIXED_DEVICES, QUEUES, block, device_error, lock};
use crate::memory::{self, GuestRam};
use crate::serial_log::SerialLog;
use crate::snapshot::{Refusal, Source, memory as kept_memory};
use crate::surface::Surface;
use crate::vcpu::{Event, Mailbox};

pub use self::keeper::{Installation, main as engine_main};
pub use self::sibling::Sibling;

/// What a hostile sibling is made of, for the tests and the fuzzer. Nothing shipped uses it from here.
pub mod exposed {
    pub use super::backend::{Backend, Memory};
    pub use super::display::Display;
    pub use super::link::Link;
    pub use super::monitor::Monitor;
    pub use super::order::{FIXED_SOCKETS, FromEngine, OTHERS, Order, ToEngine, receive, send};
}

/// Tokens of our own descriptors.
const SIBLING: u64 = FIRST_TOKEN;
const SERIAL: u64 = FIRST_TOKEN + 1;
const AGENT: u64 = FIRST_TOKEN + 2;
const MONITOR: u64 = FIRST_TOKEN + 3;
const DISPLAY: u64 = FIRST_TOKEN + 4;
const FAULTS: u64 = FIRST_TOKEN + 5;
const FIRST_LINK: u64 = FIRST_TOKEN + 16;

/// First pin of the virtio slots: on the only I/O APIC, or on the second.
const FIRST_PIN: u32 = 16;
const SECOND_PIN: u32 = 24;

/// The serial port's bytes are read in turns of this many reads.
const LAST_READS: usize = 64;

/// A machine on QEMU, which ends before the next one is loaded, or with this process.
struct Emulated {
    sibling: Sibling,
    watch: Watch,
    mailbox: Mailbox,
    memory: Memory,
    ram: GuestRam,
    log: SerialLog,
    links: Vec<Option<Link>>,
    agent: Arc<Mutex<SocketPort>>,
    serial: OwnedFd,
    monitor: Monitor,
    display: Display,
    /// QEMU's end of the display, until it is given to it.
    theirs: Option<OwnedFd>,
    faults: Faults,
    framebuffer: Option<Framebuffer>,
    early: Early,
    /// Whether the guest has ended, or QEMU: nothing more is told of it.
    over: bool,
    /// Which of stopping and going on was asked for and is not yet said to be done.
    awaited: Option<Said>,
    /// The file for QEMU's state, and its number for it.
    state: File,
    state_number: u32,
    /// Whether QEMU takes our devices for disks: it was made from a snapshot.
    posed: bool,
    /// What it is to become before it runs.
    stream: Option<Vec<u8>>,
    /// Whether what was asked of it was done.
    answered: Option<bool>,
}

/// Makes the machine and loads the kernel; nothing runs yet.
///
/// # Errors
/// [`BootError`] with what `tabard` should tell the user.
pub fn load(
    blueprint: &Blueprint,
    sibling: &Sibling,
    surface: Arc<Surface>,
    source: Option<&mut Source>,
) -> Result<(Devices, Box<dyn Hardware>), BootError> {
    let volumes = u8::try_from(blueprint.volumes.len()).unwrap_or(u8::MAX);
    let sibling = sibling.try_clone()?;
    // That of the machine before, which a reset has let go of.
    sibling.end()?;
    let in_place = source.as_ref().is_some_and(|source| source.memory.is_none());
    if !in_place {
        sibling.forget_memory()?;
    }
    // QEMU links its libraries while the kernel is loaded; it stands still until it is told to go.
    let gpu = !blueprint.basic_display;
    let (memory_mib, vcpus, posed) = (blueprint.memory_mib, blueprint.vcpus, source.is_some());
    let order = Order { memory_mib, vcpus, volumes, gpu, posed };
    let (sockets, user, state_number) = sibling.start(order)?;

    let picture = gpu.then_some(()).map_or_else(|| Framebuffer::bytes(surface.geometry()), |()| 0);
    let layout = memory::Layout::new(blueprint.memory_mib, picture);
    let ram = layout.map(sibling.memory()).map_err(memory_error)?;
    let framebuffer = match layout.picture() {
        Some((address, offset)) => {
            let file = sibling.memory().try_clone().map_err(device_error)?;
            let made = Framebuffer::within(file, offset, address, surface.geometry());
            Some(made.map_err(device_error)?)
        }
        None => None,
    };
    if let Some(source) = source {
        if framebuffer.is_some() {
            return Err(Refusal::BasicDisplay.into());
        }
        if let Some(file) = &source.memory {
            kept_memory::restore(&ram, memory_mib, file)?;
        }
        let arrival = Arrival::new(source.state.take_hardware(), source.state.slots())?;
        let memory = Memory { identity: sibling.identity()?, ranges: layout.ranges() };
        let started = (sibling, sockets, user, state_number);
        return Emulated::connect(blueprint, started, (ram, memory, None), surface, Some(arrival));
    }
    let slots = FIXED_DEVICES.saturating_add(volumes.into());
    let second_io_apic = slots > FIRST_SLOTS;
    let announced = announce(slots, second_io_apic);
    let known = announced.get(usize::from(!gpu)..).unwrap_or_default();
    let mode = framebuffer.as_ref().map(Framebuffer::mode);
    let devices = command_line(known);
    let others = if blueprint.image.no_acpi { String::new() } else { clock::words() };
    let words = Words { devices: &devices, others: &others };
    let entry = boot::load(&blueprint.image, words, mode, &ram)?;
    let too_large = |_| BootError::new(FailReason::TooLarge, 1);
    acpi::write(&ram, blueprint.vcpus, known, Chipset::Microvm { second_io_apic })
        .map_err(too_large)?;
    rom::leave_word(entry, &ram).map_err(too_large)?;

    let memory = Memory { identity: sibling.identity()?, ranges: layout.ranges() };
    let started = (sibling, sockets, user, state_number);
    Emulated::connect(blueprint, started, (ram, memory, framebuffer), surface, None)
}

fn memory_error(error: memory::MemoryError) -> BootError {
    BootError::new(FailReason::Memory, error.errno())
}

/// Where the devices in the first slots are.
fn announce(slots: usize, second_io_apic: bool) -> Vec<Announced> {
    let first = if second_io_apic { SECOND_PIN } else { FIRST_PIN };
    let pin = |slot: usize| first.saturating_add(u32::try_from(slot).unwrap_or(0));
    (0..slots).map(|slot| Announced { base: virtio_base(slot), gsi: pin(slot) }).collect()
}

/// Makes devices, each with the token of its first ring, and the links to QEMU.
struct Maker<'a> {
    ram: &'a GuestRam,
    watch: &'a Watch,
    sockets: std::vec::IntoIter<OwnedFd>,
    links: Vec<Option<Link>>,
    slot: usize,
}

impl Maker<'_> {
    /// The device of the next slot, behind the next socket.
    fn device<D: Device + 'static>(
        &mut self,
        device: D,
    ) -> Result<Arc<Mutex<Backend<D>>>, BootError> {
        let first: usize = QUEUES.iter().take(self.slot).sum();
        let token = u64::try_from(first).unwrap_or(0);
        self.slot = self.slot.saturating_add(1);
        self.device_kicked(device, self.watch.clone(), token)
    }

    /// The same of one whose rings somebody else waits for, from this token on.
    fn device_kicked<D: Device + 'static>(
        &mut self,
        device: D,
        kicks: Watch,
        first_token: u64,
    ) -> Result<Arc<Mutex<Backend<D>>>, BootError> {
        let backend = Backend::new(device, self.ram.clone(), kicks, first_token);
        let backend = Arc::new(Mutex::new(backend));
        let link = Link::new(self.socket()?, backend.clone());
        let number = u64::try_from(self.links.len()).unwrap_or(0);
        let token = FIRST_LINK.saturating_add(number);
        self.watch.add(link.socket(), token).map_err(device_error)?;
        self.links.push(Some(link));
        Ok(backend)
    }

    fn socket(&mut self) -> Result<OwnedFd, BootError> {
        self.sockets.next().ok_or(BootError::new(FailReason::Engine, 0))
    }
}

impl Emulated {
    fn connect(
        blueprint: &Blueprint,
        (sibling, sockets, user, state_number): (Sibling, Vec<OwnedFd>, u32, u32),
        (ram, memory, framebuffer): (GuestRam, Memory, Option<Framebuffer>),
        surface: Arc<Surface>,
        arrival: Option<Arrival>,
    ) -> Result<(Devices, Box<dyn Hardware>), BootError> {
        let watch = blueprint.watch.clone();
        let sockets = sockets.into_iter();
        let mut make = Maker { ram: &ram, watch: &watch, sockets, links: Vec::new(), slot: 0 };
        let serial = make.socket()?;
        let agent = Arc::new(Mutex::new(SocketPort::new(make.socket()?)));
        let monitor = Monitor::new(make.socket()?);
        let display = Display::new(make.socket()?, user);
        let gpu = make.device(Gpu::new(surface))?;
        let keyboard = make.device(Input::new(Kind::Keyboard))?;
        let pointer = make.device(Input::new(Kind::Pointer))?;
        let rng = make.device(Rng)?;
        // In the console's place the agent's port: the console's rings are QEMU's.
        let slots: Vec<Arc<Mutex<dyn Serve>>> =
            vec![gpu.clone(), keyboard.clone(), pointer.clone(), rng, agent.clone()];
        // A kick goes straight to the threads that serve the volume.
        let mut volumes: Vec<(crate::machine::Shared<_>, _)> = Vec::new();
        for (index, volume) in (0u8..).zip(&blueprint.volumes) {
            let kicks = Watch::new().map_err(device_error)?;
            volumes.push((make.device_kicked(block(volume, index)?, kicks.clone(), 0)?, kicks));
        }
        let theirs = make.socket()?;
        let faults = Faults::new(make.socket()?);
        let state = File::from(make.socket()?);
        let (posed, arrival) = (arrival.is_some(), arrival.map(|one| (one.stream, one.early)));
        let (stream, early) = arrival.unzip();
        let links = make.links;

        watch.add(sibling.socket(), SIBLING).map_err(device_error)?;
        watch.add(&serial, SERIAL).map_err(device_error)?;
        watch.add_both_edges(lock(&agent).socket(), AGENT).map_err(device_error)?;
        watch.add(monitor.socket(), MONITOR).map_err(device_error)?;
        watch.add(display.socket(), DISPLAY).map_err(device_error)?;
        watch.add(faults.pipe(), FAULTS).map_err(device_error)?;
        let devices = Devices { gpu, keyboard, pointer, agent: agent.clone(), slots, volumes };
        let emulated = Self {
            sibling,
            watch,
            mailbox: blueprint.mailbox.try_clone().map_err(device_error)?,
            memory,
            ram,
            log: blueprint.log.try_clone().map_err(device_error)?,
            links,
            agent,
            serial,
            monitor,
            display,
            theirs: Some(theirs),
            faults,
            framebuffer,
            early: early.unwrap_or_default(),
            over: false,
            awaited: None,
            state,
            state_number,
            posed,
            stream,
            answered: None,
        };
        Ok((devices, Box::new(emulated)))
    }

    /// Tells the session that the guest has ended, once, with all that it still printed.
    fn end(&mut self, event: Event) {
        if !std::mem::replace(&mut self.over, true) {
            for _ in 0..LAST_READS {
                if !self.read_serial() {
                    break;
                }
            }
            self.mailbox.put(event);
        }
    }

    /// Lets the processors run for the first time.
    fn run(&mut self) {
        self.monitor.execute("cont", None);
        // Behind it, because the guest need not wait for this: a size that changes meanwhile is told
        // as soon as the display is there.
        if let Some(theirs) = self.theirs.take() {
            self.monitor.give("display", theirs.as_fd());
            let words = serde_json::json!({ "protocol": "@dbus-display", "fdname": "display" });
            self.monitor.execute("add_client", Some(words));
        }
    }

    fn broke(&mut self, error: &dyn std::fmt::Display) {
        complain!("QEMU: {error}");
        self.end(Event::Stopped(StopReason::EngineBroke));
    }

    /// Whether there may be more.
    fn read_serial(&mut self) -> bool {
        match stream::read(&self.serial) {
            Read::Bytes(bytes) => {
                use std::io::Write;
                // The log never fails.
                let _written = self.log.write_all(&bytes);
                true
            }
            Read::Nothing => false,
            Read::Closed => {
                self.watch.remove(&self.serial);
                false
            }
        }
    }

    fn hear_monitor(&mut self) {
        let said = match self.monitor.hear() {
            Ok(Some(said)) => said,
            // Its end is told by `tabard-engine`, with the status.
            Ok(None) => return self.watch.remove(self.monitor.socket()),
            Err(error) => {
                self.watch.remove(self.monitor.socket());
                return self.broke(&error);
            }
        };
        for word in said {
            match word {
                Said::Reset => {
                    self.faults.hear();
                    self.end(if self.faults.happened() {
                        Event::Stopped(StopReason::TripleFault)
                    } else {
                        Event::Reset
                    });
                }
                Said::PowerOff => self.end(Event::Stopped(StopReason::PowerOff)),
                Said::Panicked => self.end(Event::Stopped(StopReason::Panicked)),
                Said::Port(open) => {
                    let mut agent = lock(&self.agent);
                    agent.set_open(open);
                    agent.take_more();
                }
                Said::Stopped | Said::Resumed if self.awaited.as_ref() == Some(&word) => {
                    self.awaited = None;
                    let paused = word == Said::Stopped;
                    if !paused {
                        self.links.iter().flatten().for_each(|link| link.hold(false));
                    }
                    self.mailbox.put(if paused { Event::Paused } else { Event::Running });
                }
                Said::Stopped | Said::Resumed => {}
                Said::Answered(done) => self.answered = Some(done),
                Said::Arrived(true) => self.arrived(),
                Said::Arrived(false) => self.end(Event::Stopped(StopReason::EngineBroke)),
                Said::Refused(words) => complain!("QEMU refuses: {words}"),
            }
        }
    }

    fn hear_sibling(&mut self) {
        match self.sibling.ended() {
            Ok(None) => {}
            Ok(Some(status)) => {
                // What the monitor still has to say tells why.
                for _ in 0..LAST_READS {
                    self.hear_monitor();
                }
                if !self.over {
                    complain!("QEMU ended with status {status}");
                }
                self.end(Event::Stopped(StopReason::EngineEnded));
            }
            Err(error) => {
                self.watch.remove(self.sibling.socket());
                complain!("tabard-engine: {error}");
                self.end(Event::Stopped(StopReason::EngineEnded));
            }
        }
    }

    fn serve_link(&mut self, index: usize) {
        let Some(slot) = self.links.get_mut(index) else { return };
        let Some(link) = slot else { return };
        match link.serve(&self.memory) {
            Ok(true) => {}
            Ok(false) => {
                self.watch.remove(link.socket());
                *slot = None;
            }
            Err(error) => {
                self.watch.remove(link.socket());
                *slot = None;
                self.broke(&error);
            }
        }
    }
}

impl Hardware for Emulated {
    fn start(&mut self) -> Result<(), BootError> {
        match self.stream.take() {
            Some(stream) => self.arrive(&stream)?,
            None => self.run(),
        }
        Ok(())
    }

    fn pause(&mut self) -> bool {
        self.links.iter().flatten().for_each(|link| link.hold(true));
        self.awaited = Some(Said::Stopped);
        self.monitor.execute("stop", None);
        false
    }

    fn resume(&mut self) -> bool {
        self.awaited = Some(Said::Resumed);
        self.monitor.execute("cont", None);
        false
    }

    /// Nobody listens if the guest's ACPI has not begun: its first method would have said so.
    fn press_power_button(&mut self) -> bool {
        let up: u32 = self.ram.read_obj(GuestAddress(acpi::LISTENS)).unwrap_or(0);
        if up != 0 {
            self.monitor.execute("system_powerdown", None);
        }
        up != 0
    }

    fn deliver_early(&mut self, report: Report, driven: bool, geometry: Option<SurfaceGeometry>) {
        if let Some(events) = self.early.events(report, driven, geometry) {
            self.monitor.execute("input-send-event", Some(events));
        }
    }

    fn period_ms(&self) -> Option<i32> {
        self.framebuffer.as_ref().map(|_| framebuffer::PERIOD_MS)
    }

    fn pull(&mut self, surface: &Surface) -> News {
        self.framebuffer.as_mut().map_or_else(News::default, |picture| picture.compare(surface))
    }

    fn resized(&mut self, geometry: SurfaceGeometry) {
        match &mut self.framebuffer {
            Some(framebuffer) => framebuffer.forget(),
            None => self.display.tell(geometry),
        }
    }

    fn ready(&mut self, token: u64) {
        match token {
            SIBLING => self.hear_sibling(),
            SERIAL => {
                self.read_serial();
            }
            AGENT => {
                let mut agent = lock(&self.agent);
                agent.send();
                agent.take_more();
            }
            MONITOR => self.hear_monitor(),
            DISPLAY => {
                if !self.display.hear() {
                    self.watch.remove(self.display.socket());
                }
            }
            FAULTS => {
                if !self.faults.hear() {
                    self.watch.remove(self.faults.pipe());
                }
            }
            link => {
                let index = link.checked_sub(FIRST_LINK).and_then(|at| usize::try_from(at).ok());
                self.serve_link(index.unwrap_or(usize::MAX));
            }
        }
    }
}

impl Drop for Emulated {
    /// Whoever keeps a copy of what we close would wake us with it for ever.
    fn drop(&mut self) {
        let agent = lock(&self.agent);
        let others = [self.sibling.socket(), &self.serial, agent.socket()];
        let others = others.into_iter().chain([self.monitor.socket(), self.display.socket()]);
        let links = self.links.iter().flatten().map(Link::socket);
        others.chain(links).for_each(|socket| self.watch.remove(socket));
    }
}
