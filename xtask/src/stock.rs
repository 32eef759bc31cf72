//! Scripts with stock Debian guests, played on this host by `tabard test`.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build::cannot;
use crate::{build, engines, images, installer};

/// The scripts of `tests/stock`, in this order: the second reads with what the first has shot.
const SCRIPTS: [Script; 7] = [
    Script {
        name: "stock",
        text: include_str!("../../tests/stock/stock.tabard"),
        desk: ("stock.toml", include_str!("../../tests/stock/stock.toml")),
    },
    Script {
        name: "reading",
        text: include_str!("../../tests/stock/reading.tabard"),
        desk: ("reading.toml", include_str!("../../tests/stock/reading.toml")),
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
        name: KEEP,
        text: include_str!("../../tests/stock/snapshot/keep.tabard"),
        desk: ("desk.toml", include_str!("../../tests/stock/snapshot/desk.toml")),
    },
    Script {
        name: START,
        text: include_str!("../../tests/stock/snapshot/start.tabard"),
        desk: ("desk.toml", include_str!("../../tests/stock/snapshot/desk.toml")),
    },
    Script {
        name: "typing",
        text: include_str!("../../tests/stock/typing.tabard"),
        desk: ("typing.toml", include_str!("../../tests/stock/typing.toml")),
    },
];
/// The script that boots a desktop and keeps it, and the one that starts it from there.
const KEEP: &str = "keep";
const START: &str = "start";
/// A start from a snapshot takes at most this part of a boot.
const AT_MOST: f64 = 0.1;
/// Debian's installer, on hosts whose apt has it.
const INSTALLER: Script = Script {
    name: "installer",
    text: include_str!("../../tests/stock/installer/installer.tabard"),
    desk: ("installer.toml", include_str!("../../tests/stock/installer/installer.toml")),
};
/// The needles of its pages, below the root of the repository.
const NEEDLES: &str = "tests/stock/installer/needles";
/// The letters that the first script's guest shows, in their rows.
const SAMPLE: &str = "!\"#$%&'()*+,-./0123456789:;<=>?\n\
    @ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_\n\
    `abcdefghijklmnopqrstuvwxyz{|}~\n";
/// What the guests of the first script do, as a disk of theirs.
const TOOLS: &str = include_str!("../../tests/stock/tools.sh");
/// The size of a sector.
const SECTOR: usize = 512;
/// What an image that guests of several classes share is a multiple of.
const BLOCK: usize = 4096;
/// The size of the volume that guests write.
const ARCHIVE_BYTES: u64 = 4 << 20;
/// The results of a script, in its folder.
const RESULTS: &str = "results.json";
const USAGE: &str =
    "Write: cargo xtask stock [--engine kvm|qemu] [--release bookworm|trixie] [--programs FOLDER]";

/// A script and its desk. They name the images as `@TINY@`, `@DESKTOP@` and `@INSTALLER@`, and the
/// folder of the installer's needles as `@NEEDLES@`.
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
    /// The folder of Debian's installer, if it can be had.
    pub installer: Option<PathBuf>,
    /// The values of variables of the scripts.
    pub variables: Vec<(&'static str, String)>,
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
            let installer = self.installer.as_deref().unwrap_or(Path::new(""));
            let needles = build::root().join(NEEDLES);
            let marks = [
                ("@DESKTOP@", self.desktop.as_path()),
                ("@TINY@", &self.tiny),
                ("@INSTALLER@", installer),
                ("@NEEDLES@", &needles),
            ];
            let text = marks.into_iter().fold(text.to_owned(), |text, (mark, path)| {
                text.replace(mark, &path.display().to_string())
            });
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|error| cannot("write", &path, &error))?;
        }
        let mut command = Command::new(&self.tabard);
        command.arg("test").arg(self.folder.join(&file)).args(["--engine", engine]);
        command.arg("--json").arg(out.join(RESULTS));
        for (name, value) in &self.variables {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        build::run(command.arg("--out").arg(out))
    }
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
    run(&tabard, engine, release).map(drop)
}

/// What was played.
#[derive(Debug, Default)]
pub struct Played {
    /// How many scripts.
    pub scripts: usize,
    /// What could not be, and why.
    pub missing: Option<String>,
}

/// Plays every script on this engine; the guests without a desktop are of this release of Debian.
///
/// # Errors
/// A sentence that names what failed.
pub fn run(tabard: &Path, engine: &str, release: Option<&str>) -> Result<Played, String> {
    if engine == "qemu" {
        engines::ensure_qemu(tabard)?;
    }
    let installer = installer::ensure()?;
    let mut stage = Stage {
        tabard: tabard.to_path_buf(),
        folder: build::target_dir()?.join("stock").join(engine),
        desktop: images::desktop(tabard)?,
        tiny: images::tiny(tabard, release)?,
        installer: installer.as_ref().ok().cloned(),
        variables: Vec::new(),
    };
    let archive = stage.lay_out_volumes()?;
    let (mut said, mut played) = (String::new(), Played::default());
    for script in SCRIPTS.iter().chain(installer.is_ok().then_some(&INSTALLER)) {
        let out = stage.folder.join(script.name);
        println!("stock: {} on {engine}; pictures and logs are in {}", script.name, out.display());
        stage.play(script, engine, &out)?;
        played.scripts += 1;
        if said.is_empty() {
            said = stage.keep_sample(&out)?;
        }
    }
    stage.compare_starts()?;
    played.missing = installer.err().map(|why| format!("Debian's installer, because {why}"));
    if let Some(missing) = &played.missing {
        println!("stock: not exercised: {missing}");
    }
    let flushed = flushed(&said);
    println!("stock: {} sectors were flushed before the process was killed", flushed.len());
    check_flushed(&archive, &flushed).map(|()| played)
}

impl Stage {
    /// Says how long the desktop took to boot, and how long to start from where it was kept.
    fn compare_starts(&self) -> Result<(), String> {
        let results = |script: &str| {
            let file = self.folder.join(script).join(RESULTS);
            fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))
        };
        let (boot, start) = (first_step(&results(KEEP)?)?, first_step(&results(START)?)?);
        let part = start / boot;
        println!(
            "stock: the desktop was up {boot:.2} s after its start, and {start:.2} s after one from \
             a snapshot: 1/{:.0}",
            1.0 / part
        );
        if part > AT_MOST {
            return Err(format!("A start from a snapshot took {part:.2} of a boot, not {AT_MOST}"));
        }
        Ok(())
    }

    /// Keeps what the first script's guest has shown of a console's letters, and said of its root,
    /// for the next; all that it said.
    fn keep_sample(&mut self, out: &Path) -> Result<String, String> {
        let (shot, sample) = (out.join("sample.png"), self.folder.join("sample.png"));
        fs::copy(&shot, &sample).map_err(|error| cannot("copy", &shot, &error))?;
        let text = self.folder.join("sample.txt");
        fs::write(&text, SAMPLE).map_err(|error| cannot("write", &text, &error))?;
        let said = out.join("logs/web.serial");
        let said = fs::read(&said).map_err(|error| cannot("read", &said, &error))?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let listing = listing(&said);
        if listing.is_empty() {
            return Err("The guest did not say what is in its root".to_owned());
        }
        self.variables.push(("LISTING", listing));
        Ok(said)
    }

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

/// How long the first step of a script took, in seconds, by its results.
fn first_step(results: &str) -> Result<f64, String> {
    let value: serde_json::Value = serde_json::from_str(results)
        .map_err(|error| format!("The results are no JSON: {error}"))?;
    let seconds = value.pointer("/scripts/0/steps/0/seconds").and_then(serde_json::Value::as_f64);
    seconds.filter(|seconds| *seconds > 0.0).ok_or_else(|| "The results name no time".to_owned())
}

/// The sectors that a guest said were flushed.
fn flushed(said: &str) -> Vec<u64> {
    let number = |line: &str| line.trim_end().strip_prefix("flushed ")?.parse().ok();
    said.lines().filter_map(number).collect()
}

/// What a guest said that `ls` lists, a name a line.
fn listing(said: &str) -> String {
    let names = said.lines().filter_map(|line| line.trim_end().strip_prefix("root has "));
    names.collect::<Vec<_>>().join("\n")
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
    fn the_time_of_the_first_step_is_read_from_the_results() {
        let text = r#"{"scripts":[{"steps":[{"seconds":1.5},{"seconds":9}]}]}"#;
        assert_eq!(first_step(text), Ok(1.5));
        assert!(first_step("{}").is_err() && first_step("").is_err());
    }

    #[test]
    fn a_listing_is_what_was_said_of_the_root() {
        assert_eq!(listing("up\r\nroot has bin\r\nroot has dev\r\nsampled\r\n"), "bin\ndev");
    }

    #[test]
    fn a_sample_has_every_printable_letter_once() {
        let all: String = (b'!'..=b'~').map(char::from).collect();
        assert_eq!(SAMPLE.replace('\n', ""), all);
    }

    #[test]
    fn every_desk_names_its_images_by_their_marks() {
        for script in SCRIPTS.iter().chain([&INSTALLER]) {
            let kernels = script.desk.1.lines().filter(|line| line.starts_with("kernel"));
            assert!(kernels.clone().count() > 0, "{}", script.name);
            assert!(kernels.clone().all(|line| line.contains("\"@")), "{}", script.name);
            let desk = format!("\ndesk {}\n", script.desk.0);
            assert!(script.text.contains(&desk), "{}", script.name);
        }
    }
}
