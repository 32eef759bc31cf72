//! Kernel, initrd and command line of a guest as descriptors. Files are opened once, at the
//! start, so that a guest restarted later runs what was checked then. Their contents are never
//! parsed here: that is the jailed process's work. Reading them leaves no trace in their access times,
//! which every process that has the same file could see.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, StatVfsMountFlags, fstatvfs, open};
use rustix::io::Errno;

use super::memory::sealed;

/// The prefix that names an embedded guest instead of a file.
pub const BUILTIN_PREFIX: &str = "builtin:";

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be opened.
    #[error("Cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It cannot be opened so that reading it leaves its access time alone.
    #[error("Cannot use {}: each read would change its access time, by which one guest sees what another does. It is somebody else's, so make a copy of your own, `chown` it to the user who runs tabard, or mount its file system with `noatime`", .0.display())]
    AccessTime(PathBuf),
    /// It is a directory, device or pipe.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// It holds nothing.
    #[error("{} is empty", .0.display())]
    Empty(PathBuf),
    /// No embedded guest has this name.
    #[error("There is no built-in guest {name:?}; there are {known}")]
    Builtin {
        /// The name asked for.
        name: String,
        /// Those that exist.
        known: String,
    },
    /// Memory for an embedded image or the command line could not be had.
    #[error("Cannot set up a memory file: {0}")]
    Memory(#[from] io::Error),
}

impl ImageError {
    /// The error and what to do next, unless it says that itself.
    pub(super) fn with(&self, next: &str) -> String {
        if let Self::AccessTime(_) = self { self.to_string() } else { format!("{self}. {next}") }
    }
}

/// What a guest boots from.
#[derive(Debug)]
pub(crate) struct Images {
    kernel: OwnedFd,
    initrd: Option<OwnedFd>,
    command_line: OwnedFd,
    /// Whether it looks for its devices on the command line, as embedded guests do.
    pub(crate) no_acpi: bool,
}

impl Images {
    /// Opens everything.
    ///
    /// # Errors
    /// Any [`ImageError`].
    pub(crate) fn open(
        kernel: &str,
        initrd: Option<&Path>,
        command_line: &str,
        base: &Path,
    ) -> Result<Self, ImageError> {
        Ok(Self {
            no_acpi: kernel.starts_with(BUILTIN_PREFIX),
            kernel: open_kernel(kernel, base)?,
            initrd: initrd
                .map(|path| open_file(&base.join(path), false))
                .transpose()?
                .map(Into::into),
            command_line: sealed("command line", command_line.as_bytes())?,
        })
    }

    pub(crate) fn kernel(&self) -> io::Result<OwnedFd> {
        self.kernel.try_clone()
    }

    pub(crate) fn initrd(&self) -> io::Result<Option<OwnedFd>> {
        self.initrd.as_ref().map(OwnedFd::try_clone).transpose()
    }

    pub(crate) fn command_line(&self) -> io::Result<OwnedFd> {
        self.command_line.try_clone()
    }
}

/// Opens a kernel by path or by `builtin:NAME`.
fn open_kernel(kernel: &str, base: &Path) -> Result<OwnedFd, ImageError> {
    let Some(name) = kernel.strip_prefix(BUILTIN_PREFIX) else {
        return open_file(&base.join(kernel), false).map(OwnedFd::from);
    };
    let builtin = tabard_guests::builtin(name).ok_or_else(|| ImageError::Builtin {
        name: name.to_owned(),
        known: tabard_guests::BUILTINS
            .iter()
            .map(|builtin| builtin.name)
            .collect::<Vec<_>>()
            .join(", "),
    })?;
    Ok(sealed(builtin.name, builtin.elf)?)
}

/// Opens a file that is neither empty nor anything but a file, so that reads leave no trace in it.
pub(super) fn open_file(path: &Path, write: bool) -> Result<File, ImageError> {
    let fault = |source| ImageError::Open { path: path.to_path_buf(), source };
    let access = if write { OFlags::RDWR } else { OFlags::RDONLY };
    let not_a_file = || ImageError::NotAFile(path.to_path_buf());
    let file = match regular(path, access | OFlags::NOATIME) {
        // Only its owner may ask for that. A mount that keeps no access times needs nobody to ask.
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {
            let file = regular(path, access).map_err(fault)?.ok_or_else(not_a_file)?;
            let mount = fstatvfs(&file).map_err(|errno| fault(errno.into()))?.f_flag;
            if !mount.intersects(StatVfsMountFlags::NOATIME | StatVfsMountFlags::RDONLY) {
                return Err(ImageError::AccessTime(path.to_path_buf()));
            }
            file
        }
        other => other.map_err(fault)?.ok_or_else(not_a_file)?,
    };
    match file.metadata().map_err(fault)?.len() {
        0 => Err(ImageError::Empty(path.to_path_buf())),
        _ => Ok(file),
    }
}

/// Opens a regular file; `None` if it is anything else. Asked first, because to open a device may
/// do something, and opened so that it never waits: it may be a pipe by then.
pub(crate) fn regular(path: &Path, access: OFlags) -> io::Result<Option<File>> {
    if !fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    let flags = access | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(open(path, flags, Mode::empty())?);
    Ok(file.metadata()?.is_file().then_some(file))
}

/// The text of a regular file of at most so many bytes.
///
/// # Errors
/// If it is anything else, or cannot be read.
pub fn text(path: &Path, most_bytes: u64) -> io::Result<String> {
    let Some(file) = regular(path, OFlags::RDONLY)? else {
        return Err(io::Error::other("it is not a regular file"));
    };
    let length = file.metadata()?.len();
    if length > most_bytes {
        return Err(io::Error::other(format!(
            "it has {length} bytes, at most {most_bytes} are read"
        )));
    }
    io::read_to_string(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, FileType, Mode};
    use std::io::Read;

    #[test]
    fn a_pipe_or_socket_or_device_is_refused_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let [pipe, socket] = ["pipe", "socket"].map(|name| folder.path().join(name));
        rustix::fs::mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        for path in [&pipe, &socket, Path::new("/dev/null"), folder.path()] {
            let error = open_file(path, false).unwrap_err();
            assert!(matches!(error, ImageError::NotAFile(_)), "{error}");
            assert!(text(path, 1).is_err());
        }
    }

    #[test]
    fn what_was_checked_is_what_boots_whatever_has_its_name_since() {
        let folder = tempfile::tempdir().unwrap();
        let [kernel, other] = ["kernel", "other"].map(|name| folder.path().join(name));
        std::fs::write(&kernel, "checked").unwrap();
        std::fs::write(&other, "swapped").unwrap();
        let images = Images::open("kernel", None, "", folder.path()).unwrap();

        std::fs::rename(&other, &kernel).unwrap();

        let mut text = String::new();
        File::from(images.kernel().unwrap()).read_to_string(&mut text).unwrap();
        assert_eq!(text, "checked");
    }
    /// A file that belongs to somebody else, and a thread that may do no more with it than any user.
    fn of_somebody_else(path: &Path) {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let owner = if rustix::process::getuid().is_root() { 4321 } else { 0 };
        let mut sets = capabilities(None).unwrap();
        if owner != 0 {
            std::os::unix::fs::chown(path, Some(owner), None).unwrap();
            sets.effective.remove(CapabilitySet::FOWNER);
            set_capabilities(None, sets).unwrap();
        }
    }

    #[test]
    fn a_file_whose_access_time_would_tell_of_reads_is_refused_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("kernel");
        std::fs::write(&own, "kernel").unwrap();
        of_somebody_else(&own);
        // Without privilege no file can be given away; this one is another's on every host.
        let other =
            if rustix::process::getuid().is_root() { &own } else { Path::new("/etc/passwd") };

        let refused = open_file(other, false).unwrap_err();

        assert!(matches!(refused, ImageError::AccessTime(_)), "{refused}");
        let words = refused.with("Mend the desk file");
        let named = words.contains(&other.display().to_string());
        assert!(named && words.contains("access time") && words.contains("`noatime`"), "{words}");
        assert!(!words.contains("Mend the desk file"), "{words}");
    }
}
