//! One QEMU beside one guest's process; all of it is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    tabard_vmm::engine_main()
}
