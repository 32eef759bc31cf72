//! What is wrong with a desk file: every fault at once, each with its line, cause and next step.

use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};

/// A value with its place in the file (a byte offset).
#[derive(Debug, Clone)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub next: String,
}

/// All faults of one file, in the order of their lines; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeskFaults {
    /// The file.
    pub file: PathBuf,
    /// The faults.
    pub faults: Vec<Fault>,
}

impl fmt::Display for DeskFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{}:{}: {}. {}", self.file.display(), fault.line, fault.cause, fault.next)?;
        }
        Ok(())
    }
}

impl std::error::Error for DeskFaults {}

/// Collects faults while the rest of the file is still read.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    faults: RefCell<Vec<Fault>>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, faults: RefCell::default() }
    }

    /// Notes a fault at this byte of the file.
    pub(super) fn fault(&self, at: usize, cause: impl Into<String>, next: impl Into<String>) {
        self.fault_on_line(self.line(at), cause, next);
    }

    /// As [`Report::fault`], on a line from 1.
    pub(super) fn fault_on_line(
        &self,
        line: usize,
        cause: impl Into<String>,
        next: impl Into<String>,
    ) {
        // The cause may quote the file: escape what could forge a line or look like another
        // letter.
        let cause = cause
            .into()
            .trim_end_matches('.')
            .chars()
            .map(|c| match c {
                ' '..='~' => c.to_string(),
                other => other.escape_unicode().to_string(),
            })
            .collect();
        self.faults.borrow_mut().push(Fault { line, cause, next: next.into() });
    }

    /// The line, from 1, that this byte of the file is on.
    pub(super) fn line(&self, at: usize) -> usize {
        let before = self.text.get(..at).unwrap_or(self.text);
        before.bytes().filter(|byte| *byte == b'\n').count().saturating_add(1)
    }

    pub(super) fn is_clean(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    pub(super) fn finish(self, file: &Path) -> DeskFaults {
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|fault| fault.line);
        DeskFaults { file: file.to_path_buf(), faults }
    }

    /// Refuses the name of a `what` that cannot be shown, or looks like one of the others.
    pub(super) fn check_name<'n>(
        &self,
        what: &str,
        name: &Placed<String>,
        mut others: impl Iterator<Item = &'n String>,
    ) {
        let Placed { value: name, at } = name;
        if let Err(error) = tabard_labels::check_text(name) {
            let cause = format!("The {what} name {name:?} cannot be used: {}", chain(&error));
            self.fault(*at, cause, "Use a short name of printable ASCII characters");
        }
        if let Some(other) = others.find(|other| tabard_labels::look_alike(other, name)) {
            let cause = format!("The {what}s {other:?} and {name:?} have names that look alike");
            self.fault(*at, cause, "Rename one, so that nobody takes one for the other");
        }
    }
}

/// An error and its sources in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
