//! The window, under a real X server, driven by real X events and photographed.

mod common;

use std::path::Path;

use common::xserver::{Windowed, XServer};
use common::{DESK, tabard_on_engine, until, vmm};

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
    let mut command = tabard_on_engine("run");
    command.args(["desk.toml", "--logs", "."]).current_dir(folder.path());
    let mut tabard = Windowed::start(&server, &mut command);
    let window = tabard.id.clone();
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
    tabard.status();
}
