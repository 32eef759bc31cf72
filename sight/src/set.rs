//! The needles of a folder, and which of them a name means.

use std::fs;
use std::path::{Path, PathBuf};

use crate::form::{FormError, Needle};

/// Folders in folders that are looked into.
const MAX_DEPTH: usize = 8;

/// Why the needles of a folder cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SetFault {
    /// The folder cannot be read.
    #[error("Cannot read the folder of needles {}: {source}. Make it, or name another", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// One of them makes no sense.
    #[error(transparent)]
    Form(#[from] FormError),
}

/// The descriptions of the needles of a folder.
#[derive(Debug, Clone, Default)]
pub struct Set {
    /// In the order of their files.
    pub needles: Vec<Needle>,
}

impl Set {
    /// Reads every description in a folder and in those below it.
    ///
    /// # Errors
    /// Every fault.
    pub fn read(folder: &Path) -> Result<Self, Vec<SetFault>> {
        let mut files = Vec::new();
        let unread = |source| vec![SetFault::Folder { folder: folder.to_path_buf(), source }];
        collect(folder, MAX_DEPTH, &mut files).map_err(unread)?;
        files.sort();
        let (mut needles, mut faults) = (Vec::new(), Vec::new());
        for file in files {
            match Needle::read(&file) {
                Ok(needle) => needles.push(needle),
                Err(error) => faults.push(error.into()),
            }
        }
        if faults.is_empty() { Ok(Self { needles }) } else { Err(faults) }
    }

    /// The needles that a name means: those that have all of its tags, which are separated by
    /// spaces; if there are none, the one whose file is called so.
    #[must_use]
    pub fn named(&self, name: &str) -> Vec<&Needle> {
        let tags: Vec<&str> = name.split_whitespace().collect();
        let tagged = |needle: &&Needle| {
            !tags.is_empty() && tags.iter().all(|tag| needle.tags.iter().any(|has| has == tag))
        };
        let found: Vec<&Needle> = self.needles.iter().filter(tagged).collect();
        if found.is_empty() {
            return self.needles.iter().filter(|needle| needle.name == name).collect();
        }
        found
    }

    /// Every tag, once.
    #[must_use]
    pub fn tags(&self) -> Vec<&str> {
        let mut tags: Vec<&str> =
            self.needles.iter().flat_map(|needle| needle.tags.iter().map(String::as_str)).collect();
        tags.sort_unstable();
        tags.dedup();
        tags
    }
}

fn collect(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && depth > 0 {
            collect(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|ending| ending == "json") {
            files.push(path);
        }
    }
    Ok(())
}
