//! Judges a kernel file by its header, with the numbers that a person needs to mend it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use tabard_wire::FailReason;

use super::{BootError, HIGH_MEMORY_START};
use crate::memory::file_bytes;

/// What a kernel file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An x86-64 ELF file that can be executed.
    Elf,
    /// A Linux bzImage with a 64-bit entry.
    BzImage {
        /// Highest address of a byte of the ramdisk.
        initrd_max: u64,
    },
}

/// A kernel that can be loaded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judged {
    /// What it is.
    pub(super) kind: Kind,
    /// Where the memory ends that it uses before it reads its memory map.
    pub(super) end: u64,
}

const ELF_MAGIC: [u8; 4] = *b"\x7fELF";
const ELF_HEADER_BYTES: u64 = 64;
const PROGRAM_HEADER_BYTES: u64 = 56;
const PT_LOAD: u32 = 1;
const EM_X86_64: u16 = 62;
/// Start of the Linux setup header and the bytes of it that are read.
const SETUP: u64 = 0x1f1;
const SETUP_BYTES: u64 = 0x77;

/// A kernel: the file that came over the wire, or one that was in it.
#[derive(Clone, Copy)]
enum Bytes<'a> {
    File(&'a File),
    Memory(&'a [u8]),
}

/// Reads little-endian numbers of a kernel; a place beyond its end counts as cut short.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    all: Bytes<'a>,
    length: u64,
}

impl<'a> Source<'a> {
    pub(super) fn of_file(file: &'a File) -> Result<Self, BootError> {
        let length = file_bytes(file).map_err(|_| BootError::new(FailReason::KernelFormat, 0))?;
        Ok(Self { all: Bytes::File(file), length })
    }

    pub(super) fn of_bytes(bytes: &'a [u8]) -> Self {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        Self { all: Bytes::Memory(bytes), length }
    }

    pub(super) fn bytes<const N: usize>(&self, offset: u64) -> Result<[u8; N], BootError> {
        let unreadable = || BootError::new(FailReason::KernelFormat, 0);
        self.need(offset.saturating_add(u64::try_from(N).unwrap_or(u64::MAX)))?;
        match self.all {
            Bytes::File(file) => {
                let mut bytes = [0; N];
                file.read_exact_at(&mut bytes, offset).map_err(|_| unreadable())?;
                Ok(bytes)
            }
            Bytes::Memory(all) => {
                let rest = usize::try_from(offset).ok().and_then(|offset| all.get(offset..));
                rest.and_then(<[u8]>::first_chunk).copied().ok_or_else(unreadable)
            }
        }
    }

    pub(super) fn u16(&self, offset: u64) -> Result<u16, BootError> {
        Ok(u16::from_le_bytes(self.bytes(offset)?))
    }

    pub(super) fn u32(&self, offset: u64) -> Result<u32, BootError> {
        Ok(u32::from_le_bytes(self.bytes(offset)?))
    }

    fn u64(&self, offset: u64) -> Result<u64, BootError> {
        Ok(u64::from_le_bytes(self.bytes(offset)?))
    }

    /// The file must reach to `end`; otherwise the detail is what is missing.
    pub(super) fn need(&self, end: u64) -> Result<(), BootError> {
        match end.checked_sub(self.length) {
            None | Some(0) => Ok(()),
            Some(missing) => Err(BootError::new(FailReason::KernelTruncated, missing)),
        }
    }

    /// Where a bzImage's real-mode part ends and the rest begins.
    pub(super) fn setup_end(&self) -> Result<u64, BootError> {
        let [sectors] = self.bytes(SETUP)?;
        let sectors = if sectors == 0 { 4 } else { u64::from(sectors) };
        Ok(sectors.saturating_add(1).saturating_mul(512))
    }
}

/// Says what the kernel is, that all of it is there, and how much memory it uses.
pub(super) fn judge(source: &Source<'_>) -> Result<Judged, BootError> {
    let magic: [u8; 4] = if source.length < 4 { [0; 4] } else { source.bytes(0)? };
    if magic == ELF_MAGIC {
        return elf(source);
    }
    if source.length >= 0x206 && source.bytes::<4>(0x202)? == *b"HdrS" {
        return bz_image(source);
    }
    Err(BootError::new(FailReason::KernelFormat, u32::from_le_bytes(magic).into()))
}

fn elf(source: &Source<'_>) -> Result<Judged, BootError> {
    source.need(ELF_HEADER_BYTES)?;
    let [class, data] = source.bytes(4)?;
    let machine = source.u16(18)?;
    if machine != EM_X86_64 {
        return Err(BootError::new(FailReason::KernelMachine, machine.into()));
    }
    let magic = u32::from_le_bytes(ELF_MAGIC).into();
    if (class, data) != (2, 1) || u64::from(source.u16(54)?) != PROGRAM_HEADER_BYTES {
        return Err(BootError::new(FailReason::KernelFormat, magic));
    }
    let table = source.u64(32)?;
    let count = u64::from(source.u16(56)?);
    if table < ELF_HEADER_BYTES {
        return Err(BootError::new(FailReason::KernelFormat, magic));
    }
    source.need(table.saturating_add(count.saturating_mul(PROGRAM_HEADER_BYTES)))?;
    let (mut file_end, mut kernel_end) = (0u64, 0u64);
    for index in 0..count {
        let header = table.saturating_add(index.saturating_mul(PROGRAM_HEADER_BYTES));
        let file_bytes = source.u64(header.saturating_add(32))?;
        file_end = file_end.max(source.u64(header.saturating_add(8))?.saturating_add(file_bytes));
        let memory_bytes = source.u64(header.saturating_add(40))?;
        if source.u32(header)? != PT_LOAD || memory_bytes == 0 {
            continue;
        }
        let address = source.u64(header.saturating_add(24))?;
        if address < HIGH_MEMORY_START || file_bytes > memory_bytes {
            return Err(BootError::new(FailReason::KernelEntry, 0));
        }
        kernel_end = kernel_end.max(address.saturating_add(memory_bytes));
    }
    source.need(file_end)?;
    if kernel_end == 0 {
        return Err(BootError::new(FailReason::KernelEntry, 0));
    }
    Ok(Judged { kind: Kind::Elf, end: kernel_end })
}

fn bz_image(source: &Source<'_>) -> Result<Judged, BootError> {
    source.need(SETUP.saturating_add(SETUP_BYTES))?;
    // syssize counts 16-byte paragraphs after the setup sectors.
    let body = u64::from(source.u32(0x1f4)?).saturating_mul(16);
    let setup = source.setup_end()?;
    // The last paragraph may be padded in the count and not in the file.
    source.need(setup.saturating_add(body.saturating_sub(15)))?;
    let (version, flags) = (source.u16(0x206)?, source.u16(0x236)?);
    if version < 0x20c || flags & 1 == 0 {
        return Err(BootError::new(FailReason::KernelEntry, version.into()));
    }
    let start = u64::from(source.u32(0x214)?);
    let file_end = start.saturating_add(source.length.saturating_sub(setup));
    // Loaded below `pref_address`, it moves there first, relocatable or not; then it needs
    // `init_size` from there on (boot.rst).
    let alignment = u64::from(source.u32(0x230)?);
    let aligned = start.checked_next_multiple_of(alignment).unwrap_or(start);
    let runs_at = aligned.max(source.u64(0x258)?);
    let end = runs_at.saturating_add(source.u32(0x260)?.into()).max(file_end);
    Ok(Judged { kind: Kind::BzImage { initrd_max: source.u32(0x22c)?.into() }, end })
}
