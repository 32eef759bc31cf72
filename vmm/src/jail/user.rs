//! Who the process is: nobody that the host knows. It leaves the host's namespaces, and where it
//! was root it takes a user and group that nothing else has.

use std::fs;

use rustix::process::{Gid, Uid, getegid, geteuid, getpid};
use rustix::thread::UnshareFlags;
use tabard_wire::{Layer, Layers};

use super::{JailError, at};

/// First of the users for guests of a `tabard` that runs as root; the process id is added. No
/// distribution gives numbers from 1879048192 to 2147483647 to anyone (systemd, UIDS-GIDS.md),
/// and a process id is below 4194304.
const FIRST_GUEST_USER: u32 = 2_046_820_352;

/// Which identity is taken once the root is empty.
#[derive(Debug, Clone, Copy)]
pub(super) enum Identity {
    /// An ordinary user's process, in its own user namespace or, where the host forbids that, not.
    Ordinary { own: bool },
    /// Root's process, which becomes this user and group.
    Drop(u32),
}

/// Leaves every namespace that may be left; those layers, and who to become.
pub(super) fn leave_the_host() -> (Layers, Identity) {
    let identity = if geteuid().is_root() {
        let process = u32::try_from(getpid().as_raw_nonzero().get()).unwrap_or(0);
        Identity::Drop(FIRST_GUEST_USER.saturating_add(process))
    } else {
        Identity::Ordinary { own: own_user_namespace() }
    };
    let wanted = [
        (UnshareFlags::NEWNET, Layer::Net),
        (UnshareFlags::NEWIPC, Layer::Ipc),
        (UnshareFlags::NEWUTS, Layer::Uts),
        (UnshareFlags::NEWNS, Layer::Mount),
        (UnshareFlags::NEWPID, Layer::Pid),
    ];
    let left = wanted.into_iter().filter(|(flag, _)| unshare(*flag));
    (left.fold(Layers::default(), |layers, (_, layer)| layers.with(layer)), identity)
}

fn unshare(what: UnshareFlags) -> bool {
    // SAFETY: none of the flags asked for here takes memory or descriptors from a thread that
    // still uses them; the process has only this one.
    unsafe { rustix::thread::unshare_unsafe(what) }.is_ok()
}

/// A user namespace in which this user is itself and nobody else exists.
fn own_user_namespace() -> bool {
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    if !unshare(UnshareFlags::NEWUSER) {
        return false;
    }
    // Without the maps the process is nobody, and the kernel lets nobody mount: that shows as a
    // missing layer.
    let _unmapped = fs::write("/proc/self/setgroups", "deny")
        .and_then(|()| fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
        .and_then(|()| fs::write("/proc/self/gid_map", format!("{group} {group} 1")));
    true
}

impl Identity {
    /// Becomes it; whether the process is now in a user namespace of its own.
    ///
    /// # Errors
    /// When root's process cannot put root down.
    pub(super) fn take(self) -> Result<bool, JailError> {
        match self {
            Self::Ordinary { own } => Ok(own),
            Self::Drop(number) => {
                drop_root(number)?;
                // As an ordinary user now. Its numbers are mapped to nobody, nobody needs them.
                Ok(unshare(UnshareFlags::NEWUSER))
            }
        }
    }

    /// Becomes it as far as the keeper needs: no namespace, only no root.
    ///
    /// # Errors
    /// As [`Identity::take`].
    pub(super) fn drop_only(self) -> Result<(), JailError> {
        match self {
            Self::Ordinary { .. } => Ok(()),
            Self::Drop(number) => drop_root(number),
        }
    }
}

/// Takes this user and group and no others, for good: the kernel drops all capabilities with it.
/// The process has one thread, so the calls that change only the calling thread change it all.
fn drop_root(number: u32) -> Result<(), JailError> {
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    rustix::thread::set_thread_groups(&[]).map_err(at("setgroups"))?;
    rustix::thread::set_thread_res_gid(group, group, group).map_err(at("setresgid"))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(at("setresuid"))
}
