//! Seeded changes to inputs.

/// Numbers from a seed (xorshift64*).
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// One below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { ((self.next() >> 11) % end as u64) as usize }
    }
}

/// Numbers that programs get wrong.
const ODD: [u64; 14] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 63,
    u64::MAX,
];

/// A changed copy of `input`, at most `most` bytes. `other` is another input of the corpus,
/// `tokens` are words of the target's language.
pub fn mutate(
    random: &mut Random,
    input: &[u8],
    other: &[u8],
    tokens: &[&[u8]],
    most: usize,
) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 << random.below(5) {
        change(random, &mut bytes, other, tokens);
    }
    bytes.truncate(most);
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8], tokens: &[&[u8]]) {
    let at = random.below(bytes.len() + 1);
    let length = 1 + random.below(16).min(random.below(64));
    let end = (at + length).min(bytes.len());
    match random.below(11) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.next() as u8;
            }
        }
        3 => {
            let width = [1, 2, 4, 8][random.below(4)];
            let number = ODD[random.below(ODD.len())].to_le_bytes();
            overwrite(bytes, at, &number[..width]);
        }
        4 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = byte.wrapping_add(1 + random.below(8) as u8).wrapping_sub(4);
            }
        }
        5 => drop(bytes.drain(at..end)),
        6 => {
            let copy = bytes[at..end].to_vec();
            let to = random.below(bytes.len() + 1);
            bytes.splice(to..to, copy);
        }
        7 => {
            let new: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
            bytes.splice(at..at, new);
        }
        8 if !other.is_empty() => {
            let from = random.below(other.len());
            let to = from + 1 + random.below(other.len() - from);
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        9 if !tokens.is_empty() => {
            bytes.splice(at..at, tokens[random.below(tokens.len())].iter().copied());
        }
        10 if !tokens.is_empty() => overwrite(bytes, at, tokens[random.below(tokens.len())]),
        _ => bytes.truncate(at),
    }
}

fn overwrite(bytes: &mut [u8], at: usize, new: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(new) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs() {
        let inputs = |seed| {
            let mut random = Random::new(seed);
            let make = |_| mutate(&mut random, b"one two three", b"four", &[b"five"], 40);
            (0..50).map(make).collect::<Vec<_>>()
        };
        assert_eq!(inputs(7), inputs(7));
        assert_ne!(inputs(7), inputs(8));
    }

    #[test]
    fn no_input_is_too_long() {
        let mut random = Random::new(3);
        for _ in 0..500 {
            assert!(mutate(&mut random, &[9; 60], &[7; 60], &[], 64).len() <= 64);
        }
    }
}
