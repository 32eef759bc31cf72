//! The hands and the eyes of the test host's user: QEMU's machine protocol (QMP), by which keys
//! are pressed, devices plugged, and the glass is read.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// For QEMU to open its socket, and for an answer.
const TIME: Duration = Duration::from_secs(60);

/// A connection to QEMU.
pub struct Qmp {
    stream: BufReader<UnixStream>,
    /// Pictures are written here on their way.
    folder: PathBuf,
}

impl Qmp {
    /// Connects to the socket that QEMU is about to open.
    ///
    /// # Errors
    /// A sentence.
    pub fn connect(socket: &Path, folder: &Path) -> Result<Self, String> {
        let end = Instant::now() + TIME;
        let stream = loop {
            match UnixStream::connect(socket) {
                Ok(stream) => break stream,
                Err(error) if Instant::now() > end => {
                    return Err(format!("Cannot reach QEMU at {}: {error}", socket.display()));
                }
                // There is no other sign of it than the file.
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        };
        stream.set_read_timeout(Some(TIME)).map_err(|error| error.to_string())?;
        let mut qmp = Self { stream: BufReader::new(stream), folder: folder.to_path_buf() };
        qmp.line()?;
        qmp.ask("qmp_capabilities", &json!({}))?;
        Ok(qmp)
    }

    fn line(&mut self) -> Result<Value, String> {
        let mut line = String::new();
        self.stream.read_line(&mut line).map_err(|error| format!("QEMU is silent: {error}"))?;
        serde_json::from_str(&line).map_err(|error| format!("QEMU said {line:?}: {error}"))
    }

    /// Asks and waits for the answer.
    ///
    /// # Errors
    /// A sentence, with QEMU's own words.
    pub fn ask(&mut self, command: &str, arguments: &Value) -> Result<Value, String> {
        let request = json!({ "execute": command, "arguments": arguments });
        writeln!(self.stream.get_mut(), "{request}")
            .map_err(|error| format!("Cannot ask QEMU: {error}"))?;
        loop {
            let answer = self.line()?;
            if let Some(value) = answer.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = answer.get("error") {
                return Err(format!("QEMU refuses {request}: {error}"));
            }
        }
    }

    /// Presses or releases a key of the first keyboard, by QEMU's name for it.
    ///
    /// # Errors
    /// A sentence.
    pub fn key(&mut self, name: &str, down: bool) -> Result<(), String> {
        let key = json!({ "type": "qcode", "data": name });
        let event = json!({ "type": "key", "data": { "down": down, "key": key } });
        self.ask("input-send-event", &json!({ "events": [event] })).map(drop)
    }

    /// Presses keys one after the other and releases them in the opposite order.
    ///
    /// # Errors
    /// A sentence.
    pub fn press(&mut self, names: &[&str]) -> Result<(), String> {
        for name in names {
            self.key(name, true)?;
        }
        for name in names.iter().rev() {
            self.key(name, false)?;
        }
        Ok(())
    }

    /// What is on the glass of this card.
    ///
    /// # Errors
    /// A sentence.
    pub fn glass(&mut self, card: &str) -> Result<Glass, String> {
        let file = self.folder.join(format!("{card}.ppm"));
        self.ask("screendump", &json!({ "filename": file, "device": card }))?;
        let bytes = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        Glass::parse(&bytes).ok_or_else(|| format!("{} is no picture", file.display()))
    }
}

/// A picture of a screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glass {
    /// In pixels.
    pub width: usize,
    /// Three bytes a pixel.
    bytes: Vec<u8>,
}

impl Glass {
    /// Reads a portable pixmap with one byte a colour (P6).
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut words = Vec::new();
        let mut at = 0;
        while words.len() < 4 {
            let length = bytes.get(at..)?.iter().position(u8::is_ascii_whitespace)?;
            words.push(std::str::from_utf8(&bytes[at..at + length]).ok()?);
            at += length + 1;
        }
        let (width, height): (usize, usize) = (words[1].parse().ok()?, words[2].parse().ok()?);
        let bytes = bytes.get(at..)?.to_vec();
        let whole = words[0] == "P6" && words[3] == "255" && bytes.len() == width * height * 3;
        whole.then_some(Self { width, bytes })
    }

    /// A part of the bar without words: its ground says who receives input.
    #[must_use]
    pub fn bar(&self) -> Vec<u8> {
        self.columns(self.width * 2 / 10, self.width * 3 / 10)
    }

    /// The part of the bar with the words.
    #[must_use]
    pub fn words(&self) -> Vec<u8> {
        self.columns(0, self.width * 2 / 3)
    }

    /// The part of the bar between that and the clock.
    #[must_use]
    pub fn notice(&self) -> Vec<u8> {
        self.columns(self.width * 2 / 3, self.width * 15 / 16)
    }

    fn columns(&self, from: usize, to: usize) -> Vec<u8> {
        const ROWS: usize = 40;
        let rows = self.bytes.chunks(self.width * 3).take(ROWS);
        rows.flat_map(|row| row[from * 3..to * 3].to_vec()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pixmap_has_a_header_of_four_words() {
        let mut bytes = b"P6\n2 1\n255\n".to_vec();
        bytes.extend([1, 2, 3, 4, 5, 6]);
        let glass = Glass::parse(&bytes).unwrap();
        assert_eq!((glass.width, glass.bytes.len()), (2, 6));
        assert_eq!(Glass::parse(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Glass::parse(b"P6\n2 1"), None);
    }
}
