//! The steps of the language on a desk that a Rust program runs: for the crate `tabard-test`.

use std::fmt;
use std::path::{Path, PathBuf};

use super::fault::Faults;
use super::player::Player;
use super::report::Fate;
use super::run::State;
use super::snapshots::Snapshots;
use super::source::Variables;
use crate::harness::Harness;
use crate::oracle::Oracle;
use crate::session::desk::Desk;

/// What steps are called in messages; their files start from the present folder.
const NAME: &str = "steps";

/// Plays steps on a running desk, all but `save` and `from`. `mark` and the chosen `screen` hold from one call to the next.
pub struct Live {
    desk: Desk,
    oracle: Oracle,
    logs: PathBuf,
    out: PathBuf,
    variables: Variables,
    state: Option<State>,
}

/// Why steps were not all played.
#[derive(Debug)]
pub enum LiveError {
    /// Something is wrong with them, with their lines: nothing was played.
    Fault(String),
    /// A step failed, and those after it were not played.
    Failed {
        /// The step as it was written.
        step: String,
        /// Why, in a sentence.
        cause: String,
        /// Pictures that show it, and the last lines that guests printed.
        details: String,
    },
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(faults) => f.write_str(faults),
            Self::Failed { step, cause, details } => write!(f, "{step} failed: {cause}\n{details}"),
        }
    }
}

impl std::error::Error for LiveError {}

impl From<Faults> for LiveError {
    fn from(faults: Faults) -> Self {
        Self::Fault(faults.to_string())
    }
}

impl Live {
    /// For the desk that a [`Harness`] runs, which has its serial logs in `logs`; pictures go to `out`.
    /// The oracle is told when the steps switch, if it judges that desk.
    #[must_use]
    pub fn new(desk: Desk, oracle: Oracle, logs: &Path, out: &Path) -> Self {
        let (logs, out) = (logs.to_path_buf(), out.to_path_buf());
        Self { desk, oracle, logs, out, variables: Variables::new(), state: None }
    }

    /// The value of a variable in the steps to come, which write it as `${NAME}`.
    pub fn set(&mut self, name: &str, value: &str) {
        self.variables.insert(name.to_owned(), value.to_owned());
    }

    /// Plays one line of the language or several; returns what they had to say: lines of `echo`, and
    /// which needle it was.
    ///
    /// # Errors
    /// [`LiveError`].
    pub fn play(&mut self, harness: &Harness, steps: &str) -> Result<Vec<String>, LiveError> {
        let state = self.state.take().unwrap_or_else(|| State::new(harness));
        let mut player = Player {
            desk: &self.desk,
            harness,
            oracle: &self.oracle,
            out: &self.out,
            logs: &self.logs,
            snapshots: &Snapshots::none(),
            variables: &self.variables,
            state,
        };
        let read = player.read(steps, Path::new(NAME));
        let played = read.and_then(|script| player.play(&script));
        self.state = Some(player.state);
        let played = played?;
        let failed = played.results.into_iter().find_map(|result| match result.fate {
            Fate::Failed { cause, details } => {
                Some(LiveError::Failed { step: result.text, cause, details })
            }
            _ => None,
        });
        failed.map_or(Ok(played.said), Err)
    }
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("out", &self.out).finish_non_exhaustive()
    }
}
