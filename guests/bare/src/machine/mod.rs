//! The machine under a guest: boot, memory, interrupts, serial port, gpu and input.
//!
//! All unsafe code of the guests is in this tree.

mod agent;
mod boot;
mod cfuncs;
mod device;
mod disk;
pub mod framebuffer;
mod gpu;
mod gpu_commands;
mod input;
mod interrupts;
mod memory;
pub mod raw;
pub mod serial;
mod start;

pub use disk::{Disk, DiskRequest, SECTOR};
pub use gpu::{CURSOR_SIDE, Gpu, GpuError};
pub use input::{Device, InputEvent};
pub use memory::Pages;

use crate::options::Options;
use agent::AgentPort;
use alloc::format;
use alloc::vec::Vec;
use core::panic::PanicInfo;
use input::Input;
use virtio_drivers::transport::mmio::MmioTransport;

/// Makes `$main`, a `fn(Machine) -> !`, the program that runs at CPL 3.
#[macro_export]
macro_rules! guest {
    ($main:path) => {
        #[unsafe(no_mangle)]
        #[allow(missing_docs, reason = "the entry point that the boot code jumps to")]
        pub extern "C" fn guest_main(start_info: usize) -> ! {
            // SAFETY: the boot code passes on what the loader gave it, once.
            let machine = unsafe { $crate::machine::Machine::start(start_info) };
            $main(machine)
        }

        #[cfg(not(test))]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo) -> ! {
            $crate::machine::panicked(info)
        }
    };
}

/// What woke the guest.
pub enum Wake {
    /// Input events, in the order of each device.
    Input(Vec<InputEvent>),
    /// The display's configuration changed: its size may be another one.
    Display,
}

/// The devices of this machine.
pub struct Machine {
    /// Words of the kernel command line.
    pub options: Options,
    /// The display, where there is one.
    pub gpu: Option<Gpu>,
    /// The disks, in the order in which the machine has them; see [`Machine::open_inputs`].
    pub disks: Vec<Disk>,
    inputs: Vec<Input>,
    /// The port to `tabard`, and its slot before it is opened.
    agent: Option<AgentPort>,
    console: Option<(usize, u32, MmioTransport<'static>)>,
    frames: Vec<Vec<u8>>,
    /// Slots, and their interrupts, that are not set up yet.
    waiting: Vec<(Slot, u32)>,
}

/// A slot as far as it has been looked at.
enum Slot {
    Unseen(usize),
    Input(usize, MmioTransport<'static>),
}

impl Machine {
    /// Sets up memory, interrupts and the display. The input devices wait for
    /// [`Machine::open_inputs`]: each register of theirs is a way out of the guest and back, and
    /// the first picture need not wait for them.
    ///
    /// # Safety
    ///
    /// To be called once, by the boot code, with the address that the loader passed.
    pub unsafe fn start(start_info: usize) -> Self {
        // SAFETY: the caller vouches for the address.
        let Some(info) = (unsafe { start::StartInfo::read(start_info) }) else {
            stop("{\"error\":\"not started by PVH\"}");
        };
        memory::init(&info);
        // SAFETY: loaders keep the string in low memory or below the heap's pages; it is copied
        // at once.
        let options = Options::parse(unsafe { info.command_line() });
        interrupts::init();
        let mut gpu = None;
        let mut waiting = Vec::new();
        for &(base, irq) in options.devices() {
            if gpu.is_some() {
                waiting.push((Slot::Unseen(base), irq));
                continue;
            }
            match device::open(base) {
                Some(device::Opened::Gpu(transport)) => match Gpu::new(transport) {
                    Ok(device) => {
                        gpu = Some(device);
                        interrupts::enable(base, irq, true);
                    }
                    Err(error) => serial::line(&format!("{{\"error\":\"gpu: {error}\"}}")),
                },
                Some(device::Opened::Input(transport)) => {
                    waiting.push((Slot::Input(base, transport), irq));
                }
                Some(device::Opened::Disk(_) | device::Opened::Console(_)) | None => {}
            }
        }
        Self {
            options,
            gpu,
            disks: Vec::new(),
            inputs: Vec::new(),
            agent: None,
            console: None,
            frames: Vec::new(),
            waiting,
        }
    }

    /// Sets up the input devices and the disks behind the display; the second time there is nothing to do.
    pub fn open_inputs(&mut self) {
        for (slot, irq) in core::mem::take(&mut self.waiting) {
            let (base, transport) = match slot {
                Slot::Input(base, transport) => (base, transport),
                Slot::Unseen(base) => match device::open(base) {
                    Some(device::Opened::Input(transport)) => (base, transport),
                    Some(device::Opened::Disk(transport)) => {
                        self.add_disk(transport);
                        continue;
                    }
                    Some(device::Opened::Console(transport)) => {
                        self.console = Some((base, irq, transport));
                        continue;
                    }
                    _ => continue,
                },
            };
            match Input::new(transport) {
                Ok(device) => {
                    self.inputs.push(device);
                    interrupts::enable(base, irq, false);
                }
                Err(error) => serial::line(&format!("{{\"error\":\"input: {error}\"}}")),
            }
        }
    }

    /// Opens the port to `tabard`, where the machine has one; to be called after
    /// [`Machine::open_inputs`]. From then on [`Machine::wait`] also returns, without events, when
    /// there is a frame for [`Machine::take_frames`].
    pub fn open_agent(&mut self) {
        let Some((base, irq, transport)) = self.console.take() else { return };
        match AgentPort::new(transport) {
            Ok(agent) => {
                interrupts::enable(base, irq, false);
                self.agent = Some(agent);
            }
            Err(error) => serial::line(&format!("{{\"error\":\"agent: {error}\"}}")),
        }
    }

    /// Sends a frame to `tabard`; without a port it goes nowhere.
    pub fn send_frame(&mut self, frame: &[u8]) {
        if let Some(agent) = &mut self.agent {
            agent.send(frame);
        }
    }

    /// The frames of `tabard` that came since the last call.
    pub fn take_frames(&mut self) -> Vec<Vec<u8>> {
        core::mem::take(&mut self.frames)
    }

    fn add_disk(&mut self, transport: MmioTransport<'static>) {
        match Disk::new(transport) {
            Ok(disk) => self.disks.push(disk),
            Err(error) => serial::line(&format!("{{\"error\":\"disk: {error}\"}}")),
        }
    }

    /// Lets the drivers of all devices go without a word to the devices, which a hostile guest
    /// then drives itself. The memory that the devices may still write to is never used again.
    pub fn abandon_devices(&mut self) {
        core::mem::forget(self.gpu.take());
        core::mem::forget(core::mem::take(&mut self.inputs));
        core::mem::forget(core::mem::take(&mut self.disks));
        core::mem::forget(self.agent.take());
    }

    /// Sleeps until there is input or the display changed.
    pub fn wait(&mut self) -> Wake {
        loop {
            if interrupts::take_config_changed() {
                return Wake::Display;
            }
            let mut events = Vec::new();
            for input in &mut self.inputs {
                input.drain(&mut events);
            }
            if let Some(agent) = &mut self.agent {
                self.frames.extend(agent.drain());
            }
            if !events.is_empty() || !self.frames.is_empty() {
                return Wake::Input(events);
            }
            interrupts::wait();
        }
    }
}

/// Says why and sleeps for ever.
fn stop(why: &str) -> ! {
    serial::line(why);
    loop {
        interrupts::wait();
    }
}

/// Says that the guest failed, and where, and sleeps for ever.
pub fn panicked(info: &PanicInfo) -> ! {
    // The message may quote anything: keep the line valid JSON.
    let message = format!("{info}").replace(['"', '\\', '\n'], " ");
    stop(&format!("{{\"panic\":\"{message}\"}}"))
}
