//! The processes of one running guest, ended and reaped by dropping them, or by a thread meanwhile:
//! `tabard-vmm` with the wire and a log as its only descriptors, which no path, no argument and no
//! environment ever enter; and, on the engine `qemu`, `tabard-engine` with a socket to `tabard-vmm`
//! instead of the wire, and which QEMU to be as its only arguments.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use std::{io, iter, thread};

use crossbeam_channel::Receiver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::makedev;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tabard_display::Bell;
use tabard_wire::{FromVmm, Layers, SurfaceGeometry, ToVmm};

use super::cgroup::Group;
use super::channel::{Channel, Incoming, NotReading, STACK_BYTES};
use super::desk::Access;
use super::engine::{Engine, Ground, Qemu};
use super::guest::fail_words;
use super::image::Images;
use super::memory::zeroes;
use super::volume::Volume;

/// Why a guest's process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The program is missing or may not be run.
    #[error("Cannot start {}: {source}. Build it with `cargo build --workspace`, or install it beside `tabard`", path.display())]
    Spawn {
        /// The program.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `/dev/kvm` cannot be opened.
    #[error("{}", kvm_error(.0))]
    Kvm(io::Error),
    /// A socket, thread or descriptor could not be had.
    #[error("Cannot set up the wire to a guest: {0}")]
    Wire(#[from] io::Error),
    /// It has no engine; why, and what to do.
    #[error("{0}")]
    NoEngine(String),
    /// The process did not take its first messages.
    #[error("Cannot set up a guest: {0}")]
    NotReading(#[from] NotReading),
}

/// A sentence that names the cause and the next step.
fn kvm_error(error: &io::Error) -> String {
    let (cause, next) = match error.kind() {
        io::ErrorKind::NotFound => (
            "it does not exist",
            "Switch virtualization on in the firmware and run `sudo modprobe kvm_intel` or `sudo modprobe kvm_amd`",
        ),
        io::ErrorKind::PermissionDenied => {
            ("permission denied", "Run `sudo usermod -aG kvm $USER` and log in again")
        }
        io::ErrorKind::Unsupported => ("it is not the device of KVM", "Run `tabard doctor`"),
        _ => ("it cannot be opened", "Run `tabard doctor`"),
    };
    format!("Cannot open /dev/kvm: {cause} ({error}). {next}")
}

/// Opens `/dev/kvm`.
///
/// # Errors
/// [`ProcessError::Kvm`], whose text names the cause and the command that mends it.
pub fn open_kvm() -> Result<OwnedFd, ProcessError> {
    let file =
        File::options().read(true).write(true).open("/dev/kvm").map_err(ProcessError::Kvm)?;
    // A container may have anything of this name.
    let number = file.metadata().map_err(ProcessError::Kvm)?.rdev();
    let is_kvm = number == makedev(KVM_DEVICE.0, KVM_DEVICE.1);
    is_kvm.then(|| file.into()).ok_or(ProcessError::Kvm(io::ErrorKind::Unsupported.into()))
}

/// Linux's numbers of the device: the 232nd of the miscellaneous ones.
const KVM_DEVICE: (u32, u32) = (10, 232);

/// How long a process may take to enter its jail.
const JAIL_LIMIT: Duration = Duration::from_secs(10);
/// How long a process that is asked to end may take; a large guest's memory takes its time.
const OBEY_LIMIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a guest's machine is made of.
#[derive(Debug)]
pub(crate) struct MachineSpec {
    /// The guest's name, for thread names only.
    pub(crate) name: String,
    /// What it runs on, or why there is nothing.
    pub(crate) ground: Result<Ground, String>,
    /// The layers that its process's jail must have.
    pub(crate) jail: Layers,
    /// Memory in MiB.
    pub(crate) memory_mib: u32,
    /// Virtual processors.
    pub(crate) vcpus: u8,
    /// Kernel, initrd and command line.
    pub(crate) images: Images,
    /// Whether its display is a framebuffer that needs no driver.
    pub(crate) basic_display: bool,
    /// Its disks.
    pub(crate) volumes: Vec<Volume>,
    /// Where its first serial port goes.
    pub(crate) serial_log: PathBuf,
    /// Where what its process says of itself goes; bounded as its files are.
    pub(crate) messages: Option<PathBuf>,
    /// After so many bytes the rest is dropped.
    pub(crate) serial_limit_bytes: u64,
    /// The line by which a test keeps it and starts it again.
    pub(crate) snapshots: Option<Arc<OwnedFd>>,
}

impl MachineSpec {
    /// What runs its instructions, if anything can.
    pub(crate) fn engine(&self) -> Option<Engine> {
        self.ground.as_ref().ok().map(Ground::engine)
    }

    /// Its memory in bytes.
    fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_mib) << 20
    }

    /// A control group for its processes: memory for the guest, which counts once whoever fills it,
    /// and as much again for each volume whose writes are kept in memory.
    fn group(&self, engine: Engine) -> Option<Group> {
        let copies = self.volumes.iter().filter(|volume| volume.access == Access::Copy).count();
        let fills = u64::try_from(copies).unwrap_or(u64::MAX).saturating_add(1);
        Group::new(self.memory_bytes().saturating_mul(fills), self.vcpus, engine)
    }
}

/// A running program. Dropping it ends and reaps it: whatever it does, it is gone then.
struct Program(Child);

impl Program {
    /// Starts a program, whose standard input is a socket, and returns the other end.
    fn start(
        path: &Path,
        qemu: Option<&Qemu>,
        messages: Stdio,
        group: Option<&Group>,
    ) -> Result<(Self, OwnedFd), ProcessError> {
        let door = group.map(Group::door).transpose()?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(io::Error::from)?;
        let child = Command::new(path)
            .args(qemu.into_iter().flat_map(|qemu| iter::once(&qemu.program).chain(&qemu.folder)))
            .env_clear()
            .current_dir("/")
            // A terminal's Ctrl+C is for the session, which ends its guests itself.
            .process_group(0)
            // The socket is descriptor 0: the one place that needs no unsafe code to fill.
            .stdin(theirs)
            .stdout(door.map_or_else(Stdio::null, Stdio::from))
            // Not the terminal: what a hostile process prints could be anything.
            .stderr(messages)
            .spawn()
            .map_err(|source| ProcessError::Spawn { path: path.to_path_buf(), source })?;
        Ok((Self(child), ours))
    }

    /// The id of the process that does the work: the keeper's only child, or the one that was
    /// started if it has none.
    fn id(&self) -> u32 {
        let id = self.0.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.ok().and_then(|list| list.trim().parse().ok()).unwrap_or(id)
    }
}

/// The running processes of a guest and the wire to them. Dropping it kills and reaps them.
pub(crate) struct GuestProcess {
    vmm: Program,
    engine: Option<Program>,
    /// The wire.
    pub(crate) channel: Channel,
    /// Given up after the processes have ended.
    _group: Option<Group>,
}

impl GuestProcess {
    /// Starts `tabard-vmm`; the first that it says is how it is jailed.
    fn spawn(
        program: &Path,
        name: &str,
        messages: Stdio,
        group: Option<Group>,
        bell: &Bell,
    ) -> Result<Self, ProcessError> {
        let (vmm, wire) = Program::start(program, None, messages, group.as_ref())?;
        let channel = Channel::new(name, wire, bell)?;
        Ok(Self { vmm, engine: None, channel, _group: group })
    }

    /// Starts the processes and tells `tabard-vmm` everything up to, but without, the surface. What
    /// it says rings this bell.
    ///
    /// # Errors
    /// Any [`ProcessError`]; nothing is left running then.
    pub(crate) fn start(
        program: &Path,
        spec: &MachineSpec,
        bell: &Bell,
    ) -> Result<Self, ProcessError> {
        let ground = spec.ground.as_ref().map_err(|why| ProcessError::NoEngine(why.clone()))?;
        // As private as they were begun, should somebody have moved them away meanwhile.
        let open = |log| File::options().create(true).append(true).mode(0o600).open(log);
        let serial = open(&spec.serial_log)?;
        let file = |path| open(path).map(Stdio::from);
        let messages = || spec.messages.as_ref().map_or_else(|| Ok(Stdio::null()), file);
        let group = spec.group(ground.engine());
        let mut engine = None;
        // First the one whose jail takes longer: the other waits for it.
        if let Ground::Qemu(qemu) = ground {
            let program = program.with_file_name("tabard-engine");
            engine = Some(Program::start(&program, Some(qemu), messages()?, group.as_ref())?);
        }
        let mut process = Self::spawn(program, &spec.name, messages()?, group, bell)?;
        let wire = &process.channel;
        wire.send(ToVmm::Machine { memory_mib: spec.memory_mib, vcpus: spec.vcpus })?;
        if let Ground::Kvm(kvm) = ground {
            wire.send_with(ToVmm::Kvm, kvm.try_clone()?)?;
        }
        if let Some((engine, socket)) = engine {
            process.engine = Some(engine);
            wire.send_with(ToVmm::Engine, socket)?;
            wire.send_with(ToVmm::Memory, zeroes("tabard-memory", spec.memory_bytes())?)?;
        }
        wire.send_with(ToVmm::Kernel, spec.images.kernel()?)?;
        if let Some(initrd) = spec.images.initrd()? {
            wire.send_with(ToVmm::Initrd, initrd)?;
        }
        let asked =
            [(spec.basic_display, ToVmm::BasicDisplay), (spec.images.no_acpi, ToVmm::NoAcpi)];
        asked.into_iter().filter(|one| one.0).try_for_each(|(_, message)| wire.send(message))?;
        wire.send_with(ToVmm::CommandLine, spec.images.command_line()?)?;
        let log = ToVmm::SerialLog { limit_bytes: spec.serial_limit_bytes };
        wire.send_with(log, OwnedFd::from(serial))?;
        if let Some(line) = &spec.snapshots {
            wire.send_with(ToVmm::Snapshots, line.try_clone()?)?;
        }
        for volume in &spec.volumes {
            let read_only = volume.access != Access::Write;
            wire.send_with(ToVmm::Volume { read_only }, volume.image()?)?;
            if volume.access == Access::Copy {
                wire.send_with(ToVmm::Overlay, volume.overlay(spec.memory_mib)?)?;
            }
        }
        Ok(process)
    }

    /// Hands the process a new surface.
    ///
    /// # Errors
    /// [`NotReading`].
    pub(crate) fn surface(
        &self,
        generation: u32,
        geometry: SurfaceGeometry,
        memory: OwnedFd,
    ) -> Result<(), NotReading> {
        self.channel.send_with(ToVmm::Surface { generation, geometry }, memory)
    }

    /// The process ids, for those who watch or kill them in tests: of `tabard-vmm`, and of
    /// `tabard-engine` if there is one.
    pub(crate) fn ids(&self) -> (u32, Option<u32>) {
        (self.vmm.id(), self.engine.as_ref().map(Program::id))
    }

    /// Ends it in a thread of its own, because a large guest's memory takes its time, and one that
    /// does not obey takes [`OBEY_LIMIT`]. What is returned closes, and rings, once it is gone.
    pub(crate) fn end(self, bell: &Bell) -> Receiver<()> {
        let (gone, waiting) = bell.channel(0);
        let end = thread::Builder::new().stack_size(STACK_BYTES);
        // Without a thread both are dropped here, which takes as long.
        let _ = end.spawn(move || drop((self, gone)));
        waiting
    }
}

/// The layers of the jail that a `tabard-vmm` has on this host, as a running one says.
///
/// # Errors
/// In words: why there is none, and what to do.
pub fn probe_jail(program: &Path) -> Result<Layers, String> {
    // Nothing but its one channel is waited for here, by the channel itself.
    let (messages, group) = (Stdio::inherit(), Group::new(0, 1, Engine::Kvm));
    let process = GuestProcess::spawn(program, "probe", messages, group, &Bell::default())
        .map_err(|error| error.to_string())?;
    match process.channel.incoming.recv_timeout(JAIL_LIMIT) {
        Ok(Incoming::Message(FromVmm::Jailed { layers })) => Ok(layers),
        Ok(Incoming::Message(FromVmm::Failed { reason, detail })) => {
            Err(fail_words(reason, detail))
        }
        _ => Err("tabard-vmm did not say how it is jailed; its messages are above".to_owned()),
    }
}

impl Drop for Program {
    /// Ends it and whoever it keeps, and waits until they are gone. A keeper that is asked takes
    /// the machine's process with it; whoever does not obey is killed.
    fn drop(&mut self) {
        let id = i32::try_from(self.0.id()).ok().and_then(Pid::from_raw);
        if let Some((id, handle)) =
            id.and_then(|id| Some((id, pidfd_open(id, PidfdFlags::empty()).ok()?)))
        {
            // It is not reaped yet, so the number is still its own. One that is stopped must go on
            // to hear it.
            let _gone = kill_process(id, Signal::TERM);
            let _gone = kill_process(id, Signal::CONT);
            let _late = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&OBEY_LIMIT));
        }
        // Both fail only if the process is already reaped.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::mem::MaybeUninit;
    use std::time::Instant;

    use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
    use rustix::net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recv, recvmsg, send,
    };
    use rustix::process::{PidfdGetfdFlags, pidfd_getfd};

    use super::*;

    /// Stands in for a program: it only says what it was started with, and waits.
    fn stand_in(path: &Path, words: &str) {
        let text = path.with_extension("text");
        std::fs::write(&text, format!("#!/bin/sh\n{words}\nexec sleep 60\n")).unwrap();
        // A program that this process had open to write could not be run while another test forks.
        let installed = Command::new("install").args(["-m", "755"]).arg(text).arg(path).status();
        assert!(installed.unwrap().success());
    }

    fn spec(folder: &Path) -> MachineSpec {
        let qemu = Qemu { program: "/q".into(), folder: Some("/f o".into()) };
        MachineSpec {
            name: "one".to_owned(),
            ground: Ok(Ground::Qemu(qemu)),
            jail: Layers::default(),
            memory_mib: 16,
            vcpus: 1,
            images: Images::open("builtin:probe", None, "", Path::new("/")).unwrap(),
            basic_display: false,
            volumes: Vec::new(),
            serial_log: folder.join("serial"),
            messages: Some(folder.join("messages")),
            serial_limit_bytes: 1,
            snapshots: None,
        }
    }

    fn alive(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    /// The next message in a socket, and the descriptor that it carries.
    fn take(socket: &OwnedFd) -> (ToVmm, Option<OwnedFd>) {
        let mut bytes = [0; tabard_wire::MESSAGE_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        recvmsg(socket, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut rights = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(rights) => rights.collect(),
            _ => Vec::new(),
        });
        let descriptor = rights.next();
        drop(rights);
        (ToVmm::decode(&bytes).unwrap(), descriptor)
    }

    #[test]
    fn an_engine_gets_a_socket_its_arguments_and_nothing_else_and_ends_with_its_guest() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tabard-vmm");
        stand_in(&program, "");
        let says = "printf '%s|' \"$@\" \"$(pwd)\" \"$(env | grep -c TABARD)\" /proc/self/fd/* >&2";
        stand_in(&folder.path().join("tabard-engine"), says);

        let process =
            GuestProcess::start(&program, &spec(folder.path()), &Bell::default()).unwrap();

        // What `tabard-vmm` got: the other end of the engine's socket, then the memory.
        let (vmm, engine) = (process.vmm.0.id(), process.engine.as_ref().unwrap().0.id());
        let standard_input = |id: u32| {
            let id = Pid::from_raw(id.try_into().unwrap()).unwrap();
            let handle = pidfd_open(id, PidfdFlags::empty()).unwrap();
            pidfd_getfd(handle, 0, PidfdGetfdFlags::empty()).unwrap()
        };
        let wire = standard_input(vmm);
        assert_eq!(take(&wire).0, ToVmm::Machine { memory_mib: 16, vcpus: 1 });
        let (ToVmm::Engine, Some(socket)) = take(&wire) else { panic!("no engine") };
        let (ToVmm::Memory, Some(memory)) = take(&wire) else { panic!("no memory") };
        assert_eq!(fstat(&memory).unwrap().st_size, 16 << 20);
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        assert_eq!(fcntl_get_seals(&memory).unwrap(), seals);
        send(&socket, b"hello", SendFlags::empty()).unwrap();
        let mut heard = [0; 8];
        let (_, length) = recv(standard_input(engine), &mut heard, RecvFlags::empty()).unwrap();
        assert_eq!(&heard[..length], b"hello");

        // What the engine was started with; its shell reads the script by descriptor 10 or so.
        let messages = || std::fs::read_to_string(folder.path().join("messages")).unwrap();
        let begin = Instant::now();
        while !messages().contains("/proc/self/fd") {
            assert!(begin.elapsed() < JAIL_LIMIT, "{}", messages());
            thread::sleep(Duration::from_millis(5));
        }
        assert!(messages().starts_with("/q|/f o|/|0|/proc/self/fd/0|"), "{}", messages());

        drop(process);
        assert!(!alive(vmm) && !alive(engine));
    }

    #[test]
    fn without_its_program_no_guest_starts_and_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tabard-vmm");
        stand_in(&program, "echo $$ >&2");

        let error = GuestProcess::start(&program, &spec(folder.path()), &Bell::default());

        let error = error.err().unwrap().to_string();
        assert!(error.contains("tabard-engine") && error.contains("cargo build"), "{error}");
        let id = std::fs::read_to_string(folder.path().join("messages")).unwrap();
        // It may have been ended before it could say anything.
        assert!(id.trim().parse().map_or(id.is_empty(), |id| !alive(id)), "{id:?}");
    }

    #[test]
    fn a_guest_without_an_engine_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let none = MachineSpec { ground: Err("no QEMU".to_owned()), ..spec(folder.path()) };
        let error = GuestProcess::start(Path::new("/nowhere"), &none, &Bell::default());
        assert_eq!(error.err().unwrap().to_string(), "no QEMU");
    }
}
