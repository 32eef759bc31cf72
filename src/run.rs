//! `tabard run`: a desk that owns the machine, in a window, or without a screen.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use crossbeam_channel::Receiver;
use tabard_display::FrameSender;
use tabard_view::{Scale, Size};

use crate::image::intact::{self, Depth};
use crate::seat::Seat;
use crate::session::desk::{Desk, GuestSpec};
use crate::session::{
    BUILTIN_PREFIX, Control, Engine, Options, Outcome, Qemu, Session, prepare,
    stock_kernel_obstacle, vmm_program,
};
use crate::signals::Signals;
use crate::window;

/// The status when the verifier refused a frame.
pub const REFUSED_STATUS: u8 = 3;
/// The status when the audit log could not be written.
pub const UNWRITTEN_STATUS: u8 = 4;

/// Arguments of `tabard run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The desk file.
    desk: PathBuf,
    /// Run without a screen, until interrupted.
    #[arg(long, conflicts_with = "seat")]
    headless: bool,
    /// Own the machine: every screen, keyboard and pointer, and the console.
    #[arg(long)]
    seat: bool,
    /// The virtual terminal of the seat, such as /dev/tty2 [default: the one in front].
    #[arg(long, requires = "seat", value_parser = parse_tty)]
    tty: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
}

/// What `run` and `demo` have in common.
#[derive(Debug, Clone, clap::Args)]
pub struct CommonArgs {
    /// Size of the window or of the screen that is not there, such as 1280x800.
    #[arg(long, value_parser = parse_size, default_value = "1280x800")]
    pub size: Size,
    /// Folder for the guests' serial logs [default: tabard/DESK in the user's state folder].
    #[arg(long)]
    pub logs: Option<PathBuf>,
    /// What every guest runs on.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// What every guest runs on, whatever the desk says.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct EngineArgs {
    /// Run every guest on this engine, whatever the desk says: kvm, qemu (emulated, slower), or
    /// auto: KVM where it can run the guest, else QEMU.
    #[arg(long, value_name = "ENGINE")]
    engine: Option<EngineWord>,
}

/// An engine, or what can run the guest.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum EngineWord {
    Auto,
    Kvm,
    Qemu,
}

impl EngineArgs {
    /// As it was written, if it was.
    #[must_use]
    pub fn word(self) -> Option<&'static str> {
        self.engine.map(|engine| match engine {
            EngineWord::Auto => "auto",
            EngineWord::Kvm => "kvm",
            EngineWord::Qemu => "qemu",
        })
    }

    /// For [`Options::engine`]; from a desk that is to run on what can run it, it takes its own
    /// words.
    #[must_use]
    pub fn over(self, desk: &mut Desk) -> Option<Engine> {
        match self.engine? {
            EngineWord::Kvm => Some(Engine::Kvm),
            EngineWord::Qemu => Some(Engine::Qemu),
            EngineWord::Auto => {
                desk.guests.iter_mut().for_each(|guest| guest.engine = None);
                None
            }
        }
    }
}

/// The QEMU that guests can run on. Once there is one it stays the same as long as this process
/// lives: each look runs the host's own, which takes as long as a guest takes to start.
#[must_use]
pub fn qemu() -> Option<Qemu> {
    static FOUND: OnceLock<Qemu> = OnceLock::new();
    if let Some(found) = FOUND.get() {
        return Some(found.clone());
    }
    let found = crate::engine::find().ok()?;
    Some(FOUND.get_or_init(|| found).clone())
}

/// Runs the command.
#[must_use]
pub fn command(args: &RunArgs) -> ExitCode {
    let desk = Desk::read(&args.desk).map_err(|faults| faults.to_string());
    match desk.and_then(|desk| intact::check(&desk, Depth::Length).map(|()| desk)) {
        Ok(desk) if args.seat => run_seat(desk, &args.common, args.tty.as_deref()),
        Ok(desk) => run(desk, &args.common, args.headless),
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::from(2)
        }
    }
}

/// Runs a desk until its user quits.
pub(crate) fn run(mut desk: Desk, args: &CommonArgs, headless: bool) -> ExitCode {
    if !headless && let Err(why) = window::display() {
        eprintln!("tabard: {why}");
        return ExitCode::from(2);
    }
    let notice = if headless { "" } else { window::NOTICE };
    let (session, signals) = match ready(&mut desk, args, notice) {
        Ok(ready) => ready,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let (control, orders) = session.bell().channel(1);
    if let Err(error) = signals.serve(control) {
        return status(&Outcome::Failed(format!("Cannot start a thread: {error}")));
    }
    let outcome = if headless {
        run_headless(session, &desk, args.size, &orders)
    } else {
        window::run(session, &desk, args.size, orders)
    };
    status(&outcome)
}

/// A session that is ready to run, and the signals that end it. Says what its guests run on, and
/// where its logs are.
fn ready(desk: &mut Desk, args: &CommonArgs, notice: &str) -> Result<(Session, Signals), String> {
    let logs = args.logs.clone().map_or_else(|| default_logs(&desk.name), Ok)?;
    ready_in(desk, &logs, args.engine, notice)
}

/// As `run` makes a session ready, with its logs in this folder; `notice` is in the bar at all times.
///
/// # Errors
/// A sentence that says why it cannot be started.
pub(crate) fn ready_in(
    desk: &mut Desk,
    logs: &Path,
    engine: EngineArgs,
    notice: &str,
) -> Result<(Session, Signals), String> {
    let engine = engine.over(desk);
    // Before the log begins: from its first record on, a session ends in order.
    let signals = Signals::catch().map_err(|error| format!("Cannot catch signals: {error}"))?;
    let notice = notice.to_owned();
    let options = |vmm| Options { vmm, logs: logs.to_path_buf(), notice, engine, qemu };
    let session = vmm_program().and_then(|vmm| prepare(desk, &options(vmm)));
    let session = session.map_err(|error| error.to_string())?;
    let tried = |(guest, engine): (&GuestSpec, Option<Engine>)| {
        engine == Some(Engine::Kvm) && !guest.kernel.starts_with(BUILTIN_PREFIX)
    };
    if desk.guests.iter().zip(session.engines()).any(tried)
        && let Some(why) = stock_kernel_obstacle()
    {
        eprintln!("tabard: {why}");
    }
    let guests: Vec<String> = desk.guests.iter().map(|guest| guest.name.clone()).collect();
    eprintln!("tabard: {}", engines(&guests, &session.engines()));
    eprintln!("tabard: serial logs are in {}", logs.display());
    if std::fs::metadata(logs).is_ok_and(|is| is.mode() & 0o077 != 0) {
        eprintln!("tabard: others may look into that folder; `chmod 700` it");
    }
    Ok((session, signals))
}

/// What each guest runs on, in one line.
#[must_use]
pub fn engines(guests: &[String], engines: &[Option<Engine>]) -> String {
    let words = |(guest, engine): (&String, &Option<Engine>)| {
        format!("{guest} on {}", engine.map_or("nothing", Engine::words))
    };
    guests.iter().zip(engines).map(words).collect::<Vec<_>>().join(", ")
}

/// Runs a desk on the machine itself until its user quits.
fn run_seat(mut desk: Desk, args: &CommonArgs, tty: Option<&Path>) -> ExitCode {
    let refused = |why: &dyn std::fmt::Display| {
        eprintln!("tabard: {why}");
        ExitCode::from(2)
    };
    let (session, signals) = match ready(&mut desk, args, "") {
        Ok(ready) => ready,
        Err(why) => return refused(&why),
    };
    match Seat::open(&desk, tty).and_then(|seat| seat.run(session, signals)) {
        Ok(outcome) => status(&outcome),
        Err(error) => refused(&error),
    }
}

/// Says how a session ended, and the status that stands for it.
#[must_use]
pub fn status(outcome: &Outcome) -> ExitCode {
    match outcome {
        Outcome::Closed => ExitCode::SUCCESS,
        Outcome::Failed(why) => {
            eprintln!("tabard: the session ended: {why}");
            ExitCode::FAILURE
        }
        Outcome::Refused(why) => {
            eprintln!(
                "tabard: the session ended with blank screens: {why}. This is a fault of the \
                 program or of its memory; do not go on with this desk before it is understood"
            );
            ExitCode::from(REFUSED_STATUS)
        }
        Outcome::Unwritten(why) => {
            eprintln!("tabard: the session ended: {why}. Make room before you start it again");
            ExitCode::from(UNWRITTEN_STATUS)
        }
    }
}

fn run_headless(session: Session, desk: &Desk, size: Size, orders: &Receiver<Control>) -> Outcome {
    let (events, presenter) = session.bell().channel(window::PRESENTER_QUEUE);
    let (frames, requests) = FrameSender::channel(None);
    let outputs = [(size, desk.scale.unwrap_or(Scale::ONE))];
    let screen =
        tabard_display::headless::Headless::spawn(&outputs, desk.labels.clone(), requests, events);
    let (handle, thread) = match screen {
        Ok(screen) => screen,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    eprintln!("tabard: running without a screen; Ctrl+C ends it");
    let outcome = session.run(frames, &presenter, orders);
    drop(handle);
    match thread.join() {
        Ok(()) => outcome,
        Err(_) => Outcome::Failed("The presenter broke; its message is above".to_owned()),
    }
}

/// Where logs of a desk go: `$XDG_STATE_HOME/tabard/NAME` or `~/.local/state/tabard/NAME`. Never
/// where others could put a folder of that name first, such as below `/tmp`.
fn default_logs(desk: &str) -> Result<PathBuf, String> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    let state = state.ok_or(
        "There is no place for logs and keys: neither XDG_STATE_HOME nor HOME is set. Name a \
         folder with --logs",
    )?;
    Ok(state.join("tabard").join(crate::session::file_name(desk)))
}

fn parse_tty(text: &str) -> Result<PathBuf, std::convert::Infallible> {
    Ok(crate::seat::terminal(text))
}

/// Reads a size such as `1280x800`.
///
/// # Errors
/// A sentence that says what a size looks like.
pub fn parse_size(text: &str) -> Result<Size, String> {
    let sides = text.split_once('x').and_then(|(width, height)| {
        Some(Size { width: width.parse().ok()?, height: height.parse().ok()? })
    });
    sides
        .filter(|size| (320..=8192).contains(&size.width) && (240..=8192).contains(&size.height))
        .ok_or_else(|| "write a size from 320x240 to 8192x8192, such as 1280x800".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_look_at_first_is_not_started_again() {
        let unit = include_str!("../packaging/tabard@.service");
        let prevented =
            unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus="));
        let numbers = [2, REFUSED_STATUS, UNWRITTEN_STATUS].map(|status| status.to_string());
        assert_eq!(prevented.unwrap().split(' ').collect::<Vec<_>>(), numbers);
        let why = || "why".to_owned();
        let refused = ExitCode::from(REFUSED_STATUS);
        assert_eq!(status(&Outcome::Refused(why())), refused);
        assert_eq!(status(&Outcome::Unwritten(why())), ExitCode::from(UNWRITTEN_STATUS));
        assert_eq!(status(&Outcome::Failed(why())), ExitCode::FAILURE);
    }

    #[test]
    fn the_unit_makes_its_folder_for_root_alone() {
        let unit = include_str!("../packaging/tabard@.service");
        assert!(unit.contains("LogsDirectoryMode=0700\n"));
    }

    #[test]
    fn what_guests_run_on_is_one_line_and_says_what_is_slower() {
        let guests = ["notes".to_owned(), "web".to_owned()];
        assert_eq!(
            engines(&guests, &[Some(Engine::Kvm), Some(Engine::Qemu)]),
            "notes on kvm, web on qemu (emulated, slower)"
        );
    }

    #[test]
    fn sizes_are_two_numbers_in_range() {
        assert_eq!(parse_size("640x480"), Ok(Size { width: 640, height: 480 }));
        for bad in ["640", "640x", "x480", "1x1", "9000x600", "-640x480"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
