//! One side of an access class: a hierarchical level and a set of categories.
//!
//! The lattice of Denning, "A Lattice Model of Secure Information Flow" (CACM 19(5), 1976): levels
//! are totally ordered, category sets are ordered by inclusion, and the pair componentwise.

/// A hierarchical level, 0 (lowest) to 255 (highest): the 256 of the CMW label encodings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// The lowest level, 0.
    pub const MIN: Self = Self(0);
    /// The highest level, 255.
    pub const MAX: Self = Self(u8::MAX);

    /// The level with this number; every value is a level.
    #[must_use]
    pub const fn new(number: u8) -> Self {
        Self(number)
    }

    /// The number of the level.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A non-hierarchical category, 0 to 127: the 128 of the CMW label encodings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Category(u8);

impl Category {
    /// The category with this number, or `None` from 128 on.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 { Some(Self(number)) } else { None }
    }

    /// The number of the category, 0 to 127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }

    const fn bit(self) -> u128 {
        // The number is below 128 by construction, so this never wraps.
        1u128.wrapping_shl(self.0 as u32)
    }
}

/// A set of categories, ordered by inclusion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct CategorySet(u128);

impl CategorySet {
    /// The set without a category.
    pub const EMPTY: Self = Self(0);
    /// The set of all 128 categories.
    pub const ALL: Self = Self(u128::MAX);

    /// The set whose member `n` is bit `n`.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        Self(bits)
    }

    /// Adds a category; true if it was not yet a member.
    pub const fn insert(&mut self, category: Category) -> bool {
        let fresh = !self.contains(category);
        self.0 |= category.bit();
        fresh
    }

    /// Whether the category is a member.
    #[must_use]
    pub const fn contains(self, category: Category) -> bool {
        self.0 & category.bit() != 0
    }

    /// The members of either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The members of both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The members of this set that the other lacks.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every member is also one of `other`.
    #[must_use]
    pub const fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Whether the set has no member.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The number of members, 0 to 128.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The members in ascending order.
    pub fn iter(self) -> impl Iterator<Item = Category> {
        (0..=127).map(Category).filter(move |category| self.contains(*category))
    }
}

/// One lattice side of an access class, either secrecy or integrity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Compartment {
    /// The hierarchical level.
    pub level: Level,
    /// The non-hierarchical categories.
    pub categories: CategorySet,
}

impl Compartment {
    /// Lowest level, no category: dominated by all.
    pub const BOTTOM: Self = Self { level: Level::MIN, categories: CategorySet::EMPTY };
    /// Highest level, all categories: dominates all.
    pub const TOP: Self = Self { level: Level::MAX, categories: CategorySet::ALL };

    /// A compartment of this level and these categories.
    #[must_use]
    pub const fn new(level: Level, categories: CategorySet) -> Self {
        Self { level, categories }
    }

    /// Whether the level is at least the other's and the categories include the other's.
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        self.level >= other.level && other.categories.is_subset(self.categories)
    }

    /// The least compartment that dominates both.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self::new(self.level.max(other.level), self.categories.union(other.categories))
    }

    /// The greatest compartment that both dominate.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self::new(self.level.min(other.level), self.categories.intersection(other.categories))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(numbers: &[u8]) -> CategorySet {
        let mut set = CategorySet::EMPTY;
        for category in numbers.iter().filter_map(|number| Category::new(*number)) {
            set.insert(category);
        }
        set
    }

    #[test]
    fn there_are_256_levels_and_128_categories() {
        assert_eq!(Level::MAX.get(), 255);
        assert_eq!(Category::new(127).map(Category::get), Some(127));
        assert_eq!(Category::new(128), None);
        assert_eq!(CategorySet::ALL.iter().count(), 128);
    }

    #[test]
    fn every_category_is_a_bit_of_its_own() {
        let mut all = CategorySet::EMPTY;

        let fresh = CategorySet::ALL.iter().filter(|category| all.insert(*category)).count();

        assert_eq!((fresh, all, all.len()), (128, CategorySet::ALL, 128));
    }

    #[test]
    fn inserting_twice_changes_nothing() {
        let mut categories = set(&[5]);

        let fresh = categories.insert(Category::new(5).unwrap());

        assert!(!fresh);
        assert_eq!(categories, set(&[5]));
    }

    #[test]
    fn iteration_ascends() {
        let numbers: Vec<u8> = set(&[127, 0, 64]).iter().map(Category::get).collect();

        assert_eq!(numbers, [0, 64, 127]);
    }

    #[test]
    fn a_higher_level_without_the_category_does_not_dominate() {
        let secret = Compartment::new(Level::new(3), set(&[1]));
        let top_secret = Compartment::new(Level::new(4), set(&[2]));

        assert!(!top_secret.dominates(&secret));
        assert!(!secret.dominates(&top_secret));
    }

    #[test]
    fn bottom_and_top_bound_the_limits() {
        let last = Compartment::new(Level::MAX, set(&[127]));

        assert!(last.dominates(&Compartment::BOTTOM));
        assert!(Compartment::TOP.dominates(&last));
    }
}
