//! What a keyboard or pointer of the host is and says, as plain values, and the rules by which a
//! device is taken for one. A device is not believed: its name is cleaned, and of one that offers
//! keys and a pointer in one only the part is heard that it is taken for.

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
/// The bus of what has an address of its own in place of a port (linux/input.h).
pub(crate) const BUS_BLUETOOTH: u16 = 5;
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
    /// It offers keys and a pointer in one, on a desk that asks for the strict rule.
    Composite,
    /// It was here before, was pulled out, and is something else now.
    Changed,
    /// A pointer of a kind that is not supported, such as a touch screen or a joystick.
    Unsupported,
    /// It could not be had for Tabard alone: another program holds it.
    NotAlone,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Composite => "offers keys and a pointer in one",
            Self::Changed => "was another kind of device before",
            Self::Unsupported => "is a kind of pointer that is not supported",
            Self::NotAlone => "is held by another program",
        })
    }
}

/// What a device offers besides what it is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Spare {
    /// Nothing.
    #[default]
    Nothing,
    /// Keys of a pointer: thrown away where it is read, so that a mouse never types.
    Keys,
    /// A pointer in a keyboard: nothing comes of it unless the user accepts it too.
    Pointer,
    /// Axes or buttons of a keyboard that make no pointer: thrown away where it is read.
    Stray,
}

/// What a device is taken for, and what else it offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// What it is taken for.
    pub class: DeviceClass,
    /// What else it offers.
    pub spare: Spare,
}

impl From<DeviceClass> for Kind {
    fn from(class: DeviceClass) -> Self {
        Self { class, spare: Spare::Nothing }
    }
}

impl Kind {
    /// Whether its keys are heard.
    #[must_use]
    pub fn types(self) -> bool {
        self.class == DeviceClass::Keyboard
    }

    /// Whether its movement and buttons are heard.
    #[must_use]
    pub fn points(self) -> bool {
        self.class == DeviceClass::Pointer || self.spare == Spare::Pointer
    }
}

/// A device as the monitor and the trusted screen know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Device {
    /// What it is taken for.
    pub kind: Kind,
    /// What it calls itself.
    pub name: DeviceName,
    /// Where it is plugged in, as the kernel says, or the own address of a wireless one: nodes of
    /// one physical device share it.
    pub port: DeviceName,
    /// Bus, maker and product.
    pub ids: [u16; 3],
}

impl Device {
    /// Whether it comes and goes by itself, because it sleeps (`BUS_BLUETOOTH`).
    #[must_use]
    pub fn is_wireless(&self) -> bool {
        matches!(self.ids, [BUS_BLUETOOTH, ..])
    }
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
    /// or the jack of headphones, and is left to the rest of the system. What has as many keys as
    /// it takes to type is a keyboard, whatever it offers besides: it is not heard unasked.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        let has = |wanted: fn(KeyCode) -> bool| self.keys.iter().any(|&code| wanted(KeyCode(code)));
        let points = self.pointing().is_some();
        let typing = self.keys.iter().filter(|code| (2..=83).contains(*code)).count();
        let (class, spare) = if typing >= MIN_TYPING_KEYS {
            let stray = self.moves() || has(KeyCode::is_button);
            let spare = if stray { Spare::Stray } else { Spare::Nothing };
            (DeviceClass::Keyboard, if points { Spare::Pointer } else { spare })
        } else if points {
            let spare = if has(KeyCode::is_key) { Spare::Keys } else { Spare::Nothing };
            (DeviceClass::Pointer, spare)
        } else if self.moves() {
            (DeviceClass::Refused(Refusal::Unsupported), Spare::Nothing)
        } else {
            return None;
        };
        Some(Kind { class, spare })
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

/// Remembers what each device was, so that none comes back as another kind.
#[derive(Debug, Clone, Default)]
pub struct DeviceRules {
    /// Whether what offers keys and a pointer in one is refused whole.
    strict: bool,
    seen: BTreeMap<String, Seen>,
}

/// What was there under one identity. The nodes of one interface share it.
#[derive(Debug, Clone, Default)]
struct Seen {
    kinds: BTreeSet<Kind>,
    /// One of them has been pulled out since: from then on nothing may be new.
    left: bool,
}

impl DeviceRules {
    /// Nothing is known yet. Under the `strict` rule what offers keys and a pointer in one is
    /// refused.
    #[must_use]
    pub fn new(strict: bool) -> Self {
        Self { strict, ..Self::default() }
    }

    /// What the device is taken for. `identity` is what stays the same when it is pulled out and
    /// put in again: bus, maker, product and port.
    pub fn judge(&mut self, identity: &str, capabilities: &Capabilities) -> Option<Kind> {
        let mut kind = capabilities.kind()?;
        if self.strict && kind.spare != Spare::Nothing {
            kind = DeviceClass::Refused(Refusal::Composite).into();
        }
        if self.seen.len() >= MAX_IDENTITIES && !self.seen.contains_key(identity) {
            self.seen.pop_first();
        }
        let seen = self.seen.entry(identity.to_owned()).or_default();
        if !seen.left {
            seen.kinds.insert(kind);
        }
        let known = seen.kinds.contains(&kind);
        Some(if known { kind } else { DeviceClass::Refused(Refusal::Changed).into() })
    }

    /// A device of this identity was pulled out.
    pub fn gone(&mut self, identity: &str) {
        if let Some(seen) = self.seen.get_mut(identity) {
            seen.left = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keyboard() -> Capabilities {
        Capabilities { keys: (1..=120).collect(), ..Capabilities::default() }
    }

    #[expect(clippy::unnecessary_wraps, reason = "as `kind` answers")]
    fn kind(class: DeviceClass, spare: Spare) -> Option<Kind> {
        Some(Kind { class, spare })
    }

    fn refused(why: Refusal) -> Option<Kind> {
        kind(DeviceClass::Refused(why), Spare::Nothing)
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
        assert_eq!(keyboard().kind(), kind(DeviceClass::Keyboard, Spare::Nothing));
        assert_eq!(keypad.kind(), kind(DeviceClass::Keyboard, Spare::Nothing));
        for (device, pointing) in [
            (mouse(), Pointing::Relative),
            (tablet, Pointing::Absolute),
            (finger, Pointing::Touchpad),
        ] {
            assert_eq!(device.kind(), kind(DeviceClass::Pointer, Spare::Nothing));
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
        assert_eq!(knob.kind(), kind(DeviceClass::Keyboard, Spare::Nothing));
    }

    #[test]
    fn power_buttons_lids_and_jacks_are_left_alone() {
        let button = Capabilities { keys: [116].into(), ..Capabilities::default() };
        assert_eq!(button.kind(), None);
        assert_eq!(Capabilities::default().kind(), None);
    }

    #[test]
    fn a_pointer_that_could_type_keeps_pointing() {
        let mut one_key = mouse();
        one_key.keys.insert(KeyCode::ENTER.0);
        let mut media_keys = mouse();
        media_keys.keys.extend([28, 113, 114, 115, 163, 164, 165]);
        for device in [one_key, media_keys] {
            assert_eq!(device.kind(), kind(DeviceClass::Pointer, Spare::Keys));
            let taken = device.kind().unwrap();
            assert_eq!((taken.types(), taken.points()), (false, true));
        }
    }

    #[test]
    fn a_receiver_with_everything_in_one_node_is_a_keyboard_that_could_point() {
        let keys = (1..=120).chain(272..=287).collect();
        let receiver = Capabilities { keys, relative: [0, 1, 8].into(), ..Capabilities::default() };
        assert_eq!(receiver.kind(), kind(DeviceClass::Keyboard, Spare::Pointer));
    }

    #[test]
    fn one_stray_axis_or_button_condemns_nothing() {
        let mut axis = keyboard();
        axis.relative = [0].into();
        let mut button = keyboard();
        button.keys.insert(KeyCode::BUTTON_LEFT.0);
        let mut tilt = keyboard();
        tilt.absolute = [0, 1, 2].into();
        for device in [axis, button, tilt] {
            assert_eq!(device.kind(), kind(DeviceClass::Keyboard, Spare::Stray));
            assert!(!device.kind().unwrap().points());
        }
        let mut mouse = mouse();
        mouse.absolute = [0].into();
        assert_eq!(mouse.kind(), kind(DeviceClass::Pointer, Spare::Nothing));
    }

    #[test]
    fn the_strict_rule_refuses_whatever_offers_both() {
        let mut rules = DeviceRules::new(true);
        let mut typing = mouse();
        typing.keys.insert(KeyCode::ENTER.0);
        let mut clicking = keyboard();
        clicking.keys.insert(KeyCode::BUTTON_LEFT.0);
        for device in [typing, clicking] {
            assert_eq!(rules.judge("port", &device), refused(Refusal::Composite));
        }
        assert_eq!(rules.judge("port", &mouse()), kind(DeviceClass::Pointer, Spare::Nothing));
    }

    #[test]
    fn joysticks_and_touch_screens_are_refused() {
        let stick = Capabilities {
            keys: (0x120..=0x12f).collect(),
            absolute: [0, 1].into(),
            ..Capabilities::default()
        };
        assert_eq!(stick.kind(), refused(Refusal::Unsupported));
        let screen = Capabilities { absolute: [0, 1].into(), direct: true, ..mouse() };
        assert_eq!(screen.kind(), refused(Refusal::Unsupported));
    }

    #[test]
    fn nodes_of_one_interface_that_are_there_together_are_siblings_in_either_order() {
        for order in [[keyboard(), mouse()], [mouse(), keyboard()]] {
            let mut rules = DeviceRules::default();
            for _ in 0..3 {
                for node in &order {
                    assert_eq!(rules.judge("interface", node), node.kind());
                }
                rules.gone("interface");
                rules.gone("interface");
            }
        }
    }

    #[test]
    fn a_device_that_comes_back_as_another_kind_is_refused() {
        let mut rules = DeviceRules::default();
        let pointer = kind(DeviceClass::Pointer, Spare::Nothing);
        assert_eq!(rules.judge("port 1", &mouse()), pointer);
        rules.gone("port 1");
        assert_eq!(rules.judge("port 1", &keyboard()), refused(Refusal::Changed));
        assert_eq!(rules.judge("port 2", &keyboard()), keyboard().kind());
        assert_eq!(rules.judge("port 1", &mouse()), pointer);
        // Not beside what it was either.
        assert_eq!(rules.judge("port 1", &keyboard()), refused(Refusal::Changed));
    }

    #[test]
    fn names_are_printable_and_short() {
        assert_eq!(DeviceName::new("Keyboard\u{202e}\n").as_str(), "Keyboard????");
        assert_eq!(DeviceName::new("  ").as_str(), "unnamed");
        assert_eq!(DeviceName::new(&"x".repeat(999)).as_str().len(), MAX_DEVICE_NAME_BYTES);
    }

    proptest! {
        /// Whatever a device offers, it is heard as one thing unless the user says so too, and
        /// under the strict rule it offers only that.
        #[test]
        fn nothing_is_keyboard_and_pointer_at_once(
            keys in prop::collection::btree_set(0u16..0x2ff, 0..90),
            relative in prop::collection::btree_set(0u16..16, 0..4),
            absolute in prop::collection::btree_set(0u16..64, 0..4),
            direct: bool,
        ) {
            let device = Capabilities { keys, relative, absolute, direct };
            let has = |wanted: fn(KeyCode) -> bool| {
                device.keys.iter().any(|&code| wanted(KeyCode(code)))
            };
            let points = device.pointing().is_some();
            if let Some(kind) = device.kind() {
                prop_assert!(!kind.types() || !kind.points() || kind.spare == Spare::Pointer);
                prop_assert!(!kind.points() || points);
            }
            let mut rules = DeviceRules::new(true);
            match rules.judge("port", &device).map(|kind| (kind.class, kind.spare)) {
                Some((DeviceClass::Pointer, spare)) => {
                    prop_assert!(spare == Spare::Nothing && points && !has(KeyCode::is_key));
                }
                Some((DeviceClass::Keyboard, spare)) => {
                    prop_assert!(spare == Spare::Nothing && !points && !has(KeyCode::is_button));
                }
                Some((DeviceClass::Refused(_), _)) | None => {}
            }
        }

        /// Once something of an identity was pulled out, nothing comes there that was not there before.
        #[test]
        fn nothing_new_comes_after_a_removal(
            moves in prop::collection::vec((0..4usize, 0..2usize), 0..40),
        ) {
            let both = Capabilities { relative: [0, 1].into(), ..keyboard() };
            let nodes = [keyboard(), mouse(), both];
            let mut rules = DeviceRules::default();
            let (mut known, mut left) = ([BTreeSet::new(), BTreeSet::new()], [false; 2]);
            for (what, place) in moves {
                let identity = ["one", "two"][place];
                let Some(node) = nodes.get(what) else {
                    rules.gone(identity);
                    left[place] = !known[place].is_empty();
                    continue;
                };
                if !left[place] {
                    known[place].insert(what);
                }
                let heard = rules.judge(identity, node) == node.kind();
                prop_assert_eq!(heard, known[place].contains(&what));
            }
        }

        #[test]
        fn any_name_is_clean(text: String) {
            let name = DeviceName::new(&text);
            prop_assert!(name.as_str().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }
}
