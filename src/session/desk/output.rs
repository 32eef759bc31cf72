//! `[outputs.NAME]` of a desk file: the mode of a screen, and the guest that has it for itself.

use tabard_display::kms::{FIRST_NAMED, ModeWish, Wish};
use tabard_view::{GuestId, OutputId, Size};

use super::guest::GuestSpec;
use super::report::Report;
use super::table::Table;

/// Screens that one desk names; their numbers have room for as many.
const MAX_OUTPUTS: usize = 64;

/// A screen that the desk names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// Which it is, and in which mode.
    pub wish: Wish,
    /// The guest that has it for itself.
    pub guest: Option<GuestId>,
}

/// Reads every `[outputs.NAME]`.
pub(super) fn read_outputs(
    top: &mut Table<'_, '_>,
    guests: &[GuestSpec],
    report: &mut Report<'_>,
) -> Vec<OutputSpec> {
    let mut outputs: Vec<OutputSpec> = Vec::new();
    let tables = top.tables(report, "outputs");
    if tables.len() > MAX_OUTPUTS {
        report.fault(0, format!("There are {} outputs", tables.len()), "A desk names at most 64");
    }
    for (number, (name, mut table)) in (FIRST_NAMED..=u8::MAX).zip(tables) {
        let mode = table.string(report, "mode", "\"1920x1080@60\"").and_then(|mode| {
            let parsed = parse_mode(&mode.value);
            if parsed.is_none() {
                report.fault(
                    mode.at,
                    format!("There is no mode {:?}", mode.value),
                    "Write width and height in pixels, such as \"1920x1080\", or with pictures a \
                     second \"1920x1080@60\"; `tabard doctor` lists screens and modes",
                );
            }
            parsed
        });
        let guest = table.string(report, "guest", "\"NAME\"").and_then(|guest| {
            let ids = (0..=u8::MAX).map(GuestId);
            let known = ids.zip(guests).find(|(_, one)| one.name == guest.value).map(|(id, _)| id);
            if known.is_none() {
                let cause =
                    format!("There is no guest {:?} for output {:?}", guest.value, name.value);
                report.fault(guest.at, cause, "Name a guest of this desk, or leave the key out");
            } else if outputs.iter().any(|other| other.guest == known) {
                let cause = format!("Guest {:?} has another output already", guest.value);
                report.fault(
                    guest.at,
                    cause,
                    "A guest has one screen and so one size: leave one out",
                );
            }
            known
        });
        table.finish(report);
        let wish = Wish { output: OutputId(number), connector: name.value, mode };
        outputs.push(OutputSpec { wish, guest });
    }
    outputs
}

fn parse_mode(text: &str) -> Option<ModeWish> {
    let number = |digits: &str| digits.parse::<u16>().ok().filter(|number| *number > 0);
    let (size, hertz) = match text.split_once('@') {
        Some((size, hertz)) => (size, Some(u32::from(number(hertz)?))),
        None => (text, None),
    };
    let (width, height) = size.split_once('x')?;
    let size = Size { width: number(width)?.into(), height: number(height)?.into() };
    Some(ModeWish { size, hertz })
}
