//! A reader that was taken over: it tries what its first argument says, and prints how that ended.

use std::fs::File;
use std::io::{self, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Command, abort};
use std::thread;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, setrlimit};

fn main() {
    let mut words = std::env::args().skip(1);
    let (what, with) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    match attempt(&what, &with) {
        Ok(()) => println!("did {what}"),
        Err(error) => println!("refused {what}: {error}"),
    }
}

fn attempt(what: &str, with: &str) -> io::Result<()> {
    match what {
        "read" => File::open(with).map(drop),
        "write" => File::create(with).map(drop),
        "network" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "socket" => UnixDatagram::unbound().map(drop),
        "process" => Command::new("/bin/true").status().map(drop),
        "thread" => thread::Builder::new().spawn(|| ()).map(drop),
        "run" => Err(Command::new(with).exec()),
        "signal" => {
            let process = with.parse().ok().and_then(Pid::from_raw).unwrap_or(Pid::INIT);
            kill_process(process, Signal::CONT).map_err(Into::into)
        }
        "limit" => {
            let no_limit = Rlimit { current: None, maximum: None };
            setrlimit(Resource::Cpu, no_limit).map_err(Into::into)
        }
        "memory" => {
            let mut bytes = Vec::<u8>::new();
            let all = bytes.try_reserve_exact(4 << 30);
            all.map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))
        }
        // A long answer ends it.
        "answer" => io::stdout().write_all(&vec![b'a'; 2 << 20]),
        "abort" => abort(),
        "spin" => loop {
            std::hint::spin_loop();
        },
        other => Err(io::Error::other(format!("there is no {other}"))),
    }
}
