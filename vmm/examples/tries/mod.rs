//! What an intruder tries, by name, whoever was taken over: a guest's process or QEMU.

use std::arch::asm;

/// Tries what has this name, and says what came of it.
pub fn attempt(name: &str) {
    let errno = if let Some(errno) = exhaust(name) {
        errno
    } else {
        let (_, number, arguments) = CALLS
            .iter()
            .find(|(known, ..)| *known == name)
            .unwrap_or_else(|| panic!("nothing is known of {name}"));
        if name == "int80" { old_call() } else { call(*number, *arguments) }
    };
    match errno {
        0 => eprintln!("try {name}: DONE"),
        errno => eprintln!("try {name}: errno {errno}"),
    }
}

/// As [`attempt`], on another guest's process, whose number outside is this.
pub fn attempt_on(name: &str, other: usize) {
    let flags = libc::O_RDWR as usize;
    let open = |file: &str| {
        let path = format!("/proc/{other}/{file}\0");
        // The path is copied by the kernel before it goes.
        call(libc::SYS_openat, [HERE, path.as_ptr() as usize, flags, 0, 0])
    };
    let mut room = [0u8; 64];
    let place = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let at = std::ptr::from_ref(&place) as usize;
    let errno = match name {
        "memory-of-other" => open("mem"),
        "maps-of-other" => open("maps"),
        "descriptors-of-other" => open("fd/0"),
        "read-other" => call(libc::SYS_process_vm_readv, [other, at, 1, at, 1]),
        "write-other" => call(libc::SYS_process_vm_writev, [other, at, 1, at, 1]),
        "trace-other" => call(libc::SYS_ptrace, [libc::PTRACE_SEIZE as usize, other, 0, 0, 0]),
        "kill-other" => call(libc::SYS_kill, [other, libc::SIGKILL as usize, 0, 0, 0]),
        "tgkill-other" => call(libc::SYS_tgkill, [other, other, libc::SIGKILL as usize, 0, 0]),
        "handle-of-other" => call(libc::SYS_pidfd_open, [other, 0, 0, 0, 0]),
        "limits-of-other" => {
            call(libc::SYS_prlimit64, [other, libc::RLIMIT_CPU as usize, 0, at, 0])
        }
        _ => panic!("nothing is known of {name}"),
    };
    eprintln!(
        "try {name}: {}",
        if errno == 0 { "DONE".to_owned() } else { format!("errno {errno}") }
    );
}

/// Makes a system call by itself, as injected code would; its errno, or 0.
pub fn call(number: i64, [a, b, c, d, e]: [usize; 5]) -> i32 {
    // SAFETY: this is the attack; that nothing comes of it is what the test is about. Pointers
    // among the arguments are null: the jail answers before the kernel reads one.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, 0usize) };
    if result < 0 { std::io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

/// `getpid` by the 32-bit gate, whose numbers mean other calls.
fn old_call() -> i32 {
    let mut number = 20;
    // SAFETY: the call takes no argument and touches no memory.
    unsafe { asm!("int 0x80", inout("eax") number, options(nostack)) };
    if number < 0 { -number } else { 0 }
}

/// Uses up a resource; the errno at its end.
fn exhaust(name: &str) -> Option<i32> {
    match name {
        "memory" => Some(take_memory(libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)),
        "descriptors" => Some(until_refused(|| call(libc::SYS_eventfd2, [0; 5]))),
        "threads" => Some(take_threads()),
        "heap" => Some(shrink_heap()),
        "spin" => loop {
            std::hint::spin_loop();
        },
        "spin-threads" => {
            let spin = || {
                std::thread::Builder::new().spawn(|| {
                    loop {
                        std::hint::spin_loop()
                    }
                })
            };
            while spin().is_ok() {}
            Some(libc::EAGAIN)
        }
        "fill-files" => {
            // Every file that it was given: messages, serial log, volumes, surfaces.
            let text = "x".repeat(1 << 16);
            for file in 2..libc::RLIMIT_NOFILE as usize + 64 {
                // SAFETY: all zeroes is a value of this structure.
                let mut stat: libc::stat = unsafe { std::mem::zeroed() };
                let at = &raw mut stat as usize;
                let known = call(libc::SYS_fstat, [file, at, 0, 0, 0]) == 0;
                if known && stat.st_mode & libc::S_IFMT == libc::S_IFREG {
                    until_refused(|| {
                        call(libc::SYS_write, [file, text.as_ptr() as usize, text.len(), 0, 0])
                    });
                }
            }
            // Nothing more can be printed, and it lives on.
            loop {
                std::thread::park();
            }
        }
        "fill-log" => {
            let text = "x".repeat(1 << 16);
            let errno = until_refused(|| {
                call(libc::SYS_write, [2, text.as_ptr() as usize, text.len(), 0, 0])
            });
            // Nothing more can be printed there.
            std::process::exit(errno)
        }
        _ => None,
    }
}

fn until_refused(mut one: impl FnMut() -> i32) -> i32 {
    loop {
        match one() {
            0 => {}
            errno => return errno,
        }
    }
}

/// Takes memory and touches it.
fn take_memory(flags: i32) -> i32 {
    const BYTES: usize = 16 << 20;
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let mut taken = 0;
    loop {
        // SAFETY: the kernel chooses a place where nothing is.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, protection, flags, -1, 0) };
        if place == libc::MAP_FAILED {
            let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(-1);
            eprintln!("took {} MiB", taken >> 20);
            return errno;
        }
        // SAFETY: the mapping was made just now and has this size.
        unsafe { place.write_bytes(1, BYTES) };
        taken += BYTES;
    }
}

/// What every program may do: a thread of its own gives back much of the C library's heap. -1, because
/// nothing came of it.
fn shrink_heap() -> i32 {
    let thread = std::thread::spawn(|| {
        let pieces: Vec<Vec<u8>> = (0..64).map(|_| vec![1; 64 << 10]).collect();
        drop(std::hint::black_box(pieces));
    });
    if thread.join().is_ok() { -1 } else { libc::EAGAIN }
}

fn take_threads() -> i32 {
    let mut count = 0;
    loop {
        let idle = || loop {
            std::thread::park()
        };
        match std::thread::Builder::new().stack_size(64 << 10).spawn(idle) {
            Ok(_) => count += 1,
            Err(error) => {
                eprintln!("took {count} threads");
                return error.raw_os_error().unwrap_or(-1);
            }
        }
    }
}

/// A path that is none: the jail answers first.
const PATH: usize = 0;
const HERE: usize = libc::AT_FDCWD as usize;
const X32: i64 = 0x4000_0000;

/// Every call that an intruder wants, by name.
const CALLS: &[(&str, i64, [usize; 5])] = &[
    ("open", libc::SYS_open, [PATH, 0, 0, 0, 0]),
    ("openat", libc::SYS_openat, [HERE, PATH, 0, 0, 0]),
    ("openat2", libc::SYS_openat2, [HERE, PATH, 0, 0, 0]),
    ("readlink", libc::SYS_readlink, [PATH, 0, 0, 0, 0]),
    ("unlink", libc::SYS_unlink, [PATH, 0, 0, 0, 0]),
    ("socket", libc::SYS_socket, [libc::AF_INET as usize, libc::SOCK_STREAM as usize, 0, 0, 0]),
    ("socketpair", libc::SYS_socketpair, [libc::AF_UNIX as usize, 1, 0, 0, 0]),
    ("connect", libc::SYS_connect, [0, 0, 0, 0, 0]),
    ("bind", libc::SYS_bind, [0, 0, 0, 0, 0]),
    ("kill", libc::SYS_kill, [1, libc::SIGKILL as usize, 0, 0, 0]),
    ("kill-all", libc::SYS_kill, [usize::MAX, libc::SIGKILL as usize, 0, 0, 0]),
    ("tgkill-other", libc::SYS_tgkill, [4, 4, libc::SIGKILL as usize, 0, 0]),
    ("pidfd-open", libc::SYS_pidfd_open, [1, 0, 0, 0, 0]),
    ("ptrace", libc::SYS_ptrace, [libc::PTRACE_ATTACH as usize, 1, 0, 0, 0]),
    ("process-vm-readv", libc::SYS_process_vm_readv, [1, 0, 0, 0, 0]),
    ("process-vm-writev", libc::SYS_process_vm_writev, [1, 0, 0, 0, 0]),
    ("execve", libc::SYS_execve, [PATH, 0, 0, 0, 0]),
    ("execveat", libc::SYS_execveat, [2, PATH, 0, 0, libc::AT_EMPTY_PATH as usize]),
    ("fork", libc::SYS_fork, [0; 5]),
    ("vfork", libc::SYS_clone, [(libc::CLONE_VFORK | libc::SIGCHLD) as usize, 0, 0, 0, 0]),
    ("clone-process", libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0]),
    ("clone-user", libc::SYS_clone, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, [0, 0, 0, 0, 0]),
    ("mmap-exec", libc::SYS_mmap, [0, 4096, 7, 0x22, usize::MAX]),
    ("mmap-shared", libc::SYS_mmap, [0, 4096, 3, 0x21, usize::MAX]),
    ("mprotect-exec", libc::SYS_mprotect, [0, 4096, 5, 0, 0]),
    ("memfd", libc::SYS_memfd_create, [PATH, 0, 0, 0, 0]),
    ("unshare", libc::SYS_unshare, [libc::CLONE_NEWUSER as usize, 0, 0, 0, 0]),
    ("setns", libc::SYS_setns, [2, 0, 0, 0, 0]),
    ("mount", libc::SYS_mount, [PATH, PATH, PATH, 0, 0]),
    ("umount", libc::SYS_umount2, [PATH, 0, 0, 0, 0]),
    ("chroot", libc::SYS_chroot, [PATH, 0, 0, 0, 0]),
    ("setuid", libc::SYS_setuid, [0; 5]),
    ("keyctl", libc::SYS_keyctl, [0; 5]),
    ("add-key", libc::SYS_add_key, [0; 5]),
    ("bpf", libc::SYS_bpf, [0; 5]),
    ("userfaultfd", libc::SYS_userfaultfd, [0; 5]),
    ("io-uring", libc::SYS_io_uring_setup, [1, 0, 0, 0, 0]),
    ("perf-event", libc::SYS_perf_event_open, [0; 5]),
    ("shmget", libc::SYS_shmget, [0, 4096, 0o1600, 0, 0]),
    ("mq-open", libc::SYS_mq_open, [PATH, 0, 0, 0, 0]),
    ("dumpable", libc::SYS_prctl, [libc::PR_SET_DUMPABLE as usize, 1, 0, 0, 0]),
    ("outlive", libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0, 0]),
    ("raise-limit", libc::SYS_prlimit64, [0, libc::RLIMIT_NOFILE as usize, 0, 0, 0]),
    ("limit-of-other", libc::SYS_prlimit64, [1, libc::RLIMIT_FSIZE as usize, 0, 0, 0]),
    ("nice", libc::SYS_setpriority, [0; 5]),
    ("affinity", libc::SYS_sched_setaffinity, [0; 5]),
    ("terminal", libc::SYS_ioctl, [2, libc::TIOCSTI as usize, PATH, 0, 0]),
    ("kvm-other", libc::SYS_ioctl, [2, 0xae02, 0, 0, 0]),
    ("ldt", libc::SYS_modify_ldt, [0; 5]),
    ("personality", libc::SYS_personality, [usize::MAX, 0, 0, 0, 0]),
    ("x32", libc::SYS_getpid | X32, [0; 5]),
    ("int80", 0, [0; 5]),
    ("statx", libc::SYS_statx, [HERE, PATH, 0, 0, 0]),
    ("stat", libc::SYS_newfstatat, [HERE, PATH, 0, 0, 0]),
    // Of the session, not of a processor.
    ("create-vm", libc::SYS_ioctl, [2, 0xae01, 0, 0, 0]),
    ("recvmsg", libc::SYS_recvmsg, [0, 0, 0, 0, 0]),
    ("thread", libc::SYS_clone, [0x3d_0f00, 0, 0, 0, 0]),
];
