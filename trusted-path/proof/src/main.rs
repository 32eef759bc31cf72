//! Looks at every state that the monitor can come to with two guests; with `--three STEPS` (`cargo
//! prove`: 9) also at those within so many steps with three; with `--all-keys` also with all keys at
//! work, which takes long. With `--write FILE` the report is also written as a page of Markdown.
//! Status 1 if an invariant is broken, or a seeded fault is not found.
#![forbid(unsafe_code)]

mod report;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use stateright::{Checker, Model};
use tabard_proof::{Cast, Desk, Fault, Start};

use report::{FoundFault, Report, Searched};

/// How often a search says how far it is.
const PROGRESS: Duration = Duration::from_secs(20);

/// Every seeded fault shows within so few steps that a deeper search would only take time.
const FAULT_STEPS: usize = 5;

/// The searches: where each begins, and what it is called.
const SEARCHES: [(Desk, &str); 5] = [
    (
        Desk { small: true, ..with(Start::AtWork, Cast::Apart) },
        "At work: the chord's keys, digits, clicks, reports, screens that come and go",
    ),
    (with(Start::Exchange, Cast::Apart), "Texts between guests of incomparable labels"),
    (with(Start::Exchange, Cast::Below), "Texts between a guest and one above it"),
    (
        Desk { small: true, ..with(Start::Asked, Cast::Apart) },
        "Questions seen and answered, agents and screens that come and go",
    ),
    (
        Desk { small: true, ..with(Start::Locked, Cast::Apart) },
        "Login, lock, what two users may see, guests and screens that come and go",
    ),
];

/// What takes too long for every day.
const LONG: (Desk, &str) = (
    with(Start::AtWork, Cast::Apart),
    "At work, with one more key that types and one that changes the layout",
);

/// The same with three guests.
const WITH_THREE: [(Desk, &str); 4] = [
    (with(Start::AtWork, Cast::Three), "At work, all keys"),
    (with(Start::Exchange, Cast::Three), "Texts"),
    (with(Start::Asked, Cast::Three), "Questions"),
    (with(Start::Locked, Cast::Three), "Login and lock"),
];

const fn with(start: Start, cast: Cast) -> Desk {
    Desk { fault: None, start, cast, small: false, steps: None }
}

/// What the command line asks for.
#[derive(Default)]
struct Asked {
    /// Also with three guests, so many steps far.
    three: Option<usize>,
    /// Also with all keys at work.
    all_keys: bool,
    page: Option<String>,
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut asked = Asked::default();
    while let Some(argument) = arguments.next() {
        if argument == "--all-keys" {
            asked.all_keys = true;
            continue;
        }
        match (argument.as_str(), arguments.next()) {
            ("--three", Some(number)) if number.parse::<usize>().is_ok() => {
                asked.three = number.parse().ok();
            }
            ("--write", Some(file)) => asked.page = Some(file),
            _ => {
                eprintln!("tabard-proof: write --three STEPS, --all-keys or --write FILE");
                return ExitCode::from(2);
            }
        }
    }
    let mut report = Report::default();
    for (desk, what) in SEARCHES.into_iter().chain(asked.all_keys.then_some(LONG)) {
        report.whole.push(search(what, desk));
    }
    if let Some(steps) = asked.three {
        for (desk, what) in WITH_THREE {
            report.three.push(search(what, Desk { steps: Some(steps), ..desk }));
        }
    }
    report.faults = Fault::ALL.map(|(number, fault)| find(number, fault)).into();
    let text = report.text();
    print!("{text}");
    if let Some(file) = asked.page
        && let Err(error) = std::fs::write(&file, &text)
    {
        eprintln!("Cannot write {file}: {error}. Name another file with --write");
        return ExitCode::from(2);
    }
    if report.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Looks at every state. A search to the end comes to the same states in any order, so it has all
/// threads; one that ends after so many steps has one, so that it comes to each by a shortest way.
fn search(what: &'static str, desk: Desk) -> Searched {
    eprintln!("tabard-proof: {what}");
    let begin = Instant::now();
    let threads = match desk.steps {
        None => thread::available_parallelism().map_or(1, usize::from),
        Some(_) => 1,
    };
    let checker = desk.checker().threads(threads).spawn_bfs();
    let mut told = begin;
    while !checker.is_done() {
        thread::park_timeout(Duration::from_millis(20));
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            eprintln!("tabard-proof: {what}: {} states so far", checker.unique_state_count());
        }
    }
    let checker = checker.join();
    let broken = checker.discoveries().into_iter();
    Searched {
        what,
        steps: desk.steps,
        states: checker.unique_state_count(),
        transitions: checker.state_count(),
        seconds: begin.elapsed().as_secs_f64(),
        broken: broken.map(|(name, path)| (name, format!("{:?}", path.into_actions()))).collect(),
    }
}

/// Looks for a fault; one step more each time finds the shortest way.
fn find(number: u8, fault: Fault) -> FoundFault {
    let start = fault.start();
    let name = Desk::default()
        .properties()
        .into_iter()
        .map(|property| property.name)
        .find(|name| name.starts_with(&number.to_string()))
        .unwrap_or_default();
    let steps = (1..=FAULT_STEPS).find(|most| {
        let faulty = Desk { fault: Some(fault), start, steps: Some(*most), ..Desk::default() };
        faulty.checker().spawn_bfs().join().discovery(name).is_some()
    });
    FoundFault { name, fault, steps }
}
