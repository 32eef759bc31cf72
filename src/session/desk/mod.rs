//! The desk file: one TOML file for a whole desktop, the signed-off source of every label
//! (invariant 7). Reading it starts nothing, and a desk with any fault is no desk.

mod audit;
mod guest;
mod label;
mod output;
mod policy;
mod report;
mod table;
#[cfg(test)]
mod tests;
mod users;
mod volume;
#[cfg(test)]
mod volume_tests;

use std::path::{Path, PathBuf};

use tabard_input::Chord;
use tabard_labels::LabelSet;
use tabard_trusted_path::{LayoutMode, Policy};
use tabard_view::{GuestId, OutputId, Scale};
use tabard_wire::Layers;
use toml::de::DeTable;

use super::audit::sha256_hex;
use report::Report;
pub(crate) use report::chain;
use table::Table;

pub use audit::AuditSpec;
pub use guest::GuestSpec;
pub use output::OutputSpec;
pub use report::{DeskFaults, Fault};
pub use users::{UserSpec, Users};
pub use volume::{Access, Attachment, VolumeSpec};

/// The chord that opens the trusted screen unless the desk file says otherwise.
pub const DEFAULT_SAK: &str = "Ctrl+Alt+Escape";
/// A desk file longer than this is refused, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Guests of one desk: a `GuestId` has 8 bits, and a person cannot tell more apart.
const MAX_GUESTS: usize = 64;

/// A desktop as its file describes it, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Desk {
    /// The file it came from, for messages.
    pub file: PathBuf,
    /// The folder that relative paths start from.
    pub base: PathBuf,
    /// The SHA-256 of its file, in hexadecimal digits.
    pub sha256: String,
    /// Its name, 1..=40 printable ASCII characters.
    pub name: String,
    /// How guests share the screen at first.
    pub layout: LayoutMode,
    /// The secure-attention key.
    pub sak: Chord,
    /// The scale; `None`: that of the screen.
    pub scale: Option<Scale>,
    /// Every label that a guest wears.
    pub labels: LabelSet,
    /// The layers that the jail of each guest's process must have.
    pub jail: Layers,
    /// The volumes in the order of the file.
    pub volumes: Vec<VolumeSpec>,
    /// The guests in the order of the file.
    pub guests: Vec<GuestSpec>,
    /// The screens that the file names, in its order.
    pub outputs: Vec<OutputSpec>,
    /// What may flow, beyond what the classes of the labels say.
    pub policy: Policy,
    /// Who may use the desk.
    pub users: Users,
    /// Where what happens is written down.
    pub audit: AuditSpec,
}

impl Desk {
    /// Reads a desk file.
    ///
    /// # Errors
    /// [`DeskFaults`] with every fault that was found; line 1 where the file cannot be read.
    pub fn read(file: &Path) -> Result<Self, DeskFaults> {
        let unreadable = |cause: String, next: &str| DeskFaults {
            file: file.to_path_buf(),
            faults: vec![Fault { line: 1, cause, next: next.to_owned() }],
        };
        let length = std::fs::metadata(file)
            .map_err(|error| {
                unreadable(format!("Cannot read the file: {error}"), "Check its path")
            })?
            .len();
        if length > MAX_FILE_BYTES {
            return Err(unreadable(
                format!("The file has {length} bytes"),
                "A desk file has at most 1 MiB; is this the right file?",
            ));
        }
        let text = std::fs::read_to_string(file).map_err(|error| {
            unreadable(format!("Cannot read the file: {error}"), "It must be readable UTF-8 text")
        })?;
        Self::parse(&text, file)
    }

    /// The screen that a guest has for itself.
    pub(crate) fn screen_of(&self, guest: GuestId) -> Option<OutputId> {
        let own = self.outputs.iter().find(|output| output.guest == Some(guest));
        own.map(|output| output.wish.output)
    }

    /// Reads a desk from text; `file` names it in messages and is where relative paths start.
    ///
    /// # Errors
    /// [`DeskFaults`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, DeskFaults> {
        let mut report = Report::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            report.fault(at, format!("Not TOML: {}", error.message()), "Mend the syntax");
        }
        if !report.is_clean() {
            return Err(report.finish(file));
        }
        let mut top = Table::new("", 0, document.get_ref());
        let desk = read_desk(&mut top, file, &mut report)
            .map(|desk| Desk { sha256: sha256_hex(text.as_bytes()), ..desk });
        top.finish(&mut report);
        match desk {
            Some(desk) if report.is_clean() => Ok(desk),
            _ => Err(report.finish(file)),
        }
    }
}

fn read_desk(top: &mut Table<'_, '_>, file: &Path, report: &mut Report<'_>) -> Option<Desk> {
    let base = file.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let Some(mut head) = top.table(report, "desk") else {
        report.fault(0, "There is no [desk] table", "Write [desk] and name = \"...\" below it");
        return None;
    };
    let name = read_name(&mut head, report);
    let layout = read_layout(&mut head, report);
    let jail = read_jail(&mut head, report);
    let sak = read_sak(&mut head, report);
    let scale = read_scale(&mut head, report);
    let preset = label::read_preset(&mut head, report);
    let engine = guest::read_engine(&mut head, report).flatten();
    head.finish(report);
    let mut labels = label::read_labels(top, preset.as_ref(), report);
    let policy = policy::read_policy(top, report);
    let volumes = volume::read_volumes(top, preset.as_ref(), &mut labels, report);
    let attach = volume::Attach { volumes: &volumes, policy: &policy };
    let guests = guest::read_guests(top, preset.as_ref(), &mut labels, attach, engine, report);
    volume::refuse_two_writers(&guests, &volumes, report);
    let outputs = output::read_outputs(top, &guests, report);
    let audit = audit::read_audit(top, report);
    let users = users::read_users(top, preset.as_ref(), &guests, &labels.set, report);
    if !users.users.is_empty() && policy.downgrade {
        report.fault(
            0,
            "downgrade in [policy] is for a desk without users",
            "Write downgrade = true under [users.NAME] of who may",
        );
    }
    if guests.len() > MAX_GUESTS {
        report.fault(
            0,
            format!("There are {} guests", guests.len()),
            format!("A desk has at most {MAX_GUESTS}; make two desk files"),
        );
    }
    Some(Desk {
        file: file.to_path_buf(),
        base,
        sha256: String::new(),
        jail,
        name: name?,
        layout,
        sak: sak?,
        scale,
        labels: labels.set,
        volumes,
        guests,
        outputs,
        policy,
        users,
        audit,
    })
}

/// The layers that `jail` names; none if there is no such key.
fn read_jail(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> Layers {
    let Some(words) = head.words(report, "jail", "\"strict\" or [\"landlock\", \"seccomp\"]")
    else {
        return Layers::default();
    };
    let mut layers = Layers::default();
    for word in &words.value {
        match Layers::named(word) {
            Some(named) => layers = layers.union(named),
            None => report.fault(
                words.at,
                format!("There is no layer {word:?} of a jail"),
                format!("Write jail = \"strict\", or some of: {}", Layers::ALL),
            ),
        }
    }
    layers
}

fn read_name(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> Option<String> {
    let Some(name) = head.string(report, "name", "\"My desk\"") else {
        report.fault(head.at(), "The desk has no name", "Write name = \"My desk\" under [desk]");
        return None;
    };
    if let Err(error) = tabard_labels::check_text(&name.value) {
        report.fault(
            name.at,
            format!("The name of the desk cannot be used: {}", chain(&error)),
            "Use 1 to 40 printable ASCII characters",
        );
        return None;
    }
    Some(name.value)
}

fn read_layout(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> LayoutMode {
    let wants = "\"desk\" (all guests side by side) or \"solo\" (one fills the screen)";
    let solo = head.second(report, "layout", ["desk", "solo"], wants);
    if solo { LayoutMode::Solo } else { LayoutMode::Desk }
}

fn read_sak(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> Option<Chord> {
    let written = head.string(report, "sak", "\"Ctrl+Alt+Escape\"");
    let (text, at) = written.map_or((DEFAULT_SAK.to_owned(), 0), |sak| (sak.value, sak.at));
    match Chord::parse(&text) {
        Ok(chord) => Some(chord),
        Err(error) => {
            report.fault(
                at,
                format!("The secure-attention key {text:?} cannot be used: {}", chain(&error)),
                "Write sak = \"Ctrl+Alt+Escape\", or a dedicated key such as \"Pause\"",
            );
            None
        }
    }
}

fn read_scale(head: &mut Table<'_, '_>, report: &mut Report<'_>) -> Option<Scale> {
    let scale = head.number(report, "scale", "a number from 0.5 to 4")?;
    let percent = (scale.value * 100.0).round();
    // The comparison also refuses what is not a number.
    let parsed = if (50.0..=400.0).contains(&percent) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "50..=400")]
        Scale::from_percent(percent as u16)
    } else {
        None
    };
    if parsed.is_none() {
        report.fault(
            scale.at,
            format!("The scale {} is out of range", scale.value),
            "Write a number from 0.5 to 4",
        );
    }
    parsed
}
