//! What apt prints, read; and the source lists that it is given.

use std::path::Path;

/// Debian's own keys, where the package `debian-archive-keyring` puts them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// A file that apt would fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// `NAME_VERSION_ARCHITECTURE.deb`.
    pub file_name: &'a str,
    /// Its length.
    pub bytes: u64,
    /// SHA-256, in hexadecimal.
    pub sha256: &'a str,
}

/// Name, length and SHA-256 of a line `'URI' NAME SIZE SHA256:DIGEST`, the first of the text.
pub fn uri_of(text: &str) -> Option<Uri<'_>> {
    text.lines().find_map(|line| {
        let mut words = line.strip_prefix('\'')?.split_whitespace().skip(1);
        let file_name = words.next().filter(|name| !name.contains('/'))?;
        let bytes = words.next()?.parse().ok()?;
        let sha256 = words.find_map(|word| word.strip_prefix("SHA256:"))?;
        Some(Uri { file_name, bytes, sha256 })
    })
}

/// The name of the package in a line `'URI' NAME_VERSION_ARCHITECTURE.deb ...`.
pub fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix('\'')?.split_whitespace().nth(1)?.split('_').next()
}

/// The kernel package in the record of the package that stands for it.
pub fn kernel_of(record: &str) -> Option<&str> {
    let depends = record.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    depends
        .split([',', '|'])
        .filter_map(|item| item.split_whitespace().next())
        .find(|name| name.starts_with("linux-image-"))
}

/// The address of the archive with this label, from lines of label and address.
pub fn site_of<'a>(targets: &'a str, label: &str) -> Option<&'a str> {
    targets.lines().find_map(|line| {
        let (of, site) = line.rsplit_once(' ')?;
        (of == label).then_some(site)
    })
}

/// A source list for `release`, with `further` suites of the same archive, from lines of label and
/// address; none without Debian's own archive.
pub fn sources_of(targets: &str, release: &str, further: &[&str]) -> Option<String> {
    let keys = if Path::new(KEYRING).is_file() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let archive = site_of(targets, "Debian")?;
    let suites = std::iter::once(&release).chain(further);
    let mut text: String =
        suites.map(|suite| format!("deb {keys}{archive} {suite} main\n")).collect();
    if let Some(security) = site_of(targets, "Debian-Security") {
        text.push_str(&format!("deb {keys}{security} {release}-security main\n"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_what_its_package_depends_on() {
        let record = "Package: linux-image-amd64\nDepends: linux-image-6.1.0-56-amd64 (= 6.1.2)\n";
        assert_eq!(kernel_of(record), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(kernel_of("Package: linux-image-amd64\n"), None);
    }

    #[test]
    fn a_line_of_apt_names_file_length_and_digest() {
        let line = "'http://deb.example/x_1%3a2_amd64.deb' x_1%3a2_amd64.deb 1480 SHA256:4545\n";
        let uri = Uri { file_name: "x_1%3a2_amd64.deb", bytes: 1480, sha256: "4545" };
        assert_eq!(uri_of(line), Some(uri));
        assert_eq!(name_of(line), Some("x"));
        assert_eq!(uri_of("'http://deb.example/x' ../x 1 SHA256:4545"), None);
        assert_eq!(uri_of("'http://deb.example/x' x 1 MD5Sum:4545"), None);
        assert_eq!(uri_of("'http://deb.example/x' x SHA256:4545"), None);
    }

    #[test]
    fn another_release_comes_from_the_same_archives() {
        let targets = "Debian http://d/debian\nDebian-Security http://d/security\n";
        let text = sources_of(targets, "trixie", &[]).unwrap();
        assert!(text.contains("http://d/debian trixie main\n"), "{text}");
        assert!(text.contains("http://d/security trixie-security main\n"), "{text}");
        assert_eq!(text.lines().count(), 2);
        assert_eq!(sources_of("Ubuntu http://u/ubuntu\n", "trixie", &[]), None);
        assert_eq!(sources_of("", "trixie", &[]), None);
    }

    #[test]
    fn backports_come_beside_the_release_that_they_are_for() {
        let targets = "Other http://o/other\nDebian http://d/debian\n";
        let text = sources_of(targets, "bookworm", &["bookworm-backports"]).unwrap();
        let suites: Vec<&str> =
            text.lines().filter_map(|line| line.split(' ').rev().nth(1)).collect();
        assert_eq!(suites, ["bookworm", "bookworm-backports"]);
    }
}
