//! One graphics card and the screens on it: which are connected, in which mode, two buffers each,
//! and putting a frame up.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::sync::Arc;

use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{Device, Mode, ModeTypeFlags, PageFlipFlags, connector, crtc, framebuffer};
use drm::{ClientCapability, Device as _};
use rustix::fs::{Mode as FileMode, OFlags};
use tabard_view::{FrameSerial, OutputView, Rect, Size};

use super::ModeWish;
use super::name::edid_names;
use super::plane::Plane;
use crate::{Damage, Frame, PresentError, Presenter};

/// An open card.
pub(super) struct Card {
    file: File,
    /// As the kernel names it, such as `card0`.
    name: String,
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
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let card = Self { file: file.into(), name };
        // Without it, `Plane::of` finds none and frames go up by the older call.
        let _ = card.set_client_capability(ClientCapability::Atomic, true);
        Ok(card)
    }

    /// Every connected screen, whether it is in use or not.
    pub(super) fn connected(&self) -> io::Result<Vec<connector::Info>> {
        let handles = self.resource_handles()?;
        let all = handles.connectors().iter().filter_map(|&one| self.get_connector(one, true).ok());
        // One that does not know may be a screen that cannot be asked; one that is gone has no
        // modes.
        let connected = |info: &connector::Info| {
            info.state() != connector::State::Disconnected && !info.modes().is_empty()
        };
        Ok(all.filter(connected).collect())
    }

    /// Whether this is a name of one of its connectors or of the screen there: such as `HDMI-A-1`,
    /// `card0-HDMI-A-1`, `MAKE MODEL SERIAL`, or the path behind a hub.
    pub(super) fn is_called(&self, info: &connector::Info, name: &str) -> bool {
        let is = |own: &str| own.trim_end_matches('\0') == name;
        name == info.to_string()
            || name == self.full_name(info)
            || (name.contains(' ')
                && edid_names(&self.blob(info, b"EDID")).iter().any(|own| is(own)))
            || (name.contains(':') && str::from_utf8(&self.blob(info, b"PATH")).is_ok_and(is))
    }

    /// The name of a connector with that of the card.
    pub(super) fn full_name(&self, info: &connector::Info) -> String {
        format!("{}-{info}", self.name)
    }

    /// A property of a connector ("Standard Connector Properties" in the kernel's gpu/drm-kms).
    fn property(&self, connector: connector::Handle, name: &[u8]) -> Option<u64> {
        let properties = self.get_properties(connector).ok()?;
        let named = |handle| self.get_property(handle).is_ok_and(|it| it.name().to_bytes() == name);
        properties.iter().find(|(handle, _)| named(**handle)).map(|(_, value)| *value)
    }

    /// Bytes that a property names; none if there are none.
    fn blob(&self, info: &connector::Info, name: &[u8]) -> Vec<u8> {
        let blob = self.property(info.handle(), name).filter(|blob| *blob != 0);
        blob.and_then(|blob| self.get_property_blob(blob).ok()).unwrap_or_default()
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

/// The mode that was wished for, else the one that the screen prefers, else its first.
pub(super) fn chosen(info: &connector::Info, wish: Option<ModeWish>) -> Option<Mode> {
    let prefers = |mode: &Mode| mode.mode_type().contains(ModeTypeFlags::PREFERRED);
    let known = info.modes().iter().map(|mode| (size_of(mode), mode.vrefresh(), prefers(mode)));
    info.modes().get(choose(&known.collect::<Vec<_>>(), wish)).copied()
}

/// The place of that mode among these: size, pictures a second, whether the screen prefers it.
fn choose(modes: &[(Size, u32, bool)], wish: Option<ModeWish>) -> usize {
    let wished = |(size, hertz, _): &(Size, u32, bool)| {
        wish.is_some_and(|wish| wish.size == *size && wish.hertz.is_none_or(|own| own == *hertz))
    };
    let found = modes.iter().position(wished);
    found.or_else(|| modes.iter().position(|(_, _, prefers)| *prefers)).unwrap_or(0)
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
    /// Where frames go; `None` on a card that takes no atomic commits.
    plane: Option<Plane>,
}

impl Glass {
    /// Prepares a screen; it shows nothing of ours before the first frame. `used` are the
    /// circuits of its card that drive other screens.
    pub(super) fn new(
        card: &Arc<Card>,
        info: &connector::Info,
        mode: Mode,
        used: &[crtc::Handle],
    ) -> io::Result<Self> {
        let nothing = || io::Error::other("the card has no circuit left");
        let crtc = card.free_crtc(info, used).ok_or_else(nothing)?;
        let size = size_of(&mode);
        let back = Buffer::new(card, size)?;
        let front = Buffer::new(card, size).inspect_err(|_| back.free(card))?;
        let (card, connector) = (Arc::clone(card), info.handle());
        Ok(Self { card, connector, crtc, mode, back, front, lit: false, plane: None })
    }

    pub(super) fn size(&self) -> Size {
        size_of(&self.mode)
    }

    /// Whether it shows a frame of ours.
    pub(super) fn is_lit(&self) -> bool {
        self.lit
    }

    /// Whether it should show a frame of ours and does not, or another may draw there.
    pub(super) fn is_usurped(&self) -> bool {
        let shown = self.card.get_crtc(self.crtc).ok().and_then(|circuit| circuit.framebuffer());
        let ours = [&self.front, &self.back].map(|buffer| Some(buffer.framebuffer));
        // To ask for what one has changes nothing.
        self.lit && (!ours.contains(&shown) || self.card.acquire_master_lock().is_err())
    }

    /// Whether it shows nothing of ours, and nobody else can draw there.
    pub(super) fn is_dark(&self) -> bool {
        let shown = self.card.get_crtc(self.crtc).map(|circuit| circuit.framebuffer());
        let ours = [&self.front, &self.back].map(|buffer| Some(buffer.framebuffer));
        shown.is_ok_and(|shown| !ours.contains(&shown)) && self.card.acquire_master_lock().is_ok()
    }

    /// Whether the kernel says that the cable lost what it carried, and a mode must be set anew.
    pub(super) fn has_bad_link(&self) -> bool {
        self.card.property(self.connector, b"link-status") == Some(1)
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
        let changed = self.back.fill(&self.card, frame)?;
        let framebuffer = Some(self.back.framebuffer);
        let first = !self.lit;
        if first {
            // Another display server may have had the card; fails harmlessly if it is ours.
            let _ = self.card.acquire_master_lock();
            let connectors = [self.connector];
            self.card.set_crtc(self.crtc, framebuffer, (0, 0), &connectors, Some(self.mode))?;
            self.lit = true;
            self.plane = Plane::of(&*self.card, self.crtc);
        }
        let (card, framebuffer) = (&self.card, self.back.framebuffer);
        match &self.plane {
            Some(plane) => plane.show(&**card, framebuffer, changed, first)?,
            None => card.page_flip(self.crtc, framebuffer, PageFlipFlags::EVENT, None)?,
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

    /// Copies what it does not hold yet. Answers what is around all of that.
    fn fill(&mut self, card: &Card, frame: &Frame) -> io::Result<Rect> {
        let pitch = usize::try_from(self.memory.pitch()).unwrap_or(0);
        let mut pixels = card.map_dumb_buffer(&mut self.memory)?;
        let mut changed = Rect::default();
        for rect in std::mem::take(&mut self.stale).rects() {
            copy(frame, *rect, pixels.as_mut(), pitch);
            changed = changed.union(*rect);
        }
        Ok(changed)
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
    fn a_mode_that_the_screen_lacks_leaves_the_one_that_it_prefers() {
        let size = |width, height| Size { width, height };
        let modes = [
            (size(800, 600), 60, false),
            (size(1920, 1080), 60, true),
            (size(1920, 1080), 50, false),
        ];
        let wish = |width, height, hertz| Some(ModeWish { size: size(width, height), hertz });
        for (wish, place) in [
            (None, 1),
            (wish(800, 600, None), 0),
            (wish(1920, 1080, Some(50)), 2),
            (wish(1920, 1080, Some(75)), 1),
            (wish(640, 480, None), 1),
        ] {
            assert_eq!(choose(&modes, wish), place, "{wish:?}");
        }
        assert_eq!(choose(&modes[2..], None), 0, "the first, if it prefers none");
    }

    #[test]
    fn memory_that_is_too_small_is_not_left() {
        let frame = Frame::filled(Size { width: 4, height: 4 }, 7);
        let mut memory = vec![0; 24];
        copy(&frame, Rect::new(0, 0, 4, 4), &mut memory, 16);
        assert_eq!(memory, [7, 0, 0, 0].repeat(6));
    }
}
