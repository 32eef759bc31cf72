//! What is typed reaches the guest that the glass names, whole, and no other.

mod common;

use common::{DESK, SIZE, Stage, key, vmm};
use tabard::oracle::Oracle;
use tabard::session::Engine;
use tabard_view::{GuestId, Recipient, Scale};

#[test]
fn text_reaches_the_focused_probe_and_no_other() {
    let stage = Stage::ready(DESK);
    for code in [key::A, key::B, key::S] {
        stage.tap(code);
    }
    stage.settle(0);

    let typed: Vec<(u64, u64)> = stage.keys(0);
    let expected: Vec<(u64, u64)> = [key::A, key::B, key::S, key::CAPS_LOCK]
        .into_iter()
        .flat_map(|code| [(u64::from(code), 1), (u64::from(code), 0)])
        .collect();
    assert_eq!(typed, expected);
    assert_eq!(stage.keys(1), []);
}

#[test]
fn a_switch_takes_the_keyboard_along() {
    let stage = Stage::ready(DESK);
    stage.settle(0);
    let before = stage.keys(0);

    stage.switch(1);
    stage.tap(key::A);
    stage.settle(1);

    assert!(stage.keys(1).starts_with(&[(u64::from(key::A), 1), (u64::from(key::A), 0)]));
    assert_eq!(stage.bar_name().as_deref(), Some("bravo"));
    // The chord's modifiers went to the first guest and came up there; nothing else did.
    let after = stage.keys(0);
    let chord: Vec<_> = after.iter().skip(before.len()).collect();
    assert!(
        chord.iter().all(|(code, _)| {
            [key::LEFT_CTRL, key::LEFT_ALT].contains(&u16::try_from(*code).unwrap())
        }),
        "{chord:?}"
    );
}

#[test]
fn on_kvm_a_guest_on_each_engine_side_by_side() {
    let text = DESK.replacen("memory", "engine = \"kvm\"\nmemory", 1);
    let at = text.rfind("memory").unwrap();
    let desk = format!("{}engine = \"qemu\"\n{}", &text[..at], &text[at..]);
    let oracle = Oracle::default();
    let stage = Stage::watched(&desk, &[(SIZE, Scale::ONE)], vmm(), Some(&oracle));
    for guest in 0..2 {
        stage.until("it is ready", |stage| stage.serial(guest).contains("{\"ready\""));
    }
    assert_eq!(stage.status().engines, [Some(Engine::Kvm), Some(Engine::Qemu)]);
    stage.until_open(Recipient::Guest(GuestId(0)));

    // Twice each way; what was typed at the one is not at the other.
    for round in 1..=2 {
        for (guest, code) in [(0, key::A), (1, key::B)] {
            oracle.asked();
            stage.switch(guest);
            stage.tap(code);
            stage.settle(guest.into());
        }
        for (guest, own, other) in [(0, key::A, key::B), (1, key::B, key::A)] {
            let keys = stage.keys(guest);
            let count = |code: u16| keys.iter().filter(|key| key.0 == u64::from(code)).count();
            assert_eq!((count(own), count(other)), (2 * round, 0));
        }
    }
    let findings = oracle.findings();
    assert_eq!(findings.violations, 0, "{:?}", findings.words);
}

#[test]
fn invariant_4_keys_held_across_a_switch_stay_behind() {
    let stage = Stage::ready(DESK);
    let (shift, a) = (u64::from(key::LEFT_SHIFT), u64::from(key::A));
    // Both directions: from the first guest to the second, and back.
    for (old, new) in [(0_u8, 1_u8), (1, 0)] {
        let before = stage.keys(usize::from(new)).len();
        stage.key(key::LEFT_SHIFT, true);
        stage.key(key::A, true);
        stage.until("the held keys arrive", |stage| {
            stage.keys(usize::from(old)).ends_with(&[(shift, 1), (a, 1)])
        });

        stage.switch(new);
        stage.key(key::A, false);
        stage.key(key::LEFT_SHIFT, false);
        stage.settle(usize::from(new));

        // The chord's modifiers were pressed in the old guest too.
        for code in [shift, a, u64::from(key::LEFT_CTRL), u64::from(key::LEFT_ALT)] {
            stage.until("the held keys come up in the old guest", |stage| {
                let keys = stage.keys(usize::from(old));
                keys.iter().rfind(|(known, _)| *known == code) == Some(&(code, 0))
            });
        }
        let arrived = stage.keys(usize::from(new));
        assert_eq!(arrived.len(), before + 2, "more than the marker arrived: {arrived:?}");
    }
}

#[test]
fn invariant_4_a_lock_key_in_one_guest_is_not_in_the_other() {
    let stage = Stage::ready(DESK);
    let caps = u64::from(key::CAPS_LOCK);
    // Once is on, and it stays on in the first guest.
    stage.settle(0);

    stage.switch(1);
    stage.tap(key::A);
    stage.until("the letter arrives", |stage| {
        stage.keys(1).ends_with(&[(u64::from(key::A), 1), (u64::from(key::A), 0)])
    });

    let keys = stage.keys(1);
    assert!(keys.iter().all(|(code, _)| *code != caps), "the lock key came along: {keys:?}");
    // A host's light would tell a guest of another's lock key: none is lit, so none is reported.
    assert_eq!(stage.events(1, "keyboard", 17), []);
}

#[test]
fn invariant_2_a_chord_begun_before_a_switch_is_whole_after_it() {
    let stage = Stage::ready(DESK);
    let modifiers = [key::LEFT_CTRL, key::LEFT_ALT];
    modifiers.iter().for_each(|code| stage.key(*code, true));
    stage.tap(key::ESC);
    stage.until_open(Recipient::Trusted);
    // The modifiers are still down while the user switches.
    stage.tap(key::KEY_2);
    stage.until_open(Recipient::Guest(GuestId(1)));

    stage.tap(key::ESC);

    stage.until_open(Recipient::Trusted);
    modifiers.iter().for_each(|code| stage.key(*code, false));
    stage.tap(key::KEY_2);
    stage.until_open(Recipient::Guest(GuestId(1)));
    stage.settle(1);
    let caps = u64::from(key::CAPS_LOCK);
    assert_eq!(stage.keys(1), [(caps, 1), (caps, 0)], "a part of the chord was delivered");
}

#[test]
fn invariant_2_a_thousand_chords_at_once_end_on_the_trusted_screen_and_reach_nobody() {
    let stage = Stage::ready(DESK);
    for round in 0..1000 {
        stage.sak();
        // Every third is answered by going to a guest, before the glass shows anything.
        if round % 3 == 0 {
            stage.tap(key::KEY_1 + round % 2);
        }
    }
    stage.sak();
    stage.until_open(Recipient::Trusted);

    for guest in [0, 1] {
        stage.switch(guest);
        stage.settle(usize::from(guest));
        let keys = stage.keys(usize::from(guest));
        let strange = [key::ESC, key::KEY_1, key::KEY_2].map(u64::from);
        assert!(keys.iter().all(|(code, _)| !strange.contains(code)), "{keys:?}");
        // Whatever modifier went down there came up again.
        for code in [key::LEFT_CTRL, key::LEFT_ALT].map(u64::from) {
            let values: Vec<_> = keys.iter().filter(|(known, _)| *known == code).collect();
            assert!(values.last().is_none_or(|(_, value)| *value == 0), "{keys:?}");
        }
    }
}

#[test]
fn invariant_5_the_pointer_goes_with_the_keyboard() {
    let stage = Stage::ready(DESK);
    let view = stage.view();
    let windows = view.output(common::SCREEN).unwrap().windows().to_vec();
    let middle = |index: usize| {
        let content = windows[index].frame.content;
        (content.x + content.width / 2, content.y + content.height / 2)
    };
    let click = |(x, y): (u32, u32)| {
        stage.input(tabard_display::RawInput::Pointer { output: common::SCREEN, x, y });
        for pressed in [true, false] {
            let code = key::BTN_LEFT;
            stage.input(tabard_display::RawInput::Button { code, pressed });
        }
    };
    click(middle(0));
    stage.until("the click arrives", |stage| stage.events(0, "pointer", 1).len() == 2);

    click(middle(1));
    stage.until_open(Recipient::Guest(GuestId(1)));
    stage.tap(key::B);
    stage.settle(1);

    assert_eq!(stage.events(1, "pointer", 1), [], "the click that focused was delivered");
    assert_eq!(stage.events(0, "pointer", 1).len(), 2);
    assert_eq!(stage.keys(0), []);
    click(middle(1));
    stage.until("the next click arrives", |stage| stage.events(1, "pointer", 1).len() == 2);
    assert_eq!(stage.events(0, "pointer", 1).len(), 2);
}
