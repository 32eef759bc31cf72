//! virtio-mmio, version 2 (virtio 1.2, 4.2): the registers between one driver and one device.

mod snapshot;

use virtio_queue::{Queue, QueueT};
use vm_memory::GuestAddress;

use super::rings::{self, FEATURE_EVENT_IDX, FEATURE_VERSION_1, Turn};
use super::{Attached, Device, DeviceError, Serve, Trigger, read_bytes};
use crate::memory::GuestRam;

/// Bytes of address space of one device.
pub const SLOT_BYTES: u64 = 0x200;

/// Offset of the register that a driver writes a queue's number to; an ioeventfd answers it.
pub const QUEUE_NOTIFY: u64 = 0x50;

/// Offset of the status register.
pub const STATUS: u64 = 0x70;

const CONFIG: u64 = 0x100;
/// `virt`, little-endian.
const MAGIC: u32 = 0x7472_6976;
/// `TBRD`, little-endian.
const VENDOR: u32 = 0x4452_4254;

const STATUS_DRIVER_OK: u32 = 4;
const STATUS_FEATURES_OK: u32 = 8;
const STATUS_NEEDS_RESET: u32 = 0x40;
/// The bits that a driver may set.
const STATUS_DRIVER_BITS: u32 = 0x8f;

const INTERRUPT_QUEUE: u32 = 1;
const INTERRUPT_CONFIG: u32 = 2;

/// What the bus needs of a device, whatever its type.
pub trait Slot: Send {
    /// A read of the register at `offset`.
    fn read(&mut self, offset: u64, data: &mut [u8]);
    /// A write to the register at `offset`.
    fn write(&mut self, offset: u64, data: &[u8]);
}

/// What the driver has written about one queue.
struct QueueSlot {
    max_size: u16,
    size: u32,
    descriptors: u64,
    available: u64,
    used: u64,
    /// Exists while the queue is ready; built from checked numbers only.
    queue: Option<Queue>,
}

impl QueueSlot {
    fn new(max_size: u16) -> Self {
        Self { max_size, size: 0, descriptors: 0, available: 0, used: 0, queue: None }
    }

    /// Checks what the driver wrote: size a power of two up to the largest, rings aligned and
    /// inside of memory (virtio 1.2, 2.7).
    fn build(&self, ram: &GuestRam) -> Result<Queue, DeviceError> {
        let size = u16::try_from(self.size).map_err(|_| DeviceError::Queue)?;
        let mut queue = Queue::new(self.max_size).map_err(|_| DeviceError::Queue)?;
        queue.try_set_size(size).map_err(|_| DeviceError::Queue)?;
        queue
            .try_set_desc_table_address(GuestAddress(self.descriptors))
            .map_err(|_| DeviceError::Queue)?;
        queue
            .try_set_avail_ring_address(GuestAddress(self.available))
            .map_err(|_| DeviceError::Queue)?;
        queue.try_set_used_ring_address(GuestAddress(self.used)).map_err(|_| DeviceError::Queue)?;
        queue.set_ready(true);
        if queue.is_valid(ram) { Ok(queue) } else { Err(DeviceError::Queue) }
    }
}

/// One device with its registers and queues.
pub struct Transport<D, T> {
    device: D,
    trigger: T,
    ram: GuestRam,
    queues: Vec<QueueSlot>,
    queue_select: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    status: u32,
    interrupt_status: u32,
    config_generation: u32,
}

impl<D: Device, T: Trigger> Transport<D, T> {
    /// A device after power-on.
    pub fn new(device: D, trigger: T, ram: GuestRam) -> Self {
        let queues = device.queue_sizes().iter().map(|size| QueueSlot::new(*size)).collect();
        Self {
            device,
            trigger,
            ram,
            queues,
            queue_select: 0,
            device_features_select: 0,
            driver_features_select: 0,
            driver_features: 0,
            status: 0,
            interrupt_status: 0,
            config_generation: 0,
        }
    }

    /// The device itself.
    pub fn device(&mut self) -> &mut D {
        &mut self.device
    }

    fn interrupt(&mut self, cause: u32) {
        self.interrupt_status |= cause;
        self.trigger.trigger();
    }

    fn features(&self) -> u64 {
        self.device.features() | rings::FEATURES
    }

    fn needs_reset(&mut self) {
        self.status |= STATUS_NEEDS_RESET;
        if self.status & STATUS_DRIVER_OK != 0 {
            self.interrupt(INTERRUPT_CONFIG);
        }
    }

    fn reset(&mut self) {
        self.device.reset();
        for slot in &mut self.queues {
            *slot = QueueSlot::new(slot.max_size);
        }
        self.queue_select = 0;
        self.device_features_select = 0;
        self.driver_features_select = 0;
        self.driver_features = 0;
        self.status = 0;
        self.interrupt_status = 0;
    }

    fn set_status(&mut self, value: u32) {
        if value == 0 {
            return self.reset();
        }
        let value = value & STATUS_DRIVER_BITS;
        let mut added = value & !self.status;
        if added & STATUS_FEATURES_OK != 0 {
            let unknown = self.driver_features & !self.features();
            if unknown != 0 || self.driver_features & FEATURE_VERSION_1 == 0 {
                // Leaving the bit clear is the refusal (virtio 1.2, 3.1.1).
                added &= !STATUS_FEATURES_OK;
            } else {
                self.device.accept(self.driver_features);
            }
        }
        // A driver must not clear a bit; those that it "clears" stay.
        self.status |= added;
    }

    fn selected(&mut self) -> Option<&mut QueueSlot> {
        let index = usize::try_from(self.queue_select).ok()?;
        self.queues.get_mut(index)
    }

    fn set_ready(&mut self, ready: bool) {
        let ram = self.ram.clone();
        let events = self.driver_features & FEATURE_EVENT_IDX != 0;
        let Some(slot) = self.selected() else { return };
        if !ready {
            slot.queue = None;
            return;
        }
        if slot.queue.is_some() {
            return;
        }
        match slot.build(&ram) {
            Ok(mut queue) => {
                queue.set_event_idx(events);
                slot.queue = Some(queue);
            }
            Err(_) => self.needs_reset(),
        }
    }

    /// Changes a queue's field; a queue that is ready does not move (virtio 1.2, 4.2.2.2).
    fn set_queue(&mut self, change: impl FnOnce(&mut QueueSlot)) {
        if let Some(slot) = self.selected().filter(|slot| slot.queue.is_none()) {
            change(slot);
        }
    }

    fn read_register(&mut self, offset: u64) -> u32 {
        match offset {
            0x00 => MAGIC,
            0x04 => 2,
            0x08 => self.device.device_type(),
            0x0c => VENDOR,
            0x10 => half(self.features(), self.device_features_select),
            0x34 => self.selected().map_or(0, |slot| slot.max_size.into()),
            0x44 => self.selected().is_some_and(|slot| slot.queue.is_some()).into(),
            0x60 => self.interrupt_status,
            STATUS => self.status,
            // No shared memory region: its length reads as all ones (virtio 1.2, 4.2.2).
            0xb0 | 0xb4 | 0xb8 | 0xbc => u32::MAX,
            0xfc => self.config_generation,
            _ => 0,
        }
    }

    fn write_register(&mut self, offset: u64, value: u32) {
        match offset {
            0x14 => self.device_features_select = value,
            0x20 if self.status & STATUS_FEATURES_OK == 0 => {
                set_half(&mut self.driver_features, self.driver_features_select, value);
            }
            0x24 => self.driver_features_select = value,
            0x30 => self.queue_select = value,
            0x38 => self.set_queue(|slot| slot.size = value),
            0x44 => self.set_ready(value == 1),
            0x64 => self.interrupt_status &= !value,
            STATUS => self.set_status(value),
            0x80 => self.set_queue(|slot| set_half(&mut slot.descriptors, 0, value)),
            0x84 => self.set_queue(|slot| set_half(&mut slot.descriptors, 1, value)),
            0x90 => self.set_queue(|slot| set_half(&mut slot.available, 0, value)),
            0x94 => self.set_queue(|slot| set_half(&mut slot.available, 1, value)),
            0xa0 => self.set_queue(|slot| set_half(&mut slot.used, 0, value)),
            0xa4 => self.set_queue(|slot| set_half(&mut slot.used, 1, value)),
            _ => {}
        }
    }
}

impl<D: Device, T: Trigger> Slot for Transport<D, T> {
    fn read(&mut self, offset: u64, data: &mut [u8]) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            return self.device.read_config(offset, data);
        }
        // Registers are read as aligned words only (virtio 1.2, 4.2.2.2); the rest reads zero.
        let value = if data.len() == 4 { self.read_register(offset) } else { 0 };
        read_bytes(&value.to_le_bytes(), 0, data);
    }

    fn write(&mut self, offset: u64, data: &[u8]) {
        if let Some(offset) = offset.checked_sub(CONFIG) {
            return self.device.write_config(offset, data);
        }
        if let Ok(bytes) = <[u8; 4]>::try_from(data) {
            self.write_register(offset, u32::from_le_bytes(bytes));
        }
    }
}

impl<D: Device, T: Trigger> Serve for Transport<D, T> {
    fn serve(&mut self, index: usize) -> bool {
        if self.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET) != STATUS_DRIVER_OK {
            return false;
        }
        let queue = self.queues.get_mut(index).and_then(|slot| slot.queue.as_mut());
        let Some(queue) = queue else { return false };
        match rings::turn(&mut self.device, index, queue, &self.ram) {
            Ok(Turn { interrupt, more }) => {
                if interrupt {
                    self.interrupt(INTERRUPT_QUEUE);
                }
                more
            }
            Err(_) => {
                self.needs_reset();
                false
            }
        }
    }

    fn queues(&self) -> usize {
        self.queues.len()
    }
}

impl<D: Device, T: Trigger> Attached<D> for Transport<D, T> {
    fn device(&mut self) -> &mut D {
        self.device()
    }

    fn device_and_ram(&mut self) -> (&mut D, &GuestRam) {
        (&mut self.device, &self.ram)
    }

    fn config_changed(&mut self) {
        self.config_generation = self.config_generation.wrapping_add(1);
        if self.status & STATUS_DRIVER_OK != 0 {
            self.interrupt(INTERRUPT_CONFIG);
        }
    }

    fn is_driven(&self) -> bool {
        self.status & (STATUS_DRIVER_OK | STATUS_NEEDS_RESET) == STATUS_DRIVER_OK
    }
}

fn half(value: u64, select: u32) -> u32 {
    let [a, b, c, d, e, f, g, h] = value.to_le_bytes();
    match select {
        0 => u32::from_le_bytes([a, b, c, d]),
        1 => u32::from_le_bytes([e, f, g, h]),
        _ => 0,
    }
}

fn set_half(value: &mut u64, select: u32, half: u32) {
    match select {
        0 => *value = (*value & 0xffff_ffff_0000_0000) | u64::from(half),
        1 => *value = (*value & 0x0000_0000_ffff_ffff) | (u64::from(half) << 32),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
