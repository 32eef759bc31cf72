//! What a keyboard or pointer of the host is and says, as plain values, and the rules by which a
//! device is taken for one. A device is not believed: its name is cleaned, and whatever offers
//! more than one thing is refused.

use crate::{KeyCode, SourceId};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Most bytes that are kept of a device's name.
pub const MAX_DEVICE_NAME_BYTES: usize = 40;
/// Keys of the typing block or keypad that a device needs to count as a keyboard: a power button
/// or a row of volume keys has fewer, a keypad has more.
const MIN_TYPING_KEYS: usize = 12;
/// Identities that are remembered; a device that comes back under ever new ones fills no memory.
const MAX_IDENTITIES: usize = 256;

/// Axes of linux/input-event-codes.h that move a pointer.
pub(crate) mod axis {
    pub(crate) const REL_X: u16 = 0;
    pub(crate) const REL_Y: u16 = 1;
    pub(crate) const ABS_X: u16 = 0;
    pub(crate) const ABS_Y: u16 = 1;
    /// The first absolute axis that moves nothing (`ABS_VOLUME`); keyboards have it.
    pub(crate) const ABS_VOLUME: u16 = 0x20;
}
/// `BTN_TOOL_FINGER`: what a touchpad has and a tablet or a mouse has not.
const BTN_TOOL_FINGER: u16 = 0x145;

/// The name that a device gives itself, printable ASCII only and cut to
/// [`MAX_DEVICE_NAME_BYTES`]: it comes from whoever made the device and is shown on the trusted
/// screen.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DeviceName {
    bytes: [u8; MAX_DEVICE_NAME_BYTES],
    length: usize,
}

impl DeviceName {
    /// The name, cleaned.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let mut name = Self { bytes: [b' '; MAX_DEVICE_NAME_BYTES], length: 0 };
        let clean = text.bytes().map(|b| if (b' '..=b'~').contains(&b) { b } else { b'?' });
        for (to, from) in name.bytes.iter_mut().zip(clean) {
            *to = from;
            name.length = name.length.saturating_add(1);
        }
        name
    }

    /// As text; "unnamed" if it is empty.
    #[must_use]
    pub fn as_str(&self) -> &str {
        let text = std::str::from_utf8(self.bytes.get(..self.length).unwrap_or_default());
        text.ok().map(str::trim).filter(|text| !text.is_empty()).unwrap_or("unnamed")
    }
}

impl fmt::Debug for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().fmt(f)
    }
}

/// What a device is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeviceClass {
    /// It types.
    Keyboard,
    /// It points.
    Pointer,
    /// It is listed and otherwise ignored.
    Refused(Refusal),
}

/// Why a device is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// It offers keys and a pointer in one: a mouse that can type is not a mouse.
    Composite,
    /// It was here before, and was something else then.
    Changed,
    /// A pointer of a kind that is not supported, such as a touch screen or a joystick.
    Unsupported,
    /// It could not be had for Tabard alone: another program holds it.
    NotAlone,
}

/// A device as the monitor and the trusted screen know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// What it is taken for.
    pub class: DeviceClass,
    /// What it calls itself.
    pub name: DeviceName,
}

/// What the keyboards and pointers of the host have to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostEvent {
    /// A device is there.
    Appeared {
        /// Its number, never used before.
        source: SourceId,
        /// What it is.
        device: Device,
    },
    /// A device is gone with all that it held.
    Gone(SourceId),
    /// A key or a button went down or up.
    Key {
        /// The device.
        source: SourceId,
        /// The key or the button.
        code: KeyCode,
        /// Down or up.
        pressed: bool,
    },
    /// The pointer was moved.
    Moved {
        /// The device.
        source: SourceId,
        /// Pixels to the right.
        dx: i32,
        /// Pixels downwards.
        dy: i32,
    },
    /// The pointer is at this place of the screen.
    At {
        /// The device.
        source: SourceId,
        /// 0 (left edge) ..= 65535 (right edge).
        x: u16,
        /// 0 (top edge) ..= 65535 (bottom edge).
        y: u16,
    },
    /// A wheel turned, in notches.
    Wheel {
        /// The device.
        source: SourceId,
        /// Positive: away from the user.
        vertical: i16,
        /// Positive: to the right.
        horizontal: i16,
    },
}

/// How a pointer says where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pointing {
    /// By how far it moved: a mouse.
    Relative,
    /// By its place: a tablet, or the pointer of a virtual machine.
    Absolute,
    /// By the place of a finger, of which only the way counts: a touchpad.
    Touchpad,
}

/// What a device says that it can do (the `EVIOCGBIT` ioctls of linux/input.h).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Capabilities {
    /// `KEY_*` and `BTN_*`.
    pub keys: BTreeSet<u16>,
    /// `REL_*`.
    pub relative: BTreeSet<u16>,
    /// `ABS_*`.
    pub absolute: BTreeSet<u16>,
    /// `INPUT_PROP_DIRECT`: what is touched is the screen itself.
    pub direct: bool,
}

impl Capabilities {
    /// What the device is; `None` if it is neither keyboard nor pointer, such as a power button
    /// or the jack of headphones, and is left to the rest of the system.
    #[must_use]
    pub fn class(&self) -> Option<DeviceClass> {
        let refused = |why| Some(DeviceClass::Refused(why));
        let types = self.keys.iter().any(|&code| KeyCode(code).is_key());
        if self.moves() {
            return match self.pointing() {
                // One key is enough: with 0 to 9 alone a PIN is typed.
                _ if types => refused(Refusal::Composite),
                Some(_) => Some(DeviceClass::Pointer),
                None => refused(Refusal::Unsupported),
            };
        }
        if self.keys.iter().filter(|code| (2..=83).contains(*code)).count() < MIN_TYPING_KEYS {
            return None;
        }
        let buttons = self.keys.iter().any(|&code| KeyCode(code).is_button());
        if buttons { refused(Refusal::Composite) } else { Some(DeviceClass::Keyboard) }
    }

    /// How it points, if it is a pointer that is supported.
    #[must_use]
    pub fn pointing(&self) -> Option<Pointing> {
        let left = self.keys.contains(&KeyCode::BUTTON_LEFT.0);
        let both = |axes: &BTreeSet<u16>, x, y| axes.contains(&x) && axes.contains(&y);
        let place = both(&self.absolute, axis::ABS_X, axis::ABS_Y);
        if !left || self.direct {
            None
        } else if place && self.keys.contains(&BTN_TOOL_FINGER) {
            Some(Pointing::Touchpad)
        } else if place {
            Some(Pointing::Absolute)
        } else {
            both(&self.relative, axis::REL_X, axis::REL_Y).then_some(Pointing::Relative)
        }
    }

    /// Whether any of its axes could move a pointer.
    fn moves(&self) -> bool {
        self.absolute.iter().any(|&code| code < axis::ABS_VOLUME)
            || self.relative.iter().any(|&code| code <= axis::REL_Y)
    }
}

/// Remembers what each device was, so that none comes back as another class.
#[derive(Debug, Clone, Default)]
pub struct DeviceRules {
    seen: BTreeMap<String, DeviceClass>,
}

impl DeviceRules {
    /// What the device is taken for. `identity` is what stays the same when it is pulled out and
    /// put in again: bus, maker, product and port.
    pub fn judge(&mut self, identity: &str, capabilities: &Capabilities) -> Option<DeviceClass> {
        let class = capabilities.class()?;
        if self.seen.len() >= MAX_IDENTITIES && !self.seen.contains_key(identity) {
            self.seen.pop_first();
        }
        let first = *self.seen.entry(identity.to_owned()).or_insert(class);
        Some(if first == class { class } else { DeviceClass::Refused(Refusal::Changed) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyboard() -> Capabilities {
        Capabilities { keys: (1..=120).collect(), ..Capabilities::default() }
    }

    fn mouse() -> Capabilities {
        let keys = (0x110..=0x114).collect();
        Capabilities { keys, relative: [0, 1, 8].into(), ..Capabilities::default() }
    }

    #[test]
    fn keyboards_keypads_and_pointers_are_known() {
        let keypad = Capabilities { keys: (55..=83).collect(), ..Capabilities::default() };
        let tablet = Capabilities { absolute: [0, 1].into(), relative: [8].into(), ..mouse() };
        let finger = Capabilities { keys: [0x110, 0x145, 0x14a].into(), ..tablet.clone() };
        assert_eq!(keyboard().class(), Some(DeviceClass::Keyboard));
        assert_eq!(keypad.class(), Some(DeviceClass::Keyboard));
        for (device, pointing) in [
            (mouse(), Pointing::Relative),
            (tablet, Pointing::Absolute),
            (finger, Pointing::Touchpad),
        ] {
            assert_eq!(device.class(), Some(DeviceClass::Pointer));
            assert_eq!(device.pointing(), Some(pointing));
        }
    }

    #[test]
    fn a_keyboard_may_have_a_volume_knob() {
        let knob = Capabilities {
            absolute: [axis::ABS_VOLUME].into(),
            relative: [6].into(),
            ..keyboard()
        };
        assert_eq!(knob.class(), Some(DeviceClass::Keyboard));
    }

    #[test]
    fn power_buttons_lids_and_jacks_are_left_alone() {
        let button = Capabilities { keys: [116].into(), ..Capabilities::default() };
        assert_eq!(button.class(), None);
        assert_eq!(Capabilities::default().class(), None);
    }

    #[test]
    fn a_pointer_that_can_type_is_refused_even_with_one_key() {
        let composite = Some(DeviceClass::Refused(Refusal::Composite));
        let mut typing = mouse();
        typing.keys.insert(KeyCode::ENTER.0);
        assert_eq!(typing.class(), composite);
        let mut pointing = keyboard();
        pointing.relative = [0, 1].into();
        assert_eq!(pointing.class(), composite);
        let mut clicking = keyboard();
        clicking.keys.insert(KeyCode::BUTTON_LEFT.0);
        assert_eq!(clicking.class(), composite);
    }

    #[test]
    fn joysticks_and_touch_screens_are_refused() {
        let unsupported = Some(DeviceClass::Refused(Refusal::Unsupported));
        let stick = Capabilities {
            keys: (0x120..=0x12f).collect(),
            absolute: [0, 1].into(),
            ..Capabilities::default()
        };
        assert_eq!(stick.class(), unsupported);
        let screen = Capabilities { absolute: [0, 1].into(), direct: true, ..mouse() };
        assert_eq!(screen.class(), unsupported);
    }

    #[test]
    fn a_device_that_comes_back_as_another_class_is_refused() {
        let mut rules = DeviceRules::default();
        assert_eq!(rules.judge("port 1", &mouse()), Some(DeviceClass::Pointer));
        assert_eq!(
            rules.judge("port 1", &keyboard()),
            Some(DeviceClass::Refused(Refusal::Changed))
        );
        assert_eq!(rules.judge("port 2", &keyboard()), Some(DeviceClass::Keyboard));
        assert_eq!(rules.judge("port 1", &mouse()), Some(DeviceClass::Pointer));
    }

    #[test]
    fn names_are_printable_and_short() {
        assert_eq!(DeviceName::new("Keyboard\u{202e}\n").as_str(), "Keyboard????");
        assert_eq!(DeviceName::new("  ").as_str(), "unnamed");
        assert_eq!(DeviceName::new(&"x".repeat(999)).as_str().len(), MAX_DEVICE_NAME_BYTES);
    }

    proptest! {
        /// Whatever a device offers, it is never both: who points has no key, who types no pointer.
        #[test]
        fn nothing_is_keyboard_and_pointer_at_once(
            keys in prop::collection::btree_set(0u16..0x2ff, 0..90),
            relative in prop::collection::btree_set(0u16..16, 0..4),
            absolute in prop::collection::btree_set(0u16..64, 0..4),
            direct: bool,
        ) {
            let device = Capabilities { keys, relative, absolute, direct };
            let types = device.keys.iter().any(|&code| KeyCode(code).is_key());
            match device.class() {
                Some(DeviceClass::Pointer) => prop_assert!(!types && device.pointing().is_some()),
                Some(DeviceClass::Keyboard) => {
                    prop_assert!(types && device.pointing().is_none());
                    prop_assert!(!device.keys.iter().any(|&code| KeyCode(code).is_button()));
                }
                Some(DeviceClass::Refused(_)) | None => {}
            }
        }

        #[test]
        fn any_name_is_clean(text: String) {
            let name = DeviceName::new(&text);
            prop_assert!(name.as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
