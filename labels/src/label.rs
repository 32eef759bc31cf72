//! Labels and the checked table of them: two labels that could be confused are never both in it.

use thiserror::Error;

use crate::text::{self, TextError};
use crate::{AccessClass, Appearance, AppearanceError, MarkingError, Vision};

/// The CIEDE2000 distance below which two colours are too close to tell labels apart, for any eye.
pub const MIN_COLOR_DISTANCE: f64 = 20.0;

/// Why a label was refused. Labels are given by name, the one already in the table first.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum LabelError {
    /// The name is not printable ASCII of a sensible length.
    #[error("The name of label {0:?} cannot be used")]
    Name(String, #[source] TextError),
    /// The banner text is not printable ASCII of a sensible length.
    #[error("The banner text of label {0:?} cannot be used")]
    Text(String, #[source] TextError),
    /// The text cannot be read on its banner.
    #[error("The banner of label {0:?} cannot be read")]
    Appearance(String, #[source] AppearanceError),
    /// The marking is not one of the scheme.
    #[error("The marking of label {0:?} is not one of the scheme")]
    Marking(String, #[source] MarkingError),
    /// Two labels with names that are the same or look it.
    #[error("Labels {0:?} and {1:?} have names that look alike; rename one")]
    SameName(String, String),
    /// Two labels with banner texts that are the same or look it.
    #[error("Labels {0:?} and {1:?} have banner texts that look alike; change one text")]
    SameText(String, String),
    /// Two labels that look the same but for their text; last the CIEDE2000 distance of their
    /// colours for the eye that tells them apart worst.
    #[error(
        "Labels {0:?} and {1:?} have the same pattern and shape and colors only {2:.1} delta-E \
         apart; change the pattern, the shape or the color of one"
    )]
    SameLook(String, String, f64),
    /// More labels than there are numbers for.
    #[error("There are more than 65536 labels")]
    TooMany,
}

/// The place of a label in its [`LabelSet`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelId(pub u16);

/// A label: what it means and how it looks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Label {
    /// The name by which a desk file refers to it.
    pub name: String,
    /// The text in the banner.
    pub text: String,
    /// The access class of every guest that wears it.
    pub class: AccessClass,
    /// How its banner is drawn.
    pub appearance: Appearance,
}

impl Label {
    /// Checks what can be checked of one label alone.
    ///
    /// # Errors
    ///
    /// [`LabelError`] if the name or the text is not printable ASCII of 1 to 80 characters, or the
    /// text cannot be read on its banner.
    pub fn validate(&self) -> Result<(), LabelError> {
        let name = || self.name.clone();
        text::check_text(&self.name).map_err(|why| LabelError::Name(name(), why))?;
        text::check_text(&self.text).map_err(|why| LabelError::Text(name(), why))?;
        self.appearance.check().map_err(|why| LabelError::Appearance(name(), why))
    }

    /// Checks that a user can tell this label from the other.
    ///
    /// # Errors
    ///
    /// [`LabelError::SameName`], [`LabelError::SameText`], or [`LabelError::SameLook`] if pattern
    /// and shape are the same and an eye exists for which the colours are too close.
    pub fn check_distinct(&self, other: &Self) -> Result<(), LabelError> {
        let (known, new) = (self.name.clone(), other.name.clone());
        if text::look_alike(&self.name, &other.name) {
            return Err(LabelError::SameName(known, new));
        }
        if text::look_alike(&self.text, &other.text) {
            return Err(LabelError::SameText(known, new));
        }
        let (a, b) = (&self.appearance, &other.appearance);
        let distance = Vision::worst_distance(a.color, b.color);
        if a.pattern == b.pattern && a.shape == b.shape && distance < MIN_COLOR_DISTANCE {
            return Err(LabelError::SameLook(known, new, distance));
        }
        Ok(())
    }
}

/// A table of labels, each valid and each distinct from all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSet {
    labels: Vec<Label>,
}

impl LabelSet {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a label and returns its place.
    ///
    /// # Errors
    ///
    /// [`LabelError`] if the label is not valid or could be taken for one that is in the table; the
    /// table is then as before.
    pub fn insert(&mut self, label: Label) -> Result<LabelId, LabelError> {
        label.validate()?;
        let id = u16::try_from(self.labels.len()).map_err(|_| LabelError::TooMany)?;
        self.labels.iter().try_for_each(|known| known.check_distinct(&label))?;
        self.labels.push(label);
        Ok(LabelId(id))
    }

    /// The label at this place.
    #[must_use]
    pub fn get(&self, id: LabelId) -> Option<&Label> {
        self.labels.get(usize::from(id.0))
    }

    /// The place of the label with this exact name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<LabelId> {
        self.iter().find(|(_, label)| label.name == name).map(|(id, _)| id)
    }

    /// All labels with their places, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = (LabelId, &Label)> {
        (0..=u16::MAX).map(LabelId).zip(&self.labels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pattern, Rgb, Shape};

    fn label(name: &str, text: &str, color: u32, pattern: Pattern) -> Label {
        let appearance = Appearance::new(Rgb::from_u32(color), None, pattern, Shape::Disc);
        let (name, text) = (name.to_owned(), text.to_owned());
        Label { name, text, class: AccessClass::default(), appearance }
    }

    fn table() -> LabelSet {
        let mut labels = LabelSet::new();
        labels.insert(label("red", "SECRET", 0x00c8_102e, Pattern::Bars)).unwrap();
        labels
    }

    #[test]
    fn labels_are_found_by_place_and_name() {
        let mut labels = table();

        let id = labels.insert(label("blue", "WORK", 0x0000_33a0, Pattern::Bars)).unwrap();

        assert_eq!(labels.by_name("blue"), Some(id));
        assert_eq!(labels.get(id).map(|label| label.text.as_str()), Some("WORK"));
        assert_eq!((labels.by_name("green"), labels.get(LabelId(2))), (None, None));
        assert_eq!(labels.iter().count(), 2);
    }

    #[test]
    fn a_name_that_looks_like_another_is_refused() {
        let refused = table().insert(label("RED", "WORK", 0x0000_33a0, Pattern::Dots));

        assert!(matches!(refused, Err(LabelError::SameName(..))));
    }

    #[test]
    fn a_text_that_looks_like_another_is_refused() {
        let refused = table().insert(label("blue", "5ecret", 0x0000_33a0, Pattern::Dots));

        assert!(matches!(refused, Err(LabelError::SameText(..))));
    }

    #[test]
    fn a_look_that_only_some_eyes_tell_apart_is_refused() {
        // Red and this green are 69 delta-E apart for most, and 7 for a deuteranope.
        let green = |pattern| label("green", "WORK", 0x0000_7a33, pattern);

        let refused = table().insert(green(Pattern::Bars));

        assert!(matches!(refused, Err(LabelError::SameLook(.., distance)) if distance < 20.0));
        assert!(table().insert(green(Pattern::Dots)).is_ok());
    }

    #[test]
    fn a_refused_label_leaves_the_table_as_it_was() {
        let mut labels = table();

        let refused = labels.insert(label("red", "WORK", 0x0000_33a0, Pattern::Dots));

        assert!(refused.is_err());
        assert_eq!(labels, table());
    }

    #[test]
    fn text_and_colors_are_checked() {
        let mut faint = label("a", "A", 0x00ff_8c00, Pattern::Dots);
        faint.appearance.text_color = Rgb::WHITE;

        assert!(matches!(faint.validate(), Err(LabelError::Appearance(..))));
        let text = label("a", "A\u{202e}B", 0, Pattern::Dots).validate();
        assert!(matches!(text, Err(LabelError::Text(..))));
        let name = label("", "A", 0, Pattern::Dots).validate();
        assert!(matches!(name, Err(LabelError::Name(..))));
    }
}
