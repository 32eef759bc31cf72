//! Resource limits: what a process that is taken over can still use up is bounded by these, where
//! no control group bounds it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How far a guest stands behind the trusted side; 10 is about a tenth of its share.
const NICE: i32 = 10;
/// Most descriptors: 64 processors, a dozen devices with their events, the wire, and as many
/// again while one machine takes the place of another.
const MAX_DESCRIPTORS: u64 = 1024;
/// Most threads: 64 processors, the session, 24 for the volumes, and the keeper.
const MAX_THREADS: u64 = 96;
/// Private memory besides the guest's own, in bytes: heap, stacks, the display's resources.
const HEAP_BYTES: u64 = 256 << 20;

/// Private memory of QEMU in bytes.
const ENGINE_BYTES: u64 = 2 << 30;
/// What QEMU may map besides the guest's memory, in bytes: most of it is never touched.
const ENGINE_MAPPED_BYTES: u64 = 4 << 30;
/// Its messages, the only file that it can make longer, in bytes.
const ENGINE_FILE_BYTES: u64 = 16 << 20;

/// Sets all limits that do not depend on the machine. Threads are counted for each user, so
/// their limit is only right with a user of one's own.
///
/// # Errors
/// The errno of the first limit that was refused.
pub(super) fn enter(own_user: bool) -> rustix::io::Result<()> {
    // The trusted side runs first where processors are short: a guest that spins must not keep
    // the user waiting for the secure-attention key.
    rustix::process::nice(NICE)?;
    set(Resource::Core, 0)?;
    set(Resource::Nofile, MAX_DESCRIPTORS)?;
    set(Resource::Memlock, 0)?;
    set(Resource::Msgqueue, 0)?;
    set(Resource::Rtprio, 0)?;
    if own_user {
        set(Resource::Nproc, MAX_THREADS)?;
    }
    Ok(())
}

/// Bounds private memory to a guest of this many bytes and what its devices need.
///
/// # Errors
/// The errno, when the limit is refused.
pub fn limit_memory(guest_bytes: u64) -> rustix::io::Result<()> {
    set(Resource::Data, guest_bytes.saturating_add(HEAP_BYTES))
}

/// Bounds private memory of QEMU and of the process that starts it: translated code, tables of
/// devices, stacks. The guest's own memory is shared and not of it.
///
/// # Errors
/// The errno, when the limit is refused.
pub(super) fn engine_memory() -> rustix::io::Result<()> {
    set(Resource::Data, ENGINE_BYTES)?;
    set(Resource::Fsize, ENGINE_FILE_BYTES)
}

/// Bounds all that QEMU has mapped to a guest of this many bytes and what it needs besides, so that
/// files in memory, which [`engine_memory`] does not count, have an end too.
///
/// # Errors
/// The errno, when the limit is refused.
pub fn limit_engine(guest_bytes: u64) -> rustix::io::Result<()> {
    set(Resource::As, guest_bytes.saturating_add(ENGINE_MAPPED_BYTES))
}

/// Bounds the length of every file that is written from now on, in bytes. It can only be lowered
/// again.
///
/// # Errors
/// The errno, when the limit is refused.
pub fn limit_files(longest_bytes: u64) -> rustix::io::Result<()> {
    set(Resource::Fsize, longest_bytes)
}

/// Sets a limit for good; never above what is allowed already.
fn set(resource: Resource, value: u64) -> rustix::io::Result<()> {
    let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(allowed));
    setrlimit(resource, Rlimit { current: value, maximum: value })
}
