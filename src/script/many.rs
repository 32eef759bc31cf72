//! Plays several scripts, some at a time, each in a program of its own: what one of them breaks is
//! its own, and what each says is printed in one piece.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::results::{Outcome, steps_of};

/// The argument that says that another `tabard test` started this one.
pub(crate) const CHILD: &str = "--child";
/// Where a child leaves its results, in its folder for pictures.
const RESULTS: &str = "results.json";

/// What is played, and how.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The scripts, each with the folder for its pictures.
    pub(crate) scripts: Vec<(PathBuf, PathBuf)>,
    /// Arguments that each of them gets.
    pub(crate) arguments: Vec<std::ffi::OsString>,
    /// How many run at a time.
    pub(crate) jobs: usize,
    /// How often one that failed is tried again.
    pub(crate) retries: u32,
    /// What shows a run is called so in its folder, each with its option.
    pub(crate) looks: Vec<(&'static str, PathBuf)>,
}

/// The part of the scripts that shard `index` of `count`, from 1, plays: each script is in one.
pub(crate) fn shard(mut scripts: Vec<PathBuf>, (index, count): (usize, usize)) -> Vec<PathBuf> {
    scripts.sort();
    scripts.dedup();
    let mine = |place: usize| place % count == index.saturating_sub(1);
    scripts.into_iter().enumerate().filter(|(at, _)| mine(*at)).map(|(_, one)| one).collect()
}

/// Reads a shard as it is named on the command line, such as `1/3`.
pub(crate) fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let pair = text.split_once('/').and_then(|(index, count)| {
        Some((index.parse::<usize>().ok()?, count.parse::<usize>().ok()?))
    });
    pair.filter(|(index, count)| (1..=*count).contains(index))
        .ok_or_else(|| "write which of how many, such as 1/3".to_owned())
}

/// Each script with a folder of its own below `out`, called as the script.
pub(crate) fn folders(scripts: Vec<PathBuf>, out: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut taken = BTreeSet::new();
    let named = scripts.into_iter().map(|script| {
        let stem = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let names = (1..).map(|n| if n == 1 { stem.clone() } else { format!("{stem}-{n}") });
        let name = names.into_iter().find(|name| taken.insert(name.clone())).unwrap_or_default();
        let folder = out.join(name);
        (script, folder)
    });
    named.collect()
}

/// Plays them all; what became of each, in their order.
pub(crate) fn play(plan: &Plan) -> Vec<Outcome> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, Outcome)>> = Mutex::new(Vec::new());
    let work = || {
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((script, out)) = plan.scripts.get(index) else { return };
            let outcome = tries(plan, script, out);
            let mut done = done.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            done.push((index, outcome));
        }
    };
    std::thread::scope(|scope| {
        // The other workers are threads of their own; this one is the first.
        for _ in 1..plan.jobs.min(plan.scripts.len()) {
            scope.spawn(work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, outcome)| outcome).collect()
}

fn tries(plan: &Plan, script: &Path, out: &Path) -> Outcome {
    let begin = Instant::now();
    let mut tries = 0;
    loop {
        tries += 1;
        // The pictures of a try that failed are kept.
        let out = if tries == 1 { out.to_path_buf() } else { out.join(format!("try-{tries}")) };
        let mut outcome = once(plan, script, &out);
        outcome.tries = tries;
        outcome.took = begin.elapsed();
        // What could not be started cannot be started a second time either.
        if outcome.status != 1 || tries > plan.retries {
            return outcome;
        }
        println!("tabard test: {} is tried again", script.display());
    }
}

fn once(plan: &Plan, script: &Path, out: &Path) -> Outcome {
    let begin = Instant::now();
    let results = out.join(RESULTS);
    // Those of an earlier run must not be taken for those of this one.
    let _ = fs::remove_file(&results);
    let looks =
        plan.looks.iter().flat_map(|(option, name)| [PathBuf::from(option), out.join(name)]);
    // They are written into it whatever the script does.
    let made = fs::create_dir_all(out);
    let said = made.and_then(|()| std::env::current_exe()).and_then(|program| {
        Command::new(program)
            .arg("test")
            .arg(CHILD)
            .args(&plan.arguments)
            .arg("--out")
            .arg(out)
            .arg("--json")
            .arg(&results)
            .args(looks)
            .arg("--")
            .arg(script)
            .stdin(Stdio::null())
            .output()
    });
    let failed = |message: String| Outcome {
        script: script.to_path_buf(),
        took: begin.elapsed(),
        status: 2,
        tries: 1,
        steps: Vec::new(),
        message,
    };
    let output = match said {
        Ok(output) => output,
        Err(error) => return failed(format!("Cannot start tabard test: {error}")),
    };
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Two locks of two streams: what a script says stays together on each.
    eprint!("{err}");
    print!("{out}");
    let status = output.status.code().and_then(|code| u8::try_from(code).ok());
    let steps = fs::read_to_string(&results).ok().and_then(|text| steps_of(&text));
    let message = match (&steps, status) {
        (Some(_), _) => String::new(),
        (None, Some(_)) => err.trim().to_owned(),
        (None, None) => format!("It was ended by a signal: {}", output.status),
    };
    Outcome { status: status.unwrap_or(1), steps: steps.unwrap_or_default(), ..failed(message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_is_in_one_shard() {
        let scripts: Vec<PathBuf> = ["c", "a", "b", "e", "d", "a"].map(PathBuf::from).to_vec();
        let shards = [1, 2, 3].map(|index| shard(scripts.clone(), (index, 3)));
        assert_eq!(shards[0], ["a", "d"].map(PathBuf::from));
        let mut all: Vec<PathBuf> = shards.concat();
        all.sort();
        assert_eq!(all, ["a", "b", "c", "d", "e"].map(PathBuf::from));
    }

    #[test]
    fn a_shard_is_one_of_several() {
        assert_eq!(parse_shard("2/3"), Ok((2, 3)));
        for bad in ["0/3", "4/3", "1", "a/b", "1/0", ""] {
            assert!(parse_shard(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn scripts_of_one_name_have_folders_of_their_own() {
        let scripts = ["x/a.tabard", "y/a.tabard", "b.tabard"].map(PathBuf::from).to_vec();
        let folders: Vec<PathBuf> =
            folders(scripts, Path::new("out")).into_iter().map(|(_, folder)| folder).collect();
        assert_eq!(folders, ["out/a", "out/a-2", "out/b"].map(PathBuf::from));
    }
}
