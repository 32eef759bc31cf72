//! The window, under a real X server, driven by real X events and photographed.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{DESK, tabard_on_engine, until, vmm};

/// An X server of its own on a free display number, ended when dropped. It does not begin anew
/// when its last client goes, as X servers do unless told: it would refuse whoever comes just
/// then, and the client that goes may be an `xdotool` of ours.
struct XServer {
    child: Child,
    display: String,
}

impl XServer {
    fn start() -> Self {
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

    fn xdotool(&self, arguments: &[&str]) -> String {
        let output = Command::new("xdotool")
            .args(arguments)
            .env("DISPLAY", &self.display)
            .output()
            .expect("xdotool is missing: run `cargo verify`, which installs it or says how");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The colour of one pixel of the root window, as 0xRRGGBB: read back from the X server, so
    /// what a camera would see.
    fn pixel(&self, x: u32, y: u32) -> u32 {
        let output = Command::new("xwd")
            .args(["-root", "-silent", "-display", &self.display])
            .output()
            .expect("xwd is missing: run `cargo verify`, which installs it or says how");
        assert!(output.status.success());
        xwd_pixel(&output.stdout, x, y)
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

/// A `tabard run` in a window; ended when dropped.
struct Windowed(Child);

impl Drop for Windowed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serial(folder: &Path, guest: &str) -> String {
    std::fs::read_to_string(folder.join(format!("{guest}.serial"))).unwrap_or_default()
}

fn pressed(folder: &Path, guest: &str, code: u32) -> bool {
    let line = format!("{{\"device\":\"keyboard\",\"type\":1,\"code\":{code},\"value\":1}}");
    serial(folder, guest).contains(&line)
}

#[test]
fn a_window_types_switches_resizes_and_closes() {
    vmm();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("desk.toml"), DESK).unwrap();
    let server = XServer::start();
    let child = tabard_on_engine("run")
        .args(["desk.toml", "--logs", "."])
        .current_dir(folder.path())
        .env("DISPLAY", &server.display)
        .env_remove("WAYLAND_DISPLAY")
        .spawn()
        .unwrap();
    let mut tabard = Windowed(child);
    until("a window", || {
        assert_eq!(tabard.0.try_wait().unwrap(), None, "the program ended before its window came");
        !server.xdotool(&["search", "--name", "Tabard"]).is_empty()
    });
    let window = server.xdotool(&["search", "--name", "Tabard"]);
    for guest in ["alpha", "bravo"] {
        until("the guests are ready", || serial(folder.path(), guest).contains("{\"ready\""));
    }
    server.xdotool(&["windowmove", &window, "0", "0"]);
    server.xdotool(&["windowfocus", "--sync", &window]);

    // SECRET's red at the left of the message, from the X server's own memory.
    until("the bar is red", || server.pixel(430, 3) == 0x00c8_102e);
    until("a key reaches the focused guest", || {
        server.xdotool(&["key", "a"]);
        pressed(folder.path(), "alpha", 30)
    });
    assert!(!pressed(folder.path(), "bravo", 30));

    server.xdotool(&["key", "ctrl+alt+Escape"]);
    until("the trusted bar is light", || server.pixel(430, 3) & 0x00f0_f0f0 == 0x00f0_f0f0);
    server.xdotool(&["key", "2"]);
    until("the bar is green", || server.pixel(430, 3) == 0x0000_7a33);
    until("a key reaches the second guest", || {
        server.xdotool(&["key", "b"]);
        pressed(folder.path(), "bravo", 48)
    });
    assert!(!pressed(folder.path(), "alpha", 48));

    let before = serial(folder.path(), "alpha").matches("\"resized\"").count();
    server.xdotool(&["windowsize", &window, "1000", "700"]);
    until("the guests are resized", || {
        serial(folder.path(), "alpha").matches("\"resized\"").count() > before
    });

    server.xdotool(&["windowclose", &window]);
    let mut status = None;
    until("the program ends", || {
        status = tabard.0.try_wait().unwrap();
        status.is_some()
    });
}
