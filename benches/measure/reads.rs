//! Runs inside a guest: how fast its disk is read, past every cache of the guest.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Fault;

/// `O_DIRECT` of open(2): the kernel reads into the caller's memory.
const DIRECT: i32 = 0x4000;
/// What `O_DIRECT` wants memory and offsets to be multiples of.
const ALIGNMENT: usize = 4096;
/// Bytes of one sequential read.
const CHUNK_BYTES: usize = 1 << 20;
/// Reads of one pass of 4 KiB each.
const RANDOM_READS: u32 = 1500;
/// Reads that wait at a time where several do, and for how long.
const DEPTH: u64 = 32;
const DEEP: Duration = Duration::from_secs(2);
/// The other disk, which is written and flushed while the first is read.
const FLUSHED: &str = "/dev/vdb";
/// The best pass counts: a machine that is busy with something else makes them slower, nothing
/// makes them faster.
const PASSES: u32 = 4;

/// Reads this device and prints `deep READS_PER_SECOND` for many at a time, `beside` for the same while
/// the other disk is flushed without end, `sequential BYTES_PER_SECOND` and `random READS_PER_SECOND`.
pub fn run(device: &str) -> Result<(), Fault> {
    let file = OpenOptions::new().read(true).custom_flags(DIRECT).open(device)?;
    let sectors = format!("/sys/class/block/{}/size", device.trim_start_matches("/dev/"));
    let bytes = std::fs::read_to_string(sectors)?.trim().parse::<u64>()? * 512;
    let mut memory = vec![0; CHUNK_BYTES + ALIGNMENT];
    let start = memory.as_ptr().align_offset(ALIGNMENT);
    let buffer = &mut memory[start..start + CHUNK_BYTES];
    let (mut sequential, mut random) = (0.0, 0.0);
    let deep = many(device, bytes, 1)?;
    let beside = beside_flushes(|| many(device, bytes, 2))?;
    for pass in 1..=PASSES {
        sequential = f64::max(sequential, bytes as f64 / sequence(&file, bytes, buffer)?);
        let seconds = at_random(&file, bytes, &mut buffer[..ALIGNMENT], pass.into())?;
        random = f64::max(random, f64::from(RANDOM_READS) / seconds);
    }
    println!("deep {deep}\nbeside {beside}\nsequential {sequential}\nrandom {random}\nmeasured");
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

/// Reads pieces from all over it, many at a time; how many a second.
fn many(device: &str, bytes: u64, seed: u64) -> Result<f64, Fault> {
    let (places, total) = (bytes / ALIGNMENT as u64, AtomicU32::new(0));
    let file = OpenOptions::new().read(true).custom_flags(DIRECT).open(device)?;
    let began = Instant::now();
    let read = &|thread: u64| {
        let mut memory = vec![0; 2 * ALIGNMENT];
        let start = memory.as_ptr().align_offset(ALIGNMENT);
        let mut state = seed << 32 | (thread + 1);
        while began.elapsed() < DEEP {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let buffer = &mut memory[start..start + ALIGNMENT];
            file.read_exact_at(buffer, state % places * ALIGNMENT as u64)?;
            total.fetch_add(1, Ordering::Relaxed);
        }
        std::io::Result::Ok(())
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..DEPTH).map(|thread| scope.spawn(move || read(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    Ok(f64::from(total.load(Ordering::Relaxed)) / began.elapsed().as_secs_f64())
}

/// Does this while the other disk is written, with what it has already, and flushed.
fn beside_flushes(work: impl FnOnce() -> Result<f64, Fault>) -> Result<f64, Fault> {
    let other = OpenOptions::new().read(true).write(true).open(FLUSHED)?;
    let mut piece = [0; 512];
    other.read_exact_at(&mut piece, 0)?;
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let flushing = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                other.write_all_at(&piece, 0)?;
                other.sync_data()?;
            }
            std::io::Result::Ok(())
        });
        let rate = work();
        done.store(true, Ordering::Relaxed);
        flushing.join().unwrap_or(Ok(()))?;
        rate
    })
}
