//! Frames by atomic commits, where a card takes them: such a commit happens whole or fails, and
//! says which part of the frame is new, so that a driver that copies pixels copies no others.
//! Modes are set by the older call for every card: drivers with atomic commits make one of it,
//! which also takes connectors away from circuits that somebody else gave them.

use std::io;

use drm::control::atomic::AtomicModeReq;
use drm::control::property::{self, Value};
use drm::control::{AtomicCommitFlags, Device, PlaneType, crtc, framebuffer, plane};
use tabard_view::Rect;

/// The plane that the frames of a circuit are on.
pub(super) struct Plane {
    handle: plane::Handle,
    frame: property::Handle,
    /// Absent if the driver always takes the whole frame.
    damage: Option<property::Handle>,
}

impl Plane {
    /// The primary plane of a circuit that has a mode; `None` if the card takes no atomic commits.
    pub(super) fn of(card: &impl Device, crtc: crtc::Handle) -> Option<Self> {
        let shown = |handle: &plane::Handle| {
            card.get_plane(*handle).is_ok_and(|plane| plane.crtc() == Some(crtc))
        };
        card.plane_handles().ok()?.into_iter().filter(shown).find_map(|handle| {
            let (mut primary, mut frame, mut damage) = (false, None, None);
            // The properties of planes: "KMS Properties" in the kernel's gpu/drm-kms.
            for (&property, &value) in &card.get_properties(handle).ok()? {
                match card.get_property(property).ok()?.name().to_bytes() {
                    b"type" => primary = value == u64::from(PlaneType::Primary as u32),
                    b"FB_ID" => frame = Some(property),
                    b"FB_DAMAGE_CLIPS" => damage = Some(property),
                    _ => {}
                }
            }
            let frame = frame.filter(|_| primary)?;
            Some(Self { handle, frame, damage })
        })
    }

    /// Puts a frame up; the card says when it is. `changed` covers all that its buffer did not
    /// hold when it was up last, which is never less than what differs from the frame before. The
    /// `first` one after a mode was set waits for the card, which may still be busy with that.
    ///
    /// # Errors
    /// The kernel's; the old frame is then still up.
    pub(super) fn show(
        &self,
        card: &impl Device,
        framebuffer: framebuffer::Handle,
        changed: Rect,
        first: bool,
    ) -> io::Result<()> {
        let mut request = AtomicModeReq::new();
        request.add_property(self.handle, self.frame, Value::Framebuffer(Some(framebuffer)));
        let mut clip = None;
        if let Some(damage) = self.damage {
            let value = card.create_property_blob(&clip_of(changed))?;
            request.add_property(self.handle, damage, value);
            clip = Some(value);
        }
        let mut flags = AtomicCommitFlags::PAGE_FLIP_EVENT;
        flags.set(AtomicCommitFlags::NONBLOCK, !first);
        let committed = card.atomic_commit(flags, request);
        if let Some(Value::Blob(clip)) = clip {
            // The commit holds what it needs of it.
            let _ = card.destroy_property_blob(clip);
        }
        committed
    }
}

/// `struct drm_mode_rect`: left, top, right, bottom. Never empty: some drivers take an empty one
/// for a frame that need not be put up.
fn clip_of(changed: Rect) -> [i32; 4] {
    let (right, bottom) = (changed.right(), changed.bottom());
    let (right, bottom) =
        (right.max(changed.x.saturating_add(1)), bottom.max(changed.y.saturating_add(1)));
    [changed.x, changed.y, right, bottom].map(|side| i32::try_from(side).unwrap_or(i32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clip_is_never_empty() {
        assert_eq!(clip_of(Rect::default()), [0, 0, 1, 1]);
        assert_eq!(clip_of(Rect::new(3, 4, 5, 6)), [3, 4, 8, 10]);
    }
}
