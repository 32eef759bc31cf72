//! All hostile scenarios through the real processes, several at a desk, every frame judged.
//!
//! `cargo test --test hostile` runs them all; `-- --only NAME --seed N` replays one.

mod catalogue;
#[path = "../common/mod.rs"]
mod common;
mod day;
mod wire;

use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use catalogue::{Scenario, Who};
use tabard::oracle::Findings;

/// Desks that live at the same time.
const WORKERS: usize = 2;

/// How long the trusted screen may take, key to frame, on a machine that runs the attacks of two
/// desks and perhaps builds beside them, without optimisation; `cargo measure` holds the promise.
const SAK_LIMIT: Duration = Duration::from_secs(2);

/// What is asked for on the command line. Words of the ordinary test harness are taken too.
struct Args {
    list: bool,
    /// Parts of the names of those to run; all if there is none.
    only: Vec<String>,
    seed: u64,
}

fn args() -> Args {
    let mut args = Args { list: false, only: Vec::new(), seed: 1 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--list" => args.list = true,
            "--only" => args.only.extend(words.next()),
            "--seed" => {
                let seed = words.next().and_then(|seed| seed.parse().ok());
                args.seed = seed.expect("--seed needs a number");
            }
            "--test-threads" | "--format" | "--color" | "--skip" => drop(words.next()),
            flag if flag.starts_with('-') => {}
            filter => args.only.push(filter.to_owned()),
        }
    }
    args
}

/// What became of one desk.
struct Outcome {
    desk: Vec<Scenario>,
    result: Result<Findings, String>,
}

fn main() -> ExitCode {
    // Started in place of `tabard-vmm`, this program is the hostile process.
    if wire::is_wire() {
        wire::main();
        return ExitCode::SUCCESS;
    }
    let args = args();
    let mut chosen = catalogue::all(args.seed);
    if !args.only.is_empty() {
        chosen.retain(|one| {
            let path = format!("hostile::{}", one.name);
            args.only.iter().any(|only| path.contains(only.as_str()))
        });
    }
    if args.list {
        chosen.iter().for_each(|one| println!("hostile::{}: test", one.name));
        return ExitCode::SUCCESS;
    }
    let descriptors = open_descriptors();
    let begin = Instant::now();
    let outcomes = run(&chosen);
    let took = begin.elapsed();
    let left = open_descriptors();
    if left == descriptors { report(&outcomes, took) } else { leaked(descriptors, left) }
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

fn leaked(before: usize, after: usize) -> ExitCode {
    println!("test hostile::descriptors ... FAILED: {before} before, {after} after");
    ExitCode::FAILURE
}

fn run(chosen: &[Scenario]) -> Vec<Outcome> {
    let (guests, processes): (Vec<Scenario>, Vec<Scenario>) =
        chosen.iter().partition(|one| one.who == Who::Guest);
    let desks = Mutex::new(
        guests
            .chunks(day::HOSTILE)
            .chain(processes.chunks(day::HOSTILE))
            .map(<[Scenario]>::to_vec)
            .collect::<Vec<_>>(),
    );
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| {
                while let Some(desk) = { desks.lock().unwrap().pop() } {
                    let outcome = live(desk);
                    outcomes.lock().unwrap().push(outcome);
                }
            });
        }
    });
    outcomes.into_inner().unwrap()
}

fn live(desk: Vec<Scenario>) -> Outcome {
    let program = match desk.first().map(|one| one.who) {
        Some(Who::Process) => std::env::current_exe().unwrap(),
        _ => common::vmm(),
    };
    let result = std::panic::catch_unwind(|| day::live(&desk, program)).map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        words
            .or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()))
            .unwrap_or_default()
    });
    let result = result.and_then(|findings| match findings.sak.iter().max() {
        Some(worst) if *worst > SAK_LIMIT => Err(format!("the trusted screen took {worst:?}")),
        _ => Ok(findings),
    });
    Outcome { desk, result }
}

fn report(outcomes: &[Outcome], took: Duration) -> ExitCode {
    let mut failed = 0;
    let (mut frames, mut violations) = (0, 0);
    let mut sak: Vec<Duration> = Vec::new();
    let mut count = [0, 0];
    for Outcome { desk, result } in outcomes {
        for one in desk {
            count[usize::from(one.who == Who::Process)] += 1;
            let word = if result.is_ok() { "ok" } else { "FAILED" };
            println!("test hostile::{} (seed {}) ... {word}", one.name, one.seed);
        }
        match result {
            Ok(findings) => {
                frames += findings.frames;
                violations += findings.violations;
                sak.extend(&findings.sak);
            }
            Err(words) => {
                failed += desk.len();
                println!("---- {:?}\n{words}", desk.iter().map(|one| one.name).collect::<Vec<_>>());
            }
        }
    }
    sak.sort_unstable();
    let worst = sak.last().copied().unwrap_or_default();
    let middle = sak.get(sak.len() / 2).copied().unwrap_or_default();
    println!(
        "hostile: {} scenarios by guests and {} by processes, {frames} frames judged, \
         {violations} violations, {} asks for the trusted screen (median {} ms, worst {} ms), {:.1} s",
        count[0],
        count[1],
        sak.len(),
        middle.as_millis(),
        worst.as_millis(),
        took.as_secs_f32()
    );
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!("test result: {verdict}. {} passed; {failed} failed", count[0] + count[1] - failed);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
