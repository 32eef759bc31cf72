//! Texts from guest to guest, and questions of guests, as examples: one behaviour each.

use crate::rig::*;
use crate::sheet::challenge;
use crate::*;
use tabard_input::KeyCode;
use tabard_view::*;

const NOTE: Clip = Clip { digest: Digest([3; 32]), bytes: 12, pages: 1 };
const LONG: Clip = Clip { digest: Digest([4; 32]), bytes: 60_000, pages: 3 };

/// A desk whose guests all have agents; the person may downgrade or not. Notes (7) is above spare
/// (5), and spare above sketch (3).
fn desk(downgrade: bool) -> Rig {
    let mut config = config();
    config.policy.downgrade = downgrade;
    agents(config)
}

fn agents(config: MonitorConfig) -> Rig {
    let mut rig = Rig { monitor: Monitor::new(config).unwrap() };
    rig.add_output(ONE);
    for guest in [NOTES, SKETCH, SPARE] {
        rig.report(guest, GuestReport::Running);
        rig.step(Event::Listens { guest, listens: true });
    }
    rig.confirm();
    rig
}

fn offer(rig: &mut Rig, guest: GuestId, clip: Clip) {
    rig.step(Event::Offered { guest, clip: Some(clip) });
}

/// Presses a key, with everything confirmed before.
fn press(rig: &mut Rig, code: KeyCode) -> Vec<Effect> {
    rig.confirm();
    rig.tap(code)
}

/// Opens the trusted screen with this guest selected.
fn open_on(rig: &mut Rig, guest: GuestId) {
    rig.sak();
    select(rig, guest);
}

fn select(rig: &mut Rig, guest: GuestId) {
    press(rig, KeyCode::HOME);
    for _ in 0..guest.0 {
        press(rig, KeyCode::DOWN);
    }
}

/// Takes the text of the one and asks to give it to the other.
fn take_and_give(rig: &mut Rig, from: GuestId, to: GuestId) -> Vec<Effect> {
    open_on(rig, from);
    let mut effects = press(rig, KeyCode::C);
    select(rig, to);
    effects.extend(press(rig, KeyCode::V));
    effects
}

fn given(effects: &[Effect]) -> Vec<(GuestId, GuestId, Clip)> {
    let one = |effect: &Effect| match *effect {
        Effect::Give(Passage { from, to, clip }) => Some((from, to, clip)),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

fn bar(rig: &Rig) -> String {
    let bar = &rig.view().outputs[0].bar;
    match &bar.kind {
        BarKind::Trusted { message } => message.clone(),
        _ => bar.notice.clone(),
    }
}

fn page(rig: &Rig) -> Option<TextPage> {
    match &rig.view().outputs[0].content {
        Content::Trusted(TrustedScreen { body: TrustedBody::Text(page), .. }) => Some(page.clone()),
        _ => None,
    }
}

fn type_challenge(rig: &mut Rig, clip: &Clip) -> Vec<Effect> {
    challenge(clip).into_iter().flat_map(|code| press(rig, code)).collect()
}

#[test]
fn a_text_goes_up_at_two_keys_and_the_bar_says_so() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    let effects = take_and_give(&mut rig, SKETCH, NOTES);
    assert_eq!(given(&effects), [(SKETCH, NOTES, NOTE)]);
    rig.confirm();
    press(&mut rig, KeyCode::ESC);
    assert!(bar(&rig).starts_with("12 bytes of sketch given to notes"), "{}", bar(&rig));
}

#[test]
fn the_desk_says_how_long_a_text_can_be_given() {
    let mut config = config();
    config.policy.clipboard_seconds = 7;
    let mut rig = agents(config);
    offer(&mut rig, SKETCH, NOTE);
    open_on(&mut rig, SKETCH);
    let effects = press(&mut rig, KeyCode::C);
    assert!(bar(&rig).contains("taken for 7 s"), "{}", bar(&rig));
    let timer = effects.iter().find_map(|effect| match effect {
        Effect::Timer { timer, after_ms: 7_000 } => Some(*timer),
        _ => None,
    });
    rig.step(Event::Elapsed(timer.unwrap()));
    select(&mut rig, NOTES);
    assert_eq!(given(&press(&mut rig, KeyCode::V)), []);
}

#[test]
fn invariant_10_the_log_tells_a_reviewed_text_from_one_that_goes_up() {
    let records = |effects: &[Effect]| {
        let one = |effect: &Effect| match effect {
            Effect::Audit(Record::Passage(passage, verdict)) => {
                Some((passage.from, passage.to, passage.clip, *verdict))
            }
            _ => None,
        };
        effects.iter().filter_map(one).collect::<Vec<_>>()
    };
    let mut rig = desk(true);
    offer(&mut rig, SKETCH, NOTE);
    let up = take_and_give(&mut rig, SKETCH, NOTES);
    assert_eq!(records(&up), [(SKETCH, NOTES, NOTE, Verdict::Given)]);
    offer(&mut rig, NOTES, NOTE);
    let opened = take_and_give(&mut rig, NOTES, SKETCH);
    assert_eq!(records(&opened), [(NOTES, SKETCH, NOTE, Verdict::Reviewed)]);
    let down = type_challenge(&mut rig, &NOTE);
    assert_eq!(records(&down), [(NOTES, SKETCH, NOTE, Verdict::Released)]);
}

#[test]
fn a_text_is_given_once() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    take_and_give(&mut rig, SKETCH, NOTES);
    assert_eq!(given(&press(&mut rig, KeyCode::V)), []);
    assert_eq!(bar(&rig), "no text was taken; select a guest, C takes its text");
}

#[test]
fn invariant_9_a_text_does_not_go_down_without_the_privilege() {
    let mut rig = desk(false);
    offer(&mut rig, NOTES, NOTE);
    let effects = take_and_give(&mut rig, NOTES, SKETCH);
    assert_eq!(given(&effects), []);
    let passage = Passage { from: NOTES, to: SKETCH, clip: NOTE };
    assert!(effects.contains(&Effect::Audit(Record::Passage(passage, Verdict::Refused))));
    assert!(bar(&rig).contains("more secret"), "{}", bar(&rig));
    assert_eq!(page(&rig), None);
}

#[test]
fn invariant_9_a_text_goes_down_only_by_its_challenge() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, NOTE);
    assert_eq!(given(&take_and_give(&mut rig, NOTES, SKETCH)), []);
    let shown = page(&rig).unwrap();
    assert_eq!((shown.from.0.as_str(), shown.to.unwrap().0.as_str()), ("notes", "sketch"));
    assert_eq!(rig.monitor.shown_text(), Some(ShownText::Clip(NOTE.digest)));
    for code in [KeyCode::ENTER, KeyCode::Y, KeyCode::V] {
        assert_eq!(given(&press(&mut rig, code)), []);
    }
    assert_eq!(given(&type_challenge(&mut rig, &NOTE)), [(NOTES, SKETCH, NOTE)]);
    assert_eq!(page(&rig), None);
}

#[test]
fn invariant_9_every_page_is_on_the_glass_before_a_release() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, LONG);
    take_and_give(&mut rig, NOTES, SKETCH);
    assert_eq!(given(&type_challenge(&mut rig, &LONG)), []);
    // The second page is never confirmed, so no key leads past it.
    press(&mut rig, KeyCode::PAGE_DOWN);
    for _ in 0..5 {
        rig.tap(KeyCode::PAGE_DOWN);
    }
    assert_eq!(page(&rig).unwrap().page, 1);
    press(&mut rig, KeyCode::PAGE_DOWN);
    assert_eq!(page(&rig).unwrap().page, 2);
    assert_eq!(given(&type_challenge(&mut rig, &LONG)), [(NOTES, SKETCH, LONG)]);
}

#[test]
fn invariant_9_what_was_taken_stays_what_it_was() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, NOTE);
    take_and_give(&mut rig, NOTES, SKETCH);
    offer(&mut rig, NOTES, LONG);
    assert_eq!(rig.monitor.shown_text(), Some(ShownText::Clip(NOTE.digest)));
    assert_eq!(given(&type_challenge(&mut rig, &NOTE)), [(NOTES, SKETCH, NOTE)]);
}

#[test]
fn a_review_that_is_left_releases_nothing_later() {
    for leave in [KeyCode::ESC, KeyCode::PAUSE] {
        let mut rig = desk(true);
        offer(&mut rig, NOTES, NOTE);
        take_and_give(&mut rig, NOTES, SKETCH);
        let effects = if leave == KeyCode::ESC { press(&mut rig, leave) } else { rig.sak() };
        assert!(effects.contains(&Effect::Forget));
        select(&mut rig, SKETCH);
        assert_eq!(given(&press(&mut rig, KeyCode::V)), []);
    }
}

#[test]
fn a_text_is_forgotten_after_a_minute() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    open_on(&mut rig, SKETCH);
    let effects = press(&mut rig, KeyCode::C);
    let timer = effects.iter().find_map(|effect| match *effect {
        Effect::Timer { timer, after_ms: 60_000 } => Some(timer),
        _ => None,
    });
    assert_eq!(rig.step(Event::Elapsed(timer.unwrap()))[0], Effect::Forget);
    assert_eq!(given(&press(&mut rig, KeyCode::V)), []);
}

#[test]
fn an_old_timer_does_not_forget_a_new_text() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    open_on(&mut rig, SKETCH);
    press(&mut rig, KeyCode::C);
    press(&mut rig, KeyCode::C);
    rig.step(Event::Elapsed(Timer::Held(1)));
    assert_eq!(given(&press(&mut rig, KeyCode::V)), [(SKETCH, SKETCH, NOTE)]);
}

#[test]
fn a_guest_without_an_agent_is_given_nothing() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    rig.step(Event::Listens { guest: NOTES, listens: false });
    assert_eq!(given(&take_and_give(&mut rig, SKETCH, NOTES)), []);
    assert_eq!(bar(&rig), "notes has no agent that could take a text");
}

#[test]
fn a_guest_that_ended_offers_nothing() {
    let mut rig = desk(false);
    offer(&mut rig, SKETCH, NOTE);
    rig.report(SKETCH, GuestReport::Stopped(Ending::PowerOff));
    open_on(&mut rig, SKETCH);
    assert_eq!(press(&mut rig, KeyCode::C), [Effect::Redraw]);
    assert_eq!(bar(&rig), "sketch offers no text; copy it there first");
}

#[test]
fn invariant_3_an_offer_or_a_question_changes_neither_focus_nor_screen() {
    let mut rig = desk(false);
    let before = rig.view();
    offer(&mut rig, SKETCH, NOTE);
    ask(&mut rig, SKETCH, 1);
    let after = rig.view();
    assert_eq!(after.recipient, before.recipient);
    assert_eq!(after.outputs[0].content, before.outputs[0].content);
    assert!(bar(&rig).starts_with("1 question waits"));
}

fn ask(rig: &mut Rig, guest: GuestId, number: u32) {
    rig.step(Event::Asked { guest, question: Question { number, pages: 1 } });
}

/// The timer of a question's dead time, once it is on the glass.
fn dead_time(rig: &mut Rig) -> Option<Timer> {
    let view = rig.view();
    rig.present(ONE, view.serial).iter().find_map(|effect| match *effect {
        Effect::Timer { timer, after_ms: 1_000 } => Some(timer),
        _ => None,
    })
}

#[test]
fn a_question_is_answered_after_it_was_seen_for_a_second() {
    let mut rig = desk(false);
    ask(&mut rig, SKETCH, 7);
    rig.sak();
    press(&mut rig, KeyCode::A);
    assert_eq!(rig.monitor.shown_text(), Some(ShownText::Question(SKETCH)));
    let timer = dead_time(&mut rig).unwrap();
    assert!(!rig.tap(KeyCode::Y).iter().any(|effect| matches!(effect, Effect::Answer { .. })));
    rig.step(Event::Elapsed(timer));
    let effects = press(&mut rig, KeyCode::N);
    assert_eq!(effects[0], Effect::Audit(Record::Answer(SKETCH, Some(false))));
    assert_eq!(effects[1], Effect::Answer { guest: SKETCH, number: 7, yes: Some(false) });
    assert_eq!(page(&rig), None);
    assert!(!bar(&rig).contains("waits"));
}

#[test]
fn the_dead_time_of_a_question_left_and_opened_again_begins_anew() {
    let mut rig = desk(false);
    ask(&mut rig, SKETCH, 7);
    rig.sak();
    press(&mut rig, KeyCode::A);
    let old = dead_time(&mut rig).unwrap();
    rig.tap(KeyCode::ESC);
    press(&mut rig, KeyCode::A);
    assert!(dead_time(&mut rig).is_some());
    rig.step(Event::Elapsed(old));
    let effects = rig.tap(KeyCode::Y);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })));
}

#[test]
fn a_flood_of_questions_is_one_badge_and_the_first_stays() {
    let mut rig = desk(false);
    for number in 1..1000 {
        ask(&mut rig, SKETCH, number);
    }
    assert!(bar(&rig).starts_with("1 question waits"));
    ask(&mut rig, NOTES, 1000);
    assert!(bar(&rig).starts_with("2 questions wait"));
    rig.sak();
    press(&mut rig, KeyCode::A);
    let timer = dead_time(&mut rig).unwrap();
    rig.step(Event::Elapsed(timer));
    let effects = press(&mut rig, KeyCode::Y);
    assert_eq!(effects[0], Effect::Audit(Record::Answer(SKETCH, Some(true))));
    assert_eq!(effects[1], Effect::Answer { guest: SKETCH, number: 1, yes: Some(true) });
}

#[test]
fn a_question_whose_guest_is_gone_closes() {
    let mut rig = desk(false);
    ask(&mut rig, SKETCH, 7);
    rig.sak();
    press(&mut rig, KeyCode::A);
    rig.report(SKETCH, GuestReport::Stopped(Ending::TripleFault));
    assert_eq!(page(&rig), None);
    assert_eq!(bar(&rig), "nobody waits for that answer any more");
}

/// Asks, and answers with the timer of the question and its milliseconds.
fn asked(rig: &mut Rig, guest: GuestId, number: u32) -> (Timer, u32) {
    let effects = rig.step(Event::Asked { guest, question: Question { number, pages: 1 } });
    let timer = |effect: &Effect| match *effect {
        Effect::Timer { timer, after_ms } => Some((timer, after_ms)),
        _ => None,
    };
    effects.iter().find_map(timer).unwrap()
}

#[test]
fn a_question_waits_for_ten_minutes_or_as_long_as_the_desk_says_and_has_no_answer_then() {
    for (seconds, expected_ms) in [(None, 600_000), (Some(7), 7_000)] {
        let mut config = config();
        config.policy.question_seconds = seconds.unwrap_or(config.policy.question_seconds);
        let mut rig = agents(config);
        let (timer, after_ms) = asked(&mut rig, SKETCH, 7);
        assert_eq!(after_ms, expected_ms);
        assert!(bar(&rig).starts_with("1 question waits"));

        let effects = rig.step(Event::Elapsed(timer));

        assert_eq!(effects[0], Effect::Audit(Record::Answer(SKETCH, None)));
        assert_eq!(effects[1], Effect::Answer { guest: SKETCH, number: 7, yes: None });
        assert!(!bar(&rig).contains("waits"));
    }
}

#[test]
fn a_question_that_is_open_when_its_time_is_over_closes_unanswered() {
    let mut rig = desk(false);
    let (timer, _) = asked(&mut rig, SKETCH, 7);
    rig.sak();
    press(&mut rig, KeyCode::A);
    let seen = dead_time(&mut rig).unwrap();
    rig.step(Event::Elapsed(seen));
    rig.step(Event::Elapsed(timer));
    assert_eq!(page(&rig), None);
    assert_eq!(bar(&rig), "nobody waits for that answer any more");
    let effects = press(&mut rig, KeyCode::Y);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Answer { .. })));
}

#[test]
fn the_time_of_one_question_ends_no_other() {
    let mut rig = desk(false);
    let (old, _) = asked(&mut rig, SKETCH, 7);
    rig.step(Event::Listens { guest: SKETCH, listens: false });
    rig.step(Event::Listens { guest: SKETCH, listens: true });
    asked(&mut rig, SKETCH, 8);
    asked(&mut rig, NOTES, 9);
    assert_eq!(rig.step(Event::Elapsed(old)), []);
    assert!(bar(&rig).starts_with("2 questions wait"));
}

#[test]
fn invariant_2_sak_leaves_an_open_text() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, LONG);
    take_and_give(&mut rig, NOTES, SKETCH);
    rig.sak();
    assert_eq!(page(&rig), None);
    assert_eq!(rig.monitor.recipient(), Recipient::Trusted);
}

#[test]
fn a_page_that_a_screen_cannot_show_whole_is_not_opened() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, NOTE);
    let size = Size { width: 640, height: 480 };
    rig.step(Event::OutputAdded { output: TWO, size, scale: Scale::ONE });
    take_and_give(&mut rig, NOTES, SKETCH);
    assert_eq!(page(&rig), None);
    assert_eq!(bar(&rig), "a screen is too small to show a whole page of text");
}

#[test]
fn a_screen_that_becomes_too_small_ends_a_review() {
    let mut rig = desk(true);
    offer(&mut rig, NOTES, NOTE);
    take_and_give(&mut rig, NOTES, SKETCH);
    let size = Size { width: 640, height: 480 };
    let effects = rig.step(Event::OutputResized { output: ONE, size, scale: Scale::ONE });
    assert!(effects.contains(&Effect::Forget));
    assert_eq!(page(&rig), None);
}
