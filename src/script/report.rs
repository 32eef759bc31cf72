//! What became of each step, and the lines that a person or a CI reads about it.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::fault::one_line;
use super::step::{Script, Step};
use crate::oracle::Findings;

/// What became of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It did what it should.
    Passed,
    /// It failed; why, and the files that show it.
    Failed {
        /// In one line.
        cause: String,
        /// Pictures and the ends of serial logs.
        details: String,
    },
    /// A step before it failed.
    Skipped,
    /// It is only for other engines or hosts; which.
    LeftOut(String),
}

/// One step, done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Result {
    /// The file that it is in, if that is not the script itself.
    pub(crate) file: Option<PathBuf>,
    /// Its line.
    pub(crate) line: usize,
    /// The line as it was written.
    pub(crate) text: String,
    /// Its section.
    pub(crate) section: String,
    /// How long it took.
    pub(crate) took: Duration,
    /// What became of it.
    pub(crate) fate: Fate,
}

impl Result {
    pub(crate) fn new(step: &Step, took: Duration, fate: Fate) -> Self {
        let (text, section) = (step.text.clone(), step.section.clone());
        let file = step.file.as_deref().map(Path::to_path_buf);
        Self { file, line: step.line, text, section, took, fate }
    }
}

/// How many steps passed, failed, and were not run.
pub(crate) fn counts(results: &[Result]) -> (usize, usize, usize) {
    let count =
        |wanted: fn(&Fate) -> bool| results.iter().filter(|result| wanted(&result.fate)).count();
    (
        count(|fate| *fate == Fate::Passed),
        count(|fate| matches!(fate, Fate::Failed { .. })),
        count(|fate| *fate == Fate::Skipped),
    )
}

/// How many steps were only for other engines or hosts.
pub(crate) fn left_out(results: &[Result]) -> usize {
    results.iter().filter(|result| matches!(result.fate, Fate::LeftOut(_))).count()
}

/// The line that ends a run.
pub(crate) fn summary(results: &[Result], took: Duration, file: &Path) -> String {
    let (passed, failed, skipped) = counts(results);
    let skipped = if skipped == 0 { String::new() } else { format!(", {skipped} not run") };
    let left_out = left_out(results);
    let left_out = if left_out == 0 { String::new() } else { format!(", {left_out} skipped") };
    let plural = if passed == 1 { "step" } else { "steps" };
    format!(
        "tabard test: {passed} {plural} passed, {failed} failed{left_out}{skipped} in {:.1} s ({})",
        took.as_secs_f64(),
        file.display()
    )
}

/// The line about the frames of a run.
pub(crate) fn judged(findings: &Findings) -> String {
    let worst = findings.sak.iter().max().copied().unwrap_or_default();
    format!(
        "tabard test: {} frames judged, {} violations, {} asks for the trusted screen (worst {} ms)",
        findings.frames,
        findings.violations,
        findings.sak.len(),
        worst.as_millis()
    )
}

/// Says each step while it runs, where somebody watches.
#[derive(Debug)]
pub(crate) struct Progress {
    watched: bool,
    section: String,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { watched: std::io::stderr().is_terminal(), section: String::new() }
    }

    /// A step begins.
    pub(crate) fn begin(&mut self, step: &Step) {
        if !self.watched {
            return;
        }
        if self.section != step.section {
            self.section.clone_from(&step.section);
            eprintln!("{}", one_line(&step.section));
        }
        eprint!("{:>5}  {}", step.line, one_line(&step.text));
        // Without this the line would appear when the step is over.
        let _ = std::io::stderr().flush();
    }

    /// It is over.
    pub(crate) fn end(&self, result: &Result) {
        if self.watched {
            let took = result.took.as_secs_f64();
            let word = match result.fate {
                Fate::Passed => "",
                Fate::LeftOut(_) => "  SKIPPED",
                Fate::Failed { .. } | Fate::Skipped => "  FAILED",
            };
            eprintln!("  ({took:.1} s){word}");
        }
    }

    /// It is not played here: said whether anybody watches or not.
    pub(crate) fn left_out(result: &Result) {
        if let Fate::LeftOut(why) = &result.fate {
            println!("line {}: skipped, {why}: {}", result.line, one_line(&result.text));
        }
    }

    /// Something that a step found worth saying.
    pub(crate) fn failed(script: &Script, result: &Result) {
        if let Fate::Failed { cause, details } = &result.fate {
            let file = result.file.as_ref().unwrap_or(&script.file).display();
            let line = result.line;
            eprintln!("{file}:{line}: {} failed: {cause}", one_line(&result.text));
            eprint!("{details}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(fate: Fate) -> Result {
        let (text, section) = ("sak".to_owned(), String::new());
        Result { file: None, line: 1, text, section, took: Duration::ZERO, fate }
    }

    #[test]
    fn the_summary_can_be_read_by_a_ci() {
        let took = Duration::from_millis(1_840);
        let passed: Vec<Result> = (0..12).map(|_| result(Fate::Passed)).collect();
        assert_eq!(
            summary(&passed, took, Path::new("a.tabard")),
            "tabard test: 12 steps passed, 0 failed in 1.8 s (a.tabard)"
        );
        let failed = Fate::Failed { cause: String::new(), details: String::new() };
        let some = [result(Fate::Passed), result(failed), result(Fate::Skipped)];
        assert_eq!(
            summary(&some, took, Path::new("a.tabard")),
            "tabard test: 1 step passed, 1 failed, 1 not run in 1.8 s (a.tabard)"
        );
    }
}
