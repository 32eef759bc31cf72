//! Arithmetic on rectangles of pixels. All of it is in 64 bits, so no guest-given number wraps.

use tabard_wire::Rect;

/// The part that both rectangles cover, if any.
#[must_use]
pub fn intersect(a: Rect, b: Rect) -> Option<Rect> {
    let (x, width) = overlap((a.x, a.width), (b.x, b.width))?;
    let (y, height) = overlap((a.y, a.height), (b.y, b.height))?;
    Some(Rect { x, y, width, height })
}

/// The smallest rectangle around both; an empty one adds nothing.
#[must_use]
pub fn union(a: Rect, b: Rect) -> Rect {
    if is_empty(a) {
        return b;
    }
    if is_empty(b) {
        return a;
    }
    let (x, width) = span((a.x, a.width), (b.x, b.width));
    let (y, height) = span((a.y, a.height), (b.y, b.height));
    Rect { x, y, width, height }
}

/// Whether the rectangle has no pixel.
#[must_use]
pub fn is_empty(rect: Rect) -> bool {
    rect.width == 0 || rect.height == 0
}

/// Whether `inner` is not empty and lies inside `outer`.
#[must_use]
pub fn contains(outer: Rect, inner: Rect) -> bool {
    !is_empty(inner) && intersect(outer, inner) == Some(inner)
}

/// The rectangle of this size at the top left corner.
#[must_use]
pub fn sized(width: u32, height: u32) -> Rect {
    Rect { x: 0, y: 0, width, height }
}

fn end(start: u32, length: u32) -> u64 {
    u64::from(start).saturating_add(u64::from(length))
}

fn overlap(a: (u32, u32), b: (u32, u32)) -> Option<(u32, u32)> {
    let start = a.0.max(b.0);
    let end = end(a.0, a.1).min(end(b.0, b.1));
    let length = end.checked_sub(u64::from(start)).filter(|length| *length > 0)?;
    Some((start, u32::try_from(length).ok()?))
}

fn span(a: (u32, u32), b: (u32, u32)) -> (u32, u32) {
    let start = a.0.min(b.0);
    let end = end(a.0, a.1).max(end(b.0, b.1));
    let length = end.saturating_sub(u64::from(start));
    (start, u32::try_from(length).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_rect() -> impl Strategy<Value = Rect> {
        any::<(u32, u32, u32, u32)>().prop_map(|(x, y, width, height)| Rect { x, y, width, height })
    }

    proptest! {
        #[test]
        fn an_intersection_lies_inside_both(a in any_rect(), b in any_rect()) {
            if let Some(both) = intersect(a, b) {
                prop_assert!(contains(a, both));
                prop_assert!(contains(b, both));
            }
        }

        #[test]
        fn intersection_does_not_depend_on_order(a in any_rect(), b in any_rect()) {
            prop_assert_eq!(intersect(a, b), intersect(b, a));
        }

        #[test]
        fn a_union_of_small_rectangles_holds_both(
            a in (0u32..9000, 0u32..9000, 1u32..9000, 1u32..9000),
            b in (0u32..9000, 0u32..9000, 1u32..9000, 1u32..9000),
        ) {
            let a = Rect { x: a.0, y: a.1, width: a.2, height: a.3 };
            let b = Rect { x: b.0, y: b.1, width: b.2, height: b.3 };
            let both = union(a, b);
            prop_assert!(contains(both, a));
            prop_assert!(contains(both, b));
        }
    }

    #[test]
    fn rectangles_that_only_touch_do_not_intersect() {
        let left = sized(10, 10);
        let right = Rect { x: 10, y: 0, width: 10, height: 10 };
        assert_eq!(intersect(left, right), None);
    }
}
