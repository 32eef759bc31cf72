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

/// Names for levels, lowest first, and for categories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    levels: Vec<String>,
    categories: Vec<String>,
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
    /// A scheme of these levels, lowest first, and these categories, in the order in which
    /// markings print them.
    ///
    /// # Errors
    ///
    /// [`SchemeError`] if there is no level, too many names, a name that may not be used, or two
    /// levels or two categories that look alike.
    pub fn new<N: Into<String>>(
        levels: impl IntoIterator<Item = N>,
        categories: impl IntoIterator<Item = N>,
    ) -> Result<Self, SchemeError> {
        let levels: Vec<String> = levels.into_iter().map(Into::into).collect();
        let categories: Vec<String> = categories.into_iter().map(Into::into).collect();
        if levels.is_empty() {
            return Err(SchemeError::NoLevel);
        }
        if levels.len() > MAX_LEVELS {
            return Err(SchemeError::TooManyLevels(levels.len()));
        }
        if categories.len() > MAX_CATEGORIES {
            return Err(SchemeError::TooManyCategories(categories.len()));
        }
        check_names(&levels)?;
        check_names(&categories)?;
        Ok(Self { levels, categories })
    }

    /// The names of the levels, lowest first.
    pub fn levels(&self) -> impl Iterator<Item = &str> {
        self.levels.iter().map(String::as_str)
    }

    /// The names of the categories, in the order in which markings print them.
    pub fn categories(&self) -> impl Iterator<Item = &str> {
        self.categories.iter().map(String::as_str)
    }

    /// Prints a compartment as its marking, categories in the scheme's order.
    ///
    /// # Errors
    ///
    /// [`MarkingError::UnnamedLevel`] or [`MarkingError::UnnamedCategory`]: a part without a name
    /// is not left out, since the marking would then say less than the class.
    pub fn print(&self, compartment: &Compartment) -> Result<String, MarkingError> {
        let level = compartment.level;
        let name = self.levels.get(usize::from(level.get()));
        let mut marking = name.ok_or(MarkingError::UnnamedLevel(level))?.clone();
        let mut separator = "//";
        for category in compartment.categories.iter() {
            let name = self.categories.get(usize::from(category.get()));
            marking.push_str(separator);
            marking.push_str(name.ok_or(MarkingError::UnnamedCategory(category))?);
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
        let level = place(&self.levels, level_name).map(Level::new).ok_or_else(|| {
            MarkingError::UnknownLevel(level_name.to_owned(), first_names(&self.levels))
        })?;
        let mut categories = CategorySet::EMPTY;
        for name in category_names.iter().flat_map(|names| names.split('/')) {
            if name.is_empty() {
                return Err(MarkingError::Form(marking.to_owned()));
            }
            let category = place(&self.categories, name).and_then(Category::new);
            let category = category.ok_or_else(|| {
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
        let categories: usize =
            self.categories.iter().map(|name| name.len().saturating_add(1)).sum();
        level.saturating_add(1).saturating_add(categories).max(MAX_TEXT_CHARS)
    }
}

/// The place of this exact name.
fn place(names: &[String], name: &str) -> Option<u8> {
    u8::try_from(names.iter().position(|known| known == name)?).ok()
}

/// Up to eight names for an error message.
fn first_names(names: &[String]) -> String {
    let mut shown: Vec<&str> = names.iter().take(8).map(String::as_str).collect();
    if names.len() > shown.len() {
        shown.push("...");
    }
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scheme() -> Scheme {
        Scheme::new(["PUBLIC", "TOP SECRET"], ["ALPHA", "BRAVO"]).unwrap()
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
        let categories = CategorySet::from_bits(0b100);

        let unnamed = scheme().print(&Compartment::new(Level::MIN, categories));
        assert_eq!(unnamed, Err(MarkingError::UnnamedCategory(category)));
        let unnamed = scheme().print(&Compartment::new(level, CategorySet::EMPTY));
        assert_eq!(unnamed, Err(MarkingError::UnnamedLevel(level)));
    }

    #[test]
    fn names_that_look_alike_are_refused() {
        let refused = Scheme::new(["SECRET", "5ecret"], []);

        let (first, second) = ("SECRET".to_owned(), "5ecret".to_owned());
        assert_eq!(refused, Err(SchemeError::LookAlike(first, second)));
    }

    #[test]
    fn names_are_checked() {
        let refused = Scheme::new(["A"], ["B/C"]);

        assert!(matches!(refused, Err(SchemeError::Name(name, _)) if name == "B/C"));
        assert_eq!(Scheme::new([], ["A"]), Err(SchemeError::NoLevel));
    }

    #[test]
    fn the_limits_are_256_levels_and_128_categories() {
        let build = |levels: usize, categories: usize| {
            let levels = (0..levels).map(|n| format!("LEVEL {n}"));
            Scheme::new(levels, (0..categories).map(|n| format!("C{n}")))
        };

        let largest = build(256, 128).unwrap();
        assert_eq!(build(257, 0), Err(SchemeError::TooManyLevels(257)));
        assert_eq!(build(1, 129), Err(SchemeError::TooManyCategories(129)));
        let marking = largest.print(&Compartment::TOP).unwrap();
        assert!(marking.starts_with("LEVEL 255//C0/C1/") && marking.ends_with("/C127"));
        assert_eq!(largest.parse(&marking), Ok(Compartment::TOP));
    }
}
