//! The text of a script as lines to be parsed: files that it includes, parts that it repeats,
//! parts that only some engines or hosts play, and the variables in its words.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fault::Fault;
use super::token::{self, Word};

/// Files that include each other.
const MAX_DEPTH: usize = 8;
/// Lines of a script, with all that it includes and repeats.
const MAX_LINES: usize = 100_000;
/// A longer file is no script.
const MAX_FILE_BYTES: u64 = 1024 * 1024;
/// The variable that counts the rounds of a `repeat`.
const ROUND: &str = "round";

/// What a part of a script needs to be played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnlyIf {
    /// Whether it must not hold.
    pub(crate) not: bool,
    /// What must hold.
    pub(crate) need: Need,
}

/// What an engine or a host may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Need {
    /// Every guest, or this one, runs on this engine.
    Engine(String, Option<String>),
    /// The host has a KVM that can be used.
    HostKvm,
    /// The host has a QEMU that can be an engine.
    HostQemu,
    /// The host has this program.
    HostProgram(String),
}

impl std::fmt::Display for OnlyIf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let not = if self.not { "not " } else { "" };
        match &self.need {
            Need::Engine(engine, None) => write!(f, "only if {not}every guest is on {engine}"),
            Need::Engine(engine, Some(guest)) => write!(f, "only if {guest} is {not}on {engine}"),
            Need::HostKvm => write!(f, "only if the host has {not}KVM"),
            Need::HostQemu => write!(f, "only if the host has {not}QEMU"),
            Need::HostProgram(program) => write!(f, "only if the host has {not}{program}"),
        }
    }
}

/// A line that is to be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// The file that it is in, if that is not the script itself.
    pub(crate) file: Option<Arc<Path>>,
    /// Its number, from 1.
    pub(crate) number: usize,
    /// As it was written, without outer spaces.
    pub(crate) text: String,
    /// Its words, with the values of variables.
    pub(crate) words: Vec<Word>,
    /// What must hold for it to be played.
    pub(crate) only_if: Vec<OnlyIf>,
}

/// Values of variables, by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// Reads lines, and says what is wrong with others; `file` is that of the script, and `given` goes before the environment, which goes
/// before what the script sets.
pub(crate) fn lines(text: &str, file: &Path, given: &Variables) -> (Vec<Line>, Vec<Fault>) {
    let mut reader = Reader {
        given,
        set: Variables::new(),
        lines: Vec::new(),
        faults: Vec::new(),
        only_if: Vec::new(),
        open: vec![file.to_path_buf()],
    };
    let all: Vec<(usize, &str)> = numbered(text);
    reader.block(&all, None);
    (reader.lines, reader.faults)
}

/// Reads the text of a script.
pub(crate) fn read(file: &Path) -> Result<String, String> {
    let next = "Check its path. A script is UTF-8 text of at most 1 MiB";
    crate::session::file_text(file, MAX_FILE_BYTES)
        .map_err(|error| format!("Cannot read the script: {error}. {next}"))
}

fn numbered(text: &str) -> Vec<(usize, &str)> {
    // Some editors put a byte-order mark before the text.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines().enumerate().map(|(index, line)| (index + 1, line)).collect()
}

struct Reader<'g> {
    given: &'g Variables,
    set: Variables,
    lines: Vec<Line>,
    faults: Vec<Fault>,
    only_if: Vec<OnlyIf>,
    /// The script, and the files that are being included, the innermost last.
    open: Vec<PathBuf>,
}

impl Reader<'_> {
    fn block(&mut self, lines: &[(usize, &str)], file: Option<&Arc<Path>>) {
        let mut rest = lines;
        while let Some(((number, text), after)) = rest.split_first() {
            rest = after;
            match self.line(*number, text, after, file) {
                Ok(taken) => rest = after.get(taken..).unwrap_or_default(),
                Err(cause) => {
                    // The fault of a block that cannot be begun is one, not one more at its end.
                    if begins_block(text) {
                        rest = body(after)
                            .map_or(rest, |body| after.get(body.len() + 1..).unwrap_or_default());
                    }
                    self.fault(*number, file, cause);
                }
            }
        }
    }

    fn fault(&mut self, line: usize, file: Option<&Arc<Path>>, cause: String) {
        // A repeated line has its faults once.
        let fault = Fault { file: file.map(|file| file.to_path_buf()), line, cause };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
    }

    /// Reads a line; says how many of those after it belong to it.
    fn line(
        &mut self,
        number: usize,
        text: &str,
        after: &[(usize, &str)],
        file: Option<&Arc<Path>>,
    ) -> Result<usize, String> {
        let mut words = token::words(text)?;
        for word in &mut words {
            self.fill(word)?;
        }
        let command = words.first().filter(|word| !word.quoted).map(|word| word.text.clone());
        let rest = words.get(1..).unwrap_or_default();
        match command.as_deref() {
            Some("end") => Err("There is nothing to end; it ends repeat or only-if".to_owned()),
            Some("repeat") => {
                let body = body(after)?;
                let rounds = match rest {
                    [number] => number.text.parse::<usize>().ok(),
                    _ => None,
                };
                let rounds = rounds
                    .filter(|rounds| (1..=10_000).contains(rounds))
                    .ok_or("Write how often, from 1 to 10000, such as: repeat 3")?;
                let outer = self.set.get(ROUND).cloned();
                for round in 1..=rounds {
                    self.set.insert(ROUND.to_owned(), round.to_string());
                    self.block(body, file);
                    if !self.faults.is_empty() {
                        break;
                    }
                }
                match outer {
                    Some(outer) => self.set.insert(ROUND.to_owned(), outer),
                    None => self.set.remove(ROUND),
                };
                Ok(body.len() + 1)
            }
            Some("only-if") => {
                let body = body(after)?;
                let need = only_if(rest)?;
                self.only_if.push(need);
                self.block(body, file);
                self.only_if.pop();
                Ok(body.len() + 1)
            }
            Some("include") => self.include(rest).map(|()| 0),
            Some("set") => {
                let [name, value] = rest else {
                    return Err("Write a name and a value, such as: set USER \"guest\"".to_owned());
                };
                check_name(&name.text)?;
                self.set.insert(name.text.clone(), value.text.clone());
                Ok(0)
            }
            _ if words.is_empty() => Ok(0),
            _ => {
                if self.lines.len() >= MAX_LINES {
                    return Err(format!(
                        "With all that it includes and repeats a script has at most {MAX_LINES} lines"
                    ));
                }
                self.lines.push(Line {
                    file: file.cloned(),
                    number,
                    text: text.trim().to_owned(),
                    words,
                    only_if: self.only_if.clone(),
                });
                Ok(0)
            }
        }
    }

    fn include(&mut self, words: &[Word]) -> Result<(), String> {
        let [path] = words else {
            return Err("Write the path of one script, such as: include login.tabard".to_owned());
        };
        let base = self.open.last().and_then(|open| open.parent()).unwrap_or(Path::new(""));
        let path = base.join(&path.text);
        if self.open.contains(&path) {
            return Err(format!("{} includes itself; leave one of the two out", path.display()));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(format!("Files that include each other are at most {MAX_DEPTH} deep"));
        }
        let text = read(&path).map_err(|why| {
            format!("{}: {why}. Its path starts from the folder of this file", path.display())
        })?;
        let included: Arc<Path> = Arc::from(path.as_path());
        self.open.push(path);
        self.block(&numbered(&text), Some(&included));
        self.open.pop();
        Ok(())
    }

    /// Puts the values of variables into a word: `${NAME}`, and `$${` for a plain `${`.
    fn fill(&self, word: &mut Word) -> Result<(), String> {
        if !word.text.contains("${") {
            return Ok(());
        }
        let mut filled = String::new();
        let mut rest = word.text.as_str();
        while let Some((before, after)) = rest.split_once("${") {
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = after;
                continue;
            }
            filled.push_str(before);
            let (name, after) = after
                .split_once('}')
                .ok_or("A variable is written ${NAME}; close it, or write $${ for a plain ${")?;
            check_name(name)?;
            filled.push_str(&self.value(name)?);
            rest = after;
        }
        filled.push_str(rest);
        word.text = filled;
        Ok(())
    }

    fn value(&self, name: &str) -> Result<String, String> {
        if name == ROUND
            && let Some(round) = self.set.get(ROUND)
        {
            return Ok(round.clone());
        }
        if let Some(value) = self.given.get(name) {
            return Ok(value.clone());
        }
        if let Ok(value) = std::env::var(name) {
            return Ok(value);
        }
        self.set.get(name).cloned().ok_or_else(|| {
            format!(
                "There is no variable {name}. Give it by --set {name}=VALUE or in the environment, or write above: set {name} \"VALUE\""
            )
        })
    }
}

/// Whether this may be the name of a variable.
pub(crate) fn check_name(name: &str) -> Result<(), String> {
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let digit = name.starts_with(|first: char| first.is_ascii_digit());
    if name.is_empty() || !plain || digit {
        return Err(format!("{name:?} is no name of a variable; it has letters, digits and _"));
    }
    Ok(())
}

fn begins_block(text: &str) -> bool {
    let first = text.split_whitespace().next();
    matches!(first, Some("repeat" | "only-if"))
}

/// The lines before the `end` of a block.
fn body<'l>(after: &'l [(usize, &'l str)]) -> Result<&'l [(usize, &'l str)], String> {
    let mut depth = 0_usize;
    for (index, (_, text)) in after.iter().enumerate() {
        if begins_block(text) {
            depth += 1;
        } else if text.split_whitespace().next() == Some("end") {
            if depth == 0 {
                return after.get(..index).ok_or_else(String::new);
            }
            depth -= 1;
        }
    }
    Err("It is never ended; write end on a line of its own after the steps".to_owned())
}

fn only_if(words: &[Word]) -> Result<OnlyIf, String> {
    let words: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
    let (not, words) = match words.split_first() {
        Some((&"not", rest)) => (true, rest),
        _ => (false, words.as_slice()),
    };
    let need = match words {
        ["engine", engine @ ("kvm" | "qemu")] => Need::Engine((*engine).to_owned(), None),
        ["engine", engine @ ("kvm" | "qemu"), guest] => {
            Need::Engine((*engine).to_owned(), Some((*guest).to_owned()))
        }
        ["host", "kvm"] => Need::HostKvm,
        ["host", "qemu"] => Need::HostQemu,
        ["host", program] => Need::HostProgram((*program).to_owned()),
        _ => {
            return Err(
                "Write what must hold: engine kvm or engine qemu, with a guest or for all; \
                        host kvm, host qemu or host PROGRAM; or not before it"
                    .to_owned(),
            );
        }
    };
    Ok(OnlyIf { not, need })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(text: &str, given: &[(&str, &str)]) -> Vec<String> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let lines = lines(text, Path::new("s"), &given.collect()).0;
        let words = |line: &Line| {
            line.words.iter().map(|word| word.text.clone()).collect::<Vec<_>>().join(" ")
        };
        lines.iter().map(words).collect()
    }

    fn fault(text: &str) -> (usize, String) {
        let mut faults = lines(text, Path::new("s"), &Variables::new()).1;
        assert_eq!(faults.len(), 1, "{faults:?}");
        let fault = faults.remove(0);
        (fault.line, fault.cause)
    }

    #[test]
    fn a_part_is_repeated_and_counts_its_rounds() {
        let text = "mark\nrepeat 2\necho \"a${round}\"\nrepeat 2\nkey ${round}\nend\necho \"b${round}\"\nend\nsak";
        assert_eq!(
            texts(text, &[]),
            [
                "mark", "echo a1", "key 1", "key 2", "echo b1", "echo a2", "key 1", "key 2",
                "echo b2", "sak"
            ]
        );
    }

    #[test]
    fn the_command_line_goes_before_what_a_script_sets() {
        let text = "set WHO \"some body\"\ntype \"${WHO}!\"\nkey $${WHO}";
        assert_eq!(texts(text, &[]), ["type some body!", "key ${WHO}"]);
        assert_eq!(texts(text, &[("WHO", "me")]), ["type me!", "key ${WHO}"]);
    }

    #[test]
    fn a_value_with_spaces_stays_one_word() {
        let given = Variables::from([("A".to_owned(), "x y\" # z".to_owned())]);
        let line = lines("switch ${A}", Path::new("s"), &given).0.remove(0);
        assert_eq!(line.words[1], Word { text: "x y\" # z".to_owned(), quoted: false });
    }

    #[test]
    fn only_if_marks_the_lines_in_it() {
        let text = "only-if engine kvm\nsak\nonly-if not host tesseract\nmark\nend\nend\nlock";
        let lines = lines(text, Path::new("s"), &Variables::new()).0;
        let counts: Vec<usize> = lines.iter().map(|line| line.only_if.len()).collect();
        assert_eq!(counts, [1, 2, 0]);
        assert_eq!(lines[1].only_if[1].to_string(), "only if the host has not tesseract");
    }

    #[test]
    fn an_included_file_starts_from_its_own_folder_and_keeps_its_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir(path("lib")).unwrap();
        std::fs::write(path("lib/a.tabard"), "sak\ninclude b.tabard\n").unwrap();
        std::fs::write(path("lib/b.tabard"), "\nmark\n").unwrap();
        let lines = lines("include lib/a.tabard\nlock", &path("s"), &Variables::new()).0;
        let places: Vec<_> = lines.iter().map(|line| (line.file.as_deref(), line.number)).collect();
        let (a, b) = (path("lib/a.tabard"), path("lib/b.tabard"));
        assert_eq!(places, [(Some(a.as_path()), 1), (Some(b.as_path()), 2), (None, 2)]);
        std::fs::write(path("lib/b.tabard"), "include a.tabard").unwrap();
        let faults = super::lines("include lib/a.tabard", &path("s"), &Variables::new());
        let faults = faults.1;
        assert_eq!((faults[0].file.as_deref(), faults[0].line), (Some(b.as_path()), 1));
        assert!(faults[0].cause.contains("includes itself"));
    }

    #[test]
    fn what_makes_no_sense_names_its_line() {
        for (text, line, why) in [
            ("sak\nrepeat 2\nsak", 2, "never ended"),
            ("repeat\nbogus ${X}\nend", 1, "how often"),
            ("repeat 0\nend", 1, "how often"),
            ("sak\nend", 2, "nothing to end"),
            ("only-if moon\nsak\nend", 1, "what must hold"),
            ("type \"${TABARD_NO_SUCH}\"", 1, "--set TABARD_NO_SUCH=VALUE"),
            ("type \"${a b}\"", 1, "no name"),
            ("type \"${a\"", 1, "close it"),
            ("set 1a b", 1, "no name"),
            ("set a", 1, "a name and a value"),
            ("include no-such.tabard", 1, "no-such.tabard: Cannot read"),
            ("repeat 10000\nrepeat 10000\nsak\nend\nend", 3, "at most 100000 lines"),
        ] {
            let (at, said) = fault(text);
            assert!(at == line && said.contains(why), "{text}: {at} {said}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(repeat 2|only-if host x|end|\\$\\{|\\}|set a b|\\PC|\n| ){0,40}") {
            let _ = lines(&text, Path::new("s"), &Variables::new());
        }
    }
}
