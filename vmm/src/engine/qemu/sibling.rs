//! The `tabard-engine` beside this process, and the memory that QEMU and we share.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_get_seals, fstat};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tabard_wire::{FailReason, Layers};

use super::order::{self, FIXED_SOCKETS, FromEngine, OTHERS, Order, ToEngine};
use crate::boot::BootError;

/// How long `tabard-engine` may take to answer: it makes namespaces, or starts a process.
const PATIENCE: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// The socket to `tabard-engine`, and the guest's memory.
pub struct Sibling {
    socket: OwnedFd,
    memory: File,
    /// Whether a QEMU was started of which no end was heard.
    running: Arc<AtomicBool>,
}

fn engine_error(errno: Errno) -> BootError {
    BootError::new(FailReason::Engine, u64::try_from(errno.raw_os_error()).unwrap_or(0))
}

impl Sibling {
    /// Takes what `tabard` gave, for a machine of so many bytes of memory.
    ///
    /// # Errors
    /// `Memory` if the memory has another size, or somebody could still change it.
    pub fn new(socket: OwnedFd, memory: OwnedFd, bytes: u64) -> Result<Self, BootError> {
        let refused = || BootError::new(FailReason::Memory, 0);
        let seals = fcntl_get_seals(&memory).map_err(|_| refused())?;
        let size = fstat(&memory).map_err(|_| refused())?.st_size;
        let sealed = seals.contains(SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL);
        if !sealed || u64::try_from(size) != Ok(bytes) {
            return Err(refused());
        }
        Ok(Self { socket, memory: File::from(memory), running: Arc::default() })
    }

    /// Second handles.
    ///
    /// # Errors
    /// `Device` when there are none to be had.
    pub fn try_clone(&self) -> Result<Self, BootError> {
        let failed = crate::machine::device_error;
        let socket = self.socket.try_clone().map_err(failed)?;
        let memory = self.memory.try_clone().map_err(failed)?;
        Ok(Self { socket, memory, running: Arc::clone(&self.running) })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// The guest's memory.
    #[must_use]
    pub fn memory(&self) -> &File {
        &self.memory
    }

    /// Device and number of the memory's file.
    ///
    /// # Errors
    /// `Memory`.
    pub fn identity(&self) -> Result<(u64, u64), BootError> {
        let stat = fstat(&self.memory).map_err(|_| BootError::new(FailReason::Memory, 0))?;
        Ok((stat.st_dev, stat.st_ino))
    }

    /// Gives all pages back: the next machine finds zeroes. Nobody else may have it mapped and run.
    ///
    /// # Errors
    /// `Memory` with the errno.
    pub fn forget_memory(&self) -> Result<(), BootError> {
        let failed = |errno: Errno| {
            BootError::new(FailReason::Memory, u64::try_from(errno.raw_os_error()).unwrap_or(0))
        };
        let bytes = u64::try_from(fstat(&self.memory).map_err(failed)?.st_size).unwrap_or(0);
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        fallocate(&self.memory, hole, 0, bytes).map_err(failed)
    }

    /// How `tabard-engine` is jailed: the first that it says.
    ///
    /// # Errors
    /// `Engine` if it does not say it.
    pub fn jailed(&self) -> Result<Layers, BootError> {
        match self.answer()? {
            (FromEngine::Jailed(bits), _) => {
                Layers::from_bits(bits).map_err(|_| BootError::new(FailReason::Engine, 0))
            }
            _ => Err(BootError::new(FailReason::Engine, 0)),
        }
    }

    /// Lets QEMU be started: our ends of its sockets, the user that it takes us for, and its number of
    /// the file for its state.
    ///
    /// # Errors
    /// `Engine` with the errno, or 0.
    pub fn start(&self, order: Order) -> Result<(Vec<OwnedFd>, u32, u32), BootError> {
        let start = ToEngine::Start(order).encode();
        self.running.store(true, Ordering::Relaxed);
        order::send(&self.socket, &start, &[self.memory.as_fd()]).map_err(engine_error)?;
        let count = FIXED_SOCKETS.saturating_add(order.volumes.into()).saturating_add(OTHERS);
        match self.answer()? {
            (FromEngine::Started { user, state }, fds) if fds.len() == count => {
                Ok((fds, user, state))
            }
            _ => Err(BootError::new(FailReason::Engine, 0)),
        }
    }

    /// Waits for one answer.
    fn answer(&self) -> Result<(FromEngine, Vec<OwnedFd>), BootError> {
        let nothing = || BootError::new(FailReason::Engine, 0);
        let ready = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&PATIENCE));
        if ready.map_err(engine_error)? == 0 {
            return Err(nothing());
        }
        let received = order::receive(&self.socket, RecvFlags::DONTWAIT).map_err(engine_error)?;
        let (bytes, fds) = received.ok_or_else(nothing)?;
        Ok((FromEngine::decode(&bytes).map_err(|_| nothing())?, fds))
    }

    /// The status of QEMU, if it has ended; without waiting.
    ///
    /// # Errors
    /// In words: `tabard-engine` is gone, or says what it may not.
    pub fn ended(&self) -> Result<Option<i32>, String> {
        match order::receive(&self.socket, RecvFlags::DONTWAIT) {
            Ok(Some((bytes, _))) => match FromEngine::decode(&bytes) {
                Ok(FromEngine::Ended(status)) => {
                    self.running.store(false, Ordering::Relaxed);
                    Ok(Some(status))
                }
                Ok(other) => Err(format!("{other:?} was not asked for")),
                Err(error) => Err(error.to_string()),
            },
            Ok(None) => Err("It is gone".to_owned()),
            Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.to_string()),
        }
    }

    /// Ends QEMU, if one was started, and waits until it is gone: nobody runs in the memory any more.
    ///
    /// # Errors
    /// `Engine` if `tabard-engine` does not say so in time, or says something else.
    pub fn end(&self) -> Result<(), BootError> {
        // An end that was heard already is not told again.
        if !self.running.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        order::send(&self.socket, &ToEngine::End.encode(), &[]).map_err(engine_error)?;
        match self.answer()? {
            (FromEngine::Ended(_), _) => Ok(()),
            _ => Err(BootError::new(FailReason::Engine, 0)),
        }
    }
}
