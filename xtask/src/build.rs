//! Runs cargo, and knows where it puts things.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The cargo that runs this task, in the root of the repository.
#[must_use]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut cargo = Command::new(program);
    cargo.current_dir(root());
    cargo
}

/// Runs a command to its end; what it prints goes to the terminal.
///
/// # Errors
/// A sentence, if it cannot start or fails.
pub fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| cannot_start(command, &error))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", words(command))) }
}

/// Runs a command to its end and returns what it prints; its messages go to the terminal.
///
/// # Errors
/// A sentence, if it cannot start or fails.
pub fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| cannot_start(command, &error))?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", words(command), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What cargo knows of the workspace's own packages.
///
/// # Errors
/// A sentence, if cargo cannot say it.
pub fn metadata() -> Result<Value, String> {
    let text = output(cargo().args(["metadata", "--format-version", "1", "--no-deps"]))?;
    serde_json::from_str(&text).map_err(|error| format!("Cargo's metadata: {error}"))
}

/// The folder where cargo builds.
///
/// # Errors
/// A sentence, if cargo cannot say it.
pub fn target_dir() -> Result<PathBuf, String> {
    let metadata = metadata()?;
    let folder = metadata["target_directory"].as_str();
    folder.map(PathBuf::from).ok_or_else(|| "Cargo did not say where it builds".to_owned())
}

/// Builds the programs for release, side by side, and returns the path of `tabard`.
///
/// # Errors
/// A sentence, if the build fails.
pub fn release() -> Result<PathBuf, String> {
    programs(cargo().args(["build", "--release", "--package", "tabard-agent"]))
}

/// Builds the programs for a look at them: what is waited for is the build. Windows are more than
/// a third of it, so they are left out where there is no display.
///
/// # Errors
/// As [`release`].
pub fn demo(window: bool) -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["build", "--profile", "demo"]);
    if !window {
        build.arg("--no-default-features");
    }
    programs(&mut build)
}

/// The same for Debian guests, with the agent that goes into their image, and what reads their text.
///
/// # Errors
/// As [`release`].
pub fn demo_with_agent() -> Result<PathBuf, String> {
    let mut build = cargo();
    build.args(["build", "--profile", "demo", "--no-default-features"]);
    programs(build.args(["--package", "tabard-agent", "--package", "tabard-ocr"]))
}

/// Builds `tabard` and what runs guests for it, side by side; the path of `tabard`.
fn programs(build: &mut Command) -> Result<PathBuf, String> {
    build.args(["--package", "tabard", "--package", "tabard-vmm"]);
    build.args(["--bins", "--message-format", "json-render-diagnostics"]);
    let messages = output(build)?;
    let built = messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    built
        .filter(|message| message["target"]["name"] == "tabard")
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
        .ok_or_else(|| "Cargo did not say where it put the program".to_owned())
}

/// A command as it would be typed.
#[must_use]
pub fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let args = command.get_args().map(|arg| arg.to_string_lossy());
    let words: Vec<_> = std::iter::once(program.to_string_lossy()).chain(args).collect();
    format!("`{}`", words.join(" "))
}

/// A sentence about a file that cannot be used.
pub fn cannot(what: &str, path: &Path, error: &std::io::Error) -> String {
    format!("Cannot {what} {}: {error}", path.display())
}

fn cannot_start(command: &Command, error: &std::io::Error) -> String {
    format!("Cannot start {}: {error}", words(command))
}
