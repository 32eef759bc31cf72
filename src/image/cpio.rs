//! Writes the "newc" archive that Linux unpacks as its first file system
//! (Documentation/driver-api/early-userspace/buffer-format.rst). The same entries make the same
//! bytes: names are sorted, and times, owners and inode numbers say nothing of the build.

use std::collections::BTreeMap;
use std::io::{self, Write};

/// Mode of a folder that everyone may enter.
const FOLDER_MODE: u32 = 0o040_755;
const FILE: u32 = 0o100_000;
const LINK_MODE: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_000;
/// The archive ends on a multiple of this, as `cpio` writes it.
const BLOCK_BYTES: usize = 512;

/// One thing in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    mode: u32,
    data: Vec<u8>,
    device: (u32, u32),
}

/// The files of an archive, by their path without a leading slash.
#[derive(Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Adds a folder and those above it.
    pub fn folder(&mut self, path: &str) {
        self.parents(path);
        self.insert(path, FOLDER_MODE, Vec::new(), (0, 0));
    }

    /// Adds a file with permissions such as `0o644`; the folders above it come by themselves.
    pub fn file(&mut self, path: &str, permissions: u32, data: Vec<u8>) {
        self.parents(path);
        self.insert(path, FILE | permissions, data, (0, 0));
    }

    /// Adds a symbolic link to `target`.
    pub fn link(&mut self, path: &str, target: &str) {
        self.parents(path);
        self.insert(path, LINK_MODE, target.as_bytes().to_vec(), (0, 0));
    }

    /// Adds a character device with its major and minor number.
    pub fn character_device(&mut self, path: &str, permissions: u32, device: (u32, u32)) {
        self.parents(path);
        self.insert(path, CHARACTER_DEVICE | permissions, Vec::new(), device);
    }

    fn parents(&mut self, path: &str) {
        for (end, _) in path.match_indices('/') {
            let folder = path.get(..end).unwrap_or_default();
            if !self.entries.contains_key(folder) {
                self.insert(folder, FOLDER_MODE, Vec::new(), (0, 0));
            }
        }
    }

    fn insert(&mut self, path: &str, mode: u32, data: Vec<u8>, device: (u32, u32)) {
        self.entries.insert(path.to_owned(), Entry { mode, data, device });
    }

    /// Writes the archive.
    ///
    /// # Errors
    /// What the writer says; [`io::ErrorKind::FileTooLarge`] for a file of 4 GiB or more, which
    /// the format cannot hold.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let mut written = 0;
        for (inode, (name, entry)) in (1..).zip(&self.entries) {
            written += record(&mut out, name, inode, entry)?;
        }
        let end = Entry { mode: 0, data: Vec::new(), device: (0, 0) };
        written += record(&mut out, "TRAILER!!!", 0, &end)?;
        let rest = written.next_multiple_of(BLOCK_BYTES) - written;
        out.write_all(&vec![0; rest])?;
        out.flush()
    }
}

/// Writes one record and returns its length, which is a multiple of 4.
fn record(out: &mut impl Write, name: &str, inode: u32, entry: &Entry) -> io::Result<usize> {
    let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
    let size = u32::try_from(entry.data.len()).map_err(too_large)?;
    let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
    let (major, minor) = entry.device;
    // inode, mode, owner, group, links, time, size, device, rdevice, length of the name, checksum
    let fields = [inode, entry.mode, 0, 0, 1, 0, size, 0, 0, major, minor, name_size, 0];
    let mut head = String::from("070701");
    for field in fields {
        head.push_str(&format!("{field:08X}"));
    }
    head.push_str(name);
    head.push('\0');
    let mut head = head.into_bytes();
    head.resize(head.len().next_multiple_of(4), 0);
    out.write_all(&head)?;
    out.write_all(&entry.data)?;
    let padding = entry.data.len().next_multiple_of(4) - entry.data.len();
    out.write_all(&[0; 4][..padding])?;
    Ok(head.len() + entry.data.len() + padding)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(archive: &Archive) -> Vec<u8> {
        let mut out = Vec::new();
        archive.write(&mut out).unwrap();
        out
    }

    #[test]
    fn an_entry_is_as_the_kernel_reads_it() {
        let mut archive = Archive::default();
        archive.file("init", 0o755, b"#!/bin/sh\n".to_vec());
        let out = bytes(&archive);
        assert_eq!(&out[..6], b"070701");
        assert_eq!(&out[14..22], b"000081ED");
        assert_eq!(&out[54..62], b"0000000A");
        assert_eq!(&out[94..102], b"00000005");
        assert_eq!(&out[110..115], b"init\0");
        assert_eq!(&out[116..126], b"#!/bin/sh\n");
        assert_eq!(&out[128..134], b"070701");
        assert_eq!(out.len() % BLOCK_BYTES, 0);
    }

    #[test]
    fn the_order_of_adding_does_not_matter() {
        let (mut one, mut other) = (Archive::default(), Archive::default());
        one.file("a/b/c", 0o644, b"1".to_vec());
        one.link("a/d", "b/c");
        other.link("a/d", "b/c");
        other.file("a/b/c", 0o644, b"1".to_vec());
        assert_eq!(bytes(&one), bytes(&other));
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let mut archive = Archive::default();
        archive.file("lib/modules/x.ko", 0o644, Vec::new());
        let names: Vec<&str> = archive.entries.keys().map(String::as_str).collect();
        assert_eq!(names, ["lib", "lib/modules", "lib/modules/x.ko"]);
    }
}
