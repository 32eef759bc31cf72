//! What the process gives up before it reads its first message. The full jail (seccomp,
//! Landlock, namespaces) belongs here too.

use rustix::process::{DumpableBehavior, Resource, Rlimit, Signal};

/// How far a guest stands behind the trusted side; 10 is about a tenth of its share.
const NICE: i32 = 10;

/// Gives up all that this process never needs: it dies with its parent, gains no privilege by
/// `exec`, leaves no core with guest memory and cannot be traced by another process of its user.
///
/// # Errors
/// The errno of the first step that failed.
pub fn enter() -> rustix::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // The trusted side runs first where processors are short: a guest that spins must not keep
    // the user waiting for the secure-attention key.
    rustix::process::nice(NICE)?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    rustix::process::setrlimit(Resource::Core, none)
}
