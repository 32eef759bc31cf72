//! The firmware of QEMU's machine: 64 KiB of our own, which do nothing but go where our loader put
//! the kernel. So a guest begins on QEMU as it does on KVM, and QEMU gets no kernel and no file.

use std::arch::global_asm;

use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

use crate::boot::Entry;
use crate::memory::GuestRam;

/// Bytes of the firmware; QEMU wants multiples of this.
pub const ROM_BYTES: usize = 64 << 10;

/// Where the loader leaves word for the firmware: below the descriptors' page, which no kernel
/// has been given yet.
const WORD: u64 = 0x600;
/// That there is a start to make. The firmware takes it away: whoever comes by the reset vector
/// once more, as a Linux does that reboots without EFI, is reset by the chipset instead.
const READY: u32 = 0x5442_5244;

// A processor begins in real mode at the last 16 bytes below 4 GiB, with its code segment there.
// Everything is within the last 256 bytes, so that 16-bit addresses reach it.
global_asm!(
    r#"
    .section .rodata.tabard_rom, "a", @progbits
    .globl tabard_rom_code, tabard_rom_code_end
    .code16
tabard_rom_code:
    cli
    lgdtl %cs:(0xff00 + tabard_rom_gdt_pointer - tabard_rom_code)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x20, $(0xffffff00 + tabard_rom_protected - tabard_rom_code)
    .code32
tabard_rom_protected:
    movl $0x18, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $0x600, %edi
    cmpl $0x54425244, (%edi)
    jne 1f
    movl $0, (%edi)
    movl 8(%edi), %edx              // entry
    movl 12(%edi), %ebx             // information for a PVH kernel
    cmpl $0, 4(%edi)
    jne 2f
    jmp *%edx
    // Nobody left word: the chipset's reset register (QEMU's ACPI_GED_REG_RESET).
1:  movb $0x42, 0xfea00202
3:  hlt
    jmp 3b
    // A 64-bit entry: the loader's page tables map the first 4 GiB.
2:  movl $0x9000, %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax                 // PAE
    movl %eax, %cr4
    movl $0xc0000080, %ecx          // EFER
    rdmsr
    orl $0x100, %eax                // LME
    wrmsr
    // `wrmsr` took the entry's register.
    movl 8(%edi), %edx
    movl %cr0, %eax
    orl $0x80000000, %eax           // PG
    movl %eax, %cr0
    ljmpl $0x10, $(0xffffff00 + tabard_rom_long - tabard_rom_code)
    .code64
tabard_rom_long:
    movl %ebx, %esi                 // information for a Linux kernel
    jmp *%rdx
    .balign 8
tabard_rom_gdt:
    .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cf9b000000ffff
tabard_rom_gdt_pointer:
    .word 39
    .long 0xffffff00 + tabard_rom_gdt - tabard_rom_code
    .balign 16
tabard_rom_code_end:
    .section .text
"#,
    options(att_syntax)
);

unsafe extern "C" {
    static tabard_rom_code: u8;
    static tabard_rom_code_end: u8;
}

/// The whole firmware.
#[must_use]
pub fn rom() -> Vec<u8> {
    let start = &raw const tabard_rom_code;
    let end = &raw const tabard_rom_code_end;
    // SAFETY: both are symbols of one section above, the second behind the first.
    let length = usize::try_from(unsafe { end.offset_from(start) }).unwrap_or(0);
    // SAFETY: these bytes are constants of this program, and nobody writes to them.
    let code = unsafe { std::slice::from_raw_parts(start, length) };
    let mut rom = vec![0xf4; ROM_BYTES];
    for (slot, byte) in rom.iter_mut().skip(CODE).zip(code) {
        *slot = *byte;
    }
    for (slot, byte) in rom.iter_mut().skip(RESET_VECTOR).zip(JUMP) {
        *slot = byte;
    }
    rom
}

/// Where the code is in the firmware, and the reset vector.
const CODE: usize = 0xff00;
const RESET_VECTOR: usize = 0xfff0;
/// `jmp` from the reset vector to the code, 16-bit and relative.
const JUMP: [u8; 3] = {
    let [low, high] = (CODE.wrapping_sub(RESET_VECTOR + 3) as u16).to_le_bytes();
    [0xe9, low, high]
};

/// Leaves word where to begin.
///
/// # Errors
/// If memory ends below it, which it never does.
pub fn leave_word(entry: Entry, ram: &GuestRam) -> Result<(), GuestMemoryError> {
    let (kind, address, info) = match entry {
        Entry::Pvh { address, info } => (0u32, address, info),
        Entry::Linux64 { address, info } => (1, address, info),
    };
    let half = |value: u64| u32::try_from(value).unwrap_or(0);
    for (place, word) in (WORD..).step_by(4).zip([READY, kind, half(address), half(info)]) {
        ram.write_obj(word, GuestAddress(place))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reset_vector_jumps_to_the_code_and_the_code_ends_before_it() {
        let rom = rom();
        assert_eq!(rom.len(), ROM_BYTES);
        assert_eq!(rom[CODE], 0xfa);
        assert_eq!(rom[RESET_VECTOR..RESET_VECTOR + 3], [0xe9, 0x0d, 0xff]);
        let length =
            (&raw const tabard_rom_code_end as usize) - (&raw const tabard_rom_code as usize);
        assert!((100..=RESET_VECTOR - CODE).contains(&length), "{length}");
    }
}
