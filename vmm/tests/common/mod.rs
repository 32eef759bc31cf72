//! Plays `tabard` for one real `tabard-vmm`: starts it with a socket on descriptor 0, gives it
//! memfds and reads what it says. Every wait has an end.
#![allow(dead_code)]

use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use tabard_wire::{FailReason, FromVmm, MESSAGE_BYTES, SurfaceGeometry, ToVmm};

/// Longest wait for anything: far longer than anything takes, also on a machine that stands still at times.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What must be prompt: far more than it takes, on a machine that may stand still for seconds.
pub const PROMPT: Duration = Duration::from_secs(30);

pub struct Vmm {
    pub child: Child,
    socket: OwnedFd,
    pub serial: File,
    pub surface: File,
    pub geometry: SurfaceGeometry,
    pub generation: u32,
    pub seen: Vec<FromVmm>,
    /// Sent by [`Vmm::set_up`] unless it is empty.
    pub command_line: String,
    /// `tabard-engine`, on the engine `qemu`.
    pub engine: Option<Child>,
    /// What `tabard-engine` starts in place of the tests' QEMU, and by whom it is started.
    pub instead_of_qemu: Option<Vec<String>>,
    pub engine_program: std::path::PathBuf,
    pub engine_user: Option<u32>,
    pub engine_messages: Option<Stdio>,
}

/// What runs the guests of these tests: `kvm`, or the QEMU that `TABARD_TEST_ENGINE=qemu` asks for.
pub fn on_qemu() -> bool {
    std::env::var("TABARD_TEST_ENGINE").is_ok_and(|engine| engine == "qemu")
}

/// The QEMU of the tests: program, and its folder if it is not the host's own.
pub fn qemu() -> Vec<String> {
    let own = "/var/lib/tabard/qemu";
    let folder = std::env::var("TABARD_QEMU_FOLDER").unwrap_or_else(|_| own.to_owned());
    let program = format!("{folder}/usr/bin/qemu-system-x86_64");
    if Path::new(&program).exists() {
        vec![program, folder]
    } else {
        vec!["/usr/bin/qemu-system-x86_64".to_owned()]
    }
}

/// What a program has written into a file so far. Its own place in it is not moved: the program
/// shares that.
pub fn written(file: &File) -> String {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    let length = file.read_at(&mut bytes, 0).unwrap();
    String::from_utf8_lossy(&bytes[..length]).into_owned()
}

pub fn memfd(bytes: &[u8]) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC).unwrap();
    File::from(fd.try_clone().unwrap()).write_all(bytes).unwrap();
    fd
}

pub fn sealed_surface(geometry: SurfaceGeometry) -> OwnedFd {
    let fd = memfd_create("surface", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    ftruncate(&fd, geometry.total_bytes()).unwrap();
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
    fd
}

impl Vmm {
    /// Starts the process and nothing else.
    pub fn spawn() -> Self {
        Self::spawn_program(Path::new(env!("CARGO_BIN_EXE_tabard-vmm")), Stdio::inherit())
    }

    /// Starts this program in place of `tabard-vmm`.
    pub fn spawn_program(program: &Path, messages: Stdio) -> Self {
        Self::spawn_as(program, messages, None)
    }

    /// As [`Vmm::spawn_program`], by this user.
    pub fn spawn_as(program: &Path, messages: Stdio, user: Option<u32>) -> Self {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let mut command = Command::new(program);
        // The wire is descriptor 0: std fills it without any unsafe code.
        command.stdin(theirs).stdout(Stdio::null()).stderr(messages);
        if let Some(user) = user {
            command.uid(user).gid(user);
        }
        let child = command.spawn().unwrap();
        let geometry = SurfaceGeometry::new(640, 480).unwrap();
        Self {
            child,
            socket: ours,
            serial: tempfile::tempfile().unwrap(),
            surface: File::from(sealed_surface(geometry)),
            geometry,
            generation: 0,
            seen: Vec::new(),
            command_line: String::new(),
            engine: None,
            instead_of_qemu: None,
            engine_program: env!("CARGO_BIN_EXE_tabard-engine").into(),
            engine_user: user,
            engine_messages: None,
        }
    }

    pub fn send(&self, message: ToVmm) {
        self.send_bytes(&message.encode(), &[]);
    }

    pub fn send_with(&self, message: ToVmm, fd: impl AsFd) {
        self.send_bytes(&message.encode(), &[fd.as_fd()]);
    }

    pub fn send_bytes(&self, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        }
        sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).unwrap();
    }

    /// The process with the machine: the keeper's only child.
    pub fn machine(&self) -> u32 {
        let id = self.child.id();
        let list = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        list.trim().parse().unwrap_or(id)
    }

    /// Everything up to `Load`, with this kernel.
    pub fn set_up(&mut self, kernel: &[u8], memory_mib: u32, vcpus: u8) {
        self.send(ToVmm::Machine { memory_mib, vcpus });
        self.send_engine(memory_mib);
        self.send_with(ToVmm::Kernel, memfd(kernel));
        if !self.command_line.is_empty() {
            self.send_with(ToVmm::CommandLine, memfd(self.command_line.as_bytes()));
        }
        self.send(ToVmm::NoAcpi);
        self.send_with(ToVmm::SerialLog { limit_bytes: 8 << 20 }, &self.serial);
        self.resize(640, 480);
    }

    /// What runs the machine: `/dev/kvm`, or a `tabard-engine` and the memory for it.
    pub fn send_engine(&mut self, memory_mib: u32) {
        if !on_qemu() && self.instead_of_qemu.is_none() {
            let kvm = File::options().read(true).write(true).open("/dev/kvm").unwrap();
            return self.send_with(ToVmm::Kvm, kvm);
        }
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .unwrap();
        let mut command = Command::new(&self.engine_program);
        command.args(self.instead_of_qemu.clone().unwrap_or_else(qemu));
        command.env_clear().stdin(theirs).stdout(Stdio::null());
        if let Some(messages) = self.engine_messages.take() {
            command.stderr(messages);
        }
        if let Some(user) = self.engine_user {
            command.uid(user).gid(user);
        }
        self.engine = Some(command.spawn().unwrap());
        self.send_with(ToVmm::Engine, ours);
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("memory", flags).unwrap();
        ftruncate(&memory, u64::from(memory_mib) << 20).unwrap();
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL).unwrap();
        self.send_with(ToVmm::Memory, memory);
    }

    /// A machine that runs the built-in guest and has said that it is ready.
    pub fn boot(guest: &str) -> Self {
        Self::spawn().booted(guest)
    }

    /// As [`Vmm::boot`], from a process that was started.
    pub fn booted(self, guest: &str) -> Self {
        let mut vmm = self;
        vmm.set_up(tabard_guests::builtin(guest).unwrap().elf, 64, 1);
        vmm.send(ToVmm::Load);
        vmm.expect(FromVmm::Loaded);
        vmm.send(ToVmm::Boot);
        vmm.expect(FromVmm::Running);
        vmm
    }

    pub fn resize(&mut self, width: u32, height: u32) {
        self.generation += 1;
        self.geometry = SurfaceGeometry::new(width, height).unwrap();
        self.surface = File::from(sealed_surface(self.geometry));
        let message = ToVmm::Surface { generation: self.generation, geometry: self.geometry };
        self.send_with(message, &self.surface);
    }

    /// The next message; `None` at the end of the wire.
    pub fn receive(&mut self) -> Option<FromVmm> {
        self.receive_within(PATIENCE).expect("the VMM said nothing in time")
    }

    pub fn receive_within(&mut self, time: Duration) -> Option<Option<FromVmm>> {
        let timeout =
            Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        if poll(&mut fds, Some(&timeout)).unwrap() == 0 {
            return None;
        }
        let mut bytes = [0; MESSAGE_BYTES + 1];
        let (_, length) = match recv(&self.socket, &mut bytes, RecvFlags::empty()) {
            Ok(received) => received,
            Err(rustix::io::Errno::CONNRESET) => return Some(None),
            Err(error) => panic!("{error}"),
        };
        if length == 0 {
            return Some(None);
        }
        let message = FromVmm::decode(&bytes[..length]).unwrap();
        self.seen.push(message);
        Some(Some(message))
    }

    pub fn wait_for(&mut self, what: &str, mut found: impl FnMut(&FromVmm) -> bool) -> FromVmm {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            match self.receive() {
                Some(message) if found(&message) => return message,
                Some(_) => {}
                None => panic!("the VMM ended before {what}; it said {:?}", self.seen),
            }
        }
        panic!("no {what} in time");
    }

    pub fn expect(&mut self, expected: FromVmm) {
        self.wait_for(&format!("{expected:?}"), |message| *message == expected);
    }

    pub fn expect_failure(&mut self) -> (FailReason, u64) {
        let failed = self.wait_for("failure", |m| matches!(m, FromVmm::Failed { .. }));
        let FromVmm::Failed { reason, detail } = failed else { unreachable!() };
        assert_eq!(self.receive(), None);
        assert_eq!(self.wait_for_exit().code(), Some(1));
        (reason, detail)
    }

    /// Reads and drops messages until the other end is gone, then the status.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "the VMM did not end");
            let _ = self.receive_within(Duration::from_millis(20));
        }
    }

    pub fn serial_text(&mut self) -> String {
        String::from_utf8_lossy(&self.serial_bytes()).into_owned()
    }

    /// Waits for the `count`th line with this text.
    pub fn wait_for_line(&mut self, text: &str, count: usize) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            let all = self.serial_text();
            // The last line may still be on its way.
            let whole = all.rsplit_once('\n').map_or("", |(whole, _)| whole);
            if let Some(line) = whole.lines().filter(|line| line.contains(text)).nth(count - 1) {
                return line.to_owned();
            }
            assert!(Instant::now() < end, "no line with {text} in {all:?}");
            let _ = self.receive_within(Duration::from_millis(5));
        }
    }

    /// All that the guest has written; the offset belongs to the VMM, so it is not moved.
    pub fn serial_bytes(&mut self) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; self.serial.metadata().unwrap().len() as usize];
        self.serial.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    /// Closes the wire and leaves the process to itself.
    pub fn hang_up(self) -> Child {
        let mut this = std::mem::ManuallyDrop::new(self);
        let closed = OwnedFd::from(File::open("/dev/null").unwrap());
        drop(std::mem::replace(&mut this.socket, closed));
        // The child is left behind by an exchange too: the value is never dropped.
        std::mem::replace(&mut this.child, Command::new("true").spawn().unwrap())
    }

    pub fn pixels(&self) -> Vec<u8> {
        use std::os::unix::fs::FileExt;
        let mut bytes =
            vec![0; (self.geometry.stride_bytes() * self.geometry.height_px()) as usize];
        self.surface.read_exact_at(&mut bytes, 0).unwrap();
        bytes
    }

    pub fn quit(mut self) {
        self.send(ToVmm::Quit);
        assert_eq!(self.wait_for_exit().code(), Some(0));
    }
}

impl Drop for Vmm {
    fn drop(&mut self) {
        // Asked, so that the keeper takes the machine's process with it.
        let keeper = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(keeper, rustix::process::Signal::TERM);
        let _ = self.child.wait();
        if let Some(mut engine) = self.engine.take() {
            let keeper = rustix::process::Pid::from_child(&engine);
            let _ = rustix::process::kill_process(keeper, rustix::process::Signal::TERM);
            let _ = engine.wait();
        }
    }
}

/// Processor time that a process has used, in ticks of 10 ms.
pub fn cpu_ticks(process: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
