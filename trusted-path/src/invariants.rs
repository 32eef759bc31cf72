//! The invariants of the design as examples, one behaviour each. The laws hold them over random
//! histories; these say what they mean.

use crate::rig::*;
use crate::*;
use tabard_input::{Chord, KeyCode, SourceId};
use tabard_view::*;

fn title(rig: &Rig, guest: GuestId) -> Picture {
    let view = rig.view();
    view.outputs[0].windows().iter().find(|w| w.guest == guest).unwrap().picture.clone()
}

fn trusted(rig: &Rig) -> TrustedScreen {
    match &rig.view().outputs[0].content {
        Content::Trusted(screen) => screen.clone(),
        other => panic!("not the trusted screen: {other:?}"),
    }
}

// Invariant 1: glass before keys.

#[test]
fn invariant_1_glass_before_keys_nothing_arrives_before_the_first_frame() {
    let mut rig = Rig::dark();
    assert!(!rig.monitor.input_open());
    rig.add_output(ONE);
    rig.report(NOTES, GuestReport::Running);
    assert_eq!(delivered(&rig.tap(KeyCode::A)), []);
    rig.confirm();
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(NOTES, key(KeyCode::A, true))]);
}

#[test]
fn invariant_1_glass_before_keys_a_switch_mutes_until_confirmed() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::DIGIT_2);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    assert_eq!(delivered(&rig.tap(KeyCode::A)), []);
    rig.confirm();
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(SKETCH, key(KeyCode::A, true))]);
}

#[test]
fn invariant_1_glass_before_keys_every_output_must_confirm() {
    let mut rig = Rig::new();
    rig.add_output(TWO);
    let serial = rig.view().serial;
    rig.present(ONE, serial);
    assert_eq!(delivered(&rig.tap(KeyCode::A)), []);
    rig.present(TWO, serial);
    assert_eq!(delivered(&rig.tap(KeyCode::B)).len(), 2);
}

#[test]
fn invariant_1_glass_before_keys_an_older_view_of_the_same_guest_does_not_open() {
    let mut rig = Rig::new();
    let old = rig.view().serial;
    rig.switch(KeyCode::DIGIT_2);
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::DIGIT_1);
    rig.present(ONE, old);
    assert!(!rig.monitor.input_open());
}

#[test]
fn invariant_1_glass_before_keys_a_view_never_issued_does_not_open() {
    let mut rig = Rig::new();
    rig.sak();
    rig.present(ONE, FrameSerial(u64::MAX));
    assert!(!rig.monitor.input_open());
    rig.tap(KeyCode::DIGIT_2);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn invariant_1_glass_before_keys_a_resized_output_must_confirm_again() {
    let mut rig = Rig::new();
    let before = rig.view().serial;
    let size = Size { width: 1000, height: 700 };
    rig.step(Event::OutputResized { output: ONE, size, scale: Scale::ONE });
    rig.present(ONE, before);
    assert!(!rig.monitor.input_open());
    rig.confirm();
    assert!(rig.monitor.input_open());
}

#[test]
fn invariant_1_glass_before_keys_losing_every_output_mutes_and_releases() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    let effects = rig.step(Event::OutputRemoved(ONE));
    assert_eq!(delivered(&effects), [(NOTES, key(KeyCode::A, false))]);
    assert_eq!(delivered(&rig.tap(KeyCode::B)), []);
}

#[test]
fn invariant_1_glass_before_keys_an_output_too_small_to_name_the_guest_mutes() {
    let mut rig = Rig::new();
    let size = Size { width: 80, height: 60 };
    rig.step(Event::OutputAdded { output: TWO, size, scale: Scale::ONE });
    rig.confirm();
    let view = rig.view();
    assert_eq!(view.recipient, Recipient::Nobody);
    assert_eq!(view.outputs[1].content, Content::Blank);
    assert!(view.outputs.iter().all(|o| matches!(o.bar.kind, BarKind::Nobody { .. })));
    assert_eq!(delivered(&rig.tap(KeyCode::A)), []);
    rig.step(Event::OutputRemoved(TWO));
    rig.confirm();
    assert_eq!(delivered(&rig.tap(KeyCode::A)).len(), 2);
}

#[test]
fn invariant_1_glass_before_keys_the_trusted_screen_too_waits_for_its_frame() {
    let mut rig = Rig::new();
    rig.sak();
    rig.tap(KeyCode::DIGIT_2);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    rig.confirm();
    rig.tap(KeyCode::DIGIT_2);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
}

// Invariant 2: SAK always wins.

#[test]
fn invariant_2_sak_always_wins_and_its_final_key_reaches_nobody() {
    let mut rig = Rig::new();
    let effects = rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    assert!(
        !delivered(&effects)
            .iter()
            .any(|(_, input)| matches!(input, GuestInput::Key { code: 1, .. }))
    );
}

#[test]
fn invariant_2_sak_always_wins_without_output_while_muted_and_over_dead_guests() {
    let mut rig = Rig::dark();
    rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    let mut rig = Rig::new();
    rig.report(NOTES, GuestReport::Stopped(Ending::TripleFault));
    rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    rig.confirm();
    rig.tap(KeyCode::DIGIT_2);
    rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn invariant_2_sak_always_wins_through_a_flood_of_held_keys_and_sources() {
    let mut rig = Rig::new();
    for source in 2..200 {
        for code in 1..=255 {
            let (source, code) = (SourceId(source), KeyCode(code));
            if !Chord::default().contains(code) {
                rig.step(Event::Key { source, code, pressed: true });
            }
        }
    }
    rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn invariant_2_sak_always_wins_over_questions_and_help_and_returns_to_the_list() {
    let mut rig = Rig::new();
    for code in [KeyCode::H, KeyCode::Q, KeyCode::S] {
        rig.sak();
        rig.confirm();
        rig.tap(code);
        rig.sak();
        assert!(matches!(trusted(&rig).body, TrustedBody::Guests(_)));
        assert_eq!(trusted(&rig).hints[0].key, "1-9");
    }
}

#[test]
fn invariant_2_sak_always_wins_even_when_a_release_was_lost() {
    let mut rig = Rig::new();
    rig.key(KeyCode::ESC, true);
    rig.sak();
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

// Invariant 3: only the user switches.

#[test]
fn invariant_3_only_the_user_switches_reports_change_no_focus() {
    let mut rig = Rig::new();
    for guest in [NOTES, SKETCH, SPARE, GuestId(200)] {
        for report in [
            GuestReport::Running,
            GuestReport::Paused,
            GuestReport::Stopped(Ending::ProcessDied),
            GuestReport::Running,
        ] {
            rig.report(guest, report);
            assert_eq!(rig.monitor.recipient(), Recipient::Guest(NOTES));
            let view = rig.view();
            let order: Vec<_> = view.outputs[0].windows().iter().map(|w| w.guest).collect();
            assert_eq!(order, [NOTES, SKETCH, SPARE]);
        }
    }
}

#[test]
fn invariant_3_only_the_user_switches_a_dead_guest_keeps_the_keyboard_and_gets_nothing() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    let effects = rig.report(NOTES, GuestReport::Stopped(Ending::PowerOff));
    assert_eq!(delivered(&effects), []);
    assert_eq!(delivered(&rig.tap(KeyCode::B)), []);
    assert_eq!(
        title(&rig, NOTES),
        Picture::Words {
            title: "Switched itself off".into(),
            detail: "Ctrl+Alt+Esc, then S, starts it again".into()
        }
    );
}

#[test]
fn invariant_3_only_the_user_switches_a_report_does_not_answer_a_question() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::S);
    rig.report(NOTES, GuestReport::Stopped(Ending::PowerOff));
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::S)), []);
}

// Invariant 4: nothing is carried over.

#[test]
fn invariant_4_nothing_is_carried_over_held_keys_are_released_to_the_old_guest() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    let effects = rig.sak();
    assert!(delivered(&effects).contains(&(NOTES, key(KeyCode::A, false))));
    rig.confirm();
    rig.tap(KeyCode::DIGIT_2);
    rig.confirm();
    assert_eq!(delivered(&rig.key(KeyCode::A, false)), []);
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(SKETCH, key(KeyCode::A, true))]);
}

#[test]
fn invariant_4_nothing_is_carried_over_the_digit_that_chose_is_swallowed_until_up() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.key(KeyCode::DIGIT_2, true);
    rig.confirm();
    assert_eq!(delivered(&rig.key(KeyCode::DIGIT_2, true)), []);
    assert_eq!(delivered(&rig.key(KeyCode::DIGIT_2, false)), []);
    assert_eq!(delivered(&rig.tap(KeyCode::DIGIT_2)).len(), 2);
}

#[test]
fn invariant_4_nothing_is_carried_over_a_lost_keyboard_releases_its_keys() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    let effects = rig.step(Event::SourceLost(KEYBOARD));
    assert_eq!(delivered(&effects), [(NOTES, key(KeyCode::A, false))]);
    assert_eq!(delivered(&rig.key(KeyCode::A, false)), []);
}

#[test]
fn invariant_4_nothing_is_carried_over_a_pause_releases_all_first() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    let effects = rig.report(NOTES, GuestReport::Paused);
    assert_eq!(delivered(&effects), [(NOTES, key(KeyCode::A, false))]);
    assert_eq!(title(&rig, NOTES), Picture::Veiled { title: "paused".into() });
    rig.report(NOTES, GuestReport::Running);
    assert_eq!(delivered(&rig.key(KeyCode::A, false)), []);
}

#[test]
fn invariant_4_nothing_is_carried_over_a_key_held_over_a_crash_stays_swallowed() {
    let mut rig = Rig::new();
    rig.key(KeyCode::A, true);
    rig.report(NOTES, GuestReport::Stopped(Ending::TripleFault));
    rig.report(NOTES, GuestReport::Running);
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), []);
    assert_eq!(delivered(&rig.key(KeyCode::A, false)), []);
}

// Invariant 5: keyboard and pointer go together.

#[test]
fn invariant_5_keyboard_and_pointer_go_together_a_click_moves_both_and_is_not_delivered() {
    let mut rig = Rig::new();
    assert_eq!(delivered(&rig.point_at(SKETCH)), []);
    let mut effects = rig.button(true);
    rig.confirm();
    effects.extend(rig.button(false));
    assert_eq!(delivered(&effects), []);
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(SKETCH, key(KeyCode::A, true))]);
    assert_eq!(delivered(&rig.button(true)).len(), 2);
}

#[test]
fn invariant_5_keyboard_and_pointer_go_together_an_unfocused_guest_gets_no_pointer() {
    let mut rig = Rig::new();
    assert_eq!(delivered(&rig.point_at(SKETCH)), []);
    let wheel = Event::Wheel { source: MOUSE, vertical: 1, horizontal: 0 };
    assert_eq!(delivered(&rig.step(wheel)), []);
    assert_eq!(rig.view().outputs[0].pointer.unwrap().over, None);
    let inside = delivered(&rig.point_at(NOTES));
    assert!(matches!(inside[..], [(NOTES, GuestInput::Pointer { .. })]));
    assert_eq!(rig.view().outputs[0].pointer.unwrap().over, Some(NOTES));
}

#[test]
fn invariant_5_keyboard_and_pointer_go_together_a_drag_is_clamped_and_stays() {
    let mut rig = Rig::new();
    rig.point_at(NOTES);
    rig.button(true);
    let dragged = delivered(&rig.point(1279, 799));
    let x = POINTER_MAX;
    assert_eq!(dragged, [(NOTES, GuestInput::Pointer { x, y: POINTER_MAX })]);
    let button = GuestInput::Button { code: KeyCode::BUTTON_LEFT.0, pressed: false };
    assert_eq!(delivered(&rig.button(false)), [(NOTES, button)]);
    assert_eq!(delivered(&rig.point(1278, 799)), []);
}

#[test]
fn invariant_5_keyboard_and_pointer_go_together_clicks_on_the_bar_do_nothing() {
    let mut rig = Rig::new();
    rig.point(5, 5);
    assert_eq!(delivered(&rig.button(true)), []);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(NOTES));
}

#[test]
fn invariant_5_keyboard_and_pointer_go_together_a_click_while_muted_is_dropped() {
    let mut rig = Rig::new();
    rig.add_output(TWO);
    rig.point_at(SKETCH);
    rig.button(true);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(NOTES));
}

// Invariant 7: labels come from the configuration only.

#[test]
fn invariant_7_labels_come_from_the_configuration_in_every_view() {
    let mut rig = Rig::new();
    rig.report(SKETCH, GuestReport::Stopped(Ending::ProtocolViolation));
    let labels = |rig: &Rig| -> Vec<_> {
        rig.view().outputs[0].windows().iter().map(|w| (w.name.clone(), w.label.0)).collect()
    };
    let expected = [("notes".to_owned(), 7), ("sketch".to_owned(), 3), ("spare".to_owned(), 5)];
    assert_eq!(labels(&rig), expected);
    rig.sak();
    let TrustedBody::Guests(rows) = trusted(&rig).body else { panic!("no rows") };
    let rows: Vec<_> = rows.into_iter().map(|row| (row.name, row.label.0)).collect();
    assert_eq!(rows, expected);
}

// The trusted screen.

#[test]
fn sizes_come_before_starts_and_only_autostart_guests_start() {
    let mut rig = Rig::dark();
    let all = commands(&rig.add_output(ONE));
    assert!(all[..3].iter().all(|(_, command)| matches!(command, GuestCommand::Resize(_))));
    assert_eq!(all[3..], [(NOTES, GuestCommand::Start), (SKETCH, GuestCommand::Start)]);
    let content = rig.view().outputs[0].windows()[1].frame.content.size();
    assert_eq!(rig.monitor.guest_size(SKETCH), Some(content));
}

#[test]
fn without_autostart_the_desk_begins_on_the_trusted_screen() {
    let mut config = config();
    config.guests.iter_mut().for_each(|guest| guest.autostart = false);
    let monitor = Monitor::new(config).unwrap();
    assert_eq!(monitor.recipient(), Recipient::Trusted);
}

#[test]
fn a_screen_too_small_starts_nothing_until_it_fits() {
    let mut rig = Rig::dark();
    let size = Size { width: 40, height: 40 };
    let effects = rig.step(Event::OutputAdded { output: ONE, size, scale: Scale::ONE });
    assert_eq!(commands(&effects), []);
    rig.sak();
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::S)), []);
    let effects = rig.step(Event::OutputResized { output: ONE, size: HD, scale: Scale::ONE });
    assert_eq!(commands(&effects).len(), 5);
}

#[test]
fn stop_and_reset_ask_once_and_pause_does_not() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::R)), []);
    let question = "R again resets notes; what it has not saved is lost";
    let BarKind::Trusted { message } = rig.view().outputs[0].bar.kind.clone() else {
        panic!("not trusted")
    };
    assert_eq!(message, question);
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::R)), [(NOTES, GuestCommand::Reset)]);
    rig.report(NOTES, GuestReport::Running);
    assert_eq!(commands(&rig.tap(KeyCode::P)), [(NOTES, GuestCommand::Pause)]);
    rig.report(NOTES, GuestReport::Paused);
    assert_eq!(commands(&rig.tap(KeyCode::P)), [(NOTES, GuestCommand::Resume)]);
    rig.tap(KeyCode::S);
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::Y)), [(NOTES, GuestCommand::Stop)]);
}

#[test]
fn the_question_before_a_stop_offers_the_power_button() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::O);
    rig.tap(KeyCode::S);
    assert_eq!(commands(&rig.tap(KeyCode::O)), [], "the question is not on the glass yet");
    rig.confirm();

    assert_eq!(commands(&rig.tap(KeyCode::O)), [(NOTES, GuestCommand::PowerButton)]);

    rig.confirm();
    rig.tap(KeyCode::R);
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::O)), [], "only that question has it");
}

#[test]
fn a_repeat_of_the_key_does_not_confirm_its_own_question() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.key(KeyCode::Q, true);
    rig.confirm();
    assert!(!rig.key(KeyCode::Q, true).contains(&Effect::Quit));
    rig.key(KeyCode::Q, false);
    assert!(rig.key(KeyCode::Q, true).contains(&Effect::Quit));
}

#[test]
fn a_question_is_answered_only_when_it_is_on_the_glass() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::S);
    assert_eq!(commands(&rig.tap(KeyCode::S)), []);
    rig.confirm();
    rig.tap(KeyCode::LEFT_SHIFT);
    assert_eq!(commands(&rig.tap(KeyCode::S)), [(NOTES, GuestCommand::Stop)]);
}

#[test]
fn another_key_drops_the_question() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::Q);
    rig.confirm();
    rig.tap(KeyCode::DOWN);
    assert!(!rig.tap(KeyCode::Q).contains(&Effect::Quit));
    rig.tap(KeyCode::ESC);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn arrows_select_enter_goes_and_escape_goes_back() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::DOWN);
    rig.tap(KeyCode::ENTER);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    rig.confirm();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::END);
    rig.tap(KeyCode::ESC);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
}

#[test]
fn a_stopped_guest_can_be_started_and_its_window_visited() {
    let mut rig = Rig::new();
    rig.switch(KeyCode::DIGIT_3);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SPARE));
    assert_eq!(delivered(&rig.tap(KeyCode::A)), []);
    rig.sak();
    rig.confirm();
    assert_eq!(commands(&rig.tap(KeyCode::S)), [(SPARE, GuestCommand::Start)]);
    assert_eq!(rig.monitor.guests.state(SPARE), Some(GuestState::Starting));
}

#[test]
fn a_click_on_a_row_goes_there() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    let TrustedBody::Guests(rows) = trusted(&rig).body else { panic!("no rows") };
    assert_eq!((rows[0].remark.as_str(), rows[0].selected), ("had the keyboard", true));
    rig.point(rows[1].rect.x + 3, rows[1].rect.y + 3);
    assert_eq!(delivered(&rig.button(true)), []);
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
}

#[test]
fn the_help_lists_every_key_and_escape_leaves_it() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::SLASH);
    let TrustedBody::Help(hints) = trusted(&rig).body else { panic!("no help") };
    let keys: String = hints.iter().map(|hint| hint.key.clone() + " ").collect();
    for key in ["Ctrl+Alt+Esc", "1 to 9", "Up", "Enter", "S", "R", "P", "D", "?", "Q"] {
        assert!(keys.contains(key), "{key} is missing");
    }
    assert!(hints.iter().any(|hint| hint.text.contains("Home End")), "Home and End are missing");
    rig.tap(KeyCode::ESC);
    assert!(matches!(trusted(&rig).body, TrustedBody::Guests(_)));
}

#[test]
fn toggling_the_layout_resizes_every_guest() {
    let mut rig = Rig::new();
    rig.sak();
    rig.confirm();
    let effects = rig.tap(KeyCode::D);
    let solo = Size { width: 1280, height: 724 };
    assert_eq!(
        commands(&effects),
        [NOTES, SKETCH, SPARE].map(|guest| (guest, GuestCommand::Resize(solo)))
    );
    rig.tap(KeyCode::DIGIT_2);
    let view = rig.view();
    assert_eq!(view.outputs[0].windows().len(), 1);
    assert_eq!(view.outputs[0].windows()[0].guest, SKETCH);
}

/// What `docs/threat-model.md` says of sizes: they carry nothing from guest to guest.
#[test]
fn no_guest_changes_the_size_of_another_by_what_becomes_of_it() {
    let mut rig = Rig::new();
    for report in [
        GuestReport::Running,
        GuestReport::Paused,
        GuestReport::Stopped(Ending::PowerOff),
        GuestReport::Running,
        GuestReport::Stopped(Ending::ProcessDied),
    ] {
        let effects = rig.report(SKETCH, report);
        let resized = |(_, command): &(_, GuestCommand)| matches!(command, GuestCommand::Resize(_));
        assert!(!commands(&effects).iter().any(resized), "{report:?}");
    }
}

#[test]
fn the_bar_says_who_what_time_and_how_to_get_back() {
    let mut rig = Rig::new();
    rig.step(Event::Clock { minute_of_day: 847 });
    let bar = rig.view().outputs[0].bar.clone();
    assert_eq!((bar.left.as_str(), bar.right.as_str()), ("Ctrl+Alt+Esc", "14:07Z"));
    assert_eq!(bar.notice, "A window is not a trusted path");
    assert!(matches!(bar.kind, BarKind::TypingInto { ref name, .. } if name == "notes"));
    rig.sak();
    assert_eq!(rig.view().outputs[0].bar.right, "Esc  back");
}

#[test]
fn more_guests_than_rows_are_paged_by_the_selection() {
    let mut config = config();
    let extra = (0..20).map(|n| GuestConfig { name: format!("g{n}"), ..config.guests[0].clone() });
    config.guests.extend(extra.collect::<Vec<_>>());
    config.layout = LayoutMode::Solo;
    let mut rig = Rig { monitor: Monitor::new(config).unwrap() };
    rig.add_output(ONE);
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::END);
    let TrustedBody::Guests(rows) = trusted(&rig).body else { panic!("no rows") };
    assert!(rows.iter().any(|row| row.selected && row.guest == GuestId(22)));
    assert!(rows.iter().all(|row| HD.rect().covers(row.rect)));
}

#[test]
fn invariant_3_lock_keys_are_words_in_the_bar_of_the_guest_that_has_the_keyboard_and_no_more() {
    let mut rig = Rig::new();
    let right = |rig: &Rig| rig.view().outputs[0].bar.right.clone();
    let quiet = rig.view();
    rig.step(Event::Lights { guest: SKETCH, lights: [true; 3] });
    assert_eq!(rig.view(), quiet, "another guest's are nobody's business");
    rig.step(Event::Lights { guest: NOTES, lights: [false, true, false] });
    assert!(right(&rig).contains("Caps") && !right(&rig).contains("Num"));
    assert!(rig.monitor.input_open(), "and nobody waits for them");
    rig.report(NOTES, GuestReport::Stopped(Ending::ByUser));
    assert!(!right(&rig).contains("Caps"));
}
