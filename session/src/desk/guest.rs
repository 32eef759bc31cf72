//! The guests of a desk file.

use std::path::PathBuf;

use tabard_labels::LabelId;

use super::label::Labels;
use super::report::{Placed, Report};
use super::table::Table;
use super::volume::{Access, Attach, Attachment, VolumeSpec};
use crate::Engine;

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

/// Reads every `[guests.NAME]`; those that name no engine run on this one.
pub(super) fn read_guests(
    top: &mut Table<'_>,
    labels: &mut Labels<'_>,
    attach: Attach<'_>,
    engine: Option<Engine>,
) -> Vec<GuestSpec> {
    let mut guests: Vec<GuestSpec> = Vec::new();
    let tables = top.tables("guests");
    if tables.is_empty() {
        top.report.fault(
            0,
            "The desk has no guests",
            "Add [guests.notes] with label = \"...\" and kernel = \"builtin:notepad\"",
        );
    }
    for (name, table) in tables {
        table.report.check_name("guest", &name, guests.iter().map(|guest| &guest.name));
        if name.value.chars().count() > MAX_NAME_CHARS {
            let cause = format!("The guest name {:?} cannot be used: it is too long", name.value);
            let next = format!("Use at most {MAX_NAME_CHARS} characters");
            table.report.fault(name.at, cause, next);
        }
        guests.extend(read_guest(name, table, labels, attach, engine));
    }
    guests
}

/// The engine that `engine` names, if it is there; `auto` is none.
pub(super) fn read_engine(table: &mut Table<'_>) -> Option<Option<Engine>> {
    let words = [("auto", None), ("kvm", Some(Engine::Kvm)), ("qemu", Some(Engine::Qemu))];
    let wants = "\"auto\" (KVM where it can run the guest, else QEMU), \"kvm\" or \"qemu\"";
    table.choice("engine", &words, wants)
}

fn read_guest(
    name: Placed<String>,
    mut table: Table<'_>,
    labels: &mut Labels<'_>,
    attach: Attach<'_>,
    engine: Option<Engine>,
) -> Option<GuestSpec> {
    let label = table.need("label", "\"LEVEL//CATEGORY\", or the name of one of [labels]");
    let kernel = table.need("kernel", "\"builtin:notepad\", or the path of a kernel");
    let initrd = table.string("initrd", "\"PATH\"");
    let wants = format!("at most {MAX_CMDLINE_BYTES} printable ASCII characters");
    let cmdline = table.parsed("cmdline", &wants, |cmdline| {
        let printable = cmdline.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        let good = cmdline.len() <= MAX_CMDLINE_BYTES && printable;
        let refused = || format!("The command line of guest {:?} cannot be used", name.value);
        good.then(|| cmdline.to_owned()).ok_or_else(refused)
    });
    let memory_mib = table.parsed("memory", "\"512M\" or \"2G\"", |memory| {
        let refused = || format!("The memory {memory:?} is not a size from 16M to 1024G");
        parse_memory_mib(memory).ok_or_else(refused)
    });
    let vcpus = table.integer("vcpus", 1..=64);
    let engine = read_engine(&mut table).unwrap_or(engine);
    let autostart = table.boolean("autostart").unwrap_or(true);
    let wants = "\"desktop\" (virtio-gpu), or \"basic\" for kernels without its driver";
    let basic_display = table.second("display", ["desktop", "basic"], wants);
    let words = ["never", "on-failure"];
    let restart = table.second("restart", words, "\"on-failure\" or \"never\"");
    let names = table.words("volumes", "[\"ONE\", \"TWO\"]");
    let disposable = table.boolean("disposable").unwrap_or_default();
    let label = labels.find(&label?, table.report)?;
    let volumes = names.map_or_else(Vec::new, |names| {
        attach.attach((&name.value, label), &names, disposable, &labels.set, table.report)
    });
    Some(GuestSpec {
        line: table.report.line(name.at),
        name: name.value,
        label,
        basic_display,
        engine,
        volumes,
        kernel: kernel?.value,
        initrd: initrd.map(|path| PathBuf::from(path.value)),
        cmdline: cmdline.unwrap_or_default(),
        memory_mib: memory_mib.unwrap_or(DEFAULT_MEMORY_MIB),
        vcpus: vcpus.unwrap_or(1),
        restart,
        autostart,
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

/// Refuses two writers of one volume: each would destroy what the other does.
pub(super) fn refuse_two_writers(
    guests: &[GuestSpec],
    volumes: &[VolumeSpec],
    report: &Report<'_>,
) {
    for (index, volume) in volumes.iter().enumerate() {
        let writes = |guest: &&GuestSpec| {
            guest.volumes.contains(&Attachment { volume: index, access: Access::Write })
        };
        let mut writers = guests.iter().filter(writes);
        if let (Some(first), Some(second)) = (writers.next(), writers.next()) {
            report.fault_on_line(
                second.line,
                format!(
                    "The guests {:?} and {:?} would both write the volume {:?}",
                    first.name, second.name, volume.name
                ),
                "Make one of them disposable, or give each a volume of its own",
            );
        }
    }
}
