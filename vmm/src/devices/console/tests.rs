use proptest::prelude::*;
use tabard_agent_wire::{FromGuest, ToGuest};
use vm_memory::{Bytes, GuestAddress};

use super::port;
use super::*;
use crate::devices::Serve;
use crate::devices::testing::{BUFFERS, Driver};

/// Where answers are put, clear of what `Driver::request` uses.
const ANSWERS: u64 = BUFFERS + 0x20_0000;

/// A driver that has said that it is there and has the port open.
fn opened() -> Driver<Console> {
    let mut driver = Driver::on(Console::default());
    control(&mut driver, 0, Event::DEVICE_READY, 1);
    control(&mut driver, AGENT_PORT, Event::PORT_READY, 1);
    control(&mut driver, AGENT_PORT, Event::PORT_OPEN, 1);
    driver
}

fn control(driver: &mut Driver<Console>, port: u32, event: Event, value: u16) {
    let bytes = Control::new(port, event, value).encode();
    driver.request(CONTROL_FROM_GUEST as u64, &bytes, 0);
}

/// Lets the device fill one buffer of a queue.
fn receive(driver: &mut Driver<Console>, queue: usize, room: u32) -> Option<Vec<u8>> {
    let index = queue as u64;
    let before = driver.used_index(index);
    driver.descriptor(index, 3, ANSWERS, room, 2, 0);
    driver.offer(index, 3);
    driver.transport.serve(queue);
    if driver.used_index(index) == before {
        return None;
    }
    let element = crate::devices::testing::used(index) + 4 + u64::from(before % 16) * 8;
    let written: u32 = driver.ram.read_obj(GuestAddress(element + 4)).unwrap();
    let mut bytes = vec![0; written as usize];
    driver.ram.read_slice(&mut bytes, GuestAddress(ANSWERS)).unwrap();
    Some(bytes)
}

fn send(driver: &mut Driver<Console>, bytes: &[u8]) {
    driver.request(FROM_GUEST as u64, bytes, 0);
}

#[test]
fn a_driver_is_told_of_one_port_by_number_and_name() {
    let mut driver = opened();
    let mut next = || receive(&mut driver, CONTROL_TO_GUEST, 64).unwrap();
    assert_eq!(next(), [1, 0, 0, 0, 1, 0, 1, 0]);
    assert_eq!(next(), [&[1, 0, 0, 0, 7, 0, 1, 0], PORT_NAME.as_bytes()].concat());
    assert_eq!(next(), [1, 0, 0, 0, 6, 0, 1, 0]);
}

#[test]
fn opening_and_closing_is_told_once() {
    let mut driver = opened();
    assert_eq!(driver.transport.device().port.take_open(), Some(true));
    assert_eq!(driver.transport.device().port.take_open(), None);
    control(&mut driver, AGENT_PORT, Event::PORT_OPEN, 0);
    assert_eq!(driver.transport.device().port.take_open(), Some(false));
}

#[test]
fn a_reset_closes_the_port() {
    let mut driver = opened();
    driver.transport.device().port.take_open();
    driver.write(0x70, 0);
    assert_eq!(driver.transport.device().port.take_open(), Some(false));
}

#[test]
fn frames_come_out_whole_and_one_at_a_time() {
    let mut driver = opened();
    let (one, two) = (FromGuest::Offer("one").encode(), FromGuest::Offer("two").encode());
    let both = [one.clone(), two.clone()].concat();
    let (head, tail) = both.split_at(5);
    send(&mut driver, head);
    assert_eq!(driver.transport.device().port.take_frame(), None);
    send(&mut driver, tail);
    assert_eq!(driver.transport.device().port.take_frame(), Some(one));
    driver.transport.serve(FROM_GUEST);
    assert_eq!(driver.transport.device().port.take_frame(), Some(two));
}

#[test]
fn while_a_frame_waits_the_guest_waits() {
    let mut driver = opened();
    send(&mut driver, &FromGuest::Offer("one").encode());
    let before = driver.used_index(FROM_GUEST as u64);
    send(&mut driver, &FromGuest::Offer("two").encode());
    assert_eq!(driver.used_index(FROM_GUEST as u64), before);
}

#[test]
fn a_stream_that_makes_no_sense_is_closed_until_the_port_is_opened_anew() {
    let mut driver = opened();
    for _ in 0..3 {
        receive(&mut driver, CONTROL_TO_GUEST, 64);
    }
    send(&mut driver, b"no frame at all");
    let closed = receive(&mut driver, CONTROL_TO_GUEST, 64);
    assert_eq!(closed, Some(vec![1, 0, 0, 0, 6, 0, 0, 0]));
    send(&mut driver, &FromGuest::Offer("lost").encode());
    assert_eq!(driver.transport.device().port.take_frame(), None);
    control(&mut driver, AGENT_PORT, Event::PORT_OPEN, 0);
    control(&mut driver, AGENT_PORT, Event::PORT_OPEN, 1);
    let opened = receive(&mut driver, CONTROL_TO_GUEST, 64);
    assert_eq!(opened, Some(vec![1, 0, 0, 0, 6, 0, 1, 0]));
    send(&mut driver, &FromGuest::Offer("heard").encode());
    assert_eq!(
        driver.transport.device().port.take_frame(),
        Some(FromGuest::Offer("heard").encode())
    );
}

#[test]
fn a_frame_for_the_guest_fills_buffer_after_buffer() {
    let mut driver = opened();
    let frame = ToGuest::Give("a text of some length").encode();
    driver.transport.device().port.push(frame.clone());
    let mut got = Vec::new();
    while let Some(part) = receive(&mut driver, TO_GUEST, 7) {
        got.extend(part);
    }
    assert_eq!(got, frame);
}

#[test]
fn a_port_that_nobody_has_open_takes_nothing_and_gives_nothing() {
    let mut driver = Driver::on(Console::default());
    driver.transport.device().port.push(ToGuest::Give("x").encode());
    assert_eq!(receive(&mut driver, TO_GUEST, 64), None);
    send(&mut driver, &FromGuest::Offer("x").encode());
    assert_eq!(driver.transport.device().port.take_frame(), None);
}

#[test]
fn a_guest_that_does_not_read_does_not_grow_the_queue() {
    let mut driver = opened();
    for _ in 0..100 {
        driver.transport.device().port.push(ToGuest::Give("x").encode());
        control(&mut driver, 0, Event::DEVICE_READY, 1);
    }
    assert_eq!(driver.transport.device().port.waiting(), port::MAX_WAITING);
    assert_eq!(driver.transport.device().control.len(), MAX_CONTROL);
}

#[test]
fn a_buffer_longer_than_any_frame_needs_a_reset() {
    let mut driver = opened();
    driver.descriptor(FROM_GUEST as u64, 0, BUFFERS, 65_537, 0, 0);
    driver.offer(FROM_GUEST as u64, 0);
    driver.transport.serve(FROM_GUEST);
    assert!(driver.needs_reset());
}

proptest! {
    #[test]
    fn nothing_that_a_guest_writes_breaks_the_device(
        writes in prop::collection::vec(
            (2..6u64, prop::collection::vec(any::<u8>(), 0..40)), 0..30),
    ) {
        let mut driver = opened();
        for (queue, bytes) in writes {
            driver.request(queue, &bytes, 0);
            driver.transport.device().port.take_frame();
        }
        prop_assert!(driver.transport.device().control.len() <= MAX_CONTROL);
    }
}
