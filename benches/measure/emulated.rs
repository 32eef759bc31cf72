//! Stock Debian guests on the engine `qemu`, in turns with the same QEMU and devices of its own.

use crate::Fault;
use crate::debian::{BOTH, Guest, Vmm, fill, ground, pack, rates};
use crate::figure::{Limit, Promise, percentile};
use crate::qemu;

const DISK_BYTES: u64 = 256 << 20;
/// Starts of each, in turns.
const BOOTS: usize = 5;
const READS: usize = 5;

/// What [`boot`] measures.
pub const BOOT: [Promise; 1] =
    [Promise::new("qemu_debian_to_userland", "s", Limit::Most(0.8)).beside(qemu::EMULATED)];
/// What [`read`] measures.
pub const READ: [Promise; 4] = [
    Promise::new("qemu_block_read", "MiB/s", Limit::Least(0.9)).beside(qemu::EMULATED),
    Promise::new("qemu_block_read_random", "reads/s", Limit::None).beside(qemu::EMULATED),
    Promise::new("qemu_block_read_deep", "reads/s", Limit::Least(0.9)).beside(qemu::EMULATED),
    Promise::new("qemu_block_read_beside_flush", "reads/s", Limit::Least(0.9))
        .beside(qemu::EMULATED),
];

/// Measures [`BOOT`].
pub fn boot() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let ground = ground(folder.path())?;
    std::fs::write(&ground.disk, [0; 512])?;
    let mut boots = [Vec::new(), Vec::new()];
    for _ in 0..BOOTS {
        for (vmm, boots) in BOTH.into_iter().zip(&mut boots).filter(|(vmm, _)| is_there(*vmm)) {
            let (guest, began) = Guest::start(&ground, vmm, "")?;
            guest.wait("is up after")?;
            let seconds = began.elapsed().as_secs_f64();
            eprintln!("measure: {vmm:?} boots in {seconds:.2} s");
            boots.push(seconds);
        }
    }
    let [own, peer] = boots.map(|boots| percentile(boots, 0.5));
    BOOT[0].print(own, qemu::is_there().then_some(peer));
    Ok(())
}

/// Measures [`READ`].
pub fn read() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let ground = ground(folder.path())?;
    fill(&ground.disk, DISK_BYTES)?;
    pack(&ground.second, folder.path())?;
    let mut read = [const { [Vec::new(), Vec::new()] }; 4];
    for _ in 0..READS {
        for (index, vmm) in BOTH.into_iter().enumerate().filter(|(_, vmm)| is_there(*vmm)) {
            let (guest, _) = Guest::start(&ground, vmm, " tabard.run=/dev/vdb")?;
            let [bytes, reads, deep, beside] = rates(&guest.wait("measured")?)?;
            let mib = bytes / f64::from(1 << 20);
            eprintln!(
                "measure: {vmm:?} reads {mib:.0} MiB/s, {reads:.0} pieces a second, {deep:.0} many \
                 at a time, {beside:.0} beside flushes"
            );
            for (kind, rate) in read.iter_mut().zip([mib, reads, deep, beside]) {
                kind[index].push(rate);
            }
        }
    }
    for (promise, kind) in READ.iter().zip(read) {
        let [own, peer] = kind.map(|rates| percentile(rates, 0.5));
        promise.print(own, qemu::is_there().then_some(peer));
    }
    Ok(())
}

fn is_there(vmm: Vmm) -> bool {
    vmm == Vmm::Tabard || qemu::is_there()
}
