//! A short search in every test run; `cargo prove` goes deeper.

use stateright::{Checker, Model};
use tabard_proof::{Desk, Fault};

#[test]
fn invariants_1_to_5_hold_in_every_state_within_four_steps() {
    let checker = Desk::default().checker().target_max_depth(5).spawn_bfs().join();
    assert!(checker.discoveries().is_empty(), "{:?}", checker.discoveries().keys());
    // A model that goes nowhere proves nothing.
    assert!(checker.unique_state_count() > 5_000, "{}", checker.unique_state_count());
}

#[test]
fn a_fault_seeded_for_each_invariant_is_found() {
    for (number, fault) in Fault::ALL {
        let desk = Desk { fault: Some(fault) };
        let checker = desk.checker().target_max_depth(6).spawn_bfs().join();
        let found =
            checker.discoveries().into_keys().any(|name| name.starts_with(&number.to_string()));
        assert!(found, "{fault:?} is not caught as a breach of invariant {number}");
    }
}
