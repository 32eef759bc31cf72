//! Fingers on a touchpad: one moves the pointer, two turn the wheel, a tap clicks. Each finger is
//! followed by its slot (the kernel's Documentation/input/multi-touch-protocol.rst, protocol B), so
//! that the pointer goes nowhere when another one comes or lifts.
//!
//! What is known of fingers after lost reports is only how many there are: the place of each counts
//! from where it is said next.

use crate::KeyCode;
use crate::device::axis;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

pub(super) const ABS_MT_SLOT: u16 = 0x2f;
pub(super) const ABS_MT_POSITION_X: u16 = 0x35;
pub(super) const ABS_MT_POSITION_Y: u16 = 0x36;
const ABS_MT_TRACKING_ID: u16 = 0x39;
/// A finger is on the touchpad.
const BTN_TOUCH: u16 = 0x14a;
/// `BTN_TOOL_FINGER` and its kin, and how many fingers each stands for.
const TOOLS: [(u16, usize); 5] = [(0x145, 1), (0x14d, 2), (0x14e, 3), (0x14f, 4), (0x148, 5)];
/// Fingers that are followed; the slots of a device may be many.
const MAX_FINGERS: usize = 10;
/// Pixels that a finger moves the pointer by on its way across the whole touchpad.
const TOUCHPAD_PX: i64 = 1500;
/// Pixels of two fingers' way that turn the wheel by a notch.
const NOTCH_PX: i32 = 75;
/// A tap is over by then, and no finger went further than this share of the touchpad.
const TAP_MS: u64 = 200;
const STILL_SHARE: i64 = 50;
/// A finger that lies still in this share at the lower edge is a thumb, which counts for nothing.
const THUMB_SHARE: i64 = 6;

#[derive(Debug, Default)]
struct Slot {
    /// The kernel does not say again what it said of an earlier finger in this slot.
    place: [Option<i32>; 2],
    finger: Option<Finger>,
}

#[derive(Debug, Default)]
struct Finger {
    start: [Option<i32>; 2],
    /// Up to where its way has been counted.
    counted: [Option<i32>; 2],
    /// It went further than a tap or a resting thumb does.
    far: bool,
}

#[derive(Debug)]
struct Tap {
    since_ms: u64,
    fingers: usize,
    spoiled: bool,
}

/// What the fingers did since the last frame.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// Pixels to the right and downwards.
    pub(super) moved: (i32, i32),
    /// Notches of the wheel, vertical and horizontal.
    pub(super) wheel: (i32, i32),
    /// The button that a tap stands for.
    pub(super) click: Option<KeyCode>,
}

/// The state of one touchpad.
#[derive(Debug)]
pub(super) struct Touchpad {
    ranges: [RangeInclusive<i32>; 2],
    /// The slot that reports are about; `None` if the device follows one finger only.
    slot: Option<i32>,
    slots: BTreeMap<i32, Slot>,
    fingers: usize,
    tap: Option<Tap>,
    scrolled: (i32, i32),
}

impl Touchpad {
    pub(super) fn new(ranges: [RangeInclusive<i32>; 2], slot: Option<i32>) -> Self {
        let (slots, tap) = (BTreeMap::new(), None);
        Self { ranges, slot, slots, fingers: 0, tap, scrolled: (0, 0) }
    }

    /// Reports were lost: where each finger is must be said again.
    pub(super) fn forget(&mut self, slot: Option<i32>) {
        self.slots.clear();
        self.slot = slot;
        self.tap = Some(Tap { since_ms: 0, fingers: 0, spoiled: true });
    }

    /// An absolute axis has this value; `down` is which keys and buttons are.
    pub(super) fn axis(&mut self, code: u16, value: i32, down: &BTreeSet<u16>) {
        let multi = self.slot.is_some();
        if code == ABS_MT_SLOT && multi {
            self.slot = Some(value);
        }
        let number = self.slot.unwrap_or(0);
        if self.slots.len() >= MAX_FINGERS && !self.slots.contains_key(&number) {
            return;
        }
        let slot = self.slots.entry(number).or_default();
        let [x, y] = &mut slot.place;
        match code {
            ABS_MT_TRACKING_ID if multi => {
                slot.finger = (value >= 0).then(Finger::default);
                return;
            }
            ABS_MT_POSITION_X if multi => *x = Some(value),
            ABS_MT_POSITION_Y if multi => *y = Some(value),
            axis::ABS_X if !multi => *x = Some(value),
            axis::ABS_Y if !multi => *y = Some(value),
            _ => return,
        }
        // One that was there before anyone listened, or came while reports were lost.
        if slot.finger.is_none() && down.contains(&BTN_TOUCH) {
            slot.finger = Some(Finger::default());
        }
    }

    /// A key went down or up that stands for fingers, or another.
    pub(super) fn key(&mut self, code: u16, pressed: bool) {
        if code != BTN_TOUCH {
            return;
        }
        if !pressed {
            self.slots.values_mut().for_each(|slot| slot.finger = None);
        } else if self.slot.is_none() {
            self.slots.entry(0).or_default().finger = Some(Finger::default());
        }
    }

    /// All of one moment is known.
    pub(super) fn frame(&mut self, now_ms: u64, down: &BTreeSet<u16>) -> Touched {
        let tools = TOOLS.iter().filter(|(code, _)| down.contains(code)).map(|(_, count)| *count);
        let known = self.slots.values().filter(|slot| slot.finger.is_some()).count();
        let fingers = known.max(tools.max().unwrap_or(0));
        let changed = fingers != self.fingers;
        self.fingers = fingers;
        let held = down.iter().any(|&code| KeyCode(code).is_button());
        let (mut way, mut thumbs, mut far) = ((0, 0), 0_usize, false);
        for slot in self.slots.values_mut() {
            let Some(finger) = &mut slot.finger else { continue };
            // Where only one place is told, it may be another finger's now.
            if changed && self.slot.is_none() {
                finger.counted = [None; 2];
            }
            let moved = finger.follow(slot.place, &self.ranges);
            far |= finger.far;
            if finger.is_thumb(&self.ranges) {
                thumbs = thumbs.saturating_add(1);
            } else if length(moved) > length(way) {
                way = moved;
            }
        }
        let mut touched = Touched::default();
        let pointing = fingers.saturating_sub(thumbs);
        if pointing != 2 || held {
            self.scrolled = (0, 0);
        }
        match pointing {
            // A thumb that holds the button does not stop the other finger.
            1 => touched.moved = way,
            2 if held => touched.moved = way,
            2 => touched.wheel = self.scroll(way),
            _ => {}
        }
        touched.click = self.tapped(now_ms, far || held);
        touched
    }

    /// Two fingers went this way: towards the user is down.
    fn scroll(&mut self, (dx, dy): (i32, i32)) -> (i32, i32) {
        let turn = |sum: &mut i32, way: i32| {
            *sum = sum.saturating_add(way);
            let notches = sum.checked_div(NOTCH_PX).unwrap_or(0);
            *sum = sum.saturating_sub(notches.saturating_mul(NOTCH_PX));
            notches
        };
        (turn(&mut self.scrolled.0, dy.saturating_neg()), turn(&mut self.scrolled.1, dx))
    }

    fn tapped(&mut self, now_ms: u64, spoiled: bool) -> Option<KeyCode> {
        if self.fingers > 0 {
            let new = Tap { since_ms: now_ms, fingers: 0, spoiled: false };
            let tap = self.tap.get_or_insert(new);
            tap.fingers = tap.fingers.max(self.fingers);
            tap.spoiled |= spoiled;
            return None;
        }
        let tap = self.tap.take()?;
        let quick = now_ms.saturating_sub(tap.since_ms) <= TAP_MS;
        match tap.fingers {
            _ if tap.spoiled || !quick => None,
            1 => Some(KeyCode::BUTTON_LEFT),
            2 => Some(KeyCode::BUTTON_RIGHT),
            _ => None,
        }
    }
}

impl Finger {
    /// How far it went since it was looked at last, in pixels.
    fn follow(&mut self, place: [Option<i32>; 2], ranges: &[RangeInclusive<i32>; 2]) -> (i32, i32) {
        let mut moved = [0; 2];
        let axes = moved.iter_mut().zip(&mut self.start).zip(&mut self.counted);
        for (((moved, start), counted), (place, range)) in axes.zip(place.into_iter().zip(ranges)) {
            let Some(place) = place else { continue };
            let start = i64::from(*start.get_or_insert(place));
            let off = i64::from(place).saturating_sub(start).saturating_abs();
            self.far |= off.saturating_mul(STILL_SHARE) > extent(range);
            let (pixels, up_to) = way(*counted.get_or_insert(place), place, range);
            // What was too little for a pixel counts with the next.
            (*moved, *counted) = (pixels, Some(up_to));
        }
        moved.into()
    }

    fn is_thumb(&self, [_, down]: &[RangeInclusive<i32>; 2]) -> bool {
        let edge = |y| i64::from(*down.end()).saturating_sub(i64::from(y));
        let [_, start] = self.start;
        !self.far && start.is_some_and(|y| edge(y).saturating_mul(THUMB_SHARE) < extent(down))
    }
}

fn length((dx, dy): (i32, i32)) -> u32 {
    dx.unsigned_abs().saturating_add(dy.unsigned_abs())
}

fn extent(range: &RangeInclusive<i32>) -> i64 {
    i64::from(*range.end()).saturating_sub(i64::from(*range.start())).max(1)
}

/// The pixels of a finger's way along one axis, and up to where they have been counted.
fn way(from: i32, to: i32, range: &RangeInclusive<i32>) -> (i32, i32) {
    let length = extent(range);
    let units = i64::from(to).saturating_sub(i64::from(from));
    let pixels = units.saturating_mul(TOUCHPAD_PX).checked_div(length).unwrap_or(0);
    let counted = pixels.saturating_mul(length).checked_div(TOUCHPAD_PX).unwrap_or(0);
    let pixels = i32::try_from(pixels).unwrap_or(0);
    (pixels, i32::try_from(i64::from(from).saturating_add(counted)).unwrap_or(to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A touchpad of 1000 by 500 on which things happen one after the other.
    struct Pad {
        pad: Touchpad,
        down: BTreeSet<u16>,
        now_ms: u64,
    }

    impl Pad {
        fn new() -> Self {
            let pad = Touchpad::new([0..=1000, 0..=500], Some(0));
            Self { pad, down: BTreeSet::new(), now_ms: 5000 }
        }

        fn put(&mut self, slot: i32, x: i32, y: i32) -> &mut Self {
            let id = (ABS_MT_TRACKING_ID, slot + 7);
            self.say(&[(ABS_MT_SLOT, slot), id]).to(slot, x, y)
        }

        fn to(&mut self, slot: i32, x: i32, y: i32) -> &mut Self {
            let place = [(ABS_MT_POSITION_X, x), (ABS_MT_POSITION_Y, y)];
            self.say(&[(ABS_MT_SLOT, slot)]).say(&place)
        }

        fn lift(&mut self, slot: i32) -> &mut Self {
            self.say(&[(ABS_MT_SLOT, slot), (ABS_MT_TRACKING_ID, -1)])
        }

        fn say(&mut self, axes: &[(u16, i32)]) -> &mut Self {
            for &(code, value) in axes {
                self.pad.axis(code, value, &self.down);
            }
            self
        }

        fn frame(&mut self) -> Touched {
            self.now_ms += 10;
            self.pad.frame(self.now_ms, &self.down)
        }
    }

    fn moved(dx: i32, dy: i32) -> Touched {
        Touched { moved: (dx, dy), ..Touched::default() }
    }

    const NOTHING: Touched = Touched { moved: (0, 0), wheel: (0, 0), click: None };

    #[test]
    fn the_pointer_stays_when_the_first_of_two_fingers_lifts() {
        let mut pad = Pad::new();
        assert_eq!(pad.put(0, 100, 100).put(1, 800, 400).frame(), NOTHING);
        assert_eq!(pad.lift(0).frame(), NOTHING);
        assert_eq!(pad.to(1, 810, 400).frame(), moved(15, 0));
    }

    #[test]
    fn two_fingers_turn_the_wheel_and_lose_no_part_of_a_notch() {
        let mut pad = Pad::new();
        pad.put(0, 100, 100).put(1, 300, 100).frame();
        let notches = (1..=10).map(|step| {
            let y = 100 + step * 10;
            pad.to(0, 100, y).to(1, 300, y).frame().wheel.0
        });
        assert_eq!(notches.sum::<i32>(), -4, "300 pixels towards the user");
        assert_eq!(pad.to(0, 150, 200).to(1, 350, 200).frame().wheel, (0, 1));
    }

    #[test]
    fn a_tap_clicks_and_one_of_two_fingers_clicks_right() {
        let mut pad = Pad::new();
        assert_eq!(pad.put(0, 100, 100).frame(), NOTHING);
        assert_eq!(pad.lift(0).frame().click, Some(KeyCode::BUTTON_LEFT));
        pad.put(0, 100, 100).frame();
        pad.put(1, 300, 100).frame();
        assert_eq!(pad.lift(0).frame(), NOTHING);
        assert_eq!(pad.lift(1).frame().click, Some(KeyCode::BUTTON_RIGHT));
    }

    #[test]
    fn what_is_slow_or_moves_or_holds_a_button_is_no_tap() {
        let mut pad = Pad::new();
        pad.put(0, 100, 100).frame();
        pad.now_ms += TAP_MS;
        assert_eq!(pad.lift(0).frame(), NOTHING);
        pad.put(0, 100, 100).frame();
        pad.to(0, 200, 100).frame();
        assert_eq!(pad.lift(0).frame(), NOTHING);
        pad.down.insert(KeyCode::BUTTON_LEFT.0);
        pad.put(0, 100, 100).frame();
        pad.down.clear();
        assert_eq!(pad.lift(0).frame(), NOTHING);
    }

    #[test]
    fn a_thumb_on_the_button_does_not_stop_the_other_finger() {
        let mut pad = Pad::new();
        pad.put(0, 500, 480).frame();
        assert_eq!(pad.put(1, 300, 100).frame(), NOTHING);
        assert_eq!(pad.to(1, 310, 100).frame(), moved(15, 0), "it only rests there");
        pad.down.insert(KeyCode::BUTTON_LEFT.0);
        assert_eq!(pad.to(1, 320, 100).frame(), moved(15, 0), "it holds the button");
        // The thumb slips: still no scrolling.
        pad.to(0, 560, 480).frame();
        assert_eq!(pad.to(1, 330, 100).frame(), moved(15, 0));
    }

    #[test]
    fn a_finger_that_comes_down_where_the_last_was_is_known_without_a_word() {
        let mut pad = Pad::new();
        pad.put(0, 100, 100).frame();
        pad.lift(0).frame();
        // The kernel says only what differs.
        pad.say(&[(ABS_MT_TRACKING_ID, 9)]).frame();
        assert_eq!(pad.say(&[(ABS_MT_POSITION_X, 110)]).frame(), moved(15, 0));
    }

    #[test]
    fn after_lost_reports_fingers_go_on_without_a_jump_or_a_click() {
        let mut pad = Pad::new();
        pad.put(0, 100, 100).frame();
        pad.down.extend([BTN_TOUCH, 0x145]);
        pad.pad.forget(Some(0));
        let say = |pad: &mut Pad, x| pad.say(&[(ABS_MT_POSITION_X, x)]).frame();
        assert_eq!(say(&mut pad, 900), NOTHING);
        assert_eq!(say(&mut pad, 910), moved(15, 0));
        pad.down.clear();
        pad.pad.key(BTN_TOUCH, false);
        assert_eq!(pad.frame(), NOTHING);
    }

    #[test]
    fn where_one_place_is_told_another_finger_is_no_jump() {
        let mut pad = Pad::new();
        pad.pad = Touchpad::new([0..=1000, 0..=500], None);
        let one = |pad: &mut Pad, x| pad.say(&[(axis::ABS_X, x), (axis::ABS_Y, 50)]).frame();
        pad.down.extend([BTN_TOUCH, 0x145]);
        pad.pad.key(BTN_TOUCH, true);
        assert_eq!(one(&mut pad, 100), NOTHING);
        assert_eq!(one(&mut pad, 110), moved(15, 0));
        pad.down.remove(&0x145);
        pad.down.insert(0x14d);
        assert_eq!(one(&mut pad, 700), NOTHING);
        assert_eq!(one(&mut pad, 750).wheel, (0, 1));
    }

    proptest! {
        /// Whichever fingers come and lift, in whatever order: if none goes anywhere, neither does
        /// the pointer or the wheel.
        #[test]
        fn nothing_moves_unless_a_finger_does(
            moves in prop::collection::vec((0..5i32, 0..3u8), 0..60),
        ) {
            let mut pad = Pad::new();
            for (slot, what) in moves {
                let (x, y) = (150 * slot, 80 * slot);
                match what {
                    0 => pad.put(slot, x, y),
                    1 => pad.lift(slot),
                    _ => pad.to(slot, x, y),
                };
                let touched = pad.frame();
                prop_assert_eq!((touched.moved, touched.wheel), ((0, 0), (0, 0)));
            }
        }

        /// Whatever a device says, nothing breaks, and few fingers are remembered.
        #[test]
        fn any_reports_are_borne(
            multi: bool,
            axes in prop::collection::vec((0u16..0x40, any::<i32>(), any::<bool>()), 0..200),
        ) {
            let mut pad = Pad::new();
            pad.pad = Touchpad::new([i32::MIN..=i32::MAX, 5..=5], multi.then_some(0));
            for (code, value, frame) in axes {
                pad.pad.key(BTN_TOUCH, value % 2 == 0);
                pad.say(&[(code, value)]);
                if frame {
                    pad.frame();
                }
                prop_assert!(pad.pad.slots.len() <= MAX_FINGERS);
            }
        }
    }
}
