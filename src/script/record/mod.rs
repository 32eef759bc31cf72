//! `tabard record`: the desk is used, in its window or by typed steps, and a script comes out that
//! does the same. Its waits are conditions and never times: a line that a guest printed, who receives
//! input, a needle of what changed, a picture at rest.

mod draft;
mod gestures;
mod glass;
mod recorder;
mod telling;
mod typed;
#[cfg(feature = "window")]
mod windowed;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use tabard_display::headless::Inspector;
use tabard_view::{Scale, Size};

use super::player::Player;
use super::run::State;
use super::source::Variables;
use super::{DEFAULT_SIZE, ScriptError, args, ended_well};
use crate::oracle::Oracle;
use crate::run::{EngineArgs, REFUSED_STATUS};
use crate::session::desk::Desk;
use draft::Draft;
use glass::Glass;
use recorder::Recorder;

/// Arguments of `tabard record`.
#[derive(Debug, clap::Args)]
pub struct RecordArgs {
    /// The desk file.
    desk: PathBuf,
    /// The script to write; its needles go into a folder beside it.
    #[arg(short, long, value_name = "FILE.tabard")]
    output: PathBuf,
    /// Without a window: each line of standard input is a step, played at once.
    #[arg(long)]
    headless: bool,
    /// The screen, such as 1280x800 or 2560x1600@2 for scale 2.
    #[arg(long, value_name = "WxH[@SCALE]", value_parser = args::parse_screen)]
    size: Option<(Size, Scale)>,
    /// Folder for pictures, and for serial logs in `logs` below it.
    #[arg(long, value_name = "FOLDER", default_value = "tabard-record")]
    out: PathBuf,
    /// What every guest runs on.
    #[command(flatten)]
    engine: EngineArgs,
}

/// Runs the command: 0 if all was kept and the desk ended well, 1 if not, 2 if nothing could be
/// started, 3 if the verifier refused a frame.
#[must_use]
pub fn command(args: &RecordArgs) -> ExitCode {
    match record(args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(ScriptError::Results(why)) => {
            eprintln!("tabard record: {why}");
            ExitCode::FAILURE
        }
        Err(ScriptError::FrameRefused(why)) => {
            eprintln!("tabard record: the session ended with blank screens: {why}");
            ExitCode::from(REFUSED_STATUS)
        }
        Err(error) => {
            eprintln!("tabard record: {error}");
            ExitCode::from(2)
        }
    }
}

fn record(args: &RecordArgs) -> Result<bool, ScriptError> {
    let mut desk = Desk::read(&args.desk)?;
    let screen = args.size.unwrap_or((DEFAULT_SIZE, desk.scale.unwrap_or(Scale::ONE)));
    if !args.headless {
        crate::window::display().map_err(ScriptError::Refused)?;
    }
    let draft = Draft::new(&args.output, &args.desk, screen).map_err(ScriptError::Refused)?;
    let file = draft.file().to_path_buf();
    let recorded = if args.headless {
        typed(args, &mut desk, screen, draft)
    } else {
        windowed(args, &mut desk, screen, draft)
    };
    if matches!(recorded, Err(ScriptError::Refused(_))) {
        // Nothing was recorded, and the next try is to find nothing in its way.
        let _ = std::fs::remove_file(&file);
    } else {
        eprintln!("tabard record: {} is written; tabard test plays it", file.display());
    }
    recorded
}

/// Records what is typed; says whether all of it was kept and the desk ended well.
fn typed(
    args: &RecordArgs,
    desk: &mut Desk,
    screen: (Size, Scale),
    draft: Draft,
) -> Result<bool, ScriptError> {
    let engine = args.engine.over(desk);
    let logs = args.out.join("logs");
    let (oracle, glass) = (Oracle::default(), glass_of(desk, &logs));
    let looking = glass.clone();
    let look: Inspector = Box::new(move |seen| {
        let texts = seen.texts.iter().map(|drawn| drawn.text.clone()).collect();
        looking.show(seen.view, seen.output, seen.frame, texts, seen.pictures);
    });
    let snapshots = super::lines(desk, engine)?;
    let others = (&snapshots, vec![look]);
    let harness = super::start(desk, vec![screen], engine, &args.out, &oracle, others)?;
    let variables = Variables::new();
    let state = State::new(&harness);
    let mut player = Player {
        desk,
        harness: &harness,
        oracle: &oracle,
        out: &args.out,
        logs: &logs,
        snapshots: &snapshots,
        variables: &variables,
        state,
    };
    let script = draft.file().to_path_buf();
    let mut recorder = Recorder::new(glass.clone(), draft);
    let no_thread = |error| ScriptError::Refused(format!("Cannot start a thread: {error}"));
    let input = typed::lines().map_err(no_thread)?;
    let refused = typed::record(&mut player, &glass, &mut recorder, &script, &input);
    let written = recorder.end(harness.ended());
    let well = ended_well(harness.stop(), &oracle.findings())?;
    written.map_err(ScriptError::Results)?;
    Ok(refused.map_err(ScriptError::Results)? == 0 && well)
}

fn glass_of(desk: &Desk, logs: &Path) -> Glass {
    Glass::new(desk.guests.iter().map(|guest| guest.name.clone()).collect(), logs)
}

/// Records what is done in a window.
#[cfg(not(feature = "window"))]
fn windowed(_: &RecordArgs, _: &mut Desk, _: (Size, Scale), _: Draft) -> Result<bool, ScriptError> {
    Err(ScriptError::Refused("This tabard was built without windows".to_owned()))
}

/// Records what is done in a window; says whether the desk ended well.
#[cfg(feature = "window")]
fn windowed(
    args: &RecordArgs,
    desk: &mut Desk,
    screen: (Size, Scale),
    draft: Draft,
) -> Result<bool, ScriptError> {
    use gestures::Hand;

    let logs = args.out.join("logs");
    let (session, signals) = crate::run::ready_in(desk, &logs, args.engine, crate::window::NOTICE)
        .map_err(ScriptError::Refused)?;
    let (control, orders) = session.bell().channel(1);
    let refused = |error| ScriptError::Refused(format!("Cannot start a thread: {error}"));
    signals.serve(control).map_err(refused)?;
    let sak = super::keys::chord(&desk.sak.to_string()).map_err(ScriptError::Refused)?;
    let glass = glass_of(desk, &logs);
    let watcher = windowed::Watcher {
        recorder: Recorder::new(glass.clone(), draft),
        glass,
        hand: Hand::new(sak),
        began: None,
        away: None,
        screen,
        closed: false,
    };
    let (outcome, watcher) = windowed::run(session, desk, screen.0, orders, watcher);
    let written = watcher.map(|watcher| watcher.recorder.end(!watcher.closed));
    let well = ended_well(outcome, &crate::oracle::Findings::default())?;
    written.transpose().map_err(ScriptError::Results)?;
    Ok(well)
}
