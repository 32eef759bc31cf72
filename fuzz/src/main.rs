//! A small fuzzer of Tabard's own: seeded, single-threaded, guided by outcomes, and by the
//! branches taken where it is built with the compiler's coverage counters (`cargo fuzz-long`).
//! `docs/fuzzing.md` says what that is worth.

mod coverage;
mod driver;
mod mutate;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use driver::{Plan, Run};

const USAGE: &str = "\
Usage: tabard-fuzz [--target NAME] [--executions N] [--seed N] [--corpus FOLDER] [--keep]
       tabard-fuzz --target NAME --replay FILE
       tabard-fuzz --list

  --executions N  of each target that is run, cheap decoders several times as many; 20000 if not given
  --corpus FOLDER inputs that take all known branches, a file for each target; fuzz/corpus
  --keep          with branch counters, write the corpus anew
  --replay FILE   run one input, such as one of fuzz/findings

Without --target, all are run. Status 0: nothing found; 1: a finding, written to fuzz/findings;
2: the command line makes no sense.";

struct Args {
    target: Option<String>,
    replay: Option<PathBuf>,
    list: bool,
    plan: Plan,
}

fn args() -> Result<Args, String> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let plan = Plan {
        executions: 20_000,
        seed: 1,
        corpus: root.join("corpus"),
        findings: root.join("findings"),
        keep: false,
    };
    let mut args = Args { target: None, replay: None, list: false, plan };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("{text} is no number"));
        match word.as_str() {
            "--target" => args.target = Some(value()?),
            "--executions" => args.plan.executions = number(value()?)?,
            "--seed" => args.plan.seed = number(value()?)?,
            "--corpus" => args.plan.corpus = value()?.into(),
            "--keep" => args.plan.keep = true,
            "--replay" => args.replay = Some(value()?.into()),
            "--list" => args.list = true,
            _ => return Err(format!("{word:?} is unknown")),
        }
    }
    Ok(args)
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(args) => args,
        Err(why) => {
            eprintln!("tabard-fuzz: {why}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut all = targets::all();
    if let Some(name) = &args.target {
        all.retain(|target| target.name() == name);
        if all.is_empty() {
            eprintln!("tabard-fuzz: there is no target {name:?}; --list names them");
            return ExitCode::from(2);
        }
    }
    if args.list {
        all.iter().for_each(|target| println!("{}", target.name()));
        return ExitCode::SUCCESS;
    }
    if let Some(file) = &args.replay {
        let input = match std::fs::read(file) {
            Ok(input) => input,
            Err(error) => {
                eprintln!("tabard-fuzz: Cannot read {}: {error}", file.display());
                return ExitCode::from(2);
            }
        };
        // A finding panics here, with its backtrace.
        all.iter_mut().for_each(|target| println!("{:#x}", target.run(&input)));
        return ExitCode::SUCCESS;
    }
    let mut total = 0;
    let mut findings = 0;
    for target in &mut all {
        match driver::run(target.as_mut(), &args.plan) {
            Ok(run) => {
                println!("{run}");
                total += run.executions;
                findings += run.findings;
            }
            Err(why) => {
                eprintln!("tabard-fuzz: {why}");
                return ExitCode::from(2);
            }
        }
    }
    let guide = if coverage::is_built_in() { "branches and outcomes" } else { "outcomes" };
    println!(
        "fuzz: {} targets, {total} executions, {findings} findings, guided by {guide}, seed {}",
        all.len(),
        args.plan.seed
    );
    if findings == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "fuzz {:<12} {:>9} executions, {:>6} a second, {:>5} inputs kept, {:>6} features, \
             {} findings",
            self.target,
            self.executions,
            self.per_second(),
            self.kept,
            self.features,
            self.findings
        )
    }
}
