//! A classification scheme: the names of levels and categories, and markings made of them.
//!
//! A marking is `LEVEL` or `LEVEL//CATEGORY/CATEGORY`. A name that the scheme does not have is
//! refused, never replaced by a default: an unreadable marking must not become a low one.

use thiserror::Error;

use crate::text::{self, MAX_TEXT_CHARS, TextError};
use crate::{Category, CategorySet, Compartment, Level};

/// The most levels a scheme can name.
pub const MAX_LEVELS: usize = 256;
/// The most categories a scheme can name.
pub const MAX_CATEGORIES: usize = 128;

/// Why a scheme was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SchemeError {
    /// A scheme without a level could mark nothing.
    #[error("The scheme has no level")]
    NoLevel,
    /// More names than there are levels.
    #[error("The scheme has {0} levels; at most {MAX_LEVELS} are allowed")]
    TooManyLevels(usize),
    /// More names than there are categories.
    #[error("The scheme has {0} categories; at most {MAX_CATEGORIES} are allowed")]
    TooManyCategories(usize),
    /// A name with a character, a length or spaces that are not allowed.
    #[error("Name {0:?} cannot be used")]
    Name(String, #[source] TextError),
    /// Two names of one kind that are the same or look it, in the order given.
    #[error("Names {0:?} and {1:?} look alike")]
    LookAlike(String, String),
}

/// Why a marking could not be read or printed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MarkingError {
    /// A character, a length or spaces that no marking has.
    #[error("The marking cannot be read")]
    Text(#[source] TextError),
    /// Not of the form `LEVEL//CATEGORY/CATEGORY`.
    #[error("Marking {0:?} is not of the form LEVEL or LEVEL//CATEGORY/CATEGORY")]
    Form(String),
    /// The scheme has no level of the first name; the second lists what it has.
    #[error("Unknown level {0:?}; the scheme has {1}")]
    UnknownLevel(String, String),
    /// The scheme has no category of the first name; the second lists what it has.
    #[error("Unknown category {0:?}; the scheme has {1}")]
    UnknownCategory(String, String),
    /// The same category twice.
    #[error("Category {0:?} is named twice")]
    RepeatedCategory(String),
    /// A level that the scheme does not name.
    #[error("Level {} has no name in the scheme", .0.get())]
    UnnamedLevel(Level),
    /// A category that the scheme does not name.
    #[error("Category {} has no name in the scheme", .0.get())]
    UnnamedCategory(Category),
}

/// Names for levels, lowest first, and for categories. Built by [`Scheme::builder`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    levels: Vec<String>,
    categories: Vec<String>,
}

/// Collects the names of a [`Scheme`]; nothing is checked before [`SchemeBuilder::build`].
#[derive(Clone, Debug, Default)]
pub struct SchemeBuilder {
    levels: Vec<String>,
    categories: Vec<String>,
}

impl SchemeBuilder {
    /// Adds the next higher level.
    #[must_use]
    pub fn level(mut self, name: impl Into<String>) -> Self {
        self.levels.push(name.into());
        self
    }

    /// Adds the next category.
    #[must_use]
    pub fn category(mut self, name: impl Into<String>) -> Self {
        self.categories.push(name.into());
        self
    }

    /// Checks all names and makes the scheme.
    ///
    /// # Errors
    ///
    /// [`SchemeError`] if there is no level, too many names, a name that may not be used, or two
    /// levels or two categories that look alike.
    pub fn build(self) -> Result<Scheme, SchemeError> {
        if self.levels.is_empty() {
            return Err(SchemeError::NoLevel);
        }
        if self.levels.len() > MAX_LEVELS {
            return Err(SchemeError::TooManyLevels(self.levels.len()));
        }
        if self.categories.len() > MAX_CATEGORIES {
            return Err(SchemeError::TooManyCategories(self.categories.len()));
        }
        check_names(&self.levels)?;
        check_names(&self.categories)?;
        Ok(Scheme { levels: self.levels, categories: self.categories })
    }
}

fn check_names(names: &[String]) -> Result<(), SchemeError> {
    for (index, name) in names.iter().enumerate() {
        text::check_name(name).map_err(|source| SchemeError::Name(name.clone(), source))?;
        if let Some(first) = names.iter().take(index).find(|first| text::look_alike(first, name)) {
            return Err(SchemeError::LookAlike(first.clone(), name.clone()));
        }
    }
    Ok(())
}

impl Scheme {
    /// An empty builder.
    #[must_use]
    pub fn builder() -> SchemeBuilder {
        SchemeBuilder::default()
    }

    /// A builder that starts with the names of this scheme.
    #[must_use]
    pub fn to_builder(&self) -> SchemeBuilder {
        SchemeBuilder { levels: self.levels.clone(), categories: self.categories.clone() }
    }

    /// The names of the levels, lowest first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().map(String::as_str)
    }

    /// The names of the categories, in the order in which markings print them.
    pub fn categories(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().map(String::as_str)
    }

    /// The level of this exact name.
    #[must_use]
    pub fn level(&self, name: &str) -> Option<Level> {
        let index = self.levels.iter().position(|known| known == name)?;
        u8::try_from(index).ok().map(Level::new)
    }

    /// The category of this exact name.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<Category> {
        let index = self.categories.iter().position(|known| known == name)?;
        u8::try_from(index).ok().and_then(Category::new)
    }

    /// The name of a level.
    #[must_use]
    pub fn level_name(&self, level: Level) -> Option<&str> {
        self.levels.get(usize::from(level.get())).map(String::as_str)
    }

    /// The name of a category.
    #[must_use]
    pub fn category_name(&self, category: Category) -> Option<&str> {
        self.categories.get(usize::from(category.get())).map(String::as_str)
    }

    /// Prints a compartment as its marking, categories in the scheme's order.
    ///
    /// # Errors
    ///
    /// [`MarkingError::UnnamedLevel`] or [`MarkingError::UnnamedCategory`]: a part without a name
    /// is not left out, since the marking would then say less than the class.
    pub fn print(&self, compartment: &Compartment) -> Result<String, MarkingError> {
        let level = compartment.level;
        let mut marking =
            self.level_name(level).ok_or(MarkingError::UnnamedLevel(level))?.to_owned();
        let mut separator = "//";
        for category in compartment.categories.iter() {
            let name =
                self.category_name(category).ok_or(MarkingError::UnnamedCategory(category))?;
            marking.push_str(separator);
            marking.push_str(name);
            separator = "/";
        }
        Ok(marking)
    }

    /// Reads a marking; categories may come in any order, names are exact.
    ///
    /// # Errors
    ///
    /// [`MarkingError`] if the form is wrong, a name is unknown or a category is repeated.
    pub fn parse(&self, marking: &str) -> Result<Compartment, MarkingError> {
        // A name that is legal but unknown gets its own error below; here only what no marking
        // can contain, so that nothing unprintable reaches a message.
        let longest = self.longest_marking();
        text::check_within(marking, longest).map_err(MarkingError::Text)?;
        let (level_name, category_names) = match marking.split_once("//") {
            Some((level, categories)) => (level, Some(categories)),
            None => (marking, None),
        };
        if level_name.is_empty() || level_name.contains('/') {
            return Err(MarkingError::Form(marking.to_owned()));
        }
        let level = self.level(level_name).ok_or_else(|| {
            MarkingError::UnknownLevel(level_name.to_owned(), first_names(&self.levels))
        })?;
        let mut categories = CategorySet::EMPTY;
        for name in category_names.iter().flat_map(|names| names.split('/')) {
            if name.is_empty() {
                return Err(MarkingError::Form(marking.to_owned()));
            }
            let category = self.category(name).ok_or_else(|| {
                MarkingError::UnknownCategory(name.to_owned(), first_names(&self.categories))
            })?;
            if !categories.insert(category) {
                return Err(MarkingError::RepeatedCategory(name.to_owned()));
            }
        }
        Ok(Compartment::new(level, categories))
    }

    /// The length that no marking of this scheme exceeds, in characters.
    fn longest_marking(&self) -> usize {
        let level = self.levels.iter().map(String::len).max().unwrap_or(0);
        self.categories
            .iter()
            .fold(level.saturating_add(1), |sum, name| {
                sum.saturating_add(name.len()).saturating_add(1)
            })
            .max(MAX_TEXT_CHARS)
    }
}

/// Up to eight names for an error message.
fn first_names(names: &[String]) -> String {
    let shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    match (shown.is_empty(), names.len() > shown.len()) {
        (true, _) => "none".to_owned(),
        (false, false) => shown.join(", "),
        (false, true) => format!("{}, ...", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme() -> Scheme {
        Scheme::builder()
            .level("PUBLIC")
            .level("TOP SECRET")
            .category("ALPHA")
            .category("BRAVO")
            .build()
            .unwrap()
    }

    #[test]
    fn a_marking_prints_level_and_categories() {
        let compartment = Compartment::new(Level::new(1), CategorySet::from_bits(0b11));

        assert_eq!(scheme().print(&compartment).unwrap(), "TOP SECRET//ALPHA/BRAVO");
    }

    #[test]
    fn categories_may_come_in_any_order() {
        let compartment = scheme().parse("TOP SECRET//BRAVO/ALPHA").unwrap();

        assert_eq!(compartment, Compartment::new(Level::new(1), CategorySet::from_bits(0b11)));
    }

    #[test]
    fn unknown_names_are_refused_not_defaulted() {
        let scheme = scheme();

        for marking in ["SECRET", "public", "PUBLICX", "TOP", "TOP SECRET "] {
            assert!(scheme.parse(marking).is_err(), "{marking:?}");
        }
        let error = scheme.parse("PUBLIC//CHARLIE").unwrap_err();
        assert_eq!(error.to_string(), "Unknown category \"CHARLIE\"; the scheme has ALPHA, BRAVO");
    }

    #[test]
    fn every_other_form_is_refused() {
        let scheme = scheme();

        for marking in [
            "",
            "/",
            "//",
            "PUBLIC/",
            "PUBLIC//",
            "PUBLIC/ALPHA",
            "PUBLIC///ALPHA",
            "//ALPHA",
            "PUBLIC//ALPHA/",
            "PUBLIC//ALPHA//BRAVO",
            "PUBLIC//ALPHA/ALPHA",
            "PUBLIC// ALPHA",
            "PUBLIC//\u{202e}ALPHA",
        ] {
            assert!(scheme.parse(marking).is_err(), "{marking:?}");
        }
    }

    #[test]
    fn a_marking_without_a_level_is_of_no_form() {
        let refused = scheme().parse("//ALPHA");

        assert_eq!(refused, Err(MarkingError::Form("//ALPHA".to_owned())));
    }

    #[test]
    fn a_part_without_a_name_is_not_left_out() {
        let category = Category::new(2).unwrap();
        let level = Level::new(2);
        let categories = CategorySet::from_iter([category]);

        let unnamed = scheme().print(&Compartment::new(Level::MIN, categories));
        assert_eq!(unnamed, Err(MarkingError::UnnamedCategory(category)));
        let unnamed = scheme().print(&Compartment::new(level, CategorySet::EMPTY));
        assert_eq!(unnamed, Err(MarkingError::UnnamedLevel(level)));
    }

    #[test]
    fn names_that_look_alike_are_refused() {
        let refused = Scheme::builder().level("SECRET").level("5ecret").build();

        let (first, second) = ("SECRET".to_owned(), "5ecret".to_owned());
        assert_eq!(refused, Err(SchemeError::LookAlike(first, second)));
    }

    #[test]
    fn names_are_checked() {
        let refused = Scheme::builder().level("A").category("B/C").build();

        assert!(matches!(refused, Err(SchemeError::Name(name, _)) if name == "B/C"));
        assert_eq!(Scheme::builder().category("A").build(), Err(SchemeError::NoLevel));
    }

    #[test]
    fn the_limits_are_256_levels_and_128_categories() {
        let build = |levels: usize, categories: usize| {
            let builder = (0..levels).fold(Scheme::builder(), |b, n| b.level(format!("LEVEL {n}")));
            (0..categories).fold(builder, |b, n| b.category(format!("C{n}"))).build()
        };

        let largest = build(256, 128).unwrap();
        assert_eq!(build(257, 0), Err(SchemeError::TooManyLevels(257)));
        assert_eq!(build(1, 129), Err(SchemeError::TooManyCategories(129)));
        let marking = largest.print(&Compartment::TOP).unwrap();
        assert!(marking.starts_with("LEVEL 255//C0/C1/") && marking.ends_with("/C127"));
        assert_eq!(largest.parse(&marking), Ok(Compartment::TOP));
    }
}
