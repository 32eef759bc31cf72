//! Copies pixels from a guest's pages to the shared surface: volatile, clipped, row by row. A
//! guest that rewrites them meanwhile tears its own picture and nothing else.

use tabard_wire::{CURSOR_SIDE_PX, Rect};
use vm_memory::volatile_memory::VolatileSlice;

use super::resource::Resource;
use crate::memory::GuestRam;
use crate::rect::{intersect, sized};
use crate::surface::{BYTES_PER_PIXEL, Surface};

/// Bytes converted at a time; a multiple of a pixel, small enough for the stack.
const CHUNK_BYTES: usize = 4096;

/// What a copy did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Painted {
    /// What changed on the surface.
    pub rect: Option<Rect>,
    /// Bytes that were copied.
    pub bytes: u64,
}

/// Copies `part` of a resource, of which `shown` is on the surface's top left corner.
pub fn paint(
    surface: &Surface,
    resource: &Resource,
    shown: Rect,
    part: Rect,
    ram: &GuestRam,
) -> Painted {
    let geometry = surface.geometry();
    let bounds = sized(geometry.width_px(), geometry.height_px());
    let Some(visible) = intersect(part, shown) else { return Painted::default() };
    let on_surface = Rect {
        x: visible.x.saturating_sub(shown.x),
        y: visible.y.saturating_sub(shown.y),
        ..visible
    };
    let Some(target) = intersect(on_surface, bounds) else { return Painted::default() };
    let row_bytes = u64::from(target.width).saturating_mul(BYTES_PER_PIXEL.into());
    for line in 0..target.height {
        let y = target.y.saturating_add(line);
        let Some(row) = surface.row(target.x, y, target.width) else { continue };
        let source =
            resource.offset_of(shown.x.saturating_add(target.x), shown.y.saturating_add(y));
        copy(resource, ram, source, row_bytes, row, resource.format().is_native());
    }
    Painted { rect: Some(target), bytes: row_bytes.saturating_mul(target.height.into()) }
}

/// Copies a resource of the cursor's size to the surface's cursor image.
pub fn paint_cursor(surface: &Surface, resource: &Resource, ram: &GuestRam) {
    let bytes = resource.stride_bytes().saturating_mul(CURSOR_SIDE_PX.into());
    if let Some(image) = surface.cursor() {
        // Alpha counts here, also in a format that says it has none.
        copy(resource, ram, 0, bytes, image, false);
    }
}

fn copy(
    resource: &Resource,
    ram: &GuestRam,
    source: u64,
    bytes: u64,
    target: VolatileSlice<'_>,
    as_is: bool,
) {
    if as_is {
        resource.backing.pieces(ram, source, bytes, |place, slice| {
            if let Ok(target) = target.offset(place) {
                slice.copy_to_volatile_slice(target);
            }
        });
        return;
    }
    let mut chunk = [0u8; CHUNK_BYTES];
    let mut done = 0u64;
    while done < bytes {
        let step = usize::try_from(bytes.saturating_sub(done)).unwrap_or(CHUNK_BYTES);
        let Some(buffer) = chunk.get_mut(..step.min(CHUNK_BYTES)) else { return };
        let length = u64::try_from(buffer.len()).unwrap_or(0);
        resource.backing.pieces(ram, source.saturating_add(done), length, |place, slice| {
            if let Some(part) = buffer.get_mut(place..) {
                slice.copy_to(part);
            }
        });
        // On the screen itself alpha counts nothing.
        resource.format().with_alpha().convert(buffer);
        let place = usize::try_from(done).unwrap_or(usize::MAX);
        let Ok(rest) = target.offset(place) else { return };
        rest.copy_from(&*buffer);
        done = done.saturating_add(length.max(1));
    }
}
