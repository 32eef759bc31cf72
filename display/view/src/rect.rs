//! Rectangles of pixels. Arithmetic saturates, so that no size from anywhere can wrap.

/// A size in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Size {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
}

/// A rectangle in pixels from the top left corner of a screen or surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rect {
    /// Left edge.
    pub x: u32,
    /// Top edge.
    pub y: u32,
    /// Width; 0 means empty.
    pub width: u32,
    /// Height; 0 means empty.
    pub height: u32,
}

impl Size {
    /// The rectangle of this size at the origin.
    #[must_use]
    pub fn rect(self) -> Rect {
        Rect { x: 0, y: 0, width: self.width, height: self.height }
    }
}

impl Rect {
    /// A rectangle.
    #[must_use]
    pub fn new(x: u32, y: u32, width: u32, height: u32) -> Self {
        Self { x, y, width, height }
    }

    /// One past the right edge.
    #[must_use]
    pub fn right(self) -> u32 {
        self.x.saturating_add(self.width)
    }

    /// One past the bottom edge.
    #[must_use]
    pub fn bottom(self) -> u32 {
        self.y.saturating_add(self.height)
    }

    /// Its size.
    #[must_use]
    pub fn size(self) -> Size {
        Size { width: self.width, height: self.height }
    }

    /// Whether it has no pixel.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Whether this pixel lies inside.
    #[must_use]
    pub fn contains(self, x: u32, y: u32) -> bool {
        x >= self.x && x < self.right() && y >= self.y && y < self.bottom()
    }

    /// Whether the other lies wholly inside; an empty one always does.
    #[must_use]
    pub fn covers(self, other: Rect) -> bool {
        other.is_empty()
            || (other.x >= self.x
                && other.y >= self.y
                && other.right() <= self.right()
                && other.bottom() <= self.bottom())
    }

    /// What both have in common; empty if nothing.
    #[must_use]
    pub fn intersect(self, other: Rect) -> Rect {
        let x = self.x.max(other.x);
        let y = self.y.max(other.y);
        let width = self.right().min(other.right()).saturating_sub(x);
        let height = self.bottom().min(other.bottom()).saturating_sub(y);
        if width == 0 || height == 0 { Rect::default() } else { Rect { x, y, width, height } }
    }

    /// The smallest rectangle around both; an empty one adds nothing.
    #[must_use]
    pub fn union(self, other: Rect) -> Rect {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let width = self.right().max(other.right()).saturating_sub(x);
        let height = self.bottom().max(other.bottom()).saturating_sub(y);
        Rect { x, y, width, height }
    }

    /// Without `by` pixels at every edge; empty if nothing is left.
    #[must_use]
    pub fn inset(self, by: u32) -> Rect {
        let both = by.saturating_mul(2);
        Rect {
            x: self.x.saturating_add(by),
            y: self.y.saturating_add(by),
            width: self.width.saturating_sub(both),
            height: self.height.saturating_sub(both),
        }
    }

    /// Moved by so many pixels to the right and down.
    #[must_use]
    pub fn moved(self, x: u32, y: u32) -> Rect {
        Rect { x: self.x.saturating_add(x), y: self.y.saturating_add(y), ..self }
    }

    /// A rectangle of this size, or less if it does not fit, in the middle of this one.
    #[must_use]
    pub fn middle(self, width: u32, height: u32) -> Rect {
        let (width, height) = (width.min(self.width), height.min(self.height));
        let x = self.width.saturating_sub(width) / 2;
        let y = self.height.saturating_sub(height) / 2;
        Rect::new(x, y, width, height).moved(self.x, self.y)
    }

    /// Cuts `height` pixels off the top: the cut, and the rest.
    #[must_use]
    pub fn cut_top(self, height: u32) -> (Rect, Rect) {
        let cut = Rect { height: height.min(self.height), ..self };
        let height = self.height.saturating_sub(cut.height);
        (cut, Rect { y: cut.bottom(), height, ..self })
    }

    /// Cuts `height` pixels off the bottom: the rest, and the cut.
    #[must_use]
    pub fn cut_bottom(self, height: u32) -> (Rect, Rect) {
        self.cut_top(self.height.saturating_sub(height))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intersection_of_disjoint_rectangles_is_empty() {
        assert!(Rect::new(0, 0, 4, 4).intersect(Rect::new(4, 0, 4, 4)).is_empty());
    }

    #[test]
    fn union_covers_both() {
        let (a, b) = (Rect::new(1, 2, 3, 4), Rect::new(10, 20, 5, 6));
        let union = a.union(b);
        assert!(union.covers(a) && union.covers(b));
    }

    #[test]
    fn cutting_keeps_every_pixel() {
        let whole = Rect::new(5, 6, 7, 80);
        let (rest, cut) = whole.cut_bottom(30);
        assert_eq!((rest.height, cut.height, cut.bottom()), (50, 30, whole.bottom()));
    }
}
