//! Makes key and pointer events of one device's evdev reports. Movement is put together, keys never
//! are: a device that sends 100,000 reports a second costs a bounded share, and loses no key.
//!
//! After lost reports (`SYN_DROPPED`, see the kernel's Documentation/input/event-codes.rst) it
//! compares what it believes to be down with what is, and says only the differences. To release
//! everything and press it again would hand a key that was held across a switch to a new guest.

use super::touch::Touchpad;
use crate::device::{HostEvent, Pointing, axis};
use crate::{KeyCode, SourceId};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_REL: u16 = 2;
const EV_ABS: u16 = 3;
const REL_HWHEEL: u16 = 6;
const REL_WHEEL: u16 = 8;
const SYN_REPORT: u16 = 0;
const SYN_DROPPED: u16 = 3;

/// One report, as `struct input_event` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) kind: u16,
    pub(crate) code: u16,
    pub(crate) value: i32,
    /// When, by the kernel's clock; only differences count.
    pub(crate) time_ms: u64,
}

/// What a device says of its absolute axes when it is asked (`EVIOCGABS`).
#[derive(Debug, Clone)]
pub(crate) struct Axes {
    /// The values of `ABS_X` and `ABS_Y`, or of `ABS_MT_POSITION_X` and `_Y` where it has those.
    pub(crate) ranges: [RangeInclusive<i32>; 2],
    /// Where the pointer is.
    pub(crate) place: [i32; 2],
    /// The slot that its reports are about, if it follows several fingers.
    pub(crate) slot: Option<i32>,
}

/// The state of one device.
#[derive(Debug)]
pub(crate) struct Decoder {
    source: SourceId,
    /// Whether its keys are told; those of a pointer never are.
    types: bool,
    /// How it points; of what is no pointer no movement and no button is told.
    pointing: Option<Pointing>,
    ranges: [RangeInclusive<i32>; 2],
    down: BTreeSet<u16>,
    moved: (i32, i32),
    wheel: (i32, i32),
    place: [i32; 2],
    placed: bool,
    /// The fingers, if it is a touchpad.
    touch: Option<Touchpad>,
    /// Reports were lost, and the next [`SYN_REPORT`] ends what cannot be believed.
    lost: bool,
}

impl Decoder {
    /// A device as it was found. What is down already was pressed for somebody else: only its
    /// next press counts.
    pub(crate) fn new(
        source: SourceId,
        types: bool,
        pointing: Option<Pointing>,
        axes: Axes,
        down: BTreeSet<u16>,
    ) -> Self {
        let Axes { ranges, place, slot } = axes;
        let touchpad = pointing == Some(Pointing::Touchpad);
        let touch = touchpad.then(|| Touchpad::new(ranges.clone(), slot));
        Self {
            source,
            types,
            pointing,
            ranges,
            down,
            moved: (0, 0),
            wheel: (0, 0),
            place,
            placed: false,
            touch,
            lost: false,
        }
    }

    /// Takes a report. Answers whether reports were lost and [`Decoder::resync`] must follow.
    #[must_use]
    pub(crate) fn take(&mut self, report: Report, events: &mut Vec<HostEvent>) -> bool {
        let Report { kind, code, value, time_ms } = report;
        if self.lost {
            self.lost = (kind, code) != (EV_SYN, SYN_REPORT);
            return !self.lost;
        }
        match kind {
            EV_SYN => match code {
                SYN_DROPPED => self.lost = true,
                SYN_REPORT => self.frame(time_ms, events),
                _ => {}
            },
            // 2 is the kernel's repeat; guests make their own.
            EV_KEY if value == 0 || value == 1 => self.key(code, value == 1, events),
            EV_REL => self.relative(code, value),
            EV_ABS => {
                if let Some(touch) = &mut self.touch {
                    touch.axis(code, value, &self.down);
                }
                let axis = match code {
                    axis::ABS_X => self.place.first_mut(),
                    axis::ABS_Y => self.place.last_mut(),
                    _ => None,
                };
                if let Some(axis) = axis {
                    *axis = value;
                    self.placed = true;
                }
            }
            _ => {}
        }
        false
    }

    /// Says what differs between what was told and what is down now.
    pub(crate) fn resync(
        &mut self,
        down: &BTreeSet<u16>,
        axes: &Axes,
        events: &mut Vec<HostEvent>,
    ) {
        self.placed |= self.place != axes.place;
        self.place = axes.place;
        if let Some(touch) = &mut self.touch {
            touch.forget(axes.slot);
        }
        let up: Vec<u16> = self.down.difference(down).copied().collect();
        up.into_iter().for_each(|code| self.key(code, false, events));
        let mut pressed: Vec<u16> = down.difference(&self.down).copied().collect();
        // A chord that was pressed meanwhile must be whole when its last key comes.
        pressed.sort_by_key(|&code| !KeyCode(code).is_modifier());
        pressed.into_iter().for_each(|code| self.key(code, true, events));
    }

    /// Says how far the pointer came; called when all that waits has been taken.
    pub(crate) fn flush(&mut self, events: &mut Vec<HostEvent>) {
        let source = self.source;
        let (dx, dy) = std::mem::take(&mut self.moved);
        if (dx, dy) != (0, 0) {
            events.push(HostEvent::Moved { source, dx, dy });
        }
        if std::mem::take(&mut self.placed) && self.pointing == Some(Pointing::Absolute) {
            let [x, y] = self.place;
            let [across, down] = &self.ranges;
            events.push(HostEvent::At { source, x: share(x, across), y: share(y, down) });
        }
        let (vertical, horizontal) = std::mem::take(&mut self.wheel);
        if (vertical, horizontal) != (0, 0) {
            let (vertical, horizontal) = (notches(vertical), notches(horizontal));
            events.push(HostEvent::Wheel { source, vertical, horizontal });
        }
    }

    fn key(&mut self, code: u16, pressed: bool, events: &mut Vec<HostEvent>) {
        let key = KeyCode(code);
        let news = if pressed { self.down.insert(code) } else { self.down.remove(&code) };
        if let Some(touch) = self.touch.as_mut().filter(|_| news) {
            touch.key(code, pressed);
        }
        let told = (self.types && key.is_key()) || (self.pointing.is_some() && key.is_button());
        if !news || !told {
            return;
        }
        // A click is where the pointer is by then.
        self.flush(events);
        events.push(HostEvent::Key { source: self.source, code: key, pressed });
    }

    fn relative(&mut self, code: u16, value: i32) {
        if self.pointing.is_none() {
            return;
        }
        let sum = match code {
            axis::REL_X => &mut self.moved.0,
            axis::REL_Y => &mut self.moved.1,
            REL_WHEEL => &mut self.wheel.0,
            REL_HWHEEL => &mut self.wheel.1,
            _ => return,
        };
        *sum = sum.saturating_add(value);
    }

    /// All of one moment is known: what the fingers did can be told.
    fn frame(&mut self, time_ms: u64, events: &mut Vec<HostEvent>) {
        let Some(touch) = &mut self.touch else { return };
        let touched = touch.frame(time_ms, &self.down);
        let add = |sum: &mut (i32, i32), more: (i32, i32)| {
            *sum = (sum.0.saturating_add(more.0), sum.1.saturating_add(more.1));
        };
        add(&mut self.moved, touched.moved);
        add(&mut self.wheel, touched.wheel);
        if let Some(button) = touched.click {
            self.key(button.0, true, events);
            self.key(button.0, false, events);
        }
    }
}

/// The place of a value in its range, as 0..=65535.
fn share(value: i32, range: &RangeInclusive<i32>) -> u16 {
    let (start, end) = (i64::from(*range.start()), i64::from(*range.end()));
    let length = end.saturating_sub(start).max(1);
    let from_start = i64::from(value).saturating_sub(start).clamp(0, length);
    let share = from_start.saturating_mul(i64::from(u16::MAX)).checked_div(length);
    u16::try_from(share.unwrap_or(0)).unwrap_or(u16::MAX)
}

fn notches(value: i32) -> i16 {
    let clamped = value.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
    i16::try_from(clamped).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SOURCE: SourceId = SourceId(16);

    fn axes(x: i32, y: i32) -> Axes {
        Axes { ranges: [0..=1000, 0..=500], place: [x, y], slot: None }
    }

    fn decoder(pointing: Option<Pointing>) -> Decoder {
        Decoder::new(SOURCE, pointing.is_none(), pointing, axes(0, 0), BTreeSet::new())
    }

    fn report(kind: u16, code: u16, value: i32) -> Report {
        Report { kind, code, value, time_ms: 0 }
    }

    /// Everything that these reports give, flushed at the end.
    fn all(decoder: &mut Decoder, reports: &[(u16, u16, i32)]) -> Vec<HostEvent> {
        let mut events = Vec::new();
        for &(kind, code, value) in reports {
            assert!(!decoder.take(report(kind, code, value), &mut events));
        }
        decoder.flush(&mut events);
        events
    }

    fn key(code: u16, pressed: bool) -> HostEvent {
        HostEvent::Key { source: SOURCE, code: KeyCode(code), pressed }
    }

    #[test]
    fn keys_pass_repeats_do_not() {
        let mut decoder = decoder(None);
        let events =
            all(&mut decoder, &[(1, 30, 1), (1, 30, 2), (1, 30, 1), (1, 30, 0), (1, 30, 0)]);
        assert_eq!(events, [key(30, true), key(30, false)]);
    }

    #[test]
    fn keys_of_a_pointer_and_buttons_and_movement_of_a_keyboard_are_thrown_away() {
        let reports = [(1, 30, 1), (1, 0x110, 1), (2, 0, 5), (2, 8, 1), (3, 0, 9), (0, 0, 0)];
        let mouse = all(&mut decoder(Some(Pointing::Relative)), &reports);
        assert!(!mouse.contains(&key(30, true)) && mouse.contains(&key(0x110, true)));
        assert_eq!(all(&mut decoder(None), &reports), [key(30, true)]);
    }

    #[test]
    fn movement_is_put_together_up_to_the_next_key() {
        let mut decoder = decoder(Some(Pointing::Relative));
        let mut reports = [(2, 0, 1), (0, 0, 0)].repeat(1000);
        reports.extend([(1, 0x110, 1), (2, 1, -4), (2, 8, 1), (0, 0, 0)]);
        let moved = |dx, dy| HostEvent::Moved { source: SOURCE, dx, dy };
        let wheel = HostEvent::Wheel { source: SOURCE, vertical: 1, horizontal: 0 };
        let events = all(&mut decoder, &reports);
        assert_eq!(events, [moved(1000, 0), key(0x110, true), moved(0, -4), wheel]);
    }

    #[test]
    fn a_place_is_a_share_of_the_range() {
        let mut decoder = decoder(Some(Pointing::Absolute));
        let events = all(&mut decoder, &[(3, 0, 1000), (3, 1, 0), (0, 0, 0)]);
        assert_eq!(events, [HostEvent::At { source: SOURCE, x: 65535, y: 0 }]);
    }

    #[test]
    fn an_axis_that_is_not_told_stays_where_the_device_says_that_it_is() {
        let absolute = Some(Pointing::Absolute);
        let mut decoder = Decoder::new(SOURCE, false, absolute, axes(500, 500), BTreeSet::new());
        let at = |x, y| HostEvent::At { source: SOURCE, x, y };
        assert_eq!(all(&mut decoder, &[(3, 0, 1000), (0, 0, 0)]), [at(65535, 65535)]);
        let mut events = Vec::new();
        decoder.resync(&BTreeSet::new(), &axes(0, 0), &mut events);
        decoder.flush(&mut events);
        assert_eq!(events, [at(0, 0)], "what was lost is made good");
        assert_eq!(all(&mut decoder, &[(3, 1, 500), (0, 0, 0)]), [at(0, 65535)]);
    }

    #[test]
    fn a_tap_is_a_click_of_the_left_button_where_the_pointer_is() {
        const BTN_TOUCH: u16 = 0x14a;
        let mut decoder = decoder(Some(Pointing::Touchpad));
        let put = [(1, BTN_TOUCH, 1), (3, 0, 100), (3, 1, 100), (0, 0, 0)];
        assert_eq!(all(&mut decoder, &put), []);
        let lifted = all(&mut decoder, &[(1, BTN_TOUCH, 0), (0, 0, 0)]);
        assert_eq!(lifted, [key(0x110, true), key(0x110, false)]);
    }

    #[test]
    fn a_finger_moves_the_pointer_only_while_it_touches() {
        const BTN_TOUCH: u16 = 0x14a;
        let mut decoder = decoder(Some(Pointing::Touchpad));
        let put = [(1, BTN_TOUCH, 1), (3, 0, 100), (3, 1, 100), (0, 0, 0)];
        assert_eq!(all(&mut decoder, &put), []);
        let events = all(&mut decoder, &[(3, 0, 150), (0, 0, 0)]);
        assert_eq!(events, [HostEvent::Moved { source: SOURCE, dx: 75, dy: 0 }]);
        let lifted = [(1, BTN_TOUCH, 0), (0, 0, 0), (1, BTN_TOUCH, 1), (3, 0, 900), (0, 0, 0)];
        assert_eq!(all(&mut decoder, &lifted), []);
    }

    #[test]
    fn num_lock_is_a_key_like_any_other_and_lights_and_scan_codes_are_nothing() {
        let mut decoder = decoder(None);
        let (light, scan_code) = ((0x11, 0, 1), (4, 4, 0x7_0053));
        let reports = [scan_code, (1, 69, 1), light, (0, 0, 0), (1, 69, 0), light, (0, 0, 0)];
        assert_eq!(all(&mut decoder, &reports), [key(69, true), key(69, false)]);
    }

    #[test]
    fn both_wheels_are_told_in_notches_and_fine_steps_are_not_counted_twice() {
        let mut decoder = decoder(Some(Pointing::Relative));
        // REL_WHEEL_HI_RES and REL_HWHEEL_HI_RES say the same again in parts of a notch.
        let reports = [(2, 8, -1), (2, 11, -120), (2, 6, 2), (2, 12, 240), (0, 0, 0)];
        let wheel = HostEvent::Wheel { source: SOURCE, vertical: -1, horizontal: 2 };
        assert_eq!(all(&mut decoder, &reports), [wheel]);
        assert_eq!(all(&mut decoder, &[(2, 8, i32::MAX), (2, 8, i32::MAX)]).len(), 1);
    }

    #[test]
    fn a_flood_with_lost_reports_leaves_no_button_down_and_no_long_queue() {
        let mut decoder = decoder(Some(Pointing::Relative));
        let (mut events, mut down) = (Vec::new(), BTreeSet::new());
        for round in 0..100_u16 {
            // A press that is heard, its release lost; and the other way round.
            let pressed = round % 2 == 0;
            assert!(!decoder.take(report(1, 0x110, pressed.into()), &mut events));
            for _ in 0..1000 {
                assert!(!decoder.take(report(2, 0, 1), &mut events));
            }
            assert!(!decoder.take(report(0, SYN_DROPPED, 0), &mut events));
            assert!(decoder.take(report(0, 0, 0), &mut events));
            if !pressed {
                down.insert(0x110);
            }
            decoder.resync(&down, &axes(0, 0), &mut events);
            down.clear();
        }
        decoder.resync(&down, &axes(0, 0), &mut events);
        decoder.flush(&mut events);
        assert!(events.len() <= 500, "{} events of 100,000 reports", events.len());
        let last = events.iter().rev().find(|event| matches!(event, HostEvent::Key { .. }));
        assert_eq!(last, Some(&key(0x110, false)));
    }

    #[test]
    fn after_lost_reports_only_the_differences_are_told() {
        let mut decoder = decoder(None);
        all(&mut decoder, &[(1, 30, 1), (1, 31, 1)]);
        let mut events = Vec::new();
        let lost = report;
        assert!(!decoder.take(lost(0, SYN_DROPPED, 0), &mut events));
        assert!(!decoder.take(lost(1, 32, 1), &mut events));
        assert!(decoder.take(lost(0, 0, 0), &mut events));
        decoder.resync(&BTreeSet::from([1, 31, 29, 56]), &axes(0, 0), &mut events);
        let expected = [key(30, false), key(29, true), key(56, true), key(1, true)];
        assert_eq!(events, expected, "modifiers come before the key of the chord");
    }

    #[test]
    fn what_was_down_before_is_never_pressed() {
        let mut decoder = Decoder::new(SOURCE, true, None, axes(0, 0), BTreeSet::from([28]));
        assert_eq!(
            all(&mut decoder, &[(1, 28, 1), (1, 28, 0), (1, 28, 1)]),
            [key(28, false), key(28, true)]
        );
    }

    proptest! {
        /// Whatever a device reports, presses and releases of each key take turns, and in the end
        /// what was told to be down is what is down.
        #[test]
        fn presses_and_releases_take_turns(
            reports in prop::collection::vec((0u16..5, 0u16..0x150, -3i32..4), 0..200),
            now in prop::collection::btree_set(1u16..0x118, 0..10),
        ) {
            let pointings = [None, Some(Pointing::Relative), Some(Pointing::Touchpad)];
            for (pointing, types) in pointings.into_iter().flat_map(|one| [(one, true), (one, false)]) {
                let mut decoder = decoder(pointing);
                decoder.types = types;
                let mut events = Vec::new();
                for &(kind, code, value) in &reports {
                    if decoder.take(report(kind, code, value), &mut events) {
                        decoder.resync(&now, &axes(7, 7), &mut events);
                    }
                }
                decoder.resync(&now, &axes(7, 7), &mut events);
                decoder.flush(&mut events);
                let mut down = BTreeSet::new();
                let counts = |code: &u16| {
                    (types && KeyCode(*code).is_key())
                        || (pointing.is_some() && KeyCode(*code).is_button())
                };
                for event in events {
                    if let HostEvent::Key { code, pressed, .. } = event {
                        let news = if pressed { down.insert(code.0) } else { down.remove(&code.0) };
                        // A pointer never types, and what is no pointer never clicks or moves.
                        prop_assert!(news && counts(&code.0));
                    } else {
                        prop_assert!(pointing.is_some());
                    }
                }
                prop_assert_eq!(down, now.iter().copied().filter(counts).collect());
            }
        }
    }
}
