//! A volume for a snapshot: which clusters are in its overlay. What is in them is a file of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use virtio_queue::Queue;

use super::disk::KeptOverlay;
use super::{Block, answer};
use crate::devices::DeviceError;
use crate::memory::GuestRam;
use crate::snapshot::{Keep, Refusal, part, value};

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    sectors: u64,
    overlay: Option<KeptOverlay>,
}

impl Block {
    /// Whether something that was asked for is not yet done and told.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.waiting.is_some()
            || !self.done.is_empty()
            || std::sync::Arc::strong_count(&self.disk) > 1
    }
}

impl Keep for Block {
    fn settle(&mut self, queue: &mut Queue, ram: &GuestRam) -> Result<(), DeviceError> {
        std::mem::take(&mut self.done).into_iter().try_for_each(|job| answer(job, queue, ram))
    }

    fn keep(&self) -> Result<Value, Refusal> {
        if self.is_busy() {
            return Err(Refusal::Disk);
        }
        value(&Kept { sectors: self.sectors, overlay: self.disk.kept() })
    }

    fn restore(&mut self, kept: Value, _ram: &GuestRam) -> Result<(), Refusal> {
        let kept: Kept = part(kept)?;
        if kept.sectors != self.sectors {
            return Err(Refusal::Malformed);
        }
        self.disk.become_kept(kept.overlay)
    }
}
