//! The machine: QEMU without acceleration, an AMD processor with SVM, a graphics card and input
//! devices. It is killed when it does not do in time what it is waited for.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::arguments::Arguments;
use super::payload::Payload;
use super::protocol::{Listener, Said};
use super::{cannot, step};
use crate::build;

/// A loaded machine of two processors needs about 40 s.
const BOOT_TIME: Duration = Duration::from_secs(240);
/// For the power to go off after the command.
const END_TIME: Duration = Duration::from_secs(60);
/// The most that the command may write in the repository.
const RESULTS_BYTES: u64 = 512 << 20;
/// Enough for the programs, the repository and two guests of 512 MiB.
const MEMORY_MIB: &str = "3072";
/// Of two processors that QEMU emulates, each sometimes waits for ever for the other's answer to an
/// interrupt that got lost. The machine then ends, instead of standing there: after twice so many
/// seconds.
const LOCKUP: &str = "softlockup_panic=1 watchdog_thresh=30";
/// How much of the console is shown when something goes wrong.
const CONSOLE_LINES: usize = 12;

/// Boots, runs the command to its end, and returns its status.
///
/// # Errors
/// A sentence that names what was waited for, with the end of the console.
pub fn run(
    arguments: &Arguments,
    folder: &Path,
    image: &Path,
    payload: &Payload,
) -> Result<u8, String> {
    let console = console(folder);
    let mut host = Host::start(folder, image, payload, &console, &Hardware::default())?;
    let ended = step("boot", || host.wait_ready()).and_then(|()| host.wait_exit(arguments.timeout));
    let ended = ended.and_then(|status| host.wait_off().map(|()| status));
    ended.map_err(|why| {
        let (console, qemu) = (last_lines(&console), last_lines(&messages(folder)));
        format!("test-host: {why}\n{console}\n{qemu}")
    })
}

/// Where the console of the machine goes.
pub fn console(folder: &Path) -> PathBuf {
    folder.join("console.log")
}

/// Where QEMU's own messages go.
fn messages(folder: &Path) -> PathBuf {
    folder.join("qemu.log")
}

/// What is plugged into the machine besides its disks.
pub struct Hardware {
    /// QEMU's devices.
    pub devices: Vec<String>,
    /// Further arguments of QEMU.
    pub arguments: Vec<String>,
    /// Whether its processor has virtualization, so that there is a `/dev/kvm` in it. That of QEMU
    /// is not steady: guests of that KVM fault, and the machine stands still, now and then.
    pub kvm: bool,
    /// Whether the command's input comes from [`Host::type_line`].
    pub typed: bool,
}

impl Default for Hardware {
    fn default() -> Self {
        let devices = ["virtio-gpu-pci", "virtio-keyboard-pci", "virtio-tablet-pci"];
        let devices = devices.map(str::to_owned).to_vec();
        Self { devices, arguments: Vec::new(), kvm: true, typed: false }
    }
}

/// A running machine; it ends with this value.
pub struct Host {
    qemu: Child,
    input: Option<ChildStdin>,
    bytes: Receiver<Vec<u8>>,
    listener: Listener,
}

impl Host {
    /// Switches the machine on.
    ///
    /// # Errors
    /// A sentence, if QEMU does not start.
    pub fn start(
        folder: &Path,
        image: &Path,
        payload: &Payload,
        console: &Path,
        hardware: &Hardware,
    ) -> Result<Self, String> {
        let results = folder.join("results.tar");
        File::create(&results)
            .and_then(|file| file.set_len(RESULTS_BYTES))
            .map_err(|error| cannot("make", &results, &error))?;
        let interactive = !hardware.typed && io::stdin().is_terminal();
        let mut command = Command::new("qemu-system-x86_64");
        command.args(["-nodefaults", "-no-reboot"]);
        if hardware.arguments.iter().all(|one| one != "-display" && one != "-vnc") {
            command.args(["-display", "none"]);
        }
        command.args(&hardware.arguments);
        // Emulated SVM (of QEMU 7.2) lets a guest's XSETBV past the KVM in there, which then tells
        // the guest a wrong size in CPUID leaf 0xd, and Linux warns of it. So there is no XSAVE.
        let processor = format!("EPYC,{}svm,-xsave", if hardware.kvm { '+' } else { '-' });
        command.args(["-M", "q35", "-accel", "tcg,thread=multi", "-cpu", &processor]);
        command.args(["-smp", "2", "-m", MEMORY_MIB]);
        command.arg("-kernel").arg(image.join("vmlinuz"));
        command.arg("-initrd").arg(image.join("initrd"));
        let terminal = if interactive { " tabard.terminal" } else { "" };
        command
            .arg("-append")
            .arg(format!("console=ttyS0 quiet {LOCKUP} panic=-1 tabard.run=/dev/vda{terminal}"));
        command.arg("-serial").arg(format!("file:{}", console.display()));
        command.args(["-serial", "stdio"]);
        for (path, extra) in [(&payload.archive, ",readonly=on"), (&results, "")] {
            // In a file name, QEMU reads two commas as one.
            let name = path.display().to_string().replace(',', ",,");
            command.arg("-drive").arg(format!("if=virtio,format=raw,file={name}{extra}"));
        }
        for device in &hardware.devices {
            command.args(["-device", device]);
        }
        command.stdin(match (hardware.typed, interactive) {
            (true, _) => Stdio::piped(),
            (false, true) => Stdio::inherit(),
            (false, false) => Stdio::null(),
        });
        // QEMU warns of each feature of the processor that it does not emulate.
        let messages = File::create(messages(folder))
            .map_err(|error| cannot("make", &messages(folder), &error))?;
        let mut qemu = command
            .stdout(Stdio::piped())
            .stderr(messages)
            .spawn()
            .map_err(|error| format!("Cannot start {}: {error}", build::words(&command)))?;
        let (send, bytes) = mpsc::channel();
        if let Some(mut stream) = qemu.stdout.take() {
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(length @ 1..) = stream.read(&mut buffer) {
                    if send.send(buffer[..length].to_vec()).is_err() {
                        return;
                    }
                }
            });
        }
        let input = qemu.stdin.take();
        Ok(Self { qemu, input, bytes, listener: Listener::new(&payload.word) })
    }

    /// Types a line for a command that reads its serial port.
    ///
    /// # Errors
    /// A sentence.
    pub fn type_line(&mut self, line: &str) -> Result<(), String> {
        let input = self.input.as_mut().ok_or("The machine has no hands")?;
        writeln!(input, "{line}").map_err(|error| format!("Cannot type {line:?}: {error}"))
    }

    /// Waits until the system is up.
    ///
    /// # Errors
    /// A sentence.
    pub fn wait_ready(&mut self) -> Result<(), String> {
        let what = "the system to be up and to unpack its archive";
        self.wait(what, BOOT_TIME, |said| matches!(said, Said::Ready).then_some(()))
    }

    /// Waits until the command has ended and its files are written; its status.
    ///
    /// # Errors
    /// A sentence.
    pub fn wait_exit(&mut self, time: Duration) -> Result<u8, String> {
        self.wait("the command to end (--timeout allows more)", time, |said| match said {
            Said::Exit(status) => Some(*status),
            Said::Ready | Said::Output(_) => None,
        })
    }

    /// Passes on output until `wanted` is said.
    ///
    /// # Errors
    /// A sentence that names what was waited for.
    pub fn wait<T>(
        &mut self,
        what: &str,
        time: Duration,
        mut wanted: impl FnMut(&Said) -> Option<T>,
    ) -> Result<T, String> {
        self.wait_quietly(what, time, |said| {
            if let Said::Output(bytes) = said {
                let mut out = io::stdout().lock();
                // A reader that has gone does not keep the command from its end.
                let _ = out.write_all(bytes).and_then(|()| out.flush());
            }
            wanted(said)
        })
    }

    /// The same, and its output is only for `wanted`.
    ///
    /// # Errors
    /// A sentence that names what was waited for.
    pub fn wait_quietly<T>(
        &mut self,
        what: &str,
        time: Duration,
        mut wanted: impl FnMut(&Said) -> Option<T>,
    ) -> Result<T, String> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let bytes = match self.bytes.recv_timeout(left) {
                Ok(bytes) => bytes,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("Waited {} s in vain for {what}", time.as_secs()));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("The machine ended while waiting for {what}"));
                }
            };
            let mut found = None;
            for said in self.listener.hear(&bytes) {
                found = found.or(wanted(&said));
            }
            if let Some(found) = found {
                return Ok(found);
            }
        }
    }

    /// Waits until the machine is off, which is when its serial port closes.
    ///
    /// # Errors
    /// A sentence.
    pub fn wait_off(&mut self) -> Result<(), String> {
        let end = Instant::now() + END_TIME;
        loop {
            match self.bytes.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("Waited {} s in vain for power-off", END_TIME.as_secs()));
                }
            }
        }
        let status = self.qemu.wait().map_err(|error| format!("Cannot wait for QEMU: {error}"))?;
        if status.success() { Ok(()) } else { Err(format!("QEMU failed: {status}")) }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Nothing is left to do for one that has ended already.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// The end of a log, without what QEMU always says of features that it does not emulate.
fn last_lines(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("TCG doesn't")).collect();
    let last = &lines[lines.len().saturating_sub(CONSOLE_LINES)..];
    format!("The end of {}:\n{}", log.display(), last.join("\n"))
}
