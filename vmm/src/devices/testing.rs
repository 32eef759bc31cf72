//! A driver for tests: registers through the transport, queues in real guest memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use vm_memory::{Bytes, GuestAddress};

use super::transport::{Slot, Transport};
use super::{Device, Serve, Trigger};
use crate::memory::{GuestRam, allocate};

/// Counts interrupts.
#[derive(Clone, Default)]
pub struct Counter(pub Arc<AtomicU32>);

impl Trigger for Counter {
    fn trigger(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

pub const QUEUE_SIZE: u16 = 16;
/// Each queue has three pages from here.
const RINGS: u64 = 0x10_0000;
/// Buffers for requests and answers.
pub const BUFFERS: u64 = 0x20_0000;

pub struct Driver<D> {
    pub transport: Transport<D, Counter>,
    pub interrupts: Counter,
    pub ram: GuestRam,
}

pub fn descriptors(queue: u64) -> u64 {
    RINGS + queue * 0x3000
}

pub fn available(queue: u64) -> u64 {
    RINGS + queue * 0x3000 + 0x1000
}

pub fn used(queue: u64) -> u64 {
    RINGS + queue * 0x3000 + 0x2000
}

impl<D: Device> Driver<D> {
    /// A device after power-on.
    pub fn off(device: D) -> Self {
        Self::over(device, allocate(16).unwrap())
    }

    /// The same over memory that others have too.
    pub fn over(device: D, ram: GuestRam) -> Self {
        let interrupts = Counter::default();
        let transport = Transport::new(device, interrupts.clone(), ram.clone());
        Self { transport, interrupts, ram }
    }

    /// A device with all its queues ready.
    pub fn on(device: D) -> Self {
        Self::with(device, 0)
    }

    /// The same, by a driver that takes these features as well.
    pub fn with(device: D, features: u64) -> Self {
        let mut driver = Self::off(device);
        driver.write(0x24, 0);
        driver.write(0x20, features as u32);
        driver.negotiate();
        for queue in 0..driver.transport.queues() {
            driver.set_up_queue(queue as u32, u32::from(QUEUE_SIZE));
        }
        driver.write(0x70, 15);
        driver
    }

    pub fn negotiate(&mut self) {
        self.write(0x70, 1);
        self.write(0x70, 3);
        self.write(0x24, 1);
        self.write(0x20, 1);
        self.write(0x70, 11);
    }

    pub fn set_up_queue(&mut self, queue: u32, size: u32) {
        self.write(0x30, queue);
        self.write(0x38, size);
        let queue = u64::from(queue);
        for (register, address) in
            [(0x80, descriptors(queue)), (0x90, available(queue)), (0xa0, used(queue))]
        {
            self.write(register, address as u32);
            self.write(register + 4, 0);
        }
        self.write(0x44, 1);
    }

    pub fn read(&mut self, register: u64) -> u32 {
        let mut bytes = [0; 4];
        self.transport.read(register, &mut bytes);
        u32::from_le_bytes(bytes)
    }

    pub fn write(&mut self, register: u64, value: u32) {
        self.transport.write(register, &value.to_le_bytes());
    }

    pub fn needs_reset(&mut self) -> bool {
        self.read(0x70) & 0x40 != 0
    }

    pub fn used_index(&self, queue: u64) -> u16 {
        self.ram.read_obj(GuestAddress(used(queue) + 2)).unwrap()
    }

    pub fn descriptor(
        &self,
        queue: u64,
        index: u16,
        address: u64,
        bytes: u32,
        flags: u16,
        next: u16,
    ) {
        let place = descriptors(queue) + u64::from(index) * 16;
        self.ram.write_obj(address, GuestAddress(place)).unwrap();
        self.ram.write_obj(bytes, GuestAddress(place + 8)).unwrap();
        self.ram.write_obj(flags, GuestAddress(place + 12)).unwrap();
        self.ram.write_obj(next, GuestAddress(place + 14)).unwrap();
    }

    /// Makes the chain that starts at `head` available.
    pub fn offer(&self, queue: u64, head: u16) {
        let index: u16 = self.ram.read_obj(GuestAddress(available(queue) + 2)).unwrap();
        let place = available(queue) + 4 + u64::from(index % QUEUE_SIZE) * 2;
        self.ram.write_obj(head, GuestAddress(place)).unwrap();
        self.ram.write_obj(index.wrapping_add(1), GuestAddress(available(queue) + 2)).unwrap();
    }

    /// Sends a request with room for an answer and returns the answer.
    pub fn request(&mut self, queue: u64, request: &[u8], room: u32) -> Vec<u8> {
        let before = self.ask(queue, request, room);
        while self.transport.serve(queue as usize) {}
        self.answer(queue, before)
    }

    /// Puts a request with room for an answer into the ring; returns how many were answered.
    pub fn ask(&mut self, queue: u64, request: &[u8], room: u32) -> u16 {
        self.ram.write_slice(request, GuestAddress(BUFFERS)).unwrap();
        self.descriptor(queue, 0, BUFFERS, request.len() as u32, 1, 1);
        self.descriptor(queue, 1, BUFFERS + 0x10_0000, room, 2, 0);
        if room == 0 {
            self.descriptor(queue, 0, BUFFERS, request.len() as u32, 0, 0);
        }
        let before = self.used_index(queue);
        self.offer(queue, 0);
        before
    }

    /// The answer that came after so many; empty if there is none.
    pub fn answer(&mut self, queue: u64, before: u16) -> Vec<u8> {
        if self.used_index(queue) == before {
            return Vec::new();
        }
        let element = used(queue) + 4 + u64::from(before % QUEUE_SIZE) * 8;
        let written: u32 = self.ram.read_obj(GuestAddress(element + 4)).unwrap();
        let mut answer = vec![0; written as usize];
        self.ram.read_slice(&mut answer, GuestAddress(BUFFERS + 0x10_0000)).unwrap();
        answer
    }
}
