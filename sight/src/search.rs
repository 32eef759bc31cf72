//! Finds where a part of a picture is most like another: the place with the smallest sum of
//! squared differences, and of several as good the nearest to where it was.
//!
//! Almost every place is ruled out without being compared. What differs too much to be alike at all
//! has a sum beyond a limit, and whatever is found lowers it. By Cauchy and Schwarz a sum of squared
//! differences is at least the squared difference of the sums of an area, or of each of its cells,
//! divided by the pixels; and that of what each area differs from its own mean. Those come from
//! tables of sums. Where nothing is alike, the place that is told is a good one and not the best.

use crate::grey::Grey;

/// Sums of squares that are this near count as one: it is the nearest place that is taken.
const SLACK: u64 = 10;
/// So do those within this share: a blank screen is not compared at every place.
const SHARE: u64 = 128;
/// Larger areas have sums of squares beyond 31 bits.
const MAX_SQUARED_AREA: usize = 131_071;
/// About the size of the cells that an area is divided into, in pixels.
const CELL: (usize, usize) = (40, 15);
/// Most of them, across and down.
const MAX_CELLS: usize = 24;
/// Rounding must never rule out the best place.
const SAFE: f64 = 0.999_999;
/// The sum of squares of a pixel in an area that is there as it was, but for a few pixels.
const NEAR_PER_PIXEL: u64 = 4;
/// Places that are compared where nothing is alike.
const COARSE: usize = 300;

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
            hunt.square();
            // Of those that are like enough the best is wanted, if it is the best of all.
            hunt.alike(wanted).and_then(|sum| hunt.run(sum))
        });
        found.unwrap_or_else(|| coarse(scene, part, home, (columns, rows), at_home))
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

/// The row of a part that has most in it: most of what is not alike differs there at once.
fn richest(part: &Grey) -> usize {
    let changes = |row: &usize| -> u32 {
        let pairs = part.row(*row).windows(2);
        pairs.map(|pair| pair.iter().copied().reduce(u8::abs_diff).map_or(0, u32::from)).sum()
    };
    (0..part.height).max_by_key(changes).unwrap_or(0)
}

/// The rows of a part in leaps, so that what differs is noticed after few of them.
fn leaping(height: usize) -> impl Iterator<Item = usize> {
    const LEAP: usize = 7;
    // From a third on: at an edge there is often nothing.
    let from = LEAP / 3;
    (0..LEAP).flat_map(move |first| ((first + from) % LEAP..height).step_by(LEAP))
}

/// The sum of squared differences, or `None` if it is more than `most`.
fn squares(scene: &Grey, part: &Grey, (x, y): (usize, usize), most: u64) -> Option<u64> {
    let mut sum = 0_u64;
    for row in leaping(part.height) {
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
    at_home: u64,
) -> (usize, usize) {
    let mut best = (at_home, home);
    let mut step = ((columns * rows) as f64 / COARSE as f64).sqrt().ceil().max(1.0) as usize;
    let (mut across, mut down) = ((0, columns), (0, rows));
    loop {
        for y in (down.0..down.1).step_by(step) {
            for x in (across.0..across.1).step_by(step) {
                if let Some(sum) = squares(scene, part, (x, y), best.0.saturating_sub(1)) {
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

/// A rectangle's place in a part, and the sum of its pixels there.
struct Cell {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    sum: i32,
    weight: f64,
}

/// A search that is going on.
struct Hunt<'s> {
    scene: &'s Grey,
    part: &'s Grey,
    home: (usize, usize),
    columns: usize,
    rows: usize,
    /// The sums of the scene, and once they are needed those of its squares.
    sums: Vec<u32>,
    squares: Vec<u32>,
    whole: Cell,
    cells: Vec<Cell>,
    /// What the part differs from its own mean.
    spread: f64,
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
        let (sums, part_sums) = (table(scene, u32::from), table(part, u32::from));
        let cell = |(left, right): (usize, usize), (top, bottom): (usize, usize)| Cell {
            left,
            top,
            right,
            bottom,
            sum: within(&part_sums, part.width + 1, (left, top), (right, bottom)),
            weight: SAFE / ((right - left) * (bottom - top)) as f64,
        };
        let cuts = |length: usize, size: usize| -> Vec<(usize, usize)> {
            let cells = (length / size).clamp(1, MAX_CELLS);
            (0..cells).map(|cell| (length * cell / cells, length * (cell + 1) / cells)).collect()
        };
        let across = cuts(part.width, CELL.0);
        let cells = cuts(part.height, CELL.1)
            .into_iter()
            .flat_map(|rows| across.iter().map(move |columns| (*columns, rows)))
            .map(|(columns, rows)| cell(columns, rows))
            .collect::<Vec<Cell>>();
        let whole = cell((0, part.width), (0, part.height));
        let cells = sorted(cells, &whole);
        let part_squares =
            part.pixels.iter().map(|pixel| square(*pixel)).fold(0, u32::wrapping_add);
        let spread = spread(&whole, part_squares.cast_signed(), whole.sum);
        let best = (u64::MAX, None);
        Self {
            scene,
            part,
            home,
            columns,
            rows,
            sums,
            squares: Vec::new(),
            whole,
            cells,
            spread,
            at_home,
            best,
        }
    }

    /// Makes the table of squares, which rules out what is blank.
    fn square(&mut self) {
        if self.part.width * self.part.height <= MAX_SQUARED_AREA {
            self.squares = table(self.scene, square);
        }
    }

    /// The best place whose sum of squares is at most this.
    fn run(&mut self, limit: u64) -> Option<(usize, usize)> {
        self.best = match self.at_home <= limit {
            true => (self.at_home, Some(self.home)),
            false => (limit.saturating_add(1 + limit / (SHARE - 1)), None),
        };
        self.places(
            |hunt| hunt.best.0.saturating_add(SLACK),
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
        // What is counted may be at most this; a place that has more is left at once.
        let most = counted(part, wanted);
        let rich = richest(part);
        let mut found = None;
        self.places(
            |_| limit,
            |hunt, place| {
                if hunt.spread_bound(place, limit as f64)
                    && row_counts(scene, part, place, rich) <= most
                    && counts(scene, part, place, most).is_some()
                {
                    found = squares(scene, part, place, u64::MAX);
                }
                found.is_some()
            },
        );
        found
    }

    /// Goes through the places whose sum of squares may be as low as `most`, row by row from home,
    /// until `visit` says that it is enough.
    fn places(
        &mut self,
        most: impl Fn(&Self) -> u64,
        mut visit: impl FnMut(&mut Self, (usize, usize)) -> bool,
    ) {
        let mut order: Vec<usize> = (0..self.rows).collect();
        order.sort_by_key(|y| y.abs_diff(self.home.1));
        let mut differences = vec![0_i32; self.columns];
        for y in order {
            // What the sums of the areas may differ at most.
            let most = most(self) as f64;
            let reach = (most / self.whole.weight).sqrt().min(f64::from(i32::MAX)) as u32;
            self.differences(y, &mut differences);
            for (chunk, group) in differences.chunks(16).enumerate() {
                let near =
                    group.iter().fold(false, |near, one| near | (one.unsigned_abs() <= reach));
                if near {
                    for (x, one) in group.iter().enumerate() {
                        if one.unsigned_abs() <= reach && visit(self, (chunk * 16 + x, y)) {
                            return;
                        }
                    }
                }
            }
        }
    }

    /// How much the sum of each area of a row of places differs from that of the part.
    fn differences(&self, y: usize, out: &mut [i32]) {
        let stride = self.scene.width + 1;
        let row = |y: usize| self.sums.get(y * stride..(y + 1) * stride).unwrap_or_default();
        let (upper, lower) = (row(y), row(y + self.part.height));
        let right = |row: &'_ [u32]| self.part.width.min(row.len());
        let (upper_right, lower_right) = (
            upper.get(right(upper)..).unwrap_or_default(),
            lower.get(right(lower)..).unwrap_or_default(),
        );
        let left = upper.iter().zip(lower);
        let ends = upper_right.iter().zip(lower_right);
        for (out, ((ul, ll), (ur, lr))) in out.iter_mut().zip(left.zip(ends)) {
            let sum = lr.wrapping_sub(*ur).wrapping_sub(ll.wrapping_sub(*ul)).cast_signed();
            *out = sum.wrapping_sub(self.whole.sum);
        }
    }

    fn consider(&mut self, place: (usize, usize)) {
        let nearer = self.best.1.is_some_and(|best| away(place, self.home) < away(best, self.home));
        let most =
            if nearer { Some(self.best.0.saturating_add(SLACK)) } else { better(self.best.0) };
        if let Some(most) = most
            && self.bound(place, most as f64)
            && let Some(sum) = squares(self.scene, self.part, place, most)
        {
            self.best = (sum.min(self.best.0), Some(place));
        }
    }

    /// Whether the sum of squares there may be as low as this, by what is known of the whole.
    fn spread_bound(&self, (x, y): (usize, usize), most: f64) -> bool {
        if self.squares.is_empty() {
            return true;
        }
        let stride = self.scene.width + 1;
        let ends = ((x, y), (x + self.part.width, y + self.part.height));
        let sum = within(&self.sums, stride, ends.0, ends.1);
        let mean = f64::from(sum.wrapping_sub(self.whole.sum));
        let squares = within(&self.squares, stride, ends.0, ends.1);
        let spread = spread(&self.whole, squares, sum) - self.spread;
        mean * mean * self.whole.weight + spread * spread * SAFE <= most
    }

    /// Whether the sum of squares there may be as low as this.
    fn bound(&self, (x, y): (usize, usize), most: f64) -> bool {
        if !self.spread_bound((x, y), most) {
            return false;
        }
        let stride = self.scene.width + 1;
        let mut bound = 0.0;
        self.cells.iter().all(|cell| {
            let (left, right) = (x + cell.left, x + cell.right);
            let there = within(&self.sums, stride, (left, y + cell.top), (right, y + cell.bottom));
            let difference = f64::from(there.wrapping_sub(cell.sum));
            bound += difference * difference * cell.weight;
            bound <= most
        })
    }
}

/// First the cells that differ most from the whole: they rule most out.
fn sorted(mut cells: Vec<Cell>, whole: &Cell) -> Vec<Cell> {
    let mean = |cell: &Cell| f64::from(cell.sum) * cell.weight;
    let distance = |cell: &Cell| (mean(cell) - mean(whole)).abs() / cell.weight.sqrt();
    cells.sort_by(|one, other| distance(other).total_cmp(&distance(one)));
    cells
}

/// What an area differs from its own mean, from its sum and that of its [`square`]s.
fn spread(area: &Cell, squares: i32, sum: i32) -> f64 {
    let pixels = ((area.right - area.left) * (area.bottom - area.top)) as f64;
    let sum = f64::from(sum) - 128.0 * pixels;
    (f64::from(squares) - sum * sum / pixels).max(0.0).sqrt()
}

/// What a sum must be at most to be better than this one; nothing is better than 0.
fn better(sum: u64) -> Option<u64> {
    sum.checked_sub(1 + sum / SHARE)
}

fn away(one: (usize, usize), other: (usize, usize)) -> usize {
    one.0.abs_diff(other.0).pow(2) + one.1.abs_diff(other.1).pow(2)
}

/// The sum of a rectangle. Tables wrap; a difference is right as long as it fits itself.
fn within(
    table: &[u32],
    stride: usize,
    (left, top): (usize, usize),
    (right, bottom): (usize, usize),
) -> i32 {
    let at = |x: usize, y: usize| table.get(y * stride + x).copied().unwrap_or_default();
    let lower = at(right, bottom).wrapping_sub(at(left, bottom));
    lower.wrapping_sub(at(right, top).wrapping_sub(at(left, top))).cast_signed()
}

/// The square of what a pixel differs from the middle: smaller than that of the pixel itself.
fn square(pixel: u8) -> u32 {
    let difference = i32::from(pixel) - 128;
    (difference * difference).cast_unsigned()
}

/// A table of sums: at (x, y) that of all left of x and above y, modulo 2^32.
fn table(grey: &Grey, value: impl Fn(u8) -> u32) -> Vec<u32> {
    let stride = grey.width + 1;
    let mut table = Vec::with_capacity(stride * (grey.height + 1));
    table.resize(stride, 0_u32);
    let mut columns = vec![0_u32; grey.width];
    for y in 0..grey.height {
        // First down, which the processor does for many columns at once, then across.
        for (column, pixel) in columns.iter_mut().zip(grey.row(y)) {
            *column = column.wrapping_add(value(*pixel));
        }
        let mut sum = 0_u32;
        table.push(0);
        table.extend(columns.iter().map(|column| {
            sum = sum.wrapping_add(*column);
            sum
        }));
    }
    table
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

    proptest! {
        #[test]
        fn no_place_is_better_than_the_one_that_is_found(
            pixels in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 24 * 18),
            part in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 7 * 5),
            x in 0_usize..24, y in 0_usize..18, wanted in 0.1_f64..1.0,
        ) {
            let scene = Grey { width: 24, height: 18, pixels };
            let part = Grey { width: 7, height: 5, pixels: part };
            let found = search(&scene, &part, (x, y), wanted).unwrap();
            let all = |x: usize, y: usize| squares(&scene, &part, (x, y), u64::MAX).unwrap();
            let places = || (0..18).flat_map(|x| (0..14).map(move |y| (x, y)));
            let best = places().map(|(x, y)| all(x, y)).min().unwrap();
            if best <= limit(&part, wanted) {
                prop_assert!(all(found.x, found.y) <= best + best / 64 + 2 * SLACK);
            } else {
                // Nothing is alike, and so nothing is found to be.
                prop_assert!(places().all(|(x, y)| similarity(&scene, &part, x, y) < wanted));
                prop_assert!(found.similarity < wanted);
            }
        }
    }
}
