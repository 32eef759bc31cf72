//! Where the guests' windows are on a screen, and what a pixel of the screen belongs to.

use crate::{LayoutMode, MIN_GUEST_PIXELS, POINTER_MAX};
use tabard_view::{GuestId, Rect, Scale, Size, WindowFrame, layout};

/// The windows of one screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Windows(Vec<(GuestId, WindowFrame)>);

impl Windows {
    /// The windows of these guests on the desk, or in solo the one of `shown`.
    pub(crate) fn new(
        mode: LayoutMode,
        size: Size,
        scale: Scale,
        guests: &[GuestId],
        shown: GuestId,
    ) -> Self {
        Self(match mode {
            LayoutMode::Solo => vec![(shown, layout::solo(size, scale))],
            LayoutMode::Desk => {
                guests.iter().copied().zip(layout::desk(size, scale, guests.len())).collect()
            }
        })
    }

    /// Whether every guest has a content worth the name.
    pub(crate) fn fit(&self) -> bool {
        self.0.iter().all(|(_, frame)| {
            frame.content.width >= MIN_GUEST_PIXELS && frame.content.height >= MIN_GUEST_PIXELS
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &(GuestId, WindowFrame)> {
        self.0.iter()
    }

    /// The guest whose window, banners and border included, has this pixel.
    pub(crate) fn at(&self, x: u32, y: u32) -> Option<GuestId> {
        self.0.iter().find(|(_, frame)| frame.border.contains(x, y)).map(|(guest, _)| *guest)
    }

    /// The size in pixels that a guest is told; `None` if the screen is too small.
    pub(crate) fn guest_size(&self, guest: GuestId) -> Option<Size> {
        self.content(guest).filter(|_| self.fit()).map(Rect::size)
    }

    /// The content rectangle of a guest.
    pub(crate) fn content(&self, guest: GuestId) -> Option<Rect> {
        self.0.iter().find(|(id, _)| *id == guest).map(|(_, frame)| frame.content)
    }
}

/// A pixel of the screen as a place on the guest's screen, 0..=[`POINTER_MAX`] from edge to edge.
/// A pixel outside of the content becomes the nearest one inside.
pub(crate) fn place(content: Rect, x: u32, y: u32) -> (u16, u16) {
    (along(content.x, content.width, x), along(content.y, content.height, y))
}

fn along(start: u32, length: u32, at: u32) -> u16 {
    let last = u64::from(length.saturating_sub(1));
    let offset = u64::from(at.saturating_sub(start)).min(last);
    let scaled = offset.saturating_mul(u64::from(POINTER_MAX)).checked_div(last).unwrap_or(0);
    u16::try_from(scaled).unwrap_or(POINTER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HD: Size = Size { width: 1280, height: 800 };

    #[test]
    fn corners_of_the_content_are_the_ends_of_the_range() {
        let content = Rect::new(10, 20, 100, 200);
        assert_eq!(place(content, 10, 20), (0, 0));
        assert_eq!(place(content, 109, 219), (POINTER_MAX, POINTER_MAX));
        assert_eq!(place(content, 0, 900), (0, POINTER_MAX));
    }

    #[test]
    fn a_screen_too_small_gives_no_size() {
        let tiny = Size { width: 60, height: 60 };
        let told = |size| {
            let windows =
                Windows::new(LayoutMode::Solo, size, Scale::ONE, &[GuestId(0)], GuestId(0));
            windows.guest_size(GuestId(0))
        };
        assert_eq!(told(tiny), None);
        assert_eq!(told(HD), Some(Size { width: 1280, height: 724 }));
    }

    proptest! {
        #[test]
        fn invariant_6_no_pixel_belongs_to_two_guests_or_to_the_bar(
            width in 0..3000u32, height in 0..3000u32, percent in 50..400u16, guests in 1..20u8,
            x in 0..3000u32, y in 0..3000u32,
        ) {
            let (size, scale) = (Size { width, height }, Scale::from_percent(percent).unwrap());
            let guests: Vec<GuestId> = (0..guests).map(GuestId).collect();
            let windows = Windows::new(LayoutMode::Desk, size, scale, &guests, GuestId(0));
            let over = windows.iter().filter(|(_, frame)| frame.content.contains(x, y)).count();
            let (bar, _) = layout::bar(size, scale);
            prop_assert!(over <= usize::from(size.rect().contains(x, y) && !bar.contains(x, y)));
        }
    }
}
