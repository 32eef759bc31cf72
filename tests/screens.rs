//! A guest that has a screen for itself, through the real processes: what is where, who receives
//! keys, and that the bars of all screens say so before any key.

mod common;

use common::{SIZE, Stage, key, vmm};
use tabard::oracle::Oracle;
use tabard_display::RawInput;
use tabard_view::{BarKind, GuestId, OutputId, Recipient, Scale, Size};

const ALPHA: Recipient = Recipient::Guest(GuestId(0));
const BRAVO: Recipient = Recipient::Guest(GuestId(1));
/// The first screen that a desk file names, as a presenter numbers it.
const NAMED: OutputId = OutputId(128);
const SMALL: Size = Size { width: 1024, height: 768 };

/// Two probes in solo; bravo has the screen HDMI-A-1 for itself.
fn desk() -> String {
    let own = "layout = \"solo\"\n[outputs.HDMI-A-1]\nguest = \"bravo\"\n[guests.alpha]";
    // The tables before it end with [desk].
    common::DESK.replace("[guests.alpha]", own)
}

/// The windows of a screen, and whom its bar names.
fn shown(stage: &Stage, output: OutputId) -> (Vec<(GuestId, bool)>, String) {
    let view = stage.snapshot(output).and_then(|snapshot| snapshot.view).unwrap();
    let output = view.output(output).unwrap().clone();
    let windows = output.windows().iter().map(|window| (window.guest, window.focused)).collect();
    let named = match output.bar.kind {
        BarKind::TypingInto { name, .. } => name,
        other => format!("{other:?}"),
    };
    (windows, named)
}

#[test]
fn invariant_1_a_guest_with_a_screen_for_itself_receives_keys_when_every_bar_names_it() {
    let oracle = Oracle::default();
    let stage = Stage::watched(&desk(), &[(SIZE, Scale::ONE)], vmm(), Some(&oracle));
    stage.add_output(NAMED, SMALL, Scale::ONE);
    stage.until("both guests", |stage| {
        (0..2).all(|guest| stage.serial(guest).contains("{\"ready\""))
    });
    stage.until_open(ALPHA);
    stage.until("the named screen", |stage| stage.snapshot(NAMED).is_some());
    assert_eq!(shown(&stage, OutputId(0)), (vec![(GuestId(0), true)], "alpha".to_owned()));
    assert_eq!(shown(&stage, NAMED), (vec![(GuestId(1), false)], "alpha".to_owned()));
    let size = stage.status().guests[1].0.unwrap();
    assert!(size.width < SMALL.width && size.width > SMALL.width - 40, "{size:?}");

    stage.tap(key::A);
    stage.settle(0);
    // A click on bravo's screen moves there, and types nothing before all screens say so.
    stage.hold(true);
    stage.input(RawInput::Pointer { output: NAMED, x: 500, y: 400 });
    for pressed in [true, false] {
        stage.input(RawInput::Button { code: key::BTN_LEFT, pressed });
    }
    stage.until("bravo is chosen", |stage| stage.status().recipient == BRAVO);
    stage.tap(key::S);
    stage.hold(false);
    stage.until("the named screen shows it", |stage| shown(stage, NAMED).1 == "bravo");
    stage.until_open(BRAVO);
    stage.tap(key::B);
    stage.settle(1);

    let pressed = |guest: usize| -> Vec<u64> {
        let presses = stage.keys(guest).into_iter().filter(|(_, value)| *value == 1);
        presses.map(|(code, _)| code).filter(|code| *code != u64::from(key::CAPS_LOCK)).collect()
    };
    assert_eq!((pressed(0), pressed(1)), (vec![key::A.into()], vec![key::B.into()]));
    assert_eq!(stage.events(1, "pointer", 1), [], "the click that chose it is not delivered");

    // Its screen is unplugged: it is on the other one, and in its size.
    stage.remove_output(NAMED);
    stage.until("bravo moves", |stage| shown(stage, OutputId(0)).0 == [(GuestId(1), true)]);
    assert_eq!(stage.status().guests[1].0.unwrap().width, SIZE.width);
    let findings = oracle.findings();
    assert_eq!(findings.violations, 0, "{:?}", findings.words);
    assert!(findings.frames > 0);
}
