//! What the first screen shows, and since when: all that a recording knows of what its user did.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tabard_display::{Frame, Pictures};
use tabard_view::{Content, OutputId, OutputView, Picture, Recipient, Rect, TrustedBody, View};

use crate::harness::serial_log;
use crate::script::diff;

/// The screen that is recorded.
pub(super) const SCREEN: OutputId = OutputId(0);
/// How long a picture must stay as it is to be at rest, as `wait-for stable` has it.
pub(super) const REST: Duration = Duration::from_millis(300);

/// The glass. Clones are the same one.
#[derive(Clone)]
pub(super) struct Glass {
    guests: Arc<[String]>,
    logs: Arc<Path>,
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    output: Option<OutputView>,
    recipient: Recipient,
    texts: Vec<String>,
    screen: Part,
    guests: Vec<Part>,
    pictures: Pictures,
}

/// A part of the screen.
#[derive(Clone)]
pub(super) struct Part {
    /// As it is on the glass, with a pointer that is over it.
    pub(super) picture: Arc<Frame>,
    /// Since when.
    pub(super) since: Instant,
    /// How often it was another one before.
    pub(super) version: u64,
}

impl Part {
    fn new() -> Self {
        Self { picture: Arc::default(), since: Instant::now(), version: 0 }
    }

    fn show(&mut self, frame: Frame) {
        if *self.picture != frame {
            *self = Self {
                picture: Arc::new(frame),
                since: Instant::now(),
                version: self.version.saturating_add(1),
            };
        }
    }
}

/// A guest at one moment.
#[derive(Clone)]
pub(super) struct GuestThen {
    /// What its window showed.
    pub(super) part: Part,
    /// Its own pixels, without a pointer, if it has the keyboard and they are what is shown.
    pub(super) own: Option<Arc<Frame>>,
    /// Where its picture is on the screen, if it has a window.
    pub(super) content: Option<Rect>,
    /// What it had printed, in bytes.
    pub(super) serial_bytes: u64,
}

/// How things stood at one moment.
#[derive(Clone)]
pub(super) struct Moment {
    pub(super) at: Instant,
    pub(super) recipient: Recipient,
    /// Whether a password is asked for.
    pub(super) login: bool,
    /// What Tabard itself had drawn.
    pub(super) texts: Vec<String>,
    pub(super) screen: Part,
    pub(super) guests: Vec<GuestThen>,
}

/// What the trusted screen says of the key that ends the desk, once it was asked for.
const ENDS_DESK: &str = "again to end the desk and stop every guest";

impl Moment {
    /// Whether the glass asked if the desk is to end: what comes then may end it. A signal may as
    /// well, at any time, and is nothing that the user did.
    pub(super) fn asks_to_end(&self) -> bool {
        self.recipient == Recipient::Trusted && self.texts.iter().any(|text| text == ENDS_DESK)
    }

    /// Whether this part had been at rest.
    pub(super) fn rested(&self, part: &Part) -> bool {
        self.at.saturating_duration_since(part.since) >= REST
    }

    /// What [`Glass::stir`] was.
    pub(super) fn stir(&self) -> u64 {
        let serial = self.guests.iter().map(|guest| guest.serial_bytes);
        serial.fold(self.screen.version, u64::wrapping_add)
    }

    /// The guest that received input.
    pub(super) fn guest(&self) -> Option<usize> {
        match self.recipient {
            Recipient::Guest(guest) => Some(guest.0.into()),
            Recipient::Trusted | Recipient::Nobody => None,
        }
    }

    /// The guest whose picture a place of the screen is in, and where in it.
    pub(super) fn place(&self, (x, y): (u32, u32)) -> Option<(usize, (u32, u32))> {
        self.guests.iter().enumerate().find_map(|(guest, then)| {
            let content = then.content.filter(|content| content.contains(x, y))?;
            Some((guest, (x.saturating_sub(content.x), y.saturating_sub(content.y))))
        })
    }
}

impl Glass {
    /// Nothing is shown yet; the guests are those of the desk, `logs` the folder of their serial logs.
    pub(super) fn new(guests: Vec<String>, logs: &Path) -> Self {
        let shown = Shown {
            output: None,
            recipient: Recipient::Nobody,
            texts: Vec::new(),
            screen: Part::new(),
            guests: guests.iter().map(|_| Part::new()).collect(),
            pictures: Pictures::new(),
        };
        let shown = Arc::new(Mutex::new(shown));
        Self { guests: guests.into(), logs: logs.into(), shown }
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        // What is inside is valid at every moment, whoever panicked.
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A frame of a screen.
    pub(super) fn show(
        &self,
        view: &View,
        output: &OutputView,
        frame: &Frame,
        texts: Vec<String>,
        pictures: &Pictures,
    ) {
        if output.id != SCREEN {
            return;
        }
        let mut seen = frame.clone();
        seen.pixels.iter_mut().for_each(|pixel| *pixel &= 0x00ff_ffff);
        let mut shown = self.lock();
        for window in output.windows() {
            if let Some(part) = shown.guests.get_mut(usize::from(window.guest.0)) {
                part.show(diff::crop(&seen, window.frame.content));
            }
        }
        shown.screen.show(seen);
        shown.recipient = view.recipient;
        shown.texts = texts;
        shown.output = Some(output.clone());
        shown.pictures.clone_from(pictures);
    }

    /// How things stand.
    pub(super) fn moment(&self) -> Moment {
        let shown = self.lock();
        let windows = shown.output.as_ref().map(OutputView::windows).unwrap_or_default();
        let guests = shown.guests.iter().enumerate().map(|(index, part)| {
            let window = windows.iter().find(|window| usize::from(window.guest.0) == index);
            let live = window.filter(|window| window.focused && window.picture == Picture::Live);
            let own = live.and_then(|window| {
                let picture = shown.pictures.get(&window.guest)?;
                let size = window.frame.content.size();
                // A guest that has not followed a change of its size is drawn in another way.
                ((picture.width_px, picture.height_px) == (size.width, size.height)).then(|| {
                    let mut own = Frame::new(size);
                    for y in 0..size.height {
                        picture.surface.copy_row(y, 0, own.row_mut(y, 0, size.width));
                    }
                    own.pixels.iter_mut().for_each(|pixel| *pixel &= 0x00ff_ffff);
                    Arc::new(own)
                })
            });
            GuestThen {
                part: part.clone(),
                own,
                content: window.map(|window| window.frame.content),
                serial_bytes: self.serial_bytes(index),
            }
        });
        let login = shown.output.as_ref().is_some_and(|output| {
            matches!(&output.content, Content::Trusted(screen)
                if matches!(screen.body, TrustedBody::Login(_)))
        });
        Moment {
            at: Instant::now(),
            recipient: shown.recipient,
            login,
            texts: shown.texts.clone(),
            screen: shown.screen.clone(),
            guests: guests.collect(),
        }
    }

    /// Whether a guest has drawn or printed something.
    pub(super) fn is_up(&self, guest: usize) -> bool {
        let draws = self.lock().output.as_ref().is_some_and(|output| {
            let window = output.windows().iter().find(|one| usize::from(one.guest.0) == guest);
            window.is_some_and(|window| window.picture == Picture::Live)
        });
        draws || self.serial_bytes(guest) > 0
    }

    /// A number that is another one once a frame looks different or a guest has printed something.
    pub(super) fn stir(&self) -> u64 {
        let serial = (0..self.guests.len()).map(|guest| self.serial_bytes(guest));
        serial.fold(self.lock().screen.version, u64::wrapping_add)
    }

    /// The names of the guests, as the desk file has them.
    pub(super) fn guests(&self) -> &[String] {
        &self.guests
    }

    /// What a guest printed between two moments.
    pub(super) fn printed(&self, guest: usize, from_bytes: u64, to_bytes: u64) -> String {
        let log = self.log(guest).and_then(|log| std::fs::read(log).ok()).unwrap_or_default();
        let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(log.len());
        let part = log.get(place(from_bytes)..place(to_bytes)).unwrap_or_default();
        String::from_utf8_lossy(part).into_owned()
    }

    fn serial_bytes(&self, guest: usize) -> u64 {
        let log = self.log(guest).and_then(|log| std::fs::metadata(log).ok());
        log.map_or(0, |metadata| metadata.len())
    }

    fn log(&self, guest: usize) -> Option<PathBuf> {
        self.guests.get(guest).map(|name| serial_log(&self.logs, name))
    }
}
