//! Files that are their owner's alone, such as keys and passwords: the one place that says who may
//! read them, how they are replaced, and when a key may be made. None is ever guessed anew.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use super::hex::{hex, unhex};
use super::image::regular;

/// None is longer, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// The text of such a file; `None` if there is none.
///
/// # Errors
/// If it cannot be read, or others can read or write it.
pub fn read(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    let Some(file) = found(regular(path, OFlags::RDONLY))? else { return Ok(None) };
    let file = file.ok_or_else(|| io::Error::other("it is not a regular file"))?;
    let is = file.metadata()?;
    if is.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read or write it. Give it mode 0600"));
    }
    // Root's own cannot have been written by anybody else either.
    if is.uid() != 0 && is.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user. Give it to yours by chown"));
    }
    if is.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is longer than any. Move it away"));
    }
    // With room for all of it, so that growing leaves no copy behind.
    let room = usize::try_from(MAX_FILE_BYTES).unwrap_or(0);
    let mut text = Zeroizing::new(String::with_capacity(room));
    file.take(MAX_FILE_BYTES).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// What there is, or `None` if it is not there.
pub(super) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Makes or replaces such a file, whole or not at all. It is on the disk when this returns.
///
/// # Errors
/// What the file system gave.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = beside(path, ".new");
    // One that a cut left, or that somebody put there, may be anybody's to read.
    found(fs::remove_file(&fresh))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    flush_folder(path)
}

/// Flushes the folder of a file: before that, a name in it may be gone after a cut.
pub(super) fn flush_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path)).and_then(|folder| folder.sync_all())
}

/// The folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Makes a folder that others cannot look into, and those above it. One that is there stays as it is.
pub(super) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Begins a file that only its owner reads, or empties it.
pub(super) fn begin(path: &Path) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
    // An earlier one may have been made with another mode.
    file.set_permissions(Permissions::from_mode(0o600))
}

/// A file beside another: its name, and this ending.
#[must_use]
pub fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The signing key in `secret`, and in `public` its public half, both as 64 hexadecimal digits and a
/// line feed. They are made only where nothing was signed yet: a new key in the place of one that is
/// lost would make all that it signed look forged, or hide that it was.
pub(super) fn signing_key(
    secret: &Path,
    public: &Path,
    has_signed: bool,
) -> io::Result<SigningKey> {
    let known = found(fs::read_to_string(public))?;
    let none = || {
        io::Error::other(
            "the key is none: it is not 64 hexadecimal digits. Put the right one back, or move all \
             that it signed and its public half away with it to begin anew",
        )
    };
    let text = read(secret)
        .map_err(|error| if error.kind() == ErrorKind::InvalidData { none() } else { error })?;
    let seed = match text {
        Some(text) => unhex::<32>(text.trim_end()).map(Zeroizing::new).ok_or_else(none)?,
        None if has_signed || known.is_some() => {
            return Err(io::Error::other(
                "the key is missing, and what it signed or its public half is there. Put it back, \
                 or move all of them away to begin anew",
            ));
        }
        None => {
            let mut seed = Zeroizing::new([0; 32]);
            random(seed.as_mut_slice())?;
            let text = Zeroizing::new(format!("{}\n", hex(seed.as_slice())));
            write(secret, text.as_bytes())?;
            seed
        }
    };
    let key = SigningKey::from_bytes(&seed);
    let half = hex(key.verifying_key().as_bytes());
    match known {
        Some(known) if known.trim_end() == half => {}
        Some(_) => return Err(io::Error::other("the public half is that of another key")),
        None => write(public, format!("{half}\n").as_bytes())?,
    }
    Ok(key)
}

/// Fills a buffer from the kernel's generator.
pub(super) fn random(buffer: &mut [u8]) -> io::Result<()> {
    let flags = rustix::rand::GetRandomFlags::empty();
    // Up to 256 bytes come whole (getrandom(2)).
    if rustix::rand::getrandom(&mut *buffer, flags)? == buffer.len() {
        Ok(())
    } else {
        Err(io::Error::other("The kernel gave too few random bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn a_file_is_its_owners_alone_and_one_that_others_have_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        assert!(read(&path).unwrap().is_none());
        // What a cut left behind, for all to read.
        fs::write(beside(&path, ".new"), "x").unwrap();

        write(&path, b"words").unwrap();

        assert_eq!((mode(&path), read(&path).unwrap().unwrap().as_str()), (0o600, "words"));
        assert!(!beside(&path, ".new").exists());
        for open in [0o640, 0o604, 0o620, 0o602] {
            fs::set_permissions(&path, Permissions::from_mode(open)).unwrap();
            let refused = read(&path).unwrap_err();
            assert!(refused.to_string().contains("0600"), "{open:o}: {refused}");
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        if std::os::unix::fs::chown(&path, Some(4711), None).is_ok() {
            let refused = read(&path).unwrap_err();
            assert!(refused.to_string().contains("another user"), "{refused}");
        }
        fs::write(&path, vec![b'x'; 70_000]).unwrap();
        assert!(read(&path).is_err());
    }

    #[test]
    fn a_log_that_is_begun_is_private_whatever_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("state/tabard");
        make_folder(&logs).unwrap();
        assert_eq!((mode(&logs), mode(super::folder(&logs))), (0o700, 0o700));
        let path = logs.join("a.serial");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        begin(&path).unwrap();
        assert_eq!((mode(&path), fs::read(&path).unwrap()), (0o600, Vec::new()));
    }

    #[test]
    fn a_key_is_made_once_and_never_again() {
        let folder = tempfile::tempdir().unwrap();
        let (secret, public) = (folder.path().join("key"), folder.path().join("pub"));
        let open = |has_signed| signing_key(&secret, &public, has_signed);
        let words = |has_signed| open(has_signed).unwrap_err().to_string();
        assert!(words(true).contains("missing"));
        let key = open(false).unwrap();
        assert_eq!(open(true).unwrap(), key);
        assert_eq!(mode(&secret), 0o600);
        // A public half that is missing can be told from the key.
        fs::remove_file(&public).unwrap();
        assert_eq!(open(true).unwrap(), key);

        let text = fs::read(&secret).unwrap();
        fs::remove_file(&secret).unwrap();
        assert!(words(false).contains("missing"));
        write(&secret, format!("{}\n", hex(&[7; 32])).as_bytes()).unwrap();
        assert!(words(false).contains("another key"));
        write(&secret, &text[1..]).unwrap();
        assert!(words(false).contains("is none"));
        write(&secret, &text).unwrap();
        assert_eq!(open(false).unwrap(), key);
    }
}
