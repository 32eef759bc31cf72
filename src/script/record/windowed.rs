//! Recording in the desk's window. What passes between session and window is looked at on its way,
//! and passed on unchanged: frames one way, input and confirmations the other.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use tabard_display::window::{WindowOptions, WindowPresenter};
use tabard_display::{
    CheckedCompositor, Frame, FrameRequest, FrameSender, PresenterEvent, RawInput, Ringing,
};
use tabard_view::{Scale, Size};

use super::gestures::Hand;
use super::glass::{Glass, Moment, SCREEN};
use super::recorder::Recorder;
use crate::session::desk::Desk;
use crate::session::{Control, Outcome, Session};
use crate::window::PRESENTER_QUEUE;

/// What looks at input on its way.
pub(super) struct Watcher {
    pub(super) glass: Glass,
    pub(super) recorder: Recorder,
    pub(super) hand: Hand,
    /// How things stood when the present gesture began.
    pub(super) began: Option<Moment>,
    /// How things stood when the pointer moved for the first time since the last gesture.
    pub(super) away: Option<Moment>,
    /// The size that the script knows.
    pub(super) screen: (Size, Scale),
    /// Whether the window was closed rather than the desk ended.
    pub(super) closed: bool,
}

impl Watcher {
    fn see(&mut self, event: &PresenterEvent) {
        match event {
            PresenterEvent::Input(input) => self.input(*input),
            PresenterEvent::CloseRequested => self.closed = true,
            PresenterEvent::OutputAdded { size, scale, .. }
            | PresenterEvent::OutputResized { size, scale, .. }
                if (*size, *scale) != self.screen =>
            {
                self.screen = (*size, *scale);
                self.recorder.resized(*size, *scale);
            }
            _ => {}
        }
    }

    fn input(&mut self, input: RawInput) {
        let begins = matches!(
            input,
            RawInput::Key { pressed: true, .. }
                | RawInput::Button { pressed: true, .. }
                | RawInput::Wheel { .. }
        );
        if begins && self.began.is_none() {
            self.began = Some(self.glass.moment());
        }
        if matches!(input, RawInput::Pointer { .. }) && self.began.is_none() && self.away.is_none()
        {
            self.away = Some(self.glass.moment());
        }
        if let Some(gesture) = self.hand.take(input) {
            let began = self.began.take().unwrap_or_else(|| self.glass.moment());
            self.recorder.gesture(&gesture, &began, self.away.take().as_ref());
        }
        if matches!(input, RawInput::Key { pressed: false, .. } | RawInput::Lost) {
            self.began = None;
        }
    }
}

/// Runs a session in a window until its user quits, and hands back what looked on.
pub(super) fn run(
    session: Session,
    desk: &Desk,
    size: Size,
    orders: Receiver<Control>,
    watcher: Watcher,
) -> (Outcome, Option<Watcher>) {
    let failed = |why: String| (Outcome::Failed(why), None);
    let (events, presenter) = session.bell().channel(PRESENTER_QUEUE);
    let window = WindowPresenter::new(WindowOptions {
        title: format!("Tabard: {} (recording)", desk.name),
        size,
        scale: desk.scale,
        labels: desk.labels.clone(),
    });
    let (window, to_window) = match window {
        Ok(window) => window,
        Err(error) => return failed(error.to_string()),
    };
    let compositor = match CheckedCompositor::new(desk.labels.clone()) {
        Ok(compositor) => compositor,
        Err(error) => return failed(error.to_string()),
    };
    let (frames, from_session) = FrameSender::channel(None);
    let (from_window, window_events) = bounded(PRESENTER_QUEUE);
    let glass = watcher.glass.clone();
    let watcher = Arc::new(Mutex::new(watcher));
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    let looking = Arc::clone(&watcher);
    let passing =
        named("frames").spawn(move || pass_frames(&from_session, &to_window, compositor, &glass));
    let events = named("events").spawn(move || pass_events(&window_events, &events, &looking));
    let session = named("session").spawn(move || session.run(frames, &presenter, &orders));
    let (Ok(passing), Ok(events), Ok(session)) = (passing, events, session) else {
        return failed(
            "Cannot start a thread. Look at the limits that `ulimit -a` prints".to_owned(),
        );
    };
    let shown = window.run(Ringing::from(from_window));
    let broke = |_| Outcome::Failed("The session broke; its message is above".to_owned());
    let outcome = session.join().unwrap_or_else(broke);
    // Both end when what they pass on has nobody to come from.
    let _ = (passing.join(), events.join());
    let watcher = Arc::into_inner(watcher)
        .map(|watcher| watcher.into_inner().unwrap_or_else(PoisonError::into_inner));
    match shown {
        Ok(()) => (outcome, watcher),
        Err(error) => (Outcome::Failed(error.to_string()), watcher),
    }
}

fn pass_frames(
    from: &Receiver<FrameRequest>,
    to: &FrameSender,
    mut compositor: CheckedCompositor,
    glass: &Glass,
) {
    let mut frame = Frame::default();
    for request in from {
        to.send(request.clone());
        let Some(output) = request.view.output(SCREEN) else { continue };
        // A frame that the verifier refuses ends the session by way of the window.
        if compositor.compose(&request, output, &mut frame).is_ok() {
            let texts = compositor.drawn_texts(SCREEN).into_iter().map(|drawn| drawn.text);
            glass.show(&request.view, output, &frame, texts.collect(), &request.pictures);
        }
    }
}

fn pass_events(
    from: &Receiver<PresenterEvent>,
    to: &Ringing<PresenterEvent>,
    watcher: &Mutex<Watcher>,
) {
    for event in from {
        // Before the session has it: how things stood when it began.
        watcher.lock().unwrap_or_else(PoisonError::into_inner).see(&event);
        if to.send(event).is_err() {
            return;
        }
    }
}
