//! A guest's memory to a file and back. In the file it lies in one piece, the part above the hole for
//! devices behind the part below it; pages of zeroes are holes.

use std::fs::File;
use std::os::unix::fs::FileExt;

use rustix::fs::{SeekFrom, seek};
use tabard_snapshot::{Refusal, data, put_page_runs};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryRegion};

use crate::memory::{GuestRam, MIB, file_bytes, ranges};

/// Bytes that are copied at once.
const STEP_BYTES: u64 = 1 << 20;

/// Writes memory that is nowhere but here.
///
/// # Errors
/// `File`.
pub fn keep(ram: &GuestRam, to: &File) -> Result<(), Refusal> {
    let mut buffer = vec![0; usize::try_from(STEP_BYTES).unwrap_or(0)];
    let mut offset = 0u64;
    for region in ram.iter() {
        let (mut at, end) =
            (region.start_addr().0, region.start_addr().0.saturating_add(region.len()));
        while at < end {
            let step = usize::try_from(end.saturating_sub(at).min(STEP_BYTES)).unwrap_or(0);
            let step = buffer.get_mut(..step).unwrap_or_default();
            ram.read_slice(step, GuestAddress(at)).map_err(|_| Refusal::Engine)?;
            put_page_runs(to, step, offset).map_err(|_| Refusal::File)?;
            at = at.saturating_add(STEP_BYTES);
            offset = offset.saturating_add(STEP_BYTES);
        }
    }
    Ok(())
}

/// Writes what a file of memory has, without touching what it has not.
///
/// # Errors
/// `File`.
pub fn copy(from: &File, to: &File) -> Result<(), Refusal> {
    let end = file_bytes(from).map_err(|_| Refusal::File)?;
    let mut buffer = vec![0; usize::try_from(STEP_BYTES).unwrap_or(0)];
    let mut at = 0;
    while let Some(extent) = data(from, at, end).map_err(|_| Refusal::File)? {
        at = extent.start;
        let until = extent.start.saturating_add(extent.bytes);
        while at < until {
            let step = usize::try_from(until.saturating_sub(at).min(STEP_BYTES)).unwrap_or(0);
            let step = buffer.get_mut(..step).unwrap_or_default();
            from.read_exact_at(step, at).map_err(|_| Refusal::File)?;
            put_page_runs(to, step, at).map_err(|_| Refusal::File)?;
            at = at.saturating_add(step.len() as u64);
        }
    }
    Ok(())
}

/// Reads memory that is all zeroes yet, for a machine of so many MiB.
///
/// # Errors
/// `File` if the file cannot be read or is not as long as the memory.
pub fn restore(ram: &GuestRam, mib: u32, from: &File) -> Result<(), Refusal> {
    if file_bytes(from).ok() != Some(u64::from(mib).saturating_mul(MIB)) {
        return Err(Refusal::File);
    }
    let mut offset = 0u64;
    let mut file = from;
    for (start, bytes) in ranges(mib) {
        let end = offset.saturating_add(bytes);
        let mut at = offset;
        while let Some(extent) = data(from, at, end).map_err(|_| Refusal::File)? {
            seek(from, SeekFrom::Start(extent.start)).map_err(|_| Refusal::File)?;
            let place = start.saturating_add(extent.start.saturating_sub(offset));
            let length = usize::try_from(extent.bytes).map_err(|_| Refusal::File)?;
            ram.read_exact_volatile_from(GuestAddress(place), &mut file, length)
                .map_err(|_| Refusal::File)?;
            at = extent.start.saturating_add(extent.bytes);
        }
        offset = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::allocate;

    #[test]
    fn memory_comes_back_and_untouched_pages_take_no_room() {
        use std::os::unix::fs::MetadataExt;
        let ram = allocate(32).unwrap();
        ram.write_slice(&[7; 5000], GuestAddress(123_456)).unwrap();
        ram.write_slice(&[8; 1], GuestAddress((32 << 20) - 1)).unwrap();
        let file = tempfile::tempfile().unwrap();
        file.set_len(32 << 20).unwrap();
        keep(&ram, &file).unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 <= 4 * 4096);

        let again = allocate(32).unwrap();
        restore(&again, 32, &file).unwrap();

        let mut bytes = [0; 5002];
        again.read_slice(&mut bytes, GuestAddress(123_455)).unwrap();
        assert_eq!((bytes[0], bytes[1], bytes[5000], bytes[5001]), (0, 7, 7, 0));
        let last: u8 = again.read_obj(GuestAddress((32 << 20) - 1)).unwrap();
        assert_eq!(last, 8);
        let other = tempfile::tempfile().unwrap();
        other.set_len(32 << 20).unwrap();
        copy(&file, &other).unwrap();
        let page = |file: &File| {
            let mut page = [0; 4096];
            file.read_exact_at(&mut page, 122_880).unwrap();
            page
        };
        assert_eq!(page(&file), page(&other));
    }

    #[test]
    fn memory_of_another_size_is_refused() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(16 << 20).unwrap();
        assert_eq!(restore(&allocate(32).unwrap(), 32, &file), Err(Refusal::File));
    }
}
