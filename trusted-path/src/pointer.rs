//! Pointer, buttons and wheel. They go where the keyboard goes (invariant 5): a press in another
//! window moves both there and is itself delivered to nobody.

use crate::windows::{Windows, place};
use crate::{Effect, GuestInput, Monitor, focus::Focus};
use tabard_input::{Capacity, Fate, KeyCode, SourceId};
use tabard_view::{GuestId, OutputId, Recipient};

/// Where the pointer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) output: OutputId,
    pub(crate) x: u32,
    pub(crate) y: u32,
}

impl Monitor {
    /// The pointer moved: always shown, delivered only inside the recipient's content or while
    /// one of its buttons is held there.
    pub(crate) fn pointer(&mut self, output: OutputId, x: u32, y: u32) -> Vec<Effect> {
        if self.outputs.get(output).is_none() {
            return Vec::new();
        }
        self.pointer = Some(Place { output, x, y });
        self.keep_pointer_on_screen();
        self.target_under_pointer()
            .and_then(|guest| self.pointer_effect(guest))
            .into_iter()
            .collect()
    }

    /// A button went down or up.
    pub(crate) fn button(&mut self, source: SourceId, code: u16, pressed: bool) -> Vec<Effect> {
        let button = KeyCode(code);
        if !button.is_button() {
            return Vec::new();
        }
        if !pressed {
            return self.release(source, button);
        }
        if self.held.is_down_on(source, button) {
            return Vec::new();
        }
        if let Some(guest) = self.target_under_pointer() {
            // The place comes first: the guest may never have been told it.
            let place = self.pointer_effect(guest);
            return place.into_iter().chain(self.press(source, button, guest)).collect();
        }
        self.held.press(source, button, Fate::Swallowed, Capacity::Limited);
        if self.input_open() && self.held.is_down_on(source, button) {
            self.click(button);
        }
        Vec::new()
    }

    /// A wheel turned.
    pub(crate) fn wheel(&mut self, vertical: i16, horizontal: i16) -> Vec<Effect> {
        let Some(guest) = self.target_under_pointer() else { return Vec::new() };
        let input = GuestInput::Wheel { vertical, horizontal };
        let place = self.pointer_effect(guest);
        place.into_iter().chain([Effect::Deliver { guest, input }]).collect()
    }

    /// A confirmed press that is meant for Tabard itself.
    fn click(&mut self, button: KeyCode) {
        let Some(place) = self.pointer else { return };
        let chosen = match (&self.focus, self.recipient()) {
            (Focus::Trusted(screen), _) if button == KeyCode::BUTTON_LEFT => self
                .outputs
                .get(place.output)
                .and_then(|output| screen.row_at(output, self.guests.len(), place.x, place.y)),
            (Focus::Guest(_), Recipient::Guest(_)) => {
                self.windows_on(place.output).and_then(|windows| windows.at(place.x, place.y))
            }
            _ => None,
        };
        if let Some(guest) = chosen {
            self.focus = Focus::Guest(guest);
        }
    }

    /// The recipient, if the pointer is inside its content or was when a held button went down.
    fn target_under_pointer(&self) -> Option<GuestId> {
        let guest = self.target()?;
        let place = self.pointer?;
        let content = self.windows_on(place.output)?.content(guest)?;
        let dragging = self.held.delivered().any(KeyCode::is_button);
        (dragging || content.contains(place.x, place.y)).then_some(guest)
    }

    fn pointer_effect(&self, guest: GuestId) -> Option<Effect> {
        let at = self.pointer?;
        let content = self.windows_on(at.output)?.content(guest)?;
        let (x, y) = place(content, at.x, at.y);
        Some(Effect::Deliver { guest, input: GuestInput::Pointer { x, y } })
    }

    /// The windows of a screen; `None` while the trusted screen covers them.
    pub(crate) fn windows_on(&self, output: OutputId) -> Option<Windows> {
        let Focus::Guest(shown) = self.focus else { return None };
        Some(self.windows(self.outputs.get(output)?, shown))
    }

    /// After a move or a change of screens: inside its screen, or nowhere.
    pub(crate) fn keep_pointer_on_screen(&mut self) {
        self.pointer = self.pointer.and_then(|place| {
            let size = self.outputs.get(place.output)?.size;
            let x = place.x.min(size.width.checked_sub(1)?);
            let y = place.y.min(size.height.checked_sub(1)?);
            Some(Place { x, y, ..place })
        });
    }
}
