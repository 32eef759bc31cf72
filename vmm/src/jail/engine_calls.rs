//! The system calls of QEMU, measured from real runs (built-in guests, stock Debian in text and
//! graphics, reset, pause, resize, volumes), and those of the process that starts it. QEMU loads
//! libraries and makes machine code, so it may open files and map them to be run; which files there
//! are, its root and Landlock say.

use super::calls::{Call, Only, THREAD, any, bound};

/// What `fork` asks `clone` for.
const FORK: u64 = (libc::CLONE_CHILD_CLEARTID | libc::CLONE_CHILD_SETTID | libc::SIGCHLD) as u64;
const SHARED: u32 = libc::MAP_SHARED as u32;
const ANONYMOUS: u32 = libc::MAP_ANONYMOUS as u32;
const UNIX: u32 = libc::AF_UNIX as u32;

const SOCKET: Only = Only::Is(1, libc::SOL_SOCKET as u32);

/// Answered with "no such call" rather than death: QEMU and its libraries ask, and have another way.
pub(super) const QEMU_ABSENT: &[Call] = &[
    any(libc::SYS_clone3, "its flags are in memory, where no filter sees them"),
    any(libc::SYS_io_uring_setup, "QEMU then waits by ppoll"),
];

/// QEMU's threads.
pub(super) const QEMU: &[Call] = &[
    // Its start: the program, its libraries and modules, our firmware, the guest's memory.
    any(libc::SYS_execve, "QEMU begins; Landlock lets nothing else be run"),
    any(libc::SYS_openat, "libraries, modules, /dev/fd; Landlock says which"),
    any(libc::SYS_open, "as openat"),
    any(libc::SYS_newfstatat, "looks for libraries"),
    any(libc::SYS_statx, "as newfstatat"),
    any(libc::SYS_fstat, "the size of memory and firmware"),
    any(libc::SYS_access, "looks for libraries and modules"),
    any(libc::SYS_faccessat, "as access"),
    any(libc::SYS_faccessat2, "as access"),
    any(libc::SYS_readlink, "where it is installed"),
    any(libc::SYS_readlinkat, "as readlink"),
    any(libc::SYS_getcwd, "where it is"),
    any(libc::SYS_getdents64, "lists modules"),
    any(
        libc::SYS_memfd_create,
        "its display device; no longer than a file may be, and its group's",
    ),
    any(libc::SYS_statfs, "a library looks for SELinux"),
    any(libc::SYS_fstatfs, "the page size of the guest's memory"),
    any(libc::SYS_lseek, "the size of a file"),
    any(libc::SYS_ftruncate, "the guest's memory, whose size is sealed"),
    any(libc::SYS_fallocate, "the guest's memory: holes in it are the guest's own"),
    bound(
        libc::SYS_ioctl,
        &[Only::Is(1, libc::TCGETS as u32)],
        "whether messages go to a terminal",
    ),
    any(libc::SYS_arch_prctl, "a thread begins"),
    any(libc::SYS_set_tid_address, "a thread begins"),
    any(libc::SYS_uname, "which kernel this is"),
    any(libc::SYS_sysinfo, "how much memory the host has"),
    bound(libc::SYS_prlimit64, &[Only::Is(0, 0), Only::Whole(2, 0)], "reads its limits, sets none"),
    bound(libc::SYS_seccomp, &[], "its own filter, which can only take away"),
    // Its sockets to us.
    any(libc::SYS_read, "sockets, event counters, libraries"),
    any(libc::SYS_write, "event counters, messages"),
    any(libc::SYS_readv, "as read"),
    any(libc::SYS_writev, "as write"),
    any(libc::SYS_pread64, "libraries"),
    any(libc::SYS_sendmsg, "vhost-user, monitor, serial port"),
    any(libc::SYS_recvmsg, "as sendmsg"),
    any(libc::SYS_sendto, "as sendmsg, without descriptors"),
    any(libc::SYS_recvfrom, "as recvmsg, without descriptors"),
    bound(libc::SYS_socketpair, &[Only::Is(0, UNIX)], "the way back of a device's backend"),
    any(libc::SYS_getsockopt, "what kind of socket it was given"),
    bound(libc::SYS_setsockopt, &[SOCKET, Only::Is(2, libc::SO_ZEROCOPY as u32)], "tried, refused"),
    bound(libc::SYS_setsockopt, &[SOCKET, Only::Is(2, libc::SO_PASSCRED as u32)], "the display's"),
    any(libc::SYS_getpeername, "as getsockopt"),
    any(libc::SYS_getsockname, "as getsockopt"),
    any(libc::SYS_shutdown, "a socket is done with"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GETFL as u32)], "whether a descriptor may block"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_SETFL as u32)], "as F_GETFL"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GETFD as u32)], "what QEMU inherits"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_SETFD as u32)], "as F_GETFD"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_DUPFD_CLOEXEC as u32)], "a second handle"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_ADD_SEALS as u32)], "the display's memory"),
    bound(libc::SYS_fcntl, &[Only::Is(1, libc::F_GET_SEALS as u32)], "as F_ADD_SEALS"),
    any(libc::SYS_close, "descriptors that are done with"),
    any(libc::SYS_dup, "a second handle"),
    any(libc::SYS_dup2, "standard streams, before QEMU begins"),
    any(libc::SYS_dup3, "a second handle"),
    any(libc::SYS_eventfd2, "notices and interrupts of rings"),
    any(libc::SYS_signalfd4, "signals in its loop"),
    any(libc::SYS_timerfd_create, "timers in its loop"),
    any(libc::SYS_timerfd_settime, "as timerfd_create"),
    any(libc::SYS_pipe2, "wakes its threads"),
    any(libc::SYS_epoll_create1, "waiting"),
    any(libc::SYS_epoll_ctl, "waiting"),
    any(libc::SYS_epoll_wait, "waiting"),
    any(libc::SYS_epoll_pwait, "waiting"),
    any(libc::SYS_poll, "waiting"),
    any(libc::SYS_ppoll, "waiting"),
    any(libc::SYS_pselect6, "waiting"),
    // Memory: translated code is made and run.
    bound(libc::SYS_mmap, &[Only::Without(3, SHARED)], "heap, stacks, translated code, libraries"),
    bound(libc::SYS_mmap, &[Only::Without(3, ANONYMOUS)], "the guest's memory"),
    any(libc::SYS_mprotect, "translated code, guard pages"),
    any(libc::SYS_munmap, "as mmap"),
    bound(
        libc::SYS_msync,
        &[Only::Is(2, libc::MS_SYNC as u32)],
        "the guest's memory, once it is made from a snapshot",
    ),
    any(libc::SYS_mremap, "heap"),
    any(libc::SYS_brk, "heap"),
    any(libc::SYS_madvise, "huge pages"),
    any(libc::SYS_get_mempolicy, "a library asks where memory is"),
    any(libc::SYS_set_mempolicy, "as get_mempolicy"),
    any(libc::SYS_mbind, "as get_mempolicy"),
    // Threads and signals. There is nobody in its process namespace but itself and its keeper.
    bound(libc::SYS_clone, &[Only::Whole(0, THREAD)], "a thread"),
    any(libc::SYS_set_robust_list, "a thread begins"),
    any(libc::SYS_rseq, "a thread begins"),
    any(libc::SYS_sigaltstack, "a thread begins"),
    any(libc::SYS_sched_getaffinity, "how many processors there are"),
    any(libc::SYS_sched_getattr, "GLib gives its threads the priority that they have"),
    any(libc::SYS_sched_setattr, "as sched_getattr; without privilege only downwards"),
    any(libc::SYS_sched_yield, "locks"),
    any(libc::SYS_futex, "locks"),
    any(libc::SYS_membarrier, "its lists without locks"),
    any(libc::SYS_rt_sigaction, "signals"),
    any(libc::SYS_rt_sigprocmask, "signals"),
    any(libc::SYS_rt_sigreturn, "signals"),
    any(libc::SYS_rt_sigtimedwait, "signals"),
    any(libc::SYS_gettid, "names a thread"),
    any(libc::SYS_getpid, "names a thread"),
    any(libc::SYS_getppid, "whether its parent lives"),
    any(libc::SYS_getuid, "the display's greeting"),
    any(libc::SYS_geteuid, "as getuid"),
    any(libc::SYS_getgid, "as getuid"),
    any(libc::SYS_getegid, "as getuid"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_NAME as u32)], "the name of a thread"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_VMA as u32)], "the name of a mapping"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_TIMERSLACK as u32)], "exact timers"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_MCE_KILL as u32)], "broken memory"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_NO_NEW_PRIVS as u32)], "with its own filter"),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_GET_NAME as u32)], "the name of a thread"),
    bound(
        libc::SYS_prctl,
        &[Only::Is(0, libc::PR_CAPBSET_READ as u32)],
        "a library counts capabilities",
    ),
    any(libc::SYS_exit, "a thread ends"),
    any(libc::SYS_exit_group, "QEMU ends"),
    any(libc::SYS_restart_syscall, "waiting that a signal cut short"),
    // Time and chance.
    any(libc::SYS_clock_gettime, "the guest's clock"),
    any(libc::SYS_clock_getres, "the guest's clock"),
    any(libc::SYS_gettimeofday, "the guest's clock"),
    any(libc::SYS_clock_nanosleep, "timers"),
    any(libc::SYS_nanosleep, "timers"),
    any(libc::SYS_getrandom, "keys of maps, random numbers of the emulated processor"),
];

/// What the process that starts QEMU does besides. With [`QEMU`].
pub(super) const ENGINE: &[Call] = &[
    bound(libc::SYS_clone, &[Only::Whole(0, FORK)], "a process for QEMU"),
    any(libc::SYS_wait4, "how QEMU ended"),
    any(libc::SYS_waitid, "as wait4"),
    any(libc::SYS_pidfd_open, "whether QEMU has ended"),
    any(libc::SYS_kill, "ends QEMU; there is nobody else"),
    any(libc::SYS_chdir, "QEMU begins in its root"),
    bound(
        libc::SYS_prlimit64,
        &[Only::Is(0, 0), Only::Is(1, libc::RLIMIT_AS)],
        "what QEMU may map, once the machine is known; only downwards",
    ),
    bound(libc::SYS_prctl, &[Only::Is(0, libc::PR_SET_PDEATHSIG as u32)], "QEMU dies with it"),
];
