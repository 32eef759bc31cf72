//! Reads a photograph of a screen as a user does: by the colours of bar and banner. They are those
//! that the theme `us` publishes, written down a second time, so that Tabard is not its own judge.

use crate::test_host::qmp::Glass;

/// Who a screen names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// The guest `low`.
    Low,
    /// The guest `high`.
    High,
    /// The guest `third`.
    Third,
    /// No guest: the trusted screen is in front.
    Trusted,
}

/// The guests and the colours of UNCLASSIFIED, SECRET and CONFIDENTIAL.
const COLOURS: [(Named, [u8; 3]); 3] = [
    (Named::Low, [0x00, 0x7a, 0x33]),
    (Named::High, [0xc8, 0x10, 0x2e]),
    (Named::Third, [0x00, 0x33, 0xa0]),
];
/// The light of the trusted path, which no label has.
const LIGHT: [u8; 3] = [0xf6, 0xf7, 0xf9];
/// Rows of the bar without its lower edge, and of the banner at the bottom; both in pixels.
const BAR_ROWS: usize = 38;
const BANNER_ROWS: usize = 32;
/// Words, figures and patterns leave at least so much of the ground free, in percent.
const GROUND: usize = 40;

/// Who this screen names: a guest only if bar and banner both wear its colour.
#[must_use]
pub fn named(glass: &Glass) -> Option<Named> {
    let bar = |colour| glass.share(0, BAR_ROWS, colour) >= GROUND;
    let first = glass.height().saturating_sub(BANNER_ROWS);
    let banner = |colour| glass.share(first, glass.height(), colour) >= GROUND;
    let guest = COLOURS.into_iter().find(|(_, colour)| bar(*colour));
    match guest {
        Some((named, colour)) => banner(colour).then_some(named),
        None => {
            let worn = COLOURS.into_iter().any(|(_, colour)| banner(colour));
            (bar(LIGHT) && !worn).then_some(Named::Trusted)
        }
    }
}

/// Whether anything on it could be Tabard's: a bar or a banner.
#[must_use]
pub fn is_tabards(glass: &Glass) -> bool {
    let colours = COLOURS.into_iter().map(|(_, colour)| colour).chain([LIGHT]);
    let first = glass.height().saturating_sub(BANNER_ROWS);
    colours.into_iter().any(|colour| {
        glass.share(0, BAR_ROWS, colour) >= GROUND
            || glass.share(first, glass.height(), colour) >= GROUND
    })
}

/// Which row of the trusted screen's list is selected, from 1: that with the white ring.
#[must_use]
pub fn selected_row(glass: &Glass) -> Option<usize> {
    const FIRST: usize = 187;
    const EACH: usize = 74;
    (0..3).find(|row| glass.pixel(91, FIRST + row * EACH) == Some([255; 3])).map(|row| row + 1)
}

/// Whether the words in this row of the list, from 1, are bright: the guest runs.
#[must_use]
pub fn is_live(glass: &Glass, row: usize) -> bool {
    const BRIGHT: [u8; 3] = [0xf3, 0xf5, 0xf7];
    const TOP: usize = 156;
    let rows = (0..62).map(|y| TOP + 74 * (row - 1) + y);
    let mut pixels = rows.flat_map(|y| (740..900).map(move |x| (x, y)));
    pixels.any(|(x, y)| glass.pixel(x, y) == Some(BRIGHT))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A screen of 100 rows: `bar` above, `banner` below, black between.
    fn screen(bar: [u8; 3], banner: [u8; 3]) -> Glass {
        let row = |y: usize| match y {
            0..44 => bar,
            68.. => banner,
            _ => [0; 3],
        };
        Glass::new(10, (0..100).flat_map(|y| row(y).repeat(10)).collect())
    }

    #[test]
    fn a_guest_is_named_by_bar_and_banner_together() {
        let (low, high) = (COLOURS[0].1, COLOURS[1].1);
        assert_eq!(named(&screen(low, low)), Some(Named::Low));
        assert_eq!(named(&screen(high, high)), Some(Named::High));
        assert_eq!(named(&screen(low, high)), None);
        assert_eq!(named(&screen(low, [0; 3])), None);
    }

    #[test]
    fn the_trusted_path_is_light_and_wears_no_label() {
        assert_eq!(named(&screen(LIGHT, [0; 3])), Some(Named::Trusted));
        assert_eq!(named(&screen(LIGHT, COLOURS[0].1)), None);
        assert_eq!(named(&screen([0; 3], [0; 3])), None);
    }
}
