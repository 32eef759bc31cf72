//! Builds the bare-metal guests of `bare/` by a cargo of their own and embeds their ELF files.

use std::env;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Name and description of each guest; the name is that of the binary in `bare/src/bin`.
const GUESTS: [(&str, &str); 8] = [
    ("notepad", "A text editor"),
    ("sketch", "A sketch pad"),
    ("probe", "Says every input event that it receives on its serial port, for tests"),
    ("paint", "Draws into a framebuffer without a driver, for tests"),
    ("disk", "Does to its disks what its command line says, for tests"),
    ("flood", "Hostile: flushes without end and paints false banners"),
    ("hang", "Hostile: paints a false trusted screen, then stops for ever"),
    ("hostile", "Hostile: carries out the attack that its command line names; docs/hostile.md"),
];

/// The guests are freestanding, so the target is the same whatever the host's libc is.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["src", "assets", "build.rs", "link.ld", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed=bare/{path}");
    }
    println!("cargo::rerun-if-changed=../vmm/wire/agent/src");
    println!("cargo::rerun-if-changed=build.rs");
    let bare = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("bare");
    let out = env::var("OUT_DIR")?;
    let target_dir = Path::new(&out).join("bare");

    let mut cargo = Command::new(env::var("CARGO")?);
    cargo
        .current_dir(&bare)
        .args(["build", "--release", "--locked", "--bins", "--target", TARGET, "--target-dir"])
        .arg(&target_dir);
    // What the outer build is told about flags, wrappers, profiles and targets is not meant for
    // the guests: they must come out the same from `cargo build`, `clippy` and `test`.
    for (name, _) in env::vars() {
        if !keeps(&name) {
            cargo.env_remove(name);
        }
    }
    let status = cargo.status()?;
    if !status.success() {
        return Err(
            format!("The build of the guests in {} failed: {status}", bare.display()).into()
        );
    }

    let mut list = String::from("&[\n");
    for (name, about) in GUESTS {
        let elf = target_dir.join(TARGET).join("release").join(name);
        writeln!(
            list,
            "    Builtin {{ name: {name:?}, about: {about:?}, elf: include_bytes!({elf:?}) }},"
        )?;
    }
    list.push(']');
    fs::write(Path::new(&out).join("builtins.rs"), list)?;
    Ok(())
}

/// Whether the inner cargo should see the variable: where cargo lives and how it reaches a
/// registry, yes; what describes the outer build, no.
fn keeps(name: &str) -> bool {
    const ABOUT_THE_BUILD: [&str; 9] = [
        "RUSTFLAGS",
        "RUSTDOCFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
        "TARGET",
        "PROFILE",
        "OPT_LEVEL",
        "DEBUG",
    ];
    const WAYS_TO_THE_REGISTRY: [&str; 6] = [
        "CARGO_HOME",
        "CARGO_MAKEFLAGS",
        "CARGO_NET_",
        "CARGO_HTTP_",
        "CARGO_REGISTR",
        "CARGO_SOURCE_",
    ];
    let about_cargo = name.starts_with("CARGO_") || name.starts_with("DEP_");
    let way = WAYS_TO_THE_REGISTRY.iter().any(|prefix| name.starts_with(prefix));
    !ABOUT_THE_BUILD.contains(&name) && (!about_cargo || way)
}
