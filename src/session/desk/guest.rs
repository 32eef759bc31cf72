//! The guests of a desk file.

use std::path::PathBuf;

use tabard_labels::{LabelId, Preset};

use super::label::Labels;
use super::report::{Report, chain};
use super::table::{Placed, Table};
use super::volume::{Attach, Attachment};
use crate::session::Engine;

/// Longest name of a guest, in characters: it must fit into a banner beside its marking.
const MAX_NAME_CHARS: usize = 32;
/// Memory of a guest that does not say, in MiB.
const DEFAULT_MEMORY_MIB: u32 = 256;
/// Longest kernel command line, in bytes (as Linux's `COMMAND_LINE_SIZE` less what is added).
const MAX_CMDLINE_BYTES: usize = 1792;

/// One guest, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuestSpec {
    /// Its name, unlike any other of the desk at a glance.
    pub name: String,
    /// Its label.
    pub label: LabelId,
    /// `builtin:NAME`, or the path of a kernel relative to the desk file.
    pub kernel: String,
    /// The path of an initrd.
    pub initrd: Option<PathBuf>,
    /// The kernel command line.
    pub cmdline: String,
    /// Memory in MiB, 16..=1048576.
    pub memory_mib: u32,
    /// Virtual processors, 1..=64.
    pub vcpus: u8,
    /// Whether its display is a framebuffer, for kernels without a driver for virtio-gpu.
    pub basic_display: bool,
    /// Its disks, in the order in which it sees them; at most 8.
    pub volumes: Vec<Attachment>,
    /// What is to run its instructions; `None`: what can.
    pub engine: Option<Engine>,
    /// Whether it starts with the desk.
    pub autostart: bool,
    /// Whether it starts again by itself when it fails.
    pub restart: bool,
    /// Line of its name in the desk file, from 1.
    pub line: usize,
}

/// Reads every `[guests.NAME]`.
pub(super) fn read_guests(
    top: &mut Table<'_, '_>,
    preset: Option<&Preset>,
    labels: &mut Labels,
    attach: Attach<'_>,
    engine: Option<Engine>,
    report: &mut Report<'_>,
) -> Vec<GuestSpec> {
    let mut guests: Vec<GuestSpec> = Vec::new();
    let tables = top.tables(report, "guests");
    if tables.is_empty() {
        report.fault(
            0,
            "The desk has no guests",
            "Add [guests.notes] with label = \"...\" and kernel = \"builtin:notepad\"",
        );
    }
    for (name, mut table) in tables {
        check_name(&name, &guests, report);
        let own = read_engine(&mut table, report).unwrap_or(engine);
        let guest = read_guest(name, &mut table, preset, labels, attach, report);
        table.finish(report);
        guests.extend(guest.map(|guest| GuestSpec { engine: own, ..guest }));
    }
    guests
}

/// The engine that `engine` names, if it is there; `auto` is none.
pub(super) fn read_engine(
    table: &mut Table<'_, '_>,
    report: &mut Report<'_>,
) -> Option<Option<Engine>> {
    let words = [("auto", None), ("kvm", Some(Engine::Kvm)), ("qemu", Some(Engine::Qemu))];
    let wants = "\"auto\" (KVM where it can run the guest, else QEMU), \"kvm\" or \"qemu\"";
    table.choice(report, "engine", &words, wants)
}

fn check_name(name: &Placed<String>, others: &[GuestSpec], report: &mut Report<'_>) {
    let long = name.value.chars().count() > MAX_NAME_CHARS;
    let cause = match tabard_labels::check_text(&name.value) {
        Err(error) => Some(chain(&error)),
        Ok(()) if long => Some(format!("it is longer than {MAX_NAME_CHARS} characters")),
        Ok(()) => None,
    };
    if let Some(cause) = cause {
        report.fault(
            name.at,
            format!("The guest name {:?} cannot be used: {cause}", name.value),
            "Use a short name of printable ASCII characters",
        );
    }
    if let Some(other) =
        others.iter().find(|other| tabard_labels::look_alike(&other.name, &name.value))
    {
        report.fault(
            name.at,
            format!("The guests {:?} and {:?} have names that look alike", other.name, name.value),
            "Rename one, so that nobody types into the wrong one",
        );
    }
}

fn read_guest(
    name: Placed<String>,
    table: &mut Table<'_, '_>,
    preset: Option<&Preset>,
    labels: &mut Labels,
    attach: Attach<'_>,
    report: &mut Report<'_>,
) -> Option<GuestSpec> {
    let label = table.string(report, "label", "\"LEVEL\"");
    let kernel = table.string(report, "kernel", "\"builtin:notepad\" or a path");
    let initrd = table.string(report, "initrd", "\"PATH\"");
    let cmdline = table.string(report, "cmdline", "\"console=ttyS0\"");
    let memory = table.string(report, "memory", "\"256M\" or \"2G\"");
    let vcpus = table.integer(report, "vcpus", 1..=64);
    let autostart = table.boolean(report, "autostart");
    let wants = "\"desktop\" (virtio-gpu), or \"basic\" for kernels without its driver";
    let basic_display = table.second(report, "display", ["desktop", "basic"], wants);
    let words = ["never", "on-failure"];
    let restart = table.second(report, "restart", words, "\"on-failure\" or \"never\"");
    let names = table.strings(report, "volumes");
    let disposable = table.boolean(report, "disposable");
    let disposable = disposable.is_some_and(|disposable| disposable.value);
    let cmdline = cmdline.map_or_else(String::new, |cmdline| {
        let printable = cmdline.value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if cmdline.value.len() > MAX_CMDLINE_BYTES || !printable {
            report.fault(
                cmdline.at,
                format!("The command line of guest {:?} cannot be used", name.value),
                format!("Use at most {MAX_CMDLINE_BYTES} printable ASCII characters"),
            );
        }
        cmdline.value
    });
    let memory_mib = memory.map_or(Some(DEFAULT_MEMORY_MIB), |memory| {
        let parsed = parse_memory_mib(&memory.value);
        if parsed.is_none() {
            report.fault(
                memory.at,
                format!("The memory {:?} is not a size from 16M to 1024G", memory.value),
                "Write a number and M or G, such as \"512M\" or \"2G\"",
            );
        }
        parsed
    });
    let mut missing = |key: &str, example: &str| {
        report.fault(
            table.at(),
            format!("Guest {:?} has no {key}", name.value),
            format!("Write {key} = {example}"),
        );
    };
    if label.is_none() {
        missing("label", "\"LEVEL//CATEGORY\", or the name of one of [labels]");
    }
    if kernel.is_none() {
        missing("kernel", "\"builtin:notepad\", or the path of a kernel");
    }
    let label = label.and_then(|label| labels.find(&label, preset, report))?;
    let volumes = names.map_or_else(Vec::new, |names| {
        attach.attach((&name.value, label), &names, disposable, &labels.set, report)
    });
    Some(GuestSpec {
        name: name.value,
        label,
        basic_display,
        engine: None,
        volumes,
        kernel: kernel?.value,
        initrd: initrd.map(|path| PathBuf::from(path.value)),
        cmdline,
        memory_mib: memory_mib?,
        vcpus: vcpus.and_then(|vcpus| u8::try_from(vcpus.value).ok()).unwrap_or(1),
        restart,
        autostart: autostart.is_none_or(|autostart| autostart.value),
        line: report.line(name.at),
    })
}

fn parse_memory_mib(text: &str) -> Option<u32> {
    let (digits, factor) = match text.strip_suffix('M') {
        Some(digits) => (digits, 1),
        None => (text.strip_suffix('G')?, 1024),
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let mib = digits.parse::<u32>().ok()?.checked_mul(factor)?;
    (16..=1_048_576).contains(&mib).then_some(mib)
}
