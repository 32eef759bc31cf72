//! The connected screens, and which view each has confirmed to be on its glass (invariant 1).

use tabard_view::{FrameSerial, OutputId, Scale, Size};

/// One screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Output {
    pub(crate) id: OutputId,
    pub(crate) size: Size,
    pub(crate) scale: Scale,
    /// The newest view that is known to have been on the glass.
    confirmed: FrameSerial,
    /// The first view that was made for this size; what was confirmed before it was drawn for
    /// another size or another screen and says nothing about this glass.
    first_view: FrameSerial,
}

/// All screens, in the order in which they appeared: the first decides the size of guests.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Outputs(Vec<Output>);

impl Outputs {
    /// Adds a screen or changes its size. `next` is the number of the view that will show this;
    /// until it is confirmed there, input stays muted. Nothing happens if nothing differs.
    pub(crate) fn set(&mut self, id: OutputId, size: Size, scale: Scale, next: FrameSerial) {
        match self.0.iter_mut().find(|output| output.id == id) {
            Some(output) if (output.size, output.scale) == (size, scale) => {}
            Some(output) => {
                output.size = size;
                output.scale = scale;
                output.first_view = next;
            }
            None => {
                let confirmed = FrameSerial::default();
                self.0.push(Output { id, size, scale, confirmed, first_view: next });
            }
        }
    }

    pub(crate) fn remove(&mut self, id: OutputId) {
        self.0.retain(|output| output.id != id);
    }

    /// Notes that a view is on the glass. `newest` is the newest view there is: a higher number
    /// was never issued and is a fault or a lie, and a lower one than before comes late.
    pub(crate) fn confirm(&mut self, id: OutputId, serial: FrameSerial, newest: FrameSerial) {
        if serial > newest {
            return;
        }
        if let Some(output) = self.0.iter_mut().find(|output| output.id == id) {
            output.confirmed = output.confirmed.max(serial);
        }
    }

    /// Whether every screen shows the view `since` or a later one, and there is a screen.
    pub(crate) fn all_show(&self, since: FrameSerial) -> bool {
        let shows = |output: &Output| output.confirmed >= since.max(output.first_view);
        !self.0.is_empty() && self.0.iter().all(shows)
    }

    #[cfg(feature = "proof")]
    pub(crate) fn numbers(&mut self) -> impl Iterator<Item = crate::proof::Number<'_>> {
        self.0.iter_mut().map(|output| crate::proof::Number::Screen {
            output: output.id,
            confirmed: &mut output.confirmed,
            first: &mut output.first_view,
        })
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Output> {
        self.0.iter()
    }

    pub(crate) fn get(&self, id: OutputId) -> Option<&Output> {
        self.0.iter().find(|output| output.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HD: Size = Size { width: 1280, height: 800 };
    const ONE: OutputId = OutputId(1);

    #[test]
    fn without_a_screen_nothing_is_shown() {
        assert!(!Outputs::default().all_show(FrameSerial(0)));
    }

    #[test]
    fn late_and_never_issued_confirmations_change_nothing() {
        let mut outputs = Outputs::default();
        outputs.set(ONE, HD, Scale::ONE, FrameSerial(2));
        outputs.confirm(ONE, FrameSerial(9), FrameSerial(3));
        assert!(!outputs.all_show(FrameSerial(2)));
        outputs.confirm(ONE, FrameSerial(3), FrameSerial(3));
        outputs.confirm(ONE, FrameSerial(2), FrameSerial(3));
        assert!(outputs.all_show(FrameSerial(3)));
    }

    #[test]
    fn a_new_size_must_be_confirmed_afresh() {
        let mut outputs = Outputs::default();
        outputs.set(ONE, HD, Scale::ONE, FrameSerial(2));
        outputs.confirm(ONE, FrameSerial(2), FrameSerial(2));
        outputs.set(ONE, HD, Scale::ONE, FrameSerial(3));
        assert!(outputs.all_show(FrameSerial(2)));
        outputs.set(ONE, Size { width: 800, ..HD }, Scale::ONE, FrameSerial(3));
        assert!(!outputs.all_show(FrameSerial(2)));
    }
}
