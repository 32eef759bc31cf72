//! Packages from the host's own apt configuration, so that apt checks their signatures against
//! the keys that the host's owner trusts. Nothing is installed, and no root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{BuildError, tool};

/// Debian's own keys, where the package `debian-archive-keyring` puts them.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// The package that stands for Debian's current kernel.
const KERNEL: &str = "linux-image-amd64";

/// A package in the cache whose digest is the one that the signed index names.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    pub file: PathBuf,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
}

/// Where packages of one release come from.
#[derive(Debug)]
pub struct Apt {
    options: Vec<String>,
    release: String,
    cache: PathBuf,
}

impl Apt {
    /// What the host itself would install. `cache` is the folder for downloaded packages.
    ///
    /// # Errors
    /// [`BuildError::File`], if the folder cannot be made.
    pub fn host(cache: &Path) -> Result<Self, BuildError> {
        make_folder(cache)?;
        let options = ["APT::Sandbox::User=root"].map(option).to_vec();
        Ok(Self { options, release: host_release(), cache: cache.to_path_buf() })
    }

    /// Another release, from the archives that the host uses; its index is fetched into `cache`.
    ///
    /// # Errors
    /// [`BuildError::NoArchive`] if the host uses no Debian archive, and what apt says.
    pub fn release(cache: &Path, release: &str) -> Result<Self, BuildError> {
        let host = Self::host(cache)?;
        if host.release == release {
            return Ok(host);
        }
        let own = cache.join(release);
        let lists = own.join("lists");
        make_folder(&lists.join("partial"))?;
        make_folder(&own.join("cache/archives/partial"))?;
        let targets = tool::text(Command::new("apt-get").args([
            "indextargets",
            "--format",
            "$(LABEL) $(SITE)",
            "Created-By: Packages",
        ]))?;
        let sources = own.join("sources.list");
        let text = sources_of(&targets, release).ok_or(BuildError::NoArchive)?;
        fs::write(&sources, text).map_err(|source| BuildError::file(&sources, source))?;
        let mut options = host.options;
        options.extend([
            option(&format!("Dir::Etc::sourcelist={}", sources.display())),
            option("Dir::Etc::sourceparts=/dev/null"),
            option("Dir::Etc::preferences=/dev/null"),
            option("Dir::Etc::preferencesparts=/dev/null"),
            option(&format!("Dir::State::lists={}", lists.display())),
            option(&format!("Dir::Cache={}", own.join("cache").display())),
            option("Acquire::Languages=none"),
        ]);
        let apt = Self { options, release: release.to_owned(), cache: own };
        // An index that cannot be fetched is only a warning to apt. An older one will do, and
        // without any the packages are not found, which says what to do.
        tool::output(apt.get().arg("update"))?;
        Ok(apt)
    }

    /// The name of the release, such as `bookworm`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.release
    }

    /// The name of the package that holds the kernel which `linux-image-amd64` stands for.
    ///
    /// # Errors
    /// [`BuildError::Package`], if apt does not know it.
    pub fn kernel(&self) -> Result<String, BuildError> {
        let mut show = Command::new("apt-cache");
        show.args(&self.options).args(["show", "--no-all-versions", KERNEL]);
        let record = tool::text(&mut show).map_err(|error| self.fault(KERNEL, &error))?;
        kernel_of(&record).map(str::to_owned).ok_or_else(|| BuildError::Package {
            package: KERNEL.to_owned(),
            cause: "It names no kernel that it depends on".to_owned(),
            next: self.advice(),
        })
    }

    /// Brings a package into the cache, unless the right one is there.
    ///
    /// # Errors
    /// [`BuildError::Package`] with what apt says, or if the file is not what the index names.
    pub fn fetch(&self, name: &str) -> Result<Package, BuildError> {
        // Where the file is there already, apt prints nothing; so this asks from another folder.
        let mut ask = self.get();
        ask.args(["download", "--print-uris", name]).current_dir("/");
        let uris = tool::text(&mut ask).map_err(|error| self.fault(name, &error))?;
        let (file_name, sha256) = uri_of(&uris).ok_or_else(|| BuildError::Package {
            package: name.to_owned(),
            cause: "Its index names no SHA-256 digest".to_owned(),
            next: self.advice(),
        })?;
        let package = self.package(file_name, sha256);
        if !package.file.is_file() || tool::sha256(&package.file)? != package.sha256 {
            tool::output(self.get().args(["download", "--quiet=2", name]))
                .map_err(|error| self.fault(name, &error))?;
            self.check(&package)?;
        }
        Ok(package)
    }

    /// Brings packages and all that they depend on into the cache, without those that `skip`
    /// names: what an empty system would install, without recommendations. Sorted by name.
    ///
    /// # Errors
    /// As [`Apt::fetch`].
    pub fn fetch_closure(
        &self,
        names: &[&str],
        skip: impl Fn(&str) -> bool,
    ) -> Result<Vec<Package>, BuildError> {
        let empty = self.cache.join("empty-status");
        fs::write(&empty, "").map_err(|source| BuildError::file(&empty, source))?;
        let mut ask = self.get();
        ask.arg(option(&format!("Dir::State::status={}", empty.display())));
        ask.args(["-oDebug::NoLocking=1", "-oAPT::Install-Recommends=0"]);
        ask.args(["install", "--yes", "--print-uris"]).args(names);
        let uris = tool::text(&mut ask).map_err(|error| self.fault(&names.join(" "), &error))?;
        let all: Vec<&str> = uris.lines().filter_map(name_of).filter(|name| !skip(name)).collect();
        // Installing names weaker digests than downloading does.
        let mut ask = self.get();
        ask.args(["download", "--print-uris"]).args(&all).current_dir("/");
        let uris = tool::text(&mut ask).map_err(|error| self.fault(&names.join(" "), &error))?;
        let lines = uris.lines().filter_map(uri_of);
        let mut packages: Vec<Package> = lines.map(|(name, sha)| self.package(name, sha)).collect();
        if packages.len() != all.len() || packages.is_empty() {
            return Err(BuildError::Package {
                package: names.join(" "),
                cause: format!("apt names {} digests for {} packages", packages.len(), all.len()),
                next: self.advice(),
            });
        }
        packages.sort_by(|one, other| one.name.cmp(&other.name));
        let mut missing = Vec::new();
        for package in &packages {
            if !package.file.is_file() || tool::sha256(&package.file)? != package.sha256 {
                missing.push(package.name.as_str());
            }
        }
        if !missing.is_empty() {
            tool::output(self.get().args(["download", "--quiet=2"]).args(&missing))
                .map_err(|error| self.fault(&missing.join(" "), &error))?;
        }
        for package in packages.iter().filter(|package| missing.contains(&package.name.as_str())) {
            self.check(package)?;
        }
        Ok(packages)
    }

    /// The package that this file of the cache is, or will be.
    fn package(&self, file_name: &str, sha256: &str) -> Package {
        let mut words = file_name.split('_');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words.next().unwrap_or_default().replace("%3a", ":");
        Package { name, version, file: self.cache.join(file_name), sha256: sha256.to_owned() }
    }

    /// Whether the file is the one that the signed index names.
    fn check(&self, package: &Package) -> Result<(), BuildError> {
        if tool::sha256(&package.file)? == package.sha256 {
            return Ok(());
        }
        Err(BuildError::Package {
            package: package.name.clone(),
            cause: format!("{} has another digest than its index says", package.file.display()),
            next: "Delete the file and run this again".to_owned(),
        })
    }

    fn get(&self) -> Command {
        let mut get = Command::new("apt-get");
        get.args(&self.options).current_dir(&self.cache);
        get
    }

    fn fault(&self, package: &str, error: &BuildError) -> BuildError {
        let cause = match error {
            BuildError::Tool { cause, .. } => cause.clone(),
            other => other.to_string(),
        };
        BuildError::Package { package: package.to_owned(), cause, next: self.advice() }
    }

    fn advice(&self) -> String {
        if self.release == host_release() {
            "Run `apt-get update` as root, and see that a Debian archive with its section main \
             is in /etc/apt"
                .to_owned()
        } else {
            format!("See that the host's Debian archive has the release {}", self.release)
        }
    }
}

fn option(setting: &str) -> String {
    format!("-o{setting}")
}

fn make_folder(path: &Path) -> Result<(), BuildError> {
    fs::create_dir_all(path).map_err(|source| BuildError::file(path, source))
}

/// The host's release as `/etc/os-release` names it.
fn host_release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

/// A source list for `release` from lines of label and archive; none without Debian's own archive.
fn sources_of(targets: &str, release: &str) -> Option<String> {
    let site_of = |label: &str| {
        targets.lines().find_map(|line| {
            let (of, site) = line.rsplit_once(' ')?;
            (of == label).then_some(site)
        })
    };
    let keys = if Path::new(KEYRING).is_file() {
        format!("[signed-by={KEYRING}] ")
    } else {
        String::new()
    };
    let main = site_of("Debian")?;
    let mut text = format!("deb {keys}{main} {release} main\n");
    if let Some(security) = site_of("Debian-Security") {
        text.push_str(&format!("deb {keys}{security} {release}-security main\n"));
    }
    Some(text)
}

/// The kernel package in the record of the package that stands for it.
fn kernel_of(record: &str) -> Option<&str> {
    let depends = record.lines().find_map(|line| line.strip_prefix("Depends: "))?;
    depends
        .split([',', '|'])
        .filter_map(|item| item.split_whitespace().next())
        .find(|name| name.starts_with("linux-image-"))
}

/// The name of the package in a line `'URI' NAME_VERSION_ARCHITECTURE.deb ...`.
fn name_of(line: &str) -> Option<&str> {
    line.strip_prefix('\'')?.split_whitespace().nth(1)?.split('_').next()
}

/// File name and SHA-256 of a line `'URI' NAME SIZE SHA256:DIGEST`.
fn uri_of(text: &str) -> Option<(&str, &str)> {
    text.lines().find_map(|line| {
        let mut words = line.strip_prefix('\'')?.split_whitespace().skip(1);
        let name = words.next().filter(|name| !name.contains('/'))?;
        let digest = words.find_map(|word| word.strip_prefix("SHA256:"))?;
        Some((name, digest))
    })
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
    fn a_line_of_apt_names_file_and_digest() {
        let line = "'http://deb.example/x_1%3a2_amd64.deb' x_1%3a2_amd64.deb 1480 SHA256:4545\n";
        assert_eq!(uri_of(line), Some(("x_1%3a2_amd64.deb", "4545")));
        assert_eq!(uri_of("'http://deb.example/x' ../x 1 SHA256:4545"), None);
        assert_eq!(uri_of("'http://deb.example/x' x 1 MD5Sum:4545"), None);
    }

    #[test]
    fn another_release_comes_from_the_same_archives() {
        let targets = "Debian http://d/debian\nDebian-Security http://d/security\n";
        let text = sources_of(targets, "trixie").unwrap();
        assert!(text.contains("http://d/debian trixie main\n"), "{text}");
        assert!(text.contains("http://d/security trixie-security main\n"), "{text}");
        assert_eq!(sources_of("Ubuntu http://u/ubuntu\n", "trixie"), None);
    }
}
