//! Puts a kernel into guest memory: ELF64 by PVH or at its Linux entry, bzImage by the 64-bit
//! Linux boot protocol. The header is judged before anything is loaded, so that a refusal says
//! exactly what is wrong.

mod header;
mod linux;
mod payload;
mod pvh;

use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt;

use linux_loader::loader::{BzImage, Elf, KernelLoader, PvhBootCapability};
use tabard_wire::FailReason;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use self::header::{Judged, Kind, Source};
use self::payload::PayloadError;
use crate::framebuffer::Mode;
use crate::memory::{GuestRam, file_bytes, low_end};

/// Where kernels may start; below are the tables of this module.
pub const HIGH_MEMORY_START: u64 = 0x10_0000;

pub(crate) const GDT: u64 = 0x500;
const BOOT_INFO: u64 = 0x6000;
const BOOT_PARAMS: u64 = 0x7000;
/// Page tables for the first 4 GiB: one level 4, one level 3, four level 2.
pub(crate) const PAGE_TABLES: u64 = 0x9000;
const COMMAND_LINE: u64 = 0x2_0000;
const MEMORY_MAP: u64 = 0x4_0000;
const MODULES: u64 = 0x4_1000;
/// End of conventional memory; what follows up to 1 MiB belongs to no one.
const LOW_MEMORY_END: u64 = 0x9_fc00;

/// Longest command line that `tabard` may give, in bytes.
pub const MAX_COMMAND_LINE_BYTES: usize = 4096;

const PAGE: u64 = 4096;
const MIB: u64 = 1 << 20;

/// Why a kernel was not loaded, as it goes over the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Kernel cannot be loaded: {reason:?}, {detail:#x}")]
pub struct BootError {
    /// Why.
    pub reason: FailReason,
    /// What [`FailReason`] says about this number.
    pub detail: u64,
}

impl BootError {
    pub(crate) fn new(reason: FailReason, detail: u64) -> Self {
        Self { reason, detail }
    }
}

/// How the first processor starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// 32-bit protected mode without paging, `ebx` points at the start info.
    Pvh {
        /// First instruction.
        address: u64,
        /// Of `hvm_start_info`.
        info: u64,
    },
    /// 64-bit mode, `rsi` points at the boot parameters.
    Linux64 {
        /// First instruction.
        address: u64,
        /// Of `boot_params`.
        info: u64,
    },
}

/// What to boot, as `tabard` gave it.
#[derive(Debug)]
pub struct Image {
    /// The kernel.
    pub kernel: File,
    /// The initial ramdisk.
    pub initrd: Option<File>,
    /// The command line without NUL, at most [`MAX_COMMAND_LINE_BYTES`].
    pub command_line: Vec<u8>,
    /// Whether it wants its devices on the command line.
    pub no_acpi: bool,
    /// Whether to take the ELF file out of a bzImage, which then moves itself nowhere at random:
    /// for an emulated processor, that would take seconds to unpack it.
    pub unpack: bool,
}

/// What the hardware adds to the command line.
#[derive(Debug, Clone, Copy, Default)]
pub struct Words<'a> {
    /// For a kernel that reads no ACPI: its devices. Another would find each twice.
    pub devices: &'a str,
    /// For a kernel that reads ACPI: what that cannot tell.
    pub others: &'a str,
}

/// Loads everything into fresh memory. One of the `words` is appended to the command line of a
/// kernel that reads no ACPI; `screen` is
/// the framebuffer that a Linux kernel is told of.
///
/// # Errors
/// [`BootError`] with a reason and number for the user.
pub fn load(
    image: &Image,
    words: Words<'_>,
    screen: Option<Mode>,
    ram: &GuestRam,
) -> Result<Entry, BootError> {
    let file = Source::of_file(&image.kernel)?;
    let mut judged = header::judge(&file)?;
    let linux = matches!(judged.kind, Kind::BzImage { .. });
    let mut elf = None;
    if image.unpack && linux {
        match unpack(&image.kernel, low_end(ram)) {
            Ok((unpacked, found)) => (elf, judged) = (Some(unpacked), found),
            Err(error) => complain!("The kernel is left to unpack itself. {error}"),
        }
    }
    let kernel_end = judged.end;
    let initrd = place_initrd(image.initrd.as_ref(), judged, low_end(ram))?;
    let mut kernel =
        image.kernel.try_clone().map_err(|_| BootError::new(FailReason::KernelFormat, 0))?;
    let loaded = match (judged.kind, elf) {
        (Kind::Elf, Some(elf)) => Elf::load(ram, None, &mut Cursor::new(elf), None),
        (Kind::Elf, None) => Elf::load(ram, None, &mut kernel, None),
        (Kind::BzImage { .. }, _) => {
            BzImage::load(ram, None, &mut kernel, Some(GuestAddress(HIGH_MEMORY_START)))
        }
    };
    let loaded = loaded.map_err(|_| BootError::new(FailReason::KernelFormat, 0))?;
    if let (Some(initrd), Some(file)) = (initrd, &image.initrd) {
        load_initrd(initrd, file, ram)?;
        if linux {
            check_archive(initrd, ram)?;
        }
    }
    let more = if image.no_acpi { words.devices } else { words.others };
    write_command_line(&image.command_line, more, ram)?;
    let low = |_| BootError::new(FailReason::TooLarge, 1);
    linux::write_tables(ram).map_err(low)?;
    let entry = match (judged.kind, loaded.pvh_boot_cap) {
        // PVH has no words for a framebuffer, so a Linux kernel is told of it by its own protocol.
        (Kind::Elf, PvhBootCapability::PvhEntryPresent(address))
            if screen.is_none() || image.no_acpi =>
        {
            pvh::write(initrd, ram).map_err(low)?;
            Entry::Pvh { address: address.0, info: BOOT_INFO }
        }
        (Kind::Elf, _) => {
            linux::write(None, initrd, screen, ram).map_err(low)?;
            Entry::Linux64 { address: loaded.kernel_load.0, info: BOOT_PARAMS }
        }
        (Kind::BzImage { .. }, _) => {
            linux::write(loaded.setup_header, initrd, screen, ram).map_err(low)?;
            // The 64-bit entry is 0x200 after the load address (Linux x86 boot protocol).
            let address = loaded.kernel_load.0.saturating_add(0x200);
            Entry::Linux64 { address, info: BOOT_PARAMS }
        }
    };
    // An entry outside of what was loaded would only be a triple fault without a word.
    let (Entry::Pvh { address, .. } | Entry::Linux64 { address, .. }) = entry;
    if !(HIGH_MEMORY_START..kernel_end).contains(&address) {
        return Err(BootError::new(FailReason::KernelEntry, address));
    }
    Ok(entry)
}

/// The ELF file in a bzImage, judged.
fn unpack(kernel: &File, memory_end: u64) -> Result<(Vec<u8>, Judged), PayloadError> {
    let elf = payload::elf_of(kernel, memory_end)?;
    let judged = header::judge(&Source::of_bytes(&elf))?;
    Ok((elf, judged))
}

/// Address and bytes of the ramdisk in memory.
#[derive(Debug, Clone, Copy)]
struct Initrd {
    address: u64,
    bytes: u64,
}

fn unreadable_initrd(error: std::io::Error) -> BootError {
    let raw = error.raw_os_error().and_then(|raw| u64::try_from(raw).ok());
    BootError::new(FailReason::Initrd, raw.unwrap_or(0))
}

/// A place for the ramdisk: as high below the hole as the kernel can reach, and above all memory
/// that the kernel uses before it knows of the ramdisk.
fn place_initrd(
    file: Option<&File>,
    kernel: Judged,
    memory_end: u64,
) -> Result<Option<Initrd>, BootError> {
    let bytes = file.map_or(Ok(0), file_bytes).map_err(unreadable_initrd)?;
    let top = match (kernel.kind, file) {
        (Kind::BzImage { initrd_max }, Some(_)) => memory_end.min(initrd_max.saturating_add(1)),
        _ => memory_end,
    };
    let address = top.checked_sub(bytes).map(|address| address & !(PAGE - 1));
    let address = address.filter(|address| *address >= kernel.end).ok_or_else(|| {
        let pages = bytes.div_ceil(PAGE).saturating_add(kernel.end.div_ceil(PAGE));
        BootError::new(FailReason::TooLarge, pages.div_ceil(MIB / PAGE))
    })?;
    Ok(file.map(|_| Initrd { address, bytes }))
}

fn load_initrd(initrd: Initrd, file: &File, ram: &GuestRam) -> Result<(), BootError> {
    let Initrd { address, bytes } = initrd;
    let mut buffer = vec![0u8; 64 << 10];
    let mut done = 0u64;
    while done < bytes {
        let step = usize::try_from(bytes.saturating_sub(done)).unwrap_or(usize::MAX);
        let step = step.min(buffer.len());
        let Some(chunk) = buffer.get_mut(..step) else { break };
        file.read_exact_at(chunk, done).map_err(unreadable_initrd)?;
        ram.write_slice(chunk, GuestAddress(address.saturating_add(done)))
            .map_err(|_| BootError::new(FailReason::TooLarge, 0))?;
        done = done.saturating_add(u64::try_from(step).unwrap_or(u64::MAX));
    }
    Ok(())
}

/// How what Linux unpacks as its first file system begins (its `usr/` and
/// `lib/decompress.c`): cpio as it is, or compressed by gzip, bzip2, LZMA, xz, LZO, LZ4 or zstd.
const ARCHIVES: [&[u8]; 9] = [
    b"070701",
    b"070702",
    b"\x1f\x8b",
    b"BZh",
    b"\x5d\0\0",
    b"\xfd7zXZ",
    b"\x89LZO",
    b"\x02\x21\x4c\x18",
    b"\x28\xb5\x2f\xfd",
];

/// Refuses a ramdisk that Linux cannot unpack: all that it could do is panic, before it has a
/// driver to say so.
fn check_archive(initrd: Initrd, ram: &GuestRam) -> Result<(), BootError> {
    let mut start = [0; 6];
    let there = usize::try_from(initrd.bytes).unwrap_or(usize::MAX).min(start.len());
    let start = start.get_mut(..there).unwrap_or_default();
    let read = ram.read_slice(start, GuestAddress(initrd.address)).is_ok();
    if read && ARCHIVES.iter().any(|magic| start.starts_with(magic)) {
        Ok(())
    } else {
        Err(BootError::new(FailReason::Initrd, 0))
    }
}

fn write_command_line(line: &[u8], more: &str, ram: &GuestRam) -> Result<(), BootError> {
    if line.len() > MAX_COMMAND_LINE_BYTES || line.contains(&0) {
        let length = u64::try_from(line.len()).unwrap_or(u64::MAX);
        return Err(BootError::new(FailReason::CommandLine, length));
    }
    let mut whole = line.to_vec();
    whole.extend(more.as_bytes());
    whole.push(0);
    ram.write_slice(&whole, GuestAddress(COMMAND_LINE))
        .map_err(|_| BootError::new(FailReason::TooLarge, 1))
}

/// Stretches of memory for the guest's memory map: start, bytes, usable.
fn memory_map(ram: &GuestRam) -> Vec<(u64, u64, bool)> {
    let mut map = vec![
        (0, LOW_MEMORY_END, true),
        (LOW_MEMORY_END, HIGH_MEMORY_START.saturating_sub(LOW_MEMORY_END), false),
        (HIGH_MEMORY_START, low_end(ram).saturating_sub(HIGH_MEMORY_START), true),
    ];
    map.extend(ram.iter().skip(1).map(|region| (region.start_addr().0, region.len(), true)));
    map
}

#[cfg(test)]
mod tests;
