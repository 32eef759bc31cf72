//! An X server without a screen, a hand that moves in it, and a camera.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::until;

/// An X server of its own on a free display number, ended when dropped. It does not begin anew
/// when its last client goes, as X servers do unless told: it would refuse whoever comes just
/// then, and the client that goes may be an `xdotool` of ours.
pub struct XServer {
    child: Child,
    /// Its name, such as `:99`.
    pub display: String,
}

impl XServer {
    pub fn start() -> Self {
        let mut child = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "1400x900x24", "-nolisten", "tcp"])
            .arg("-noreset")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb is missing: run `cargo verify`, which installs it or says how");
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let number: u32 = line.trim().parse().expect("Xvfb names its display");
        Self { child, display: format!(":{number}") }
    }

    pub fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool")
            .args(arguments)
            .env("DISPLAY", &self.display)
            .output()
            .expect("xdotool is missing: run `cargo verify`, which installs it or says how");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The colour of one pixel of the root window, as 0xRRGGBB: read back from the X server, so
    /// what a camera would see.
    pub fn pixel(&self, x: u32, y: u32) -> u32 {
        xwd_pixel(&self.dump(), x, y)
    }

    /// What its root window shows, as an X window dump.
    pub fn dump(&self) -> Vec<u8> {
        let output = Command::new("xwd")
            .args(["-root", "-silent", "-display", &self.display])
            .output()
            .expect("xwd is missing: run `cargo verify`, which installs it or says how");
        assert!(output.status.success());
        output.stdout
    }
}

/// A program in a window; ended when dropped.
pub struct Windowed {
    pub child: Child,
    /// The X window.
    pub id: String,
}

impl Windowed {
    /// Starts a `tabard` on this server, and waits for its window.
    pub fn start(server: &XServer, command: &mut Command) -> Self {
        command.env("DISPLAY", &server.display).env_remove("WAYLAND_DISPLAY");
        let mut windowed = Self { child: command.spawn().unwrap(), id: String::new() };
        until("a window", || {
            let ended = windowed.child.try_wait().unwrap();
            assert_eq!(ended, None, "the program ended before its window came");
            windowed.id = server.xdotool(&["search", "--name", "Tabard"]);
            !windowed.id.is_empty()
        });
        windowed
    }

    /// Waits until the program ends; its status.
    pub fn status(&mut self) -> std::process::ExitStatus {
        let mut status = None;
        until("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Windowed {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One pixel of an X window dump (XWDFile.h: a header of big-endian 32-bit words, a colour map,
/// then rows of 32-bit pixels).
fn xwd_pixel(dump: &[u8], x: u32, y: u32) -> u32 {
    let word = |index: usize| {
        u32::from_be_bytes(dump[index * 4..index * 4 + 4].try_into().unwrap()) as usize
    };
    let (header, stride, colors) = (word(0), word(12), word(19));
    assert_eq!(word(11), 32, "32 bits per pixel");
    let at = header + colors * 12 + y as usize * stride + x as usize * 4;
    u32::from_le_bytes(dump[at..at + 4].try_into().unwrap()) & 0x00ff_ffff
}
