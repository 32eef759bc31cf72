//! Collects what a machine is made of, in the one order that makes sense.

use std::fs::File;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::FileExt;

use kvm_ioctls::Kvm;
use tabard_wire::{FailReason, ToVmm};

use crate::boot::{BootError, Image, MAX_COMMAND_LINE_BYTES};
use crate::engine::qemu::Sibling;
use crate::jail;
use crate::machine::{Engine, MAX_VOLUMES};
use crate::memory::{MIB, file_bytes};
use crate::serial_log::SerialLog;
use crate::snapshot::MAX_STATE_BYTES;

/// The KVM API that has been stable since Linux 2.6.22.
const KVM_API_VERSION: i32 = 12;

/// How far the messages have come; each may only follow some before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    #[default]
    Nothing,
    Machine,
    /// The engine's socket, whose memory is still to come.
    Socket,
    /// Whatever runs the machine.
    Engine,
    Kernel,
    Initrd,
    CommandLine,
    SerialLog,
}

/// What has come so far.
#[derive(Default)]
pub struct Setup {
    stage: Stage,
    size: Option<(u32, u8)>,
    socket: Option<OwnedFd>,
    engine: Option<Engine>,
    kernel: Option<File>,
    initrd: Option<File>,
    command_line: Vec<u8>,
    log: Option<SerialLog>,
    volumes: Vec<Volume>,
    no_acpi: bool,
    basic_display: bool,
}

/// A raw image for the guest.
#[derive(Debug)]
pub struct Volume {
    /// The image.
    pub file: File,
    /// Whether the guest may only read.
    pub read_only: bool,
    /// Where what it writes goes instead, if that is to be forgotten.
    pub overlay: Option<File>,
}

/// Everything but the surface.
pub struct Parts {
    /// Guest memory in MiB.
    pub memory_mib: u32,
    /// Virtual processors.
    pub vcpus: u8,
    /// What runs the machine.
    pub engine: Engine,
    /// What to boot.
    pub image: Image,
    /// The serial port's log.
    pub log: SerialLog,
    /// The disks.
    pub volumes: Vec<Volume>,
    /// Whether the display is a framebuffer and nothing else.
    pub basic_display: bool,
}

impl Parts {
    /// Bounds what this process can use up to what this machine needs, and what `keeps` it: before
    /// anything of the guest's is read, so that a crafted kernel is bound too.
    ///
    /// # Errors
    /// `Jail` if a limit is refused.
    pub fn limit(&self, keeps: bool) -> Result<(), BootError> {
        let files = self.volumes.iter().flat_map(|one| [Some(&one.file), one.overlay.as_ref()]);
        let longest = files.flatten().map(|file| file_bytes(file).unwrap_or(0));
        let memory = u64::from(self.memory_mib).saturating_mul(MIB);
        let kept = if keeps { memory.max(MAX_STATE_BYTES) } else { 0 };
        let longest = longest.fold(self.log.longest_bytes().max(kept), u64::max);
        let refused = |errno: rustix::io::Errno| {
            BootError::new(FailReason::Jail, u64::try_from(errno.raw_os_error()).unwrap_or(0))
        };
        jail::limit_files(longest).map_err(refused)?;
        jail::limit_memory(memory).map_err(refused)
    }
}

fn out_of_order() -> BootError {
    BootError::new(FailReason::Protocol, 0)
}

impl Setup {
    /// Takes one message of the setup, all but `Surface` and `Load`.
    ///
    /// # Errors
    /// `Protocol` for a message out of order, otherwise what is wrong with the descriptor.
    pub fn take(&mut self, message: ToVmm, fd: Option<OwnedFd>) -> Result<(), BootError> {
        if let (ToVmm::Volume { read_only }, Stage::SerialLog, true) =
            (message, self.stage, self.volumes.len() < MAX_VOLUMES)
        {
            let file = File::from(fd.ok_or_else(out_of_order)?);
            self.volumes.push(Volume { file, read_only, overlay: None });
            return Ok(());
        }
        if let (ToVmm::Overlay, Some(volume)) = (message, self.volumes.last_mut())
            && volume.read_only
        {
            volume.overlay = Some(File::from(fd.ok_or_else(out_of_order)?));
            volume.read_only = false;
            return Ok(());
        }
        if let ToVmm::NoAcpi | ToVmm::BasicDisplay = message
            && self.stage >= Stage::Kernel
        {
            self.no_acpi |= message == ToVmm::NoAcpi;
            self.basic_display |= message == ToVmm::BasicDisplay;
            return Ok(());
        }
        let (stage, earliest) = match message {
            ToVmm::Machine { .. } => (Stage::Machine, Stage::Nothing),
            ToVmm::Kvm if self.stage == Stage::Machine => (Stage::Engine, Stage::Machine),
            ToVmm::Engine => (Stage::Socket, Stage::Machine),
            ToVmm::Memory => (Stage::Engine, Stage::Socket),
            ToVmm::Kernel => (Stage::Kernel, Stage::Engine),
            ToVmm::Initrd => (Stage::Initrd, Stage::Kernel),
            ToVmm::CommandLine => (Stage::CommandLine, Stage::Kernel),
            ToVmm::SerialLog { .. } => (Stage::SerialLog, Stage::Kernel),
            _ => return Err(out_of_order()),
        };
        if self.stage < earliest || self.stage >= stage {
            return Err(out_of_order());
        }
        self.stage = stage;
        match (message, fd) {
            (ToVmm::Machine { memory_mib, vcpus }, None) => self.size = Some((memory_mib, vcpus)),
            (ToVmm::Kvm, Some(fd)) => self.engine = Some(Engine::Kvm(open_kvm(fd)?)),
            (ToVmm::Engine, Some(fd)) => self.socket = Some(fd),
            (ToVmm::Memory, Some(fd)) => {
                let socket = self.socket.take().ok_or_else(out_of_order)?;
                let (memory_mib, _) = self.size.ok_or_else(out_of_order)?;
                let bytes = u64::from(memory_mib).saturating_mul(MIB);
                self.engine = Some(Engine::Qemu(Sibling::new(socket, fd, bytes)?));
            }
            (ToVmm::Kernel, Some(fd)) => self.kernel = Some(File::from(fd)),
            (ToVmm::Initrd, Some(fd)) => self.initrd = Some(File::from(fd)),
            (ToVmm::CommandLine, Some(fd)) => self.command_line = read_line(&File::from(fd))?,
            (ToVmm::SerialLog { limit_bytes }, Some(fd)) => {
                self.log = Some(SerialLog::new(File::from(fd), limit_bytes));
            }
            _ => return Err(out_of_order()),
        }
        Ok(())
    }

    /// Whether all has come that must come before the first surface.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stage == Stage::SerialLog
    }

    /// The parts of the machine.
    ///
    /// # Errors
    /// `Protocol` if something is missing.
    pub fn finish(self) -> Result<Parts, BootError> {
        let (memory_mib, vcpus) = self.size.ok_or_else(out_of_order)?;
        let engine = self.engine.ok_or_else(out_of_order)?;
        // An emulated processor is slow at what this one does in a second.
        let unpack = matches!(engine, Engine::Qemu(_));
        Ok(Parts {
            memory_mib,
            vcpus,
            engine,
            image: Image {
                kernel: self.kernel.ok_or_else(out_of_order)?,
                initrd: self.initrd,
                command_line: self.command_line,
                no_acpi: self.no_acpi,
                unpack,
            },
            log: self.log.ok_or_else(out_of_order)?,
            volumes: self.volumes,
            basic_display: self.basic_display,
        })
    }
}

fn open_kvm(fd: OwnedFd) -> Result<Kvm, BootError> {
    let fd = fd.into_raw_fd();
    // SAFETY: the number comes from an owned descriptor that was given up just before, so this
    // is its only owner.
    let kvm = unsafe { Kvm::from_raw_fd(fd) };
    if kvm.get_api_version() == KVM_API_VERSION {
        return Ok(kvm);
    }
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(0);
    Err(BootError::new(FailReason::Kvm, u64::try_from(errno).unwrap_or(0)))
}

/// Reads the whole line from its start, wherever the descriptor stands.
fn read_line(file: &File) -> Result<Vec<u8>, BootError> {
    let mut line = vec![0; MAX_COMMAND_LINE_BYTES.saturating_add(1)];
    let mut length = 0usize;
    while let Some(rest) = line.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let offset = u64::try_from(length).unwrap_or(u64::MAX);
        match file.read_at(rest, offset) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return Err(BootError::new(FailReason::CommandLine, 0)),
        }
    }
    line.truncate(length);
    if length > MAX_COMMAND_LINE_BYTES || line.contains(&0) {
        let length = u64::try_from(length).unwrap_or(u64::MAX);
        return Err(BootError::new(FailReason::CommandLine, length));
    }
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_before_kvm_is_out_of_order() {
        let mut setup = Setup::default();
        setup.take(ToVmm::Machine { memory_mib: 64, vcpus: 1 }, None).unwrap();
        let fd = OwnedFd::from(File::open("/dev/null").unwrap());
        assert_eq!(setup.take(ToVmm::Kernel, Some(fd)), Err(out_of_order()));
    }

    #[test]
    fn the_same_message_twice_is_out_of_order() {
        let mut setup = Setup::default();
        let machine = ToVmm::Machine { memory_mib: 64, vcpus: 1 };
        setup.take(machine, None).unwrap();
        assert_eq!(setup.take(machine, None), Err(out_of_order()));
    }

    #[test]
    fn volumes_come_after_the_log_and_have_a_limit() {
        let null = || Some(OwnedFd::from(File::open("/dev/null").unwrap()));
        let volume = ToVmm::Volume { read_only: true };
        let mut setup = Setup::default();
        assert_eq!(setup.take(volume, null()), Err(out_of_order()));
        setup.stage = Stage::SerialLog;
        for _ in 0..MAX_VOLUMES {
            setup.take(volume, null()).unwrap();
        }
        assert_eq!(setup.take(volume, null()), Err(out_of_order()));
    }

    #[test]
    fn an_overlay_belongs_to_the_read_only_volume_before_it() {
        let null = || Some(OwnedFd::from(File::open("/dev/null").unwrap()));
        let mut setup = Setup { stage: Stage::SerialLog, ..Default::default() };
        assert_eq!(setup.take(ToVmm::Overlay, null()), Err(out_of_order()));
        setup.take(ToVmm::Volume { read_only: false }, null()).unwrap();
        assert_eq!(setup.take(ToVmm::Overlay, null()), Err(out_of_order()));
        setup.take(ToVmm::Volume { read_only: true }, null()).unwrap();
        setup.take(ToVmm::Overlay, null()).unwrap();
        assert_eq!(setup.take(ToVmm::Overlay, null()), Err(out_of_order()));
    }

    #[test]
    fn what_is_not_kvm_is_refused_with_the_errno() {
        let fd = OwnedFd::from(File::open("/dev/null").unwrap());
        let error = open_kvm(fd).err().unwrap();
        assert_eq!(error, BootError::new(FailReason::Kvm, libc::ENOTTY as u64));
    }

    #[test]
    fn a_command_line_with_nul_or_too_long_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.write_all_at(b"a\0b", 0).unwrap();
        assert_eq!(read_line(&file), Err(BootError::new(FailReason::CommandLine, 3)));
        file.write_all_at(&[b'a'; 5000], 0).unwrap();
        assert_eq!(read_line(&file), Err(BootError::new(FailReason::CommandLine, 4097)));
    }
}
