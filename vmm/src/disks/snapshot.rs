//! Waits until the disks of a machine that stands still have done what they were asked for: what is
//! under way is in no snapshot.

use std::thread;
use std::time::{Duration, Instant};

use super::Disks;
use crate::machine::lock;
use crate::snapshot::Refusal;

/// How long a disk may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to look: a thread that is done says so to its volume, and to nobody else.
const LOOK: Duration = Duration::from_millis(1);

impl Disks {
    /// Returns once nothing is under way, and the driver was told of all that was done.
    ///
    /// # Errors
    /// `Disk` if one takes too long.
    pub fn settle(&self) -> Result<(), Refusal> {
        let begin = Instant::now();
        for volume in &self.volumes {
            loop {
                let mut volume = lock(volume);
                volume.settle();
                if !volume.device().is_busy() {
                    break;
                }
                drop(volume);
                if begin.elapsed() > PATIENCE {
                    return Err(Refusal::Disk);
                }
                thread::sleep(LOOK);
            }
        }
        Ok(())
    }
}
