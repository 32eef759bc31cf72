//! B612, made to be read on cockpit screens: glyphs, widths, and what to do when text is too wide.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fontdue::{Font, FontSettings};
use thiserror::Error;

/// More glyphs than any desk needs; beyond it the cache starts anew.
const MAX_GLYPHS: usize = 4096;
/// Longer texts than any screen can show are cut before they cost time.
const MAX_CHARS: usize = 512;

/// A built-in font could not be read.
#[derive(Debug, Error)]
#[error("Built-in font {name} cannot be used: {reason}")]
pub struct FontError {
    /// Which of them.
    pub name: &'static str,
    /// Why, in the words of the font library.
    pub reason: &'static str,
}

/// How heavy the strokes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Weight {
    Regular,
    Bold,
    /// Every character as wide as every other, for text that is to be checked.
    Mono,
}

/// A face at a size in pixels (of the em square).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Style {
    pub weight: Weight,
    pub size_px: u32,
}

/// One character as coverage, 0 to 255.
pub(crate) struct Glyph {
    pub width: usize,
    pub height: u32,
    /// From the pen to the left edge.
    pub left: i32,
    /// From the baseline up to the top edge.
    pub top: i32,
    /// How far the pen moves.
    pub advance: f32,
    pub coverage: Vec<u8>,
}

/// The faces, read once for all that draw with them: reading one takes milliseconds.
struct Faces {
    regular: Font,
    bold: Font,
    /// Read when a text is first to be checked, which most desks never see.
    mono: OnceLock<Option<Font>>,
}

impl Faces {
    fn of(&self, weight: Weight) -> &Font {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
            Weight::Mono => {
                self.mono.get_or_init(|| read_mono().ok()).as_ref().unwrap_or(&self.regular)
            }
        }
    }
}

fn read(name: &'static str, data: &[u8]) -> Result<Font, FontError> {
    // Every character is drawn on its own: ligatures would only take time to read.
    let settings = FontSettings { load_substitutions: false, ..FontSettings::default() };
    Font::from_bytes(data, settings).map_err(|reason| FontError { name, reason })
}

fn read_mono() -> Result<Font, FontError> {
    read("B612 Mono", include_bytes!("../assets/B612Mono-Regular.otf"))
}

/// The faces and every glyph drawn so far.
pub(crate) struct Fonts {
    faces: Arc<Faces>,
    glyphs: HashMap<(Style, char), Arc<Glyph>>,
}

impl Fonts {
    pub(crate) fn new() -> Result<Self, FontError> {
        // At the same time, because the first picture waits for both.
        let (regular, bold) = std::thread::scope(|scope| {
            let bold = scope.spawn(|| read("B612 Bold", include_bytes!("../assets/B612-Bold.otf")));
            (read("B612 Regular", include_bytes!("../assets/B612-Regular.otf")), bold.join())
        });
        let broke = |_| FontError { name: "B612 Bold", reason: "its reader broke" };
        let (regular, bold) = (regular?, bold.map_err(broke)??);
        let faces = Faces { regular, bold, mono: OnceLock::new() };
        Ok(Self { faces: Arc::new(faces), glyphs: HashMap::new() })
    }

    /// The same faces for another who draws, with glyphs of their own.
    pub(crate) fn share(&self) -> Self {
        Self { faces: Arc::clone(&self.faces), glyphs: HashMap::new() }
    }

    /// A character; one that the face lacks or that is no glyph shows as the face's empty box.
    pub(crate) fn glyph(&mut self, character: char, style: Style) -> Arc<Glyph> {
        if let Some(glyph) = self.glyphs.get(&(style, character)) {
            return Arc::clone(glyph);
        }
        let font = self.faces.of(style.weight);
        let shown = if character.is_control() { '\u{fffd}' } else { character };
        let (metrics, coverage) = font.rasterize(shown, style.size_px as f32);
        let height = u32::try_from(metrics.height).unwrap_or(0);
        let glyph = Arc::new(Glyph {
            width: metrics.width,
            height,
            left: metrics.xmin,
            top: metrics.ymin.saturating_add_unsigned(height),
            advance: metrics.advance_width,
            coverage,
        });
        if self.glyphs.len() >= MAX_GLYPHS {
            self.glyphs.clear();
        }
        self.glyphs.insert((style, character), Arc::clone(&glyph));
        glyph
    }

    /// Width in pixels, rounded up.
    pub(crate) fn width(&mut self, text: &str, style: Style) -> u32 {
        let advance = |character| self.glyph(character, style).advance;
        text.chars().take(MAX_CHARS).map(advance).sum::<f32>().ceil() as u32
    }

    /// Height of a capital letter in pixels: what the eye takes for the height of a line.
    pub(crate) fn cap_height(&mut self, style: Style) -> u32 {
        self.glyph('H', style).height
    }

    /// The text, or as much of it as fits with "…" at the end.
    pub(crate) fn elide(&mut self, text: &str, style: Style, width: u32) -> String {
        if self.width(text, style) <= width {
            return text.chars().take(MAX_CHARS).collect();
        }
        let mut used = self.glyph('…', style).advance;
        let mut short = String::new();
        for character in text.chars() {
            used += self.glyph(character, style).advance;
            if used > width as f32 {
                break;
            }
            short.push(character);
        }
        short.truncate(short.trim_end().len());
        short.push('…');
        short
    }

    /// The text at the largest of the sizes at which it fits; at the least of them, elided.
    pub(crate) fn shrink(
        &mut self,
        text: &str,
        weight: Weight,
        (most_px, least_px): (u32, u32),
        width: u32,
    ) -> (String, Style) {
        for size_px in (least_px..=most_px).rev() {
            let style = Style { weight, size_px };
            if self.width(text, style) <= width {
                return (text.to_owned(), style);
            }
        }
        let style = Style { weight, size_px: least_px };
        (self.elide(text, style, width), style)
    }

    /// The text in up to two lines that each fit, broken after a separator near the middle;
    /// `None` if they do not fit.
    pub(crate) fn break_in_two(
        &mut self,
        text: &str,
        style: Style,
        width: u32,
    ) -> Option<(String, String)> {
        let breaks = text.char_indices().filter(|(_, character)| matches!(character, ' ' | '/'));
        let ends = breaks.map(|(at, character)| at.saturating_add(character.len_utf8()));
        let middle = text.len() / 2;
        let mut ends: Vec<usize> = ends.chain([text.floor_char_boundary(middle)]).collect();
        // A word is broken only if no separator will do.
        let last = ends.len().saturating_sub(1);
        if let Some(between) = ends.get_mut(..last) {
            between.sort_by_key(|end| end.abs_diff(middle));
        }
        ends.into_iter().find_map(|end| {
            let (first, second) = text.split_at_checked(end)?;
            let (first, second) = (first.trim_end(), second.trim_start());
            let fits = self.width(first, style) <= width && self.width(second, style) <= width;
            fits.then(|| (first.to_owned(), second.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { weight: Weight::Regular, size_px: 16 };

    #[test]
    fn the_face_that_is_read_last_can_be_read() {
        assert!(read_mono().is_ok());
    }

    /// Everything that a page of a guest's text shows as itself, at the least size of a page on
    /// the smallest screen that one is opened on.
    #[test]
    fn no_two_letters_of_a_page_look_the_same() {
        let mut fonts = Fonts::new().unwrap();
        let style = Style { weight: Weight::Mono, size_px: 13 };
        let letters = ('!'..='~').chain('\u{c0}'..='\u{ff}').filter(|c| !matches!(c, '×' | '÷'));
        type Ink = HashMap<(i32, i32), u8>;
        let drawn: Vec<(char, Ink)> = letters
            .map(|letter| {
                let glyph = fonts.glyph(letter, style);
                assert!(glyph.advance > 0.0 && glyph.width > 0, "{letter} is not in the face");
                let mut ink = Ink::new();
                for (row, line) in (0..).zip(glyph.coverage.chunks(glyph.width)) {
                    for (column, value) in (0..).zip(line) {
                        ink.insert((glyph.left + column, row - glyph.top), *value);
                    }
                }
                (letter, ink)
            })
            .collect();
        for (index, (one, ink)) in drawn.iter().enumerate() {
            for (two, other) in &drawn[index + 1..] {
                let places =
                    ink.keys().chain(other.keys().filter(|place| !ink.contains_key(place)));
                let of = |ink: &Ink, place| i32::from(ink.get(place).copied().unwrap_or(0));
                let differs: i32 = places.map(|at| (of(ink, at) - of(other, at)).abs()).sum();
                // More than a whole pixel of ink.
                assert!(differs > 255, "{one} and {two} differ by {differs}");
            }
        }
    }

    #[test]
    fn elided_text_fits_and_says_so() {
        let mut fonts = Fonts::new().unwrap();
        for width in [20, 60, 100] {
            let short = fonts.elide("a rather long line of text", STYLE, width);
            assert!(short.ends_with('…') && fonts.width(&short, STYLE) <= width, "{short}");
        }
        assert_eq!(fonts.elide("ab", STYLE, 100), "ab");
    }

    #[test]
    fn shrinking_comes_before_eliding() {
        let mut fonts = Fonts::new().unwrap();
        let full = fonts.width("SECRET//ALPHA", Style { size_px: 20, ..STYLE });
        let (text, style) = fonts.shrink("SECRET//ALPHA", STYLE.weight, (20, 10), full - 8);
        assert_eq!(text, "SECRET//ALPHA");
        assert!(style.size_px < 20);
    }

    #[test]
    fn lines_break_at_a_separator() {
        let mut fonts = Fonts::new().unwrap();
        let lines = fonts.break_in_two("TOP SECRET//ALPHA/BRAVO", STYLE, 130).unwrap();
        assert_eq!(lines, ("TOP SECRET/".to_owned(), "/ALPHA/BRAVO".to_owned()));
    }

    #[test]
    fn characters_that_the_face_lacks_show_as_a_box() {
        let mut fonts = Fonts::new().unwrap();
        assert!(fonts.glyph('字', STYLE).coverage.iter().any(|value| *value > 0));
        assert!(fonts.width("\u{7}\u{1b}", STYLE) > 0);
    }
}
