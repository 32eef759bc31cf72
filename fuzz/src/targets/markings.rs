//! Markings and names, as they stand in a desk file.

use tabard_labels::{check_name, check_text, look_alike, preset};

use super::{Target, outcome};

/// Markings of both presets, and names.
pub struct Markings {
    presets: Vec<tabard_labels::Preset>,
}

impl Markings {
    pub fn new() -> Self {
        Self { presets: ["plain", "us"].iter().filter_map(|name| preset(name)).collect() }
    }
}

impl Target for Markings {
    fn name(&self) -> &'static str {
        "markings"
    }

    fn seeds(&self) -> Vec<Vec<u8>> {
        let words = ["SECRET", "TOP SECRET//SCI", "SECRET//ALPHA/BRAVO", "WORK", "work", ""];
        words.iter().map(|word| word.as_bytes().to_vec()).collect()
    }

    fn tokens(&self) -> &[&[u8]] {
        &[
            b"//",
            b"/",
            b"TOP SECRET",
            b"SECRET",
            b"SCI",
            b"\xd0\x95",
            b"\xe2\x80\x8b",
            b" ",
            b"O0Il1",
        ]
    }

    fn most_bytes(&self) -> usize {
        256
    }

    fn share(&self) -> u64 {
        6
    }

    fn run(&mut self, input: &[u8]) -> u64 {
        let text = String::from_utf8_lossy(input);
        let mut seen = Vec::new();
        for preset in &self.presets {
            match preset.scheme.parse(&text) {
                Ok(compartment) => {
                    let printed = preset.scheme.print(&compartment);
                    let again = printed.as_ref().ok().map(|text| preset.scheme.parse(text));
                    assert_eq!(again, Some(Ok(compartment)), "{text:?} prints as {printed:?}");
                    seen.push("parsed".to_owned());
                }
                Err(error) => seen.push(format!("{error:?}").chars().take(12).collect()),
            }
        }
        let (name, plain) = (check_name(&text).is_ok(), check_text(&text).is_ok());
        assert!(plain || !name, "a name that is no text: {text:?}");
        let (one, two) = text.split_at(text.floor_char_boundary(text.len() / 2));
        assert_eq!(look_alike(one, two), look_alike(two, one));
        assert!(look_alike(&text, &text));
        outcome((seen, name, plain))
    }
}
