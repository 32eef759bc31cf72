//! What a sum of squared differences is at least, without comparing: by Cauchy and Schwarz the squared
//! difference of the sums of an area, or of each of its cells, divided by the pixels; and that of what
//! each area differs from its own mean. Both come from tables of sums.

use crate::grey::Grey;

/// Larger areas have sums of squares beyond 31 bits.
const MAX_SQUARED_AREA: usize = 131_071;
/// About the size of the cells that an area is divided into, in pixels.
const CELL: (usize, usize) = (40, 15);
/// Most of them, across and down.
const MAX_CELLS: usize = 24;
/// Rounding must never rule out the best place.
const SAFE: f64 = 0.999_999;

/// A rectangle's place in a part, and the sum of its pixels there.
#[derive(Debug)]
struct Cell {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    sum: i32,
    weight: f64,
}

/// Tables of a scene, and the sums of a part.
#[derive(Debug)]
pub(crate) struct Bounds {
    stride: usize,
    /// The sums of the scene, and those of its squares if they fit.
    sums: Vec<u32>,
    squares: Vec<u32>,
    whole: Cell,
    cells: Vec<Cell>,
    /// What the part differs from its own mean.
    spread: f64,
}

impl Bounds {
    pub(crate) fn new(scene: &Grey, part: &Grey) -> Self {
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
        let fits = part.width * part.height <= MAX_SQUARED_AREA;
        let squares = if fits { table(scene, square) } else { Vec::new() };
        Self { stride: scene.width + 1, sums, squares, whole, cells, spread }
    }

    /// What the sums of two areas may differ at most, for a sum of squares of at most this.
    pub(crate) fn reach(&self, most: u64) -> u32 {
        (most as f64 / self.whole.weight).sqrt().min(f64::from(i32::MAX)) as u32
    }

    /// How much the sum of each area of a row of places differs from that of the part.
    pub(crate) fn differences(&self, y: usize, out: &mut [i32]) {
        let stride = self.stride;
        let row = |y: usize| self.sums.get(y * stride..(y + 1) * stride).unwrap_or_default();
        let (upper, lower) = (row(y), row(y + self.whole.bottom));
        let right = |row: &'_ [u32]| self.whole.right.min(row.len());
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

    /// Whether the sum of squares there may be as low as this, by what is known of the whole.
    pub(crate) fn of_whole(&self, (x, y): (usize, usize), most: u64) -> bool {
        if self.squares.is_empty() {
            return true;
        }
        let ends = ((x, y), (x + self.whole.right, y + self.whole.bottom));
        let sum = within(&self.sums, self.stride, ends.0, ends.1);
        let mean = f64::from(sum.wrapping_sub(self.whole.sum));
        let squares = within(&self.squares, self.stride, ends.0, ends.1);
        let spread = spread(&self.whole, squares, sum) - self.spread;
        mean * mean * self.whole.weight + spread * spread * SAFE <= most as f64
    }

    /// Whether the sum of squares there may be as low as this.
    pub(crate) fn of_cells(&self, (x, y): (usize, usize), most: u64) -> bool {
        if !self.of_whole((x, y), most) {
            return false;
        }
        let mut bound = 0.0;
        self.cells.iter().all(|cell| {
            let (from, to) = ((x + cell.left, y + cell.top), (x + cell.right, y + cell.bottom));
            let there = within(&self.sums, self.stride, from, to);
            let difference = f64::from(there.wrapping_sub(cell.sum));
            bound += difference * difference * cell.weight;
            bound <= most as f64
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

    proptest! {
        #[test]
        fn no_place_is_ruled_out_that_may_not_be(
            pixels in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 24 * 18),
            part in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 7 * 5),
        ) {
            let scene = Grey { width: 24, height: 18, pixels };
            let part = Grey { width: 7, height: 5, pixels: part };
            let bounds = Bounds::new(&scene, &part);
            let mut differences = [0; 18];
            for y in 0..14 {
                bounds.differences(y, &mut differences);
                for (x, difference) in differences.iter().enumerate() {
                    let rows = (0..5).flat_map(|row| {
                        let there = &scene.row(y + row)[x..x + 7];
                        there.iter().zip(part.row(row)).map(|(one, other)| {
                            u64::from(one.abs_diff(*other)).pow(2)
                        })
                    });
                    let sum: u64 = rows.sum();
                    prop_assert!(difference.unsigned_abs() <= bounds.reach(sum));
                    prop_assert!(bounds.of_whole((x, y), sum) && bounds.of_cells((x, y), sum));
                }
            }
        }
    }
}
