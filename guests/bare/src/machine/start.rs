//! The PVH start info (Xen's `hvm_start_info`): command line and memory map.

use core::ptr::read_volatile;

const MAGIC: u32 = 0x336e_c578;
const MEMMAP_TYPE_RAM: u32 = 1;
/// No loader passes on a longer command line.
const COMMAND_LINE_MAX: usize = 65536;

/// `struct hvm_start_info`, version 1.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    nr_modules: u32,
    modlist_paddr: u64,
    cmdline_paddr: u64,
    rsdp_paddr: u64,
    memmap_paddr: u64,
    memmap_entries: u32,
    reserved: u32,
}

/// `struct hvm_memmap_table_entry`.
#[repr(C)]
#[derive(Clone, Copy)]
struct MemmapEntry {
    addr: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

impl StartInfo {
    /// Reads the structure at `address`; `None` if it is not one.
    ///
    /// # Safety
    ///
    /// `address` must be what the loader passed in EBX.
    pub(super) unsafe fn read(address: usize) -> Option<Self> {
        // SAFETY: the caller vouches for the address; all of the first 4 GiB is mapped.
        let info = unsafe { read_volatile(address as *const Self) };
        (info.magic == MAGIC && info.version >= 1).then_some(info)
    }

    /// Base and size in bytes of each piece of RAM.
    pub(super) fn ram(&self) -> impl Iterator<Item = (u64, u64)> {
        let table = self.memmap_paddr as *const MemmapEntry;
        (0..self.memmap_entries as usize)
            .map(move |index| {
                // SAFETY: the loader put `memmap_entries` entries there.
                unsafe { read_volatile(table.wrapping_add(index)) }
            })
            .filter(|entry| entry.kind == MEMMAP_TYPE_RAM)
            .map(|entry| (entry.addr, entry.size))
    }

    /// The kernel command line; empty where it is absent or not UTF-8.
    ///
    /// # Safety
    ///
    /// The loader's string must not be overwritten while the result is used.
    pub(super) unsafe fn command_line<'a>(&self) -> &'a str {
        if self.cmdline_paddr == 0 {
            return "";
        }
        let text = self.cmdline_paddr as *const u8;
        let is_end = |&index: &usize| {
            // SAFETY: PVH: a NUL-terminated string at this address; no byte after its end is read.
            unsafe { read_volatile(text.wrapping_add(index)) == 0 }
        };
        let len = (0..COMMAND_LINE_MAX).find(is_end).unwrap_or(0);
        // SAFETY: these bytes were just read, and the caller keeps them.
        let bytes = unsafe { core::slice::from_raw_parts(text, len) };
        core::str::from_utf8(bytes).unwrap_or("")
    }
}
