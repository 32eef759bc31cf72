//! Finds what is behind a virtio-mmio slot.

use core::ptr::NonNull;
use virtio_drivers::transport::mmio::{MmioTransport, VirtIOHeader};
use virtio_drivers::transport::{DeviceType, Transport};

/// Size of a slot in bytes: registers and configuration space.
const SLOT_BYTES: usize = 0x200;

/// The devices that the guests know.
pub(super) enum Opened {
    Gpu(MmioTransport<'static>),
    Input(MmioTransport<'static>),
    Disk(MmioTransport<'static>),
    Console(MmioTransport<'static>),
}

/// Opens the slot at `base`; `None` if it is empty or holds something else.
pub(super) fn open(base: usize) -> Option<Opened> {
    let header = NonNull::new(base as *mut VirtIOHeader)?;
    // SAFETY: the command line names `base` as a virtio-mmio slot; the map is one to one, and
    // each slot is opened once.
    let transport = unsafe { MmioTransport::new(header, SLOT_BYTES) }.ok()?;
    match transport.device_type() {
        DeviceType::GPU => Some(Opened::Gpu(transport)),
        DeviceType::Block => Some(Opened::Disk(transport)),
        DeviceType::Console => Some(Opened::Console(transport)),
        DeviceType::Input => Some(Opened::Input(transport)),
        _ => None,
    }
}
