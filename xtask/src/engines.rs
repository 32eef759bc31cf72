//! What this machine can run guests on.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use crate::build;

/// The number of the device of KVM: character device 10, 232.
const KVM_DEVICE: u64 = (10 << 8) | 232;

/// Whether `/dev/kvm` can be used.
///
/// # Errors
/// Why not, in words.
pub fn kvm() -> Result<(), String> {
    let file = File::options().read(true).write(true).open("/dev/kvm");
    match file.and_then(|file| file.metadata()).map(|metadata| metadata.rdev()) {
        Ok(KVM_DEVICE) => Ok(()),
        Ok(_) => Err("/dev/kvm is not the device of KVM".to_owned()),
        Err(error) => Err(format!("/dev/kvm does not open ({error})")),
    }
}

/// Whether stock kernels run on this KVM.
///
/// # Errors
/// Why not, in words.
pub fn stock_on_kvm() -> Result<(), String> {
    kvm()?;
    let processor = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if processor.split_whitespace().any(|word| word == "vmx" || word == "svm") {
        return Ok(());
    }
    Err("this KVM has no hardware virtualization (vmx or svm), so it runs built-in guests only"
        .to_owned())
}

/// Makes sure that there is a QEMU to be an engine: one that is missing is loaded.
///
/// # Errors
/// A sentence; why it cannot be had was printed.
pub fn ensure_qemu(tabard: &Path) -> Result<(), String> {
    build::run(Command::new(tabard).args(["engine", "fetch"]))
}
