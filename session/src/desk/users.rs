//! The users of a desk file: who may see and do what, and when the screen locks.

use std::path::PathBuf;

use tabard_labels::{LabelSet, Preset};
use tabard_trusted_path::Authority;

use super::guest::GuestSpec;
use super::label::{known, read_marking};
use super::report::Placed;
use super::report::chain;
use super::table::Table;

/// One user, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserSpec {
    /// The name.
    pub name: String,
    /// Clearance and privilege.
    pub authority: Authority,
}

/// The users and the lock.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Users {
    /// In the order of the file; none: there is no login and no lock.
    pub users: Vec<UserSpec>,
    /// The password file, relative to the desk file.
    pub passwords: PathBuf,
    /// Lock at the latest after so many minutes without input.
    pub lock_after_minutes: Option<u16>,
}

/// Reads every `[users.NAME]` and `[lock]`.
pub(super) fn read_users(
    top: &mut Table<'_>,
    preset: Option<&Preset>,
    guests: &[GuestSpec],
    labels: &LabelSet,
) -> Users {
    let mut users: Vec<UserSpec> = Vec::new();
    for (name, table) in top.tables("users") {
        let (report, at) = (table.report, table.at);
        report.check_name("user", &name, users.iter().map(|user| &user.name));
        if name.value.contains(':') {
            let cause = format!("The user name {:?} cannot be used: it has a colon", name.value);
            report.fault(name.at, cause, "Use a name without one: the password file has them too");
        }
        let Some(authority) = preset.and_then(|preset| read_user(table, preset)) else { continue };
        let sees = |guest: &GuestSpec| {
            labels.get(guest.label).is_some_and(|label| authority.is_cleared_for(&label.class))
        };
        if !guests.is_empty() && !guests.iter().any(sees) {
            let cause = format!("User {:?} is cleared for no guest of the desk", name.value);
            report.fault(at, cause, "Raise the clearance, or leave the user out");
        }
        users.push(UserSpec { name: name.value, authority });
    }
    let mut found = Users { users, passwords: "passwords".into(), lock_after_minutes: None };
    if let Some(mut table) = top.table("lock") {
        if found.users.is_empty() {
            table.report.fault(
                table.at,
                "A desk without users is never locked",
                "Add [users.NAME] with a clearance, or leave [lock] out",
            );
        }
        if let Some(file) = table.string("passwords", "\"passwords\"") {
            found.passwords = file.value.into();
        }
        found.lock_after_minutes = table.integer("after_minutes", 1..=1440);
    }
    found
}

fn read_user(mut table: Table<'_>, preset: &Preset) -> Option<Authority> {
    let marking = read_marking(&mut table, "clearance", preset);
    let downgrade = table.boolean("downgrade").unwrap_or_default();
    let Placed { value: marking, at } = marking?;
    match preset.scheme.parse(&marking) {
        Ok(clearance) => Some(Authority { clearance, downgrade }),
        Err(error) => {
            table.report.fault(at, chain(&error), known(preset));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::desk::{Desk, DeskFaults};

    fn desk(users: &str) -> Result<Desk, DeskFaults> {
        let text = format!(
            "[desk]\nname = \"T\"\ntheme = \"us\"\n[guests.a]\nlabel = \"SECRET//ALPHA\"\n\
             kernel = \"builtin:probe\"\n{users}"
        );
        Desk::parse(&text, Path::new("t.toml"))
    }

    fn cause(users: &str) -> String {
        desk(users).unwrap_err().faults.remove(0).cause
    }

    const ANN: &str = "[users.ann]\nclearance = \"TOP SECRET\"\ncategories = [\"ALPHA\"]\n";

    #[test]
    fn users_have_clearance_and_privilege() {
        let users = desk(&format!("{ANN}downgrade = true\n[lock]\nafter_minutes = 5\n"));
        let users = users.unwrap().users;
        assert_eq!(users.users[0].name, "ann");
        assert!(users.users[0].authority.downgrade);
        assert_eq!(users.users[0].authority.clearance.level.get(), 4);
        assert_eq!(
            (users.lock_after_minutes, users.passwords.as_path()),
            (Some(5), Path::new("passwords"))
        );
    }

    #[test]
    fn a_clearance_that_is_unknown_or_missing_is_refused() {
        assert!(cause("[users.ann]\nclearance = \"COSMIC\"\n").contains("COSMIC"));
        assert!(cause("[users.ann]\n").contains("no clearance"));
    }

    #[test]
    fn a_user_who_could_see_nothing_is_refused() {
        let low = "[users.ann]\nclearance = \"TOP SECRET\"\n";
        assert!(cause(low).contains("cleared for no guest"));
    }

    #[test]
    fn users_are_told_apart_and_fit_into_the_password_file() {
        let two = |name: &str| format!("{ANN}{}", ANN.replace("ann", name));
        for bad in ["Ann", "\"a:b\"", "\"\\u0430nn\""] {
            let cause = cause(&two(bad));
            let words = ["cannot be used", "look alike"];
            assert!(words.iter().any(|words| cause.contains(words)), "{bad}: {cause}");
        }
    }

    #[test]
    fn a_lock_needs_users_and_users_have_their_own_privilege() {
        assert!(cause("[lock]\nafter_minutes = 5\n").contains("without users"));
        assert!(cause(&format!("{ANN}[policy]\ndowngrade = true\n")).contains("downgrade"));
    }
}
