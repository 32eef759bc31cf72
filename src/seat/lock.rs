//! Where root asks the desk to lock, above all before the machine sleeps. To connect is to ask, so
//! nothing that a stranger wrote is read here; the answer is one word, once the lock is on the glass.

use std::fs::{DirBuilder, remove_file};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use crossbeam_channel::bounded;
use tabard_display::Ringing;

use crate::session::Control;

/// Where `tabard lock` asks; only root may enter the folder.
pub const SOCKET: &str = "/run/tabard/lock";

/// Listens at `socket`. One that an earlier session left is removed: there is one seat at a time,
/// and this one has the screens already.
pub(super) fn listen(socket: &Path) -> io::Result<UnixListener> {
    let folder = socket.parent().unwrap_or(socket);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    // If it is not there, or cannot be removed, the next step says so.
    let _ = remove_file(socket);
    UnixListener::bind(socket)
}

/// Has the session lock for everybody who connects, until it ends.
pub(super) fn serve(socket: &UnixListener, session: &Ringing<Control>) {
    while let Ok((mut asker, _)) = socket.accept() {
        let (answer, locked) = bounded(1);
        if session.send(Control::Lock(answer)).is_err() {
            return;
        }
        let Ok(locked) = locked.recv() else { return };
        // One who no longer listens needs no answer.
        let _ = asker.write_all(if locked { b"locked" } else { b"no users" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    #[test]
    fn an_asker_is_answered_once_the_session_says_so_even_after_a_session_that_was_killed() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("run/lock");
        drop(listen(&place).unwrap());
        let socket = listen(&place).unwrap();
        let (session, orders) = bounded(1);
        let server = std::thread::spawn(move || serve(&socket, &session.into()));
        for (locked, word) in [(true, "locked"), (false, "no users")] {
            let mut asker = UnixStream::connect(&place).unwrap();
            let Control::Lock(answer) = orders.recv().unwrap() else { panic!("no lock") };
            asker.set_nonblocking(true).unwrap();
            let early = asker.read(&mut [0; 8]).unwrap_err();
            assert_eq!(early.kind(), io::ErrorKind::WouldBlock);
            asker.set_nonblocking(false).unwrap();
            answer.send(locked).unwrap();
            let mut said = String::new();
            asker.read_to_string(&mut said).unwrap();
            assert_eq!(said, word);
        }
        drop(orders);
        let _asker = UnixStream::connect(&place).unwrap();
        server.join().unwrap();
    }
}
