//! A count that is no part of a state.

use std::hash::{Hash, Hasher};

/// How often something has happened on the way here. Two states that differ in nothing else are
/// one, so it says nothing of a state; it shows that a search comes to what it is about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally(pub(crate) usize);

impl PartialEq for Tally {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Tally {}

impl Hash for Tally {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
