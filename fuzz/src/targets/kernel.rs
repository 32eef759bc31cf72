//! Kernels and ramdisks: ELF and bzImage files of any shape, into real guest memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{MemfdFlags, memfd_create};
use tabard_vmm::boot::{Entry, HIGH_MEMORY_START, Image, Words, load};
use tabard_vmm::memory::{GuestRam, allocate, low_end};

use super::{Target, outcome};

/// The loader.
pub struct Kernel {
    ram: GuestRam,
    image: Image,
}

impl Kernel {
    pub fn new() -> Self {
        let file = || {
            let file = memfd_create("kernel", MemfdFlags::CLOEXEC).map(File::from);
            file.expect("memory for a file")
        };
        let image = Image {
            kernel: file(),
            initrd: Some(file()),
            command_line: Vec::new(),
            no_acpi: false,
            unpack: false,
        };
        Self { ram: allocate(16).expect("memory for a guest"), image }
    }
}

/// A bzImage of boot protocol 2.15 with a 64-bit entry (Linux x86 boot protocol).
fn bz_image() -> Vec<u8> {
    let mut file = vec![0u8; 2048];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1f4, &64u32.to_le_bytes());
    put(0x1fe, &0xaa55u16.to_le_bytes());
    put(0x202, b"HdrS");
    put(0x206, &0x20fu16.to_le_bytes());
    put(0x211, &[1]);
    put(0x214, &0x10_0000u32.to_le_bytes());
    put(0x22c, &0x7fff_ffffu32.to_le_bytes());
    put(0x236, &1u16.to_le_bytes());
    put(0x260, &0x4000u32.to_le_bytes());
    file
}

/// An ELF64 with one loadable segment at 1 MiB and a PVH note in another.
fn elf() -> Vec<u8> {
    let mut file = vec![0u8; 320];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"\x7fELF\x02\x01\x01");
    put(16, &[2, 0, 62, 0, 1]);
    put(24, &0x10_0000u64.to_le_bytes());
    put(32, &64u64.to_le_bytes());
    put(52, &[64, 0, 56, 0, 2, 0]);
    // PT_LOAD, all of the file, at 1 MiB.
    put(64, &[1, 0, 0, 0, 5]);
    put(64 + 24, &0x10_0000u64.to_le_bytes());
    put(64 + 32, &320u64.to_le_bytes());
    put(64 + 40, &320u64.to_le_bytes());
    put(64 + 48, &4096u64.to_le_bytes());
    // PT_NOTE, 20 bytes from 256 on.
    put(120, &[4, 0, 0, 0, 4]);
    put(120 + 8, &256u64.to_le_bytes());
    put(120 + 32, &20u64.to_le_bytes());
    put(120 + 40, &20u64.to_le_bytes());
    put(120 + 48, &4u64.to_le_bytes());
    put(256, b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0\0\x01\x10\0");
    file
}

impl Target for Kernel {
    fn name(&self) -> &'static str {
        "kernel"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        vec![bz_image(), elf(), b"\x7fELF".to_vec(), Vec::new()]
    }

    fn tokens(&self) -> &[&[u8]] {
        &[b"\x7fELF\x02\x01\x01", b"HdrS", b"Xen\0", b"\x04\0\0\0\x04\0\0\0\x12\0\0\0"]
    }

    fn most_bytes(&self) -> usize {
        4096
    }

    fn share(&self) -> u64 {
        2
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let Image { kernel, initrd, command_line, no_acpi, .. } = &mut self.image;
        *no_acpi = input.len() % 2 == 1;
        let mut ramdisk = input.get(..input.len() / 4).unwrap_or_default().to_vec();
        // Linux gets none that does not begin like an archive.
        if let Some(start) = ramdisk.get_mut(..6) {
            start.copy_from_slice(b"070701");
        }
        for (file, bytes) in [(Some(&*kernel), input), (initrd.as_ref(), &ramdisk[..])] {
            let file = file.expect("both are there");
            file.set_len(0).expect("a file in memory can be emptied");
            file.write_all_at(bytes, 0).expect("a file in memory can be written");
        }
        command_line.clear();
        command_line.extend(input.iter().rev().take(16));
        match load(&self.image, Words { devices: " x=1", others: "" }, None, &self.ram) {
            Ok(entry) => {
                let (Entry::Pvh { address, .. } | Entry::Linux64 { address, .. }) = entry;
                let memory = HIGH_MEMORY_START..low_end(&self.ram);
                assert!(memory.contains(&address), "an entry outside of memory: {address:#x}");
                outcome((0, matches!(entry, Entry::Pvh { .. })))
            }
            Err(error) => outcome((1, error.reason, error.detail.leading_zeros())),
        }
    }
}
