use proptest::prelude::*;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::devices::Serve;
use crate::devices::testing::{BUFFERS, Driver, QUEUE_SIZE, available, descriptors};
use crate::devices::transport::Slot;

/// Offers `count` buffers of eight bytes.
fn fill(driver: &Driver<Input>, count: u16) {
    for index in 0..count {
        driver.descriptor(0, index, BUFFERS + u64::from(index) * 8, 8, 2, 0);
        driver.offer(0, index);
    }
}

fn event(driver: &Driver<Input>, index: u64) -> [u8; 8] {
    driver.ram.read_obj(GuestAddress(BUFFERS + index * 8)).unwrap()
}

fn send(driver: &mut Driver<Input>, report: Report) {
    driver.transport.device().push(report);
    driver.transport.serve(0);
}

#[test]
fn a_key_is_two_events_and_an_interrupt() {
    let mut driver = Driver::on(Input::new(Kind::Keyboard));
    fill(&driver, 4);
    send(&mut driver, Report::Key { code: 30, pressed: true });
    assert_eq!(driver.used_index(0), 2);
    assert_eq!(event(&driver, 0), [1, 0, 30, 0, 1, 0, 0, 0]);
    assert_eq!(event(&driver, 1), [0; 8]);
    assert_eq!(driver.read(0x60), 1);
}

#[test]
fn a_report_goes_out_whole_or_not_at_all() {
    let mut driver = Driver::on(Input::new(Kind::Pointer));
    fill(&driver, 2);
    send(&mut driver, Report::Motion { x: 1, y: 2 });
    assert_eq!(driver.used_index(0), 0);
    fill(&driver, 1);
    driver.transport.serve(0);
    assert_eq!(driver.used_index(0), 3);
}

#[test]
fn a_reset_clears_the_backlog() {
    let mut driver = Driver::on(Input::new(Kind::Keyboard));
    send(&mut driver, Report::Key { code: 30, pressed: true });
    driver.write(0x70, 0);
    assert!(driver.transport.device().backlog.front().is_none());
}

#[test]
fn a_buffer_too_small_for_an_event_needs_a_reset() {
    let mut driver = Driver::on(Input::new(Kind::Keyboard));
    for index in 0..2 {
        driver.descriptor(0, index, BUFFERS, 7, 2, 0);
        driver.offer(0, index);
    }
    send(&mut driver, Report::Key { code: 30, pressed: true });
    assert!(driver.needs_reset());
}

#[test]
fn lights_are_told_once_and_whatever_else_is_said_is_swallowed() {
    let mut driver = Driver::on(Input::new(Kind::Keyboard));
    let events =
        [[0x11, 0, 1, 0, 1, 0, 0, 0], [0x11, 0, 9, 0, 1, 0, 0, 0], [0x14, 0, 0, 0, 9, 0, 0, 0]];
    for (event, used) in events.iter().zip(1..) {
        driver.request(1, event, 0);
        assert_eq!(driver.used_index(1), used);
    }
    assert!(!driver.needs_reset());
    assert_eq!(driver.transport.device().take_lights(), Some([false, true, false]));
    assert_eq!(driver.transport.device().take_lights(), None);
    driver.write(0x70, 0);
    assert_eq!(driver.transport.device().take_lights(), Some([false; 3]));
}

#[test]
fn the_name_is_read_through_the_selectors() {
    let mut driver = Driver::on(Input::new(Kind::Keyboard));
    driver.transport.write(0x100, &[1, 0]);
    let mut space = [0; 23];
    driver.transport.read(0x100, &mut space);
    assert_eq!(&space[8..], b"Tabard keyboard");
    assert_eq!(space[2], 15);
}

proptest! {
    #[test]
    fn no_configuration_access_panics(
        accesses in proptest::collection::vec(
            (any::<bool>(), 0x100u64..0x300, proptest::collection::vec(any::<u8>(), 1..9)), 0..100),
    ) {
        let mut driver = Driver::on(Input::new(Kind::Pointer));
        for (write, offset, mut data) in accesses {
            if write { driver.transport.write(offset, &data) } else { driver.transport.read(offset, &mut data) }
        }
    }

    #[test]
    fn no_ring_contents_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0x100),
        index in 0u16..20,
        queue in 0u64..2,
    ) {
        let mut driver = Driver::on(Input::new(Kind::Keyboard));
        driver.ram.write_slice(&bytes, GuestAddress(descriptors(queue))).unwrap();
        driver.ram.write_obj(index, GuestAddress(available(queue) + 2)).unwrap();
        for code in 1..=QUEUE_SIZE {
            send(&mut driver, Report::Key { code, pressed: true });
        }
        driver.transport.serve(1);
    }
}
