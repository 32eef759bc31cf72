//! The ledger of keys and buttons that are physically down, and what was done with each press.
//! It makes sure that a recipient sees as many releases as presses, and nothing of a key that was
//! pressed for somebody else.

use crate::{KeyCode, SourceId};
use std::collections::BTreeMap;

/// Most ordinary keys that one source can have down; a real keyboard has fewer keys. A device
/// that claims more is broken or hostile, and what is beyond is neither delivered nor remembered.
pub const MAX_KEYS_PER_SOURCE: usize = 256;
/// Most ordinary keys that can be down on all sources together.
pub const MAX_KEYS: usize = 1024;

/// What was done with the press of a key that is still down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fate {
    /// The present recipient was told, and is owed a release.
    Delivered,
    /// Nobody was told, or the recipient of then has had its release already.
    Swallowed,
}

/// Whether a press may be refused for want of room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// An ordinary key: the limits apply.
    Limited,
    /// A key of a keyboard that nobody accepted: those of all such together take half of the room
    /// at most, so that none of them keeps an accepted one from typing.
    Foreign,
    /// A key of the chord: always remembered, or a flood of keys could hide the chord. There are
    /// only a few of these keys, so memory stays bounded.
    Always,
}

/// The keys and buttons that are physically down.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct HeldKeys {
    down: BTreeMap<(SourceId, KeyCode), Fate>,
}

impl HeldKeys {
    /// Notes a press with its intended fate. Answers whether the recipient must be told: only if
    /// the fate is [`Fate::Delivered`] and it does not have this key pressed already. A press of a
    /// key that is down already (repeat, or lost events) changes nothing.
    pub fn press(
        &mut self,
        source: SourceId,
        code: KeyCode,
        fate: Fate,
        capacity: Capacity,
    ) -> bool {
        if self.down.contains_key(&(source, code)) {
            return false;
        }
        let most = if capacity == Capacity::Foreign { MAX_KEYS / 2 } else { MAX_KEYS };
        let is_full = self.down.len() >= most || self.of(source).count() >= MAX_KEYS_PER_SOURCE;
        if capacity != Capacity::Always && is_full {
            return false;
        }
        let tell = fate == Fate::Delivered && !self.is_delivered(code);
        self.down.insert((source, code), fate);
        tell
    }

    /// Notes a release. Answers whether the recipient must be told: only if it was told of the
    /// press and no other source still has the same key down for it.
    pub fn release(&mut self, source: SourceId, code: KeyCode) -> bool {
        self.down.remove(&(source, code)) == Some(Fate::Delivered) && !self.is_delivered(code)
    }

    /// Takes all keys of a lost source as up. Answers which ones the recipient must be told of.
    pub fn lose(&mut self, source: SourceId) -> Vec<KeyCode> {
        let lost: Vec<KeyCode> = self.of(source).collect();
        lost.into_iter().filter(|&code| self.release(source, code)).collect()
    }

    /// Ends every delivery: the keys stay down, swallowed until physically up. Answers which
    /// releases the recipient of until now is owed.
    pub fn swallow_all(&mut self) -> Vec<KeyCode> {
        let mut owed = Vec::new();
        for ((_, code), fate) in &mut self.down {
            if *fate == Fate::Delivered {
                *fate = Fate::Swallowed;
                owed.push(*code);
            }
        }
        owed.sort_unstable();
        owed.dedup();
        owed
    }

    /// Whether this source has this key down.
    #[must_use]
    pub fn is_down_on(&self, source: SourceId, code: KeyCode) -> bool {
        self.down.contains_key(&(source, code))
    }

    /// Whether a source that is to be heard has this key down.
    pub fn is_down(&self, code: KeyCode, heard: impl Fn(SourceId) -> bool) -> bool {
        self.down.keys().any(|&(source, down)| down == code && heard(source))
    }

    /// Whether the present recipient has been told that this key is down.
    fn is_delivered(&self, code: KeyCode) -> bool {
        self.delivered().any(|down| down == code)
    }

    /// The keys that the present recipient believes to be down; a key may come more than once.
    pub fn delivered(&self) -> impl Iterator<Item = KeyCode> {
        self.down.iter().filter(|(_, fate)| **fate == Fate::Delivered).map(|((_, code), _)| *code)
    }

    fn of(&self, source: SourceId) -> impl Iterator<Item = KeyCode> {
        let range = (source, KeyCode(0))..=(source, KeyCode(u16::MAX));
        self.down.range(range).map(|((_, code), _)| *code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const A: SourceId = SourceId(0);
    const B: SourceId = SourceId(1);

    fn press(held: &mut HeldKeys, source: SourceId, code: KeyCode) -> bool {
        held.press(source, code, Fate::Delivered, Capacity::Limited)
    }

    #[test]
    fn a_repeated_press_is_told_once() {
        let mut held = HeldKeys::default();
        assert!(press(&mut held, A, KeyCode::Q));
        assert!(!press(&mut held, A, KeyCode::Q));
        assert!(held.release(A, KeyCode::Q));
        assert!(!held.release(A, KeyCode::Q));
    }

    #[test]
    fn the_same_key_on_two_keyboards_is_released_by_the_last() {
        let mut held = HeldKeys::default();
        assert!(press(&mut held, A, KeyCode::Q));
        assert!(!press(&mut held, B, KeyCode::Q));
        assert!(!held.release(A, KeyCode::Q));
        assert_eq!(held.lose(B), [KeyCode::Q]);
    }

    #[test]
    fn after_swallowing_a_key_stays_down_but_is_owed_nothing() {
        let mut held = HeldKeys::default();
        press(&mut held, A, KeyCode::Q);
        press(&mut held, B, KeyCode::Q);
        assert_eq!(held.swallow_all(), [KeyCode::Q]);
        assert!(held.is_down(KeyCode::Q, |_| true));
        assert!(!held.release(A, KeyCode::Q));
    }

    #[test]
    fn a_flood_of_keys_cannot_hide_the_chord() {
        let mut held = HeldKeys::default();
        for source in 0..100 {
            for code in 0..1000 {
                press(&mut held, SourceId(source), KeyCode(code));
            }
        }
        assert_eq!(held.down.len(), MAX_KEYS);
        held.press(A, KeyCode(2000), Fate::Swallowed, Capacity::Always);
        assert!(held.is_down(KeyCode(2000), |_| true));
    }

    #[test]
    fn keyboards_that_nobody_accepted_leave_half_of_the_room() {
        let mut held = HeldKeys::default();
        for source in 2..100 {
            for code in 0..1000 {
                let (source, code) = (SourceId(source), KeyCode(code));
                held.press(source, code, Fate::Swallowed, Capacity::Foreign);
            }
        }
        assert_eq!(held.down.len(), MAX_KEYS / 2);
        assert!(press(&mut held, A, KeyCode::Q));
        assert!(held.is_down(KeyCode::Q, |source| source == A));
        assert!(!held.is_down(KeyCode::Q, |source| source == B));
    }

    proptest! {
        #[test]
        fn told_presses_and_releases_alternate(
            moves in proptest::collection::vec((0..5u8, 0..3u32, 0..4u16), 0..200)
        ) {
            let mut held = HeldKeys::default();
            let mut told = BTreeSet::new();
            for (kind, source, code) in moves {
                let (source, code) = (SourceId(source), KeyCode(code));
                match kind {
                    0 | 1 => {
                        if press(&mut held, source, code) {
                            prop_assert!(told.insert(code));
                        }
                    }
                    2 => {
                        if held.release(source, code) {
                            prop_assert!(told.remove(&code));
                        }
                    }
                    3 => {
                        for code in held.lose(source) {
                            prop_assert!(told.remove(&code));
                        }
                    }
                    _ => {
                        for code in held.swallow_all() {
                            prop_assert!(told.remove(&code));
                        }
                        prop_assert!(told.is_empty());
                    }
                }
            }
        }
    }
}
