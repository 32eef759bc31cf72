//! One running `tabard-vmm`: started with the wire and a log as its only descriptors, ended and
//! reaped by dropping it, or by a thread meanwhile. No path, no argument and no environment ever
//! enter it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tabard_display::Bell;
use tabard_wire::{FromVmm, Layers, SurfaceGeometry, ToVmm};

use super::cgroup::Group;
use super::channel::{Channel, Incoming, NotReading, STACK_BYTES};
use super::desk::Access;
use super::guest::fail_words;
use super::image::Images;
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
        _ => ("it cannot be opened", "Run `tabard doctor`"),
    };
    format!("Cannot open /dev/kvm: {cause} ({error}). {next}")
}

/// Opens `/dev/kvm`.
///
/// # Errors
/// [`ProcessError::Kvm`], whose text names the cause and the command that mends it.
pub fn open_kvm() -> Result<OwnedFd, ProcessError> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .map(OwnedFd::from)
        .map_err(ProcessError::Kvm)
}

/// How long a process may take to enter its jail.
const JAIL_LIMIT: Duration = Duration::from_secs(10);
/// How long a process that is asked to end may take; a large guest's memory takes its time.
const OBEY_LIMIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// What a guest's machine is made of.
#[derive(Debug)]
pub(crate) struct MachineSpec {
    /// The guest's name, for thread names only.
    pub(crate) name: String,
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
}

impl MachineSpec {
    /// A control group for its process: memory for the guest, and as much again for each volume
    /// whose writes are kept in memory.
    fn group(&self) -> Option<Group> {
        let copies = self.volumes.iter().filter(|volume| volume.access == Access::Copy).count();
        let fills = u64::try_from(copies).unwrap_or(u64::MAX).saturating_add(1);
        let bytes = (u64::from(self.memory_mib) << 20).saturating_mul(fills);
        Group::new(bytes, self.vcpus)
    }
}

/// A running `tabard-vmm` and the wire to it. Dropping it kills and reaps the process.
pub(crate) struct GuestProcess {
    child: Child,
    /// The wire.
    pub(crate) channel: Channel,
    /// Given up after the process has ended.
    _group: Option<Group>,
}

impl GuestProcess {
    /// Starts the process; the first that it says is how it is jailed.
    fn spawn(
        program: &Path,
        name: &str,
        messages: Stdio,
        group: Option<Group>,
        bell: &Bell,
    ) -> Result<Self, ProcessError> {
        let door = group.as_ref().map(Group::door).transpose()?;
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                .map_err(io::Error::from)?;
        let mut child = Command::new(program)
            .env_clear()
            .current_dir("/")
            // A terminal's Ctrl+C is for the session, which ends its guests itself.
            .process_group(0)
            // The wire is descriptor 0: the one place that needs no unsafe code to fill.
            .stdin(theirs)
            .stdout(door.map_or_else(Stdio::null, Stdio::from))
            // Not the terminal: what a hostile process prints could be anything.
            .stderr(messages)
            .spawn()
            .map_err(|source| ProcessError::Spawn { path: program.to_path_buf(), source })?;
        // From here on dropping `child` through `Self` cleans up.
        let channel = match Channel::new(name, ours, bell) {
            Ok(channel) => channel,
            Err(error) => {
                end(&mut child);
                return Err(error.into());
            }
        };
        Ok(Self { child, channel, _group: group })
    }

    /// Starts the process and tells it everything up to, but without, the surface. What it says
    /// rings this bell.
    ///
    /// # Errors
    /// Any [`ProcessError`]; nothing is left running then.
    pub(crate) fn start(
        program: &Path,
        spec: &MachineSpec,
        kvm: &OwnedFd,
        bell: &Bell,
    ) -> Result<Self, ProcessError> {
        // As private as they were begun, should somebody have moved them away meanwhile.
        let open = |log| File::options().create(true).append(true).mode(0o600).open(log);
        let serial = open(&spec.serial_log)?;
        let messages = match &spec.messages {
            Some(path) => open(path)?.into(),
            None => Stdio::null(),
        };
        let process = Self::spawn(program, &spec.name, messages, spec.group(), bell)?;
        let wire = &process.channel;
        wire.send(ToVmm::Machine { memory_mib: spec.memory_mib, vcpus: spec.vcpus })?;
        wire.send_with(ToVmm::Kvm, kvm.as_fd().try_clone_to_owned()?)?;
        wire.send_with(ToVmm::Kernel, spec.images.kernel()?)?;
        if let Some(initrd) = spec.images.initrd()? {
            wire.send_with(ToVmm::Initrd, initrd)?;
        }
        if spec.basic_display {
            wire.send(ToVmm::BasicDisplay)?;
        }
        if spec.images.no_acpi {
            wire.send(ToVmm::NoAcpi)?;
        }
        wire.send_with(ToVmm::CommandLine, spec.images.command_line()?)?;
        wire.send_with(
            ToVmm::SerialLog { limit_bytes: spec.serial_limit_bytes },
            OwnedFd::from(serial),
        )?;
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

    /// The process id, for those who watch or kill it in tests: that of the process with the
    /// machine, which is the keeper's only child, or the one that was started if it has none.
    pub(crate) fn id(&self) -> u32 {
        let id = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
        children.ok().and_then(|list| list.trim().parse().ok()).unwrap_or(id)
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

impl Drop for GuestProcess {
    fn drop(&mut self) {
        // Whatever it does, it is gone when this returns.
        end(&mut self.child);
    }
}

/// The layers of the jail that a `tabard-vmm` has on this host, as a running one says.
///
/// # Errors
/// In words: why there is none, and what to do.
pub fn probe_jail(program: &Path) -> Result<Layers, String> {
    // Nothing but its one channel is waited for here, by the channel itself.
    let (messages, group) = (Stdio::inherit(), Group::new(0, 1));
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

/// Ends a process and whoever it keeps, and waits until they are gone. A keeper that is asked
/// takes the machine's process with it; whoever does not obey is killed.
fn end(child: &mut Child) {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some((id, handle)) =
        id.and_then(|id| Some((id, pidfd_open(id, PidfdFlags::empty()).ok()?)))
    {
        // It is not reaped yet, so the number is still its own. One that is stopped must go on to
        // hear it.
        let _gone = kill_process(id, Signal::TERM);
        let _gone = kill_process(id, Signal::CONT);
        let _late = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&OBEY_LIMIT));
    }
    // Both fail only if the process is already reaped.
    let _ = child.kill();
    let _ = child.wait();
}
