//! A QEMU that has been taken over: `tabard-engine` starts this program in QEMU's place and jail. Its own
//! name says what to try, as `try-NAME`, since in its jail it can read nothing else. What came of it is
//! printed on standard error: `try NAME: errno N` or `try NAME: DONE`. Then it is still.

mod tries;

use std::ffi::CString;

use tries::{attempt, attempt_on, call};

/// Files of the host, by the name of the try.
const FILES: [(&str, &str); 10] = [
    ("file-passwd", "/etc/passwd"),
    ("file-shadow", "/etc/shadow"),
    ("file-audit", "/var/lib/tabard/audit.log"),
    ("file-home", "/root"),
    ("file-kvm", "/dev/kvm"),
    ("file-cmdline", "/proc/cmdline"),
    ("file-interrupts", "/proc/interrupts"),
    ("file-keys", "/proc/keys"),
    ("file-parent-memory", "/proc/1/mem"),
    ("file-parent-environment", "/proc/1/environ"),
];

fn main() {
    let own = std::env::args().next().unwrap_or_default();
    let file = own.rsplit('/').next().unwrap_or_default();
    let Some(name) = file.strip_prefix("try-") else { return };
    if let Some((name, other)) = name.split_once(".other-") {
        attempt_on(name, other.parse().unwrap_or(0));
    } else if let Some((_, path)) = FILES.iter().find(|(known, _)| *known == name) {
        say(name, open(path, libc::O_RDONLY));
    } else {
        special(name, &own);
    }
    loop {
        std::thread::park();
    }
}

fn say(name: &str, errno: i32) {
    match errno {
        0 => eprintln!("try {name}: DONE"),
        errno => eprintln!("try {name}: errno {errno}"),
    }
}

fn open(path: &str, flags: i32) -> i32 {
    let path = CString::new(path).unwrap_or_default();
    let here = libc::AT_FDCWD as usize;
    call(libc::SYS_openat, [here, path.as_ptr() as usize, flags as usize, 0o600, 0])
}

fn run(path: &str, argument: &str) -> i32 {
    let (path, argument) =
        (CString::new(path).unwrap_or_default(), CString::new(argument).unwrap_or_default());
    let arguments = [argument.as_ptr(), std::ptr::null()];
    let nothing = [std::ptr::null::<u8>()];
    let (arguments, nothing) = (arguments.as_ptr() as usize, nothing.as_ptr() as usize);
    call(libc::SYS_execve, [path.as_ptr() as usize, arguments, nothing, 0, 0])
}

/// What only a QEMU can try.
fn special(name: &str, own: &str) {
    let write = libc::O_WRONLY | libc::O_CREAT;
    match name {
        "make-file" => say(name, open("/made", write)),
        "make-file-in-tmp" => say(name, open("/tmp/made", write)),
        "write-itself" => say(name, open(own, libc::O_RDWR)),
        "list-root" => say(name, open("/", libc::O_RDONLY | libc::O_DIRECTORY)),
        "shell" => say(name, run("/bin/sh", "sh")),
        "other-program" => say(name, run("/usr/bin/env", "env")),
        // Allowed: it begins anew, in the same jail, as somebody without anything to try.
        "itself" => say(name, run(own, "again")),
        "signal-engine" => say(name, call(libc::SYS_kill, [1, libc::SIGKILL as usize, 0, 0, 0])),
        "signal-thread" => say(name, call(libc::SYS_tgkill, [1, 1, libc::SIGKILL as usize, 0, 0])),
        "own-fork" => say(name, call(libc::SYS_clone, [libc::SIGCHLD as usize, 0, 0, 0, 0])),
        "fork-of-the-engine" => {
            let flags = libc::CLONE_CHILD_CLEARTID | libc::CLONE_CHILD_SETTID | libc::SIGCHLD;
            say(name, call(libc::SYS_clone, [flags as usize, 0, 0, 0, 0]));
        }
        "network-pair" => {
            say(name, call(libc::SYS_socketpair, [libc::AF_INET as usize, 1, 0, 0, 0]))
        }
        "owner" => say(name, call(libc::SYS_fcntl, [2, libc::F_SETOWN as usize, 1, 0, 0])),
        "socket-filter" => {
            let (level, option) = (libc::SOL_SOCKET as usize, libc::SO_ATTACH_FILTER as usize);
            say(name, call(libc::SYS_setsockopt, [3, level, option, 0, 0]));
        }
        "shared-memory" => say(name, shared_memory()),
        "long-file" => {
            let title = c"long".as_ptr() as usize;
            // SAFETY: the name is a constant; the descriptor is this function's own.
            let file = unsafe { libc::syscall(libc::SYS_memfd_create, title, 0) } as usize;
            // The signal of a file that is too long is not to end it before it can tell.
            // SAFETY: to ignore a signal runs no code.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            say(name, call(libc::SYS_ftruncate, [file, 1 << 30, 0, 0, 0]));
        }
        name => attempt(name),
    }
}

/// Takes memory of files without end, which no limit of private memory counts.
fn shared_memory() -> i32 {
    const BYTES: usize = 4 << 20;
    loop {
        let title = c"mine".as_ptr() as usize;
        // SAFETY: the name is a constant; the descriptor is closed below.
        let file = unsafe { libc::syscall(libc::SYS_memfd_create, title, 0) } as i32;
        let failed = |result: bool| {
            result.then(|| std::io::Error::last_os_error().raw_os_error().unwrap_or(-1))
        };
        if let Some(errno) = failed(file < 0) {
            return errno;
        }
        let errno = call(libc::SYS_ftruncate, [file as usize, BYTES, 0, 0, 0]);
        if errno != 0 {
            return errno;
        }
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: the kernel chooses a place where nothing is.
        let place = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, protection, flags, file, 0) };
        if let Some(errno) = failed(place == libc::MAP_FAILED) {
            return errno;
        }
        // It is not touched: the host of the test is to live. The limit counts what is mapped.
        call(libc::SYS_close, [file as usize, 0, 0, 0, 0]);
    }
}
