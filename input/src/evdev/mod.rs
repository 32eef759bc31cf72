//! The keyboards and pointers of the host, from `/dev/input`: found, judged, held alone
//! (`EVIOCGRAB`) and read. They are opened for reading only, so nothing, least of all a guest, can
//! write a light or a rumble to them.

mod decoder;
mod device;
mod touch;

use crate::SourceId;
use crate::device::{Device, DeviceClass, DeviceName, DeviceRules, HostEvent, Refusal};
use device::{OpenError, Opened};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Where the kernel lists input devices.
pub const FOLDER: &str = "/dev/input";
/// Devices that are held at once; what is plugged in beyond is left alone.
const MAX_DEVICES: usize = 64;
/// Reads of one device before the others are looked at.
const READS_IN_A_ROW: usize = 16;

/// Why there is no input. Each message names the device and says what to do.
#[derive(Debug, Error)]
pub enum InputError {
    /// The folder of devices cannot be watched.
    #[error("Cannot watch {}: {source}. Check that it is there and that you may read it", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A device that may be a keyboard cannot be opened.
    #[error(
        "Cannot open {}: {source}. Start as root (the unit tabard@.service does), or let your \
         group read it", .path.display()
    )]
    Open {
        /// The device.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program has a keyboard or pointer for itself.
    #[error(
        "Cannot have {} ({name}) alone: another program holds it. End other display servers and \
         key remappers", .path.display()
    )]
    Held {
        /// The device.
        path: PathBuf,
        /// What it calls itself.
        name: String,
    },
    /// There is nothing to type with.
    #[error(
        "There is no keyboard in {}{refused}. Plug one in; a desk cannot be left without it",
        .path.display()
    )]
    NoKeyboard {
        /// The folder.
        path: PathBuf,
        /// Which devices were refused and why, in words.
        refused: String,
    },
}

/// The devices of the host, held.
pub struct Inputs {
    folder: PathBuf,
    watch: OwnedFd,
    rules: DeviceRules,
    /// By the name of the node.
    open: BTreeMap<String, Held>,
    next: u32,
    /// Nodes that another program holds, and that were told of.
    told: BTreeSet<String>,
    /// What was found before anyone listened.
    events: Vec<HostEvent>,
}

struct Held {
    source: SourceId,
    device: Opened,
    /// Refused devices are held so that nobody else hears them either, and never read.
    heard: bool,
}

impl Inputs {
    /// Finds and takes every keyboard and pointer; there may be none yet. On an error nothing stays
    /// taken. Under the `strict` rule a device that offers keys and a pointer in one is refused.
    ///
    /// # Errors
    /// [`InputError`]: at the start, whatever is not as it should be is an error.
    pub fn open(folder: &Path, strict: bool) -> Result<Self, InputError> {
        let fault = |source: rustix::io::Errno| InputError::Folder {
            path: folder.to_path_buf(),
            source: source.into(),
        };
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).map_err(fault)?;
        // Watched before it is read, or what appears between would be missed. Attributes: a
        // device manager may give the right to read a moment after the device appears.
        let interest = WatchFlags::CREATE | WatchFlags::ATTRIB | WatchFlags::DELETE;
        inotify::add_watch(&watch, folder, interest).map_err(fault)?;
        let mut inputs = Self {
            folder: folder.to_path_buf(),
            watch,
            rules: DeviceRules::new(strict),
            open: BTreeMap::new(),
            next: SourceId::FIRST_DEVICE,
            told: BTreeSet::new(),
            events: Vec::new(),
        };
        let nodes = inputs
            .nodes()
            .map_err(|source| InputError::Folder { path: folder.to_path_buf(), source })?;
        for node in nodes {
            inputs.add(&node)?;
        }
        Ok(inputs)
    }

    /// What they wait for: [`InputError::NoKeyboard`], if none was found.
    #[must_use]
    pub fn waits_for(&self) -> Option<InputError> {
        let mut refused = String::new();
        for event in &self.events {
            let HostEvent::Appeared { device, .. } = event else { continue };
            match device.kind.class {
                DeviceClass::Keyboard => return None,
                DeviceClass::Refused(why) => {
                    refused.push_str(&format!("; {:?} was refused: it {why}", device.name));
                }
                DeviceClass::Pointer => {}
            }
        }
        Some(InputError::NoKeyboard { path: self.folder.clone(), refused })
    }

    /// Tells everything that happens until nobody listens: until `listener` says `false`. One that is slow makes the
    /// kernel's own buffers fill, which loses movement and no key (see `decoder`).
    pub fn run(mut self, listener: impl Fn(HostEvent) -> bool) {
        loop {
            for event in self.events.drain(..) {
                if !listener(event) {
                    return;
                }
            }
            self.wait();
        }
    }

    /// Sleeps until something happens, and takes it.
    fn wait(&mut self) {
        let mut polled = vec![PollFd::new(&self.watch, PollFlags::IN)];
        for held in self.open.values() {
            // Of a refused one only its end is of interest, which is always told.
            let interest = if held.heard { PollFlags::IN } else { PollFlags::empty() };
            polled.push(PollFd::from_borrowed_fd(held.device.as_fd(), interest));
        }
        // Interrupted or out of memory: look at everything.
        let failed = poll(&mut polled, None).is_err();
        let ready: Vec<bool> =
            polled.iter().map(|one| failed || !one.revents().is_empty()).collect();
        let names: Vec<String> = self.open.keys().cloned().collect();
        for (name, _) in names.iter().zip(ready.iter().skip(1)).filter(|(_, ready)| **ready) {
            let Some(held) = self.open.get_mut(name) else { continue };
            let alive = if held.heard {
                held.device.read(READS_IN_A_ROW, &mut self.events)
            } else {
                held.device.is_there()
            };
            if !alive {
                self.remove(name);
            }
        }
        if ready.first() == Some(&true) {
            self.folder_changed();
        }
    }

    /// Something came, went, or may be read now.
    fn folder_changed(&mut self) {
        let mut came = BTreeSet::new();
        let mut overflowed = false;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(self.watch.as_fd(), &mut buffer);
        while let Ok(event) = reader.next() {
            overflowed |= event.events().contains(ReadFlags::QUEUE_OVERFLOW);
            if let Some(name) = event.file_name().and_then(|name| name.to_str().ok()) {
                came.insert(name.to_owned());
            }
        }
        if overflowed {
            came.extend(self.nodes().unwrap_or_default());
        }
        for name in came {
            // One that does not answer is gone, and its name may be another device's already.
            if self.open.get(&name).is_some_and(|held| !held.device.is_there()) {
                self.remove(&name);
            }
            self.add_later(&name);
        }
    }

    /// Adds a device that was plugged in: it may be gone again already, or not yet be readable.
    fn add_later(&mut self, name: &str) {
        // Any other fault: it is gone, or its rights follow, which tells us again.
        let Err(InputError::Held { name: called, .. }) = self.add(name) else {
            self.told.remove(name);
            return;
        };
        if self.told.insert(name.to_owned()) {
            let kind = DeviceClass::Refused(Refusal::NotAlone).into();
            let (called, port) = (DeviceName::new(&called), DeviceName::new(name));
            let device = Device { kind, name: called, port, ids: [0; 3] };
            let source = self.number();
            self.events.push(HostEvent::Appeared { source, device });
            self.events.push(HostEvent::Gone(source));
        }
    }

    fn add(&mut self, name: &str) -> Result<(), InputError> {
        if !name.starts_with("event") || self.open.contains_key(name) {
            return Ok(());
        }
        let path = self.folder.join(name);
        if self.open.len() >= MAX_DEVICES {
            return Ok(());
        }
        let mut rules = self.rules.clone();
        match Opened::new(&path, SourceId(self.next), &mut rules) {
            Ok(Some((device, opened))) => {
                self.rules = rules;
                let source = self.number();
                let heard = !matches!(device.kind.class, DeviceClass::Refused(_));
                self.events.push(HostEvent::Appeared { source, device });
                self.open.insert(name.to_owned(), Held { source, device: opened, heard });
                Ok(())
            }
            // Neither keyboard nor pointer.
            Ok(None) => Ok(()),
            Err(OpenError::Open(source)) => Err(InputError::Open { path, source }),
            Err(OpenError::Held(name)) => Err(InputError::Held { path, name }),
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(held) = self.open.remove(name) {
            self.rules.gone(&held.device.identity);
            self.events.push(HostEvent::Gone(held.source));
        }
    }

    /// The next number for a device. It is spent only on one that is told of: whoever plugs a device in
    /// and out ten times a second has used them up after thirteen years.
    fn number(&mut self) -> SourceId {
        let source = SourceId(self.next);
        self.next = self.next.saturating_add(1);
        source
    }

    fn nodes(&self) -> io::Result<Vec<String>> {
        let entries = std::fs::read_dir(&self.folder)?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let mut nodes: Vec<String> = names.collect();
        nodes.sort_unstable();
        Ok(nodes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_keyboard_it_waits_for_one_and_names_what_was_refused_and_why() {
        let folder = std::env::temp_dir().join(format!("tabard-none-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut inputs = Inputs::open(&folder, false).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let device = |class: DeviceClass| {
            let name = DeviceName::new("Desk 4");
            let device = Device { kind: class.into(), name, port: name, ids: [3, 1, 2] };
            HostEvent::Appeared { source: SourceId(16), device }
        };
        inputs.events.push(device(DeviceClass::Refused(Refusal::Changed)));
        let text = inputs.waits_for().unwrap().to_string();
        assert!(text.contains("no keyboard in") && text.contains("tabard-none"), "{text}");
        assert!(text.contains("\"Desk 4\" was refused: it was another kind"), "{text}");
        inputs.events.push(device(DeviceClass::Keyboard));
        assert!(inputs.waits_for().is_none());
    }

    #[test]
    fn no_number_is_spent_on_a_node_that_is_ignored() {
        let folder = std::env::temp_dir().join(format!("tabard-nodes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("event0"), "").unwrap();
        let mut inputs = Inputs {
            folder: folder.clone(),
            watch: inotify::init(CreateFlags::CLOEXEC).unwrap(),
            rules: DeviceRules::default(),
            open: BTreeMap::new(),
            next: SourceId::FIRST_DEVICE,
            told: BTreeSet::new(),
            events: Vec::new(),
        };
        for name in ["event0", "event1", "mouse0"].repeat(100) {
            inputs.add_later(name);
        }
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!((inputs.next, inputs.events), (SourceId::FIRST_DEVICE, vec![]));
    }
}
