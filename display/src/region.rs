//! Which part of a screen has changed: a few rectangles that together cover it.

use tabard_view::Rect;

/// The most rectangles; a hostile guest can send any number, so they are merged.
const MAX_RECTS: usize = 24;

/// The rectangles of a frame that differ from the frame before, at most 24; they may overlap.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Damage {
    rects: Vec<Rect>,
}

impl Damage {
    /// The rectangles, in pixels of the output; none of them is empty.
    #[must_use]
    pub fn rects(&self) -> &[Rect] {
        &self.rects
    }

    /// Adds a rectangle.
    pub fn add(&mut self, rect: Rect) {
        if rect.is_empty() || self.rects.iter().any(|known| known.covers(rect)) {
            return;
        }
        self.rects.retain(|known| !rect.covers(*known));
        // Merging with one that grows little is cheaper than painting the overlap twice.
        let growth = |known: &Rect| {
            area(known.union(rect)).saturating_sub(area(*known)).saturating_sub(area(rect))
        };
        let nearest =
            self.rects.iter().enumerate().min_by_key(|(_, known)| growth(known)).map(|(at, _)| at);
        let merge = nearest.filter(|&at| {
            self.rects.len() >= MAX_RECTS
                || self.rects.get(at).is_some_and(|known| growth(known) == 0)
        });
        match merge.map(|at| self.rects.swap_remove(at)) {
            // The union may now cover others: add it in the same way. Each round removes one.
            Some(known) => self.add(known.union(rect)),
            None => self.rects.push(rect),
        }
    }
}

fn area(rect: Rect) -> u64 {
    u64::from(rect.width).saturating_mul(u64::from(rect.height))
}

/// What is left of `rects` without `hole`.
pub(crate) fn subtract(rects: &[Rect], hole: Rect) -> Vec<Rect> {
    let mut left = Vec::with_capacity(rects.len());
    for rect in rects {
        let cut = rect.intersect(hole);
        if cut.is_empty() {
            left.push(*rect);
            continue;
        }
        let (above, rest) = rect.cut_top(cut.y.saturating_sub(rect.y));
        let (middle, below) = rest.cut_top(cut.height);
        let before = Rect { width: cut.x.saturating_sub(middle.x), ..middle };
        let width = middle.right().saturating_sub(cut.right());
        let after = Rect { x: cut.right(), width, ..middle };
        left.extend([above, before, after, below].into_iter().filter(|part| !part.is_empty()));
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rect() -> impl Strategy<Value = Rect> {
        (0u32..40, 0u32..40, 1u32..20, 1u32..20).prop_map(|(x, y, w, h)| Rect::new(x, y, w, h))
    }

    proptest! {
        #[test]
        fn damage_covers_all_that_was_added(rects in prop::collection::vec(rect(), 0..80)) {
            let mut damage = Damage::default();
            for rect in &rects {
                damage.add(*rect);
            }
            prop_assert!(damage.rects().len() <= MAX_RECTS);
            for rect in &rects {
                for (x, y) in [(rect.x, rect.y), (rect.right() - 1, rect.bottom() - 1)] {
                    prop_assert!(damage.rects().iter().any(|known| known.contains(x, y)));
                }
            }
        }

        #[test]
        fn subtraction_keeps_exactly_what_is_outside(whole in rect(), hole in rect()) {
            let left = subtract(&[whole], hole);
            for y in 0..60 {
                for x in 0..60 {
                    let times = left.iter().filter(|part| part.contains(x, y)).count();
                    let expected = whole.contains(x, y) && !hole.contains(x, y);
                    prop_assert_eq!(times, usize::from(expected));
                }
            }
        }
    }
}
