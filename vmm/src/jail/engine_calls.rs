//! The system calls of QEMU and of the process that starts it, measured from real runs.

use super::calls::Call;

pub(super) const QEMU: &[Call] = &[];
pub(super) const ENGINE: &[Call] = &[];
pub(super) const QEMU_ABSENT: &[Call] = &[];
