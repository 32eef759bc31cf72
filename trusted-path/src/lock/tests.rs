//! Login and lock, one behaviour each.

use super::*;
use crate::rig::*;
use crate::{Event, GuestReport, MonitorConfig};
use proptest::prelude::*;
use tabard_input::{Device, DeviceClass, DeviceName, SourceId};
use tabard_labels::{CategorySet, Level};
use tabard_view::{Content, GuestId, OutputId, Recipient, TrustedBody};

/// Ann is cleared for all three guests (7, 3 and 5), Bob for sketch (3) only.
fn users(config: MonitorConfig) -> MonitorConfig {
    let user = |name: &str, level, downgrade| UserConfig {
        name: name.to_owned(),
        authority: Authority {
            clearance: Compartment::new(Level::new(level), CategorySet::EMPTY),
            downgrade,
        },
        phrase: format!("{name} likes rain"),
        failures: 0,
    };
    let users = vec![user("ann", 9, true), user("bob", 3, false)];
    MonitorConfig {
        login: LoginConfig { users, lock_after_minutes: Some(3), ..LoginConfig::default() },
        ..config
    }
}

/// Locked, both guests running behind it.
fn locked() -> Rig {
    let mut rig = Rig { monitor: Monitor::new(users(config())).unwrap() };
    rig.add_output(ONE);
    rig.report(NOTES, GuestReport::Running);
    rig.report(SKETCH, GuestReport::Running);
    rig.confirm();
    rig
}

/// The ticket of the check that these effects ask for.
fn asked(effects: &[Effect]) -> Option<(UserId, u32)> {
    effects.iter().find_map(|effect| match effect {
        Effect::CheckPassword { user, ticket } => Some((*user, *ticket)),
        _ => None,
    })
}

/// Types a letter and Enter, and answers.
fn answer(rig: &mut Rig, right: bool) -> Vec<Effect> {
    rig.tap(KeyCode::A);
    let (_, ticket) = asked(&rig.tap(KeyCode::ENTER)).unwrap();
    rig.monitor.take_secret();
    let effects = rig.step(Event::PasswordChecked { ticket, right });
    rig.confirm();
    effects
}

/// Logged in as Ann.
fn ann() -> Rig {
    let mut rig = locked();
    answer(&mut rig, true);
    rig
}

fn bob() -> Rig {
    let mut rig = locked();
    rig.tap(KeyCode::DOWN);
    rig.confirm();
    answer(&mut rig, true);
    rig
}

fn form(rig: &Rig) -> LoginForm {
    match &rig.view().outputs[0].content {
        Content::Trusted(tabard_view::TrustedScreen { body: TrustedBody::Login(form), .. }) => {
            form.clone()
        }
        other => panic!("not the lock screen: {other:?}"),
    }
}

fn shows_a_guest(rig: &Rig) -> bool {
    let view = rig.view();
    view.outputs.iter().any(|output| {
        !output.windows().is_empty()
            || output.pointer.is_some_and(|pointer| pointer.over.is_some())
            || matches!(&output.content, Content::Trusted(screen) if matches!(screen.body, TrustedBody::Guests(_)))
    })
}

#[test]
fn invariant_8_locked_means_no_guest_is_mapped_through_plugs_crashes_and_clicks() {
    let mut rig = locked();
    assert!(!shows_a_guest(&rig) && rig.view().recipient == Recipient::Trusted);
    let events = [
        Event::OutputAdded { output: TWO, size: HD, scale: tabard_view::Scale::ONE },
        Event::OutputRemoved(ONE),
        Event::Guest { guest: NOTES, report: GuestReport::Stopped(crate::Ending::ProcessDied) },
        Event::Guest { guest: NOTES, report: GuestReport::Running },
        Event::SourceLost(KEYBOARD),
        Event::Pointer { source: MOUSE, output: TWO, x: 300, y: 300 },
        Event::Button { source: MOUSE, code: KeyCode::BUTTON_LEFT.0, pressed: true },
        Event::Wheel { source: MOUSE, vertical: 1, horizontal: 0 },
        Event::Clock { minute_of_day: 5 },
        Event::PasswordChecked { ticket: 0, right: true },
        Event::PasswordChecked { ticket: 1, right: true },
        Event::Elapsed(Timer::LoginDelay(1)),
        Event::Lock(LockCause::Suspend),
        Event::OutputRemoved(TWO),
        Event::OutputAdded { output: OutputId(3), size: HD, scale: tabard_view::Scale::ONE },
    ];
    for event in events {
        let effects = rig.step(event);
        rig.confirm();
        assert_eq!(delivered(&effects), [], "{event:?}");
        assert!(rig.monitor.is_locked() && !shows_a_guest(&rig), "{event:?}");
        assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    }
}

#[test]
fn invariant_8_what_is_typed_at_the_lock_reaches_no_guest() {
    let mut rig = locked();
    for code in 1..=127 {
        let effects = rig.tap(KeyCode(code));
        rig.confirm();
        assert_eq!((delivered(&effects), commands(&effects)), (vec![], vec![]), "key {code}");
        assert!(rig.monitor.is_locked() && !effects.contains(&Effect::Quit), "key {code}");
    }
}

#[test]
fn invariant_2_sak_always_wins_at_the_lock_and_forgets_what_was_typed() {
    let mut rig = locked();
    rig.tap(KeyCode::A);
    assert_eq!(form(&rig).typed, 1);

    let effects = rig.sak();

    assert!(effects.contains(&Effect::Audit(Record::Attention)));
    assert_eq!((form(&rig).typed, rig.monitor.is_locked()), (0, true));
}

#[test]
fn invariant_1_nothing_is_a_password_before_the_lock_is_on_the_glass() {
    let mut rig = ann();
    rig.step(Event::Lock(LockCause::Suspend));
    rig.tap(KeyCode::A);
    assert_eq!(form(&rig).typed, 0);
    rig.confirm();
    rig.tap(KeyCode::A);
    assert_eq!(form(&rig).typed, 1);
}

#[test]
fn invariant_4_nothing_is_carried_over_into_the_lock() {
    let mut rig = ann();
    assert_eq!(delivered(&rig.key(KeyCode::A, true)), [(NOTES, key(KeyCode::A, true))]);
    let effects = rig.step(Event::Lock(LockCause::SeatLost));
    assert_eq!(delivered(&effects), [(NOTES, key(KeyCode::A, false))]);
    assert_eq!(delivered(&rig.key(KeyCode::A, false)), []);
}

#[test]
fn the_right_password_goes_back_to_where_the_user_was() {
    let mut rig = ann();
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(NOTES));
    rig.switch(KeyCode(3));
    rig.step(Event::Lock(LockCause::Suspend));
    rig.confirm();

    let effects = answer(&mut rig, true);

    assert_eq!(effects[0], Effect::Audit(Record::Login(UserId(0))));
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
}

#[test]
fn the_typed_password_is_handed_over_once_with_shift_and_backspace() {
    let mut rig = locked();
    rig.key(KeyCode::LEFT_SHIFT, true);
    rig.tap(KeyCode::A);
    rig.key(KeyCode::LEFT_SHIFT, false);
    rig.tap(KeyCode::B);
    rig.tap(KeyCode::C);
    rig.tap(KeyCode::BACKSPACE);
    assert!(asked(&rig.tap(KeyCode::ENTER)).is_some());
    assert_eq!(rig.monitor.take_secret().as_bytes(), b"Ab");
    assert_eq!(rig.monitor.take_secret().as_bytes(), b"");
    assert!(!format!("{:?}", rig.monitor).contains("Ab"));
}

#[test]
fn a_password_has_a_longest_length() {
    let mut rig = locked();
    for _ in 0..300 {
        rig.tap(KeyCode::A);
    }
    assert_eq!(usize::from(form(&rig).typed), MAX_PASSWORD_CHARS);
}

#[test]
fn every_failure_doubles_the_wait_and_nothing_is_taken_meanwhile() {
    let mut rig = locked();
    let mut waits = Vec::new();
    for _ in 0..11 {
        let effects = answer(&mut rig, false);
        let (ticket, seconds) = wait(&effects).unwrap();
        waits.push(seconds);
        rig.tap(KeyCode::A);
        assert_eq!((asked(&rig.tap(KeyCode::ENTER)), form(&rig).typed), (None, 0));
        // Not by the secure-attention key either, nor by the end of an earlier wait.
        rig.sak();
        rig.step(Event::Elapsed(Timer::LoginDelay(ticket.wrapping_sub(1))));
        assert!(!form(&rig).open);
        rig.step(Event::Elapsed(Timer::LoginDelay(ticket)));
        assert!(form(&rig).open);
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
}

/// The wait that these effects begin: its number and its seconds.
fn wait(effects: &[Effect]) -> Option<(u32, u32)> {
    effects.iter().find_map(|effect| match effect {
        Effect::Timer { timer: Timer::LoginDelay(ticket), after_ms } => {
            Some((*ticket, after_ms / 1000))
        }
        _ => None,
    })
}

#[test]
fn wrong_passwords_are_counted_for_each_user_and_cleared_by_that_user_only() {
    let mut rig = locked();
    let wrong = |rig: &mut Rig| {
        let (ticket, seconds) = wait(&answer(rig, false)).unwrap();
        rig.step(Event::Elapsed(Timer::LoginDelay(ticket)));
        seconds
    };
    assert_eq!([wrong(&mut rig), wrong(&mut rig), wrong(&mut rig)], [1, 2, 4]);
    rig.tap(KeyCode::DOWN);
    rig.confirm();
    assert_eq!(wrong(&mut rig), 1);
    // Bob's right password says nothing of Ann's.
    answer(&mut rig, true);
    rig.step(Event::Lock(LockCause::Suspend));
    rig.confirm();
    assert_eq!(wrong(&mut rig), 1);
    rig.tap(KeyCode::UP);
    rig.confirm();
    assert_eq!(wrong(&mut rig), 8);
    answer(&mut rig, true);
    rig.step(Event::Lock(LockCause::Suspend));
    rig.confirm();
    assert_eq!(wrong(&mut rig), 1);
}

#[test]
fn what_an_earlier_session_counted_counts_and_its_wait_is_waited_for() {
    let mut config = users(config());
    config.login.users[0].failures = 5;
    config.login.wait_seconds = 9;
    let mut rig = Rig { monitor: Monitor::new(config).unwrap() };
    rig.add_output(ONE);
    rig.confirm();
    assert!(!form(&rig).open && form(&rig).message.contains('9'), "{:?}", form(&rig));
    rig.tap(KeyCode::A);
    assert_eq!((asked(&rig.tap(KeyCode::ENTER)), form(&rig).typed), (None, 0));

    rig.step(Event::Elapsed(Timer::LoginDelay(0)));

    assert!(form(&rig).open);
    assert_eq!(wait(&answer(&mut rig, false)).unwrap().1, 32);
}

#[test]
fn a_late_answer_unlocks_nothing() {
    let mut rig = locked();
    answer(&mut rig, false);
    for ticket in 0..4 {
        rig.step(Event::PasswordChecked { ticket, right: true });
        assert!(rig.monitor.is_locked());
    }
}

#[test]
fn invariant_8_a_lock_cancels_the_password_that_is_being_checked() {
    for event in [Event::Lock(LockCause::Suspend), Event::OutputRemoved(ONE)] {
        let mut rig = locked();
        rig.tap(KeyCode::A);
        let (_, ticket) = asked(&rig.tap(KeyCode::ENTER)).unwrap();
        rig.monitor.take_secret();
        rig.step(event);
        rig.add_output(ONE);
        rig.confirm();
        // Not before the answer is there: one check at a time.
        rig.tap(KeyCode::A);
        assert_eq!(form(&rig).typed, 0);

        let effects = rig.step(Event::PasswordChecked { ticket, right: true });

        assert!(rig.monitor.is_locked() && !shows_a_guest(&rig), "{event:?}");
        assert!(!effects.contains(&Effect::Audit(Record::Login(UserId(0)))));
        rig.confirm();
        answer(&mut rig, true);
        assert!(!rig.monitor.is_locked());
    }
}

#[test]
fn a_wrong_password_counts_also_if_a_lock_cancelled_its_check() {
    let mut rig = locked();
    rig.tap(KeyCode::A);
    let (_, ticket) = asked(&rig.tap(KeyCode::ENTER)).unwrap();
    rig.monitor.take_secret();
    rig.step(Event::Lock(LockCause::Suspend));
    rig.step(Event::PasswordChecked { ticket, right: false });
    assert!(!form(&rig).open);
}

#[test]
fn a_lock_forgets_what_was_typed_at_the_lock() {
    let mut rig = locked();
    rig.tap(KeyCode::A);
    rig.step(Event::Lock(LockCause::Idle));
    assert_eq!((form(&rig).typed, form(&rig).open), (0, true));
}

#[test]
fn the_phrase_is_on_the_lock_screen_and_nowhere_else() {
    let mut rig = locked();
    assert_eq!(form(&rig).phrase, "ann likes rain");
    answer(&mut rig, true);
    assert!(!format!("{:?}", rig.view()).contains("rain"));
    rig.sak();
    assert!(!format!("{:?}", rig.view()).contains("rain"));
}

#[test]
fn invariant_9_a_guest_above_the_clearance_is_not_shown_and_not_reached() {
    let mut rig = bob();
    // Notes had the keyboard at the start, and Bob is not cleared for it.
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
    let rows = |rig: &Rig| match &rig.view().outputs[0].content {
        Content::Trusted(screen) => match &screen.body {
            TrustedBody::Guests(rows) => rows.iter().map(|row| row.guest).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(rows(&rig), [SKETCH]);
    for code in [KeyCode::HOME, KeyCode::UP, KeyCode::DIGIT_2, KeyCode(4), KeyCode::END] {
        let effects = rig.tap(code);
        rig.confirm();
        assert_eq!((commands(&effects), rig.monitor.recipient()), (vec![], Recipient::Trusted));
    }
    // Nor does a number tell that there are others.
    rig.tap(KeyCode::DIGIT_1);
    rig.confirm();
    assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    let windows: Vec<GuestId> =
        rig.view().outputs[0].windows().iter().map(|window| window.guest).collect();
    assert_eq!(windows, [SKETCH]);
    for (x, y) in [(10, 100), (640, 400), (1270, 790)] {
        rig.point(x, y);
        rig.button(true);
        rig.button(false);
        assert_eq!(rig.monitor.recipient(), Recipient::Guest(SKETCH));
    }
}

#[test]
fn invariant_9_what_a_guest_above_the_clearance_offers_and_asks_is_not_to_be_had() {
    let clip = crate::Clip { digest: crate::Digest([3; 32]), bytes: 9, pages: 1 };
    let mut rig = locked();
    for guest in [NOTES, SKETCH] {
        rig.step(Event::Listens { guest, listens: true });
        rig.step(Event::Offered { guest, clip: Some(clip) });
    }
    let question = crate::Question { number: 1, pages: 1 };
    rig.step(Event::Asked { guest: NOTES, question });
    // Ann takes a text of notes, and locks.
    answer(&mut rig, true);
    rig.sak();
    rig.confirm();
    let took = rig.tap(KeyCode::C);
    assert!(took.contains(&Effect::Take { guest: NOTES, clip }));
    rig.confirm();
    rig.tap(KeyCode::L);
    rig.confirm();
    rig.tap(KeyCode::DOWN);
    rig.confirm();
    answer(&mut rig, true);

    // Nothing on any screen of Bob's says that there is such a guest, text or question.
    let all = format!("{:?}", rig.view());
    for word in ["notes", "question", "its text is", "give it"] {
        assert!(!all.contains(word), "{word}: {all}");
    }
    // No key gets at them: every key of the trusted screen, after every way to select.
    for select in [KeyCode::HOME, KeyCode::END, KeyCode::UP, KeyCode::DOWN, KeyCode::DIGIT_1] {
        for code in (1..=127).map(KeyCode).filter(|code| *code != KeyCode::L) {
            rig.sak();
            rig.confirm();
            rig.tap(select);
            rig.confirm();
            let mut effects = rig.tap(code);
            rig.confirm();
            effects.extend(rig.tap(code));
            rig.confirm();
            let reached = |effect: &Effect| match *effect {
                Effect::Deliver { guest, .. }
                | Effect::Command { guest, .. }
                | Effect::Take { guest, .. }
                | Effect::Answer { guest, .. } => guest != SKETCH,
                Effect::Give(passage) => (passage.from, passage.to) != (SKETCH, SKETCH),
                _ => false,
            };
            assert!(!effects.iter().any(reached), "{select:?} {code:?} {effects:?}");
            assert_ne!(rig.monitor.recipient(), Recipient::Guest(NOTES));
            assert!(!format!("{:?}", rig.view()).contains("notes"), "{select:?} {code:?}");
        }
    }
}

#[test]
fn the_bar_says_that_records_wait_also_on_the_lock_screen() {
    let says = |rig: &Rig| rig.view().outputs[0].bar.notice.contains("audit log");
    for mut rig in [Rig::new(), locked()] {
        rig.step(Event::RecordsWait(true));
        assert!(says(&rig));
        let effects = rig.step(Event::RecordsWait(false));
        assert_eq!((says(&rig), effects), (false, vec![Effect::Redraw]));
    }
}

#[test]
fn authority_is_that_of_the_user_and_nobodys_while_locked() {
    let mut rig = ann();
    assert!(rig.monitor.authority().unwrap().downgrade);
    rig.step(Event::Lock(LockCause::Idle));
    assert_eq!(rig.monitor.authority(), None);
    assert!(!bob().monitor.authority().unwrap().downgrade);
}

#[test]
fn sak_then_l_locks() {
    let mut rig = ann();
    rig.sak();
    rig.confirm();
    let effects = rig.tap(KeyCode::L);
    assert_eq!(effects[0], Effect::Audit(Record::Locked(LockCause::User)));
    assert!(rig.monitor.is_locked());
}

#[test]
fn without_input_the_screen_locks_and_with_input_it_does_not() {
    let mut rig = ann();
    for minute in 0..10 {
        rig.step(Event::Clock { minute_of_day: minute });
        rig.tap(KeyCode::A);
    }
    assert!(!rig.monitor.is_locked());
    for minute in 10..13 {
        assert!(!rig.monitor.is_locked());
        rig.step(Event::Clock { minute_of_day: minute });
    }
    assert!(rig.monitor.is_locked());
}

/// Two keyboards and a mouse: the first was accepted, the second nobody was asked about.
fn devices(rig: &mut Rig) -> [SourceId; 3] {
    let sources = [16, 17, 18].map(SourceId);
    let classes = [DeviceClass::Keyboard, DeviceClass::Keyboard, DeviceClass::Pointer];
    for (source, class) in sources.into_iter().zip(classes) {
        let port = DeviceName::new(&format!("port {}", source.0));
        let device = Device { port, ..device(class) };
        rig.step(Event::DeviceAppeared { source, device });
    }
    rig.confirm();
    sources
}

#[test]
fn an_unaccepted_keyboard_keeps_no_lock_away_and_the_motion_of_a_pointer_does() {
    let mut rig = ann();
    let [_, foreign, mouse] = devices(&mut rig);
    let moves = [
        Event::PointerMoved { source: mouse, dx: 1, dy: 0 },
        Event::PointerAt { source: mouse, x: 9, y: 9 },
    ];
    for minute in 0..10 {
        rig.step(Event::Clock { minute_of_day: minute });
        rig.step(moves[usize::from(minute) % 2]);
    }
    assert!(!rig.monitor.is_locked());
    for minute in 10..13 {
        rig.step(Event::Key { source: foreign, code: KeyCode::A, pressed: minute % 2 == 0 });
        rig.step(Event::Key { source: mouse, code: KeyCode::A, pressed: minute % 2 == 0 });
        rig.step(Event::PointerMoved { source: foreign, dx: 1, dy: 0 });
        rig.step(Event::PointerMoved { source: SourceId(99), dx: 1, dy: 0 });
        rig.step(Event::Clock { minute_of_day: minute });
    }
    assert!(rig.monitor.is_locked());
}

#[test]
fn an_unaccepted_keyboard_neither_shifts_nor_forgets_a_password_nor_fills_the_log() {
    let mut rig = ann();
    let [own, foreign, _] = devices(&mut rig);
    rig.step(Event::Lock(LockCause::Suspend));
    rig.confirm();
    let down = |source, code| Event::Key { source, code, pressed: true };
    rig.step(down(foreign, KeyCode::LEFT_SHIFT));
    rig.step(down(own, KeyCode::A));
    rig.step(down(foreign, KeyCode::LEFT_CTRL));
    rig.step(down(foreign, KeyCode::LEFT_ALT));
    for _ in 0..100 {
        assert_eq!(rig.step(down(foreign, KeyCode::ESC)), []);
    }
    assert_eq!(form(&rig).typed, 1);
    assert!(asked(&rig.step(down(own, KeyCode::ENTER))).is_some());
    assert_eq!(rig.monitor.take_secret().as_bytes(), b"a");
}

#[test]
fn when_the_last_screen_is_taken_away_the_next_one_shows_the_lock() {
    let mut rig = ann();
    rig.add_output(TWO);
    rig.step(Event::OutputRemoved(ONE));
    assert!(!rig.monitor.is_locked());
    let effects = rig.step(Event::OutputRemoved(TWO));
    assert_eq!(effects[0], Effect::Audit(Record::Locked(LockCause::SeatLost)));
    rig.add_output(ONE);
    assert!(rig.monitor.is_locked() && !shows_a_guest(&rig));
}

#[test]
fn whoever_plugs_in_a_keyboard_after_the_last_one_was_taken_needs_the_password() {
    let device = device(DeviceClass::Keyboard);
    let mut rig = ann();
    let [first, second, third] = [16, 17, 18].map(SourceId);
    rig.step(Event::DeviceAppeared { source: first, device });
    rig.step(Event::DeviceAppeared { source: second, device });
    rig.step(Event::DeviceGone(second));
    assert!(!rig.monitor.is_locked(), "one that was never accepted is no loss");
    rig.step(Event::Key { source: first, code: KeyCode::A, pressed: true });

    let effects = rig.step(Event::DeviceGone(first));

    assert_eq!(effects[0], Effect::Audit(Record::Locked(LockCause::SeatLost)));
    assert_eq!(delivered(&effects), [(NOTES, key(KeyCode::A, false))]);
    rig.step(Event::DeviceAppeared { source: third, device });
    rig.confirm();
    rig.step(Event::Key { source: third, code: KeyCode::A, pressed: true });
    assert!(rig.monitor.is_locked() && !shows_a_guest(&rig));
    assert_eq!(form(&rig).typed, 1);
}

#[test]
fn a_seat_with_users_asks_for_the_chord_and_heeds_no_keyboard_before_it() {
    let device = device(DeviceClass::Keyboard);
    let source = SourceId(16);
    let monitor = Monitor::new(users(config())).unwrap().awaiting_chord();
    let mut rig = Rig { monitor };
    rig.add_output(ONE);
    rig.step(Event::DeviceAppeared { source, device });
    rig.confirm();
    let press = |rig: &mut Rig, code| {
        rig.step(Event::Key { source, code, pressed: true });
        rig.confirm();
    };
    assert!(rig.view().outputs[0].bar.notice.contains("Press Ctrl+Alt+Esc"));
    press(&mut rig, KeyCode::A);
    assert_eq!(form(&rig).typed, 0);
    rig.step(Event::Key { source, code: KeyCode::A, pressed: false });
    for code in [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC] {
        press(&mut rig, code);
    }
    assert!(!rig.view().outputs[0].bar.notice.contains("Ctrl+Alt+Esc"));
    press(&mut rig, KeyCode::A);
    assert_eq!(form(&rig).typed, 1);
}

#[test]
fn without_users_there_is_no_lock() {
    let mut rig = Rig::new();
    rig.step(Event::Lock(LockCause::Suspend));
    rig.sak();
    rig.confirm();
    rig.tap(KeyCode::L);
    assert!(!rig.monitor.is_locked());
}

/// Anything that can happen but a right password.
fn anything() -> impl Strategy<Value = Event> {
    let report = prop_oneof![
        Just(GuestReport::Running),
        Just(GuestReport::Paused),
        Just(GuestReport::Stopped(crate::Ending::TripleFault)),
    ];
    let output = (0u8..3).prop_map(OutputId);
    prop_oneof![
        6 => (1u16..128, any::<bool>()).prop_map(|(code, pressed)| Event::Key {
            source: KEYBOARD,
            code: KeyCode(code),
            pressed
        }),
        1 => (output.clone(), 0u32..1400, 0u32..900).prop_map(|(output, x, y)| Event::Pointer {
            source: MOUSE,
            output,
            x,
            y
        }),
        1 => any::<bool>().prop_map(|pressed| Event::Button { source: MOUSE, code: 0x110, pressed }),
        1 => output.clone().prop_map(|output| Event::OutputAdded {
            output,
            size: HD,
            scale: tabard_view::Scale::ONE
        }),
        1 => output.prop_map(Event::OutputRemoved),
        1 => (0u8..3, report).prop_map(|(guest, report)| Event::Guest { guest: GuestId(guest), report }),
        1 => (0u32..5).prop_map(|ticket| Event::PasswordChecked { ticket, right: false }),
        1 => (0u32..5).prop_map(|ticket| Event::Elapsed(Timer::LoginDelay(ticket))),
        1 => (0u16..1440).prop_map(|minute_of_day| Event::Clock { minute_of_day }),
        1 => Just(Event::Lock(LockCause::Idle)),
    ]
}

proptest! {
    #[test]
    fn invariant_8_locked_means_no_guest_is_mapped_over_random_histories(
        events in prop::collection::vec((anything(), any::<bool>()), 0..120),
        logged_in_before in any::<bool>(),
    ) {
        let mut rig = if logged_in_before { ann() } else { locked() };
        rig.step(Event::Lock(LockCause::User));
        for (event, confirm) in events {
            let effects = rig.step(event);
            prop_assert!(rig.monitor.is_locked());
            prop_assert!(!shows_a_guest(&rig), "{event:?}");
            prop_assert!(delivered(&effects).is_empty(), "{event:?}");
            prop_assert!(!effects.contains(&Effect::Quit));
            prop_assert_eq!(rig.monitor.authority(), None);
            if confirm {
                rig.confirm();
            }
        }
    }
}

fn device(class: DeviceClass) -> Device {
    let name = DeviceName::new("a device");
    Device { kind: class.into(), name, port: name, ids: [3, 1, 2] }
}

#[test]
fn the_lock_screen_says_which_layout_it_reads() {
    let rig = locked();
    let view = rig.view();
    let Content::Trusted(screen) = &view.outputs[0].content else { panic!("not locked") };
    assert!(screen.hints.iter().any(|hint| hint.key == "Keyboard" && hint.text.contains("US")));
}
