//! Runs inside a guest: how fast its disk is read, past every cache of the guest.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::time::Instant;

use crate::Fault;

/// `O_DIRECT` of open(2): the kernel reads into the caller's memory.
const DIRECT: i32 = 0x4000;
/// What `O_DIRECT` wants memory and offsets to be multiples of.
const ALIGNMENT: usize = 4096;
/// Bytes of one sequential read.
const CHUNK_BYTES: usize = 1 << 20;
/// Reads of one pass of 4 KiB each.
const RANDOM_READS: u32 = 1500;
/// The best pass counts: a machine that is busy with something else makes them slower, nothing
/// makes them faster.
const PASSES: u32 = 4;

/// Reads this device and prints `sequential BYTES_PER_SECOND` and `random READS_PER_SECOND`.
pub fn run(device: &str) -> Result<(), Fault> {
    let file = OpenOptions::new().read(true).custom_flags(DIRECT).open(device)?;
    let sectors = format!("/sys/class/block/{}/size", device.trim_start_matches("/dev/"));
    let bytes = std::fs::read_to_string(sectors)?.trim().parse::<u64>()? * 512;
    let mut memory = vec![0; CHUNK_BYTES + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut memory[start..start + CHUNK_BYTES];
    let (mut sequential, mut random) = (0.0, 0.0);
    for pass in 1..=PASSES {
        sequential = f64::max(sequential, bytes as f64 / sequence(&file, bytes, buffer)?);
        let seconds = at_random(&file, bytes, &mut buffer[..ALIGNMENT], pass.into())?;
        random = f64::max(random, f64::from(RANDOM_READS) / seconds);
    }
    println!("sequential {sequential}\nrandom {random}\nmeasured");
    Ok(())
}

/// Reads all of it; how many seconds that took.
fn sequence(file: &File, bytes: u64, buffer: &mut [u8]) -> Result<f64, Fault> {
    let began = Instant::now();
    for offset in (0..bytes).step_by(CHUNK_BYTES) {
        file.read_exact_at(buffer, offset)?;
    }
    Ok(began.elapsed().as_secs_f64())
}

/// Reads pieces from all over it, one after the other; how many seconds that took.
fn at_random(file: &File, bytes: u64, buffer: &mut [u8], seed: u64) -> Result<f64, Fault> {
    let places = bytes / ALIGNMENT as u64;
    let mut state = seed;
    let began = Instant::now();
    for _ in 0..RANDOM_READS {
        // Marsaglia's xorshift64: the same places for both.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.read_exact_at(buffer, state % places * ALIGNMENT as u64)?;
    }
    Ok(began.elapsed().as_secs_f64())
}
