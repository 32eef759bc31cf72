use proptest::prelude::*;

use super::*;
use crate::devices::rng::Rng;
use crate::devices::testing::{Driver, QUEUE_SIZE, available, descriptors};
use vm_memory::Bytes;

#[test]
fn the_registers_name_the_device() {
    let mut driver = Driver::off(Rng);
    assert_eq!(driver.read(0), u32::from_le_bytes(*b"virt"));
    assert_eq!((driver.read(4), driver.read(8)), (2, 4));
}

#[test]
fn a_driver_without_version_1_is_refused() {
    let mut driver = Driver::off(Rng);
    driver.write(0x70, 3);
    driver.write(0x70, 11);
    assert_eq!(driver.read(0x70), 3);
}

#[test]
fn a_driver_that_wants_more_than_was_offered_is_refused() {
    let mut driver = Driver::off(Rng);
    driver.write(0x70, 3);
    driver.write(0x24, 1);
    driver.write(0x20, 0x8000_0001);
    driver.write(0x70, 11);
    assert_eq!(driver.read(0x70), 3);
}

#[test]
fn features_do_not_change_after_they_were_agreed() {
    let mut driver = Driver::off(Rng);
    driver.negotiate();
    driver.write(0x20, 0xffff_ffff);
    assert_eq!(driver.transport.driver_features, FEATURE_VERSION_1);
}

#[test]
fn queue_sizes_that_are_zero_odd_or_too_large_need_a_reset() {
    for size in [0, 3, 257, 512, 0x1_0010, u32::MAX] {
        let mut driver = Driver::off(Rng);
        driver.negotiate();
        driver.set_up_queue(0, size);
        assert!(driver.needs_reset(), "{size}");
        assert_eq!(driver.read(0x44), 0);
    }
}

#[test]
fn rings_outside_of_memory_need_a_reset() {
    for register in [0x80, 0x90, 0xa0] {
        let mut driver = Driver::off(Rng);
        driver.negotiate();
        driver.write(0x38, 16);
        driver.write(0x84, 0);
        driver.write(register, 16 << 20);
        driver.write(register + 4, 0xffff_ffff);
        driver.write(0x44, 1);
        assert!(driver.needs_reset());
    }
}

#[test]
fn a_queue_that_is_ready_does_not_move() {
    let mut driver = Driver::on(Rng);
    driver.write(0x30, 0);
    driver.write(0x80, 0x5000);
    assert_eq!(driver.transport.queues[0].descriptors, descriptors(0));
}

#[test]
fn a_queue_that_does_not_exist_has_size_zero() {
    let mut driver = Driver::on(Rng);
    driver.write(0x30, 7);
    driver.write(0x44, 1);
    assert_eq!((driver.read(0x34), driver.read(0x44)), (0, 0));
    assert!(!driver.needs_reset());
}

#[test]
fn a_reset_forgets_everything() {
    let mut driver = Driver::on(Rng);
    driver.write(0x70, 0);
    assert_eq!((driver.read(0x70), driver.read(0x44), driver.read(0x60)), (0, 0, 0));
    assert!(!driver.transport.serve(0));
}

#[test]
fn random_bytes_arrive_with_an_interrupt() {
    let mut driver = Driver::on(Rng);
    let request = driver.request(0, &[0], 64);
    assert_eq!(request.len(), 64);
    assert!(request.iter().any(|byte| *byte != 0));
    assert_eq!(driver.read(0x60), 1);
    assert_eq!(driver.interrupts.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    driver.write(0x64, 1);
    assert_eq!(driver.read(0x60), 0);
}

#[test]
fn an_available_index_that_jumps_needs_a_reset() {
    let mut driver = Driver::on(Rng);
    driver.ram.write_obj(QUEUE_SIZE + 1, GuestAddress(available(0) + 2)).unwrap();
    driver.transport.serve(0);
    assert!(driver.needs_reset());
}

#[test]
fn a_head_outside_of_the_table_needs_a_reset() {
    let mut driver = Driver::on(Rng);
    driver.offer(0, QUEUE_SIZE);
    driver.transport.serve(0);
    assert!(driver.needs_reset());
}

#[test]
fn a_chain_that_bites_its_tail_ends() {
    let mut driver = Driver::on(Rng);
    driver.descriptor(0, 0, 0x30_0000, 8, 3, 1);
    driver.descriptor(0, 1, 0x30_1000, 8, 3, 0);
    driver.offer(0, 0);
    driver.transport.serve(0);
    assert_eq!(driver.used_index(0), 1);
}

#[test]
fn a_buffer_outside_of_memory_needs_a_reset() {
    let mut driver = Driver::on(Rng);
    driver.descriptor(0, 0, 0xffff_ffff_ffff_f000, 0xffff, 2, 0);
    driver.offer(0, 0);
    driver.transport.serve(0);
    assert!(driver.needs_reset());
}

proptest! {
    #[test]
    fn no_access_to_registers_panics(
        accesses in proptest::collection::vec(
            (any::<bool>(), 0u64..0x200, proptest::collection::vec(any::<u8>(), 1..9)), 0..200),
    ) {
        let mut driver = Driver::on(Rng);
        for (write, offset, mut data) in accesses {
            if write {
                driver.transport.write(offset, &data);
            } else {
                driver.transport.read(offset, &mut data);
            }
            driver.transport.serve(0);
        }
    }

    #[test]
    fn no_ring_contents_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0x100),
        index in any::<u16>(),
        heads in proptest::collection::vec(0u16..20, 16),
    ) {
        let mut driver = Driver::on(Rng);
        driver.ram.write_slice(&bytes, GuestAddress(descriptors(0))).unwrap();
        for (at, head) in heads.iter().enumerate() {
            driver.ram.write_obj(*head, GuestAddress(available(0) + 4 + 2 * at as u64)).unwrap();
        }
        driver.ram.write_obj(index % 20, GuestAddress(available(0) + 2)).unwrap();
        for _ in 0..4 { driver.transport.serve(0); }
    }
}
