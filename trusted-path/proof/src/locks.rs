//! The judge of invariant 8: who is logged in, by the answers that the session gave, and so which
//! guests may be in any view and whether anything may be done for one.

use tabard_trusted_path::{Effect, Event, GuestInput, Passage, Record};
use tabard_view::{Content, GuestId, TrustedBody, View};

use crate::tally::Tally;

/// From here on the wait after a wrong password grows no more.
pub(crate) const MOST_WRONG: u32 = 10;

/// Login and lock, as they are seen from outside the monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Locks {
    /// The guests that each user of the desk is cleared for; nothing if it has no users.
    pub(crate) cleared: &'static [&'static [GuestId]],
    /// Who is logged in and not locked out.
    present: Option<u8>,
    /// The password that is being checked: whose, and the number of the check.
    check: Option<(u8, u32)>,
    /// Wrong passwords of each user since the last right one.
    wrong: [u32; 2],
    /// The number of the last check, answered or not.
    pub(crate) last_ticket: Option<u32>,
    /// How often somebody logged in.
    pub(crate) logins: Tally,
}

impl Locks {
    /// Whether the desk has users at all.
    pub(crate) fn users(&self) -> bool {
        !self.cleared.is_empty()
    }

    /// Wrong passwords since the last right one, of the user whose password is being checked.
    pub(crate) fn wrong(&self) -> u32 {
        let of = |user: u8| self.wrong.get(usize::from(user)).copied();
        self.check.and_then(|(user, _)| of(user)).unwrap_or(0)
    }

    /// Gives checks of passwords other numbers.
    pub(crate) fn renumber(&mut self, ticket: impl Fn(u32) -> u32) {
        self.check = self.check.map(|(user, asked)| (user, ticket(asked)));
        self.last_ticket = self.last_ticket.map(ticket);
    }

    fn count(&mut self, user: u8, times: u32) {
        if let Some(wrong) = self.wrong.get_mut(usize::from(user)) {
            *wrong = times.min(MOST_WRONG);
        }
    }

    /// Takes a step after which this is the view. Whether it held.
    pub(crate) fn take(&mut self, event: &Event, effects: &[Effect], view: &View) -> bool {
        if !self.users() {
            return true;
        }
        match *event {
            Event::PasswordChecked { ticket, right } => {
                let asked = self.check.take_if(|(_, asked)| *asked == ticket);
                if let Some((user, _)) = asked.filter(|_| right && self.present.is_none()) {
                    self.present = Some(user);
                    self.logins.0 += 1;
                }
            }
            // It ends what is being checked as well.
            Event::Lock(_) => (self.present, self.check) = (None, None),
            _ => {}
        }
        for effect in effects {
            match *effect {
                Effect::Audit(Record::Locked(_)) => self.present = None,
                Effect::Audit(Record::LoginFailed(user, times)) => self.count(user.0, times),
                Effect::Audit(Record::Login(user)) => self.count(user.0, 0),
                Effect::CheckPassword { user, ticket } => {
                    self.check = Some((user.0, ticket));
                    self.last_ticket = Some(ticket);
                }
                _ => {}
            }
        }
        let cleared = self.present.and_then(|user| self.cleared.get(usize::from(user))).copied();
        let seen = view.outputs.iter().all(|output| match (&output.content, cleared) {
            (Content::Trusted(screen), None) => matches!(screen.body, TrustedBody::Login(_)),
            (_, None) => false,
            (Content::Windows(windows), Some(cleared)) => {
                windows.iter().all(|window| cleared.contains(&window.guest))
            }
            (Content::Trusted(screen), Some(cleared)) => match &screen.body {
                TrustedBody::Guests(rows) => rows.iter().all(|row| cleared.contains(&row.guest)),
                TrustedBody::Login(_) => false,
                _ => true,
            },
            (Content::Blank, Some(_)) => true,
        });
        let done = effects.iter().all(|effect| match effect {
                // What is owed to a guest is released in the very step that locks.
                Effect::Deliver {
                    input:
                        GuestInput::Key { pressed: false, .. }
                        | GuestInput::Button { pressed: false, .. },
                    ..
                } => true,
                Effect::Deliver { guest, .. }
                | Effect::Take { guest, .. }
                // That nobody answered in time is no answer: a guest can count that itself.
                | Effect::Answer { guest, yes: Some(_), .. } => {
                    cleared.is_some_and(|cleared| cleared.contains(guest))
                }
                Effect::Give(Passage { from, to, .. }) => {
                    cleared.is_some_and(|cleared| cleared.contains(from) && cleared.contains(to))
                }
                _ => true,
            });
        seen && done
    }
}
