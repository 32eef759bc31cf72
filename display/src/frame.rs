//! A picture in memory, and the texts that are in it.

use tabard_view::{Rect, Size};

/// A picture: what a presenter puts on one screen.
#[derive(Debug, Clone, Default)]
pub struct Frame {
    /// Its size in pixels.
    pub size: Size,
    /// Its pixels, 0x00RRGGBB, row after row without gaps.
    pub pixels: Vec<u32>,
    /// Which composition is in it, so that the compositor draws anew into a frame it does not
    /// know; 0 for none.
    pub(crate) stamp: u64,
}

/// Text that Tabard itself drew.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DrawnText {
    /// Where, in pixels of the output.
    pub rect: Rect,
    /// What, as it can be read: shortened where it was drawn shortened, single spaces.
    pub text: String,
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.size == other.size && self.pixels == other.pixels
    }
}

impl Eq for Frame {}

impl Frame {
    /// A black frame.
    #[must_use]
    pub fn new(size: Size) -> Self {
        Self::filled(size, 0)
    }

    /// A frame of one colour, 0x00RRGGBB.
    #[must_use]
    pub(crate) fn filled(size: Size, color: u32) -> Self {
        let count = (size.width as usize).saturating_mul(size.height as usize);
        Self { size, pixels: vec![color; count], stamp: 0 }
    }

    /// The pixel at this place; `None` outside.
    #[must_use]
    pub fn pixel(&self, x: u32, y: u32) -> Option<u32> {
        self.row(y, x, 1).first().copied()
    }

    /// `width` pixels of row `y` from column `x` on; fewer, or none, where it ends.
    #[must_use]
    pub fn row(&self, y: u32, x: u32, width: u32) -> &[u32] {
        let (start, end) = self.span(y, x, width);
        self.pixels.get(start..end).unwrap_or_default()
    }

    /// As [`Frame::row`], to write.
    pub fn row_mut(&mut self, y: u32, x: u32, width: u32) -> &mut [u32] {
        let (start, end) = self.span(y, x, width);
        self.pixels.get_mut(start..end).unwrap_or_default()
    }

    fn span(&self, y: u32, x: u32, width: u32) -> (usize, usize) {
        let width = width.min(self.size.width.saturating_sub(x));
        if y >= self.size.height || width == 0 {
            return (0, 0);
        }
        let row = (y as usize).saturating_mul(self.size.width as usize);
        let start = row.saturating_add(x as usize);
        (start, start.saturating_add(width as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_end_where_the_frame_ends() {
        let frame = Frame::new(Size { width: 4, height: 2 });
        assert_eq!(frame.row(1, 2, 9).len(), 2);
        assert!(frame.row(2, 0, 1).is_empty() && frame.row(0, 4, 1).is_empty());
        assert_eq!(frame.pixel(4, 0), None);
    }
}
