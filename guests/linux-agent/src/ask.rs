//! Questions of other programs of the guest: a socket that only the session's user reaches takes
//! a text and gives the signed answer back.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest question in bytes: 200 characters of UTF-8.
pub(crate) const MAX_QUESTION_BYTES: u64 = 800;

/// Where the agent listens: in the user's own runtime folder.
pub(crate) fn socket_path() -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    folder.unwrap_or_else(|| PathBuf::from("/run")).join("tabard-agent.sock")
}

/// Listens; a socket that an earlier agent left is replaced.
///
/// # Errors
/// If the socket cannot be made.
pub(crate) fn listen(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Asks by the agent that serves the session, and prints what it says.
pub(crate) fn ask(path: &Path, text: &str) -> ExitCode {
    match exchange(path, text) {
        Ok(answer) => {
            print!("{answer}");
            match answer.lines().find_map(|line| line.strip_prefix("answer: ")) {
                Some("yes") => ExitCode::SUCCESS,
                Some(_) => ExitCode::from(1),
                None => ExitCode::from(2),
            }
        }
        Err(error) => {
            eprintln!("tabard-agent: cannot ask: {error}. Does tabard-agent run in this session?");
            ExitCode::from(2)
        }
    }
}

fn exchange(path: &Path, text: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(path)?;
    stream.write_all(text.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
