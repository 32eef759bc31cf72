//! The monitor's state and its one function.

use crate::{ConfigError, Effect, Event, MonitorConfig};
use tabard_view::{FrameSerial, GuestId, Recipient, Size, View};

/// Decides who receives input and what is shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Monitor {
    config: MonitorConfig,
}

impl Monitor {
    /// A monitor with no output yet.
    ///
    /// # Errors
    /// A configuration that cannot be run.
    pub fn new(config: MonitorConfig) -> Result<Self, ConfigError> {
        Ok(Self { config })
    }

    /// Takes one event and says what must be done, in order.
    pub fn step(&mut self, _event: Event) -> Vec<Effect> {
        Vec::new()
    }

    /// What the screens should show now.
    #[must_use]
    pub fn view(&self) -> View {
        View { serial: FrameSerial(1), recipient: self.recipient(), outputs: Vec::new() }
    }

    /// Who receives input once the view is confirmed.
    #[must_use]
    pub fn recipient(&self) -> Recipient {
        Recipient::Nobody
    }

    /// Whether every output has confirmed a frame that names the recipient.
    #[must_use]
    pub fn input_open(&self) -> bool {
        false
    }

    /// The size in pixels that this guest has, once an output is known.
    #[must_use]
    pub fn guest_size(&self, _guest: GuestId) -> Option<Size> {
        None
    }
}
