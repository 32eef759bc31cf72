//! QEMU's jail from the inside: `examples/payload_qemu.rs` is a QEMU that has been taken over and tries
//! one thing in each run; from the outside: whose lives hang on whose. Needs the tests' QEMU.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::{PATIENCE, Vmm, cpu_ticks, qemu};
use rustix::process::{Pid, Signal, kill_process};
use tabard_wire::{FromVmm, Layer, StopReason, ToVmm};

/// Calls that end a taken-over QEMU.
const KILLED: [&str; 50] = [
    "openat2",
    "unlink",
    "socket",
    "connect",
    "bind",
    "kill",
    "kill-all",
    "tgkill-other",
    "pidfd-open",
    "ptrace",
    "process-vm-readv",
    "process-vm-writev",
    "execveat",
    "fork",
    "vfork",
    "clone-process",
    "clone-user",
    "unshare",
    "setns",
    "mount",
    "umount",
    "chroot",
    "setuid",
    "keyctl",
    "add-key",
    "bpf",
    "userfaultfd",
    "perf-event",
    "shmget",
    "mq-open",
    "dumpable",
    "outlive",
    "raise-limit-engine",
    "nice",
    "affinity",
    "terminal",
    "kvm-other",
    "ldt",
    "x32",
    "int80",
    "create-vm",
    "mmap-shared",
    "signal-engine",
    "signal-thread",
    "own-fork",
    "fork-of-the-engine",
    "network-pair",
    "owner",
    "socket-filter",
    "personality",
];

/// Tries that come to nothing, and with which errno.
const REFUSED: [(&str, i32); 23] = [
    ("clone3", libc::ENOSYS),
    ("io-uring", libc::ENOSYS),
    ("file-passwd", libc::ENOENT),
    ("file-shadow", libc::ENOENT),
    ("file-audit", libc::ENOENT),
    ("file-home", libc::ENOENT),
    ("file-kvm", libc::ENOENT),
    ("file-cmdline", libc::ENOENT),
    ("file-interrupts", libc::ENOENT),
    ("file-keys", libc::ENOENT),
    ("file-parent-memory", libc::EACCES),
    ("file-parent-environment", libc::EACCES),
    ("make-file", libc::EROFS),
    ("make-file-in-tmp", libc::EROFS),
    ("write-itself", libc::EACCES),
    ("list-root", libc::EACCES),
    ("shell", libc::ENOENT),
    ("other-program", libc::ENOENT),
    ("memory", libc::ENOMEM),
    ("shared-memory", libc::ENOMEM),
    ("long-file", libc::EFBIG),
    ("descriptors", libc::EMFILE),
    ("threads", libc::EAGAIN),
];

/// On another guest's process, by its number outside.
const ON_ANOTHER: [&str; 6] =
    ["read-other", "write-other", "trace-other", "kill-other", "tgkill-other", "handle-of-other"];

/// A folder that every user can read.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), mode).unwrap();
    folder
}

/// Copied by another process: what this one has open for writing cannot be run.
fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg(from).arg(to).status().unwrap().success());
}

/// A QEMU that tries this; what it says, or how it ended.
fn attempt(name: &str) -> String {
    let payload = Path::new(env!("CARGO_BIN_EXE_tabard-vmm")).with_file_name("examples");
    let payload = payload.join("payload_qemu");
    assert!(payload.is_file(), "cargo build -p tabard-vmm --examples");
    let folder = folder();
    let program = folder.path().join(format!("try-{name}"));
    copy(&payload, &program);
    let said = tempfile::tempfile().unwrap();
    let mut vmm = Vmm::spawn_program(
        Path::new(env!("CARGO_BIN_EXE_tabard-vmm")),
        Stdio::from(said.try_clone().unwrap()),
    );
    vmm.engine_messages = Some(Stdio::from(said.try_clone().unwrap()));
    vmm.instead_of_qemu = Some(vec![program.to_str().unwrap().to_owned()]);
    vmm.set_up(tabard_guests::builtin("probe").unwrap().elf, 64, 1);
    vmm.send(ToVmm::Load);
    let begin = Instant::now();
    loop {
        let text = common::written(&said);
        for found in [": errno ", ": DONE", "QEMU ended with status "] {
            if let Some((_, result)) = text.split_once(found)
                && let Some((result, _)) = result.split_once('\n')
            {
                return format!("{found}{result}");
            }
        }
        assert!(begin.elapsed() < PATIENCE, "nothing came of {name}: {text}");
        let _ = vmm.receive_within(Duration::from_millis(5));
    }
}

#[test]
fn every_call_of_a_taken_over_qemu_ends_it() {
    for name in KILLED {
        let name = if name == "raise-limit-engine" { "limit-of-other" } else { name };
        assert_eq!(attempt(name), "QEMU ended with status 159", "{name}");
    }
}

#[test]
fn what_it_may_try_comes_to_nothing() {
    let mut wrong = Vec::new();
    for (name, errno) in REFUSED {
        let said = attempt(name);
        if said != format!(": errno {errno}") {
            wrong.push(format!("{name}: {said}, not {errno}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn it_may_begin_anew_which_gains_nothing() {
    assert_eq!(attempt("itself"), "QEMU ended with status 0");
}

#[test]
fn nothing_of_another_guest_can_be_had() {
    let mut other = Real::boot();
    for process in [other.vmm.machine(), other.qemu] {
        for name in ON_ANOTHER {
            let said = attempt(&format!("{name}.other-{process}"));
            assert_eq!(said, "QEMU ended with status 159", "{name}");
        }
    }
    assert!(other.vmm.child.try_wait().unwrap().is_none(), "the other guest ended");
}

/// A guest on the real QEMU, and its processes.
struct Real {
    vmm: Vmm,
    keeper: u32,
    engine: u32,
    qemu: u32,
}

fn child_of(process: u32) -> u32 {
    let path = format!("/proc/{process}/task/{process}/children");
    let end = Instant::now() + PATIENCE;
    loop {
        if let Ok(list) = fs::read_to_string(&path)
            && let Ok(child) = list.trim().parse()
        {
            return child;
        }
        assert!(Instant::now() < end, "{process} has no child");
        std::thread::yield_now();
    }
}

impl Real {
    fn boot() -> Self {
        Self::from(Vmm::spawn())
    }

    fn from(mut vmm: Vmm) -> Self {
        vmm.instead_of_qemu.get_or_insert_with(qemu);
        let mut vmm = vmm.booted("probe");
        vmm.wait_for_line("\"ready\"", 1);
        let keeper = vmm.engine.as_ref().unwrap().id();
        let engine = child_of(keeper);
        let qemu = child_of(engine);
        Self { vmm, keeper, engine, qemu }
    }

    /// All are gone within a second; the keepers are the test's to reap.
    fn nothing_stays(&mut self) {
        let end = Instant::now() + PATIENCE;
        for process in [self.engine, self.qemu] {
            while !gone(process) {
                assert!(Instant::now() < end, "{process} stays");
                std::thread::yield_now();
            }
        }
        while self.vmm.engine.as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "tabard-engine's keeper stays");
            std::thread::yield_now();
        }
    }
}

fn gone(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

fn signal(process: u32, signal: Signal) {
    kill_process(Pid::from_raw(process as i32).unwrap(), signal).unwrap();
}

#[test]
fn a_qemu_or_an_engine_that_is_killed_ends_the_guest() {
    for which in ["qemu", "engine", "keeper"] {
        let mut real = Real::boot();
        let process = match which {
            "qemu" => real.qemu,
            "engine" => real.engine,
            _ => real.keeper,
        };
        let begin = Instant::now();
        signal(process, Signal::KILL);
        real.vmm.expect(FromVmm::Stopped(StopReason::EngineEnded));
        assert_eq!(real.vmm.wait_for_exit().code(), Some(0));
        assert!(begin.elapsed() < common::PROMPT, "{which}: {:?}", begin.elapsed());
        real.nothing_stays();
    }
}

#[test]
fn a_guests_process_that_is_killed_takes_qemu_along() {
    for inner in [true, false] {
        let mut real = Real::boot();
        signal(if inner { real.vmm.machine() } else { real.vmm.child.id() }, Signal::KILL);
        real.nothing_stays();
    }
}

#[test]
fn a_qemu_that_is_stopped_keeps_nobody_waiting() {
    let mut real = Real::boot();
    signal(real.qemu, Signal::STOP);
    let process = real.vmm.machine();
    while real.vmm.receive_within(Duration::from_millis(100)).is_some() {}
    let before = cpu_ticks(process);
    let _silence = real.vmm.receive_within(Duration::from_secs(1));
    assert!(cpu_ticks(process) - before <= 3, "it spins");
    let begin = Instant::now();
    real.vmm.send(ToVmm::Reset);
    real.vmm.expect(FromVmm::Running);
    real.vmm.wait_for_line("\"ready\"", 2);
    println!("reset of a stopped QEMU to ready: {:?}", begin.elapsed());
    assert!(begin.elapsed() < common::PROMPT);
    real.qemu = child_of(real.engine);
    signal(real.qemu, Signal::STOP);
    let begin = Instant::now();
    real.vmm.send(ToVmm::Quit);
    assert_eq!(real.vmm.wait_for_exit().code(), Some(0));
    assert!(begin.elapsed() < common::PROMPT, "{:?}", begin.elapsed());
    real.nothing_stays();
}

/// A user that nothing has, as which an ordinary user's run is tried where this one is root's.
const ORDINARY: u32 = 54_321;

#[test]
fn an_ordinary_users_qemu_is_jailed_too() {
    let folder = folder();
    let place = |name: &str| -> PathBuf { folder.path().join(name) };
    let root = rustix::process::geteuid().is_root();
    for (name, from) in [
        ("tabard-vmm", env!("CARGO_BIN_EXE_tabard-vmm")),
        ("tabard-engine", env!("CARGO_BIN_EXE_tabard-engine")),
    ] {
        copy(Path::new(from), &place(name));
    }
    let user = root.then_some(ORDINARY);
    let mut vmm = Vmm::spawn_as(&place("tabard-vmm"), Stdio::inherit(), user);
    vmm.engine_program = place("tabard-engine");
    let real = Real::from(vmm);
    let layers = real.vmm.seen.iter().find_map(|message| match message {
        FromVmm::EngineJailed { layers } => Some(*layers),
        _ => None,
    });
    let layers = layers.expect("it says how it is jailed");
    println!("QEMU's layers, by an ordinary user: {layers}");
    for layer in
        [Layer::User, Layer::Mount, Layer::Pid, Layer::Net, Layer::Landlock, Layer::Seccomp]
    {
        assert!(layers.has(layer), "{layers}");
    }
    real.vmm.quit();
}

#[test]
fn a_session_whose_files_are_private_has_a_qemu_that_finds_its_own() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let script = folder.path().join("private");
    let engine = env!("CARGO_BIN_EXE_tabard-engine");
    fs::write(&script, format!("#!/bin/sh\numask 077\nexec {engine} \"$@\"\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let mut vmm = Vmm::spawn();
    vmm.engine_program = script;

    let real = Real::from(vmm);

    real.vmm.quit();
}
