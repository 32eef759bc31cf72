//! Plays `tabard`, `tabard-engine` and QEMU towards one real `tabard-vmm`: it keeps the other ends of
//! all sockets and may say on them what it likes.
#![allow(dead_code)]

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, sendmsg, socketpair,
};
use tabard_vmm::engine::qemu::exposed::{
    FIXED_SOCKETS, FromEngine, OTHERS, ToEngine, receive, send,
};
use tabard_wire::{AGENT_BUFFER_BYTES, FailReason, FromVmm, StopReason, ToVmm};

use crate::common::{PATIENCE, PROMPT, Vmm, cpu_ticks, memfd};

/// Memory of the machine.
pub const MIB: u32 = 16;
const MEMORY_BYTES: u64 = (MIB as u64) << 20;
/// Where this QEMU says that it sees the memory.
pub const USER: u64 = 0x7f00_0000_0000;
/// Descriptors, available ring and used ring, in the guest.
pub const RING: u64 = 8 << 20;
/// The serial log's limit.
pub const LOG_BYTES: u64 = 64 << 10;
/// Places of the links.
pub const GPU: usize = 0;
pub const KEYBOARD: usize = 1;
pub const POINTER: usize = 2;
pub const RNG: usize = 3;
pub const LINKS: usize = 4;

/// What becomes of the guest's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It says this and ends.
    Stops(StopReason),
    /// It says that the engine failed, and ends.
    Fails,
    /// It goes on, idle, and obeys.
    Lives,
    /// One or the other: the order was by chance.
    Either,
}

pub const BROKE: Fate = Fate::Stops(StopReason::EngineBroke);
pub const ENDED: Fate = Fate::Stops(StopReason::EngineEnded);

/// The ends that QEMU would have, and copies of those that the guest's process has.
#[derive(Default)]
pub struct Ends {
    pub serial: Option<UnixStream>,
    pub agent: Option<UnixStream>,
    pub monitor: Option<UnixStream>,
    pub display: Option<UnixStream>,
    pub links: Vec<Option<UnixStream>>,
    pub copies: Vec<OwnedFd>,
}

pub struct Bench {
    pub vmm: Vmm,
    /// `tabard-engine`'s end.
    pub engine: Option<OwnedFd>,
    pub memory: OwnedFd,
    pub ends: Ends,
}

pub fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

pub fn longs(longs: &[u64]) -> Vec<u8> {
    longs.iter().flat_map(|long| long.to_le_bytes()).collect()
}

/// A whole request of vhost-user.
pub fn request(number: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = words(&[number, 1, body.len() as u32]);
    bytes.extend(body);
    bytes
}

/// A table of memory.
pub fn table(regions: &[[u64; 4]]) -> Vec<u8> {
    let mut body = words(&[regions.len() as u32, 0]);
    regions.iter().for_each(|region| body.extend(longs(region)));
    request(5, &body)
}

/// All of the memory, where it is.
pub const WHOLE: [u64; 4] = [0, MEMORY_BYTES, USER, 0];

pub fn addresses(ring: u32, descriptors: u64, used: u64, available: u64) -> Vec<u8> {
    let mut body = words(&[ring, 0]);
    body.extend(longs(&[descriptors, used, available, 0]));
    request(9, &body)
}

pub fn event(flags: EventfdFlags) -> OwnedFd {
    eventfd(0, flags | EventfdFlags::CLOEXEC).unwrap()
}

/// One step of the handshake of a ring: its bytes, and whether memory or an event goes with it.
pub struct Step {
    pub name: &'static str,
    pub bytes: Vec<u8>,
    pub with: With,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum With {
    Nothing,
    Memory,
    Event,
}

/// The steps in QEMU's order.
pub fn handshake() -> Vec<Step> {
    let step = |name, bytes, with| Step { name, bytes, with };
    let ring = USER + RING;
    vec![
        step("features", request(1, &[]), With::Nothing),
        step("protocol-features", request(15, &[]), With::Nothing),
        step("set-protocol-features", request(16, &longs(&[1 << 5])), With::Nothing),
        step("owner", request(3, &[]), With::Nothing),
        step("set-features", request(2, &longs(&[1 << 32 | 1 << 30])), With::Nothing),
        step("memory", table(&[WHOLE]), With::Memory),
        step("size", request(8, &words(&[0, 16])), With::Nothing),
        step("base", request(10, &words(&[0, 0])), With::Nothing),
        step("addresses", addresses(0, ring, ring + 0x2000, ring + 0x1000), With::Nothing),
        step("kick", request(12, &longs(&[0])), With::Event),
        step("call", request(13, &longs(&[0])), With::Event),
        step("enable", request(18, &words(&[0, 1])), With::Nothing),
    ]
}

impl Bench {
    /// Up to where `tabard-vmm` has been told to load.
    pub fn begun() -> Self {
        let vmm = Vmm::spawn();
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("memory", flags).unwrap();
        ftruncate(&memory, MEMORY_BYTES).unwrap();
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
        let mut bench = Self { vmm, engine: Some(ours), memory, ends: Ends::default() };
        let vmm = &mut bench.vmm;
        vmm.send(ToVmm::Machine { memory_mib: MIB, vcpus: 1 });
        vmm.send_with(ToVmm::Engine, theirs);
        vmm.send_with(ToVmm::Memory, &bench.memory);
        vmm.send_with(ToVmm::AgentBuffer, memfd(&vec![0; AGENT_BUFFER_BYTES as usize]));
        vmm.send_with(ToVmm::Kernel, memfd(tabard_guests::builtin("probe").unwrap().elf));
        vmm.send_with(ToVmm::SerialLog { limit_bytes: LOG_BYTES }, &vmm.serial);
        vmm.resize(640, 480);
        vmm.send(ToVmm::Load);
        bench
    }

    /// A guest that runs, as far as its process can tell.
    pub fn running() -> Self {
        let mut bench = Self::begun();
        bench.say(FromEngine::Jailed(0xfff), &[]);
        bench.start();
        bench.vmm.expect(FromVmm::Loaded);
        bench.vmm.send(ToVmm::Boot);
        bench.vmm.expect(FromVmm::Running);
        bench
    }

    /// A word of `tabard-engine`'s; a process that is gone hears nothing.
    pub fn say(&self, word: FromEngine, fds: &[BorrowedFd<'_>]) {
        self.say_bytes(&word.encode(), fds);
    }

    pub fn say_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        if let Some(engine) = &self.engine {
            let _gone = send(engine, bytes, fds);
        }
    }

    /// What `tabard-engine` is asked.
    pub fn asked(&self) -> ToEngine {
        let engine = self.engine.as_ref().unwrap();
        wait_readable(engine);
        let (bytes, _fds) = receive(engine, RecvFlags::empty()).unwrap().expect("it is gone");
        ToEngine::decode(&bytes).unwrap()
    }

    /// Answers a start as a good `tabard-engine` does.
    pub fn start(&mut self) {
        assert!(matches!(self.asked(), ToEngine::Start(_)));
        self.started(FIXED_SOCKETS + OTHERS);
    }

    /// Says `Started`, with so many descriptors.
    pub fn started(&mut self, count: usize) {
        let pair = || {
            socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap()
        };
        let (ours, theirs): (Vec<_>, Vec<_>) = (0..count).map(|_| pair()).unzip();
        let fds: Vec<_> = theirs.iter().map(AsFd::as_fd).collect();
        self.say(FromEngine::Started { user: 0, state: 0 }, &fds);
        let mut ours = ours.into_iter().map(|fd| {
            let stream = UnixStream::from(fd);
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream
        });
        self.ends = Ends {
            serial: ours.next(),
            agent: ours.next(),
            monitor: ours.next(),
            display: ours.next(),
            links: (0..LINKS).map(|_| ours.next()).collect(),
            copies: theirs,
        };
    }

    /// Lets go of what only a hostile `tabard-engine` would keep.
    pub fn forget_copies(&mut self) {
        self.ends.copies.clear();
    }

    pub fn link(&self, place: usize) -> &UnixStream {
        self.ends.links[place].as_ref().unwrap()
    }

    /// Sends to a device's backend; `false` once it does not listen any more.
    pub fn post(&self, place: usize, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
        post(self.link(place), bytes, fds)
    }

    /// Makes a step of the handshake; the event that went along.
    pub fn step(&self, place: usize, step: &Step) -> Option<OwnedFd> {
        let event = (step.with == With::Event).then(|| event(EventfdFlags::NONBLOCK));
        let memory = (step.with == With::Memory).then_some(&self.memory);
        let fds: Vec<_> = event.iter().chain(memory).map(AsFd::as_fd).collect();
        self.post(place, &step.bytes, &fds);
        event
    }

    /// Makes the handshake up to before the step of this name.
    pub fn until(&self, place: usize, name: &str) {
        for step in handshake().iter().take_while(|step| step.name != name) {
            self.step(place, step);
        }
    }

    /// Makes all of the handshake with these two descriptors.
    pub fn served(&self, place: usize, kick: &OwnedFd, call: &OwnedFd) {
        self.served_with(place, kick, call, 0);
    }

    /// The same for a driver that takes these features as well.
    pub fn served_with(&self, place: usize, kick: &OwnedFd, call: &OwnedFd, features: u64) {
        for step in handshake() {
            match step.name {
                "set-features" => {
                    self.post(place, &request(2, &longs(&[1 << 32 | 1 << 30 | features])), &[])
                }
                "kick" => self.post(place, &step.bytes, &[kick.as_fd()]),
                "call" => self.post(place, &step.bytes, &[call.as_fd()]),
                _ => {
                    self.step(place, &step);
                    true
                }
            };
        }
    }

    /// Puts one buffer into the ring, as a driver of the random numbers does.
    pub fn offer(&self, count: u16) {
        let memory = File::from(self.memory.try_clone().unwrap());
        let mut descriptor = longs(&[9 << 20]);
        descriptor.extend(words(&[16, 2]));
        memory.write_all_at(&descriptor, RING).unwrap();
        memory.write_all_at(&count.to_le_bytes(), RING + 0x1002).unwrap();
    }

    /// What the driver asks for: the flags of its ring, and at how many answers it wants to be woken.
    pub fn wish(&self, flags: u16, event: u16) {
        let memory = File::from(self.memory.try_clone().unwrap());
        memory.write_all_at(&flags.to_le_bytes(), RING + 0x1000).unwrap();
        memory.write_all_at(&event.to_le_bytes(), RING + 0x1004 + 2 * 16).unwrap();
    }

    /// How many buffers the device has given back.
    pub fn used(&self) -> u16 {
        let memory = File::from(self.memory.try_clone().unwrap());
        let mut bytes = [0; 2];
        memory.read_exact_at(&mut bytes, RING + 0x2002).unwrap();
        u16::from_le_bytes(bytes)
    }

    pub fn tell_monitor(&self, text: &[u8]) {
        // A process that is gone hears nothing.
        let _gone = self.ends.monitor.as_ref().unwrap().write_all(text);
    }

    /// Lets the guest's process take a turn or two.
    pub fn pause(&mut self) {
        let _some = self.vmm.receive_within(Duration::from_millis(2));
    }

    /// Keys and an answer get through; how long that took.
    pub fn obeys(&mut self) -> Duration {
        let begin = Instant::now();
        for pressed in [true, false] {
            self.vmm.send(ToVmm::Key { code: 30, pressed });
        }
        // The second is answered without the engine.
        self.vmm.send(ToVmm::Pause);
        self.vmm.send(ToVmm::Pause);
        self.vmm.expect(FromVmm::Paused);
        self.vmm.send(ToVmm::Resume);
        self.vmm.send(ToVmm::Resume);
        self.vmm.expect(FromVmm::Running);
        assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
        begin.elapsed()
    }

    /// In a second of silence nothing spins.
    pub fn idles(&mut self) {
        // What it was still at.
        while let Some(message) = self.vmm.receive_within(Duration::from_millis(50)) {
            assert!(message.is_some(), "it ended");
        }
        let process = self.vmm.machine();
        let before = cpu_ticks(process);
        let said = self.vmm.receive_within(Duration::from_secs(1));
        assert_eq!(said, None);
        let ticks = cpu_ticks(process) - before;
        assert!(ticks <= 5, "{ticks}0 ms of processor time in a second of silence");
    }

    /// Ends it by `Quit`, in bounded time; nothing of it stays.
    pub fn quits(mut self) {
        let process = self.vmm.machine();
        let begin = Instant::now();
        self.vmm.send(ToVmm::Quit);
        assert_eq!(self.vmm.wait_for_exit().code(), Some(0));
        assert!(begin.elapsed() < PROMPT, "Quit took {:?}", begin.elapsed());
        assert!(!Path::new(&format!("/proc/{process}")).exists());
    }

    /// Judges what became of it.
    pub fn judge(mut self, fate: Fate) {
        let process = self.vmm.machine();
        let begin = Instant::now();
        match fate {
            Fate::Stops(reason) => {
                self.vmm.expect(FromVmm::Stopped(reason));
                assert_eq!(self.vmm.receive(), None, "it says more");
                assert_eq!(self.vmm.wait_for_exit().code(), Some(0));
            }
            Fate::Fails => assert_eq!(self.vmm.expect_failure().0, FailReason::Engine),
            Fate::Lives => {
                self.obeys();
                self.idles();
                return self.quits();
            }
            Fate::Either => {
                let broke = FromVmm::Stopped(StopReason::EngineBroke);
                let mut ended = self.vmm.seen.contains(&broke);
                // One that idles has read all that was said to it.
                while !ended && let Some(said) = self.vmm.receive_within(Duration::from_millis(200))
                {
                    assert!(said.is_some(), "it ended without a word");
                    ended = said == Some(broke);
                }
                if ended {
                    assert_eq!(self.vmm.wait_for_exit().code(), Some(0));
                } else {
                    return self.quits();
                }
            }
        }
        assert!(begin.elapsed() < PROMPT, "{:?}", begin.elapsed());
        assert!(!Path::new(&format!("/proc/{process}")).exists(), "{process} stays");
    }
}

pub fn wait_readable(fd: impl AsFd) {
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    let ready = poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap();
    assert_eq!(ready, 1, "nothing was said in time");
}

pub fn post(socket: &UnixStream, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> bool {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    match sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL) {
        Ok(_) => true,
        // The socket's own time limit.
        Err(Errno::AGAIN) => panic!("it stopped reading"),
        Err(_) => false,
    }
}

/// Reads a reply of vhost-user; its body.
pub fn reply(mut socket: &UnixStream) -> Vec<u8> {
    let mut header = [0; 12];
    socket.read_exact(&mut header).unwrap();
    assert_eq!(header[4..8], 5u32.to_le_bytes());
    let mut body = vec![0; u32::from_le_bytes(header[8..].try_into().unwrap()) as usize];
    socket.read_exact(&mut body).unwrap();
    body
}

/// Writes until so many bytes have gone or nobody listens; how many went.
pub fn flood(mut socket: &UnixStream, chunk: &[u8], times: usize) -> usize {
    for done in 0..times {
        match socket.write_all(chunk) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it stopped reading"),
            Err(_) => return done,
        }
    }
    times
}

/// Its name, what must become of the guest, and what is done.
pub type Scenario = (String, Fate, Box<dyn Fn(&mut Bench) + Send + Sync>);

/// Plays scenarios, some at a time; each has a guest of its own.
pub fn play(scenarios: Vec<Scenario>) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let failed = std::sync::Mutex::new(Vec::new());
    let work = || {
        while let Some((name, fate, scenario)) =
            scenarios.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
        {
            let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let mut bench = Bench::running();
                scenario(&mut bench);
                bench.judge(*fate);
            }));
            if played.is_err() {
                eprintln!("failed: {name}");
                failed.lock().unwrap().push(name.clone());
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    println!("{} scenarios of a hostile sibling, {} failed", scenarios.len(), failed.len());
    assert!(failed.is_empty(), "{failed:?}");
}
