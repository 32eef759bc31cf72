//! Runs the tools that read and write Debian's formats. Every Debian host has them.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use super::PackageError;

/// Runs a tool to its end and returns what it prints.
///
/// # Errors
/// [`PackageError::Start`] if it is not there, [`PackageError::Tool`] with its own last message if it
/// fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>, PackageError> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|source| cannot_start(command, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with("W: "))
        .map(|line| line.trim_start_matches("E: "))
        .collect();
    let cause = match errors.as_slice() {
        [] => output.status.to_string(),
        errors => errors.join("; "),
    };
    Err(PackageError::Tool { tool: words(command), cause })
}

/// Like [`output`], as text.
///
/// # Errors
/// As [`output`].
pub fn text(command: &mut Command) -> Result<String, PackageError> {
    Ok(String::from_utf8_lossy(&output(command)?).into_owned())
}

/// Compresses a file without a name or a time in it, so that the same bytes make the same bytes.
///
/// # Errors
/// [`PackageError`], with the file that cannot be read or written.
pub fn gzip(from: &Path, to: &Path) -> Result<(), PackageError> {
    let source = File::open(from).map_err(|source| PackageError::file(from, source))?;
    let target = File::create(to).map_err(|source| PackageError::file(to, source))?;
    let mut command = Command::new("gzip");
    command.args(["--no-name", "-6", "--stdout"]);
    let status = command
        .stdin(source)
        .stdout(target)
        .status()
        .map_err(|source| cannot_start(&command, source))?;
    if status.success() {
        return Ok(());
    }
    Err(PackageError::Tool {
        tool: words(&command),
        cause: format!("{status}, while writing {}", to.display()),
    })
}

/// The SHA-256 digest of a file, in hexadecimal.
///
/// # Errors
/// [`PackageError`], if the file cannot be read.
pub fn sha256(path: &Path) -> Result<String, PackageError> {
    let mut command = Command::new("sha256sum");
    let text = text(command.arg("--").arg(path))?;
    let digest = text.trim_start_matches('\\').split_whitespace().next().unwrap_or_default();
    Ok(digest.to_owned())
}

fn cannot_start(command: &Command, source: io::Error) -> PackageError {
    let program = command.get_program().to_string_lossy().into_owned();
    let package = match program.as_str() {
        "apt-get" | "apt-cache" => "apt",
        "dpkg-deb" => "dpkg",
        "xz" => "xz-utils",
        "sha256sum" => "coreutils",
        "gzip" => "gzip",
        _ => "kmod",
    };
    PackageError::Start { program, package, source }
}

/// A command as it would be typed, without long options that mean nothing to a reader.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let args = command.get_args().filter(|arg| !is_setting(arg)).map(OsStr::to_string_lossy);
    let words: Vec<_> = std::iter::once(program.to_string_lossy()).chain(args).collect();
    format!("`{}`", words.join(" "))
}

fn is_setting(arg: &OsStr) -> bool {
    let arg = arg.to_string_lossy();
    arg.starts_with("-o") || arg.starts_with("-c=")
}
