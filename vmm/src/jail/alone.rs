//! Nothing shared with others: descriptors that came along, processor cores.

use rustix::io::Errno;

/// The first descriptor after wire, nothing and messages.
const FIRST_STRAY: libc::c_uint = 3;
/// `PR_SCHED_CORE` and its `PR_SCHED_CORE_CREATE` (linux/prctl.h, Linux 5.14).
const PR_SCHED_CORE: libc::c_int = 62;
const PR_SCHED_CORE_CREATE: libc::c_ulong = 1;
/// The cookie is for all threads of the process (`PIDTYPE_TGID`).
const THREAD_GROUP: libc::c_ulong = 1;

/// Closes every descriptor above 2: what a shell or a service left open is not a guest's.
///
/// # Errors
/// The errno of `close_range` (Linux 5.9).
pub(super) fn close_all_others() -> rustix::io::Result<()> {
    // SAFETY: the process has just begun: nothing in it owns a descriptor above 2 yet.
    let done = unsafe { libc::close_range(FIRST_STRAY, libc::c_uint::MAX, 0) };
    if done == 0 { Ok(()) } else { Err(last_errno()) }
}

/// Asks for a core-scheduling cookie: threads of other cookies never run on a sibling thread of
/// the same core (Documentation/admin-guide/hw-vuln/core-scheduling.rst). `false` if the kernel
/// was built without.
pub(super) fn share_no_core() -> bool {
    let whole: libc::c_ulong = 0;
    // SAFETY: these arguments make the kernel write no memory of this process.
    let done =
        unsafe { libc::prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, whole, THREAD_GROUP, whole) };
    done == 0
}

/// Keeps the C library's heap from looking for files, which the jail answers with death: beyond eight
/// threads in /sys for the number of processors, and before it gives back memory of a thread's arena in
/// /proc for how memory is counted. What is large is not of an arena and is given back at once.
pub(super) fn plain_heap() {
    // SAFETY: called while there is one thread, and it changes no memory that is in use.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 4) };
    // SAFETY: as above.
    unsafe { libc::mallopt(libc::M_TRIM_THRESHOLD, libc::c_int::MAX) };
}

/// The errno of the C function just called.
pub(super) fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
