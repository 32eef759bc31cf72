//! `cargo conformance`: runs the tests that stand for each requirement and writes
//! `docs/conformance.md` from what they said. A requirement without a test says so.

mod rows;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::process::{Command, Stdio};

use crate::build;

use rows::{ROWS, Row};

/// A test, or all tests whose path starts with `name`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Test {
    /// Package that has it.
    package: &'static str,
    /// `lib`, or the name of a test program.
    program: &'static str,
    /// Start of its path, such as `invariants::invariant_3`; empty for all of the program.
    name: &'static str,
}

/// What the tests of one program said: the path of each, and whether it passed.
type Said = BTreeMap<String, bool>;

/// What one program said, and lines of it that hold figures.
#[derive(Default)]
struct Program {
    said: Said,
    figures: Vec<String>,
}

/// What became of a row.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    passed: usize,
    failed: Vec<String>,
    /// Tests that the table names and no program has.
    missing: Vec<String>,
}

/// Runs everything and writes the page.
///
/// # Errors
/// A sentence, if a test failed or is missing, or the page cannot be written.
pub fn run() -> Result<(), String> {
    // The tests of `tabard` start the `tabard-vmm` beside it.
    build::run(build::cargo().args(["build", "--workspace", "--bins"]))?;
    let mut programs: BTreeMap<(&str, &str), Program> = BTreeMap::new();
    let wanted: BTreeSet<Test> = ROWS.iter().flat_map(|row| row.tests).copied().collect();
    for test in &wanted {
        let key = (test.package, test.program);
        if let Entry::Vacant(place) = programs.entry(key) {
            let same = wanted.iter().filter(|one| (one.package, one.program) == key);
            let names: Vec<&str> = same.map(|one| one.name).collect();
            place.insert(ask(test.package, test.program, &names)?);
        }
    }
    let page = page(&programs);
    let file = build::root().join("docs/conformance.md");
    fs::write(&file, page).map_err(|why| format!("Cannot write {}: {why}", file.display()))?;
    eprintln!("conformance: wrote {}", file.display());
    let bad: Vec<&str> = ROWS
        .iter()
        .filter(|row| !verdict(row, &programs).is_good())
        .map(|row| row.requirement)
        .collect();
    if bad.is_empty() { Ok(()) } else { Err(format!("conformance: not met: {}", bad.join(", "))) }
}

/// Runs one program's tests with these names.
fn ask(package: &str, program: &str, names: &[&str]) -> Result<Program, String> {
    let mut cargo = build::cargo();
    if program == rows::FUZZ {
        cargo.args(["run", "--quiet", "--package", package, "--", "--executions", "3000"]);
    } else {
        cargo.args(["test", "--package", package]);
        if program == "lib" {
            cargo.arg("--lib");
        } else {
            cargo.args(["--test", program]);
        }
        cargo.args(["--", "--format", "pretty"]);
        // An empty name stands for all.
        if !names.contains(&"") {
            cargo.args(names);
        }
    }
    eprintln!("conformance: {package} {program}");
    let output = output(&mut cargo)?;
    Ok(read(&output))
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|why| format!("Cannot run {command:?}: {why}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Takes `test PATH ... ok` and lines of figures from what a program printed.
fn read(text: &str) -> Program {
    let mut program = Program::default();
    for line in text.lines() {
        if let Some((path, result)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            program.said.insert(path.trim().to_owned(), result.starts_with("ok"));
        } else if let Some(figures) =
            line.strip_prefix("hostile: ").or_else(|| line.strip_prefix("fuzz: "))
        {
            if line.starts_with("fuzz: ") {
                program.said.insert(rows::FUZZ.to_owned(), line.contains(" 0 findings"));
            }
            program.figures.push(figures.to_owned());
        }
    }
    program
}

impl Verdict {
    fn is_good(&self) -> bool {
        self.failed.is_empty() && self.missing.is_empty()
    }
}

fn verdict(row: &Row, programs: &BTreeMap<(&str, &str), Program>) -> Verdict {
    let mut verdict = Verdict { passed: 0, failed: Vec::new(), missing: Vec::new() };
    for test in row.tests {
        let program = programs.get(&(test.package, test.program));
        let said = program.into_iter().flat_map(|program| &program.said);
        let mut found = false;
        for (path, passed) in said.filter(|(path, _)| path.starts_with(test.name)) {
            found = true;
            if *passed {
                verdict.passed += 1;
            } else {
                verdict.failed.push(path.clone());
            }
        }
        if !found {
            verdict.missing.push(format!("{} {} {}", test.package, test.program, test.name));
        }
    }
    verdict
}

fn page(programs: &BTreeMap<(&str, &str), Program>) -> String {
    let mut page = String::from(
        "# Conformance\n\n\
         What an evaluator would ask of a switch for keyboard, pointer and video and of a\n\
         virtualization client, in our words, and the tests that stand for it. The names are those\n\
         of NIAP's Protection Profile for Peripheral Sharing Devices 4.0 and its modules, and of the\n\
         Virtualization base PP with its client module. This page is written by\n\
         `cargo conformance` from tests that it ran; it is no certificate and claims none.\n\n",
    );
    for row in ROWS {
        let verdict = verdict(row, programs);
        let result = if row.tests.is_empty() {
            "no test".to_owned()
        } else if verdict.is_good() {
            "met".to_owned()
        } else {
            let names = verdict.failed.iter().chain(&verdict.missing);
            let names: Vec<&str> = names.map(String::as_str).collect();
            format!("**not met**: {}", names.join(", "))
        };
        let _ = write!(page, "## {}\n\n{}\n\n", row.requirement, row.meaning);
        let _ = writeln!(page, "- Done: {}", row.done);
        if row.tests.is_empty() {
            let _ = writeln!(page, "- Counted: nothing; no test stands for this.");
        } else {
            let noun = if verdict.passed == 1 { "test" } else { "tests" };
            let _ = writeln!(page, "- Counted: {} {noun} passed.", verdict.passed);
        }
        let programs: BTreeSet<_> =
            row.tests.iter().map(|one| (one.package, one.program)).collect();
        for (package, program) in programs {
            let names: Vec<String> = row
                .tests
                .iter()
                .filter(|one| (one.package, one.program) == (package, program))
                .map(
                    |one| {
                        if one.name.is_empty() { "all".into() } else { format!("`{}`", one.name) }
                    },
                )
                .collect();
            let _ = writeln!(page, "  - `{package}`, {program}: {}", names.join(", "));
        }
        let _ = writeln!(page, "- Result: {result}");
        if !row.open.is_empty() {
            let _ = writeln!(page, "- Open: {}", row.open);
        }
        page.push('\n');
    }
    page.push_str("## Figures of this run\n\n");
    for figures in programs.values().flat_map(|program| &program.figures) {
        let _ = writeln!(page, "- {figures}");
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row {
        requirement: "R",
        meaning: "M",
        done: "D",
        tests: &[Test { package: "p", program: "lib", name: "a::" }],
        open: "",
    };

    fn programs(text: &str) -> BTreeMap<(&'static str, &'static str), Program> {
        BTreeMap::from([(("p", "lib"), read(text))])
    }

    #[test]
    fn what_passed_is_counted_and_other_tests_are_not() {
        let programs = programs("test a::one ... ok\ntest b::two ... FAILED\ntest a::x ... ok\n");
        let verdict = verdict(&ROW, &programs);
        assert_eq!((verdict.passed, verdict.is_good()), (2, true));
    }

    #[test]
    fn one_that_fails_fails_the_row_and_is_named() {
        let programs = programs("test a::one ... ok\ntest a::two ... FAILED\n");
        assert!(page(&programs).contains("no test") || !ROWS.is_empty());
        assert_eq!(verdict(&ROW, &programs).failed, ["a::two"]);
    }

    #[test]
    fn a_test_that_nobody_has_fails_the_row() {
        let programs = programs("test b::one ... ok\n");
        assert_eq!(verdict(&ROW, &programs).missing, ["p lib a::"]);
    }

    #[test]
    fn findings_of_the_fuzzer_are_a_failure() {
        let good = read("fuzz: 13 targets, 9 executions, 0 findings, guided by outcomes, seed 1\n");
        let bad = read("fuzz: 13 targets, 9 executions, 2 findings, guided by outcomes, seed 1\n");
        assert_eq!((good.said["fuzz"], bad.said["fuzz"]), (true, false));
    }
}
