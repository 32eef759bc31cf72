//! Keys that sign, and the head file that says how far a log has come.

use std::fs;
use std::io;
use std::path::Path;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use super::chain::Hash;
use crate::hex::{hex, unhex};
use crate::keys::{beside, found, signing_key, write};

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

/// The signing key of a log, `LOG.key`; its public half is in `LOG.pub`, to be kept elsewhere.
pub(super) fn open_key(log: &Path, has_signed: bool) -> io::Result<SigningKey> {
    signing_key(&beside(log, ".key"), &beside(log, ".pub"), has_signed)
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
        let text = found(fs::read_to_string(beside(log, ".head")))?;
        let Some(text) = text else { return Ok(None) };
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
        write(&beside(log, ".head"), text.as_bytes())
    }
}
