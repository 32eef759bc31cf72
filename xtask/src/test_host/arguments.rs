//! The command line of `cargo test-host`.

use std::path::PathBuf;
use std::time::Duration;

const USAGE: &str = "Write: cargo test-host [--timeout SECONDS] [--programs FOLDER] \
                     [--carry FOLDER]... -- COMMAND..., with --seat in place of the command, or: \
                     cargo test-host --scenarios";
/// Runs the lines that come in on the serial port.
const REMOTE_SHELL: &str = "exec 9</dev/ttyS1; while read -r line <&9; do eval \"$line\"; done";

/// What to run, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The folder of `tabard` and `tabard-vmm`; without it, their release is built.
    pub programs: Option<PathBuf>,
    /// How long the command may run.
    pub timeout: Duration,
    /// Folders that the command finds in `/carried`.
    pub carried: Vec<PathBuf>,
    /// The command and its arguments; never empty.
    pub command: Vec<String>,
    /// Whether the seat is to be tried; the command is then a shell for its script.
    pub seat: bool,
}

/// Reads the arguments after `test-host`.
///
/// # Errors
/// A sentence that says what they look like.
pub fn parse(args: &[String]) -> Result<Arguments, String> {
    let mut programs = None;
    let mut carried = Vec::new();
    let mut timeout = Duration::from_secs(600);
    let mut seat = false;
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value. {USAGE}"));
        match word.as_str() {
            "--" => break,
            "--seat" => seat = true,
            "--programs" => programs = Some(PathBuf::from(value()?)),
            "--carry" => carried.push(PathBuf::from(value()?)),
            "--timeout" => {
                let seconds = value()?.parse().map_err(|_| {
                    format!("--timeout needs a number of seconds, such as 600. {USAGE}")
                })?;
                timeout = Duration::from_secs(seconds);
            }
            _ => return Err(format!("test-host knows no {word:?}. {USAGE}")),
        }
    }
    let mut command: Vec<String> = words.cloned().collect();
    if seat && command.is_empty() {
        command = ["sh", "-c", REMOTE_SHELL].map(str::to_owned).to_vec();
    } else if seat {
        return Err(format!("--seat takes no command. {USAGE}"));
    }
    if command.is_empty() {
        return Err(format!("There is no command to run. {USAGE}"));
    }
    Ok(Arguments { programs, timeout, carried, command, seat })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Arguments, String> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn what_follows_two_dashes_is_the_command() {
        let arguments = parse_words("--timeout 5 -- tabard test --timeout x").unwrap();
        assert_eq!(arguments.timeout, Duration::from_secs(5));
        assert_eq!(arguments.command, ["tabard", "test", "--timeout", "x"]);
    }

    #[test]
    fn a_command_is_needed() {
        for bad in ["", "--", "tabard", "--timeout", "--timeout x -- tabard"] {
            assert!(parse_words(bad).is_err(), "{bad}");
        }
    }
}
