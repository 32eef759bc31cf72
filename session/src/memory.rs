//! Memory files for guests' processes. Their sizes never change: a reader comes up neither short
//! nor long.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

/// Zeroes that can be written over.
///
/// # Errors
/// If memory cannot be had.
pub(super) fn zeroes(name: &str, bytes: u64) -> io::Result<OwnedFd> {
    make(name, bytes, &[], SealFlags::empty())
}

/// Bytes that nobody can change any more, not even who gets them.
///
/// # Errors
/// If memory cannot be had.
pub(super) fn sealed(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    make(name, bytes.len() as u64, bytes, SealFlags::WRITE)
}

fn make(name: &str, length: u64, bytes: &[u8], more: SealFlags) -> io::Result<OwnedFd> {
    let memory = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&memory, length)?;
    let file = File::from(memory);
    file.write_all_at(bytes, 0)?;
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL | more)?;
    Ok(file.into())
}
