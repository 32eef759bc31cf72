//! Serves a session: one thread reads the port, one looks at the clipboard, one takes questions.
//! The port has one writer at a time, and a question waits for the answer to the one before it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tabard_agent_wire::{FromGuest, MAX_QUESTION_CHARS, NONCE_BYTES, Stream, ToGuest};

use crate::ask::MAX_QUESTION_BYTES;
use crate::clipboard::Clipboard;

/// How often the clipboard is looked at: neither protocol tells a program without a window.
const LOOK: Duration = Duration::from_millis(500);
/// A pause is at least so many times as long as the look before it, so that a slow machine has time
/// for other things.
const PAUSE_LOOKS: u32 = 4;
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Time between two looks for a text that was just put onto the clipboard.
const SETTLE: Duration = Duration::from_millis(20);
/// How many such looks.
const SETTLE_LOOKS: u32 = 25;
/// Bytes read from the port at once.
const CHUNK_BYTES: usize = 4096;

/// What the threads share.
struct Shared {
    /// Whole frames only, one writer at a time.
    port: Mutex<File>,
    clipboard: Clipboard,
    /// The text that was offered or given last: it is not offered again.
    known: Mutex<Option<String>>,
}

/// An answer, for the program that asked.
struct Reply {
    id: u32,
    words: String,
}

/// Serves until the port ends, and says why it did. The threads that it started end with the
/// process.
pub(crate) fn serve(port: File, clipboard: Clipboard, questions: UnixListener) -> io::Error {
    let reader = match port.try_clone() {
        Ok(reader) => reader,
        Err(error) => return error,
    };
    let known = Mutex::new(clipboard.paste().filter(|text| !text.is_empty()));
    let shared = Arc::new(Shared { port: Mutex::new(port), clipboard, known });
    let (answers, replies) = sync_channel(1);
    let looker = Arc::clone(&shared);
    thread::spawn(move || look(&looker));
    let asker = Arc::clone(&shared);
    thread::spawn(move || take_questions(&questions, &asker, &replies));
    match read(reader, &shared, &answers) {
        Err(error) => error,
        Ok(()) => io::ErrorKind::UnexpectedEof.into(),
    }
}

/// A thread that broke held nothing that could be half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(mut port: File, shared: &Shared, answers: &SyncSender<Reply>) -> io::Result<()> {
    let mut stream = Stream::default();
    let mut chunk = [0; CHUNK_BYTES];
    loop {
        let length = match port.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        stream.push(chunk.get(..length).unwrap_or_default());
        while let Some(frame) = stream.next_frame().map_err(io::Error::other)? {
            heard(&frame, shared, answers);
        }
    }
}

fn heard(frame: &[u8], shared: &Shared, answers: &SyncSender<Reply>) {
    let reply = match ToGuest::decode(frame) {
        Ok(ToGuest::Give(text)) => {
            // Held until it is on the clipboard: nobody looks in between.
            let mut known = lock(&shared.known);
            *known = Some(text.to_owned());
            if let Err(error) = put(&shared.clipboard, text) {
                eprintln!("tabard-agent: cannot put what was given onto the clipboard: {error}");
            }
            return;
        }
        Ok(ToGuest::Answer { id, statement, .. }) => Reply { id, words: statement.to_owned() },
        Ok(ToGuest::Refused { id, why }) => Reply { id, words: format!("refused: {why:?}\n") },
        Err(error) => {
            eprintln!("tabard-agent: {error}");
            return;
        }
    };
    // Without a program that waits there is nobody to tell; one reply is kept, no more.
    let _ = answers.try_send(reply);
}

/// Puts a text onto the clipboard, again where the display server refuses, as one does that is just
/// beginning. Then waits until the clipboard has it: the program that holds it may end before the
/// server has heard, and what was there before would pass for something new.
fn put(clipboard: &Clipboard, text: &str) -> io::Result<()> {
    let mut copied = clipboard.copy(text);
    for _ in 0..SETTLE_LOOKS {
        if copied.is_ok() && clipboard.paste().as_deref() == Some(text) {
            break;
        }
        thread::sleep(SETTLE);
        if copied.is_err() {
            copied = clipboard.copy(text);
        }
    }
    copied
}

/// Offers what is copied, and nothing any more once it is gone: what the user takes is what a paste
/// in the guest would give.
fn look(shared: &Shared) {
    loop {
        let mut known = lock(&shared.known);
        let begin = Instant::now();
        let text = shared.clipboard.paste().filter(|text| !text.is_empty());
        if text != *known {
            let offer = FromGuest::Offer(text.as_deref().unwrap_or_default()).encode();
            let sent = lock(&shared.port).write_all(&offer);
            *known = text;
            if sent.is_err() {
                return;
            }
        }
        drop(known);
        thread::sleep((begin.elapsed() * PAUSE_LOOKS).clamp(LOOK, LONGEST_PAUSE));
    }
}

/// Takes questions one after the other: the user sees one at a time too.
fn take_questions(listener: &UnixListener, shared: &Shared, replies: &Receiver<Reply>) {
    let mut id = 0u32;
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        id = id.wrapping_add(1);
        let words = match question(&stream) {
            Ok((text, nonce)) => {
                let frame = FromGuest::Ask { id, nonce, text: &text }.encode();
                if lock(&shared.port).write_all(&frame).is_err() {
                    return;
                }
                // An answer to a question whose program has given up comes late; it is no other's.
                replies.iter().find(|reply| reply.id == id).map(|reply| reply.words)
            }
            Err(error) => Some(format!("refused: {error}\n")),
        };
        let Some(words) = words else { return };
        // The program may have stopped waiting.
        let _ = stream.write_all(words.as_bytes());
    }
}

/// The text of a question, and a nonce for it.
fn question(stream: impl Read) -> io::Result<(String, [u8; NONCE_BYTES])> {
    let mut text = String::new();
    stream.take(MAX_QUESTION_BYTES).read_to_string(&mut text)?;
    if !(1..=MAX_QUESTION_CHARS).contains(&text.chars().count()) {
        let words = format!("a question has 1 to {MAX_QUESTION_CHARS} characters");
        return Err(io::Error::other(words));
    }
    let mut nonce = [0; NONCE_BYTES];
    File::open("/dev/urandom")?.read_exact(&mut nonce)?;
    Ok((text, nonce))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ask;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;
    use std::path::Path;
    use tabard_agent_wire::Answer;

    /// An agent on one end of a socket, with a file for a clipboard.
    struct Guest {
        tabard: UnixStream,
        folder: tempfile::TempDir,
        stream: Stream,
    }

    impl Guest {
        fn new() -> Self {
            let (tabard, port) = UnixStream::pair().unwrap();
            tabard.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("clipboard");
            std::fs::write(&file, "before").unwrap();
            // Whole texts only, as a clipboard has them: written aside, then moved into place.
            let script = folder.path().join("copy");
            let aside = folder.path().join("aside");
            let lines = format!("cat > {0}$$ && mv {0}$$ {1}", aside.display(), file.display());
            std::fs::write(&script, lines).unwrap();
            let clipboard = Clipboard::new(
                &format!("sh {}", script.display()),
                &format!("cat {}", file.display()),
            );
            let questions = ask::listen(&folder.path().join("socket")).unwrap();
            let port = File::from(OwnedFd::from(port));
            thread::spawn(move || serve(port, clipboard, questions));
            Self { tabard, folder, stream: Stream::default() }
        }

        /// One that was given a text: it has seen by then what was there at its start.
        fn given() -> Self {
            let mut guest = Self::new();
            guest.tabard.write_all(&ToGuest::Give("given").encode()).unwrap();
            let clipboard = guest.clipboard();
            let given = || std::fs::read_to_string(&clipboard).is_ok_and(|text| text == "given");
            until("the gift", given);
            guest
        }

        fn copy(&self, text: &str) {
            let program = format!("sh {}", self.folder.path().join("copy").display());
            Clipboard::new(&program, "").copy(text).unwrap();
        }

        fn clipboard(&self) -> std::path::PathBuf {
            self.folder.path().join("clipboard")
        }

        /// The next frame of the agent.
        fn frame(&mut self) -> Vec<u8> {
            let mut chunk = [0; 4096];
            loop {
                if let Some(frame) = self.stream.next_frame().unwrap() {
                    return frame;
                }
                match self.tabard.read(&mut chunk) {
                    // With a timeout, a signal of any kind ends it.
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    length => self.stream.push(&chunk[..length.unwrap()]),
                }
            }
        }
    }

    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < Duration::from_secs(20), "never came: {what}");
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn what_is_copied_is_offered_and_what_is_given_is_not_offered_back() {
        let mut guest = Guest::given();
        guest.copy("copied");
        assert_eq!(FromGuest::decode(&guest.frame()), Ok(FromGuest::Offer("copied")));
    }

    #[test]
    fn what_is_given_while_the_display_server_refuses_is_put_there_later() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("clipboard");
        // The first program finds the server closed; it leaves word, and the second finds it open.
        let script = folder.path().join("copy");
        let lines = format!(
            "mkdir {0}/open 2>/dev/null && exit 1\ncat > {0}/clipboard",
            folder.path().display()
        );
        std::fs::write(&script, lines).unwrap();
        let copy = format!("sh {}", script.display());
        let clipboard = Clipboard::new(&copy, &format!("cat {}", file.display()));

        put(&clipboard, "given").unwrap();

        assert_eq!(std::fs::read_to_string(&file).unwrap(), "given");
    }

    fn asked(socket: &Path, text: &str) -> thread::JoinHandle<std::process::ExitCode> {
        let (socket, text) = (socket.to_owned(), text.to_owned());
        thread::spawn(move || ask::ask(&socket, &text))
    }

    #[test]
    fn what_is_gone_or_too_long_is_not_offered_any_more() {
        let mut guest = Guest::given();
        guest.copy("copied");
        assert_eq!(FromGuest::decode(&guest.frame()), Ok(FromGuest::Offer("copied")));
        guest.copy(&"x".repeat(65_537));
        assert_eq!(FromGuest::decode(&guest.frame()), Ok(FromGuest::Offer("")));
        guest.copy("copied");
        assert_eq!(FromGuest::decode(&guest.frame()), Ok(FromGuest::Offer("copied")));
        std::fs::remove_file(guest.clipboard()).unwrap();
        assert_eq!(FromGuest::decode(&guest.frame()), Ok(FromGuest::Offer("")));
    }

    #[test]
    fn a_question_gets_the_answer_to_itself() {
        let mut guest = Guest::new();
        let socket = guest.folder.path().join("socket");
        let program = asked(&socket, "Sure?");
        let frame = guest.frame();
        let Ok(FromGuest::Ask { id, text: "Sure?", .. }) = FromGuest::decode(&frame) else {
            panic!("{frame:?}")
        };
        let answer = ToGuest::Answer { id, answer: Answer::No, statement: "answer: no\n" };
        guest.tabard.write_all(&answer.encode()).unwrap();
        assert_eq!(program.join().unwrap(), std::process::ExitCode::from(1));
    }

    #[test]
    fn a_question_that_is_too_long_is_refused_here() {
        let guest = Guest::new();
        let program = asked(&guest.folder.path().join("socket"), &"x".repeat(201));
        assert_eq!(program.join().unwrap(), std::process::ExitCode::from(2));
    }
}
