//! `[outputs.NAME]` of a desk file: the mode of a screen, and the guest that has it for itself.

use tabard_display::kms::{FIRST_NAMED, ModeWish, Wish, is_screen_name};
use tabard_view::{GuestId, OutputId, Size};

use super::guest::GuestSpec;
use super::table::Table;

/// A screen that the desk names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputSpec {
    /// Which it is, and in which mode.
    pub wish: Wish,
    /// The guest that has it for itself.
    pub guest: Option<GuestId>,
}

/// Reads every `[outputs.NAME]`.
pub(super) fn read_outputs(top: &mut Table<'_>, guests: &[GuestSpec]) -> Vec<OutputSpec> {
    let mut outputs: Vec<OutputSpec> = Vec::new();
    for (number, (name, mut table)) in (FIRST_NAMED..=u8::MAX).zip(top.tables("outputs")) {
        if !is_screen_name(&name.value) {
            let cause = format!("{:?} is no name of a screen", name.value);
            let next = "Write its connector, such as DP-1 or card0-DP-1, \"MAKE MODEL SERIAL\", or \
                        its path behind a hub, such as \"mst:70-1-8\"; `tabard doctor` lists them";
            table.report.fault(name.at, cause, next);
        }
        let wants = "width and height in pixels, such as \"1920x1080\", or with pictures a second \
                     \"1920x1080@60\"; `tabard doctor` lists screens and modes";
        let mode = table.parsed("mode", wants, |mode| {
            parse_mode(mode).ok_or_else(|| format!("There is no mode {mode:?}"))
        });
        let wants = "a guest of this desk that has no other output, or leave it out";
        let guest = table.parsed("guest", wants, |guest| {
            let ids = (0..=u8::MAX).map(GuestId);
            let known = ids.zip(guests).find(|(_, one)| one.name == guest).map(|(id, _)| id);
            if known.is_some() && outputs.iter().any(|other| other.guest == known) {
                return Err(format!("Guest {guest:?} has another output already"));
            }
            known.ok_or_else(|| format!("There is no guest {guest:?} for output {:?}", name.value))
        });
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
