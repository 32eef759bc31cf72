//! Memory: what the PVH start info says of it, the heap, and the identity-mapped DMA of virtio.

use super::start::StartInfo;
use alloc::alloc::{alloc_zeroed, dealloc};
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{NonNull, null_mut};
use linked_list_allocator::Heap;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// RAM above this address is left alone: the page tables map it uncached, for devices.
const RAM_LIMIT: u64 = 0xc000_0000;

struct SingleThreaded(UnsafeCell<Heap>);

// SAFETY: the guest has one processor and no interrupt handler that allocates.
unsafe impl Sync for SingleThreaded {}

#[global_allocator]
static HEAP: SingleThreaded = SingleThreaded(UnsafeCell::new(Heap::empty()));

impl SingleThreaded {
    /// Runs `work` on the heap.
    fn with<T>(&self, work: impl FnOnce(&mut Heap) -> T) -> T {
        // SAFETY: nothing inside `Heap` allocates, so this is never entered twice at a time.
        work(unsafe { &mut *self.0.get() })
    }
}

// SAFETY: `Heap` hands out disjoint blocks of the layout asked for.
unsafe impl GlobalAlloc for SingleThreaded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.with(|heap| heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr))
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the caller got `block` from `alloc` with this layout.
        self.with(|heap| unsafe { heap.deallocate(block, layout) });
    }
}

/// Gives the heap the largest piece of RAM behind the image.
pub(super) fn init(start: &StartInfo) {
    unsafe extern "C" {
        static image_end: u8;
    }
    let floor = (&raw const image_end) as u64;
    let best = start
        .ram()
        .map(|(base, size)| {
            let from = base.max(floor).next_multiple_of(PAGE_SIZE as u64);
            (from, base.saturating_add(size).min(RAM_LIMIT).saturating_sub(from))
        })
        .max_by_key(|&(_, size)| size);
    if let Some((base, size)) = best {
        // SAFETY: the start info says that this is RAM, the image ends before it, and the start
        // info itself lies in low memory or was read by now.
        HEAP.with(|heap| unsafe { heap.init(base as *mut u8, size as usize) });
    }
}

/// Zeroed memory of whole pages that a device may read: pixels.
pub struct Pages {
    base: NonNull<u32>,
    layout: Layout,
    words: usize,
}

impl Pages {
    /// Allocates `words` 32-bit words, or `None` if the heap has no room for them.
    pub fn new(words: usize) -> Option<Self> {
        let bytes = words.checked_mul(4)?.checked_next_multiple_of(PAGE_SIZE)?.max(PAGE_SIZE);
        let layout = Layout::from_size_align(bytes, PAGE_SIZE).ok()?;
        // SAFETY: the layout is not empty.
        let base = NonNull::new(unsafe { alloc_zeroed(layout) })?.cast();
        Some(Self { base, layout, words })
    }

    /// Physical address, in bytes.
    pub fn address(&self) -> u64 {
        self.base.as_ptr() as u64
    }

    /// Size in bytes, without the padding to whole pages.
    pub fn bytes(&self) -> u32 {
        (self.words * 4) as u32
    }
}

impl core::ops::Deref for Pages {
    type Target = [u32];

    fn deref(&self) -> &[u32] {
        // SAFETY: the block holds `words` initialised words and lives as long as `self`.
        unsafe { core::slice::from_raw_parts(self.base.as_ptr(), self.words) }
    }
}

impl core::ops::DerefMut for Pages {
    fn deref_mut(&mut self) -> &mut [u32] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.base.as_ptr(), self.words) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.base.as_ptr().cast(), self.layout) }
    }
}

/// Virtual addresses are physical ones.
pub(super) struct Identity;

// SAFETY: blocks come from the heap, zeroed, page-aligned and unaliased; the map is one to one.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let layout = Layout::from_size_align(pages.max(1) * PAGE_SIZE, PAGE_SIZE);
        // SAFETY: the layout is not empty.
        let block = layout.map_or(null_mut(), |layout| unsafe { alloc_zeroed(layout) });
        (block as PhysAddr, NonNull::new(block).unwrap_or(NonNull::dangling()))
    }

    unsafe fn dma_dealloc(_: PhysAddr, block: NonNull<u8>, pages: usize) -> i32 {
        if let Ok(layout) = Layout::from_size_align(pages.max(1) * PAGE_SIZE, PAGE_SIZE) {
            // SAFETY: allocated by `dma_alloc` with the same number of pages.
            unsafe { dealloc(block.as_ptr(), layout) };
        }
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.as_ptr().cast::<u8>() as PhysAddr
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}
