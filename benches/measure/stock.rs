//! Stock Debian guests under Tabard and under QEMU on a KVM, in turns. Only by hand (`measure stock`),
//! where KVM runs stock kernels and the guest's image is in `/carried/tiny`.

use std::fs;

use tabard::session::Engine;

use crate::Fault;
use crate::debian::{BOTH, Ground, Guest, fill, pack, rates};
use crate::figure::{Limit, Promise};
use crate::qemu;

/// The guest, from `tabard image build --profile tiny`.
const IMAGE: &str = "/carried/tiny";
const DISK_BYTES: u64 = 64 << 20;
const BOOTS: usize = 3;
const READS: usize = 2;

/// What is measured here.
pub const FIGURES: [Promise; 4] = [
    Promise::new("stock_boot", "s", Limit::Most(0.8)).beside(qemu::NAME),
    Promise::new("stock_overhead", "MiB", Limit::Most(0.5)).beside(qemu::NAME),
    Promise::new("stock_sequential_read", "MiB/s", Limit::Least(0.9)).beside(qemu::NAME),
    Promise::new("stock_random_read", "reads/s", Limit::Least(0.9)).beside(qemu::NAME),
];

/// Measures [`FIGURES`].
pub fn measure() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let [disk, tools, none] = ["disk", "tools", "none"].map(|name| folder.path().join(name));
    fill(&disk, DISK_BYTES)?;
    pack(&tools, folder.path())?;
    fs::write(&none, [0; 512])?;
    let (image, tabard) = (IMAGE.into(), "tabard".into());
    let mut ground = Ground { engine: Engine::Kvm, image, tabard, disk, second: none };

    let mut boots = [f64::INFINITY; 2];
    let mut overheads = [0.0; 2];
    for _ in 0..BOOTS {
        for (index, vmm) in BOTH.into_iter().enumerate() {
            let (guest, began) = Guest::start(&ground, vmm, "")?;
            let said = guest.wait("is up after")?;
            let seconds = began.elapsed().as_secs_f64();
            let overhead = guest.overhead_mib()?;
            eprintln!("measure: {vmm:?} boots in {seconds:.2} s, {overhead:.1} MiB");
            eprintln!("{}; exits:{}", said.trim(), exits());
            boots[index] = boots[index].min(seconds);
            overheads[index] = f64::max(overheads[index], overhead);
        }
    }
    ground.second = tools;
    let mut read = [[0.0; 2]; 2];
    for _ in 0..READS {
        for (index, vmm) in BOTH.into_iter().enumerate() {
            let (guest, _) = Guest::start(&ground, vmm, " tabard.run=/dev/vdb")?;
            let rates = rates(&guest.wait("measured")?)?;
            eprintln!("measure: {vmm:?} reads {rates:.0?}");
            for (best, rate) in read.iter_mut().zip(rates) {
                best[index] = f64::max(best[index], rate);
            }
        }
    }
    let mib = read[0].map(|bytes| bytes / f64::from(1 << 20));
    for (promise, [value, peer]) in FIGURES.iter().zip([boots, overheads, mib, read[1]]) {
        promise.print(value, Some(peer));
    }
    Ok(())
}

/// How often the only guest has left its processor so far and why, from KVM's statistics where
/// debugfs is mounted: what to look at first when booting takes too long.
fn exits() -> String {
    let machines = fs::read_dir("/sys/kernel/debug/kvm").into_iter().flatten().flatten();
    let names = ["exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits", "insn_emulation"];
    let mut words = String::new();
    for folder in machines.map(|machine| machine.path()).filter(|path| path.is_dir()) {
        for name in names {
            let count = fs::read_to_string(folder.join(name)).unwrap_or_default();
            words.push_str(&format!(" {name} {}", count.trim()));
        }
    }
    words
}
