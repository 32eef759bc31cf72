//! Every virtio device behind its real registers, with real queues in guest memory. An input is a
//! small program: writes to registers, memory and descriptors, and turns of the device.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use tabard_vmm::devices::block::Block;
use tabard_vmm::devices::console::Console;
use tabard_vmm::devices::gpu::Gpu;
use tabard_vmm::devices::input::{Input, Kind, Report};
use tabard_vmm::devices::rng::Rng;
use tabard_vmm::devices::transport::{Slot, Transport};
use tabard_vmm::devices::{Attached, Serve};
use tabard_vmm::devices::{Device, Trigger};
use tabard_vmm::memory::{GuestRam, allocate};
use tabard_vmm::surface::Surface;
use tabard_wire::{FromVmm, Rect, SurfaceGeometry};
use vm_memory::{Bytes, GuestAddress};

use super::{Target, outcome};

/// Each queue has three pages from here: descriptors, available ring, used ring.
const RINGS: u64 = 0x10_0000;
const QUEUE_BYTES: u64 = 0x3000;
const QUEUE_SIZE: u16 = 16;
const MOST_QUEUES: u64 = 6;
/// Buffers for requests, and behind them for answers.
const BUFFERS: u64 = 0x20_0000;
const BUFFER_BYTES: usize = 0x1_0000;
const ANSWERS: u64 = BUFFERS + BUFFER_BYTES as u64;
/// Steps of one program.
const MOST_STEPS: u32 = 96;
/// Turns in a row after which a device that still wants more works without bound.
const MOST_TURNS: u32 = 20_000;

pub(super) struct NoInterrupts;

impl Trigger for NoInterrupts {
    fn trigger(&self) {}
}

/// Takes bytes of the program; at its end there are zeroes.
pub struct Program<'a>(pub &'a [u8]);

impl<'a> Program<'a> {
    pub fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let length = N.min(self.0.len());
        let (head, rest) = self.0.split_at(length);
        bytes[..length].copy_from_slice(head);
        self.0 = rest;
        bytes
    }

    pub fn u8(&mut self) -> u8 {
        u8::from_le_bytes(self.take())
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take())
    }

    pub fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take())
    }

    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        head
    }
}

/// What a device needs besides its driver.
pub(super) trait Subject: Device + Sized {
    /// What a thread beside the session does for it between two turns.
    fn work(&mut self) {}

    /// What happens on the host's side, by the program's choice.
    fn nudge(_transport: &mut Transport<Self, NoInterrupts>, _ram: &GuestRam, _choice: u32) {}

    /// What must be true after each step.
    fn judge(_transport: &mut Transport<Self, NoInterrupts>) {}

    /// What must be true at the end.
    fn judge_end(_host: &Host) {}
}

/// What outlives one execution.
pub(super) struct Host {
    ram: GuestRam,
    surface: Arc<Surface>,
    image: File,
    read_only: bool,
}

/// One device.
struct Virtio<D> {
    name: &'static str,
    host: Host,
    make: fn(&Host) -> D,
    seeds: fn() -> Vec<Vec<u8>>,
}

/// A sealed surface.
pub fn sealed_surface(generation: u32, geometry: SurfaceGeometry) -> Arc<Surface> {
    let pixels = memory(geometry.total_bytes());
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&pixels, seals).expect("a file in memory can be sealed");
    let surface = Surface::map(pixels.into(), generation, geometry);
    Arc::new(surface.expect("a sealed surface is mapped"))
}

/// A file in memory.
pub fn memory(bytes: u64) -> File {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = File::from(memfd_create("fuzz", flags).expect("memory for a file"));
    file.set_len(bytes).expect("a file in memory can grow");
    file
}

impl Host {
    fn new(read_only: bool) -> Self {
        let geometry = SurfaceGeometry::new(64, 48).expect("a surface that is not too small");
        let image = memory(64 * 1024);
        image.write_all_at(&[0x5a; 64 * 1024], 0).expect("a file in memory can be written");
        let ram = allocate(16).expect("memory for a guest");
        Self { ram, surface: sealed_surface(1, geometry), image, read_only }
    }
}

/// All devices.
pub fn all() -> Vec<Box<dyn Target>> {
    let block = |host: &Host| {
        let file = host.image.try_clone().expect("a descriptor");
        Block::new(file, None, host.read_only, 0).expect("the image has a size")
    };
    let target = |name, read_only| (name, Host::new(read_only));
    let (gpu, keyboard, pointer) =
        (target("gpu", false), target("keyboard", false), target("pointer", false));
    let (rng, console) = (target("rng", false), target("console", false));
    let (writable, read_only) = (target("block", false), target("block-ro", true));
    vec![
        Box::new(Virtio { name: gpu.0, host: gpu.1, make: gpu_of, seeds: gpu_seeds }),
        Box::new(Virtio {
            name: keyboard.0,
            host: keyboard.1,
            make: |_| Input::new(Kind::Keyboard),
            seeds: plain_seeds,
        }),
        Box::new(Virtio {
            name: pointer.0,
            host: pointer.1,
            make: |_| Input::new(Kind::Pointer),
            seeds: plain_seeds,
        }),
        Box::new(Virtio { name: rng.0, host: rng.1, make: |_| Rng, seeds: plain_seeds }),
        Box::new(Virtio {
            name: console.0,
            host: console.1,
            make: |_| Console::default(),
            seeds: console_seeds,
        }),
        Box::new(Virtio { name: writable.0, host: writable.1, make: block, seeds: block_seeds }),
        Box::new(Virtio { name: read_only.0, host: read_only.1, make: block, seeds: block_seeds }),
    ]
}

fn gpu_of(host: &Host) -> Gpu {
    Gpu::new(Arc::clone(&host.surface))
}

/// A program step that sends a request on queue 0 as a driver would.
fn request(queue: u8, bytes: &[u8], room: u16) -> Vec<u8> {
    let mut step = vec![8, queue, bytes.len() as u8];
    step.extend(room.to_le_bytes());
    step.extend(bytes);
    step
}

/// Registers of a driver that does everything right, then these requests.
fn program(requests: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![7];
    requests.iter().for_each(|request| bytes.extend(request));
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn gpu_seeds() -> Vec<Vec<u8>> {
    let command = |kind: u32, body: &[u32]| {
        let mut all = vec![kind, 0, 0, 0, 0, 0];
        all.extend(body);
        request(0, &words(&all), 1200)
    };
    let cursor = words(&[0x300, 0, 0, 0, 0, 0, 0, 1, 1, 0, 1, 2, 3, 0]);
    let buffers = BUFFERS as u32;
    let create = command(0x101, &[1, 1, 64, 64]);
    let attach = command(0x106, &[1, 1, buffers, 0, 64 * 64 * 4, 0]);
    let scanout = command(0x103, &[0, 0, 64, 48, 0, 1]);
    let transfer = command(0x105, &[0, 0, 64, 48, 0, 0, 1, 0]);
    let flush = command(0x104, &[0, 0, 64, 48, 1, 0]);
    let shown = [create.clone(), attach.clone(), scanout, transfer.clone(), flush];
    let mut gone = shown.to_vec();
    gone.extend([command(0x107, &[1, 0]), command(0x102, &[1, 0]), vec![9, 1, 0, 0, 0]]);
    vec![
        program(&shown),
        program(&gone),
        program(&[create, attach, transfer, request(1, &cursor, 0)]),
        program(&[command(0x100, &[]), command(0x10a, &[0, 0])]),
    ]
}

fn plain_seeds() -> Vec<Vec<u8>> {
    let buffers: Vec<Vec<u8>> = (0..8).map(|_| request(0, &[], 8)).collect();
    let mut pushed = program(&buffers);
    pushed.extend([9, 30, 0, 0, 0, 9, 7, 1, 0, 0, 6, 0, 6, 1]);
    vec![pushed, program(&[request(0, &[], 4096), request(1, &[17, 0, 0, 0, 1, 0, 0, 0], 0)])]
}

fn console_seeds() -> Vec<Vec<u8>> {
    // Device ready, port ready, port open (virtio 1.2, 5.3.6.2), then a frame of an agent.
    let control = |port: u32, event: u16, value: u16| {
        let mut bytes = port.to_le_bytes().to_vec();
        bytes.extend(event.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        request(3, &bytes, 0)
    };
    let frame = request(5, b"TA\x01\x01\x04\0\0\0text", 0);
    let answers: Vec<Vec<u8>> = (0..4).map(|_| request(2, &[], 64)).collect();
    let mut all = answers;
    for port in [0, 1] {
        all.extend([control(port, 0, 1), control(port, 3, 1), control(port, 6, 1)]);
    }
    all.extend([frame, request(4, &[], 256), vec![9, 1, 0, 0, 0, 6, 4]]);
    vec![program(&all)]
}

fn block_seeds() -> Vec<Vec<u8>> {
    let ask = |kind: u32, sector: u32, rest: &[u8], room: u16| {
        let mut bytes = words(&[kind, 0, sector, 0]);
        bytes.extend(rest);
        request(0, &bytes, room)
    };
    let serve = vec![9, 0, 0, 0, 0, 6, 0];
    let clear = words(&[1, 0, 8, 0]);
    vec![
        program(&[ask(0, 1, &[], 513), serve.clone(), ask(4, 0, &[], 1), serve.clone()]),
        program(&[ask(1, 2, &[7; 200], 1), serve.clone(), ask(8, 0, &[], 21), serve.clone()]),
        program(&[ask(11, 0, &clear, 1), serve.clone(), ask(13, 0, &clear, 1), serve]),
    ]
}

impl<D: Subject> Target for Virtio<D> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        (self.seeds)()
    }

    fn tokens(&self) -> &[&[u8]] {
        // A driver that does everything right, a turn, an empty request, a nudge from the host.
        &[b"\x07", b"\x06\x00", b"\x06\x01", b"\x08\x00\x00\x08\x00", b"\x09\x01\x00\x00\x00"]
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let zeroes = [0u8; 4096];
        for page in 0..MOST_QUEUES * QUEUE_BYTES / 4096 {
            self.host.ram.write_slice(&zeroes, GuestAddress(RINGS + page * 4096)).expect("in RAM");
        }
        for page in 0..4 {
            let at = GuestAddress(BUFFERS + page * 4096);
            self.host.ram.write_slice(&zeroes, at).expect("in RAM");
        }
        let device = (self.make)(&self.host);
        let transport = Transport::new(device, NoInterrupts, self.host.ram.clone());
        let mut driver = Driver { transport, host: &self.host, trace: Vec::new() };
        let mut program = Program(input);
        for _ in 0..MOST_STEPS {
            if program.0.is_empty() {
                break;
            }
            driver.step(&mut program);
            D::judge(&mut driver.transport);
        }
        D::judge_end(&self.host);
        outcome(driver.trace)
    }

    fn renew(&mut self) {
        self.host = Host::new(self.host.read_only);
    }
}

struct Driver<'a, D> {
    transport: Transport<D, NoInterrupts>,
    host: &'a Host,
    /// What the device answered, in short.
    trace: Vec<u32>,
}

impl<D: Subject> Driver<'_, D> {
    fn write(&mut self, register: u64, value: u32) {
        self.transport.write(register, &value.to_le_bytes());
    }

    fn put<T: vm_memory::ByteValued>(&self, value: T, at: u64) {
        // Outside of memory there is nothing to write to.
        let _outside = self.host.ram.write_obj(value, GuestAddress(at));
    }

    fn step(&mut self, program: &mut Program<'_>) {
        match program.u8() % 11 {
            0 => {
                let register = u64::from(program.u8()) * 4;
                let value = program.u32();
                self.write(register, value);
            }
            1 => {
                let offset = 0x100 + u64::from(program.u8());
                let length = [1, 2, 4, 8][usize::from(program.u8() % 4)];
                let bytes = program.take::<8>();
                self.transport.write(offset, &bytes[..length]);
            }
            2 => {
                let offset = u64::from(program.u16() % 0x200);
                let mut bytes = [0; 8];
                let length = [1, 2, 4, 8][usize::from(program.u8() % 4)];
                self.transport.read(offset, &mut bytes[..length]);
            }
            3 => {
                let at = BUFFERS + u64::from(program.u16());
                let length = usize::from(program.u8());
                let bytes = program.bytes(length);
                self.host.ram.write_slice(bytes, GuestAddress(at)).expect("in RAM");
            }
            4 => self.descriptor(program),
            5 => {
                let (queue, head) = (program.u8(), program.u16());
                self.offer(queue, head);
            }
            6 => {
                let queue = program.u8();
                self.serve(queue);
            }
            7 => self.set_up(),
            8 => self.request(program),
            9 => {
                let choice = program.u32();
                D::nudge(&mut self.transport, &self.host.ram, choice);
            }
            _ => {
                // Anywhere in the rings: indices, flags, descriptors.
                let at = RINGS + u64::from(program.u16()) % (MOST_QUEUES * QUEUE_BYTES);
                self.put(program.u32(), at & !3);
            }
        }
    }

    fn queue(&self, queue: u8) -> u64 {
        u64::from(queue) % (self.transport.queues() as u64).clamp(1, MOST_QUEUES)
    }

    fn descriptor(&mut self, program: &mut Program<'_>) {
        let place = RINGS + self.queue(program.u8()) * QUEUE_BYTES;
        let index = u64::from(program.u8() % QUEUE_SIZE as u8);
        let (kind, offset) = (program.u8(), u64::from(program.u16()));
        let address = match kind % 4 {
            0 | 1 => BUFFERS + offset,
            2 => RINGS + offset,
            _ => u64::from_le_bytes(program.take()),
        };
        let bytes = if kind & 0x80 == 0 { program.u16().into() } else { program.u32() };
        let (flags, next) = (program.u8() & 7, program.u8());
        let at = place + index * 16;
        self.put(address, at);
        self.put(bytes, at + 8);
        self.put(u16::from(flags), at + 12);
        self.put(u16::from(next % 17), at + 14);
    }

    fn offer(&mut self, queue: u8, head: u16) {
        let available = RINGS + self.queue(queue) * QUEUE_BYTES + 0x1000;
        let index: u16 = self.host.ram.read_obj(GuestAddress(available + 2)).expect("in RAM");
        self.put(head, available + 4 + u64::from(index % QUEUE_SIZE) * 2);
        self.put(index.wrapping_add(1), available + 2);
    }

    fn serve(&mut self, queue: u8) {
        let index = self.queue(queue) as usize;
        let mut turns = 0;
        while self.transport.serve(index) {
            self.transport.device().work();
            turns += 1;
            assert!(turns < MOST_TURNS, "queue {index} never has enough");
        }
        let mut status = [0; 4];
        self.transport.read(0x70, &mut status);
        let used = RINGS + self.queue(queue) * QUEUE_BYTES + 0x2000;
        let index: u16 = self.host.ram.read_obj(GuestAddress(used + 2)).expect("in RAM");
        let answer: u32 = self.host.ram.read_obj(GuestAddress(ANSWERS)).expect("in RAM");
        if self.trace.len() < 24 {
            let code = if answer & 0xf000 == 0x1000 { answer } else { answer & 3 };
            self.trace
                .push(u32::from_le_bytes(status) << 24 | u32::from(index.min(9)) << 16 | code);
        }
    }

    /// As a driver that does everything right.
    fn set_up(&mut self) {
        for (register, value) in [(0x70, 0), (0x70, 1), (0x70, 3), (0x24, 1), (0x20, 1), (0x70, 11)]
        {
            self.write(register, value);
        }
        for queue in 0..(self.transport.queues() as u64).min(MOST_QUEUES) {
            let place = RINGS + queue * QUEUE_BYTES;
            self.write(0x30, queue as u32);
            self.write(0x38, QUEUE_SIZE.into());
            for (register, address) in
                [(0x80, place), (0x90, place + 0x1000), (0xa0, place + 0x2000)]
            {
                self.write(register, address as u32);
                self.write(register + 4, 0);
            }
            self.write(0x44, 1);
        }
        self.write(0x70, 15);
    }

    fn request(&mut self, program: &mut Program<'_>) {
        let queue = program.u8();
        let length = usize::from(program.u8());
        let room = u32::from(program.u16());
        let bytes = program.bytes(length);
        self.host.ram.write_slice(bytes, GuestAddress(BUFFERS)).expect("in RAM");
        let place = RINGS + self.queue(queue) * QUEUE_BYTES;
        let chain = [(BUFFERS, length as u32, 1u16, 1u16), (ANSWERS, room, 2, 0)];
        let (skip, head) = if length == 0 { (1, 1) } else { (0, 0) };
        for (index, (address, bytes, flags, next)) in (0u64..).zip(chain).skip(skip) {
            let at = place + index * 16;
            let flags = if room == 0 { 0 } else { flags };
            self.put(address, at);
            self.put(bytes, at + 8);
            self.put(flags, at + 12);
            self.put(next, at + 14);
        }
        self.put(0u32, ANSWERS);
        self.offer(queue, head);
        self.serve(queue);
    }
}

impl Subject for Gpu {
    fn nudge(transport: &mut Transport<Self, NoInterrupts>, ram: &GuestRam, choice: u32) {
        let geometry = SurfaceGeometry::new(16 + choice % 100, 16 + choice / 100 % 100);
        let Ok(geometry) = geometry else { return };
        transport.device().set_surface(sealed_surface(2, geometry), ram);
        transport.config_changed();
    }

    /// What the trusted side is told must be a message that it takes.
    fn judge(transport: &mut Transport<Self, NoInterrupts>) {
        let news = transport.device().take_news();
        let mut messages = Vec::new();
        if let Some((width, height)) = news.scanout {
            messages.push(FromVmm::Scanout { generation: 1, width, height });
        }
        if let Some(cursor) = news.cursor {
            let (visible, hot_x, hot_y) = (cursor.visible, cursor.hot_x, cursor.hot_y);
            messages.push(FromVmm::Cursor { generation: 1, visible, hot_x, hot_y });
        }
        if let Some(rect) = news.damage.filter(|rect| *rect != Rect::default()) {
            messages.push(FromVmm::Damage { generation: 1, rect });
        }
        for message in messages {
            assert_eq!(FromVmm::decode(&message.encode()), Ok(message), "it would end its guest");
        }
    }
}

impl Subject for Input {
    fn nudge(transport: &mut Transport<Self, NoInterrupts>, _: &GuestRam, choice: u32) {
        let code = (choice & 0xff) as u16;
        let report = match choice >> 8 & 3 {
            0 => Report::Key { code, pressed: choice & 0x8000 == 0 },
            1 => Report::Key { code: 0x110 + code % 8, pressed: choice & 0x8000 == 0 },
            2 => Report::Motion { x: code << 7, y: (choice >> 16) as u16 & 0x7fff },
            _ => Report::Wheel { vertical: (choice >> 16) as i16, horizontal: code as i16 },
        };
        transport.device().push(report);
    }
}

impl Subject for Rng {}

impl Subject for Console {
    fn nudge(transport: &mut Transport<Self, NoInterrupts>, _: &GuestRam, choice: u32) {
        let device = transport.device();
        device.port.push(vec![choice as u8; choice as usize % 600]);
        let _frame = device.port.take_frame();
        let _open = device.port.take_open();
    }
}

impl Subject for Block {
    fn work(&mut self) {
        if let Some(mut job) = self.take_job() {
            job.run();
            self.finish(job);
        }
    }

    fn nudge(transport: &mut Transport<Self, NoInterrupts>, _: &GuestRam, _: u32) {
        transport.device().work();
    }

    /// A read-only volume stays as it was; no volume changes its length.
    fn judge_end(host: &Host) {
        let length = host.image.metadata().expect("a file has a length").len();
        assert_eq!(length, 64 * 1024, "the volume changed its length");
        if host.read_only {
            let mut bytes = [0; 64 * 1024];
            host.image.read_exact_at(&mut bytes, 0).expect("a file in memory can be read");
            assert!(bytes == [0x5a; 64 * 1024], "a read-only volume was written");
        }
    }
}
