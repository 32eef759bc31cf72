//! The smallest useful guest: a stock kernel, the modules for Tabard's devices, and busybox. The
//! desktop stands on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::cpio::Archive;
use super::modules::{self, Modules};
use super::{BuildError, Profile, Progress, agent, desktop, manifest, seconds};
use crate::packages::{Apt, Package, cache_folder, tool, unpack};

/// Modules that are loaded at the start, in this order, each after what it needs.
const LOADED: [&str; 12] = [
    "virtio_mmio",
    "virtio_pci",
    "virtio_blk",
    "virtio-rng",
    "virtio_console",
    "virtio_net",
    "virtio-gpu",
    "virtio_input",
    "evdev",
    "psmouse",
    "button",
    "pvpanic-mmio",
];
/// Modules that are carried, for `modprobe` and `mount` to load.
const CARRIED: [&str; 6] = ["ext4", "crc32c_generic", "overlay", "loop", "vfat", "squashfs"];

/// The first program of the guest.
const INIT: &str = include_str!("init.sh");
/// What the power button does; busybox's acpid looks here.
const POWER_BUTTON: (&str, &str) = ("etc/acpi/PWRF/00000080", "#!/bin/sh\nexec poweroff\n");

/// Builds the image into `out` from packages of `release`, or of the host's own, with further
/// modules and the program of the agent.
///
/// # Errors
/// [`BuildError`]; what was in `out` before is left as it was.
pub fn build(
    profile: Profile,
    release: Option<&str>,
    (extra, program): (&[String], Option<&Path>),
    out: &Path,
) -> Result<(), BuildError> {
    let begin = Instant::now();
    let mut progress = Progress::new(4);
    let workshop = Workshop::new(out)?;
    let cache = cache_folder()?;
    let (mut apt, kernel, busybox, desktop) = progress.step("packages", || {
        let mut apt = match release {
            Some(release) => Apt::release(&cache, release)?,
            None => Apt::host(&cache)?,
        };
        let kernel = apt.kernel()?;
        let kernel = apt.fetch(&kernel)?;
        let busybox = apt.fetch("busybox-static")?;
        let desktop = match profile {
            Profile::Tiny => Vec::new(),
            Profile::Desktop => desktop::fetch(&mut apt)?,
        };
        Ok((apt, kernel, busybox, desktop))
    })?;
    let version = kernel.name.trim_start_matches("linux-image-").to_owned();
    progress.step(&format!("unpack Linux {version}"), || {
        unpack(&kernel, &workshop.folder("kernel"))?;
        unpack(&busybox, &workshop.folder("busybox"))?;
        for package in &desktop {
            unpack(package, &workshop.folder("desktop"))?;
        }
        Ok(())
    })?;
    let staged =
        progress.step("modules", || stage_modules(&workshop, &version, extra, &mut apt))?;
    progress.step("initrd", || {
        let loaded = LOADED.iter().map(|name| (*name).to_owned()).chain(extra.iter().cloned());
        let mut archive = archive(&workshop, &staged, &version, &loaded.collect::<Vec<_>>())?;
        if !desktop.is_empty() {
            desktop::add(&mut archive, &workshop.folder("desktop"))?;
        }
        if let Some(program) = program {
            agent::add(&mut archive, program)?;
        }
        let plain = workshop.folder("initrd.cpio");
        let file = fs::File::create(&plain).map_err(|source| BuildError::file(&plain, source))?;
        archive
            .write(std::io::BufWriter::new(file))
            .map_err(|source| BuildError::file(&plain, source))?;
        tool::gzip(&plain, &workshop.folder("initrd"))?;
        let from = workshop.folder("kernel").join("boot").join(format!("vmlinuz-{version}"));
        let to = workshop.folder("vmlinuz");
        fs::copy(&from, to).map_err(|_| contents(&kernel, "boot/vmlinuz"))?;
        let packages: Vec<Package> = [kernel, busybox].into_iter().chain(desktop).collect();
        let text = manifest::text(profile.name(), apt.name(), &packages, program, &workshop.path)?;
        let path = workshop.folder("manifest.toml");
        fs::write(&path, text).map_err(|source| BuildError::file(&path, source))?;
        for name in manifest::OUTPUTS.iter().chain(&["manifest.toml"]) {
            let to = out.join(name);
            fs::rename(workshop.folder(name), &to)
                .map_err(|source| BuildError::file(&to, source))?;
        }
        Ok(())
    })?;
    drop(workshop);
    println!(
        "{}: vmlinuz, initrd and manifest.toml, in {}",
        out.display(),
        seconds(begin.elapsed())
    );
    Ok(())
}

/// A folder beside the result that is gone when the work is done or has failed.
struct Workshop {
    path: PathBuf,
}

impl Workshop {
    fn new(out: &Path) -> Result<Self, BuildError> {
        let path = out.join(format!(".building-{}", std::process::id()));
        fs::create_dir_all(&path).map_err(|source| BuildError::file(&path, source))?;
        Ok(Self { path })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("tabard: {} is left over: {error}. Delete it", self.path.display());
        }
    }
}

fn contents(package: &Package, missing: &str) -> BuildError {
    BuildError::Contents { package: package.name.clone(), missing: missing.to_owned() }
}

/// Copies the modules into a tree of their own and lets depmod describe it. Returns the folder
/// `lib/modules/VERSION` of that tree.
fn stage_modules(
    workshop: &Workshop,
    version: &str,
    extra: &[String],
    apt: &mut Apt,
) -> Result<PathBuf, BuildError> {
    let below = Path::new("lib/modules").join(version);
    let from = workshop.folder("kernel").join(&below);
    // Since Debian 13 the packages use /usr/lib alone.
    let merged = workshop.folder("kernel").join("usr").join(&below);
    let from = if from.is_dir() { from } else { merged };
    let root = workshop.folder("staged");
    let staged = root.join(&below);
    fs::create_dir_all(&staged).map_err(|source| BuildError::file(&staged, source))?;
    let mut names: Vec<String> =
        [&LOADED[..], &CARRIED[..]].concat().iter().map(|name| (*name).to_owned()).collect();
    names.extend(extra.iter().cloned());
    Modules::find(&from)?.copy(&names, &staged)?;
    for list in ["modules.builtin", "modules.builtin.modinfo", "modules.order"] {
        let to = staged.join(list);
        fs::copy(from.join(list), &to).map_err(|source| BuildError::file(&to, source))?;
    }
    let mut depmod = depmod(workshop, apt)?;
    tool::output(depmod.arg("-b").arg(&root).arg(version))?;
    Ok(staged)
}

/// The host's depmod, or else the one of the package kmod, unpacked.
fn depmod(workshop: &Workshop, apt: &mut Apt) -> Result<Command, BuildError> {
    let own =
        ["/usr/sbin/depmod", "/sbin/depmod"].into_iter().find(|path| Path::new(path).exists());
    if let Some(own) = own {
        return Ok(Command::new(own));
    }
    // A program of another release may need a newer C library than the host has.
    let mut host = Apt::host(&cache_folder()?)?;
    let apt = if apt.name() == host.name() { apt } else { &mut host };
    let folder = workshop.folder("kmod");
    for name in ["kmod", "libkmod2"] {
        unpack(&apt.fetch(name)?, &folder)?;
    }
    let programs = [folder.join("bin/kmod"), folder.join("usr/bin/kmod")];
    let program = programs.into_iter().find(|path| path.exists());
    let program = program.ok_or_else(|| BuildError::Contents {
        package: "kmod".to_owned(),
        missing: "bin/kmod".to_owned(),
    })?;
    // kmod is depmod when it is called so.
    let mut command = Command::new(program);
    std::os::unix::process::CommandExt::arg0(&mut command, "depmod");
    let libraries =
        ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|below| folder.join(below));
    let libraries = std::env::join_paths(libraries).unwrap_or_default();
    command.env("LD_LIBRARY_PATH", libraries);
    Ok(command)
}

/// The guest's first file system.
fn archive(
    workshop: &Workshop,
    staged: &Path,
    version: &str,
    loaded: &[String],
) -> Result<Archive, BuildError> {
    let read = |path: &Path| fs::read(path).map_err(|source| BuildError::file(path, source));
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "etc", "mnt", "proc", "root", "run", "sbin", "sys", "tmp", "usr"] {
        archive.folder(folder);
    }
    let busybox = workshop.folder("busybox");
    let programs = [busybox.join("bin/busybox"), busybox.join("usr/bin/busybox")];
    let program = programs.iter().find(|path| path.exists()).unwrap_or(&programs[0]);
    archive.file("bin/busybox", 0o755, read(program)?);
    archive.link("bin/sh", "busybox");
    archive.file("init", 0o755, INIT.into());
    archive.file(POWER_BUTTON.0, 0o755, POWER_BUTTON.1.into());
    archive.file("etc/passwd", 0o644, b"root::0:0:root:/root:/bin/sh\n".to_vec());
    archive.file("etc/group", 0o644, b"root:x:0:\n".to_vec());
    archive.character_device("dev/console", 0o600, (5, 1));

    let to = format!("lib/modules/{version}");
    let mut pending = vec![PathBuf::from("kernel")];
    while let Some(below) = pending.pop() {
        let folder = staged.join(&below);
        let fault = |source| BuildError::file(&folder, source);
        for entry in fs::read_dir(&folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let path = below.join(entry.file_name());
            if entry.path().is_dir() {
                pending.push(path);
            } else {
                archive.file(&format!("{to}/{}", path.display()), 0o644, read(&entry.path())?);
            }
        }
    }
    for list in ["modules.dep", "modules.alias", "modules.softdep", "modules.builtin"] {
        archive.file(&format!("{to}/{list}"), 0o644, read(&staged.join(list))?);
    }
    let modules_dep = String::from_utf8_lossy(&read(&staged.join("modules.dep"))?).into_owned();
    let order = modules::load_order(&modules_dep, loaded);
    let lines: String = order.iter().map(|path| format!("/{to}/{path}\n")).collect();
    archive.file("etc/modules.load", 0o644, lines.into_bytes());
    Ok(archive)
}
