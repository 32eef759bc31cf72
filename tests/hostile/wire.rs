//! A hostile process in place of `tabard-vmm`: it speaks the wire itself, well enough to be
//! believed and then not. As `wire=record` it is a good guest without a machine, which writes
//! down all that it is sent: an independent witness of what was delivered to whom.

mod agent;

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, Shutdown, SocketType, recvmsg, send, sendmsg, shutdown,
};
use rustix::process::{Signal, getpid, kill_process};
use tabard_wire::{FromVmm, Layers, MESSAGE_BYTES, Rect, StopReason, SurfaceGeometry, ToVmm};

/// Whether this program was started as a guest's process: descriptor 0 is a wire.
pub fn is_wire() -> bool {
    let kind = rustix::net::sockopt::socket_type(std::io::stdin());
    kind.is_ok_and(|kind| kind == SocketType::SEQPACKET)
}

/// Numbers from a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 11) % end.max(1)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// What the trusted side has handed over so far.
struct Process {
    random: Random,
    log: Option<File>,
    surface: Option<(u32, SurfaceGeometry, File)>,
    agent: agent::Agent,
    scenario: String,
    /// Messages sent that a full queue has not taken; the wire was closed.
    closed: bool,
}

fn socket() -> std::io::Stdin {
    std::io::stdin()
}

/// Takes a message; `None` at the end of the wire.
fn receive() -> Option<(ToVmm, Option<OwnedFd>)> {
    let mut bytes = [0; MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let got = recvmsg(socket(), &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC).ok()?;
    let mut descriptor = None;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptor = rights.last();
        }
    }
    (got.bytes == MESSAGE_BYTES).then(|| ToVmm::decode(&bytes).ok().map(|one| (one, descriptor)))?
}

/// The whole process.
pub fn main() {
    let mut process = Process {
        random: Random::new(1),
        log: None,
        surface: None,
        agent: agent::Agent::default(),
        scenario: String::new(),
        closed: false,
    };
    process.run();
}

impl Process {
    fn say(&mut self, words: &str) {
        if let Some(log) = &mut self.log {
            writeln!(log, "{words}").unwrap();
        }
    }

    fn ready(&mut self) {
        self.say("{\"ready\":\"wire\"}");
    }

    fn done(&mut self) {
        let name = self.scenario.clone();
        self.say(&format!("{{\"done\":\"{name}\"}}"));
    }

    fn send(&mut self, bytes: &[u8]) {
        self.closed |= send(socket(), bytes, SendFlags::NOSIGNAL).is_err();
    }

    fn tell(&mut self, message: FromVmm) {
        self.send(&message.encode());
    }

    /// Sends bytes with so many descriptors.
    fn send_with(&mut self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(200))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(descriptors)));
        let sent = sendmsg(socket(), &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL);
        self.closed |= sent.is_err();
    }

    /// Takes one message and does what a guest's process does with it; `None` at the end.
    fn turn(&mut self) -> Option<ToVmm> {
        let (message, descriptor) = receive()?;
        match (message, descriptor) {
            (ToVmm::CommandLine, Some(descriptor)) => {
                let mut line = [0; 4096];
                let length = File::from(descriptor).read_at(&mut line, 0).unwrap();
                for word in String::from_utf8_lossy(&line[..length]).split_whitespace() {
                    match word.split_once('=') {
                        Some(("wire", name)) => name.clone_into(&mut self.scenario),
                        Some(("seed", seed)) => self.random = Random::new(seed.parse().unwrap()),
                        _ => {}
                    }
                }
            }
            (ToVmm::SerialLog { .. }, Some(descriptor)) => self.log = Some(descriptor.into()),
            (ToVmm::Surface { generation, geometry }, Some(descriptor)) => {
                self.surface = Some((generation, geometry, descriptor.into()));
            }
            (ToVmm::AgentBuffer, Some(descriptor)) => self.agent.buffer = Some(descriptor.into()),
            (ToVmm::Quit, _) => return None,
            (other, _) => self.heard(other),
        }
        Some(message)
    }

    /// Takes messages up to this one.
    fn until(&mut self, wanted: impl Fn(&ToVmm) -> bool) {
        while let Some(message) = self.turn() {
            if wanted(&message) {
                return;
            }
        }
        std::process::exit(0);
    }

    fn generation(&self) -> u32 {
        self.surface.as_ref().map_or(0, |surface| surface.0)
    }

    fn size(&self) -> (u32, u32) {
        self.surface.as_ref().map_or((16, 16), |one| (one.1.width_px(), one.1.height_px()))
    }

    /// Fills the surface and says so.
    fn paint(&mut self, byte: u8) {
        let Some((generation, geometry, memory)) = &self.surface else { return };
        let bytes = vec![byte; usize::try_from(geometry.cursor_offset_bytes()).unwrap()];
        memory.write_all_at(&bytes, 0).unwrap();
        let (generation, (width, height)) = (*generation, self.size());
        self.tell(FromVmm::Scanout { generation, width, height });
        let rect = Rect { x: 0, y: 0, width, height };
        self.tell(FromVmm::Damage { generation, rect });
    }

    /// Loads, boots, shows a picture.
    fn boot(&mut self) {
        self.until(|message| matches!(message, ToVmm::Load));
        self.tell(FromVmm::Loaded);
        self.until(|message| matches!(message, ToVmm::Boot));
        self.tell(FromVmm::Running);
        self.paint(0x40);
        self.ready();
    }

    /// Reads and forgets, until the wire closes.
    fn idle(&mut self) {
        while self.turn().is_some() {}
    }

    /// Never reads again.
    fn deaf(&self) -> ! {
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }

    fn run(&mut self) {
        self.until(|message| matches!(message, ToVmm::SerialLog { .. }));
        match self.scenario.clone().as_str() {
            "record" => self.record(),
            "wire-never-loads" => {
                self.until(|message| matches!(message, ToVmm::Load));
                self.ready();
                self.done();
                self.deaf();
            }
            "wire-loads-late" => {
                self.until(|message| matches!(message, ToVmm::Load));
                self.ready();
                // Until the user has been everywhere: see `Day::wake`.
                kill_process(getpid(), Signal::STOP).unwrap();
                self.tell(FromVmm::Loaded);
                self.until(|message| matches!(message, ToVmm::Boot));
                self.tell(FromVmm::Running);
                self.done();
                self.idle();
            }
            "wire-garbage-at-once" => {
                self.ready();
                self.done();
                let bytes = self.random.bytes(MESSAGE_BYTES);
                self.send(&bytes);
                self.idle();
            }
            "wire-closes" => self.close_at_a_step(),
            name => {
                self.boot();
                self.attack(name);
            }
        }
    }

    /// A good guest: writes down, as `builtin:probe` does, what it is sent.
    fn record(&mut self) {
        self.boot();
        while let Some(message) = self.turn() {
            let mut event = |device: &str, kind: u16, code: u16, value: i64| {
                self.say(&format!(
                    "{{\"device\":\"{device}\",\"type\":{kind},\"code\":{code},\"value\":{value}}}"
                ));
            };
            match message {
                ToVmm::Key { code, pressed } => event("keyboard", 1, code, pressed.into()),
                ToVmm::Button { code, pressed } => event("pointer", 1, code, pressed.into()),
                ToVmm::Pointer { x, y } => {
                    event("pointer", 3, 0, x.into());
                    event("pointer", 3, 1, y.into());
                }
                ToVmm::Surface { .. } => self.paint(0x40),
                _ => {}
            }
        }
    }

    fn close_at_a_step(&mut self) {
        self.ready();
        self.done();
        let step = self.random.below(6);
        if step >= 1 {
            self.until(|message| matches!(message, ToVmm::Surface { .. }));
        }
        if step >= 2 {
            self.until(|message| matches!(message, ToVmm::Load));
        }
        if step >= 3 {
            self.tell(FromVmm::Loaded);
        }
        if step >= 4 {
            self.until(|message| matches!(message, ToVmm::Boot));
        }
        if step >= 5 {
            self.tell(FromVmm::Running);
            self.paint(0x80);
        }
        // Ending the process closes the wire.
    }

    fn attack(&mut self, name: &str) {
        let valid = FromVmm::Running.encode();
        match name {
            "wire-garbage" => {
                self.done();
                while !self.closed {
                    let length = 1 + self.random.below(96) as usize;
                    let bytes = self.random.bytes(length);
                    self.send(&bytes);
                }
            }
            "wire-lengths" => {
                self.done();
                let lengths = [1, 31, 33, 64, 4096, 65536];
                let length = lengths[self.random.below(6) as usize];
                self.send(&vec![0; length]);
            }
            "wire-unknown-kinds" => {
                self.done();
                let kind = 1000 + self.random.below(60000) as u16;
                let mut bytes = valid;
                bytes[..2].copy_from_slice(&kind.to_le_bytes());
                self.send(&bytes);
            }
            "wire-out-of-range" => {
                self.done();
                let bytes = self.out_of_range();
                self.send(&bytes);
            }
            "wire-reserved-bytes" => {
                self.done();
                let mut bytes = valid;
                bytes[2 + self.random.below(30) as usize] = 1;
                self.send(&bytes);
            }
            "wire-empty-datagram" => {
                self.done();
                self.send(&[]);
            }
            "wire-out-of-order" => {
                for _ in 0..50 {
                    for message in [FromVmm::Loaded, FromVmm::Paused, FromVmm::Running] {
                        self.tell(message);
                    }
                }
                self.done();
            }
            "wire-random-messages" => {
                for _ in 0..3_000 {
                    let message = self.random_message();
                    self.tell(message);
                }
                self.done();
            }
            "wire-damage-flood" => self.flood(6_000, |one, round| {
                let (width, height) = one.size();
                let rect = Rect { x: round % width, y: round % height, width: 1, height: 1 };
                FromVmm::Damage { generation: one.generation(), rect }
            }),
            "wire-scanout-flood" => self.flood(1_500, |one, round| {
                let (width, height) = (round % 2000, (round * 7) % 2000);
                let none = width == 0 || height == 0;
                let (width, height) = if none { (0, 0) } else { (width, height) };
                FromVmm::Scanout { generation: one.generation(), width, height }
            }),
            "wire-cursor-flood" => self.flood(4_000, |one, round| FromVmm::Cursor {
                generation: one.generation(),
                visible: round % 3 != 0,
                hot_x: (round % 64) as u8,
                hot_y: (round / 64 % 64) as u8,
            }),
            "wire-state-flood" => {
                self.flood(
                    10_000,
                    |_, round| {
                        if round % 2 == 0 { FromVmm::Paused } else { FromVmm::Running }
                    },
                )
            }
            "wire-stale-generations" => self.flood(2_000, |one, round| {
                let generation =
                    one.generation().wrapping_add([1, u32::MAX, 77][round as usize % 3]);
                FromVmm::Scanout { generation, width: 8192, height: 8192 }
            }),
            "wire-descriptors" => {
                let null = File::open("/dev/null").unwrap();
                let many = vec![null.as_fd(); 200];
                for round in 0..1_000 {
                    self.send_with(&valid, &many[..1 + round % 200]);
                }
                self.done();
            }
            "wire-descriptors-and-garbage" => {
                self.done();
                let null = File::open("/dev/null").unwrap();
                self.send_with(&[0xff; 7], &[null.as_fd(); 200]);
            }
            "wire-agent-frames" => self.agent_frames(),
            "wire-agent-open-storm" => self.agent_open_storm(),
            "wire-agent-out-of-turn" => self.agent_out_of_turn(),
            "wire-agent-buffer-truncated" => self.agent_buffer_truncated(),
            // What a process says of its jail counts only while nothing has reached it.
            "wire-jailed-again" => {
                self.done();
                self.tell(FromVmm::Jailed { layers: Layers::ALL });
            }
            "wire-never-reads" => {
                self.done();
                self.deaf();
            }
            "wire-half-closed" => {
                self.done();
                shutdown(socket(), Shutdown::Write).unwrap();
                self.idle();
            }
            "wire-surface-rewritten" => self.rewrite_surface(),
            "wire-surface-truncated" => self.truncate_surface(),
            "wire-stops-itself" => {
                self.done();
                kill_process(getpid(), Signal::STOP).unwrap();
            }
            "wire-kills-itself" => {
                self.done();
                kill_process(getpid(), Signal::KILL).unwrap();
            }
            "wire-stopped-then-speaks" => {
                self.done();
                self.tell(FromVmm::Stopped(StopReason::PowerOff));
                while !self.closed {
                    let message = self.random_message();
                    self.tell(message);
                }
            }
            other => panic!("there is no scenario {other}"),
        }
        self.idle();
    }

    fn flood(&mut self, rounds: u32, message: impl Fn(&Self, u32) -> FromVmm) {
        for round in 0..rounds {
            let message = message(self, round);
            self.tell(message);
        }
        self.done();
    }

    /// A message that decodes, of any kind that does not end the guest, about any surface.
    fn random_message(&mut self) -> FromVmm {
        let generation = match self.random.below(3) {
            0 => self.random.next() as u32,
            _ => self.generation(),
        };
        let mut side = || 1 + self.random.below(8192) as u32;
        let (x, y) = (side() - 1, side() - 1);
        let (width, height) = (side().min(8192 - x), side().min(8192 - y));
        match self.random.below(5) {
            0 => FromVmm::Running,
            1 => FromVmm::Paused,
            2 => FromVmm::Scanout { generation, width, height },
            3 => FromVmm::Cursor {
                generation,
                visible: self.random.below(2) == 0,
                hot_x: self.random.below(64) as u8,
                hot_y: self.random.below(64) as u8,
            },
            _ => FromVmm::Damage { generation, rect: Rect { x, y, width, height } },
        }
    }

    /// A message with one field that no message may have.
    fn out_of_range(&mut self) -> [u8; MESSAGE_BYTES] {
        let generation = self.generation();
        let big = [0, 8193, 0x8000_0000, u32::MAX][self.random.below(4) as usize];
        let one = Rect { x: 0, y: 0, width: 1, height: 1 };
        let rects = [
            Rect { width: big, ..one },
            Rect { height: big, ..one },
            Rect { x: 8192, ..one },
            Rect { x: u32::MAX, width: 2, ..one },
        ];
        match self.random.below(4) {
            0 => {
                let rect = rects[self.random.below(4) as usize];
                FromVmm::Damage { generation, rect }.encode()
            }
            1 => FromVmm::Scanout { generation, width: 8193, height: 1 }.encode(),
            2 => FromVmm::Scanout { generation, width: 0, height: 1 }.encode(),
            _ => FromVmm::Cursor { generation, visible: true, hot_x: 64, hot_y: 255 }.encode(),
        }
    }

    /// Writes the pixels and the cursor's image while they are read.
    fn rewrite_surface(&mut self) {
        let (generation, (width, height)) = (self.generation(), self.size());
        for round in 0..150u32 {
            let Some((_, geometry, memory)) = &self.surface else { return };
            let total = usize::try_from(geometry.total_bytes()).unwrap();
            let bytes = vec![round as u8; total];
            memory.write_all_at(&bytes, 0).unwrap();
            let rect = Rect { x: 0, y: 0, width, height };
            self.tell(FromVmm::Damage { generation, rect });
            let hot = (round % 64) as u8;
            self.tell(FromVmm::Cursor { generation, visible: true, hot_x: hot, hot_y: hot });
        }
        self.done();
    }

    /// Would make the trusted process fault, were the memory not sealed.
    fn truncate_surface(&mut self) {
        let Some((generation, geometry, memory)) = &self.surface else { return };
        let total = geometry.total_bytes();
        for length in [0, 1, 4096, total - 1, total + 1, total * 2] {
            assert!(memory.set_len(length).is_err(), "the surface changed its length");
        }
        let seals = rustix::fs::SealFlags::WRITE | rustix::fs::SealFlags::FUTURE_WRITE;
        assert!(rustix::fs::fcntl_add_seals(memory, seals).is_err(), "a seal was added");
        let hole = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        // The kernel may free the pages; the reader must then see zeroes and not fault.
        let _ = rustix::fs::fallocate(memory, hole, 0, total);
        let (generation, (width, height)) = (*generation, self.size());
        let rect = Rect { x: 0, y: 0, width, height };
        self.tell(FromVmm::Damage { generation, rect });
        self.done();
    }
}
