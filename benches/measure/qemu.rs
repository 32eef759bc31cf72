//! The peer: the QEMU that Tabard uses as an engine, with the same guest on the machine of its own
//! that is most like Tabard's and with devices of its own, seen through VNC and typed into through
//! QMP, both on local sockets.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tabard::session::{Engine, Qemu};
use tempfile::TempDir;

use crate::Fault;
use crate::desk::{LIMIT, MEMORY_MIB, SIZE};
use crate::rfb::Client;

/// What the peer under KVM is called in the figures.
pub const NAME: &str = "qemu microvm";
/// What the peer on an emulated processor is called.
pub const EMULATED: &str = "qemu microvm, tcg";

const PROGRAM: &str = "qemu-system-x86_64";

/// The QEMU of this host that can be an engine, or at least the one in `PATH`; says, once, what to do if there is none.
fn found() -> Option<&'static Qemu> {
    static FOUND: OnceLock<Option<Qemu>> = OnceLock::new();
    let look = || match tabard::engine::find() {
        Ok(qemu) => Some(qemu),
        Err(error) => {
            // Too old for an engine, it still is a peer under KVM.
            let old = Qemu { program: PROGRAM.into(), folder: None };
            let version = tabard::engine::run(&old).arg("--version").stdout(Stdio::null()).status();
            let runs = version.is_ok_and(|status| status.success());
            if !runs {
                eprintln!("measure: without the peer: {error}");
            }
            runs.then_some(old)
        }
    };
    FOUND.get_or_init(look).as_ref()
}

/// What the processes of Tabard's guests give way by (nice(2)), so that whatever else the machine
/// does hits both alike.
const NICE: i32 = 10;

/// Starts the peer of a guest on this engine.
pub fn spawn(mut command: Command, engine: Engine) -> std::io::Result<Child> {
    let child = command.spawn()?;
    if engine == Engine::Qemu {
        let id = rustix::process::Pid::from_child(&child);
        rustix::process::setpriority_process(Some(id), NICE)?;
    }
    Ok(child)
}

/// Whether there is a QEMU.
pub fn is_there() -> bool {
    found().is_some()
}

/// QEMU's `microvm` on this engine's processor, with no device but those that are added, all of
/// virtio 1.
///
/// # Errors
/// If there is no QEMU.
pub fn command(machine: &str, engine: Engine, memory_mib: u32) -> Result<Command, Fault> {
    let qemu = found().ok_or("There is no QEMU")?;
    let mut command = tabard::engine::run(qemu);
    if let Some(folder) = &qemu.folder {
        for firmware in ["usr/share/qemu", "usr/share/seabios"] {
            command.arg("-L").arg(folder.join(firmware));
        }
    }
    command.args(["-M", machine, "-m", &memory_mib.to_string()]);
    match engine {
        Engine::Kvm => command.args(["-accel", "kvm", "-cpu", "qemu64,-pni"]),
        Engine::Qemu => command.args(["-accel", "tcg"]),
    };
    command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-global", "virtio-mmio.force-legacy=false"]);
    Ok(command)
}

/// QEMU's graphics card with the screen of Tabard's desk.
pub fn gpu() -> String {
    format!("virtio-gpu-device,xres={},yres={}", SIZE.width, SIZE.height)
}

/// A running machine. Dropping it ends it.
pub struct Peer {
    child: Child,
    screen: Client,
    control: BufReader<UnixStream>,
    _folder: TempDir,
}

impl Peer {
    /// Starts one with a notepad, and says when its process was started.
    pub fn start(engine: Engine) -> Result<(Self, Instant), Fault> {
        let folder = tempfile::tempdir()?;
        let [kernel, vnc, qmp] = ["notepad", "vnc", "qmp"].map(|name| folder.path().join(name));
        let notepad = tabard_guests::builtin("notepad").ok_or("There is no notepad")?;
        std::fs::write(&kernel, notepad.elf)?;
        let mut command = command("microvm,acpi=off", engine, MEMORY_MIB)?;
        command.arg("-kernel").arg(&kernel).args(["-device", &gpu()]);
        command.args(["-device", "virtio-keyboard-device"]);
        if engine == Engine::Qemu {
            command.args(["-device", "virtio-tablet-device", "-device", "virtio-rng-device"]);
        }
        command.args(["-vnc", &format!("unix:{}", vnc.display())]);
        command.args(["-qmp", &format!("unix:{},server=on,wait=off", qmp.display())]);
        let began = Instant::now();
        let mut child = spawn(command, engine)?;
        match connect_both(&mut child, &vnc, &qmp) {
            Ok((screen, control)) => Ok((Self { child, screen, control, _folder: folder }, began)),
            Err(error) => {
                end(&mut child);
                Err(error)
            }
        }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until its screen shows this.
    pub fn until(&mut self, holds: impl Fn(&[u32]) -> bool) -> Result<(), Fault> {
        let began = Instant::now();
        while !holds(&self.screen.pixels) {
            if began.elapsed() > LIMIT {
                return Err("QEMU's guest does not draw".into());
            }
            self.screen.change()?;
        }
        Ok(())
    }

    /// Presses and releases a key; how long after the press its screen changed.
    pub fn key(&mut self, qcode: &str) -> Result<Duration, Fault> {
        let pressed = Instant::now();
        send_key(&mut self.control, qcode, true)?;
        self.screen.change()?;
        let taken = pressed.elapsed();
        answer(&mut self.control)?;
        send_key(&mut self.control, qcode, false)?;
        answer(&mut self.control)?;
        Ok(taken)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        end(&mut self.child);
    }
}

fn connect_both(
    child: &mut Child,
    vnc: &Path,
    qmp: &Path,
) -> Result<(Client, BufReader<UnixStream>), Fault> {
    let screen = Client::new(connect(child, vnc)?)?;
    let mut control = BufReader::new(connect(child, qmp)?);
    control.read_line(&mut String::new())?;
    send(&mut control, &json!({ "execute": "qmp_capabilities" }))?;
    answer(&mut control)?;
    Ok((screen, control))
}

/// Connects as soon as the socket is there.
pub fn connect(child: &mut Child, socket: &Path) -> Result<UnixStream, Fault> {
    let began = Instant::now();
    loop {
        if let Ok(stream) = UnixStream::connect(socket) {
            stream.set_read_timeout(Some(LIMIT))?;
            return Ok(stream);
        }
        if let Some(status) = child.try_wait()? {
            return Err(format!("QEMU ended: {status}").into());
        }
        if began.elapsed() > LIMIT {
            return Err("QEMU does not listen".into());
        }
        sleep(Duration::from_micros(500));
    }
}

fn send_key(control: &mut BufReader<UnixStream>, qcode: &str, down: bool) -> Result<(), Fault> {
    let key = json!({ "type": "qcode", "data": qcode });
    let event = json!({ "type": "key", "data": { "down": down, "key": key } });
    send(control, &json!({ "execute": "input-send-event", "arguments": { "events": [event] } }))
}

fn send(control: &mut BufReader<UnixStream>, command: &Value) -> Result<(), Fault> {
    Ok(control.get_mut().write_all(format!("{command}\n").as_bytes())?)
}

/// Reads up to the answer of the last command; events may come before it.
fn answer(control: &mut BufReader<UnixStream>) -> Result<(), Fault> {
    loop {
        let mut line = String::new();
        control.read_line(&mut line)?;
        let message: Value = serde_json::from_str(&line)?;
        if let Some(error) = message.get("error") {
            return Err(format!("QEMU refused: {error}").into());
        }
        if message.get("return").is_some() {
            return Ok(());
        }
    }
}

fn end(child: &mut Child) {
    // Both fail only if it has been reaped already.
    let _ = child.kill();
    let _ = child.wait();
}
