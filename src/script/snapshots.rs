//! Keeps guests and starts them from what was kept: `save GUEST NAME` and `from GUEST NAME`. Files are
//! opened here and go to the guest's process as descriptors; what a snapshot is of is looked at here,
//! before anything of it reaches a process.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tabard_snapshot::line::Heard;
use tabard_snapshot::manifest::Machine;
use tabard_snapshot::{Folder, FromGuest, Line, ToGuest, folder::sha256};

use super::hands::{Done, Hands};
use super::step::{Action, Manage, Script};
use crate::engine::version_of;
use crate::harness::Harness;
use crate::run::qemu;
use crate::session::desk::{Access, Desk, GuestSpec};
use crate::session::{BUILTIN_PREFIX, Engine, open_kvm, stock_kernel_obstacle};

/// Bytes that an overlay keeps together: its size is a multiple.
const CLUSTER_BYTES: u64 = 4096;

/// The lines to all guests of a desk, and what is known of their machines.
pub(crate) struct Snapshots {
    guests: Vec<Guest>,
    /// SHA-256 of the programs that run guests.
    program: RefCell<Option<String>>,
    /// `tabard-vmm`; `tabard-engine` is beside it.
    vmm: PathBuf,
    /// Guests that were told to start from a snapshot, and did not say yet that they did.
    awaited: RefCell<BTreeSet<usize>>,
}

/// One guest of the desk.
struct Guest {
    line: Line,
    /// The end for its process.
    theirs: Arc<OwnedFd>,
    spec: GuestSpec,
    /// Its marking and its class, in words.
    label: String,
    class: String,
    /// What is wanted to run it, if anything.
    engine: Option<Engine>,
    base: PathBuf,
    /// For each volume its name, its image, and whether what is written is forgotten.
    volumes: Vec<(String, PathBuf, Access)>,
}

impl Snapshots {
    /// Lines for these guests; `over` is what all of them are to run on.
    ///
    /// # Errors
    /// A sentence, if there are no sockets.
    pub(crate) fn new(desk: &Desk, over: Option<Engine>, vmm: &Path) -> Result<Self, String> {
        let guest = |spec: &GuestSpec| {
            let (line, theirs) =
                Line::pair().map_err(|error| format!("Cannot make a socket: {error}"))?;
            let label = desk.labels.get(spec.label);
            let volumes = spec.volumes.iter().filter_map(|attached| {
                let volume = desk.volumes.get(attached.volume)?;
                Some((volume.name.clone(), desk.base.join(&volume.path), attached.access))
            });
            Ok(Guest {
                line,
                theirs: Arc::new(theirs),
                label: label.map(|label| label.text.clone()).unwrap_or_default(),
                class: label.map(|label| format!("{:?}", label.class)).unwrap_or_default(),
                engine: over.or(spec.engine),
                base: desk.base.clone(),
                volumes: volumes.collect(),
                spec: spec.clone(),
            })
        };
        Ok(Self {
            guests: desk.guests.iter().map(guest).collect::<Result<_, String>>()?,
            program: RefCell::default(),
            vmm: vmm.to_path_buf(),
            awaited: RefCell::default(),
        })
    }

    /// No lines to the guests of a desk that somebody else started: each step says so.
    pub(crate) fn none() -> Self {
        Self {
            guests: Vec::new(),
            program: RefCell::default(),
            vmm: PathBuf::new(),
            awaited: RefCell::default(),
        }
    }

    /// The ends for the guests' processes, in the order of the desk.
    pub(crate) fn ends(&self) -> Vec<Arc<OwnedFd>> {
        self.guests.iter().map(|guest| Arc::clone(&guest.theirs)).collect()
    }

    /// Tells the guests of a script that start from a snapshot to do so, before they start.
    ///
    /// # Errors
    /// Line and cause of each that cannot.
    pub(crate) fn before_start(&self, script: &Script) -> BTreeMap<usize, String> {
        let mut faults = BTreeMap::new();
        for step in &script.steps {
            let Action::From { guest, name, first: true } = &step.action else { continue };
            let index = self.guests.iter().position(|one| one.spec.name == *guest);
            // A guest that is not there was told already.
            let Some(index) = index else { continue };
            let told = if self.awaited.borrow().contains(&index) {
                Err(format!("{guest} starts from another snapshot already"))
            } else {
                self.tell(index, &path(script, name))
            };
            if let Err(cause) = told {
                faults.insert(step.line, cause);
            }
        }
        faults
    }

    /// Checks a snapshot and hands it to a guest's process, the one that runs or the next.
    fn tell(&self, index: usize, path: &Path) -> Result<(), String> {
        let guest = self.guest(index)?;
        let machine = self.machine(guest)?;
        let opened = Folder::open(path, &machine).map_err(|error| error.to_string())?;
        guest.forget_answers();
        guest
            .line
            .ask(ToGuest::From, &opened.files)
            .map_err(|error| format!("Cannot hand the snapshot to {}: {error}", guest.spec.name))?;
        self.awaited.borrow_mut().insert(index);
        Ok(())
    }

    /// Keeps a guest under a name.
    pub(super) fn save(
        &self,
        hands: &Hands<'_>,
        script: &Script,
        index: usize,
        name: &str,
    ) -> Done {
        let guest = self.guest(index)?;
        self.must_run(hands.harness, index)?;
        let machine = self.machine(guest)?;
        let begun = Folder::begin(&path(script, name), machine, &guest.overlays()?);
        let (folder, files) = begun.map_err(|error| error.to_string())?;
        guest.forget_answers();
        let told = guest.line.ask(ToGuest::Keep, &files);
        told.map_err(|error| format!("Cannot reach {}: {error}", guest.spec.name))?;
        self.wait(hands, index, FromGuest::Kept, "kept")?;
        folder.finish(&files).map_err(|error| error.to_string())
    }

    /// Starts a guest from a snapshot: before the first step it was told to, later it is now.
    pub(super) fn from(
        &self,
        hands: &Hands<'_>,
        script: &Script,
        index: usize,
        name: &str,
    ) -> Done {
        if !self.awaited.borrow().contains(&index) {
            self.tell(index, &path(script, name))?;
            if self.must_run(hands.harness, index).is_err() {
                hands.manage(Manage::Start, index)?;
            }
        }
        self.wait(hands, index, FromGuest::Started, "started")
    }

    fn guest(&self, index: usize) -> Result<&Guest, String> {
        let none = "Guests of this desk are not kept; play the script by `tabard test`";
        self.guests.get(index).ok_or_else(|| none.to_owned())
    }

    fn must_run(&self, harness: &Harness, index: usize) -> Done {
        let status = harness.status();
        match status.guests.get(index) {
            Some((_, Some(_))) => Ok(()),
            _ => Err(format!("{} does not run; start it before", self.guest(index)?.spec.name)),
        }
    }

    /// Waits for the guest's process to say that it is done.
    fn wait(&self, hands: &Hands<'_>, index: usize, wanted: FromGuest, done: &str) -> Done {
        let guest = self.guest(index)?;
        let name = &guest.spec.name;
        // Before its process was seen it has not ended: it is still to start.
        let (mut end, mut ran) = (None, false);
        let waited = hands.wait(&format!("{name} to be {done}"), |harness| {
            end = match guest.line.answered() {
                Heard::Said(said) if said == wanted => Some(Ok(())),
                Heard::Said(FromGuest::Refused(why)) => Some(Err(format!("Not {done}: {why}"))),
                Heard::Said(_) | Heard::Nothing => None,
                Heard::Closed => Some(Err(format!("The process of {name} broke the line"))),
            };
            let runs = self.must_run(harness, index).is_ok();
            ran |= runs;
            end.is_some() || (ran && !runs)
        });
        self.awaited.borrow_mut().remove(&index);
        match end {
            Some(end) => end,
            None => waited.and_then(|()| {
                Err(format!("{name} ended before it was {done}; its messages say why"))
            }),
        }
    }

    /// What the machine of a guest is now.
    fn machine(&self, guest: &Guest) -> Result<Machine, String> {
        let spec = &guest.spec;
        let engine = guest.engine()?;
        let engine_version = match engine {
            Engine::Qemu => {
                let found = qemu().ok_or("There is no QEMU; run `tabard engine`")?;
                version_of(&found)?.to_string()
            }
            Engine::Kvm => kvm_version(),
        };
        let kernel = match spec.kernel.strip_prefix(BUILTIN_PREFIX) {
            Some(name) => {
                let elf = tabard_guests::builtin(name).map_or(&[][..], |builtin| builtin.elf);
                sha256(elf).map_err(|error| error.to_string())?
            }
            None => digest(&guest.base.join(&spec.kernel))?,
        };
        let initrd = spec.initrd.as_ref().map(|path| digest(&guest.base.join(path))).transpose()?;
        Ok(Machine {
            program: self.program()?,
            engine: engine.name().to_owned(),
            engine_version,
            class: guest.class.clone(),
            label: guest.label.clone(),
            memory_mib: spec.memory_mib,
            vcpus: spec.vcpus,
            kernel,
            initrd,
            cmdline: spec.cmdline.clone(),
            devices: guest.devices()?,
        })
    }

    fn program(&self) -> Result<String, String> {
        if let Some(known) = &*self.program.borrow() {
            return Ok(known.clone());
        }
        let open = |path: &Path| File::open(path).map_err(|error| unread(path, &error));
        let engine = self.vmm.with_file_name("tabard-engine");
        let both = io::Read::chain(open(&self.vmm)?, open(&engine)?);
        let found = sha256(both).map_err(|error| unread(&self.vmm, &error))?;
        *self.program.borrow_mut() = Some(found.clone());
        Ok(found)
    }
}

impl Guest {
    /// What runs it, chosen as the session chooses.
    fn engine(&self) -> Result<Engine, String> {
        if let Some(engine) = self.engine {
            return Ok(engine);
        }
        let builtin = self.spec.kernel.starts_with(BUILTIN_PREFIX);
        let kvm = open_kvm().is_ok() && (builtin || stock_kernel_obstacle().is_none());
        Ok(if kvm { Engine::Kvm } else { Engine::Qemu })
    }

    /// What its machine has besides what every machine has.
    fn devices(&self) -> Result<Vec<String>, String> {
        let display = if self.spec.basic_display { "framebuffer" } else { "virtio-gpu" };
        let mut devices = vec![display.to_owned()];
        for (name, image, access) in &self.volumes {
            let found = std::fs::metadata(image).map_err(|error| unread(image, &error))?;
            let (bytes, seconds, nanos) = (found.len(), found.mtime(), found.mtime_nsec());
            let access = format!("{access:?}").to_lowercase();
            devices.push(format!("{name} ({access}, {bytes} bytes, of {seconds}.{nanos:09})"));
        }
        Ok(devices)
    }

    /// Bytes of the overlay of each volume that forgets what is written to it.
    fn overlays(&self) -> Result<Vec<u64>, String> {
        let most = u64::from(self.spec.memory_mib) << 20;
        let copies = self.volumes.iter().filter(|(.., access)| *access == Access::Copy);
        let bytes = |image: &PathBuf| {
            let found = std::fs::metadata(image).map_err(|error| unread(image, &error))?;
            Ok(found.len().next_multiple_of(CLUSTER_BYTES).min(most))
        };
        copies.map(|(_, image, _)| bytes(image)).collect()
    }

    /// What a process that is gone has said is no answer to what is asked now.
    fn forget_answers(&self) {
        while matches!(self.line.answered(), Heard::Said(_)) {}
    }
}

fn unread(path: &Path, error: &io::Error) -> String {
    format!("Cannot read {}: {error}", path.display())
}

fn digest(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| unread(path, &error))?;
    sha256(file).map_err(|error| unread(path, &error))
}

/// The kernel's release, which module runs guests, and on what processor: a state of one is none of
/// another.
fn kvm_version() -> String {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let modules = ["kvm_intel", "kvm_amd", "kvm_pvm"];
    let loaded = |name: &&str| Path::new("/sys/module").join(name).exists();
    let modules: Vec<&str> = modules.into_iter().filter(loaded).collect();
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1));
    format!("Linux {release}, {}, {}", modules.join(" "), model.unwrap_or("unknown processor"))
}

/// Where a snapshot of this name is.
fn path(script: &Script, name: &str) -> PathBuf {
    let beside = script.file.parent().unwrap_or(Path::new(""));
    let folder = script.snapshots.as_ref().map_or(Path::new("snapshots"), |(_, folder)| folder);
    beside.join(folder).join(name)
}

/// Whether this is a name for a snapshot: one file name that nothing else is.
///
/// # Errors
/// A sentence that says what it may be.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(format!(
            "{name:?} is no name for a snapshot; use up to 64 letters, digits, '-', '_' and '.'"
        ));
    }
    Ok(())
}
