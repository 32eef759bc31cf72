//! A made-up EDID 1.4 block (VESA E-EDID A2) whose preferred mode is the size of the surface; for one
//! that is too large for it, with a DisplayID 1.3 section that has it.

/// Bytes of a block.
const EDID_BYTES: usize = 128;
/// Where the number of further blocks is.
const EXTENSIONS: usize = 126;
/// The tag of a block that is a section of DisplayID, its version, and that of its first data block.
const DISPLAY_ID: u8 = 0x70;
const VERSION: u8 = 0x13;
const DETAILED_TIMING: u8 = 3;

/// Largest side of a detailed timing, in pixels: the field has 12 bits.
const MAX_TIMING_SIDE_PX: u32 = 4095;

/// Blanking in pixels and lines; nothing reads it, but a driver refuses zero.
const BLANK_X_PX: u32 = 160;
const BLANK_Y_PX: u32 = 32;

/// The blocks for a display of this size at 60 Hz and 96 dots an inch.
#[must_use]
pub fn edid(width_px: u32, height_px: u32) -> Vec<u8> {
    let large = width_px.max(height_px) > MAX_TIMING_SIDE_PX;
    let mut blocks = first_block(width_px, height_px, u8::from(large)).to_vec();
    if large {
        blocks.extend(display_id(width_px, height_px));
    }
    blocks
}

/// A section with one timing (DisplayID 1.3, 4.4.1), as a block.
fn display_id(width_px: u32, height_px: u32) -> [u8; EDID_BYTES] {
    let [a, b, c, _] = clock(width_px, height_px).saturating_sub(1).to_le_bytes();
    let mut timing = vec![a, b, c, 0x88];
    // Each one less than it is; the upper bit of a sync offset is its polarity.
    let lines = [(width_px, BLANK_X_PX, 48 | 0x8000, 32), (height_px, BLANK_Y_PX, 3, 6)];
    for (active, blank, offset, sync) in lines {
        for value in [active, blank, offset, sync] {
            let value = u16::try_from(value.saturating_sub(1)).unwrap_or(u16::MAX);
            timing.extend(value.to_le_bytes());
        }
    }
    // Behind the tag: version, bytes of all data blocks with what fills them up, a part of the EDID.
    let section = [VERSION, 121, 0, 0, DETAILED_TIMING, 0, 20].into_iter().chain(timing);
    let mut block = [0; EDID_BYTES];
    for (slot, byte) in block.iter_mut().zip([DISPLAY_ID].into_iter().chain(section)) {
        *slot = byte;
    }
    let sum = sum_to_zero(block.get(1..EXTENSIONS).unwrap_or_default());
    if let Some(slot) = block.get_mut(EXTENSIONS) {
        *slot = sum;
    }
    seal(block)
}

/// What has to be added so that the sum of the bytes is 0.
fn sum_to_zero(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg()
}

/// Puts the sum into the last byte, which is 0.
fn seal(mut block: [u8; EDID_BYTES]) -> [u8; EDID_BYTES] {
    let sum = sum_to_zero(&block);
    if let Some(last) = block.last_mut() {
        *last = sum;
    }
    block
}

/// The clock of pixels at 60 Hz, in 10 kHz.
fn clock(width_px: u32, height_px: u32) -> u32 {
    let total_x = u64::from(width_px.saturating_add(BLANK_X_PX));
    let total_y = u64::from(height_px.saturating_add(BLANK_Y_PX));
    u32::try_from(total_x.saturating_mul(total_y).saturating_mul(60) / 10_000).unwrap_or(u32::MAX)
}

fn first_block(width_px: u32, height_px: u32, extensions: u8) -> [u8; EDID_BYTES] {
    let (width_px, height_px) =
        (width_px.min(MAX_TIMING_SIDE_PX), height_px.min(MAX_TIMING_SIDE_PX));
    let (width_mm, height_mm) = (millimetres(width_px), millimetres(height_px));
    // Header, manufacturer "TBD" (five bits a letter), product 1, serial 0, week 0 of 2026,
    // version 1.4, digital input of 8 bits, size in centimetres, gamma 2.2, preferred timing in
    // the first descriptor, sRGB chromaticity, no established or standard timings.
    let head: [u8; 54] = [
        0x00,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0xff,
        0x00,
        0x50,
        0x44,
        0x01,
        0x00,
        0x00,
        0x00,
        0x00,
        0x00,
        0x00,
        0x24,
        0x01,
        0x04,
        0xa0,
        low(width_mm / 10),
        low(height_mm / 10),
        0x78,
        0x06,
        0xee,
        0x91,
        0xa3,
        0x54,
        0x4c,
        0x99,
        0x26,
        0x0f,
        0x50,
        0x54,
        0x00,
        0x00,
        0x00,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
        0x01,
    ];
    let mut block = [0u8; EDID_BYTES];
    let body = head
        .into_iter()
        .chain(timing(width_px, height_px, width_mm, height_mm))
        .chain(*b"\x00\x00\x00\xfc\x00Tabard\x0a      ")
        .chain(*b"\x00\x00\x00\xfd\x00\x18\x78\x0f\xff\x78\x00\x0a      ")
        .chain(*b"\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00");
    for (slot, byte) in block.iter_mut().zip(body) {
        *slot = byte;
    }
    if let Some(slot) = block.get_mut(EXTENSIONS) {
        *slot = extensions;
    }
    seal(block)
}

/// A detailed timing descriptor (3.10.2).
fn timing(width: u32, height: u32, width_mm: u32, height_mm: u32) -> [u8; 18] {
    let [clock_low, clock_high] =
        u16::try_from(clock(width, height)).unwrap_or(u16::MAX).to_le_bytes();
    [
        clock_low,
        clock_high,
        low(width),
        low(BLANK_X_PX),
        nibbles(width >> 8, BLANK_X_PX >> 8),
        low(height),
        low(BLANK_Y_PX),
        nibbles(height >> 8, BLANK_Y_PX >> 8),
        48,   // horizontal sync offset
        32,   // horizontal sync width
        0x36, // vertical sync offset 3, width 6
        0,
        low(width_mm),
        low(height_mm),
        nibbles(width_mm >> 8, height_mm >> 8),
        0,
        0,
        0x1a, // digital separate sync, horizontal positive
    ]
}

fn millimetres(pixels: u32) -> u32 {
    pixels.saturating_mul(254) / 960
}

fn low(value: u32) -> u8 {
    let [low, ..] = value.to_le_bytes();
    low
}

fn nibbles(high: u32, low_nibble: u32) -> u8 {
    (low(high) & 0xf) << 4 | (low(low_nibble) & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_checksum_is_right_for_every_size(width in 16u32..=8192, height in 16u32..=8192) {
            let blocks = edid(width, height);
            let large = width.max(height) > 4095;
            prop_assert_eq!(blocks.len(), if large { 256 } else { 128 });
            prop_assert_eq!(usize::from(blocks[126]), blocks.len() / 128 - 1);
            for block in blocks.chunks(128) {
                prop_assert_eq!(sum_to_zero(block), 0);
            }
        }

        /// Read as Linux does (`drm_mode_displayid_detailed`).
        #[test]
        fn a_mode_too_large_for_the_first_block_is_in_the_second(
            (width, height) in (4096u32..=8192, 16u32..=8192)
        ) {
            let blocks = edid(width, height);
            let section = &blocks[129..];
            prop_assert_eq!(sum_to_zero(&section[..usize::from(section[1]) + 5]), 0);
            prop_assert_eq!(&section[4..7], &[3, 0, 20]);
            let timing = &section[7..27];
            let word = |at: usize| u32::from(timing[at]) | u32::from(timing[at + 1] & 0x7f) << 8;
            prop_assert_eq!((word(4) + 1, word(12) + 1), (width, height));
            prop_assert!(timing[3] & 0x80 != 0);
            let clock = word(0) | u32::from(timing[1] >> 7) << 15 | u32::from(timing[2]) << 16;
            let total = (width + word(6) + 1) * (height + word(14) + 1);
            prop_assert!((clock + 1).abs_diff(total / 10_000 * 60 + total % 10_000 * 60 / 10_000) <= 1);
            // What is shown, offset and sync fit into what is blank.
            prop_assert!(word(8) + word(10) + 2 < word(6) + 1 && word(16) + word(18) + 2 < word(14) + 1);
        }

        #[test]
        fn the_preferred_mode_is_the_size(width in 16u32..=4095, height in 16u32..=4095) {
            let block = edid(width, height);
            let x = u32::from(block[56]) | u32::from(block[58] >> 4) << 8;
            let y = u32::from(block[59]) | u32::from(block[61] >> 4) << 8;
            prop_assert_eq!((x, y), (width, height));
        }
    }
}
