//! Makes seccomp filters of the tables in `calls`, and puts them around a thread. A call that is
//! not in its thread's table ends the process (SECCOMP_RET_KILL_PROCESS).

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

use super::calls::{ABSENT, CHILD, Call, DEVICES, DISKS, KEEPER, Only, VCPU};
use super::engine_calls::{ENGINE, QEMU, QEMU_ABSENT};
use super::snapshot;

/// What a thread does. Threads start with the filter of the one that started them, so the table
/// of the session's thread has all that its children need, and theirs take the rest away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The session: the wire, the devices, making and starting machines; and workers of devices.
    Devices,
    /// A virtual processor.
    Vcpu,
    /// A thread that reads and writes a volume.
    Disks,
    /// The parent of the first process in the process namespace.
    Keeper,
    /// The process that starts QEMU, and QEMU's filter is within its own.
    Engine,
    /// QEMU.
    Qemu,
}

/// Confines the current thread, and those that it starts, to the calls of a role.
///
/// # Errors
/// The errno of `seccomp(2)`.
pub fn confine(role: Role) -> rustix::io::Result<()> {
    apply(&program_of(role)?)
}

/// The filters of a role, made beforehand: to be put up where no memory can be asked for.
///
/// # Errors
/// `INVAL`, if a table makes no program.
pub fn program_of(role: Role) -> rustix::io::Result<Vec<BpfProgram>> {
    let (table, also, absent): (_, &[Call], &[Call]) = match role {
        Role::Devices => (DEVICES, &[], ABSENT),
        Role::Vcpu => (VCPU, CHILD, &[]),
        Role::Disks => (DISKS, CHILD, &[]),
        Role::Keeper => (KEEPER, &[], &[]),
        Role::Engine => (ENGINE, QEMU, QEMU_ABSENT),
        Role::Qemu => (QEMU, &[], QEMU_ABSENT),
    };
    let mut programs = Vec::new();
    if !absent.is_empty() {
        // A filter has two answers and this is a third, so it is a filter of its own. Of what
        // several say the kernel obeys the strictest: the other must not kill for these.
        let answer = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
        programs.push(program(absent.iter(), answer, SeccompAction::Allow)?);
    }
    let kept: [&[Call]; 2] = match role {
        Role::Devices => [snapshot::VCPU, snapshot::DEVICES],
        Role::Vcpu => [snapshot::VCPU, &[]],
        _ => [&[], &[]],
    };
    let calls = table.iter().chain(also).chain(absent).chain(kept.into_iter().flatten());
    programs.push(program(calls, SeccompAction::Allow, SeccompAction::KillProcess)?);
    Ok(programs)
}

/// Puts filters around the current thread.
///
/// # Errors
/// The errno of `seccomp(2)`.
pub fn apply(programs: &[BpfProgram]) -> rustix::io::Result<()> {
    programs.iter().try_for_each(apply_one)
}

fn apply_one(program: &BpfProgram) -> rustix::io::Result<()> {
    seccompiler::apply_filter(program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
        }
        _ => Errno::INVAL,
    })
}

/// The program that does `listed` with the calls of a table and `other` with the rest.
fn program<'a>(
    table: impl Iterator<Item = &'a Call>,
    listed: SeccompAction,
    other: SeccompAction,
) -> rustix::io::Result<BpfProgram> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = BTreeMap::new();
    for call in table {
        let chain = rules.entry(call.number).or_default();
        if !call.only.is_empty() {
            let conditions = call.only.iter().map(condition).collect::<Result<_, _>>();
            let rule = conditions.and_then(SeccompRule::new).map_err(|_| Errno::INVAL)?;
            chain.push(rule);
        }
    }
    SeccompFilter::new(rules, other, listed, TargetArch::x86_64)
        .and_then(BpfProgram::try_from)
        .map_err(|_| Errno::INVAL)
}

fn condition(only: &Only) -> Result<SeccompCondition, seccompiler::BackendError> {
    // The kernel reads these arguments as 32-bit numbers and ignores what is above.
    let word = SeccompCmpArgLen::Dword;
    match *only {
        Only::Is(argument, value) => {
            SeccompCondition::new(argument, word, SeccompCmpOp::Eq, value.into())
        }
        Only::Without(argument, bits) => {
            SeccompCondition::new(argument, word, SeccompCmpOp::MaskedEq(bits.into()), 0)
        }
        Only::Whole(argument, value) => {
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)
        }
        Only::Own(argument) => {
            SeccompCondition::new(argument, word, SeccompCmpOp::Eq, std::process::id().into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_table_becomes_a_program() {
        for table in [DEVICES, VCPU, DISKS, CHILD, KEEPER, ABSENT, ENGINE, QEMU, QEMU_ABSENT] {
            let filter =
                program(table.iter(), SeccompAction::Allow, SeccompAction::KillProcess).unwrap();
            assert!(!filter.is_empty() && filter.len() < 4096);
        }
    }

    #[test]
    fn what_the_session_starts_may_do_nothing_that_the_session_may_not() {
        let devices: BTreeSet<i64> = DEVICES.iter().map(|call| call.number).collect();
        for call in [VCPU, DISKS, CHILD].into_iter().flatten() {
            assert!(devices.contains(&call.number), "{} {}", call.number, call.why);
        }
    }

    #[test]
    fn every_call_has_its_reason_and_a_call_is_not_both_free_and_bound() {
        let roles = [
            [DEVICES, &[]],
            [VCPU, CHILD],
            [DISKS, CHILD],
            [KEEPER, &[]],
            [ABSENT, &[]],
            [ENGINE, QEMU],
            [QEMU_ABSENT, &[]],
        ];
        for role in roles {
            for call in role.into_iter().flatten() {
                assert!(!call.why.is_empty(), "{}", call.number);
                let same = role.into_iter().flatten().filter(|other| other.number == call.number);
                let free = same.clone().any(|other| other.only.is_empty());
                // The compiler of filters would take the conditions for the whole.
                assert!(!free || same.count() == 1, "{}", call.number);
            }
        }
    }

    #[test]
    fn qemu_makes_no_socket_no_process_and_no_namespace() {
        let never = [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_keyctl,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_perf_event_open,
            libc::SYS_kill,
            libc::SYS_tgkill,
        ];
        for call in QEMU {
            assert!(!never.contains(&call.number), "{}", call.number);
        }
    }

    #[test]
    fn what_an_intruder_wants_first_is_in_no_table() {
        let never = [
            libc::SYS_open,
            libc::SYS_openat,
            libc::SYS_openat2,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_bind,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_pidfd_getfd,
            libc::SYS_unshare,
            libc::SYS_setns,
            libc::SYS_mount,
            libc::SYS_keyctl,
            libc::SYS_bpf,
            libc::SYS_userfaultfd,
            libc::SYS_io_uring_setup,
            libc::SYS_perf_event_open,
            libc::SYS_memfd_create,
            libc::SYS_pkey_mprotect,
        ];
        for call in [DEVICES, VCPU, DISKS, CHILD, KEEPER].into_iter().flatten() {
            assert!(!never.contains(&call.number), "{}", call.number);
        }
    }
}
