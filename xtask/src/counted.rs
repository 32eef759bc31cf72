//! Runs `cargo test` and counts the tests by what their programs say at the end.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::build;

/// How many tests there were.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Those that passed.
    pub passed: u32,
    /// Those that were left out.
    pub ignored: u32,
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.passed)?;
        if self.ignored > 0 {
            write!(f, " ({} left out)", self.ignored)?;
        }
        Ok(())
    }
}

impl Counted {
    /// Reads a line such as `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let number = |word: &str| {
            let words: Vec<&str> = result.split([' ', ';']).collect();
            let at = words.iter().position(|one| *one == word)?;
            words.get(at.checked_sub(1)?)?.parse::<u32>().ok()
        };
        self.passed += number("passed").unwrap_or(0);
        self.ignored += number("ignored").unwrap_or(0);
    }
}

/// Runs it to its end, with its output on the terminal.
///
/// # Errors
/// A sentence, if it cannot start or fails.
pub fn run(command: &mut Command) -> Result<Counted, String> {
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("Cannot start {}: {error}", build::words(command)))?;
    let mut counted = Counted::default();
    let lines = child.stdout.take().map(BufReader::new).into_iter();
    for line in lines.flat_map(|reader| reader.split(b'\n')).map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line);
        counted.add(&line);
        // A terminal that has gone does not end the tests.
        let _ = writeln!(std::io::stdout(), "{line}");
    }
    let status = child.wait().map_err(|error| format!("Cannot wait: {error}"))?;
    if status.success() {
        return Ok(counted);
    }
    Err(format!("{} failed: {status}", build::words(command)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_lines_of_test_programs_are_counted() {
        let mut counted = Counted::default();
        for line in [
            "test a ... ok",
            "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out",
            "test result: ok. 133 passed; 0 failed",
        ] {
            counted.add(line);
        }
        assert_eq!(counted, Counted { passed: 145, ignored: 1 });
        assert_eq!(counted.to_string(), "145 (1 left out)");
    }
}
