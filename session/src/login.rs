//! Checks passwords on a thread of its own: hashing takes a part of a second, and the
//! secure-attention key must not wait for it (invariant 2).

use std::io;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use tabard_display::Bell;
use tabard_trusted_path::{Secret, UserId};

use super::accounts::Account;
use super::failures::Failures;

/// A password to check.
struct Check {
    user: UserId,
    ticket: u32,
    secret: Secret,
}

/// The session's end of the thread that checks.
#[derive(Debug)]
pub(crate) struct Checker {
    checks: Sender<Check>,
    /// The number of a check, and whether the password was right.
    pub(crate) answers: Receiver<(u32, bool)>,
}

impl Checker {
    /// Starts the thread for these accounts, in the order of the desk's users; none is started
    /// for a desk without users. Its answers ring this bell, and are counted before.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start(
        accounts: Vec<Account>,
        mut failures: Failures,
        bell: &Bell,
    ) -> io::Result<Self> {
        // The monitor asks for one check at a time.
        let (checks, work) = bounded::<Check>(1);
        let (answer, answers) = bell.channel(1);
        if accounts.is_empty() {
            // Its other end is gone; nobody must look at it without end.
            return Ok(Self { checks, answers: crossbeam_channel::never() });
        }
        thread::Builder::new().name("login".to_owned()).spawn(move || {
            for Check { user, ticket, secret } in work {
                let account = accounts.get(usize::from(user.0));
                let right = account.is_some_and(|account| account.is_right(secret.as_bytes()));
                // It is overwritten before the answer is out.
                drop(secret);
                if let Some(account) = account
                    && let Err(error) = failures.note(&account.name, right)
                {
                    eprintln!("tabard: cannot count wrong passwords: {error}");
                }
                if answer.send((ticket, right)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { checks, answers })
    }

    /// Hands a password over; the answer comes later. Answers whether it will.
    pub(crate) fn check(&self, user: UserId, ticket: u32, secret: Secret) -> bool {
        self.checks.try_send(Check { user, ticket, secret }).is_ok()
    }
}
