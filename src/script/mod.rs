//! `tabard test`: runs a desk without a screen from a script, and checks what it shows and does.
//!
//! The machines, the processes and the trusted path are the real ones; only screen, keyboard and
//! pointer are the script's. A script has one step a line; `docs/scripts.md` describes them all:
//!
//! ```text
//! desk typing.toml
//! wait-for serial web "ready"
//! switch web
//! mark
//! type "hello"
//! wait-for serial web "\"code\":35"
//! expect no-event notes
//! shot typed.png
//! ```
//!
//! A script is read as a whole, and held against its desk, before anything starts. While it runs,
//! the [oracle](crate::oracle) judges every frame.

mod args;
mod check;
mod condition;
mod diff;
mod exchange;
mod fault;
mod hands;
mod junit;
mod keys;
mod parse;
mod report;
mod run;
mod step;
mod token;

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tabard_display::FontError;
use tabard_view::{Scale, Size};

use crate::harness::{Harness, HarnessError};
use crate::oracle::{Findings, Oracle};
use crate::run::{EngineArgs, engines, qemu, status};
use crate::session::desk::{Desk, DeskFaults};
use crate::session::{Engine, Options, Outcome, StartError, vmm_program};
use crate::signals::Signals;
use fault::{Fault, Faults};
use step::Script;

/// The screen of a script that names none.
const DEFAULT_SIZE: Size = Size { width: 1280, height: 800 };
/// A longer file is no script.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Arguments of `tabard test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The script.
    pub script: PathBuf,
    /// The desk file, instead of the one that the script names.
    #[arg(long)]
    pub desk: Option<PathBuf>,
    /// This screen instead of those that the script names, such as 2560x1600@2 for scale 2.
    #[arg(long, value_name = "WxH[@SCALE]", value_parser = args::parse_screen)]
    pub size: Option<(Size, Scale)>,
    /// Write the results as JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Folder for pictures, and for serial logs in `logs` below it.
    #[arg(long, value_name = "FOLDER", default_value = "tabard-test")]
    pub out: PathBuf,
    /// What every guest runs on.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Why a script could not be run to a result.
#[derive(Debug)]
pub enum ScriptError {
    /// The script, its desk or this host does not allow it: nothing was started.
    Refused(String),
    /// It was run, but its results cannot be written.
    Results(String),
    /// The verifier refused a frame.
    FrameRefused(String),
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(why) | Self::Results(why) | Self::FrameRefused(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for ScriptError {}

impl From<Faults> for ScriptError {
    fn from(faults: Faults) -> Self {
        Self::Refused(faults.to_string())
    }
}

impl From<DeskFaults> for ScriptError {
    fn from(faults: DeskFaults) -> Self {
        Self::Refused(faults.to_string())
    }
}

impl From<HarnessError> for ScriptError {
    fn from(error: HarnessError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<FontError> for ScriptError {
    fn from(error: FontError) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<StartError> for ScriptError {
    fn from(error: StartError) -> Self {
        Self::Refused(error.to_string())
    }
}

/// Runs the command: 0 if every step passed, 1 if one failed or a frame was wrong, 2 if nothing could be started, 3 if
/// the verifier refused a frame.
#[must_use]
pub fn command(args: &TestArgs) -> ExitCode {
    match test(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error @ ScriptError::Results(_)) => {
            eprintln!("tabard: {error}");
            ExitCode::FAILURE
        }
        Err(ScriptError::FrameRefused(why)) => status(&Outcome::Refused(why)),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Runs the script of a file; says whether every step passed.
///
/// # Errors
/// [`ScriptError`].
pub fn test(args: &TestArgs) -> Result<bool, ScriptError> {
    let mut script = read(&args.script)?;
    if let Some(screen) = args.size {
        script.screens = vec![screen];
    }
    let mut desk = read_desk(&script, args.desk.as_deref())?;
    let engine = args.engine.over(&mut desk);
    check::check(&script, &desk)?;
    let played = run_checked(&script, &desk, engine, &args.out)?;
    if let Some(file) = &args.junit {
        let xml = junit::xml(&played.results, played.took, &script.file);
        std::fs::write(file, xml).map_err(|error| {
            ScriptError::Results(format!(
                "Cannot write results to {}: {error}. Name another file with --junit",
                file.display()
            ))
        })?;
    }
    println!("{}", report::judged(&played.findings));
    println!("{}", report::summary(&played.results, played.took, &script.file));
    Ok(played.passed)
}

/// Runs a script from text against a desk, all of it on `engine` if one is given; `name` names it in
/// messages, and pictures go to `out`. Says whether every step passed.
///
/// # Errors
/// [`ScriptError`].
pub fn play(
    text: &str,
    name: &Path,
    desk: &Desk,
    engine: Option<Engine>,
    out: &Path,
) -> Result<bool, ScriptError> {
    let script = parse::parse(text, name)?;
    check::check(&script, desk)?;
    Ok(run_checked(&script, desk, engine, out)?.passed)
}

struct Played {
    results: Vec<report::Result>,
    findings: Findings,
    took: Duration,
    passed: bool,
}

fn run_checked(
    script: &Script,
    desk: &Desk,
    engine: Option<Engine>,
    out: &Path,
) -> Result<Played, ScriptError> {
    let begin = Instant::now();
    let logs = out.join("logs");
    let options =
        Options { vmm: vmm_program()?, logs: logs.clone(), notice: String::new(), engine, qemu };
    let mut screens = script.screens.clone();
    if screens.is_empty() {
        screens.push((DEFAULT_SIZE, desk.scale.unwrap_or(Scale::ONE)));
    }
    let oracle = Oracle::default();
    let inspector = Some(oracle.inspector(desk)?);
    let refused = |error| ScriptError::Refused(format!("Cannot catch signals: {error}"));
    let signals = Signals::catch().map_err(refused)?;
    let harness = Harness::start_inspected(desk, &screens, options, inspector)?;
    harness.obey(signals).map_err(refused)?;
    eprintln!("tabard: {}", engines(harness.guests(), &harness.status().engines));
    let results = run::run(script, &harness, &oracle, out, &logs);
    let outcome = harness.stop();
    let findings = oracle.findings();
    findings.words.iter().for_each(|words| eprintln!("tabard: a frame is wrong: {words}"));
    let (_, failed, _) = report::counts(&results);
    let passed = match outcome {
        Outcome::Closed => failed == 0 && findings.violations == 0,
        Outcome::Failed(why) | Outcome::Unwritten(why) => {
            eprintln!("tabard: the session ended: {why}");
            false
        }
        Outcome::Refused(why) => return Err(ScriptError::FrameRefused(why)),
    };
    Ok(Played { results, findings, took: begin.elapsed(), passed })
}

fn read(file: &Path) -> Result<Script, ScriptError> {
    let refuse =
        |cause: String| Faults { file: file.to_path_buf(), faults: vec![Fault { line: 1, cause }] };
    let text = crate::session::file_text(file, MAX_FILE_BYTES).map_err(|error| {
        let next = "Check its path. A script is UTF-8 text of at most 1 MiB";
        refuse(format!("Cannot read the script: {error}. {next}"))
    })?;
    Ok(parse::parse(&text, file)?)
}

fn read_desk(script: &Script, instead: Option<&Path>) -> Result<Desk, ScriptError> {
    if let Some(file) = instead {
        return Ok(Desk::read(file)?);
    }
    let Some((line, path)) = &script.desk else {
        let cause = "The script names no desk. Write desk PATH in its first line, or use --desk";
        let faults = vec![Fault { line: 1, cause: cause.to_owned() }];
        return Err(Faults { file: script.file.clone(), faults }.into());
    };
    let file = script.file.parent().unwrap_or(Path::new("")).join(path);
    if !file.is_file() {
        let cause = format!(
            "There is no desk file {}. Its path starts from the folder of the script",
            file.display()
        );
        let faults = vec![Fault { line: *line, cause }];
        return Err(Faults { file: script.file.clone(), faults }.into());
    }
    Ok(Desk::read(&file)?)
}
