//! A process namespace takes a new process: this one forks, the child is the first in the
//! namespace and carries the guest, the parent stays outside and keeps it. The keeper owns no
//! descriptor but one for messages and one that shows that it lives, reads nothing of anyone, and
//! ends when its child does;
//! asked to end (SIGTERM), it first ends the child and waits for it, so that nobody is left.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, WaitOptions, kill_process, set_dumpable_behavior,
    set_parent_process_death_signal, waitpid,
};

use super::filter::{Role, confine};
use super::user::Identity;
use super::{JailError, alone, at};

/// Added to a signal's number to make the status of a process that it ended, as shells do.
const STATUS_SIGNALLED: i32 = 128;

/// What the child knows of its keeper: a pipe that hangs up when the keeper is gone.
#[derive(Debug)]
pub(super) struct Keeper(OwnedFd);

impl Keeper {
    /// Fails if the keeper is gone. Asked after the last change of identity, which takes back the
    /// wish to die with it: a keeper that is killed in between must not leave its child behind.
    ///
    /// # Errors
    /// [`JailError`].
    pub(super) fn must_live(self) -> Result<(), JailError> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)) {
            Ok(0) => Ok(()),
            Ok(_) => Err(JailError { step: "looking for the keeper", errno: Errno::SRCH }),
            Err(errno) => Err(JailError { step: "poll", errno }),
        }
    }
}

/// Forks. Returns in the child only.
///
/// # Errors
/// When there is no process to be had.
pub(super) fn go_inside(wire: BorrowedFd<'_>, identity: Identity) -> Result<Keeper, JailError> {
    let (watch, sign_of_life) = pipe_with(PipeFlags::CLOEXEC).map_err(at("pipe"))?;
    // Blocked before the fork, so that a wish that comes early waits for the keeper to hear it.
    let set = awaited();
    mask(libc::SIG_BLOCK, &set);
    // SAFETY: the process has one thread, so no lock is held that the child could miss.
    match unsafe { libc::fork() } {
        -1 => Err(JailError { step: "fork", errno: alone::last_errno() }),
        0 => {
            mask(libc::SIG_UNBLOCK, &set);
            drop(sign_of_life);
            Ok(Keeper(watch))
        }
        child => {
            drop(watch);
            let status = match Pid::from_raw(child) {
                Some(child) => keep(child, wire, identity, &set),
                None => libc::EXIT_FAILURE,
            };
            // SAFETY: nothing of this process needs to be put in order, its child has it all.
            unsafe { libc::_exit(status) }
        }
    }
}

/// The keeper's life; its status.
fn keep(child: Pid, wire: BorrowedFd<'_>, identity: Identity, set: &libc::sigset_t) -> i32 {
    // SAFETY: the keeper never uses the wire again: it ends by `_exit` without dropping its owner.
    unsafe { libc::close(wire.as_raw_fd()) };
    let shut = identity
        .drop_only()
        .is_ok()
        .then(|| set_parent_process_death_signal(Some(Signal::KILL)))
        .and_then(Result::ok)
        .and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable).ok())
        .and_then(|()| confine(Role::Keeper).ok());
    if shut.is_none() {
        // A keeper that is not shut in keeps nobody.
        let _ending = kill_process(child, Signal::KILL);
    }
    loop {
        if let Ok(Some((_, status))) = waitpid(Some(child), WaitOptions::NOHANG) {
            let signal = || {
                status.terminating_signal().map(|number| number.saturating_add(STATUS_SIGNALLED))
            };
            return status.exit_status().or_else(signal).unwrap_or(libc::EXIT_FAILURE);
        }
        // SAFETY: the set is initialised, and no information about the signal is asked for.
        if unsafe { libc::sigwaitinfo(set, ptr::null_mut()) } == libc::SIGTERM {
            let _ended_already = kill_process(child, Signal::KILL);
        }
    }
}

/// The signals that the keeper waits for.
fn awaited() -> libc::sigset_t {
    // SAFETY: a signal set is plain integers, all zeroes is one without signals.
    let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
    for signal in [libc::SIGTERM, libc::SIGCHLD] {
        // SAFETY: the set is initialised and the number is a signal's.
        unsafe { libc::sigaddset(&raw mut set, signal) };
    }
    set
}

fn mask(how: libc::c_int, set: &libc::sigset_t) {
    // SAFETY: the set is initialised, and the old mask is not asked for.
    unsafe { libc::sigprocmask(how, set, ptr::null_mut()) };
}
