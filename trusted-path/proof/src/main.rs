//! `cargo prove`: explores the monitor's states to a depth and prints what was found; with
//! `--write FILE` also as a page of Markdown. Status 1 if an invariant is broken, or a seeded
//! fault is not found.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use stateright::{Checker, Model};
use tabard_proof::{Desk, Fault, Start};

/// How many steps the searches go unless the command line says another number.
const STEPS: usize = 7;

/// Every seeded fault shows within so few steps that a deeper search would only take time.
const FAULT_STEPS: usize = 5;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut steps, mut page) = (STEPS, None);
    while let Some(argument) = arguments.next() {
        match (argument.as_str(), arguments.next()) {
            ("--steps", Some(number)) if number.parse::<usize>().is_ok() => {
                steps = number.parse().unwrap_or(STEPS);
            }
            ("--write", Some(file)) => page = Some(file),
            _ => {
                eprintln!("tabard-proof: write --steps NUMBER or --write FILE");
                return ExitCode::from(2);
            }
        }
    }
    let (report, sound) = prove(steps);
    print!("{report}");
    if let Some(file) = page
        && let Err(error) = std::fs::write(&file, &report)
    {
        eprintln!("Cannot write {file}: {error}. Name another file with --write");
        return ExitCode::from(2);
    }
    if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The searches: where each begins, and what it is called.
const SEARCHES: [(Start, &str); 4] = [
    (Start::AtWork, "At work: keys, clicks, reports, screens that come and go"),
    (Start::Exchange, "Texts taken and given on the trusted screen, agents that come and go"),
    (Start::Asked, "Questions seen and answered, agents and screens that come and go"),
    (Start::Locked, "Login, lock and what two users may see"),
];

/// The line of the report about a search, and each invariant that it found broken, and by what.
type Searched = (String, Vec<(&'static str, String)>);

/// Looks at every state within so many steps.
fn search((start, what): &(Start, &str), steps: usize) -> Searched {
    let begin = Instant::now();
    let desk = Desk { start: *start, fault: None, steps: Some(steps) };
    let checker = desk.checker().spawn_bfs().join();
    let seconds = begin.elapsed().as_secs_f64();
    let (states, all) = (checker.unique_state_count(), checker.state_count());
    let line = format!("| {what} | {steps} | {states} | {all} | {seconds:.1} s |");
    let found = checker.discoveries().into_iter();
    (line, found.map(|(name, path)| (name, format!("{:?}", path.into_actions()))).collect())
}

fn prove(steps: usize) -> (String, bool) {
    let mut report = String::from(
        "# Proof\n\nThe monitor that ships, under the model checker `stateright`, by `cargo prove`.\n\
         Three guests, one or two screens, the chord's keys, an ordinary key and a digit, clicks,\n\
         guests' reports, offers and questions in any order, confirmations late, out of order or lost.\n\n",
    );
    let mut broken = BTreeMap::new();
    // Writing into a string does not fail.
    let _ = writeln!(report, "| every state from here | steps | states | transitions | time |");
    let _ = writeln!(report, "|---|---|---|---|---|");
    // The first takes longer than all others.
    let (first, others) = SEARCHES.split_at(1);
    let of = |searches: &'static [_]| searches.iter().map(|it| search(it, steps)).collect();
    let searched: Vec<Searched> = thread::scope(|scope| {
        let others = scope.spawn(|| -> Vec<Searched> { of(others) });
        let mut searched: Vec<Searched> = of(first);
        searched.extend(others.join().unwrap_or_default());
        searched
    });
    for (line, found) in &searched {
        let _ = writeln!(report, "{line}");
        broken.extend(found.iter().cloned());
    }
    let mut sound = broken.is_empty() && searched.len() == SEARCHES.len();
    let _ = writeln!(
        report,
        "\nEach search is breadth first and by one thread, so that it comes to every state by a shortest\n\
         way and looks at all that is within these steps; the numbers are the same in every run."
    );
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
        // One step more each time finds the shortest way.
        let found = (1..=steps.min(FAULT_STEPS)).find(|most| {
            let faulty = Desk { fault: Some(fault), start, steps: Some(*most) };
            faulty.checker().spawn_bfs().join().discovery(name).is_some()
        });
        sound &= found.is_some();
        let found = match found {
            None => "NOT FOUND".to_owned(),
            Some(1) => "1 step".to_owned(),
            Some(steps) => format!("{steps} steps"),
        };
        let _ = writeln!(report, "| {name} | {holds} | {fault:?} | {found} |");
    }
    for (name, actions) in broken {
        let _ = writeln!(report, "\n{name} is broken by: {actions}");
    }
    (report, sound)
}
