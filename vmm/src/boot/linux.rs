//! The 64-bit Linux boot protocol (`Documentation/arch/x86/boot.rst`): boot parameters, segment
//! descriptors and an identity map of the first 4 GiB.

use linux_loader::loader::bootparam::{boot_e820_entry, boot_params, screen_info, setup_header};
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use super::{
    BOOT_PARAMS, COMMAND_LINE, GDT, Initrd, MAX_COMMAND_LINE_BYTES, PAGE, PAGE_TABLES, memory_map,
};
use crate::framebuffer::Mode;
use crate::memory::GuestRam;

const PRESENT_WRITABLE: u64 = 3;
const LARGE_PAGE: u64 = 0x80;
/// `acpi_rsdp_addr` in the boot parameters (`Documentation/arch/x86/zero-page.rst`).
const ACPI_RSDP_OFFSET: u64 = 0x70;
/// `VIDEO_TYPE_EFI`.
const VIDEO_TYPE_EFI: u8 = 0x70;
const E820_RAM: u32 = 1;
const E820_RESERVED: u32 = 2;

/// Null, unused, flat 64-bit code (0x10), flat data (0x18), flat 32-bit code (0x20).
pub(crate) const DESCRIPTORS: [u64; 5] =
    [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x00cf_9b00_0000_ffff];

/// Writes descriptors and page tables.
pub(super) fn write_tables(ram: &GuestRam) -> Result<(), GuestMemoryError> {
    for (place, descriptor) in (GDT..).step_by(8).zip(DESCRIPTORS) {
        ram.write_obj(descriptor, GuestAddress(place))?;
    }
    let level3 = PAGE_TABLES.saturating_add(PAGE);
    ram.write_obj(level3 | PRESENT_WRITABLE, GuestAddress(PAGE_TABLES))?;
    for gib in 0..4u64 {
        let level2 = level3.saturating_add(PAGE.saturating_mul(gib.saturating_add(1)));
        let slot = level3.saturating_add(gib.saturating_mul(8));
        ram.write_obj(level2 | PRESENT_WRITABLE, GuestAddress(slot))?;
        for index in 0..512u64 {
            let page = (gib << 30) | (index << 21) | PRESENT_WRITABLE | LARGE_PAGE;
            let slot = level2.saturating_add(index.saturating_mul(8));
            ram.write_obj(page, GuestAddress(slot))?;
        }
    }
    Ok(())
}

/// A framebuffer as firmware of the kind EFI leaves it (`include/uapi/linux/screen_info.h`): that
/// Linux draws into without knowing the device behind it.
fn screen_of(mode: Mode) -> screen_info {
    screen_info {
        orig_video_isVGA: VIDEO_TYPE_EFI,
        lfb_base: mode.address,
        lfb_size: mode.bytes,
        lfb_width: mode.width,
        lfb_height: mode.height,
        lfb_linelength: mode.stride_bytes,
        lfb_depth: 32,
        blue_size: 8,
        blue_pos: 0,
        green_size: 8,
        green_pos: 8,
        red_size: 8,
        red_pos: 16,
        rsvd_size: 8,
        rsvd_pos: 24,
        pages: 1,
        ..Default::default()
    }
}

/// Writes the boot parameters; `header` is that of a bzImage.
pub(super) fn write(
    header: Option<setup_header>,
    initrd: Option<Initrd>,
    screen: Option<Mode>,
    ram: &GuestRam,
) -> Result<(), GuestMemoryError> {
    let word = |value: u64| u32::try_from(value).unwrap_or(0);
    let mut hdr = header.unwrap_or(setup_header {
        boot_flag: 0xaa55,
        header: u32::from_le_bytes(*b"HdrS"),
        kernel_alignment: 0x100_0000,
        ..Default::default()
    });
    // 0xff: a loader without a number of its own.
    hdr.type_of_loader = 0xff;
    hdr.cmd_line_ptr = word(COMMAND_LINE);
    hdr.cmdline_size = u32::try_from(MAX_COMMAND_LINE_BYTES).unwrap_or(0);
    hdr.ramdisk_image = initrd.map_or(0, |initrd| word(initrd.address));
    hdr.ramdisk_size = initrd.map_or(0, |initrd| word(initrd.bytes));
    let screen_info = screen.map_or_else(Default::default, screen_of);
    let mut params = boot_params { hdr, screen_info, ..Default::default() };
    let mut table = params.e820_table;
    let mut entries = 0u8;
    for (slot, (addr, size, usable)) in table.iter_mut().zip(memory_map(ram)) {
        let type_ = if usable { E820_RAM } else { E820_RESERVED };
        *slot = boot_e820_entry { addr, size, r#type: type_ };
        entries = entries.saturating_add(1);
    }
    params.e820_table = table;
    params.e820_entries = entries;
    ram.write_obj(params, GuestAddress(BOOT_PARAMS))?;
    ram.write_obj(crate::acpi::RSDP, GuestAddress(BOOT_PARAMS.saturating_add(ACPI_RSDP_OFFSET)))
}
