//! The only way from a view to a glass: drawn by the compositor, looked at by the verifier, and
//! black if it is not what it must be. A presenter that draws in another way is refused by
//! `tests/architecture.rs`.

use tabard_labels::LabelSet;
use tabard_view::{OutputId, OutputView};

use crate::font::FontError;
use crate::{
    Compositor, Damage, DrawnText, Frame, FrameRequest, GuestDamage, Mismatch, Pictures, Verifier,
};

/// Something that draws views: the [`Compositor`], or in tests one that draws wrongly.
pub trait Compose {
    /// As [`Compositor::compose`].
    fn compose(
        &mut self,
        output: &OutputView,
        pictures: &Pictures,
        damage: &[GuestDamage],
        frame: &mut Frame,
    ) -> Damage;

    /// As [`Compositor::drawn_texts`].
    fn drawn_texts(&mut self, output: OutputId) -> Vec<DrawnText>;

    /// As [`Compositor::forget`].
    fn forget(&mut self, output: OutputId);
}

/// A compositor whose every frame is verified.
pub struct CheckedCompositor<C = Compositor> {
    compositor: C,
    verifier: Verifier,
    /// The first frame that was refused; nothing is drawn after it.
    refused: Option<Mismatch>,
}

impl CheckedCompositor {
    /// A compositor and a verifier for views that use these labels.
    ///
    /// # Errors
    ///
    /// [`FontError`] if a built-in font cannot be read.
    pub fn new(labels: LabelSet) -> Result<Self, FontError> {
        let compositor = Compositor::new(labels.clone())?;
        let verifier = Verifier::with_fonts(labels, compositor.share_fonts());
        Ok(Self::with(compositor, verifier))
    }
}

impl<C: Compose> CheckedCompositor<C> {
    /// This compositor under this verifier.
    pub fn with(compositor: C, verifier: Verifier) -> Self {
        Self { compositor, verifier, refused: None }
    }

    /// Brings `frame` up to date with one output of a request, and returns what changed in it, as
    /// [`Compositor::compose`] does.
    ///
    /// # Errors
    ///
    /// The [`Mismatch`] of this or of an earlier frame, of any output. The frame is black then:
    /// put it up, blank all other outputs, and say so by
    /// [`crate::PresenterEvent::FrameRefused`]; never confirm it.
    pub fn compose(
        &mut self,
        request: &FrameRequest,
        output: &OutputView,
        frame: &mut Frame,
    ) -> Result<Damage, Mismatch> {
        let FrameRequest { view, pictures, damage } = request;
        let checked = match self.refused.clone() {
            Some(mismatch) => Err(mismatch),
            None => {
                let changed = self.compositor.compose(output, pictures, damage, frame);
                self.verifier.verify(view, output, pictures, frame).map(|()| changed)
            }
        };
        checked.inspect_err(|mismatch| {
            *frame = Frame::new(output.size);
            self.refused = Some(mismatch.clone());
        })
    }

    /// As [`Compositor::drawn_texts`]; none once a frame was refused.
    pub fn drawn_texts(&mut self, output: OutputId) -> Vec<DrawnText> {
        if self.refused.is_some() { Vec::new() } else { self.compositor.drawn_texts(output) }
    }

    /// As [`Compositor::forget`].
    pub fn forget(&mut self, output: OutputId) {
        self.compositor.forget(output);
    }
}

impl Compose for Compositor {
    fn compose(
        &mut self,
        output: &OutputView,
        pictures: &Pictures,
        damage: &[GuestDamage],
        frame: &mut Frame,
    ) -> Damage {
        Compositor::compose(self, output, pictures, damage, frame)
    }

    fn drawn_texts(&mut self, output: OutputId) -> Vec<DrawnText> {
        Compositor::drawn_texts(self, output)
    }

    fn forget(&mut self, output: OutputId) {
        Compositor::forget(self, output);
    }
}
