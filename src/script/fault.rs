//! What is wrong with a script: every fault at once, each with its line, cause and next step.

use std::fmt;
use std::path::PathBuf;

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file, if it is not the script itself.
    pub(crate) file: Option<PathBuf>,
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What is wrong, and what to do about it: one or more sentences.
    pub(crate) cause: String,
}

/// All faults of one script; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Faults {
    /// The script.
    pub(crate) file: PathBuf,
    /// The faults.
    pub(crate) faults: Vec<Fault>,
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            let file = fault.file.as_ref().unwrap_or(&self.file);
            write!(f, "{}:{}: {}", file.display(), fault.line, one_line(&fault.cause))?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// A text that may quote a script or a guest, without anything that could forge a line of its own
/// or drive a terminal.
pub(crate) fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_one_line_whatever_it_quotes() {
        let fault = Fault { file: None, line: 3, cause: "a\nb\u{1b}[2J \"c\"".to_owned() };
        let faults = Faults { file: "x.tabard".into(), faults: vec![fault] };
        assert_eq!(faults.to_string(), "x.tabard:3: a\\nb\\u{1b}[2J \"c\"");
    }
}
