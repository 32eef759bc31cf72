//! Text read off a guest's picture by a program, tesseract, for what is written in no console's glyphs.
//! It guesses where [`tabard_sight::read_console`] knows, so scripts have another word for it.
//!
//! The picture is hostile: tesseract reads it in the jail of `tabard-ocr`, through files in memory, and
//! what it answers is text of bounded length after bounded time. Nothing else of it comes back.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tabard_display::Frame;
use tabard_sight::page;
use tabard_view::{Rect, Size};

/// The program, and where it is looked for before `PATH` is asked.
const PROGRAM: &str = "tesseract";
const FOLDERS: [&str; 2] = ["/usr/bin", "/usr/local/bin"];
/// What runs it, beside `tabard`.
const JAIL: &str = "tabard-ocr";
/// The language if a script names none.
pub(crate) const LANGUAGE: &str = "eng";
/// Its reading of a page: lines of one block, whatever they stand in, by its newer method.
const METHOD: [&str; 4] = ["--psm", "6", "--oem", "1"];
/// How long it may read; a large page takes seconds.
const LIMIT: Duration = Duration::from_secs(30);
/// What is read of an answer, in bytes; the jail lets it write no more.
const MAX_ANSWER: u64 = 1 << 20;

/// What reads text off pictures.
#[derive(Debug)]
pub(crate) struct Reader {
    jail: PathBuf,
    /// The program that knows letters.
    pub(crate) program: PathBuf,
    /// The folder of what it knows of languages.
    data: PathBuf,
    language: String,
    limit: Duration,
    /// The page that was read last, and what it said: a picture that stays is not read again.
    last: RefCell<Option<Page>>,
}

/// A page in the form that is read, and what was read off it or why nothing was.
#[derive(Debug)]
struct Page {
    picture: Vec<u8>,
    said: Result<String, String>,
}

impl Reader {
    /// The host's reader of a language such as `eng` or `eng+deu`, which has read a page in its jail.
    ///
    /// # Errors
    /// What is missing, and the line that installs it.
    pub(crate) fn find(language: &str) -> Result<Self, String> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = FOLDERS.iter().map(PathBuf::from).chain(std::env::split_paths(&path));
        let program = program(folders, language)?;
        let own = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("tabard"));
        let jail = own.with_file_name(JAIL);
        if !jail.is_file() {
            return Err(format!(
                "There is no {}. Build it with `cargo build --workspace`, or install it beside `tabard`",
                jail.display()
            ));
        }
        let (data, languages) = languages(&program)?;
        let unknown = language.split('+').find(|one| !languages.iter().any(|has| has == one));
        if let Some(unknown) = unknown {
            return Err(format!(
                "{} does not know the language {unknown:?}; {} has: {}. {}",
                program.display(),
                data.display(),
                languages.join(", "),
                install(unknown)
            ));
        }
        let (language, limit) = (language.to_owned(), LIMIT);
        let reader = Self { jail, program, data, language, limit, last: RefCell::default() };
        // Better now than in the middle of a script.
        reader.read(&Frame::new(Size { width: 32, height: 32 }), None)?;
        Ok(reader)
    }

    /// The text of a picture, or of what is in `within`, as it was read.
    ///
    /// # Errors
    /// Why it could not be read.
    pub(crate) fn read(&self, picture: &Frame, within: Option<Rect>) -> Result<String, String> {
        let page = page(picture, within);
        if let Some(last) = &*self.last.borrow()
            && last.picture == page
        {
            return last.said.clone();
        }
        let said = self.read_page(&page).unwrap_or_else(|error| {
            Err(format!("Cannot read text by {}: {error}", self.jail.display()))
        });
        *self.last.borrow_mut() = Some(Page { picture: page, said: said.clone() });
        said
    }

    fn read_page(&self, page: &[u8]) -> io::Result<Result<String, String>> {
        let mut picture = in_memory("picture")?;
        picture.write_all(page)?;
        picture.rewind()?;
        let (mut answer, mut messages) = (in_memory("answer")?, in_memory("messages")?);
        let mut command = Command::new(&self.jail);
        command.arg(&self.data).arg(&self.program).args(["stdin", "stdout", "--tessdata-dir"]);
        command.arg(&self.data).arg("-l").arg(&self.language).args(METHOD);
        command.stdin(picture).stdout(answer.try_clone()?).stderr(messages.try_clone()?);
        let Some(status) = ended(command.spawn()?, self.limit)? else {
            let limit = self.limit.as_secs();
            return Ok(Err(format!(
                "{} has not read the picture within {limit} s. Name the part that has the text: in X Y W H",
                self.program.display()
            )));
        };
        if !status.success() {
            let said = contents(&mut messages)?;
            let last = said.lines().last().unwrap_or("it says nothing");
            return Ok(Err(format!("{} ended with {status}: {last}", self.program.display())));
        }
        Ok(Ok(contents(&mut answer)?))
    }
}

/// The first in these folders; which of `PATH` are relative means another in each folder.
fn program(mut folders: impl Iterator<Item = PathBuf>, language: &str) -> Result<PathBuf, String> {
    let there = |folder: PathBuf| {
        Some(folder.join(PROGRAM)).filter(|program| folder.is_absolute() && program.is_file())
    };
    folders.find_map(there).ok_or_else(|| {
        format!(
            "To read text by OCR, this host needs {PROGRAM}, and has none. {}",
            install(language)
        )
    })
}

/// The line that installs it with a language; other systems have packages of similar names.
fn install(language: &str) -> String {
    let codes = language.split('+').map(|code| code.replace('_', "-"));
    let packages: String = codes.map(|code| format!(" tesseract-ocr-{code}")).collect();
    format!(
        "Run `sudo apt-get install tesseract-ocr{packages}`, or install tesseract 5 and its data"
    )
}

/// The folder that a tesseract has its data in, and the languages that it knows.
fn languages(program: &Path) -> Result<(PathBuf, Vec<String>), String> {
    let output = Command::new(program).arg("--list-langs").output();
    let output = output.map_err(|error| format!("Cannot run {}: {error}", program.display()))?;
    listed(&String::from_utf8_lossy(&output.stdout)).ok_or_else(|| {
        format!("{} --list-langs names no folder: tesseract 5 is needed", program.display())
    })
}

/// Reads such a list: a line that ends with the folder in quotes and a number, then a language a line.
fn listed(text: &str) -> Option<(PathBuf, Vec<String>)> {
    let mut lines = text.lines();
    let folder = lines.next()?.split('"').nth(1)?;
    let languages = lines.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned);
    Some((PathBuf::from(folder), languages.collect()))
}

fn in_memory(name: &str) -> io::Result<File> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?.into())
}

fn contents(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MAX_ANSWER).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How a process ended within its time; `None` if it had to be killed.
fn ended(mut child: Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let handle = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut fds = [PollFd::new(&handle, PollFlags::IN)];
    let in_time = poll(&mut fds, Some(&limit));
    if !matches!(in_time, Ok(1)) {
        child.kill()?;
        child.wait()?;
        in_time?;
        return Ok(None);
    }
    child.wait().map(Some)
}

/// A text with one space for all that is blank: how letters stand, OCR does not know.
pub(crate) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_languages_has_their_folder() {
        let text = "List of available languages in \"/usr/share/tesseract-ocr/5/tessdata/\" (2):\neng\nosd\n";
        let (folder, languages) = listed(text).unwrap();
        assert_eq!(folder, Path::new("/usr/share/tesseract-ocr/5/tessdata/"));
        assert_eq!(languages, ["eng", "osd"]);
        assert_eq!(listed("List of available languages (2):\neng\n"), None);
        assert_eq!(listed(""), None);
    }

    #[test]
    fn a_host_without_it_is_told_the_line_that_installs_it() {
        let folder = tempfile::tempdir().unwrap();
        let folders = || [PathBuf::from("."), folder.path().to_path_buf()].into_iter();
        let said = program(folders(), "eng").unwrap_err();
        assert!(said.contains("tesseract, and has none"), "{said}");
        assert!(said.contains("sudo apt-get install tesseract-ocr tesseract-ocr-eng"), "{said}");
        std::fs::write(folder.path().join(PROGRAM), "").unwrap();
        assert_eq!(program(folders(), "eng").unwrap(), folder.path().join(PROGRAM));
    }

    #[test]
    fn the_line_that_installs_has_every_language() {
        let line = install("eng+chi_sim");
        assert!(line.contains("tesseract-ocr tesseract-ocr-eng tesseract-ocr-chi-sim"), "{line}");
    }

    #[test]
    fn one_space_stands_for_all_that_is_blank() {
        assert_eq!(words(" a  b\n\n c\n"), "a b c");
    }

    #[test]
    fn a_process_that_does_not_end_is_ended() {
        let child = Command::new("/bin/sleep").arg("1000").spawn().unwrap();
        assert!(ended(child, Duration::from_millis(20)).unwrap().is_none());
        let child = Command::new("/bin/false").spawn().unwrap();
        let status = ended(child, Duration::from_secs(60)).unwrap().unwrap();
        assert_eq!(status.code(), Some(1));
    }
}
