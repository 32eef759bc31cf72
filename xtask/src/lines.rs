//! Counts the lines of code that must be believed to trust Tabard: everything but tests, blank
//! lines, and lines that are only a comment. Comments do not run; counting them would put a price
//! on saying why.
//!
//! Left out are items behind `#[cfg(test)]` or the feature `proof`, which only the model checker
//! has, the files of such modules, files called `tests.rs`, and the folders `tests`, `benches` and
//! `examples`. The sources are known to be
//! formatted by rustfmt, so an item ends where its indentation says; a source that misleads this
//! is counted longer, never shorter.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// One side of the wall between `tabard` and `tabard-vmm`.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// What it is called.
    pub name: &'static str,
    /// Its folders, from the root of the repository.
    pub folders: &'static [&'static str],
    /// Which files of them.
    pub files: Files,
    /// The most lines that it should have: what the design promises.
    pub promise: usize,
    /// The most lines that it may have now, so that it does not grow unseen.
    pub budget: usize,
}

/// Which files of a side's folders count. What keeps guests and starts them again stands beside each
/// device, in a file of this name, and has a budget of its own: without the line of a test none of it
/// is ever called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Files {
    /// All.
    All,
    /// All but those called `snapshot.rs`, and those in folders called `snapshot`.
    ButSnapshots,
    /// Those only.
    Snapshots,
}

impl Files {
    fn has(self, file: &Path) -> bool {
        let named = |path: &Path| path.file_stem().is_some_and(|stem| stem == "snapshot");
        match self {
            Self::All => true,
            Self::ButSnapshots => !file.ancestors().any(named),
            Self::Snapshots => file.ancestors().any(named),
        }
    }
}

/// The sides and their budgets.
pub const SIDES: [Side; 3] = [
    Side {
        name: "trusted side",
        folders: &["labels", "input", "trusted-path", "display", "vmm/wire", "session", "src/seat"],
        files: Files::All,
        promise: 12_000,
        budget: 15_560,
    },
    Side {
        name: "tabard-vmm",
        folders: &["vmm/src"],
        files: Files::ButSnapshots,
        promise: 8_500,
        budget: 10_094,
    },
    Side {
        name: "snapshots",
        folders: &["snapshot", "vmm/src"],
        files: Files::Snapshots,
        promise: 2_000,
        budget: 2_134,
    },
];

/// Presenters that only run where there is no trusted path to protect: a window on somebody's
/// desktop, and pictures in memory for scripts. A presenter that owns the screen counts.
const NO_TRUSTED_PATH: [&str; 3] =
    ["display/src/window.rs", "display/src/headless.rs", "display/src/png_file.rs"];

/// What is behind these is in no program that is shipped.
const NEVER_SHIPPED: [&str; 2] = ["#[cfg(test)]", "#[cfg(feature = \"proof\")]"];

/// Folders that hold no shipped code.
const NOT_SHIPPED: [&str; 5] = ["tests", "benches", "examples", "target", "proof"];

/// How long a side is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// What the budget is for.
    pub code: usize,
    /// The same with comments and with the presenters that need no trust: all lines but blank
    /// ones and tests. No budget, but nobody should have to guess it.
    pub whole: usize,
}

/// The lines of one side of the repository at `root`.
///
/// # Errors
/// What reading its files gave.
pub fn count(root: &Path, side: Side) -> io::Result<Count> {
    let mut files = Vec::new();
    for folder in side.folders {
        sources(&root.join(folder), &mut files)?;
    }
    let mut texts = Vec::new();
    let mut only_tests = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file)?;
        let shipped = shipped(&text);
        only_tests.extend(shipped.test_modules.iter().flat_map(|name| module(&file, name)));
        texts.push((file, shipped.count));
    }
    let mut sum = Count::default();
    for (file, count) in texts {
        let below = file.strip_prefix(root).unwrap_or(&file);
        if file.ancestors().any(|path| only_tests.contains(path)) || !side.files.has(below) {
            continue;
        }
        sum.whole += count.whole;
        if !NO_TRUSTED_PATH.iter().any(|no| file.ends_with(no)) {
            sum.code += count.code;
        }
    }
    Ok(sum)
}

/// All Rust files below `folder` that may be shipped.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let (path, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if !NOT_SHIPPED.iter().any(|not| name == *not) {
                sources(&path, files)?;
            }
        } else if path.extension().is_some_and(|ending| ending == "rs") && name != "tests.rs" {
            files.push(path);
        }
    }
    Ok(())
}

/// Where the module `name` that `file` declares may be: a file or a folder.
fn module(file: &Path, name: &str) -> [PathBuf; 2] {
    let stem = file.file_stem().unwrap_or_default();
    let folder = if stem == "mod" || stem == "lib" || stem == "main" {
        file.with_file_name("")
    } else {
        file.with_extension("")
    };
    [folder.join(format!("{name}.rs")), folder.join(name)]
}

/// What counts in one file.
#[derive(Debug, Default)]
struct Shipped {
    count: Count,
    /// Modules in files of their own that are only tests.
    test_modules: Vec<String>,
}

fn shipped(text: &str) -> Shipped {
    let mut found = Shipped::default();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let trimmed = line.trim();
        if NEVER_SHIPPED.contains(&trimmed) {
            found.test_modules.extend(skip_item(&mut lines, indentation(line)));
        } else if !trimmed.is_empty() {
            found.count.whole += 1;
            found.count.code += usize::from(!trimmed.starts_with("//"));
        }
    }
    found
}

/// Passes over the item behind its `#[cfg(test)]`; its name if it is a module in another file.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indent: usize) -> Option<String> {
    let mut head = true;
    for line in lines {
        let trimmed = line.trim();
        let outermost = indentation(line) == indent && !trimmed.is_empty();
        if head && outermost && trimmed.starts_with("#[") {
            continue;
        }
        head = false;
        if outermost && (trimmed.ends_with(';') || trimmed.ends_with(',')) {
            let name = trimmed.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            let name = name.strip_prefix("mod ");
            return name.and_then(|name| name.strip_suffix(';')).map(str::to_owned);
        }
        if outermost && trimmed.ends_with('}') {
            return None;
        }
    }
    None
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_and_comments_do_not_count() {
        let count = shipped("//! Doc.\n\n// Why.\nfn f() {\n    \n}\n").count;
        assert_eq!(count, Count { code: 2, whole: 4 });
    }

    #[test]
    fn test_modules_do_not_count() {
        let text = "fn f() {}\n#[cfg(test)]\nmod tests {\n    fn g() {\n    }\n}\nfn h() {}\n";
        assert_eq!(shipped(text).count, Count { code: 2, whole: 2 });
    }

    #[test]
    fn other_items_of_tests_do_not_count() {
        let text = "#[cfg(test)]\n#[allow(dead_code)]\npub(crate) fn g(\n    a: u8,\n) -> u8 {\n    a\n}\nfn f() {}\n";
        assert_eq!(shipped(text).count.code, 1);
        assert_eq!(shipped("#[cfg(test)]\nuse a::b;\nfn f() {}\n").count.code, 1);
    }

    #[test]
    fn what_only_the_model_checker_has_does_not_count() {
        let found = shipped("#[cfg(feature = \"proof\")]\npub mod proof;\nmod a;\n");
        assert_eq!((found.count.code, found.test_modules), (1, vec!["proof".to_owned()]));
    }

    #[test]
    fn files_of_snapshots_are_told_by_their_name_or_their_folder() {
        for (file, is) in [
            ("vmm/src/devices/gpu/snapshot.rs", true),
            ("vmm/src/snapshot/memory.rs", true),
            ("snapshot/src/line.rs", true),
            ("vmm/src/devices/gpu/mod.rs", false),
        ] {
            let file = Path::new(file);
            assert_eq!((Files::Snapshots.has(file), Files::ButSnapshots.has(file)), (is, !is));
            assert!(Files::All.has(file));
        }
    }

    #[test]
    fn test_modules_in_other_files_are_found_by_name() {
        let found = shipped("mod a;\n#[cfg(test)]\nmod rig;\n");
        assert_eq!((found.count.code, found.test_modules), (1, vec!["rig".to_owned()]));
        assert_eq!(module(Path::new("x/src/lib.rs"), "rig")[0], Path::new("x/src/rig.rs"));
        assert_eq!(module(Path::new("x/src/a.rs"), "rig")[0], Path::new("x/src/a/rig.rs"));
    }
}
