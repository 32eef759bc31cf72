//! A window on somebody's desktop: for trying Tabard out. It is not a trusted path, since that
//! desktop sees the keys and can draw over the window; the session says so in the bar.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use crossbeam_channel::{Receiver, TryRecvError};
use softbuffer::{Context, Surface};
use tabard_labels::LabelSet;
use tabard_view::{FrameSerial, OutputId, OutputView, Rect, Scale, Size};
use thiserror::Error;
use winit::application::ApplicationHandler;
use winit::dpi::{LogicalSize, PhysicalPosition, PhysicalSize};
use winit::event::{ElementState, MouseButton, MouseScrollDelta, WindowEvent};
use winit::event_loop::{ActiveEventLoop, ControlFlow, EventLoop, OwnedDisplayHandle};
use winit::platform::scancode::PhysicalKeyExtScancode;
use winit::platform::x11::ActiveEventLoopExtX11;
use winit::window::{Window, WindowId};

use crate::presenter::at_least_one;
use crate::{
    CheckedCompositor, Damage, FontError, Frame, FrameRequest, FrameSender, PresentError,
    Presenter, PresenterEvent, RawInput, Ringing,
};

/// The one screen that a window is.
const OUTPUT: OutputId = OutputId(0);
/// How many frames back a buffer may be and still be mended rather than copied whole.
const MAX_AGE: usize = 4;
/// Pixels of a smooth scroll that make one notch of a wheel.
const NOTCH_PX: f64 = 40.0;

/// How the window begins.
#[derive(Debug, Clone)]
pub struct WindowOptions {
    /// Its title on the host's desktop.
    pub title: String,
    /// Its size in units; the host's scale makes pixels of them.
    pub size: Size,
    /// The scale of what is in it; the host's if `None`.
    pub scale: Option<Scale>,
    /// The labels that the views name.
    pub labels: LabelSet,
}

/// Why there is no window, or no longer.
#[derive(Debug, Error)]
pub enum WindowError {
    /// Neither kind of display is named.
    #[error(
        "There is no display: neither WAYLAND_DISPLAY nor DISPLAY is set. Start from a desktop \
         session, set one of them, or use --headless"
    )]
    NoDisplay,
    /// The display that is named does not answer.
    #[error(
        "Could not reach the display named by {variables}. Check that it runs and that you may \
         use it, or use --headless: {reason}"
    )]
    Display {
        /// The variables that are set, with their values.
        variables: String,
        /// The window library's reason.
        reason: String,
    },
    /// It cannot draw.
    #[error("The window cannot be drawn")]
    Compositor(#[from] FontError),
    /// The window could not be opened or drawn into.
    #[error("The window failed: {0}")]
    Failed(String),
}

/// A window that is about to open. Make it and run it on the main thread.
pub struct WindowPresenter {
    event_loop: EventLoop<()>,
    options: WindowOptions,
    compositor: CheckedCompositor,
    requests: Receiver<FrameRequest>,
}

impl WindowPresenter {
    /// Connects to the display. The sender is for the session's thread; it wakes the window.
    ///
    /// # Errors
    ///
    /// [`WindowError::NoDisplay`] or [`WindowError::Display`] if there is none to connect to.
    pub fn new(options: WindowOptions) -> Result<(Self, FrameSender), WindowError> {
        let set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let names: Vec<&str> =
            ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].into_iter().filter(set).collect();
        if names.is_empty() {
            return Err(WindowError::NoDisplay);
        }
        let event_loop =
            EventLoop::<()>::with_user_event().build().map_err(|error| WindowError::Display {
                variables: names
                    .iter()
                    .map(|name| format!("{name}={}", std::env::var(name).unwrap_or_default()))
                    .collect::<Vec<_>>()
                    .join(", "),
                // The library's text begins with a place in its own source.
                reason: error.to_string().rsplit(": ").next().unwrap_or_default().to_owned(),
            })?;
        event_loop.set_control_flow(ControlFlow::Wait);
        let proxy = event_loop.create_proxy();
        // An event loop that has ended needs no waking.
        let wake = Arc::new(move || {
            let _ = proxy.send_event(());
        });
        let (sender, requests) = FrameSender::channel(Some(wake));
        let compositor = CheckedCompositor::new(options.labels.clone())?;
        Ok((Self { event_loop, options, compositor, requests }, sender))
    }

    /// Shows the window until the session is gone, which a user who closes the window can only
    /// ask for ([`PresenterEvent::CloseRequested`]).
    ///
    /// # Errors
    ///
    /// [`WindowError`] if the window could not be opened or its display went away; the session
    /// was told by [`PresenterEvent::Failed`].
    pub fn run(self, events: Ringing<PresenterEvent>) -> Result<(), WindowError> {
        let mut app = App {
            options: self.options,
            compositor: self.compositor,
            requests: self.requests,
            events,
            glass: None,
            frame: Frame::default(),
            scale: Scale::ONE,
            wheel: (0.0, 0.0),
            failure: None,
        };
        let ended = self.event_loop.run_app(&mut app);
        match (app.failure, ended) {
            (Some(reason), _) => Err(WindowError::Failed(reason)),
            (None, Err(error)) => {
                // Nobody may be listening any more.
                let _ = app.events.send(PresenterEvent::Failed(error.to_string()));
                Err(WindowError::Failed(error.to_string()))
            }
            (None, Ok(())) => Ok(()),
        }
    }
}

/// The window and the buffers that it shows.
struct Glass {
    window: Arc<Window>,
    surface: Surface<OwnedDisplayHandle, Arc<Window>>,
    size: Size,
    /// Damage of the frames that were put up last, newest first.
    history: VecDeque<Damage>,
    /// Whether the display is X11, where taking the next buffer waits for the server to have
    /// taken the last one.
    x11: bool,
}

impl Glass {
    fn open(event_loop: &ActiveEventLoop, options: &WindowOptions) -> Result<Self, String> {
        let wanted = LogicalSize::new(options.size.width, options.size.height);
        let attributes = Window::default_attributes()
            .with_title(&options.title)
            .with_inner_size(wanted)
            .with_min_inner_size(PhysicalSize::new(320, 240));
        let window =
            Arc::new(event_loop.create_window(attributes).map_err(|error| error.to_string())?);
        window.set_cursor_visible(false);
        let context = Context::new(event_loop.owned_display_handle());
        let context = context.map_err(|error| error.to_string())?;
        let surface =
            Surface::new(&context, Arc::clone(&window)).map_err(|error| error.to_string())?;
        let size = size_of(window.inner_size());
        let x11 = event_loop.is_x11();
        let mut glass = Self { window, surface, size, history: VecDeque::new(), x11 };
        glass.resize(size).map_err(|error| error.to_string())?;
        Ok(glass)
    }

    fn resize(&mut self, size: Size) -> Result<(), softbuffer::SoftBufferError> {
        self.size = size;
        self.history.clear();
        let side = |length: u32| NonZeroU32::new(length).unwrap_or(NonZeroU32::MIN);
        self.surface.resize(side(size.width), side(size.height))
    }

    fn show(&mut self, frame: &Frame, damage: Damage) -> Result<(), softbuffer::SoftBufferError> {
        let shown = boxes(&damage);
        self.history.push_front(damage);
        self.history.truncate(MAX_AGE);
        let mut buffer = self.surface.buffer_mut()?;
        let age = usize::from(buffer.age());
        let mut stale = Damage::default();
        if age == 0 || age > self.history.len() {
            stale.add(frame.size.rect());
        } else {
            let shown_since = self.history.iter().take(age).flat_map(Damage::rects);
            shown_since.for_each(|rect| stale.add(*rect));
        }
        let stride = usize::try_from(frame.size.width).unwrap_or(0);
        for rect in stale.rects() {
            for y in rect.y..rect.bottom() {
                let row = usize::try_from(y).unwrap_or(0).saturating_mul(stride);
                let start = row.saturating_add(usize::try_from(rect.x).unwrap_or(0));
                let source = frame.row(y, rect.x, rect.width);
                let end = start.saturating_add(source.len());
                if let Some(target) = buffer.get_mut(start..end) {
                    target.copy_from_slice(source);
                }
            }
        }
        buffer.present_with_damage(&shown)?;
        if self.x11 {
            self.surface.buffer_mut().map(drop)?;
        }
        Ok(())
    }
}

impl Presenter for Glass {
    fn present(
        &mut self,
        output: &OutputView,
        _serial: FrameSerial,
        frame: &Frame,
        damage: &Damage,
    ) -> Result<(), PresentError> {
        if output.id != OUTPUT || frame.size != self.size {
            return Err(PresentError::Gone(output.id));
        }
        self.show(frame, damage.clone())
            .map_err(|error| PresentError::Refused { output: output.id, reason: error.to_string() })
    }
}

fn boxes(damage: &Damage) -> Vec<softbuffer::Rect> {
    let rect = |rect: &Rect| {
        let (width, height) = (NonZeroU32::new(rect.width)?, NonZeroU32::new(rect.height)?);
        Some(softbuffer::Rect { x: rect.x, y: rect.y, width, height })
    };
    damage.rects().iter().filter_map(rect).collect()
}

fn size_of(size: PhysicalSize<u32>) -> Size {
    at_least_one(Size { width: size.width, height: size.height })
}

struct App {
    options: WindowOptions,
    compositor: CheckedCompositor,
    requests: Receiver<FrameRequest>,
    events: Ringing<PresenterEvent>,
    glass: Option<Glass>,
    frame: Frame,
    scale: Scale,
    /// Parts of a notch not yet reported.
    wheel: (f64, f64),
    failure: Option<String>,
}

impl App {
    fn tell(&self, event_loop: &ActiveEventLoop, event: PresenterEvent) {
        if self.events.send(event).is_err() {
            event_loop.exit();
        }
    }

    fn input(&self, event_loop: &ActiveEventLoop, input: RawInput) {
        self.tell(event_loop, PresenterEvent::Input(input));
    }

    fn fail(&mut self, event_loop: &ActiveEventLoop, reason: String) {
        // If the session is gone too, the return value still says it.
        let _ = self.events.send(PresenterEvent::Failed(reason.clone()));
        self.failure = Some(reason);
        event_loop.exit();
    }

    /// The scale to draw at: the one that was asked for, else the host's.
    fn scale_for(&self, factor: f64) -> Scale {
        let percent = (factor * 100.0).round().clamp(50.0, 400.0) as u16;
        self.options.scale.or_else(|| Scale::from_percent(percent)).unwrap_or_default()
    }

    fn draw(&mut self, event_loop: &ActiveEventLoop) {
        let request = match self.requests.try_recv() {
            Ok(request) => request,
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => return event_loop.exit(),
        };
        let (Some(glass), Some(output)) = (&mut self.glass, request.view.output(OUTPUT)) else {
            return;
        };
        // A view made before a resize: one of the new size is on its way.
        if output.size != glass.size || output.scale != self.scale {
            return;
        }
        let changed = match self.compositor.compose(&request, output, &mut self.frame) {
            Ok(changed) => changed,
            Err(mismatch) => {
                self.redraw(event_loop);
                return self.tell(event_loop, PresenterEvent::FrameRefused(mismatch));
            }
        };
        let serial = request.view.serial;
        match glass.present(output, serial, &self.frame, &changed) {
            Ok(()) => self.tell(event_loop, PresenterEvent::Presented { output: OUTPUT, serial }),
            Err(error) => self.fail(event_loop, error.to_string()),
        }
    }

    /// Puts the frame up again, because the host's desktop lost it.
    fn redraw(&mut self, event_loop: &ActiveEventLoop) {
        let Some(glass) = &mut self.glass else { return };
        if self.frame.size != glass.size {
            return;
        }
        let mut whole = Damage::default();
        whole.add(self.frame.size.rect());
        if let Err(error) = glass.show(&self.frame, whole) {
            self.fail(event_loop, error.to_string());
        }
    }

    fn resized(&mut self, event_loop: &ActiveEventLoop, size: Size, scale: Scale) {
        let Some(glass) = &mut self.glass else { return };
        if glass.size == size && self.scale == scale {
            return;
        }
        if let Err(error) = glass.resize(size) {
            return self.fail(event_loop, error.to_string());
        }
        self.scale = scale;
        self.tell(event_loop, PresenterEvent::OutputResized { output: OUTPUT, size, scale });
    }

    fn wheel(&mut self, event_loop: &ActiveEventLoop, delta: MouseScrollDelta) {
        let (x, y) = match delta {
            MouseScrollDelta::LineDelta(x, y) => (f64::from(x), f64::from(y)),
            MouseScrollDelta::PixelDelta(by) => (by.x / NOTCH_PX, by.y / NOTCH_PX),
        };
        // winit counts how far the content moves to the right; evdev how far the wheel does.
        self.wheel = (self.wheel.0 - x, self.wheel.1 + y);
        let whole = (self.wheel.0.trunc(), self.wheel.1.trunc());
        self.wheel = (self.wheel.0 - whole.0, self.wheel.1 - whole.1);
        let (horizontal, vertical) = (whole.0 as i16, whole.1 as i16);
        if (horizontal, vertical) != (0, 0) {
            self.input(event_loop, RawInput::Wheel { vertical, horizontal });
        }
    }
}

impl ApplicationHandler<()> for App {
    fn resumed(&mut self, event_loop: &ActiveEventLoop) {
        if self.glass.is_some() {
            return;
        }
        match Glass::open(event_loop, &self.options) {
            Ok(glass) => {
                let (size, scale) = (glass.size, self.scale_for(glass.window.scale_factor()));
                self.scale = scale;
                self.glass = Some(glass);
                self.tell(event_loop, PresenterEvent::OutputAdded { output: OUTPUT, size, scale });
                self.draw(event_loop);
            }
            Err(reason) => self.fail(event_loop, reason),
        }
    }

    fn user_event(&mut self, event_loop: &ActiveEventLoop, (): ()) {
        self.draw(event_loop);
    }

    fn window_event(&mut self, event_loop: &ActiveEventLoop, _id: WindowId, event: WindowEvent) {
        match event {
            // Destroyed: by the desktop around it, without asking.
            WindowEvent::CloseRequested | WindowEvent::Destroyed => {
                self.tell(event_loop, PresenterEvent::CloseRequested);
            }
            WindowEvent::RedrawRequested => self.redraw(event_loop),
            WindowEvent::Resized(size) => {
                let scale = self.scale;
                self.resized(event_loop, size_of(size), scale);
            }
            WindowEvent::ScaleFactorChanged { scale_factor, .. } => {
                let size = self.glass.as_ref().map(|glass| size_of(glass.window.inner_size()));
                let scale = self.scale_for(scale_factor);
                self.resized(event_loop, size.unwrap_or_default(), scale);
            }
            WindowEvent::Focused(false) => self.input(event_loop, RawInput::Lost),
            // A synthetic press is a key that was held when the window got the keyboard: it was
            // pressed for somebody else. Guests make their own repeats.
            WindowEvent::KeyboardInput { event, is_synthetic: false, .. } if !event.repeat => {
                let code = event.physical_key.to_scancode();
                if let Some(code) = code.and_then(|code| u16::try_from(code).ok()) {
                    let pressed = event.state == ElementState::Pressed;
                    self.input(event_loop, RawInput::Key { code, pressed });
                }
            }
            WindowEvent::CursorMoved { position: PhysicalPosition { x, y }, .. } => {
                // A float that is negative or too large saturates.
                let (x, y) = (x as u32, y as u32);
                self.input(event_loop, RawInput::Pointer { output: OUTPUT, x, y });
            }
            WindowEvent::MouseInput { state, button, .. } => {
                let pressed = state == ElementState::Pressed;
                if let Some(code) = button_code(button) {
                    self.input(event_loop, RawInput::Button { code, pressed });
                }
            }
            WindowEvent::MouseWheel { delta, .. } => self.wheel(event_loop, delta),
            _ => {}
        }
    }
}

/// `BTN_*` of linux/input-event-codes.h.
fn button_code(button: MouseButton) -> Option<u16> {
    match button {
        MouseButton::Left => Some(0x110),
        MouseButton::Right => Some(0x111),
        MouseButton::Middle => Some(0x112),
        MouseButton::Back => Some(0x113),
        MouseButton::Forward => Some(0x114),
        MouseButton::Other(_) => None,
    }
}
