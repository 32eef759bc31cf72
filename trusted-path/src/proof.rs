//! For the model checker only: what its judge must see of the monitor, and every number that only
//! counts, so that states which differ in nothing but the count are one state.

use tabard_view::{FrameSerial, GuestId, OutputId, View};

use crate::focus::Focus;
use crate::sheet::{About, Wait};
use crate::{Monitor, guests::GuestState};

/// A number of the monitor that grows for ever.
#[derive(Debug)]
pub enum Number<'m> {
    /// Of the newest view.
    Newest(&'m mut FrameSerial),
    /// Of the first view that named the present recipient.
    Recipient(&'m mut FrameSerial),
    /// Of views, at a screen.
    Screen {
        /// The screen.
        output: OutputId,
        /// The newest view that it has confirmed.
        confirmed: &'m mut FrameSerial,
        /// The first view that was made for it.
        first: &'m mut FrameSerial,
    },
    /// Of all timers that were started.
    Timers(&'m mut u32),
    /// Of the timer that limits the text that was taken.
    Held(&'m mut u32),
    /// Of the dead time that runs.
    Dead(&'m mut u32),
    /// Of a question.
    Question(&'m mut u32),
    /// Of the last check of a password.
    Ticket(&'m mut u32),
    /// Of a user's wrong passwords.
    Wrong(&'m mut u32),
}

impl Monitor {
    /// Whether this guest has a machine that can be told anything.
    #[must_use]
    pub fn is_there(&self, guest: GuestId) -> bool {
        matches!(self.guests.state(guest), Some(GuestState::Running | GuestState::Paused))
    }

    /// What the screens should show now, where it stands.
    #[must_use]
    pub fn seen(&self) -> &View {
        &self.view
    }

    /// Every number that grows for ever.
    pub fn numbers(&mut self) -> Vec<Number<'_>> {
        let mut numbers = vec![
            Number::Newest(&mut self.view.serial),
            Number::Recipient(&mut self.recipient_serial),
        ];
        numbers.extend(self.outputs.numbers());
        numbers.extend(self.exchange.numbers());
        numbers.extend(self.login.numbers());
        let asked = self.guests.iter_mut().filter_map(|guest| guest.agent.question.as_mut());
        numbers.extend(asked.map(|question| Number::Question(&mut question.number)));
        if let Focus::Trusted(screen) = &mut self.focus
            && let Some(About::Question { number, wait, .. }) =
                screen.sheet.as_mut().map(|sheet| &mut sheet.about)
        {
            numbers.push(Number::Question(number));
            if let Wait::Running(timer) = wait {
                numbers.push(Number::Dead(timer));
            }
        }
        numbers
    }
}
