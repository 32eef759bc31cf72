//! What session and presenters say to each other. A presenter draws what it is handed, confirms
//! it once it is up, and passes on raw input; it decides nothing.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tabard_view::{FrameSerial, OutputId, OutputView, Scale, Size, View};
use thiserror::Error;

use crate::{Damage, Frame, GuestDamage, Mismatch, Pictures};

/// A new view to put up, or new pixels in the same one.
#[derive(Debug, Clone)]
pub struct FrameRequest {
    /// What to show, on every output.
    pub view: Arc<View>,
    /// The guests' pixels.
    pub pictures: Pictures,
    /// What of them has changed since the request before.
    pub damage: Vec<GuestDamage>,
}

impl FrameRequest {
    /// The newer request in place of this one, with the damage of both. It stays small: of each
    /// guest only the rectangle around all damage is kept.
    #[must_use]
    pub fn replaced_by(self, newer: FrameRequest) -> FrameRequest {
        let mut damage: Vec<GuestDamage> = Vec::new();
        for one in self.damage.into_iter().chain(newer.damage) {
            match damage.iter_mut().find(|known| known.guest == one.guest) {
                Some(known) => known.rect = known.rect.union(one.rect),
                None => damage.push(one),
            }
        }
        FrameRequest { damage, ..newer }
    }
}

/// What a presenter tells the session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenterEvent {
    /// A screen is there.
    OutputAdded {
        /// The screen.
        output: OutputId,
        /// Its size in pixels.
        size: Size,
        /// Its scale.
        scale: Scale,
    },
    /// A screen has another size or scale.
    OutputResized {
        /// The screen.
        output: OutputId,
        /// Its size in pixels.
        size: Size,
        /// Its scale.
        scale: Scale,
    },
    /// A screen is gone.
    OutputRemoved {
        /// The screen.
        output: OutputId,
    },
    /// A connected screen is left out, because it cannot be lit; or no longer.
    OutputDark {
        /// The name of its connector.
        name: String,
        /// Whether it is.
        dark: bool,
    },
    /// The view of this number is on this screen, not only on its way.
    Presented {
        /// The screen.
        output: OutputId,
        /// The view.
        serial: FrameSerial,
    },
    /// A frame was not what it must be and is on no screen: all of them are blank, and stay so.
    FrameRefused(Mismatch),
    /// A key, a button or the pointer.
    Input(RawInput),
    /// The user asked to close the window.
    CloseRequested,
    /// The presenter cannot go on; why, in words.
    Failed(String),
}

/// Input as the system reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RawInput {
    /// A key went down or up.
    Key {
        /// Its evdev code (`KEY_*` of linux/input-event-codes.h).
        code: u16,
        /// Whether it went down.
        pressed: bool,
    },
    /// The pointer is here now.
    Pointer {
        /// On which screen.
        output: OutputId,
        /// Pixels from the left.
        x: u32,
        /// Pixels from the top.
        y: u32,
    },
    /// A pointer button went down or up.
    Button {
        /// Its evdev code (`BTN_*`).
        code: u16,
        /// Whether it went down.
        pressed: bool,
    },
    /// The wheel was turned by so many notches.
    Wheel {
        /// Positive: away from the user, as `REL_WHEEL`.
        vertical: i16,
        /// Positive: to the right, as `REL_HWHEEL`.
        horizontal: i16,
    },
    /// The window has lost the keyboard: take every key and button as up.
    Lost,
}

/// Why a frame could not be put up.
#[derive(Debug, Error)]
pub enum PresentError {
    /// There is no such screen any more.
    #[error("Screen {0:?} is gone")]
    Gone(OutputId),
    /// The system refused it.
    #[error("Could not put a picture on screen {output:?}: {reason}")]
    Refused {
        /// The screen.
        output: OutputId,
        /// Why, in words.
        reason: String,
    },
}

/// A way to put frames on screens. Confirmation is not its return but a later
/// [`PresenterEvent::Presented`], once the picture is really up (invariant 1).
pub trait Presenter {
    /// Starts to put a frame up. `damage` is what differs from the frame handed in before for
    /// this output.
    ///
    /// # Errors
    ///
    /// [`PresentError`] if the screen is gone or refuses; the old picture is then still up.
    fn present(
        &mut self,
        output: &OutputView,
        serial: FrameSerial,
        frame: &Frame,
        damage: &Damage,
    ) -> Result<(), PresentError>;
}

/// Wakes a presenter that sleeps in another loop than a channel's.
pub type Waker = Arc<dyn Fn() + Send + Sync>;

/// Hands requests to a presenter, never blocks: at most one waits, a newer one takes its place
/// and its damage. Dropping the last one ends the presenter.
#[derive(Clone)]
pub struct FrameSender {
    requests: Sender<FrameRequest>,
    waiting: Receiver<FrameRequest>,
    // After `requests`: its drop must find the channel closed already.
    wake: WakeOnDrop,
}

/// Wakes, if there is anyone to wake, also when it is gone.
#[derive(Clone)]
pub(crate) struct WakeOnDrop(pub(crate) Option<Waker>);

impl WakeOnDrop {
    pub(crate) fn wake(&self) {
        if let Some(wake) = &self.0 {
            wake();
        }
    }
}

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.wake();
    }
}

impl FrameSender {
    /// A sender, and what the presenter receives from. `wake` is called after each request and
    /// at the end; a presenter that waits on the receiver itself needs none.
    #[must_use]
    pub fn channel(wake: Option<Waker>) -> (Self, Receiver<FrameRequest>) {
        let (requests, receiver) = bounded(1);
        (Self { requests, waiting: receiver.clone(), wake: WakeOnDrop(wake) }, receiver)
    }

    /// Hands in a request. A presenter that has ended said so by an event, and takes nothing.
    pub fn send(&self, request: FrameRequest) {
        let mut request = request;
        while let Err(TrySendError::Full(refused)) = self.requests.try_send(request) {
            request = match self.waiting.try_recv() {
                Ok(older) => older.replaced_by(refused),
                Err(_) => refused,
            };
        }
        self.wake.wake();
    }
}

/// A size that a system reported, at least one pixel each way.
pub(crate) fn at_least_one(size: Size) -> Size {
    Size { width: size.width.max(1), height: size.height.max(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tabard_view::Rect;
    use tabard_view::{GuestId, Recipient};

    fn request(serial: u64, x: u32) -> FrameRequest {
        let serial = FrameSerial(serial);
        let view = View { serial, recipient: Recipient::Nobody, outputs: Vec::new() };
        let damage = vec![GuestDamage { guest: GuestId(0), rect: Rect::new(x, 0, 1, 1) }];
        FrameRequest { view: Arc::new(view), pictures: Pictures::new(), damage }
    }

    #[test]
    fn a_newer_request_takes_the_place_and_the_damage_of_one_that_waits() {
        let (sender, receiver) = FrameSender::channel(None);
        for serial in 1..=3 {
            sender.send(request(serial, u32::try_from(serial).unwrap()));
        }

        let got = receiver.recv().unwrap();

        assert_eq!(got.view.serial, FrameSerial(3));
        assert_eq!(got.damage[0].rect, Rect::new(1, 0, 3, 1));
        assert!(receiver.try_recv().is_err());
    }

    #[test]
    fn the_presenter_learns_that_the_last_sender_is_gone() {
        let (woken, wake) = bounded(9);
        let (sender, receiver) =
            FrameSender::channel(Some(Arc::new(move || woken.try_send(()).unwrap())));
        drop(sender);
        wake.recv().unwrap();
        assert_eq!(receiver.try_recv().unwrap_err(), crossbeam_channel::TryRecvError::Disconnected);
    }
}
