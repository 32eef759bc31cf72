//! The QEMU that the host has itself.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::release::Release;
use super::version::{OLDEST, Version};
use super::{EngineError, Found, Origin, PROGRAM, program};
use crate::session::Qemu;

/// Where it is looked for before `PATH` is asked.
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];

/// The first of the host's programs that can be an engine; none if it has no QEMU at all.
///
/// # Errors
/// Why the first that was found cannot be one, if none can.
pub fn find(path: Option<&OsStr>) -> Result<Option<Found>, EngineError> {
    let mut fault = None;
    let mut seen = Vec::new();
    for program in candidates(path, |program| program.is_file()) {
        // Where /bin is /usr/bin, one program has two names; asking it costs as much as any start.
        let real = program.canonicalize().unwrap_or_else(|_| program.clone());
        if seen.contains(&real) {
            continue;
        }
        seen.push(real);
        match look(program) {
            Ok(found) => return Ok(Some(found)),
            Err(error) => drop(fault.get_or_insert(error)),
        }
    }
    fault.map_or(Ok(None), Err)
}

/// Every place where it may be, once. A relative folder of `PATH` means another program in each
/// folder that one stands in, so it is left out.
fn candidates(path: Option<&OsStr>, is_there: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
    let further = path.into_iter().flat_map(std::env::split_paths);
    let mut found: Vec<PathBuf> = Vec::new();
    for folder in FOLDERS.iter().map(PathBuf::from).chain(further) {
        let program = folder.join(PROGRAM);
        if folder.is_absolute() && !found.contains(&program) && is_there(&program) {
            found.push(program);
        }
    }
    found
}

fn look(path: PathBuf) -> Result<Found, EngineError> {
    let qemu = Qemu { program: path, folder: None };
    let version = program::version(&qemu);
    let display = match &version {
        Ok(version) if *version >= OLDEST => program::has_dbus_display(&qemu),
        // Nobody asks: it is too old, or it does not run.
        _ => Ok(true),
    };
    judge(qemu, version, display, &Release::of_host())
}

fn judge(
    qemu: Qemu,
    version: Result<Version, String>,
    display: Result<bool, String>,
    release: &Release,
) -> Result<Found, EngineError> {
    let silent =
        |cause| EngineError::Silent { program: qemu.program.clone(), cause, mend: release.mend() };
    let version = version.map_err(silent)?;
    if version < OLDEST {
        let mend = release.mend();
        return Err(EngineError::Old { program: qemu.program, version, mend });
    }
    if !display.map_err(silent)? {
        let mend = release.mend_display();
        return Err(EngineError::NoDisplay { program: qemu.program, version, mend });
    }
    Ok(Found { qemu, version, origin: Origin::Host })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu() -> Qemu {
        Qemu { program: "/usr/bin/qemu-system-x86_64".into(), folder: None }
    }

    fn judged(version: &str, display: Result<bool, String>) -> Result<Found, EngineError> {
        let version = Version::number(version).ok_or_else(|| "no version".to_owned());
        judge(qemu(), version, display, &Release::parse("VERSION_CODENAME=bookworm\nID=debian"))
    }

    #[test]
    fn it_is_looked_for_in_absolute_folders_once() {
        let path = OsStr::new("/opt/qemu:/usr/bin:bin::/usr/local/bin");
        let found = candidates(Some(path), |_| true);
        let folders: Vec<_> = found.iter().filter_map(|found| found.parent()).collect();
        assert_eq!(folders, ["/usr/bin", "/usr/local/bin", "/opt/qemu"].map(Path::new));
        assert!(candidates(Some(path), |_| false).is_empty());
    }

    #[test]
    fn a_new_one_with_its_display_will_do() {
        let found = judged("10.0.2", Ok(true)).unwrap();
        assert_eq!((found.qemu, found.origin), (qemu(), Origin::Host));
        assert!(judged("8.0.0", Ok(true)).is_ok());
    }

    #[test]
    fn an_old_one_is_told_from_one_without_a_display() {
        let old = judged("7.2.22", Ok(true)).unwrap_err().to_string();
        assert!(old.contains("7.2.22") && old.contains("tabard engine fetch"), "{old}");
        let blind = judged("10.0.2", Ok(false)).unwrap_err().to_string();
        assert!(blind.contains("qemu-system-modules-opengl"), "{blind}");
        let broken = judged("", Ok(true)).unwrap_err().to_string();
        assert!(broken.contains("no version"), "{broken}");
    }
}
