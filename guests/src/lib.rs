//! The built-in guests: small bare-metal programs, embedded as ELF files with a PVH note.
//!
//! Their source is in `bare/`, a workspace of its own, because they are built without a standard
//! library. Each says `{"ready":"NAME","width":W,"height":H}` on its serial port once its picture
//! is on the glass, and `{"resized":...}` after it followed a change of the display.
#![forbid(unsafe_code)]

/// A guest that comes with Tabard.
#[derive(Debug, Clone, Copy)]
pub struct Builtin {
    /// The name, as in `kernel = "builtin:NAME"`.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// The ELF file, to be started at its PVH note.
    pub elf: &'static [u8],
}

/// All of them.
pub const BUILTINS: &[Builtin] = include!(concat!(env!("OUT_DIR"), "/builtins.rs"));

/// The guest called `name`; `None` if there is no such guest.
pub fn builtin(name: &str) -> Option<&'static Builtin> {
    BUILTINS.iter().find(|builtin| builtin.name == name)
}

#[cfg(test)]
mod tests {
    use super::{BUILTINS, builtin};

    /// `e_type` `ET_EXEC` and `e_machine` `EM_X86_64` behind the identification of a 64-bit
    /// little-endian ELF.
    const HEADER: &[(usize, &[u8])] = &[(0, b"\x7fELF\x02\x01"), (16, &[2, 0, 62, 0])];
    /// Name size, description size, type `XEN_ELFNOTE_PHYS32_ENTRY`, name.
    const PVH_NOTE: &[u8] = b"\x04\0\0\0\x04\0\0\0\x12\0\0\0Xen\0";

    #[test]
    fn every_guest_is_an_elf_file_for_x86_64() {
        for guest in BUILTINS {
            for (offset, bytes) in HEADER {
                assert_eq!(&guest.elf[*offset..offset + bytes.len()], *bytes, "{}", guest.name);
            }
        }
    }

    #[test]
    fn every_guest_has_a_pvh_note() {
        for guest in BUILTINS {
            let found = guest.elf.windows(PVH_NOTE.len()).any(|window| window == PVH_NOTE);
            assert!(found, "{}", guest.name);
        }
    }

    #[test]
    fn guests_are_found_by_name() {
        assert_eq!(builtin("probe").map(|guest| guest.name), Some("probe"));
        assert!(builtin("no-such-guest").is_none());
    }
}
