//! A linear framebuffer where Tabard's `basic` display has it.

use core::ptr::with_exposed_provenance_mut;

/// Where it is; the page tables map it uncached, as a device.
const ADDRESS: usize = 0xd000_0000;

/// Writes `count` pixels of 0x00RRGGBB from pixel `first` on.
///
/// # Safety
///
/// The machine must have a framebuffer with so many pixels.
pub unsafe fn fill(first: usize, count: usize, color: u32) {
    for pixel in first..first + count {
        let place = with_exposed_provenance_mut::<u32>(ADDRESS + pixel * 4);
        // SAFETY: the caller says that it is there, and nothing else of this guest uses it.
        unsafe { place.write_volatile(color) };
    }
}
