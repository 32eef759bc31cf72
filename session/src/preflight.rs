//! Loads every kernel once, in a `tabard-vmm` that never runs it, before anything starts: a desk
//! with a bad kernel starts nothing. The trusted side itself never parses a kernel.

use std::path::Path;
use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use tabard_display::{Bell, Surface};
use tabard_wire::{FromVmm, SurfaceGeometry, ToVmm};

use super::channel::Incoming;
use super::guest::{fail_words, shape};
use super::process::{GuestProcess, MachineSpec};

/// How long reading a kernel and an initrd from a slow disk may take.
const LOAD_LIMIT: Duration = Duration::from_secs(60);

/// Loads what this guest boots from, and lets it go again.
///
/// # Errors
/// In words: why it cannot be loaded, and what to do.
pub(crate) fn load(program: &Path, spec: &MachineSpec) -> Result<(), String> {
    let process =
        GuestProcess::start(program, spec, &Bell::default()).map_err(|error| error.to_string())?;
    let geometry = SurfaceGeometry::new(64, 64).map_err(|error| error.to_string())?;
    let (_surface, memory) = Surface::create(shape(geometry)).map_err(|error| error.to_string())?;
    process.surface(1, geometry, memory).map_err(|error| error.to_string())?;
    process.channel.send(ToVmm::Load).map_err(|error| error.to_string())?;
    let answer = || process.channel.incoming.recv_timeout(LOAD_LIMIT);
    let mut last = answer();
    if let Ok(Incoming::Message(FromVmm::Jailed { .. })) = last {
        last = answer();
    }
    if let Ok(Incoming::Message(FromVmm::EngineJailed { .. })) = last {
        last = answer();
    }
    match last {
        Ok(Incoming::Message(FromVmm::Loaded)) => Ok(()),
        Ok(Incoming::Message(FromVmm::Failed { reason, detail })) => {
            Err(fail_words(reason, detail))
        }
        Ok(Incoming::Message(other)) => Err(format!("its process answered {other:?} to a load")),
        Ok(Incoming::Garbage(error)) => Err(format!("its process broke the protocol: {error}")),
        Ok(Incoming::Closed) | Err(RecvTimeoutError::Disconnected) => {
            Err("its process ended while loading; check the kernel, and run `tabard doctor`"
                .to_owned())
        }
        Err(RecvTimeoutError::Timeout) => {
            Err(format!("its kernel was not loaded within {} s", LOAD_LIMIT.as_secs()))
        }
    }
}
