//! The registers of a device and its rings for a snapshot.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use virtio_queue::QueueT;

use super::{
    FEATURE_EVENT_IDX, INTERRUPT_QUEUE, QueueSlot, STATUS_DRIVER_BITS, STATUS_FEATURES_OK,
    STATUS_NEEDS_RESET, Transport,
};
use crate::devices::{Device, Trigger};
use crate::snapshot::{KeepSlot, Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    device: Value,
    queues: Vec<KeptQueue>,
    queue_select: u32,
    device_features_select: u32,
    driver_features_select: u32,
    driver_features: u64,
    status: u32,
    interrupt_status: u32,
    config_generation: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeptQueue {
    size: u32,
    descriptors: u64,
    available: u64,
    used: u64,
    /// Where it goes on, in the driver's ring and in the device's; `None` while it is not ready.
    next: Option<(u16, u16)>,
}

impl<D: Device, T: Trigger> KeepSlot for Transport<D, T> {
    fn keep(&mut self) -> Result<Value, Refusal> {
        let queues = self.queues.iter().map(|slot| KeptQueue {
            size: slot.size,
            descriptors: slot.descriptors,
            available: slot.available,
            used: slot.used,
            next: slot.queue.as_ref().map(|queue| (queue.next_avail(), queue.next_used())),
        });
        value(&Kept {
            device: self.device.keep()?,
            queues: queues.collect(),
            queue_select: self.queue_select,
            device_features_select: self.device_features_select,
            driver_features_select: self.driver_features_select,
            driver_features: self.driver_features,
            status: self.status,
            interrupt_status: self.interrupt_status,
            config_generation: self.config_generation,
        })
    }

    fn restore(&mut self, kept: Value) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        if kept.queues.len() != self.queues.len()
            || kept.status & !(STATUS_DRIVER_BITS | STATUS_NEEDS_RESET) != 0
        {
            return Err(Refusal::Malformed);
        }
        self.device.restore(kept.device, &self.ram)?;
        // As the driver settled them; what it wrote and never settled is nothing yet.
        if kept.status & STATUS_FEATURES_OK != 0 {
            if kept.driver_features & !self.features() != 0 {
                return Err(Refusal::Malformed);
            }
            self.device.accept(kept.driver_features);
        }
        for (slot, kept_queue) in self.queues.iter_mut().zip(kept.queues) {
            let KeptQueue { size, descriptors, available, used, next } = kept_queue;
            *slot =
                QueueSlot { size, descriptors, available, used, ..QueueSlot::new(slot.max_size) };
            if let Some((next_available, next_used)) = next {
                let mut queue = slot.build(&self.ram).map_err(|_| Refusal::Malformed)?;
                queue.set_event_idx(kept.driver_features & FEATURE_EVENT_IDX != 0);
                queue.set_next_avail(next_available);
                queue.set_next_used(next_used);
                slot.queue = Some(queue);
            }
        }
        self.queue_select = kept.queue_select;
        self.device_features_select = kept.device_features_select;
        self.driver_features_select = kept.driver_features_select;
        self.driver_features = kept.driver_features;
        self.status = kept.status;
        self.interrupt_status = kept.interrupt_status;
        self.config_generation = kept.config_generation;
        // A driver whose interrupt was lost with the old machine looks once more.
        if self.status & super::STATUS_DRIVER_OK != 0 {
            self.interrupt(INTERRUPT_QUEUE);
        }
        Ok(())
    }
}
