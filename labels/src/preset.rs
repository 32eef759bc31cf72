//! Ready-made schemes with a look for each marking.
//!
//! `us` has the levels and colours in common use in the United States (no standard fixes the hex
//! values). `plain` is the default: everyday names, and colours that stay apart for every eye.

use crate::{
    AccessClass, Appearance, CategorySet, Compartment, Label, LabelError, LabelSet, Level, Pattern,
    Rgb, Scheme, SchemeError, Shape,
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
    ("PUBLIC", 3, 0x00e8_e8e8, Pattern::Plain, Shape::Ring),
    ("UNTRUSTED", 0, 0x00b0_2a1a, Pattern::Diagonals, Shape::Triangle),
    ("PERSONAL", 1, 0x00f2_c94c, Pattern::Dots, Shape::Disc),
    ("WORK", 2, 0x0010_5fb8, Pattern::Bars, Shape::Square),
    ("SECRET", 1, 0x0020_1030, Pattern::Chevrons, Shape::Star),
];

/// Secrecy alone: all of one integrity. SCI is a category, with a colour of its own.
const US: [Row; 6] = [
    ("UNCLASSIFIED", 0, 0x0000_7a33, Pattern::Plain, Shape::Ring),
    ("CUI", 0, 0x0050_2b85, Pattern::Dots, Shape::Disc),
    ("CONFIDENTIAL", 0, 0x0000_33a0, Pattern::Bars, Shape::Square),
    ("SECRET", 0, 0x00c8_102e, Pattern::Diagonals, Shape::Diamond),
    ("TOP SECRET", 0, 0x00ff_8c00, Pattern::Chevrons, Shape::Triangle),
    ("TOP SECRET//SCI", 0, 0x00fc_e83a, Pattern::Checks, Shape::Star),
];

/// The preset of this name, one of [`PRESETS`].
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
    let mut builder = Scheme::builder();
    for (marking, ..) in rows.iter().filter(|(marking, ..)| !marking.contains('/')) {
        builder = builder.level(*marking);
    }
    for category in own_categories.iter().chain(&CATEGORIES) {
        builder = builder.category(*category);
    }
    let scheme = builder.build().ok()?;
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
        let builder = self.scheme.to_builder();
        self.scheme = names.into_iter().fold(builder, |b, name| b.category(name)).build()?;
        Ok(self)
    }

    /// A label of this marking, which is also its text, in the look of its level.
    ///
    /// Categories beyond those of the level's look choose another shape, so that `SECRET//ALPHA`
    /// and `SECRET//BRAVO` differ in more than their text; a [`LabelSet`] refuses those few sets of
    /// categories that come to the same shape.
    ///
    /// # Errors
    ///
    /// [`LabelError`] if the marking is not one of the scheme, or is longer than a banner.
    pub fn label(&self, name: &str, marking: &str) -> Result<Label, LabelError> {
        let refuse = |source| LabelError::Marking { name: name.to_owned(), source };
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

    /// One label for each entry, named by its marking.
    ///
    /// # Errors
    ///
    /// None for the presets of this crate, which a test holds.
    pub fn labels(&self) -> Result<LabelSet, LabelError> {
        let mut labels = LabelSet::new();
        for entry in &self.entries {
            labels.insert(self.label(entry.marking, entry.marking)?)?;
        }
        Ok(labels)
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

/// The shape for a level's shape and further categories; the same one if there are none.
fn varied(shape: Shape, categories: CategorySet) -> Shape {
    let start = Shape::ALL.iter().position(|known| *known == shape).unwrap_or(0);
    let steps = categories.iter().map(|category| usize::from(category.get()).saturating_add(1));
    let offset = steps.fold(start, usize::saturating_add);
    Shape::ALL.iter().cycle().nth(offset).copied().unwrap_or(shape)
}
