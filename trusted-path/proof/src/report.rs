//! What was found, as a page of Markdown.

use std::fmt::Write as _;

use tabard_proof::Fault;

/// One search.
pub(crate) struct Searched {
    pub(crate) what: &'static str,
    /// How far it went; to the end if it is not said.
    pub(crate) steps: Option<usize>,
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    pub(crate) seconds: f64,
    /// Each invariant that was broken, and by what.
    pub(crate) broken: Vec<(&'static str, String)>,
}

/// A fault that was sown.
pub(crate) struct FoundFault {
    /// The invariant that it breaks.
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    /// Within how many steps it was found.
    pub(crate) steps: Option<usize>,
}

/// Everything.
#[derive(Default)]
pub(crate) struct Report {
    /// The searches with two guests.
    pub(crate) whole: Vec<Searched>,
    /// Those with three.
    pub(crate) three: Vec<Searched>,
    pub(crate) faults: Vec<FoundFault>,
}

const HEAD: &str = "\
# Proof

The monitor that ships, under the model checker `stateright`, by `cargo prove`: the keys of the chord,
an ordinary key, digits and clicks, guests' reports, offers and questions in any order, one screen or
two that come and go, confirmations late, out of order or lost.

## Two guests: every state there is

These searches have no depth. Each ended by itself: there is no state that it did not look at.

";

const THREE: &str = "
## Three guests

One below the others, which are incomparable.

";

const CANONICAL: &str = "
The numbers are the same in every run and with any number of threads; a search that ends after so many
steps is breadth first and by one thread.

## What a state is

The monitor counts: views, timers, questions, checks of passwords. States that differ in nothing else
behave alike, and are one state here (`trusted-path/proof/src/canonical.rs` says why; a test plays
random histories on the monitor that counts on, and on the canonical one beside it, and they agree after
every step).

- Of views it matters which have reached the first that opens input, and which is the newest.
- A confirmation, a timer or an answer that is too old may come at any time, as often as it likes, even
  one that never was on its way. So less is assumed of the screen than is true of it.
- Any number of confirmations may be on their way from a screen.

## What is left out

| of this | only so much | because |
|---|---|---|
| what is typed at the lock | one letter | the monitor keeps it and never looks at it |
| wrong passwords of a user in a row | one; with three guests ten | they only make the wait longer |
| guests that start again by themselves | with three guests, three times in a row | with two, any report may come at any time, that a guest runs among them |
| questions and the lock together | with three guests | with two they are a search each |
| texts | two, of one page, with one letter for the challenge | others differ in their numbers |
| questions | of one page and of two | as above |
| the pointer | lies in a corner between two clicks | moving it chooses nothing |
| devices | one keyboard and one pointer, accepted | unit tests and random histories have others |

";

impl Report {
    /// Whether every invariant holds and every fault was found.
    pub(crate) fn is_sound(&self) -> bool {
        let searched = self.whole.iter().chain(&self.three);
        searched.map(|search| search.broken.len()).sum::<usize>() == 0
            && self.faults.iter().all(|fault| fault.steps.is_some())
    }

    pub(crate) fn text(&self) -> String {
        let mut text = HEAD.to_owned();
        table(&mut text, &self.whole);
        if !self.three.is_empty() {
            text.push_str(THREE);
            table(&mut text, &self.three);
        }
        text.push_str(CANONICAL);
        text.push_str("## The invariants, and faults that were sown\n\n");
        text.push_str(
            "| invariant | in every state | seeded fault | found after |\n|---|---|---|---|\n",
        );
        for FoundFault { name, fault, steps } in &self.faults {
            let searched = self.whole.iter().chain(&self.three);
            let broken = searched.flat_map(|search| &search.broken).any(|(other, _)| other == name);
            let holds = if broken { "BROKEN" } else { "holds" };
            let found = match steps {
                None => "NOT FOUND".to_owned(),
                Some(1) => "1 step".to_owned(),
                Some(steps) => format!("{steps} steps"),
            };
            // Writing into a string does not fail.
            let _ = writeln!(text, "| {name} | {holds} | {fault:?} | {found} |");
        }
        for search in self.whole.iter().chain(&self.three) {
            for (name, actions) in &search.broken {
                let _ = writeln!(text, "\n{name} is broken, {}: {actions}", search.what);
            }
        }
        text
    }
}

fn table(text: &mut String, searches: &[Searched]) {
    text.push_str("| every state from here | steps | states | transitions | time |\n");
    text.push_str("|---|---|---|---|---|\n");
    for Searched { what, steps, states, transitions, seconds, broken: _ } in searches {
        let steps = steps.map_or("to the end".to_owned(), |steps| steps.to_string());
        let _ = writeln!(text, "| {what} | {steps} | {states} | {transitions} | {seconds:.1} s |");
    }
}
