//! The scripts of `tests/test-host` that need stock Debian guests, played on this host: on KVM where
//! that runs stock kernels, else on QEMU's emulated processor.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

use crate::{build, test_host};

/// Scripts, each with its desk.
const SCRIPTS: [(&str, &str); 2] = [("agent.tabard", "agent.toml"), ("stock.tabard", "stock.toml")];
/// Where the desks say that the image of the guests is.
const IMAGE: &str = "/carried/tiny";
/// How many sectors the guest has flushed when its process is killed.
const FLUSHED: usize = 20;
/// How often is looked whether it has; nothing tells of it.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const SECTOR_BYTES: usize = 512;

/// Plays all, with the `tabard` of this folder.
///
/// # Errors
/// A sentence that names the script that failed, and where its pictures and logs are.
pub fn run(programs: &Path) -> Result<(), String> {
    let tabard = programs.join("tabard");
    let folder = build::target_dir()?.join("stock");
    let image = test_host::tiny_image(&tabard, &folder.join("tiny"))?;
    for (script, desk) in SCRIPTS {
        let place = folder.join(script.trim_end_matches(".tabard"));
        prepare(&place, script, desk, &image)
            .map_err(|error| format!("Cannot prepare {script} in {}: {error}", place.display()))?;
        let mut command = Command::new(&tabard);
        command.args(["test", script, "--out", "out"]).current_dir(&place);
        let failed = |why: &str| {
            format!("{script}: {why}; pictures and logs are in {}", place.join("out").display())
        };
        let mut child = command
            .spawn()
            .map_err(|error| format!("Cannot start {}: {error}", tabard.display()))?;
        let kills = read(&place.join(script)).contains("kill_in_flight");
        let status = if kills { kill_in_flight(&mut child, &place) } else { child.wait() };
        let status = status.map_err(|error| failed(&error.to_string()))?;
        if !status.success() {
            return Err(failed(&format!("it ended with {status}")));
        }
        if kills {
            flushed_is_there(&place).map_err(|why| failed(&why))?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_default()
}

/// The script, its desk, and volumes as new.
fn prepare(place: &Path, script: &str, desk: &str, image: &Path) -> std::io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::create_dir_all(place)?;
    let from = build::root().join("tests/test-host");
    fs::copy(from.join(script), place.join(script))?;
    let text = fs::read_to_string(from.join(desk))?;
    fs::write(place.join(desk), text.replace(IMAGE, &image.display().to_string()))?;
    File::create(place.join("archive.img"))?.set_len(4 << 20)?;
    // A disk of whole sectors; the shell stops at its `exit` before what fills the last one up.
    let mut tools = fs::read(from.join("tools.sh"))?;
    tools.resize(tools.len().next_multiple_of(SECTOR_BYTES), 0);
    File::create(place.join("tools.img"))?.write_all(&tools)
}

/// Waits for the script, and kills the process of its guest `web` without a warning once that has
/// flushed some sectors.
fn kill_in_flight(child: &mut Child, place: &Path) -> std::io::Result<std::process::ExitStatus> {
    let log = place.join("out/logs/web.serial");
    let mut killed = false;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        let flushed = read(&log).lines().filter(|line| line.starts_with("flushed")).count();
        if !killed && flushed >= FLUSHED {
            killed = holder(&log).is_some_and(|process| {
                let kill = Command::new("kill").args(["-9", &process.to_string()]).status();
                kill.is_ok_and(|status| status.success())
            });
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// The process `tabard-vmm` that has this file open.
fn holder(log: &Path) -> Option<u32> {
    let log = fs::canonicalize(log).ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    ids.find(|id| {
        let process = PathBuf::from(format!("/proc/{id}"));
        let is_vmm = read(&process.join("comm")).trim() == "tabard-vmm";
        let open = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        is_vmm && open.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|file| file == log)
    })
}

/// Whether all that the guest was told is flushed is in the volume.
fn flushed_is_there(place: &Path) -> Result<(), String> {
    let log = read(&place.join("out/logs/web.serial"));
    let number =
        |line: &str| line.strip_prefix("flushed ")?.split_whitespace().next()?.parse::<u64>().ok();
    let flushed: Vec<u64> = log.lines().filter_map(number).collect();
    if flushed.len() < FLUSHED {
        return Err(format!("only {} sectors were flushed", flushed.len()));
    }
    let mut image = File::open(place.join("archive.img")).map_err(|error| error.to_string())?;
    for sector in &flushed {
        let mut bytes = [0; SECTOR_BYTES];
        let at = SeekFrom::Start(sector * u64::try_from(SECTOR_BYTES).unwrap_or(0));
        let found = image.seek(at).and_then(|_| image.read_exact(&mut bytes));
        found.map_err(|error| error.to_string())?;
        let line = format!("sector {sector}\n");
        if !bytes.starts_with(line.as_bytes()) {
            return Err(format!("sector {sector} was flushed and is lost"));
        }
    }
    println!("{} flushed sectors are there", flushed.len());
    Ok(())
}
