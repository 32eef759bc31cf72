//! `tabard passwd`: makes and changes the passwords of a desk's users, never shown and never on a
//! command line.

use std::io::{self, BufRead, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use crate::session::{Account, AccountsError, keys, read_accounts};

/// Arguments of `tabard passwd`.
#[derive(Debug, clap::Args)]
pub struct PasswdArgs {
    /// The password file of a desk; it is made with mode 0600 if it is missing.
    file: PathBuf,
    /// The user, as [users.NAME] of the desk file has it.
    user: String,
    /// A phrase of your own that the lock screen shows, so that you know it from a picture of one.
    #[arg(long)]
    phrase: Option<String>,
    /// Take the user out of the file instead.
    #[arg(long, conflicts_with = "phrase")]
    remove: bool,
}

/// Runs the command.
#[must_use]
pub fn command(args: &PasswdArgs) -> ExitCode {
    match change(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("tabard: {why}");
            ExitCode::from(2)
        }
    }
}

fn change(args: &PasswdArgs) -> Result<(), String> {
    let mut accounts = match read_accounts(&args.file) {
        Err(AccountsError::None(_)) => Vec::new(),
        other => other.map_err(|error| error.to_string())?,
    };
    let place = accounts.iter().position(|account| account.name == args.user);
    if args.remove {
        let place = place.ok_or_else(|| format!("There is no user {:?} in it", args.user))?;
        accounts.remove(place);
    } else {
        let password =
            ask(&args.user).map_err(|error| format!("Cannot read a password: {error}"))?;
        let kept =
            place.and_then(|place| accounts.get(place)).map(|account| account.phrase.clone());
        let phrase = args.phrase.clone().or(kept).unwrap_or_default();
        let account = Account::new(&args.user, password.as_bytes(), &phrase)
            .map_err(|error| error.to_string())?;
        match place.and_then(|place| accounts.get_mut(place)) {
            Some(old) => *old = account,
            None => accounts.push(account),
        }
    }
    let text: String = accounts.iter().map(|account| account.line() + "\n").collect();
    keys::write(&args.file, text.as_bytes()).map_err(|error| {
        format!("Cannot write {}: {error}. Look at the folder's permissions", args.file.display())
    })
}

/// Asks twice at a terminal, without showing what is typed; reads one line of anything else.
fn ask(user: &str) -> io::Result<Zeroizing<String>> {
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return line();
    }
    eprintln!(
        "The lock screen reads a US keyboard, whatever this one is: choose what you can type there."
    );
    let hidden = Hidden::new()?;
    let prompt = |words: String| {
        eprint!("{words}");
        let answer = line();
        eprintln!();
        answer
    };
    let first = prompt(format!("New password for {user}: "))?;
    let again = prompt("Again: ".to_owned())?;
    drop(hidden);
    if *first == *again { Ok(first) } else { Err(io::Error::other("The two differ")) }
}

fn line() -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    io::stdin().lock().read_line(&mut text)?;
    while text.ends_with(['\n', '\r']) {
        text.pop();
    }
    Ok(text)
}

/// A terminal that shows nothing of what is typed, until it is dropped or a signal ends the program.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin().as_fd())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        let mut signals = Signals::new([SIGINT, SIGQUIT, SIGTERM, SIGHUP])?;
        let shown = Self(before.clone());
        thread::Builder::new().spawn(move || {
            if let Some(signal) = signals.forever().next() {
                drop(shown);
                eprintln!();
                // Not by the signal's own way: SIGQUIT would leave what was typed in a core file.
                std::process::exit(128 + signal);
            }
        })?;
        tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &silent)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // The terminal may be gone.
        let _ = tcsetattr(io::stdin().as_fd(), OptionalActions::Flush, &self.0);
    }
}
