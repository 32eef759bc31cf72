//! `[audit]` of a desk file: where the log is, and what happens when it cannot be written.

use std::path::PathBuf;

use super::table::Table;
use crate::audit::OnFull;

/// The audit log of a desk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditSpec {
    /// The file, relative to the desk file; `None`: `audit.jsonl` beside the serial logs.
    pub file: Option<PathBuf>,
    /// What happens when it cannot be written.
    pub on_full: OnFull,
}

/// Reads `[audit]`.
pub(super) fn read_audit(top: &mut Table<'_>) -> AuditSpec {
    let Some(mut table) = top.table("audit") else { return AuditSpec::default() };
    let wants = "\"stop\" (end the session) or \"slow\" (go on slowly)";
    let words = [("stop", OnFull::Stop), ("slow", OnFull::Slow)];
    AuditSpec {
        file: table.string("file", "\"audit.jsonl\"").map(|file| file.value.into()),
        on_full: table.choice("on_full", &words, wants).unwrap_or_default(),
    }
}
