//! What is left to try of a screen that cannot be lit: smaller modes, a few, and then none, so that
//! one screen keeps no other waiting for ever. A screen that was away, or that offers other modes
//! than before, is tried from the beginning.

use drm::control::Mode;
use tabard_view::Size;

/// Failures in a row after which a mode is given up.
pub(super) const TRIES: u8 = 4;
/// Modes that are tried.
const MODES: u8 = 3;

/// Of one screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    /// What it offered when it failed.
    pub(super) modes: Vec<Mode>,
    /// Only what has fewer pixels is tried.
    below: u64,
    left: u8,
}

impl Limit {
    /// After a mode of this size was given up.
    pub(super) fn after(before: Option<&Self>, size: Size, modes: Vec<Mode>) -> Self {
        let left = before.map_or(MODES, |before| before.left).saturating_sub(1);
        Self { modes, below: if left == 0 { 0 } else { pixels(size) }, left }
    }

    /// The place of the mode to try among those of these sizes; `None` if the screen stays dark.
    pub(super) fn choose(&self, sizes: &[Size]) -> Option<usize> {
        let smaller = sizes.iter().enumerate().filter(|(_, size)| pixels(**size) < self.below);
        // The first of equals: a screen lists what it likes better before.
        smaller.rev().max_by_key(|(_, size)| pixels(**size)).map(|(place, _)| place)
    }
}

fn pixels(size: Size) -> u64 {
    u64::from(size.width).saturating_mul(size.height.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn the_next_smaller_mode_is_tried_and_of_equals_the_first() {
        let sizes = [size(1920, 1080), size(800, 600), size(1280, 720), size(720, 1280)];
        let limit = Limit::after(None, sizes[0], Vec::new());
        assert_eq!(limit.choose(&sizes), Some(2));
        let limit = Limit::after(Some(&limit), sizes[2], Vec::new());
        assert_eq!(limit.choose(&sizes), Some(1));
        let limit = Limit::after(Some(&limit), sizes[1], Vec::new());
        assert_eq!(limit.choose(&sizes), None);
    }

    proptest! {
        /// Whatever a screen offers, it is left dark after a few modes, and none is tried twice.
        #[test]
        fn every_screen_is_left_out_in_the_end(
            sizes in prop::collection::vec((1u32..99, 1u32..99).prop_map(|(w, h)| size(w, h)), 1..30),
        ) {
            let (mut limit, mut tried) = (None, vec![0]);
            for _ in 0..MODES {
                let failed = sizes[*tried.last().unwrap()];
                let next = Limit::after(limit.as_ref(), failed, Vec::new());
                let Some(place) = next.choose(&sizes) else { return Ok(()) };
                prop_assert!(!tried.contains(&place));
                prop_assert!(pixels(sizes[place]) < pixels(failed));
                tried.push(place);
                limit = Some(next);
            }
            prop_assert!(false, "still tried: {:?}", tried);
        }
    }
}
