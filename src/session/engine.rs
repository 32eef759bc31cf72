//! How a guest's processor and chipset run: on this host's KVM, or on QEMU, which emulates them.

use std::path::PathBuf;

/// What runs a guest's instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// This host's KVM, with a machine of Tabard's own.
    Kvm,
    /// QEMU's emulated processor and chipset, with Tabard's devices.
    Qemu,
}

impl Engine {
    /// As it is written in a desk file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Qemu => "qemu",
        }
    }
}

/// A QEMU that can be an engine: version 8.0 or newer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The program, by an absolute path.
    pub program: PathBuf,
    /// The folder below which the program, its libraries and modules are as in the packages that
    /// they came from (`FOLDER/usr/...`, `FOLDER/lib/...`); `None` for the host's own.
    pub folder: Option<PathBuf>,
}
