//! The arguments of a line, read one by one; what is missing, wrong or too much is said in words.

use std::path::{Component, PathBuf};
use std::time::Duration;

use tabard_input::KeyCode;
use tabard_view::{Rect, Scale, Size};

use super::keys;
use super::snapshots;
use super::step::{Button, Condition, FontFrom, Place, Region};
use super::token::Word;
use crate::run::parse_size;

/// The longest that a script may say: what takes longer hangs.
const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a picture must stay as it is to be stable, if the script does not say.
const DEFAULT_QUIET: Duration = Duration::from_millis(300);

/// The words of a line that are still to be read.
pub(super) struct Args {
    pub(super) words: std::vec::IntoIter<Word>,
}

impl Args {
    pub(super) fn word(&mut self, what: &str) -> Result<Word, String> {
        self.words.next().ok_or_else(|| format!("Something is missing at the end: write {what}"))
    }

    /// The next word, if it is a bare one of this kind.
    pub(super) fn peek(&self) -> Option<&str> {
        self.words.as_slice().first().filter(|word| !word.quoted).map(|word| word.text.as_str())
    }

    pub(super) fn finish(mut self) -> Result<(), String> {
        match self.words.next() {
            Some(word) => Err(format!(
                "{:?} is one word too many; put a text with spaces in quotes",
                word.text
            )),
            None => Ok(()),
        }
    }

    pub(super) fn text(&mut self) -> Result<String, String> {
        let text = self.word("a text in quotes")?.text;
        if text.is_empty() {
            return Err("An empty text is found everywhere; write what to look for".to_owned());
        }
        Ok(text)
    }

    pub(super) fn guest(&mut self) -> Result<String, String> {
        self.word("the name of a guest").map(|word| word.text)
    }

    pub(super) fn snapshot(&mut self) -> Result<String, String> {
        let name = self.word("the name of a snapshot")?.text;
        snapshots::check_name(&name)?;
        Ok(name)
    }

    pub(super) fn optional_guest(&mut self) -> Option<String> {
        self.words.next().map(|word| word.text)
    }

    pub(super) fn key(&mut self) -> Result<KeyCode, String> {
        keys::key(&self.word("a key")?.text)
    }

    pub(super) fn number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T, String> {
        let word = self.word(what)?;
        word.text.parse().map_err(|_| format!("{:?} is not a number; write {what}", word.text))
    }

    pub(super) fn optional_number(&mut self) -> Result<Option<i16>, String> {
        if self.words.as_slice().is_empty() {
            return Ok(None);
        }
        self.number("notches to the right, such as 1").map(Some)
    }

    pub(super) fn pixels(&mut self) -> Result<u32, String> {
        self.number("a whole number of pixels")
    }

    pub(super) fn place(&mut self) -> Result<Place, String> {
        if self.peek() == Some("at") {
            self.words.next();
            return Ok(Place::Guest(self.guest()?, self.pixels()?, self.pixels()?));
        }
        Ok(Place::Screen(self.pixels()?, self.pixels()?))
    }

    pub(super) fn region(&mut self) -> Result<Region, String> {
        if self.peek() == Some("of") {
            self.words.next();
            return self.guest().map(Region::Guest);
        }
        let rect = Rect::new(self.pixels()?, self.pixels()?, self.pixels()?, self.pixels()?);
        if rect.is_empty() {
            return Err("A region has a width and a height of at least 1 pixel".to_owned());
        }
        Ok(Region::Screen(rect))
    }

    /// A needle, and the guest whose picture it is looked for in.
    pub(super) fn needle(&mut self) -> Result<(String, Option<String>), String> {
        let name = self.word("the tag or the name of a needle")?.text;
        if name.trim().is_empty() {
            return Err("An empty name means no needle; write a tag".to_owned());
        }
        if self.peek() != Some("of") {
            return Ok((name, None));
        }
        self.words.next();
        Ok((name, Some(self.guest()?)))
    }

    /// Where the glyphs of consoles are from.
    pub(super) fn font(&mut self) -> Result<FontFrom, String> {
        let file = PathBuf::from(self.word("a PSF font, or a picture with its text")?.text);
        if file.extension().is_none_or(|ending| ending != "png") {
            return Ok(FontFrom::Psf(file));
        }
        let text = PathBuf::from(self.word("a file with the text that the picture shows")?.text);
        let word = self.word("the size of a character, such as 8x16")?.text;
        let side = |text: &str| text.parse::<u32>().ok().filter(|side| (1..=64).contains(side));
        let size = word
            .split_once('x')
            .and_then(|(width, height)| Some(Size { width: side(width)?, height: side(height)? }));
        let wrong = || format!("{word:?} is no size of a character; write for example 8x16");
        Ok(FontFrom::Sample(file, text, size.ok_or_else(wrong)?))
    }

    /// Languages that text is read in, such as `eng+deu`.
    pub(super) fn language(&mut self) -> Result<String, String> {
        let text = self.word("a language such as eng, deu or eng+deu")?.text;
        // As its data are called: they are names of files.
        let letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let good = |code: &str| !code.is_empty() && code.len() <= 32 && code.bytes().all(letter);
        if text.split('+').all(good) {
            Ok(text)
        } else {
            Err(format!("{text:?} is no language; write for example eng, deu or eng+deu"))
        }
    }

    /// A part of a picture, if one is given.
    pub(super) fn within(&mut self) -> Result<Option<Rect>, String> {
        if self.peek() != Some("in") {
            return Ok(None);
        }
        self.words.next();
        let rect = Rect::new(self.pixels()?, self.pixels()?, self.pixels()?, self.pixels()?);
        if rect.is_empty() {
            return Err("A part has a width and a height of at least 1 pixel".to_owned());
        }
        Ok(Some(rect))
    }

    pub(super) fn tolerance(&mut self) -> Result<u8, String> {
        if self.peek() != Some("tolerance") {
            return Ok(0);
        }
        self.words.next();
        self.number("a number from 0 to 255 after tolerance")
    }

    pub(super) fn stable(&mut self) -> Result<Condition, String> {
        let mut guest = None;
        let mut quiet = DEFAULT_QUIET;
        for word in self.words.by_ref() {
            // A quoted word is always the name of a guest.
            match duration(&word.text).ok().filter(|_| !word.quoted) {
                Some(time) => quiet = time,
                None if guest.is_none() => guest = Some(word.text),
                None => return Err(format!("{:?} is no time; write for example 300ms", word.text)),
            }
        }
        Ok(Condition::Stable { guest, quiet })
    }

    pub(super) fn button(&mut self) -> Result<Button, String> {
        let Some(word) = self.words.next() else { return Ok(Button(KeyCode::BUTTON_LEFT)) };
        match word.text.as_str() {
            "left" => Ok(Button(KeyCode::BUTTON_LEFT)),
            "right" => Ok(Button(KeyCode::BUTTON_RIGHT)),
            "middle" => Ok(Button(KeyCode::BUTTON_MIDDLE)),
            other => Err(format!("There is no button {other:?}; write left, right or middle")),
        }
    }

    pub(super) fn duration(&mut self, what: &str) -> Result<Duration, String> {
        duration(&self.word(what)?.text)
    }

    pub(super) fn size(&mut self) -> Result<(Size, Scale), String> {
        let size = self.word("a size such as 1280x800")?.text;
        let size = parse_size(&size).map_err(|next| format!("{size:?} is no size; {next}"))?;
        let Some(scale) = self.words.next() else { return Ok((size, Scale::ONE)) };
        parse_scale(&scale.text).map(|scale| (size, scale))
    }

    /// A file to write below the folder for pictures, and nowhere else.
    pub(super) fn shot_file(&mut self) -> Result<PathBuf, String> {
        let word = self.word("a file name such as desk.png")?;
        let path = PathBuf::from(&word.text);
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        let png = path.extension().is_some_and(|extension| extension == "png");
        if !inside || !png {
            return Err(format!(
                "{:?} cannot be written; name a .png file below the folder of --out",
                word.text
            ));
        }
        Ok(path)
    }
}

/// Reads a scale such as `1.5`.
fn parse_scale(text: &str) -> Result<Scale, String> {
    let percent = text.parse::<f64>().ok().map(|scale| (scale * 100.0).round());
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "50..=400")]
    let scale_of = |percent: f64| Scale::from_percent(percent as u16);
    percent
        .filter(|percent| (50.0..=400.0).contains(percent))
        .and_then(scale_of)
        .ok_or_else(|| format!("{text:?} is no scale; write a number from 0.5 to 4"))
}

/// Reads a screen as it is named on the command line, such as `1280x800` or `2560x1600@2`.
pub(super) fn parse_screen(text: &str) -> Result<(Size, Scale), String> {
    let (size, scale) = text.split_once('@').unwrap_or((text, "1"));
    Ok((parse_size(size)?, parse_scale(scale)?))
}

/// Reads a time such as `300ms`, `5s`, `1.5s` or `2m`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("ms", 0.001), ("s", 1.0), ("m", 60.0)];
    let parsed = units.iter().find_map(|(unit, seconds)| {
        let number = text.strip_suffix(unit)?;
        let plain = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let number = number.parse::<f64>().ok().filter(|_| plain)?;
        Duration::try_from_secs_f64(number * seconds).ok()
    });
    parsed
        .filter(|time| !time.is_zero() && *time <= MAX_TIMEOUT)
        .ok_or_else(|| format!("{text:?} is no time up to one hour; write for example 300ms or 5s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_an_end() {
        assert_eq!(duration("300ms"), Ok(Duration::from_millis(300)));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(duration("2m"), Ok(Duration::from_secs(120)));
        for bad in ["5", "s", "-1s", "0s", "1e3s", "infs", "61m", "1.2.3s", "99999999999999999999m"]
        {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
