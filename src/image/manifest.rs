//! Writes down what an image was made from, so that anyone can make it again and compare.

use std::path::Path;

use super::BuildError;
use crate::packages::{Package, tool};

/// The files that an image is made of.
pub(super) const OUTPUTS: [&str; 2] = ["vmlinuz", "initrd"];

/// The text of `manifest.toml`: the packages, the agent, and the files made from them in `folder`.
///
/// # Errors
/// [`BuildError`], if a file cannot be read.
pub fn text(
    profile: &str,
    release: &str,
    packages: &[Package],
    agent: Option<&Path>,
    folder: &Path,
) -> Result<String, BuildError> {
    let mut text = format!(
        "# What this image was made from; the same packages make the same files.\n\
         profile = {profile:?}\nrelease = {release:?}\n"
    );
    for package in packages {
        let Package { name, version, sha256, .. } = package;
        text.push_str(&format!(
            "\n[[package]]\nname = {name:?}\nversion = {version:?}\nsha256 = {sha256:?}\n"
        ));
    }
    let made = OUTPUTS.map(|name| ("file", name, folder.join(name)));
    let agent = agent.map(|path| ("carried", "tabard-agent", path.to_path_buf()));
    for (list, name, path) in agent.into_iter().chain(made) {
        let sha256 = tool::sha256(&path)?;
        let length = path.metadata().map_err(|source| BuildError::file(&path, source))?.len();
        text.push_str(&format!(
            "\n[[{list}]]\nname = {name:?}\nbytes = {length}\nsha256 = {sha256:?}\n"
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_as_toml() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("initrd"), b"abc").unwrap();
        std::fs::write(folder.path().join("vmlinuz"), b"kernel").unwrap();
        let agent = folder.path().join("agent");
        std::fs::write(&agent, b"agent").unwrap();
        let package = Package {
            name: "busybox-static".to_owned(),
            version: "1:1.35.0-4".to_owned(),
            file: folder.path().join("x.deb"),
            bytes: 1,
            sha256: "00".to_owned(),
        };
        let text = text("tiny", "bookworm", &[package], Some(&agent), folder.path()).unwrap();
        let table = toml::de::DeTable::parse(&text).unwrap().into_inner();
        let value = |list: &str, place: usize, name: &str| {
            let item = table.get(list).and_then(|list| list.get_ref().get(place));
            format!("{:?}", item.and_then(|item| item.get_ref().get(name)).unwrap().get_ref())
        };
        assert!(value("package", 0, "version").contains("1:1.35.0-4"));
        assert!(value("file", 1, "bytes").contains('3'));
        assert!(value("carried", 0, "name").contains("tabard-agent"));
        let digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert!(value("file", 1, "sha256").contains(digest));
    }
}
