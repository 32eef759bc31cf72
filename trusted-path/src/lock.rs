//! Login and lock. While the screen is locked no guest is in any view and nothing that is typed
//! reaches one (invariant 8); only the right password of a user of the desk ends it. The monitor
//! collects what is typed and never looks at it: the session checks it and says right or wrong.

use std::fmt;
use std::hash::{Hash, Hasher};

use tabard_input::KeyCode;
use tabard_labels::Compartment;
use tabard_view::{Hint, LoginForm};
use zeroize::Zeroizing;

use crate::focus::Focus;
use crate::trusted_screen::TrustedScreen;
use crate::{Authority, Effect, Monitor, Record, Timer, words};

/// Longest password, in characters.
pub const MAX_PASSWORD_CHARS: usize = 128;
/// The longest wait after a wrong password, in seconds.
pub const MAX_DELAY_SECONDS: u32 = 300;

/// A user, by the place in the desk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserId(pub u8);

/// What the signed-off files say of one user.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct UserConfig {
    /// The name, unique on the desk.
    pub name: String,
    /// What the user may see and do.
    pub authority: Authority,
    /// Shown on the lock screen and nowhere else, so that the user knows it by it; may be empty.
    pub phrase: String,
    /// Wrong passwords since the last right one, in earlier sessions.
    pub failures: u32,
}

/// Who may use the desk. Without users there is no login and no lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct LoginConfig {
    /// The users, in the order of the desk file; at most 64.
    pub users: Vec<UserConfig>,
    /// Lock at the latest after so many minutes without input; `None`: never.
    pub lock_after_minutes: Option<u16>,
    /// Whether an accepted wireless keyboard that goes and comes back is accepted until the screen
    /// is locked.
    pub keep_wireless: bool,
    /// No password is taken for so many seconds, because of wrong ones in an earlier session; the
    /// session says that [`Timer::LoginDelay`] of 0 is over.
    pub wait_seconds: u32,
}

/// Why the screen was locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LockCause {
    /// The user asked for it.
    User,
    /// There was no input for long.
    Idle,
    /// The host is about to sleep, or has slept.
    Suspend,
    /// The screen or the input devices were taken away.
    SeatLost,
}

/// A password as it was typed. It is overwritten when it is dropped, and never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// An empty one, with room for the longest, so that growing leaves no copy behind.
    fn new() -> Self {
        Self(Zeroizing::new(Vec::with_capacity(MAX_PASSWORD_CHARS)))
    }

    /// What was typed, in ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// What is happening to the password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// It is being typed.
    Typing,
    /// It is being checked.
    Checking,
    /// It is being checked, and will open nothing: the screen was to be locked meanwhile.
    Cancelled,
    /// It was wrong, and nothing is taken for so many seconds.
    Waiting(u32),
}

/// The state of login and lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    /// Who is before the screen; stays while locked.
    present: Option<UserId>,
    /// Who is about to log in.
    chosen: UserId,
    secret: Secret,
    phase: Phase,
    /// Wrong passwords since the last right one, of each user.
    failures: Vec<u32>,
    /// Numbers the checks and the waits, so that a late answer to another one means nothing.
    ticket: u32,
    /// Minutes that ended since the last input.
    idle_minutes: u16,
}

impl Login {
    pub(crate) fn new(config: &LoginConfig) -> Self {
        let phase = match config.wait_seconds {
            0 => Phase::Typing,
            seconds => Phase::Waiting(seconds),
        };
        Self {
            present: None,
            chosen: UserId(0),
            secret: Secret::new(),
            phase,
            failures: config.users.iter().map(|user| user.failures).collect(),
            ticket: 0,
            idle_minutes: 0,
        }
    }

    #[cfg(feature = "proof")]
    pub(crate) fn numbers(&mut self) -> impl Iterator<Item = crate::proof::Number<'_>> {
        let wrong = self.failures.iter_mut().map(crate::proof::Number::Wrong);
        wrong.chain([crate::proof::Number::Ticket(&mut self.ticket)])
    }
}

impl Monitor {
    /// Whether the screen is locked, or nobody has logged in yet.
    #[must_use]
    pub fn is_locked(&self) -> bool {
        matches!(self.focus, Focus::Locked(_))
    }

    /// Whether the desk has users, and so login and lock.
    #[must_use]
    pub fn has_users(&self) -> bool {
        !self.config.login.users.is_empty()
    }

    /// What the person before the screen may do; nobody while it is locked.
    #[must_use]
    pub fn authority(&self) -> Option<Authority> {
        if self.config.login.users.is_empty() {
            let downgrade = self.config.policy.downgrade;
            return Some(Authority { clearance: Compartment::TOP, downgrade });
        }
        let user = self.login.present.filter(|_| !self.is_locked())?;
        self.user(user).map(|user| user.authority)
    }

    /// Takes the password that [`Effect::CheckPassword`] is about.
    pub fn take_secret(&mut self) -> Secret {
        std::mem::replace(&mut self.login.secret, Secret::new())
    }

    fn user(&self, id: UserId) -> Option<&UserConfig> {
        self.config.login.users.get(usize::from(id.0))
    }

    /// Whether somebody has logged in since the start.
    pub(crate) fn is_known(&self) -> bool {
        self.login.present.is_some()
    }

    /// Locks the screen, if the desk has users. On one that is locked already, what was typed is
    /// forgotten, and a password that is being checked opens nothing any more.
    pub(crate) fn lock(&mut self, cause: LockCause) -> Vec<Effect> {
        let previous = match &self.focus {
            Focus::Guest(guest) => Some(*guest),
            Focus::Trusted(screen) => screen.previous,
            Focus::Locked(_) => {
                self.login.secret = Secret::new();
                if self.login.phase == Phase::Checking {
                    self.login.phase = Phase::Cancelled;
                }
                return Vec::new();
            }
        };
        if self.config.login.users.is_empty() {
            return Vec::new();
        }
        // Whoever logs in next gets nothing that this user took.
        let forgotten = self.forget();
        self.exchange.news.clear();
        self.devices.forget_wireless();
        self.focus = Focus::Locked(previous);
        self.login.chosen = self.login.present.unwrap_or(UserId(0));
        self.login.secret = Secret::new();
        // Nothing is taken for a password before the lock screen is on the glass.
        self.recipient_serial = self.next_serial();
        [Effect::Audit(Record::Locked(cause))].into_iter().chain(forgotten).collect()
    }

    /// The secure-attention key while locked: what was typed is forgotten.
    pub(crate) fn attention_while_locked(&mut self) {
        if self.login.phase == Phase::Typing {
            self.login.secret = Secret::new();
        }
    }

    /// Input came of what may type or point; the user is there.
    pub(crate) fn not_idle(&mut self) {
        self.login.idle_minutes = 0;
    }

    /// Another minute has ended.
    pub(crate) fn idle_minute(&mut self) -> Vec<Effect> {
        let Some(limit) = self.config.login.lock_after_minutes else { return Vec::new() };
        self.login.idle_minutes = self.login.idle_minutes.saturating_add(1);
        if self.login.idle_minutes < limit { Vec::new() } else { self.lock(LockCause::Idle) }
    }

    /// A fresh press of a key on the lock screen.
    pub(crate) fn lock_key(&mut self, code: KeyCode) -> Vec<Effect> {
        if self.login.phase != Phase::Typing {
            return Vec::new();
        }
        let heard = |source| self.devices.heeds(source);
        let shift = [KeyCode::LEFT_SHIFT, KeyCode::RIGHT_SHIFT];
        let shift = shift.into_iter().any(|code| self.held.is_down(code, heard));
        match code {
            KeyCode::ESC => self.login.secret = Secret::new(),
            KeyCode::BACKSPACE => drop(self.login.secret.0.pop()),
            KeyCode::UP => self.choose(usize::from(self.login.chosen.0).checked_sub(1)),
            KeyCode::DOWN => self.choose(usize::from(self.login.chosen.0).checked_add(1)),
            KeyCode::ENTER | KeyCode::KP_ENTER if !self.login.secret.0.is_empty() => {
                self.login.phase = Phase::Checking;
                self.login.ticket = self.login.ticket.wrapping_add(1);
                let (user, ticket) = (self.login.chosen, self.login.ticket);
                return vec![Effect::CheckPassword { user, ticket }];
            }
            _ => {
                let room = self.login.secret.0.len() < MAX_PASSWORD_CHARS;
                self.login.secret.0.extend(code.ascii(shift).filter(|_| room));
            }
        }
        Vec::new()
    }

    fn choose(&mut self, index: Option<usize>) {
        let Some(user) = index.and_then(|index| u8::try_from(index).ok()).map(UserId) else {
            return;
        };
        if self.user(user).is_some() {
            self.login.chosen = user;
            self.login.secret = Secret::new();
            // The other user's phrase must be on the glass before a password is typed.
            self.recipient_serial = self.next_serial();
        }
    }

    /// The answer to [`Effect::CheckPassword`].
    pub(crate) fn password_checked(&mut self, ticket: u32, right: bool) -> Vec<Effect> {
        let Focus::Locked(previous) = self.focus else { return Vec::new() };
        let checking = matches!(self.login.phase, Phase::Checking | Phase::Cancelled);
        if !checking || ticket != self.login.ticket {
            return Vec::new();
        }
        self.login.secret = Secret::new();
        let user = self.login.chosen;
        let mut unknown = 0;
        let count = self.login.failures.get_mut(usize::from(user.0)).unwrap_or(&mut unknown);
        *count = if right { 0 } else { count.saturating_add(1) };
        let failures = *count;
        if !right {
            let seconds = delay_seconds(failures);
            self.login.phase = Phase::Waiting(seconds);
            let record = Effect::Audit(Record::LoginFailed(user, failures));
            let (timer, after_ms) = (Timer::LoginDelay(ticket), seconds.saturating_mul(1000));
            return vec![record, Effect::Timer { timer, after_ms }];
        }
        if std::mem::replace(&mut self.login.phase, Phase::Typing) == Phase::Cancelled {
            return Vec::new();
        }
        self.login.present = Some(user);
        self.login.idle_minutes = 0;
        let authority = self.user(user).map(|user| user.authority);
        self.guests
            .show(|class| authority.is_some_and(|authority| authority.is_cleared_for(class)));
        let back = previous.filter(|guest| self.guests.is_shown(*guest));
        self.focus = match back {
            Some(guest) => Focus::Guest(guest),
            None => Focus::Trusted(TrustedScreen::new(None, &self.guests)),
        };
        // Keys typed after the password must not do what nobody has seen yet.
        self.recipient_serial = self.next_serial();
        vec![Effect::Audit(Record::Login(user))]
    }

    /// The wait after a wrong password is over.
    pub(crate) fn delay_over(&mut self, ticket: u32) {
        if matches!(self.login.phase, Phase::Waiting(_)) && ticket == self.login.ticket {
            self.login.phase = Phase::Typing;
        }
    }

    /// What the lock screen says.
    pub(crate) fn login_form(&self) -> LoginForm {
        let user = self.user(self.login.chosen);
        LoginForm {
            user: user.map_or(String::new(), |user| user.name.clone()),
            phrase: user.map_or(String::new(), |user| user.phrase.clone()),
            typed: u8::try_from(self.login.secret.0.len()).unwrap_or(u8::MAX),
            open: self.login.phase == Phase::Typing,
            message: match self.login.phase {
                Phase::Typing => String::new(),
                Phase::Checking | Phase::Cancelled => words::CHECKING.to_owned(),
                Phase::Waiting(seconds) => words::wrong_password(seconds),
            },
        }
    }

    /// Title and hints of the lock screen.
    pub(crate) fn login_words(&self) -> (String, Vec<Hint>) {
        let chord = self.config.chord.to_string();
        let title = if self.login.present.is_some() { "Locked" } else { "Log in" };
        (title.to_owned(), words::login_hints(&chord, self.config.login.users.len() > 1))
    }
}

/// How long no password is taken after so many wrong ones: 1, 2, 4, ... seconds.
#[must_use]
pub fn delay_seconds(failures: u32) -> u32 {
    let doublings = failures.saturating_sub(1).min(16);
    (1 << doublings).min(MAX_DELAY_SECONDS).min(failures.saturating_mul(MAX_DELAY_SECONDS))
}

#[cfg(test)]
mod tests;
