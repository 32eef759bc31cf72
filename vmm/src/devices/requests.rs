//! Takes descriptor chains from a virtqueue with every bound checked.

use virtio_queue::{DescriptorChain, Queue, QueueOwnedT, QueueT, Reader, Writer};
use vm_memory::GuestAddress;

use super::{DeviceError, MAX_QUEUE_SIZE};
use crate::memory::GuestRam;

/// One request of the driver.
pub(crate) struct Request<'a> {
    /// Names the chain when it is given back.
    pub head: u16,
    /// What the driver sent.
    pub reader: Reader<'a>,
    /// Room for the answer.
    pub writer: Writer<'a>,
}

/// The next request, if there is one.
///
/// # Errors
/// `Queue` if the rings are broken, `Malformed` if the chain is too long or leaves memory.
pub(crate) fn next<'a>(
    queue: &mut Queue,
    ram: &'a GuestRam,
) -> Result<Option<Request<'a>>, DeviceError> {
    let chain = queue.iter(ram).map_err(|_| DeviceError::Queue)?.next();
    chain.map(|chain| request(chain, ram)).transpose()
}

/// As [`next()`], with the pieces of the room for the answer: for an answer that comes later, when
/// the guest's memory has to be looked up again.
///
/// # Errors
/// As [`next()`].
#[expect(clippy::type_complexity, reason = "each part is named where it is used")]
pub(crate) fn next_with_room<'a>(
    queue: &mut Queue,
    ram: &'a GuestRam,
) -> Result<Option<(Request<'a>, Vec<(GuestAddress, u32)>)>, DeviceError> {
    let chain = queue.iter(ram).map_err(|_| DeviceError::Queue)?.next();
    let Some(chain) = chain else { return Ok(None) };
    let limit = usize::from(MAX_QUEUE_SIZE);
    let pieces = chain.clone().writable().take(limit);
    let room = pieces.map(|piece| (piece.addr(), piece.len())).collect();
    Ok(Some((request(chain, ram)?, room)))
}

fn request<'a>(
    chain: DescriptorChain<&'a GuestRam>,
    ram: &'a GuestRam,
) -> Result<Request<'a>, DeviceError> {
    let limit = usize::from(MAX_QUEUE_SIZE);
    if chain.clone().take(limit.saturating_add(1)).count() > limit {
        return Err(DeviceError::Malformed);
    }
    let head = chain.head_index();
    let reader = Reader::new(ram, chain.clone()).map_err(|_| DeviceError::Malformed)?;
    let writer = Writer::new(ram, chain).map_err(|_| DeviceError::Malformed)?;
    Ok(Request { head, reader, writer })
}

/// Gives a chain back with the number of bytes that were written to it.
///
/// # Errors
/// `Queue` if the used ring is out of reach or the head makes no sense.
pub(crate) fn give_back(
    queue: &mut Queue,
    ram: &GuestRam,
    head: u16,
    written: usize,
) -> Result<(), DeviceError> {
    let written = u32::try_from(written).map_err(|_| DeviceError::Malformed)?;
    queue.add_used(ram, head, written).map_err(|_| DeviceError::Queue)
}

/// How many chains the driver has made available, never more than the queue has room for.
///
/// # Errors
/// `Queue` if the rings are broken.
pub(crate) fn available(queue: &Queue, ram: &GuestRam) -> Result<u16, DeviceError> {
    let index = queue
        .avail_idx(ram, std::sync::atomic::Ordering::Acquire)
        .map_err(|_| DeviceError::Queue)?;
    let available = index.0.wrapping_sub(queue.next_avail());
    if available > queue.size() { Err(DeviceError::Queue) } else { Ok(available) }
}
