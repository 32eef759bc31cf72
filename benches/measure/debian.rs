//! Stock Debian guests under Tabard and under QEMU: the same kernel, initrd, memory, disks and
//! devices.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use tabard::session::Engine;
use tempfile::TempDir;

use crate::processes::{descendants, private_of};
use crate::rfb::Client;
use crate::{Fault, desk, qemu};

/// Names the folder of the Debian guest.
pub const IMAGE: &str = "TABARD_MEASURE_IMAGE";
/// Memory of each guest.
pub const MEMORY_MIB: u32 = 256;
/// An emulated host is slow, and slower on a machine with other things to do.
const LIMIT: Duration = Duration::from_secs(240);
/// How often the serial port's log is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// What starts every program of Linux, by the name that they call it.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

/// Who runs the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vmm {
    /// Tabard.
    Tabard,
    /// Its peer.
    Peer,
}

/// Both, in the order of their turns.
pub const BOTH: [Vmm; 2] = [Vmm::Tabard, Vmm::Peer];

/// What the guests are made of, and what they run on.
#[derive(Debug)]
pub struct Ground {
    /// The engine of Tabard's; the peer runs on the same processor.
    pub engine: Engine,
    /// The folder with `vmlinuz` and `initrd`, from `tabard image build --profile tiny`.
    pub image: PathBuf,
    /// The program `tabard`.
    pub tabard: PathBuf,
    /// A disk to read from.
    pub disk: PathBuf,
    /// A second disk, with tools for the guest or with nothing.
    pub second: PathBuf,
}

/// A running guest. Dropping it ends it.
pub struct Guest {
    vmm: Vmm,
    child: Child,
    serial: PathBuf,
    _folder: TempDir,
}

impl Guest {
    /// Starts one, with these words for its kernel; and when its program was started.
    pub fn start(ground: &Ground, vmm: Vmm, words: &str) -> Result<(Self, Instant), Fault> {
        let folder = tempfile::tempdir()?;
        let cmdline = format!("console=ttyS0 quiet{words}");
        let (mut command, serial) = match vmm {
            Vmm::Tabard => own(ground, folder.path(), &cmdline)?,
            Vmm::Peer => peer(ground, folder.path(), &cmdline)?,
        };
        let began = Instant::now();
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let child = match vmm {
            Vmm::Tabard => command.spawn()?,
            Vmm::Peer => qemu::spawn(command, ground.engine)?,
        };
        let vnc = folder.path().join("vnc");
        let mut guest = Self { vmm, child, serial, _folder: folder };
        if vmm == Vmm::Peer {
            look(Client::new(qemu::connect(&mut guest.child, &vnc)?)?);
        }
        Ok((guest, began))
    }

    /// Waits until the guest has said this on its serial port; all that it has said.
    pub fn wait(&self, words: &str) -> Result<String, Fault> {
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
            sleep(LOOK);
        }
        Err(format!("{:?}: the guest never said {words:?}, but: {said}", self.vmm).into())
    }

    /// Private memory of the processes of this guest, without the guest's own, in MiB. The
    /// session is not counted: it is one for all guests.
    pub fn overhead_mib(&self) -> Result<f64, Fault> {
        let processes = match self.vmm {
            Vmm::Tabard => descendants(self.child.id())?,
            Vmm::Peer => vec![self.child.id()],
        };
        private_of(&processes, MEMORY_MIB)
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

/// Looks at the peer's screen until it ends, as Tabard's presenter does at its own.
fn look(mut screen: Client) {
    std::thread::spawn(move || while screen.change().is_ok() {});
}

fn own(ground: &Ground, folder: &Path, cmdline: &str) -> Result<(Command, PathBuf), Fault> {
    let volume = |name, path: &Path| {
        format!("[volumes.{name}]\npath = {path:?}\nlabel = \"UNCLASSIFIED\"\n")
    };
    let (kernel, initrd) = (ground.image.join("vmlinuz"), ground.image.join("initrd"));
    let desk = format!(
        "[desk]\nname = \"Stock\"\ntheme = \"us\"\n{}{}[guests.stock]\nlabel = \"UNCLASSIFIED\"\n\
         kernel = {kernel:?}\ninitrd = {initrd:?}\ncmdline = {cmdline:?}\n\
         memory = \"{MEMORY_MIB}M\"\nvolumes = [\"disk\", \"second\"]\n",
        volume("disk", &ground.disk),
        volume("second", &ground.second)
    );
    let file = folder.join("desk.toml");
    fs::write(&file, desk)?;
    let logs = folder.join("logs");
    let mut command = Command::new(&ground.tabard);
    command.arg("run").arg(file).arg("--headless").arg("--logs").arg(&logs);
    command.args(["--engine", ground.engine.name()]);
    Ok((command, logs.join("stock.serial")))
}

/// QEMU with the devices that every guest of Tabard has, and somebody who looks at its screen.
fn peer(ground: &Ground, folder: &Path, cmdline: &str) -> Result<(Command, PathBuf), Fault> {
    let serial = folder.join("serial");
    let mut command = qemu::command("microvm", ground.engine, MEMORY_MIB)?;
    let mut cmdline = cmdline.to_owned();
    match ground.engine {
        // Tabard's guests do not end interrupts so either; on the emulated host some would stand
        // still.
        Engine::Kvm => drop(command.args(["-cpu", "host,kvm-pv-eoi=off"])),
        // What Tabard says too: on a busy host the kernel finds no clock without it, and stands still.
        Engine::Qemu => {
            cmdline.push_str(&format!(" tsc_early_khz={} tsc=reliable", kilohertz()));
        }
    }
    command.args(["-smp", "1", "-no-reboot", "-serial"]);
    command.arg(format!("file:{}", serial.display()));
    command.arg("-vnc").arg(format!("unix:{}", folder.join("vnc").display()));
    command.arg("-kernel").arg(ground.image.join("vmlinuz"));
    command.arg("-initrd").arg(ground.image.join("initrd")).args(["-append", &cmdline]);
    for (name, path) in [("disk", &ground.disk), ("second", &ground.second)] {
        let path = path.display();
        command.arg("-drive");
        command.arg(format!("id={name},file={path},format=raw,if=none,aio=io_uring"));
    }
    // microvm fills its slots from the last one down, and Linux finds them from there too.
    for device in [
        "virtio-blk-device,drive=disk",
        "virtio-blk-device,drive=second",
        "virtio-serial-device",
        "virtio-rng-device",
        "virtio-tablet-device",
        "virtio-keyboard-device",
        &qemu::gpu(),
    ] {
        command.args(["-device", device]);
    }
    Ok((command, serial))
}

/// The rate of the processor's counter, which is an emulated one's too.
fn kilohertz() -> u64 {
    static RATE: OnceLock<u64> = OnceLock::new();
    // SAFETY: every processor of this architecture has the counter, and reading it changes nothing.
    let counter = || unsafe { std::arch::x86_64::_rdtsc() };
    let measure = || {
        let (began, first) = (Instant::now(), counter());
        sleep(Duration::from_millis(100));
        let ticks = counter() - first;
        (ticks as f64 / began.elapsed().as_secs_f64() / 1e3) as u64
    };
    *RATE.get_or_init(measure)
}

/// An archive for the guest's `tabard.run`: this program, its libraries, and a first task that
/// runs it as [`crate::reads`].
pub fn pack(archive: &Path, folder: &Path) -> Result<(), Fault> {
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
    let files = files.filter(|path| path.starts_with("/lib") || path.starts_with("/usr/lib"));
    for library in files.chain([LOADER]) {
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

/// What the guest's [`crate::reads`] said: bytes a second in a row, reads a second at random one after
/// the other, many at a time, and many beside flushes of another disk.
pub fn rates(said: &str) -> Result<[f64; 4], Fault> {
    let mut found = [0.0; 4];
    for (rate, word) in found.iter_mut().zip(["sequential ", "random ", "deep ", "beside "]) {
        let value = said.lines().find_map(|line| line.trim().strip_prefix(word));
        *rate = value.ok_or_else(|| format!("The guest did not say {word}"))?.parse()?;
    }
    Ok(found)
}

/// A file of so many bytes without holes, each block of them another: holes would be read faster,
/// and what is alike may be kept once.
pub fn fill(disk: &Path, bytes: u64) -> Result<(), Fault> {
    let mut state = 1u64;
    let words = (0..bytes / 8).flat_map(|_| {
        // Marsaglia's xorshift64.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    Ok(fs::write(disk, words.collect::<Vec<u8>>())?)
}

/// The image and the programs of this build.
///
/// # Errors
/// If no image is named.
pub fn ground(folder: &Path) -> Result<Ground, Fault> {
    let image = std::env::var_os(IMAGE).ok_or("No image is named")?;
    let [disk, second] = ["disk", "second"].map(|name| folder.join(name));
    fs::write(&second, [0; 512])?;
    let tabard = desk::tabard();
    Ok(Ground { engine: Engine::Qemu, image: image.into(), tabard, disk, second })
}
