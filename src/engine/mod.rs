//! Where QEMU comes from: the host's own, if it is new enough, or one that was loaded into a folder
//! of Tabard's own. QEMU is a separate program; nothing of it is linked.

mod command;
mod folder;
mod host;
mod load;
mod program;
mod release;
mod version;

use std::path::PathBuf;

pub(crate) use command::words;
pub use command::{EngineArgs, command};
pub use folder::{VARIABLE, path as own_folder};
pub use program::command as run;
pub(crate) use program::version as version_of;
pub use release::Release;
pub use version::{OLDEST, Version};

use crate::packages::PackageError;
use crate::session::Qemu;

/// What QEMU for this processor is called.
const PROGRAM: &str = "qemu-system-x86_64";

/// A QEMU that can be an engine, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The program.
    pub qemu: Qemu,
    /// Its version.
    pub version: Version,
    /// Where it is from.
    pub origin: Origin,
}

/// Where a QEMU is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The host has it itself.
    Host,
    /// It was loaded for Tabard alone.
    Loaded,
}

impl Origin {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Host => "this host's own",
            Self::Loaded => "loaded for Tabard alone",
        }
    }
}

/// Why there is no QEMU to run a guest on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Neither the host has one nor was one loaded.
    #[error("There is no QEMU on this host. {mend}")]
    Absent {
        /// What to do.
        mend: String,
    },
    /// The host's own is too old.
    #[error("{} is QEMU {version}, and an engine needs {OLDEST} or newer. {mend}", program.display())]
    Old {
        /// The program.
        program: PathBuf,
        /// Its version.
        version: Version,
        /// What to do.
        mend: String,
    },
    /// The host's own cannot tell a guest the size of its screen.
    #[error("{} {version} lacks the D-Bus display, by which guests are resized. {mend}", program.display())]
    NoDisplay {
        /// The program.
        program: PathBuf,
        /// Its version.
        version: Version,
        /// What to do.
        mend: String,
    },
    /// The host's own does not run.
    #[error("{} does not say what it is: {cause}. {mend}", program.display())]
    Silent {
        /// The program.
        program: PathBuf,
        /// Why.
        cause: String,
        /// What to do.
        mend: String,
    },
    /// Nothing is loaded on this host.
    #[error("QEMU is loaded on Debian 12 only; other systems have a newer one themselves. {mend}")]
    Elsewhere {
        /// What to do.
        mend: String,
    },
    /// There is no place for it.
    #[error("There is no folder to load QEMU into: HOME is not set. Name one in {VARIABLE}")]
    NoHome,
    /// The folder is not Tabard's.
    #[error(
        "{} holds something else than a QEMU that was loaded for Tabard, and is left as it is. \
         Name another folder in {VARIABLE}",
        folder.display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
    /// A guest's process, which has a user of its own, could not enter the folder.
    #[error(
        "Only some users may enter {}, and a guest's process is another one. Run \
         `chmod o+x {}`, or name another folder in {VARIABLE}",
        folder.display(), folder.display()
    )]
    Closed {
        /// The folder that is closed, on the way to the one for QEMU.
        folder: PathBuf,
    },
    /// Packages or files cannot be had.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// What was loaded does not run; it was thrown away.
    #[error(
        "The QEMU that was loaded does not work here: {cause}. Bring the host up to date with \
         `apt-get upgrade` and run `tabard engine fetch` again"
    )]
    Broken {
        /// Why.
        cause: String,
    },
}

/// The QEMU to use: the host's own if it is new enough and has what an engine needs, else the one
/// that was loaded for Tabard. It asks no network and takes some hundredths of a second.
///
/// # Errors
/// [`EngineError`], with what mends it.
pub fn find() -> Result<Qemu, EngineError> {
    look().map(|found| found.qemu)
}

/// Like [`find`], with what is known of it.
///
/// # Errors
/// As [`find`].
pub fn look() -> Result<Found, EngineError> {
    let own = match host::find(std::env::var_os("PATH").as_deref()) {
        Ok(Some(found)) => return Ok(found),
        own => own,
    };
    if let Some(found) = folder::look() {
        return Ok(found);
    }
    own.and_then(|_| Err(EngineError::Absent { mend: Release::of_host().mend() }))
}

/// Loads a QEMU, whether there is one or not: on Debian 12 into Tabard's own folder, from the
/// backports of the archive that the host's apt uses; on later releases root installs Debian's.
/// `say` is told each step.
///
/// # Errors
/// [`EngineError`]; a QEMU that was loaded before is left as it was.
pub fn fetch(say: &mut dyn FnMut(&str)) -> Result<Found, EngineError> {
    match Release::of_host() {
        Release::Bookworm => load::load(&own_folder().ok_or(EngineError::NoHome)?, say),
        Release::Debian if crate::packages::is_root() => {
            load::install(say)?;
            look()
        }
        other => Err(EngineError::Elsewhere { mend: other.mend() }),
    }
}

/// The QEMU to use; where there is none, one is loaded, which the user is told on standard error.
///
/// # Errors
/// As [`fetch`].
pub fn find_or_fetch() -> Result<Qemu, EngineError> {
    match find() {
        Ok(qemu) => Ok(qemu),
        Err(error) => {
            eprintln!("tabard: {}", first_sentence(&error.to_string()));
            fetch(&mut |line| eprintln!("tabard: {line}")).map(|found| found.qemu)
        }
    }
}

/// What is wrong, without what mends it.
fn first_sentence(text: &str) -> &str {
    text.split_once(". ").map_or(text, |(first, _)| first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_before_what_mends_it() {
        let error = EngineError::Absent { mend: Release::Bookworm.mend() }.to_string();
        assert_eq!(first_sentence(&error), "There is no QEMU on this host");
        assert!(error.ends_with("installs nothing"), "{error}");
    }
}
