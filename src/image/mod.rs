//! `tabard image build`: kernel and initrd of a guest from Debian packages that apt has checked.
//! The same packages make the same bytes. It needs no root and installs nothing.

mod agent;
mod cpio;
mod desktop;
pub mod intact;
mod manifest;
mod modules;
mod tiny;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::packages::PackageError;

/// Arguments of `tabard image`.
#[derive(Debug, clap::Args)]
pub struct ImageArgs {
    #[command(subcommand)]
    command: ImageCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ImageCommand {
    /// Make kernel, initrd and manifest of a guest from Debian packages.
    Build(BuildArgs),
}

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// What the guest shall have.
    #[arg(long, value_enum)]
    profile: Profile,
    /// Debian's release; without it, the one that this host's apt installs.
    #[arg(long, value_enum)]
    release: Option<Release>,
    /// A kernel module to carry and load beside those of the profile; may be given again.
    #[arg(long = "module", value_name = "NAME")]
    modules: Vec<String>,
    /// The program that exchanges texts with other guests, for the desktop [default: tabard-agent
    /// beside tabard].
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// The folder for `vmlinuz`, `initrd` and `manifest.toml`.
    out: PathBuf,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Profile {
    /// A kernel, its modules for Tabard's devices, and busybox: a shell on screen and serial port.
    Tiny,
    /// The same with an X server, a window manager, terminals, an editor and a small browser.
    Desktop,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Tiny => "tiny",
            Self::Desktop => "desktop",
        }
    }
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Release {
    /// Debian 12.
    Bookworm,
    /// Debian 13.
    Trixie,
}

impl Release {
    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// Why an image cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Packages or files cannot be had.
    #[error(transparent)]
    Packages(#[from] PackageError),
    /// The kernel has no such module.
    #[error("Linux {version} has no module {module}. Check the name that --module gives")]
    Module {
        /// The name.
        module: String,
        /// The version of the kernel.
        version: String,
    },
    /// A package holds something else than Debian's do.
    #[error("The package {package} does not hold {missing}. Was it changed? Choose --release")]
    Contents {
        /// The package.
        package: String,
        /// What is missing.
        missing: String,
    },
}

impl BuildError {
    /// A fault of a file, with the next step for its kind.
    fn file(path: &Path, source: io::Error) -> Self {
        Self::Packages(PackageError::file(path, source))
    }
}

/// Runs the command: 0 if the image is there, 1 if it could not be built.
#[must_use]
pub fn command(args: &ImageArgs) -> ExitCode {
    let ImageCommand::Build(args) = &args.command;
    let release = args.release.map(Release::name);
    let agent = match args.profile {
        Profile::Tiny => None,
        Profile::Desktop => agent::find(args.agent.as_deref()),
    };
    let carried = (args.modules.as_slice(), agent.as_deref());
    match tiny::build(args.profile, release, carried, &args.out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tabard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Says on the terminal which step runs, and how long each took.
#[derive(Debug)]
struct Progress {
    total: u32,
    done: u32,
}

impl Progress {
    fn new(total: u32) -> Self {
        Self { total, done: 0 }
    }

    /// Runs one step between its two lines.
    fn step<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> Result<T, BuildError>,
    ) -> Result<T, BuildError> {
        self.done += 1;
        eprintln!("[{}/{}] {name} ...", self.done, self.total);
        let begin = Instant::now();
        let result = work()?;
        eprintln!("[{}/{}] {name} ... {}", self.done, self.total, seconds(begin.elapsed()));
        Ok(result)
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}
