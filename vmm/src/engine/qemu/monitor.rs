//! QEMU's monitor (QEMU, `docs/interop/qmp-spec.rst`): a line of JSON each way. It tells why the
//! machine ended and when the agent's port is opened; it is told to stop, to go on, to press the
//! power button. What it says is a hostile program's word and decides nothing outside its guest.

use std::os::fd::{BorrowedFd, OwnedFd};

use serde_json::{Value, json};

use super::stream::{self, Read};

/// Longest line; QEMU's longest to us has some hundred bytes.
const MAX_LINE_BYTES: usize = 16 << 10;
/// Most bytes that wait to be sent: a QEMU that does not listen is told nothing more.
const MAX_WAITING_BYTES: usize = 64 << 10;

/// Marks what is answered.
const ASKED: u64 = 1;

/// What QEMU said, as far as it is of use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The guest asked for a reset.
    Reset,
    /// The guest powered off.
    PowerOff,
    /// The guest's kernel said that it panicked.
    Panicked,
    /// The agent's port was opened or closed inside the guest.
    Port(bool),
    /// The processors stand still.
    Stopped,
    /// They run again.
    Resumed,
    /// What was asked for by [`Monitor::ask`] was done, or was not.
    Answered(bool),
    /// QEMU has become what it was given the state of, or could not.
    Arrived(bool),
    /// QEMU refuses something; its words for the messages.
    Refused(String),
}

/// QEMU does not keep to the monitor's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("Monitor says what is no line of its protocol")]
pub struct Broken;

/// The monitor's socket.
pub struct Monitor {
    socket: OwnedFd,
    line: Vec<u8>,
    /// What did not yet fit, with the descriptor that goes with its first byte.
    waiting: Vec<u8>,
}

impl Monitor {
    /// Begins to talk.
    #[must_use]
    pub fn new(socket: OwnedFd) -> Self {
        let mut monitor = Self { socket, line: Vec::new(), waiting: Vec::new() };
        monitor.execute("qmp_capabilities", None);
        monitor
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Asks for something without arguments, or with these.
    pub fn execute(&mut self, what: &str, arguments: Option<Value>) {
        self.say(json!({ "execute": what }), arguments);
    }

    /// Asks for something, and wants to hear whether it was done.
    pub fn ask(&mut self, what: &str, arguments: Value) {
        self.say(json!({ "execute": what, "id": ASKED }), Some(arguments));
    }

    fn say(&mut self, mut command: Value, arguments: Option<Value>) {
        if self.waiting.len() > MAX_WAITING_BYTES {
            return self.flush();
        }
        if let (Some(arguments), Some(map)) = (arguments, command.as_object_mut()) {
            map.insert("arguments".to_owned(), arguments);
        }
        self.waiting.extend(format!("{command}\n").bytes());
        self.flush();
    }

    /// Hands QEMU a descriptor under a name; `false` if it cannot take it now.
    pub fn give(&mut self, name: &str, fd: BorrowedFd<'_>) -> bool {
        self.flush();
        if !self.waiting.is_empty() {
            return false;
        }
        let command = json!({ "execute": "getfd", "arguments": { "fdname": name } });
        let line = format!("{command}\n").into_bytes();
        let sent = stream::write(&self.socket, &line, Some(fd));
        self.waiting.extend(line.get(sent..).unwrap_or_default());
        sent > 0
    }

    fn flush(&mut self) {
        if !self.waiting.is_empty() {
            let sent = stream::write(&self.socket, &self.waiting, None);
            self.waiting.drain(..sent.min(self.waiting.len()));
        }
    }

    /// What has come; `None` once QEMU has closed its end.
    ///
    /// # Errors
    /// `Broken`.
    pub fn hear(&mut self) -> Result<Option<Vec<Said>>, Broken> {
        self.flush();
        let mut said = Vec::new();
        match stream::read(&self.socket) {
            Read::Closed => return Ok(None),
            Read::Nothing => return Ok(Some(said)),
            Read::Bytes(bytes) => self.line.extend(bytes),
        }
        let ends =
            self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at.saturating_add(1));
        let rest = self.line.split_off(ends);
        for line in std::mem::replace(&mut self.line, rest).split_inclusive(|byte| *byte == b'\n') {
            if line.len() > MAX_LINE_BYTES {
                return Err(Broken);
            }
            let value: Value = serde_json::from_slice(line).map_err(|_| Broken)?;
            said.extend(meaning(&value));
            if value.get("id").and_then(Value::as_u64) == Some(ASKED) {
                said.push(Said::Answered(value.get("error").is_none()));
            }
        }
        if self.line.len() > MAX_LINE_BYTES { Err(Broken) } else { Ok(Some(said)) }
    }
}

fn meaning(line: &Value) -> Option<Said> {
    if let Some(error) = line.get("error") {
        let words: String = error.to_string().chars().take(200).collect();
        return Some(Said::Refused(words));
    }
    let data = line.get("data");
    let text = |key: &str| data.and_then(|data| data.get(key)).and_then(Value::as_str);
    match line.get("event").and_then(Value::as_str)? {
        "SHUTDOWN" => match text("reason")? {
            "guest-reset" => Some(Said::Reset),
            "guest-panic" => Some(Said::Panicked),
            _ => Some(Said::PowerOff),
        },
        "GUEST_PANICKED" => Some(Said::Panicked),
        "STOP" => Some(Said::Stopped),
        "MIGRATION" => super::snapshot::arrival(text("status")?),
        "RESUME" => Some(Said::Resumed),
        "VSERPORT_CHANGE" => Some(Said::Port(data?.get("open")?.as_bool()?)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn pair() -> (Monitor, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Monitor::new(ours.into()), theirs)
    }

    fn hear(bytes: &[u8]) -> Result<Option<Vec<Said>>, Broken> {
        use std::io::Write;
        let (mut monitor, mut qemu) = pair();
        qemu.write_all(bytes).unwrap();
        monitor.hear()
    }

    #[test]
    fn events_are_told_and_the_rest_is_passed_over() {
        let lines = br#"{"QMP": {"version": {}, "capabilities": []}}
{"return": {}}
{"event": "RESUME", "timestamp": {}}
{"event": "VSERPORT_CHANGE", "data": {"open": true, "id": "agent0"}}
{"event": "SHUTDOWN", "data": {"guest": true, "reason": "guest-reset"}}
"#;
        let said = vec![Said::Resumed, Said::Port(true), Said::Reset];
        assert_eq!(hear(lines), Ok(Some(said)));
    }

    #[test]
    fn half_a_line_waits_for_the_rest() {
        use std::io::Write;
        let (mut monitor, mut qemu) = pair();
        qemu.write_all(b"{\"event\": \"ST").unwrap();
        assert_eq!(monitor.hear(), Ok(Some(vec![])));
        qemu.write_all(b"OP\"}\n").unwrap();
        assert_eq!(monitor.hear(), Ok(Some(vec![Said::Stopped])));
    }

    #[test]
    fn what_is_no_json_or_has_no_end_breaks_it() {
        assert_eq!(hear(b"hello\n"), Err(Broken));
        use std::io::Write;
        let (mut monitor, mut qemu) = pair();
        qemu.write_all(&vec![b'['; MAX_LINE_BYTES + 1]).unwrap();
        let _first = monitor.hear();
        assert_eq!(monitor.hear(), Err(Broken));
    }

    #[test]
    fn as_many_answers_as_one_read_has_are_taken() {
        let answers = b"{\"return\": {}}\r\n".repeat(1000);
        assert_eq!(hear(&answers), Ok(Some(vec![])));
    }

    #[test]
    fn what_waits_for_a_qemu_that_does_not_listen_is_bounded_and_whole() {
        use std::io::Read as _;
        let (mut monitor, mut qemu) = pair();
        for _ in 0..100_000 {
            monitor.execute("input-send-event", None);
        }
        assert!(monitor.waiting.len() < MAX_WAITING_BYTES + 100);
        qemu.set_nonblocking(true).unwrap();
        let mut all = Vec::new();
        while monitor.hear().is_ok() && qemu.read_to_end(&mut all).is_err() {
            if monitor.waiting.is_empty() {
                break;
            }
        }
        let _nothing_more = qemu.read_to_end(&mut all);
        let lines = all.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        assert!(lines.map(serde_json::from_slice::<Value>).all(|line| line.is_ok()));
    }

    #[test]
    fn a_nest_of_a_million_brackets_overflows_nothing() {
        let mut line = vec![b'['; 10_000];
        line.push(b'\n');
        assert_eq!(hear(&line), Err(Broken));
    }
}
