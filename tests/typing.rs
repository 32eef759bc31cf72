//! What is typed reaches the guest that the glass names, whole, and no other.

mod common;

use common::{DESK, Stage, key};
use tabard_view::{GuestId, Recipient};

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
