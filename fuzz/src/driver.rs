//! Runs one target: corpus first, then changed inputs; keeps what is new, writes down what fails.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::coverage::Map;
use crate::mutate::{Random, mutate};
use crate::targets::Target;

/// Inputs of one target that are held; a newer one then takes the place of an older.
const MOST_INPUTS: usize = 2048;
/// Outcomes that are told apart; beyond that only branches count as new.
const MOST_OUTCOMES: usize = 1 << 16;
/// An input that takes longer has found something, even if it ends.
const SLOW: Duration = Duration::from_secs(2);
/// So many findings of one target are written down before it is left.
const MOST_FINDINGS: u64 = 5;

/// What to do.
pub struct Plan {
    /// How many executions of each target, times its share.
    pub executions: u64,
    /// Of the randomness.
    pub seed: u64,
    /// A folder with a file of inputs for each target.
    pub corpus: PathBuf,
    /// Where findings are written.
    pub findings: PathBuf,
    /// Whether new inputs are written into the corpus.
    pub keep: bool,
}

/// What was done.
pub struct Run {
    pub target: &'static str,
    pub executions: u64,
    pub kept: usize,
    /// Branches by class, or without counters outcomes.
    pub features: u64,
    pub findings: u64,
    pub took: Duration,
}

impl Run {
    /// Executions in a second.
    pub fn per_second(&self) -> u64 {
        (self.executions as f64 / self.took.as_secs_f64().max(0.001)) as u64
    }
}

struct Fuzzer<'a> {
    target: &'a mut dyn Target,
    plan: &'a Plan,
    random: Random,
    inputs: Vec<Vec<u8>>,
    outcomes: HashSet<u64>,
    map: Map,
    executions: u64,
    findings: u64,
}

/// Runs a target.
///
/// # Errors
/// In words, when corpus or findings cannot be read or written.
pub fn run(target: &mut dyn Target, plan: &Plan) -> Result<Run, String> {
    let begin = Instant::now();
    let name = target.name();
    let mut corpus = read(&plan.corpus.join(name))?;
    let executions = plan.executions.saturating_mul(target.share());
    corpus.extend(target.seeds());
    let mut fuzzer = Fuzzer {
        target,
        plan,
        random: Random::new(plan.seed),
        inputs: Vec::new(),
        outcomes: HashSet::new(),
        map: Map::new(),
        executions: 0,
        findings: 0,
    };
    for input in corpus {
        fuzzer.execute(input)?;
    }
    while fuzzer.executions < executions && fuzzer.findings < MOST_FINDINGS {
        let input = fuzzer.next_input();
        fuzzer.execute(input)?;
    }
    let (took, kept) = (begin.elapsed(), fuzzer.inputs.len());
    if plan.keep && fuzzer.map.features() > 0 {
        let corpus = fuzzer.smallest();
        write_corpus(&plan.corpus, name, &corpus)?;
    }
    let features = match fuzzer.map.features() {
        0 => fuzzer.outcomes.len() as u64,
        features => features.into(),
    };
    Ok(Run {
        target: name,
        executions: fuzzer.executions,
        kept,
        features,
        findings: fuzzer.findings,
        took,
    })
}

impl Fuzzer<'_> {
    fn next_input(&mut self) -> Vec<u8> {
        let count = self.inputs.len();
        // The newest inputs are the least explored.
        let index = match self.random.below(3) {
            0 => count - 1 - self.random.below(count.clamp(1, 16)),
            _ => self.random.below(count),
        };
        let other = self.random.below(count);
        let empty: &[u8] = &[];
        let (input, other) = (
            self.inputs.get(index).map_or(empty, Vec::as_slice),
            self.inputs.get(other).map_or(empty, Vec::as_slice),
        );
        mutate(&mut self.random, input, other, self.target.tokens(), self.target.most_bytes())
    }

    fn execute(&mut self, input: Vec<u8>) -> Result<(), String> {
        self.map.clear();
        let begin = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.target.run(&input)));
        let slow = begin.elapsed() > SLOW;
        let branches = self.map.take();
        self.executions += 1;
        let Ok(outcome) = outcome else { return self.found(&input, "panic") };
        if slow {
            return self.found(&input, "slow");
        }
        let room = self.outcomes.len() < MOST_OUTCOMES;
        let new = (room && self.outcomes.insert(outcome)) || branches > 0;
        if new || self.inputs.is_empty() {
            if self.inputs.len() < MOST_INPUTS {
                self.inputs.push(input);
            } else {
                let place = self.random.below(MOST_INPUTS);
                self.inputs[place] = input;
            }
        }
        Ok(())
    }

    /// The fewest and shortest inputs, by a greedy choice, that take all branches known.
    fn smallest(&mut self) -> Vec<Vec<u8>> {
        let mut inputs = std::mem::take(&mut self.inputs);
        inputs.sort_by(|one, two| (one.len(), one).cmp(&(two.len(), two)));
        let mut map = Map::new();
        inputs.retain(|input| {
            map.clear();
            let passed = catch_unwind(AssertUnwindSafe(|| self.target.run(input))).is_ok();
            map.take() > 0 && passed
        });
        inputs
    }

    fn found(&mut self, input: &[u8], what: &str) -> Result<(), String> {
        self.findings += 1;
        let name = self.target.name();
        let file = write(&self.plan.findings, &format!("{name}-{what}-"), input)?;
        eprintln!(
            "fuzz {name}: {what} with {} bytes; replay it with --target {name} --replay {}",
            input.len(),
            file.display()
        );
        self.target.renew();
        Ok(())
    }
}

/// The inputs in a file: each is its length, in 16 bits, and its bytes. None if there is no file.
fn read(file: &Path) -> Result<Vec<Vec<u8>>, String> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let bytes = fs::read(file).map_err(|why| format!("Cannot read {}: {why}", file.display()))?;
    let mut rest = bytes.as_slice();
    let mut inputs = Vec::new();
    while let Some((length, tail)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        let Some((input, tail)) = tail.split_at_checked(length) else {
            return Err(format!("{} is cut short; fetch it again", file.display()));
        };
        inputs.push(input.to_vec());
        rest = tail;
    }
    Ok(inputs)
}

fn write_corpus(folder: &Path, name: &str, inputs: &[Vec<u8>]) -> Result<(), String> {
    let mut bytes = Vec::new();
    for input in inputs {
        let Ok(length) = u16::try_from(input.len()) else { continue };
        bytes.extend(length.to_le_bytes());
        bytes.extend(input);
    }
    let file = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, bytes))
        .map_err(|why| format!("Cannot write {}: {why}", file.display()))
}

fn write(folder: &Path, prefix: &str, input: &[u8]) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    input.hash(&mut hasher);
    let file = folder.join(format!("{prefix}{:016x}", hasher.finish()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&file, input))
        .map_err(|why| format!("Cannot write {}: {why}", file.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails for inputs that start with `bad`; each right letter is another outcome.
    struct Planted;

    impl Target for Planted {
        fn name(&self) -> &'static str {
            "planted"
        }

        fn seeds(&self) -> Vec<Vec<u8>> {
            vec![b"good".to_vec()]
        }

        fn run(&mut self, input: &[u8]) -> u64 {
            let right = input.iter().zip(b"bad").take_while(|(got, bad)| got == bad).count();
            assert!(right < 3, "planted");
            right as u64
        }
    }

    #[test]
    fn a_fault_that_takes_three_steps_is_found_and_written_down() {
        let folder = std::env::temp_dir().join(format!("tabard-fuzz-{}", std::process::id()));
        let plan = Plan {
            executions: 200_000,
            seed: 1,
            corpus: folder.join("corpus"),
            findings: folder.join("findings"),
            keep: false,
        };
        let run = run(&mut Planted, &plan).unwrap();
        let files = fs::read_dir(&plan.findings).unwrap().flatten();
        let written: Vec<Vec<u8>> = files.map(|file| fs::read(file.path()).unwrap()).collect();
        fs::remove_dir_all(&folder).unwrap();
        assert!(run.findings > 0);
        assert!(written.iter().all(|input| input.starts_with(b"bad")) && !written.is_empty());
    }

    #[test]
    fn a_corpus_comes_back_as_it_was_written() {
        let folder = std::env::temp_dir().join(format!("tabard-corpus-{}", std::process::id()));
        let inputs = vec![b"one".to_vec(), Vec::new(), vec![7; 300]];
        write_corpus(&folder, "name", &inputs).unwrap();
        let back = read(&folder.join("name")).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(back, inputs);
    }
}
