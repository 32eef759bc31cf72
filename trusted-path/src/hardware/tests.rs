//! Keyboards and pointers of a seat, one behaviour each.

use crate::rig::{ONE, Rig, TWO};
use crate::{Effect, Event, GuestInput, Part};
use tabard_input::{Device, DeviceClass, DeviceName, KeyCode, Kind, Refusal, SourceId, Spare};
use tabard_view::{Content, GuestId, Recipient, TrustedBody};

const FIRST: SourceId = SourceId(16);
const SECOND: SourceId = SourceId(17);

fn device(kind: Kind, name: &str) -> Device {
    Device { kind, name: DeviceName::new(name), port: DeviceName::new(name), ids: [3, 1, 2] }
}

/// A seat with one screen and running guests, before the chord.
fn seat() -> Rig {
    let mut rig = Rig::awaiting_chord();
    plug(&mut rig, FIRST, DeviceClass::Keyboard);
    rig.confirm();
    rig
}

/// The same after the chord and the way back to the first guest.
fn typing() -> Rig {
    let mut rig = seat();
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::ESC);
    rig.confirm();
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
    rig
}

fn plug(rig: &mut Rig, source: SourceId, kind: impl Into<Kind>) {
    let mut device = device(kind.into(), "a device");
    device.port = DeviceName::new(&format!("port {}", source.0));
    rig.step(Event::DeviceAppeared { source, device });
}

fn key(rig: &mut Rig, source: SourceId, code: KeyCode, pressed: bool) -> Vec<Effect> {
    rig.step(Event::Key { source, code, pressed })
}

fn press(rig: &mut Rig, source: SourceId, code: KeyCode) -> Vec<Effect> {
    let mut effects = key(rig, source, code, true);
    effects.extend(key(rig, source, code, false));
    effects
}

/// Presses and releases the chord; everything that came of it.
fn chord(rig: &mut Rig, source: SourceId) -> Vec<Effect> {
    let keys = [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC];
    let moves = [true, false].into_iter().flat_map(|down| keys.map(|code| (code, down)));
    moves.flat_map(|(code, down)| key(rig, source, code, down)).collect()
}

fn delivered(effects: &[Effect]) -> usize {
    effects.iter().filter(|effect| matches!(effect, Effect::Deliver { .. })).count()
}

fn lines(rig: &Rig) -> Vec<String> {
    let Content::Trusted(screen) = &rig.monitor.view().outputs[0].content else {
        return vec![];
    };
    let TrustedBody::Help(lines) = &screen.body else { return vec![] };
    lines.iter().map(|line| format!("{} {}", line.key, line.text)).collect()
}

#[test]
fn a_seat_obeys_nothing_before_the_chord() {
    let mut rig = seat();
    for code in [KeyCode::DIGIT_1, KeyCode::ENTER, KeyCode::ESC, KeyCode::Q, KeyCode::Q] {
        assert_eq!(delivered(&press(&mut rig, FIRST, code)), 0);
        rig.confirm();
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    }
    assert!(lines(&rig).iter().any(|line| line.starts_with("Keyboard 1 a device: waits")));
    assert!(lines(&rig).iter().any(|line| line.starts_with("Screen 1:")));
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::DIGIT_1);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
}

#[test]
fn a_seat_without_a_keyboard_says_so_until_there_is_one() {
    let mut rig = Rig::awaiting_chord();
    rig.confirm();
    let notice = |rig: &Rig| rig.monitor.view().outputs[0].bar.notice.clone();
    plug(&mut rig, SECOND, DeviceClass::Refused(Refusal::Changed));
    assert_eq!(notice(&rig), "There is no keyboard: plug one in");
    assert!(lines(&rig).iter().any(|line| line.starts_with("Refused a device")));
    plug(&mut rig, FIRST, DeviceClass::Keyboard);
    assert!(notice(&rig).starts_with("Press "), "{}", notice(&rig));
}

#[test]
fn the_keyboard_with_the_first_chord_is_accepted_and_no_other() {
    let mut rig = seat();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    chord(&mut rig, SECOND);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::DIGIT_1);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    press(&mut rig, SECOND, KeyCode::DIGIT_1);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
}

#[test]
fn an_unaccepted_second_keyboard_types_nothing_but_the_chord() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 0);
    assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::A)), 2);
    chord(&mut rig, SECOND);
    rig.confirm();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    for _ in 0..2 {
        press(&mut rig, SECOND, KeyCode::K);
        rig.confirm();
    }
    press(&mut rig, SECOND, KeyCode::DIGIT_1);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn the_chord_on_an_unaccepted_keyboard_opens_the_trusted_screen_and_does_nothing_else() {
    let attention = Effect::Audit(crate::Record::Attention);
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    let opened = chord(&mut rig, SECOND);
    assert!(opened.contains(&attention));
    rig.confirm();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    // A question of the owner's stays open, and no record is written without end.
    press(&mut rig, FIRST, KeyCode::Q);
    rig.confirm();
    let asked = rig.monitor.view();
    for _ in 0..100 {
        assert_eq!(chord(&mut rig, SECOND), []);
    }
    assert_eq!(rig.monitor.view(), asked);
    assert!(chord(&mut rig, FIRST).contains(&attention));
}

#[test]
fn an_unaccepted_keyboard_changes_no_key_of_an_accepted_one() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    for code in [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT] {
        key(&mut rig, SECOND, code, true);
    }
    // Half of a chord on one, half on the other.
    assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::ESC)), 2);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(0)));
    // More keys than the ledger has room for.
    for source in 17..40 {
        plug(&mut rig, SourceId(source), DeviceClass::Keyboard);
        for code in 1..=255 {
            key(&mut rig, SourceId(source), KeyCode(code), true);
        }
    }
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::ESC);
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::A)), 2);
}

#[test]
fn a_second_keyboard_types_once_it_is_accepted() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    rig.confirm();
    let notice = rig.monitor.view().outputs[0].bar.notice.clone();
    assert!(notice.contains("new keyboard waits"), "{notice}");
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::K);
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::B)), 0);
    press(&mut rig, FIRST, KeyCode::K);
    press(&mut rig, FIRST, KeyCode::ESC);
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::B)), 2);
}

#[test]
fn page_i_numbers_what_waits_and_a_number_twice_accepts_it() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    plug(&mut rig, SourceId(18), DeviceClass::Keyboard);
    chord(&mut rig, FIRST);
    rig.confirm();
    // The second time on the keypad.
    for code in [KeyCode::I, KeyCode::DIGIT_2, KeyCode(80)] {
        press(&mut rig, FIRST, code);
        rig.confirm();
    }
    assert!(rig.monitor.devices.heeds(SourceId(18)));
    assert!(!rig.monitor.devices.heeds(SECOND));
    assert!(lines(&rig).iter().any(|line| line.starts_with("Keyboard 1 a device: waits")));
}

#[test]
fn nodes_of_one_physical_device_are_one_line_and_one_question() {
    let mut rig = typing();
    let dock = device(DeviceClass::Keyboard.into(), "a dock");
    for source in 17..25 {
        rig.step(Event::DeviceAppeared { source: SourceId(source), device: dock });
    }
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::I);
    let waits = |line: &&String| line.contains("waits");
    let expected = "Keyboard 1 a dock: waits, types nothing (a dock)";
    assert_eq!(lines(&rig).iter().filter(waits).collect::<Vec<_>>(), [expected]);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::DIGIT_1);
    rig.confirm();
    // What comes after the question was asked is not meant.
    rig.step(Event::DeviceAppeared { source: SourceId(25), device: dock });
    press(&mut rig, FIRST, KeyCode::DIGIT_1);
    assert!((17..25).all(|source| rig.monitor.devices.heeds(SourceId(source))));
    assert!(!rig.monitor.devices.heeds(SourceId(25)));
}

#[test]
fn a_dismissed_keyboard_asks_no_more_in_this_session_and_can_still_be_accepted() {
    let mut rig = typing();
    let token = device(DeviceClass::Keyboard.into(), "a token");
    rig.step(Event::DeviceAppeared { source: SECOND, device: token });
    chord(&mut rig, FIRST);
    rig.confirm();
    for code in [KeyCode::K, KeyCode::N] {
        press(&mut rig, FIRST, code);
        rig.confirm();
    }
    for source in [SECOND, SourceId(18)] {
        assert_eq!(rig.monitor.waiting_notice("chord"), None);
        assert!(!rig.monitor.devices.heeds(source));
        rig.step(Event::DeviceGone(source));
        let source = SourceId(source.0 + 1);
        rig.step(Event::DeviceAppeared { source, device: token });
    }
    rig.confirm();
    for code in [KeyCode::I, KeyCode::DIGIT_1, KeyCode::DIGIT_1] {
        press(&mut rig, FIRST, code);
        rig.confirm();
    }
    assert!(rig.monitor.devices.heeds(SourceId(19)));
}

#[test]
fn a_wireless_keyboard_that_slept_is_accepted_if_the_desk_says_so_and_nothing_else_is() {
    let mut asleep = device(DeviceClass::Keyboard.into(), "wireless");
    asleep.ids = [5, 1, 2];
    let (mut wired, mut other) = (asleep, asleep);
    wired.ids = [3, 1, 2];
    other.port = DeviceName::new("another address");
    for (keep, before, after, types) in [
        (true, asleep, asleep, true),
        (true, asleep, other, false),
        (true, wired, wired, false),
        (false, asleep, asleep, false),
    ] {
        let mut rig = typing();
        rig.monitor.config.login.keep_wireless = keep;
        rig.step(Event::DeviceAppeared { source: SECOND, device: before });
        chord(&mut rig, FIRST);
        rig.confirm();
        for _ in 0..2 {
            press(&mut rig, FIRST, KeyCode::K);
            rig.confirm();
        }
        assert!(rig.monitor.devices.heeds(SECOND));
        rig.step(Event::DeviceGone(SECOND));
        rig.step(Event::DeviceAppeared { source: SourceId(18), device: after });
        assert_eq!(rig.monitor.devices.heeds(SourceId(18)), types);
        // It slept once: another that calls itself so is another.
        rig.step(Event::DeviceAppeared { source: SourceId(19), device: after });
        assert!(!rig.monitor.devices.heeds(SourceId(19)));
    }
}

#[test]
fn a_keyboard_that_could_point_types_once_accepted_and_points_once_that_is_accepted_too() {
    let accepted = |part| Effect::Audit(crate::Record::DeviceAccepted(SECOND, part));
    let mut rig = typing();
    plug(&mut rig, SECOND, Kind { class: DeviceClass::Keyboard, spare: Spare::Pointer });
    let points = |rig: &mut Rig| {
        rig.step(Event::PointerMoved { source: SECOND, dx: 9, dy: 9 });
        rig.monitor.pointer.is_some()
    };
    assert!(!points(&mut rig));
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::K);
    rig.confirm();
    assert!(press(&mut rig, FIRST, KeyCode::K).contains(&accepted(Part::Keys)));
    rig.confirm();
    assert!(!points(&mut rig));
    assert_eq!(rig.monitor.waiting_notice("chord"), None);
    press(&mut rig, FIRST, KeyCode::I);
    let listed = "Keyboard 1 a device: accepted; its pointer is thrown away (port 17)";
    assert!(lines(&rig).iter().any(|line| line == listed), "{:?}", lines(&rig));
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::DIGIT_1);
    rig.confirm();
    assert!(press(&mut rig, FIRST, KeyCode::DIGIT_1).contains(&accepted(Part::Pointer)));
    assert!(points(&mut rig));
}

#[test]
fn a_pointer_types_nothing_and_says_that_its_keys_are_thrown_away() {
    let mut rig = typing();
    plug(&mut rig, SECOND, Kind { class: DeviceClass::Pointer, spare: Spare::Keys });
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::ENTER)), 0);
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::I);
    let listed = "Pointer a device: in use; its keys are thrown away";
    assert!(lines(&rig).iter().any(|line| line == listed));
}

#[test]
fn an_answer_for_a_keyboard_that_is_gone_accepts_no_other() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::K);
    rig.confirm();
    rig.step(Event::DeviceGone(SECOND));
    plug(&mut rig, SourceId(18), DeviceClass::Keyboard);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::K);
    assert!(!rig.monitor.devices.heeds(SourceId(18)));
}

#[test]
fn a_keyboard_that_is_the_only_one_needs_no_question() {
    let mut rig = typing();
    rig.step(Event::DeviceGone(FIRST));
    plug(&mut rig, SECOND, DeviceClass::Keyboard);
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 2);
}

#[test]
fn the_only_keyboard_needs_no_question_for_any_of_its_nodes() {
    let mut rig = typing();
    rig.step(Event::DeviceGone(FIRST));
    let node = device(DeviceClass::Keyboard.into(), "a keyboard");
    for source in [17, 18].map(SourceId) {
        rig.step(Event::DeviceAppeared { source, device: node });
        assert!(rig.monitor.devices.heeds(source));
    }
    plug(&mut rig, SourceId(19), DeviceClass::Keyboard);
    rig.step(Event::DeviceAppeared { source: SourceId(20), device: node });
    assert!(!rig.monitor.devices.heeds(SourceId(19)) && !rig.monitor.devices.heeds(SourceId(20)));
}

#[test]
fn unplugged_with_keys_down_leaves_none_down() {
    let mut rig = typing();
    assert_eq!(delivered(&key(&mut rig, FIRST, KeyCode::A, true)), 1);
    let effects = rig.step(Event::DeviceGone(FIRST));
    let input = GuestInput::Key { code: KeyCode::A.0, pressed: false };
    assert!(effects.contains(&Effect::Deliver { guest: GuestId(0), input }));
}

#[test]
fn a_refused_device_is_listed_even_when_it_is_gone_and_types_nothing() {
    let mut rig = typing();
    plug(&mut rig, SECOND, DeviceClass::Refused(Refusal::Composite));
    rig.confirm();
    assert_eq!(delivered(&press(&mut rig, SECOND, KeyCode::A)), 0);
    rig.step(Event::DeviceGone(SECOND));
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::I);
    let lines = lines(&rig);
    assert!(lines.iter().any(|line| line.starts_with("Refused a device:")), "{lines:?}");
}

#[test]
fn what_each_guest_runs_on_is_listed_and_an_emulated_one_says_so_in_the_bar() {
    let mut rig = typing();
    assert!(!rig.monitor.view().outputs[0].bar.notice.contains("emulated"));
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::I);
    let lines = lines(&rig);
    for line in ["Guest notes: kvm", "Guest spare: qemu: emulated, slower"] {
        assert!(lines.iter().any(|shown| shown == line), "{lines:?}");
    }
    press(&mut rig, FIRST, KeyCode::ESC);
    press(&mut rig, FIRST, KeyCode::DIGIT_3);
    rig.confirm();
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(GuestId(2)));
    assert!(rig.monitor.view().outputs[0].bar.notice.contains("emulated, slower"));
}

#[test]
fn an_unannounced_device_is_nobody() {
    let mut rig = typing();
    assert_eq!(delivered(&press(&mut rig, SourceId(99), KeyCode::A)), 0);
    let moved = rig.step(Event::PointerMoved { source: SourceId(99), dx: 9, dy: 9 });
    assert_eq!(delivered(&moved), 0);
    assert_eq!(rig.monitor.pointer, None);
}

#[test]
fn a_mouse_moves_over_all_screens_and_stops_at_their_ends() {
    let mut rig = typing();
    rig.add_output(TWO);
    rig.confirm();
    plug(&mut rig, SECOND, DeviceClass::Pointer);
    let mut places = Vec::new();
    for dx in [0, 1_000, 1_000, 100_000, -100_000] {
        rig.step(Event::PointerMoved { source: SECOND, dx, dy: 0 });
        let place = rig.monitor.pointer.unwrap();
        places.push((place.output, place.x));
    }
    let width = rig.monitor.view().outputs[0].size.width;
    let (middle, last) = (width / 2, width - 1);
    let expected =
        [(ONE, middle), (TWO, middle + 1_000 - width), (TWO, last), (TWO, last), (ONE, 0)];
    assert_eq!(places, expected);
}

#[test]
fn a_screen_that_is_left_out_is_named_on_the_others_until_it_is_lit() {
    let mut rig = typing();
    let name = DeviceName::new("card0-DP-1");
    rig.step(Event::ScreenDark { name, dark: true });
    rig.confirm();
    let named =
        |rig: &Rig| rig.monitor.view().outputs[0].bar.notice.contains("card0-DP-1 stays dark");
    assert!(named(&rig));
    assert_eq!(delivered(&press(&mut rig, FIRST, KeyCode::A)), 2, "and nobody waits for it");
    chord(&mut rig, FIRST);
    rig.confirm();
    press(&mut rig, FIRST, KeyCode::I);
    assert!(lines(&rig).contains(&"Screen card0-DP-1: cannot be lit, stays dark".to_owned()));
    rig.step(Event::ScreenDark { name, dark: false });
    assert!(!named(&rig));
}
