//! One guest per process; all of it is in the library.
use std::process::ExitCode;

fn main() -> ExitCode {
    tabard_vmm::main()
}
