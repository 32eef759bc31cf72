//! Debian's graphical installer, from its package: loaded by the host's apt, unpacked, not installed.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::build;
use crate::build::cannot;
use crate::packages::is_root;

/// The package of Debian 12. The needles of `tests/stock/installer` were made of its pages.
pub const PACKAGE: &str = "debian-installer-12-netboot-amd64";
/// Its graphical form, below the root of the package.
const GTK: &str = "usr/lib/debian-installer/images/12/amd64/gtk/debian-installer/amd64";

/// The folder with its kernel, `linux`, and its `initrd`; loaded unless they are there. If this host's
/// apt does not have the package, why not.
///
/// # Errors
/// A sentence, if it cannot be loaded or unpacked.
pub fn ensure() -> Result<Result<PathBuf, String>, String> {
    let folder = build::target_dir()?.join("guests").join("installer");
    if folder.is_dir() {
        return Ok(Ok(folder));
    }
    let can = || {
        let policy = build::output(Command::new("apt-cache").args(["policy", PACKAGE]))?;
        Ok::<_, String>(policy.lines().any(is_candidate))
    };
    // Lists that are missing, as on a machine that is new, say nothing of what the archive has.
    if !can()? && is_root() {
        build::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    }
    if !can()? {
        return Ok(Err(format!("this host's apt has no {PACKAGE}; try `sudo apt-get update`")));
    }
    let loading = folder.with_file_name(".installer.loading");
    if loading.exists() {
        fs::remove_dir_all(&loading).map_err(|error| cannot("remove", &loading, &error))?;
    }
    fs::create_dir_all(&loading).map_err(|error| cannot("make", &loading, &error))?;
    eprintln!("The package {PACKAGE} is loaded once (133 MB) ...");
    // Its own user need not be able to enter this folder.
    let mut download = Command::new("apt-get");
    download.args(["--quiet", "-oAPT::Sandbox::User=root", "download", PACKAGE]);
    build::run(download.current_dir(&loading))?;
    build::run(Command::new("dpkg").arg("-x").arg(package_in(&loading)?).arg(&loading))?;
    let made = loading.join("made");
    fs::create_dir(&made).map_err(|error| cannot("make", &made, &error))?;
    let (linux, initrd) = (made.join("linux"), made.join("initrd"));
    fs::rename(loading.join(GTK).join("linux"), &linux)
        .map_err(|error| cannot("make", &linux, &error))?;
    unpack(&loading.join(GTK).join("initrd.gz"), &initrd)?;
    fs::rename(&made, &folder).map_err(|error| cannot("make", &folder, &error))?;
    fs::remove_dir_all(&loading).map_err(|error| cannot("remove", &loading, &error))?;
    Ok(Ok(folder))
}

/// Whether a line of `apt-cache policy` names a version that can be had.
fn is_candidate(line: &str) -> bool {
    line.trim().strip_prefix("Candidate:").is_some_and(|version| version.trim() != "(none)")
}

fn package_in(folder: &Path) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|error| cannot("read", folder, &error))?;
    let mut files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    files
        .find(|file| file.extension().is_some_and(|ending| ending == "deb"))
        .ok_or_else(|| format!("apt-get left no package in {}", folder.display()))
}

/// Unpacks the initrd: the same bytes, and an emulated processor takes a minute for that.
fn unpack(from: &Path, to: &Path) -> Result<(), String> {
    let source = File::open(from).map_err(|error| cannot("read", from, &error))?;
    let target = File::create(to).map_err(|error| cannot("make", to, &error))?;
    build::run(Command::new("gzip").arg("-dc").stdin(source).stdout(Stdio::from(target)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_cannot_be_had_has_no_candidate() {
        let policy = "debian-installer-12-netboot-amd64:\n  Installed: (none)\n  Candidate: ";
        let can = |version: &str| format!("{policy}{version}\n").lines().any(is_candidate);
        assert!(can("20230607+deb12u15") && !can("(none)"));
        assert!(!"".lines().any(is_candidate));
    }
}
