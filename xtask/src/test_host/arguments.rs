//! The command line of `cargo test-host`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

const USAGE: &str = "Write: cargo test-host [--timeout SECONDS] [--programs FOLDER] \
                     [--carry FOLDER]... -- COMMAND..., with --seat [--actions NUMBER] [--seed NUMBER] \
                     before or in place of the command";
/// What to play.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// How many actions.
    pub actions: u32,
    /// What they are drawn from; never 0.
    pub seed: u64,
    /// Whether what takes longest is played too: a screen that is lost, and systemd.
    pub whole: bool,
}

impl Default for Plan {
    fn default() -> Self {
        Self { actions: 30, seed: 0x2545_f491_4f6c_dd1d, whole: true }
    }
}

/// What to run, and how.
#[derive(Debug, PartialEq, Eq)]
pub struct Arguments {
    /// The folder of `tabard` and `tabard-vmm`; without it, their release is built.
    pub programs: Option<PathBuf>,
    /// How long the command may run.
    pub timeout: Duration,
    /// Folders that the command finds in `/carried`.
    pub carried: Vec<PathBuf>,
    /// The command and its arguments; empty only if the seat is all that is to be tried.
    pub command: Vec<String>,
    /// What is to be played on the seat before the command.
    pub seat: Option<Plan>,
    /// What is packed beside Tabard.
    pub extra: Extra,
}

/// Programs and files of this machine that the command needs.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Extra {
    /// They are in the path of the command, with their libraries.
    pub programs: Vec<PathBuf>,
    /// They are where they are here; a library's own libraries come with it.
    pub files: Vec<PathBuf>,
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
    let mut plan = Plan::default();
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value. {USAGE}"));
        match word.as_str() {
            "--" => break,
            "--seat" => seat = true,
            "--actions" => plan.actions = number(value()?, word)?,
            "--seed" => plan.seed = number(value()?, word)?,
            "--programs" => programs = Some(PathBuf::from(value()?)),
            "--carry" => carried.push(PathBuf::from(value()?)),
            "--timeout" => {
                let seconds: u32 = number(value()?, word)?;
                timeout = Duration::from_secs(seconds.into());
            }
            _ => return Err(format!("test-host knows no {word:?}. {USAGE}")),
        }
    }
    let command: Vec<String> = words.cloned().collect();
    if command.is_empty() && !seat {
        return Err(format!("There is no command to run. {USAGE}"));
    }
    // Where a command follows, it is that which the boot is for.
    plan.whole = command.is_empty();
    let seat = seat.then_some(plan);
    let extra = Extra::default();
    Ok(Arguments { programs, timeout, carried, command, seat, extra })
}

/// A number that is not 0.
fn number<T: FromStr + Default + PartialEq>(text: &str, option: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number != T::default());
    number.ok_or_else(|| format!("{option} needs a number, such as 600. {USAGE}"))
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
    fn the_seat_needs_no_command() {
        let plan = parse_words("--seat --actions 200 --seed 7").unwrap().seat;
        assert_eq!(plan, Some(Plan { actions: 200, seed: 7, ..Plan::default() }));
        assert!(parse_words("--seat --seed 0").is_err());
    }

    #[test]
    fn a_command_is_needed() {
        for bad in ["", "--", "tabard", "--timeout", "--timeout x -- tabard"] {
            assert!(parse_words(bad).is_err(), "{bad}");
        }
    }
}
