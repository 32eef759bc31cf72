//! Packs what the test host runs: the programs with their libraries, the repository, the command.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use super::arguments::Arguments;
use super::libraries::libraries_of;
use super::{cannot, engine, make_folder};
use crate::build;

/// The command while the seat is tried: runs the lines that come in on the serial port. Each comes to
/// the shell whole: busybox's `read` forgets the beginning of a line when a child ends meanwhile.
const REMOTE_SHELL: [&str; 3] = [
    "sh",
    "-c",
    "mkfifo /lines; awk '{ print; fflush() }' </dev/ttyS1 >/lines & exec 9</lines; \
     while read -r line <&9; do eval \"$line\"; done",
];
/// Runs in the test host as its only task.
const START: &str = include_str!("start.sh");

/// An archive for the test host, and the word of its marks.
pub struct Payload {
    /// The tar archive.
    pub archive: PathBuf,
    /// The word that begins every mark on the serial port.
    pub word: String,
}

/// Packs everything into `folder`.
///
/// # Errors
/// A sentence, if a file is missing or a tool fails.
pub fn pack(arguments: &Arguments, tabard: &Path, folder: &Path) -> Result<Payload, String> {
    let stage = folder.join("stage");
    if stage.exists() {
        fs::remove_dir_all(&stage).map_err(|error| cannot("delete", &stage, &error))?;
    }
    let programs = stage.join("usr/bin");
    make_folder(&programs)?;
    let mut libraries = BTreeSet::new();
    let beside = ["tabard", "tabard-vmm", "tabard-engine"];
    let mut packed = beside.map(|name| tabard.with_file_name(name)).to_vec();
    if arguments.seat.is_some() {
        let examples = tabard.with_file_name("examples");
        packed.extend(["pretend", "usurp"].map(|name| examples.join(name)));
    }
    packed.extend(arguments.extra.programs.iter().cloned());
    for program in packed {
        let name = program.file_name().unwrap_or_default();
        let to = programs.join(name);
        // What debuggers need is most of a program, and would have to be unpacked in there.
        build::run(Command::new("strip").args(["--strip-debug", "-o"]).arg(&to).arg(&program))?;
        libraries.extend(libraries_of(&program)?);
    }
    for file in &arguments.extra.files {
        libraries.insert(file.clone());
        if file.extension().is_some_and(|extension| extension == "so") {
            libraries.extend(libraries_of(file)?);
        }
    }
    for library in &libraries {
        let to = stage.join(library.strip_prefix("/").unwrap_or(library));
        make_folder(to.parent().unwrap_or(&stage))?;
        fs::copy(library, &to).map_err(|error| cannot("copy", library, &error))?;
    }
    engine::pack(tabard, &stage)?;
    carry(arguments, &stage)?;
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let word = format!("{:x}-{:x}", std::process::id(), since.as_nanos());
    write(&stage.join("start"), &START.replace("@WORD@", &word))?;
    let shell = REMOTE_SHELL.map(str::to_owned);
    let command = if arguments.seat.is_some() { &shell } else { &arguments.command[..] };
    write(&stage.join("command"), &script(command))?;
    build::run(Command::new("chmod").arg("755").arg(stage.join("start")))?;

    let archive = folder.join("payload.tar");
    let mut tar = Command::new("tar");
    tar.args(["--create", "--owner=0", "--group=0", "--file"]).arg(&archive);
    build::run(tar.arg("--directory").arg(&stage).arg("."))?;
    let mut tar = Command::new("tar");
    tar.args(["--append", "--owner=0", "--group=0", "--file"]).arg(&archive);
    tar.args(["--exclude=target", "--exclude=.git", "--transform=s,^\\.,repository,"]);
    build::run(tar.arg("--directory").arg(build::root()).arg("."))?;
    Ok(Payload { archive, word })
}

/// Copies the folders that the command finds in `/carried`.
fn carry(arguments: &Arguments, stage: &Path) -> Result<(), String> {
    if arguments.carried.is_empty() {
        return Ok(());
    }
    let to = stage.join("carried");
    make_folder(&to)?;
    let copy = |folder| build::run(Command::new("cp").arg("--recursive").arg(folder).arg(&to));
    arguments.carried.iter().try_for_each(copy)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| cannot("write", path, &error))
}

/// The shell script that runs the command in the folder where it was typed.
fn script(command: &[String]) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let folder = here.strip_prefix(build::root()).unwrap_or(Path::new(""));
    let folder = Path::new("/repository").join(folder);
    format!("cd {} && exec {}\n", quote(&folder.to_string_lossy()), quoted(command))
}

/// A command as a line for a shell.
pub fn quoted(command: &[String]) -> String {
    let words: Vec<String> = command.iter().map(|word| quote(word)).collect();
    words.join(" ")
}

/// A word that a shell takes as it is.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_word_is_one_word() {
        assert_eq!(quote("it's $x"), "'it'\\''s $x'");
    }
}
