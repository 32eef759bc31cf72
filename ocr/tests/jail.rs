//! What a reader that was taken over can do: nothing of each of these. Every try is made outside the
//! jail too, where it is not refused, so that none is refused for another reason.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `SIGXFSZ` and `SIGABRT`.
const TOO_LONG: i32 = 25;
const ABORTED: i32 = 6;

fn jail() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_tabard-ocr"))
}

/// A folder that everyone may enter, as that of a reader's data.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

/// The program that tries, an example of this package, where every user may run it.
struct Reader {
    _folder: tempfile::TempDir,
    program: PathBuf,
}

impl Reader {
    fn new() -> Self {
        let built = jail().with_file_name("examples").join("reader");
        let folder = folder();
        let program = folder.path().join("reader");
        std::fs::copy(built, &program).unwrap();
        Self { _folder: folder, program }
    }

    fn in_jail(&self, data: &Path, words: &[&str]) -> Output {
        self.jailed(data).args(words).output().unwrap()
    }

    fn jailed(&self, data: &Path) -> Command {
        let mut command = Command::new(jail());
        command.arg(data).arg(&self.program);
        command
    }
}

fn said(output: &Output) -> String {
    let text = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

#[test]
fn what_a_reader_does_not_need_is_refused() {
    let (data, other, reader) = (folder(), folder(), Reader::new());
    let secret = other.path().join("secret");
    std::fs::write(&secret, "secret").unwrap();
    let new = |folder: &Path| folder.join("new").display().to_string();
    let secret = secret.display().to_string();
    for words in [
        &["read", &secret][..],
        &["read", "/etc/passwd"],
        &["read", "/proc/self/maps"],
        &["write", &new(other.path())],
        &["write", &new(data.path())],
        &["network"],
        &["socket"],
        &["process"],
        &["thread"],
        &["signal", &std::process::id().to_string()],
        &["memory"],
    ] {
        let outside = Command::new(&reader.program).args(words).output().unwrap();
        assert!(said(&outside).starts_with("did "), "{words:?}: {}", said(&outside));
        let inside = reader.in_jail(data.path(), words);
        assert!(said(&inside).starts_with("refused "), "{words:?}: {}", said(&inside));
    }
    // Outside these end the program, or need privileges.
    for words in [&["run", "/bin/true"][..], &["limit"]] {
        let inside = reader.in_jail(data.path(), words);
        assert!(said(&inside).starts_with("refused "), "{words:?}: {}", said(&inside));
    }
}

#[test]
fn what_a_reader_needs_it_has() {
    let (data, reader) = (folder(), Reader::new());
    let file = data.path().join("eng.traineddata");
    std::fs::write(&file, "letters").unwrap();
    let inside = reader.in_jail(data.path(), &["read", &file.display().to_string()]);
    assert_eq!(said(&inside), "did read\n");
    assert_eq!(reader.in_jail(data.path(), &["abort"]).status.signal(), Some(ABORTED));
}

#[test]
fn an_answer_has_an_end() {
    let data = folder();
    let file = data.path().join("answer");
    let answer = File::create(&file).unwrap();
    let reader = Reader::new();
    let mut command = reader.jailed(data.path());
    assert_eq!(command.arg("answer").stdout(answer).status().unwrap().signal(), Some(TOO_LONG));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 1 << 20);
}

#[test]
fn a_reader_ends_with_the_one_who_started_it() {
    let (data, reader) = (folder(), Reader::new());
    // The shell says who the reader is, and then waits for it for ever.
    let script = "\"$@\" & echo $!; wait";
    let mut shell = Command::new("/bin/sh")
        .args(["-c", script, "sh"])
        .args([jail().as_os_str(), data.path().as_os_str(), reader.program.as_os_str()])
        .arg("spin")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(shell.stdout.as_mut().unwrap()),
        &mut line,
    )
    .unwrap();
    let process = rustix::process::Pid::from_raw(line.trim().parse().unwrap()).unwrap();
    let flags = rustix::process::PidfdFlags::empty();
    let handle = rustix::process::pidfd_open(process, flags).unwrap();
    // It spins once it is inside.
    let name = format!("/proc/{}/comm", process.as_raw_nonzero());
    while std::fs::read_to_string(&name).unwrap() != "reader\n" {
        std::thread::yield_now();
    }
    shell.kill().unwrap();
    shell.wait().unwrap();
    let mut fds = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
    let limit = rustix::event::Timespec { tv_sec: 20, tv_nsec: 0 };
    assert_eq!(rustix::event::poll(&mut fds, Some(&limit)).unwrap(), 1);
}

#[test]
fn what_cannot_be_started_says_why() {
    let usage = Command::new(jail()).output().unwrap();
    assert_eq!(usage.status.code(), Some(125));
    assert!(said(&usage).contains("DATA PROGRAM"), "{}", said(&usage));
    let missing = Command::new(jail()).args(["/", "/no/such/program"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(125));
    assert!(said(&missing).contains("/no/such/program"), "{}", said(&missing));
}
