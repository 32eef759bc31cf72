//! virtio-rng (virtio 1.2, 5.4): random bytes of the host's kernel.

use std::io::Write;

use rustix::rand::{GetRandomFlags, getrandom};
use virtio_queue::Queue;

use super::{Device, DeviceError, MAX_QUEUE_SIZE, Progress, requests};
use crate::memory::GuestRam;

/// Most bytes for one request. A guest may offer a chain of 4 GiB; filling it would stop every
/// other device of this machine for seconds.
const MAX_REQUEST_BYTES: usize = 4096;

/// Most requests served in one turn, so that a flood cannot hold up the wire.
const MAX_REQUESTS_PER_TURN: usize = 16;

/// The entropy device.
#[derive(Debug, Default)]
pub struct Rng;

impl crate::snapshot::Keep for Rng {}

impl Device for Rng {
    fn device_type(&self) -> u32 {
        4
    }

    fn has_config(&self) -> bool {
        false
    }

    fn queue_sizes(&self) -> &'static [u16] {
        &[MAX_QUEUE_SIZE]
    }

    fn process(
        &mut self,
        _index: usize,
        queue: &mut Queue,
        ram: &GuestRam,
    ) -> Result<Progress, DeviceError> {
        let mut progress = Progress::default();
        for _ in 0..MAX_REQUESTS_PER_TURN {
            let Some(mut request) = requests::next(queue, ram)? else { return Ok(progress) };
            let mut bytes = [0u8; MAX_REQUEST_BYTES];
            let wanted = request.writer.available_bytes().min(MAX_REQUEST_BYTES);
            let buffer = bytes.get_mut(..wanted).ok_or(DeviceError::Malformed)?;
            // The host's pool is always seeded by the time a guest runs; a signal cannot cut
            // short requests of at most 256 bytes, and a shorter answer is allowed anyway.
            let filled = getrandom(&mut *buffer, GetRandomFlags::empty()).unwrap_or(0);
            let filled = buffer.get(..filled).ok_or(DeviceError::Malformed)?;
            request.writer.write_all(filled).map_err(|_| DeviceError::Malformed)?;
            requests::give_back(queue, ram, request.head, request.writer.bytes_written())?;
            progress.used = true;
        }
        progress.more = true;
        Ok(progress)
    }
}
