//! The images of volumes as descriptors: opened once, at the start, with no more rights than the
//! guest has, and locked by the one that writes. Of their contents only the marks of other formats are
//! looked for: a guest that took such a file for its disk would destroy it.

use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FlockOperation, OFlags, StatxFlags, fcntl_getfl, fcntl_setfl, flock, fstatfs, statx,
};

use super::desk::{Access, Attachment, Desk};
use super::image::{ImageError, open_file};
use super::memory::zeroes;

/// Bytes of a sector of a guest's disk, whatever the image.
const SECTOR_BYTES: u64 = 512;
/// Bytes of a block of an image that is read and written past the page cache.
const BLOCK_BYTES: u64 = 4096;
/// Kinds of file systems that are nothing but page cache: tmpfs and ramfs.
const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
/// Bytes that an overlay keeps together.
const CLUSTER_BYTES: u64 = 4096;
const MIB: u64 = 1 << 20;

/// Why a volume cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// The image cannot be opened, is empty, or is no file.
    #[error("{}", .0.with("Mend its path, or make an image with `truncate -s 1G FILE`"))]
    Image(#[from] ImageError),
    /// It is no raw image, and nothing says that it is to be taken for one.
    #[error("{} is an image of the format {format}, and a guest would destroy it. Convert it with `qemu-img convert -O raw {} NEW`, or write format = \"raw\" if a guest made it so on its own disk", path.display(), path.display())]
    Format {
        /// The image.
        path: PathBuf,
        /// Its format.
        format: &'static str,
    },
    /// Its size is no whole number of sectors, or of blocks where guests of several classes reach it.
    #[error("{} has {bytes} bytes, which is no disk: it needs whole sectors of {step}. Is it cut short? `truncate -s %{step} FILE` fills the last one up", path.display())]
    Size {
        /// The image.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// What it needs to be a multiple of.
        step: u64,
    },
    /// Guests of several classes reach it, and it can be had by the page cache only.
    #[error("{} is for guests of more than one class, and its file system reads and writes only through the host's page cache, by which one sees what another reads. Give each class an image of its own, or move this one to a file system with direct I/O, such as ext4, XFS or Btrfs", .0.display())]
    Cached(PathBuf),
    /// Another guest or program has locked it to write.
    #[error("{} is in use by another tabard or program that writes it. End that one first", .0.display())]
    InUse(PathBuf),
    /// The image is another volume too, or something else that the desk names.
    #[error("{} is also {other}: one file has one label, and what a guest writes decides nothing else. Take one of the two out", path.display())]
    SameFile {
        /// The image.
        path: PathBuf,
        /// What else it is.
        other: String,
    },
}

/// Refuses images that cannot be used, and one file under two names, which could have two labels,
/// or be what another guest boots.
/// Nothing is locked.
///
/// # Errors
/// Line of the desk file and cause, for each volume.
pub(crate) fn check(desk: &Desk) -> Result<(), Vec<(usize, String)>> {
    let mut seen = others(desk);
    let mut faults = Vec::new();
    for (index, volume) in desk.volumes.iter().enumerate() {
        let path = desk.base.join(&volume.path);
        let checked =
            image(&path, false, volume.raw, is_shared(desk, index)).and_then(|(_, metadata)| {
                let identity = (metadata.dev(), metadata.ino());
                if let Some((_, other)) = seen.iter().find(|(other, _)| *other == identity) {
                    return Err(VolumeError::SameFile { path, other: other.clone() });
                }
                seen.push((identity, format!("the volume {:?}", volume.name)));
                Ok(())
            });
        if let Err(error) = checked {
            faults.push((volume.line, format!("Volume {:?}: {error}", volume.name)));
        }
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// Device and inode of every other file of the desk, and what it is. A name that is no file yet
/// is no volume either.
fn others(desk: &Desk) -> Vec<((u64, u64), String)> {
    let at = |path: &Path| desk.base.join(path);
    let mut files = vec![
        (desk.file.clone(), "the desk file".to_owned()),
        (at(&desk.users.passwords), "the password file".to_owned()),
    ];
    files.extend(desk.audit.file.iter().map(|file| (at(file), "the audit log".to_owned())));
    for guest in &desk.guests {
        let images =
            [Some(Path::new(&guest.kernel)), guest.initrd.as_deref()].into_iter().flatten();
        files.extend(images.map(|path| (at(path), format!("what {:?} boots", guest.name))));
    }
    let identity = |path: PathBuf| std::fs::metadata(path).map(|found| (found.dev(), found.ino()));
    files.into_iter().filter_map(|(path, what)| Some((identity(path).ok()?, what))).collect()
}

/// Marks of formats that are not raw, and where they stand.
const FORMATS: [(&str, u64, &[u8]); 7] = [
    ("qcow2", 0, b"QFI\xfb"),
    ("VMDK", 0, b"KDMV"),
    ("VMDK", 0, b"COWD"),
    ("VMDK", 0, b"# Disk DescriptorFile"),
    ("VDI", 64, b"\x7f\x10\xda\xbe"),
    ("VHD", 0, b"conectix"),
    ("VHDX", 0, b"vhdxfile"),
];

/// The format of an image that is not raw. A VHD of fixed size has its mark in the last sector.
fn format(image: &File, bytes: u64) -> Option<&'static str> {
    let footer = ("VHD", bytes.saturating_sub(SECTOR_BYTES), &b"conectix"[..]);
    let is = |(at, mark): (u64, &[u8])| {
        let mut found = vec![0; mark.len()];
        image.read_exact_at(&mut found, at).is_ok() && found == mark
    };
    let formats = FORMATS.into_iter().chain([footer]);
    formats.into_iter().find(|(_, at, mark)| is((*at, mark))).map(|(name, ..)| name)
}

/// Whether guests of more than one class reach a volume: in the host's page cache each would see by
/// the time that a read takes what the others have read.
fn is_shared(desk: &Desk, volume: usize) -> bool {
    let reach = desk.guests.iter().filter(|guest| guest.volumes.iter().any(|a| a.volume == volume));
    let mut classes = reach.map(|guest| desk.labels.get(guest.label).map(|label| label.class));
    let first = classes.next();
    classes.any(|class| Some(class) != first)
}

/// Opens an image, past the page cache if it is shared, and asks for its identity and size.
fn image(
    path: &Path,
    write: bool,
    raw: bool,
    shared: bool,
) -> Result<(File, Metadata), VolumeError> {
    let file = open_file(path, write)?;
    let fault = |source| ImageError::Open { path: path.to_path_buf(), source };
    let metadata = file.metadata().map_err(fault)?;
    if let Some(format) = format(&file, metadata.len()).filter(|_| !raw) {
        return Err(VolumeError::Format { path: path.to_path_buf(), format });
    }
    // From here on, because what was looked for does not stand in whole blocks.
    if shared && !go_past_cache(&file) {
        return Err(VolumeError::Cached(path.to_path_buf()));
    }
    let step = if shared { BLOCK_BYTES } else { SECTOR_BYTES };
    if !metadata.len().is_multiple_of(step) {
        return Err(VolumeError::Size { path: path.to_path_buf(), bytes: metadata.len(), step });
    }
    Ok((file, metadata))
}

/// Reads and writes of this file go past the page cache from now on; `false` where `O_DIRECT`, which
/// every file system may take and then not heed, is not heeded.
fn go_past_cache(file: &File) -> bool {
    let direct = fcntl_getfl(file).and_then(|flags| fcntl_setfl(file, flags | OFlags::DIRECT));
    let asked = statx(file, c"", AtFlags::EMPTY_PATH, StatxFlags::DIOALIGN);
    // Not every kernel and file system says it.
    let unsaid = |mask: u32| mask & StatxFlags::DIOALIGN.bits() == 0;
    direct.is_ok()
        && fstatfs(file).is_ok_and(|found| !IN_MEMORY.contains(&found.f_type))
        && asked.is_ok_and(|told| unsaid(told.stx_mask) || told.stx_dio_offset_align != 0)
}

/// A volume of one guest.
#[derive(Debug)]
pub(crate) struct Volume {
    image: File,
    pub(crate) access: Access,
    bytes: u64,
}

impl Volume {
    /// Opens a volume for a guest, and locks it if the guest may write.
    ///
    /// Readers take no lock: if they did, a guest of a higher class could keep one of a lower
    /// class from starting, and so tell it something.
    ///
    /// # Errors
    /// Any [`VolumeError`] but `SameFile`.
    pub(crate) fn open(
        desk: &Desk,
        attachment: Attachment,
        lock: bool,
    ) -> Option<Result<Self, VolumeError>> {
        let spec = desk.volumes.get(attachment.volume)?;
        let path = desk.base.join(&spec.path);
        let write = attachment.access == Access::Write;
        let shared = is_shared(desk, attachment.volume);
        Some(image(&path, write, spec.raw, shared).and_then(|(image, metadata)| {
            if write && lock && flock(&image, FlockOperation::NonBlockingLockExclusive).is_err() {
                return Err(VolumeError::InUse(path));
            }
            Ok(Self { image, access: attachment.access, bytes: metadata.len() })
        }))
    }

    /// The image for a process; a lock stays while any copy of the descriptor is open.
    pub(crate) fn image(&self) -> io::Result<OwnedFd> {
        self.image.try_clone().map(OwnedFd::from)
    }

    /// An empty memory file for what a disposable guest writes, for each start a new one. It never
    /// grows, so what a guest writes takes at most as much memory as the guest itself.
    pub(crate) fn overlay(&self, memory_mib: u32) -> io::Result<OwnedFd> {
        let most = u64::from(memory_mib).saturating_mul(MIB);
        let bytes = self.bytes.div_ceil(CLUSTER_BYTES).saturating_mul(CLUSTER_BYTES).min(most);
        zeroes("tabard-overlay", bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(folder: &Path) -> Desk {
        std::fs::write(folder.join("data.img"), [7; 8192]).unwrap();
        let text = "[desk]\nname = \"T\"\n[volumes.data]\npath = \"data.img\"\nlabel = \"WORK\"\n\
                    [guests.one]\nlabel = \"WORK\"\nkernel = \"builtin:probe\"\n";
        Desk::parse(text, &folder.join("desk.toml")).unwrap()
    }

    #[test]
    fn only_a_writer_gets_a_descriptor_that_writes() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        for (access, writes) in
            [(Access::Read, false), (Access::Copy, false), (Access::Write, true)]
        {
            let attachment = Attachment { volume: 0, access };
            let volume = Volume::open(&desk, attachment, false).unwrap().unwrap();
            let file = File::from(volume.image().unwrap());
            assert_eq!(file.write_at(&[1], 0).is_ok(), writes, "{access:?}");
        }
    }

    /// The flags of what each guest gets, for a volume that guests of these labels name.
    fn flags(folder: &Path, guests: [&str; 2]) -> Result<Vec<OFlags>, String> {
        let [one, two] = guests;
        let text = format!(
            "[desk]\nname = \"T\"\ntheme = \"us\"\n[volumes.data]\npath = \"data.img\"\n\
             label = \"UNCLASSIFIED\"\nmode = \"read-only\"\n\
             [guests.one]\nlabel = {one:?}\nkernel = \"builtin:probe\"\nvolumes = [\"data\"]\n\
             [guests.two]\nlabel = {two:?}\nkernel = \"builtin:probe\"\nvolumes = [\"data\"]\n"
        );
        let desk = Desk::parse(&text, &folder.join("desk.toml")).unwrap();
        check(&desk)
            .map_err(|faults| faults.into_iter().map(|(_, fault)| fault).collect::<String>())?;
        let open = |guest: &crate::desk::GuestSpec| {
            let volume = Volume::open(&desk, guest.volumes[0], true).unwrap().unwrap();
            rustix::fs::fcntl_getfl(volume.image().unwrap()).unwrap()
        };
        Ok(desk.guests.iter().map(open).collect())
    }

    #[test]
    fn a_volume_for_guests_of_several_classes_goes_past_the_page_cache() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::write(folder.path().join("data.img"), [7; 8192]).unwrap();
        for (guests, past) in [
            (["UNCLASSIFIED", "SECRET"], true),
            (["SECRET", "SECRET//ALPHA"], true),
            (["SECRET", "SECRET"], false),
        ] {
            let flags = flags(folder.path(), guests).unwrap();
            assert!(flags.iter().all(|flags| flags.contains(OFlags::DIRECT) == past), "{flags:?}");
        }
    }

    #[test]
    fn a_shared_volume_that_cannot_go_past_the_page_cache_is_refused_with_the_mend() {
        // On every Linux this is a file system in memory.
        let folder = tempfile::tempdir_in("/dev/shm").unwrap();
        std::fs::write(folder.path().join("data.img"), [7; 8192]).unwrap();

        let refused = flags(folder.path(), ["UNCLASSIFIED", "SECRET"]).unwrap_err();

        assert!(refused.contains("data.img") && refused.contains("page cache"), "{refused}");
        assert!(refused.contains("an image of its own") && refused.contains("ext4"), "{refused}");
        assert!(flags(folder.path(), ["SECRET", "SECRET"]).is_ok());
    }

    #[test]
    fn a_shared_volume_has_whole_blocks() {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        std::fs::write(folder.path().join("data.img"), [7; 8192 + 512]).unwrap();
        let refused = flags(folder.path(), ["UNCLASSIFIED", "SECRET"]).unwrap_err();
        assert!(refused.contains("`truncate -s %4096 FILE`"), "{refused}");
        assert!(flags(folder.path(), ["SECRET", "SECRET"]).is_ok());
    }

    #[test]
    fn an_image_of_another_format_is_refused_unless_the_desk_says_that_it_is_raw() {
        let folder = tempfile::tempdir().unwrap();
        let mut desk = desk(folder.path());
        let path = folder.path().join("data.img");
        let last = ("VHD", 8192 - SECTOR_BYTES, &b"conectix"[..]);
        for (name, at, mark) in FORMATS.into_iter().chain([last]) {
            std::fs::write(&path, [0; 8192]).unwrap();
            assert_eq!(check(&desk), Ok(()));
            File::options().write(true).open(&path).unwrap().write_all_at(mark, at).unwrap();
            let faults = check(&desk).unwrap_err();
            assert!(faults[0].1.contains(&format!("of the format {name}, ")), "{faults:?}");
            assert!(faults[0].1.contains("qemu-img convert -O raw"), "{faults:?}");
        }
        desk.volumes[0].raw = true;
        assert_eq!(check(&desk), Ok(()));
    }

    #[test]
    fn an_overlay_has_a_size_that_nobody_changes() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path());
        let attachment = Attachment { volume: 0, access: Access::Copy };
        let volume = Volume::open(&desk, attachment, false).unwrap().unwrap();

        let overlay = File::from(volume.overlay(16).unwrap());

        assert_eq!(overlay.metadata().unwrap().len(), 8192);
        assert!(overlay.set_len(8193).is_err() && overlay.set_len(0).is_err());
        assert_eq!(overlay.write_at(&[1], 0).unwrap(), 1);
    }
}
