//! What a desk costs while nobody touches it: private memory of the guests' processes, and
//! processor time of all of them. Read from `/proc` of the real `tabard` and its children.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tabard::session::Engine;

use crate::Fault;
use crate::desk::{LIMIT, MEMORY_MIB, is_notepad, tabard, text};
use crate::figure::{Limit, Promise, percentile};
use crate::qemu::{self, Peer};

/// Ticks a second of `/proc/PID/stat` (`USER_HZ`, 100 on x86).
const TICKS_PER_SECOND: f64 = 100.0;
const IDLE: Duration = Duration::from_secs(20);
/// What starting leaves behind, such as the last frames, is not idling.
const SETTLED: Duration = Duration::from_secs(2);
const GUESTS: [&str; 3] = ["notepad", "sketch", "notepad"];
/// How often each guest's memory is read, in turns with the peer's, each in a start of its own.
const MEMORIES: usize = 5;

/// What [`measure`] measures.
pub const FIGURES: [Promise; 2] = [
    Promise::new("vmm_overhead", "MiB", Limit::Most(5.0)),
    Promise::new("idle_cpu", "%", Limit::Most(0.5)),
];
/// What [`idle_on_qemu`] measures.
pub const IDLE_ON_QEMU: [Promise; 1] = [Promise::new("qemu_idle_desk", "%", Limit::Most(3.0))];
/// What [`memory_on_qemu`] measures.
pub const MEMORY_ON_QEMU: [Promise; 1] =
    [Promise::new("qemu_private_memory", "MiB", Limit::Most(1.15)).beside(qemu::EMULATED)];

/// Measures [`FIGURES`].
pub fn measure() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let desk = Running::start(folder.path(), &GUESTS, Engine::Kvm)?;
    let children = desk.ready(folder.path(), GUESTS.len())?;
    sleep(SETTLED);
    let (keepers, machines) = children.split_at(GUESTS.len());
    if machines.len() != keepers.len() {
        return Err(format!("There are {} processes of {GUESTS:?}", children.len()).into());
    }
    let overheads = keepers.iter().zip(machines).map(|(one, other)| overhead_mib(&[*one, *other]));
    let overheads: Result<Vec<f64>, Fault> = overheads.collect();
    FIGURES[0].print(overheads?.into_iter().fold(0.0, f64::max), None);
    FIGURES[1].print(idle_share(&desk, &children)?, None);
    Ok(())
}

/// Measures [`IDLE_ON_QEMU`].
pub fn idle_on_qemu() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let desk = Running::start(folder.path(), &GUESTS, Engine::Qemu)?;
    let children = desk.ready(folder.path(), GUESTS.len())?;
    sleep(SETTLED);
    IDLE_ON_QEMU[0].print(idle_share(&desk, &children)?, None);
    Ok(())
}

/// Measures [`MEMORY_ON_QEMU`].
pub fn memory_on_qemu() -> Result<(), Fault> {
    let with_peer = qemu::is_there();
    let (mut own, mut peers) = (Vec::new(), Vec::new());
    for _ in 0..MEMORIES {
        let folder = tempfile::tempdir()?;
        let desk = Running::start(folder.path(), &["notepad"], Engine::Qemu)?;
        let children = desk.ready(folder.path(), 1)?;
        sleep(SETTLED);
        own.push(overhead_mib(&children)?);
        for child in children {
            eprintln!("measure: {} {:.2} MiB", name(child)?, private_mib(child, MEMORY_MIB)?.0);
        }
        drop(desk);
        if with_peer {
            let (mut peer, _) = Peer::start(Engine::Qemu)?;
            peer.until(is_notepad)?;
            sleep(SETTLED);
            peers.push(overhead_mib(&[peer.id()])?);
        }
    }
    let peer = with_peer.then(|| percentile(peers, 0.5));
    MEMORY_ON_QEMU[0].print(percentile(own, 0.5), peer);
    Ok(())
}

/// Processor time of a desk while nothing happens, in percent of one processor.
fn idle_share(desk: &Running, children: &[u32]) -> Result<f64, Fault> {
    let all: Vec<u32> = std::iter::once(desk.0.id()).chain(children.iter().copied()).collect();
    let (began, before) = (Instant::now(), ticks(&all)?);
    sleep(IDLE);
    let (elapsed, after) = (began.elapsed(), ticks(&all)?);
    Ok((after - before) / TICKS_PER_SECOND / elapsed.as_secs_f64() * 100.0)
}

/// A `tabard run` without a screen. Dropping it ends it, and its guests with it.
struct Running(Child);

impl Running {
    fn start(folder: &Path, builtins: &[&str], engine: Engine) -> Result<Self, Fault> {
        let desk = folder.join("desk.toml");
        fs::write(&desk, text(builtins))?;
        let mut command = Command::new(tabard());
        command.arg("run").arg(&desk).arg("--headless").arg("--logs").arg(folder.join("logs"));
        command.args(["--engine", engine.name()]);
        Ok(Self(command.stdin(Stdio::null()).spawn()?))
    }

    /// Waits until every guest has drawn; their processes.
    fn ready(&self, folder: &Path, guests: usize) -> Result<Vec<u32>, Fault> {
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let logs = fs::read_dir(folder.join("logs")).into_iter().flatten().flatten();
            let ready = logs
                .filter_map(|log| fs::read_to_string(log.path()).ok())
                .filter(|log| log.contains("\"ready\""))
                .count();
            if ready == guests {
                return descendants(self.0.id());
            }
            sleep(Duration::from_millis(20));
        }
        Err("The guests did not become ready".into())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended already; its guests die with it.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The processes below this one, generation after generation: of a `tabard` first each keeper, then
/// each machine's own.
pub fn descendants(parent: u32) -> Result<Vec<u32>, Fault> {
    let mut found = children(parent)?;
    let mut next = 0;
    while let Some(one) = found.get(next) {
        found.extend(children(*one)?);
        next += 1;
    }
    Ok(found)
}

/// The processes whose parent is this one.
fn children(parent: u32) -> Result<Vec<u32>, Fault> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
        else {
            continue;
        };
        // A process that has ended meanwhile is not one of ours.
        let Ok(fields) = stat(pid) else { continue };
        if fields.get(1).is_some_and(|field| *field == parent.to_string()) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// Private memory of a guest's processes in MiB, without the guest's memory and the surface.
fn overhead_mib(processes: &[u32]) -> Result<f64, Fault> {
    private_of(processes, MEMORY_MIB)
}

/// Private memory of the processes of a guest that has `memory_mib`, in MiB, without the guest's
/// memory and the surface.
pub fn private_of(processes: &[u32], memory_mib: u32) -> Result<f64, Fault> {
    let (mut sum, mut guest_seen) = (0.0, false);
    for process in processes {
        let (mib, seen) = private_mib(*process, memory_mib)?;
        sum += mib;
        guest_seen |= seen;
    }
    if guest_seen {
        Ok(sum)
    } else {
        Err(format!("None of {processes:?} has {memory_mib} MiB for the guest").into())
    }
}

/// What a process is called.
fn name(pid: u32) -> Result<String, Fault> {
    Ok(fs::read_to_string(format!("/proc/{pid}/comm"))?.trim().to_owned())
}

/// Private memory of a process in MiB without surfaces and the memory of a guest that has
/// `memory_mib` of it; whether there is any of the latter.
fn private_mib(pid: u32, memory_mib: u32) -> Result<(f64, bool), Fault> {
    let path = format!("/proc/{pid}/smaps");
    // The process is not dumpable, so only root may look.
    let smaps = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let guest_kib = u64::from(memory_mib) * 1024;
    let (mut private_kib, mut guest_seen) = (0, false);
    let (mut shared, mut guest) = (false, false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        let kib = words.next().and_then(|word| word.parse::<u64>().ok());
        match (first, kib) {
            ("Size:", Some(size)) => {
                guest = size == guest_kib;
                guest_seen |= guest;
            }
            ("Private_Clean:" | "Private_Dirty:", Some(kib)) if !shared && !guest => {
                private_kib += kib;
            }
            _ if !first.ends_with(':') => {
                let memory = line.contains("memfd:tabard-memory");
                guest_seen |= memory;
                shared = memory || line.contains("memfd:tabard-surface");
            }
            _ => {}
        }
    }
    Ok((private_kib as f64 / 1024.0, guest_seen))
}

/// Processor time of these processes, in ticks.
fn ticks(pids: &[u32]) -> Result<f64, Fault> {
    let mut sum = 0.0;
    for pid in pids {
        let fields = stat(*pid)?;
        // utime and stime are fields 14 and 15 of proc(5); `stat` begins at field 3.
        for field in fields.get(11..13).unwrap_or_default() {
            sum += field.parse::<f64>()?;
        }
    }
    Ok(sum)
}

/// The fields of `/proc/PID/stat` behind the name, which may hold spaces: state, parent, ...
fn stat(pid: u32) -> Result<Vec<String>, Fault> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, fields) = text.rsplit_once(')').ok_or("/proc/PID/stat has no name")?;
    Ok(fields.split_whitespace().map(str::to_owned).collect())
}
