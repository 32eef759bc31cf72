//! Records of the monitor in words. Names come from the desk file only.

use tabard_trusted_path::{
    Clip, Effect, Ending, GuestCommand, GuestReport, LayoutMode, LockCause, Record, UserId, Verdict,
};
use tabard_view::GuestId;

use super::chain::Entry;
use crate::hex::hex;

/// The names that records use.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// Of guests, in the order of the desk file.
    pub(crate) guests: Vec<String>,
    /// Of users, in the order of the desk file.
    pub(crate) users: Vec<String>,
}

impl Names {
    /// The entries of all records among these effects.
    pub(crate) fn entries(&self, effects: &[Effect]) -> Vec<Entry> {
        let one = |effect: &Effect| match effect {
            Effect::Audit(record) => Some(self.entry(*record)),
            _ => None,
        };
        effects.iter().filter_map(one).collect()
    }

    /// The entry of a record.
    fn entry(&self, record: Record) -> Entry {
        match record {
            Record::Attention => Entry::new("attention"),
            Record::Switch(guest) => self.of("switch", guest),
            Record::Layout(layout) => Entry::new("layout").text(
                "layout",
                match layout {
                    LayoutMode::Solo => "solo",
                    LayoutMode::Desk => "desk",
                },
            ),
            Record::Command(guest, command) => self.of(
                match command {
                    GuestCommand::Start => "guest-start",
                    GuestCommand::Stop => "guest-stop",
                    GuestCommand::PowerButton => "guest-power-button",
                    GuestCommand::Reset => "guest-reset",
                    GuestCommand::Pause => "guest-pause",
                    GuestCommand::Resume => "guest-resume",
                    GuestCommand::Resize(_) => "guest-resize",
                },
                guest,
            ),
            Record::Guest(guest, report) => self.report(guest, report),
            Record::OutputAdded(output) => Entry::new("screen-added").number("screen", output.0),
            Record::OutputRemoved(output) => {
                Entry::new("screen-removed").number("screen", output.0)
            }
            Record::DeviceAdded(source, device) => Entry::new("input-added")
                .number("device", source.0)
                .text("name", device.name.as_str())
                .text("port", device.port.as_str())
                .text("class", format!("{:?}", device.kind.class))
                .text("spare", format!("{:?}", device.kind.spare)),
            Record::DeviceAccepted(source, part) => Entry::new("input-accepted")
                .number("device", source.0)
                .text("part", format!("{part:?}")),
            Record::SourceLost(source) => Entry::new("input-removed").number("device", source.0),
            Record::Take(guest, clip) => clip_of(self.of("text-taken", guest), clip),
            Record::Passage(passage, verdict) => {
                let kind = match verdict {
                    Verdict::Given => "text-given",
                    Verdict::Reviewed => "text-reviewed",
                    Verdict::Released => "text-released",
                    Verdict::Refused => "text-refused",
                };
                let to = self.guests.get(usize::from(passage.to.0)).map_or("", String::as_str);
                clip_of(self.of(kind, passage.from).text("to", to), passage.clip)
            }
            Record::Answer(guest, yes) => {
                let answer = yes.map_or("none in time", |yes| if yes { "yes" } else { "no" });
                self.of("question-answered", guest).text("answer", answer)
            }
            Record::Locked(cause) => Entry::new("locked").text(
                "why",
                match cause {
                    LockCause::User => "by the user",
                    LockCause::Idle => "no input",
                    LockCause::Suspend => "the host sleeps, or tabard lock",
                    LockCause::SeatLost => "screen or input taken away",
                },
            ),
            Record::Login(user) => self.by("login", user),
            Record::LoginFailed(user, failures) => {
                self.by("login-failed", user).number("failures", failures)
            }
            Record::Quit => Entry::new("quit"),
        }
    }

    /// An entry about a guest.
    pub(crate) fn of(&self, kind: &'static str, guest: GuestId) -> Entry {
        let name = self.guests.get(usize::from(guest.0)).map_or("", String::as_str);
        Entry::new(kind).text("guest", name)
    }

    fn by(&self, kind: &'static str, user: UserId) -> Entry {
        let name = self.users.get(usize::from(user.0)).map_or("", String::as_str);
        Entry::new(kind).text("user", name)
    }

    fn report(&self, guest: GuestId, report: GuestReport) -> Entry {
        match report {
            GuestReport::Running => self.of("guest-running", guest),
            GuestReport::Paused => self.of("guest-paused", guest),
            GuestReport::Stopped(ending) => {
                let (kind, why) = match ending {
                    Ending::ByUser => ("guest-stopped", "by the user"),
                    Ending::PowerOff => ("guest-stopped", "it switched itself off"),
                    Ending::TripleFault => ("guest-failed", "triple fault"),
                    Ending::Panicked => ("guest-failed", "its operating system panicked"),
                    Ending::Machine => ("guest-failed", "its machine"),
                    Ending::ProcessDied => ("process-failed", "it died"),
                    Ending::ProtocolViolation => ("process-failed", "it broke the rules"),
                    Ending::LoadFailed => ("guest-failed", "it could not be loaded"),
                };
                self.of(kind, guest).text("why", why)
            }
        }
    }
}

fn clip_of(entry: Entry, clip: Clip) -> Entry {
    entry.text("sha256", hex(&clip.digest.0)).number("bytes", clip.bytes)
}
