//! What a desk costs while nobody touches it: private memory of the guests' processes, and
//! processor time of all of them. Read from `/proc` of the real `tabard` and its children.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Fault;
use crate::desk::{LIMIT, MEMORY_MIB, tabard, text};
use crate::figure::Figure;

/// Ticks a second of `/proc/PID/stat` (`USER_HZ`, 100 on x86).
const TICKS_PER_SECOND: f64 = 100.0;
const IDLE: Duration = Duration::from_secs(20);
const GUESTS: [&str; 3] = ["notepad", "sketch", "notepad"];

/// Measures `vmm_overhead` and `idle_cpu`.
pub fn measure() -> Result<(), Fault> {
    let folder = tempfile::tempdir()?;
    let desk = Running::start(folder.path())?;
    let children = desk.ready(folder.path())?;
    // What starting left behind, such as the last frames, is not idling.
    sleep(Duration::from_secs(2));

    let (keepers, machines) = children.split_at(GUESTS.len());
    let overheads: Result<Vec<f64>, Fault> =
        keepers.iter().zip(machines).map(|(one, other)| overhead_mib(*one, *other)).collect();
    Figure {
        name: "vmm_overhead",
        value: overheads?.into_iter().fold(0.0, f64::max),
        unit: "MiB",
        limit: Some(5.0),
        peer: None,
        peer_value: None,
    }
    .print();

    let all: Vec<u32> = std::iter::once(desk.0.id()).chain(children).collect();
    let (began, before) = (Instant::now(), ticks(&all)?);
    sleep(IDLE);
    let (elapsed, after) = (began.elapsed(), ticks(&all)?);
    Figure {
        name: "idle_cpu",
        value: (after - before) / TICKS_PER_SECOND / elapsed.as_secs_f64() * 100.0,
        unit: "%",
        limit: Some(0.5),
        peer: None,
        peer_value: None,
    }
    .print();
    Ok(())
}

/// A `tabard run` without a screen. Dropping it ends it, and its guests with it.
struct Running(Child);

impl Running {
    fn start(folder: &Path) -> Result<Self, Fault> {
        let desk = folder.join("desk.toml");
        fs::write(&desk, text(&GUESTS))?;
        let mut command = Command::new(tabard());
        command.arg("run").arg(&desk).arg("--headless").arg("--logs").arg(folder.join("logs"));
        Ok(Self(command.stdin(Stdio::null()).spawn()?))
    }

    /// Waits until every guest has drawn; their processes.
    fn ready(&self, folder: &Path) -> Result<Vec<u32>, Fault> {
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            let logs = fs::read_dir(folder.join("logs")).into_iter().flatten().flatten();
            let ready = logs
                .filter_map(|log| fs::read_to_string(log.path()).ok())
                .filter(|log| log.contains("\"ready\""))
                .count();
            if ready == GUESTS.len() {
                return processes(self.0.id());
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

/// The processes of a `tabard` for its guests: first each keeper, then each machine's own.
fn processes(parent: u32) -> Result<Vec<u32>, Fault> {
    let mut found = children(parent)?;
    for keeper in found.clone() {
        found.extend(children(keeper)?);
    }
    if found.len() == 2 * GUESTS.len() {
        Ok(found)
    } else {
        Err(format!("There are {} processes of {} guests", found.len(), GUESTS.len()).into())
    }
}

/// The processes whose parent is this one.
pub fn children(parent: u32) -> Result<Vec<u32>, Fault> {
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

/// Private memory of a guest's two processes in MiB, without the guest's memory and the surface.
fn overhead_mib(keeper: u32, machine: u32) -> Result<f64, Fault> {
    let (kept, guest_seen) = private_mib(machine, MEMORY_MIB)?;
    if !guest_seen {
        return Err(format!("{machine} has no mapping of {MEMORY_MIB} MiB for the guest").into());
    }
    Ok(kept + private_mib(keeper, MEMORY_MIB)?.0)
}

/// Private memory of a process in MiB without surfaces and the memory of a guest that has
/// `memory_mib` of it; whether there is any of the latter.
pub fn private_mib(pid: u32, memory_mib: u32) -> Result<(f64, bool), Fault> {
    let path = format!("/proc/{pid}/smaps");
    // The process is not dumpable, so only root may look.
    let smaps = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let guest_kib = u64::from(memory_mib) * 1024;
    let (mut private_kib, mut guest_seen) = (0, false);
    let (mut surface, mut guest) = (false, false);
    for line in smaps.lines() {
        let mut words = line.split_whitespace();
        let Some(first) = words.next() else { continue };
        let kib = words.next().and_then(|word| word.parse::<u64>().ok());
        match (first, kib) {
            ("Size:", Some(size)) => {
                guest = size == guest_kib;
                guest_seen |= guest;
            }
            ("Private_Clean:" | "Private_Dirty:", Some(kib)) if !surface && !guest => {
                private_kib += kib;
            }
            _ if !first.ends_with(':') => surface = line.contains("memfd:tabard-surface"),
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
