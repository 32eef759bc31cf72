//! Runs `cargo test`, counts the tests by what their programs say at the end, and ends one that stands
//! still.

use std::fmt;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use std::{fs, thread};

use crate::build;

/// Longest silence of a program of tests, each of which ends on its own long before.
const SILENCE: Duration = Duration::from_secs(15 * 60);

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
    let (sender, lines) = mpsc::channel();
    let out = child.stdout.take();
    thread::spawn(move || {
        for line in out.into_iter().flat_map(|out| BufReader::new(out).split(b'\n')) {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    loop {
        match lines.recv_timeout(SILENCE) {
            Ok(line) => {
                let line = String::from_utf8_lossy(&line);
                counted.add(&line);
                // A terminal that has gone does not end the tests.
                let _ = writeln!(std::io::stdout(), "{line}");
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                end(&mut child);
                let minutes = SILENCE.as_secs() / 60;
                let words = build::words(command);
                return Err(format!("{words}: nothing was heard for {minutes} minutes"));
            }
        }
    }
    let status = child.wait().map_err(|error| format!("Cannot wait: {error}"))?;
    if status.success() {
        return Ok(counted);
    }
    Err(format!("{} failed: {status}", build::words(command)))
}

/// Ends a program and all that it started, from the youngest to the oldest.
fn end(child: &mut Child) {
    let mut all = vec![child.id()];
    let mut next = 0;
    while let Some(process) = all.get(next) {
        let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let children =
            tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
        let children: Vec<u32> = children
            .flat_map(|text| text.split(' ').flat_map(str::parse).collect::<Vec<u32>>())
            .collect();
        all.extend(children);
        next += 1;
    }
    for process in all.iter().rev() {
        let mut kill = Command::new("kill");
        // It may have ended already.
        let _ = kill.args(["-KILL", &process.to_string()]).stderr(Stdio::null()).status();
    }
    let _ = child.wait();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_ended_with_all_that_it_started() {
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo $!; wait"]).stdout(Stdio::piped());
        let mut child = shell.spawn().expect("a shell");
        let mut line = String::new();
        let out = child.stdout.take().expect("its output");
        BufReader::new(out).read_line(&mut line).expect("a number");
        end(&mut child);
        let state = fs::read_to_string(format!("/proc/{}/stat", line.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }

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
