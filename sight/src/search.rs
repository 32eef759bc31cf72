//! Finds where a part of a picture is most like another: the place with the smallest sum of
//! squared differences, and of several as good the nearest to where it was.
//!
//! Almost every place is ruled out without being compared. What differs too much to be alike at all
//! has a sum beyond a limit, and whatever is found lowers it. A [sieve](crate::sieve) looks at a few
//! pixels of each place; where it leaves many, [tables](crate::bounds) rule out most of those. Where
//! nothing is alike, the place that is told is a good one and not the best.

use crate::bounds::Bounds;
use crate::grey::Grey;
use crate::sieve::{LANES, Shades, Sieve};

/// Sums of squares that are this near count as one: it is the nearest place that is taken.
const SLACK: u64 = 10;
/// So do those within this share: a blank screen is not compared at every place.
const SHARE: u64 = 128;
/// The sum of squares of a pixel in an area that is there as it was, but for a few pixels.
const NEAR_PER_PIXEL: u64 = 4;
/// Places that are compared where nothing is alike.
const COARSE: usize = 300;
/// Of the rows of such a place, one of so many.
const COARSE_ROWS: usize = 4;
/// Differences up to this count as nothing.
const FREE: u8 = 15;
/// Places that are compared before tables are made.
const PATIENCE: usize = 2_000;

/// Where it was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) x: usize,
    pub(crate) y: usize,
    /// How like it is there, 0 to 1.
    pub(crate) similarity: f64,
}

/// Looks for `part` in `scene`; it was at `home`, and is found if it is alike by at least `wanted`,
/// 0 to 1. `None` if it does not fit in.
pub(crate) fn search(
    scene: &Grey,
    part: &Grey,
    home: (usize, usize),
    wanted: f64,
) -> Option<Place> {
    let columns = (scene.width + 1).checked_sub(part.width).filter(|_| part.width > 0)?;
    let rows = (scene.height + 1).checked_sub(part.height).filter(|_| part.height > 0)?;
    if columns == 0 || rows == 0 {
        return None;
    }
    let home = (home.0.min(columns - 1), home.1.min(rows - 1));
    let at_home = squares(scene, part, home, u64::MAX).unwrap_or(u64::MAX);
    let (x, y) = if at_home == 0 || columns * rows == 1 {
        home
    } else {
        let limit = NEAR_PER_PIXEL * (part.width * part.height) as u64;
        let mut hunt = Hunt::new(scene, part, home, (columns, rows), at_home);
        // What is there is mostly there as it was, and what is not quite so is looked for next.
        let found = hunt.run(limit).or_else(|| {
            // Of those that are like enough the best is wanted, if it is the best of all.
            hunt.alike(wanted).and_then(|sum| hunt.run(sum))
        });
        found.unwrap_or_else(|| coarse(scene, part, home, (columns, rows)))
    };
    Some(Place { x, y, similarity: similarity(scene, part, x, y) })
}

/// The largest sum of squares of a place that is alike by this much.
///
/// Of two pixels that differ by d, up to 15 counts as nothing, and more as at least 16 and as at
/// least d - 15. So d squared is at most 225, or at most (1 + 15/16) squared times what counts.
fn limit(part: &Grey, wanted: f64) -> u64 {
    let mean = (40.0 + (0.9 - wanted) * 380.0).max(0.0);
    let pixels = (part.width * part.height) as f64;
    (pixels * (225.0 + 3.76 * mean)).ceil() as u64
}

/// How like they are with `part` at this place: 1 for equal, 0 for not at all.
///
/// Differences of less than 16 of 255 do not count, others in steps of 16. A mean square of 40 is
/// 0.9, and 380 more is 1 less.
pub(crate) fn similarity(scene: &Grey, part: &Grey, x: usize, y: usize) -> f64 {
    let sum = counts(scene, part, (x, y), u64::MAX).unwrap_or(u64::MAX);
    let mean = sum as f64 / (part.width * part.height).max(1) as f64;
    (0.9 + (40.0 - mean) / 380.0).clamp(0.0, 1.0)
}

/// What may be counted at most in a place that is like enough.
fn counted(part: &Grey, wanted: f64) -> u64 {
    let mean = (40.0 + (0.9 - wanted) * 380.0).max(0.0) + 0.001;
    (mean * (part.width * part.height) as f64).ceil() as u64
}

/// The sum of the squared differences that count, or `None` if it is more than `most`.
fn counts(scene: &Grey, part: &Grey, place: (usize, usize), most: u64) -> Option<u64> {
    let mut sum = 0_u64;
    for row in leaping(part.height) {
        sum += row_counts(scene, part, place, row);
        if sum > most {
            return None;
        }
    }
    Some(sum)
}

/// The sum of the squared differences that count in one row.
fn row_counts(scene: &Grey, part: &Grey, (x, y): (usize, usize), row: usize) -> u64 {
    let there = scene.row(y + row).get(x..x + part.width).unwrap_or_default();
    // Half a step is rounded up.
    let step = |value: u8| (i16::from(value) + 8) >> 4;
    let counts = there.iter().zip(part.row(row)).map(|(one, other)| {
        let difference = i16::from(*one) - i16::from(*other);
        let steps = step(*one) - step(*other);
        let steps = if difference.unsigned_abs() >= 16 { steps } else { 0 };
        i32::from(steps) * i32::from(steps)
    });
    u64::from(counts.sum::<i32>().cast_unsigned()) * 256
}

/// The rows of a part in leaps, so that what differs is noticed after few of them.
fn leaping(height: usize) -> impl Iterator<Item = usize> {
    const LEAP: usize = 7;
    // From a third on: at an edge there is often nothing.
    let from = LEAP / 3;
    (0..LEAP).flat_map(move |first| ((first + from) % LEAP..height).step_by(LEAP))
}

/// The sum of squared differences, or `None` if it is more than `most`.
fn squares(scene: &Grey, part: &Grey, place: (usize, usize), most: u64) -> Option<u64> {
    squares_of(leaping(part.height), scene, part, place, most)
}

/// The same of some rows.
fn squares_of(
    rows: impl Iterator<Item = usize>,
    scene: &Grey,
    part: &Grey,
    (x, y): (usize, usize),
    most: u64,
) -> Option<u64> {
    let mut sum = 0_u64;
    for row in rows {
        let there = scene.row(y + row).get(x..x + part.width).unwrap_or_default();
        let squares = there.iter().zip(part.row(row)).map(|(one, other)| {
            let difference = i16::from(*one) - i16::from(*other);
            i32::from(difference) * i32::from(difference)
        });
        // A row of 16384 pixels sums up to less than 2^31.
        sum += u64::from(squares.sum::<i32>().cast_unsigned());
        if sum > most {
            return None;
        }
    }
    Some(sum)
}

/// A place of a grid, and then the best around it.
fn coarse(
    scene: &Grey,
    part: &Grey,
    home: (usize, usize),
    (columns, rows): (usize, usize),
) -> (usize, usize) {
    let look = |place: (usize, usize), most: u64| {
        squares_of((0..part.height).step_by(COARSE_ROWS), scene, part, place, most)
    };
    let mut best = (look(home, u64::MAX).unwrap_or(u64::MAX), home);
    let mut step = ((columns * rows) as f64 / COARSE as f64).sqrt().ceil().max(1.0) as usize;
    let (mut across, mut down) = ((0, columns), (0, rows));
    loop {
        for y in (down.0..down.1).step_by(step) {
            for x in (across.0..across.1).step_by(step) {
                if let Some(sum) = look((x, y), best.0.saturating_sub(1)) {
                    best = (sum, (x, y));
                }
            }
        }
        if step == 1 {
            return best.1;
        }
        let around = |at: usize, end: usize| (at.saturating_sub(step), end.min(at + step + 1));
        (across, down) = (around(best.1.0, columns), around(best.1.1, rows));
        step = (step / 3).max(1);
    }
}

/// A search that is going on.
struct Hunt<'s> {
    scene: &'s Grey,
    part: &'s Grey,
    home: (usize, usize),
    columns: usize,
    rows: usize,
    shades: Shades,
    /// Places that were visited, and once they are many the tables.
    visited: usize,
    bounds: Option<Bounds>,
    at_home: u64,
    /// The best place, and its sum of squares.
    best: (u64, Option<(usize, usize)>),
}

impl<'s> Hunt<'s> {
    fn new(
        scene: &'s Grey,
        part: &'s Grey,
        home: (usize, usize),
        (columns, rows): (usize, usize),
        at_home: u64,
    ) -> Self {
        let (shades, best) = (Shades::of(scene), (u64::MAX, None));
        let (visited, bounds) = (0, None);
        Self { scene, part, home, columns, rows, shades, visited, bounds, at_home, best }
    }

    /// The best place whose sum of squares is at most this.
    fn run(&mut self, limit: u64) -> Option<(usize, usize)> {
        self.best = match self.at_home <= limit {
            true => (self.at_home, Some(self.home)),
            false => (limit.saturating_add(1 + limit / (SHARE - 1)), None),
        };
        let sieve = Sieve::new(self.part, self.scene, &self.shades, self.best.0, 0);
        let most = |hunt: &Self| hunt.best.0.saturating_add(SLACK);
        self.places(
            |hunt, place| sieve.left(hunt.scene, place, most(hunt)),
            most,
            |hunt, place| {
                hunt.consider(place);
                false
            },
        );
        self.best.1
    }

    /// The sum of squares of the nearest place that is like enough, if there is one.
    fn alike(&mut self, wanted: f64) -> Option<u64> {
        let limit = limit(self.part, wanted);
        let (scene, part) = (self.scene, self.part);
        // What is counted may be at most this; a place that has more is left at once. Of two pixels
        // that differ by more than 15, at least what is beyond that counts.
        let most = counted(part, wanted);
        let sieve = Sieve::new(part, scene, &self.shades, most, FREE);
        let mut found = None;
        self.places(
            |hunt, place| sieve.left(hunt.scene, place, most),
            |_| limit,
            |hunt, place| {
                let may_be =
                    hunt.bounds.as_ref().is_none_or(|bounds| bounds.of_whole(place, limit));
                if may_be && counts(scene, part, place, most).is_some() {
                    found = squares(scene, part, place, u64::MAX);
                }
                found.is_some()
            },
        );
        found
    }

    /// Goes through the places whose sum of squares may be as low as `most` and that the sieve
    /// leaves, row by row from home, until `visit` says that it is enough.
    fn places(
        &mut self,
        sieve: impl Fn(&Self, (usize, usize)) -> u32,
        most: impl Fn(&Self) -> u64,
        mut visit: impl FnMut(&mut Self, (usize, usize)) -> bool,
    ) {
        let mut order: Vec<usize> = (0..self.rows).collect();
        order.sort_by_key(|y| y.abs_diff(self.home.1));
        let mut differences = vec![0_i32; self.columns];
        for y in order {
            if self.visited > PATIENCE && self.bounds.is_none() {
                self.bounds = Some(Bounds::new(self.scene, self.part));
            }
            // What the sums of the areas may differ at most.
            let reach = self.bounds.as_ref().map_or(u32::MAX, |bounds| {
                bounds.differences(y, &mut differences);
                bounds.reach(most(self))
            });
            for (chunk, group) in differences.chunks(LANES).enumerate() {
                let near =
                    group.iter().fold(false, |near, one| near | (one.unsigned_abs() <= reach));
                let left = if near { sieve(self, (chunk * LANES, y)) } else { 0 };
                if left == 0 {
                    continue;
                }
                for (lane, one) in group.iter().enumerate() {
                    if left >> lane & 1 == 1 && one.unsigned_abs() <= reach {
                        self.visited += 1;
                        if visit(self, (chunk * LANES + lane, y)) {
                            return;
                        }
                    }
                }
            }
        }
    }

    fn consider(&mut self, place: (usize, usize)) {
        let nearer = self.best.1.is_some_and(|best| away(place, self.home) < away(best, self.home));
        let most =
            if nearer { Some(self.best.0.saturating_add(SLACK)) } else { better(self.best.0) };
        if let Some(most) = most
            && self.bounds.as_ref().is_none_or(|bounds| bounds.of_cells(place, most))
            && let Some(sum) = squares(self.scene, self.part, place, most)
        {
            self.best = (sum.min(self.best.0), Some(place));
        }
    }
}

/// What a sum must be at most to be better than this one; nothing is better than 0.
fn better(sum: u64) -> Option<u64> {
    sum.checked_sub(1 + sum / SHARE)
}

fn away(one: (usize, usize), other: (usize, usize)) -> usize {
    one.0.abs_diff(other.0).pow(2) + one.1.abs_diff(other.1).pow(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn grey(width: usize, height: usize, pixel: impl Fn(usize, usize) -> u8) -> Grey {
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        Grey { width, height, pixels: places.map(|(x, y)| pixel(x, y)).collect() }
    }

    fn cut(scene: &Grey, x: usize, y: usize, width: usize, height: usize) -> Grey {
        grey(width, height, |dx, dy| scene.row(y + dy)[x + dx])
    }

    fn noise(x: usize, y: usize) -> u8 {
        ((x * 7919 + y * 104_729 + x * y * 31) % 251) as u8
    }

    #[test]
    fn an_equal_part_at_home_is_found_there() {
        let scene = grey(64, 48, noise);
        let found = search(&scene, &cut(&scene, 20, 10, 12, 9), (20, 10), 0.96).unwrap();
        assert_eq!((found.x, found.y, found.similarity), (20, 10, 1.0));
    }

    #[test]
    fn a_part_that_moved_is_found_where_it_is() {
        let scene = grey(64, 48, noise);
        let found = search(&scene, &cut(&scene, 40, 30, 12, 9), (3, 5), 0.96).unwrap();
        assert_eq!((found.x, found.y, found.similarity), (40, 30, 1.0));
    }

    #[test]
    fn of_places_as_good_the_nearest_is_taken() {
        let scene = grey(60, 40, |x, _| if x % 20 < 10 { 0 } else { 200 });
        let part = cut(&scene, 5, 0, 10, 10);
        let found = search(&scene, &part, (27, 15), 0.96).unwrap();
        assert_eq!((found.x, found.y), (25, 15));
    }

    #[test]
    fn the_measure_is_that_of_steps_of_sixteen() {
        let like = |one: u8, other: u8| {
            similarity(&grey(4, 4, |_, _| one), &grey(4, 4, |_, _| other), 0, 0)
        };
        assert_eq!(like(100, 115), 1.0);
        // 16 apart on all pixels: a mean square of 256.
        assert!((like(96, 112) - (0.9 - 216.0 / 380.0)).abs() < 1e-9);
        // 17 apart may be one step or two.
        assert!((like(103, 120) - 0.0_f64.max(0.9 - (1024.0 - 40.0) / 380.0)).abs() < 1e-9);
        assert_eq!(like(0, 255), 0.0);
    }

    #[test]
    fn what_does_not_fit_is_not_found() {
        assert_eq!(search(&grey(4, 4, noise), &grey(5, 1, noise), (0, 0), 0.96), None);
        assert_eq!(search(&grey(4, 4, noise), &Grey::default(), (0, 0), 0.96), None);
    }

    /// Holds a search against one that compares at every place.
    fn check(scene: &Grey, part: &Grey, home: (usize, usize), wanted: f64) {
        let found = search(scene, part, home, wanted).unwrap();
        let all = |x: usize, y: usize| squares(scene, part, (x, y), u64::MAX).unwrap();
        let (columns, rows) = (scene.width - part.width + 1, scene.height - part.height + 1);
        let places = || (0..columns).flat_map(|x| (0..rows).map(move |y| (x, y)));
        let best = places().map(|(x, y)| all(x, y)).min().unwrap();
        let near = NEAR_PER_PIXEL * (part.width * part.height) as u64;
        let alike = |(x, y)| similarity(scene, part, x, y) >= wanted;
        if best <= near || places().any(alike) {
            assert!(all(found.x, found.y) <= best + best / 64 + 2 * SLACK, "{found:?} {best}");
        } else {
            // Nothing is alike, and so nothing is found to be.
            assert!(found.similarity < wanted);
        }
    }

    /// A picture of rectangles, each with noise in it.
    fn drawn(width: usize, height: usize, rects: &[(usize, usize, usize, u8, u8)]) -> Grey {
        let mut picture = grey(width, height, |_, _| 100);
        for (left, top, side, shade, noisy) in rects {
            for y in *top..(top + side).min(height) {
                for x in *left..(left + side).min(width) {
                    let more = noise(x, y) % (noisy + 1);
                    picture.pixels[y * width + x] = shade.saturating_add(more);
                }
            }
        }
        picture
    }

    proptest! {
        #[test]
        fn no_place_is_better_than_the_one_that_is_found(
            pixels in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 24 * 18),
            part in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 7 * 5),
            x in 0_usize..24, y in 0_usize..18, wanted in 0.1_f64..1.0,
        ) {
            let scene = Grey { width: 24, height: 18, pixels };
            let part = Grey { width: 7, height: 5, pixels: part };
            check(&scene, &part, (x, y), wanted);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]
        #[test]
        fn nor_in_a_picture_where_tables_are_made(
            rects in proptest::collection::vec(
                (0_usize..150, 0_usize..90, 1_usize..70, prop_oneof![90_u8..110, any::<u8>()], 0_u8..40),
                0..9,
            ),
            other in proptest::collection::vec(
                (0_usize..24, 0_usize..12, 1_usize..20, prop_oneof![90_u8..110, any::<u8>()], 0_u8..40),
                0..4,
            ),
            (x, y, cut_out) in (0_usize..126, 0_usize..78, any::<bool>()),
            wanted in 0.1_f64..1.0,
        ) {
            let scene = drawn(150, 90, &rects);
            let mut part = drawn(24, 12, &other);
            if cut_out {
                part = cut(&scene, x, y, 24, 12);
                part.pixels.iter_mut().step_by(7).for_each(|pixel| *pixel ^= 9);
            }
            check(&scene, &part, (y, x / 2), wanted);
        }
    }
}
