//! The process `tabard-engine`: it shuts itself in, and then starts and ends QEMU as the guest's
//! `tabard-vmm` asks. QEMU inherits the jail and takes a narrower filter with it. When either of the
//! two is gone the other ends: nothing spins for nobody, and nothing stays.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, fcntl_setfl, memfd_create};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, set_parent_process_death_signal};

use super::command::{self, Descriptors};
use super::order::{self, DISPLAY_SOCKET, FIXED_SOCKETS, FromEngine, Order, ToEngine};
use super::rom;
use crate::jail;
use crate::memory::MIB;

/// The socket to the guest's process is standard input.
const SOCKET_FD: RawFd = 0;
/// Exit status when the process was not started by `tabard`.
const STATUS_USAGE: u8 = 2;

/// A QEMU on this host, as `tabard` found it.
#[derive(Debug)]
pub struct Installation {
    /// The program.
    pub program: PathBuf,
    /// The folder below which its packages are; `None` for the host's own.
    pub folder: Option<PathBuf>,
}

impl Installation {
    /// Folders with libraries, in the order in which they are searched; none for the host's own.
    fn libraries(&self) -> Vec<PathBuf> {
        let below = ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"];
        self.folder.iter().flat_map(|folder| below.map(|path| folder.join(path))).collect()
    }
}

/// The whole process. Call it once, first in `main`.
#[must_use]
pub fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).map(PathBuf::from);
    let Some(program) = words.next() else {
        complain!("tabard starts this program, with the path of QEMU");
        return ExitCode::from(STATUS_USAGE);
    };
    let installation = Installation { program, folder: words.next() };
    // SAFETY: `tabard` leaves the socket on this descriptor and nothing here has taken it yet; if it
    // is not open, the first call on it fails and the process ends.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET_FD) };
    if fcntl_setfd(&socket, FdFlags::CLOEXEC).is_err() {
        complain!("Descriptor {SOCKET_FD} is no socket; tabard starts this program");
        return ExitCode::from(STATUS_USAGE);
    }
    let layers = match jail::enter(&socket, jail::Inmate::Engine(&installation)) {
        Ok(layers) => layers,
        Err(error) => {
            complain!("{error}: {}", error.errno);
            return ExitCode::FAILURE;
        }
    };
    match serve(&socket, &installation, layers.bits()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain!("tabard-engine: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A QEMU that runs. Dropping it ends it.
struct Running {
    child: Child,
    /// Ready once it has ended.
    handle: OwnedFd,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// Obeys until the guest's process is gone.
fn serve(socket: &OwnedFd, installation: &Installation, layers: u16) -> Result<(), Errno> {
    let rom = rom_file()?;
    say(socket, FromEngine::Jailed(layers), &[])?;
    let mut running: Option<Running> = None;
    loop {
        let ended = running.as_ref().map(|running| running.handle.as_fd());
        let mut fds = vec![PollFd::new(socket, PollFlags::IN)];
        fds.extend(ended.as_ref().map(|handle| PollFd::new(handle, PollFlags::IN)));
        match poll(&mut fds, None) {
            Err(Errno::INTR) => continue,
            other => other?,
        };
        let ended = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        let asked = fds.first().is_some_and(|fd| !fd.revents().is_empty());
        if ended && let Some(mut gone) = running.take() {
            let status = gone.child.wait().map_or(-1, status_of);
            say(socket, FromEngine::Ended(status), &[])?;
        }
        if !asked {
            continue;
        }
        let Some((bytes, fds)) = order::receive(socket, RecvFlags::empty())? else { return Ok(()) };
        match (ToEngine::decode(&bytes), fds.as_slice()) {
            (Ok(ToEngine::Start(order)), [memory]) if running.is_none() => {
                running = Some(start(socket, installation, &order, memory.as_fd(), &rom)?);
            }
            (Ok(ToEngine::End), []) => {
                if let Some(mut running) = running.take() {
                    let _gone = running.child.kill();
                    let status = running.child.wait().map_or(-1, status_of);
                    say(socket, FromEngine::Ended(status), &[])?;
                }
            }
            _ => return Err(Errno::BADMSG),
        }
    }
}

fn say(socket: &OwnedFd, message: FromEngine, fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    order::send(socket, &message.encode(), fds)
}

/// A status as a shell says it.
fn status_of(status: ExitStatus) -> i32 {
    let signalled = || status.signal().map(|signal| signal.saturating_add(128));
    status.code().or_else(signalled).unwrap_or(-1)
}

/// The firmware, in memory that nobody can change.
fn rom_file() -> Result<File, Errno> {
    let fd = memfd_create("firmware", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(&rom::rom()).map_err(|_| Errno::IO)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    Ok(file)
}

/// Starts QEMU for this machine, and hands the other ends of its sockets over.
fn start(
    socket: &OwnedFd,
    installation: &Installation,
    order: &Order,
    memory: BorrowedFd<'_>,
    rom: &File,
) -> Result<Running, Errno> {
    let count = FIXED_SOCKETS.saturating_add(order.volumes.into());
    let pair = |_| socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
    let pairs: Vec<(OwnedFd, OwnedFd)> = (0..count).map(pair).collect::<Result<_, _>>()?;
    let (ours, theirs): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let (faults, log) = pipe_with(PipeFlags::CLOEXEC)?;
    fcntl_setfl(&faults, OFlags::NONBLOCK)?;
    let state = memfd_create("state", MemfdFlags::CLOEXEC)?;
    let descriptors = Descriptors {
        memory: memory.as_raw_fd(),
        rom: rom.as_raw_fd(),
        log: log.as_raw_fd(),
        state: state.as_raw_fd(),
        sockets: theirs.iter().map(AsRawFd::as_raw_fd).collect(),
    };
    // QEMU gets its end of the display by its monitor, from the guest's process.
    let display = theirs.get(DISPLAY_SOCKET).map(AsFd::as_fd);
    let folder = installation.folder.as_deref();
    let mut command = Command::new(&installation.program);
    command.args(command::arguments(order, &descriptors, folder));
    command.env_clear().current_dir("/");
    if let Some(folder) = folder {
        let libraries = std::env::join_paths(installation.libraries()).unwrap_or_default();
        command.env("LD_LIBRARY_PATH", libraries);
        command.env("QEMU_MODULE_DIR", folder.join("usr/lib/x86_64-linux-gnu/qemu"));
    }
    // It has no use for a standard input, and what it says goes to the guest's messages.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut inherited = descriptors.sockets;
    inherited.remove(DISPLAY_SOCKET);
    inherited.extend([descriptors.memory, descriptors.rom, descriptors.log, descriptors.state]);
    let number = u32::try_from(descriptors.state).unwrap_or(0);
    let filter = jail::program_of(jail::Role::Qemu)?;
    let guest_bytes = u64::from(order.memory_mib).saturating_mul(MIB);
    let prepare = move || {
        for fd in &inherited {
            // SAFETY: the descriptors are open until after the new program has begun.
            let fd = unsafe { BorrowedFd::borrow_raw(*fd) };
            fcntl_setfd(fd, FdFlags::empty())?;
        }
        set_parent_process_death_signal(Some(Signal::KILL))?;
        jail::limit_engine(guest_bytes)?;
        jail::apply(&filter)?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only and takes no lock: the process has one
    // thread.
    unsafe { command.pre_exec(prepare) };
    let child = command.spawn().map_err(|error| {
        complain!("Cannot start {}: {error}", installation.program.display());
        Errno::from_io_error(&error).unwrap_or(Errno::IO)
    })?;
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let handle = pidfd_open(id, PidfdFlags::empty())?;
    let running = Running { child, handle };
    let user = rustix::process::getuid().as_raw();
    let others = display.into_iter().chain([faults.as_fd(), state.as_fd()]);
    let fds: Vec<BorrowedFd<'_>> = ours.iter().map(AsFd::as_fd).chain(others).collect();
    say(socket, FromEngine::Started { user, state: number }, &fds)?;
    Ok(running)
}
