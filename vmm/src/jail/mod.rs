//! What the process gives up before it reads its first message. Each file is one wall; the order
//! in which they go up is here. Afterwards the process has its descriptors and nothing else.
//!
//! Some hosts forbid some walls (no user namespaces, no Landlock). What could not be had is left
//! out of the [`Layers`] that are told to `tabard`, which decides whether to go on.

mod alone;
mod calls;
mod engine_calls;
mod filter;
mod group;
mod keeper;
mod kvm_calls;
mod limits;
mod root;
mod snapshot;
mod user;

use std::os::fd::AsFd;
use std::path::PathBuf;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal, getppid, set_parent_process_death_signal};
use tabard_wire::{Layer, Layers};

use crate::engine::qemu::Installation;

pub use filter::{Role, apply, confine, program_of};
pub use limits::{limit_engine, limit_files, limit_memory};

/// A wall that must stand on every host and did not go up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("The jail cannot be entered: {step} failed")]
pub struct JailError {
    /// What was tried.
    pub step: &'static str,
    /// What the kernel said.
    #[source]
    pub errno: Errno,
}

/// Who is shut in.
#[derive(Debug, Clone, Copy)]
pub enum Inmate<'a> {
    /// A guest's process: it opens nothing any more.
    Guest,
    /// `tabard-engine`, which starts this QEMU: it reads its program and libraries, nothing else.
    Engine(&'a Installation),
}

/// Names the step that gave an errno.
fn at(step: &'static str) -> impl FnOnce(Errno) -> JailError {
    move |errno| JailError { step, errno }
}

/// Enters the jail; the layers that hold. Call it while the process has one thread, with the wire
/// as `wire`.
///
/// With a process namespace of its own the caller becomes the first process in it and its parent
/// stays outside, as its keeper; that one does not return.
///
/// # Errors
/// [`JailError`] for what every supported kernel has. What a host may forbid is no error.
pub fn enter(wire: impl AsFd, inmate: Inmate<'_>) -> Result<Layers, JailError> {
    let parent = getppid();
    let grouped = group::enter().map_err(at("entering the control group"))?;
    alone::close_all_others().map_err(at("close_range"))?;
    alone::plain_heap();
    // Asked while the root of the host can still be seen.
    let no_siblings = std::fs::read("/sys/devices/system/cpu/smt/active")
        .is_ok_and(|text| text.starts_with(b"0"));

    let (mut layers, identity) = user::leave_the_host();
    // A change of identity takes the death with the parent back; so it is asked for anew, and the
    // parent may have died before.
    set_parent_process_death_signal(Some(Signal::KILL)).map_err(at("prctl(PR_SET_PDEATHSIG)"))?;
    if getppid() != parent {
        return Err(JailError { step: "looking for the parent", errno: Errno::SRCH });
    }
    let keeper = layers.has(Layer::Pid).then(|| keeper::go_inside(wire.as_fd(), identity));
    let keeper = keeper.transpose()?;
    let emptied = match inmate {
        Inmate::Guest => root::empty(),
        Inmate::Engine(installation) => root::with(&installation.folders()),
    };
    if layers.has(Layer::Mount) && emptied.is_err() {
        layers = layers.lacking_in(Layers::default().with(Layer::Mount));
    }
    let own_user = identity.take()?;
    if own_user {
        layers = layers.with(Layer::User);
    }
    if no_siblings || alone::share_no_core() {
        layers = layers.with(Layer::Cores);
    }
    limits::enter(own_user).map_err(at("setrlimit"))?;
    if let Inmate::Engine(_) = inmate {
        limits::engine_memory().map_err(at("setrlimit"))?;
    }
    give_up_privileges().map_err(at("giving up privileges"))?;
    keeper.map_or(Ok(()), keeper::Keeper::must_live)?;
    if grouped {
        layers = layers.with(Layer::Cgroup);
    }
    layers = layers.with(Layer::Limits).with(Layer::Privileges);
    if close_files_and_network(inmate)? {
        layers = layers.with(Layer::Landlock);
    }
    let role = match inmate {
        Inmate::Guest => Role::Devices,
        Inmate::Engine(_) => Role::Engine,
    };
    confine(role).map_err(at("seccomp"))?;
    Ok(layers.with(Layer::Seccomp))
}

/// No capability, no privilege by `exec`, no core with guest memory, no tracing by others of the
/// same user, no life after the keeper's.
fn give_up_privileges() -> rustix::io::Result<()> {
    let none = rustix::thread::CapabilitySets {
        effective: rustix::thread::CapabilitySet::empty(),
        permitted: rustix::thread::CapabilitySet::empty(),
        inheritable: rustix::thread::CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none)?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Landlock with every right that the kernel knows and no rule that grants one, but for QEMU's own
/// files. `false` where the kernel has no Landlock; where it has, it must hold.
fn close_files_and_network(inmate: Inmate<'_>) -> Result<bool, JailError> {
    let abi = ABI::V6;
    let refused = |_| JailError { step: "Landlock", errno: Errno::PERM };
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(abi)))
        .and_then(|rules| rules.scope(Scope::from_all(abi)))
        .and_then(|rules| rules.create())
        .map_err(refused)?;
    if let Inmate::Engine(installation) = inmate {
        for (path, rights) in installation.rules() {
            // What a host does not have is not granted either.
            let Ok(file) = PathFd::new(&path) else { continue };
            let rule = PathBeneath::new(file, rights);
            rules = rules.add_rule(rule).map_err(refused)?;
        }
    }
    let status = rules.restrict_self().map_err(refused)?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}

/// The loader of dynamic programs, which the kernel runs for each of them.
const LOADER: &str = "/lib64/ld-linux-x86-64.so.2";

impl Installation {
    /// What of the host its process can see at all.
    fn folders(&self) -> Vec<PathBuf> {
        let host =
            ["/usr/lib", "/usr/lib64", "/usr/share/qemu", "/lib", "/lib64", "/etc/ld.so.cache"];
        let own = self.folder.clone().unwrap_or_else(|| self.program.clone());
        host.map(PathBuf::from).into_iter().chain([own]).collect()
    }

    /// What it may read or run.
    fn rules(&self) -> Vec<(PathBuf, BitFlags<AccessFs>)> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let run = AccessFs::ReadFile | AccessFs::Execute;
        let file: BitFlags<AccessFs> = AccessFs::ReadFile.into();
        // `/dev/fd` leads by `/proc` to files in memory, of which Landlock says nothing: of `/proc`
        // itself nothing needs to be open.
        let mut rules = vec![
            (PathBuf::from("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile),
            (PathBuf::from(LOADER), run),
            (self.program.clone(), run),
            (PathBuf::from("/etc/ld.so.cache"), file),
        ];
        let host = ["/usr/lib/x86_64-linux-gnu", "/lib/x86_64-linux-gnu", "/usr/lib64"];
        rules.extend(host.map(|path| (PathBuf::from(path), read)));
        match &self.folder {
            Some(folder) => rules.push((folder.clone(), read)),
            None => rules.push((PathBuf::from("/usr/share/qemu"), read)),
        }
        rules
    }
}
