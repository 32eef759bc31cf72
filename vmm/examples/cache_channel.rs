//! How much one process can tell another by a file that both can only read, in bits a second: through
//! the host's page cache, past it, and by keeping the disk busy.
//!
//!     cargo run --release -p tabard-vmm --example cache_channel -- FOLDER
//!
//! A sender and a receiver agree on the time of each bit, which is the best that two guests could
//! hope for. The first half of the bits sets the receiver's threshold, the second is judged by it;
//! the rate is what a channel with so many errors can carry (1 minus the entropy of an error).

use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, OFlags, fadvise};

const BLOCK: usize = 4096;
const BLOCKS: u64 = 16 << 10;
/// Bits that are sent before the receiver looks at them.
const BITS_OF_A_TURN: u64 = 64;

fn main() {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let file = tempfile::NamedTempFile::new_in(folder).expect("a file in the folder");
    file.as_file().write_all_at(&vec![7; BLOCK * BLOCKS as usize], 0).expect("room for 64 MiB");
    let direct = i32::try_from(OFlags::DIRECT.bits()).unwrap_or(0);
    for (name, flags) in [("page cache", 0), ("past it", direct)] {
        say(name, &by_presence(file.path(), flags, 125 * BITS_OF_A_TURN));
    }
    for slot_ms in [1, 2, 5, 20] {
        say(&format!("busy disk, {slot_ms} ms"), &by_load(file.path(), direct, slot_ms));
    }
}

/// What the receiver saw: for each bit that was sent a time, and how long all took.
struct Heard {
    bits: Vec<(bool, f64)>,
    took: Duration,
}

fn say(name: &str, heard: &Heard) {
    let (training, judged) = heard.bits.split_at(heard.bits.len() / 2);
    let errors = |bits: &[(bool, f64)], limit: f64, above: bool| {
        bits.iter().filter(|(bit, time)| ((*time > limit) == above) != *bit).count()
    };
    let candidates = training.iter().flat_map(|(_, time)| [(*time, false), (*time, true)]);
    let (limit, above) = candidates
        .min_by_key(|(limit, above)| errors(training, *limit, *above))
        .expect("some bits were sent");
    let error = errors(judged, limit, above) as f64 / judged.len() as f64;
    let entropy = |p: f64| if p <= 0.0 || p >= 1.0 { 0.0 } else { -p * p.log2() };
    let carried = 1.0 - entropy(error) - entropy(1.0 - error);
    // So many errors by chance are nothing: three deviations from a coin.
    let chance = (error - 0.5).abs() < 1.5 / (judged.len() as f64).sqrt();
    let rate = heard.bits.len() as f64 / heard.took.as_secs_f64();
    let carried = if chance { 0.0 } else { carried * rate };
    println!("{name}: {carried:.0} bit/s ({rate:.0} a second, {:.1} % wrong)", error * 100.0);
}

fn open(path: &Path, flags: i32) -> File {
    let file = File::options().read(true).custom_flags(flags).open(path).expect("the file");
    fadvise(&file, 0, None, Advice::Random).expect("advice");
    file
}

/// Marsaglia's xorshift64.
fn random(state: &mut u64) -> u64 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    *state
}

/// A block in memory that begins where `O_DIRECT` wants it to.
fn with_block<T>(work: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut memory = vec![0; 2 * BLOCK];
    let first = memory.as_ptr().align_offset(BLOCK);
    work(&mut memory[first..first + BLOCK])
}

/// The sender reads a block for a one and none for a zero; the receiver reads it and looks at the time.
fn by_presence(path: &Path, flags: i32, count: u64) -> Heard {
    let whole = open(path, 0);
    whole.sync_all().expect("written");
    fadvise(&whole, 0, None, Advice::DontNeed).expect("an empty cache");
    let turn = Barrier::new(2);
    // Odd, so that each block comes once, and not the neighbour of the last.
    let place = |bit: u64| bit.wrapping_mul(6007) % BLOCKS * BLOCK as u64;
    let mut bits = Vec::new();
    let began = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (file, mut state) = (open(path, flags), 0x1234_5678_9abc);
            with_block(|block| {
                for bit in 0..count {
                    if random(&mut state) & 1 == 1 {
                        file.read_exact_at(block, place(bit)).expect("a block");
                    }
                    if bit % BITS_OF_A_TURN == BITS_OF_A_TURN - 1 {
                        turn.wait();
                        turn.wait();
                    }
                }
            });
        });
        let (file, mut state) = (open(path, flags), 0x1234_5678_9abc);
        with_block(|block| {
            for bit in 0..count {
                if bit % BITS_OF_A_TURN == 0 {
                    turn.wait();
                }
                let from = Instant::now();
                file.read_exact_at(block, place(bit)).expect("a block");
                bits.push((random(&mut state) & 1 == 1, from.elapsed().as_secs_f64()));
                if bit % BITS_OF_A_TURN == BITS_OF_A_TURN - 1 {
                    turn.wait();
                }
            }
        });
    });
    Heard { bits, took: began.elapsed() }
}

/// The sender reads all the time for a one and not at all for a zero; the receiver counts how often it
/// gets its block in each slot of time.
fn by_load(path: &Path, flags: i32, slot_ms: u64) -> Heard {
    let slot = Duration::from_millis(slot_ms);
    let count = 4000 / slot_ms;
    let began = Instant::now();
    let slots = |bit: u64| began + slot * u32::try_from(bit).unwrap_or(0);
    let mut bits = Vec::new();
    std::thread::scope(|scope| {
        // As many requests at a time as a guest can have in flight.
        for seed in 1..=8u64 {
            scope.spawn(move || {
                let (file, mut state) = (open(path, flags), 0x1234_5678_9abc);
                let mut places = seed;
                with_block(|block| {
                    for bit in 0..count {
                        let one = random(&mut state) & 1 == 1;
                        while one && Instant::now() < slots(bit + 1) {
                            let place = random(&mut places) % BLOCKS * BLOCK as u64;
                            file.read_exact_at(block, place).expect("a block");
                        }
                        std::thread::sleep(
                            slots(bit + 1).saturating_duration_since(Instant::now()),
                        );
                    }
                });
            });
        }
        let (file, mut state) = (open(path, flags), 0x1234_5678_9abc);
        let mut places = 99;
        with_block(|block| {
            for bit in 0..count {
                let (mut reads, from) = (0u32, Instant::now());
                while Instant::now() < slots(bit + 1) || reads == 0 {
                    let place = random(&mut places) % BLOCKS * BLOCK as u64;
                    file.read_exact_at(block, place).expect("a block");
                    reads += 1;
                }
                let each = from.elapsed().as_secs_f64() / f64::from(reads);
                bits.push((random(&mut state) & 1 == 1, each));
            }
        });
    });
    Heard { bits, took: began.elapsed() }
}
