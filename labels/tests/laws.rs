//! The laws of the lattice, of information flow and of markings, for any values.

use proptest::prelude::*;
use tabard_labels::{
    AccessClass, Category, CategorySet, Compartment, Level, Relation, Rgb, Scheme, Vision,
    check_name, check_text, look_alike,
};

/// Values from a small corner, where order and equality are frequent, or from the whole range.
fn compartment() -> impl Strategy<Value = Compartment> {
    let small = (0u8..3, 0u128..8);
    let large = (any::<u8>(), any::<u128>());
    prop_oneof![small, large].prop_map(|(level, categories)| {
        Compartment::new(Level::new(level), CategorySet::from_bits(categories))
    })
}

fn class() -> impl Strategy<Value = AccessClass> {
    (compartment(), compartment()).prop_map(|(s, i)| AccessClass::new(s, i))
}

/// A scheme of this many levels and categories, with names of every allowed kind.
fn scheme(levels: usize, categories: usize) -> Scheme {
    let levels = (0..levels).map(|n| format!("Level-{n}.a _B"));
    Scheme::new(levels, (0..categories).map(|n| format!("C {n}"))).unwrap()
}

proptest! {
    #[test]
    fn dominance_is_a_partial_order(a in class(), b in class(), c in class()) {
        prop_assert!(a.dominates(&a));
        prop_assert!(!(a.dominates(&b) && b.dominates(&a)) || a == b);
        prop_assert!(!(a.dominates(&b) && b.dominates(&c)) || a.dominates(&c));
    }

    #[test]
    fn flow_is_transitive_along_any_chain(a in class(), b in class(), c in class()) {
        let (via, to) = (a.join(&b), a.join(&b).join(&c));

        prop_assert!(a.can_flow_to(&via) && via.can_flow_to(&to) && a.can_flow_to(&to));
    }

    #[test]
    fn join_is_the_least_upper_bound(a in class(), b in class(), c in class()) {
        let join = a.join(&b);

        prop_assert!(join.dominates(&a) && join.dominates(&b));
        prop_assert_eq!(c.dominates(&a) && c.dominates(&b), c.dominates(&join));
    }

    #[test]
    fn meet_is_the_greatest_lower_bound(a in class(), b in class(), c in class()) {
        let meet = a.meet(&b);

        prop_assert!(a.dominates(&meet) && b.dominates(&meet));
        prop_assert_eq!(a.dominates(&c) && b.dominates(&c), meet.dominates(&c));
    }

    #[test]
    fn join_and_meet_are_idempotent_commutative_associative(
        a in class(), b in class(), c in class()
    ) {
        prop_assert_eq!((a.join(&a), a.meet(&a)), (a, a));
        prop_assert_eq!((a.join(&b), a.meet(&b)), (b.join(&a), b.meet(&a)));
        prop_assert_eq!(a.join(&b).join(&c), a.join(&b.join(&c)));
        prop_assert_eq!(a.meet(&b).meet(&c), a.meet(&b.meet(&c)));
    }

    #[test]
    fn join_and_meet_absorb_each_other(a in class(), b in class()) {
        prop_assert_eq!(a.join(&a.meet(&b)), a);
        prop_assert_eq!(a.meet(&a.join(&b)), a);
    }

    #[test]
    fn the_lattice_is_bounded(a in class()) {
        prop_assert!(AccessClass::SYSTEM_LOW.can_flow_to(&a));
        prop_assert!(a.can_flow_to(&AccessClass::SYSTEM_HIGH));
        prop_assert_eq!(a.join(&AccessClass::SYSTEM_LOW), a);
        prop_assert_eq!(a.meet(&AccessClass::SYSTEM_HIGH), a);
    }

    #[test]
    fn flow_is_bell_lapadula_and_biba(a in class(), b in class()) {
        let bell_lapadula = b.secrecy.level >= a.secrecy.level
            && a.secrecy.categories.iter().all(|c| b.secrecy.categories.contains(c));
        let biba = a.integrity.level >= b.integrity.level
            && b.integrity.categories.iter().all(|c| a.integrity.categories.contains(c));

        prop_assert_eq!(a.can_flow_to(&b), bell_lapadula && biba);
        prop_assert_eq!(b.dominates(&a), a.can_flow_to(&b));
    }

    #[test]
    fn relation_agrees_with_flow(a in class(), b in class()) {
        let expected = match (b.can_flow_to(&a), a.can_flow_to(&b)) {
            (true, true) => Relation::Equal,
            (true, false) => Relation::Dominates,
            (false, true) => Relation::DominatedBy,
            (false, false) => Relation::Incomparable,
        };

        prop_assert_eq!(a.relation(&b), expected);
        prop_assert_eq!(expected == Relation::Equal, a == b);
    }

    #[test]
    fn sets_hold_what_was_put_in(numbers in prop::collection::btree_set(0u8..128, 0..128)) {
        let mut set = CategorySet::EMPTY;
        for category in numbers.iter().filter_map(|n| Category::new(*n)) {
            prop_assert!(set.insert(category));
        }

        let members: Vec<u8> = set.iter().map(Category::get).collect();

        prop_assert_eq!(members, numbers.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_printed_marking_reads_back_as_it_was(
        levels in 1usize..=256, categories in 0usize..=128, level in any::<u8>(), bits in any::<u128>()
    ) {
        let scheme = scheme(levels, categories);
        let named = u128::MAX.checked_shr(128 - categories as u32).unwrap_or(0);
        let compartment = Compartment::new(
            Level::new((usize::from(level) % levels) as u8),
            CategorySet::from_bits(bits & named),
        );

        let marking = scheme.print(&compartment).unwrap();

        prop_assert_eq!(scheme.parse(&marking), Ok(compartment));
    }

    #[test]
    fn what_can_be_read_prints_the_same_parts(text in "(A|B|A B|X)(//?(C|D|E|C/D|D/C|C/C|/))?") {
        let scheme = Scheme::new(["A", "B", "A B"], vec!["C", "D"]).unwrap();

        if let Ok(compartment) = scheme.parse(&text) {
            let printed = scheme.print(&compartment).unwrap();
            prop_assert!(printed == text || text.replace("D/C", "C/D") == printed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in any::<String>()) {
        let refused = scheme(3, 3).parse(&text).is_err();

        prop_assert!(refused || text.starts_with("Level-"));
        prop_assert!(Rgb::parse(&text).is_err() || text.starts_with('#'));
    }

    #[test]
    fn what_passes_as_text_is_printable_ascii(text in any::<String>()) {
        if check_text(&text).is_ok() || check_name(&text).is_ok() {
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
    }

    #[test]
    fn case_never_tells_two_texts_apart(text in "[ -~]{1,40}") {
        prop_assert!(look_alike(&text, &text.to_ascii_lowercase()));
        prop_assert!(look_alike(&text, &text.to_ascii_uppercase()));
    }

    #[test]
    fn colors_print_as_they_are_read(value in 0u32..0x0100_0000) {
        let color = Rgb::from_u32(value);

        prop_assert_eq!(Rgb::parse(&color.to_string()), Ok(color));
        prop_assert_eq!(color.to_u32(), value);
    }

    #[test]
    fn distance_and_contrast_do_not_depend_on_the_order(
        a in 0u32..0x0100_0000, b in 0u32..0x0100_0000
    ) {
        let (a, b) = (Rgb::from_u32(a), Rgb::from_u32(b));

        for vision in Vision::ALL {
            prop_assert!((vision.distance(a, b) - vision.distance(b, a)).abs() < 1e-9);
        }
        prop_assert!((a.contrast(b) - b.contrast(a)).abs() < 1e-12);
        prop_assert!((1.0..=21.0 + 1e-9).contains(&a.contrast(b)));
    }
}
