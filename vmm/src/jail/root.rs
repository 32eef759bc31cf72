//! The view of the file system: one empty directory that cannot be written.

use std::ffi::{CStr, OsStr};
use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, fstat, open, readlinkat};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use rustix::process::umask;

/// A directory that every Linux host has; only this process sees what is mounted there.
const PLACE: &CStr = c"/proc";

/// Where a root that is not empty is made.
const STAGE: &CStr = c"/tmp";

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

/// As [`empty`], with these files and folders of the host in their places, to be read, and with
/// `/proc` of the own processes, `/dev/fd` and `/dev/null`.
///
/// # Errors
/// The errno of the step that the host forbids.
pub(super) fn with(paths: &[PathBuf]) -> rustix::io::Result<()> {
    // A user who is not this one must get through every folder, however private the session's files are.
    umask(Mode::WGRP | Mode::WOTH);
    mount_change(c"/", MountPropagationFlags::REC | MountPropagationFlags::PRIVATE)?;
    let shut = MountFlags::NOSUID | MountFlags::NODEV;
    // Opened before the stage covers one of them.
    let handle = |path: &PathBuf| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        open(path, flags, Mode::empty()).ok().map(|fd| (path.clone(), fd))
    };
    let found: Vec<(PathBuf, OwnedFd)> = paths.iter().filter_map(handle).collect();
    mount(c"none", STAGE, c"tmpfs", shut, c"size=64k,nr_inodes=256,mode=755")?;
    let stage = Path::new(OsStr::from_bytes(STAGE.to_bytes()));
    let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    for (path, fd) in &found {
        let place = stage.join(path.strip_prefix("/").unwrap_or(path));
        place.parent().map_or(Ok(()), fs::create_dir_all).map_err(io)?;
        match FileType::from_raw_mode(fstat(fd)?.st_mode) {
            // `/lib` is one where everything is below `/usr`.
            FileType::Symlink => {
                let target = readlinkat(fd, c"", Vec::new())?;
                symlink(OsStr::from_bytes(target.to_bytes()), &place).map_err(io)?;
                continue;
            }
            FileType::Directory => fs::create_dir_all(&place).map_err(io)?,
            _ => File::create(&place).map(drop).map_err(io)?,
        }
        bind(Path::new(&format!("/proc/self/fd/{}", fd.as_raw_fd())), &place, shut)?;
    }
    drop(found);
    let [dev, proc] = ["dev", "proc"].map(|name| stage.join(name));
    fs::create_dir_all(&dev).map_err(io)?;
    fs::create_dir_all(&proc).map_err(io)?;
    symlink("/proc/self/fd", dev.join("fd")).map_err(io)?;
    let null = dev.join("null");
    File::create(&null).map_err(io)?;
    bind(Path::new("/dev/null"), &null, MountFlags::NOSUID | MountFlags::NOEXEC)?;
    // Without what tells of the host: its interrupts count the user's keys.
    mount(c"proc", &proc, c"proc", shut | MountFlags::NOEXEC, c"subset=pid")?;
    rustix::process::chdir(STAGE)?;
    rustix::process::pivot_root(c".", c".")?;
    unmount(c".", UnmountFlags::DETACH)?;
    rustix::process::chdir(c"/")?;
    mount_remount(c"/", shut | MountFlags::BIND | MountFlags::RDONLY, c"")
}

/// Shows what is at `path` at `place` too, to be read only.
fn bind(path: &Path, place: &Path, flags: MountFlags) -> rustix::io::Result<()> {
    mount_bind_recursive(path, place)?;
    mount_remount(place, flags | MountFlags::BIND | MountFlags::RDONLY, c"")
}
