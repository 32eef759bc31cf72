//! Chooses kernel modules and all that they need, and knows the order in which they load.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::BuildError;
use crate::packages::tool;

/// The modules of one unpacked kernel package.
#[derive(Debug)]
pub struct Modules {
    /// `lib/modules/VERSION` of the package.
    folder: PathBuf,
    /// Path below the folder by name.
    files: BTreeMap<String, PathBuf>,
    builtin: BTreeSet<String>,
}

impl Modules {
    /// Looks which modules there are.
    ///
    /// # Errors
    /// [`BuildError::File`], if the package is not as Debian's are.
    pub fn find(folder: &Path) -> Result<Self, BuildError> {
        let mut files = BTreeMap::new();
        walk(folder, Path::new("kernel"), &mut files)?;
        let list = folder.join("modules.builtin");
        let text = fs::read_to_string(&list).map_err(|source| BuildError::file(&list, source))?;
        let builtin = text.lines().filter_map(|line| name_of(Path::new(line))).collect();
        Ok(Self { folder: folder.to_path_buf(), files, builtin })
    }

    /// Copies the modules named and all that they need to the same places below `target`,
    /// decompressed, as busybox wants them.
    ///
    /// # Errors
    /// [`BuildError::Module`] for a name that this kernel does not have.
    pub fn copy(&self, names: &[String], target: &Path) -> Result<(), BuildError> {
        let mut wanted: Vec<String> = names.iter().map(|name| normal(name)).collect();
        let mut done = BTreeSet::new();
        while let Some(name) = wanted.pop() {
            if self.builtin.contains(&name) || !done.insert(name.clone()) {
                continue;
            }
            let path = self.files.get(&name).ok_or_else(|| BuildError::Module {
                module: name.clone(),
                version: self.folder.file_name().unwrap_or_default().to_string_lossy().into(),
            })?;
            let bytes = read(&self.folder.join(path))?;
            wanted.extend(needs(&bytes).filter(|name| self.knows(name)));
            // `x.ko.xz` becomes `x.ko`.
            let file = target.join(path.with_file_name(format!("{}.ko", stem(path))));
            let parent = file.parent().unwrap_or(target);
            fs::create_dir_all(parent).map_err(|source| BuildError::file(parent, source))?;
            fs::write(&file, bytes).map_err(|source| BuildError::file(&file, source))?;
        }
        Ok(())
    }

    /// A soft dependency may name what only other kernels have.
    fn knows(&self, name: &str) -> bool {
        self.files.contains_key(name) || self.builtin.contains(name)
    }
}

/// The paths of `names` and of what they need, in an order that loads, from the text of
/// `modules.dep`. Names that are not in it are built in.
#[must_use]
pub fn load_order(modules_dep: &str, names: &[String]) -> Vec<String> {
    let lines: Vec<(&str, &str)> =
        modules_dep.lines().filter_map(|line| line.split_once(':')).collect();
    let mut order: Vec<String> = Vec::new();
    for name in names {
        let name = normal(name);
        let line = lines.iter().find(|(path, _)| name_of(Path::new(path)).as_ref() == Some(&name));
        let Some((path, needs)) = line else { continue };
        // depmod writes what must be first last.
        for path in needs.split_whitespace().rev().chain([*path]) {
            if !order.iter().any(|known| known == path) {
                order.push(path.to_owned());
            }
        }
    }
    order
}

fn walk(
    root: &Path,
    below: &Path,
    files: &mut BTreeMap<String, PathBuf>,
) -> Result<(), BuildError> {
    let folder = root.join(below);
    let fault = |source| BuildError::file(&folder, source);
    for entry in fs::read_dir(&folder).map_err(fault)? {
        let entry = entry.map_err(fault)?;
        let path = below.join(entry.file_name());
        if entry.file_type().map_err(fault)?.is_dir() {
            walk(root, &path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, BuildError> {
    if path.extension().is_some_and(|extension| extension == "xz") {
        let mut command = Command::new("xz");
        return Ok(tool::output(command.args(["--decompress", "--stdout"]).arg(path))?);
    }
    fs::read(path).map_err(|source| BuildError::file(path, source))
}

/// The names that a module's own description says it needs.
fn needs(module: &[u8]) -> impl Iterator<Item = String> {
    let strings = module.split(|byte| *byte == 0);
    strings.flat_map(|bytes| {
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let hard = text.strip_prefix("depends=").into_iter().flat_map(|list| list.split(','));
        let soft = text.strip_prefix("softdep=pre:").into_iter();
        let soft = soft.flat_map(|list| list.split("post:").next().unwrap_or("").split(' '));
        hard.chain(soft)
            .map(str::trim)
            .filter(|name| !name.is_empty())
            .map(normal)
            .collect::<Vec<_>>()
    })
}

/// The name of the module in a file such as `kernel/fs/ext4/ext4.ko.xz`.
fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let stem = file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?;
    Some(normal(stem))
}

fn stem(path: &Path) -> String {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    file.split(".ko").next().unwrap_or_default().to_owned()
}

/// Linux takes `-` and `_` in a module's name for the same.
fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_module_needs_is_in_its_description() {
        let module = b"\x7fELF\0depends=mbcache,jbd2\0softdep=pre: crc32c post: x\0depends=\0";
        let found: Vec<String> = needs(module).collect();
        assert_eq!(found, ["mbcache", "jbd2", "crc32c"]);
    }

    #[test]
    fn what_is_needed_loads_first_and_once() {
        let text = "k/kvm/kvm-amd.ko: k/kvm/kvm.ko k/irqbypass.ko\nk/kvm/kvm.ko: k/irqbypass.ko\n\
                    k/irqbypass.ko:\n";
        let names = ["kvm-amd", "kvm", "built-in"].map(str::to_owned);
        let order = load_order(text, &names);
        assert_eq!(order, ["k/irqbypass.ko", "k/kvm/kvm.ko", "k/kvm/kvm-amd.ko"]);
    }

    #[test]
    fn a_name_is_the_same_with_either_line() {
        assert_eq!(name_of(Path::new("a/virtio-gpu.ko.xz")).as_deref(), Some("virtio_gpu"));
        assert_eq!(name_of(Path::new("a/virtio-gpu.txt")), None);
        assert_eq!(stem(Path::new("a/virtio-gpu.ko.xz")), "virtio-gpu");
    }
}
