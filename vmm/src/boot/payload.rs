//! Takes the ELF file out of a bzImage, so that the guest's processor need not: an emulated one is
//! at it for seconds. The file is not believed: it costs bounded memory and ends in an error at worst.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use flate2::read::GzDecoder;
use lzma_rust2::{LzmaReader, XzReader};
use ruzstd::decoding::StreamingDecoder;

use super::header::Source;
use super::{BootError, MIB};

/// Most bytes of an ELF file: no kernel comes near.
const MAX_ELF_BYTES: u64 = 512 << 20;
/// What a decompressor may keep of the past: Linux compresses with windows of up to 128 MiB.
const MAX_WINDOW_KIB: u32 = 130 << 10;

/// Why the ELF file cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum PayloadError {
    /// Of the bzImage or of the ELF file: it names places outside, or no entry.
    #[error("Its header is of no use: {0}")]
    Header(#[from] BootError),
    /// Not gzip, LZMA, xz or zstd.
    #[error("Its compression is unknown ({0:#x})")]
    Method(u32),
    /// It says that it is larger than the machine, or this process has no memory for it.
    #[error("It would be {} MiB", .0.div_ceil(MIB))]
    TooLarge(u64),
    /// The data are broken, or need more memory than is allowed.
    #[error("It cannot be unpacked: {0}")]
    Broken(#[from] io::Error),
    /// It unpacks to less or more than it says, or not to an ELF file.
    #[error("What it unpacks to is no ELF file of the length that it names")]
    NotElf,
}

/// The payload's bytes, from the file.
struct Piece<'a> {
    file: &'a File,
    place: u64,
    end: u64,
}

impl Read for Piece<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end.saturating_sub(self.place)).unwrap_or(usize::MAX);
        let wanted = left.min(buffer.len());
        let read = self.file.read_at(buffer.get_mut(..wanted).unwrap_or_default(), self.place)?;
        self.place = self.place.saturating_add(u64::try_from(read).unwrap_or(u64::MAX));
        Ok(read)
    }
}

/// The ELF file in this bzImage, of at most `limit` bytes (`payload_offset` and `payload_length` of
/// the setup header, Linux `Documentation/arch/x86/boot.rst`). The kernel was judged: its protocol,
/// 2.12 or newer, has these fields.
///
/// # Errors
/// [`PayloadError`]; the bzImage can unpack itself all the same.
pub(super) fn elf_of(kernel: &File, limit: u64) -> Result<Vec<u8>, PayloadError> {
    let source = Source::of_file(kernel)?;
    let start = source.setup_end()?.saturating_add(source.u32(0x248)?.into());
    let end = start.saturating_add(source.u32(0x24c)?.into());
    source.need(end)?;
    // The build appends the length that it unpacks to; gzip ends in it anyway.
    let trailer = end.saturating_sub(4);
    let length = u64::from(source.u32(trailer)?);
    let mut elf = Vec::new();
    reserve(&mut elf, length, limit.min(MAX_ELF_BYTES))?;
    let piece = |end| BufReader::with_capacity(64 << 10, Piece { file: kernel, place: start, end });
    match source.bytes::<4>(start)? {
        [0xfd, b'7', b'z', b'X'] => {
            let packed = XzReader::new_mem_limit(piece(trailer), false, MAX_WINDOW_KIB);
            fill(&mut elf, length, packed)?;
        }
        [0x5d, 0, 0, _] => {
            let packed = LzmaReader::new_mem_limit(piece(trailer), MAX_WINDOW_KIB, None)?;
            fill(&mut elf, length, packed)?;
        }
        [0x28, 0xb5, 0x2f, 0xfd] => {
            // This one would panic where it finds no memory for its window.
            reserve(&mut Vec::new(), u64::from(MAX_WINDOW_KIB) << 10, u64::MAX)?;
            let packed = StreamingDecoder::new(piece(trailer)).map_err(io::Error::other)?;
            fill(&mut elf, length, packed)?;
        }
        [0x1f, 0x8b, ..] => fill(&mut elf, length, GzDecoder::new(piece(end)))?,
        other => return Err(PayloadError::Method(u32::from_be_bytes(other))),
    }
    if elf.starts_with(b"\x7fELF") { Ok(elf) } else { Err(PayloadError::NotElf) }
}

fn reserve(buffer: &mut Vec<u8>, length: u64, limit: u64) -> Result<(), PayloadError> {
    let too_large = || PayloadError::TooLarge(length);
    let bytes = usize::try_from(length).ok().filter(|_| length <= limit).ok_or_else(too_large)?;
    buffer.try_reserve_exact(bytes).map_err(|_| too_large())
}

/// Unpacks exactly `length` bytes into room that was reserved. The read behind them is where the
/// checksum is compared.
fn fill(elf: &mut Vec<u8>, length: u64, mut packed: impl Read) -> Result<(), PayloadError> {
    let read = packed.by_ref().take(length).read_to_end(elf)?;
    let whole = u64::try_from(read) == Ok(length) && packed.read(&mut [0])? == 0;
    if whole { Ok(()) } else { Err(PayloadError::NotElf) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use lzma_rust2::{FilterType, LzmaOptions, LzmaWriter, XzOptions, XzWriter};

    use super::super::tests::{file, with_payload};
    use super::*;

    const ELF: &[u8] = b"\x7fELF and calls: \xe8\0\0\0\0 \xe8\x10\0\0\0 \xe9\x20\0\0\0 end of it";

    /// As Linux compresses itself, with this dictionary.
    fn xz(bytes: &[u8], dictionary: u32) -> Vec<u8> {
        let mut options = XzOptions::default();
        options.lzma_options.dict_size = dictionary;
        options.prepend_pre_filter(FilterType::BcjX86, 0);
        let mut writer = XzWriter::new(Vec::new(), options).unwrap();
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    /// The payload with the length that it unpacks to behind it.
    fn named(mut payload: Vec<u8>, length: usize) -> Vec<u8> {
        payload.extend(u32::try_from(length).unwrap().to_le_bytes());
        payload
    }

    fn unpacked(payload: &[u8]) -> Result<Vec<u8>, PayloadError> {
        elf_of(&file(&with_payload(payload)), 1 << 20)
    }

    /// [`ELF`] by each method that is known.
    fn payloads() -> [(&'static str, Vec<u8>); 4] {
        let mut lzma =
            LzmaWriter::new_use_header(Vec::new(), &LzmaOptions::default(), None).unwrap();
        lzma.write_all(ELF).unwrap();
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        gzip.write_all(ELF).unwrap();
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        [
            ("xz", named(xz(ELF, 1 << 16), ELF.len())),
            ("lzma", named(lzma.finish().unwrap(), ELF.len())),
            ("zstd", named(ruzstd::encoding::compress_to_vec(ELF, level), ELF.len())),
            ("gzip", gzip.finish().unwrap()),
        ]
    }

    #[test]
    fn each_method_gives_the_file_back() {
        for (method, payload) in payloads() {
            let elf = unpacked(&payload);
            assert_eq!(elf.unwrap(), ELF, "{method}");
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_length_that_it_names() {
        let bomb = xz(&vec![0x7f; 4 << 20], 1 << 16);
        let lying = unpacked(&named(bomb.clone(), 4096));
        assert!(matches!(lying, Err(PayloadError::NotElf)), "{lying:?}");
        let honest = unpacked(&named(bomb, 4 << 20));
        assert!(matches!(honest, Err(PayloadError::TooLarge(0x40_0000))), "{honest:?}");
    }

    #[test]
    fn a_window_above_the_limit_is_refused() {
        let mut payload = xz(ELF, 1 << 16);
        // The last byte of the filter flags is the dictionary; 0x28 means 4 GiB (xz file format 5.3.1).
        let place = payload.windows(3).position(|bytes| bytes[..2] == [0x21, 1]).unwrap() + 2;
        payload[place] = 0x28;
        let sum = crc(&payload[12..20]);
        payload[20..24].copy_from_slice(&sum.to_le_bytes());
        let refused = unpacked(&named(payload, ELF.len()));
        assert!(matches!(refused, Err(PayloadError::Broken(_))), "{refused:?}");
    }

    fn crc(bytes: &[u8]) -> u32 {
        let mut crc = flate2::Crc::new();
        crc.update(bytes);
        crc.sum()
    }

    #[test]
    fn what_is_broken_or_unknown_is_an_error() {
        let [(_, xz), rest @ ..] = payloads();
        for place in 0..xz.len() - 4 {
            let mut payload = xz.clone();
            payload[place] ^= 0x10;
            assert!(unpacked(&payload).is_err(), "byte {place}");
        }
        for payload in [&b""[..], b"abc", b"\x02\x21\x4c\x18....", &xz[..xz.len() / 2]] {
            assert!(unpacked(payload).is_err(), "{payload:?}");
        }
        // Without a checksum, or with one that does not see it, some are as good as whole.
        for (method, payload) in rest {
            for bit in 0..payload.len() * 8 {
                let mut payload = payload.clone();
                payload[bit / 8] ^= 1 << (bit % 8);
                let elf = unpacked(&payload).unwrap_or_default();
                assert!(elf.len() <= 1 << 20, "{method}, bit {bit}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_payload_panics(
            magic in 0usize..4,
            bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200),
        ) {
            let magics: [&[u8]; 4] =
                [b"\xfd7zXZ\0\0\x01", b"\x5d\0\0\x01\0", b"\x28\xb5\x2f\xfd", b"\x1f\x8b\x08\0"];
            let _ = unpacked(&named([magics[magic], &bytes].concat(), 4096));
        }
    }

    /// `BZIMAGE=FILE cargo test -p tabard-vmm --lib -- --ignored --nocapture real`.
    #[test]
    #[ignore = "for a look by hand at a kernel of a distribution"]
    fn a_real_kernel_is_unpacked() {
        let kernel = File::open(std::env::var_os("BZIMAGE").unwrap()).unwrap();
        let start = std::time::Instant::now();
        let elf = elf_of(&kernel, MAX_ELF_BYTES).unwrap();
        println!("{} bytes in {:?}", elf.len(), start.elapsed());
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().filter(|line| line.starts_with("Vm")).for_each(|line| println!("{line}"));
    }
}
