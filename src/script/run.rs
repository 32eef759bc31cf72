//! Runs the steps of a script against a running desk, one after the other, until one fails.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use tabard_display::{Frame, write_png};
use tabard_view::{GuestId, OutputId, Recipient};

use super::condition::{Eyes, Failure, Mark};
use super::diff;
use super::fault::one_line;
use super::hands::{Hands, deadline};
use super::needles::{Candidate, Needles, Sighting};
use super::pace::Typing;
use super::report::{Fate, Progress, Result as StepResult};
use super::snapshots::Snapshots;
use super::source::Need;
use super::step::{Action, Condition, Region, Script, Step};
use super::trace::Trace;
use crate::harness::{Harness, serial_log};
use crate::oracle::Oracle;
use crate::run::qemu;
use crate::session::desk::chain;
use crate::session::open_kvm;

/// Runs a script. `out` is the folder for pictures; `logs` is where the harness has the serial
/// logs, for messages. The oracle, which judges the frames, is told when the user acts.
pub(crate) fn run(
    script: &Script,
    needles: &Needles,
    harness: &Harness,
    oracle: &Oracle,
    (snapshots, out, logs): (&Snapshots, &Path, &Path),
    mut trace: Option<&mut Trace>,
) -> Vec<StepResult> {
    let mut runner = Runner::new(script, needles, harness, oracle, (snapshots, out, logs));
    let mut progress = Progress::new();
    let mut results = Vec::new();
    let mut failed = false;
    for step in &script.steps {
        if failed {
            let result = StepResult::new(step, std::time::Duration::ZERO, Fate::Skipped);
            trace.iter_mut().for_each(|trace| trace.not_played(&result));
            results.push(result);
            continue;
        }
        progress.begin(step);
        let before = trace.as_mut().map(|trace| trace.before(harness, runner.state.screen));
        let result = runner.play(step);
        failed = matches!(result.fate, Fate::Failed { .. });
        Progress::left_out(&result);
        progress.end(&result);
        runner.state.said.drain(..).for_each(|line| println!("{line}"));
        let evidence = std::mem::take(&mut runner.state.evidence);
        if let Some((trace, before)) = trace.as_mut().zip(before) {
            let candidates = runner.candidates(step);
            let screen = runner.state.screen;
            trace.after(harness, screen, &before, &result, &candidates, &evidence);
        }
        Progress::failed(script, &result);
        results.push(result);
    }
    results
}

pub(super) struct Runner<'r> {
    script: &'r Script,
    needles: &'r Needles,
    harness: &'r Harness,
    oracle: &'r Oracle,
    snapshots: &'r Snapshots,
    out: &'r Path,
    logs: &'r Path,
    /// What one step leaves to the next.
    pub(super) state: State,
}

/// What one step leaves to the next.
#[derive(Debug)]
pub(super) struct State {
    screen: OutputId,
    marks: Vec<Mark>,
    /// What there is to be said to the user.
    pub(super) said: Vec<String>,
    /// What was typed and not answered yet.
    typing: Typing,
    /// What shows why the last step failed.
    evidence: Vec<(&'static str, Frame)>,
}

impl State {
    pub(super) fn new(harness: &Harness) -> Self {
        let marks = vec![Mark::default(); harness.guests().len()];
        let (said, evidence) = (Vec::new(), Vec::new());
        Self { screen: OutputId(0), marks, said, typing: Typing::default(), evidence }
    }
}

impl<'r> Runner<'r> {
    /// Before the first step.
    pub(super) fn new(
        script: &'r Script,
        needles: &'r Needles,
        harness: &'r Harness,
        oracle: &'r Oracle,
        (snapshots, out, logs): (&'r Snapshots, &'r Path, &'r Path),
    ) -> Self {
        let state = State::new(harness);
        Self { script, needles, harness, oracle, snapshots, out, logs, state }
    }

    /// Plays a step, and says what became of it.
    pub(super) fn play(&mut self, step: &Step) -> StepResult {
        let begin = Instant::now();
        if let Some(why) = self.unmet(step) {
            return StepResult::new(step, begin.elapsed(), Fate::LeftOut(why));
        }
        let fate = match self.step(step) {
            Ok(()) => Fate::Passed,
            Err(failure) => {
                let fate = self.failed(step, &failure);
                self.state.evidence = failure.pictures;
                fate
            }
        };
        StepResult::new(step, begin.elapsed(), fate)
    }

    /// The needles that a step looks for, as they are now.
    fn candidates(&self, step: &Step) -> Vec<Candidate> {
        let eyes = self.eyes(step);
        match &step.action {
            Action::ClickNeedle(name, guest, _)
            | Action::WaitFor(Condition::Needle { name, guest })
            | Action::Expect(Condition::Needle { name, guest }) => {
                eyes.candidates(name, guest.as_deref())
            }
            _ => Vec::new(),
        }
    }

    fn eyes(&self, step: &Step) -> Eyes<'_> {
        Eyes {
            hands: Hands {
                harness: self.harness,
                screen: self.state.screen,
                deadline: deadline(step.timeout),
                now: step.now,
                pace: step.pace,
                typing: &self.state.typing,
            },
            marks: &self.state.marks,
            needles: self.needles,
            folder: self.script.file.parent().map_or_else(PathBuf::new, Path::to_path_buf),
        }
    }

    /// What keeps a step from being played on these engines or this host.
    fn unmet(&self, step: &Step) -> Option<String> {
        let holds = |need: &Need| match need {
            Need::Engine(engine, guest) => {
                let engines = self.harness.status().engines;
                let mut guests = self
                    .harness
                    .guests()
                    .iter()
                    .zip(engines)
                    .filter(|(name, _)| guest.as_ref().is_none_or(|guest| guest == *name));
                guests.all(|(_, on)| on.is_some_and(|on| on.name() == engine))
            }
            Need::HostKvm => open_kvm().is_ok(),
            Need::HostQemu => qemu().is_some(),
            Need::HostProgram(program) => has_program(program),
        };
        let unmet = step.only_if.iter().find(|one| holds(&one.need) == one.not);
        unmet.map(ToString::to_string)
    }

    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let eyes = self.eyes(step);
        let hands = &eyes.hands;
        self.foretell(step);
        let mut said = None;
        match &step.action {
            Action::Strokes(strokes) => hands.strokes(strokes)?,
            Action::Press(key) => hands.press(*key)?,
            Action::Release(key) => hands.release(*key),
            Action::Move(place) => hands.point(place)?,
            Action::Click(place, button) => hands.click(place, *button)?,
            Action::ClickNeedle(name, guest, button) => {
                said = Some(words(step, &eyes.click_needle(name, guest.as_deref(), *button)?));
            }
            Action::Drag(from, to) => hands.drag(from, to)?,
            Action::Wheel(vertical, horizontal) => hands.wheel(*vertical, *horizontal)?,
            Action::Exchange(exchange, guest) => hands.exchange(*exchange, hands.guest(guest)?)?,
            Action::ReleaseText => hands.release_text()?,
            Action::Question => hands.question()?,
            Action::Answer(yes) => hands.answer(*yes)?,
            Action::Sak => hands.sak()?,
            Action::Lock => hands.lock()?,
            Action::Switch(guest) => {
                let guest = hands.guest(guest)?;
                hands.switch(guest)?;
                // From here on every frame must name it, until the user acts again.
                let only = u8::try_from(guest).map(|guest| Recipient::Guest(GuestId(guest)));
                only.into_iter().for_each(|only| self.oracle.only(only));
            }
            Action::Layout(layout) => hands.layout(*layout)?,
            Action::Manage(manage, guest) => hands.manage(*manage, hands.guest(guest)?)?,
            Action::WaitFor(condition) => {
                eyes.wait_for(condition)?;
                said = seen(step, &eyes, condition);
            }
            Action::Expect(condition) => {
                eyes.expect(condition)?;
                said = seen(step, &eyes, condition);
            }
            Action::Shot(file, guest) => self.shot(&eyes, file, guest.as_ref())?,
            Action::Kill(guest) => self.kill(hands.guest(guest)?)?,
            Action::Save(guest, name) => {
                self.snapshots.save(hands, self.script, hands.guest(guest)?, name)?;
            }
            Action::From { guest, name, .. } => {
                self.snapshots.from(hands, self.script, hands.guest(guest)?, name)?;
            }
            Action::Hold(hold) => self.harness.hold(*hold),
            Action::Resize(size, scale) => {
                self.harness.resize(self.state.screen, *size, *scale);
                hands.sized(self.state.screen, *size, *scale)?;
            }
            Action::AddScreen(size, scale) => {
                let output = self.free_screen()?;
                self.harness.add_output(output, *size, *scale);
                hands.sized(output, *size, *scale)?;
            }
            Action::RemoveScreen(index) => self.harness.remove_output(OutputId(*index)),
            Action::Echo(text) => said = Some(one_line(text)),
            Action::OnScreen(index) => self.state.screen = OutputId(*index),
            Action::Mark => self.state.marks = eyes.mark(),
        }
        self.state.said.extend(said);
        Ok(())
    }

    /// Tells the oracle what the step may change: looking changes nothing.
    fn foretell(&self, step: &Step) {
        match &step.action {
            Action::WaitFor(_)
            | Action::Expect(_)
            | Action::Shot(..)
            | Action::Echo(_)
            | Action::OnScreen(_)
            | Action::Mark
            | Action::Save(..)
            | Action::From { first: true, .. }
            | Action::Kill(_) => {}
            Action::Sak | Action::Switch(_) if !step.now => self.oracle.asked(),
            _ => self.oracle.may_switch(),
        }
    }

    fn shot(&self, eyes: &Eyes<'_>, file: &Path, guest: Option<&String>) -> Result<(), String> {
        let rect = guest.map(|name| eyes.rect(&Region::Guest(name.clone()))).transpose()?;
        let snapshot = eyes.hands.snapshot()?;
        let picture = match rect {
            Some(rect) => diff::crop(&snapshot.frame, rect),
            None => snapshot.frame,
        };
        self.write(file, &picture).map(|_| ())
    }

    fn kill(&self, guest: usize) -> Result<(), String> {
        let status = self.harness.status();
        let process = status.guests.get(guest).and_then(|(_, process)| *process);
        let pid = process
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .ok_or("It has no process to kill; wait-for running before")?;
        kill_process(pid, Signal::KILL).map_err(|error| format!("Cannot kill its process: {error}"))
    }

    fn free_screen(&self) -> Result<OutputId, String> {
        (0..u8::MAX)
            .map(OutputId)
            .find(|output| self.harness.snapshot(*output).is_none())
            .ok_or_else(|| "There is no number left for a screen".to_owned())
    }

    /// Writes what shows why a step failed, and says where.
    fn failed(&self, step: &Step, failure: &Failure) -> Fate {
        let mut details = String::new();
        let mut note = |line: String| {
            details.push_str("  ");
            details.push_str(&line);
            details.push('\n');
        };
        let actual =
            self.harness.snapshot(self.state.screen).map(|snapshot| ("actual", snapshot.frame));
        for (what, picture) in actual.iter().chain(&failure.pictures) {
            let file = PathBuf::from(format!("fail-{}-{what}.png", step.line));
            match self.write(&file, picture) {
                Ok(path) => note(format!("{what}: {}", path.display())),
                Err(error) => note(error),
            }
        }
        let eyes = self.eyes(step);
        for (index, name) in self.harness.guests().iter().enumerate() {
            let tail = eyes.serial_tail(index);
            if !tail.is_empty() {
                note(format!("{name} printed last ({}):", serial_log(self.logs, name).display()));
                tail.lines().for_each(|line| note(format!("  {line}")));
            }
        }
        Fate::Failed { cause: one_line(&failure.cause), details }
    }

    fn write(&self, file: &Path, picture: &Frame) -> Result<PathBuf, String> {
        let path = self.out.join(file);
        let folder = path.parent().unwrap_or(self.out);
        std::fs::create_dir_all(folder)
            .map_err(|error| format!("Cannot make the folder {}: {error}", folder.display()))?;
        write_png(&path, picture).map_err(|error| chain(&error))?;
        Ok(path)
    }
}

/// Whether a program of this name is on the path.
fn has_program(name: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| folder.join(name).is_file())
}

/// Which needle it was: several may have the name.
fn seen(step: &Step, eyes: &Eyes<'_>, condition: &Condition) -> Option<String> {
    let Condition::Needle { name, guest } = condition else { return None };
    let sighting = eyes.needle(name, guest.as_deref()).ok()?;
    Some(words(step, &sighting))
}

fn words(step: &Step, sighting: &Sighting) -> String {
    format!("line {}: {}", step.line, one_line(&sighting.words))
}
