//! A control group for each guest's processes (cgroup v2, Linux's
//! Documentation/admin-guide/cgroup-v2.rst). It bounds what no resource limit does: the memory that
//! the kernel holds for the process, and the processors that all its threads take together. Where
//! the group that `tabard` runs in is not its own to divide, there is none.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use super::engine::Engine;

/// What a guest's group bounds.
const CONTROLLERS: [&str; 3] = ["cpu", "memory", "pids"];
/// Groups of guests start so, with the process id of the `tabard` that made them.
const PREFIX: &str = "tabard-";
/// Memory besides what the guest may fill itself, in bytes: the heap of its process, its
/// surfaces, page tables.
const OTHER_BYTES: u64 = 512 << 20;
/// As much more for QEMU: its heap, and the code that it translates, up to 1 GiB of it.
const QEMU_BYTES: u64 = 1536 << 20;
/// Threads of one of a guest's programs: the limit of its process, the keeper, and one that just
/// ends.
const MAX_TASKS: u64 = 98;
/// A period of the processor's time in microseconds; the same for each processor is all of it.
const PERIOD_US: u64 = 100_000;
/// As the niceness of its process, which only counts among the processes of one group.
const NICE: u64 = 10;

/// The group of one guest's processes. Dropping it ends whoever is left in it.
#[derive(Debug)]
pub(crate) struct Group(PathBuf);

impl Group {
    /// A group for processes that fill this much memory for their guest and run so many virtual
    /// processors. `None` where there can be none.
    pub(crate) fn new(memory_bytes: u64, vcpus: u8, engine: Engine) -> Option<Self> {
        static BASE: OnceLock<Option<PathBuf>> = OnceLock::new();
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let base = BASE.get_or_init(own_group).as_deref()?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        Self::within(base, &name, memory_bytes, vcpus, engine)
    }

    fn within(
        base: &Path,
        name: &str,
        memory_bytes: u64,
        vcpus: u8,
        engine: Engine,
    ) -> Option<Self> {
        let group = Self(base.join(name));
        fs::create_dir(&group.0).ok()?;
        let (programs, other_bytes) = match engine {
            Engine::Kvm => (1, OTHER_BYTES),
            Engine::Qemu => (2, OTHER_BYTES.saturating_add(QEMU_BYTES)),
        };
        // The session of each process wants a little besides the processors.
        let time_us = u64::from(vcpus).saturating_add(programs).saturating_mul(PERIOD_US);
        let limits = [
            ("memory.max", memory_bytes.saturating_add(other_bytes).to_string()),
            ("memory.oom.group", "1".to_owned()),
            ("pids.max", MAX_TASKS.saturating_mul(programs).to_string()),
            ("cpu.max", format!("{time_us} {PERIOD_US}")),
            ("cpu.weight.nice", NICE.to_string()),
        ];
        let mut set = limits.iter().map(|(file, value)| fs::write(group.0.join(file), value));
        set.all(|limit| limit.is_ok()).then_some(group)
    }

    /// What a process writes `0` to that wants in: no path and no privilege of its own takes it
    /// there. Of no use to one that is in.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub(crate) fn door(&self) -> io::Result<File> {
        File::options().write(true).open(self.0.join("cgroup.procs"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Both are for what a process that was killed early may have left; before Linux 5.14 only
        // the keeper does it. A group that is not empty yet goes with the next `tabard`.
        let _ = fs::write(self.0.join("cgroup.kill"), "1");
        let _ = fs::remove_dir(&self.0);
    }
}

/// The group that this process runs in, once it can be divided among guests.
fn own_group() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mount = mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let place = fields.next()?;
        (fields.next()? == "cgroup2").then_some(place)
    })?;
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let base = Path::new(mount).join(group);
    divide(&base).ok()?;
    sweep(&base);
    Some(base)
}

/// Hands the controllers down. All processes of a group must be in groups below it for that, so
/// this process goes into one; a group with others in it, as a shell, is left as it was.
fn divide(base: &Path) -> io::Result<()> {
    let there = fs::read_to_string(base.join("cgroup.controllers"))?;
    if !CONTROLLERS.iter().all(|name| there.split_whitespace().any(|one| one == *name)) {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let wanted = CONTROLLERS.map(|name| format!("+{name}")).join(" ");
    let hand_down = || fs::write(base.join("cgroup.subtree_control"), &wanted);
    if hand_down().is_ok() {
        return Ok(());
    }
    let own = base.join("tabard");
    fs::create_dir(&own)?;
    let divided = fs::write(own.join("cgroup.procs"), "0").and_then(|()| hand_down());
    if divided.is_err() {
        let _ = fs::write(base.join("cgroup.procs"), "0");
        let _ = fs::remove_dir(&own);
    }
    divided
}

/// Removes what a `tabard` that was killed has left.
fn sweep(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(PREFIX)).unwrap_or_default();
        if let Some((process, _)) = rest.split_once('-')
            && !Path::new("/proc").join(process).exists()
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_every_limit_and_a_door() {
        let base = tempfile::tempdir().unwrap();
        let group = Group::within(base.path(), "one", 64 << 20, 2, Engine::Kvm).unwrap();
        let read = |file| fs::read_to_string(base.path().join("one").join(file)).unwrap();

        assert_eq!(read("memory.max"), ((64 + 512) << 20).to_string());
        assert_eq!(read("cpu.max"), "300000 100000");
        assert_eq!((read("pids.max"), read("memory.oom.group")), ("98".to_owned(), "1".to_owned()));
        // Here it is a plain folder; the kernel makes the file with the group.
        assert!(group.door().is_err());
        fs::write(base.path().join("one/cgroup.procs"), "").unwrap();
        assert!(group.door().is_ok());
    }

    #[test]
    fn a_group_with_an_engine_has_room_for_both_programs() {
        let base = tempfile::tempdir().unwrap();
        let _group = Group::within(base.path(), "one", 64 << 20, 2, Engine::Qemu).unwrap();
        let read = |file| fs::read_to_string(base.path().join("one").join(file)).unwrap();

        assert_eq!(read("memory.max"), (2112_u64 << 20).to_string());
        assert_eq!((read("cpu.max").as_str(), read("pids.max").as_str()), ("400000 100000", "196"));
    }

    #[test]
    fn without_a_group_to_divide_there_is_none() {
        let base = tempfile::tempdir().unwrap();

        assert!(Group::within(&base.path().join("nothing"), "one", 1, 1, Engine::Kvm).is_none());
        fs::write(base.path().join("cgroup.controllers"), "cpuset hugetlb memory pids\n").unwrap();
        assert!(divide(base.path()).is_err());
        // It was left as it was.
        assert_eq!(fs::read_dir(base.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_dead_tabard_left_is_swept_and_nothing_else() {
        let base = tempfile::tempdir().unwrap();
        let own = format!("{PREFIX}{}-0", std::process::id());
        for name in ["tabard", "tabard-4194305-3", "other", own.as_str()] {
            fs::create_dir(base.path().join(name)).unwrap();
        }
        sweep(base.path());
        let left = |name: &str| base.path().join(name).exists();

        assert!(!left("tabard-4194305-3"));
        assert!(left("tabard") && left("other") && left(&own));
    }
}
