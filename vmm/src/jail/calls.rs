//! The system calls of each kind of thread, one a line, each with its reason. A call is added here
//! when a device needs it, and only with the arguments that it needs.

use super::kvm_calls as kvm;

/// What an argument, counted from 0, must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Only {
    /// This 32-bit number.
    Is(u8, u32),
    /// None of these bits.
    Without(u8, u32),
    /// This 64-bit number.
    Whole(u8, u64),
    /// The number of this process.
    Own(u8),
}

/// One system call, with all of the conditions in `only`. One that is listed twice may be made
/// either way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) only: &'static [Only],
    /// Who needs it: for the reader, and for the test that there is a reason.
    #[cfg_attr(not(test), expect(dead_code, reason = "read by people"))]
    pub(super) why: &'static str,
}

pub(super) const fn any(number: i64, why: &'static str) -> Call {
    Call { number, only: &[], why }
}

pub(super) const fn bound(number: i64, only: &'static [Only], why: &'static str) -> Call {
    Call { number, only, why }
}

/// What glibc asks `clone` for in `pthread_create`; a process of its own has no such flags.
pub(super) const THREAD: u64 = (libc::CLONE_VM
    | libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SIGHAND
    | libc::CLONE_THREAD
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_CLEARTID) as u64;

const EXECUTABLE: u32 = libc::PROT_EXEC as u32;
const SHARED: u32 = libc::MAP_SHARED as u32;
const ANONYMOUS: u32 = libc::MAP_ANONYMOUS as u32;
const SET_FILTER: u32 = libc::SECCOMP_SET_MODE_FILTER;
/// `PR_SET_VMA`: newer glibc names its mappings.
const NAME_MAPPING: u32 = libc::PR_SET_VMA as u32;

/// Answered with "no such call" rather than death: the libraries ask, and have another way.
pub(super) const ABSENT: &[Call] = &[
    any(
        libc::SYS_clone3,
        "its flags are in memory, where no filter sees them; glibc then uses clone",
    ),
    any(libc::SYS_statx, "names a path beside a descriptor; fstat does not"),
    any(libc::SYS_newfstatat, "as statx"),
];

/// The session's thread, and what it starts.
pub(super) const DEVICES: &[Call] = &[
    // The wire and what waits for it.
    any(libc::SYS_recvmsg, "messages of tabard with their descriptors"),
    any(libc::SYS_sendmsg, "messages to tabard"),
    any(libc::SYS_epoll_create1, "the session's one place to wait"),
    any(libc::SYS_epoll_ctl, "interest in the wire and the queues"),
    any(libc::SYS_epoll_wait, "waiting"),
    any(libc::SYS_epoll_pwait, "waiting, in other C libraries"),
    any(libc::SYS_poll, "room for a last word; a serial log that is a pipe"),
    any(libc::SYS_ppoll, "as poll"),
    // Files that came over the wire: kernel, initrd, volumes, serial log.
    any(libc::SYS_read, "kernels, initrds, event counters"),
    any(libc::SYS_write, "serial log, event counters, messages"),
    any(libc::SYS_readv, "kernels by pieces"),
    any(libc::SYS_writev, "messages"),
    any(libc::SYS_pread64, "kernels, initrds, sectors of a volume"),
    any(libc::SYS_pwrite64, "sectors of a volume"),
    any(libc::SYS_preadv, "sectors of a volume by pieces"),
    any(libc::SYS_pwritev, "sectors of a volume by pieces"),
    any(libc::SYS_lseek, "kernels; finding holes of a volume"),
    any(libc::SYS_fstat, "the length of what came over the wire"),
    any(libc::SYS_fdatasync, "a guest that flushes its volume"),
    any(libc::SYS_fsync, "as fdatasync"),
    any(libc::SYS_fallocate, "a guest that discards sectors"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_DUPFD_CLOEXEC as u32)], "second handles"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GETFD as u32)], "checks of the standard library"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_SETFD as u32)], "the wire is not inherited"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GETFL as u32)], "how a volume was opened"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GET_SEALS as u32)], "the seals of a surface"),
    any(libc::SYS_close, "descriptors that are done with"),
    any(libc::SYS_eventfd2, "interrupts and queues of a machine that is made"),
    bound(libc::SYS_getsockopt, &[Only::Is(1, libc::SOL_SOCKET as u32)], "what kind of wire it is"),
    bound(
        libc::SYS_prlimit64,
        &[Only::Is(0, 0), Only::Is(1, libc::RLIMIT_FSIZE)],
        "longest file, once the volumes are known; without privilege only downwards",
    ),
    bound(
        libc::SYS_prlimit64,
        &[Only::Is(0, 0), Only::Is(1, libc::RLIMIT_DATA)],
        "memory, once the machine is known; only downwards",
    ),
    bound(
        libc::SYS_prlimit64,
        &[Only::Is(0, 0), Only::Is(1, libc::RLIMIT_STACK), Only::Whole(2, 0)],
        "glibc reads how large a thread's stack may be",
    ),
    // Machines.
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::RUN)], "a processor runs"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_REGS)], "where a guest stopped"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::KVMCLOCK_CTRL)], "a guest that was paused is told"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_API_VERSION)], "whether this is KVM"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::CHECK_EXTENSION)], "what this KVM can"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::CREATE_VM)], "a machine, and after a reset another"),
    bound(
        libc::SYS_ioctl,
        &[Only::Is(1, kvm::GET_VCPU_MMAP_SIZE)],
        "the shared page of a processor",
    ),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_SUPPORTED_CPUID)], "the processor's features"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::CREATE_VCPU)], "a processor"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_USER_MEMORY_REGION)], "guest memory"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_DIRTY_LOG)], "what was drawn into a framebuffer"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_TSS_ADDR)], "pages that Intel needs"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_IDENTITY_MAP_ADDR)], "a page that Intel needs"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::CREATE_IRQCHIP)], "interrupt controllers"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_IRQCHIP)], "whether the power button is heard"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::CREATE_PIT2)], "the timer"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::IRQFD)], "interrupts of devices"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::IOEVENTFD)], "notices of queues"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_SREGS)], "a processor is prepared"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_SREGS)], "a processor is prepared"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_REGS)], "a processor is prepared"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_MSRS)], "a processor is prepared"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_FPU)], "a processor is prepared"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::SET_CPUID2)], "a processor is prepared"),
    bound(
        libc::SYS_ioctl,
        &[Only::Is(1, kvm::ENABLE_CAP)],
        "a processor is told to refuse what CPUID leaves out",
    ),
    // Memory, never executable.
    bound(
        libc::SYS_mmap,
        &[Only::Without(2, EXECUTABLE), Only::Without(3, SHARED)],
        "guest memory, stacks, heap",
    ),
    bound(
        libc::SYS_mmap,
        &[Only::Without(2, EXECUTABLE), Only::Without(3, ANONYMOUS)],
        "surfaces; shared memory without a file would escape the limit of private memory",
    ),
    bound(libc::SYS_mprotect, &[Only::Without(2, EXECUTABLE)], "guard pages, heap"),
    any(libc::SYS_munmap, "as mmap"),
    any(libc::SYS_mremap, "heap; a mapping keeps its protection"),
    any(libc::SYS_brk, "heap"),
    any(libc::SYS_madvise, "huge pages for the guest, stacks that are done with"),
    // Threads.
    bound(libc::SYS_clone, &[Only::Whole(0, THREAD)], "a thread for a processor or a worker"),
    bound(libc::SYS_rt_sigaction, &[Only::Is(0, 32)], "glibc's own signal, with the first thread"),
    bound(libc::SYS_rt_sigaction, &[Only::Is(0, 33)], "as 32"),
    any(libc::SYS_set_robust_list, "a thread begins"),
    any(libc::SYS_rseq, "a thread begins"),
    any(libc::SYS_sigaltstack, "a thread begins and ends"),
    any(libc::SYS_sched_getaffinity, "glibc reads the attributes of a thread"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_NAME as u32)], "the name of a thread"),
    bound(libc::SYS_prctl, &[Only::Is(0, NAME_MAPPING)], "glibc names its mappings"),
    bound(
        libc::SYS_prctl,
        &[Only::Is(0, libc::PR_SET_NO_NEW_PRIVS as u32), Only::Is(1, 1)],
        "asked for again with each filter",
    ),
    bound(
        libc::SYS_seccomp,
        &[Only::Is(0, SET_FILTER)],
        "a processor's thread takes its own filter",
    ),
    any(libc::SYS_futex, "locks between processors and devices"),
    any(libc::SYS_sched_yield, "locks"),
    any(libc::SYS_gettid, "the name of a thread for a kick"),
    any(libc::SYS_getpid, "as gettid"),
    bound(libc::SYS_tgkill, &[Only::Own(0)], "kicks a processor out of the guest; abort"),
    any(libc::SYS_rt_sigprocmask, "threads begin with signals blocked"),
    any(libc::SYS_rt_sigreturn, "the end of a kick"),
    any(libc::SYS_restart_syscall, "waiting that a signal cut short"),
    any(libc::SYS_exit, "a thread ends"),
    any(libc::SYS_exit_group, "the process ends"),
    // Time and chance.
    any(libc::SYS_clock_gettime, "the guest's clock, where the kernel cannot map it"),
    any(libc::SYS_clock_nanosleep, "a worker that waits"),
    any(libc::SYS_getrandom, "the guest's random numbers"),
];

/// A virtual processor's thread: it runs the guest, answers registers and ports, and kicks the
/// session. It makes no machine, opens no wire, starts no thread. With [`CHILD`].
pub(super) const VCPU: &[Call] = &[
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::RUN)], "the guest runs"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::GET_REGS)], "where a guest stopped"),
    bound(libc::SYS_ioctl, &[Only::Is(1, kvm::KVMCLOCK_CTRL)], "a guest that was paused is told"),
    any(libc::SYS_write, "serial log, interrupts, notices to the session"),
    any(libc::SYS_poll, "a serial log that is a pipe"),
    any(libc::SYS_ppoll, "as poll"),
];

/// A thread that waits for a disk: it reads and writes the file of a volume and answers its queue.
/// With [`CHILD`].
pub(super) const DISKS: &[Call] = &[
    any(libc::SYS_epoll_wait, "waits for queues"),
    any(libc::SYS_epoll_pwait, "as epoll_wait, in other C libraries"),
    any(libc::SYS_write, "interrupts, another thread of the volume"),
    any(libc::SYS_pread64, "sectors"),
    any(libc::SYS_pwrite64, "sectors"),
    any(libc::SYS_preadv, "sectors by pieces"),
    any(libc::SYS_pwritev, "sectors by pieces"),
    any(libc::SYS_lseek, "holes of an image"),
    any(libc::SYS_fstat, "the length of an image"),
    any(libc::SYS_fdatasync, "a guest that flushes"),
    any(libc::SYS_fsync, "as fdatasync"),
    any(libc::SYS_fallocate, "a guest that discards or clears sectors"),
];

/// What each thread that the session starts needs besides: locks, a heap, an end.
pub(super) const CHILD: &[Call] = &[
    any(libc::SYS_futex, "locks of devices"),
    any(libc::SYS_sched_yield, "locks"),
    any(libc::SYS_read, "an event counter that is emptied"),
    any(libc::SYS_close, "the thread's handles when it ends"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GETFD as u32)], "checks of the standard library"),
    bound(libc::SYS_mmap, &[Only::Without(2, EXECUTABLE), Only::Without(3, SHARED)], "heap"),
    bound(libc::SYS_mprotect, &[Only::Without(2, EXECUTABLE)], "heap"),
    any(libc::SYS_munmap, "heap, the thread's stack"),
    any(libc::SYS_mremap, "heap"),
    any(libc::SYS_brk, "heap"),
    any(libc::SYS_madvise, "heap, the thread's stack"),
    any(libc::SYS_sigaltstack, "the thread ends"),
    any(libc::SYS_gettid, "abort"),
    any(libc::SYS_getpid, "abort"),
    bound(libc::SYS_tgkill, &[Only::Own(0)], "abort"),
    any(libc::SYS_rt_sigprocmask, "lets a processor's kick through; abort"),
    any(libc::SYS_rt_sigreturn, "the end of a kick"),
    any(libc::SYS_restart_syscall, "waiting that a signal cut short"),
    any(libc::SYS_exit, "the thread ends"),
    any(libc::SYS_exit_group, "the process ends"),
    any(libc::SYS_clock_gettime, "time, where the kernel cannot map it"),
    any(libc::SYS_getrandom, "keys of a map"),
];

/// The keeper: waits, ends its child, ends.
pub(super) const KEEPER: &[Call] = &[
    any(libc::SYS_wait4, "how the child ended"),
    any(libc::SYS_waitid, "as wait4"),
    any(libc::SYS_rt_sigtimedwait, "the child's end, or tabard's wish"),
    any(libc::SYS_kill, "ends the child; a user of its own has no other processes"),
    any(libc::SYS_rt_sigreturn, "signals"),
    any(libc::SYS_restart_syscall, "waiting that a signal cut short"),
    any(libc::SYS_exit_group, "the keeper ends"),
];
