//! Compares kernels and initrds with the manifest that `tabard image build` left beside them. A
//! kernel finds out by itself that its initrd was cut short, but then all that it can do is panic.

use std::fs;
use std::path::Path;

use toml::de::DeTable;

use crate::packages::tool;
use crate::session::desk::Desk;
use crate::session::{BUILTIN_PREFIX, file_text};

/// None is longer, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1024 * 1024;

/// How much is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// The length: at once, whatever the size.
    Length,
    /// The SHA-256 too.
    Digest,
}

/// Looks at the kernel and initrd of every guest of a desk. What has no manifest beside it, or is
/// not named there, passes.
///
/// # Errors
/// A line for each guest, with the desk file's line, what is wrong, and what to do.
pub fn check(desk: &Desk, depth: Depth) -> Result<(), String> {
    let mut faults = Vec::new();
    for guest in &desk.guests {
        let kernel = (!guest.kernel.starts_with(BUILTIN_PREFIX)).then(|| Path::new(&guest.kernel));
        for path in kernel.into_iter().chain(guest.initrd.as_deref()) {
            let path = desk.base.join(path);
            if let Some(cause) = fault(&path, depth) {
                faults.push(format!(
                    "{}:{}: Guest {:?}: {} {cause}. Build the image again: \
                     `tabard image build --help` says how",
                    desk.file.display(),
                    guest.line,
                    guest.name,
                    path.display()
                ));
            }
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
}

/// What is wrong with this file; nothing that is known, if there is no manifest.
fn fault(path: &Path, depth: Depth) -> Option<String> {
    let manifest = file_text(&path.with_file_name("manifest.toml"), MAX_MANIFEST_BYTES).ok()?;
    let table = DeTable::parse(&manifest).ok()?.into_inner();
    let name = path.file_name()?.to_str()?;
    let files = table.get("file")?.get_ref().as_array()?;
    let entry = files.iter().find(|file| {
        file.get_ref().get("name").and_then(|value| value.get_ref().as_str()) == Some(name)
    })?;
    let entry = entry.get_ref();
    let bytes: u64 = entry.get("bytes")?.get_ref().as_integer()?.as_str().parse().ok()?;
    // What is not there or no file is another's fault to tell.
    let length = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
    if length != bytes {
        return Some(format!("has {length} bytes, and its manifest.toml says {bytes}"));
    }
    let digest = entry.get("sha256")?.get_ref().as_str()?;
    let differs = depth == Depth::Digest && tool::sha256(path).ok()? != digest;
    differs.then(|| "was changed since it was built: its SHA-256 is not manifest.toml's".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(initrd: &[u8]) -> (tempfile::TempDir, Desk) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("initrd");
        fs::write(&path, b"the initrd").unwrap();
        let digest = tool::sha256(&path).unwrap();
        let manifest = format!("[[file]]\nname = \"initrd\"\nbytes = 10\nsha256 = \"{digest}\"\n");
        fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
        fs::write(&path, initrd).unwrap();
        let text = "[desk]\nname = \"x\"\ntheme = \"us\"\n[guests.one]\nlabel = \"SECRET\"\n\
                    kernel = \"builtin:probe\"\ninitrd = \"initrd\"\n";
        let desk = Desk::parse(text, &folder.path().join("desk.toml")).unwrap();
        (folder, desk)
    }

    #[test]
    fn what_is_as_it_was_built_passes() {
        let (_folder, desk) = image(b"the initrd");
        assert_eq!(check(&desk, Depth::Digest), Ok(()));
    }

    #[test]
    fn an_initrd_cut_short_is_named_with_its_guest_and_line() {
        let (_folder, desk) = image(b"the ini");
        let why = check(&desk, Depth::Length).unwrap_err();
        assert!(why.contains("desk.toml:4: Guest \"one\""), "{why}");
        assert!(why.contains("has 7 bytes, and its manifest.toml says 10"), "{why}");
    }

    #[test]
    fn a_byte_that_changed_is_found_by_the_digest_alone() {
        let (_folder, desk) = image(b"the jnitrd");
        assert_eq!(check(&desk, Depth::Length), Ok(()));
        assert!(check(&desk, Depth::Digest).unwrap_err().contains("was changed"));
    }

    #[test]
    fn without_a_manifest_there_is_nothing_to_say() {
        let (folder, desk) = image(b"another");
        fs::remove_file(folder.path().join("manifest.toml")).unwrap();
        assert_eq!(check(&desk, Depth::Digest), Ok(()));
    }
}
