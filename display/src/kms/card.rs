//! One graphics card and the screens on it: which are connected, in which mode, two buffers each,
//! and putting a frame up. Kernel mode setting by the legacy calls of drm(7), which every driver
//! has; they are as whole as atomic ones here, because each screen has one plane.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use drm::Device as _;
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{Device, Mode, ModeTypeFlags, PageFlipFlags, connector, crtc, framebuffer};
use rustix::fs::{Mode as FileMode, OFlags};
use tabard_view::{FrameSerial, OutputView, Rect, Size};

use crate::{Damage, Frame, PresentError, Presenter};

/// An open card.
pub(super) struct Card {
    file: File,
}

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
impl drm::Device for Card {}
impl Device for Card {}

impl Card {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, FileMode::empty())?;
        Ok(Self { file: file.into() })
    }

    /// Every connected screen, whether it is in use or not.
    pub(super) fn connected(&self) -> io::Result<Vec<connector::Info>> {
        let handles = self.resource_handles()?;
        let all = handles.connectors().iter().filter_map(|&one| self.get_connector(one, true).ok());
        // One that does not know may be a screen that cannot be asked; one that is gone has no
        // modes.
        let connected = |info: &connector::Info| {
            info.state() != connector::State::Disconnected && preferred(info).is_some()
        };
        Ok(all.filter(connected).collect())
    }

    /// A circuit that can drive this connector and is not in `used`.
    fn free_crtc(&self, info: &connector::Info, used: &[crtc::Handle]) -> Option<crtc::Handle> {
        let resources = self.resource_handles().ok()?;
        info.encoders()
            .iter()
            .filter_map(|&encoder| self.get_encoder(encoder).ok())
            .flat_map(|encoder| resources.filter_crtcs(encoder.possible_crtcs()))
            .find(|circuit| !used.contains(circuit))
    }
}

/// The mode that the screen prefers, else its first.
pub(super) fn preferred(info: &connector::Info) -> Option<Mode> {
    let modes = info.modes();
    let prefers = |mode: &&Mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED);
    modes.iter().find(prefers).or_else(|| modes.first()).copied()
}

pub(super) fn size_of(mode: &Mode) -> Size {
    let (width, height) = mode.size();
    crate::presenter::at_least_one(Size { width: width.into(), height: height.into() })
}

/// One buffer that the card scans out.
struct Buffer {
    memory: DumbBuffer,
    framebuffer: framebuffer::Handle,
    /// What of the newest frame it does not hold yet.
    stale: Damage,
}

/// How a frame went up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// It is up.
    Now,
    /// It is on its way; the card will say when it is up.
    AtFlip,
}

/// A screen.
pub(super) struct Glass {
    pub(super) card: Arc<Card>,
    pub(super) connector: connector::Handle,
    pub(super) crtc: crtc::Handle,
    pub(super) mode: Mode,
    back: Buffer,
    front: Buffer,
    /// Whether the mode is set and the front buffer is what the screen shows.
    lit: bool,
    shown: Shown,
}

impl Glass {
    /// Prepares a screen; it shows nothing of ours before the first frame. `used` are the
    /// circuits of its card that drive other screens.
    pub(super) fn new(
        card: &Arc<Card>,
        info: &connector::Info,
        used: &[crtc::Handle],
    ) -> io::Result<Self> {
        let nothing = || io::Error::other("it has no mode, or the card has no circuit left");
        let mode = preferred(info).ok_or_else(nothing)?;
        let crtc = card.free_crtc(info, used).ok_or_else(nothing)?;
        let size = size_of(&mode);
        let back = Buffer::new(card, size)?;
        let front = Buffer::new(card, size).inspect_err(|_| back.free(card))?;
        let (card, connector) = (Arc::clone(card), info.handle());
        Ok(Self { card, connector, crtc, mode, back, front, lit: false, shown: Shown::Now })
    }

    pub(super) fn size(&self) -> Size {
        size_of(&self.mode)
    }

    /// How the frame went up that was presented last.
    pub(super) fn shown(&self) -> Shown {
        self.shown
    }

    /// Whether it shows a frame of ours.
    pub(super) fn is_lit(&self) -> bool {
        self.lit
    }

    /// Shows nothing at all, as far as the card still obeys.
    pub(super) fn blank(&mut self) {
        self.lit = false;
        // What cannot be blanked is not ours any more; input is muted either way.
        let _ = self.card.set_crtc(self.crtc, None, (0, 0), &[], None);
    }

    fn show(&mut self, frame: &Frame, damage: &Damage) -> io::Result<()> {
        for rect in damage.rects() {
            self.back.stale.add(*rect);
            self.front.stale.add(*rect);
        }
        self.back.fill(&self.card, frame)?;
        let framebuffer = self.back.framebuffer;
        if self.lit {
            self.card.page_flip(self.crtc, framebuffer, PageFlipFlags::EVENT, None)?;
            self.shown = Shown::AtFlip;
        } else {
            // Another display server may have had the card; fails harmlessly if it is ours.
            let _ = self.card.acquire_master_lock();
            let connectors = [self.connector];
            // Returns once the mode is set and the picture is up.
            self.card.set_crtc(
                self.crtc,
                Some(framebuffer),
                (0, 0),
                &connectors,
                Some(self.mode),
            )?;
            (self.lit, self.shown) = (true, Shown::Now);
        }
        std::mem::swap(&mut self.back, &mut self.front);
        Ok(())
    }
}

impl Presenter for Glass {
    fn present(
        &mut self,
        output: &OutputView,
        _serial: FrameSerial,
        frame: &Frame,
        damage: &Damage,
    ) -> Result<(), PresentError> {
        if frame.size != self.size() {
            return Err(PresentError::Gone(output.id));
        }
        self.show(frame, damage)
            .map_err(|error| PresentError::Refused { output: output.id, reason: error.to_string() })
    }
}

impl Drop for Glass {
    fn drop(&mut self) {
        self.blank();
        self.back.free(&self.card);
        self.front.free(&self.card);
    }
}

impl Buffer {
    fn new(card: &Card, size: Size) -> io::Result<Self> {
        let sides = (size.width, size.height);
        let memory = card.create_dumb_buffer(sides, DrmFourcc::Xrgb8888, 32)?;
        let framebuffer = card.add_framebuffer(&memory, 24, 32).inspect_err(|_| {
            // The first fault is the one to tell.
            let _ = card.destroy_dumb_buffer(memory);
        })?;
        let mut stale = Damage::default();
        stale.add(size.rect());
        Ok(Self { memory, framebuffer, stale })
    }

    /// Copies what it does not hold yet.
    fn fill(&mut self, card: &Card, frame: &Frame) -> io::Result<()> {
        let pitch = usize::try_from(self.memory.pitch()).unwrap_or(0);
        let mut pixels = card.map_dumb_buffer(&mut self.memory)?;
        for rect in self.stale.rects() {
            copy(frame, *rect, pixels.as_mut(), pitch);
        }
        self.stale = Damage::default();
        Ok(())
    }

    fn free(&self, card: &Card) {
        // The card may be gone, and then they are.
        let _ = card.destroy_framebuffer(self.framebuffer);
        let _ = card.destroy_dumb_buffer(self.memory);
    }
}

/// Copies a rectangle of a frame into memory with rows of `pitch` bytes.
fn copy(frame: &Frame, rect: Rect, memory: &mut [u8], pitch: usize) {
    for y in rect.y..rect.bottom() {
        let row = (y as usize).saturating_mul(pitch);
        let start = row.saturating_add((rect.x as usize).saturating_mul(4));
        let end = row.saturating_add(pitch).min(memory.len());
        let Some(line) = memory.get_mut(start..end) else { return };
        let source = frame.row(y, rect.x, rect.width);
        for (to, from) in line.chunks_exact_mut(4).zip(source) {
            to.copy_from_slice(&from.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rectangle_is_copied_into_rows_that_are_longer_than_the_frame() {
        let mut frame = Frame::new(Size { width: 3, height: 2 });
        frame.pixels = vec![1, 2, 3, 4, 5, 6];
        let mut memory = vec![0xee; 32];
        copy(&frame, Rect::new(1, 0, 9, 9), &mut memory, 16);
        let words: Vec<u32> =
            memory.chunks(4).map(|word| u32::from_le_bytes(word.try_into().unwrap())).collect();
        let old = 0xeeee_eeee;
        assert_eq!(words, [old, 2, 3, old, old, 5, 6, old]);
    }

    #[test]
    fn memory_that_is_too_small_is_not_left() {
        let frame = Frame::filled(Size { width: 4, height: 4 }, 7);
        let mut memory = vec![0; 24];
        copy(&frame, Rect::new(0, 0, 4, 4), &mut memory, 16);
        assert_eq!(memory, [7, 0, 0, 0].repeat(6));
    }
}
