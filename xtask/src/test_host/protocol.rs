//! What the test host says on its second serial port: the command's output as it is, and around
//! it two marks of our own. A mark begins with a byte that text does not have and a word that the
//! command does not know, so no output can be taken for one.

/// The byte that begins a mark: ASCII's record separator.
const BEGIN: u8 = 0x1e;

/// What was said.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The host is up and starts the command.
    Ready,
    /// Bytes of the command.
    Output(Vec<u8>),
    /// The command has ended with this status, and its files are written.
    Exit(u8),
}

/// Takes the stream apart.
#[derive(Debug)]
pub struct Listener {
    /// How every mark begins, [`BEGIN`] included.
    mark: Vec<u8>,
    pending: Vec<u8>,
}

impl Listener {
    /// Listens for marks of `word`.
    #[must_use]
    pub fn new(word: &str) -> Self {
        let mut mark = vec![BEGIN];
        mark.extend_from_slice(word.as_bytes());
        mark.push(b' ');
        Self { mark, pending: Vec::new() }
    }

    /// Takes the next bytes and says what they mean. What may still become a mark is kept back.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<Said> {
        self.pending.extend_from_slice(bytes);
        let mut said = Vec::new();
        loop {
            let begin = self.pending.iter().position(|byte| *byte == BEGIN);
            let output: Vec<u8> =
                self.pending.drain(..begin.unwrap_or(self.pending.len())).collect();
            if !output.is_empty() {
                said.push(Said::Output(output));
            }
            let known = self.mark.len().min(self.pending.len());
            if self.pending.is_empty() {
                return said;
            }
            if self.pending[..known] != self.mark[..known] {
                let not_a_mark = self.pending.remove(0);
                said.push(Said::Output(vec![not_a_mark]));
                continue;
            }
            let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') else {
                return said;
            };
            let line: Vec<u8> = self.pending.drain(..=end).collect();
            let text = String::from_utf8_lossy(line.get(known..).unwrap_or_default()).into_owned();
            match text.trim().split_once(' ') {
                None if text.trim() == "ready" => said.push(Said::Ready),
                Some(("exit", status)) => said.push(Said::Exit(status.parse().unwrap_or(u8::MAX))),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_passes_between_the_marks() {
        let mut listener = Listener::new("abc");
        let said = listener.hear(b"\x1eabc ready\nhello\n\x1eabc exit 3\n");
        assert_eq!(said, [Said::Ready, Said::Output(b"hello\n".to_vec()), Said::Exit(3)]);
    }

    #[test]
    fn a_mark_may_come_in_pieces() {
        let mut listener = Listener::new("abc");
        let mut said = Vec::new();
        for byte in b"x\x1eabc exit 0\n" {
            said.extend(listener.hear(&[*byte]));
        }
        assert_eq!(said, [Said::Output(b"x".to_vec()), Said::Exit(0)]);
    }

    #[test]
    fn the_mark_of_another_word_is_output() {
        let mut listener = Listener::new("abc");
        let text = b"\x1eabd exit 0\n";
        let passed: Vec<u8> = listener
            .hear(text)
            .into_iter()
            .flat_map(|said| match said {
                Said::Output(bytes) => bytes,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(passed, text);
    }
}
