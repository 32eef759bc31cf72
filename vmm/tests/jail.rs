//! The jail from the inside: `examples/payload.rs` is a `tabard-vmm` that has been taken over and
//! tries one thing in each run; and from the outside: what the host says of the process.

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{PATIENCE, Vmm};
use tabard_wire::{FromVmm, Layer, ToVmm};

/// What becomes of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// The process is ended by this signal.
    Killed(i32),
    /// The process ends with this status.
    Ended(i32),
    /// The call fails with this errno and the process goes on.
    Refused(i32),
}

const FILTERED: Fate = Fate::Killed(libc::SIGSYS);

/// Tries that end the process, on the session's thread.
const KILLED: [&str; 51] = [
    "open",
    "openat",
    "openat2",
    "readlink",
    "unlink",
    "socket",
    "socketpair",
    "connect",
    "bind",
    "kill",
    "kill-all",
    "tgkill-other",
    "pidfd-open",
    "ptrace",
    "process-vm-readv",
    "process-vm-writev",
    "execve",
    "execveat",
    "fork",
    "vfork",
    "clone-process",
    "clone-user",
    "mmap-exec",
    "mmap-shared",
    "mprotect-exec",
    "memfd",
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
    "io-uring",
    "perf-event",
    "shmget",
    "mq-open",
    "dumpable",
    "outlive",
    "raise-limit",
    "limit-of-other",
    "nice",
    "affinity",
    "terminal",
    "kvm-other",
    "ldt",
    "x32",
    "int80",
];

/// Tries that end the process on a processor's thread, which may do less.
const KILLED_ON_A_PROCESSOR: [&str; 8] =
    ["create-vm", "recvmsg", "thread", "openat@", "socket@", "mmap-exec@", "statx@", "clone3@"];

/// Tries that go on, and with which errno.
const REFUSED: [(&str, i32); 7] = [
    ("clone3", libc::ENOSYS),
    ("statx", libc::ENOSYS),
    ("stat", libc::ENOSYS),
    ("memory", libc::ENOMEM),
    ("descriptors", libc::EMFILE),
    ("threads", libc::EAGAIN),
    // No error, and no death.
    ("heap", -1),
];

fn payload() -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_tabard-vmm")).with_file_name("examples");
    let path = beside.join("payload");
    assert!(path.is_file(), "{} is missing: cargo build -p tabard-vmm --examples", path.display());
    path
}

/// Boots a taken-over `tabard-vmm` that tries this; what became of it.
fn attempt(name: &str) -> (Fate, String) {
    let said = tempfile::tempfile().unwrap();
    let messages = Stdio::from(said.try_clone().unwrap());
    let mut vmm = Vmm::spawn_program(&payload(), messages);
    vmm.command_line = format!("try={name}");
    vmm.set_up(tabard_guests::builtin("probe").unwrap().elf, 64, 1);
    vmm.send(ToVmm::Load);
    vmm.expect(FromVmm::Loaded);
    vmm.send(ToVmm::Boot);
    let mut text = String::new();
    let begin = Instant::now();
    loop {
        if let Some(status) = vmm.child.try_wait().unwrap() {
            let code = status.code().expect("a keeper ends by itself");
            let fate = if code > 128 { Fate::Killed(code - 128) } else { Fate::Ended(code) };
            return (fate, text);
        }
        text = common::written(&said);
        if let Some((_, result)) = text.split_once(": errno ") {
            let errno = result.lines().next().unwrap().parse().unwrap();
            // The process lives on: it can still be ended in good order.
            return (Fate::Refused(errno), text);
        }
        assert!(!text.contains("DONE"), "{name} was done: {text}");
        assert!(begin.elapsed() < PATIENCE, "nothing came of {name}: {text}");
        let _ = vmm.receive_within(std::time::Duration::from_millis(5));
    }
}

#[test]
fn every_call_of_an_intruder_ends_the_process() {
    for name in KILLED {
        assert_eq!(attempt(name).0, FILTERED, "{name}");
    }
    println!("{} tries on the session's thread, each ended the process", KILLED.len());
}

#[test]
fn on_kvm_a_processors_thread_may_do_less_than_the_sessions() {
    for name in KILLED_ON_A_PROCESSOR {
        let name = format!("{}@vcpu", name.trim_end_matches('@'));
        assert_eq!(attempt(&name).0, FILTERED, "{name}");
    }
}

#[test]
fn what_is_used_up_ends_at_its_limit() {
    for (name, errno) in REFUSED {
        let (fate, said) = attempt(name);
        assert_eq!(fate, Fate::Refused(errno), "{name}: {said}");
        println!("{}", said.trim());
    }
}

#[test]
fn a_file_that_is_filled_ends_at_the_limit_of_its_length() {
    // A write that fails, and not the end of the process.
    assert_eq!(attempt("fill-log").0, Fate::Ended(libc::EFBIG));
}

/// What an intruder tries on another guest, whose process it knows by its number outside. It ends
/// the process before the kernel looks for the other.
const ON_ANOTHER: [&str; 10] = [
    "memory-of-other",
    "maps-of-other",
    "descriptors-of-other",
    "read-other",
    "write-other",
    "trace-other",
    "kill-other",
    "tgkill-other",
    "handle-of-other",
    "limits-of-other",
];

#[test]
fn nothing_of_another_guest_can_be_had() {
    let mut other = Vmm::boot("probe");
    let process = other.machine();
    for name in ON_ANOTHER {
        assert_eq!(attempt(&format!("{name} other={process}")).0, FILTERED, "{name}");
    }
    assert_eq!(other.machine(), process);
    assert!(other.child.try_wait().unwrap().is_none(), "the other guest ended");
}

#[test]
fn the_host_agrees_with_what_the_process_says_of_its_jail() {
    let vmm = Vmm::boot("probe");
    host_agrees(&vmm, rustix::process::geteuid().as_raw());
}

/// A user that nothing has, as which an ordinary user's run is tried where this one is root's.
const ORDINARY: u32 = 54_321;

#[test]
fn the_host_agrees_about_an_ordinary_users_process() {
    if !rustix::process::geteuid().is_root() {
        // Then every test here is about one.
        return;
    }
    // Where that user can read it.
    let folder = tempfile::tempdir().unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(folder.path(), mode).unwrap();
    let program = folder.path().join("tabard-vmm");
    // By another process: what this one has open for writing, a process that another test starts
    // meanwhile has too for a moment, and a program that is open for writing cannot be run.
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_tabard-vmm")).arg(&program).status();
    assert!(copied.unwrap().success());
    let vmm = Vmm::spawn_as(&program, Stdio::inherit(), Some(ORDINARY)).booted("probe");
    host_agrees(&vmm, ORDINARY);
}

/// Compares what this process says of its jail with what /proc shows to root; an ordinary user is
/// shown less of a process that cannot be dumped, and the rest must be hidden.
fn host_agrees(vmm: &Vmm, started_by: u32) {
    let Some(FromVmm::Jailed { layers }) = vmm.seen.first().copied() else {
        panic!("the first message is {:?}", vmm.seen.first());
    };
    println!("layers: {layers}");
    for always in [Layer::Privileges, Layer::Limits, Layer::Seccomp] {
        assert!(layers.has(always), "{layers}");
    }
    let process = vmm.machine();
    let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}"));
    let status = read("status").unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in {status}")).trim().to_owned()
    };
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
    for set in ["CapInh:", "CapPrm:", "CapEff:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(layers.has(Layer::Pid), field("NSpid:").ends_with("\t1"), "{}", field("NSpid:"));
    let keeper = fs::read_to_string(format!("/proc/{}/status", vmm.child.id())).unwrap();
    assert!(keeper.contains("Seccomp:\t2"), "the keeper is not confined");
    let limits = read("limits").unwrap();
    for (limit, value) in [("Max open files", "1024"), ("Max locked memory", "0")] {
        let line = limits.lines().find(|line| line.starts_with(limit)).unwrap();
        assert_eq!(line[limit.len()..].split_whitespace().next(), Some(value), "{line}");
    }
    // Root's process is a user of its own; an ordinary user's has no other to be outside.
    let user: u32 = field("Uid:").split('\t').next().unwrap().parse().unwrap();
    assert_eq!(user == started_by, started_by != 0, "user {user}, started by {started_by}");

    if !rustix::process::geteuid().is_root() {
        for hidden in ["mem", "maps", "environ", "auxv", "fd", "ns/pid", "root", "cwd", "exe"] {
            let path = format!("/proc/{process}/{hidden}");
            let opened = fs::File::open(&path).and_then(|mut file| file.read(&mut [0; 8]));
            assert!(opened.is_err(), "{path} is open to its own user");
        }
        return;
    }
    let same = |name: &str| {
        let of = |who: &str| fs::read_link(format!("/proc/{who}/ns/{name}")).unwrap();
        of("self") == of(&process.to_string())
    };
    for (layer, name) in [
        (Layer::User, "user"),
        (Layer::Mount, "mnt"),
        (Layer::Pid, "pid"),
        (Layer::Net, "net"),
        (Layer::Ipc, "ipc"),
        (Layer::Uts, "uts"),
    ] {
        assert_eq!(layers.has(layer), !same(name), "{name}");
    }
    if layers.has(Layer::Mount) {
        // No /proc either: other guests are not even to be named.
        assert_eq!(fs::read_dir(format!("/proc/{process}/root/")).unwrap().count(), 0);
        let mounts = read("mounts").unwrap();
        assert_eq!(mounts.lines().count(), 1, "{mounts}");
    }
}

#[test]
fn a_keeper_that_is_asked_to_end_takes_the_machine_along() {
    let mut vmm = Vmm::boot("probe");
    let process = vmm.machine();
    assert_ne!(process, vmm.child.id());
    let keeper = rustix::process::Pid::from_child(&vmm.child);
    rustix::process::kill_process(keeper, rustix::process::Signal::TERM).unwrap();
    assert_eq!(vmm.wait_for_exit().code(), Some(128 + libc::SIGKILL));
    assert!(!Path::new(&format!("/proc/{process}")).exists());
}
