//! What is fuzzed: each target takes any bytes, must not panic or run for long, and says what came
//! of them.

mod agent;
#[cfg(feature = "desk")]
mod desk;
mod devices;
mod kernel;
mod markings;
mod ports;
mod vhost;
mod wire;

use std::hash::{DefaultHasher, Hash, Hasher};

/// A decoder, or a device.
pub trait Target {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Inputs to begin with, that get far.
    fn seeds(&self) -> Vec<Vec<u8>>;

    /// Words of its language.
    fn tokens(&self) -> &[&[u8]] {
        &[]
    }

    /// Longest input, in bytes.
    fn most_bytes(&self) -> usize {
        1024
    }

    /// How often it is run for each run of the slowest: cheap decoders many times.
    fn share(&self) -> u64 {
        1
    }

    /// Takes the input and judges what came of it: panics if that must not be. The number stands
    /// for the outcome; inputs with another one are worth keeping.
    fn run(&mut self, input: &[u8]) -> u64;

    /// Begins anew after a panic.
    fn renew(&mut self) {}
}

/// All of them.
pub fn all() -> Vec<Box<dyn Target>> {
    let mut all: Vec<Box<dyn Target>> = vec![
        Box::new(wire::ToVmmBytes),
        Box::new(wire::FromVmmBytes),
        Box::new(agent::Frames),
        #[cfg(feature = "desk")]
        Box::new(desk::DeskFile),
        Box::new(markings::Markings::new()),
        Box::new(kernel::Kernel::new()),
        Box::new(ports::Ports),
    ];
    all.extend(devices::all());
    all.push(Box::new(vhost::Vhost::new()));
    all
}

/// A number that stands for a value.
fn outcome(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
