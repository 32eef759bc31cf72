//! The guests of the desk and what each is doing. A report changes the state of the guest that it
//! is about and nothing else (invariant 3).

use crate::{Clip, Ending, GuestCommand, GuestConfig, GuestReport, MonitorConfig, Question};
use tabard_labels::AccessClass;
use tabard_view::{GuestId, Size};

/// What a guest is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GuestState {
    /// It was never started.
    Off,
    /// It was told to start and has not said that it runs.
    Starting,
    /// It runs; only now can it receive input.
    Running,
    /// Its processors are halted.
    Paused,
    /// It has ended.
    Ended(Ending),
}

impl GuestState {
    /// Whether there is a machine that can be stopped and reset.
    pub(crate) fn is_alive(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Paused)
    }
}

/// One guest of the desk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guest {
    pub(crate) id: GuestId,
    pub(crate) config: GuestConfig,
    pub(crate) state: GuestState,
    /// The size it was told last.
    pub(crate) size: Option<Size>,
    /// How often it has failed since it last ran through a minute; counted if it may restart.
    pub(crate) failures: u8,
    /// What its agent says.
    pub(crate) agent: Agent,
    /// Which lock keys it has on: Num, Caps and Scroll.
    pub(crate) lights: [bool; 3],
    /// Whether the user is cleared for it. What is not shown cannot be reached.
    pub(crate) shown: bool,
}

/// What a guest's agent says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Agent {
    /// Whether there is one.
    pub(crate) listens: bool,
    /// The text that it offers.
    pub(crate) offer: Option<Clip>,
    /// The question that waits.
    pub(crate) question: Option<Question>,
}

/// All guests, in the order of the desk file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Guests(Vec<Guest>);

impl Guests {
    pub(crate) fn new(config: &MonitorConfig) -> Self {
        let ids = (0..=u8::MAX).map(GuestId);
        let guest = |(id, config)| {
            let agent = Agent::default();
            Guest {
                id,
                config,
                state: GuestState::Off,
                size: None,
                failures: 0,
                agent,
                lights: [false; 3],
                shown: true,
            }
        };
        Self(ids.zip(config.guests.iter().cloned()).map(guest).collect())
    }

    /// Shows the guests of these classes and no others.
    pub(crate) fn show(&mut self, cleared: impl Fn(&AccessClass) -> bool) {
        for guest in &mut self.0 {
            guest.shown = cleared(&guest.config.class);
        }
    }

    /// The guests that are shown.
    pub(crate) fn shown(&self) -> Vec<GuestId> {
        self.0.iter().filter(|guest| guest.shown).map(|guest| guest.id).collect()
    }

    pub(crate) fn is_shown(&self, id: GuestId) -> bool {
        self.get(id).is_some_and(|guest| guest.shown)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Guest> {
        self.0.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Guest> {
        self.0.iter_mut()
    }

    pub(crate) fn get(&self, id: GuestId) -> Option<&Guest> {
        self.0.get(usize::from(id.0))
    }

    pub(crate) fn get_mut(&mut self, id: GuestId) -> Option<&mut Guest> {
        self.0.get_mut(usize::from(id.0))
    }

    pub(crate) fn state(&self, id: GuestId) -> Option<GuestState> {
        self.get(id).map(|guest| guest.state)
    }

    /// Takes over what a guest is doing. Reports about unknown guests are ignored.
    pub(crate) fn report(&mut self, id: GuestId, report: GuestReport) {
        if let Some(guest) = self.0.get_mut(usize::from(id.0)) {
            if matches!(report, GuestReport::Stopped(_)) {
                guest.agent = Agent::default();
                guest.lights = [false; 3];
            }
            guest.state = match report {
                GuestReport::Running => GuestState::Running,
                GuestReport::Paused => GuestState::Paused,
                GuestReport::Stopped(ending) => GuestState::Ended(ending),
            };
        }
    }

    /// A guest has these lock keys on.
    pub(crate) fn lights(&mut self, id: GuestId, lights: [bool; 3]) {
        if let Some(guest) = self.0.get_mut(usize::from(id.0)) {
            guest.lights = lights;
        }
    }

    /// Notes a command that is about to be given. Answers whether it may be: a guest without a
    /// size cannot start.
    pub(crate) fn command(&mut self, id: GuestId, command: GuestCommand) -> bool {
        let Some(guest) = self.0.get_mut(usize::from(id.0)) else { return false };
        if matches!(command, GuestCommand::Start | GuestCommand::Reset) {
            if guest.size.is_none() {
                return false;
            }
            guest.state = GuestState::Starting;
        }
        true
    }
}
