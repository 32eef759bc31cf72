//! Scripts with stock Debian guests, played on this host by `tabard test`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{build, engines, images};

/// The scripts of `tests/stock`.
const SCRIPTS: [Script; 4] = [
    Script {
        name: "stock",
        text: include_str!("../../tests/stock/stock.tabard"),
        desk: ("stock.toml", include_str!("../../tests/stock/stock.toml")),
    },
    Script {
        name: "agent",
        text: include_str!("../../tests/stock/agent.tabard"),
        desk: ("agent.toml", include_str!("../../tests/stock/agent.toml")),
    },
    Script {
        name: "clipboard",
        text: include_str!("../../tests/stock/desktops/clipboard.tabard"),
        desk: ("desk.toml", include_str!("../../tests/stock/desktops/desk.toml")),
    },
    Script {
        name: "typing",
        text: include_str!("../../tests/stock/typing.tabard"),
        desk: ("typing.toml", include_str!("../../tests/stock/typing.toml")),
    },
];
/// What the guests of the first script do, as a disk of theirs.
const TOOLS: &str = include_str!("../../tests/stock/tools.sh");
/// The size of a sector.
const SECTOR: usize = 512;
/// What an image that guests of several classes share is a multiple of.
const BLOCK: usize = 4096;
/// The size of the volume that guests write.
const ARCHIVE_BYTES: u64 = 4 << 20;
const USAGE: &str =
    "Write: cargo xtask stock [--engine kvm|qemu] [--release bookworm|trixie] [--programs FOLDER]";

/// A script and its desk. They name the images as `@TINY@` and `@DESKTOP@`.
pub struct Script {
    /// Its name, without the end of its file.
    pub name: &'static str,
    /// Its steps.
    pub text: &'static str,
    /// The name of its desk file, and what is in it.
    pub desk: (&'static str, &'static str),
}

/// What scripts are played with.
pub struct Stage {
    /// The program, with what runs its guests beside it.
    pub tabard: PathBuf,
    /// The folder that scripts, desks and their volumes are put into.
    pub folder: PathBuf,
    /// The folder of the image of a Debian desktop.
    pub desktop: PathBuf,
    /// The folder of the image of a Debian system without one.
    pub tiny: PathBuf,
}

impl Stage {
    /// Plays a script on this engine; its pictures and logs are in `out`.
    ///
    /// # Errors
    /// A sentence, also if a step fails.
    pub fn play(&self, script: &Script, engine: &str, out: &Path) -> Result<(), String> {
        let make =
            |path: &Path| fs::create_dir_all(path).map_err(|error| cannot("make", path, &error));
        make(&self.folder)?;
        make(out)?;
        let file = format!("{}.tabard", script.name);
        for (name, text) in [(file.as_str(), script.text), script.desk] {
            let [desktop, tiny] =
                [&self.desktop, &self.tiny].map(|path| path.display().to_string());
            let text = text.replace("@DESKTOP@", &desktop).replace("@TINY@", &tiny);
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        }
        let mut command = Command::new(&self.tabard);
        command.arg("test").arg(self.folder.join(&file)).args(["--engine", engine]);
        build::run(command.arg("--out").arg(out))
    }
}

/// A sentence about a file that cannot be used.
pub fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("Cannot {what} {}: {error}", path.display())
}

/// As [`run`], by the words of a command line.
///
/// # Errors
/// As [`run`], or a sentence that says what they look like.
pub fn run_by_hand(words: &[String]) -> Result<(), String> {
    let (mut engine, mut release, mut programs) = ("qemu", None, None);
    for pair in words.chunks(2) {
        match pair {
            [word, name] if word == "--engine" => engine = name,
            [word, name] if word == "--release" => release = Some(name.as_str()),
            [word, folder] if word == "--programs" => programs = Some(PathBuf::from(folder)),
            _ => return Err(USAGE.to_owned()),
        }
    }
    let tabard = match programs {
        Some(programs) => programs.join("tabard"),
        None => build::demo_with_agent()?,
    };
    run(&tabard, engine, release)
}

/// Plays every script on this engine; the guests without a desktop are of this release of Debian.
///
/// # Errors
/// A sentence that names what failed.
pub fn run(tabard: &Path, engine: &str, release: Option<&str>) -> Result<(), String> {
    if engine == "qemu" {
        engines::ensure_qemu(tabard)?;
    }
    let stage = Stage {
        tabard: tabard.to_path_buf(),
        folder: build::target_dir()?.join("stock").join(engine),
        desktop: images::desktop(tabard)?,
        tiny: images::tiny(tabard, release)?,
    };
    let archive = stage.lay_out_volumes()?;
    for script in &SCRIPTS {
        let out = stage.folder.join(script.name);
        println!("stock: {} on {engine}; pictures and logs are in {}", script.name, out.display());
        stage.play(script, engine, &out)?;
    }
    let said = stage.folder.join("stock/logs/web.serial");
    let said = fs::read(&said).map_err(|error| cannot("read", &said, &error))?;
    let flushed = flushed(&String::from_utf8_lossy(&said));
    println!("stock: {} sectors were flushed before the process was killed", flushed.len());
    check_flushed(&archive, &flushed)
}

/// How many scripts there are.
pub fn count() -> usize {
    SCRIPTS.len()
}

impl Stage {
    /// Makes the volumes of the first script anew; the one that guests write.
    fn lay_out_volumes(&self) -> Result<PathBuf, String> {
        fs::create_dir_all(&self.folder).map_err(|error| cannot("make", &self.folder, &error))?;
        let (archive, tools) = (self.folder.join("archive.img"), self.folder.join("tools.img"));
        File::create(&archive)
            .and_then(|file| file.set_len(ARCHIVE_BYTES))
            .map_err(|error| cannot("make", &archive, &error))?;
        // Whole blocks; the shell stops at its `exit` before what fills the last one up.
        let mut disk = TOOLS.as_bytes().to_vec();
        disk.resize(disk.len().next_multiple_of(BLOCK), 0);
        fs::write(&tools, disk).map_err(|error| cannot("write", &tools, &error))?;
        Ok(archive)
    }
}

/// The sectors that a guest said were flushed.
fn flushed(said: &str) -> Vec<u64> {
    let number = |line: &str| line.trim_end().strip_prefix("flushed ")?.parse().ok();
    said.lines().filter_map(number).collect()
}

/// Whether all that was flushed is in the volume.
fn check_flushed(archive: &Path, sectors: &[u64]) -> Result<(), String> {
    if sectors.is_empty() {
        return Err("The guest flushed nothing before its process was killed".to_owned());
    }
    let fault = |error| cannot("read", archive, &error);
    let mut file = File::open(archive).map_err(fault)?;
    for sector in sectors {
        let mut bytes = [0; SECTOR];
        file.seek(SeekFrom::Start(sector * SECTOR as u64)).map_err(fault)?;
        file.read_exact(&mut bytes).map_err(fault)?;
        let line = format!("sector {sector}\n");
        if !bytes.starts_with(line.as_bytes()) {
            return Err(format!(
                "Sector {sector} was flushed and is lost in {}",
                archive.display()
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushed_sectors_are_whole_lines_of_the_log() {
        assert_eq!(flushed("up\r\nflushed 4097\r\nflushed 4098\r\nflushed"), [4097, 4098]);
    }

    #[test]
    fn every_desk_names_its_images_by_their_marks() {
        for script in &SCRIPTS {
            let kernels = script.desk.1.lines().filter(|line| line.starts_with("kernel"));
            assert!(kernels.clone().count() > 0, "{}", script.name);
            assert!(kernels.clone().all(|line| line.contains("\"@")), "{}", script.name);
            let desk = format!("\ndesk {}\n", script.desk.0);
            assert!(script.text.contains(&desk), "{}", script.name);
        }
    }
}
