//! Ready-made schemes with a look for each marking.
//!
//! `us` has the levels and colours in common use in the United States (no standard fixes the hex
//! values). `plain` is the default: everyday names, and colours that stay apart for every eye.

use crate::{
    AccessClass, Appearance, CategorySet, Compartment, Label, LabelError, Level, Pattern, Rgb,
    Scheme, SchemeError, Shape,
};

/// The names of all presets; the first is the default.
pub const PRESETS: [&str; 2] = ["plain", "us"];

/// Categories for projects that have no names yet; a desk adds its own.
const CATEGORIES: [&str; 8] =
    ["ALPHA", "BRAVO", "CHARLIE", "DELTA", "ECHO", "FOXTROT", "GOLF", "HOTEL"];

/// A scheme and the looks of its markings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preset {
    /// The name of the preset.
    pub name: &'static str,
    /// Its levels and categories.
    pub scheme: Scheme,
    /// Its markings that have a look of their own, lowest first; at least one for each level.
    pub entries: Vec<PresetEntry>,
}

/// A marking with a look of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PresetEntry {
    /// The marking, as [`Scheme::print`] gives it.
    pub marking: &'static str,
    /// Its access class.
    pub class: AccessClass,
    /// Its look.
    pub appearance: Appearance,
}

/// One row of a preset's table: marking, integrity level, colour, pattern, shape.
type Row = (&'static str, u8, u32, Pattern, Shape);

/// Which way information flows between the levels of `plain`, by secrecy and integrity together:
/// from PUBLIC to all, from PERSONAL and from WORK to SECRET, and nowhere else. What came in by
/// UNTRUSTED stays there, and PERSONAL and WORK are kept apart.
const PLAIN: [Row; 5] = [
    ("PUBLIC", 3, 0x00f2_f4f5, Pattern::Plain, Shape::Ring),
    ("UNTRUSTED", 0, 0x00b3_261e, Pattern::Diagonals, Shape::Triangle),
    ("PERSONAL", 1, 0x00f5_b800, Pattern::Dots, Shape::Disc),
    ("WORK", 2, 0x003d_9be9, Pattern::Bars, Shape::Square),
    ("SECRET", 1, 0x004a_1a78, Pattern::Chevrons, Shape::Star),
];

/// Secrecy alone: all of one integrity. SCI is a category, with a colour of its own.
const US: [Row; 6] = [
    ("UNCLASSIFIED", 0, 0x0000_7a33, Pattern::Plain, Shape::Ring),
    ("CUI", 0, 0x0050_2b85, Pattern::Dots, Shape::Disc),
    ("CONFIDENTIAL", 0, 0x0000_33a0, Pattern::Diagonals, Shape::Diamond),
    ("SECRET", 0, 0x00c8_102e, Pattern::Bars, Shape::Square),
    ("TOP SECRET", 0, 0x00ff_8c00, Pattern::Chevrons, Shape::Triangle),
    ("TOP SECRET//SCI", 0, 0x00fc_e83a, Pattern::Checks, Shape::Star),
];

/// The preset of this name, one of [`PRESETS`].
///
/// In `plain`, information flows from PUBLIC to all, from PERSONAL and from WORK to SECRET, and
/// nowhere else. In `us`, it flows upwards, to the same categories or more.
#[must_use]
pub fn preset(name: &str) -> Option<Preset> {
    match name {
        "plain" => build("plain", &PLAIN, &[]),
        "us" => build("us", &US, &["SCI"]),
        _ => None,
    }
}

/// Always `Some` for the tables above, which a test holds.
fn build(name: &'static str, rows: &[Row], own_categories: &[&str]) -> Option<Preset> {
    let levels = rows.iter().map(|row| row.0).filter(|marking| !marking.contains('/'));
    let categories = own_categories.iter().chain(&CATEGORIES).copied();
    let scheme = Scheme::new(levels, categories).ok()?;
    let mut entries = Vec::new();
    for &(marking, integrity, color, pattern, shape) in rows {
        let secrecy = scheme.parse(marking).ok()?;
        let integrity = Compartment::new(Level::new(integrity), CategorySet::EMPTY);
        let appearance = Appearance::new(Rgb::from_u32(color), None, pattern, shape);
        let class = AccessClass::new(secrecy, integrity);
        entries.push(PresetEntry { marking, class, appearance });
    }
    Some(Preset { name, scheme, entries })
}

impl Preset {
    /// This preset with further categories, after its own.
    ///
    /// # Errors
    ///
    /// [`SchemeError`] if there are too many, or one may not be used or looks like another.
    pub fn with_categories<'a>(
        mut self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, SchemeError> {
        let known = self.scheme.categories().map(str::to_owned);
        let categories = known.chain(names.into_iter().map(str::to_owned));
        self.scheme = Scheme::new(self.scheme.levels().map(str::to_owned), categories)?;
        Ok(self)
    }

    /// A label of this marking, which is also its text, in the look of its level.
    ///
    /// Categories beyond those of the level's look choose another shape, so that `SECRET//ALPHA`
    /// and `SECRET//BRAVO` differ in more than their text; a [`crate::LabelSet`] refuses those few sets of
    /// categories that come to the same shape.
    ///
    /// # Errors
    ///
    /// [`LabelError`] if the marking is not one of the scheme, or is longer than a banner.
    pub fn label(&self, name: &str, marking: &str) -> Result<Label, LabelError> {
        let refuse = |source| LabelError::Marking(name.to_owned(), source);
        let secrecy = self.scheme.parse(marking).map_err(refuse)?;
        let text = self.scheme.print(&secrecy).map_err(refuse)?;
        let entry = self
            .entry(&secrecy)
            .ok_or_else(|| refuse(crate::MarkingError::UnnamedLevel(secrecy.level)))?;
        let mut appearance = entry.appearance;
        appearance.shape =
            varied(appearance.shape, secrecy.categories.difference(entry.class.secrecy.categories));
        let class = AccessClass::new(secrecy, entry.class.integrity);
        let label = Label { name: name.to_owned(), text, class, appearance };
        label.validate()?;
        Ok(label)
    }

    /// The entry of the same level that has the most of these categories and no other.
    fn entry(&self, secrecy: &Compartment) -> Option<&PresetEntry> {
        self.entries
            .iter()
            .filter(|entry| {
                let own = entry.class.secrecy;
                own.level == secrecy.level && secrecy.dominates(&own)
            })
            .max_by_key(|entry| entry.class.secrecy.categories.len())
    }
}

/// The shape for a level's shape and further categories: the same one only if there are none.
fn varied(shape: Shape, categories: CategorySet) -> Shape {
    if categories.is_empty() {
        return shape;
    }
    let others = Shape::ALL.iter().filter(|other| **other != shape);
    let sum = categories.iter().map(|category| usize::from(category.get())).sum();
    others.cycle().nth(sum).copied().unwrap_or(shape)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{LabelSet, MIN_TEXT_CONTRAST, MarkingError, Vision};

    fn labels(preset: &Preset) -> LabelSet {
        let mut labels = LabelSet::new();
        for entry in &preset.entries {
            labels.insert(preset.label(entry.marking, entry.marking).unwrap()).unwrap();
        }
        labels
    }

    fn pairs(preset: &Preset) -> Vec<(PresetEntry, PresetEntry)> {
        let entries = &preset.entries;
        let before =
            |index: usize| entries[..index].iter().map(move |other| (entries[index], *other));
        (0..entries.len()).flat_map(before).collect()
    }

    #[test]
    fn every_preset_makes_a_valid_set_of_labels() {
        for name in PRESETS {
            let preset = preset(name).unwrap();

            let labels = labels(&preset);

            assert_eq!(labels.iter().count(), preset.entries.len());
            for entry in &preset.entries {
                let label = labels.get(labels.by_name(entry.marking).unwrap()).unwrap();
                assert_eq!((label.text.as_str(), label.class), (entry.marking, entry.class));
                assert_eq!(label.appearance, entry.appearance);
            }
        }
        assert_eq!(preset("US"), None);
    }

    #[test]
    fn every_level_of_a_preset_has_a_look() {
        for preset in PRESETS.map(|name| preset(name).unwrap()) {
            for level in preset.scheme.levels() {
                assert!(preset.entries.iter().any(|entry| entry.marking == level), "{level}");
            }
        }
    }

    #[test]
    fn every_banner_text_can_be_read() {
        for preset in PRESETS.map(|name| preset(name).unwrap()) {
            for PresetEntry { marking, appearance: look, .. } in &preset.entries {
                assert!(look.text_color.contrast(look.color) >= MIN_TEXT_CONTRAST, "{marking}");
                assert!(look.text_color.contrast(look.pattern_color) >= MIN_TEXT_CONTRAST);
            }
        }
    }

    #[test]
    fn plain_is_told_apart_by_color_alone_with_every_color_vision() {
        for (a, b) in pairs(&preset("plain").unwrap()) {
            for vision in Vision::ALL {
                let distance = vision.distance(a.appearance.color, b.appearance.color);
                assert!(distance >= 25.0, "{} {} {vision:?} {distance}", a.marking, b.marking);
            }
        }
    }

    #[test]
    fn us_pairs_too_close_in_color_differ_in_pattern_and_shape() {
        let close: Vec<_> = pairs(&preset("us").unwrap())
            .into_iter()
            .filter(|(a, b)| {
                Vision::worst_distance(a.appearance.color, b.appearance.color)
                    < crate::MIN_COLOR_DISTANCE
            })
            .collect();

        assert!(close.iter().any(|(a, b)| (a.marking, b.marking) == ("SECRET", "UNCLASSIFIED")));
        for (a, b) in close {
            assert_ne!(a.appearance.pattern, b.appearance.pattern, "{} {}", a.marking, b.marking);
            assert_ne!(a.appearance.shape, b.appearance.shape, "{} {}", a.marking, b.marking);
        }
    }

    #[test]
    fn us_has_the_colors_in_common_use() {
        let us = preset("us").unwrap();
        let colors: Vec<String> = us
            .entries
            .iter()
            .map(|entry| {
                let Appearance { color, text_color, .. } = entry.appearance;
                format!("{} {color} {text_color}", entry.marking)
            })
            .collect();

        assert_eq!(
            colors,
            [
                "UNCLASSIFIED #007a33 #ffffff",
                "CUI #502b85 #ffffff",
                "CONFIDENTIAL #0033a0 #ffffff",
                "SECRET #c8102e #ffffff",
                "TOP SECRET #ff8c00 #000000",
                "TOP SECRET//SCI #fce83a #000000",
            ]
        );
    }

    #[test]
    fn plain_lets_information_flow_only_where_its_table_says() {
        let plain = preset("plain").unwrap();
        let flows: Vec<_> = plain
            .entries
            .iter()
            .flat_map(|from| plain.entries.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from != to && from.class.can_flow_to(&to.class))
            .map(|(from, to)| (from.marking, to.marking))
            .collect();

        assert_eq!(
            flows,
            [
                ("PUBLIC", "UNTRUSTED"),
                ("PUBLIC", "PERSONAL"),
                ("PUBLIC", "WORK"),
                ("PUBLIC", "SECRET"),
                ("PERSONAL", "SECRET"),
                ("WORK", "SECRET"),
            ]
        );
    }

    #[test]
    fn us_levels_ascend() {
        let us = preset("us").unwrap();

        assert!(us.entries.windows(2).all(|pair| pair[0].class.can_flow_to(&pair[1].class)));
    }

    #[test]
    fn a_marking_gets_the_look_of_its_level_and_a_shape_of_its_own() {
        let us = preset("us").unwrap();
        let secret = us.label("secret", "SECRET").unwrap();

        let alpha = us.label("alpha", "SECRET//ALPHA").unwrap();

        assert_eq!((alpha.text.as_str(), alpha.name.as_str()), ("SECRET//ALPHA", "alpha"));
        assert_eq!(alpha.appearance.color, secret.appearance.color);
        assert_eq!(alpha.appearance.pattern, secret.appearance.pattern);
        assert_ne!(alpha.appearance.shape, secret.appearance.shape);
        assert!(secret.class.can_flow_to(&alpha.class));
        assert!(!alpha.class.can_flow_to(&secret.class));
    }

    #[test]
    fn the_first_categories_of_one_level_fit_in_one_set() {
        for preset in PRESETS.map(|name| preset(name).unwrap()) {
            let mut labels = labels(&preset);
            for category in CATEGORIES.iter().take(6) {
                let marking = format!("SECRET//{category}");
                let label = preset.label(&marking, &marking).unwrap();
                assert!(labels.insert(label).is_ok(), "{} {marking}", preset.name);
            }
        }
    }

    #[test]
    fn a_marking_with_sci_looks_like_sci() {
        let us = preset("us").unwrap();

        let label = us.label("x", "TOP SECRET//ALPHA/SCI").unwrap();

        assert_eq!(label.text, "TOP SECRET//SCI/ALPHA");
        assert_eq!(label.appearance.color, Rgb::new(0xfc, 0xe8, 0x3a));
        let without = us.label("y", "TOP SECRET//ALPHA").unwrap();
        assert_eq!(without.appearance.color, Rgb::new(0xff, 0x8c, 0x00));
    }

    #[test]
    fn an_unknown_marking_makes_no_label() {
        let refused = preset("plain").unwrap().label("x", "TOP SECRET").unwrap_err();

        let LabelError::Marking(_, source) = refused else { panic!("{refused}") };
        assert!(matches!(source, MarkingError::UnknownLevel(..)));
    }

    #[test]
    fn a_desk_adds_its_own_categories() {
        let us = preset("us").unwrap().with_categories(["ORION"]).unwrap();

        assert_eq!(us.label("x", "SECRET//ORION").unwrap().text, "SECRET//ORION");
        assert!(matches!(us.with_categories(["0RION"]), Err(SchemeError::LookAlike(..))));
    }
}
