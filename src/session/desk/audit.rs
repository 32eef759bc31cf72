//! `[audit]` of a desk file: where the log is, and what happens when it cannot be written.

use std::path::PathBuf;

use super::report::Report;
use super::table::Table;
use crate::session::audit::OnFull;

/// The audit log of a desk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AuditSpec {
    /// The file, relative to the desk file; `None`: `audit.jsonl` beside the serial logs.
    pub file: Option<PathBuf>,
    /// What happens when it cannot be written.
    pub on_full: OnFull,
}

/// Reads `[audit]`.
pub(super) fn read_audit(top: &mut Table<'_, '_>, report: &mut Report<'_>) -> AuditSpec {
    let mut spec = AuditSpec::default();
    let Some(mut table) = top.table(report, "audit") else { return spec };
    spec.file = table.string(report, "file", "\"audit.jsonl\"").map(|file| file.value.into());
    let wants = "\"stop\" (end the session) or \"slow\" (go on slowly)";
    if table.second(report, "on_full", ["stop", "slow"], wants) {
        spec.on_full = OnFull::Slow;
    }
    table.finish(report);
    spec
}
