//! A short search in every test run; `cargo prove` goes deeper.

use stateright::{Checker, Model};
use tabard_input::KeyCode;
use tabard_proof::{Action, Desk, Fault, Start, State};
use tabard_view::OutputId;

#[test]
fn invariants_1_to_5_hold_in_every_state_within_four_steps() {
    let desk = Desk { steps: Some(4), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    // A model that goes nowhere proves nothing.
    assert!(checker.unique_state_count() > 5_000, "{}", checker.unique_state_count());
}

#[test]
fn invariant_9_holds_in_every_state_within_five_steps_of_taking_and_giving() {
    let desk = Desk { start: Start::Exchange, steps: Some(5), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    assert!(checker.unique_state_count() > 5_000, "{}", checker.unique_state_count());
}

#[test]
fn invariant_8_holds_in_every_state_within_five_steps_of_login_and_lock() {
    let desk = Desk { start: Start::Locked, steps: Some(5), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    assert!(checker.unique_state_count() > 1_000, "{}", checker.unique_state_count());
}

#[test]
fn invariants_1_and_3_hold_in_every_state_within_five_steps_of_questions() {
    let desk = Desk { start: Start::Asked, steps: Some(5), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    assert!(checker.unique_state_count() > 1_000, "{}", checker.unique_state_count());
}

/// A fault of the very last step that is searched is found as well.
#[test]
fn the_states_of_the_last_step_are_looked_at() {
    let fault = Fault::GuestAnswersItself;
    let desk = Desk { fault: Some(fault), start: fault.start(), steps: Some(1) };
    let found = desk.checker().spawn_bfs().join();
    let path = found.discovery("3 only the user switches and answers").unwrap();
    assert_eq!(path.last_state().steps(), 1);
}

#[test]
fn a_text_can_be_given_after_a_review() {
    // Otherwise nothing was proved of it: the second guest's text, upwards and downwards.
    let desk = Desk { start: Start::Exchange, ..Desk::default() };
    let [no, yes] = [0, 1].map(|index| desk.init_states().remove(index));
    let play = |mut state: State, actions: &[Action]| {
        for action in actions {
            state = desk.next_state(&state, *action).unwrap_or(state);
        }
        (state.given(), state.broken())
    };
    let screen = OutputId(0);
    let key = |code| Action::Tap(code);
    let mut review = vec![key(KeyCode::C), key(KeyCode::UP), key(KeyCode::V)];
    let shown = [Action::Draw(screen), Action::Confirm(screen, 0)];
    let unread: Vec<Action> = review.iter().copied().chain([key(KeyCode::E); 4]).collect();
    review.extend(shown);
    review.extend([key(KeyCode::E); 4]);
    assert_eq!(play(yes.clone(), &review), (1, None));
    assert_eq!(play(no, &review), (0, None));
    assert_eq!(play(yes, &unread), (0, None));
}

#[test]
fn a_fault_seeded_for_each_invariant_is_found() {
    for (number, fault) in Fault::ALL {
        let desk = Desk { fault: Some(fault), start: fault.start(), steps: Some(5) };
        let checker = desk.checker().spawn_bfs().join();
        let found =
            checker.discoveries().into_keys().any(|name| name.starts_with(&number.to_string()));
        assert!(found, "{fault:?} is not caught as a breach of invariant {number}");
    }
}

/// Far beyond what can be searched whole: the same judge along random histories. Seeded, so that
/// a failure can be played again.
#[test]
fn no_random_history_breaks_an_invariant() {
    const HISTORIES: u64 = 60;
    const STEPS: usize = 1_000;
    let (mut given, mut logins, mut answered) = (0, 0, 0);
    for start in [Start::AtWork, Start::Exchange, Start::Asked, Start::Locked] {
        let desk = Desk { start, ..Desk::default() };
        for seed in 1..=HISTORIES {
            // xorshift64 (Marsaglia, J. Stat. Softw. 8(14), 2003).
            let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut below = |count: usize| {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                (random % count as u64) as usize
            };
            let mut begins = desk.init_states();
            let mut state = begins.remove(below(begins.len()));
            for step in 0..STEPS {
                let mut actions = Vec::new();
                desk.actions(&state, &mut actions);
                let action = actions[below(actions.len())];
                state = desk.next_state(&state, action).unwrap_or(state);
                let broken = state.broken();
                assert_eq!(broken, None, "{start:?}, seed {seed}, step {step}: {action:?}");
            }
            given += state.given();
            logins += state.logins();
            answered += state.answered();
        }
    }
    assert!(logins > 100, "only {logins} logins: the histories go nowhere");
    assert!(answered > 20, "only {answered} questions were answered: the histories go nowhere");
    assert!(given > 20, "only {given} texts were given: the histories go nowhere");
}
