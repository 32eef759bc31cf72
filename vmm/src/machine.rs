//! One virtual machine: memory, interrupt controllers, devices, processors. A reset makes a new
//! one, so nothing of the old guest can be left in KVM or in a device.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_PIT_SPEAKER_DUMMY, kvm_irqchip, kvm_pit_config,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, Kvm, VcpuFd, VmFd};
use tabard_wire::FailReason;
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

use crate::acpi::{self, Announced};
use crate::boot::{self, BootError, Image};
use crate::bus::{
    Bus, COM1_GSI, KEYBOARD_GSI, Line, Lines, MOUSE_GSI, Place, command_line, virtio_base,
    virtio_gsi,
};
use crate::cpu;
use crate::devices::block::Block;
use crate::devices::console::{Console, FROM_GUEST};
use crate::devices::gpu::{Gpu, News};
use crate::devices::input::{Input, Kind};
use crate::devices::rng::Rng;
use crate::devices::transport::{QUEUE_NOTIFY, Slot, Transport};
use crate::disks::Disks;
use crate::framebuffer::Framebuffer;
use crate::memory::{self, GuestRam};
use crate::serial_log::SerialLog;
use crate::setup::Volume;
use crate::surface::Surface;
use crate::vcpu::{Mailbox, Processors};

/// Most volumes of a machine.
pub const MAX_VOLUMES: usize = 8;

/// Devices that every machine has, in the first slots.
pub const FIXED_DEVICES: usize = 5;

/// Queues of each device in slot order: gpu, keyboard, pointer, rng, console, volumes.
pub const QUEUES: [usize; FIXED_DEVICES + MAX_VOLUMES] = [2, 2, 2, 1, 6, 1, 1, 1, 1, 1, 1, 1, 1];

/// Place in [`QUEUES`], all in a row, of the queue with the bytes of the guest's agent.
pub const AGENT_QUEUE: usize = 2 + 2 + 2 + 1 + FROM_GUEST;

/// Three pages that Intel's virtualization needs for real mode, in the hole for devices.
const TSS_ADDRESS: usize = 0xfffb_d000;
const IDENTITY_MAP_ADDRESS: u64 = 0xfffb_c000;

/// Bit of an entry of the I/O APIC that keeps its interrupt away.
const PIN_MASKED: u64 = 1 << 16;

/// A device behind its registers, shared with the processors' threads.
pub type Shared<D> = Arc<Mutex<Transport<D, Line>>>;

/// Locks a device; a thread that panicked ends the process, so nothing is ever poisoned.
pub fn lock<D: ?Sized>(device: &Mutex<D>) -> MutexGuard<'_, D> {
    device.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What every start of the machine needs.
pub struct Blueprint {
    /// `/dev/kvm`.
    pub kvm: Kvm,
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
}

/// A machine that is loaded, and after [`Machine::start`] runs. Fields are dropped in order:
/// threads before the machine, the machine before its memory.
pub struct Machine {
    processors: Option<Processors>,
    disks: Option<Disks>,
    vcpus: Vec<VcpuFd>,
    volumes: Vec<(Shared<Block>, EventFd)>,
    /// The ports and registers.
    pub bus: Arc<Bus>,
    /// The display.
    pub gpu: Shared<Gpu>,
    /// The keyboard.
    pub keyboard: Shared<Input>,
    /// The pointer.
    pub pointer: Shared<Input>,
    /// The port of the guest's agent.
    pub console: Shared<Console>,
    /// Every device in slot order.
    pub slots: Vec<Arc<Mutex<dyn Slot>>>,
    vm: VmFd,
    /// The display that needs no driver, where there is one.
    pub framebuffer: Option<Framebuffer>,
    _ram: GuestRam,
}

fn kvm_error(error: kvm_ioctls::Error) -> BootError {
    BootError::new(FailReason::Kvm, u64::try_from(error.errno()).unwrap_or(0))
}

fn device_error(error: std::io::Error) -> BootError {
    let raw = error.raw_os_error().and_then(|raw| u64::try_from(raw).ok());
    BootError::new(FailReason::Device, raw.unwrap_or(0))
}

impl Machine {
    /// Makes the machine and loads the kernel; nothing runs yet.
    ///
    /// # Errors
    /// [`BootError`] with what `tabard` should tell the user.
    pub fn load(blueprint: &Blueprint, surface: Arc<Surface>) -> Result<Self, BootError> {
        let ram = memory::allocate(blueprint.memory_mib)
            .map_err(|error| BootError::new(FailReason::Memory, error.errno()))?;
        let announced = announce(FIXED_DEVICES.saturating_add(blueprint.volumes.len()))?;
        // The first is virtio-gpu; where a framebuffer stands for it, nobody hears of it.
        let known = announced.get(usize::from(blueprint.basic_display)..).unwrap_or_default();
        let framebuffer = blueprint.basic_display.then(|| Framebuffer::new(surface.geometry()));
        let framebuffer = framebuffer.transpose().map_err(device_error)?;
        let mode = framebuffer.as_ref().map(Framebuffer::mode);
        let entry = boot::load(&blueprint.image, &command_line(known), mode, &ram)?;
        acpi::write(&ram, blueprint.vcpus, known)
            .map_err(|_| BootError::new(FailReason::TooLarge, 1))?;

        let vm = blueprint.kvm.create_vm().map_err(kvm_error)?;
        // Memory first: a change of the memory map waits for KVM's sleepable RCU, which takes
        // microseconds before the chips are registered and many milliseconds after.
        map_memory(&vm, &ram).map_err(kvm_error)?;
        if let Some(framebuffer) = &framebuffer {
            framebuffer.map(&vm).map_err(kvm_error)?;
        }
        create_chips(&vm).map_err(kvm_error)?;

        let mut pins = announced.iter().map(|device| line(&vm, device.gsi));
        let mut pin = || pins.next().unwrap_or(Err(BootError::new(FailReason::Device, 0)));
        let gpu = share(Gpu::new(surface), pin()?, &ram);
        let keyboard = share(Input::new(Kind::Keyboard), pin()?, &ram);
        let pointer = share(Input::new(Kind::Pointer), pin()?, &ram);
        let rng = share(Rng, pin()?, &ram);
        let console = share(Console::default(), pin()?, &ram);
        let mut slots: Vec<Arc<Mutex<dyn Slot>>> =
            vec![gpu.clone(), keyboard.clone(), pointer.clone(), rng, console.clone()];
        if let (Some(_), Some(first)) = (&framebuffer, slots.first_mut()) {
            *first = Arc::new(Mutex::new(Absent));
        }
        let mut blocks = Vec::new();
        for (index, volume) in (0u8..).zip(&blueprint.volumes) {
            let file = volume.file.try_clone().map_err(device_error)?;
            let overlay = volume.overlay.as_ref().map(File::try_clone).transpose();
            let overlay = overlay.map_err(device_error)?;
            let block = Block::new(file, overlay, volume.read_only, index);
            let block = share(block.map_err(device_error)?, pin()?, &ram);
            slots.push(block.clone());
            blocks.push(block);
        }
        let places = connect(&vm, &slots, &blueprint.notifiers)?;
        let mut volumes = Vec::new();
        for (block, place) in blocks.into_iter().zip(places.iter().skip(FIXED_DEVICES)) {
            // A volume has one queue, so its descriptor is the one that wakes the device.
            volumes.push((block, place.wake.try_clone().map_err(device_error)?));
        }
        let lines = Lines {
            serial: line(&vm, COM1_GSI)?,
            events: line(&vm, acpi::EVENT_GSI)?,
            keyboard: line(&vm, KEYBOARD_GSI)?,
            mouse: line(&vm, MOUSE_GSI)?,
        };
        let log = blueprint.log.try_clone().map_err(device_error)?;
        let bus = Arc::new(Bus::new(places, lines, log));

        let mut vcpus = Vec::new();
        for index in 0..blueprint.vcpus {
            let vcpu = vm.create_vcpu(index.into()).map_err(kvm_error)?;
            let entry = (index == 0).then_some(entry);
            cpu::prepare(&blueprint.kvm, &vcpu, index, blueprint.vcpus, entry)
                .map_err(kvm_error)?;
            vcpus.push(vcpu);
        }
        let (processors, disks) = (None, None);
        Ok(Self {
            processors,
            disks,
            vcpus,
            volumes,
            bus,
            gpu,
            keyboard,
            pointer,
            console,
            slots,
            vm,
            framebuffer,
            _ram: ram,
        })
    }

    /// Runs the machine.
    ///
    /// # Errors
    /// `Device` when the threads cannot be had.
    pub fn start(&mut self, mailbox: &Mailbox) -> Result<(), BootError> {
        let volumes = std::mem::take(&mut self.volumes);
        if !volumes.is_empty() {
            self.disks = Some(Disks::start(volumes).map_err(device_error)?);
        }
        let vcpus = std::mem::take(&mut self.vcpus);
        let processors = Processors::start(vcpus, &self.bus, mailbox).map_err(device_error)?;
        self.processors = Some(processors);
        Ok(())
    }

    /// Presses the power button; `false` if nobody listens: the guest has not unmasked the
    /// interrupt of the event device, so it has no driver for ACPI.
    pub fn press_power_button(&self) -> bool {
        let mut chip = kvm_irqchip { chip_id: KVM_IRQCHIP_IOAPIC, ..Default::default() };
        let pin = usize::try_from(acpi::EVENT_GSI).unwrap_or(usize::MAX);
        let listens = self.vm.get_irqchip(&mut chip).is_ok()
            // SAFETY: KVM filled the chip that was asked for; every bit pattern is a valid one.
            && unsafe { chip.chip.ioapic }.redirtbl.get(pin).is_some_and(|entry| {
                // SAFETY: both fields of the union are plain integers over the same bytes.
                (unsafe { entry.bits } & PIN_MASKED) == 0
            });
        if listens {
            self.bus.press_power_button();
        }
        listens
    }

    /// Copies what the guest drew into its framebuffer, if it has one.
    pub fn pull_framebuffer(&mut self, surface: &Surface) -> News {
        let framebuffer = self.framebuffer.as_mut();
        framebuffer.map_or_else(News::default, |framebuffer| framebuffer.pull(&self.vm, surface))
    }

    /// Stops the processors; returns when all stand still.
    pub fn pause(&self) {
        if let Some(processors) = &self.processors {
            processors.pause();
        }
    }

    /// Lets the processors run again.
    pub fn resume(&self) {
        if let Some(processors) = &self.processors {
            processors.resume();
        }
    }
}

/// A device that is not there: it does not answer.
struct Absent;

impl Slot for Absent {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}

    fn serve(&mut self, _index: usize) -> bool {
        false
    }

    fn queues(&self) -> usize {
        0
    }
}

fn create_chips(vm: &VmFd) -> Result<(), kvm_ioctls::Error> {
    vm.set_identity_map_address(IDENTITY_MAP_ADDRESS)?;
    vm.set_tss_address(TSS_ADDRESS)?;
    vm.create_irq_chip()?;
    // The dummy answers port 0x61, which kernels read while they calibrate their clocks.
    vm.create_pit2(kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() })
}

fn map_memory(vm: &VmFd, ram: &GuestRam) -> Result<(), kvm_ioctls::Error> {
    for (slot, region) in (0u32..).zip(ram.iter()) {
        let region = kvm_userspace_memory_region {
            slot,
            flags: 0,
            guest_phys_addr: region.start_addr().0,
            memory_size: region.len(),
            userspace_addr: region.as_ptr() as u64,
        };
        // SAFETY: the pages are a private mapping that `Machine` keeps until after the last
        // descriptor of the machine is closed, and nothing but guest memory is in them.
        unsafe { vm.set_user_memory_region(region) }?;
    }
    Ok(())
}

fn line(vm: &VmFd, gsi: u32) -> Result<Line, BootError> {
    let event = EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).map_err(device_error)?;
    vm.register_irqfd(&event, gsi).map_err(kvm_error)?;
    Ok(Line(event))
}

fn share<D: crate::devices::Device>(device: D, line: Line, ram: &GuestRam) -> Shared<D> {
    Arc::new(Mutex::new(Transport::new(device, line, ram.clone())))
}

/// Where the devices in the first slots are.
fn announce(slots: usize) -> Result<Vec<Announced>, BootError> {
    let device = |slot| Some(Announced { base: virtio_base(slot), gsi: virtio_gsi(slot)? });
    let devices: Option<Vec<_>> = (0..slots).map(device).collect();
    devices.ok_or(BootError::new(FailReason::Device, 0))
}

/// Lets KVM write a queue's descriptor when the guest writes the queue's number.
fn connect(
    vm: &VmFd,
    slots: &[Arc<Mutex<dyn Slot>>],
    notifiers: &[EventFd],
) -> Result<Vec<Place>, BootError> {
    let mut notifiers = notifiers.iter();
    let mut places = Vec::new();
    for ((index, slot), queues) in slots.iter().enumerate().zip(QUEUES) {
        let base = virtio_base(index);
        let mut wake = None;
        for queue in (0u32..).take(queues) {
            let missing = || BootError::new(FailReason::Device, 0);
            let notifier = notifiers.next().ok_or_else(missing)?;
            // A notice of the machine before a reset is not one of this machine.
            let _none = notifier.read();
            let register = IoEventAddress::Mmio(base.saturating_add(QUEUE_NOTIFY));
            vm.register_ioevent(notifier, &register, queue).map_err(kvm_error)?;
            if wake.is_none() {
                wake = Some(notifier.try_clone().map_err(device_error)?);
            }
        }
        let wake = wake.ok_or(BootError::new(FailReason::Device, 0))?;
        places.push(Place { slot: Arc::clone(slot), wake });
    }
    Ok(places)
}
