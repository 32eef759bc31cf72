//! When a frame is handed to the presenter: at once when the view changed, and for guest pixels
//! as soon as the last frame is up, but in the long run never faster than a screen could show. A
//! guest that flushes in a loop therefore costs a bounded share of the processor, and one that
//! draws now and then never waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tabard_display::{FrameRequest, FrameSender, GuestDamage, Pictures};
use tabard_view::{GuestId, Rect, View};

/// Time that one frame of nothing but guest pixels is worth: 120 a second in the long run.
const FRAME_INTERVAL: Duration = Duration::from_micros(8_333);
/// Frames of nothing but guest pixels that may follow each other at once after a pause: a guest
/// that starts, or answers a key, draws in two or three parts.
const BURST: u32 = 4;

/// What waits to be shown.
pub(super) struct Frames {
    sender: FrameSender,
    view: Arc<View>,
    view_changed: bool,
    damage: Vec<GuestDamage>,
    pixels_changed: bool,
    /// The presenter has a frame that it has not confirmed.
    busy: bool,
    /// Until when frames handed over are paid for; behind the present after a pause.
    paid_until: Instant,
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
            paid_until: Instant::now(),
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
            let now = Instant::now();
            let ahead = self.paid_until.saturating_duration_since(now);
            let wait = ahead.saturating_sub(FRAME_INTERVAL.saturating_mul(BURST.saturating_sub(1)));
            if !wait.is_zero() {
                return Some(wait);
            }
            self.paid_until = self.paid_until.max(now).checked_add(FRAME_INTERVAL).unwrap_or(now);
        }
        self.sender.send(FrameRequest {
            view: Arc::clone(&self.view),
            pictures: pictures(),
            damage: std::mem::take(&mut self.damage),
        });
        self.view_changed = false;
        self.pixels_changed = false;
        self.busy = true;
        None
    }
}
