use std::io::Write;

use super::*;
use crate::memory::allocate;

/// A bzImage with this boot protocol version and 64-bit flag and a body of 1 KiB.
fn bz_image(version: u16, flags: u16) -> Vec<u8> {
    let mut file = vec![0u8; 1024 + 1024];
    file[0x1f1] = 1;
    file[0x1f4..0x1f8].copy_from_slice(&64u32.to_le_bytes());
    file[0x1fe..0x200].copy_from_slice(&0xaa55u16.to_le_bytes());
    file[0x202..0x206].copy_from_slice(b"HdrS");
    file[0x206..0x208].copy_from_slice(&version.to_le_bytes());
    file[0x211] = 1;
    file[0x214..0x218].copy_from_slice(&0x10_0000u32.to_le_bytes());
    file[0x22c..0x230].copy_from_slice(&0x7fff_ffffu32.to_le_bytes());
    file[0x236..0x238].copy_from_slice(&flags.to_le_bytes());
    file[0x260..0x264].copy_from_slice(&0x4000u32.to_le_bytes());
    file[1024] = 0xf4;
    file
}

/// A bzImage with this payload.
pub(super) fn with_payload(payload: &[u8]) -> Vec<u8> {
    let mut file = bz_image(0x20f, 1);
    let length = u32::try_from(payload.len()).unwrap();
    file[0x248..0x24c].copy_from_slice(&1024u32.to_le_bytes());
    file[0x24c..0x250].copy_from_slice(&length.to_le_bytes());
    file.extend(payload);
    file
}

pub(super) fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

fn image(kernel: &[u8], initrd: Option<&[u8]>, line: &[u8]) -> Image {
    Image {
        kernel: file(kernel),
        initrd: initrd.map(file),
        command_line: line.to_vec(),
        no_acpi: false,
        unpack: false,
    }
}

#[test]
fn a_bz_image_is_entered_by_the_64_bit_protocol() {
    let ram = allocate(16).unwrap();
    let entry = load(
        &image(&bz_image(0x20f, 1), Some(b"070701"), b"quiet"),
        Words { devices: " x=1", others: "" },
        None,
        &ram,
    )
    .unwrap();
    assert_eq!(entry, Entry::Linux64 { address: 0x10_0200, info: BOOT_PARAMS });
    let first: u8 = ram.read_obj(GuestAddress(0x10_0000)).unwrap();
    assert_eq!(first, 0xf4);
    let mut line = [0; 10];
    ram.read_slice(&mut line, GuestAddress(COMMAND_LINE)).unwrap();
    assert_eq!(&line[..6], b"quiet\0");
}

#[test]
fn linux_gets_no_ramdisk_that_it_cannot_unpack() {
    let ram = allocate(16).unwrap();
    for (ramdisk, good) in [(&b"\x1f\x8b..."[..], true), (b"\x1f", false), (b"<html>", false)] {
        let loaded =
            load(&image(&bz_image(0x20f, 1), Some(ramdisk), b""), Words::default(), None, &ram);
        assert_eq!(loaded.is_ok(), good, "{ramdisk:?}");
        let refused = loaded.err().map(|error| (error.reason, error.detail));
        assert_eq!(refused, (!good).then_some((FailReason::Initrd, 0)), "{ramdisk:?}");
    }
}

#[test]
fn only_a_kernel_without_acpi_is_told_its_devices() {
    for (no_acpi, line) in [(true, &b"quiet x=1\0"[..]), (false, &b"quiet\0"[..])] {
        let ram = allocate(16).unwrap();
        let image = Image { no_acpi, ..image(&bz_image(0x20f, 1), None, b"quiet") };
        load(&image, Words { devices: " x=1", others: "" }, None, &ram).unwrap();
        let mut read = [0; 10];
        ram.read_slice(&mut read, GuestAddress(COMMAND_LINE)).unwrap();
        assert_eq!(read[..line.len()], *line);
    }
}

#[test]
fn a_framebuffer_is_told_as_efis() {
    let ram = allocate(16).unwrap();
    let mode = Mode {
        address: 0xd000_0000,
        width: 640,
        height: 480,
        stride_bytes: 2560,
        bytes: 640 * 480 * 4,
    };
    load(&image(&bz_image(0x20f, 1), None, b""), Words::default(), Some(mode), &ram).unwrap();
    // Offsets in the zero page (Documentation/arch/x86/zero-page.rst and screen_info.h).
    let mut info = [0; 0x40];
    ram.read_slice(&mut info, GuestAddress(BOOT_PARAMS)).unwrap();
    assert_eq!((info[0x0f], &info[0x12..0x18]), (0x70, &[0x80, 2, 0xe0, 1, 32, 0][..]));
    assert_eq!(info[0x18..0x1c], 0xd000_0000u32.to_le_bytes());
    assert_eq!(info[0x1c..0x20], 1_228_800u32.to_le_bytes());
    assert_eq!(info[0x24..0x26], 2560u16.to_le_bytes());
}

#[test]
fn the_ramdisk_is_at_the_top_and_told() {
    let ram = allocate(16).unwrap();
    load(&image(&bz_image(0x20f, 1), Some(b"070701"), b""), Words::default(), None, &ram).unwrap();
    let place: u32 = ram.read_obj(GuestAddress(BOOT_PARAMS + 0x218)).unwrap();
    let bytes: u32 = ram.read_obj(GuestAddress(BOOT_PARAMS + 0x21c)).unwrap();
    assert_eq!((place, bytes), ((16 << 20) - 4096, 6));
    let mut initrd = [0; 6];
    ram.read_slice(&mut initrd, GuestAddress(place.into())).unwrap();
    assert_eq!(&initrd, b"070701");
}

#[test]
fn a_32_bit_bz_image_has_no_entry() {
    let ram = allocate(16).unwrap();
    let error =
        load(&image(&bz_image(0x20f, 0), None, b""), Words::default(), None, &ram).unwrap_err();
    assert_eq!(error.reason, FailReason::KernelEntry);
}

#[test]
fn a_bz_image_cut_short_names_the_missing_bytes() {
    let ram = allocate(16).unwrap();
    let mut kernel = bz_image(0x20f, 1);
    kernel.truncate(1024 + 1009 - 100);
    let error = load(&image(&kernel, None, b""), Words::default(), None, &ram).unwrap_err();
    assert_eq!(error, BootError::new(FailReason::KernelTruncated, 100));
}

#[test]
fn the_memory_map_leaves_out_the_hole() {
    let ram = allocate(4096).unwrap();
    let map = memory_map(&ram);
    assert_eq!(map.last(), Some(&(crate::memory::HOLE_END, 1 << 30, true)));
    assert_eq!(map[2], (0x10_0000, crate::memory::HOLE_START - 0x10_0000, true));
}

/// As Debian 12's: relocatable, but not to below 16 MiB, where it then needs 63.6 MiB.
fn debian() -> Vec<u8> {
    let mut file = bz_image(0x20f, 1);
    file[0x230..0x236].copy_from_slice(&[0, 0, 0x20, 0, 1, 21]);
    file[0x258..0x260].copy_from_slice(&0x100_0000u64.to_le_bytes());
    file[0x260..0x264].copy_from_slice(&0x3f9_8000u32.to_le_bytes());
    file
}

fn load_into(mib: u32, kernel: &[u8], initrd: Option<&[u8]>) -> Result<Entry, BootError> {
    load(&image(kernel, initrd, b""), Words::default(), None, &allocate(mib).unwrap())
}

#[test]
fn a_kernel_needs_memory_where_it_unpacks_itself() {
    assert_eq!(load_into(70, &debian(), None), Err(BootError::new(FailReason::TooLarge, 80)));
    assert!(load_into(80, &debian(), None).is_ok());
}

#[test]
fn a_ramdisk_is_never_where_the_kernel_unpacks_itself() {
    let mut initrd = b"070701".to_vec();
    initrd.resize(26 << 20, 0);
    let needed = load_into(96, &debian(), Some(&initrd));
    assert_eq!(needed, Err(BootError::new(FailReason::TooLarge, 106)));
    assert!(load_into(106, &debian(), Some(&initrd)).is_ok());
}

#[test]
fn the_memory_that_is_named_is_the_least_that_is_enough() {
    // The kernel ends 104 pages below 80 MiB.
    for (bytes, least) in [(6, 80), (104 << 12, 80), ((104 << 12) + 1, 81), (360 << 12, 81)] {
        let mut initrd = b"070701".to_vec();
        initrd.resize(bytes, 0);
        for mib in [64, 79, least - 1] {
            let refused = load_into(mib, &debian(), Some(&initrd));
            assert_eq!(refused, Err(BootError::new(FailReason::TooLarge, least.into())), "{bytes}");
        }
        assert!(load_into(least, &debian(), Some(&initrd)).is_ok(), "{bytes}");
    }
}

/// An ELF file with one segment at 1 MiB, its entry there and this memory, for this machine.
fn elf(memory_bytes: u64, machine: u16) -> Vec<u8> {
    let mut file = vec![0u8; 0x80];
    file[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    file[16..20].copy_from_slice(&[2, 0, machine.to_le_bytes()[0], machine.to_le_bytes()[1]]);
    file[24..32].copy_from_slice(&HIGH_MEMORY_START.to_le_bytes());
    file[32..40].copy_from_slice(&64u64.to_le_bytes());
    file[54..58].copy_from_slice(&[56, 0, 1, 0]);
    file[64..68].copy_from_slice(&1u32.to_le_bytes());
    file[72..80].copy_from_slice(&0x78u64.to_le_bytes());
    file[88..96].copy_from_slice(&HIGH_MEMORY_START.to_le_bytes());
    file[96..104].copy_from_slice(&8u64.to_le_bytes());
    file[104..112].copy_from_slice(&memory_bytes.to_le_bytes());
    file[0x78..].copy_from_slice(b"unpacked");
    file
}

/// The same in a bzImage.
fn packed(elf: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(elf).unwrap();
    with_payload(&gzip.finish().unwrap())
}

fn load_unpacked(kernel: &[u8], initrd: Option<&[u8]>) -> (GuestRam, Result<Entry, BootError>) {
    let ram = allocate(16).unwrap();
    let image = Image { unpack: true, ..image(kernel, initrd, b"") };
    let entry = load(&image, Words::default(), None, &ram);
    (ram, entry)
}

#[test]
fn the_elf_file_of_a_bz_image_is_loaded_in_its_place() {
    let (ram, entry) = load_unpacked(&packed(&elf(0x2000, 62)), Some(b"070701"));
    assert_eq!(entry, Ok(Entry::Linux64 { address: HIGH_MEMORY_START, info: BOOT_PARAMS }));
    let first: [u8; 8] = ram.read_obj(GuestAddress(HIGH_MEMORY_START)).unwrap();
    assert_eq!(&first, b"unpacked");
    let place: u32 = ram.read_obj(GuestAddress(BOOT_PARAMS + 0x218)).unwrap();
    assert_eq!(u64::from(place), (16 << 20) - 4096);
}

#[test]
fn a_bz_image_whose_payload_is_of_no_use_unpacks_itself() {
    for kernel in [bz_image(0x20f, 1), with_payload(b"none"), packed(&elf(0x2000, 3))] {
        let (ram, entry) = load_unpacked(&kernel, None);
        assert_eq!(entry, Ok(Entry::Linux64 { address: 0x10_0200, info: BOOT_PARAMS }));
        let first: u8 = ram.read_obj(GuestAddress(HIGH_MEMORY_START)).unwrap();
        assert_eq!(first, 0xf4);
    }
}

#[test]
fn an_unpacked_kernel_needs_the_memory_of_its_elf_file() {
    let (_, alone) = load_unpacked(&packed(&elf(20 << 20, 62)), None);
    assert_eq!(alone, Err(BootError::new(FailReason::TooLarge, 21)));
    let mut initrd = b"070701".to_vec();
    initrd.resize(8 << 20, 0);
    let (_, both) = load_unpacked(&packed(&elf(10 << 20, 62)), Some(&initrd));
    assert_eq!(both, Err(BootError::new(FailReason::TooLarge, 19)));
}

#[test]
fn the_ramdisk_of_an_unpacked_kernel_is_an_archive() {
    let (_, entry) = load_unpacked(&packed(&elf(0x2000, 62)), Some(b"<html>"));
    assert_eq!(entry, Err(BootError::new(FailReason::Initrd, 0)));
}

proptest::proptest! {
    #[test]
    fn no_kernel_file_panics(
        bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        elf in proptest::prelude::any::<bool>(),
    ) {
        let ram = allocate(16).unwrap();
        let mut kernel = bytes;
        if elf {
            let head = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0";
            kernel.splice(0..head.len().min(kernel.len()), head.iter().copied());
            if kernel.len() >= 68 {
                kernel[32..40].copy_from_slice(&64u64.to_le_bytes());
                kernel[54..58].copy_from_slice(&[56, 0, 2, 0]);
                kernel[64..68].copy_from_slice(&1u32.to_le_bytes());
            }
        }
        let _ = load(&image(&kernel, None, b""), Words::default(), None, &ram);
    }
}
