//! `cargo prove`: explores the monitor's states to a depth and prints what was found; with
//! `--write FILE` also as a page of Markdown. Status 1 if an invariant is broken, or a seeded
//! fault is not found.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use stateright::{Checker, Model};
use tabard_proof::{Desk, Fault, Start};

/// Depth of the search unless the command line says another: steps from a desk at work.
const DEPTH: usize = 8;

/// Every seeded fault shows within so few steps that a deeper search would only take time.
const FAULT_DEPTH: usize = 6;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut depth, mut page) = (DEPTH, None);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--depth", Some(number)) if number.parse::<usize>().is_ok() => {
                depth = number.parse().unwrap_or(DEPTH);
            }
            ("--write", Some(file)) => page = Some(file),
            _ => {
                eprintln!("tabard-proof: write --depth NUMBER or --write FILE");
                return ExitCode::from(2);
            }
        }
    }
    let (report, sound) = prove(depth);
    print!("{report}");
    if let Some(file) = page
        && let Err(error) = std::fs::write(&file, &report)
    {
        eprintln!("Cannot write {file}: {error}. Name another file with --write");
        return ExitCode::from(2);
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The searches: where each begins, what it is called, and how much deeper or less deep it goes.
const SEARCHES: [(Start, &str, usize); 3] = [
    (Start::AtWork, "At work: keys, clicks, reports, screens that come and go", 0),
    (Start::Exchange, "Texts taken and given on the trusted screen, agents that come and go", 0),
    (Start::Locked, "Login, lock and what two users may see", 0),
];

fn prove(depth: usize) -> (String, bool) {
    let mut report = String::from(
        "# Proof\n\nThe monitor that ships, under the model checker `stateright`, by `cargo prove`.\n\
         Three guests, one or two screens, the chord's keys, an ordinary key and a digit, clicks,\n\
         guests' reports and offers in any order, confirmations late, out of order or lost.\n\n",
    );
    let mut broken = BTreeMap::new();
    // Writing into a string does not fail.
    let _ = writeln!(report, "| every state from here | steps | states | transitions | time |");
    let _ = writeln!(report, "|---|---|---|---|---|");
    for (start, what, more) in SEARCHES {
        let (begin, depth) = (Instant::now(), depth + more);
        let desk = Desk { start, fault: None };
        let checker = desk.checker().threads(2).target_max_depth(depth).spawn_bfs().join();
        let seconds = begin.elapsed().as_secs_f64();
        let (states, all) = (checker.unique_state_count(), checker.state_count());
        let steps = depth - 1;
        let _ = writeln!(report, "| {what} | {steps} | {states} | {all} | {seconds:.1} s |");
        let found = checker.discoveries().into_iter();
        broken.extend(found.map(|(name, path)| (name, format!("{:?}", path.into_actions()))));
    }
    let mut sound = broken.is_empty();
    let _ = writeln!(report, "\n| invariant | in every state | seeded fault | found after |");
    let _ = writeln!(report, "|---|---|---|---|");
    for (number, fault) in Fault::ALL {
        let start = fault.start();
        let name = Desk::default()
            .properties()
            .into_iter()
            .map(|property| property.name)
            .find(|name| name.starts_with(&number.to_string()))
            .unwrap_or_default();
        let holds = if broken.contains_key(name) { "BROKEN" } else { "holds" };
        let faulty = Desk { fault: Some(fault), start };
        // One thread finds the shortest way first.
        let checker = faulty.checker().target_max_depth(depth.min(FAULT_DEPTH)).spawn_bfs().join();
        let found = checker.discovery(name).map(|path| path.into_states().len() - 1);
        sound &= found.is_some();
        let found = found.map_or("NOT FOUND".to_owned(), |steps| format!("{steps} steps"));
        let _ = writeln!(report, "| {name} | {holds} | {fault:?} | {found} |");
    }
    for (name, actions) in broken {
        let _ = writeln!(report, "\n{name} is broken by: {actions}");
    }
    (report, sound)
}
