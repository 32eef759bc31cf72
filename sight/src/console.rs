//! Reads the text of a console off its picture: cells of one size, each with one glyph of a known
//! font in two colours. It is exact: what is not a glyph is no character, and never a guess.

use tabard_display::Frame;
use tabard_view::{Rect, Size};

use crate::cell::{Cell, cell};
use crate::font::Font;

/// What stands for a cell that shows no glyph of the font.
pub const UNKNOWN: char = '\u{fffd}';

/// The lines that a console shows, without spaces at their ends; of the cells that are in `within`,
/// if that is given. Its cells begin in the upper left corner of the picture.
#[must_use]
pub fn read_console(frame: &Frame, font: &Font, within: Option<Rect>) -> String {
    let Size { width, height } = font.size;
    let within = within.unwrap_or(frame.size.rect()).intersect(frame.size.rect());
    let columns = within.x / width..within.right().div_ceil(width).min(frame.size.width / width);
    let rows = within.y / height..within.bottom().div_ceil(height).min(frame.size.height / height);
    let mut text = String::new();
    for row in rows {
        let line: String = columns
            .clone()
            .map(|column| match cell(frame, column * width, row * height, font.size) {
                Cell::Blank => ' ',
                Cell::Ink(ink) => font.character(&ink).unwrap_or(UNKNOWN),
                Cell::Other => UNKNOWN,
            })
            .collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: Size = Size { width: 8, height: 16 };

    /// A glyph for every character from `!` to `~`: its number in rows of ink, and a corner of it.
    fn glyph(character: u8) -> [u8; 16] {
        let mut rows = [0; 16];
        rows[3] = character;
        rows[4] = character.rotate_left(3) ^ 0x18;
        rows[9] = 0x18;
        if character == b'_' {
            rows = [0xff; 16];
            rows[0] = 0x7f;
        }
        rows
    }

    fn psf1() -> Vec<u8> {
        let mut bytes = vec![0x36, 0x04, 0, 16];
        for code in 0..=255 {
            let rows = if (b'!'..=b'~').contains(&code) { glyph(code) } else { [0; 16] };
            bytes.extend(rows);
        }
        bytes
    }

    fn psf2() -> Vec<u8> {
        let mut bytes = vec![0x72, 0xb5, 0x4a, 0x86];
        for number in [0_u32, 32, 1, 2, 16, 16, 8] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(glyph(b'A'));
        bytes.extend(glyph(b'B'));
        bytes.extend("A\u{391}".as_bytes());
        bytes.extend([0xfe, b'A', 0xcc, 0x81, 0xff]);
        bytes.extend("\u{df}".as_bytes());
        bytes.push(0xff);
        bytes
    }

    fn draw(text: &str, ink: u32, ground: u32) -> Frame {
        let mut frame = Frame::new(Size { width: 8 * 20 + 3, height: 16 * 4 + 5 });
        frame.pixels.fill(ground);
        for (row, line) in text.lines().enumerate() {
            for (column, character) in line.bytes().enumerate().filter(|(_, one)| *one != b' ') {
                for (dy, bits) in glyph(character).into_iter().enumerate() {
                    for dx in (0..8).filter(|dx| bits & (0x80 >> dx) != 0) {
                        let (x, y) = (column * 8 + dx, row * 16 + dy);
                        frame.row_mut(y as u32, x as u32, 1).fill(ink);
                    }
                }
            }
        }
        frame
    }

    #[test]
    fn a_console_is_read_with_its_font() {
        let font = Font::parse(&psf1()).unwrap();
        assert_eq!(font.size, SIZE);
        let text = "ls -l\n\n  total_0 $";
        for (ink, ground) in [(0x00aa_aaaa, 0), (0, 0x00ff_ffff)] {
            assert_eq!(read_console(&draw(text, ink, ground), &font, None), text);
        }
    }

    #[test]
    fn only_the_cells_of_a_part_are_read() {
        let font = Font::parse(&psf1()).unwrap();
        let frame = draw("abcdef\nghijkl", 1, 0);
        let part = Rect::new(17, 16, 10, 3);
        assert_eq!(read_console(&frame, &font, Some(part)), "ij");
    }

    #[test]
    fn what_is_no_glyph_is_no_character() {
        let font = Font::parse(&psf1()).unwrap();
        let mut frame = draw("abc", 0x00ff_ffff, 0);
        frame.row_mut(5, 9, 1).fill(0x00ff_ffff);
        frame.row_mut(5, 17, 1).fill(0x0012_3456);
        assert_eq!(read_console(&frame, &font, None), format!("a{UNKNOWN}{UNKNOWN}"));
    }

    #[test]
    fn a_font_says_which_characters_its_glyphs_are() {
        let font = Font::parse(&psf2()).unwrap();
        assert_eq!(read_console(&draw("AB", 1, 0), &font, None), "A\u{df}");
    }

    #[test]
    fn a_font_is_learned_from_a_sample() {
        let sample = "the quick\nbrown fox";
        let font = Font::learn_from(&draw(sample, 7, 0), sample, SIZE).unwrap();
        assert_eq!(read_console(&draw("one box", 0, 9), &font, None), "one box");
        let wrong = Font::learn_from(&draw(sample, 7, 0), "the quicc", SIZE).unwrap_err();
        assert!(wrong.contains("line 1 column 9"), "{wrong}");
        assert!(Font::learn_from(&draw("a", 7, 0), "aa", SIZE).unwrap_err().contains("column 2"));
    }

    #[test]
    fn what_is_no_font_says_why() {
        for (bytes, why) in [
            (vec![0x1f, 0x8b, 8], "gunzip"),
            (b"hello".to_vec(), "no PSF"),
            (psf1()[..99].to_vec(), "cut short"),
            (psf2()[..9].to_vec(), "cut short"),
            (vec![0x36, 0x04, 0, 0], "1 to 64"),
        ] {
            let said = Font::parse(&bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..99), psf2 in any::<bool>()) {
            let begin: &[u8] = if psf2 { &[0x72, 0xb5, 0x4a, 0x86] } else { &[0x36, 0x04] };
            let _ = Font::parse(&[begin, &bytes].concat());
        }
    }
}
