//! Tabard's own colours and sizes, in one place. Labels bring theirs; these are for everything
//! that is said in Tabard's voice: light above, dark below, like nothing a label can look like.

/// Behind everything.
pub(crate) const BACKGROUND: u32 = 0x0010_1215;
/// Where a guest has no pixels.
pub(crate) const VOID: u32 = 0x0007_0809;
/// A row of the trusted screen.
pub(crate) const PANEL: u32 = 0x001b_1e24;
/// The selected row.
pub(crate) const PANEL_SELECTED: u32 = 0x002e_333d;
/// A key's cap.
pub(crate) const KEYCAP: u32 = 0x0043_4955;
/// The lower edge of a key's cap.
pub(crate) const KEYCAP_EDGE: u32 = 0x0060_6775;
/// Text on dark.
pub(crate) const TEXT: u32 = 0x00f3_f5f7;
/// Lesser text on dark.
pub(crate) const TEXT_DIM: u32 = 0x00a3_a9b4;
/// A remark that wants to be seen.
pub(crate) const ACCENT: u32 = 0x00ff_d166;
/// The trusted bar, and the plate of a notice.
pub(crate) const LIGHT: u32 = 0x00f6_f7f9;
/// Text on light.
pub(crate) const INK: u32 = 0x0012_1418;
/// Lesser text on light.
pub(crate) const INK_DIM: u32 = 0x0050_5661;
/// Behind letters of a guest's text that are not ASCII.
pub(crate) const MARKED: u32 = 0x0022_5577;
/// The bar when nobody receives input.
pub(crate) const NEUTRAL: u32 = 0x004d_535e;
/// The darker stripe of Tabard's hatch on dark.
pub(crate) const HATCH: u32 = 0x006b_7280;
/// The focus ring.
pub(crate) const RING: u32 = 0x00ff_ffff;

/// Size of the bar's message, in units.
pub(crate) const BAR_TEXT: u32 = 20;
/// Size of the bar's small texts, in units.
pub(crate) const SMALL_TEXT: u32 = 14;
/// The least size of any text, in units.
pub(crate) const LEAST_TEXT: u32 = 9;

/// A guest's pixel in a window without focus: 9/16 of the way to the background. Written with
/// shifts so that the compiler makes vector code of a loop over it.
#[inline]
pub(crate) fn dim(pixel: u32) -> u32 {
    const ODD: u32 = 0x00ff_00ff;
    const EVEN: u32 = 0x0000_ff00;
    let seven = |part: u32| (part << 3).wrapping_sub(part);
    // At most 7 * 255 + 9 * 0x15 = 1974 a channel: nothing spills into its neighbour.
    let odd = seven(pixel & ODD).wrapping_add((BACKGROUND & ODD).wrapping_mul(9));
    let even = seven((pixel & EVEN) >> 8).wrapping_add(((BACKGROUND & EVEN) >> 8).wrapping_mul(9));
    ((odd >> 4) & ODD) | ((even << 4) & EVEN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimming_blends_each_channel_on_its_own() {
        for pixel in [0, 0x00ff_ffff, 0x00ff_0000, 0x0000_ff00, 0x0000_00ff, 0xab12_3456] {
            let dimmed = dim(pixel);
            for shift in [0, 8, 16] {
                let (from, to) = ((pixel >> shift) & 0xff, (BACKGROUND >> shift) & 0xff);
                assert_eq!((dimmed >> shift) & 0xff, (from * 7 + to * 9) / 16);
            }
            assert_eq!(dimmed >> 24, 0);
        }
    }
}
