//! The system calls that reading a picture takes. Every other one fails with EPERM, in the program
//! that the process becomes too: no socket, no process, no thread, no signal to another, no tracing.

use std::collections::BTreeMap;

use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};

/// Calls that may be made as the program likes, measured from real runs; which files there are,
/// Landlock says.
const FREE: &[i64] = &[
    // Its start, and that of its libraries.
    libc::SYS_execve,
    libc::SYS_arch_prctl,
    libc::SYS_set_tid_address,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_openat,
    libc::SYS_open,
    libc::SYS_close,
    libc::SYS_fstat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_access,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlink,
    libc::SYS_readlinkat,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_sched_getaffinity,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    // Picture, data and answer.
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_lseek,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_fadvise64,
    libc::SYS_poll,
    // Memory, which RLIMIT_AS bounds.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    // Time, chance, locks that nobody else holds.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_gettimeofday,
    libc::SYS_time,
    libc::SYS_times,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_futex,
    libc::SYS_sched_yield,
    // Its own signals, and its end.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls that may be made with an argument, counted from 0, of this value only.
fn bound() -> [(i64, u8, u64); 5] {
    let own = u64::from(std::process::id());
    [
        // `abort` ends this process by a signal to itself.
        (libc::SYS_tgkill, 0, own),
        // Limits are read and not set.
        (libc::SYS_prlimit64, 2, 0),
        (libc::SYS_getrlimit, 0, libc::RLIMIT_STACK.into()),
        // Whether the answer goes to a terminal.
        (libc::SYS_ioctl, 1, libc::TCGETS),
        (libc::SYS_fcntl, 1, libc::F_GETFL.unsigned_abs().into()),
    ]
}

/// Confines this process, and what it becomes.
///
/// # Errors
/// The errno of `seccomp(2)`, or `INVAL` if the table makes no program.
pub fn confine() -> rustix::io::Result<()> {
    let program = program().map_err(|_| Errno::INVAL)?;
    seccompiler::apply_filter(&program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            Errno::from_io_error(&error).unwrap_or(Errno::INVAL)
        }
        _ => Errno::INVAL,
    })
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        FREE.iter().map(|call| (*call, Vec::new())).collect();
    for (call, argument, value) in bound() {
        let condition =
            SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, value)?;
        rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
    }
    let refuse = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    SeccompFilter::new(rules, refuse, SeccompAction::Allow, TargetArch::x86_64)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_makes_a_program_and_names_no_call_twice() {
        assert!(program().is_ok());
        let mut calls = FREE.to_vec();
        calls.extend(bound().map(|(call, ..)| call));
        let all = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), all);
    }

    #[test]
    fn no_call_reaches_another_process_or_the_network() {
        for call in [
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_clone,
            libc::SYS_clone3,
            libc::SYS_fork,
            libc::SYS_vfork,
            libc::SYS_kill,
            libc::SYS_ptrace,
            libc::SYS_process_vm_writev,
            libc::SYS_pidfd_open,
            libc::SYS_unshare,
            libc::SYS_mount,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_memfd_create,
        ] {
            assert!(!FREE.contains(&call), "{call}");
        }
    }
}
