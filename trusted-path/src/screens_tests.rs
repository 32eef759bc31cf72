//! Guests that have a screen of their own, one behaviour each.

use crate::rig::*;
use crate::{Effect, Event, GuestCommand, GuestReport, LayoutMode, Monitor, MonitorConfig};
use tabard_input::KeyCode;
use tabard_view::{BarKind, GuestId, OutputId, Recipient, Scale, Size};

const SMALL: Size = Size { width: 1024, height: 768 };

/// Solo, with these guests' own screens; screen ONE is there.
fn desk(screens: [Option<OutputId>; 3]) -> Rig {
    let mut config = MonitorConfig { layout: LayoutMode::Solo, ..config() };
    config.guests.iter_mut().zip(screens).for_each(|(guest, screen)| guest.screen = screen);
    let mut rig = Rig { monitor: Monitor::new(config).unwrap() };
    rig.add_output(ONE);
    rig
}

/// The same with the smaller screen TWO, everything running and confirmed.
fn two_screens(screens: [Option<OutputId>; 3]) -> Rig {
    let mut rig = desk(screens);
    rig.step(Event::OutputAdded { output: TWO, size: SMALL, scale: Scale::ONE });
    for guest in [NOTES, SKETCH] {
        rig.report(guest, GuestReport::Running);
    }
    rig.confirm();
    rig
}

/// The guests on each screen, and which of them has the ring.
fn shown(rig: &Rig) -> Vec<Vec<(GuestId, bool)>> {
    let view = rig.view();
    let windows = |output: &tabard_view::OutputView| {
        output.windows().iter().map(|window| (window.guest, window.focused)).collect()
    };
    view.outputs.iter().map(windows).collect()
}

#[test]
fn a_guest_is_on_its_own_screen_whoever_types_and_every_bar_says_who() {
    let rig = two_screens([None, Some(TWO), None]);

    assert_eq!(shown(&rig), [[(NOTES, true)], [(SKETCH, false)]]);
    for output in &rig.view().outputs {
        let BarKind::TypingInto { name, .. } = &output.bar.kind else { panic!("{output:?}") };
        assert_eq!(name, "notes");
    }
    let frame = rig.view().outputs[1].windows()[0].frame;
    assert!(frame.top.height > 0, "its own label is above it, for the bar names another guest");
}

#[test]
fn invariant_1_input_waits_for_the_bar_on_a_screen_that_is_another_guests_own() {
    let mut rig = two_screens([Some(ONE), Some(TWO), None]);
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode(3));
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    let serial = rig.view().serial;
    rig.present(TWO, serial);
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [], "screen ONE still names notes");
    rig.key(KeyCode::A, false);
    rig.present(ONE, serial);
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(SKETCH, key(KeyCode::A, true))]);
    assert_eq!(shown(&rig), [[(NOTES, false)], [(SKETCH, true)]]);
}

#[test]
fn a_guest_is_told_the_size_of_its_own_screen_as_long_as_that_is_there() {
    let mut rig = desk([None, Some(TWO), None]);
    let on_one = rig.monitor.guest_size(SKETCH).unwrap();
    let effects = rig.step(Event::OutputAdded { output: TWO, size: SMALL, scale: Scale::ONE });
    let on_two = rig.monitor.guest_size(SKETCH).unwrap();
    assert!(on_two.width < SMALL.width && on_two.height < SMALL.height);
    let resize = GuestCommand::Resize(on_two);
    assert!(effects.contains(&Effect::Command { guest: SKETCH, command: resize }));
    rig.step(Event::OutputRemoved(TWO));
    assert_eq!(rig.monitor.guest_size(SKETCH), Some(on_one));
}

#[test]
fn a_guest_without_a_screen_is_on_all_of_them_when_all_are_others_own() {
    let mut rig = two_screens([Some(ONE), Some(TWO), None]);
    rig.switch(KeyCode(4));
    assert_eq!(shown(&rig), [[(SPARE, true)], [(SPARE, true)]]);
}

#[test]
fn a_click_on_another_guests_own_screen_goes_there_and_is_not_delivered() {
    let mut rig = two_screens([Some(ONE), Some(TWO), None]);
    rig.step(Event::Pointer { source: MOUSE, output: TWO, x: 500, y: 400 });
    let press = Event::Button { source: MOUSE, code: KeyCode::BUTTON_LEFT.0, pressed: true };
    assert_eq!(delivered(&rig.step(press)), []);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    assert_eq!(shown(&rig), [[(NOTES, false)], [(SKETCH, true)]]);
}

#[test]
fn the_trusted_screen_covers_every_screen() {
    let mut rig = two_screens([Some(ONE), Some(TWO), None]);
    rig.sak();
    assert_eq!(shown(&rig), [vec![], vec![]]);
}
