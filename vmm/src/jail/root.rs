//! The view of the file system: one empty directory that cannot be written.

use std::ffi::CStr;

use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount,
};

/// A directory that every Linux host has; only this process sees what is mounted there.
const PLACE: &CStr = c"/proc";

/// Makes an empty directory the root of this process's own mount namespace and lets everything
/// else go. Nothing in it can be made, read or run.
///
/// # Errors
/// The errno of the step that the host forbids.
pub(super) fn empty() -> rustix::io::Result<()> {
    // What happens here is to stay here, and a shared root cannot be exchanged (pivot_root(2)).
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let shut = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount(c"none", PLACE, c"tmpfs", shut, c"size=4k,nr_inodes=2,mode=555")?;
    rustix::process::chdir(PLACE)?;
    // The old root lands on top of the new one and is taken off again.
    rustix::process::pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")?;
    mount_remount(c"/", shut | MountFlags::BIND | MountFlags::RDONLY, c"")?;
    Ok(())
}
