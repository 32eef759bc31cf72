//! The agent in a desktop: the program that carries texts and questions between the guest and
//! Tabard, what it reaches the clipboard with, and terminals that copy to that clipboard.

use std::fs;
use std::path::{Path, PathBuf};

use super::BuildError;
use super::cpio::Archive;

/// What the agent needs in an X session.
pub const PACKAGES: [&str; 1] = ["xclip"];

/// Name of the program, beside `tabard` and in the guest.
const PROGRAM: &str = "tabard-agent";
/// Files that come with it.
const OWN: [(&str, u32, &str); 2] = [
    (
        // A port that closed for what made no sense opens anew.
        "bin/tabard-clipboard",
        0o755,
        "#!/bin/sh\n# Serves the clipboard for as long as there is a guest.\n\
         while :; do\n    tabard-agent 2>/tmp/tabard-agent.errors\n    sleep 5\ndone\n",
    ),
    (
        // What is selected is copied; Ctrl+Shift+C and Ctrl+Shift+V work as in other terminals.
        "root/.Xdefaults",
        0o644,
        "XTerm*selectToClipboard: true\n\
         XTerm*VT100.translations: #override \\n\\\n    \
         Ctrl Shift <Key>C: copy-selection(CLIPBOARD) \\n\\\n    \
         Ctrl Shift <Key>V: insert-selection(CLIPBOARD)\n",
    ),
];

/// The agent for an image: the one that is named, or the one beside this program. Without one,
/// says on the terminal what the image will lack.
#[must_use]
pub fn find(named: Option<&Path>) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_path_buf());
    }
    let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tabard"));
    let program = own.with_file_name(PROGRAM);
    if program.is_file() {
        return Some(program);
    }
    eprintln!(
        "tabard: There is no {}, so this image exchanges no texts with other guests. \
         `cargo build --package {PROGRAM}` makes it; --agent FILE names another",
        program.display()
    );
    None
}

/// Puts the agent and what comes with it into the archive.
///
/// # Errors
/// [`BuildError::File`], if it cannot be read.
pub fn add(archive: &mut Archive, program: &Path) -> Result<(), BuildError> {
    let bytes = fs::read(program).map_err(|source| BuildError::file(program, source))?;
    archive.file(&format!("bin/{PROGRAM}"), 0o755, bytes);
    for (path, permissions, text) in OWN {
        archive.file(path, permissions, text.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_that_is_named_and_missing_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nobody");
        let found = find(Some(&path)).unwrap();
        let error = add(&mut Archive::default(), &found).unwrap_err();
        assert!(error.to_string().contains("nobody"), "{error}");
    }
}
