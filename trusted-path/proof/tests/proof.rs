//! A short search in every test run; `cargo prove` goes deeper.

use stateright::{Checker, Model};
use tabard_input::KeyCode;
use tabard_proof::{Action, Cast, Desk, Fault, Start, State};
use tabard_view::OutputId;

#[test]
fn invariants_1_to_5_hold_in_every_state_within_four_steps() {
    let desk = Desk { steps: Some(4), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    // A model that goes nowhere proves nothing.
    assert!(checker.unique_state_count() > 3_000, "{}", checker.unique_state_count());
}

#[test]
fn invariant_9_holds_in_every_state_within_five_steps_of_taking_and_giving() {
    let desk = Desk { start: Start::Exchange, steps: Some(5), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    assert!(checker.unique_state_count() > 3_000, "{}", checker.unique_state_count());
}

#[test]
fn invariant_8_holds_in_every_state_within_five_steps_of_login_and_lock() {
    let desk = Desk { start: Start::Locked, steps: Some(5), ..Desk::default() };
    let checker = desk.checker().spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    assert!(checker.unique_state_count() > 500, "{}", checker.unique_state_count());
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
    let steps = Some(1);
    let desk = Desk { fault: Some(fault), start: fault.start(), steps, ..Desk::default() };
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
    let shown = [Action::Draw(screen), Action::Confirm(screen)];
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
        let (start, steps) = (fault.start(), Some(5));
        let desk = Desk { fault: Some(fault), start, steps, ..Desk::default() };
        let checker = desk.checker().spawn_bfs().join();
        let found =
            checker.discoveries().into_keys().any(|name| name.starts_with(&number.to_string()));
        assert!(found, "{fault:?} is not caught as a breach of invariant {number}");
    }
}

/// Random numbers below a limit, seeded, so that a failure can be played again: xorshift64
/// (Marsaglia, J. Stat. Softw. 8(14), 2003).
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % count as u64) as usize
    }
}

const STARTS: [Start; 4] = [Start::AtWork, Start::Exchange, Start::Asked, Start::Locked];

/// The searches look at canonical states. Here the monitor counts on beside them, with each
/// confirmation, timer and question under its own number.
#[test]
fn a_state_and_its_canonical_form_go_the_same_way() {
    const HISTORIES: u64 = 40;
    const STEPS: usize = 400;
    for start in STARTS {
        for (cast, seed) in
            [Cast::Apart, Cast::Below, Cast::Three].into_iter().cycle().zip(1..=HISTORIES)
        {
            let desk = Desk { start, cast, ..Desk::default() };
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut begins = desk.init_states();
            let mut canonical = begins.remove(random.below(begins.len()));
            let mut counting = canonical.clone();
            for step in 0..STEPS {
                let mut actions = Vec::new();
                desk.actions(&canonical, &mut actions);
                let action = actions[random.below(actions.len())];
                let next = desk.raw(&canonical, action).map(State::canonical);
                let also = desk.raw(&counting, action);
                let what = format!("{start:?}, {cast:?}, seed {seed}, step {step}: {action:?}");
                assert_eq!(next.is_some(), also.is_some(), "{what}");
                let (Some(next), Some(also)) = (next, also) else { continue };
                assert!(also.clone().canonical() == next, "{what}");
                (canonical, counting) = (next, also);
            }
        }
    }
}

/// Far beyond what can be searched whole: the same judge along random histories. Seeded, so that
/// a failure can be played again.
#[test]
fn no_random_history_breaks_an_invariant() {
    const HISTORIES: u64 = 60;
    const STEPS: usize = 1_000;
    let (mut given, mut logins, mut answered) = (0, 0, 0);
    for start in STARTS {
        let desk = Desk { start, ..Desk::default() };
        for seed in 1..=HISTORIES {
            let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            let mut begins = desk.init_states();
            let mut state = begins.remove(random.below(begins.len()));
            for step in 0..STEPS {
                let mut actions = Vec::new();
                desk.actions(&state, &mut actions);
                // One that does something: there are more that are late or old.
                let (mut action, mut next) = (actions[0], None);
                for _ in 0..4 * actions.len() {
                    action = actions[random.below(actions.len())];
                    let ends =
                        matches!(action, Action::Late(_) | Action::Listen(_) | Action::Report(..));
                    // Or no question and no text would live until it is answered or given.
                    if ends && random.below(8) > 0 {
                        continue;
                    }
                    next = desk.next_state(&state, action);
                    if next.is_some() {
                        break;
                    }
                }
                state = next.unwrap_or(state);
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
