//! Loads QEMU and its libraries into a folder of Tabard's own. Everything is unpacked and tried in
//! a folder beside it, which takes its place only when it is whole.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use rustix::fs::FlockOperation;

use super::release::PACKAGES;
use super::version::{OLDEST, Version};
use super::{EngineError, Found, PROGRAM, folder, program};
use crate::packages::{Apt, Package, PackageError, cache_folder, is_root, tool, unpack};
use crate::session::Qemu;

/// Beside QEMU itself: firmware for systems that boot by UEFI.
const FIRMWARE: &str = "ovmf";
/// Packages, by the beginning of their names, that are not loaded. The C library is the host's,
/// because the host's loader runs the program. The others belong to drivers of graphics cards and
/// to scripts of installation, which nothing here runs.
const NOT_NEEDED: [&str; 26] = [
    "libc6",
    "mesa-",
    "libllvm",
    "libz3-",
    "libicu",
    "libxml2",
    "libedit2",
    "libdrm-intel",
    "libdrm-amdgpu",
    "libpciaccess",
    "libsensors",
    "libx11-data",
    "libx11-xcb1",
    "libxcb-",
    "libasound2-data",
    "libstdc++6",
    "adduser",
    "debconf",
    "passwd",
    "libpam",
    "libsemanage",
    "libsepol",
    "libaudit",
    "libdb5",
    "libexecs",
    "gcc-",
];
/// What is kept of the packages; the rest is other programs, manuals and translations.
const KEPT: [&str; 7] = [
    "usr/bin/qemu-system-x86_64",
    "lib",
    "usr/lib",
    "usr/share/qemu",
    "usr/share/seabios",
    "usr/share/OVMF",
    "usr/share/ovmf",
];
/// Licences, one in the folder of each package, are kept too.
const LICENCES: (&str, &str) = ("usr/share/doc", "copyright");
/// What must find all its libraries in the folder.
const TRIED: [&str; 3] = [
    "usr/bin/qemu-system-x86_64",
    "usr/lib/x86_64-linux-gnu/qemu/ui-dbus.so",
    "usr/lib/x86_64-linux-gnu/qemu/ui-opengl.so",
];

/// Loads QEMU from the backports of the host's release into `target`.
///
/// # Errors
/// [`EngineError`]; what was in the folder before is left as it was.
pub fn load(target: &Path, say: &mut dyn FnMut(&str)) -> Result<Found, EngineError> {
    let begin = Instant::now();
    let beside = Beside::new(target)?;
    check_free(target)?;
    let (_lock, waited) = lock(&beside.lock, say)?;
    if waited && let Some(found) = folder::find(target) {
        return Ok(found);
    }
    clear(&beside.loading)?;
    let cache = cache_folder()?.join("engine");
    let (release, packages) = bring(&cache, say)?;

    let whole = beside.loading.join("whole");
    make_open(&beside.loading)?;
    make_open(&whole)?;
    say(&format!("Unpacking {} packages", packages.len()));
    packages.iter().try_for_each(|package| unpack(package, &whole))?;
    prune(&whole, Path::new("")).map_err(|source| PackageError::file(&whole, source))?;
    open(&whole)?;
    let version = try_out(&whole).map_err(|cause| EngineError::Broken { cause })?;
    folder::write_manifest(&whole, &release, version, &packages)?;

    let fault = |source| PackageError::file(target, source);
    check_free(target)?;
    if target.exists() {
        fs::rename(target, beside.loading.join("before")).map_err(fault)?;
    }
    fs::rename(&whole, target).map_err(fault)?;
    // Neither is needed any more, and what is left of them does no harm.
    let _ = fs::remove_dir_all(&beside.loading);
    let _ = fs::remove_dir_all(&cache);
    let seconds = begin.elapsed().as_secs();
    say(&format!("QEMU {version} is in {}, after {seconds} s", target.display()));
    let missing = || EngineError::Broken { cause: format!("{} is gone", target.display()) };
    folder::find(target).ok_or_else(missing)
}

/// Installs the packages of a release whose QEMU is new enough.
///
/// # Errors
/// [`EngineError::Packages`] with what apt says.
pub fn install(say: &mut dyn FnMut(&str)) -> Result<(), EngineError> {
    let install = || {
        let mut install = Command::new("apt-get");
        install.args(["install", "--quiet=2", "--yes", "--no-install-recommends"]).args(PACKAGES);
        tool::output(install.env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
    };
    say(&format!("Installing {}", PACKAGES.join(" and ")));
    if install().is_err() {
        say("Fetching new package lists");
        tool::output(Command::new("apt-get").args(["update", "--quiet"]))?;
        install()?;
    }
    Ok(())
}

/// The packages, and the name of the release that they are from.
fn bring(cache: &Path, say: &mut dyn FnMut(&str)) -> Result<(String, Vec<Package>), EngineError> {
    say("Asking Debian's archive for the QEMU of its backports");
    let mut apt = Apt::backports(cache)?;
    let names = [&PACKAGES[..], &[FIRMWARE]].concat();
    let skip = |name: &str| NOT_NEEDED.iter().any(|beginning| name.starts_with(beginning));
    let mut said = None;
    let packages = apt.fetch_closure(&names, skip, &mut |loaded| {
        let (done, total) = (megabytes(loaded.bytes), megabytes(loaded.total_bytes));
        if said.replace(done) != Some(done) {
            say(&format!("Loading {} packages: {done} of {total} MB", loaded.packages));
        }
    })?;
    Ok((apt.name().to_owned(), packages))
}

fn megabytes(bytes: u64) -> u64 {
    bytes.div_ceil(1_000_000)
}

/// What lies beside the folder while it is made.
struct Beside {
    loading: PathBuf,
    lock: PathBuf,
}

impl Beside {
    /// Makes the folder above, open to all users as far as it was not there.
    fn new(target: &Path) -> Result<Self, EngineError> {
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(EngineError::Taken { folder: target.to_path_buf() });
        };
        let missing: Vec<&Path> = parent.ancestors().take_while(|path| !path.exists()).collect();
        missing.into_iter().rev().try_for_each(make_open)?;
        // An ordinary user's guests run as that user.
        let is_closed = |path: &&Path| {
            path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & 0o001 == 0)
        };
        if is_root()
            && let Some(closed) = parent.ancestors().find(is_closed)
        {
            return Err(EngineError::Closed { folder: closed.to_path_buf() });
        }
        let name = name.to_string_lossy();
        let [loading, lock] = ["loading", "lock"].map(|of| parent.join(format!(".{name}.{of}")));
        Ok(Self { loading, lock })
    }
}

/// Makes sure that nothing but an earlier load is replaced.
fn check_free(target: &Path) -> Result<(), EngineError> {
    let is_empty = match fs::read_dir(target) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(source) => return Err(PackageError::file(target, source).into()),
    };
    if is_empty || target.join(folder::MANIFEST).is_file() {
        return Ok(());
    }
    Err(EngineError::Taken { folder: target.to_path_buf() })
}

/// Waits until no other process loads, and says whether there was one.
fn lock(path: &Path, say: &mut dyn FnMut(&str)) -> Result<(File, bool), EngineError> {
    let fault = |source: std::io::Error| PackageError::file(path, source);
    let file = File::create(path).map_err(fault)?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
        return Ok((file, false));
    }
    say("Waiting for another process that loads QEMU");
    rustix::fs::flock(&file, FlockOperation::LockExclusive).map_err(|error| fault(error.into()))?;
    Ok((file, true))
}

/// Removes what an interrupted load left.
fn clear(loading: &Path) -> Result<(), EngineError> {
    match fs::remove_dir_all(loading) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(PackageError::file(loading, error).into())
        }
        _ => Ok(()),
    }
}

fn make_open(path: &Path) -> Result<(), EngineError> {
    fs::create_dir(path).map_err(|source| PackageError::file(path, source))?;
    open(path)
}

/// Lets every user read a folder and go through it, whatever this user's mask is.
fn open(path: &Path) -> Result<(), EngineError> {
    fs::set_permissions(path, Permissions::from_mode(0o755))
        .map_err(|source| PackageError::file(path, source).into())
}

/// Removes what is not kept from the folder `below` of `root`.
fn prune(root: &Path, below: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let (path, kind) = (below.join(entry.file_name()), entry.file_type()?);
        let is_licence = path.starts_with(LICENCES.0) && path.ends_with(LICENCES.1);
        if is_licence || KEPT.iter().any(|kept| path.starts_with(kept)) {
            continue;
        }
        let leads_on = path.starts_with(LICENCES.0)
            || KEPT.iter().chain(&[LICENCES.0]).any(|kept| Path::new(kept).starts_with(&path));
        match (kind.is_dir(), leads_on) {
            (true, true) => prune(root, &path)?,
            (true, false) => fs::remove_dir_all(entry.path())?,
            (false, _) => fs::remove_file(entry.path())?,
        }
    }
    Ok(())
}

/// Runs what was unpacked, and finds out whether it will run when the host's packages are others.
fn try_out(whole: &Path) -> Result<Version, String> {
    let program = whole.join("usr/bin").join(PROGRAM);
    let qemu = Qemu { program, folder: Some(whole.to_path_buf()) };
    let version = program::version(&qemu)?;
    if version < OLDEST {
        return Err(format!("it is QEMU {version}, and an engine needs {OLDEST} or newer"));
    }
    if !program::has_dbus_display(&qemu)? {
        return Err("its D-Bus display does not load".to_owned());
    }
    for file in TRIED {
        let strays = program::strays(whole, file)?;
        if !strays.is_empty() {
            return Err(format!("{file} needs {}, which is not there", strays.join(", ")));
        }
    }
    Ok(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "").unwrap();
    }

    #[test]
    fn what_a_guest_never_needs_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let kept = [
            "usr/bin/qemu-system-x86_64",
            "usr/lib/x86_64-linux-gnu/libpixman-1.so.0",
            "lib/x86_64-linux-gnu/libz.so.1",
            "usr/share/seabios/vgabios.bin",
            "usr/share/doc/ovmf/copyright",
        ];
        let removed = [
            "usr/bin/qemu-system-i386",
            "usr/bin/qemu-system-x86_64-microvm",
            "usr/share/doc/ovmf/changelog.Debian.gz",
            "usr/share/man/man1/qemu.1.gz",
            "etc/qemu/bridge.conf",
        ];
        kept.iter().chain(&removed).for_each(|path| put(root, path));
        prune(root, Path::new("")).unwrap();
        assert!(kept.iter().all(|path| root.join(path).is_file()));
        assert!(!removed.iter().any(|path| root.join(path).exists()));
        assert!(!root.join("etc").exists() && !root.join("usr/share/man").exists());
    }

    #[test]
    fn a_folder_of_somebody_elses_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("qemu");
        assert!(check_free(&target).is_ok());
        fs::create_dir(&target).unwrap();
        assert!(check_free(&target).is_ok());
        put(&target, "letters");
        assert!(matches!(check_free(&target), Err(EngineError::Taken { .. })));
        put(&target, folder::MANIFEST);
        assert!(check_free(&target).is_ok());
    }

    #[test]
    fn folders_that_are_made_are_open_to_a_guests_user() {
        let folder = tempfile::tempdir().unwrap();
        // A temporary folder is closed itself.
        open(folder.path()).unwrap();
        let target = folder.path().join("tabard/qemu");
        let beside = Beside::new(&target).unwrap();
        let made = target.parent().unwrap().metadata().unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o755);
        assert_eq!(beside.loading, folder.path().join("tabard/.qemu.loading"));
        assert!(Beside::new(Path::new("/")).is_err());
    }

    #[test]
    fn what_does_not_run_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "usr/bin/qemu-system-x86_64");
        assert!(try_out(folder.path()).unwrap_err().contains("cannot be started"));
    }
}
