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

    /// The pointer was moved: over its screen, and over the edge to the next, as the screens
    /// stand side by side in the order in which they appeared. It begins in the middle.
    pub(crate) fn pointer_moved(&mut self, dx: i32, dy: i32) -> Vec<Effect> {
        let Some(place) = self.pointer.or_else(|| self.middle()) else { return Vec::new() };
        let screens: Vec<(OutputId, i64)> =
            self.outputs.iter().map(|output| (output.id, i64::from(output.size.width))).collect();
        let mut x = i64::from(place.x).saturating_add(i64::from(dx));
        let mut index = screens.iter().position(|(id, _)| *id == place.output).unwrap_or(0);
        while let Some((_, width)) = screens.get(index)
            && x >= *width
            && index.saturating_add(1) < screens.len()
        {
            x = x.saturating_sub(*width);
            index = index.saturating_add(1);
        }
        while x < 0
            && let Some(before) = index.checked_sub(1)
        {
            index = before;
            x = x.saturating_add(screens.get(index).map_or(0, |(_, width)| *width));
        }
        let y = i64::from(place.y).saturating_add(i64::from(dy));
        let clamped = |value: i64| u32::try_from(value.max(0)).unwrap_or(u32::MAX);
        let output = screens.get(index).map_or(place.output, |(id, _)| *id);
        self.pointer(output, clamped(x), clamped(y))
    }

    /// The pointer was put at this share of its screen's sides.
    pub(crate) fn pointer_at(&mut self, x: u16, y: u16) -> Vec<Effect> {
        let Some(place) = self.pointer.or_else(|| self.middle()) else { return Vec::new() };
        let Some(output) = self.outputs.get(place.output) else { return Vec::new() };
        let on = |share: u16, length: u32| {
            let last = u64::from(length.saturating_sub(1));
            let at = u64::from(share).saturating_mul(last).checked_div(u64::from(u16::MAX));
            at.and_then(|at| u32::try_from(at).ok()).unwrap_or(0)
        };
        let (x, y) = (on(x, output.size.width), on(y, output.size.height));
        self.pointer(place.output, x, y)
    }

    /// Where a pointer begins that says only how far it moves.
    fn middle(&self) -> Option<Place> {
        let output = self.outputs.iter().next()?;
        Some(Place { output: output.id, x: output.size.width / 2, y: output.size.height / 2 })
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
                .and_then(|output| screen.row_at(output, &self.guests, place.x, place.y)),
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
