//! Letters of equal width, rendered at build time.

/// A font at one size: cells of coverage values, 0 to 255.
pub struct Face {
    /// Distance from letter to letter in pixels.
    pub cell_width: usize,
    /// Height of a letter from the highest ascender to the lowest descender, in pixels.
    pub cell_height: usize,
    coverage: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/faces.rs"));

impl Face {
    /// Coverage of `letter`, row by row; letters outside Latin-1 look like `?`.
    pub fn glyph(&self, letter: char) -> &'static [u8] {
        let index = match letter {
            ' '..='~' => letter as usize - 0x20,
            '\u{a0}'..='\u{ff}' => letter as usize - 0xa0 + 95,
            _ => '?' as usize - 0x20,
        };
        let size = self.cell_width * self.cell_height;
        self.coverage.get(index * size..(index + 1) * size).unwrap_or(&[])
    }

    /// Width of `text` in pixels.
    pub fn width(&self, text: &str) -> usize {
        text.chars().count() * self.cell_width
    }
}
