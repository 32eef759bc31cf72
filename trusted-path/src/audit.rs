//! Records of what is relevant to security. The monitor says them before the effects that they
//! are about, in the very step, and the session writes them before it carries those out
//! (invariant 10). No record holds anything that a guest can choose.

use tabard_input::{Device, SourceId};
use tabard_view::{GuestId, OutputId};

use crate::devices::Part;
use crate::focus::Focus;
use crate::{
    Clip, Effect, Event, GuestCommand, GuestReport, GuestState, LayoutMode, LockCause, Monitor,
    Passage, UserId,
};

/// Something to be written down before it takes effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Record {
    /// The secure-attention key.
    Attention,
    /// The user chose this guest to work with.
    Switch(GuestId),
    /// The user chose this layout.
    Layout(LayoutMode),
    /// This is about to be done to a guest; never [`GuestCommand::Resize`].
    Command(GuestId, GuestCommand),
    /// A guest does something else than before.
    Guest(GuestId, GuestReport),
    /// A screen appeared.
    OutputAdded(OutputId),
    /// A screen went away.
    OutputRemoved(OutputId),
    /// An input device appeared; its name is its own word.
    DeviceAdded(SourceId, Device),
    /// An input device may type or point from now on.
    DeviceAccepted(SourceId, Part),
    /// An input device went away.
    SourceLost(SourceId),
    /// The user takes the text that a guest offers.
    Take(GuestId, Clip),
    /// What becomes of a text that was taken.
    Passage(Passage, Verdict),
    /// The user answers a guest's question, or it has waited too long.
    Answer(GuestId, Option<bool>),
    /// The screen is locked.
    Locked(LockCause),
    /// A user gave the right password.
    Login(UserId),
    /// Somebody gave a wrong one: for whom, and how many in a row.
    LoginFailed(UserId, u32),
    /// The user ends the desk.
    Quit,
}

/// What becomes of a text that a guest is to be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The policy lets it go.
    Given,
    /// The user opens its review. It was not released unless [`Verdict::Released`] follows.
    Reviewed,
    /// It goes against the order, after that review.
    Released,
    /// The policy refuses it.
    Refused,
}

/// What is compared before and after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Watched {
    /// The chosen guest; nothing while the trusted screen is open.
    chosen: Option<GuestId>,
    layout: LayoutMode,
    /// The state of the guest that the event is about.
    guest: Option<GuestState>,
    /// Whether the screen that the event is about is there.
    output: bool,
    /// What may type or point.
    accepted: Vec<(SourceId, Part)>,
}

impl Monitor {
    pub(crate) fn watched(&self, event: &Event) -> Watched {
        let chosen = match self.focus {
            Focus::Guest(guest) => Some(guest),
            Focus::Trusted(_) | Focus::Locked(_) => None,
        };
        let guest = match event {
            Event::Guest { guest, .. } => self.guests.state(*guest),
            _ => None,
        };
        let output = match event {
            Event::OutputAdded { output, .. }
            | Event::OutputResized { output, .. }
            | Event::OutputRemoved(output) => self.outputs.get(*output).is_some(),
            _ => false,
        };
        let accepted = self.devices.accepted();
        Watched { chosen, layout: self.layout, guest, output, accepted }
    }

    /// What this step did that is to be written down, but for what its effects say themselves.
    pub(crate) fn records(&self, before: Watched, event: &Event) -> Vec<Record> {
        let after = self.watched(event);
        let chosen = after.chosen.filter(|_| after.chosen != before.chosen).map(Record::Switch);
        let layout = (after.layout != before.layout).then_some(Record::Layout(after.layout));
        let about = match *event {
            Event::Guest { guest, report } if after.guest != before.guest => {
                Some(Record::Guest(guest, report))
            }
            Event::OutputAdded { output, .. } | Event::OutputResized { output, .. }
                if !before.output =>
            {
                Some(Record::OutputAdded(output))
            }
            Event::OutputRemoved(output) if before.output => Some(Record::OutputRemoved(output)),
            Event::DeviceAppeared { source, device } => Some(Record::DeviceAdded(source, device)),
            Event::SourceLost(source) | Event::DeviceGone(source) => {
                Some(Record::SourceLost(source))
            }
            _ => None,
        };
        let accepted = after.accepted.into_iter().filter(|it| !before.accepted.contains(it));
        let accepted = accepted.map(|(source, part)| Record::DeviceAccepted(source, part));
        about.into_iter().chain(accepted).chain(layout).chain(chosen).collect()
    }
}

/// An effect, after its own record if it needs one.
pub(crate) fn audited(effect: Effect) -> impl Iterator<Item = Effect> {
    let record = match effect {
        Effect::Command { command: GuestCommand::Resize(_), .. } => None,
        Effect::Command { guest, command } => Some(Record::Command(guest, command)),
        Effect::Take { guest, clip } => Some(Record::Take(guest, clip)),
        Effect::Answer { guest, yes, .. } => Some(Record::Answer(guest, yes)),
        Effect::Quit => Some(Record::Quit),
        _ => None,
    };
    record.map(Effect::Audit).into_iter().chain([effect])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::*;
    use tabard_input::KeyCode;

    fn records(effects: &[Effect]) -> Vec<Record> {
        let one = |effect: &Effect| match effect {
            Effect::Audit(record) => Some(*record),
            _ => None,
        };
        effects.iter().filter_map(one).collect()
    }

    #[test]
    fn invariant_10_a_switch_is_recorded_before_it_is_shown() {
        let mut rig = Rig::new();
        rig.sak();
        rig.confirm();

        let effects = rig.key(KeyCode(3), true);

        assert_eq!(effects, [Effect::Audit(Record::Switch(SKETCH)), Effect::Redraw]);
    }

    #[test]
    fn invariant_10_every_attention_is_recorded_also_on_the_trusted_screen() {
        let mut rig = Rig::new();
        for _ in 0..2 {
            assert_eq!(records(&rig.sak()), [Record::Attention]);
        }
    }

    #[test]
    fn invariant_10_a_command_is_recorded_before_it_is_given() {
        let mut rig = Rig::new();
        rig.sak();
        rig.confirm();

        let effects = rig.key(KeyCode::P, true);

        let command = GuestCommand::Pause;
        assert_eq!(
            effects,
            [
                Effect::Audit(Record::Command(NOTES, command)),
                Effect::Command { guest: NOTES, command }
            ]
        );
    }

    #[test]
    fn the_start_of_the_desk_is_recorded_guest_by_guest() {
        let mut rig = Rig::dark();
        let found = records(&rig.add_output(ONE));
        let start = |guest| Record::Command(guest, GuestCommand::Start);
        assert_eq!(found, [Record::OutputAdded(ONE), start(NOTES), start(SKETCH)]);
    }

    #[test]
    fn a_state_is_recorded_once_however_often_it_is_reported() {
        let mut rig = Rig::new();
        assert_eq!(records(&rig.report(NOTES, GuestReport::Running)), []);
        let report = GuestReport::Stopped(crate::Ending::ProcessDied);
        assert_eq!(records(&rig.report(NOTES, report)), [Record::Guest(NOTES, report)]);
        assert_eq!(records(&rig.report(NOTES, report)), []);
    }

    #[test]
    fn typing_and_pointing_are_not_recorded() {
        let mut rig = Rig::new();
        let mut effects = rig.tap(KeyCode::A);
        effects.extend(rig.point_at(NOTES));
        assert_eq!(records(&effects), []);
    }
}
