//! The one function that decides every flow of information: [`Policy::decide`]. What it does not
//! allow does not happen.
//!
//! Secrecy follows Bell and LaPadula (MTR-2997, 1976), integrity Biba (MTR-3153, 1977), as
//! [`AccessClass::can_flow_to`] has it. Against the order only text goes, and only after somebody
//! who is cleared for both ends and trusted to downgrade has seen all of it: the VAX VMM security
//! kernel's rule (Karger et al., IEEE TSE 17(11), 1991), with a person in the loop.

use std::fmt;

use tabard_labels::{AccessClass, Compartment};

/// By what information would flow. The source is always where it is, the destination where it
/// would be: of a read the volume and the guest, of a write the guest and the volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowKind {
    /// Text, once, by the user's act on the trusted screen.
    Clipboard,
    /// A guest reads a volume that nobody writes meanwhile.
    VolumeRead,
    /// A guest writes a volume. What can be written can be read back, and the answers to writes
    /// tell of it too, so information flows both ways.
    VolumeWrite,
    /// A device works for a guest; information flows both ways.
    Device,
}

impl FlowKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Clipboard, Self::VolumeRead, Self::VolumeWrite, Self::Device];

    /// Its name in tables and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Clipboard => "clipboard",
            Self::VolumeRead => "volume-read",
            Self::VolumeWrite => "volume-write",
            Self::Device => "device",
        }
    }
}

/// Information that would flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// By what.
    pub kind: FlowKind,
    /// The class of where it is.
    pub source: AccessClass,
    /// The class of where it would be.
    pub destination: AccessClass,
}

/// What a person before the trusted screen may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Authority {
    /// The highest secrecy that the person may see.
    pub clearance: Compartment,
    /// Whether the person may release text against the order, after reviewing it.
    pub downgrade: bool,
}

impl Authority {
    /// Whether the person may see and use what is of this class.
    #[must_use]
    pub fn is_cleared_for(&self, class: &AccessClass) -> bool {
        self.clearance.dominates(&class.secrecy)
    }
}

/// What is to become of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It follows the order.
    Allowed,
    /// It goes against the order; this person may release it after a review.
    NeedsReview(Reason),
    /// It must not happen.
    Refused(Reason),
}

/// Why a flow is not simply allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The source is of a higher level than the destination.
    Secrecy,
    /// It is not, but has categories that the destination lacks: neither is above the other, or
    /// the source is above by its categories alone.
    Categories,
    /// The source is less trusted than the destination.
    Integrity,
    /// Both.
    SecrecyAndIntegrity,
    /// What is written can be read back, and that would go against the order.
    ReadBack,
    /// The person is not cleared for one of the ends.
    Clearance,
    /// The desk file switches the clipboard off.
    SwitchedOff,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secrecy => "the source is more secret than the destination",
            Self::Categories => "the source has categories that the destination lacks",
            Self::Integrity => "the source is less trusted than the destination",
            Self::SecrecyAndIntegrity => {
                "the source is more secret and less trusted than the destination"
            }
            Self::ReadBack => "what is written can be read back, which only one class may",
            Self::Clearance => "the user is not cleared for both ends",
            Self::SwitchedOff => "the desk file switches the clipboard off",
        })
    }
}

/// What the desk file says of flows, beyond the classes of its labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Policy {
    /// Whether the clipboard is there at all.
    pub clipboard: bool,
    /// How long a text that was taken can be given, in seconds.
    pub clipboard_seconds: u16,
    /// How long a question of a guest waits, in seconds.
    pub question_seconds: u16,
    /// On a desk without users: whether the person before the screen may downgrade.
    pub downgrade: bool,
}

impl Default for Policy {
    /// The clipboard follows the order and forgets after a minute, a question waits for ten, and
    /// nobody may downgrade.
    fn default() -> Self {
        let (clipboard_seconds, question_seconds) = (60, 600);
        Self { clipboard: true, clipboard_seconds, question_seconds, downgrade: false }
    }
}

impl Policy {
    /// Decides a flow. `person` is who asks on the trusted screen; nobody for what the desk file
    /// alone asks for, such as a volume.
    #[must_use]
    pub fn decide(&self, flow: &Flow, person: Option<&Authority>) -> Decision {
        let (from, to) = (&flow.source, &flow.destination);
        let clipboard = flow.kind == FlowKind::Clipboard;
        if clipboard && !self.clipboard {
            return Decision::Refused(Reason::SwitchedOff);
        }
        if person.is_some_and(|person| !person.is_cleared_for(from) || !person.is_cleared_for(to)) {
            return Decision::Refused(Reason::Clearance);
        }
        if let Some(reason) = against_the_order(from, to) {
            let may_review = clipboard && person.is_some_and(|person| person.downgrade);
            return if may_review {
                Decision::NeedsReview(reason)
            } else {
                Decision::Refused(reason)
            };
        }
        let both_ways = matches!(flow.kind, FlowKind::VolumeWrite | FlowKind::Device);
        if both_ways && !to.can_flow_to(from) {
            return Decision::Refused(Reason::ReadBack);
        }
        Decision::Allowed
    }
}

/// What stands against a flow; nothing exactly if [`AccessClass::can_flow_to`].
fn against_the_order(from: &AccessClass, to: &AccessClass) -> Option<Reason> {
    let secrecy = to.secrecy.dominates(&from.secrecy);
    let integrity = from.integrity.dominates(&to.integrity);
    match (secrecy, integrity) {
        (true, true) => None,
        (false, true) if to.secrecy.level >= from.secrecy.level => Some(Reason::Categories),
        (false, true) => Some(Reason::Secrecy),
        (true, false) => Some(Reason::Integrity),
        (false, false) => Some(Reason::SecrecyAndIntegrity),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tabard_labels::{Category, CategorySet, Level};

    const REVIEWER: Authority = Authority { clearance: Compartment::TOP, downgrade: true };
    const READER: Authority = Authority { clearance: Compartment::TOP, downgrade: false };

    fn class(secrecy: u8, integrity: u8) -> AccessClass {
        let side = |level| Compartment::new(Level::new(level), CategorySet::EMPTY);
        AccessClass::new(side(secrecy), side(integrity))
    }

    fn decide(
        kind: FlowKind,
        from: AccessClass,
        to: AccessClass,
        who: Option<&Authority>,
    ) -> Decision {
        Policy::default().decide(&Flow { kind, source: from, destination: to }, who)
    }

    #[test]
    fn text_goes_up_to_anybody_and_down_after_a_review() {
        let (low, high) = (class(0, 0), class(1, 0));
        let clipboard = |from, to, who| decide(FlowKind::Clipboard, from, to, Some(who));
        assert_eq!(clipboard(low, high, &READER), Decision::Allowed);
        assert_eq!(clipboard(high, low, &READER), Decision::Refused(Reason::Secrecy));
        assert_eq!(clipboard(high, low, &REVIEWER), Decision::NeedsReview(Reason::Secrecy));
    }

    #[test]
    fn sideways_the_reason_is_the_category_and_not_the_level() {
        let side = |level, category| {
            let mut categories = CategorySet::EMPTY;
            categories.insert(Category::new(category).unwrap());
            let secrecy = Compartment::new(Level::new(level), categories);
            AccessClass::new(secrecy, Compartment::BOTTOM)
        };
        let clipboard = |from, to| decide(FlowKind::Clipboard, from, to, Some(&READER));
        let (alpha, bravo) = (side(1, 0), side(1, 1));
        assert_eq!(clipboard(alpha, bravo), Decision::Refused(Reason::Categories));
        assert_eq!(clipboard(alpha, class(1, 0)), Decision::Refused(Reason::Categories));
        assert_eq!(clipboard(side(2, 0), bravo), Decision::Refused(Reason::Secrecy));
    }

    #[test]
    fn what_is_less_trusted_needs_a_review_as_well() {
        let found = decide(FlowKind::Clipboard, class(0, 0), class(0, 1), Some(&REVIEWER));
        assert_eq!(found, Decision::NeedsReview(Reason::Integrity));
    }

    #[test]
    fn a_volume_is_read_from_below_and_written_at_its_own_class() {
        let (low, high) = (class(0, 0), class(1, 0));
        assert_eq!(decide(FlowKind::VolumeRead, low, high, None), Decision::Allowed);
        let refused = Decision::Refused(Reason::Secrecy);
        assert_eq!(decide(FlowKind::VolumeRead, high, low, Some(&REVIEWER)), refused);
        assert_eq!(decide(FlowKind::VolumeWrite, high, low, Some(&REVIEWER)), refused);
        let blind = decide(FlowKind::VolumeWrite, low, high, None);
        assert_eq!(blind, Decision::Refused(Reason::ReadBack));
        assert_eq!(decide(FlowKind::VolumeWrite, low, low, None), Decision::Allowed);
    }

    #[test]
    fn a_switched_off_clipboard_is_off_for_everybody() {
        let policy = Policy { clipboard: false, downgrade: true, ..Policy::default() };
        let (source, destination) = (class(0, 0), class(0, 0));
        let flow = Flow { kind: FlowKind::Clipboard, source, destination };
        assert_eq!(policy.decide(&flow, Some(&REVIEWER)), Decision::Refused(Reason::SwitchedOff));
    }

    fn compartment() -> impl Strategy<Value = Compartment> {
        (0u8..3, 0u128..8).prop_map(|(level, categories)| {
            Compartment::new(Level::new(level), CategorySet::from_bits(categories))
        })
    }

    fn any_class() -> impl Strategy<Value = AccessClass> {
        (compartment(), compartment()).prop_map(|(s, i)| AccessClass::new(s, i))
    }

    fn authority() -> impl Strategy<Value = Option<Authority>> {
        let one = (compartment(), any::<bool>())
            .prop_map(|(clearance, downgrade)| Authority { clearance, downgrade });
        prop::option::of(one)
    }

    fn policy() -> impl Strategy<Value = Policy> {
        (any::<bool>(), any::<bool>()).prop_map(|(clipboard, downgrade)| Policy {
            clipboard,
            downgrade,
            ..Policy::default()
        })
    }

    fn kind() -> impl Strategy<Value = FlowKind> {
        prop::sample::select(FlowKind::ALL.as_slice())
    }

    proptest! {
        #[test]
        fn invariant_9_nothing_is_allowed_against_the_lattice(
            policy in policy(), kind in kind(), source in any_class(), destination in any_class(),
            who in authority(),
        ) {
            let decision = policy.decide(&Flow { kind, source, destination }, who.as_ref());
            if decision == Decision::Allowed {
                prop_assert!(source.can_flow_to(&destination));
            }
            if let Decision::NeedsReview(_) = decision {
                prop_assert!(!source.can_flow_to(&destination));
            }
        }

        #[test]
        fn invariant_9_only_a_cleared_downgrader_reviews_and_only_text(
            policy in policy(), kind in kind(), source in any_class(), destination in any_class(),
            who in authority(),
        ) {
            let decision = policy.decide(&Flow { kind, source, destination }, who.as_ref());
            if let Decision::NeedsReview(_) = decision {
                let who = who.unwrap();
                prop_assert_eq!(kind, FlowKind::Clipboard);
                prop_assert!(who.downgrade);
                prop_assert!(who.clearance.dominates(&source.secrecy));
                prop_assert!(who.clearance.dominates(&destination.secrecy));
            }
        }

        #[test]
        fn invariant_9_what_is_allowed_in_steps_is_allowed_at_once(
            kind in kind(), a in any_class(), b in any_class(), c in any_class(),
        ) {
            let allowed = |source, destination| {
                let flow = Flow { kind, source, destination };
                Policy::default().decide(&flow, None) == Decision::Allowed
            };
            prop_assert!(!(allowed(a, b) && allowed(b, c)) || allowed(a, c));
        }

        #[test]
        fn within_one_class_everything_flows(kind in kind(), class in any_class()) {
            prop_assert_eq!(decide(kind, class, class, None), Decision::Allowed);
        }

        #[test]
        fn more_clearance_or_privilege_never_refuses_more(
            kind in kind(), source in any_class(), destination in any_class(),
            clearance in compartment(), more in compartment(),
        ) {
            let rank = |clearance, downgrade| {
                let who = Authority { clearance, downgrade };
                match decide(kind, source, destination, Some(&who)) {
                    Decision::Refused(_) => 0,
                    Decision::NeedsReview(_) => 1,
                    Decision::Allowed => 2,
                }
            };
            prop_assert!(rank(clearance, false) <= rank(clearance.join(&more), false));
            prop_assert!(rank(clearance, false) <= rank(clearance, true));
        }

        #[test]
        fn what_flows_both_ways_stays_in_one_class(
            source in any_class(), destination in any_class(), who in authority(),
        ) {
            for kind in [FlowKind::VolumeWrite, FlowKind::Device] {
                let decision = decide(kind, source, destination, who.as_ref());
                prop_assert!(decision != Decision::Allowed || source == destination);
            }
        }
    }
}
