//! Where an intruder would stand: after the jail and before the guest, on the threads that read
//! what a guest writes. The shipped program puts nobody there; the tests of the jail do.

use std::sync::OnceLock;

pub use crate::jail::Role;

/// What runs in an intruder's place. First on the session's thread with the command line of the
/// guest, just before the guest runs; then on each processor's thread, with an empty line.
pub type Intruder = fn(Role, &[u8]);

static INTRUDER: OnceLock<Intruder> = OnceLock::new();

/// Lets one in, once for the process.
pub(crate) fn admit(intruder: Intruder) {
    // A second one stays outside.
    let _first = INTRUDER.set(intruder);
}

/// Lets the intruder act, if there is one.
pub(crate) fn act(role: Role, line: &[u8]) {
    if let Some(intruder) = INTRUDER.get() {
        intruder(role, line);
    }
}
