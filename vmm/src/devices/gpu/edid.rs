//! A made-up EDID 1.4 block (VESA E-EDID A2) whose preferred mode is the size of the surface.

/// Bytes of the block.
pub const EDID_BYTES: usize = 128;

/// Largest side of a detailed timing, in pixels: the field has 12 bits. A larger surface is
/// still told in full by the display info.
const MAX_TIMING_SIDE_PX: u32 = 4095;

/// Blanking in pixels and lines; nothing reads it, but a driver refuses zero.
const BLANK_X_PX: u32 = 160;
const BLANK_Y_PX: u32 = 32;

/// The block for a display of this size at 60 Hz and 96 dots an inch.
#[must_use]
pub fn edid(width_px: u32, height_px: u32) -> [u8; EDID_BYTES] {
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
    let sum = block.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(last) = block.last_mut() {
        *last = sum.wrapping_neg();
    }
    block
}

/// A detailed timing descriptor (3.10.2).
fn timing(width: u32, height: u32, width_mm: u32, height_mm: u32) -> [u8; 18] {
    let total_x = u64::from(width.saturating_add(BLANK_X_PX));
    let total_y = u64::from(height.saturating_add(BLANK_Y_PX));
    let clock = total_x.saturating_mul(total_y).saturating_mul(60) / 10_000;
    let [clock_low, clock_high] = u16::try_from(clock).unwrap_or(u16::MAX).to_le_bytes();
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
            let sum = edid(width, height).iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
            prop_assert_eq!(sum, 0);
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
