//! What the signed-off desk file tells the monitor. Names and labels come from here and nowhere
//! else (invariant 7).

use tabard_input::Chord;
use tabard_labels::{AccessClass, LabelId, check_text};
use tabard_view::OutputId;
use thiserror::Error;

use crate::{LoginConfig, Policy};

/// Most guests of one desk.
pub const MAX_GUESTS: usize = 64;
/// Most characters of a guest's name.
pub const MAX_NAME_CHARS: usize = 64;

/// What the signed-off desk file says of one guest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GuestConfig {
    /// Its name, 1 to 64 characters, unique on the desk.
    pub name: String,
    /// Its label; it never changes while the monitor lives (invariant 7).
    pub label: LabelId,
    /// The access class of that label: what flows to and from it is decided by.
    pub class: AccessClass,
    /// Whether to start it with the desk.
    pub autostart: bool,
    /// Whether it starts again by itself when it fails.
    pub restart: bool,
    /// Whether its processor is emulated.
    pub emulated: bool,
    /// The screen that shows it alone, whoever receives input.
    pub screen: Option<OutputId>,
}

/// How guests share an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LayoutMode {
    /// The guest that has the keyboard fills the output.
    Solo,
    /// All guests side by side.
    Desk,
}

/// Everything that the monitor knows from the desk file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MonitorConfig {
    /// The guests, in the order of the desk file; [`tabard_view::GuestId`] counts from 0.
    pub guests: Vec<GuestConfig>,
    /// The layout to begin with.
    pub layout: LayoutMode,
    /// The secure-attention chord.
    pub chord: Chord,
    /// Shown in the bar at all times, such as "A window is not a trusted path"; may be empty.
    pub notice: String,
    /// Shown at the foot of the trusted screen; may be empty.
    pub footer: String,
    /// What may flow, beyond what the classes say.
    pub policy: Policy,
    /// Who may use the desk.
    pub login: LoginConfig,
}

/// Why a configuration cannot be run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ConfigError {
    /// There is nothing to switch to.
    #[error("The desk has no guest; it needs at least one")]
    NoGuests,
    /// More than [`MAX_GUESTS`].
    #[error("The desk has {0} guests; at most {MAX_GUESTS} are possible")]
    TooManyGuests(usize),
    /// A name that cannot be shown on a banner.
    #[error(
        "The guest name {0:?} is unusable; use 1 to {MAX_NAME_CHARS} printable ASCII characters"
    )]
    BadName(String),
    /// Two guests that the user could not tell apart.
    #[error("Two guests are called {0:?}; give each its own name")]
    DuplicateName(String),
}

impl MonitorConfig {
    /// Refuses what could not be shown or told apart.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.guests.is_empty() {
            return Err(ConfigError::NoGuests);
        }
        if self.guests.len() > MAX_GUESTS {
            return Err(ConfigError::TooManyGuests(self.guests.len()));
        }
        for (index, guest) in self.guests.iter().enumerate() {
            // What shows on a banner as what it is: no signs that are invisible or turn a line round.
            if check_text(&guest.name).is_err() || guest.name.chars().count() > MAX_NAME_CHARS {
                return Err(ConfigError::BadName(guest.name.clone()));
            }
            if self.guests.iter().take(index).any(|earlier| earlier.name == guest.name) {
                return Err(ConfigError::DuplicateName(guest.name.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(names: &[&str]) -> MonitorConfig {
        let guest = |name: &&str| GuestConfig {
            name: (*name).to_owned(),
            label: LabelId(0),
            class: AccessClass::default(),
            autostart: true,
            restart: false,
            emulated: false,
            screen: None,
        };
        MonitorConfig {
            guests: names.iter().map(guest).collect(),
            layout: LayoutMode::Desk,
            chord: Chord::default(),
            notice: String::new(),
            footer: String::new(),
            policy: Policy::default(),
            login: LoginConfig::default(),
        }
    }

    #[test]
    fn a_desk_needs_one_to_64_guests() {
        assert_eq!(config(&[]).check(), Err(ConfigError::NoGuests));
        assert_eq!(config(&["a"; 65]).check(), Err(ConfigError::TooManyGuests(65)));
    }

    #[test]
    fn names_are_printable_and_differ() {
        for bad in ["", " ", "a\nb", "a\u{202e}b", "B\u{fc}ro", &"x".repeat(65)] {
            assert_eq!(config(&[bad]).check(), Err(ConfigError::BadName(bad.to_owned())));
        }
        assert_eq!(config(&["a", "b", "a"]).check(), Err(ConfigError::DuplicateName("a".into())));
        assert_eq!(config(&["Office 1", "b"]).check(), Ok(()));
    }
}
