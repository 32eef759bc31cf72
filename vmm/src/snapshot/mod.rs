//! Keeps a machine that stands still, and makes it anew from what was kept. The state is JSON, each
//! device's by its own file `snapshot.rs`; memory and overlays are files of their own. What is read
//! was written by a process that its guest may have taken over: it makes a machine or it is refused,
//! and nothing else comes of it.

pub mod memory;

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use tabard_snapshot::Refusal;
use tabard_snapshot::line::Set;
use tabard_wire::{FailReason, SurfaceGeometry};
use virtio_queue::Queue;

use crate::boot::BootError;
use crate::devices::DeviceError;
use crate::machine::{Devices, Machine, lock};
use crate::memory::{GuestRam, file_bytes};
use crate::setup::Volume;

/// The longest state that is read, in bytes.
pub const MAX_STATE_BYTES: u64 = tabard_snapshot::folder::MAX_STATE_BYTES;

/// A machine but for its memory and overlays.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The size of its surface in pixels.
    width: u32,
    height: u32,
    /// Each device with its rings, in slot order.
    slots: Vec<Value>,
    /// Processors and chipset, as the engine has them.
    hardware: Value,
}

/// What a machine is made from instead of being booted.
#[derive(Debug)]
pub struct Source {
    /// The state.
    pub state: State,
    /// Its memory; `None` if that is where it belongs already.
    pub memory: Option<File>,
    /// What was written over each volume that forgets it.
    pub overlays: Vec<File>,
}

/// A device for a snapshot, but for its rings.
pub trait Keep {
    /// Tells the driver what is done, and takes nothing new: before a snapshot.
    ///
    /// # Errors
    /// As [`crate::devices::Device::process`].
    fn settle(&mut self, _queue: &mut Queue, _ram: &GuestRam) -> Result<(), DeviceError> {
        Ok(())
    }

    /// What it is beside its rings, for a snapshot. The machine stands still.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn keep(&self) -> Result<Value, Refusal> {
        Ok(Value::Null)
    }

    /// Becomes what was kept, from power-on state.
    ///
    /// # Errors
    /// `Malformed`.
    fn restore(&mut self, _kept: Value, _ram: &GuestRam) -> Result<(), Refusal> {
        Ok(())
    }
}

/// A device with its rings for a snapshot.
pub trait KeepSlot {
    /// Tells the driver of a ring that stands still what is done. One that is served needs no telling.
    fn settle(&mut self) {}
    /// Device and rings, for a snapshot. The machine stands still.
    ///
    /// # Errors
    /// Why they cannot be kept.
    fn keep(&mut self) -> Result<Value, Refusal>;
    /// Becomes what was kept, from power-on state.
    ///
    /// # Errors
    /// `Malformed`.
    fn restore(&mut self, kept: Value) -> Result<(), Refusal>;
}

/// What an engine makes around the devices, for a snapshot.
pub trait KeepHardware {
    /// Processors and chipset of a machine that stands still, and its memory to a file of its length.
    ///
    /// # Errors
    /// Why they cannot be kept.
    fn keep(&mut self, memory: &File) -> Result<Value, Refusal>;
    /// Whether the machine goes on after that; else a new one has to be made in its place.
    fn goes_on(&self) -> bool;
}

/// A part of a state as a value.
///
/// # Errors
/// `Engine`: it cannot be written as JSON, which no state of ours is.
pub fn value(part: &impl Serialize) -> Result<Value, Refusal> {
    serde_json::to_value(part).map_err(|_| Refusal::Engine)
}

/// A part of a state from its value.
///
/// # Errors
/// `Malformed`.
pub fn part<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| {
        complain!("Snapshot: {error}");
        Refusal::Malformed
    })
}

impl Source {
    /// Reads the state of a snapshot; memory and overlays are read by the machine that is made.
    ///
    /// # Errors
    /// `File` or `Malformed`.
    pub fn read(files: Set) -> Result<Self, Refusal> {
        let bytes = file_bytes(&files.state).map_err(|_| Refusal::File)?;
        if bytes > MAX_STATE_BYTES {
            return Err(Refusal::Malformed);
        }
        // From its start, wherever the descriptor stands.
        let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
        files.state.read_exact_at(&mut text, 0).map_err(|_| Refusal::File)?;
        let state = serde_json::from_slice(&text).map_err(|error| {
            complain!("Snapshot: {error}");
            Refusal::Malformed
        })?;
        Ok(Self { state, memory: Some(files.memory), overlays: files.overlays })
    }

    /// Whether the surface is of another size than the one it had.
    #[must_use]
    pub fn is_resized(&self, geometry: SurfaceGeometry) -> bool {
        (self.state.width, self.state.height) != (geometry.width_px(), geometry.height_px())
    }

    /// Fills the overlays, which are empty.
    ///
    /// # Errors
    /// `Malformed` for another number of them, `File`.
    pub fn fill_overlays(&self, volumes: &[Volume]) -> Result<(), Refusal> {
        let into = || volumes.iter().filter_map(|volume| volume.overlay.as_ref());
        if into().count() != self.overlays.len() {
            return Err(Refusal::Malformed);
        }
        self.overlays.iter().zip(into()).try_for_each(|(from, to)| memory::copy(from, to))
    }

    /// Fills the devices, which are as after power-on. What a user held when it was kept, nobody holds.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn fill(self, devices: &Devices) -> Result<(), Refusal> {
        if self.state.slots.len() != devices.slots.len() {
            return Err(Refusal::Malformed);
        }
        for (slot, kept) in devices.slots.iter().zip(self.state.slots) {
            lock(slot).restore(kept)?;
        }
        if self.memory.is_some() {
            lock(&devices.keyboard).device().let_go();
            lock(&devices.pointer).device().let_go();
        }
        Ok(())
    }
}

impl State {
    /// Processors and chipset.
    pub fn take_hardware(&mut self) -> Value {
        self.hardware.take()
    }

    /// The devices, in slot order.
    #[must_use]
    pub fn slots(&self) -> &[Value] {
        &self.slots
    }
}

impl From<Refusal> for BootError {
    fn from(refusal: Refusal) -> Self {
        complain!("Snapshot: {refusal}");
        Self::new(FailReason::Device, 0)
    }
}

/// Keeps a machine that stands still in these files; its state too.
///
/// # Errors
/// Why it cannot be kept; the files are then of no use.
pub fn keep(
    machine: &mut Machine,
    volumes: &[Volume],
    geometry: SurfaceGeometry,
    files: &Set,
) -> Result<State, Refusal> {
    let overlays = volumes.iter().filter_map(|volume| volume.overlay.as_ref());
    overlays.zip(&files.overlays).try_for_each(|(from, to)| memory::copy(from, to))?;
    let slots = machine.devices.slots.iter().map(|slot| lock(slot).keep());
    let slots = slots.collect::<Result<_, _>>()?;
    let hardware = machine.hardware.keep(&files.memory)?;
    let (width, height) = (geometry.width_px(), geometry.height_px());
    let state = State { width, height, slots, hardware };
    let text = serde_json::to_vec(&state).map_err(|_| Refusal::Engine)?;
    files.state.write_all_at(&text, 0).map_err(|_| Refusal::File)?;
    Ok(state)
}

#[cfg(test)]
mod tests;
