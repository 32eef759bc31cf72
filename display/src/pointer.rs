//! The pointer: the guest's own image inside its content, Tabard's arrow everywhere else.

use tabard_view::{GuestId, OutputView, Picture, Rect, Scale, Size};

use crate::paint::polygon;
use crate::{CURSOR_SIDE, Frame, Pictures};

/// Which image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum PointerImage {
    /// Tabard's arrow at this scale.
    Arrow(Scale),
    /// A guest's image: the guest, its surface, the image's number.
    Guest(GuestId, u64, u32),
}

/// A pointer on a screen.
pub(crate) struct Placed {
    pub(crate) rect: Rect,
    pub(crate) image: PointerImage,
    /// It may lie outside the rectangle.
    pub(crate) corner: (i64, i64),
}

/// Corners of the arrow in units; its tip is at the origin.
const ARROW: [(f32, f32); 7] =
    [(0.0, 0.0), (0.0, 16.5), (3.9, 12.9), (6.6, 19.0), (9.5, 17.7), (6.9, 11.8), (12.0, 11.8)];
/// Size of the arrow with its outline, in units.
const ARROW_UNITS: Size = Size { width: 16, height: 23 };
/// Width of the outline, in units; also the place of the tip in the image.
const OUTLINE_UNITS: u32 = 2;

/// The pointer of a screen, if it is on it.
pub(crate) fn part(output: &OutputView, pictures: &Pictures) -> Option<Placed> {
    let pointer = output.pointer?;
    let (x, y) = (i64::from(pointer.x), i64::from(pointer.y));
    let of_guest = pointer.over.and_then(|guest| {
        let window = output.windows().iter().find(|window| window.guest == guest)?;
        let picture = pictures.get(&guest)?;
        let cursor = picture.cursor?;
        let content = window.frame.content;
        let shown = window.picture == Picture::Live && content.contains(pointer.x, pointer.y);
        let image = PointerImage::Guest(guest, picture.surface.id(), cursor.serial);
        let hot = (cursor.hot_x.min(CURSOR_SIDE), cursor.hot_y.min(CURSOR_SIDE));
        shown.then_some((image, hot, Size { width: CURSOR_SIDE, height: CURSOR_SIDE }, content))
    });
    let (image, hot, size, clip) = of_guest.unwrap_or_else(|| {
        let outline = output.scale.px(OUTLINE_UNITS);
        let image = PointerImage::Arrow(output.scale);
        (image, (outline, outline), arrow_size(output.scale), output.size.rect())
    });
    let corner = (x.saturating_sub(i64::from(hot.0)), y.saturating_sub(i64::from(hot.1)));
    let rect = visible(corner, size).intersect(clip);
    Some(Placed { rect, image, corner })
}

/// The part of an image that is not left of or above the screen.
fn visible((x, y): (i64, i64), size: Size) -> Rect {
    let cut = |at: i64, length: u32| {
        let start = u32::try_from(at.max(0)).unwrap_or(u32::MAX);
        let end = u32::try_from(at.saturating_add(i64::from(length)).max(0)).unwrap_or(u32::MAX);
        (start, end.saturating_sub(start))
    };
    let ((x, width), (y, height)) = (cut(x, size.width), cut(y, size.height));
    Rect::new(x, y, width, height)
}

fn arrow_size(scale: Scale) -> Size {
    Size { width: scale.px(ARROW_UNITS.width), height: scale.px(ARROW_UNITS.height) }
}

/// Tabard's arrow: black with a white outline, 0xAARRGGBB, premultiplied.
pub(crate) fn arrow(scale: Scale) -> Frame {
    let mut image = Frame::new(arrow_size(scale));
    let unit = f32::from(scale.percent()) / 100.0;
    let tip = scale.px(OUTLINE_UNITS) as f32;
    let corners = ARROW.map(|(x, y)| (x * unit + tip, y * unit + tip));
    for y in 0..image.size.height {
        let row = image.row_mut(y, 0, u32::MAX);
        for (x, pixel) in (0u32..).zip(row) {
            let away = polygon(&corners, x as f32 + 0.5, y as f32 + 0.5);
            let outer = (0.5 - (away - 1.4 * unit)).clamp(0.0, 1.0);
            let inner = (0.5 - away).clamp(0.0, 1.0);
            let alpha = (outer * 255.0).round() as u8;
            let white = (outer * (1.0 - inner) * 255.0).round() as u8;
            *pixel = u32::from_be_bytes([alpha, white, white, white]);
        }
    }
    image
}

/// Draws `image` with its corner at `corner` over the pixels of `clip`.
pub(crate) fn draw(frame: &mut Frame, image: &Frame, corner: (i64, i64), clip: Rect) {
    let clip = visible(corner, image.size).intersect(clip);
    let inside = |at: u32, corner: i64| {
        u32::try_from(i64::from(at).saturating_sub(corner)).unwrap_or(u32::MAX)
    };
    let column = inside(clip.x, corner.0);
    for y in clip.y..clip.bottom() {
        let source = image.row(inside(y, corner.1), column, clip.width);
        for (under, over) in frame.row_mut(y, clip.x, clip.width).iter_mut().zip(source) {
            *under = blend(*under, *over);
        }
    }
}

/// Premultiplied over opaque. A hostile image may claim more colour than alpha; it saturates.
fn blend(under: u32, over: u32) -> u32 {
    let [alpha, red, green, blue] = over.to_be_bytes();
    let [_, under_red, under_green, under_blue] = under.to_be_bytes();
    let clear = u16::from(u8::MAX.saturating_sub(alpha));
    let mix = |over: u8, under: u8| {
        let through = u16::from(under).saturating_mul(clear).saturating_add(127) / 255;
        over.saturating_add(u8::try_from(through).unwrap_or(u8::MAX))
    };
    u32::from_be_bytes([0, mix(red, under_red), mix(green, under_green), mix(blue, under_blue)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blending_keeps_the_ends_and_never_wraps() {
        assert_eq!(blend(0x0012_3456, 0xff65_4321), 0x0065_4321);
        assert_eq!(blend(0x0012_3456, 0), 0x0012_3456);
        assert_eq!(blend(0x00ff_ffff, 0x00ff_ffff), 0x00ff_ffff);
    }

    #[test]
    fn an_image_at_the_corner_is_cut() {
        let image = arrow(Scale::ONE);
        let mut frame = Frame::new(Size { width: 4, height: 4 });
        draw(&mut frame, &image, (-3, -3), Rect::new(0, 0, 4, 4));
        draw(&mut frame, &image, (i64::MAX, i64::MIN), Rect::new(0, 0, 4, 4));
        assert_eq!(frame.pixel(3, 0), image.pixel(6, 3).map(|over| blend(0, over)));
    }
}
