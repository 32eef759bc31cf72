//! A snapshot on disk: a folder with `manifest.json`, `memory`, `state` and an `overlay-N` for each
//! volume that forgets what is written to it. Folder and files are for their owner only (0700, 0600).
//! A folder takes its name once all of it is there, the manifest last, so that a snapshot whose making
//! was cut short is never taken for one.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::extents::{PAGE_BYTES, data, length};
use crate::line::{MAX_OVERLAYS, Set};
use crate::manifest::{Difference, FORMAT, Files, Machine, Manifest, Part};

const MANIFEST: &str = "manifest.json";
const MEMORY: &str = "memory";
const STATE: &str = "state";
/// The longest manifest that is read, in bytes; a true one has some thousand.
const MAX_MANIFEST_BYTES: u64 = 64 << 10;
/// The longest state, in bytes: a machine of 64 processors has less.
pub const MAX_STATE_BYTES: u64 = 64 << 20;
/// Bytes that are read and looked through at once.
const STEP_BYTES: usize = 256 << 10;
/// What nobody but the owner may have.
const OTHERS: u32 = 0o077;

/// Why a snapshot cannot be made or used. Each names its folder or file.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is none of this name.
    #[error("There is no snapshot {}. A script makes one by: save GUEST NAME", .0.display())]
    Absent(PathBuf),
    /// A file cannot be made, read or written.
    #[error("Cannot {what} {}: {source}", path.display())]
    File {
        /// Make, read, write.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("Others than their owner may use {}, which holds data of one class. `chmod -R go= {}`", .0.display(), .0.display())]
    Open(PathBuf),
    /// The manifest is none.
    #[error("{} is no manifest of a snapshot: {why}. Make the snapshot anew", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Another format.
    #[error("Snapshot {} has format {format}, and this program reads {FORMAT}. Make it anew", path.display())]
    Format {
        /// The folder.
        path: PathBuf,
        /// Its format.
        format: u32,
    },
    /// It is of another machine.
    #[error("Snapshot {} is not of this guest: {difference}. Make it anew, or by another name", path.display())]
    Differs {
        /// The folder.
        path: PathBuf,
        /// What differs.
        difference: Difference,
    },
    /// A file is not as long as it was.
    #[error("{} has {bytes} bytes and had {kept}: it was cut or grew. Make the snapshot anew", path.display())]
    Length {
        /// The file.
        path: PathBuf,
        /// As it is.
        bytes: u64,
        /// As it was.
        kept: u64,
    },
    /// A file's bytes are others than they were.
    #[error("{} was changed after the snapshot was made: its SHA-256 is another. Make it anew", .0.display())]
    Changed(PathBuf),
}

type Result<T> = std::result::Result<T, FolderError>;

fn fault(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FolderError {
    let path = path.to_path_buf();
    move |source| FolderError::File { what, path, source }
}

/// The name of the file of the overlay in this place.
fn overlay(index: usize) -> String {
    format!("overlay-{index}")
}

/// A snapshot that is being made. Dropping it before [`Folder::finish`] leaves nothing.
#[derive(Debug)]
pub struct Folder {
    /// Where it will be, and where it is until then.
    path: PathBuf,
    working: PathBuf,
    machine: Machine,
    finished: bool,
}

/// A snapshot that was looked through and may start its guest.
#[derive(Debug)]
pub struct Opened {
    /// Its files, for reading.
    pub files: Set,
}

impl Folder {
    /// Makes a folder beside `path`, with empty files: memory of the machine's size, and overlays of
    /// these many bytes.
    ///
    /// # Errors
    /// `File`.
    pub fn begin(path: &Path, machine: Machine, overlays: &[u64]) -> Result<(Self, Set)> {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        if !parent.exists() {
            make_folder(parent)?;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let working = parent.join(format!(".{name}.{}.saving", std::process::id()));
        // What an earlier process of this number left behind is of no use to anybody.
        let _none = fs::remove_dir_all(&working);
        make_folder(&working)?;
        let folder = Self { path: path.to_path_buf(), working, machine, finished: false };
        let memory_bytes = u64::from(folder.machine.memory_mib) << 20;
        let files = Set {
            memory: folder.make(MEMORY, memory_bytes)?,
            state: folder.make(STATE, 0)?,
            overlays: (overlays.iter().enumerate())
                .map(|(index, bytes)| folder.make(&overlay(index), *bytes))
                .collect::<Result<_>>()?,
        };
        Ok((folder, files))
    }

    fn make(&self, name: &str, bytes: u64) -> Result<File> {
        let path = self.working.join(name);
        let mut options = File::options();
        let made = options.read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = made.map_err(fault("make", &path))?;
        file.set_len(bytes).map_err(fault("make", &path))?;
        Ok(file)
    }

    /// Writes the manifest, and gives the folder its name; one that has it goes.
    ///
    /// # Errors
    /// `File`; the folder of that name is then as it was, or gone.
    pub fn finish(mut self, files: &Set) -> Result<()> {
        let part =
            |file: &File, name: &str| part(file).map_err(fault("read", &self.working.join(name)));
        let overlays = files.overlays.iter().enumerate();
        let files = Files {
            memory: part(&files.memory, MEMORY)?,
            state: part(&files.state, STATE)?,
            overlays: overlays
                .map(|(index, file)| part(file, &overlay(index)))
                .collect::<Result<_>>()?,
        };
        let manifest = Manifest { format: FORMAT, machine: self.machine.clone(), files };
        let path = self.working.join(MANIFEST);
        let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from);
        let text = text.map_err(fault("write", &path))?;
        let file = self.make(MANIFEST, 0)?;
        file.write_all_at(&text, 0).map_err(fault("write", &path))?;
        if self.path.exists() {
            fs::remove_dir_all(&self.path).map_err(fault("replace", &self.path))?;
        }
        fs::rename(&self.working, &self.path).map_err(fault("make", &self.path))?;
        self.finished = true;
        Ok(())
    }

    /// Opens a snapshot for this machine, after a look at all that is in it.
    ///
    /// # Errors
    /// Any [`FolderError`].
    pub fn open(path: &Path, machine: &Machine) -> Result<Opened> {
        if !path.is_dir() {
            return Err(FolderError::Absent(path.to_path_buf()));
        }
        owner_only(path, &fs::metadata(path).map_err(fault("read", path))?)?;
        let manifest = read_manifest(&path.join(MANIFEST), path)?;
        machine
            .check(&manifest.machine)
            .map_err(|difference| FolderError::Differs { path: path.to_path_buf(), difference })?;
        let Files { memory, state, overlays } = manifest.files;
        let open = |name: &str, part: &Part| checked(&path.join(name), part);
        let overlays = overlays.iter().take(MAX_OVERLAYS).enumerate();
        let files = Set {
            memory: open(MEMORY, &memory)?,
            state: open(STATE, &state)?,
            overlays: overlays
                .map(|(index, part)| open(&overlay(index), part))
                .collect::<Result<_>>()?,
        };
        Ok(Opened { files })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            // What is left says by its name that it is nothing.
            let _left = fs::remove_dir_all(&self.working);
        }
    }
}

fn make_folder(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault("make", path))
}

fn owner_only(path: &Path, metadata: &fs::Metadata) -> Result<()> {
    if metadata.mode() & OTHERS == 0 { Ok(()) } else { Err(FolderError::Open(path.to_path_buf())) }
}

fn read_manifest(path: &Path, folder: &Path) -> Result<Manifest> {
    let why = |why: String| FolderError::Manifest { path: path.to_path_buf(), why };
    let file = File::open(path).map_err(fault("read", path))?;
    let metadata = file.metadata().map_err(fault("read", path))?;
    owner_only(path, &metadata)?;
    if metadata.len() > MAX_MANIFEST_BYTES {
        return Err(why(format!("it has {} bytes", metadata.len())));
    }
    let mut text = vec![0; usize::try_from(metadata.len()).unwrap_or(0)];
    file.read_exact_at(&mut text, 0).map_err(fault("read", path))?;
    // The format before the rest, which another one may have otherwise.
    let value: serde_json::Value =
        serde_json::from_slice(&text).map_err(|error| why(error.to_string()))?;
    let format = value.get("format").and_then(serde_json::Value::as_u64);
    let format = format.and_then(|format| u32::try_from(format).ok());
    match format {
        Some(FORMAT) => serde_json::from_value(value).map_err(|error| why(error.to_string())),
        Some(format) => Err(FolderError::Format { path: folder.to_path_buf(), format }),
        None => Err(why("it names no format".to_owned())),
    }
}

/// Opens a file that is as it was when the manifest was written.
fn checked(path: &Path, kept: &Part) -> Result<File> {
    let file = File::open(path).map_err(fault("read", path))?;
    let metadata = file.metadata().map_err(fault("read", path))?;
    owner_only(path, &metadata)?;
    let bytes = metadata.len();
    if bytes != kept.bytes {
        return Err(FolderError::Length { path: path.to_path_buf(), bytes, kept: kept.bytes });
    }
    let now = part(&file).map_err(fault("read", path))?;
    if now == *kept { Ok(file) } else { Err(FolderError::Changed(path.to_path_buf())) }
}

/// Length and digest of a file. Holes and pages of zeroes are the same to it: what copies a file may
/// make one of the other.
fn part(file: &File) -> io::Result<Part> {
    let bytes = file.metadata()?.len();
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP_BYTES];
    let mut at = 0;
    while let Some(extent) = data(file, at, bytes)? {
        // Whole pages, whatever a file system takes for the border of a hole.
        let page = length(PAGE_BYTES);
        let end = extent.start.saturating_add(extent.bytes).next_multiple_of(page).min(bytes);
        at = extent.start.saturating_sub(extent.start.checked_rem(page).unwrap_or(0));
        while at < end {
            let left = usize::try_from(end.saturating_sub(at)).unwrap_or(usize::MAX);
            let step = buffer.get_mut(..left.min(STEP_BYTES)).unwrap_or_default();
            file.read_exact_at(step, at)?;
            for page in step.chunks(PAGE_BYTES) {
                if page.iter().any(|byte| *byte != 0) {
                    hash.update(at.to_le_bytes());
                    hash.update(page);
                }
                at = at.saturating_add(length(page.len()));
            }
        }
    }
    Ok(Part { bytes, sha256: hex(&hash.finalize()) })
}

/// SHA-256 of what is read to its end, in hexadecimal.
///
/// # Errors
/// Of reading.
pub fn sha256(mut reader: impl io::Read) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::tests::machine;
    use std::os::unix::fs::PermissionsExt;

    /// A snapshot with a page of sevens in a memory of 64 MiB.
    fn made(folder: &Path) -> PathBuf {
        let path = folder.join("kept/one");
        let (folder, files) = Folder::begin(&path, machine(), &[8192]).unwrap();
        files.memory.write_all_at(&[7; 4096], 1 << 20).unwrap();
        files.state.write_all_at(b"{}", 0).unwrap();
        folder.finish(&files).unwrap();
        path
    }

    fn refused(path: &Path) -> String {
        Folder::open(path, &machine()).unwrap_err().to_string()
    }

    #[test]
    fn what_was_kept_is_opened_and_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let mut page = [0; 4096];
        let opened = Folder::open(&path, &machine()).unwrap();
        opened.files.memory.read_exact_at(&mut page, 1 << 20).unwrap();
        assert_eq!((page, opened.files.overlays.len()), ([7; 4096], 1));
        for (name, mode) in [(".", 0o700), ("..", 0o700), ("memory", 0o600), (MANIFEST, 0o600)] {
            let found = fs::metadata(path.join(name)).unwrap().mode();
            assert_eq!(found & 0o777, mode, "{name}");
        }
        assert!(fs::metadata(path.join("memory")).unwrap().blocks() <= 16);
    }

    #[test]
    fn a_snapshot_takes_the_place_of_the_one_before_and_leaves_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        made(folder.path());
        let names: Vec<_> = fs::read_dir(path.parent().unwrap()).unwrap().collect();
        assert_eq!(names.len(), 1);
        drop(Folder::begin(&path, machine(), &[]).unwrap());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        Folder::open(&path, &machine()).unwrap();
    }

    #[test]
    fn a_name_that_is_not_there_says_how_one_is_made() {
        assert!(refused(Path::new("/nowhere/one")).contains("save GUEST NAME"));
    }

    #[test]
    fn one_flipped_byte_of_any_file_is_seen() {
        for name in [MEMORY, STATE, "overlay-0"] {
            let folder = tempfile::tempdir().unwrap();
            let path = made(folder.path());
            let file = File::options().write(true).open(path.join(name)).unwrap();
            file.write_all_at(&[1], if name == STATE { 0 } else { 5000 }).unwrap();
            let said = refused(&path);
            assert!(said.contains(name) && said.contains("was changed"), "{said}");
        }
    }

    #[test]
    fn a_file_that_was_cut_or_is_gone_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let file = File::options().write(true).open(path.join(MEMORY)).unwrap();
        file.set_len(1 << 20).unwrap();
        let said = refused(&path);
        assert!(said.contains("has 1048576 bytes and had 67108864"), "{said}");
        fs::remove_file(path.join(MEMORY)).unwrap();
        assert!(refused(&path).contains("Cannot read"));
    }

    #[test]
    fn one_that_others_may_read_is_refused_with_the_mend() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        for name in [MEMORY, MANIFEST, "."] {
            let file = path.join(name);
            let mode = fs::metadata(&file).unwrap().permissions();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode.mode() | 0o004)).unwrap();
            assert!(refused(&path).contains("chmod -R go="));
            fs::set_permissions(&file, mode).unwrap();
        }
        Folder::open(&path, &machine()).unwrap();
    }

    #[test]
    fn a_manifest_that_is_none_and_one_of_another_format_are_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = made(folder.path());
        let manifest = path.join(MANIFEST);
        let text = fs::read_to_string(&manifest).unwrap();
        for (now, words) in [
            (
                text.replace("\"format\": 1", "\"format\": 2"),
                "has format 2, and this program reads 1",
            ),
            (text[..text.len() / 2].to_owned(), "is no manifest"),
            ("[]".to_owned(), "it names no format"),
            (text.replace("\"vcpus\"", "\"cpus\""), "unknown field"),
            (" ".repeat(70_000), "it has 70000 bytes"),
        ] {
            fs::write(&manifest, now).unwrap();
            let said = refused(&path);
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn holes_and_zeroes_have_the_same_digest() {
        let (one, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        for file in [&one, &other] {
            file.set_len(1 << 20).unwrap();
            file.write_all_at(&[9; 100], 70_000).unwrap();
        }
        other.write_all_at(&[0; 8192], 4096).unwrap();
        assert_eq!(part(&one).unwrap(), part(&other).unwrap());
        other.write_all_at(&[1], 4096).unwrap();
        assert_ne!(part(&one).unwrap(), part(&other).unwrap());
    }
}
