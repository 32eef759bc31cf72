//! A desk in a window of another desktop. Built without the feature `window`, as `cargo demo` does
//! where there is no display, there is none to open.

use crate::session::desk::Desk;
use crate::session::{Control, Outcome, Session};
use crossbeam_channel::Receiver;
use tabard_view::Size;

/// Events of the presenter that may wait for the loop; the window waits beyond it.
pub(crate) const PRESENTER_QUEUE: usize = 256;

/// Said on the glass at all times: the desktop around a window sees and draws what it likes.
pub const NOTICE: &str = "A window is not a trusted path";

/// Whether there is a display to open a window on.
///
/// # Errors
/// A sentence that says what is missing and what to do.
pub fn display() -> Result<(), String> {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    if !cfg!(feature = "window") {
        Err("This tabard was built without windows. Build it with the feature `window`, which \
             `cargo build` does by itself, or run it with --headless"
            .to_owned())
    } else if set("WAYLAND_DISPLAY") || set("DISPLAY") {
        Ok(())
    } else {
        Err("There is no display: neither WAYLAND_DISPLAY nor DISPLAY is set. \
             Run it from a desktop session, or with --headless"
            .to_owned())
    }
}

/// Runs a session in a window until its user quits.
#[cfg(not(feature = "window"))]
pub(crate) fn run(_: Session, _: &Desk, _: Size, _: Receiver<Control>) -> Outcome {
    Outcome::Failed("This tabard was built without windows".to_owned())
}

/// Runs a session in a window until its user quits.
#[cfg(feature = "window")]
pub(crate) fn run(session: Session, desk: &Desk, size: Size, orders: Receiver<Control>) -> Outcome {
    use tabard_display::window::{WindowOptions, WindowPresenter};

    let (events, presenter) = session.bell().channel(PRESENTER_QUEUE);
    let window = WindowPresenter::new(WindowOptions {
        title: format!("Tabard: {}", desk.name),
        size,
        scale: desk.scale,
        labels: desk.labels.clone(),
    });
    let (window, frames) = match window {
        Ok(window) => window,
        Err(error) => return Outcome::Failed(error.to_string()),
    };
    // The window's loop must have the first thread; the session has its own, and ends first.
    let loop_thread = std::thread::Builder::new()
        .name("session".to_owned())
        .spawn(move || session.run(frames, &presenter, &orders));
    let loop_thread = match loop_thread {
        Ok(loop_thread) => loop_thread,
        Err(error) => return Outcome::Failed(format!("Cannot start a thread: {error}")),
    };
    let shown = window.run(events);
    let outcome = loop_thread
        .join()
        .unwrap_or_else(|_| Outcome::Failed("The session broke; its message is above".to_owned()));
    match shown {
        Ok(()) => outcome,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}
