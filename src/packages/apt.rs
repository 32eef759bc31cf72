//! Asks the host's apt for packages of one release, and checks that the files are those which the
//! signed index names. Package lists that are old or missing are renewed, once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use super::listing::{kernel_of, name_of, site_of, sources_of, uri_of};
use super::{Loaded, Package, PackageError, tool};

/// The package that stands for Debian's current kernel.
const KERNEL: &str = "linux-image-amd64";
/// What every call is told. Packages go into a folder of this user's own, which apt's own user
/// need not be able to enter.
const OPTIONS: [&str; 2] = ["-oAPT::Sandbox::User=root", "-oAcquire::Retries=2"];
/// What a call with lists of one's own is told besides: no more than what is used.
const OWN_LISTS: [&str; 3] = [
    "-oAcquire::Languages=none",
    "-oAcquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    "-oAcquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
];
/// Hooks of the host that are meant for its own lists. A list is only cleared by a file.
const NO_HOOKS: &str = "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n\
                        #clear APT::Update::Post-Invoke-Success;\n";
/// How often a download says how far it is.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Where packages of one release come from.
#[derive(Debug)]
pub struct Apt {
    options: Vec<String>,
    release: String,
    cache: PathBuf,
    /// Whether the lists are new already, so that a fault is not theirs.
    renewed: bool,
}

impl Apt {
    /// What the host itself would install. `cache` is the folder for downloaded packages.
    ///
    /// # Errors
    /// [`PackageError::File`], if the folder cannot be made.
    pub fn host(cache: &Path) -> Result<Self, PackageError> {
        make_folder(cache)?;
        Ok(Self {
            options: OPTIONS.map(str::to_owned).to_vec(),
            release: host_release(),
            cache: cache.to_path_buf(),
            renewed: false,
        })
    }

    /// Another release, from the archives that the host uses; its index is fetched into `cache`.
    ///
    /// # Errors
    /// [`PackageError::NoArchive`] if the host uses no Debian archive, and what apt says.
    pub fn release(cache: &Path, release: &str) -> Result<Self, PackageError> {
        let host = Self::host(cache)?;
        if host.release == release { Ok(host) } else { host.other(release, release, &[]) }
    }

    /// What was made for the host's release after it came out, from the archive that the host uses.
    ///
    /// # Errors
    /// As [`Apt::release`].
    pub fn backports(cache: &Path) -> Result<Self, PackageError> {
        let host = Self::host(cache)?;
        let (release, backports) = (host.release.clone(), format!("{}-backports", host.release));
        let mut apt = host.other(&backports, &release, &[&backports])?;
        apt.options.push(format!("-oAPT::Default-Release={backports}"));
        Ok(apt)
    }

    /// Suites that the host need not use itself, from its archives, with lists of their own.
    fn other(mut self, name: &str, release: &str, further: &[&str]) -> Result<Self, PackageError> {
        let own = self.cache.join(name);
        let targets = self.archives()?;
        let text = sources_of(&targets, release, further).ok_or(PackageError::NoArchive)?;
        make_folder(&own)?;
        let sources = own.join("sources.list");
        write(&sources, &text)?;
        let mut options = OPTIONS.map(str::to_owned).to_vec();
        options.extend([
            format!("-oDir::Etc::sourcelist={}", sources.display()),
            "-oDir::Etc::sourceparts=/dev/null".to_owned(),
            "-oDir::Etc::preferences=/dev/null".to_owned(),
            "-oDir::Etc::preferencesparts=/dev/null".to_owned(),
        ]);
        options.extend(own_lists(&own)?);
        let apt = Self { options, release: name.to_owned(), cache: own, renewed: true };
        // An index that cannot be fetched is only a warning to apt. An older one will do, and
        // without any the packages are not found, which says what to do.
        apt.update()?;
        Ok(apt)
    }

    /// The archives that the host uses, as lines of label and address. apt knows a label only from
    /// the lists.
    fn archives(&mut self) -> Result<String, PackageError> {
        let ask = |apt: &Self| {
            let mut get = apt.get();
            get.args(["indextargets", "--format", "$(LABEL) $(SITE)", "Created-By: Packages"]);
            tool::text(&mut get)
        };
        let targets = ask(self)?;
        if site_of(&targets, "Debian").is_some() {
            return Ok(targets);
        }
        let renewed = self.renew();
        let targets = ask(self)?;
        if targets.trim().is_empty() { renewed.map(|()| targets) } else { Ok(targets) }
    }

    /// The name of the release, such as `bookworm`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.release
    }

    /// The name of the package that holds the kernel which `linux-image-amd64` stands for.
    ///
    /// # Errors
    /// [`PackageError::Package`], if apt does not know it.
    pub fn kernel(&mut self) -> Result<String, PackageError> {
        self.mended(|apt| {
            let mut show = Command::new("apt-cache");
            show.args(&apt.options).args(["show", "--no-all-versions", KERNEL]);
            let record = tool::text(&mut show).map_err(|error| apt.fault(KERNEL, &error))?;
            kernel_of(&record).map(str::to_owned).ok_or_else(|| PackageError::Package {
                package: KERNEL.to_owned(),
                cause: "It names no kernel that it depends on".to_owned(),
                next: apt.advice(),
            })
        })
    }

    /// Brings a package into the cache, unless the right one is there.
    ///
    /// # Errors
    /// [`PackageError::Package`] with what apt says, or if the file is not what the index names.
    pub fn fetch(&mut self, name: &str) -> Result<Package, PackageError> {
        self.mended(|apt| {
            let packages = apt.bring(&[name], &mut |_| {})?;
            packages.into_iter().next().ok_or_else(|| apt.no_digest(name))
        })
    }

    /// Brings packages and all that they depend on into the cache, without those that `skip`
    /// names: what an empty system would install, without recommendations. Sorted by name.
    /// `report` is told once in a while how far it is, if anything has to be fetched.
    ///
    /// # Errors
    /// As [`Apt::fetch`].
    pub fn fetch_closure(
        &mut self,
        names: &[&str],
        skip: impl Fn(&str) -> bool,
        report: &mut dyn FnMut(Loaded),
    ) -> Result<Vec<Package>, PackageError> {
        self.mended(|apt| {
            let empty = apt.cache.join("empty-status");
            write(&empty, "")?;
            let mut ask = apt.get();
            ask.arg(format!("-oDir::State::status={}", empty.display()));
            ask.args(["-oDebug::NoLocking=1", "-oAPT::Install-Recommends=0"]);
            ask.args(["install", "--yes", "--print-uris"]).args(names);
            let uris = tool::text(&mut ask).map_err(|error| apt.fault(&names.join(" "), &error))?;
            let all: Vec<&str> =
                uris.lines().filter_map(name_of).filter(|name| !skip(name)).collect();
            if all.is_empty() {
                return Err(apt.no_digest(&names.join(" ")));
            }
            let mut packages = apt.bring(&all, report)?;
            packages.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(packages)
        })
    }

    /// Brings exactly these packages into the cache: those that are not there, or are others.
    fn bring(
        &self,
        names: &[&str],
        report: &mut dyn FnMut(Loaded),
    ) -> Result<Vec<Package>, PackageError> {
        // Where a file is there already, apt prints nothing; so this asks from another folder. It
        // asks for downloads because what is printed for installing names weaker digests.
        let mut ask = self.get();
        ask.args(["download", "--print-uris"]).args(names).current_dir("/");
        let uris = tool::text(&mut ask).map_err(|error| self.fault(&names.join(" "), &error))?;
        let packages: Vec<Package> = uris.lines().filter_map(|line| self.package(line)).collect();
        if packages.len() != names.len() {
            return Err(self.no_digest(&names.join(" ")));
        }
        let mut missing = Vec::new();
        for package in &packages {
            if !package.file.is_file() || tool::sha256(&package.file)? != package.sha256 {
                missing.push(package);
            }
        }
        if !missing.is_empty() {
            self.download(&missing, report)?;
        }
        missing.into_iter().try_for_each(|package| self.check(package))?;
        Ok(packages)
    }

    fn download(
        &self,
        missing: &[&Package],
        report: &mut dyn FnMut(Loaded),
    ) -> Result<(), PackageError> {
        let names: Vec<&str> = missing.iter().map(|package| package.name.as_str()).collect();
        let mut get = self.get();
        get.args(["download", "--quiet=2"]).args(&names);
        let loaded = |bytes| Loaded {
            packages: missing.len(),
            bytes,
            total_bytes: missing.iter().map(|package| package.bytes).sum(),
        };
        // What is left of another file must not count as loaded.
        missing.iter().for_each(|package| drop(fs::remove_file(&package.file)));
        report(loaded(0));
        let result = thread::scope(|scope| {
            let work = scope.spawn(|| tool::output(&mut get).map(drop));
            let mut waited = Duration::ZERO;
            while !work.is_finished() {
                thread::sleep(REPORT_EVERY / 10);
                waited += REPORT_EVERY / 10;
                if waited >= REPORT_EVERY {
                    waited = Duration::ZERO;
                    let lengths = missing.iter().filter_map(|it| it.file.metadata().ok());
                    report(loaded(lengths.map(|file| file.len()).sum()));
                }
            }
            work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        result.map_err(|error| self.fault(&names.join(" "), &error))
    }

    /// Asks; if the lists do not know a package or name a file that the archive has no more, asks
    /// again with new lists.
    fn mended<T>(
        &mut self,
        mut ask: impl FnMut(&Self) -> Result<T, PackageError>,
    ) -> Result<T, PackageError> {
        match ask(self) {
            Err(PackageError::Package { .. }) if !self.renewed => {
                let renewed = self.renew();
                // Some archive of the host may be out of reach, and not the one that matters.
                ask(self).map_err(|error| renewed.err().unwrap_or(error))
            }
            other => other,
        }
    }

    /// Fetches the lists anew: the host's own by root, and otherwise, or where they cannot be
    /// written, others from the same sources into a folder of one's own.
    fn renew(&mut self) -> Result<(), PackageError> {
        self.renewed = true;
        eprintln!("tabard: this host's package lists are missing or old; fetching new ones");
        if is_root() && self.update().is_ok() {
            return Ok(());
        }
        self.options.extend(own_lists(&self.cache.join("host"))?);
        self.update()
    }

    fn update(&self) -> Result<(), PackageError> {
        tool::output(self.get().args(["update", "--quiet"])).map(drop)
    }

    /// The package that a line of apt names.
    fn package(&self, line: &str) -> Option<Package> {
        let uri = uri_of(line)?;
        let mut words = uri.file_name.split('_');
        let name = words.next().unwrap_or_default().to_owned();
        let version = words.next().unwrap_or_default().replace("%3a", ":");
        let (file, sha256) = (self.cache.join(uri.file_name), uri.sha256.to_owned());
        Some(Package { name, version, file, bytes: uri.bytes, sha256 })
    }

    /// Whether the file is the one that the signed index names.
    fn check(&self, package: &Package) -> Result<(), PackageError> {
        if tool::sha256(&package.file)? == package.sha256 {
            return Ok(());
        }
        Err(PackageError::Package {
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

    fn no_digest(&self, names: &str) -> PackageError {
        PackageError::Package {
            package: names.to_owned(),
            cause: "Its index does not name a SHA-256 digest for each file".to_owned(),
            next: self.advice(),
        }
    }

    fn fault(&self, package: &str, error: &PackageError) -> PackageError {
        let cause = match error {
            PackageError::Tool { cause, .. } => cause.clone(),
            other => other.to_string(),
        };
        PackageError::Package { package: package.to_owned(), cause, next: self.advice() }
    }

    fn advice(&self) -> String {
        if self.release == host_release() {
            "See that a Debian archive with its section main is in /etc/apt, and that \
             `apt-get update` works as root"
                .to_owned()
        } else {
            format!("See that the host's Debian archive has the release {}", self.release)
        }
    }
}

/// Options for lists in a folder of one's own, which is made.
fn own_lists(folder: &Path) -> Result<Vec<String>, PackageError> {
    let (lists, cache) = (folder.join("lists"), folder.join("cache"));
    make_folder(&lists.join("partial"))?;
    make_folder(&cache.join("archives/partial"))?;
    let no_hooks = folder.join("no-hooks.conf");
    write(&no_hooks, NO_HOOKS)?;
    let mut options = OWN_LISTS.map(str::to_owned).to_vec();
    options.extend([
        format!("-oDir::State::lists={}", lists.display()),
        format!("-oDir::Cache={}", cache.display()),
        format!("-c={}", no_hooks.display()),
    ]);
    Ok(options)
}

fn make_folder(path: &Path) -> Result<(), PackageError> {
    fs::create_dir_all(path).map_err(|source| PackageError::file(path, source))
}

fn write(path: &Path, text: &str) -> Result<(), PackageError> {
    fs::write(path, text).map_err(|source| PackageError::file(path, source))
}

/// The host's release as `/etc/os-release` names it.
#[must_use]
pub fn host_release() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or("unknown").trim_matches('"').to_owned()
}

/// Whether the lists and packages of the host are this user's to change.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
