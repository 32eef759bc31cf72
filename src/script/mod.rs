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
mod film;
mod hands;
mod junit;
mod keys;
mod live;
mod many;
mod needles;
mod ocr;
mod pace;
mod parse;
mod player;
mod printed;
pub mod record;
mod reel;
mod report;
mod results;
mod run;
mod serve;
mod snapshots;
mod source;
mod step;
mod token;
mod trace;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};
use tabard_display::FontError;
use tabard_display::headless::Inspector;
use tabard_view::{Scale, Size};

use crate::harness::{Harness, HarnessError};
use crate::oracle::{Findings, Oracle};
use crate::run::{EngineArgs, engines, qemu, status};
use crate::session::desk::{Desk, DeskFaults};
use crate::session::{Engine, Options, Outcome, StartError, vmm_program};
use crate::signals::Signals;
use fault::{Fault, Faults};
pub use live::{Live, LiveError};
use needles::Needles;
use reel::Reel;
use snapshots::Snapshots;
use source::Variables;
use step::Script;
use trace::Trace;

/// The screen of a script that names none.
const DEFAULT_SIZE: Size = Size { width: 1280, height: 800 };

/// Arguments of `tabard test`.
#[derive(Debug, clap::Args)]
pub struct TestArgs {
    /// The scripts.
    #[arg(required_unless_present = "serve", value_name = "SCRIPT")]
    pub scripts: Vec<PathBuf>,
    /// The desk file, instead of the one that a script names.
    #[arg(long)]
    pub desk: Option<PathBuf>,
    /// This screen instead of those that a script names, such as 2560x1600@2 for scale 2.
    #[arg(long, value_name = "WxH[@SCALE]", value_parser = args::parse_screen)]
    pub size: Option<(Size, Scale)>,
    /// Give a variable a value; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub set: Vec<(String, String)>,
    /// How many scripts run at a time.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: u16,
    /// Play only this part of the scripts, such as 1/3; the parts together are all.
    #[arg(long, value_name = "I/N", value_parser = many::parse_shard)]
    pub shard: Option<(usize, usize)>,
    /// Try a script that failed again, up to so often; one that then passes is flaky.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retry_failed: u32,
    /// A flaky script is a failure.
    #[arg(long)]
    pub strict: bool,
    /// Take steps from standard input and answer on standard output, as JSON lines; needs --desk.
    #[arg(long, requires = "desk", conflicts_with_all = ["scripts", "shard", "junit", "json", "tap", "trace", "film"])]
    pub serve: bool,
    /// Write the results as JUnit XML to this file.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write the results as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the results in the Test Anything Protocol to this file.
    #[arg(long, value_name = "FILE")]
    pub tap: Option<PathBuf>,
    /// Write a page that shows the run step by step; with several scripts, each has it in its own
    /// folder, by this name.
    #[arg(long, value_name = "FILE.html")]
    pub trace: Option<PathBuf>,
    /// Write every frame of the first screen as an animated PNG; with several scripts, as --trace.
    #[arg(long, value_name = "FILE.png")]
    pub film: Option<PathBuf>,
    /// Folder for pictures, and for serial logs in `logs` below it; with several scripts, each has
    /// a folder of its own in it.
    #[arg(long, value_name = "FOLDER", default_value = "tabard-test")]
    pub out: PathBuf,
    /// What every guest runs on.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Another `tabard test` has started this one, and waits for it.
    #[arg(long, hide = true)]
    pub child: bool,
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    source::check_name(name)?;
    Ok((name.to_owned(), value.to_owned()))
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

/// Runs the command: 0 if every step passed, 1 if one failed or a frame was wrong, 2 if something could not be
/// started, 3 if the verifier refused a frame; of several scripts, the highest.
#[must_use]
pub fn command(args: &TestArgs) -> ExitCode {
    if args.serve {
        return told(serve_desk(args));
    }
    let alone = args.scripts.len() == 1 && args.shard.is_none() && args.retry_failed == 0;
    match args.scripts.first() {
        Some(script) if alone => one(script, args),
        _ => several(args),
    }
}

fn one(script: &Path, args: &TestArgs) -> ExitCode {
    if args.child {
        // Without the one that waits for the results, nobody wants them.
        let _ = set_parent_process_death_signal(Some(Signal::TERM));
    }
    told(test(script, args))
}

fn told(done: Result<bool, ScriptError>) -> ExitCode {
    match done {
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

/// Plays several scripts, and says what became of them together.
fn several(args: &TestArgs) -> ExitCode {
    let begin = Instant::now();
    let scripts = many::shard(args.scripts.clone(), args.shard.unwrap_or((1, 1)));
    let mut arguments: Vec<OsString> = Vec::new();
    let mut pass = |name: &str, value: OsString| arguments.extend([OsString::from(name), value]);
    if let Some(desk) = &args.desk {
        pass("--desk", desk.into());
    }
    if let Some((size, scale)) = args.size {
        let scale = f64::from(scale.percent()) / 100.0;
        pass("--size", format!("{}x{}@{scale}", size.width, size.height).into());
    }
    for (name, value) in &args.set {
        pass("--set", format!("{name}={value}").into());
    }
    if let Some(engine) = args.engine.word() {
        pass("--engine", engine.into());
    }
    let plan = many::Plan {
        scripts: many::folders(scripts, &args.out),
        arguments,
        jobs: args.jobs.into(),
        retries: args.retry_failed,
        looks: [("--trace", &args.trace), ("--film", &args.film)]
            .into_iter()
            .filter_map(|(option, file)| Some((option, PathBuf::from(file.as_ref()?.file_name()?))))
            .collect(),
    };
    let outcomes = many::play(&plan);
    for outcome in outcomes.iter().filter(|outcome| outcome.flaky()) {
        let (script, tries) = (outcome.script.display(), outcome.tries);
        println!("tabard test: flaky: {script} passed at try {tries}");
    }
    println!("{}", results::summary_of_all(&outcomes, begin.elapsed()));
    if let Err(error) = write_results(args, &outcomes, begin.elapsed()) {
        eprintln!("tabard: {error}");
        return ExitCode::FAILURE;
    }
    let worst = outcomes.iter().map(|outcome| outcome.status).max().unwrap_or(0);
    let flaky = args.strict && outcomes.iter().any(results::Outcome::flaky);
    ExitCode::from(worst.max(flaky.into()))
}

/// Runs a desk and takes steps from standard input; says whether all passed.
fn serve_desk(args: &TestArgs) -> Result<bool, ScriptError> {
    let Some(file) = &args.desk else {
        return Err(ScriptError::Refused("Name the desk to serve by --desk".to_owned()));
    };
    let mut desk = Desk::read(file)?;
    let engine = args.engine.over(&mut desk);
    let oracle = Oracle::default();
    let screens = args.size.into_iter().collect();
    let snapshots = lines(&desk, engine)?;
    let harness = start(&desk, screens, engine, &args.out, &oracle, (&snapshots, Vec::new()))?;
    let mut server = serve::Server(player::Player {
        desk: &desk,
        harness: &harness,
        oracle: &oracle,
        out: &args.out,
        logs: &args.out.join("logs"),
        snapshots: &snapshots,
        variables: &args.set.iter().cloned().collect(),
        state: run::State::new(&harness),
    });
    let served = server.serve(std::io::stdin().lock(), std::io::stdout().lock());
    let well = served.map_err(|error| {
        ScriptError::Results(format!("Cannot read requests or write answers: {error}"))
    })?;
    let outcome = harness.stop();
    let findings = oracle.findings();
    eprintln!("{}", report::judged(&findings));
    Ok(ended_well(outcome, &findings)? && well)
}

fn write_results(
    args: &TestArgs,
    outcomes: &[results::Outcome],
    took: Duration,
) -> Result<(), ScriptError> {
    let write = |file: &Option<PathBuf>, option: &str, text: &dyn Fn() -> String| {
        let Some(file) = file else { return Ok(()) };
        std::fs::write(file, text()).map_err(|error| {
            ScriptError::Results(format!(
                "Cannot write results to {}: {error}. Name another file with {option}",
                file.display()
            ))
        })
    };
    write(&args.junit, "--junit", &|| junit::xml(outcomes, took))?;
    write(&args.json, "--json", &|| results::json(outcomes))?;
    write(&args.tap, "--tap", &|| results::tap(outcomes))
}

/// Runs the script of a file; says whether every step passed.
///
/// # Errors
/// [`ScriptError`].
pub fn test(file: &Path, args: &TestArgs) -> Result<bool, ScriptError> {
    let mut script = read(file, &args.set.iter().cloned().collect())?;
    if let Some(screen) = args.size {
        script.screens = vec![screen];
    }
    let mut desk = read_desk(&script, args.desk.as_deref())?;
    let engine = args.engine.over(&mut desk);
    let needles = check::check(&script, &desk)?;
    let looks = Looks { trace: args.trace.as_deref(), film: args.film.as_deref() };
    let played = run_checked(&script, &needles, &desk, engine, &args.out, &looks)?;
    println!("{}", report::judged(&played.findings));
    println!("{}", report::summary(&played.results, played.took, &script.file));
    let outcome = results::Outcome {
        script: script.file.clone(),
        took: played.took,
        status: u8::from(!played.passed),
        tries: 1,
        steps: played.results,
        message: String::new(),
    };
    write_results(args, &[outcome], played.took)?;
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
    let needles = check::check(&script, desk)?;
    Ok(run_checked(&script, &needles, desk, engine, out, &Looks::default())?.passed)
}

/// That this host reads text by OCR, in a jail, in words; or what it lacks and what mends that.
///
/// # Errors
/// Two sentences.
pub(crate) fn reads_by_ocr() -> Result<String, String> {
    let reader = ocr::Reader::find(ocr::LANGUAGE)?;
    Ok(format!("{} reads {}, in its jail", reader.program.display(), ocr::LANGUAGE))
}

/// What a line of a script calls needles; what cannot be read names none.
pub(crate) fn needles_of(line: &str) -> Vec<String> {
    let words = token::words(line).unwrap_or_default();
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [word, name] if !word.quoted && word.text == "needle" => Some(name.text.clone()),
        _ => None,
    });
    pairs.collect()
}

struct Played {
    results: Vec<report::Result>,
    findings: Findings,
    took: Duration,
    passed: bool,
}

/// Where a run can be looked at when it is over.
#[derive(Debug, Default)]
struct Looks<'l> {
    /// A page.
    trace: Option<&'l Path>,
    /// An animated picture.
    film: Option<&'l Path>,
}

fn run_checked(
    script: &Script,
    needles: &Needles,
    desk: &Desk,
    engine: Option<Engine>,
    out: &Path,
    looks: &Looks<'_>,
) -> Result<Played, ScriptError> {
    let begin = Instant::now();
    let logs = out.join("logs");
    let oracle = Oracle::default();
    let snapshots = lines(desk, engine)?;
    let faults = snapshots.before_start(script);
    if !faults.is_empty() {
        let fault = |(line, cause)| Fault { file: None, line, cause };
        let faults = faults.into_iter().map(fault).collect();
        return Err(Faults { file: script.file.clone(), faults }.into());
    }
    let no_thread = |error| ScriptError::Refused(format!("Cannot start a thread: {error}"));
    let reels = [
        looks.trace.map(|_| Reel::begin(trace::MAX_FRAMES_BYTES)),
        looks.film.map(|_| Reel::begin(film::MAX_BYTES)),
    ];
    let [page_reel, film_reel] = reels.map(Option::transpose);
    let (page_reel, film_reel) = (page_reel.map_err(no_thread)?, film_reel.map_err(no_thread)?);
    let mut cameras = Vec::new();
    let mut take = |reel: Option<(Reel, Inspector)>| {
        let (reel, camera) = reel?;
        cameras.push(camera);
        Some(reel)
    };
    let (page_reel, film_reel) = (take(page_reel), take(film_reel));
    let log = desk.audit.file.as_ref().map(|file| desk.base.join(file));
    let mut trace = looks.trace.map(|_| Trace::new(&log.unwrap_or(logs.join("audit.jsonl"))));
    let harness = start(desk, script.screens.clone(), engine, out, &oracle, (&snapshots, cameras))?;
    if let Some(trace) = &mut trace {
        trace.watch(&harness, &logs).map_err(no_thread)?;
    }
    let results =
        run::run(script, needles, &harness, &oracle, (&snapshots, out, &logs), trace.as_mut());
    let end = Instant::now();
    let outcome = harness.stop();
    if let Some(((file, trace), reel)) = looks.trace.zip(trace).zip(page_reel) {
        let (shots, dropped) = reel.end();
        let title = script.file.to_string_lossy();
        std::fs::write(file, trace.page(&title, &shots, dropped)).map_err(|error| {
            ScriptError::Results(format!(
                "Cannot write the trace to {}: {error}. Name another file with --trace",
                file.display()
            ))
        })?;
    }
    if let Some((file, reel)) = looks.film.zip(film_reel) {
        let (shots, dropped) = reel.end();
        film::write(file, &shots, end).map_err(ScriptError::Results)?;
        if dropped > 0 {
            println!(
                "tabard test: the first {dropped} frames are not in the film, which would be too large"
            );
        }
    }
    let findings = oracle.findings();
    let (_, failed, _) = report::counts(&results);
    let passed = ended_well(outcome, &findings)? && failed == 0;
    Ok(Played { results, findings, took: begin.elapsed(), passed })
}

/// Lines to the guests of a desk, by which they are kept and started again.
fn lines(desk: &Desk, engine: Option<Engine>) -> Result<Snapshots, ScriptError> {
    Snapshots::new(desk, engine, &vmm_program()?).map_err(ScriptError::Refused)
}

/// Starts a desk whose every frame the oracle judges, and the others see.
fn start(
    desk: &Desk,
    mut screens: Vec<(Size, Scale)>,
    engine: Option<Engine>,
    out: &Path,
    oracle: &Oracle,
    (snapshots, mut others): (&Snapshots, Vec<Inspector>),
) -> Result<Harness, ScriptError> {
    let options = Options {
        vmm: vmm_program()?,
        logs: out.join("logs"),
        notice: String::new(),
        engine,
        qemu,
        snapshots: snapshots.ends(),
    };
    if screens.is_empty() {
        screens.push((DEFAULT_SIZE, desk.scale.unwrap_or(Scale::ONE)));
    }
    let mut judge = oracle.inspector(desk)?;
    let inspector: Inspector = Box::new(move |inspected| {
        judge(inspected);
        others.iter_mut().for_each(|other| other(inspected));
    });
    let refused = |error| ScriptError::Refused(format!("Cannot catch signals: {error}"));
    let signals = Signals::catch().map_err(refused)?;
    let harness = Harness::start_inspected(desk, &screens, options, Some(inspector))?;
    harness.obey(signals).map_err(refused)?;
    eprintln!("tabard: {}", engines(harness.guests(), &harness.status().engines));
    Ok(harness)
}

/// Whether a session ended as it should, with no frame wrong.
fn ended_well(outcome: Outcome, findings: &Findings) -> Result<bool, ScriptError> {
    findings.words.iter().for_each(|words| eprintln!("tabard: a frame is wrong: {words}"));
    match outcome {
        Outcome::Closed => Ok(findings.violations == 0),
        Outcome::Failed(why) | Outcome::Unwritten(why) => {
            eprintln!("tabard: the session ended: {why}");
            Ok(false)
        }
        Outcome::Refused(why) => Err(ScriptError::FrameRefused(why)),
    }
}

fn read(file: &Path, given: &Variables) -> Result<Script, ScriptError> {
    let refuse = |cause: String| Faults {
        file: file.to_path_buf(),
        faults: vec![Fault { file: None, line: 1, cause }],
    };
    let text = source::read(file).map_err(refuse)?;
    Ok(parse::parse_with(&text, file, given)?)
}

fn read_desk(script: &Script, instead: Option<&Path>) -> Result<Desk, ScriptError> {
    if let Some(file) = instead {
        return Ok(Desk::read(file)?);
    }
    let Some((line, path)) = &script.desk else {
        let cause = "The script names no desk. Write desk PATH in its first line, or use --desk";
        let faults = vec![Fault { file: None, line: 1, cause: cause.to_owned() }];
        return Err(Faults { file: script.file.clone(), faults }.into());
    };
    let file = script.file.parent().unwrap_or(Path::new("")).join(path);
    if !file.is_file() {
        let cause = format!(
            "There is no desk file {}. Its path starts from the folder of the script",
            file.display()
        );
        let faults = vec![Fault { file: None, line: *line, cause }];
        return Err(Faults { file: script.file.clone(), faults }.into());
    }
    Ok(Desk::read(&file)?)
}
