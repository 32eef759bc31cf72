//! Stock Debian guests under Tabard and under QEMU, in turns: the same kernel, initrd, memory, disk
//! and devices. Only in the test host, which carries the guest (`cargo measure --test-host`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Fault;
use crate::figure::Figure;
use crate::processes::{children, private_mib};

/// The guest, from `tabard image build --profile tiny`.
const KERNEL: &str = "/carried/tiny/vmlinuz";
const INITRD: &str = "/carried/tiny/initrd";
const MEMORY_MIB: u32 = 256;
const DISK_BYTES: u64 = 64 << 20;
/// What the peer is called in the figures.
const PEER: &str = "qemu microvm";
/// The emulated host is slow, and slower on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(240);
const BOOTS: usize = 3;
const READS: usize = 2;

/// Who runs the guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Vmm {
    Tabard,
    Qemu,
}

/// Measures `stock_boot`, `stock_overhead`, `stock_sequential_read` and `stock_random_read`.
pub fn measure() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let [disk, tools, none] = ["disk", "tools", "none"].map(|name| folder.path().join(name));
    fill(&disk)?;
    pack(&tools, folder.path())?;
    fs::write(&none, [0; 512])?;

    let mut boots = [f64::INFINITY; 2];
    let mut overheads = [0.0; 2];
    for _ in 0..BOOTS {
        for (index, vmm) in [Vmm::Tabard, Vmm::Qemu].into_iter().enumerate() {
            let began = Instant::now();
            let guest = Guest::start(vmm, "", &disk, &none)?;
            let said = guest.wait("is up after")?;
            let seconds = began.elapsed().as_secs_f64();
            let overhead = guest.overhead_mib()?;
            eprintln!("measure: {} boots in {seconds:.2} s, {overhead:.1} MiB", vmm.name());
            eprintln!("{}; exits:{}", said.trim(), exits());
            boots[index] = boots[index].min(seconds);
            overheads[index] = f64::max(overheads[index], overhead);
        }
    }
    let mut rates = [[0.0; 2]; 2];
    for _ in 0..READS {
        for (index, vmm) in [Vmm::Tabard, Vmm::Qemu].into_iter().enumerate() {
            let guest = Guest::start(vmm, " tabard.run=/dev/vdb", &disk, &tools)?;
            let said = guest.wait("measured")?;
            for (rate, word) in rates.iter_mut().zip(["sequential ", "random "]) {
                let value = said.lines().find_map(|line| line.trim().strip_prefix(word));
                let value =
                    value.ok_or_else(|| format!("The guest did not say {word}"))?.parse()?;
                eprintln!("measure: {} {word}{value:.0}", vmm.name());
                rate[index] = f64::max(rate[index], value);
            }
        }
    }
    let figure = |name, unit, limit, [value, peer]: [f64; 2]| Figure {
        name,
        value,
        unit,
        limit: Some(limit),
        peer: Some(PEER),
        peer_value: Some(peer),
    };
    figure("stock_boot", "s", 0.8, boots).print();
    figure("stock_overhead", "MiB", 0.5, overheads).print();
    let mib = rates[0].map(|bytes| bytes / f64::from(1 << 20));
    figure("stock_sequential_read", "MiB/s", 0.9, mib).print_at_least();
    figure("stock_random_read", "reads/s", 0.9, rates[1]).print_at_least();
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

/// A disk without holes: those would be read faster than bytes.
fn fill(disk: &Path) -> Result<(), Fault> {
    let bytes: Vec<u8> = (0..DISK_BYTES).map(|at| (at / 512) as u8 | 1).collect();
    Ok(fs::write(disk, bytes)?)
}

/// An archive for the guest's `tabard.run`: this program, its libraries, and a first task that
/// runs it as [`crate::reads`].
fn pack(archive: &Path, folder: &Path) -> Result<(), Fault> {
    let stage = folder.join("stage");
    fs::create_dir(&stage)?;
    let start = stage.join("start");
    fs::write(&start, "#!/bin/sh\n/measure reads /dev/vda >/dev/ttyS0 2>&1\n")?;
    run(Command::new("chmod").arg("755").arg(&start))?;
    let program = std::env::current_exe()?;
    fs::copy(&program, stage.join("measure"))?;
    // What this process has loaded is what it will load there.
    let maps = fs::read_to_string("/proc/self/maps")?;
    let files = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    for library in files.filter(|path| path.starts_with("/lib") || path.starts_with("/usr/lib")) {
        let to = stage.join(library.trim_start_matches('/'));
        fs::create_dir_all(to.parent().unwrap_or(&stage))?;
        fs::copy(library, to)?;
    }
    run(Command::new("tar").args(["-c", "-f"]).arg(archive).arg("-C").arg(stage).arg("."))?;
    // A disk has whole sectors.
    let bytes = fs::metadata(archive)?.len().next_multiple_of(512);
    Ok(fs::File::options().write(true).open(archive)?.set_len(bytes)?)
}

fn run(command: &mut Command) -> Result<(), Fault> {
    let status = command.stdin(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}").into()) }
}

impl Vmm {
    fn name(self) -> &'static str {
        match self {
            Self::Tabard => "tabard",
            Self::Qemu => PEER,
        }
    }
}

/// A running guest. Dropping it ends it.
struct Guest {
    vmm: Vmm,
    child: Child,
    serial: PathBuf,
    _folder: TempDir,
}

impl Guest {
    fn start(vmm: Vmm, words: &str, disk: &Path, second: &Path) -> Result<Self, Fault> {
        let folder = tempfile::tempdir()?;
        let cmdline = format!("console=ttyS0 quiet{words}");
        let (mut command, serial) = match vmm {
            Vmm::Tabard => tabard(folder.path(), &cmdline, disk, second)?,
            Vmm::Qemu => qemu(folder.path(), &cmdline, disk, second),
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        Ok(Self { vmm, child, serial, _folder: folder })
    }

    /// Waits until the guest has said this on its serial port; all that it has said.
    fn wait(&self, words: &str) -> Result<String, Fault> {
        let began = Instant::now();
        let mut said = String::new();
        while began.elapsed() < LIMIT {
            // The file is not there before the machine is.
            said = fs::read(&self.serial)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default();
            if said.contains(words) {
                return Ok(said);
            }
            sleep(Duration::from_millis(20));
        }
        Err(format!("{} never said {words:?}, but: {said}", self.vmm.name()).into())
    }

    /// Private memory of the processes of this guest, without the guest's own, in MiB. The
    /// session is not counted: it is one for all guests.
    fn overhead_mib(&self) -> Result<f64, Fault> {
        let mut processes = vec![self.child.id()];
        if self.vmm == Vmm::Tabard {
            let keepers = children(self.child.id())?;
            let machines: Result<Vec<_>, _> = keepers.iter().map(|one| children(*one)).collect();
            processes = keepers.into_iter().chain(machines?.into_iter().flatten()).collect();
        }
        let (mut sum, mut guest_seen) = (0.0, false);
        for process in processes {
            let (mib, seen) = private_mib(process, MEMORY_MIB)?;
            sum += mib;
            guest_seen |= seen;
        }
        if guest_seen { Ok(sum) } else { Err("No process has the guest's memory".into()) }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // In good order: an emulated host does not always survive a killed QEMU. Both fail only if
        // it has ended already; Tabard's guests end with it.
        let _ = rustix::process::kill_process(
            rustix::process::Pid::from_child(&self.child),
            rustix::process::Signal::TERM,
        );
        let _ = self.child.wait();
    }
}

fn tabard(
    folder: &Path,
    cmdline: &str,
    disk: &Path,
    second: &Path,
) -> Result<(Command, PathBuf), Fault> {
    let volume = |name, path: &Path| {
        format!("[volumes.{name}]\npath = {path:?}\nlabel = \"UNCLASSIFIED\"\n")
    };
    let desk = format!(
        "[desk]\nname = \"Stock\"\ntheme = \"us\"\n{}{}[guests.stock]\nlabel = \"UNCLASSIFIED\"\n\
         kernel = \"{KERNEL}\"\ninitrd = \"{INITRD}\"\ncmdline = {cmdline:?}\n\
         memory = \"{MEMORY_MIB}M\"\nvolumes = [\"disk\", \"second\"]\n",
        volume("disk", disk),
        volume("second", second)
    );
    let file = folder.join("desk.toml");
    fs::write(&file, desk)?;
    let logs = folder.join("logs");
    let mut command = Command::new("tabard");
    command.arg("run").arg(file).arg("--headless").arg("--logs").arg(&logs);
    Ok((command, logs.join("stock.serial")))
}

/// QEMU with the devices that every guest of Tabard has.
fn qemu(folder: &Path, cmdline: &str, disk: &Path, second: &Path) -> (Command, PathBuf) {
    let serial = folder.join("serial");
    let mut command = Command::new("qemu-system-x86_64");
    command.args(["-M", "microvm", "-enable-kvm", "-smp", "1"]);
    // Tabard's guests do not end interrupts so either; on the emulated host some would stand still.
    command.args(["-cpu", "host,kvm-pv-eoi=off"]);
    command.args(["-m", &MEMORY_MIB.to_string(), "-nodefaults", "-no-user-config"]);
    command.args(["-display", "none", "-no-reboot", "-serial"]);
    command.arg(format!("file:{}", serial.display()));
    command.args(["-kernel", KERNEL, "-initrd", INITRD, "-append", cmdline]);
    command.args(["-global", "virtio-mmio.force-legacy=false"]);
    for (name, path) in [("disk", disk), ("second", second)] {
        let path = path.display();
        command.arg("-drive").arg(format!("id={name},file={path},format=raw,if=none"));
    }
    // microvm fills its slots from the last one down, and Linux finds them from there too.
    for device in [
        "virtio-blk-device,drive=disk",
        "virtio-blk-device,drive=second",
        "virtio-serial-device",
        "virtio-rng-device",
        "virtio-tablet-device",
        "virtio-keyboard-device",
        "virtio-gpu-device",
    ] {
        command.args(["-device", device]);
    }
    (command, serial)
}
