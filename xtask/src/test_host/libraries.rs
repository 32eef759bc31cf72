//! The libraries of a program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::build;

/// The libraries that a program loads at its start, its loader included.
pub fn libraries_of(program: &Path) -> Result<BTreeSet<PathBuf>, String> {
    libraries(Command::new("ldd").arg(program), program)
}

/// The libraries that this call of `ldd` tells of.
pub fn libraries(ldd: &mut Command, program: &Path) -> Result<BTreeSet<PathBuf>, String> {
    let text = build::output(ldd)?;
    if text.contains("not found") {
        return Err(format!("{} lacks libraries:\n{text}", program.display()));
    }
    Ok(paths(&text))
}

fn paths(ldd: &str) -> BTreeSet<PathBuf> {
    let words = ldd.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_the_paths_that_ldd_prints() {
        let text = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibc.so.6 => /lib/x/libc.so.6 (0x7f)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        let found: Vec<_> = paths(text).into_iter().collect();
        assert_eq!(
            found,
            [PathBuf::from("/lib/x/libc.so.6"), PathBuf::from("/lib64/ld-linux-x86-64.so.2")]
        );
    }
}
