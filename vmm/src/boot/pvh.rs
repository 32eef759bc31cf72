//! The start info of the PVH boot ABI (Xen, `docs/misc/pvh`): memory map, command line, ramdisk.

use linux_loader::loader::elf::start_info::{
    hvm_memmap_table_entry, hvm_modlist_entry, hvm_start_info,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::{BOOT_INFO, COMMAND_LINE, Initrd, MEMORY_MAP, MODULES, memory_map};
use crate::memory::GuestRam;

const MAGIC: u32 = 0x336e_c578;
const TYPE_RAM: u32 = 1;
const TYPE_RESERVED: u32 = 2;

/// Writes the start info and all that it points at.
pub(super) fn write(initrd: Option<Initrd>, ram: &GuestRam) -> Result<(), GuestMemoryError> {
    let mut entries = 0u32;
    let mut place = MEMORY_MAP;
    for (addr, size, usable) in memory_map(ram) {
        let type_ = if usable { TYPE_RAM } else { TYPE_RESERVED };
        let entry = hvm_memmap_table_entry { addr, size, type_, reserved: 0 };
        ram.write_obj(entry, GuestAddress(place))?;
        place = place.saturating_add(u64::try_from(size_of_val(&entry)).unwrap_or(0));
        entries = entries.saturating_add(1);
    }
    if let Some(Initrd { address, bytes }) = initrd {
        let module = hvm_modlist_entry { paddr: address, size: bytes, ..Default::default() };
        ram.write_obj(module, GuestAddress(MODULES))?;
    }
    let info = hvm_start_info {
        magic: MAGIC,
        version: 1,
        nr_modules: initrd.is_some().into(),
        modlist_paddr: if initrd.is_some() { MODULES } else { 0 },
        cmdline_paddr: COMMAND_LINE,
        memmap_paddr: MEMORY_MAP,
        memmap_entries: entries,
        rsdp_paddr: crate::acpi::RSDP,
        ..Default::default()
    };
    ram.write_obj(info, GuestAddress(BOOT_INFO))
}
