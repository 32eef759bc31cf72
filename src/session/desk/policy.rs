//! `[policy]` of a desk file: what may flow, beyond what the classes of the labels say.

use tabard_trusted_path::Policy;

use super::report::Report;
use super::table::Table;

/// Reads `[policy]`; without it, the clipboard follows the order and nobody may downgrade.
pub(super) fn read_policy(top: &mut Table<'_, '_>, report: &mut Report<'_>) -> Policy {
    let mut policy = Policy::default();
    let Some(mut table) = top.table(report, "policy") else { return policy };
    if let Some(clipboard) = table.boolean(report, "clipboard") {
        policy.clipboard = clipboard.value;
    }
    let mut seconds = |key, place: &mut u16| {
        let seconds = table.integer(report, key, 1..=3600);
        *place = seconds.and_then(|it| u16::try_from(it.value).ok()).unwrap_or(*place);
    };
    seconds("clipboard_seconds", &mut policy.clipboard_seconds);
    seconds("question_seconds", &mut policy.question_seconds);
    if let Some(downgrade) = table.boolean(report, "downgrade") {
        policy.downgrade = downgrade.value;
    }
    table.finish(report);
    policy
}
