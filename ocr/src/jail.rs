//! What the process gives up before it becomes the reader: the network, its user, every file that it
//! does not need, every call that reading does not take, and the right to grow.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::process::{
    Gid, Resource, Rlimit, Signal, Uid, getegid, geteuid, getpid, getppid, getrlimit,
    set_parent_process_death_signal, setrlimit,
};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags};

use crate::calls;

/// First of the users for readers that root starts; the process id is added. No distribution gives
/// numbers from 1879048192 to 2147483647 to anyone (systemd, UIDS-GIDS.md), and those of guests begin
/// 4194304 above this.
const FIRST_USER: u32 = 2_042_626_048;
/// How far a reader stands behind the desk that is tested.
const NICE: i32 = 10;
/// What it may map, in bytes: a screen of 4K in every form that a reader makes of it.
const MEMORY_BYTES: u64 = 3 << 30;
/// Processor time in seconds; who started it gives up before.
const PROCESSOR_SECONDS: u64 = 120;
/// Its answer, the only file that it can make longer, in bytes.
const ANSWER_BYTES: u64 = 1 << 20;
/// Most descriptors: a file or two at a time.
const MAX_DESCRIPTORS: u64 = 64;
/// The first descriptor after picture, answer and messages.
const FIRST_STRAY: libc::c_uint = 3;
/// The loader of dynamic programs, which the kernel runs for each of them.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";
/// Where libraries are.
const LIBRARIES: [&str; 6] =
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache"];

/// A wall that did not go up.
#[derive(Debug, thiserror::Error)]
pub enum JailError {
    /// The kernel refused a step.
    #[error("The jail cannot be entered: {step} failed: {errno}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// What the kernel said.
        errno: Errno,
    },
    /// Nothing would keep it from this user's files.
    #[error(
        "This kernel has no Landlock, and without it what reads a guest's picture could read this user's files. Start the kernel with landlock in lsm=, or use a needle instead"
    )]
    NoLandlock,
}

fn at(step: &'static str) -> impl FnOnce(Errno) -> JailError {
    move |errno| JailError::Step { step, errno }
}

/// Enters the jail: afterwards this process can become `program` and no other, which reads `data` and
/// libraries. Call it while the process has one thread.
///
/// # Errors
/// [`JailError`]. Only namespaces may be missing: some hosts forbid them, and the calls that need
/// them are forbidden besides.
pub fn enter(program: &Path, data: &Path) -> Result<(), JailError> {
    let parent = getppid();
    close_strays().map_err(at("close_range"))?;
    leave_the_host()?;
    // A change of identity takes the death with the parent back; so it is asked for here, and the
    // parent may have died before.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("prctl(PR_SET_PDEATHSIG)"))?;
    if getppid() != parent {
        return Err(JailError::Step { step: "looking for the parent", errno: Errno::SRCH });
    }
    limit().map_err(at("setrlimit"))?;
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).map_err(at("capset"))?;
    rustix::thread::set_no_new_privs(true).map_err(at("prctl(PR_SET_NO_NEW_PRIVS)"))?;
    shut_files(program, data)?;
    calls::confine().map_err(at("seccomp"))
}

/// Closes what a shell or a service left open.
fn close_strays() -> rustix::io::Result<()> {
    // SAFETY: the process has just begun: nothing in it owns a descriptor above 2 yet.
    let done = unsafe { libc::close_range(FIRST_STRAY, libc::c_uint::MAX, 0) };
    if done == 0 {
        return Ok(());
    }
    Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO))
}

/// Leaves the namespaces that may be left, and where it was root takes a user that nothing else has.
fn leave_the_host() -> Result<(), JailError> {
    let spaces = UnshareFlags::NEWNET | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if !geteuid().is_root() {
        let (user, group) = (geteuid().as_raw(), getegid().as_raw());
        if unshare(UnshareFlags::NEWUSER | spaces) {
            // Unmapped it is nobody, and needs to be no more.
            let _unmapped = std::fs::write("/proc/self/setgroups", "deny")
                .and_then(|()| std::fs::write("/proc/self/uid_map", format!("{user} {user} 1")))
                .and_then(|()| std::fs::write("/proc/self/gid_map", format!("{group} {group} 1")));
        }
        return Ok(());
    }
    unshare(spaces);
    let process = u32::try_from(getpid().as_raw_nonzero().get()).unwrap_or(0);
    let number = FIRST_USER.saturating_add(process);
    let (user, group) = (Uid::from_raw(number), Gid::from_raw(number));
    rustix::thread::set_thread_groups(&[]).map_err(at("setgroups"))?;
    rustix::thread::set_thread_res_gid(group, group, group).map_err(at("setresgid"))?;
    rustix::thread::set_thread_res_uid(user, user, user).map_err(at("setresuid"))
}

fn unshare(what: UnshareFlags) -> bool {
    // SAFETY: none of these flags takes memory or descriptors from a thread that still uses them; the
    // process has only this one.
    unsafe { rustix::thread::unshare_unsafe(what) }.is_ok()
}

fn limit() -> rustix::io::Result<()> {
    rustix::process::nice(NICE)?;
    for (resource, value) in [
        (Resource::As, MEMORY_BYTES),
        (Resource::Cpu, PROCESSOR_SECONDS),
        (Resource::Fsize, ANSWER_BYTES),
        (Resource::Nofile, MAX_DESCRIPTORS),
        (Resource::Core, 0),
        (Resource::Memlock, 0),
        (Resource::Msgqueue, 0),
        (Resource::Rtprio, 0),
    ] {
        let allowed = getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let value = Some(value.min(allowed));
        setrlimit(resource, Rlimit { current: value, maximum: value })?;
    }
    Ok(())
}

/// Landlock with every right that the kernel knows: libraries and data may be read, the program and
/// the loader be run, nothing else.
fn shut_files(program: &Path, data: &Path) -> Result<(), JailError> {
    let abi = ABI::V6;
    let refused = |_| JailError::Step { step: "Landlock", errno: Errno::PERM };
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(|rules| rules.create())
        .map_err(refused)?;
    for (path, rights) in granted(program, data) {
        // What a host does not have is not granted either.
        let Ok(file) = PathFd::new(&path) else { continue };
        // A file has no folder's rights.
        let rights = if path.is_dir() { rights } else { rights & AccessFs::from_file(abi) };
        rules = rules.add_rule(PathBeneath::new(file, rights)).map_err(refused)?;
    }
    match rules.restrict_self().map_err(refused)?.ruleset {
        RulesetStatus::NotEnforced => Err(JailError::NoLandlock),
        _ => Ok(()),
    }
}

fn granted(program: &Path, data: &Path) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let run = AccessFs::ReadFile | AccessFs::Execute;
    let mut granted = vec![
        (program.to_path_buf(), run),
        (PathBuf::from(LOADER), run),
        (data.to_path_buf(), read),
    ];
    granted.extend(LIBRARIES.map(|path| (PathBuf::from(path), read)));
    granted
}
