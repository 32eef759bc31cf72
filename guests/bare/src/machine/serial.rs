//! The serial port: whole lines, written by the CPL 0 handler.

use core::arch::asm;

/// Writes `text` and a newline to the first serial port.
pub fn line(text: &str) {
    write(text.as_bytes());
    write(b"\n");
}

/// Writes bytes as they are.
pub fn bytes(bytes: &[u8]) {
    write(bytes);
}

fn write(bytes: &[u8]) {
    // SAFETY: `rep outsb` raises #GP at CPL 3; the handler in `boot` sends the bytes and steps
    // over it. It reads the given slice only and changes no other register.
    unsafe {
        asm!(
            "rep outsb",
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            inout("edx") 0x3f8 => _,
            options(readonly, nostack)
        );
    }
}
