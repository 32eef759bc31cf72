//! Screens in memory: for tests, tours and machines without a display.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, never, select};
use tabard_labels::LabelSet;
use tabard_view::{FrameSerial, OutputId, OutputView, Scale, Size, View};
use thiserror::Error;

use crate::presenter::at_least_one;
use crate::{
    CheckedCompositor, Compose, Compositor, DrawnText, FontError, Frame, FrameRequest, Pictures,
    PresenterEvent, Ringing,
};

/// Why the headless presenter did not start or answer.
#[derive(Debug, Error)]
pub enum HeadlessError {
    /// The system gave no thread.
    #[error("Headless screens got no thread")]
    Thread(#[source] std::io::Error),
    /// It has ended.
    #[error("Headless screens have been closed")]
    Closed,
    /// There is no such screen.
    #[error("There is no headless screen {}", .0.0)]
    NoOutput(OutputId),
}

/// What a headless screen shows at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Number of the view in the frame.
    pub serial: FrameSerial,
    /// The view in the frame; `None` before the first.
    pub view: Option<Arc<View>>,
    /// The picture.
    pub frame: Frame,
    /// The texts that Tabard itself drew in it.
    pub texts: Vec<DrawnText>,
}

/// One frame of one screen, before it is confirmed. Pixels of guests may hold anything in the
/// byte that is no colour.
#[derive(Debug)]
pub struct Inspected<'a> {
    /// What all screens are to show.
    pub view: &'a View,
    /// What this screen is to show.
    pub output: &'a OutputView,
    /// The guests' pixels that it was made of.
    pub pictures: &'a Pictures,
    /// The picture.
    pub frame: &'a Frame,
    /// The texts that Tabard itself drew in it.
    pub texts: Vec<DrawnText>,
}

/// Looks at every frame of every screen.
pub type Inspector = Box<dyn FnMut(&Inspected<'_>) + Send>;

enum Command {
    Snapshot(OutputId, Sender<Option<Snapshot>>),
    Watch(Sender<FrameSerial>),
    Resize(OutputId, Size, Scale),
    Add(OutputId, Size, Scale),
    Remove(OutputId),
    Hold(bool),
}

/// Looks at headless screens and plugs them in and out.
#[derive(Debug, Clone)]
pub struct HeadlessHandle {
    commands: Sender<Command>,
}

impl HeadlessHandle {
    /// What this screen shows now.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::NoOutput`], or [`HeadlessError::Closed`] if the presenter has ended.
    pub fn snapshot(&self, output: OutputId) -> Result<Snapshot, HeadlessError> {
        let (answer, snapshot) = bounded(1);
        self.send(Command::Snapshot(output, answer))?;
        let snapshot = snapshot.recv().map_err(|_| HeadlessError::Closed)?;
        snapshot.ok_or(HeadlessError::NoOutput(output))
    }

    /// A channel that gets a token after each presented frame, so that one who waits for a
    /// picture need not poll. At most one token waits in it: its number may be behind, look at a
    /// new snapshot. The channel is closed when the presenter ends.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Closed`] if the presenter has ended.
    pub fn watch(&self) -> Result<Receiver<FrameSerial>, HeadlessError> {
        let (token, watch) = bounded(1);
        self.send(Command::Watch(token))?;
        Ok(watch)
    }

    /// Gives a screen another size and scale, as a user who resizes a window.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Closed`] if the presenter has ended.
    pub fn resize(&self, output: OutputId, size: Size, scale: Scale) -> Result<(), HeadlessError> {
        self.send(Command::Resize(output, size, scale))
    }

    /// Plugs a screen in.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Closed`] if the presenter has ended.
    pub fn add_output(
        &self,
        output: OutputId,
        size: Size,
        scale: Scale,
    ) -> Result<(), HeadlessError> {
        self.send(Command::Add(output, size, scale))
    }

    /// Unplugs a screen.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Closed`] if the presenter has ended.
    pub fn remove_output(&self, output: OutputId) -> Result<(), HeadlessError> {
        self.send(Command::Remove(output))
    }

    /// Withholds confirmations, as a display that is slow; with `false`, the newest of each
    /// screen is confirmed at once.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Closed`] if the presenter has ended.
    pub fn hold(&self, hold: bool) -> Result<(), HeadlessError> {
        self.send(Command::Hold(hold))
    }

    fn send(&self, command: Command) -> Result<(), HeadlessError> {
        self.commands.send(command).map_err(|_| HeadlessError::Closed)
    }
}

/// Screens in memory, drawn and confirmed at once by a thread of their own.
pub struct Headless<C = Compositor> {
    compositor: CheckedCompositor<C>,
    outputs: BTreeMap<OutputId, Output>,
    watchers: Vec<Sender<FrameSerial>>,
    events: Ringing<PresenterEvent>,
    hold: bool,
    inspector: Option<Inspector>,
}

#[derive(Debug)]
struct Output {
    size: Size,
    scale: Scale,
    frame: Frame,
    view: Option<Arc<View>>,
    unconfirmed: Option<FrameSerial>,
}

impl Output {
    fn new(size: Size, scale: Scale) -> Self {
        let size = at_least_one(size);
        Self { size, scale, frame: Frame::new(size), view: None, unconfirmed: None }
    }
}

/// The picture as a glass shows it: guests may write anything into the byte that is no colour.
fn without_top_bytes(frame: &Frame) -> Frame {
    let mut shown = frame.clone();
    shown.pixels.iter_mut().for_each(|pixel| *pixel &= 0x00ff_ffff);
    shown
}

/// The session is gone: nothing is left to do.
struct Ended;

impl Headless {
    /// Starts the thread; the outputs are numbered from 0 and announced by
    /// [`PresenterEvent::OutputAdded`]. It ends when the last sender of `requests` or the
    /// receiver of `events` is gone.
    ///
    /// # Errors
    ///
    /// [`HeadlessError::Thread`]. Fonts that cannot be read are told by
    /// [`PresenterEvent::Failed`].
    pub fn spawn(
        outputs: &[(Size, Scale)],
        labels: LabelSet,
        requests: Receiver<FrameRequest>,
        events: Ringing<PresenterEvent>,
    ) -> Result<(HeadlessHandle, JoinHandle<()>), HeadlessError> {
        let compositor = || CheckedCompositor::new(labels);
        Self::spawn_with(outputs, compositor, requests, events, None)
    }
}

impl<C: Compose + 'static> Headless<C> {
    /// As [`Headless::spawn`], with a compositor of one's own, made on the new thread. The inspector
    /// sees every frame before it is confirmed.
    ///
    /// # Errors
    ///
    /// As [`Headless::spawn`].
    pub fn spawn_with(
        outputs: &[(Size, Scale)],
        compositor: impl FnOnce() -> Result<CheckedCompositor<C>, FontError> + Send + 'static,
        requests: Receiver<FrameRequest>,
        events: Ringing<PresenterEvent>,
        inspector: Option<Inspector>,
    ) -> Result<(HeadlessHandle, JoinHandle<()>), HeadlessError> {
        let (commands, receiver) = bounded(16);
        let outputs: Vec<_> = (0..=u8::MAX).map(OutputId).zip(outputs.to_vec()).collect();
        let run = move || {
            let announced = outputs.iter().try_for_each(|(output, (size, scale))| {
                let (output, size, scale) = (*output, at_least_one(*size), *scale);
                tell(&events, PresenterEvent::OutputAdded { output, size, scale })
            });
            if announced.is_err() {
                return;
            }
            // Guests start meanwhile: reading the fonts takes as long as half of a start.
            let compositor = match compositor() {
                Ok(compositor) => compositor,
                Err(error) => {
                    let _ends = tell(&events, PresenterEvent::Failed(error.to_string()));
                    return;
                }
            };
            let outputs = outputs
                .into_iter()
                .map(|(output, (size, scale))| (output, Output::new(size, scale)))
                .collect();
            let watchers = Vec::new();
            let mut headless =
                Self { compositor, outputs, watchers, events, hold: false, inspector };
            // Either way this is the end; there is nobody left to tell.
            let (Ok(()) | Err(Ended)) = headless.run(&requests, receiver);
        };
        let builder = std::thread::Builder::new().name("headless".to_owned());
        let thread = builder.spawn(run).map_err(HeadlessError::Thread)?;
        Ok((HeadlessHandle { commands }, thread))
    }

    fn run(
        &mut self,
        requests: &Receiver<FrameRequest>,
        mut commands: Receiver<Command>,
    ) -> Result<(), Ended> {
        loop {
            select! {
                recv(requests) -> request => match request {
                    Ok(request) => self.present(&request)?,
                    Err(_) => return Ok(()),
                },
                recv(commands) -> command => match command {
                    Ok(command) => self.obey(command)?,
                    // Nobody looks any more; frames are still to be confirmed.
                    Err(_) => commands = never(),
                },
            }
        }
    }

    fn present(&mut self, request: &FrameRequest) -> Result<(), Ended> {
        let serial = request.view.serial;
        for view in &request.view.outputs {
            // A view of another size was made before a resize; a newer one is on its way.
            let output = self.outputs.get_mut(&view.id);
            let Some(output) =
                output.filter(|output| output.size == view.size && output.scale == view.scale)
            else {
                continue;
            };
            if let Err(mismatch) = self.compositor.compose(request, view, &mut output.frame) {
                for output in self.outputs.values_mut() {
                    output.frame = Frame::new(output.size);
                    (output.view, output.unconfirmed) = (None, None);
                }
                return tell(&self.events, PresenterEvent::FrameRefused(mismatch));
            }
            output.view = Some(Arc::clone(&request.view));
            if let Some(inspector) = &mut self.inspector {
                inspector(&Inspected {
                    view: &request.view,
                    output: view,
                    pictures: &request.pictures,
                    frame: &output.frame,
                    texts: self.compositor.drawn_texts(view.id),
                });
            }
            if self.hold {
                output.unconfirmed = Some(serial);
            } else {
                tell(&self.events, PresenterEvent::Presented { output: view.id, serial })?;
            }
        }
        self.watchers.retain(|watcher| {
            !matches!(watcher.try_send(serial), Err(TrySendError::Disconnected(_)))
        });
        Ok(())
    }

    fn obey(&mut self, command: Command) -> Result<(), Ended> {
        match command {
            Command::Snapshot(id, answer) => {
                let texts = self.compositor.drawn_texts(id);
                let snapshot = self.outputs.get(&id).map(|output| Snapshot {
                    serial: output.view.as_ref().map(|view| view.serial).unwrap_or_default(),
                    view: output.view.clone(),
                    frame: without_top_bytes(&output.frame),
                    texts,
                });
                // One who asked and left gets no answer.
                let _ = answer.try_send(snapshot);
                Ok(())
            }
            Command::Watch(watcher) => {
                self.watchers.push(watcher);
                Ok(())
            }
            Command::Resize(id, size, scale) => {
                let size = at_least_one(size);
                let Some(output) = self.outputs.get_mut(&id) else { return Ok(()) };
                (output.size, output.scale) = (size, scale);
                tell(&self.events, PresenterEvent::OutputResized { output: id, size, scale })
            }
            Command::Add(id, size, scale) => self.add(id, size, scale),
            Command::Remove(id) => {
                if self.outputs.remove(&id).is_none() {
                    return Ok(());
                }
                self.compositor.forget(id);
                tell(&self.events, PresenterEvent::OutputRemoved { output: id })
            }
            Command::Hold(hold) => {
                self.hold = hold;
                if hold {
                    return Ok(());
                }
                self.outputs.iter_mut().try_for_each(|(id, output)| {
                    let Some(serial) = output.unconfirmed.take() else { return Ok(()) };
                    tell(&self.events, PresenterEvent::Presented { output: *id, serial })
                })
            }
        }
    }

    fn add(&mut self, id: OutputId, size: Size, scale: Scale) -> Result<(), Ended> {
        let output = Output::new(size, scale);
        let size = output.size;
        self.outputs.insert(id, output);
        tell(&self.events, PresenterEvent::OutputAdded { output: id, size, scale })
    }
}

fn tell(events: &Ringing<PresenterEvent>, event: PresenterEvent) -> Result<(), Ended> {
    events.send(event).map_err(|_| Ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_guest_writes_beside_its_colors_is_not_seen() {
        let mut frame = Frame::new(Size { width: 2, height: 1 });
        frame.pixels = vec![0xff12_3456, 0x0012_3456];
        assert_eq!(without_top_bytes(&frame).pixels, [0x0012_3456; 2]);
    }
}
