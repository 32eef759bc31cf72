//! When the two sides of a virtqueue wake each other (virtio 1.2, 2.7.7 to 2.7.10): a driver that asks
//! for silence gets it, and a device that is at work is not kicked. What is lost here stands still for
//! ever, so each side is asked again after it was told.

use std::sync::atomic::{Ordering, fence};

use virtio_queue::{Queue, QueueT};
use vm_memory::{Bytes, GuestAddress};

use super::{Device, DeviceError, Progress, requests};
use crate::memory::GuestRam;

/// `VIRTIO_F_INDIRECT_DESC`: the parser of chains follows a table, bounded as chains are.
const FEATURE_INDIRECT: u64 = 1 << 28;
/// `VIRTIO_F_EVENT_IDX`: each side names the index at which it wants to be woken.
pub const FEATURE_EVENT_IDX: u64 = 1 << 29;
/// `VIRTIO_F_VERSION_1`.
pub const FEATURE_VERSION_1: u64 = 1 << 32;
/// What every ring of ours can do, whoever carries it.
pub const FEATURES: u64 = FEATURE_INDIRECT | FEATURE_EVENT_IDX | FEATURE_VERSION_1;

/// `VIRTQ_AVAIL_F_NO_INTERRUPT`.
const NO_INTERRUPT: u16 = 1;
/// Bytes of a used ring before its elements, and of an element.
const USED_HEADER: u64 = 4;
const USED_ELEMENT: u64 = 8;
/// Turns that end with the ring fuller than they found it, before somebody else gets one.
const MAX_ROUNDS: u32 = 4;

/// What a turn leaves to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// The driver wants to be interrupted.
    pub interrupt: bool,
    /// Come again: there is more, and nobody will say so.
    pub more: bool,
}

/// Serves a queue for one bounded turn, and asks to be kicked for what comes after it.
///
/// # Errors
/// [`DeviceError`] when the driver has to reset the device.
pub fn turn(
    device: &mut impl Device,
    index: usize,
    queue: &mut Queue,
    ram: &GuestRam,
) -> Result<Turn, DeviceError> {
    let (mut any, mut more) = (false, true);
    for _ in 0..MAX_ROUNDS {
        let seen = offered(queue, ram)?;
        let progress: Progress = device.process(index, queue, ram)?;
        any |= progress.used;
        // Who comes again needs no kick.
        if progress.more {
            break;
        }
        if !queue.event_idx_enabled() || ask_for_kick(queue, ram)? == seen {
            more = false;
            break;
        }
    }
    Ok(Turn { interrupt: any && wants_interrupt(queue, ram), more })
}

/// Asks to be kicked for the next chain, whatever the device has left in the ring; returns how far the
/// driver has come since, so that none is missed that came before it could read this.
fn ask_for_kick(queue: &Queue, ram: &GuestRam) -> Result<u16, DeviceError> {
    let elements = USED_ELEMENT.saturating_mul(queue.size().into());
    let place = queue.used_ring().saturating_add(USED_HEADER).saturating_add(elements);
    let next = offered(queue, ram)?.to_le();
    ram.store(next, GuestAddress(place), Ordering::Relaxed).map_err(|_| DeviceError::Queue)?;
    fence(Ordering::SeqCst);
    offered(queue, ram)
}

/// The driver's index in its ring.
fn offered(queue: &Queue, ram: &GuestRam) -> Result<u16, DeviceError> {
    requests::available(queue, ram).map(|waiting| queue.next_avail().wrapping_add(waiting))
}

/// Whether the driver wants to hear of what was given back; a broken ring counts as wanting.
fn wants_interrupt(queue: &mut Queue, ram: &GuestRam) -> bool {
    if queue.event_idx_enabled() {
        return queue.needs_notification(ram).unwrap_or(true);
    }
    // What was given back must be there before the driver is asked.
    fence(Ordering::SeqCst);
    let flags = ram.load(GuestAddress(queue.avail_ring()), Ordering::Relaxed).map(u16::from_le);
    flags.map_or(true, |flags| flags & NO_INTERRUPT == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::devices::Serve;
    use crate::devices::rng::Rng;
    use crate::devices::testing::{BUFFERS, Driver, QUEUE_SIZE, available, used};

    /// A driver with one more feature, and so many chains of eight bytes ready to be offered.
    fn driver<D: Device>(device: D, features: u64, chains: u16) -> Driver<D> {
        let driver = Driver::with(device, features);
        for chain in 0..chains {
            driver.descriptor(0, chain, BUFFERS + u64::from(chain) * 64, 8, 2, 0);
        }
        driver
    }

    fn interrupts<D>(driver: &Driver<D>) -> u32 {
        driver.interrupts.0.load(Ordering::Relaxed)
    }

    fn kick_wanted_at<D>(driver: &Driver<D>) -> u16 {
        let place = used(0) + 4 + 8 * u64::from(QUEUE_SIZE);
        driver.ram.read_obj(GuestAddress(place)).unwrap()
    }

    #[test]
    fn ten_requests_of_a_driver_that_wants_no_interrupt_make_none() {
        let mut driver = driver(Rng, 0, 10);
        driver.ram.write_obj(NO_INTERRUPT, GuestAddress(available(0))).unwrap();
        for chain in 0..10 {
            driver.offer(0, chain);
            assert!(!driver.transport.serve(0));
        }
        assert_eq!((driver.used_index(0), interrupts(&driver)), (10, 0));
    }

    #[test]
    fn ten_requests_of_a_driver_that_waits_for_the_tenth_make_one_interrupt() {
        let mut driver = driver(Rng, FEATURE_EVENT_IDX, 10);
        let event = available(0) + 4 + 2 * u64::from(QUEUE_SIZE);
        driver.ram.write_obj(9u16, GuestAddress(event)).unwrap();
        for chain in 0..10 {
            driver.offer(0, chain);
            assert!(!driver.transport.serve(0));
            assert_eq!(interrupts(&driver), u32::from(chain == 9), "{chain}");
        }
        assert_eq!(driver.used_index(0), 10);
    }

    #[test]
    fn a_device_that_is_done_wants_the_next_kick_whatever_it_has_left() {
        let mut driver = driver(Rng, FEATURE_EVENT_IDX, 3);
        (0..3).for_each(|chain| driver.offer(0, chain));
        assert!(!driver.transport.serve(0));
        assert_eq!(kick_wanted_at(&driver), 3);

        // An event needs two buffers, and one is there.
        let mut input = crate::devices::input::Input::new(crate::devices::input::Kind::Keyboard);
        input.push(crate::devices::input::Report::Key { code: 30, pressed: true });
        let mut driver = self::driver(input, FEATURE_EVENT_IDX, 2);
        driver.offer(0, 0);
        assert!(!driver.transport.serve(0));
        assert_eq!((driver.used_index(0), kick_wanted_at(&driver)), (0, 1));
        driver.offer(0, 1);
        assert!(!driver.transport.serve(0));
        assert_eq!((driver.used_index(0), kick_wanted_at(&driver)), (2, 2));
    }

    /// Answers what is there; and then, before anybody could ask for a kick, its driver offers more.
    struct Raced {
        late: u16,
        ram: Option<GuestRam>,
    }

    impl crate::snapshot::Keep for Raced {}

    impl Device for Raced {
        fn device_type(&self) -> u32 {
            4
        }

        fn queue_sizes(&self) -> &'static [u16] {
            Rng.queue_sizes()
        }

        fn process(
            &mut self,
            index: usize,
            queue: &mut Queue,
            ram: &GuestRam,
        ) -> Result<Progress, DeviceError> {
            let progress = Rng.process(index, queue, ram)?;
            if self.late > 0 {
                self.late -= 1;
                let driver = Driver::over(Rng, self.ram.clone().unwrap());
                driver.offer(0, self.late % 4);
            }
            Ok(progress)
        }
    }

    #[test]
    fn no_chain_is_lost_that_comes_between_the_last_look_and_the_wish_for_a_kick() {
        for late in [1, 2, 3, 30] {
            let mut driver = driver(Raced { late, ram: None }, FEATURE_EVENT_IDX, 4);
            driver.transport.device().ram = Some(driver.ram.clone());
            driver.offer(0, 0);
            let mut turns = 0;
            while driver.transport.serve(0) {
                turns += 1;
            }
            assert_eq!(driver.used_index(0), late + 1);
            assert_eq!(kick_wanted_at(&driver), late + 1);
            // A driver without end leaves the others their turns.
            assert_eq!(turns > 0, late >= MAX_ROUNDS as u16, "{late}");
        }
    }

    #[test]
    fn a_chain_in_a_table_is_followed() {
        let mut driver = driver(Rng, FEATURE_INDIRECT, 0);
        let table = BUFFERS + 4096;
        for (at, part) in [(0, BUFFERS), (16, BUFFERS + 64)] {
            driver.ram.write_obj(part, GuestAddress(table + at)).unwrap();
            driver.ram.write_obj(8u32, GuestAddress(table + at + 8)).unwrap();
            let (flags, next) = if at == 0 { (3u16, 1u16) } else { (2, 0) };
            driver.ram.write_obj(flags, GuestAddress(table + at + 12)).unwrap();
            driver.ram.write_obj(next, GuestAddress(table + at + 14)).unwrap();
        }
        driver.descriptor(0, 0, table, 32, 4, 0);
        driver.offer(0, 0);
        assert!(!driver.transport.serve(0));
        let written: u32 = driver.ram.read_obj(GuestAddress(used(0) + 8)).unwrap();
        assert_eq!((driver.used_index(0), written), (1, 16));
    }
}
