//! What other programs drive a desk with, tried on this build: the example of the Rust crate, the
//! Python package with its examples.

use std::path::Path;
use std::process::Command;

use crate::build;

/// The Python that Debian's packages of pytest and mypy are for.
const PYTHON: &str = "/usr/bin/python3";
/// Types are held strictly.
const MYPY: &str = "/usr/bin/mypy";

/// As [`run`], with programs that are built first.
///
/// # Errors
/// As [`run`].
pub fn run_by_hand(engine: &str) -> Result<(), String> {
    build::run(build::cargo().args(["build", "--workspace", "--bins"]))?;
    run(&build::target_dir()?.join("debug/tabard"), engine)
}

/// Plays the example of the crate and all of the Python package, on this engine.
///
/// # Errors
/// A sentence that names what failed or is missing.
pub fn run(tabard: &Path, engine: &str) -> Result<(), String> {
    let mut example = build::cargo();
    example.args(["run", "--quiet", "--package", "tabard-test", "--example", "typing"]);
    build::run(example.env("TABARD_TEST_ENGINE", engine))?;

    let folder = build::root().join("clients/python");
    let python = if Path::new(PYTHON).exists() { PYTHON } else { "python3" };
    let has = Command::new(python).args(["-c", "import pytest"]).status();
    if !has.is_ok_and(|status| status.success()) {
        return Err(format!(
            "{python} has no pytest; run: sudo apt-get install -y --no-install-recommends \
             python3-pytest mypy"
        ));
    }
    let out = build::target_dir()?.join("clients/python").join(engine);
    let mut tests = Command::new(python);
    tests.args(["-m", "pytest", "--quiet", "-p", "tabard_test.plugin", "-p", "no:cacheprovider"]);
    tests.arg("--tabard").arg(tabard).args(["--tabard-engine", engine]);
    tests.arg("--tabard-out").arg(&out).args(["tests", "examples"]);
    tests.current_dir(&folder).env("PYTHONPATH", &folder).env("PYTHONDONTWRITEBYTECODE", "1");
    build::run(&mut tests)?;
    let mypy = if Path::new(MYPY).exists() { MYPY } else { "mypy" };
    let mut types = Command::new(mypy);
    types.args(["--strict", "--cache-dir", "/dev/null", "tabard_test", "tests", "examples"]);
    build::run(types.current_dir(&folder))
}
