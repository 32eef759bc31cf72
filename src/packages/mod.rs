//! Debian's packages, fetched by the host's own apt, so that it checks their signatures against the
//! keys that the host's owner trusts. Nothing is installed here, and no root is needed.

mod apt;
mod listing;
pub mod tool;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use apt::{Apt, host_release, is_root};

/// A package in the cache whose digest is the one that the signed index names.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub file: PathBuf,
    /// How long the file is.
    pub bytes: u64,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// How far a download is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Packages that had to be fetched.
    pub packages: usize,
    /// What has come of them.
    pub bytes: u64,
    /// What there is of them.
    pub total_bytes: u64,
}

/// Why packages cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// A tool is not on this host.
    #[error(
        "Cannot start {program}: {source}. It is in Debian's package {package}: \
         `apt-get install {package}`"
    )]
    Start {
        /// The tool.
        program: String,
        /// The package that has it.
        package: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A tool failed.
    #[error("{tool} failed: {cause}")]
    Tool {
        /// The tool as it was called.
        tool: String,
        /// What it said.
        cause: String,
    },
    /// A package cannot be had.
    #[error("Cannot fetch the package {package}: {cause}. {next}")]
    Package {
        /// The package.
        package: String,
        /// What apt said.
        cause: String,
        /// What to do.
        next: String,
    },
    /// Another release than the host's is asked for, and there is no Debian archive to ask.
    #[error(
        "The host's apt uses no Debian archive to find another release in, or cannot reach it. \
         See that one is in /etc/apt/sources.list.d and that `apt-get update` works"
    )]
    NoArchive,
    /// A file cannot be read or written.
    #[error("Cannot use {}: {source}. {next}", path.display())]
    File {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// What to do.
        next: &'static str,
    },
}

impl PackageError {
    /// A fault of a file, with the next step for its kind.
    pub(crate) fn file(path: &Path, source: io::Error) -> Self {
        let next = match source.kind() {
            io::ErrorKind::StorageFull => "Free about 600 MiB there, or choose another folder",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "Choose a folder that you may write to"
            }
            _ => "See that it is there and may be read and written",
        };
        Self::File { path: path.to_path_buf(), source, next }
    }
}

/// Unpacks a package into a folder, without running anything that is in it.
///
/// # Errors
/// [`PackageError`] with what `dpkg-deb` says.
pub fn unpack(package: &Package, to: &Path) -> Result<(), PackageError> {
    tool::output(Command::new("dpkg-deb").arg("--extract").arg(&package.file).arg(to)).map(drop)
}

/// Where downloaded packages stay: `$XDG_CACHE_HOME/tabard/packages`, or `~/.cache` for it.
///
/// # Errors
/// If neither is set: below `/tmp` others could put a folder of that name first.
pub fn cache_folder() -> Result<PathBuf, PackageError> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let missing = || io::Error::other("Neither XDG_CACHE_HOME nor HOME is set");
    let cache = cache.ok_or_else(|| PackageError::file(Path::new("~/.cache"), missing()))?;
    Ok(cache.join("tabard/packages"))
}
