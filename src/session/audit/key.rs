//! Keys that sign, and the head file that says how far a log has come.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use super::chain::{Hash, hex, unhex};

/// What is signed: that the record before number `n` has this hash, and with it all before.
fn statement(purpose: &str, n: u64, hash: &Hash) -> String {
    format!("tabard audit {purpose} 1\n{n}\n{}", hex(hash))
}

/// Signs a statement about a record.
pub(super) fn sign(key: &SigningKey, purpose: &str, n: u64, hash: &Hash) -> String {
    hex(&key.sign(statement(purpose, n, hash).as_bytes()).to_bytes())
}

/// Whether a signature is that of this key over this statement.
#[must_use]
pub fn signed(key: &VerifyingKey, purpose: &str, n: u64, hash: &Hash, signature: &str) -> bool {
    let signature = unhex::<64>(signature).map(|bytes| Signature::from_bytes(&bytes));
    let statement = statement(purpose, n, hash);
    signature.is_some_and(|it| key.verify_strict(statement.as_bytes(), &it).is_ok())
}

/// A file beside the log: `LOG.key`, `LOG.pub` or `LOG.head`.
#[must_use]
pub fn beside(log: &Path, ending: &str) -> PathBuf {
    let mut name = log.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// The signing key of a log or another file, made with mode 0600 if there is none; its public half
/// is in `LOG.pub`, to be kept elsewhere.
///
/// # Errors
/// What the file system gave; also if others may read the key, or it is none.
pub(in crate::session) fn open_key(log: &Path) -> io::Result<SigningKey> {
    let key = match File::open(beside(log, ".key")) {
        Ok(file) => read_key(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut seed = Zeroizing::new([0u8; 32]);
            random(seed.as_mut_slice())?;
            let text = Zeroizing::new(format!("{}\n", hex(seed.as_slice())));
            replace(log, ".key", text.as_bytes())?;
            SigningKey::from_bytes(&seed)
        }
        Err(error) => return Err(error),
    };
    if !beside(log, ".pub").exists() {
        let text = format!("{}\n", hex(key.verifying_key().as_bytes()));
        replace(log, ".pub", text.as_bytes())?;
    }
    Ok(key)
}

fn read_key(file: File) -> io::Result<SigningKey> {
    if file.metadata()?.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read its key. Give the key file mode 0600"));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.take(256).read_to_end(&mut bytes)?;
    // A key is 64 digits, or 32 bytes as they are.
    let digits = std::str::from_utf8(&bytes).ok().and_then(|text| unhex::<32>(text.trim_end()));
    let seed = digits.or_else(|| <[u8; 32]>::try_from(bytes.as_slice()).ok()).map(Zeroizing::new);
    let refuse = || io::Error::other("its key file holds no key. Move it away to have a new one");
    Ok(SigningKey::from_bytes(&*seed.ok_or_else(refuse)?))
}

/// Makes or replaces a file beside a log, mode 0600, whole or not at all.
fn replace(log: &Path, ending: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = beside(log, &format!("{ending}.new"));
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, beside(log, ending))
}

/// Fills a buffer from the kernel's generator.
///
/// # Errors
/// What the kernel gave.
pub fn random(buffer: &mut [u8]) -> io::Result<()> {
    let flags = rustix::rand::GetRandomFlags::empty();
    // Up to 256 bytes come whole (getrandom(2)).
    if rustix::rand::getrandom(&mut *buffer, flags)? == buffer.len() {
        Ok(())
    } else {
        Err(io::Error::other("The kernel gave too few random bytes"))
    }
}

/// How far a log had come when it was last closed or signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of the last record.
    pub n: u64,
    /// Its hash.
    pub hash: Hash,
    /// The signature over both.
    pub signature: String,
}

impl Head {
    /// Reads the head file of a log; `None` if there is none.
    ///
    /// # Errors
    /// If it cannot be read, or is no head file.
    pub fn read(log: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(beside(log, ".head")) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut words = text.split_whitespace();
        let mut head = || {
            let n = words.next()?.parse().ok()?;
            let hash = unhex(words.next()?)?;
            Some(Self { n, hash, signature: words.next()?.to_owned() })
        };
        head().map(Some).ok_or_else(|| io::Error::other("The head file is damaged"))
    }

    /// Replaces the head file, after the records that it speaks of are on the disk.
    pub(super) fn write(log: &Path, key: &SigningKey, n: u64, hash: &Hash) -> io::Result<()> {
        let text = format!("{n} {} {}\n", hex(hash), sign(key, "head", n, hash));
        replace(log, ".head", text.as_bytes())
    }
}
