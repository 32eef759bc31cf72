//! Rules places out by a few pixels: what differs too much in some of them is alike in none.
//!
//! A sum over some pixels is at most the sum over all. The pixels that are looked at are those of the
//! part whose brightness is rare in the scene, and 16 places beside each other are looked at together.

use crate::grey::Grey;

/// Places that are looked at together.
pub(crate) const LANES: usize = 16;
/// Shades of grey that count as one when pixels are chosen.
const SHADE: usize = 8;
const SHADES: usize = 256 / SHADE;
/// Most pixels that are looked at.
const MAX_KEYS: usize = 128;
/// Pixels between two looks at whether any place is left.
const GROUP: usize = 4;
/// How many times over the chosen pixels rule out a place of one shade: a real one has several.
const SURPLUS: u64 = 3;
/// Rows of the scene that are counted: one of so many.
const ROW_STEP: usize = 8;

/// How many pixels of a scene are of each shade.
#[derive(Debug)]
pub(crate) struct Shades([u64; SHADES]);

impl Shades {
    pub(crate) fn of(scene: &Grey) -> Self {
        let mut counts = [0_u64; SHADES];
        for y in (0..scene.height).step_by(ROW_STEP) {
            for pixel in scene.row(y) {
                if let Some(count) = counts.get_mut(usize::from(*pixel) / SHADE) {
                    *count += 1;
                }
            }
        }
        Self(counts)
    }
}

/// A pixel of a part.
#[derive(Debug, Clone, Copy)]
struct Key {
    /// How far from that of the part's upper left corner, in pixels of the scene.
    offset: usize,
    /// What does not differ from it, as far as it counts: from the first to the last.
    like: (u8, u8),
}

/// Pixels of a part, and how what differs in them is summed up.
#[derive(Debug)]
pub(crate) struct Sieve {
    groups: Vec<[Key; GROUP]>,
    /// Squares are summed up without these low bits, so that sums fit in 16.
    shift: u32,
}

impl Sieve {
    /// A sieve for places whose sum of squares is at most `most`, where of each difference `free`
    /// does not count.
    pub(crate) fn new(part: &Grey, scene: &Grey, shades: &Shades, most: u64, free: u8) -> Self {
        // Half of what 16 bits hold is left for sums beyond the limit.
        let shift = (u64::BITS - most.leading_zeros()).saturating_sub(15);
        let places = places_of(part);
        let chosen = choose(&places, shades, most, free);
        let mut orders: Vec<_> = places.iter().map(|places| leaps(places.len())).collect();
        let keys = chosen.into_iter().filter_map(|shade| {
            let (x, y) = *places.get(shade)?.get(orders.get_mut(shade)?.next()?)?;
            let value = part.row(y).get(x)?;
            let like = (value.saturating_sub(free), value.saturating_add(free));
            Some(Key { offset: y * scene.width + x, like })
        });
        let keys: Vec<Key> = keys.collect();
        // What is like every pixel adds nothing.
        let nothing = Key { offset: 0, like: (0, u8::MAX) };
        let group = |keys: &[Key]| std::array::from_fn(|at| *keys.get(at).unwrap_or(&nothing));
        Self { groups: keys.chunks(GROUP).map(group).collect(), shift }
    }

    /// Which of the places from (x, y) on to the right may have a sum of at most `most`, a bit each:
    /// all that have, and as few others as possible. Bits of places that are not there mean nothing.
    pub(crate) fn left(&self, scene: &Grey, (x, y): (usize, usize), most: u64) -> u32 {
        let limit = u16::try_from(most >> self.shift).unwrap_or(u16::MAX);
        if limit == u16::MAX {
            return u32::MAX;
        }
        let mut sums = [0_u16; LANES];
        let from = scene.pixels.get(y * scene.width + x..).unwrap_or_default();
        for group in &self.groups {
            self.add(&mut sums, group, &group.map(|key| pixels_of(from, key)));
            if sums.iter().fold(true, |all, sum| all & (*sum > limit)) {
                return 0;
            }
        }
        sums.iter().rev().fold(0, |bits, sum| bits << 1 | u32::from(*sum <= limit))
    }

    fn add(&self, sums: &mut [u16; LANES], keys: &[Key; GROUP], pixels: &[[u8; LANES]; GROUP]) {
        for (lane, sum) in sums.iter_mut().enumerate() {
            for (key, pixels) in keys.iter().zip(pixels) {
                let (pixel, (from, to)) = (pixels.get(lane).copied().unwrap_or_default(), key.like);
                // One of these is nothing. As bytes they take an instruction each for all places.
                let difference = u16::from(from.saturating_sub(pixel) | pixel.saturating_sub(to));
                // Neither wraps: a check of each would take longer than all the rest.
                let square = difference.wrapping_mul(difference).wrapping_shr(self.shift);
                *sum = sum.saturating_add(square);
            }
        }
    }
}

/// The pixels of a key for all places, of a scene from the first place on.
fn pixels_of(scene: &[u8], key: Key) -> [u8; LANES] {
    let pixels = scene.get(key.offset..).unwrap_or_default();
    if let Some(pixels) = pixels.first_chunk::<LANES>() {
        return *pixels;
    }
    // At the end of the picture there are fewer places.
    let mut last = [key.like.0; LANES];
    last.iter_mut().zip(pixels).for_each(|(to, from)| *to = *from);
    last
}

/// The shades of the pixels to look at, in this order: each rules out most of what those before it
/// have left of the scene, as if a place were of one shade. None if all together rule out little.
fn choose(places: &[Vec<(usize, usize)>], shades: &Shades, most: u64, free: u8) -> Vec<usize> {
    // A pixel that is counted twice would be too much.
    let mut unused: Vec<usize> = places.iter().map(Vec::len).collect();
    let square = |one: usize, other: usize| {
        let difference = (one.abs_diff(other) * SHADE).saturating_sub(usize::from(free)) as u64;
        difference * difference
    };
    let mut wanted = [most.saturating_mul(SURPLUS); SHADES];
    let mut chosen = Vec::new();
    while chosen.len() < MAX_KEYS {
        let gain = |shade: usize| -> u64 {
            let counts = shades.0.iter().zip(&wanted).enumerate();
            counts.map(|(other, (count, left))| count * square(shade, other).min(*left)).sum()
        };
        let best = (0..SHADES)
            .filter(|shade| unused.get(*shade).is_some_and(|unused| *unused > 0))
            .max_by_key(|shade| gain(*shade));
        let Some(best) = best.filter(|best| gain(*best) > 0) else { break };
        chosen.push(best);
        unused.iter_mut().skip(best).take(1).for_each(|unused| *unused -= 1);
        for (other, left) in wanted.iter_mut().enumerate() {
            *left = left.saturating_sub(square(best, other));
        }
    }
    // Where less than half would be ruled out, looking costs more than it saves.
    let all: u64 = shades.0.iter().sum();
    let ruled_out = shades.0.iter().zip(wanted).filter(|(_, left)| *left <= most * (SURPLUS - 1));
    if ruled_out.map(|(count, _)| count).sum::<u64>() * 2 < all {
        chosen.clear();
    }
    chosen
}

/// All numbers below a length, each once, in golden leaps: the first few of them are spread over it.
fn leaps(length: usize) -> impl Iterator<Item = usize> {
    let golden = (length as f64 * 0.618_034) as usize;
    // One that has no divisor in common with the length comes by all numbers.
    let leap = (golden.max(1)..).find(|leap| common_divisor(*leap, length) == 1).unwrap_or(1);
    (0..length).map(move |step| step * leap % length)
}

fn common_divisor(one: usize, other: usize) -> usize {
    if other == 0 { one } else { common_divisor(other, one % other) }
}

/// Where a part has pixels of each shade.
fn places_of(part: &Grey) -> Vec<Vec<(usize, usize)>> {
    let mut places = vec![Vec::new(); SHADES];
    for y in 0..part.height {
        for (x, pixel) in part.row(y).iter().enumerate() {
            if let Some(places) = places.get_mut(usize::from(*pixel) / SHADE) {
                places.push((x, y));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is summed up at a place, over all pixels.
    fn sum(scene: &Grey, part: &Grey, (x, y): (usize, usize), free: u8) -> u64 {
        let rows = (0..part.height).map(|row| {
            let there = &scene.row(y + row)[x..x + part.width];
            let squares = there.iter().zip(part.row(row)).map(|(one, other)| {
                let difference = u64::from(one.abs_diff(*other).saturating_sub(free));
                difference * difference
            });
            squares.sum::<u64>()
        });
        rows.sum()
    }

    #[test]
    fn what_is_nothing_like_the_part_is_ruled_out() {
        let scene = Grey { width: 40, height: 20, pixels: vec![200; 800] };
        let part = Grey { width: 8, height: 8, pixels: (0..64).map(|at| at * 3).collect() };
        let sieve = Sieve::new(&part, &scene, &Shades::of(&scene), 1000, 0);
        assert_eq!(sieve.left(&scene, (3, 3), 1000), 0);
        let sieve = Sieve::new(&part, &part, &Shades::of(&scene), 1000, 0);
        assert_ne!(sieve.left(&part, (0, 0), 1000) & 1, 0);
    }

    #[test]
    fn leaps_come_by_every_number_once() {
        for length in 0..200 {
            let mut all: Vec<usize> = leaps(length).collect();
            all.sort_unstable();
            assert!(all.into_iter().eq(0..length), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_place_is_ruled_out_that_may_not_be(
            pixels in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 40 * 12),
            part in proptest::collection::vec(prop_oneof![Just(0_u8), Just(90), any::<u8>()], 7 * 5),
            most in prop_oneof![0_u64..2_000, 0_u64..3_000_000], free in 0_u8..20, less in 1_u64..4,
        ) {
            let scene = Grey { width: 40, height: 12, pixels };
            let part = Grey { width: 7, height: 5, pixels: part };
            let sieve = Sieve::new(&part, &scene, &Shades::of(&scene), most, free);
            for y in 0..8 {
                for chunk in 0..3 {
                    let left = sieve.left(&scene, (chunk * LANES, y), most / less);
                    for lane in 0..LANES.min(34 - chunk * LANES) {
                        let place = (chunk * LANES + lane, y);
                        let out = left >> lane & 1 == 0;
                        prop_assert!(!out || sum(&scene, &part, place, free) > most / less);
                    }
                }
            }
        }
    }
}
