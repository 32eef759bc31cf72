//! The end-to-end tests of `tests/` in the test host, for a machine without a `/dev/kvm` of its own.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::arguments::{Arguments, Extra};
use crate::build;

/// The programs of `tests/` that show labels, keys and the secure-attention key through the real
/// processes. The others need a window system, files that the test host has not, or many minutes of
/// emulation.
const PROGRAMS: [&str; 8] =
    ["delivered", "demo", "glass", "lock", "power", "screens", "script", "typing"];
/// For all of them, on a machine that has other things to do as well.
const TIMEOUT: Duration = Duration::from_secs(900);

/// Builds the tests, and runs them there with the programs of the same build.
///
/// # Errors
/// A sentence, if something cannot be built or a test fails.
pub fn run() -> Result<(), String> {
    build::run(build::cargo().args(["build", "--workspace", "--bins"]))?;
    let tests = executables()?;
    let folder = build::target_dir()?.join("debug");
    // Where the tests look for the repository and the programs, and what they are.
    let mut command = vec!["sh".to_owned(), "tests/test-host/end-to-end.sh".to_owned()];
    command.extend([build::root(), folder.clone()].map(|path| path.display().to_string()));
    let names = tests.iter().filter_map(|path| path.file_name());
    command.extend(names.map(|name| name.to_string_lossy().into_owned()));
    let arguments = Arguments {
        programs: Some(folder),
        timeout: TIMEOUT,
        carried: Vec::new(),
        command,
        seat: None,
        extra: Extra { programs: tests, files: Vec::new() },
    };
    if super::run_with(arguments)? == ExitCode::SUCCESS {
        return Ok(());
    }
    Err("An end-to-end test failed in the test host".to_owned())
}

/// Builds the test programs; where they are.
fn executables() -> Result<Vec<PathBuf>, String> {
    let mut cargo = build::cargo();
    cargo.args(["test", "--package", "tabard", "--no-run"]);
    cargo.args(["--message-format", "json-render-diagnostics"]);
    for program in PROGRAMS {
        cargo.args(["--test", program]);
    }
    found(&build::output(&mut cargo)?)
}

/// The test programs that these messages of cargo tell of, in the order of [`PROGRAMS`].
fn found(messages: &str) -> Result<Vec<PathBuf>, String> {
    let messages: Vec<Value> =
        messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let find = |name: &&str| {
        let of = |message: &&Value| message["target"]["name"] == *name;
        let path = messages.iter().filter(of).find_map(|message| message["executable"].as_str());
        path.map(PathBuf::from).ok_or(format!("Cargo did not say where it put the test {name}"))
    };
    PROGRAMS.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_program_must_have_been_built() {
        let line = |name: &str| {
            format!("{{\"target\":{{\"name\":{name:?}}},\"executable\":\"/t/{name}\"}}\n")
        };
        let all: String = PROGRAMS.iter().rev().map(|name| line(name)).collect();
        assert_eq!(found(&all).unwrap()[0], PathBuf::from("/t/delivered"));
        assert!(found(&line("demo")).unwrap_err().contains("delivered"));
    }

    #[test]
    fn every_program_is_in_the_repository() {
        for program in PROGRAMS {
            let file = build::root().join("tests").join(program).with_extension("rs");
            assert!(file.is_file(), "{}", file.display());
        }
    }
}
