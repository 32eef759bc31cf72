//! When a frame is handed to the presenter: at once when the view changed, and for guest pixels
//! as soon as the last frame is up, but never faster than a screen could show. A guest that
//! flushes in a loop therefore costs a bounded share of the processor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tabard_display::{FrameRequest, FrameSender, GuestDamage, Pictures};
use tabard_view::{GuestId, Rect, View};

/// Least time between two frames that only carry guest pixels: 120 a second.
const FRAME_INTERVAL: Duration = Duration::from_micros(8_333);

/// What waits to be shown.
pub(super) struct Frames {
    sender: FrameSender,
    view: Arc<View>,
    view_changed: bool,
    damage: Vec<GuestDamage>,
    pixels_changed: bool,
    /// The presenter has a frame that it has not confirmed.
    busy: bool,
    last: Option<Instant>,
}

impl Frames {
    pub(super) fn new(sender: FrameSender, view: View) -> Self {
        Self {
            sender,
            view: Arc::new(view),
            view_changed: false,
            damage: Vec::new(),
            pixels_changed: false,
            busy: false,
            last: None,
        }
    }

    /// The monitor's view is another one now.
    pub(super) fn show(&mut self, view: View) {
        self.view = Arc::new(view);
        self.view_changed = true;
    }

    /// Pixels of a guest changed; of each guest the rectangle around all of them is kept.
    pub(super) fn damage(&mut self, guest: GuestId, rect: Rect) {
        self.pixels_changed = true;
        match self.damage.iter_mut().find(|known| known.guest == guest) {
            Some(known) => known.rect = known.rect.union(rect),
            None => self.damage.push(GuestDamage { guest, rect }),
        }
    }

    /// The presenter confirmed a frame.
    pub(super) fn confirmed(&mut self) {
        self.busy = false;
    }

    /// Hands over what waits, if it is time. Returns how long to wait until it is.
    pub(super) fn flush(&mut self, pictures: impl FnOnce() -> Pictures) -> Option<Duration> {
        if !self.view_changed {
            // A confirmation wakes the loop, so a busy presenter needs no timer.
            if !self.pixels_changed || self.busy {
                return None;
            }
            let since = self.last.map_or(FRAME_INTERVAL, |last| last.elapsed());
            let wait = FRAME_INTERVAL.saturating_sub(since);
            if !wait.is_zero() {
                return Some(wait);
            }
        }
        self.sender.send(FrameRequest {
            view: Arc::clone(&self.view),
            pictures: pictures(),
            damage: std::mem::take(&mut self.damage),
        });
        self.view_changed = false;
        self.pixels_changed = false;
        self.busy = true;
        self.last = Some(Instant::now());
        None
    }
}
