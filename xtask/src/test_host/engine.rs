//! Packs the QEMU that Tabard uses on this machine, so that it is there in the test host too.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::libraries::{libraries, libraries_of};
use super::{cannot, make_folder};
use crate::build;

/// Where root's QEMU is looked for.
const FOLDER: &str = "var/lib/tabard/qemu";
/// What an engine needs of a QEMU that was loaded for Tabard alone.
const LOADED: [&str; 5] = ["manifest.toml", "lib", "usr/bin", "usr/lib", "usr/share/qemu"];
/// What it needs of a system's own: the module that resizes a guest's screen with what that loads,
/// and its firmware.
const MODULES: [&str; 2] = ["ui-dbus.so", "ui-opengl.so"];
const MODULE_FOLDER: &str = "/usr/lib/x86_64-linux-gnu/qemu";
const FIRMWARE: &str = "/usr/share/qemu";

/// Copies it below `stage`.
///
/// # Errors
/// A sentence, if there is none or it cannot be copied.
pub fn pack(tabard: &Path, stage: &Path) -> Result<(), String> {
    let text = build::output(Command::new(tabard).arg("engine"))?;
    let program = program_of(&text).ok_or_else(|| format!("There is no path in {text:?}"))?;
    let folder = program.ancestors().nth(3).filter(|folder| folder.join("manifest.toml").is_file());
    let outside = match folder {
        Some(folder) => {
            let to = stage.join(FOLDER);
            for name in LOADED {
                copy(&folder.join(name), &to.join(name))?;
            }
            let own = ["usr/lib", "lib"].map(|below| folder.join(below).join("x86_64-linux-gnu"));
            let path = std::env::join_paths(&own).map_err(|error| error.to_string())?;
            let modules = MODULES.map(|name| own[0].join("qemu").join(name));
            let mut found = BTreeSet::new();
            for file in modules.iter().chain([&program]) {
                let mut ldd = Command::new("ldd");
                found.extend(libraries(ldd.arg(file).env("LD_LIBRARY_PATH", &path), file)?);
            }
            found.retain(|library| !library.starts_with(folder));
            found
        }
        None => {
            let modules = MODULES.map(|name| Path::new(MODULE_FOLDER).join(name));
            let mut found: BTreeSet<PathBuf> = libraries_of(&program)?;
            for module in modules.into_iter().filter(|module| module.is_file()) {
                found.extend(libraries_of(&module)?);
                found.insert(module);
            }
            found.extend([program, PathBuf::from(FIRMWARE)]);
            found
        }
    };
    outside
        .iter()
        .try_for_each(|file| copy(file, &stage.join(file.strip_prefix("/").unwrap_or(file))))
}

/// The path in what `tabard engine` says: `QEMU 10.0.2, /usr/bin/qemu-system-x86_64 (...)`.
fn program_of(text: &str) -> Option<PathBuf> {
    let (_, rest) = text.split_once(", ")?;
    rest.split_once(" (").map(|(path, _)| PathBuf::from(path))
}

/// Copies a file or a folder, links as what they lead to.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    make_folder(to.parent().unwrap_or(to))?;
    if from.is_dir() {
        let mut cp = Command::new("cp");
        return build::run(cp.args(["--recursive", "--no-target-directory"]).arg(from).arg(to));
    }
    fs::copy(from, to).map(drop).map_err(|error| cannot("copy", from, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_what_tabard_names() {
        let text = "QEMU 10.0.2, /var/lib/q/usr/bin/qemu-system-x86_64 (loaded for Tabard alone)\n";
        let path = Path::new("/var/lib/q/usr/bin/qemu-system-x86_64");
        assert_eq!(program_of(text).as_deref(), Some(path));
        assert_eq!(program_of("no QEMU"), None);
    }
}
