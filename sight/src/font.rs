//! The glyphs of a console: read from a PSF file, the form of Linux consoles, or learned from a
//! picture whose text is known.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use tabard_display::{Frame, read_png};
use tabard_view::Size;

use crate::cell::{Cell, cell};

/// A longer file is no font.
const MAX_BYTES: u64 = 4 * 1024 * 1024;
/// The widest and highest glyph.
const MAX_SIDE: usize = 64;

/// Why a font cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {cause}", file.display())]
pub struct FontFault {
    /// The file.
    pub file: PathBuf,
    /// What is wrong, and what to do about it.
    pub cause: String,
}

/// The glyphs of a console, all of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Font {
    /// The size of a glyph in pixels.
    pub size: Size,
    /// Which character has this ink, a bit a pixel.
    glyphs: HashMap<Vec<bool>, char>,
}

impl Font {
    /// Reads a PSF file of version 1 or 2.
    ///
    /// # Errors
    /// [`FontFault`].
    pub fn read(file: &Path) -> Result<Self, FontFault> {
        let fault = |cause: String| FontFault { file: file.to_path_buf(), cause };
        let unread = |error| fault(format!("Cannot read the font: {error}. Check its path"));
        if fs::metadata(file).map_err(unread)?.len() > MAX_BYTES {
            return Err(fault("It has more than 4 MiB, and is no console font".to_owned()));
        }
        Self::parse(&fs::read(file).map_err(unread)?).map_err(fault)
    }

    /// Reads a PSF file from its bytes.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        const SHORT: &str = "It is cut short; take it anew from its package";
        let header = match bytes {
            [0x36, 0x04, mode, height, ..] => {
                let count = if mode & 1 == 0 { 256 } else { 512 };
                // Versions of the table: 16-bit characters, and sequences of them.
                let table = mode & 6 != 0;
                Header { start: 4, count, width: 8, height: (*height).into(), wide: true, table }
            }
            [0x72, 0xb5, 0x4a, 0x86, ..] => {
                let number = |at: usize| -> Result<usize, String> {
                    let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
                    let number = u32::from_le_bytes(four.ok_or(SHORT)?);
                    usize::try_from(number).map_err(|_| SHORT.to_owned())
                };
                let (start, flags, count) = (number(8)?, number(12)?, number(16)?);
                let (height, width) = (number(24)?, number(28)?);
                Header { start, count, width, height, wide: false, table: flags & 1 != 0 }
            }
            [0x1f, 0x8b, ..] => return Err("It is packed; unpack it with gunzip".to_owned()),
            _ => return Err("It is no PSF font; take one from /usr/share/consolefonts".to_owned()),
        };
        let fits = |side: usize| (1..=MAX_SIDE).contains(&side);
        if !fits(header.width) || !fits(header.height) || header.count > 65_536 {
            return Err(format!("Its glyphs are not of 1 to {MAX_SIDE} pixels"));
        }
        let stride = header.width.div_ceil(8);
        let length = stride * header.height;
        let end = header.start.saturating_add(length * header.count);
        let all = bytes.get(header.start..end).ok_or(SHORT)?;
        let characters = header.characters(bytes.get(end..).unwrap_or_default());
        let mut glyphs = HashMap::new();
        for (glyph, characters) in all.chunks_exact(length).zip(characters) {
            let ink: Vec<bool> = glyph
                .chunks_exact(stride)
                .flat_map(|row| (0..header.width).map(|x| bit(row, x)))
                .collect();
            let Some(first) = characters.into_iter().next() else { continue };
            // Of glyphs that look alike, the plainer character is meant.
            let known = glyphs.entry(ink).or_insert(first);
            *known = (*known).min(first);
        }
        let side = |side: usize| u32::try_from(side).unwrap_or(0);
        let size = Size { width: side(header.width), height: side(header.height) };
        Ok(Self { size, glyphs })
    }

    /// Learns glyphs of this size from a picture, which shows a text from its upper left corner on.
    ///
    /// # Errors
    /// [`FontFault`].
    pub fn learn(picture: &Path, text: &Path, size: Size) -> Result<Self, FontFault> {
        let fault = |file: &Path, cause: String| FontFault { file: file.to_path_buf(), cause };
        let frame = read_png(picture).map_err(|error| fault(picture, error.to_string()))?;
        let lines = fs::read_to_string(text)
            .map_err(|error| fault(text, format!("Cannot read the sample's text: {error}")))?;
        Self::learn_from(&frame, &lines, size).map_err(|cause| fault(picture, cause))
    }

    /// As [`Font::learn`], from what is in memory.
    ///
    /// # Errors
    /// What is wrong, in a sentence.
    pub fn learn_from(frame: &Frame, text: &str, size: Size) -> Result<Self, String> {
        let mut glyphs: HashMap<Vec<bool>, char> = HashMap::new();
        let mut inks: HashMap<char, Vec<bool>> = HashMap::new();
        for (row, line) in text.lines().enumerate() {
            for (column, character) in line.chars().enumerate().filter(|(_, one)| *one != ' ') {
                let place = |index: usize, side: u32| {
                    u32::try_from(index).unwrap_or(u32::MAX).saturating_mul(side)
                };
                let found = cell(frame, place(column, size.width), place(row, size.height), size);
                let Cell::Ink(ink) = found else {
                    return Err(format!(
                        "Line {} column {} shows no {character:?} in two colours; the text must be what the picture shows from its upper left corner on, in cells of {}x{}",
                        row + 1,
                        column + 1,
                        size.width,
                        size.height
                    ));
                };
                let known = inks.entry(character).or_insert_with(|| ink.clone());
                if *known != ink {
                    return Err(format!(
                        "{character:?} looks different in line {} column {} than before; is the text right?",
                        row + 1,
                        column + 1
                    ));
                }
                if let Some(other) =
                    glyphs.insert(ink, character).filter(|other| *other != character)
                {
                    return Err(format!(
                        "{other:?} and {character:?} look the same in line {} column {}; is the text right?",
                        row + 1,
                        column + 1
                    ));
                }
            }
        }
        if glyphs.is_empty() {
            return Err("The sample has no characters; write the text that it shows".to_owned());
        }
        Ok(Self { size, glyphs })
    }

    /// The character of an ink: as it is, or with ink and ground exchanged.
    pub(crate) fn character(&self, ink: &[bool]) -> Option<char> {
        let plain = self.glyphs.get(ink).copied();
        plain.or_else(|| {
            let inverse: Vec<bool> = ink.iter().map(|ink| !ink).collect();
            self.glyphs.get(&inverse).copied()
        })
    }
}

struct Header {
    start: usize,
    count: usize,
    width: usize,
    height: usize,
    /// Whether characters in the table have 16 bits, and are not UTF-8.
    wide: bool,
    table: bool,
}

impl Header {
    /// The characters of each glyph; those of a font that does not say are numbered.
    fn characters(&self, table: &[u8]) -> Vec<Vec<char>> {
        if !self.table {
            let numbered = (0..self.count).map(|index| u32::try_from(index).ok());
            return numbered
                .map(|index| index.and_then(char::from_u32).into_iter().collect())
                .collect();
        }
        if self.wide {
            let mut all = vec![Vec::new()];
            // 0xfffe begins a sequence of several characters, which is not one.
            let mut sequence = false;
            for pair in table.chunks_exact(2) {
                let code = pair.iter().rev().fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
                match code {
                    0xffff => {
                        all.push(Vec::new());
                        sequence = false;
                    }
                    0xfffe => sequence = true,
                    code if !sequence => {
                        if let (Some(last), Some(one)) = (all.last_mut(), char::from_u32(code)) {
                            last.push(one);
                        }
                    }
                    _ => {}
                }
            }
            return all;
        }
        table
            .split(|byte| *byte == 0xff)
            .map(|entry| {
                let single = entry.split(|byte| *byte == 0xfe).next().unwrap_or_default();
                String::from_utf8_lossy(single).chars().collect()
            })
            .collect()
    }
}

fn bit(row: &[u8], x: usize) -> bool {
    row.get(x / 8).is_some_and(|byte| byte & (0x80 >> (x % 8)) != 0)
}
