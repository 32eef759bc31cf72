//! What runs a guest's processors: the one seam between the devices, which are the same on every
//! engine, and the machine around them.

pub mod kvm;
pub mod qemu;

use std::os::fd::AsRawFd;
use std::sync::Arc;

use tabard_wire::SurfaceGeometry;
use vmm_sys_util::epoll::{ControlOperation, Epoll, EpollEvent, EventSet};

use crate::boot::BootError;
use crate::devices::gpu::News;
use crate::devices::input::Report;
use crate::snapshot::KeepHardware;
use crate::surface::Surface;

/// Tokens from here on are of the engine's own descriptors; below are queues.
pub const FIRST_TOKEN: u64 = 1 << 32;

/// The hardware that an engine makes around the devices. Dropping it ends it.
pub trait Hardware: KeepHardware {
    /// Lets the processors run for the first time.
    ///
    /// # Errors
    /// [`BootError`] when they cannot.
    fn start(&mut self) -> Result<(), BootError>;
    /// Stops the processors; `false` if `crate::vcpu::Event::Paused` will tell.
    fn pause(&mut self) -> bool;
    /// Lets them run again; `false` if `crate::vcpu::Event::Running` will tell.
    fn resume(&mut self) -> bool;
    /// Presses the power button; `false` if nobody listens.
    fn press_power_button(&mut self) -> bool;
    /// Gives a report to the keyboard and the mouse of the chipset: all of them before the guest
    /// drives virtio, later only the release of what was pressed here.
    fn deliver_early(&mut self, report: Report, driven: bool, geometry: Option<SurfaceGeometry>);
    /// How often to [`Hardware::pull`], in milliseconds; `None` if never.
    fn period_ms(&self) -> Option<i32>;
    /// Copies what the guest drew into its framebuffer.
    fn pull(&mut self, surface: &Surface) -> News;
    /// The surface has another size.
    fn resized(&mut self, geometry: SurfaceGeometry);
    /// A descriptor that it put into its [`Watch`] is ready.
    fn ready(&mut self, token: u64);
}

/// Where the session waits, or the thread of the disks, for descriptors that an engine adds.
#[derive(Clone)]
pub struct Watch(pub Arc<Epoll>);

impl Watch {
    /// A place where nothing is waited for yet.
    ///
    /// # Errors
    /// The errno of `epoll_create1`.
    pub fn new() -> std::io::Result<Self> {
        Epoll::new().map(Arc::new).map(Self)
    }

    /// Waits for the descriptor too, until it is closed or taken out.
    ///
    /// # Errors
    /// The errno of `epoll_ctl`.
    pub fn add(&self, fd: &impl AsRawFd, token: u64) -> std::io::Result<()> {
        let event = EpollEvent::new(EventSet::IN, token);
        self.0.ctl(ControlOperation::Add, fd.as_raw_fd(), event)
    }

    /// Waits for each time that the descriptor is written; it is never read, so that nobody who
    /// holds it as well can make the reader wait.
    ///
    /// # Errors
    /// As [`Watch::add`].
    pub fn add_edge(&self, fd: &impl AsRawFd, token: u64) -> std::io::Result<()> {
        let event = EpollEvent::new(EventSet::IN | EventSet::EDGE_TRIGGERED, token);
        self.0.ctl(ControlOperation::Add, fd.as_raw_fd(), event)
    }

    /// Waits for each time that there is something to read, or room to write.
    ///
    /// # Errors
    /// As [`Watch::add`].
    pub fn add_both_edges(&self, fd: &impl AsRawFd, token: u64) -> std::io::Result<()> {
        let both = EventSet::IN | EventSet::OUT | EventSet::EDGE_TRIGGERED;
        self.0.ctl(ControlOperation::Add, fd.as_raw_fd(), EpollEvent::new(both, token))
    }

    /// Waits for it no more.
    pub fn remove(&self, fd: &impl AsRawFd) {
        // It was added, or adding failed and the machine with it.
        let _gone = self.0.ctl(ControlOperation::Delete, fd.as_raw_fd(), EpollEvent::default());
    }
}
