//! Plays steps on a desk that runs already, a few lines at a time: for other programs, for Rust
//! tests, and for a person who records by typing.

use std::path::{Path, PathBuf};

use super::check;
use super::fault::{Fault, Faults};
use super::parse::parse_with;
use super::report::{Fate, Result as StepResult};
use super::run::{Runner, State};
use super::snapshots::Snapshots;
use super::source::Variables;
use super::step::Script;
use crate::harness::Harness;
use crate::oracle::Oracle;
use crate::session::desk::Desk;

/// What is played on, and what one request leaves to the next: the last `mark`, the chosen screen.
pub(crate) struct Player<'p> {
    pub(crate) desk: &'p Desk,
    pub(crate) harness: &'p Harness,
    pub(crate) oracle: &'p Oracle,
    /// The folder for pictures.
    pub(crate) out: &'p Path,
    /// The folder of the serial logs, for messages.
    pub(crate) logs: &'p Path,
    pub(crate) snapshots: &'p Snapshots,
    pub(crate) variables: &'p Variables,
    pub(crate) state: State,
}

/// What became of the steps that were played.
#[derive(Debug)]
pub(crate) struct Played {
    /// Each step up to the first that failed.
    pub(crate) results: Vec<StepResult>,
    /// Lines of `echo`, and which needle it was.
    pub(crate) said: Vec<String>,
}

impl Played {
    /// Whether no step failed.
    pub(crate) fn passed(&self) -> bool {
        !self.results.iter().any(|result| matches!(result.fate, Fate::Failed { .. }))
    }
}

impl Player<'_> {
    /// Reads steps, and holds them against the desk; `name` names them in messages, and their files
    /// start from its folder.
    ///
    /// # Errors
    /// Every fault; nothing was played.
    pub(crate) fn read(&self, text: &str, name: &Path) -> Result<Script, Faults> {
        let script = parse_with(text, name, self.variables)?;
        if script.desk.is_some() || !script.screens.is_empty() {
            let cause = "The desk runs already; name it by --desk and its screen by --size";
            let line = script.desk.as_ref().map_or(1, |(line, _)| *line);
            let fault = Fault { file: None, line, cause: cause.to_owned() };
            return Err(Faults { file: PathBuf::from(name), faults: vec![fault] });
        }
        Ok(script)
    }

    /// Plays steps until one fails.
    ///
    /// # Errors
    /// As [`Player::read`].
    pub(crate) fn play(&mut self, script: &Script) -> Result<Played, Faults> {
        let needles = check::check(script, self.desk)?;
        let places = (self.snapshots, self.out, self.logs);
        let mut runner = Runner::new(script, &needles, self.harness, self.oracle, places);
        std::mem::swap(&mut runner.state, &mut self.state);
        let mut results = Vec::new();
        for step in &script.steps {
            let result = runner.play(step);
            let failed = matches!(result.fate, Fate::Failed { .. });
            results.push(result);
            if failed {
                break;
            }
        }
        std::mem::swap(&mut runner.state, &mut self.state);
        Ok(Played { results, said: self.state.said.drain(..).collect() })
    }
}
