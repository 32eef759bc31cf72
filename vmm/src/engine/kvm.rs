//! The engine `kvm`: a machine of Tabard's own on `/dev/kvm`. Interrupt controllers and timer are
//! KVM's, the rest is on our bus.

mod snapshot;

use std::sync::{Arc, Mutex};

use kvm_bindings::{
    KVM_IRQCHIP_IOAPIC, KVM_PIT_SPEAKER_DUMMY, kvm_irqchip, kvm_pit_config,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, Kvm, VcpuFd, VmFd};
use tabard_wire::{FailReason, POINTER_MAX, SurfaceGeometry};
use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

use super::{Hardware, Watch};
use crate::acpi::{self, Announced, Chipset};
use crate::boot::{self, BootError, Words};
use crate::bus::{
    Bus, COM1_GSI, KEYBOARD_GSI, Line, Lines, MOUSE_GSI, Place, command_line, virtio_base,
    virtio_gsi,
};
use crate::cpu;
use crate::devices::Serve;
use crate::devices::console::Console;
use crate::devices::gpu::{Gpu, News};
use crate::devices::input::{Input, Kind, Report};
use crate::devices::rng::Rng;
use crate::devices::transport::{QUEUE_NOTIFY, Slot, Transport};
use crate::framebuffer::{self, Framebuffer};
use crate::machine::{Blueprint, Devices, FIXED_DEVICES, QUEUES, Shared, block, device_error};
use crate::memory::{self, GuestRam};
use crate::snapshot::{Source, memory as kept_memory};
use crate::surface::Surface;
use crate::vcpu::{Event, Mailbox, Processors};

/// Three pages that Intel's virtualization needs for real mode, in the hole for devices.
const TSS_ADDRESS: usize = 0xfffb_d000;
const IDENTITY_MAP_ADDRESS: u64 = 0xfffb_c000;

/// Bit of an entry of the I/O APIC that keeps its interrupt away.
const PIN_MASKED: u64 = 1 << 16;

/// The first code of a pointer's button; those below are keys.
const BTN_LEFT: u16 = 0x110;

/// A machine on KVM. Fields are dropped in order: threads before the machine, the machine before
/// its memory.
struct Virtual {
    processors: Option<Processors>,
    vcpus: Vec<VcpuFd>,
    mailbox: Mailbox,
    /// The ports and registers.
    bus: Arc<Bus>,
    vm: VmFd,
    /// The display that needs no driver, where there is one.
    framebuffer: Option<Framebuffer>,
    ram: GuestRam,
    /// Whether it was made from a snapshot.
    arrives: bool,
}

fn kvm_error(error: kvm_ioctls::Error) -> BootError {
    BootError::new(FailReason::Kvm, u64::try_from(error.errno()).unwrap_or(0))
}

/// Makes the machine and loads the kernel; nothing runs yet.
///
/// # Errors
/// [`BootError`] with what `tabard` should tell the user.
pub fn load(
    blueprint: &Blueprint,
    kvm: &Kvm,
    surface: Arc<Surface>,
    source: Option<&mut Source>,
) -> Result<(Devices, Box<dyn Hardware>), BootError> {
    let ram = memory::allocate(blueprint.memory_mib)
        .map_err(|error| BootError::new(FailReason::Memory, error.errno()))?;
    let announced = announce(FIXED_DEVICES.saturating_add(blueprint.volumes.len()))?;
    // The first is virtio-gpu; where a framebuffer stands for it, nobody hears of it.
    let known = announced.get(usize::from(blueprint.basic_display)..).unwrap_or_default();
    let framebuffer = blueprint.basic_display.then(|| Framebuffer::new(surface.geometry()));
    let framebuffer = framebuffer.transpose().map_err(device_error)?;
    let mode = framebuffer.as_ref().map(Framebuffer::mode);
    let devices = command_line(known);
    let words = Words { devices: &devices, others: "" };
    let entry = match source.as_ref().and_then(|source| source.memory.as_ref()) {
        Some(file) => {
            kept_memory::restore(&ram, blueprint.memory_mib, file)?;
            None
        }
        None => {
            let entry = boot::load(&blueprint.image, words, mode, &ram)?;
            acpi::write(&ram, blueprint.vcpus, known, Chipset::Own)
                .map_err(|_| BootError::new(FailReason::TooLarge, 1))?;
            Some(entry)
        }
    };

    let vm = kvm.create_vm().map_err(kvm_error)?;
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
    let mut slots: Vec<Arc<Mutex<dyn Serve>>> =
        vec![gpu.clone(), keyboard.clone(), pointer.clone(), rng.clone(), console.clone()];
    let mut registers: Vec<Arc<Mutex<dyn Slot>>> =
        vec![gpu.clone(), keyboard.clone(), pointer.clone(), rng, console.clone()];
    if let (Some(_), Some(first)) = (&framebuffer, registers.first_mut()) {
        *first = Arc::new(Mutex::new(Absent));
    }
    let mut blocks = Vec::new();
    for (index, volume) in (0u8..).zip(&blueprint.volumes) {
        let block = share(block(volume, index)?, pin()?, &ram);
        slots.push(block.clone());
        registers.push(block.clone());
        blocks.push(block);
    }
    let places = connect(&vm, &registers, &blueprint.notifiers)?;
    let mut volumes: Vec<(Shared<_>, _)> = Vec::new();
    for (block, place) in blocks.into_iter().zip(places.iter().skip(FIXED_DEVICES)) {
        let kicks = Watch::new().map_err(device_error)?;
        // A volume has one queue, so its descriptor is the one that wakes the device.
        kicks.add_edge(&place.wake, 0).map_err(device_error)?;
        volumes.push((block, kicks));
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
        let entry = entry.filter(|_| index == 0);
        cpu::prepare(kvm, &vcpu, index, blueprint.vcpus, entry).map_err(kvm_error)?;
        vcpus.push(vcpu);
    }
    let arrives = source.is_some();
    if let Some(source) = source {
        snapshot::restore(source.state.take_hardware(), &vm, &vcpus, &bus)?;
        bus.wake_all();
    }
    let mailbox = blueprint.mailbox.try_clone().map_err(device_error)?;
    let devices = Devices { gpu, keyboard, pointer, agent: console, slots, volumes };
    let hardware = Virtual { processors: None, vcpus, mailbox, bus, vm, framebuffer, ram, arrives };
    Ok((devices, Box::new(hardware)))
}

impl Hardware for Virtual {
    fn start(&mut self) -> Result<(), BootError> {
        let vcpus = std::mem::take(&mut self.vcpus);
        let processors = Processors::start(vcpus, &self.bus, &self.mailbox);
        self.processors = Some(processors.map_err(device_error)?);
        if std::mem::take(&mut self.arrives) {
            self.mailbox.put(Event::Arrived);
        }
        Ok(())
    }

    fn pause(&mut self) -> bool {
        if let Some(processors) = &self.processors {
            processors.pause();
        }
        true
    }

    fn resume(&mut self) -> bool {
        if let Some(processors) = &self.processors {
            processors.resume();
        }
        true
    }

    /// Nobody listens if the guest has not unmasked the interrupt of the event device.
    fn press_power_button(&mut self) -> bool {
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

    fn deliver_early(&mut self, report: Report, driven: bool, geometry: Option<SurfaceGeometry>) {
        self.bus.with_i8042(|chip| match report {
            Report::Key { code, pressed } if code < BTN_LEFT => {
                if !(driven && pressed) {
                    chip.keyboard.key(code, pressed);
                }
            }
            _ if driven => {}
            Report::Key { code, pressed } => chip.mouse.button(code, pressed),
            Report::Wheel { vertical, .. } => chip.mouse.turn(vertical),
            Report::Motion { x, y } => {
                let pixel = |at: u16, side: u32| {
                    let at = u64::from(at).saturating_mul(side.into());
                    let at = at.checked_div(POINTER_MAX.into()).unwrap_or(0);
                    i32::try_from(at).unwrap_or(0)
                };
                if let Some(size) = geometry {
                    chip.mouse.move_to(pixel(x, size.width_px()), pixel(y, size.height_px()));
                }
            }
        });
    }

    fn period_ms(&self) -> Option<i32> {
        self.framebuffer.as_ref().map(|_| framebuffer::PERIOD_MS)
    }

    fn pull(&mut self, surface: &Surface) -> News {
        let framebuffer = self.framebuffer.as_mut();
        framebuffer.map_or_else(News::default, |framebuffer| framebuffer.pull(&self.vm, surface))
    }

    fn resized(&mut self, _geometry: SurfaceGeometry) {
        // The driver was told through the registers.
        if let Some(framebuffer) = &mut self.framebuffer {
            framebuffer.forget();
        }
    }

    fn ready(&mut self, _token: u64) {}
}

/// A device that is not there: it does not answer.
struct Absent;

impl Slot for Absent {
    fn read(&mut self, _offset: u64, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn write(&mut self, _offset: u64, _data: &[u8]) {}
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
        // SAFETY: the pages are a private mapping that `Virtual` keeps until after the last
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

fn share<D: crate::devices::Device>(
    device: D,
    line: Line,
    ram: &GuestRam,
) -> Arc<Mutex<Transport<D, Line>>> {
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
