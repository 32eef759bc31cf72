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

    /// Presses or releases keys of the first keyboard, by QEMU's names for them.
    ///
    /// # Errors
    /// A sentence.
    pub fn keys(&mut self, keys: &[(&str, bool)]) -> Result<(), String> {
        let event = |(name, down): &(&str, bool)| {
            let key = json!({ "type": "qcode", "data": name });
            json!({ "type": "key", "data": { "down": down, "key": key } })
        };
        let events: Vec<Value> = keys.iter().map(event).collect();
        self.ask("input-send-event", &json!({ "events": events })).map(drop)
    }

    /// Presses keys one after the other and releases them in the opposite order.
    ///
    /// # Errors
    /// A sentence.
    pub fn press(&mut self, names: &[&str]) -> Result<(), String> {
        let down = names.iter().map(|name| (*name, true));
        let up = names.iter().rev().map(|name| (*name, false));
        self.keys(&down.chain(up).collect::<Vec<_>>())
    }

    /// Moves the pointer to this place, in parts of 32,768, and clicks there.
    ///
    /// # Errors
    /// A sentence.
    pub fn click(&mut self, x: u32, y: u32, button: &str) -> Result<(), String> {
        let axis = |axis: &str, value: u32| json!({ "type": "abs", "data": { "axis": axis, "value": value } });
        let button =
            |down: bool| json!({ "type": "btn", "data": { "down": down, "button": button } });
        let events = [axis("x", x), axis("y", y), button(true), button(false)];
        self.ask("input-send-event", &json!({ "events": events })).map(drop)
    }

    /// Puts a photograph of this card into a file, in the format that its name ends with.
    ///
    /// # Errors
    /// A sentence.
    pub fn photograph(&mut self, card: &str, file: &Path) -> Result<(), String> {
        let format = file.extension().and_then(|end| end.to_str()).unwrap_or("ppm");
        let arguments = json!({ "filename": file, "device": card, "format": format });
        self.ask("screendump", &arguments).map(drop)
    }

    /// What is on the glass of this card.
    ///
    /// # Errors
    /// A sentence.
    pub fn glass(&mut self, card: &str) -> Result<Glass, String> {
        let file = self.folder.join(format!("{card}.ppm"));
        self.photograph(card, &file)?;
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
    /// A picture of so wide rows of pixels of three bytes.
    #[cfg(test)]
    pub fn new(width: usize, bytes: Vec<u8>) -> Self {
        Self { width, bytes }
    }

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

    /// How many rows it has.
    #[must_use]
    pub fn height(&self) -> usize {
        self.bytes.len() / (self.width * 3)
    }

    /// How much of these rows has this colour, in percent.
    #[must_use]
    pub fn share(&self, from: usize, to: usize, colour: [u8; 3]) -> usize {
        let rows = self.rows(from, to);
        let alike = rows.chunks_exact(3).filter(|pixel| **pixel == colour).count();
        alike * 300 / rows.len().max(1)
    }

    /// How many pixels of these rows are other ones there.
    #[must_use]
    pub fn differing(&self, other: &Self, from: usize, to: usize) -> usize {
        let (these, those) = (self.rows(from, to), other.rows(from, to));
        these.chunks_exact(3).zip(those.chunks_exact(3)).filter(|(one, two)| one != two).count()
    }

    /// The colour at this place.
    #[must_use]
    pub fn pixel(&self, x: usize, y: usize) -> Option<[u8; 3]> {
        let start = (y * self.width + x) * 3;
        self.bytes.get(start..start + 3)?.try_into().ok()
    }

    /// The part of the bar between its words and the clock.
    #[must_use]
    pub fn notice(&self) -> Vec<u8> {
        const ROWS: usize = 40;
        let (from, to) = (self.width * 2 / 3, self.width * 15 / 16);
        let rows = self.bytes.chunks(self.width * 3).take(ROWS);
        rows.flat_map(|row| row[from * 3..to * 3].to_vec()).collect()
    }

    fn rows(&self, from: usize, to: usize) -> &[u8] {
        let row = self.width * 3;
        let end = (to * row).min(self.bytes.len());
        self.bytes.get(from * row..end).unwrap_or_default()
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
