//! Access classes: secrecy and integrity together, and which way information may flow.
//!
//! Secrecy follows Bell and LaPadula, "Secure Computer System: Unified Exposition and Multics
//! Interpretation" (MTR-2997, 1976): no read up, no write down. Integrity is its dual by Biba,
//! "Integrity Considerations for Secure Computer Systems" (MTR-3153, 1977): no read down, no write
//! up. One access class carries both, as in the VAX VMM security kernel (Karger et al., IEEE TSE
//! 17(11), 1991).

use crate::Compartment;

/// What a subject or an object is cleared for: a secrecy side and an integrity side.
///
/// The order is that of information flow: a class dominates another when information of the other
/// may flow into it. So it has at least the secrecy and at most the integrity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct AccessClass {
    /// How secret the information is; more is higher.
    pub secrecy: Compartment,
    /// How trustworthy the information is; more is higher.
    pub integrity: Compartment,
}

impl AccessClass {
    /// Public and fully trusted: may flow to every class.
    pub const SYSTEM_LOW: Self = Self { secrecy: Compartment::BOTTOM, integrity: Compartment::TOP };
    /// Most secret and least trusted: every class may flow into it.
    pub const SYSTEM_HIGH: Self =
        Self { secrecy: Compartment::TOP, integrity: Compartment::BOTTOM };

    /// A class of these two sides.
    #[must_use]
    pub const fn new(secrecy: Compartment, integrity: Compartment) -> Self {
        Self { secrecy, integrity }
    }

    /// Whether information of this class may flow to `to`.
    ///
    /// True if `to`'s secrecy dominates this one's (Bell-LaPadula) and this integrity dominates
    /// `to`'s (Biba).
    #[must_use]
    pub fn can_flow_to(&self, to: &Self) -> bool {
        to.secrecy.dominates(&self.secrecy) && self.integrity.dominates(&to.integrity)
    }

    /// Whether information of `other` may flow here: `other.can_flow_to(self)`.
    #[must_use]
    pub fn dominates(&self, other: &Self) -> bool {
        other.can_flow_to(self)
    }

    /// The least class into which both may flow: higher secrecy, lower integrity.
    #[must_use]
    pub fn join(&self, other: &Self) -> Self {
        Self::new(self.secrecy.join(&other.secrecy), self.integrity.meet(&other.integrity))
    }

    /// The greatest class that may flow into both: lower secrecy, higher integrity.
    #[must_use]
    pub fn meet(&self, other: &Self) -> Self {
        Self::new(self.secrecy.meet(&other.secrecy), self.integrity.join(&other.integrity))
    }

    /// How this class stands to the other.
    #[must_use]
    pub fn relation(&self, other: &Self) -> Relation {
        match (self.dominates(other), other.dominates(self)) {
            (true, true) => Relation::Equal,
            (true, false) => Relation::Dominates,
            (false, true) => Relation::DominatedBy,
            (false, false) => Relation::Incomparable,
        }
    }
}

/// How one access class stands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Relation {
    /// The same class: information flows both ways.
    Equal,
    /// The first dominates: information flows from the second to the first only.
    Dominates,
    /// The second dominates: information flows from the first to the second only.
    DominatedBy,
    /// Information flows neither way.
    Incomparable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CategorySet, Level};

    fn class(secrecy: u8, integrity: u8) -> AccessClass {
        let side = |level| Compartment::new(Level::new(level), CategorySet::EMPTY);
        AccessClass::new(side(secrecy), side(integrity))
    }

    #[test]
    fn secrets_do_not_flow_down() {
        assert!(class(1, 0).can_flow_to(&class(2, 0)));
        assert!(!class(2, 0).can_flow_to(&class(1, 0)));
    }

    #[test]
    fn untrusted_information_does_not_flow_up() {
        assert!(class(0, 2).can_flow_to(&class(0, 1)));
        assert!(!class(0, 1).can_flow_to(&class(0, 2)));
    }

    #[test]
    fn one_side_that_refuses_is_enough() {
        assert_eq!(class(1, 1).relation(&class(2, 2)), Relation::Incomparable);
    }

    #[test]
    fn relation_names_the_one_that_receives() {
        assert_eq!(class(2, 0).relation(&class(1, 0)), Relation::Dominates);
        assert_eq!(class(1, 0).relation(&class(2, 0)), Relation::DominatedBy);
        assert_eq!(class(1, 0).relation(&class(1, 0)), Relation::Equal);
    }
}
