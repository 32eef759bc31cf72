//! What the session knows of each guest's pixels.

use std::collections::BTreeMap;
use std::sync::Arc;

use tabard_view::{GuestId, Rect};

use crate::Surface;

/// The pictures of all guests that have one.
pub type Pictures = BTreeMap<GuestId, GuestPicture>;

/// A guest's picture.
#[derive(Debug, Clone)]
pub struct GuestPicture {
    /// Where its pixels are.
    pub surface: Arc<Surface>,
    /// Counts up whenever the whole picture is to be taken anew.
    pub generation: u32,
    /// Width that the guest scans out, in pixels; 0 for none.
    pub width_px: u32,
    /// Height that the guest scans out, in pixels; 0 for none.
    pub height_px: u32,
    /// Its cursor, if it shows one.
    pub cursor: Option<CursorImage>,
}

/// A guest's cursor; its pixels are in the surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorImage {
    /// The column of the image that points, 0 to 63.
    pub hot_x: u32,
    /// The row of the image that points, 0 to 63.
    pub hot_y: u32,
    /// Counts up with each new image.
    pub serial: u32,
}

/// A rectangle of a guest's surface that has changed. Any value is safe: it is cut to size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct GuestDamage {
    /// The guest.
    pub guest: GuestId,
    /// Where, in pixels of its surface.
    pub rect: Rect,
}
