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

use std::iter;
use std::path::{Path, PathBuf};

use tabard_input::Chord;
use tabard_labels::LabelSet;
use tabard_trusted_path::{LayoutMode, Policy};
use tabard_view::{GuestId, OutputId, Scale};
use tabard_wire::Layers;
use toml::de::{DeTable, DeValue};

use super::audit::sha256_hex;
use super::image;
pub use report::chain;
use report::{Placed, Report};
use table::Table;

pub use audit::AuditSpec;
pub use guest::GuestSpec;
pub use output::OutputSpec;
pub use report::{DeskFaults, Fault};
pub use users::{UserSpec, Users};
pub use volume::{Access, Attachment, VolumeSpec};

/// A desk file longer than this is refused, in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// Guests, users, and outputs that one desk names: their numbers have 8 bits, and a person cannot
/// tell more apart.
const MAX_OF_A_KIND: usize = 64;

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
    /// Whether what offers keys and a pointer in one is refused whole.
    pub strict_devices: bool,
    /// Whether an accepted wireless keyboard that comes back is accepted until the lock.
    pub keep_wireless: bool,
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
        let text = image::text(file, MAX_FILE_BYTES).map_err(|error| {
            let next = "Check its path. A desk file is UTF-8 text of at most 1 MiB";
            unreadable(format!("Cannot read the file: {error}"), next)
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
        let report = Report::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            report.fault(at, format!("Not TOML: {}", error.message()), "Mend the syntax");
        }
        if !report.is_clean() {
            return Err(report.finish(file));
        }
        let desk = read_desk(Table::new("", 0, document.get_ref(), &report), file)
            .map(|desk| Desk { sha256: sha256_hex(text.as_bytes()), ..desk });
        match desk {
            Some(desk) if report.is_clean() => Ok(desk),
            _ => Err(report.finish(file)),
        }
    }
}

fn read_desk(mut top: Table<'_>, file: &Path) -> Option<Desk> {
    let report = top.report;
    let Some(mut head) = top.table("desk") else {
        report.fault(0, "There is no [desk] table", "Write [desk] and name = \"...\" below it");
        return None;
    };
    let name = head.need("name", "\"My desk\"");
    name.iter().for_each(|name| report.check_name("desk", name, iter::empty()));
    let wants = "\"desk\" (all guests side by side) or \"solo\" (one fills the screen)";
    let layouts = [("desk", LayoutMode::Desk), ("solo", LayoutMode::Solo)];
    let layout = head.choice("layout", &layouts, wants).unwrap_or(LayoutMode::Desk);
    let jail = read_jail(&mut head);
    let wants = "\"Ctrl+Alt+Escape\", or a dedicated key such as \"Pause\"";
    let sak = head.parsed("sak", wants, |sak| {
        let cause = |error| format!("{sak:?} is no secure-attention key: {}", chain(&error));
        Chord::parse(sak).map_err(cause)
    });
    let wants = "\"split\" (of what offers keys and a pointer in one, one part is heard), or \
                 \"strict\" (it is refused)";
    let strict_devices = head.second("devices", ["split", "strict"], wants);
    let wants = "\"ask\", or \"keep\" (one that was accepted and comes back is, until the lock)";
    let keep_wireless = head.second("wireless", ["ask", "keep"], wants);
    let scale = head.read("scale", "a number from 0.5 to 4", parse_scale);
    let preset = label::read_preset(&mut head);
    let engine = guest::read_engine(&mut head).flatten();
    drop(head);
    let mut labels = label::read_labels(&mut top, preset.as_ref());
    let policy = policy::read_policy(&mut top);
    let volumes = volume::read_volumes(&mut top, &mut labels);
    let attach = volume::Attach { volumes: &volumes, policy: &policy };
    let guests = guest::read_guests(&mut top, &mut labels, attach, engine);
    guest::refuse_two_writers(&guests, &volumes, report);
    let outputs = output::read_outputs(&mut top, &guests);
    let audit = audit::read_audit(&mut top);
    let users = users::read_users(&mut top, preset.as_ref(), &guests, &labels.set);
    if !users.users.is_empty() && policy.downgrade {
        report.fault(
            0,
            "downgrade in [policy] is for a desk without users",
            "Write downgrade = true under [users.NAME] of who may",
        );
    }
    for (what, count) in
        [("guests", guests.len()), ("outputs", outputs.len()), ("users", users.users.len())]
    {
        if count > MAX_OF_A_KIND {
            let next = format!("A desk has at most {MAX_OF_A_KIND}; make two desk files");
            report.fault(0, format!("There are {count} {what}"), next);
        }
    }
    Some(Desk {
        file: file.to_path_buf(),
        base: file.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        sha256: String::new(),
        jail,
        name: name?.value,
        layout,
        sak: sak.unwrap_or_default(),
        strict_devices,
        keep_wireless,
        scale: scale.map(|scale| scale.value),
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
fn read_jail(head: &mut Table<'_>) -> Layers {
    let mut layers = Layers::default();
    let words = head.words("jail", "\"strict\" or [\"landlock\", \"seccomp\"]");
    let Some(Placed { value: words, at }) = words else { return layers };
    for word in &words {
        match Layers::named(word) {
            Some(named) => layers = layers.union(named),
            None => head.report.fault(
                at,
                format!("There is no layer {word:?} of a jail"),
                format!("Write jail = \"strict\", or some of: {}", Layers::ALL),
            ),
        }
    }
    layers
}

fn parse_scale(value: &DeValue<'_>) -> Option<Scale> {
    let number = match value {
        DeValue::Float(float) => float.as_str(),
        DeValue::Integer(number) => number.as_str(),
        _ => return None,
    };
    let percent = (number.replace('_', "").parse::<f64>().ok()? * 100.0).round();
    // The comparison also refuses what is not a number.
    if !(50.0..=400.0).contains(&percent) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "50..=400")]
    Scale::from_percent(percent as u16)
}
