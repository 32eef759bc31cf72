//! The volumes of a desk file, and which guest may do what with them.

use std::path::PathBuf;

use tabard_labels::{LabelId, LabelSet};
use tabard_trusted_path::{Decision, Flow, FlowKind, Policy};

use super::label::Labels;
use super::report::{Placed, Report};
use super::table::Table;

/// Volumes of one guest: a machine has so many places for disks.
const MAX_VOLUMES_OF_A_GUEST: usize = 8;

/// One volume, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Its name in the desk file.
    pub name: String,
    /// The raw image, relative to the desk file.
    pub path: PathBuf,
    /// What is in it.
    pub label: LabelId,
    /// Whether every guest may only read it.
    pub read_only: bool,
    /// Whether it is raw even if it looks like an image of another format.
    pub raw: bool,
    /// Line of its name in the desk file, from 1.
    pub line: usize,
}

/// What a guest may do with a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read it; the image is opened so, and the guest is told.
    Read,
    /// Read and write it.
    Write,
    /// Read it, and write to a copy that is forgotten when the guest stops.
    Copy,
}

/// A volume of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attachment {
    /// Its place in the desk's list of volumes.
    pub volume: usize,
    /// What the guest may do with it.
    pub access: Access,
}

/// Reads every `[volumes.NAME]`.
pub(super) fn read_volumes(top: &mut Table<'_>, labels: &mut Labels<'_>) -> Vec<VolumeSpec> {
    let mut volumes = Vec::new();
    for (name, mut table) in top.tables("volumes") {
        let report = table.report;
        report.check_name("volume", &name, std::iter::empty());
        let path = table.need("path", "\"disk.img\"");
        let label = table.need("label", "\"LEVEL\"");
        let wants = "\"read-write\", or \"read-only\" for what no guest may write";
        let read_only = table.second("mode", ["read-write", "read-only"], wants);
        let wants = "\"raw\", which is the only one, for an image that looks like another";
        let raw = table.choice("format", &[("raw", true)], wants).unwrap_or_default();
        let label = label.and_then(|label| labels.find(&label, report));
        if let (Some(path), Some(label)) = (path, label) {
            let (name, line, path) = (name.value, report.line(name.at), path.value.into());
            volumes.push(VolumeSpec { name, path, label, read_only, raw, line });
        }
    }
    volumes
}

/// What decides which volumes a guest gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attach<'d> {
    pub(super) volumes: &'d [VolumeSpec],
    pub(super) policy: &'d Policy,
}

impl Attach<'_> {
    /// What a guest with this label does with the volumes that it names.
    pub(super) fn attach(
        &self,
        guest: (&str, LabelId),
        names: &Placed<Vec<String>>,
        disposable: bool,
        labels: &LabelSet,
        report: &Report<'_>,
    ) -> Vec<Attachment> {
        let mut attached: Vec<Attachment> = Vec::new();
        let fault = |cause: String, next: &str| report.fault(names.at, cause, next);
        if names.value.len() > MAX_VOLUMES_OF_A_GUEST {
            fault(
                format!("Guest {:?} has {} volumes", guest.0, names.value.len()),
                &format!("A guest has at most {MAX_VOLUMES_OF_A_GUEST}"),
            );
        }
        for name in &names.value {
            let Some((index, volume)) =
                self.volumes.iter().enumerate().find(|(_, volume)| volume.name == *name)
            else {
                fault(
                    format!("There is no good volume {name:?}"),
                    "Write [volumes.NAME] with path = \"disk.img\" and label = \"LEVEL\"",
                );
                continue;
            };
            if attached.iter().any(|other| other.volume == index) {
                fault(format!("Guest {:?} has the volume {name:?} twice", guest.0), "Name it once");
                continue;
            }
            match self.access(guest.1, volume, disposable, labels) {
                Ok(access) => attached.push(Attachment { volume: index, access }),
                Err(reason) => {
                    let text = |id| labels.get(id).map_or("", |label| label.text.as_str());
                    fault(
                        format!(
                            "Guest {:?} is {} and may neither read nor write the volume {name:?}, \
                             which is {}: {reason}",
                            guest.0,
                            text(guest.1),
                            text(volume.label)
                        ),
                        "Give the guest a label that dominates the volume's, or take the volume \
                         from its list",
                    );
                }
            }
        }
        attached
    }

    /// Write what is of exactly one's own class, read what one's class dominates, nothing else,
    /// as the VAX security kernel attached its volumes. What is written to a copy that vanishes
    /// flows nowhere, so reading is enough for it.
    fn access(
        &self,
        guest: LabelId,
        volume: &VolumeSpec,
        disposable: bool,
        labels: &LabelSet,
    ) -> Result<Access, String> {
        let class = |id| labels.get(id).map(|label| label.class).ok_or("it has no label");
        let (guest, class) = (class(guest)?, class(volume.label)?);
        let decide = |kind, source, destination| match self
            .policy
            .decide(&Flow { kind, source, destination }, None)
        {
            Decision::Allowed => Ok(()),
            Decision::NeedsReview(reason) | Decision::Refused(reason) => Err(reason.to_string()),
        };
        decide(FlowKind::VolumeRead, class, guest)?;
        Ok(match (volume.read_only, disposable) {
            (true, _) => Access::Read,
            (false, true) => Access::Copy,
            (false, false) if decide(FlowKind::VolumeWrite, guest, class).is_ok() => Access::Write,
            (false, false) => Access::Read,
        })
    }
}
