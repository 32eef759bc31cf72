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
    let seconds = table.integer(report, "clipboard_seconds", 1..=3600);
    if let Some(seconds) = seconds.and_then(|seconds| u16::try_from(seconds.value).ok()) {
        policy.clipboard_seconds = seconds;
    }
    if let Some(downgrade) = table.boolean(report, "downgrade") {
        policy.downgrade = downgrade.value;
    }
    table.finish(report);
    policy
}
