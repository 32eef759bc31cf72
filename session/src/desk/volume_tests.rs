//! Which guest may do what with which volume.

use std::path::Path;

use super::*;

const LABELS: &str = r##"
[desk]
name = "Volumes"
theme = "us"
[labels.checked]
level = "UNCLASSIFIED"
integrity = 3
text = "CHECKED"
color = "#004488"
pattern = "waves"
shape = "cross"
"##;

/// A desk with one guest and one volume, and these lines below each.
fn desk(guest: &str, volume: &str, more: (&str, &str)) -> Result<Desk, DeskFaults> {
    let (for_guest, for_volume) = more;
    let text = format!(
        "{LABELS}\n[volumes.data]\npath = \"data.img\"\nlabel = {volume:?}\n{for_volume}\n\
         [guests.one]\nlabel = {guest:?}\nkernel = \"builtin:probe\"\nvolumes = [\"data\"]\n\
         {for_guest}\n"
    );
    Desk::parse(&text, Path::new("desks/test.toml"))
}

fn access(guest: &str, volume: &str, more: (&str, &str)) -> Option<Access> {
    let desk = desk(guest, volume, more).ok()?;
    Some(desk.guests[0].volumes[0].access)
}

/// The faults as `line: cause`.
fn faults(desk: Result<Desk, DeskFaults>) -> Vec<String> {
    let faults = desk.unwrap_err().faults;
    faults.into_iter().map(|fault| format!("{}: {}", fault.line, fault.cause)).collect()
}

#[test]
fn invariant_9_a_guest_writes_what_is_of_exactly_its_class() {
    for class in ["UNCLASSIFIED", "SECRET", "SECRET//ALPHA", "checked"] {
        assert_eq!(access(class, class, ("", "")), Some(Access::Write), "{class}");
    }
}

#[test]
fn invariant_9_a_guest_reads_what_its_class_dominates() {
    for (guest, volume) in [
        ("SECRET", "UNCLASSIFIED"),
        ("SECRET//ALPHA", "SECRET"),
        ("TOP SECRET//ALPHA/BRAVO", "CONFIDENTIAL//BRAVO"),
        // What is trustworthy may be read by what is less so.
        ("UNCLASSIFIED", "checked"),
    ] {
        assert_eq!(access(guest, volume, ("", "")), Some(Access::Read), "{guest} {volume}");
    }
}

#[test]
fn invariant_9_everything_else_is_refused_in_every_mode() {
    for (guest, volume) in [
        ("UNCLASSIFIED", "SECRET"),
        ("SECRET", "SECRET//ALPHA"),
        ("SECRET//ALPHA", "SECRET//BRAVO"),
        // What is less trustworthy may not be read by what is more so.
        ("checked", "UNCLASSIFIED"),
    ] {
        for more in [("", ""), ("disposable = true", ""), ("", "mode = \"read-only\"")] {
            let found = faults(desk(guest, volume, more));
            assert!(
                found.len() == 1 && found[0].contains("may neither read nor write"),
                "{guest} {volume} {more:?}: {found:?}"
            );
        }
    }
}

#[test]
fn a_refusal_names_line_guest_volume_and_both_labels() {
    let text = desk("UNCLASSIFIED", "SECRET", ("", "")).unwrap_err().to_string();

    assert_eq!(
        text,
        "desks/test.toml:20: Guest \"one\" is UNCLASSIFIED and may neither read nor write the \
         volume \"data\", which is SECRET: the source is more secret than \
         the destination. Give the guest a label that dominates the volume's, \
         or take the volume from its list"
    );
}

#[test]
fn what_a_disposable_guest_writes_goes_to_a_copy() {
    for guest in ["SECRET", "TOP SECRET"] {
        let found = access(guest, "SECRET", ("disposable = true", ""));
        assert_eq!(found, Some(Access::Copy), "{guest}");
    }
}

#[test]
fn nobody_writes_a_read_only_volume() {
    for guest in ["", "disposable = true"] {
        let found = access("SECRET", "SECRET", (guest, "mode = \"read-only\""));
        assert_eq!(found, Some(Access::Read), "{guest}");
    }
}

#[test]
fn two_writers_of_one_volume_are_refused_and_a_reader_beside_a_writer_is_not() {
    let second = |lines: &str| {
        let text =
            format!("[guests.two]\nkernel = \"builtin:probe\"\nvolumes = [\"data\"]\n{lines}\n");
        desk("SECRET", "SECRET", (&text, ""))
    };
    let found = faults(second("label = \"SECRET\""));
    assert_eq!(found, ["21: The guests \"one\" and \"two\" would both write the volume \"data\""]);
    for lines in ["label = \"TOP SECRET\"", "label = \"SECRET\"\ndisposable = true"] {
        assert!(second(lines).is_ok(), "{lines}");
    }
}

#[test]
fn a_volume_that_is_unknown_or_named_twice_is_refused() {
    for (names, cause) in [("[\"date\"]", "no good volume"), ("[\"data\", \"data\"]", "twice")] {
        let text = format!(
            "{LABELS}\n[volumes.data]\npath = \"data.img\"\nlabel = \"SECRET\"\n[guests.one]\n\
             label = \"SECRET\"\nkernel = \"builtin:probe\"\nvolumes = {names}\n"
        );
        let found = faults(Desk::parse(&text, Path::new("test.toml")));
        assert!(found[0].contains(cause), "{found:?}");
    }
}

#[test]
fn a_display_is_basic_or_of_the_desktop() {
    for (line, basic) in
        [("", false), ("display = \"desktop\"", false), ("display = \"basic\"", true)]
    {
        let desk = desk("SECRET", "SECRET", (line, "")).unwrap();
        assert_eq!(desk.guests[0].basic_display, basic, "{line}");
    }
    let found = faults(desk("SECRET", "SECRET", ("display = \"vga\"", "")));
    assert_eq!(found, ["21: There is no display \"vga\""]);
}

#[test]
fn a_ninth_volume_is_refused() {
    let tables: String = (1..=9)
        .map(|n| format!("[volumes.v{n}]\npath = \"{n}.img\"\nlabel = \"SECRET\"\n"))
        .collect();
    let names: Vec<String> = (1..=9).map(|n| format!("\"v{n}\"")).collect();
    let text = format!(
        "{LABELS}\n{tables}[guests.one]\nlabel = \"SECRET\"\nkernel = \"builtin:probe\"\n\
         volumes = [{}]\n",
        names.join(", ")
    );
    let found = faults(Desk::parse(&text, Path::new("test.toml")));
    assert!(found[0].contains("has 9 volumes"), "{found:?}");
}

#[test]
fn a_volume_without_path_or_label_or_with_an_unknown_word_is_refused() {
    for (volume, cause) in [
        ("label = \"SECRET\"", "has no path"),
        ("path = \"x\"", "has no label"),
        ("path = \"x\"\nlabel = \"SECRET\"\nmode = \"write\"", "no mode"),
        ("path = \"x\"\nlabel = \"SECRET\"\nsize = 1", "Unknown key size"),
        ("path = \"x\"\nlabel = \"COSMIC\"", "no label"),
    ] {
        let text = format!(
            "{LABELS}\n[volumes.data]\n{volume}\n[guests.one]\nlabel = \"SECRET\"\n\
             kernel = \"builtin:probe\"\n"
        );
        let found = faults(Desk::parse(&text, Path::new("test.toml")));
        assert!(found[0].contains(cause), "{volume}: {found:?}");
    }
}
