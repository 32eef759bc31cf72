//! `tabard confirm verify`: whether a statement that a guest shows is an answer that the person
//! before a desk's trusted screen gave, word for word. It needs the public key and nothing else.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ed25519_dalek::{Signature, VerifyingKey};

use crate::session::confirm::{SIGNATURE_FIELD, STATEMENT_HEAD};
use crate::session::hex::unhex;

/// A statement longer than this is none, in bytes.
const MAX_STATEMENT_BYTES: u64 = 64 * 1024;

/// Arguments of `tabard confirm`.
#[derive(Debug, clap::Args)]
pub struct ConfirmArgs {
    #[command(subcommand)]
    command: ConfirmCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ConfirmCommand {
    /// Check the signature of an answer and print what was asked and answered.
    Verify {
        /// The statement as the guest got it.
        file: PathBuf,
        /// The desk's public key, `confirm.pub` in the folder of its logs.
        #[arg(long)]
        key: PathBuf,
    },
}

/// Why a statement is not to be believed.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// A file cannot be read.
    #[error("Cannot read {}: {source}. Check its path", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key's file holds no key.
    #[error("{} is no public key; it must hold 64 hexadecimal digits", .0.display())]
    Key(PathBuf),
    /// The file is not a statement.
    #[error("{} is no statement of Tabard: {cause}", path.display())]
    Statement {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: &'static str,
    },
    /// It was not signed by this key, or was changed since.
    #[error("{} was NOT signed by this key, or was changed; do not believe it", .0.display())]
    Forged(PathBuf),
}

/// Runs the command: status 0 if the statement holds, 1 if it is forged, 2 if it cannot be said.
#[must_use]
pub fn command(args: &ConfirmArgs) -> ExitCode {
    let ConfirmCommand::Verify { file, key } = &args.command;
    match verify(file, key) {
        Ok(statement) => {
            print!("{statement}");
            println!("The signature holds.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("tabard: {error}");
            ExitCode::from(if matches!(error, VerifyError::Forged(_)) { 1 } else { 2 })
        }
    }
}

/// Checks a statement against a public key; returns what was signed.
///
/// # Errors
/// [`VerifyError`].
pub fn verify(file: &Path, key: &Path) -> Result<String, VerifyError> {
    let public = read(key)?;
    let no_key = || VerifyError::Key(key.to_path_buf());
    let public = unhex::<32>(public.strip_suffix('\n').unwrap_or(&public)).ok_or_else(no_key)?;
    let public = VerifyingKey::from_bytes(&public).map_err(|_| no_key())?;
    let text = read(file)?;
    let bad = |cause| VerifyError::Statement { path: file.to_path_buf(), cause };
    // What is signed and what is read must be one thing: one form, no room around it.
    let body = text.strip_suffix('\n').ok_or_else(|| bad("its last line has no end"))?;
    let at = body.rfind('\n').ok_or_else(|| bad("it has one line only"))? + 1;
    let (signed, last) = body.split_at(at);
    if signed.lines().next() != Some(STATEMENT_HEAD) {
        return Err(bad("its first line is another"));
    }
    if !signed.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return Err(bad("it has characters that no statement has"));
    }
    let signature = last
        .strip_prefix(SIGNATURE_FIELD)
        .and_then(unhex::<64>)
        .ok_or_else(|| bad("its last line is no signature"))?;
    public
        .verify_strict(signed.as_bytes(), &Signature::from_bytes(&signature))
        .map_err(|_| VerifyError::Forged(file.to_path_buf()))?;
    Ok(signed.to_owned())
}

fn read(path: &Path) -> Result<String, VerifyError> {
    let refuse = |source| VerifyError::Read { path: path.to_path_buf(), source };
    if std::fs::metadata(path).map_err(refuse)?.len() > MAX_STATEMENT_BYTES {
        let cause = "it is longer than any";
        return Err(VerifyError::Statement { path: path.to_path_buf(), cause });
    }
    std::fs::read_to_string(path).map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::hex::hex;
    use ed25519_dalek::{Signer, SigningKey};

    const SIGNED: &str = "tabard confirmation 1\nguest: notes\nanswer: yes\ntext: Sure?\n";

    /// Verifies a text under the key of these secret bytes.
    fn check(text: &str, secret: u8) -> Result<String, VerifyError> {
        let folder = tempfile::tempdir().unwrap();
        let (file, key) = (folder.path().join("s"), folder.path().join("k"));
        let public = SigningKey::from_bytes(&[secret; 32]).verifying_key();
        std::fs::write(&key, hex(public.as_bytes()) + "\n").unwrap();
        std::fs::write(&file, text).unwrap();
        verify(&file, &key)
    }

    fn statement() -> String {
        let signature = SigningKey::from_bytes(&[1; 32]).sign(SIGNED.as_bytes());
        format!("{SIGNED}signature: {}\n", hex(&signature.to_bytes()))
    }

    #[test]
    fn a_statement_holds_under_its_key_only() {
        assert_eq!(check(&statement(), 1).unwrap(), SIGNED);
        assert!(matches!(check(&statement(), 2), Err(VerifyError::Forged(_))));
    }

    #[test]
    fn a_changed_word_is_found() {
        let changed = statement().replace("yes", "no");
        assert!(matches!(check(&changed, 1), Err(VerifyError::Forged(_))));
    }

    #[test]
    fn what_has_another_form_is_no_statement() {
        let whole = statement();
        for bad in [
            whole.trim_end().to_owned(),
            format!("\n{whole}"),
            format!("{whole}\n"),
            whole.replace("signature: ", "signature:"),
            whole.replace('\n', "\r\n"),
            whole.replace("Sure?", "Sür?"),
            String::new(),
        ] {
            assert!(matches!(check(&bad, 1), Err(VerifyError::Statement { .. })), "{bad:?}");
        }
    }
}
