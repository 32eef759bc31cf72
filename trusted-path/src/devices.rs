//! The keyboards and pointers of the host: which are there, and which keyboards the user accepted.
//! A new keyboard types nothing until somebody says on the trusted screen that it is theirs; what
//! it sends meanwhile reaches nobody and changes nothing, but that the chord opens the trusted screen.

use tabard_input::{Device, DeviceClass, SourceId, Spare};

/// Devices that are remembered at once.
pub(crate) const MAX_DEVICES: usize = 64;
/// Refused devices that are still listed when they are gone, so that the user learns of them.
const MAX_REFUSED: usize = 8;

/// What the user accepts of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// That it types.
    Keys,
    /// That it points.
    Pointer,
}

/// A part of a physical device that waits for the user's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    /// Its first node.
    pub(crate) source: SourceId,
    pub(crate) part: Part,
    /// Its last node: a later one was not there when the user was asked.
    pub(crate) last: SourceId,
    /// Whether the user said that it is not to be used in this session.
    pub(crate) dismissed: bool,
}

/// A device that is plugged in, or a refused one that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) source: SourceId,
    pub(crate) device: Device,
    types: bool,
    points: bool,
    dismissed: bool,
    gone: bool,
}

/// All devices, in the order in which they appeared.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Devices {
    pub(crate) known: Vec<Known>,
    /// What was dismissed: it stays so when it comes back.
    dismissed: Vec<Device>,
    /// Wireless keyboards that were accepted and are asleep.
    asleep: Vec<Device>,
}

impl Devices {
    /// A device is there. A pointer needs no question: it can only choose what is on the glass.
    /// A keyboard needs none if it is the only one, with all its nodes, and `proven`: the user has
    /// shown that the session has a keyboard, so that no device can be first by waiting for the start.
    pub(crate) fn add(&mut self, source: SourceId, device: Device, proven: bool) {
        let old = self.known.iter().position(|known| known.gone);
        let refused = self.known.iter().filter(|known| known.gone).count();
        if (self.known.len() >= MAX_DEVICES || refused > MAX_REFUSED)
            && let Some(old) = old
        {
            self.known.remove(old);
        }
        if self.known.len() >= MAX_DEVICES || self.known.iter().any(|known| known.source == source)
        {
            return;
        }
        let awake = self.asleep.iter().position(|other| *other == device);
        let same = |known: &Known| known.types && known.device.port == device.port;
        let only = proven && self.keyboards().all(same);
        let types = device.kind.types() && (awake.is_some() || only);
        if let Some(place) = awake {
            self.asleep.remove(place);
        }
        let points = device.kind.class == DeviceClass::Pointer;
        let dismissed = self.dismissed.contains(&device);
        self.known.push(Known { source, device, types, points, dismissed, gone: false });
    }

    /// A device is gone. One that sleeps may be kept in mind.
    pub(crate) fn remove(&mut self, source: SourceId, keep_wireless: bool) {
        let asleep = |known: &&Known| keep_wireless && known.types && known.device.is_wireless();
        let asleep = self.get(source).filter(asleep).map(|known| known.device);
        asleep.into_iter().for_each(|device| remember(&mut self.asleep, device));
        for known in &mut self.known {
            known.gone |= known.source == source;
        }
        self.known.retain(|known| !known.gone || known.is_refused());
    }

    /// Whether the keys of this source may reach anybody. What is no device of the host, such as
    /// the window, is the session's own.
    pub(crate) fn heeds(&self, source: SourceId) -> bool {
        source.0 < SourceId::FIRST_DEVICE || self.get(source).is_some_and(|known| known.types)
    }

    /// Whether its movement and buttons may.
    pub(crate) fn heeds_pointer(&self, source: SourceId) -> bool {
        source.0 < SourceId::FIRST_DEVICE || self.get(source).is_some_and(|known| known.points)
    }

    /// Who logs in next says anew what may type.
    pub(crate) fn forget_wireless(&mut self) {
        self.asleep.clear();
    }

    /// What waits for the user's word, one entry for each physical device: keyboards, the oldest
    /// first, then what else they offer, and in the end what was dismissed.
    pub(crate) fn waiting(&self) -> Vec<Waiting> {
        let mut waiting: Vec<Waiting> = Vec::new();
        for known in &self.known {
            let Some(part) = known.waits() else { continue };
            let (source, dismissed) = (known.source, known.dismissed);
            match waiting.iter_mut().find(|one| self.is_of(known, one)) {
                Some(one) => one.last = source,
                None => waiting.push(Waiting { source, part, last: source, dismissed }),
            }
        }
        waiting.sort_by_key(|one| (one.dismissed, one.part != Part::Keys));
        waiting
    }

    /// Whether this node waits in the same way and is of the same physical device.
    pub(crate) fn is_of(&self, known: &Known, waiting: &Waiting) -> bool {
        let port = self.get(waiting.source).map(|first| first.device.port);
        port == Some(known.device.port)
            && known.waits() == Some(waiting.part)
            && known.dismissed == waiting.dismissed
    }

    /// The user said this of what waits.
    pub(crate) fn decide(&mut self, waiting: Waiting, accepted: bool) {
        let meant = |known: &&Known| known.source <= waiting.last && self.is_of(known, &waiting);
        let meant: Vec<SourceId> =
            self.known.iter().filter(meant).map(|known| known.source).collect();
        for known in self.known.iter_mut().filter(|known| meant.contains(&known.source)) {
            self.dismissed.retain(|device| *device != known.device);
            match waiting.part {
                _ if !accepted => remember(&mut self.dismissed, known.device),
                Part::Keys => known.types = true,
                Part::Pointer => known.points = true,
            }
            known.dismissed = !accepted;
        }
    }

    /// What may type or point.
    pub(crate) fn accepted(&self) -> Vec<(SourceId, Part)> {
        let parts = |known: &Known| {
            let part = |part, on: bool| on.then_some((known.source, part));
            [part(Part::Keys, known.types), part(Part::Pointer, known.points)]
        };
        self.known.iter().flat_map(parts).flatten().collect()
    }

    pub(crate) fn get(&self, source: SourceId) -> Option<&Known> {
        self.known.iter().find(|known| known.source == source)
    }

    /// Whether there is a keyboard that the user accepted.
    pub(crate) fn may_type(&self) -> bool {
        self.keyboards().any(|known| known.types)
    }

    pub(crate) fn keyboards(&self) -> impl Iterator<Item = &Known> {
        self.known.iter().filter(|known| known.device.kind.types())
    }
}

impl Known {
    fn waits(&self) -> Option<Part> {
        let kind = self.device.kind;
        match kind.types() {
            true if !self.types => Some(Part::Keys),
            true if kind.points() && !self.points => Some(Part::Pointer),
            _ => None,
        }
    }

    fn is_refused(&self) -> bool {
        matches!(self.device.kind.class, DeviceClass::Refused(_))
    }

    /// What became of it.
    pub(crate) fn state(&self) -> String {
        let state = match self.device.kind.class {
            DeviceClass::Keyboard if self.types => "accepted",
            DeviceClass::Keyboard if self.dismissed => "dismissed, types nothing",
            DeviceClass::Keyboard => "waits, types nothing",
            DeviceClass::Pointer => "in use",
            DeviceClass::Refused(why) => return why.to_string(),
        };
        let spare = match self.device.kind.spare {
            Spare::Nothing => "",
            Spare::Keys => "; its keys are thrown away",
            Spare::Pointer if self.points => "; points too",
            Spare::Pointer => "; its pointer is thrown away",
            Spare::Stray => "; what else it offers is thrown away",
        };
        format!("{state}{spare}")
    }
}

fn remember(list: &mut Vec<Device>, device: Device) {
    if !list.contains(&device) && list.len() < MAX_DEVICES {
        list.push(device);
    }
}
