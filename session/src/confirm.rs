//! Answers to guests' questions, signed, so that whoever a guest shows one to can know that the
//! person before the trusted screen gave it (Garfinkel et al., "Terra", SOSP 2003, 3.2: the trusted
//! path in the other direction). Ed25519 as in RFC 8032.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};

use super::agent::Asked;
use super::hex::hex;
use super::keys::signing_key;

/// The file of the key that signs, in the desk's folder; readable by its user only.
pub(super) const KEY_FILE: &str = "confirm.key";
/// The file of the key that verifies, beside it: 64 hexadecimal digits and a newline.
pub const PUBLIC_KEY_FILE: &str = "confirm.pub";
/// The first line of a statement.
pub const STATEMENT_HEAD: &str = "tabard confirmation 1";
/// What the line with the signature begins with. Everything before that line is signed.
pub const SIGNATURE_FIELD: &str = "signature: ";

/// Signs answers in the name of a desk.
pub(crate) struct Confirmer {
    key: SigningKey,
    desk: String,
    /// Name and marking of each guest.
    guests: Vec<(String, String)>,
}

impl Confirmer {
    /// With the key in this folder; the first time it is made there.
    ///
    /// # Errors
    /// If the key cannot be read or made, or is none.
    pub(crate) fn open(
        folder: &Path,
        desk: &str,
        guests: Vec<(String, String)>,
    ) -> io::Result<Self> {
        // Whether it has signed anything is known by its public half only.
        let key = signing_key(&folder.join(KEY_FILE), &folder.join(PUBLIC_KEY_FILE), false)?;
        Ok(Self { key, desk: desk.to_owned(), guests })
    }

    /// The signed statement: what was asked by whom, and what the user said when.
    pub(crate) fn statement(
        &self,
        guest: usize,
        asked: &Asked,
        yes: bool,
        since_epoch: Duration,
    ) -> String {
        let (name, marking) = self.guests.get(guest).map_or(("", ""), |(n, m)| (n, m));
        let answer = if yes { "yes" } else { "no" };
        let mut text = format!(
            "{STATEMENT_HEAD}\ndesk: {}\nguest: {name}\nlabel: {marking}\ntime: {}Z\nnonce: {}\n\
             answer: {answer}\ntext: {}\n",
            self.desk,
            timestamp(since_epoch.as_secs()),
            hex(&asked.nonce),
            // One line of ASCII, whatever the guest wrote.
            asked.text.escape_default(),
        );
        let signature = self.key.sign(text.as_bytes());
        // Writing into a string does not fail.
        let _ = writeln!(text, "{SIGNATURE_FIELD}{}", hex(&signature.to_bytes()));
        text
    }
}

/// Seconds since 1970 as RFC 3339 has them, in UTC, without the `Z`. Days to dates as in Hinnant,
/// "chrono-Compatible Low-Level Date Algorithms": years begin in March, so that the leap day is the
/// last.
#[must_use]
#[expect(clippy::arithmetic_side_effects, reason = "of the days in 64 bits of seconds all fit")]
pub fn timestamp(seconds: u64) -> String {
    let days = seconds / 86_400 + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{date:02}T{hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::StartError;

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(timestamp(0), "1970-01-01T00:00:00");
        assert_eq!(timestamp(951_782_399), "2000-02-28T23:59:59");
        assert_eq!(timestamp(951_782_400), "2000-02-29T00:00:00");
        assert!(!timestamp(u64::MAX).is_empty());
        assert_eq!(timestamp(1_798_761_599), "2026-12-31T23:59:59");
    }

    #[test]
    fn a_key_that_is_missing_beside_its_public_half_is_not_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Confirmer::open(folder.path(), "Desk", Vec::new()).map(|it| it.key);
        let key = open().unwrap();
        assert_eq!(open().unwrap().to_bytes(), key.to_bytes());
        let secret = folder.path().join(KEY_FILE);
        assert_eq!(std::fs::metadata(&secret).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::remove_file(&secret).unwrap();
        let error = StartError::ConfirmKey { path: secret, source: open().unwrap_err() };
        let error = error.to_string();
        assert!(error.contains(KEY_FILE) && error.contains("missing"), "{error}");
    }

    #[test]
    fn a_key_of_another_length_or_of_bytes_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Confirmer::open(folder.path(), "Desk", Vec::new()).map(|it| it.key);
        let key = open().unwrap().to_bytes();
        // What an earlier version wrote were the bytes themselves, which may be no text at all.
        for bytes in [key.as_slice(), &[0xFF; 32], &[0; 33]] {
            std::fs::write(folder.path().join(KEY_FILE), bytes).unwrap();
            let error = open().unwrap_err().to_string();
            assert!(error.contains("the key is none"), "{error}");
        }
    }
}
