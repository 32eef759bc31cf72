//! A `tabard-vmm` that has been taken over: the same program in the same jail, and then what an
//! intruder would try. A guest's command line says what: `try=NAME` on the session's thread,
//! `try=NAME@vcpu` on a processor's; `other=PID` is another guest's process. Without `try=` it is a good `tabard-vmm`.
//!
//! What came of it is printed on standard error, if the process lives to tell:
//! `try NAME: errno N` or `try NAME: DONE`.

mod tries;

use std::process::ExitCode;
use std::sync::OnceLock;

use tabard_vmm::intruder::Role;
use tries::{attempt, attempt_on};

/// What was asked of the processor's thread.
static FOR_VCPU: OnceLock<String> = OnceLock::new();

fn main() -> ExitCode {
    tabard_vmm::main_with(|role, line| match role {
        Role::Devices => {
            let line = String::from_utf8_lossy(line);
            let Some(name) = line.split_whitespace().find_map(|word| word.strip_prefix("try="))
            else {
                return;
            };
            match name.strip_suffix("@vcpu") {
                Some(name) => {
                    let _first = FOR_VCPU.set(name.to_owned());
                }
                None => {
                    let other =
                        line.split_whitespace().find_map(|word| word.strip_prefix("other="));
                    match other.and_then(|other| other.parse().ok()) {
                        Some(other) => attempt_on(name, other),
                        None => attempt(name),
                    }
                }
            }
        }
        Role::Vcpu => {
            if let Some(name) = FOR_VCPU.get() {
                attempt(name);
            }
        }
        Role::Disks | Role::Keeper | Role::Engine | Role::Qemu => {}
    })
}
