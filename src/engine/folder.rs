//! The folder of the QEMU that was loaded for Tabard alone, and the manifest by which a whole one
//! is told from what an interrupted load left.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::version::Version;
use super::{Found, Origin, PROGRAM};
use crate::packages::{Package, PackageError, is_root};
use crate::session::Qemu;

/// The environment variable that names another folder.
pub const VARIABLE: &str = "TABARD_QEMU_FOLDER";
/// What is written last.
pub(super) const MANIFEST: &str = "manifest.toml";

/// Root's, which every user of the host can use.
const OF_ROOT: &str = "/var/lib/tabard/qemu";

/// Where one is loaded: what the variable says; for root `/var/lib/tabard/qemu`; else below the
/// user's data. None if there is no home to have it in.
#[must_use]
pub fn path() -> Option<PathBuf> {
    std::path::absolute(choose(is_root(), variable)?).ok()
}

/// The QEMU that this user loaded, or else root; if the variable names a folder, the one there.
pub(super) fn look() -> Option<Found> {
    let shared = variable(VARIABLE).is_none().then(|| PathBuf::from(OF_ROOT));
    path().into_iter().chain(shared).find_map(|folder| find(&folder))
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn choose(root: bool, variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    if let Some(named) = variable(VARIABLE) {
        return Some(named.into());
    }
    if root {
        return Some(OF_ROOT.into());
    }
    // A relative path in this variable is to be taken as none.
    let data = variable("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || variable("HOME").map(|home| Path::new(&home).join(".local/share"));
    Some(data.or_else(home)?.join("tabard/qemu"))
}

/// The QEMU in this folder, if it is whole. It was tried when it was loaded, and is not run again.
#[must_use]
pub fn find(folder: &Path) -> Option<Found> {
    let text = fs::read_to_string(folder.join(MANIFEST)).ok()?;
    let version = version_of(&text)?;
    let program = folder.join("usr/bin").join(PROGRAM);
    program.is_file().then(|| Found {
        qemu: Qemu { program, folder: Some(folder.to_path_buf()) },
        version,
        origin: Origin::Loaded,
    })
}

/// Writes down what the folder was made from: after all that it speaks of.
///
/// # Errors
/// [`PackageError::File`].
pub(super) fn write_manifest(
    folder: &Path,
    release: &str,
    version: Version,
    packages: &[Package],
) -> Result<(), PackageError> {
    let mut text = format!(
        "# The packages that this QEMU was unpacked from.\n\
         release = {release:?}\nversion = \"{version}\"\n"
    );
    for Package { name, version, sha256, .. } in packages {
        text.push_str(&format!(
            "\n[[package]]\nname = {name:?}\nversion = {version:?}\nsha256 = {sha256:?}\n"
        ));
    }
    let path = folder.join(MANIFEST);
    let readable = || fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
    fs::write(&path, text)
        .and_then(|()| readable())
        .map_err(|source| PackageError::file(&path, source))
}

/// The version in a manifest that names at least one package.
fn version_of(text: &str) -> Option<Version> {
    let table = DeTable::parse(text).ok()?.into_inner();
    let DeValue::Array(packages) = table.get("package")?.get_ref() else { return None };
    let DeValue::String(version) = table.get("version")?.get_ref() else { return None };
    if packages.is_empty() { None } else { Version::number(version) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package() -> Package {
        Package {
            name: "qemu-system-x86".to_owned(),
            version: "1:10.0.2+ds-2".to_owned(),
            file: "x.deb".into(),
            bytes: 1,
            sha256: "4545".to_owned(),
        }
    }

    #[test]
    fn the_variable_wins_then_root_then_the_users_data() {
        let of = |root, pairs: &[(&str, &str)]| {
            let found =
                |name: &str| pairs.iter().find(|(of, _)| *of == name).map(|(_, to)| to.into());
            choose(root, found).map(|path| path.to_string_lossy().into_owned())
        };
        let home = ("HOME", "/home/ada");
        let expect = |text: &str| Some(text.to_owned());
        assert_eq!(of(true, &[(VARIABLE, "/srv/q"), home]), expect("/srv/q"));
        assert_eq!(of(true, &[home]), expect("/var/lib/tabard/qemu"));
        assert_eq!(of(false, &[("XDG_DATA_HOME", "/data"), home]), expect("/data/tabard/qemu"));
        let own = expect("/home/ada/.local/share/tabard/qemu");
        assert_eq!(of(false, &[home]), own);
        assert_eq!(of(false, &[("XDG_DATA_HOME", "data"), home]), own);
        assert_eq!(of(false, &[]), None);
    }

    #[test]
    fn a_folder_without_its_manifest_is_not_whole() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("usr/bin");
        fs::create_dir_all(&bin).unwrap();
        fs::write(bin.join(PROGRAM), "").unwrap();
        assert_eq!(find(folder.path()), None);
        let version = Version::number("10.0.2").unwrap();
        write_manifest(folder.path(), "bookworm-backports", version, &[package()]).unwrap();
        let found = find(folder.path()).unwrap();
        assert_eq!((found.version, found.origin), (version, Origin::Loaded));
        assert_eq!(found.qemu.folder.as_deref(), Some(folder.path()));
        fs::remove_file(bin.join(PROGRAM)).unwrap();
        assert_eq!(find(folder.path()), None);
    }

    #[test]
    fn half_a_manifest_is_none() {
        let version = "release = \"r\"\nversion = \"10.0.2\"\n";
        assert_eq!(version_of(version), None);
        assert_eq!(version_of(&format!("{version}[[package]]\nname = \"q")), None);
        assert_eq!(version_of("[[package]]\nname = \"q\"\n"), None);
        let whole = format!("{version}[[package]]\nname = \"q\"\n");
        assert_eq!(version_of(&whole), Version::number("10.0.2"));
    }
}
