//! The screens of the host, owned through the kernel's mode setting: every connected connector of
//! every card under `/dev/dri`. A view is confirmed when the card says that its flip is done. What
//! cannot be put up makes its screen count as new, so that input stays muted, and blank, until a
//! frame is whole again.

mod card;
mod limit;
mod name;
mod plane;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use drm::Device as _;
use drm::control::{Device as _, Event};
use drm::control::{Mode, connector};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netlink};
use tabard_labels::LabelSet;
use tabard_view::{FrameSerial, OutputId, Scale, Size};
use thiserror::Error;

use crate::{
    CheckedCompositor, FontError, Frame, FrameRequest, FrameSender, Presenter, PresenterEvent,
    Ringing,
};
use card::{Card, Glass, chosen, size_of};
use limit::{Limit, TRIES};
pub use name::{edid_names, is_screen_name};

/// Where the kernel lists graphics cards.
pub const FOLDER: &str = "/dev/dri";
/// After which a screen that cannot be drawn is tried again, and one that is still is looked after.
const RETRY: Duration = Duration::from_millis(250);
/// After which screens are looked for again while there is none; the kernel should tell of them.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// In which a flip is done; later, the screen has failed.
const FLIP_TIME: Duration = Duration::from_secs(2);
/// The multicast group of the kernel's own messages about devices (netlink(7), lib/kobject_uevent.c).
const KERNEL_GROUP: u32 = 1;

/// The number of the first screen that is wished for by name; others have lower ones.
pub const FIRST_NAMED: u8 = 128;

/// What is wished of a screen that is known by a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// Its number, [`FIRST_NAMED`] or higher, when it is there.
    pub output: OutputId,
    /// Its connector, such as `HDMI-A-1`, or with the card as the kernel writes it; or another form
    /// that [`is_screen_name`] knows.
    pub connector: String,
    /// Its mode; without one, or if the screen lacks it, the one that the screen prefers.
    pub mode: Option<ModeWish>,
}

/// A mode by what people know of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ModeWish {
    /// Its size in pixels.
    pub size: Size,
    /// Pictures a second, rounded as the kernel does; without it, the screen's first choice.
    pub hertz: Option<u32>,
}

/// Why the screens cannot be had. Each message names the device and says what to do.
#[derive(Debug, Error)]
pub enum KmsError {
    /// The folder of graphics cards cannot be read.
    #[error("Cannot read {}: {source}. Start as root (the unit tabard@.service does)", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A card cannot be opened.
    #[error(
        "Cannot open {}: {source}. Start as root (the unit tabard@.service does)", .path.display()
    )]
    Open {
        /// The card.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another display server draws on a card.
    #[error(
        "Cannot draw on {}: another display server has it. End it, for example with \
         `systemctl isolate multi-user.target`", .0.display()
    )]
    Held(PathBuf),
    /// No card has a connected screen, or there is no card.
    #[error(
        "No screen is connected to a card in {}. Connect one that is switched on; is the driver of \
         the graphics card loaded?", .0.display()
    )]
    NoScreen(PathBuf),
    /// The presenter cannot wait for screens.
    #[error("Cannot be told of screens that come and go: {0}. Is the kernel built with netlink?")]
    Watch(io::Error),
    /// It cannot draw.
    #[error("The screens cannot be drawn")]
    Compositor(#[from] FontError),
}

/// The screens of the host.
pub struct KmsPresenter {
    folder: PathBuf,
    scale: Scale,
    wishes: Vec<Wish>,
    cards: BTreeMap<PathBuf, Arc<Card>>,
    screens: BTreeMap<OutputId, Screen>,
    compositor: CheckedCompositor,
    requests: Receiver<FrameRequest>,
    woken: Arc<OwnedFd>,
    uevents: OwnedFd,
    /// When to look for screens while there is none.
    look_at: Instant,
    /// What is left to try of the screens that could not be lit, by the names of their connectors.
    limits: BTreeMap<String, Limit>,
    /// The connected screens that show nothing of ours, as the session was told.
    dark: BTreeSet<String>,
}

struct Screen {
    glass: Glass,
    frame: Frame,
    /// What is to be shown next.
    waiting: Option<FrameRequest>,
    /// The view whose flip is on its way, and since when.
    flipping: Option<(FrameSerial, Instant)>,
    /// Not to be drawn before, because it failed.
    retry_at: Option<Instant>,
    /// How often it failed in a row.
    failures: u8,
    /// How often its cable failed since it was connected.
    bad_links: u8,
}

/// The session is gone: nothing is left to do.
struct Ended;

impl KmsPresenter {
    /// Takes every card; the screens still show what they showed. There may be none yet.
    ///
    /// # Errors
    ///
    /// [`KmsError`]; every card is given back then.
    pub fn open(
        folder: &Path,
        labels: LabelSet,
        scale: Scale,
        wishes: Vec<Wish>,
    ) -> Result<(Self, FrameSender), KmsError> {
        let watch = |error: rustix::io::Errno| KmsError::Watch(error.into());
        let uevents = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            Some(netlink::KOBJECT_UEVENT),
        )
        .map_err(watch)?;
        rustix::net::bind(&uevents, &netlink::SocketAddrNetlink::new(0, KERNEL_GROUP))
            .map_err(watch)?;
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        let woken = Arc::new(eventfd(0, flags).map_err(watch)?);
        let wake = {
            let woken = Arc::clone(&woken);
            // A counter that is full has woken the presenter already.
            Arc::new(move || {
                let _ = rustix::io::write(&*woken, &1_u64.to_ne_bytes());
            })
        };
        let (sender, requests) = FrameSender::channel(Some(wake));
        let mut presenter = Self {
            folder: folder.to_path_buf(),
            scale,
            wishes,
            cards: BTreeMap::new(),
            screens: BTreeMap::new(),
            compositor: CheckedCompositor::new(labels)?,
            requests,
            woken,
            uevents,
            look_at: Instant::now(),
            limits: BTreeMap::new(),
            dark: BTreeSet::new(),
        };
        for path in presenter.nodes()? {
            presenter.take_card(&path)?;
        }
        Ok((presenter, sender))
    }

    /// What it waits for: [`KmsError::NoScreen`], if there is none yet.
    #[must_use]
    pub fn waits_for(&self) -> Option<KmsError> {
        let connected = |card: &Arc<Card>| card.connected().is_ok_and(|all| !all.is_empty());
        let dark = !self.cards.values().any(connected);
        dark.then(|| KmsError::NoScreen(self.folder.clone()))
    }

    /// Draws until the session is gone. The cards are given back when it returns.
    pub fn run(mut self, events: &Ringing<PresenterEvent>) {
        // Either way this is the end.
        let (Ok(()) | Err(Ended)) = self.turns(events);
    }

    fn turns(&mut self, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        self.find_screens(events)?;
        loop {
            loop {
                match self.requests.try_recv() {
                    Ok(request) => self.screens.values_mut().for_each(|screen| {
                        let newer = request.clone();
                        screen.waiting = Some(match screen.waiting.take() {
                            Some(older) => older.replaced_by(newer),
                            None => newer,
                        });
                    }),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Disconnected) => return Ok(()),
                }
            }
            let ids: Vec<OutputId> = self.screens.keys().copied().collect();
            for id in ids {
                self.draw(id, events)?;
            }
            let look = self.screens.is_empty() && Instant::now() >= self.look_at;
            if self.wait(events)? || look {
                self.look_at = Instant::now().checked_add(LOOK_EVERY).unwrap_or(self.look_at);
                self.find_bad_links(events)?;
                self.find_cards();
                self.find_screens(events)?;
            }
            self.find_usurped(events)?;
        }
    }

    /// Sleeps until there is something to do. Answers whether screens may have come or gone.
    fn wait(&mut self, events: &Ringing<PresenterEvent>) -> Result<bool, Ended> {
        let now = Instant::now();
        let due = self.screens.values().flat_map(|screen| {
            let flip = screen.flipping.and_then(|(_, since)| since.checked_add(FLIP_TIME));
            let retry = screen.retry_at.filter(|_| screen.waiting.is_some());
            flip.into_iter().chain(retry)
        });
        let left = due.map(|due| due.saturating_duration_since(now)).min();
        let left = left.unwrap_or(RETRY).min(RETRY).subsec_nanos();
        let timeout = Timespec { tv_sec: 0, tv_nsec: left.into() };
        let cards: Vec<Arc<Card>> = self.cards.values().cloned().collect();
        let mut polled = vec![
            PollFd::new(&*self.woken, PollFlags::IN),
            PollFd::new(&self.uevents, PollFlags::IN),
        ];
        polled.extend(cards.iter().map(|card| PollFd::new(&**card, PollFlags::IN)));
        // Interrupted: look at everything, nothing of it blocks.
        let _ = poll(&mut polled, Some(&timeout));
        drop(polled);
        let mut counter = [0; 8];
        let _ = rustix::io::read(&*self.woken, &mut counter);
        for card in &cards {
            self.flips(card, events)?;
        }
        let mut message = [0; 8192];
        let mut changed = false;
        loop {
            match rustix::io::read(&self.uevents, &mut message) {
                Ok(length) => {
                    let text = message.get(..length).unwrap_or_default();
                    changed |= text.split(|byte| *byte == 0).any(|line| line == b"SUBSYSTEM=drm");
                }
                // Messages were lost.
                Err(rustix::io::Errno::NOBUFS) => changed = true,
                Err(_) => return Ok(changed),
            }
        }
    }

    /// Confirms the frames whose flips a card says are done.
    fn flips(&mut self, card: &Arc<Card>, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let Ok(done) = card.receive_events() else { return Ok(()) };
        for event in done {
            let Event::PageFlip(flip) = event else { continue };
            for (id, screen) in &mut self.screens {
                if Arc::ptr_eq(&screen.glass.card, card)
                    && screen.glass.crtc == flip.crtc
                    && let Some((serial, _)) = screen.flipping.take()
                {
                    screen.failures = 0;
                    tell(events, PresenterEvent::Presented { output: *id, serial })?;
                }
            }
        }
        Ok(())
    }

    /// Draws what waits for a screen, if it can take a frame now.
    fn draw(&mut self, id: OutputId, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let Some(screen) = self.screens.get_mut(&id) else { return Ok(()) };
        let now = Instant::now();
        if let Some((_, since)) = screen.flipping {
            if now.saturating_duration_since(since) < FLIP_TIME {
                return Ok(());
            }
            return self.failed(id, events);
        }
        if screen.retry_at.is_some_and(|at| now < at) {
            return Ok(());
        }
        let Some(request) = screen.waiting.take() else { return Ok(()) };
        // A view made before the screen appeared or changed: a newer one is on its way.
        let view = request.view.output(id);
        let Some(view) =
            view.filter(|view| view.size == screen.glass.size() && view.scale == self.scale)
        else {
            return Ok(());
        };
        let changed = match self.compositor.compose(&request, view, &mut screen.frame) {
            Ok(changed) => changed,
            Err(mismatch) => {
                self.screens.values_mut().for_each(|screen| screen.glass.blank());
                tell(events, PresenterEvent::FrameRefused(mismatch))?;
                // The session ends; until then nothing is shown.
                return Err(Ended);
            }
        };
        let serial = request.view.serial;
        match screen.glass.present(view, serial, &screen.frame, &changed) {
            Ok(()) => {
                (screen.retry_at, screen.flipping) = (None, Some((serial, now)));
                Ok(())
            }
            Err(_) => {
                // Its damage is kept by the buffers, the rest is drawn again from this.
                screen.waiting = Some(request);
                self.failed(id, events)
            }
        }
    }

    /// A screen does not show what it should. To the monitor it is a new one from now on. If it fails
    /// again and again while another is lit, a smaller mode is tried, and in the end it is left out.
    fn failed(&mut self, id: OutputId, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let mut others = self.screens.iter().filter(|(other, _)| **other != id);
        let alone = !others.any(|(_, other)| other.glass.is_lit());
        let Some(screen) = self.screens.get_mut(&id) else { return Ok(()) };
        screen.flipping = None;
        screen.retry_at = Instant::now().checked_add(RETRY);
        screen.failures = screen.failures.saturating_add(1);
        let (lit, size) = (screen.glass.is_lit(), screen.glass.size());
        if lit {
            screen.glass.blank();
        }
        if screen.failures >= TRIES && !alone && screen.glass.is_dark() {
            return self.give_up(id, events);
        }
        if lit {
            tell(events, PresenterEvent::OutputRemoved { output: id })?;
            tell(events, PresenterEvent::OutputAdded { output: id, size, scale: self.scale })?;
        }
        Ok(())
    }

    /// A screen cannot be lit in its mode.
    fn give_up(&mut self, id: OutputId, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let Some(screen) = self.screens.remove(&id) else { return Ok(()) };
        let (card, connector) = (Arc::clone(&screen.glass.card), screen.glass.connector);
        if let Ok(info) = card.get_connector(connector, false) {
            let name = card.full_name(&info);
            let (before, size) = (self.limits.get(&name), screen.glass.size());
            let limit = Limit::after(before, size, info.modes().to_vec());
            self.limits.insert(name, limit);
        }
        drop(screen);
        self.compositor.forget(id);
        tell(events, PresenterEvent::OutputRemoved { output: id })?;
        self.find_screens(events)
    }

    /// Sets the mode anew where a cable lost what it carried (the property `link-status`), as the
    /// kernel asks for.
    fn find_bad_links(&mut self, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let mut bad = Vec::new();
        for (id, screen) in &mut self.screens {
            if screen.glass.is_lit() && screen.glass.has_bad_link() {
                screen.bad_links = screen.bad_links.saturating_add(1);
                // A frame that the card has taken says nothing of the cable.
                screen.failures = screen.failures.max(screen.bad_links);
                bad.push(*id);
            }
        }
        bad.into_iter().try_for_each(|id| self.failed(id, events))
    }

    /// Takes new cards, and lets those go that are no longer there.
    fn find_cards(&mut self) {
        let nodes = self.nodes().unwrap_or_default();
        // A name may be another card's already; one that is gone does not answer.
        let answers = |card: &Card| card.resource_handles().is_ok();
        self.cards.retain(|path, card| nodes.contains(path) && answers(card));
        for path in nodes {
            if !self.cards.contains_key(&path) {
                // One that cannot be had now is tried again with the next message of the kernel.
                let _ = self.take_card(&path);
            }
        }
    }

    /// Gives up the screens that another draws on or may draw on: nothing else tells while the
    /// picture is still, and keys may change none of it, such as those of a password.
    fn find_usurped(&mut self, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let usurped = self.screens.iter().filter(|(_, screen)| screen.glass.is_usurped());
        let ids: Vec<OutputId> = usurped.map(|(id, _)| *id).collect();
        ids.into_iter().try_for_each(|id| self.failed(id, events))
    }

    /// Compares the screens with what is connected.
    fn find_screens(&mut self, events: &Ringing<PresenterEvent>) -> Result<(), Ended> {
        let mut connected = Vec::new();
        for card in self.cards.values() {
            let screens = card.connected().unwrap_or_default();
            connected.extend(screens.into_iter().map(|info| (Arc::clone(card), info)));
        }
        let same = |screen: &Screen, card: &Arc<Card>, info: &connector::Info| {
            Arc::ptr_eq(&screen.glass.card, card) && screen.glass.connector == info.handle()
        };
        self.limits.retain(|name, limit| {
            let same = |(card, info): &(Arc<Card>, connector::Info)| {
                card.full_name(info) == *name && info.modes() == limit.modes
            };
            connected.iter().any(same)
        });
        // Another screen on the same connector may have another size.
        let gone: Vec<OutputId> = self
            .screens
            .iter()
            .filter(|(_, screen)| {
                !connected.iter().any(|(card, info)| {
                    same(screen, card, info)
                        && self.mode(card, info).as_ref().map(size_of) == Some(screen.glass.size())
                })
            })
            .map(|(id, _)| *id)
            .collect();
        for id in gone {
            self.screens.remove(&id);
            self.compositor.forget(id);
            tell(events, PresenterEvent::OutputRemoved { output: id })?;
        }
        for (card, info) in &connected {
            if self.screens.values().any(|screen| same(screen, card, info)) {
                continue;
            }
            let on_card = self.screens.values().map(|screen| &screen.glass);
            let used: Vec<_> = on_card
                .filter(|glass| Arc::ptr_eq(&glass.card, card))
                .map(|glass| glass.crtc)
                .collect();
            let named = self.wish(card, info).map(|wish| wish.output);
            let mut ids = named.into_iter().chain((0..FIRST_NAMED).map(OutputId));
            let free = ids.find(|id| !self.screens.contains_key(id));
            let glass = self.mode(card, info).map(|mode| Glass::new(card, info, mode, &used));
            let (Some(output), Some(Ok(glass))) = (free, glass) else {
                // It stays dark; nothing on it could be taken for ours.
                continue;
            };
            let (size, scale) = (glass.size(), self.scale);
            let frame = Frame::new(size);
            let (waiting, flipping, retry_at) = (None, None, None);
            let (failures, bad_links) = (0, 0);
            let screen = Screen { glass, frame, waiting, flipping, retry_at, failures, bad_links };
            self.screens.insert(output, screen);
            tell(events, PresenterEvent::OutputAdded { output, size, scale })?;
        }
        let unlit = |(card, info): &&(Arc<Card>, connector::Info)| {
            !self.screens.values().any(|screen| same(screen, card, info))
        };
        let unlit =
            connected.iter().filter(unlit).map(|(card, info)| card.full_name(info)).collect();
        let before = std::mem::replace(&mut self.dark, unlit);
        before.symmetric_difference(&self.dark).try_for_each(|name| {
            let (name, dark) = (name.clone(), self.dark.contains(name));
            tell(events, PresenterEvent::OutputDark { name, dark })
        })
    }

    fn wish(&self, card: &Card, info: &connector::Info) -> Option<&Wish> {
        self.wishes.iter().find(|wish| card.is_called(info, &wish.connector))
    }

    fn mode(&self, card: &Card, info: &connector::Info) -> Option<Mode> {
        if let Some(limit) = self.limits.get(&card.full_name(info)) {
            let sizes: Vec<Size> = info.modes().iter().map(size_of).collect();
            return limit.choose(&sizes).and_then(|place| info.modes().get(place)).copied();
        }
        chosen(info, self.wish(card, info).and_then(|wish| wish.mode))
    }

    fn take_card(&mut self, path: &Path) -> Result<(), KmsError> {
        let fault = |source| KmsError::Open { path: path.to_path_buf(), source };
        let card = Card::open(path).map_err(fault)?;
        // A card that only computes has no connectors to ask for.
        if card.resource_handles().is_err() {
            return Ok(());
        }
        if let Err(error) = card.acquire_master_lock() {
            return Err(match error.raw_os_error() {
                Some(code) if code == rustix::io::Errno::BUSY.raw_os_error() => {
                    KmsError::Held(path.to_path_buf())
                }
                _ => fault(error),
            });
        }
        self.cards.insert(path.to_path_buf(), Arc::new(card));
        Ok(())
    }

    fn nodes(&self) -> Result<Vec<PathBuf>, KmsError> {
        let fault = |source| KmsError::Folder { path: self.folder.clone(), source };
        let is_card = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.strip_prefix("card").is_some_and(|number| number.parse::<u32>().is_ok())
        };
        let entries = match std::fs::read_dir(&self.folder) {
            // Before the first driver there is none.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(fault)?,
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut nodes: Vec<PathBuf> = paths.filter(is_card).collect();
        nodes.sort();
        Ok(nodes)
    }
}

fn tell(events: &Ringing<PresenterEvent>, event: PresenterEvent) -> Result<(), Ended> {
    events.send(event).map_err(|_| Ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tabard_labels::LabelSet;

    #[test]
    fn without_cards_it_waits_for_one_and_says_where_and_what_to_do() {
        let folder = std::env::temp_dir().join("tabard-no-such-folder");
        let (presenter, _sender) =
            KmsPresenter::open(&folder, LabelSet::default(), Scale::ONE, Vec::new()).unwrap();
        let text = presenter.waits_for().unwrap().to_string();
        assert!(text.contains("tabard-no-such-folder") && text.contains("driver"), "{text}");
    }
}
