//! Runs one guest by hand: plays `tabard` for a `tabard-vmm` beside this program (or the one in
//! `TABARD_VMM`), prints the serial log with times and does what its arguments say, in order.
//!
//! `drive [OPTION=VALUE]... [ACTION]...` with the options `kernel`, `initrd`, `cmdline`,
//! `memory` (MiB), `vcpus`, `size` (WxH), `disk` and `disk-ro` (images, may be repeated), and the actions `wait:TEXT` (until the serial log has
//! it), `type:TEXT` (`\n` is Enter), `move:X,Y`, `picture:FILE` (PPM), `damage` (until pixels
//! change), `power`, `reset`, `running`, `stopped`, `quit`.

use std::error::Error;
use std::fs::File;
use std::io::{IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use tabard_wire::{FromVmm, MESSAGE_BYTES, SurfaceGeometry, ToVmm};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// How long an action may take.
const PATIENCE: Duration = Duration::from_secs(120);

struct Guest {
    socket: OwnedFd,
    serial: File,
    printed: usize,
    text: Vec<u8>,
    /// Where in the log the next `wait` starts.
    waited: usize,
    surface: File,
    geometry: SurfaceGeometry,
    start: Instant,
    seen: Vec<FromVmm>,
}

impl Guest {
    fn send(&self, message: ToVmm) -> Outcome<()> {
        self.send_bytes(message, &[])
    }

    fn send_with(&self, message: ToVmm, fd: impl AsFd) -> Outcome<()> {
        self.send_bytes(message, &[fd.as_fd()])
    }

    fn send_bytes(&self, message: ToVmm, fds: &[BorrowedFd<'_>]) -> Outcome<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !fds.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let bytes = message.encode();
        sendmsg(&self.socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    fn say(&self, text: &str) {
        println!("[drive {:8.3}] {text}", self.start.elapsed().as_secs_f64());
    }

    /// Prints what is new in the serial log.
    fn print_serial(&mut self) -> Outcome<()> {
        let length = usize::try_from(self.serial.metadata()?.len())?;
        if length > self.text.len() {
            let old = self.text.len();
            self.text.resize(length, 0);
            self.serial.read_exact_at(&mut self.text[old..], u64::try_from(old)?)?;
        }
        while let Some(end) = self.text[self.printed..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.text[self.printed..self.printed + end]);
            let line = line.trim_end().to_owned();
            self.say(&format!("| {line}"));
            self.printed += end + 1;
        }
        Ok(())
    }

    /// Waits a moment for a message; `Ok(None)` if there was none.
    fn receive(&mut self) -> Outcome<Option<FromVmm>> {
        let moment = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        if poll(&mut fds, Some(&moment))? == 0 {
            return Ok(None);
        }
        let mut bytes = [0; MESSAGE_BYTES];
        let (_, length) = recv(&self.socket, &mut bytes, RecvFlags::empty())?;
        if length == 0 {
            return Err("the VMM ended".into());
        }
        let message = FromVmm::decode(&bytes[..length])?;
        if !matches!(message, FromVmm::Damage { .. }) {
            self.say(&format!("{message:?}"));
        }
        if let FromVmm::Failed { .. } = message {
            return Err("the VMM failed".into());
        }
        self.seen.push(message);
        Ok(Some(message))
    }

    fn until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) -> Outcome<()> {
        let begin = Instant::now();
        while !done(self) {
            self.print_serial()?;
            if begin.elapsed() > PATIENCE {
                return Err(format!("no {what} in {PATIENCE:?}").into());
            }
            self.receive()?;
        }
        Ok(())
    }

    fn until_message(&mut self, what: &str, wanted: impl Fn(&FromVmm) -> bool) -> Outcome<()> {
        self.until(what, |guest| {
            let found = guest.seen.iter().position(&wanted);
            if let Some(place) = found {
                guest.seen.drain(..=place);
            }
            found.is_some()
        })
    }

    fn picture(&self, path: &str) -> Outcome<()> {
        let (width, height) = (self.geometry.width_px(), self.geometry.height_px());
        let mut out = std::io::BufWriter::new(File::create(path)?);
        writeln!(out, "P6 {width} {height} 255")?;
        let mut row = vec![0; usize::try_from(self.geometry.stride_bytes())?];
        for y in 0..u64::from(height) {
            self.surface.read_exact_at(&mut row, y * u64::from(self.geometry.stride_bytes()))?;
            for pixel in row.chunks_exact(4).take(usize::try_from(width)?) {
                out.write_all(&[pixel[2], pixel[1], pixel[0]])?;
            }
        }
        out.flush()?;
        self.say(&format!("wrote {path}"));
        Ok(())
    }

    fn act(&mut self, action: &str) -> Outcome<()> {
        let (name, value) = action.split_once(':').unwrap_or((action, ""));
        self.say(&format!("-> {action}"));
        match name {
            "wait" => self.until(action, |guest| {
                let rest = String::from_utf8_lossy(&guest.text[guest.waited..]).into_owned();
                let found = rest.find(value);
                if let Some(place) = found {
                    guest.waited += place + value.len();
                }
                found.is_some()
            }),
            "type" => {
                for letter in value.replace("\\n", "\n").chars() {
                    let code = key(letter).ok_or("no key for this letter")?;
                    self.send(ToVmm::Key { code, pressed: true })?;
                    self.send(ToVmm::Key { code, pressed: false })?;
                }
                Ok(())
            }
            "move" => {
                let (x, y) = value.split_once(',').ok_or("move:X,Y")?;
                self.send(ToVmm::Pointer { x: x.parse()?, y: y.parse()? })
            }
            "picture" => self.picture(value),
            "damage" => {
                self.seen.retain(|message| !matches!(message, FromVmm::Damage { .. }));
                self.until_message(action, |message| matches!(message, FromVmm::Damage { .. }))
            }
            "power" => self.send(ToVmm::PowerButton),
            "reset" => self.send(ToVmm::Reset),
            "running" => self.until_message(action, |message| *message == FromVmm::Running),
            "stopped" => {
                self.until_message(action, |message| matches!(message, FromVmm::Stopped(_)))
            }
            "quit" => self.send(ToVmm::Quit),
            other => Err(format!("unknown action {other}").into()),
        }
    }
}

/// Linux `KEY_*` code of a letter on a US keyboard.
fn key(letter: char) -> Option<u16> {
    const ROWS: [(u16, &str); 4] =
        [(2, "1234567890-="), (16, "qwertyuiop"), (30, "asdfghjkl;"), (44, "zxcvbnm,./")];
    match letter {
        '\n' => return Some(28),
        ' ' => return Some(57),
        _ => {}
    }
    ROWS.iter().find_map(|(first, row)| {
        let place = row.chars().position(|other| other == letter)?;
        Some(first + u16::try_from(place).ok()?)
    })
}

fn memfd(bytes: &[u8]) -> Outcome<OwnedFd> {
    let fd = memfd_create("drive", MemfdFlags::CLOEXEC)?;
    File::from(fd.try_clone()?).write_all(bytes)?;
    Ok(fd)
}

fn run() -> Outcome<()> {
    let mut options = Vec::new();
    let mut actions = Vec::new();
    for argument in std::env::args().skip(1) {
        match argument.split_once('=') {
            Some((name, value)) if !name.contains(':') => {
                options.push((name.to_owned(), value.to_owned()));
            }
            _ => actions.push(argument),
        }
    }
    let option = |wanted: &str| {
        options.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
    };
    let (width, height) = option("size").unwrap_or("1024x768").split_once('x').ok_or("size=WxH")?;
    let geometry = SurfaceGeometry::new(width.parse()?, height.parse()?)?;
    let surface = memfd_create("surface", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    ftruncate(&surface, geometry.total_bytes())?;
    fcntl_add_seals(&surface, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;

    let program = match std::env::var_os("TABARD_VMM") {
        Some(path) => path.into(),
        None => {
            let own = std::env::current_exe()?;
            let beside = own.parent().ok_or("no folder")?;
            let here = beside.join("tabard-vmm");
            if here.exists() { here } else { beside.join("../tabard-vmm") }
        }
    };
    let (ours, theirs) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    let mut child = Command::new(program).stdin(theirs).stdout(Stdio::null()).spawn()?;
    let mut guest = Guest {
        socket: ours,
        serial: File::from(memfd(b"")?),
        printed: 0,
        text: Vec::new(),
        waited: 0,
        surface: File::from(surface),
        geometry,
        start: Instant::now(),
        seen: Vec::new(),
    };
    let memory_mib = option("memory").unwrap_or("256").parse()?;
    guest.send(ToVmm::Machine { memory_mib, vcpus: option("vcpus").unwrap_or("1").parse()? })?;
    guest.send_with(ToVmm::Kvm, File::options().read(true).write(true).open("/dev/kvm")?)?;
    guest.send_with(ToVmm::Kernel, File::open(option("kernel").ok_or("kernel=FILE")?)?)?;
    if let Some(initrd) = option("initrd") {
        guest.send_with(ToVmm::Initrd, File::open(initrd)?)?;
    }
    guest.send_with(ToVmm::CommandLine, memfd(option("cmdline").unwrap_or("").as_bytes())?)?;
    guest.send_with(ToVmm::SerialLog { limit_bytes: 8 << 20 }, &guest.serial)?;
    for (name, path) in options.iter().filter(|(name, _)| name.starts_with("disk")) {
        let read_only = name == "disk-ro";
        let file = File::options().read(true).write(!read_only).open(path)?;
        guest.send_with(ToVmm::Volume { read_only }, file)?;
    }
    guest.send_with(ToVmm::Surface { generation: 1, geometry }, &guest.surface)?;
    guest.send(ToVmm::Load)?;
    guest.until_message("Loaded", |message| *message == FromVmm::Loaded)?;
    guest.send(ToVmm::Boot)?;
    guest.until_message("Running", |message| *message == FromVmm::Running)?;
    let done = actions.iter().try_for_each(|action| guest.act(action));
    guest.print_serial()?;
    if done.is_err() {
        child.kill()?;
    }
    drop(guest.socket);
    let status = child.wait()?;
    println!("[drive] the VMM ended with {status}");
    done
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("[drive] {error}");
            ExitCode::FAILURE
        }
    }
}
