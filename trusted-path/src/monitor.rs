//! The monitor's state and its one function, [`Monitor::step`].

use crate::{
    ConfigError, Effect, Event, GuestCommand, GuestState, LayoutMode, LockCause, MonitorConfig,
    Timer,
    audit::audited,
    devices::Devices,
    exchange::Exchange,
    focus::Focus,
    guests::{Guest, Guests},
    lock::Login,
    outputs::{Output, Outputs},
    pointer::Place,
    trusted_screen::TrustedScreen,
    windows::Windows,
};
use tabard_input::{DeviceName, HeldKeys};
use tabard_view::{FrameSerial, GuestId, Recipient, Size, View};

/// Decides who receives input and what is shown.
///
/// It begins without outputs, with the keyboard on the first guest that starts with the desk, or
/// on the trusted screen if none does. When the first output that can show the guests appears, every
/// guest is given its size, and then those that start with the desk are started.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    pub(crate) config: MonitorConfig,
    pub(crate) layout: LayoutMode,
    pub(crate) guests: Guests,
    pub(crate) outputs: Outputs,
    pub(crate) focus: Focus,
    pub(crate) held: HeldKeys,
    pub(crate) devices: Devices,
    /// Whether the keyboards and pointers of the host are its own.
    pub(crate) seated: bool,
    /// Screens that are left out, because they cannot be lit.
    pub(crate) dark: Vec<DeviceName>,
    pub(crate) pointer: Option<Place>,
    pub(crate) minute_of_day: Option<u16>,
    pub(crate) records_wait: bool,
    /// The number of the first view that named the present recipient, or asked the question
    /// that is open: no key is obeyed before the user can have seen what it will do.
    pub(crate) recipient_serial: FrameSerial,
    pub(crate) exchange: Exchange,
    pub(crate) login: Login,
    started: bool,
    pub(crate) view: View,
}

impl Monitor {
    /// A monitor with no output yet.
    ///
    /// # Errors
    /// A configuration that cannot be run.
    pub fn new(config: MonitorConfig) -> Result<Self, ConfigError> {
        config.check()?;
        let guests = Guests::new(&config);
        let first = guests.iter().find(|guest| guest.config.autostart).map(|guest| guest.id);
        let focus = match first {
            _ if !config.login.users.is_empty() => Focus::Locked(first),
            Some(guest) => Focus::Guest(guest),
            None => Focus::Trusted(TrustedScreen::new(None, &guests)),
        };
        // 0 means "nothing confirmed yet", so the first view is number 1.
        let serial = FrameSerial(1);
        let mut monitor = Self {
            layout: config.layout,
            login: Login::new(&config.login),
            config,
            guests,
            outputs: Outputs::default(),
            focus,
            held: HeldKeys::default(),
            devices: Devices::default(),
            seated: false,
            dark: Vec::new(),
            pointer: None,
            minute_of_day: None,
            records_wait: false,
            recipient_serial: serial,
            exchange: Exchange::default(),
            started: false,
            view: View { serial, recipient: Recipient::Nobody, outputs: Vec::new() },
        };
        monitor.view.recipient = monitor.recipient();
        Ok(monitor)
    }

    /// Takes one event and says what must be done, in order.
    pub fn step(&mut self, event: Event) -> Vec<Effect> {
        let target = self.target();
        let before = self.watched(&event);
        let heeded = match event {
            Event::Key { source, .. } => Some(self.devices.heeds(source)),
            Event::Pointer { source, .. }
            | Event::PointerMoved { source, .. }
            | Event::PointerAt { source, .. }
            | Event::Button { source, .. }
            | Event::Wheel { source, .. } => Some(self.devices.heeds_pointer(source)),
            _ => None,
        };
        if heeded == Some(true) {
            self.not_idle();
        }
        let mut done = Vec::new();
        match event {
            // Sorted out in `focus.rs`, where the chord is known: it works on any keyboard.
            Event::Key { source, code, pressed } => done = self.key(source, code, pressed),
            _ if heeded == Some(false) => {}
            Event::Pointer { output, x, y, source: _ } => done = self.pointer(output, x, y),
            Event::PointerMoved { dx, dy, source: _ } => done = self.pointer_moved(dx, dy),
            Event::PointerAt { x, y, source: _ } => done = self.pointer_at(x, y),
            Event::Button { source, code, pressed } => done = self.button(source, code, pressed),
            Event::Wheel { vertical, horizontal, source: _ } => {
                done = self.wheel(vertical, horizontal);
            }
            Event::DeviceAppeared { source, device } => self.device_appeared(source, device),
            Event::DeviceGone(source) => done = self.device_gone(source),
            Event::SourceLost(source) => done = self.source_lost(source),
            Event::OutputAdded { output, size, scale }
            | Event::OutputResized { output, size, scale } => {
                self.outputs.set(output, size, scale, self.next_serial());
                self.keep_pointer_on_screen();
                done = self.close_unfit_sheet();
            }
            Event::OutputRemoved(output) => {
                self.outputs.remove(output);
                self.keep_pointer_on_screen();
                // Whoever brings a screen back need not be who was before the last one.
                if self.outputs.iter().next().is_none() {
                    done = self.lock(LockCause::SeatLost);
                }
            }
            Event::ScreenDark { name, dark } => self.screen_dark(name, dark),
            Event::Presented { output, serial } => {
                self.outputs.confirm(output, serial, self.view.serial);
                done = self.start_dead_time();
            }
            Event::Guest { guest, report } => {
                done = self.report(guest, report);
                self.close_stale_sheet();
            }
            Event::Offered { guest, clip } => self.offered(guest, clip),
            Event::Listens { guest, listens } => self.listens(guest, listens),
            Event::Lights { guest, lights } => self.guests.lights(guest, lights),
            Event::Asked { guest, question } => done = self.asked(guest, question),
            Event::Elapsed(Timer::Restart(guest, failure)) => done = self.restart(guest, failure),
            Event::Elapsed(timer) => done = self.elapsed(timer),
            Event::PasswordChecked { ticket, right } => done = self.password_checked(ticket, right),
            Event::RecordsWait(wait) => self.records_wait = wait,
            Event::Lock(cause) => done = self.lock(cause),
            Event::Clock { minute_of_day } if minute_of_day < 24 * 60 => {
                self.minute_of_day = Some(minute_of_day);
                done = self.idle_minute();
                self.forgive();
            }
            Event::Clock { .. } => {}
        }
        let records = self.records(before, &event);
        let effects = self.settle(target, done);
        // What caused it first, then what came of it, then the effects.
        let is_record = |effect: &Effect| matches!(effect, Effect::Audit(_));
        let (causes, effects): (Vec<_>, Vec<_>) = effects.into_iter().partition(is_record);
        let records = records.into_iter().map(Effect::Audit);
        causes.into_iter().chain(records).chain(effects.into_iter().flat_map(audited)).collect()
    }

    /// What the screens should show now.
    #[must_use]
    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// The size in pixels that this guest was told last; `None` before the first output.
    #[must_use]
    pub fn guest_size(&self, guest: GuestId) -> Option<Size> {
        self.guests.get(guest)?.size
    }

    /// The present layout.
    #[must_use]
    pub fn layout(&self) -> LayoutMode {
        self.layout
    }

    /// Draws the consequences of what was done: releases, sizes, view.
    fn settle(&mut self, target: Option<GuestId>, done: Vec<Effect>) -> Vec<Effect> {
        let mut effects = Vec::new();
        let resized = self.resize_guests();
        let redraw = self.renew_view();
        if self.target() != target {
            // The old target gets its releases now, in the very step that ends its turn, and what
            // is still down is swallowed until it is up (invariant 4). A machine that is gone
            // gets nothing.
            let owed = self.held.swallow_all();
            let alive = target.filter(|&guest| {
                matches!(self.guests.state(guest), Some(GuestState::Running | GuestState::Paused))
            });
            effects.extend(self.releases(alive, owed));
        }
        effects.into_iter().chain(done).chain(resized).chain(redraw).collect()
    }

    /// Tells guests their new sizes; the first time, starts those that start with the desk. A
    /// screen that is too small for the present layout leaves the sizes as they were.
    fn resize_guests(&mut self) -> Vec<Effect> {
        let sizes: Vec<_> = self.guests.iter().map(|guest| self.fitting_size(guest.id)).collect();
        let mut effects = Vec::new();
        let mut all_sized = true;
        for (guest, size) in self.guests.iter_mut().zip(sizes).filter(|(guest, _)| guest.shown) {
            if let Some(size) = size.filter(|&size| guest.size != Some(size)) {
                guest.size = Some(size);
                let command = GuestCommand::Resize(size);
                effects.push(Effect::Command { guest: guest.id, command });
            }
            all_sized &= guest.size.is_some();
        }
        if all_sized && !self.started {
            self.started = true;
            let starting: Vec<GuestId> = self
                .guests
                .iter()
                .filter(|guest| guest.config.autostart)
                .map(|guest| guest.id)
                .collect();
            for guest in starting {
                effects.extend(self.command(guest, GuestCommand::Start));
            }
        }
        effects
    }

    /// Gives the view a new number if it says anything new.
    fn renew_view(&mut self) -> Option<Effect> {
        let recipient = self.recipient();
        let next = View { serial: self.view.serial, recipient, outputs: self.output_views() };
        if next == self.view {
            return None;
        }
        let serial = self.next_serial();
        if next.recipient != self.view.recipient {
            self.recipient_serial = serial;
        }
        self.view = View { serial, ..next };
        Some(Effect::Redraw)
    }

    pub(crate) fn next_serial(&self) -> FrameSerial {
        FrameSerial(self.view.serial.0.saturating_add(1))
    }

    /// What a guest is to be told: its size on its own screen if that is there, else on the first
    /// that is nobody's own.
    fn fitting_size(&self, guest: GuestId) -> Option<Size> {
        let rank = |output: &&Output| match self.owner(output) {
            Some(owner) if owner == guest => 0,
            None => 1,
            Some(_) => 2,
        };
        let output = self.outputs.iter().min_by_key(rank)?;
        self.windows(output, guest).guest_size(guest)
    }

    /// Whether every output can show the guests in the present layout.
    pub(crate) fn all_outputs_fit(&self) -> bool {
        let shown = match self.focus {
            Focus::Guest(guest) => guest,
            _ => GuestId(0),
        };
        self.outputs.iter().all(|output| self.windows(output, shown).fit())
    }

    /// The windows of a screen: of the guest whose own it is, or else those of the present layout,
    /// in solo that of `shown`. Should `shown` be on no screen then, it is on all of them.
    pub(crate) fn windows(&self, output: &Output, shown: GuestId) -> Windows {
        let (size, scale) = (output.size, output.scale);
        let shows = |output: &Output| self.owner(output).is_none_or(|owner| owner == shown);
        match self.owner(output).filter(|_| self.outputs.iter().any(shows)) {
            // With a banner above as well: the bar may name another guest.
            Some(owner) => Windows::new(LayoutMode::Desk, size, scale, &[owner], owner),
            None => Windows::new(self.layout, size, scale, &self.guests.shown(), shown),
        }
    }

    /// The guest whose own this screen is.
    fn owner(&self, output: &Output) -> Option<GuestId> {
        let owns = |guest: &&Guest| guest.shown && guest.config.screen == Some(output.id);
        self.guests.iter().find(owns).map(|guest| guest.id)
    }
}
