//! The password file: one line a user, `NAME:argon2id:MEMORY:PASSES:LANES:SALT:HASH:PHRASE`.
//!
//! Passwords are hashed by Argon2id (RFC 9106) with the second of its recommended settings. The
//! file is read once, when the session starts: what is changed on the disk later counts from the
//! next start on.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hex::{hex, unhex};
use super::keys::{self, random};

/// Memory of one hash in KiB, passes and lanes: RFC 9106, section 4, second recommendation.
const SETTINGS: (u32, u32, u32) = (65_536, 3, 4);
/// The most memory in KiB that a file may ask for: a damaged one must not exhaust the host.
const MAX_MEMORY_KIB: u32 = 1_048_576;
/// Shortest password, in characters.
const MIN_PASSWORD_CHARS: usize = 8;

/// What is wrong with a password file.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// It cannot be read, or others can: they would read phrases, or write passwords of their own.
    #[error("Cannot use the password file {0:?}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// It is not there.
    #[error("There is no password file {0:?}. `tabard passwd FILE USER` makes one")]
    None(PathBuf),
    /// A line that is none.
    #[error(
        "Line {1} of the password file {0:?} cannot be read. Make it anew with `tabard passwd`"
    )]
    Line(PathBuf, usize),
    /// A user of the desk who could never log in.
    #[error("User {1:?} is not in the password file {0:?}. `tabard passwd FILE USER` adds one")]
    Missing(PathBuf, String),
}

/// Why a password cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It could not be typed on the lock screen.
    #[error(
        "A password has {MIN_PASSWORD_CHARS} to {} printable ASCII characters: the lock screen \
         reads a US keyboard",
        tabard_trusted_path::MAX_PASSWORD_CHARS
    )]
    Unusable,
    /// The phrase.
    #[error("A phrase has at most 80 printable ASCII characters")]
    Phrase,
    /// The name.
    #[error("A user's name has printable ASCII characters and no colon")]
    Name,
    /// No random bytes, or not enough memory.
    #[error("Cannot hash the password: {0}")]
    Hash(String),
}

/// One user's line.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// The name.
    pub name: String,
    /// The personal phrase; may be empty.
    pub phrase: String,
    settings: (u32, u32, u32),
    salt: [u8; 16],
    hash: [u8; 32],
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Account {
    /// A user with this password and phrase.
    ///
    /// # Errors
    /// [`PasswordError`].
    pub fn new(name: &str, password: &[u8], phrase: &str) -> Result<Self, PasswordError> {
        let length = MIN_PASSWORD_CHARS..=tabard_trusted_path::MAX_PASSWORD_CHARS;
        let typed = password.iter().all(|byte| (b' '..=b'~').contains(byte));
        if !length.contains(&password.len()) || !typed {
            return Err(PasswordError::Unusable);
        }
        if tabard_labels::check_text(name).is_err() || name.contains(':') {
            return Err(PasswordError::Name);
        }
        if !phrase.is_empty() && tabard_labels::check_text(phrase).is_err() {
            return Err(PasswordError::Phrase);
        }
        let mut salt = [0; 16];
        random(&mut salt).map_err(|error| PasswordError::Hash(error.to_string()))?;
        let (name, phrase) = (name.to_owned(), phrase.to_owned());
        let mut account = Self { name, phrase, settings: SETTINGS, salt, hash: [0; 32] };
        account.hash = *account
            .hashed(password)
            .ok_or_else(|| PasswordError::Hash("there is too little memory for it".to_owned()))?;
        Ok(account)
    }

    /// Whether this is the user's password. Takes a part of a second, and the same time whatever
    /// is wrong.
    #[must_use]
    pub fn is_right(&self, password: &[u8]) -> bool {
        self.hashed(password).is_some_and(|hash| bool::from(hash.ct_eq(&self.hash)))
    }

    fn hashed(&self, password: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let (memory_kib, passes, lanes) = self.settings;
        let params = Params::new(memory_kib, passes, lanes, Some(32)).ok()?;
        let mut hash = Zeroizing::new([0; 32]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2.hash_password_into(password, &self.salt, hash.as_mut_slice()).ok()?;
        Some(hash)
    }

    /// Its line, without a line feed.
    #[must_use]
    pub fn line(&self) -> String {
        let (memory, passes, lanes) = self.settings;
        let (name, phrase) = (&self.name, &self.phrase);
        let (salt, hash) = (hex(&self.salt), hex(&self.hash));
        format!("{name}:argon2id:{memory}:{passes}:{lanes}:{salt}:{hash}:{phrase}")
    }

    /// Reads a line.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let mut parts = line.splitn(8, ':');
        let name = parts.next().filter(|name| tabard_labels::check_text(name).is_ok())?.to_owned();
        parts.next().filter(|kind| *kind == "argon2id")?;
        let mut number = || parts.next()?.parse::<u32>().ok();
        let settings = (number()?, number()?, number()?);
        let (salt, hash) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
        let phrase = parts.next()?.to_owned();
        let good = phrase.is_empty() || tabard_labels::check_text(&phrase).is_ok();
        let sane = settings.0 <= MAX_MEMORY_KIB && settings.1 <= 64;
        (good && sane).then_some(Self { name, phrase, settings, salt, hash })
    }
}

/// Reads the whole file.
///
/// # Errors
/// [`AccountsError`].
pub fn read_accounts(path: &Path) -> Result<Vec<Account>, AccountsError> {
    let failed = |error| AccountsError::File(path.to_path_buf(), error);
    let text = keys::read(path).map_err(failed)?;
    let text = text.ok_or_else(|| AccountsError::None(path.to_path_buf()))?;
    let line = |(index, line): (usize, &str)| {
        let number = index.saturating_add(1);
        Account::parse(line).ok_or_else(|| AccountsError::Line(path.to_path_buf(), number))
    };
    text.lines().enumerate().map(line).collect()
}

/// The accounts of these users, in their order.
///
/// # Errors
/// [`AccountsError`], also if one of them is missing.
pub(super) fn accounts_of<'u>(
    path: &Path,
    users: impl Iterator<Item = &'u str>,
) -> Result<Vec<Account>, AccountsError> {
    let all = read_accounts(path)?;
    let find = |name: &str| {
        let account = all.iter().find(|account| account.name == name).cloned();
        account.ok_or_else(|| AccountsError::Missing(path.to_path_buf(), name.to_owned()))
    };
    users.map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_is_right_and_the_line_reads_back() {
        let account = Account::new("ann", b"correct horse", "rain: on tin").unwrap();
        let read = Account::parse(&account.line()).unwrap();
        assert!(read == account && read.phrase == "rain: on tin");
        assert!(read.is_right(b"correct horse"));
        assert!(!read.is_right(b"correct horsf") && !read.is_right(b""));
        assert!(!format!("{account:?}").contains("rain"));
    }

    #[test]
    fn two_hashes_of_one_password_differ() {
        let hash = || Account::new("ann", b"correct horse", "").unwrap().hash;
        assert_ne!(hash(), hash());
    }

    #[test]
    fn what_cannot_be_typed_or_stored_is_refused() {
        for bad in ["short", "b\u{fc}rokratie", "a tab\tin it", &"x".repeat(129)] {
            let refused = Account::new("ann", bad.as_bytes(), "");
            assert!(matches!(refused, Err(PasswordError::Unusable)), "{bad}");
        }
        assert!(matches!(Account::new("a:b", b"12345678", ""), Err(PasswordError::Name)));
        assert!(matches!(Account::new("a", b"12345678", "\u{202e}"), Err(PasswordError::Phrase)));
    }

    #[test]
    fn a_damaged_line_is_no_account() {
        let good = Account::new("ann", b"correct horse", "").unwrap().line();
        for bad in [
            good.replace("argon2id", "argon2i"),
            good.replace(":65536:", ":99999999:"),
            good.replace(":3:4:", ":3:"),
            good.replacen("ann", "a\u{7}n", 1),
            String::new(),
        ] {
            assert!(Account::parse(&bad).is_none(), "{bad}");
        }
    }
}
