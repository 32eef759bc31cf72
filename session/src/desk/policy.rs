//! `[policy]` of a desk file: what may flow, beyond what the classes of the labels say.

use tabard_trusted_path::Policy;

use super::table::Table;

/// Reads `[policy]`; without it, the clipboard follows the order and nobody may downgrade.
pub(super) fn read_policy(top: &mut Table<'_>) -> Policy {
    let mut policy = Policy::default();
    let Some(mut table) = top.table("policy") else { return policy };
    let mut seconds = |key, usual| table.integer(key, 1..=3600).unwrap_or(usual);
    policy.clipboard_seconds = seconds("clipboard_seconds", policy.clipboard_seconds);
    policy.question_seconds = seconds("question_seconds", policy.question_seconds);
    policy.clipboard = table.boolean("clipboard").unwrap_or(policy.clipboard);
    policy.downgrade = table.boolean("downgrade").unwrap_or(policy.downgrade);
    policy
}
