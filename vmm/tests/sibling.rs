//! A hostile sibling: the test plays `tabard-engine` and QEMU towards a real `tabard-vmm` and says what
//! it likes. Whatever that is, the guest ends or goes on; its process obeys the user, never spins and
//! never stays. The scenarios go by their names in `docs/hostile.md`.

mod common;
mod sibling_bench;

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::EventfdFlags;
use rustix::fs::OFlags;
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::process::{Pid, Signal, kill_process};
use sibling_bench::*;
use tabard_vmm::engine::qemu::exposed::{FIXED_SOCKETS, FromEngine, OTHERS, ToEngine};
use tabard_wire::{FromVmm, StopReason, ToVmm};

fn one(
    name: impl Into<String>,
    fate: Fate,
    scenario: impl Fn(&mut Bench) + Send + Sync + 'static,
) -> Scenario {
    (name.into(), fate, Box::new(scenario))
}

/// A message of these bytes to the device of random numbers, whose ring is not set up.
fn says(name: impl Into<String>, fate: Fate, bytes: Vec<u8>) -> Scenario {
    one(name, fate, move |bench| {
        bench.post(RNG, &bytes, &[]);
    })
}

/// As [`says`], after the steps before this one.
fn says_at(name: impl Into<String>, fate: Fate, step: &'static str, bytes: Vec<u8>) -> Scenario {
    one(name, fate, move |bench| {
        bench.until(RNG, step);
        bench.post(RNG, &bytes, &[]);
    })
}

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap()
}

fn open(path: &str) -> OwnedFd {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, rustix::fs::Mode::empty()).unwrap()
}

/// Descriptors that are no event counters, or block, each made for its own scenario.
fn strange(name: &str, bench: &Bench) -> OwnedFd {
    match name {
        "pipe" => pipe().0,
        "pipe-end" => pipe().1,
        "blocking-event" => event(EventfdFlags::empty()),
        "file" => {
            let file = tempfile::NamedTempFile::new().unwrap();
            open(file.path().to_str().unwrap())
        }
        "dev-zero" => open("/dev/zero"),
        "memory" => bench.memory.try_clone().unwrap(),
        "memory-nonblocking" => {
            use std::os::fd::AsRawFd;
            open(&format!("/proc/self/fd/{}", bench.memory.as_raw_fd()))
        }
        "memfd" => common::memfd(&[0; 4096]),
        "socket" => {
            let (one, _) = std::os::unix::net::UnixStream::pair().unwrap();
            one.set_nonblocking(true).unwrap();
            one.into()
        }
        // An end of the guest's process, of which only a hostile `tabard-engine` has a copy.
        "own-socket" => fcntl_dupfd_cloexec(&bench.ends.copies[4], 0).unwrap(),
        _ => panic!("{name} is unknown"),
    }
}

#[test]
fn headers_and_lengths() {
    let header = |request, flags, length| words(&[request, flags, length]);
    let mut all = vec![
        says("reply-flag", BROKE, header(1, 5, 0)),
        says("version-0", BROKE, header(1, 0, 0)),
        says("version-2", BROKE, header(1, 2, 0)),
        says("version-3", BROKE, header(1, 3, 0)),
        says("size-without-end", BROKE, header(1, 1, u32::MAX)),
        says("size-269", BROKE, header(24, 1, 269)),
        // Strange, but of no consequence: it is told nothing more.
        says("flags-that-mean-nothing", Fate::Lives, header(3, 0xffff_fff9, 0)),
        says("half-a-header", Fate::Lives, header(1, 1, 0)[..6].to_vec()),
        says("half-a-body", Fate::Lives, request(2, &longs(&[0]))[..16].to_vec()),
        says("nothing", Fate::Lives, Vec::new()),
    ];
    for number in [0, 4, 6, 7, 17, 19, 20, 22, 23, 26, 27, 32, 34, 36, 37, 40, 41, u32::MAX] {
        all.push(says(format!("unknown-request-{number}"), BROKE, request(number, &[])));
    }
    for step in handshake() {
        let number = u32::from_le_bytes(step.bytes[..4].try_into().unwrap());
        let body = step.bytes[12..].to_vec();
        let mut longer = body.clone();
        longer.push(0);
        all.push(says(format!("{}-a-byte-long", step.name), BROKE, request(number, &longer)));
        if let Some((_, shorter)) = body.split_last() {
            let bytes = request(number, shorter);
            all.push(says(format!("{}-a-byte-short", step.name), BROKE, bytes));
        }
    }
    play(all);
}

#[test]
fn orders() {
    let mut all = Vec::new();
    for (index, step) in handshake().into_iter().enumerate() {
        // What is not yet known of a ring keeps it from being served, and that is all.
        let name = step.name;
        all.push(one(format!("first-{name}"), Fate::Lives, move |bench| {
            bench.step(RNG, &handshake()[index]);
        }));
        all.push(one(format!("without-{name}"), Fate::Lives, move |bench| {
            for step in handshake().iter().filter(|step| step.name != name) {
                bench.step(RNG, step);
            }
        }));
        all.push(one(format!("twice-{name}"), Fate::Lives, move |bench| {
            for step in handshake() {
                bench.step(RNG, &step);
                if step.name == name {
                    bench.step(RNG, &step);
                }
            }
        }));
    }
    for seed in 1..=24u64 {
        all.push(one(format!("any-order-{seed}"), Fate::Either, move |bench| {
            let steps = handshake();
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for _ in 0..60 {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                bench.step((random >> 8) as usize % LINKS, &steps[random as usize % steps.len()]);
            }
            bench.post(RNG, &request(11, &words(&[0, 0])), &[]);
        }));
    }
    all.push(one("stopped-before-it-began", Fate::Lives, |bench| {
        bench.post(RNG, &request(11, &words(&[0, 0])), &[]);
        assert_eq!(reply(bench.link(RNG)), words(&[0, 0]));
    }));
    play(all);
}

#[test]
fn rings() {
    let mut all = Vec::new();
    for number in [8, 10, 11, 18] {
        for ring in [1, 2, 255, u32::MAX] {
            let bytes = request(number, &words(&[ring, 1]));
            all.push(says(format!("request-{number}-of-ring-{ring}"), BROKE, bytes));
        }
    }
    for number in 12..=14 {
        let bytes = request(number, &longs(&[1 << 8 | 1]));
        all.push(says(format!("request-{number}-of-ring-1"), BROKE, bytes));
    }
    // What the guest chooses QEMU passes on: it is not served, and that is all.
    for size in [3, 17, 1023] {
        let bytes = request(8, &words(&[0, size]));
        all.push(says(format!("ring-of-{size}"), Fate::Lives, bytes));
    }
    for size in [0, 1025, 2048, 65_535, 65_536, u32::MAX] {
        let bytes = request(8, &words(&[0, size]));
        all.push(says(format!("ring-of-{size}"), BROKE, bytes));
    }
    all.push(says("base-65536", BROKE, request(10, &words(&[0, 65_536]))));
    all.push(says("enable-2", BROKE, request(18, &words(&[0, 2]))));
    let ring = USER + RING;
    for (name, at) in [
        ("before-memory", USER - 1),
        ("behind-memory", USER + WHOLE[1]),
        ("at-0", 0),
        ("at-the-end-of-all", u64::MAX),
    ] {
        for (part, bytes) in [
            ("descriptors", addresses(0, at, ring, ring)),
            ("used", addresses(0, ring, at, ring)),
            ("available", addresses(0, ring, ring, at)),
        ] {
            all.push(says_at(format!("{part}-{name}"), Fate::Lives, "addresses", bytes));
        }
    }
    all.push(says_at("ring-with-a-log", BROKE, "addresses", {
        let mut body = words(&[0, 1]);
        body.extend(longs(&[ring, ring, ring, 0]));
        request(9, &body)
    }));
    // Rings that overlap or stick out harm the guest alone: they are not served.
    let last = USER + WHOLE[1];
    for (name, bytes) in [
        ("rings-overlap", addresses(0, ring, ring, ring)),
        ("rings-stick-out", addresses(0, last - 16, last - 4, last - 2)),
        ("rings-not-aligned", addresses(0, ring + 16, ring + 4, ring + 2)),
    ] {
        all.push(one(name, Fate::Lives, move |bench| {
            for step in handshake() {
                match step.name {
                    "addresses" => drop(bench.post(RNG, &bytes, &[])),
                    _ => drop(bench.step(RNG, &step)),
                }
            }
        }));
    }
    all.push(one("rings-moved-while-served", Fate::Lives, |bench| {
        let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
        bench.served(RNG, &kick, &call);
        for round in 0..200u64 {
            bench.offer(round as u16);
            let ring = USER + RING + round * 0x1000 % 0x10_0000;
            bench.post(RNG, &addresses(0, ring, ring + 0x2000, ring + 0x1000), &[]);
            rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
            bench.post(RNG, &request(18, &words(&[0, u32::from(round % 2 == 0)])), &[]);
        }
    }));
    all.push(one("available-runs-away", Fate::Lives, |bench| {
        let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
        bench.served(RNG, &kick, &call);
        bench.offer(40_000);
        rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
    }));
    play(all);
}

#[test]
fn memory() {
    let tables: [(&str, Fate, &[[u64; 4]]); 13] = [
        ("no-region", Fate::Lives, &[]),
        ("region-of-0", BROKE, &[[0, 0, USER, 0]]),
        ("region-one-byte-too-long", BROKE, &[[0, WHOLE[1] + 1, USER, 0]]),
        ("region-elsewhere-in-the-file", BROKE, &[[0, 4096, USER, 4096]]),
        ("region-elsewhere-in-the-guest", BROKE, &[[4096, 4096, USER, 0]]),
        ("region-behind-memory", BROKE, &[[WHOLE[1], 4096, USER, WHOLE[1]]]),
        ("region-in-the-hole", BROKE, &[[0xfe00_0000, 4096, USER, 0]]),
        ("region-wraps-in-the-guest", BROKE, &[[u64::MAX, 4096, USER, 0]]),
        ("region-wraps-in-qemu", BROKE, &[[0, 4096, u64::MAX - 100, 0]]),
        ("region-wraps-in-the-file", BROKE, &[[4096, 4096, USER, u64::MAX]]),
        ("region-without-end", BROKE, &[[0, u64::MAX, 0, 0]]),
        // Nothing of it is mapped: it only says where a ring may be.
        ("regions-overlap", Fate::Lives, &[WHOLE, [4096, 4096, USER + 4096, 4096], WHOLE]),
        ("regions-overlap-in-qemu", Fate::Lives, &[WHOLE, [4096, 4096, USER, 4096]]),
    ];
    let mut all: Vec<Scenario> = Vec::new();
    for (name, fate, regions) in tables {
        all.push(one(name, fate, move |bench| {
            let fds = vec![bench.memory.as_fd(); regions.len()];
            bench.post(RNG, &table(regions), &fds);
        }));
    }
    for name in ["memfd", "dev-zero", "pipe", "socket", "file", "blocking-event", "own-socket"] {
        all.push(one(format!("foreign-memory-{name}"), BROKE, move |bench| {
            let foreign = strange(name, bench);
            bench.post(RNG, &table(&[WHOLE]), &[foreign.as_fd()]);
        }));
        all.push(one(format!("foreign-memory-{name}-second"), BROKE, move |bench| {
            let foreign = strange(name, bench);
            let fds = [bench.memory.as_fd(), foreign.as_fd()];
            bench.post(RNG, &table(&[WHOLE, [0, 4096, USER, 0]]), &fds);
        }));
    }
    let many = |name: &str, regions: usize, count: usize| {
        one(name, BROKE, move |bench| {
            let fds = vec![bench.memory.as_fd(); count];
            bench.post(RNG, &table(&vec![WHOLE; regions]), &fds);
        })
    };
    all.extend([
        many("nine-regions", 9, 8),
        many("regions-without-descriptors", 1, 0),
        many("one-descriptor-too-many", 1, 2),
        many("one-descriptor-too-few", 3, 2),
        many("eight-descriptors", 1, 8),
        many("nine-descriptors", 1, 9),
        many("thirty-descriptors", 1, 30),
    ]);
    all.push(one("regions-said-to-be-many", BROKE, |bench| {
        bench.post(RNG, &request(5, &words(&[u32::MAX, 0])), &[]);
    }));
    all.push(one("memory-taken-away-while-served", Fate::Lives, |bench| {
        let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
        bench.served(RNG, &kick, &call);
        bench.post(RNG, &table(&[]), &[]);
        bench.offer(1);
        rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
    }));
    all.push(one("memory-cut-short", Fate::Lives, |bench| {
        // Its size is sealed: nobody can take pages away under the guest's process.
        assert_eq!(rustix::fs::ftruncate(&bench.memory, 0), Err(Errno::PERM));
        bench.until(RNG, "none");
    }));
    play(all);
}

#[test]
fn descriptors() {
    let mut all: Vec<Scenario> = Vec::new();
    for step in handshake().into_iter().filter(|step| step.with == With::Nothing) {
        let bytes = step.bytes.clone();
        all.push(one(format!("descriptor-with-{}", step.name), BROKE, move |bench| {
            bench.post(RNG, &bytes, &[bench.memory.as_fd()]);
        }));
    }
    for number in [12u32, 13, 14] {
        let name = ["kick", "call", "error"][number as usize - 12];
        all.push(says(
            format!("{name}-without-its-descriptor"),
            BROKE,
            request(number, &longs(&[0])),
        ));
        all.push(one(format!("{name}-of-two"), BROKE, move |bench| {
            let fds = [bench.memory.as_fd(), bench.memory.as_fd()];
            bench.post(RNG, &request(number, &longs(&[0])), &fds);
        }));
        all.push(one(format!("{name}-none-but-one"), BROKE, move |bench| {
            let fds = [bench.memory.as_fd()];
            bench.post(RNG, &request(number, &longs(&[1 << 8])), &fds);
        }));
    }
    all.push(says("kick-to-be-looked-for", BROKE, request(12, &longs(&[1 << 8]))));
    for kind in [
        "pipe",
        "pipe-end",
        "blocking-event",
        "file",
        "dev-zero",
        "memory",
        "memory-nonblocking",
        "socket",
        "own-socket",
    ] {
        for (name, number) in [("kick", 12u32), ("call", 13)] {
            all.push(one(format!("{name}-is-a-{kind}"), BROKE, move |bench| {
                bench.until(RNG, "kick");
                let strange = strange(kind, bench);
                bench.post(RNG, &request(number, &longs(&[0])), &[strange.as_fd()]);
            }));
        }
    }
    for number in [21u32, 33] {
        let name = format!("socket-of-request-{number}");
        all.push(says(format!("{name}-missing"), BROKE, request(number, &[])));
        for (often, count, fate) in [("often", 400, Fate::Lives), ("without-end", 2000, BROKE)] {
            all.push(one(format!("{name}-{often}"), fate, move |bench| {
                // The end of the socket is heard once nobody else keeps a copy of it.
                bench.forget_copies();
                for _ in 0..count {
                    bench.post(RNG, &request(number, &[]), &[bench.memory.as_fd()]);
                }
                let folder = format!("/proc/{}/fd", bench.vmm.machine());
                let open = || std::fs::read_dir(&folder).map_or(0, Iterator::count);
                let begin = Instant::now();
                while fate == Fate::Lives && !(400..500).contains(&open()) {
                    assert!(begin.elapsed() < common::PATIENCE, "{} are open", open());
                    bench.pause();
                }
            }));
        }
    }
    all.push(one("call-is-full", Fate::Lives, |bench| {
        let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
        rustix::io::write(&call, &(u64::MAX - 1).to_ne_bytes()).unwrap();
        bench.served(RNG, &kick, &call);
        bench.offer(1);
        rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
        wait_used(bench, 1);
    }));
    all.push(one("descriptors-in-halves-of-messages", BROKE, |bench| {
        let bytes = table(&[WHOLE]);
        for byte in bytes.chunks(1) {
            bench.post(RNG, byte, &[bench.memory.as_fd()]);
        }
    }));
    play(all);
}

fn wait_used(bench: &mut Bench, count: u16) {
    let end = Instant::now() + common::PATIENCE;
    while bench.used() != count {
        assert!(Instant::now() < end, "the device does not answer");
        bench.pause();
    }
}

#[test]
fn features_and_configuration() {
    let config = |number: u32, offset: u32, bytes: u32, data: usize| {
        let mut body = words(&[offset, bytes, 0]);
        body.extend(vec![0xff; data]);
        request(number, &body)
    };
    let mut all: Vec<Scenario> = Vec::new();
    for bit in [0, 5, 26, 28, 29, 31, 33, 34, 40, 63] {
        let bytes = request(2, &longs(&[1 << bit]));
        all.push(says(format!("feature-{bit}-never-offered"), Fate::Lives, bytes));
    }
    for bit in [0, 1, 3, 9, 12, 63] {
        let bytes = request(16, &longs(&[1 << bit]));
        all.push(says(format!("protocol-feature-{bit}-never-offered"), BROKE, bytes));
    }
    for (device, place) in
        [("gpu", GPU), ("keyboard", KEYBOARD), ("pointer", POINTER), ("rng", RNG)]
    {
        for number in [24, 25] {
            for (name, offset, bytes, data) in [
                ("beyond", 250, 7, 7),
                ("far", u32::MAX, 1, 1),
                ("wraps", u32::MAX, u32::MAX, 4),
                ("too-long", 0, 257, 256),
                ("lies", 0, 16, 15),
            ] {
                let message = config(number, offset, bytes, data);
                let name = format!("{device}-configuration-{number}-{name}");
                all.push(one(name, BROKE, move |bench| {
                    bench.post(place, &message, &[]);
                }));
            }
        }
        all.push(one(format!("{device}-configuration-everywhere"), Fate::Lives, move |bench| {
            for offset in 0..=256u32 {
                for bytes in [0, 1, 7, 256 - offset] {
                    if offset + bytes <= 256 {
                        bench.post(place, &config(25, offset, bytes, bytes as usize), &[]);
                        bench.post(place, &config(24, offset, bytes, bytes as usize), &[]);
                        assert_eq!(reply(bench.link(place)).len(), 12 + bytes as usize);
                    }
                }
            }
        }));
    }
    play(all);
}

#[test]
fn pieces_and_silence() {
    play(vec![
        one("a-byte-at-a-time", Fate::Lives, |bench| {
            for step in handshake().iter().take(2) {
                for byte in step.bytes.chunks(1) {
                    bench.post(RNG, byte, &[]);
                    bench.pause();
                }
                assert_eq!(reply(bench.link(RNG)).len(), 8);
            }
        }),
        one("memory-a-byte-at-a-time", Fate::Lives, |bench| {
            let bytes = table(&[WHOLE]);
            bench.post(RNG, &bytes[..1], &[bench.memory.as_fd()]);
            for byte in bytes[1..].chunks(1) {
                bench.post(RNG, byte, &[]);
                bench.pause();
            }
            for step in handshake().iter().filter(|step| step.name != "memory") {
                bench.step(RNG, step);
            }
        }),
        one("half-a-header-on-every-link", Fate::Lives, |bench| {
            for place in 0..LINKS {
                bench.post(place, &[1, 0, 0], &[]);
            }
        }),
        one("all-messages-at-once", Fate::Lives, |bench| {
            let all: Vec<u8> = handshake()
                .iter()
                .filter(|step| {
                    step.with == With::Nothing && !["addresses", "enable"].contains(&step.name)
                })
                .flat_map(|step| step.bytes.clone())
                .collect();
            for place in 0..LINKS {
                let _some = bench.post(place, &all, &[]);
            }
        }),
        one("silence", Fate::Lives, |_| {}),
    ]);
}

/// Keeps flooding from another thread while the user is answered, and then ends it by `Quit`.
fn while_flooding(
    socket: &std::os::unix::net::UnixStream,
    chunk: Vec<u8>,
    least: usize,
    mut bench: Bench,
) {
    let socket = socket.try_clone().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = count.clone();
    let flooding = std::thread::spawn(move || {
        while flood(&socket, &chunk, 1) == 1 {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    });
    let mut worst = Duration::ZERO;
    let (mut last, mut since) = (0, Instant::now());
    while last < least {
        worst = worst.max(bench.obeys());
        let now = count.load(std::sync::atomic::Ordering::Relaxed);
        if now > last {
            (last, since) = (now, Instant::now());
        }
        // However slow this machine is, the flood goes on.
        assert!(since.elapsed() < common::PATIENCE, "{last} of {least}");
    }
    println!(
        "{} chunks, keys and an answer took {worst:?} at worst",
        count.load(std::sync::atomic::Ordering::Relaxed)
    );
    bench.quits();
    flooding.join().unwrap();
}

#[test]
fn a_flood_of_messages_keeps_nobody_waiting() {
    let bench = Bench::running();
    let link = bench.link(RNG).try_clone().unwrap();
    while_flooding(&link, request(3, &[]).repeat(100), 2_000, bench);
}

#[test]
fn floods_of_the_other_sockets_keep_nobody_waiting() {
    let event = br#"{"event":"NOTHING"}"#.to_vec();
    let line = [&event[..], b"\n"].concat();
    let flapping = b"{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":true}}\n\
        {\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":false}}\n";
    for (name, chunk, least) in [
        ("monitor", line.repeat(10), 2_000),
        ("monitor", flapping.repeat(2), 5_000),
        ("monitor", b"{\"error\":{}}\n{}\n1\n".repeat(20), 1_000),
        ("display", vec![b'x'; 4096], 2_000),
        ("serial", vec![b'x'; 4096], 2_000),
        ("agent", vec![b'x'; 4096], 2_000),
    ] {
        let bench = Bench::running();
        let ends = &bench.ends;
        let socket = match name {
            "monitor" => &ends.monitor,
            "display" => &ends.display,
            "serial" => &ends.serial,
            _ => &ends.agent,
        };
        let mut socket = socket.as_ref().unwrap().try_clone().unwrap();
        if name == "display" {
            // One that does not keep to the greeting is not listened to any more.
            socket.write_all(b"OK 1\r\n").unwrap();
            let mut heard = Vec::new();
            while !heard.ends_with(b"BEGIN\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                heard.extend(byte);
            }
        }
        if name == "agent" {
            // Nothing is read of a port that nobody has open.
            bench.tell_monitor(b"{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":true}}\n");
        }
        let serial = bench.vmm.serial.try_clone().unwrap();
        while_flooding(&socket, chunk, least, bench);
        assert!(serial.metadata().unwrap().len() < LOG_BYTES + 200);
    }
}

#[test]
fn a_flood_of_kicks_keeps_nobody_waiting() {
    let mut bench = Bench::running();
    let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
    bench.served(RNG, &kick, &call);
    let going = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let goes = going.clone();
    let flooding = std::thread::spawn(move || {
        let mut kicks = 0u64;
        while goes.load(std::sync::atomic::Ordering::Relaxed) {
            kicks += u64::from(rustix::io::write(&kick, &1u64.to_ne_bytes()).is_ok());
        }
        kicks
    });
    let worst = (0..200).map(|_| bench.obeys()).max().unwrap();
    bench.offer(1);
    wait_used(&mut bench, 1);
    bench.quits();
    going.store(false, std::sync::atomic::Ordering::Relaxed);
    println!("{} kicks, keys and an answer took {worst:?} at worst", flooding.join().unwrap());
}

#[test]
fn a_qemu_that_reads_no_reply_is_left() {
    let bench = Bench::running();
    let link = bench.link(GPU).try_clone().unwrap();
    std::thread::spawn(move || flood(&link, &request(1, &[]), 1_000_000));
    bench.judge(BROKE);
}

#[test]
fn closed_at_each_step() {
    let mut all: Vec<Scenario> = Vec::new();
    for (index, step) in handshake().iter().enumerate() {
        all.push(one(format!("link-closed-before-{}", step.name), Fate::Lives, move |bench| {
            for step in handshake().iter().take(index) {
                bench.step(RNG, step);
            }
            bench.forget_copies();
            bench.ends.links[RNG] = None;
        }));
    }
    for place in 0..LINKS {
        all.push(one(format!("link-{place}-closed-in-a-message"), Fate::Lives, move |bench| {
            bench.post(place, &[1, 0, 0, 0, 1], &[]);
            bench.forget_copies();
            bench.ends.links[place] = None;
        }));
    }
    for name in ["serial", "agent", "monitor", "display", "all"] {
        all.push(one(format!("{name}-closed"), Fate::Lives, move |bench| {
            bench.forget_copies();
            let ends = &mut bench.ends;
            let all = name == "all";
            for (end, this) in [
                (&mut ends.serial, "serial"),
                (&mut ends.agent, "agent"),
                (&mut ends.monitor, "monitor"),
                (&mut ends.display, "display"),
            ] {
                if all || this == name {
                    *end = None;
                }
            }
            if all {
                ends.links.iter_mut().for_each(|link| *link = None);
            }
        }));
    }
    all.push(one("engine-closed", ENDED, |bench| bench.engine = None));
    all.push(one("engine-closed-in-the-handshake", ENDED, |bench| {
        bench.until(RNG, "kick");
        bench.engine = None;
    }));
    play(all);
}

#[test]
fn monitor_and_display() {
    let monitor = |name: &str, fate, text: Vec<u8>| {
        one(format!("monitor-{name}"), fate, move |bench| bench.tell_monitor(&text))
    };
    let nested = |bracket: u8| {
        let mut line = vec![bracket; 10_000];
        line.push(b'\n');
        line
    };
    let event = |text: &str| format!("{{\"event\":{text}}}\n").into_bytes();
    let shutdown = event("\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-shutdown\"}");
    let display = |name: &str, text: Vec<u8>| {
        one(format!("display-{name}"), Fate::Lives, move |bench| {
            let _gone = bench.ends.display.as_ref().unwrap().write_all(&text);
            bench.vmm.resize(800, 600);
        })
    };
    play(vec![
        monitor("garbage", BROKE, b"hello\n".to_vec()),
        monitor("zeroes", BROKE, vec![0; 100].into_iter().chain([b'\n']).collect()),
        monitor("empty-line", BROKE, b"\n".to_vec()),
        monitor("line-without-end", BROKE, vec![b' '; 40_000]),
        monitor("nested-lists", BROKE, nested(b'[')),
        monitor("nested-maps", BROKE, b"{\"a\":".repeat(3_000).into_iter().chain([b'\n']).collect()),
        monitor("half-a-line", Fate::Lives, b"{\"event\": \"STO".to_vec()),
        // As many answers as there can be to the keys of one turn.
        monitor("hundreds-of-answers-at-once", Fate::Lives, b"{\"return\": {}}\r\n".repeat(1000)),
        monitor("shapes", Fate::Lives, b"1\nnull\n\"x\"\n[]\n{\"event\":1}\n{\"event\":\"SHUTDOWN\"}\n{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":7}}\n{\"data\":[]}\n{\"error\":7}\n".to_vec()),
        monitor("stop-never-asked", Fate::Lives, event("\"STOP\"").repeat(50)),
        monitor("resume-never-asked", Fate::Lives, event("\"RESUME\"").repeat(50)),
        monitor("port-flaps", Fate::Lives, event("\"VSERPORT_CHANGE\",\"data\":{\"open\":true}").repeat(51)),
        monitor("power-off-twice", Fate::Stops(StopReason::PowerOff), shutdown.repeat(2)),
        monitor("panic-and-power-off", Fate::Stops(StopReason::Panicked), {
            let mut both = event("\"GUEST_PANICKED\"");
            both.extend(&shutdown);
            both
        }),
        display("garbage", vec![0xff; 400]),
        display("refuses", b"REJECTED EXTERNAL\r\n".to_vec()),
        display("line-without-end", vec![b'a'; 100_000]),
        display("welcomes-twice", b"OK 1\r\nOK 2\r\n".to_vec()),
        display("talks-on", [&b"OK 1\r\n"[..], &[0; 50_000]].concat()),
        one("agent-garbage", Fate::Lives, |bench| {
            bench.tell_monitor(b"{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":true}}\n");
            bench.vmm.expect(FromVmm::AgentOpen(true));
            flood(bench.ends.agent.as_ref().unwrap(), &[0xa5; 4096], 1000);
        }),
        one("agent-frame-without-end", Fate::Lives, |bench| {
            bench.tell_monitor(b"{\"event\":\"VSERPORT_CHANGE\",\"data\":{\"open\":true}}\n");
            bench.vmm.expect(FromVmm::AgentOpen(true));
            flood(bench.ends.agent.as_ref().unwrap(), b"TA\x01\x01\xff\xff\xff\xff", 1);
            flood(bench.ends.agent.as_ref().unwrap(), &[0; 4096], 1000);
        }),
        one("serial-beyond-its-limit", Fate::Lives, |bench| {
            flood(bench.ends.serial.as_ref().unwrap(), &[b'x'; 4096], 1000);
            bench.obeys();
            assert!(bench.vmm.serial.metadata().unwrap().len() < LOG_BYTES + 200);
        }),
    ]);
}

#[test]
fn a_guest_that_is_said_to_reset_twice_is_made_anew_once() {
    let mut bench = Bench::running();
    let reset = b"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}\n";
    bench.tell_monitor(&reset.repeat(2));
    assert_eq!(bench.asked(), ToEngine::End);
    bench.say(FromEngine::Ended(0), &[]);
    bench.start();
    bench.vmm.expect(FromVmm::Running);
    bench.judge(Fate::Lives);
}

#[test]
fn an_end_that_was_heard_is_not_waited_for_again() {
    let mut bench = Bench::running();
    // Both are there before the guest's process looks: it is stopped meanwhile.
    let machine = Pid::from_raw(bench.vmm.machine() as i32).unwrap();
    kill_process(machine, Signal::STOP).unwrap();
    bench.tell_monitor(b"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}\n");
    bench.say(FromEngine::Ended(0), &[]);
    kill_process(machine, Signal::CONT).unwrap();
    let begin = Instant::now();
    let mut asked = bench.asked();
    if asked == ToEngine::End {
        // A good `tabard-engine` has no QEMU to end and nothing to say.
        asked = bench.asked();
    }
    assert!(matches!(asked, ToEngine::Start(_)), "{asked:?}");
    bench.started(FIXED_SOCKETS + OTHERS);
    bench.vmm.expect(FromVmm::Running);
    assert!(begin.elapsed() < common::PROMPT, "{:?}", begin.elapsed());
    bench.judge(Fate::Lives);
}

#[test]
fn what_is_left_of_the_machine_before_a_reset_wakes_nobody() {
    let mut bench = Bench::running();
    let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
    bench.served(RNG, &kick, &call);
    // A hostile `tabard-engine` keeps copies of the ends that it gave away.
    let old = std::mem::take(&mut bench.ends);
    bench.vmm.send(ToVmm::Reset);
    assert_eq!(bench.asked(), ToEngine::End);
    bench.say(FromEngine::Ended(0), &[]);
    bench.start();
    bench.vmm.expect(FromVmm::Running);
    let sockets = [&old.serial, &old.agent, &old.monitor, &old.display];
    for socket in sockets.into_iter().chain(&old.links).flatten() {
        let mut socket = socket;
        socket.write_all(b"hello").unwrap();
    }
    rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
    bench.judge(Fate::Lives);
    drop(old);
}

#[test]
fn a_monitor_that_nobody_reads_grows_nothing() {
    let mut bench = Bench::running();
    let process = bench.vmm.machine();
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmData:")).unwrap().trim();
        line.trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    bench.obeys();
    let before = resident();
    for _ in 0..200 {
        for _ in 0..200 {
            for pressed in [true, false] {
                bench.vmm.send(ToVmm::Key { code: 31, pressed });
            }
        }
        bench.obeys();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 1024, "{grown} KiB more");
    bench.judge(Fate::Lives);
}

#[test]
fn words_of_the_engine_that_nobody_asked_for() {
    let says = |name: &str, bytes: Vec<u8>| {
        one(format!("engine-{name}"), ENDED, move |bench| bench.say_bytes(&bytes, &[]))
    };
    let unknown = |kind: u8| {
        let mut bytes = vec![0; 16];
        bytes[0] = kind;
        bytes
    };
    play(vec![
        says("ended", FromEngine::Ended(0).encode().to_vec()),
        says("ended-by-a-signal", FromEngine::Ended(137).encode().to_vec()),
        says("jailed-again", FromEngine::Jailed(1).encode().to_vec()),
        says("started-again", FromEngine::Started { user: 0, state: 0 }.encode().to_vec()),
        says("unknown", unknown(9)),
        says("zeroes", unknown(0)),
        says("short", vec![3; 15]),
        says("long", vec![3; 17]),
        says("very-long", vec![3; 60_000]),
        one("engine-started-again-with-descriptors", ENDED, |bench| {
            bench.started(FIXED_SOCKETS + OTHERS)
        }),
        one("engine-descriptors-with-ended", ENDED, |bench| {
            bench.say(FromEngine::Ended(0), &[bench.memory.as_fd(); 17]);
        }),
    ]);
}

/// Says this in place of `Jailed`, or after it and the order in place of `Started`, and expects that the
/// guest fails; how long that took.
fn fails(jailed: bool, act: impl Fn(&mut Bench)) -> Duration {
    let mut bench = Bench::begun();
    if jailed {
        bench.say(FromEngine::Jailed(0xfff), &[]);
        assert!(matches!(bench.asked(), ToEngine::Start(_)));
    }
    let begin = Instant::now();
    act(&mut bench);
    assert_eq!(bench.vmm.expect_failure().0, tabard_wire::FailReason::Engine);
    begin.elapsed()
}

#[test]
fn an_engine_that_does_not_start_as_it_must() {
    for count in [0, 1, FIXED_SOCKETS, FIXED_SOCKETS + OTHERS + 1, 18] {
        assert!(fails(true, |bench| bench.started(count)) < common::PROMPT, "{count}");
    }
    for jailed in [false, true] {
        for bytes in [&[0u8; 16][..], &[3; 15], &[2; 17], &[1, 0, 0, 0, 0, 0, 1]] {
            assert!(fails(jailed, |bench| bench.say_bytes(bytes, &[])) < common::PROMPT);
        }
        assert!(fails(jailed, |bench| bench.engine = None) < common::PROMPT);
        let ended = FromEngine::Ended(1);
        assert!(fails(jailed, |bench| bench.say(ended, &[])) < common::PROMPT);
    }
    assert!(fails(false, |bench| bench.say(FromEngine::Jailed(u16::MAX), &[])) < common::PROMPT);
    assert!(fails(true, |bench| bench.say(FromEngine::Jailed(1), &[])) < common::PROMPT);
}

/// Descriptors that are no sockets in the places of QEMU's.
#[test]
fn an_engine_that_hands_over_no_sockets() {
    for kind in ["memory", "dev-zero", "pipe", "blocking-event", "file"] {
        let mut bench = Bench::begun();
        bench.say(FromEngine::Jailed(0xfff), &[]);
        assert!(matches!(bench.asked(), ToEngine::Start(_)));
        let strange = strange(kind, &bench);
        let fds: Vec<BorrowedFd<'_>> = vec![strange.as_fd(); FIXED_SOCKETS + OTHERS];
        bench.say(FromEngine::Started { user: 0, state: 0 }, &fds);
        let ends = |m: &FromVmm| {
            matches!(m, FromVmm::Failed { .. } | FromVmm::Stopped(_) | FromVmm::Loaded)
        };
        if bench.vmm.wait_for("an end", ends) == FromVmm::Loaded {
            // What can be waited for and says nothing is as good as a silent socket.
            if kind == "blocking-event" {
                bench.quits();
                continue;
            }
            // It is told by the first socket that is read.
            bench
                .vmm
                .wait_for("an end", |m| matches!(m, FromVmm::Failed { .. } | FromVmm::Stopped(_)));
        }
        bench.vmm.wait_for_exit();
    }
}

#[test]
fn an_engine_that_is_silent_at_the_start_has_ten_seconds() {
    std::thread::scope(|scope| {
        for jailed in [false, true] {
            scope.spawn(move || {
                let took = fails(jailed, |_| {});
                assert!(took > Duration::from_secs(8) && took < common::PROMPT, "{took:?}");
            });
        }
        // The machine of before may still run in the memory: the guest is not begun anew.
        scope.spawn(|| {
            let mut bench = Bench::running();
            let begin = Instant::now();
            bench.vmm.send(ToVmm::Reset);
            assert_eq!(bench.vmm.expect_failure().0, tabard_wire::FailReason::Engine);
            assert!(begin.elapsed() < common::PROMPT, "{:?}", begin.elapsed());
        });
    });
}

#[test]
fn an_engine_that_never_says_that_qemu_has_ended_keeps_nobody_waiting() {
    // Silent; the end of the guest's process is QEMU's too.
    Bench::running().quits();
    // Talking without end.
    let bench = Bench::running();
    let engine = bench.engine.as_ref().unwrap().try_clone().unwrap();
    let talking = std::thread::spawn(move || {
        let word = FromEngine::Ended(0).encode();
        while tabard_vmm::engine::qemu::exposed::send(&engine, &word, &[]).is_ok() {}
    });
    bench.judge(ENDED);
    talking.join().unwrap();
}

#[test]
fn an_engine_that_does_not_read_cannot_make_the_guest_wait() {
    let mut bench = Bench::running();
    let reset = b"{\"event\":\"SHUTDOWN\",\"data\":{\"reason\":\"guest-reset\"}}\n";
    // Answers that come before the questions, and nobody takes the questions.
    let begin = Instant::now();
    for round in 0..400 {
        bench.say(FromEngine::Ended(0), &[]);
        bench.tell_monitor(reset);
        bench.started(FIXED_SOCKETS + OTHERS);
        let ends = |m: &FromVmm| {
            matches!(m, FromVmm::Running | FromVmm::Failed { .. } | FromVmm::Stopped(_))
        };
        if bench.vmm.wait_for("an answer", ends) != FromVmm::Running {
            println!("it gives up after {round} resets, {:?}", begin.elapsed());
            bench.vmm.wait_for_exit();
            return;
        }
    }
    bench.quits();
}

#[test]
fn a_driver_that_asks_for_silence_is_not_interrupted() {
    const EVENT_IDX: u64 = 1 << 29;
    for (features, flags, interrupts) in [(0, 0, 10), (0, 1, 0), (EVENT_IDX, 0, 1)] {
        let mut bench = Bench::running();
        let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
        bench.wish(flags, 9);
        bench.served_with(RNG, &kick, &call, features);
        for count in 1..=10 {
            bench.offer(count);
            rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
            wait_used(&mut bench, count);
        }
        // By then the turn that answered is over.
        bench.obeys();
        let mut heard = [0; 8];
        let heard = rustix::io::read(&call, &mut heard).map_or(0, |_| u64::from_ne_bytes(heard));
        assert_eq!(heard, interrupts, "{features:#x} {flags}");
        bench.quits();
    }
}

/// Whoever takes the flag away that makes a full counter no hindrance makes its own guest stand still,
/// and `tabard`, which sees that it does not obey, ends it.
#[test]
fn a_counter_that_blocks_after_all_harms_its_own_guest_alone() {
    let mut bench = Bench::running();
    let (kick, call) = (event(EventfdFlags::NONBLOCK), event(EventfdFlags::NONBLOCK));
    bench.served(RNG, &kick, &call);
    bench.obeys();
    rustix::fs::fcntl_setfl(&call, OFlags::empty()).unwrap();
    rustix::io::write(&call, &(u64::MAX - 1).to_ne_bytes()).unwrap();
    bench.offer(1);
    rustix::io::write(&kick, &1u64.to_ne_bytes()).unwrap();
    wait_used(&mut bench, 1);
    bench.vmm.send(ToVmm::Quit);
    let begin = Instant::now();
    let (process, keeper) = (bench.vmm.machine(), Pid::from_child(&bench.vmm.child));
    kill_process(keeper, Signal::TERM).unwrap();
    let status = bench.vmm.wait_for_exit().code();
    assert!(status == Some(128 + libc_kill()) || status == Some(0), "{status:?}");
    assert!(begin.elapsed() < common::PROMPT, "{:?}", begin.elapsed());
    assert!(!std::path::Path::new(&format!("/proc/{process}")).exists());
}

fn libc_kill() -> i32 {
    Signal::KILL.as_raw()
}
