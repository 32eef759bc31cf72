//! A session that owns the machine: its screens, its keyboards and pointers, its console. All of
//! them are had before anything is changed, and given back in the opposite order.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

mod guardian;
mod lock;
mod vt;

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use tabard_display::FrameSender;
use tabard_display::kms::{self, KmsError, KmsPresenter};
use tabard_input::evdev::{self, InputError, Inputs};
use tabard_view::Scale;
use thiserror::Error;

use crate::session::desk::Desk;
use crate::session::{Control, Outcome, Session};
use crate::signals::Signals;
use guardian::Console;
pub use guardian::{ConsoleError, SUBCOMMAND, command as guard, terminal};
pub use lock::SOCKET;

/// Events of devices that may wait for the loop; the reader waits beyond it, and the kernel's own
/// buffers behind the reader.
const INPUT_QUEUE: usize = 256;

/// Why the machine cannot be a seat.
#[derive(Debug, Error)]
pub enum SeatError {
    /// The screens.
    #[error(transparent)]
    Screens(#[from] KmsError),
    /// The keyboards and pointers.
    #[error(transparent)]
    Input(#[from] InputError),
    /// The console.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The place where `tabard lock` asks.
    #[error("Cannot listen at {SOCKET}: {0}. Start as root (the unit tabard@.service does)")]
    Lock(std::io::Error),
}

/// Screens, devices and console, had but not used yet.
pub struct Seat {
    screens: KmsPresenter,
    frames: FrameSender,
    inputs: Inputs,
    lock: UnixListener,
    tty: Option<std::path::PathBuf>,
}

impl Seat {
    /// Takes screens and devices, as far as they are there yet; the console is still as it was.
    ///
    /// # Errors
    /// [`SeatError`]; nothing stays taken then.
    pub fn open(desk: &Desk, tty: Option<&Path>) -> Result<Self, SeatError> {
        let scale = desk.scale.unwrap_or(Scale::ONE);
        let wishes = desk.outputs.iter().map(|output| output.wish.clone()).collect();
        let cards = Path::new(kms::FOLDER);
        let (screens, frames) = KmsPresenter::open(cards, desk.labels.clone(), scale, wishes)?;
        let inputs = Inputs::open(Path::new(evdev::FOLDER), desk.strict_devices)?;
        let lock = lock::listen(Path::new(SOCKET)).map_err(SeatError::Lock)?;
        Ok(Self { screens, frames, inputs, lock, tty: tty.map(Path::to_path_buf) })
    }

    /// Runs a session on it until the user or a signal ends the desk.
    ///
    /// # Errors
    /// [`SeatError::Console`], with the console untouched.
    pub fn run(self, mut session: Session, signals: Signals) -> Result<Outcome, SeatError> {
        let (console, mut guardian) = Console::take(self.tty.as_deref())?;
        let screen = self.screens.waits_for().map(|error| error.to_string());
        let keyboard = self.inputs.waits_for().map(|error| error.to_string());
        for missing in screen.into_iter().chain(keyboard) {
            session.log(&format!("The session waits. {missing}"));
        }
        let bell = session.bell();
        let (control, controls) = bell.channel(1);
        let (orders, lock, signalled) = (control.clone(), self.lock, control.clone());
        let (device_events, devices) = bell.channel(INPUT_QUEUE);
        let (events, presenter) = bell.channel(crate::window::PRESENTER_QUEUE);
        let (screens, inputs) = (self.screens, self.inputs);
        let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
            thread::Builder::new().name(name.to_owned()).spawn(work)
        };
        let started = spawn(
            "guardian",
            Box::new(move || {
                // It ends only when the guardian does; without one the console would not come back.
                let _ = guardian.read_to_end(&mut Vec::new());
                // A session that has ended already needs no word.
                let _ = control.send(Control::Quit("the guardian of the console ended"));
            }),
        )
        .and_then(|_| signals.serve(signalled))
        .and_then(|()| spawn("lock", Box::new(move || lock::serve(&lock, &orders))))
        .and_then(|_| {
            spawn(
                "devices",
                Box::new(move || inputs.run(|event| device_events.send(event).is_ok())),
            )
        })
        .and_then(|_| spawn("screens", Box::new(move || screens.run(&events))));
        let outcome = match started {
            Ok(drawing) => {
                let outcome = session.seated(devices).run(self.frames, &presenter, &controls);
                // The cards are given back before the console is, or it would have no screen.
                drop(presenter);
                match drawing.join() {
                    Ok(()) => outcome,
                    Err(_) => Outcome::Failed("The presenter broke; see above".to_owned()),
                }
            }
            Err(error) => Outcome::Failed(format!("Cannot start a thread: {error}")),
        };
        drop(console);
        Ok(outcome)
    }
}
