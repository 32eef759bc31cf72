//! The users of a desk file: who may see and do what, and when the screen locks.

use std::path::PathBuf;

use tabard_labels::{Compartment, Preset};
use tabard_trusted_path::Authority;

use super::guest::GuestSpec;
use super::label::{marking, unknown};
use super::report::Report;
use super::table::{Placed, Table};
use tabard_labels::LabelSet;

/// Users of one desk.
const MAX_USERS: usize = 64;

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
    top: &mut Table<'_, '_>,
    preset: Option<&Preset>,
    guests: &[GuestSpec],
    labels: &LabelSet,
    report: &mut Report<'_>,
) -> Users {
    let mut users = Vec::new();
    for (name, mut table) in top.tables(report, "users") {
        let user = read_user(name, &mut table, preset, &users, report);
        if let Some(user) = &user {
            let sees = |guest: &GuestSpec| {
                labels.get(guest.label).is_some_and(|l| user.authority.is_cleared_for(&l.class))
            };
            if !guests.is_empty() && !guests.iter().any(sees) {
                report.fault(
                    table.at(),
                    format!("User {:?} is cleared for no guest of the desk", user.name),
                    "Raise the clearance, or leave the user out",
                );
            }
        }
        table.finish(report);
        users.extend(user);
    }
    if users.len() > MAX_USERS {
        report.fault(0, format!("There are {} users", users.len()), "A desk has at most 64");
    }
    let mut found = Users { users, passwords: "passwords".into(), lock_after_minutes: None };
    if let Some(mut table) = top.table(report, "lock") {
        if found.users.is_empty() {
            report.fault(
                table.at(),
                "A desk without users is never locked",
                "Add [users.NAME] with a clearance, or leave [lock] out",
            );
        }
        if let Some(file) = table.string(report, "passwords", "\"passwords\"") {
            found.passwords = file.value.into();
        }
        let minutes = table.integer(report, "after_minutes", 1..=1440);
        found.lock_after_minutes = minutes.and_then(|minutes| u16::try_from(minutes.value).ok());
        table.finish(report);
    }
    found
}

fn read_user(
    name: Placed<String>,
    table: &mut Table<'_, '_>,
    preset: Option<&Preset>,
    others: &[UserSpec],
    report: &mut Report<'_>,
) -> Option<UserSpec> {
    let clearance = table.string(report, "clearance", "\"SECRET\"");
    let categories = table.strings(report, "categories");
    let downgrade = table.boolean(report, "downgrade");
    let unusable = tabard_labels::check_text(&name.value).is_err() || name.value.contains(':');
    let alike = others.iter().any(|other| tabard_labels::look_alike(&other.name, &name.value));
    if unusable || alike {
        report.fault(
            name.at,
            format!("The user name {:?} cannot be used", name.value),
            "Use printable ASCII without a colon, unlike the other users' names",
        );
    }
    let Some(clearance) = clearance else {
        report.fault(
            table.at(),
            format!("User {:?} has no clearance", name.value),
            "Write clearance = the highest level that the user may see",
        );
        return None;
    };
    let clearance: Compartment = match preset?.scheme.parse(&marking(&clearance, categories)) {
        Ok(parsed) => parsed,
        Err(error) => return unknown(preset?, clearance.at, &error, report),
    };
    let downgrade = downgrade.is_some_and(|downgrade| downgrade.value);
    Some(UserSpec { name: name.value, authority: Authority { clearance, downgrade } })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::session::desk::{Desk, DeskFaults};

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
            assert!(cause(&two(bad)).contains("cannot be used"), "{bad}");
        }
    }

    #[test]
    fn a_lock_needs_users_and_users_have_their_own_privilege() {
        assert!(cause("[lock]\nafter_minutes = 5\n").contains("without users"));
        assert!(cause(&format!("{ANN}[policy]\ndowngrade = true\n")).contains("downgrade"));
    }
}
