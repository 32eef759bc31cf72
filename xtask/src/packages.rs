//! Debian packages that the tests need at run time. Building needs none.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::build;

/// What the window's tests need: an X server without a screen, a hand that moves its pointer, a
/// camera, and the libraries that winit and softbuffer load at run time. For those of the agent in a
/// Linux session: a Wayland compositor without a screen, and programs that copy and paste. For scripts
/// that read text: what reads it, with its English. For the page of a trace a browser and its driver;
/// for the Python client what tests and types it.
pub const TESTS: [&str; 20] = [
    "xvfb",
    "xdotool",
    "x11-apps",
    "libx11-6",
    "libx11-xcb1",
    "libxcb1",
    "libxcursor1",
    "libxi6",
    "libxkbcommon0",
    "libxkbcommon-x11-0",
    "xclip",
    "xsel",
    "wl-clipboard",
    "sway",
    "tesseract-ocr",
    "tesseract-ocr-eng",
    "chromium",
    "chromium-driver",
    "python3-pytest",
    "mypy",
];

/// Makes sure that these packages are there: installs what is missing when run by root, and else
/// says which line does it. Returns what is still missing, as that line; none on other systems
/// than Debian, where nobody knows.
///
/// # Errors
/// A sentence, if apt fails.
pub fn ensure(packages: &[&str]) -> Result<Option<String>, String> {
    if !Path::new("/usr/bin/dpkg-query").exists() {
        eprintln!("This is no Debian system; the tests need what is in: {}", packages.join(" "));
        return Ok(None);
    }
    let missing: Vec<&str> = packages.iter().copied().filter(|name| !installed(name)).collect();
    if missing.is_empty() {
        return Ok(None);
    }
    if !is_root() {
        let line = format!(
            "sudo apt-get update && sudo apt-get install -y --no-install-recommends {}",
            missing.join(" ")
        );
        eprintln!("Some tests need packages that are not installed. Run:\n  {line}");
        return Ok(Some(line));
    }
    build::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--quiet", "-y", "--no-install-recommends"]).args(&missing);
    build::run(install.env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(None)
}

fn installed(package: &str) -> bool {
    Command::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| output.stdout == b"installed")
}

pub fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
