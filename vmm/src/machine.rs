//! One virtual machine: its memory, its devices, and the engine that runs its processors. A reset
//! makes a new one, so nothing of the old guest can be left in an engine or in a device.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvm_ioctls::Kvm;
use tabard_wire::{FailReason, SurfaceGeometry};
use vmm_sys_util::eventfd::EventFd;

use crate::agent::Agent;
use crate::boot::{BootError, Image};
use crate::devices::block::Block;
use crate::devices::console::FROM_GUEST;
use crate::devices::gpu::{Gpu, News};
use crate::devices::input::{Input, Report};
use crate::devices::{Attached, Serve};
use crate::disks::Disks;
use crate::engine::{self, Hardware};
use crate::serial_log::SerialLog;
use crate::setup::Volume;
use crate::snapshot::Source;
use crate::surface::Surface;
use crate::vcpu::Mailbox;

/// Most volumes of a machine.
pub const MAX_VOLUMES: usize = 8;

/// Devices that every machine has, in the first slots.
pub const FIXED_DEVICES: usize = 5;

/// Queues of each device in slot order: gpu, keyboard, pointer, rng, console, volumes.
pub const QUEUES: [usize; FIXED_DEVICES + MAX_VOLUMES] = [2, 2, 2, 1, 6, 1, 1, 1, 1, 1, 1, 1, 1];

/// Place in [`QUEUES`], all in a row, of the queue with the bytes of the guest's agent.
pub const AGENT_QUEUE: usize = 2 + 2 + 2 + 1 + FROM_GUEST;

/// A device, shared with whoever carries its queues.
pub type Shared<D> = Arc<Mutex<dyn Attached<D>>>;

/// Locks a device; a thread that panicked ends the process, so nothing is ever poisoned.
pub fn lock<D: ?Sized>(device: &Mutex<D>) -> MutexGuard<'_, D> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What runs the processors.
pub enum Engine {
    /// `/dev/kvm`.
    Kvm(Kvm),
    /// QEMU, beside this process.
    Qemu(engine::qemu::Sibling),
}

/// What every start of the machine needs.
pub struct Blueprint {
    /// What runs it.
    pub engine: Engine,
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub vcpus: u8,
    /// What to boot.
    pub image: Image,
    /// The serial port's log.
    pub log: SerialLog,
    /// The disks.
    pub volumes: Vec<Volume>,
    /// Whether a framebuffer stands for virtio-gpu.
    pub basic_display: bool,
    /// A descriptor for each queue, in the order of [`QUEUES`].
    pub notifiers: Vec<EventFd>,
    /// Where the processors leave their events.
    pub mailbox: Mailbox,
    /// Where descriptors of the engine's own are waited for.
    pub watch: engine::Watch,
}

/// The devices of a machine, whatever runs it.
pub struct Devices {
    /// The display.
    pub gpu: Shared<Gpu>,
    /// The keyboard.
    pub keyboard: Shared<Input>,
    /// The pointer.
    pub pointer: Shared<Input>,
    /// The port of the guest's agent.
    pub agent: Arc<Mutex<dyn Agent>>,
    /// Every device that has queues here, in slot order.
    pub slots: Vec<Arc<Mutex<dyn Serve>>>,
    /// The volumes, and where their drivers' descriptors are waited for.
    pub volumes: Vec<(Shared<Block>, engine::Watch)>,
}

/// A machine that is loaded, and after [`Machine::start`] runs. Fields are dropped in order:
/// processors before disks, both before the devices.
pub struct Machine {
    pub(crate) hardware: Box<dyn Hardware>,
    pub(crate) disks: Option<Disks>,
    /// Its devices.
    pub devices: Devices,
}

/// The error of a device that could not be set up.
pub fn device_error(error: std::io::Error) -> BootError {
    let raw = error.raw_os_error().and_then(|raw| u64::try_from(raw).ok());
    BootError::new(FailReason::Device, raw.unwrap_or(0))
}

/// The volume in this place, as a device.
///
/// # Errors
/// `Device` with the errno.
pub fn block(volume: &Volume, index: u8) -> Result<Block, BootError> {
    let file = volume.file.try_clone().map_err(device_error)?;
    let overlay = volume.overlay.as_ref().map(File::try_clone).transpose().map_err(device_error)?;
    Block::new(file, overlay, volume.read_only, index).map_err(device_error)
}

impl Machine {
    /// Makes the machine and loads the kernel; nothing runs yet.
    ///
    /// # Errors
    /// [`BootError`] with what `tabard` should tell the user.
    pub fn load(
        blueprint: &Blueprint,
        surface: Arc<Surface>,
        mut source: Option<Source>,
    ) -> Result<Self, BootError> {
        let from = source.as_mut();
        let (devices, hardware) = match &blueprint.engine {
            Engine::Kvm(kvm) => engine::kvm::load(blueprint, kvm, surface, from)?,
            Engine::Qemu(sibling) => engine::qemu::load(blueprint, sibling, surface, from)?,
        };
        if let Some(source) = source {
            source.fill_overlays(&blueprint.volumes)?;
            source.fill(&devices)?;
        }
        Ok(Self { hardware, disks: None, devices })
    }

    /// Runs the machine.
    ///
    /// # Errors
    /// `Device` when the threads cannot be had, `Engine` when the engine does not start.
    pub fn start(&mut self) -> Result<(), BootError> {
        let volumes = std::mem::take(&mut self.devices.volumes);
        if !volumes.is_empty() {
            self.disks = Some(Disks::start(volumes).map_err(device_error)?);
        }
        self.hardware.start()
    }

    /// Presses the power button; `false` if nobody listens: the guest has no driver for ACPI.
    pub fn press_power_button(&mut self) -> bool {
        self.hardware.press_power_button()
    }

    /// Stops the processors; `false` if that is told later, by an event.
    pub fn pause(&mut self) -> bool {
        self.hardware.pause()
    }

    /// Lets the processors run again; `false` if that is told later, by an event.
    pub fn resume(&mut self) -> bool {
        self.hardware.resume()
    }

    /// Shows the guest's display on another surface.
    pub fn set_surface(&mut self, surface: Arc<Surface>) {
        let geometry = surface.geometry();
        let mut gpu = lock(&self.devices.gpu);
        let (device, ram) = gpu.device_and_ram();
        device.set_surface(surface, ram);
        gpu.config_changed();
        drop(gpu);
        self.hardware.resized(geometry);
    }

    /// Gives a report to the guest: to the device if a driver has it, to the chipset's own keyboard
    /// and mouse before.
    pub fn deliver(&mut self, report: Report, keyboard: bool, geometry: Option<SurfaceGeometry>) {
        let device = if keyboard { &self.devices.keyboard } else { &self.devices.pointer };
        let mut device = lock(device);
        let driven = device.is_driven();
        if driven {
            device.device().push(report);
            device.serve(0);
        }
        drop(device);
        self.hardware.deliver_early(report, driven, geometry);
    }

    /// How often the hardware wants [`Machine::pull`], in milliseconds, if at all.
    pub fn period_ms(&self) -> Option<i32> {
        self.hardware.period_ms()
    }

    /// Copies what the guest drew into its framebuffer, if it has one.
    pub fn pull(&mut self, surface: &Surface) -> News {
        self.hardware.pull(surface)
    }

    /// Does what a descriptor of the engine's own is ready for.
    pub fn ready(&mut self, token: u64) {
        self.hardware.ready(token);
    }
}
