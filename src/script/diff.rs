//! Compares a part of the screen with a picture, and shows where they differ.

use tabard_display::Frame;
use tabard_view::{Rect, Size};

/// The colour of a pixel that differs, or that only one of the two has: 0x00RRGGBB.
const DIFFERENT: u32 = 0x00ff_2d55;

/// How two pictures differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Difference {
    /// Pixels that differ.
    pub(crate) pixels: u64,
    /// The rectangle around them.
    pub(crate) around: Rect,
    /// The largest difference of a colour channel.
    pub(crate) largest: u8,
    /// The size that was expected, and the actual one.
    pub(crate) sizes: (Size, Size),
    /// The actual picture in faint grey with every differing pixel marked.
    pub(crate) image: Frame,
}

impl Difference {
    /// What to tell the user.
    pub(crate) fn words(&self) -> String {
        let (expected, actual) = self.sizes;
        if expected != actual {
            return format!(
                "the picture expected has {}x{} pixels, the region has {}x{}",
                expected.width, expected.height, actual.width, actual.height
            );
        }
        format!(
            "{} of {} pixels differ, by up to {} of 255, all within {}x{} at {},{}",
            self.pixels,
            u64::from(actual.width) * u64::from(actual.height),
            self.largest,
            self.around.width,
            self.around.height,
            self.around.x,
            self.around.y
        )
    }
}

/// Whether two pictures have the same size, and no colour channel differs by more than
/// `tolerance`.
pub(crate) fn equal(expected: &Frame, actual: &Frame, tolerance: u8) -> bool {
    let near = |(one, other): (&u32, &u32)| one == other || distance(*one, *other) <= tolerance;
    expected.size == actual.size && expected.pixels.iter().zip(&actual.pixels).all(near)
}

/// Compares two pictures; `None` if they are [`equal`].
pub(crate) fn compare(expected: &Frame, actual: &Frame, tolerance: u8) -> Option<Difference> {
    let sizes = (expected.size, actual.size);
    if equal(expected, actual, tolerance) {
        return None;
    }
    let size = Size {
        width: sizes.0.width.max(sizes.1.width),
        height: sizes.0.height.max(sizes.1.height),
    };
    let mut image = Frame::new(size);
    let (mut pixels, mut largest, mut around) = (0_u64, 0_u8, Rect::default());
    for y in 0..size.height {
        for (x, out) in (0..size.width).zip(image.row_mut(y, 0, size.width)) {
            let (differs, distance) = match (expected.pixel(x, y), actual.pixel(x, y)) {
                (Some(one), Some(other)) => {
                    let distance = distance(one, other);
                    (distance > tolerance, distance)
                }
                // What only one of them has differs, whatever the tolerance.
                (one, other) => (one != other, u8::MAX),
            };
            if differs {
                pixels += 1;
                around = around.union(Rect::new(x, y, 1, 1));
                *out = DIFFERENT;
            } else {
                *out = faint(actual.pixel(x, y).unwrap_or(0));
            }
            largest = largest.max(distance);
        }
    }
    Some(Difference { pixels, around, largest, sizes, image })
}

/// A part of a picture; smaller where it ends.
pub(crate) fn crop(frame: &Frame, rect: Rect) -> Frame {
    let rect = rect.intersect(frame.size.rect());
    let mut part = Frame::new(rect.size());
    for row in 0..rect.height {
        let from = frame.row(rect.y + row, rect.x, rect.width);
        part.row_mut(row, 0, rect.width).copy_from_slice(from);
    }
    part
}

/// The largest difference of a colour channel.
fn distance(one: u32, other: u32) -> u8 {
    let channels = one.to_be_bytes().into_iter().zip(other.to_be_bytes()).skip(1);
    channels.map(|(one, other)| one.abs_diff(other)).max().unwrap_or(0)
}

/// Grey and pale, so that the marks stand out.
fn faint(pixel: u32) -> u32 {
    let [_, red, green, blue] = pixel.to_be_bytes().map(u32::from);
    let grey = 176 + (red + green + blue) / 3 / 4;
    (grey << 16) | (grey << 8) | grey
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(width: u32, pixels: &[u32]) -> Frame {
        let height = u32::try_from(pixels.len()).unwrap() / width;
        let mut frame = Frame::new(Size { width, height });
        frame.pixels = pixels.to_vec();
        frame
    }

    #[test]
    fn equal_pictures_do_not_differ() {
        let one = frame(2, &[1, 2, 3, 4]);
        assert_eq!(compare(&one, &one, 0), None);
    }

    #[test]
    fn a_difference_is_counted_placed_and_marked() {
        let (one, other) = (frame(2, &[0, 0, 0, 0]), frame(2, &[0, 0, 0, 0x10]));
        let difference = compare(&one, &other, 0).unwrap();
        assert_eq!((difference.pixels, difference.largest), (1, 0x10));
        assert_eq!(difference.around, Rect::new(1, 1, 1, 1));
        assert_eq!(difference.image.pixel(1, 1), Some(DIFFERENT));
        assert_ne!(difference.image.pixel(0, 0), Some(DIFFERENT));
    }

    #[test]
    fn a_tolerance_is_the_largest_difference_that_counts_as_equal() {
        let (one, other) = (frame(1, &[0x0020_4060]), frame(1, &[0x0023_4060]));
        assert!(compare(&one, &other, 2).is_some());
        assert_eq!(compare(&one, &other, 3), None);
    }

    #[test]
    fn pictures_of_two_sizes_differ_where_only_one_is() {
        let difference = compare(&frame(1, &[7, 7]), &frame(2, &[7, 7]), 255).unwrap();
        assert_eq!(difference.pixels, 2);
        assert!(difference.words().contains("1x2") && difference.words().contains("2x1"));
    }

    #[test]
    fn a_crop_ends_where_the_picture_ends() {
        let part = crop(&frame(2, &[1, 2, 3, 4]), Rect::new(1, 0, 9, 9));
        assert_eq!((part.size, part.pixels), (Size { width: 1, height: 2 }, vec![2, 4]));
    }
}
