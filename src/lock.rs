//! `tabard lock`: asks the desk that owns this machine to lock, and waits until its screens show
//! the lock. The unit `tabard-lock.service` runs it before the machine sleeps.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// For a frame to be drawn and flipped, with time to spare for a machine under load.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs the command: 0 if the desk is locked, 2 if there is none that could be, 1 if it did not
/// lock in time.
#[must_use]
pub fn command(socket: &Path) -> ExitCode {
    let refused = |why: String| {
        eprintln!("tabard: {why}");
        ExitCode::from(2)
    };
    let name = socket.display();
    let mut desk = match UnixStream::connect(socket) {
        Ok(desk) => desk,
        Err(error) => {
            return refused(format!(
                "Cannot ask the desk to lock: {name}: {error}. Is one running \
                 (`tabard run DESK --seat`), and are you root?"
            ));
        }
    };
    let mut answer = String::new();
    let asked =
        desk.set_read_timeout(Some(TIMEOUT)).and_then(|()| desk.read_to_string(&mut answer));
    match (asked, answer.as_str()) {
        (Ok(_), "locked") => ExitCode::SUCCESS,
        (Ok(_), "no users") => refused(
            "The desk has no users and so no lock. Add [users.NAME] to the desk file and run \
             `tabard passwd`"
                .to_owned(),
        ),
        (Ok(_), _) => refused("The desk ended before it was locked".to_owned()),
        (Err(error), _) => {
            eprintln!(
                "tabard: the desk did not lock within {} s ({error}). Look at its screens before \
                 you leave them",
                TIMEOUT.as_secs()
            );
            ExitCode::FAILURE
        }
    }
}
