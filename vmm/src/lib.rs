//! One guest: KVM, memory, boot, virtio devices. The binary `tabard-vmm` is this library on
//! descriptor 0; tests reach the devices without KVM.
//!
//! A key walks `wire` -> `session` -> `devices::input` -> guest; a pixel walks guest ->
//! `devices::gpu` -> `surface`, and its damage `outbox` -> `wire`.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

/// Prints a line on standard error, like `eprintln!`, which panics where it cannot: a file of
/// messages that has reached its limit must not be the end of the guest.
macro_rules! complain {
    ($($line:tt)*) => {{
        use std::io::Write as _;
        let _full = writeln!(std::io::stderr(), $($line)*);
    }};
}

mod acpi;
mod agent;
pub mod boot;
mod bus;
mod cpu;
pub mod devices;
mod disks;
pub mod engine;
mod framebuffer;
pub mod intruder;
mod jail;
mod kick;
mod machine;
pub mod memory;
mod outbox;
pub mod ports;
mod rect;
mod serial_log;
mod session;
mod setup;
mod snapshot;
pub mod surface;
mod vcpu;
mod wire;

use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

use tabard_wire::{FailReason, FromVmm};

use session::End;
use wire::Wire;

/// The descriptor that `tabard` hands over as standard input: the one place that a parent can
/// fill without unsafe code.
const WIRE_FD: i32 = 0;
/// Exit status when the process was not started by `tabard`.
const STATUS_NO_WIRE: u8 = 2;

/// The whole process with an intruder in it, for the tests of the jail. Nothing shipped calls it.
#[must_use]
pub fn main_with(intruder: intruder::Intruder) -> ExitCode {
    intruder::admit(intruder);
    main()
}

/// The whole process `tabard-engine`. Call it once, first in `main`.
#[must_use]
pub fn engine_main() -> ExitCode {
    kick::outlive_full_files();
    engine::qemu::engine_main()
}

/// The whole process. Call it once, first in `main`.
#[must_use]
pub fn main() -> ExitCode {
    // A thread that panics must not leave a machine half alive: end of file tells `tabard`.
    std::panic::set_hook(Box::new(|information| {
        complain!("{information}");
        std::process::abort();
    }));
    kick::outlive_full_files();
    // SAFETY: `tabard` leaves the wire on this descriptor and nothing here has taken it yet; if
    // it is not open, the first call on it fails and the process ends.
    let socket = unsafe { OwnedFd::from_raw_fd(WIRE_FD) };
    let wire = match Wire::new(socket) {
        Ok(wire) => wire,
        Err(error) => {
            complain!("Descriptor {WIRE_FD} is not a wire ({error}); tabard starts this program");
            return ExitCode::from(STATUS_NO_WIRE);
        }
    };
    // The handler of a kick first: the jail lets no handler be changed.
    let jailed = kick::install().map_err(|error| error.errno()).and_then(|()| {
        jail::enter(&wire, jail::Inmate::Guest).map_err(|error| error.errno.raw_os_error())
    });
    match jailed {
        Ok(layers) => wire.send(FromVmm::Jailed { layers }),
        Err(errno) => {
            let detail = u64::try_from(errno).unwrap_or(0);
            wire.send(FromVmm::Failed { reason: FailReason::Jail, detail });
            return ExitCode::FAILURE;
        }
    };
    match session::run(wire) {
        End::Done => ExitCode::SUCCESS,
        End::Failed => ExitCode::FAILURE,
    }
}
