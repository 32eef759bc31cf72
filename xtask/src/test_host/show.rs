//! `cargo demo --seat`: the desk of the demo on the seat of the test host, with a window of QEMU's
//! or a VNC socket as its screen, so that nobody has to give up a console to try it.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use super::arguments::{Arguments, Extra};
use super::machine::{Hardware, Host};
use super::{make_folder, payload, step};
use crate::{build, packages};

/// The longest that anybody plays.
const TIME: Duration = Duration::from_secs(24 * 3600);
/// What runs in the machine. It ends with the desk, and the machine with it.
const COMMAND: &str = "tabard run /repository/src/demo/desk.toml --seat --tty 1 --logs /tmp/logs";
const USAGE: &str = "Write: cargo demo --seat [--vnc] [--programs FOLDER]";

/// Boots the machine and waits until its user has ended the desk.
///
/// # Errors
/// A sentence that names what is missing or went wrong.
pub fn run(args: &[String]) -> Result<ExitCode, String> {
    let (mut programs, mut vnc) = (None, false);
    let mut words = args.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--seat" => {}
            "--vnc" => vnc = true,
            "--programs" => programs = Some(PathBuf::from(words.next().ok_or(USAGE)?)),
            _ => return Err(format!("The demo of the seat knows no {word:?}. {USAGE}")),
        }
    }
    if let Some(line) = packages::ensure(&["qemu-system-x86"])? {
        return Err(format!(
            "The demo of the seat needs QEMU, which is not installed. Run: {line}"
        ));
    }
    let folder = build::target_dir()?.join("test-host/demo");
    make_folder(&folder)?;
    let tabard = match &programs {
        Some(programs) => programs.join("tabard"),
        None => step("programs", || build::demo(false))?,
    };
    let image = step("image", || super::make_image(&tabard))?;
    let command = ["sh", "-c", COMMAND].map(str::to_owned).to_vec();
    let (carried, extra) = (Vec::new(), Extra::default());
    let arguments = Arguments { programs, timeout: TIME, carried, command, seat: None, extra };
    let payload = step("payload", || payload::pack(&arguments, &tabard, &folder))?;
    let screen = Screen::choose(vnc, &folder)?;
    let hardware = Hardware {
        devices: ["virtio-gpu-pci", "virtio-keyboard-pci", "virtio-tablet-pci"]
            .map(str::to_owned)
            .to_vec(),
        // The keyboard of the board itself would be a second one, and wait to be accepted.
        arguments: ["-machine", "i8042=off"]
            .map(str::to_owned)
            .into_iter()
            .chain(screen.arguments())
            .collect(),
        kvm: false,
        typed: true,
    };
    let console = folder.join("console.log");
    let mut host = Host::start(&folder, &image, &payload, &console, &hardware)?;
    println!("{}", screen.words());
    step("boot", || host.wait_ready())?;
    println!(
        "The seat begins with Ctrl+Alt+Esc; 1 to 3 then go to a guest. To end it: Ctrl+Alt+Esc, \
         then Q, then Q. Ctrl+C here ends it at once."
    );
    let status = host.wait_exit(TIME)?;
    host.wait_off()?;
    screen.clear();
    Ok(ExitCode::from(status))
}

/// Where the picture goes.
#[derive(Debug, PartialEq, Eq)]
enum Screen {
    /// A window by this display of QEMU's.
    Window(&'static str),
    /// A socket for a VNC viewer.
    Socket(PathBuf),
}

impl Screen {
    fn choose(vnc: bool, folder: &Path) -> Result<Self, String> {
        let display = ["DISPLAY", "WAYLAND_DISPLAY"]
            .iter()
            .any(|name| std::env::var_os(name).is_some_and(|value| !value.is_empty()));
        if display && !vnc {
            let known =
                build::output(Command::new("qemu-system-x86_64").args(["-display", "help"]))?;
            if let Some(window) = window_of(&known) {
                return Ok(Self::Window(window));
            }
            eprintln!("QEMU has no windows here; the package qemu-system-gui adds them.");
        }
        let socket = folder.join("vnc.sock");
        // It is there if an earlier demo was ended from outside.
        let _ = std::fs::remove_file(&socket);
        Ok(Self::Socket(socket))
    }

    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Window(window) => vec!["-display".into(), (*window).into()],
            Self::Socket(path) => vec!["-vnc".into(), format!("unix:{}", path.display())],
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Window(_) => "The screen of the machine opens in a window.".to_owned(),
            Self::Socket(path) => format!(
                "The screen of the machine is at a VNC socket. To see it and to type: \
                 vncviewer {path}\n(that is TigerVNC; for a viewer that wants a port: \
                 socat TCP-LISTEN:5900,bind=127.0.0.1,fork UNIX-CONNECT:{path}, then view \
                 127.0.0.1)",
                path = path.display()
            ),
        }
    }

    fn clear(&self) {
        if let Self::Socket(path) = self {
            // QEMU may have taken it away itself.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The window that QEMU can open, of those that it lists.
fn window_of(known: &str) -> Option<&'static str> {
    ["gtk", "sdl"].into_iter().find(|window| known.lines().any(|line| line.trim() == *window))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_one_that_this_qemu_has() {
        assert_eq!(window_of("Available display backend types:\nnone\ngtk\nsdl\n"), Some("gtk"));
        assert_eq!(window_of("none\nsdl\n"), Some("sdl"));
        assert_eq!(window_of("none\negl-headless\n"), None);
    }

    #[test]
    fn the_socket_comes_with_the_command_to_view_it() {
        let screen = Screen::Socket(PathBuf::from("/x/vnc.sock"));
        assert!(screen.words().contains("vncviewer /x/vnc.sock"));
        assert_eq!(screen.arguments(), ["-vnc", "unix:/x/vnc.sock"]);
    }
}
