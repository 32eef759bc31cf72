//! What QEMU and `tabard-engine` may say to a guest's process: vhost-user messages with descriptors to
//! real devices whose rings are served in between, the monitor, the display's greeting, the orders. An
//! input is a small program, for the device that its first byte names.

use std::fs::File;
use std::io::{IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};

use rustix::event::{EventfdFlags, eventfd};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tabard_vmm::devices::block::Block;
use tabard_vmm::devices::gpu::Gpu;
use tabard_vmm::devices::input::{Input, Kind, Report};
use tabard_vmm::devices::rng::Rng;
use tabard_vmm::devices::{Attached, Serve};
use tabard_vmm::engine::Watch;
use tabard_vmm::engine::qemu::exposed::{
    Backend, Display, FromEngine, Link, Memory, Monitor, ToEngine,
};
use tabard_vmm::memory::{GuestRam, Layout};
use tabard_vmm::surface::Surface;
use tabard_wire::SurfaceGeometry;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::epoll::Epoll;

use super::devices::Subject;
use super::devices::{Program, memory, sealed_surface};
use super::{Target, outcome};

const MIB: u32 = 16;
/// Where this QEMU says that it sees the memory.
const USER: u64 = 0x7f00_0000_0000;
/// Each ring has three pages from here, and buffers are behind them.
const RINGS: u64 = 0x10_0000;
const RING_BYTES: u64 = 0x3000;
const BUFFERS: u64 = 0x20_0000;
/// Steps of one program.
const MOST_STEPS: u32 = 64;
/// Turns in a row after which a device that still wants more works without bound.
const MOST_TURNS: u32 = 20_000;

/// The target, with what outlives one execution.
pub struct Vhost {
    ram: GuestRam,
    memory: Memory,
    surface: Arc<Surface>,
    image: File,
    watch: Watch,
    /// What may go along with a message: the memory, and what is none.
    pool: Vec<OwnedFd>,
}

impl Vhost {
    pub fn new() -> Self {
        let file = memory(u64::from(MIB) << 20);
        let metadata = file.metadata().expect("a file has a number");
        let layout = Layout::new(MIB, 0);
        let identity = (metadata.dev(), metadata.ino());
        let counter = |flags| eventfd(0, flags | EventfdFlags::CLOEXEC).expect("a counter");
        let (pipe, _) = rustix::pipe::pipe().expect("a pipe");
        let image = memory(64 * 1024);
        let geometry = SurfaceGeometry::new(64, 48).expect("a surface that is not too small");
        Self {
            ram: layout.map(&file).expect("memory for a guest"),
            memory: Memory { identity, ranges: layout.ranges() },
            surface: sealed_surface(1, geometry),
            image,
            watch: Watch(Arc::new(Epoll::new().expect("a place to wait"))),
            pool: vec![
                file.into(),
                counter(EventfdFlags::NONBLOCK),
                counter(EventfdFlags::NONBLOCK),
                counter(EventfdFlags::empty()),
                memory(4096).into(),
                pipe,
            ],
        }
    }

    fn drive<D: Subject + 'static>(
        &self,
        device: D,
        program: &mut Program<'_>,
        nudge: fn(&mut Backend<D>, u32),
    ) -> u64 {
        let backend = Backend::new(device, self.ram.clone(), self.watch.clone(), 0);
        let backend = Arc::new(Mutex::new(backend));
        let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket");
        let mut play = Play {
            host: self,
            link: Some(Link::new(theirs.into(), backend.clone())),
            qemu: ours,
            trace: Vec::new(),
        };
        for _ in 0..MOST_STEPS {
            if program.0.is_empty() {
                break;
            }
            match program.u8() % 10 {
                0 => {
                    let rings = lock(&backend).queues() as u32;
                    (0..rings).for_each(|ring| play.handshake(ring));
                }
                1 => play.message(program),
                2 => {
                    let length = usize::from(program.u8());
                    let fds = program.u8();
                    let bytes = program.bytes(length).to_vec();
                    play.post(&bytes, fds);
                }
                3 => play.turn(),
                4 => {
                    let at = BUFFERS + u64::from(program.u16());
                    let length = usize::from(program.u8());
                    self.put(program.bytes(length), at);
                }
                5 => {
                    // Anywhere in the rings: indices, flags, descriptors.
                    let at = RINGS + u64::from(program.u16());
                    self.put(&program.take::<4>(), at);
                }
                6 => {
                    let (ring, room) = (program.u8() % 2, program.u16());
                    let length = usize::from(program.u8());
                    self.offer(ring.into(), program.bytes(length), room.into());
                    play.serve(&backend, ring.into());
                }
                7 => {
                    let ring = usize::from(program.u8() % 3);
                    play.serve(&backend, ring);
                }
                8 => {
                    if let Some(link) = &play.link {
                        link.hold(program.u8() % 2 == 1);
                    }
                }
                _ => nudge(&mut lock(&backend), program.u32()),
            }
        }
        let driven = lock(&backend).is_driven();
        outcome((play.trace, driven))
    }

    fn put(&self, bytes: &[u8], at: u64) {
        self.ram.write_slice(bytes, GuestAddress(at)).expect("in RAM");
    }

    /// Puts a request with room for its answer into a ring.
    fn offer(&self, ring: u64, bytes: &[u8], room: u32) {
        let place = RINGS + ring * RING_BYTES;
        self.put(bytes, BUFFERS);
        let chain = [(BUFFERS, bytes.len() as u32, 1u16, 1u16), (BUFFERS + 0x1_0000, room, 2, 0)];
        for (index, (address, length, flags, next)) in (0u64..).zip(chain) {
            let at = place + index * 16;
            self.put(&address.to_le_bytes(), at);
            self.put(&length.to_le_bytes(), at + 8);
            self.put(&flags.to_le_bytes(), at + 12);
            self.put(&next.to_le_bytes(), at + 14);
        }
        let available = place + 0x1000;
        let index: u16 = self.ram.read_obj(GuestAddress(available + 2)).expect("in RAM");
        let head = u16::from(bytes.is_empty());
        self.put(&head.to_le_bytes(), available + 4 + u64::from(index % 16) * 2);
        self.put(&index.wrapping_add(1).to_le_bytes(), available + 2);
    }
}

fn lock<T: ?Sized>(device: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    device.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// One link and QEMU's end of it.
struct Play<'a> {
    host: &'a Vhost,
    /// Gone once it broke or was closed.
    link: Option<Link>,
    qemu: UnixStream,
    trace: Vec<u32>,
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

impl Play<'_> {
    /// Sends bytes; the low bits of `choice` say how many descriptors go along, the rest which.
    fn post(&mut self, bytes: &[u8], choice: u8) {
        let pool = &self.host.pool;
        let count = usize::from(choice % 4);
        let first = usize::from(choice / 4);
        let fds: Vec<BorrowedFd<'_>> =
            (0..count).map(|at| pool[(first + at * (first / 8)) % pool.len()].as_fd()).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(&fds));
        }
        let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
        // A full socket, or one that nobody has: QEMU says it into the void.
        let _void = sendmsg(&self.qemu, &[IoSlice::new(bytes)], &mut control, flags);
    }

    /// A turn of the link; what it answers is read and told by its length.
    fn turn(&mut self) {
        let Some(link) = &mut self.link else { return };
        let served = link.serve(&self.host.memory);
        let mut bytes = [0; 4096];
        let answered = self.qemu.read(&mut bytes).unwrap_or(0);
        let kind = match &served {
            Ok(open) => u32::from(*open),
            Err(broken) => 2 + (outcome(broken.to_string()) as u32 & 0xfff),
        };
        if self.trace.len() < 24 {
            self.trace.push(kind << 16 | answered as u32);
        }
        if served != Ok(true) {
            self.link = None;
        }
    }

    fn request(&mut self, number: u32, body: &[u8], fds: u8) {
        let mut bytes = words(&[number, 1, body.len() as u32]);
        bytes.extend(body);
        self.post(&bytes, fds);
    }

    /// As QEMU sets a ring up.
    fn handshake(&mut self, ring: u32) {
        let at = USER + RINGS + u64::from(ring) * RING_BYTES;
        self.request(2, &longs(&[1 << 32 | 1 << 30]), 0);
        let mut table = words(&[1, 0]);
        table.extend(longs(&[0, u64::from(MIB) << 20, USER, 0]));
        self.request(5, &table, 1);
        self.request(8, &words(&[ring, 16]), 0);
        self.request(10, &words(&[ring, 0]), 0);
        let mut addresses = words(&[ring, 0]);
        addresses.extend(longs(&[at, at + 0x2000, at + 0x1000, 0]));
        self.request(9, &addresses, 0);
        self.request(12, &longs(&[ring.into()]), 4 + 1);
        self.request(13, &longs(&[ring.into()]), 8 + 1);
        self.request(18, &words(&[ring, 1]), 0);
        self.turn();
    }

    /// A message with a true header, whose body is the program's.
    fn message(&mut self, program: &mut Program<'_>) {
        const KNOWN: [u32; 19] =
            [1, 2, 3, 5, 8, 9, 10, 11, 12, 13, 14, 15, 16, 18, 21, 24, 25, 33, 0xff];
        let number = KNOWN[usize::from(program.u8()) % KNOWN.len()];
        let fds = program.u8();
        let small = u32::from(program.u8());
        let body = match number {
            2 | 16 => longs(&[u64::from_le_bytes(program.take())]),
            5 => {
                let count = small % 4;
                let mut body = words(&[count, 0]);
                for _ in 0..count {
                    let from = u64::from(program.u16()) << 12;
                    let bytes = u64::from(program.u16()) << 12;
                    let (user, offset) = (u64::from(program.u8()), u64::from(program.u8()));
                    body.extend(longs(&[from, bytes, USER + from + user, from + offset]));
                }
                body
            }
            8 | 10 | 11 | 18 => words(&[small % 4, program.u16().into()]),
            9 => {
                let mut body = words(&[small % 4, u32::from(program.u8() == 255)]);
                for _ in 0..3 {
                    body.extend(longs(&[USER + RINGS + u64::from(program.u16())]));
                }
                body.extend(longs(&[0]));
                body
            }
            12..=14 => longs(&[u64::from(small % 4) | u64::from(small & 0x80) << 1]),
            24 | 25 => {
                let (offset, length) = (u32::from(program.u16()) % 300, u32::from(program.u8()));
                let mut body = words(&[offset, length, small]);
                body.extend(vec![small as u8; length as usize]);
                body
            }
            _ => Vec::new(),
        };
        self.request(number, &body, fds);
        self.turn();
    }

    fn serve<D: Subject>(&mut self, backend: &Mutex<Backend<D>>, ring: usize) {
        let mut backend = lock(backend);
        let mut turns = 0;
        while backend.serve(ring) {
            backend.device().work();
            turns += 1;
            assert!(turns < MOST_TURNS, "ring {ring} never has enough");
        }
        let used = GuestAddress(RINGS + ring as u64 * RING_BYTES + 0x2002);
        let used: u16 = self.host.ram.read_obj(used).expect("in RAM");
        if self.trace.len() < 24 {
            self.trace.push(0x8000_0000 | u32::from(used.min(9)));
        }
    }
}

/// The monitor, the display and the orders: bytes in pieces, as a socket brings them.
fn talk(program: &mut Program<'_>) -> u64 {
    let kind = program.u8() % 3;
    if kind == 2 {
        let to = ToEngine::decode(program.0);
        let from = FromEngine::decode(program.0);
        if let Ok(to) = to {
            assert_eq!(ToEngine::decode(&to.encode()), Ok(to));
        }
        if let Ok(from) = from {
            assert_eq!(FromEngine::decode(&from.encode()), Ok(from));
        }
        return outcome((to.is_ok(), from.is_ok(), program.u8()));
    }
    let (ours, mut qemu) = UnixStream::pair().expect("a pair of sockets");
    qemu.set_nonblocking(true).expect("a socket");
    let mut trace = Vec::new();
    let mut monitor = None;
    let mut display = None;
    if kind == 0 {
        monitor = Some(Monitor::new(ours.into()));
    } else {
        let mut one = Display::new(ours.into(), 1000);
        one.tell(SurfaceGeometry::new(640, 480).expect("a size"));
        display = Some(one);
    }
    for _ in 0..MOST_STEPS {
        if program.0.is_empty() {
            break;
        }
        let length = usize::from(program.u8());
        let _void = qemu.write(program.bytes(length));
        if let Some(monitor) = &mut monitor {
            match monitor.hear() {
                Ok(said) => {
                    trace.extend(said.into_iter().flatten().map(|word| format!("{word:?}")))
                }
                Err(broken) => return outcome((trace, broken.to_string())),
            }
        }
        if let Some(display) = &mut display
            && !display.hear()
        {
            return outcome("deaf");
        }
    }
    let mut bytes = [0; 1024];
    outcome((trace, kind, qemu.read(&mut bytes).unwrap_or(0)))
}

impl Target for Vhost {
    fn name(&self) -> &'static str {
        "vhost"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let mut seeds = Vec::new();
        for device in 0..4u8 {
            let mut block = words(&[0, 0, 1, 0]);
            let mut command = words(&[0x100, 0, 0, 0, 0, 0]);
            let body = if device == 3 { &mut block } else { &mut command };
            let mut seed = vec![device, 0, 6, 0, 0, 2, body.len() as u8];
            seed.append(body);
            seed.extend([9, 30, 0, 0, 0, 7, 0, 8, 1, 1, 7, 0, 0, 0, 0, 8, 0, 1, 15, 0, 0, 0, 0]);
            seeds.push(seed);
        }
        let said = |kind: u8, text: &[u8]| {
            let mut seed = vec![4, kind, text.len() as u8];
            seed.extend(text);
            seed
        };
        seeds.extend([
            said(0, b"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}\n"),
            said(0, b"{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":true}}\n{\"error\":{}}\n"),
            said(0, b"{\"event\":\"STOP\"}\r\n{\"return\":{}}\n{\"event\":\"GUEST_PANICKED\"}\n"),
            said(1, b"OK 1234\r\n"),
            said(1, b"REJECTED\r\n"),
        ]);
        let mut order = vec![4, 2];
        order.extend([1, 2, 3, 1, 64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        seeds.push(order);
        seeds
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"\x00",
            b"\x03",
            b"\x06\x00\x40\x00\x08",
            b"\x07\x00",
            b"\"event\":",
            b"{\"data\":",
            b"\r\n",
        ]
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let zeroes = [0; 4096];
        for page in 0..2 * RING_BYTES / 4096 {
            self.put(&zeroes, RINGS + page * 4096);
        }
        self.put(&zeroes, BUFFERS);
        // What an execution before wrote into the counters would differ from run to run.
        for counter in &self.pool[1..3] {
            let _empty = rustix::io::read(counter, &mut [0; 8]);
        }
        let mut program = Program(input);
        match program.u8() % 5 {
            0 => {
                self.drive(Gpu::new(Arc::clone(&self.surface)), &mut program, |backend, choice| {
                    let geometry = SurfaceGeometry::new(16 + choice % 100, 16 + choice / 100 % 100);
                    let Ok(geometry) = geometry else { return };
                    let (device, ram) = backend.device_and_ram();
                    device.set_surface(sealed_surface(2, geometry), ram);
                    let _news = device.take_news();
                })
            }
            1 => self.drive(Input::new(Kind::Keyboard), &mut program, |backend, choice| {
                let code = choice as u16 & 0xff;
                backend.device().push(Report::Key { code, pressed: choice & 0x100 == 0 });
            }),
            2 => self.drive(Rng, &mut program, |_, _| {}),
            3 => {
                let file = self.image.try_clone().expect("a descriptor");
                let block = Block::new(file, None, false, 0).expect("the image has a size");
                let outcome = self.drive(block, &mut program, |backend, _| {
                    backend.device().work();
                });
                let length = self.image.metadata().expect("a file has a length").len();
                assert_eq!(length, 64 * 1024, "the volume changed its length");
                self.image.write_all_at(&[0x5a; 512], 0).expect("a file in memory");
                outcome
            }
            _ => talk(&mut program),
        }
    }

    fn renew(&mut self) {
        *self = Self::new();
    }
}
