//! The control group that `tabard` made for this process: it walks in by itself, before anything
//! else it does, so that nothing of it is ever outside and no path has to enter it.

use std::io::{stderr, stdout};

use rustix::fs::fstatfs;
use rustix::io::{Errno, write};
use rustix::stdio::dup2_stdout;

/// `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const CGROUP2: u64 = 0x6367_7270;

/// Goes into the group whose `cgroup.procs` is on standard output, and gives the descriptor up.
/// `false` if `tabard` made none: then there is `/dev/null`.
///
/// # Errors
/// When there is a group, and it cannot be entered.
pub(super) fn enter() -> Result<bool, Errno> {
    let door = stdout();
    let kind = fstatfs(&door).map_or(0, |system| system.f_type.cast_unsigned());
    if kind != CGROUP2 {
        return Ok(false);
    }
    write(&door, b"0")?;
    // Whoever takes this process over finds its messages there and nothing else.
    dup2_stdout(stderr())?;
    Ok(true)
}
