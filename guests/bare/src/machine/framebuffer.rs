//! A linear framebuffer, such as that of Tabard's `basic` display.

use core::ptr::with_exposed_provenance_mut;

/// Where it is on KVM; the page tables map it uncached, as a device. On QEMU it is the end of memory.
pub const ADDRESS: usize = 0xd000_0000;

/// Writes `count` pixels of 0x00RRGGBB from pixel `first` of the framebuffer at this address on.
///
/// # Safety
///
/// The machine must have a framebuffer with so many pixels there.
pub unsafe fn fill(at: usize, first: usize, count: usize, color: u32) {
    for pixel in first..first + count {
        let place = with_exposed_provenance_mut::<u32>(at + pixel * 4);
        // SAFETY: the caller says that it is there, and nothing else of this guest uses it.
        unsafe { place.write_volatile(color) };
    }
}
