//! Desk files, good and bad.

use std::path::Path;

use super::*;

const GOOD: &str = r##"
[desk]
name = "Test desk"
layout = "solo"
sak = "Pause"
theme = "us"
scale = 1.5
categories = ["GAMMA"]

[labels.low]
level = "UNCLASSIFIED"
text = "OPEN"
color = "#004488"
pattern = "waves"
shape = "cross"

[guests.zebra]
label = "SECRET//GAMMA"
kernel = "builtin:notepad"

[guests.ant]
label = "low"
kernel = "vmlinux"
initrd = "initrd.img"
cmdline = "console=ttyS0"
memory = "1G"
vcpus = 2
autostart = false
"##;

fn parse(text: &str) -> Result<Desk, DeskFaults> {
    Desk::parse(text, Path::new("desks/test.toml"))
}

/// The faults of this file as `line: cause`.
fn faults(text: &str) -> Vec<String> {
    let faults = parse(text).unwrap_err().faults;
    faults.into_iter().map(|fault| format!("{}: {}", fault.line, fault.cause)).collect()
}

fn with(line: &str, replacement: &str) -> String {
    assert!(GOOD.contains(line));
    GOOD.replace(line, replacement)
}

#[test]
fn a_good_desk_is_read_whole() {
    let desk = parse(GOOD).unwrap();

    assert_eq!(desk.name, "Test desk");
    assert_eq!(desk.layout, LayoutMode::Solo);
    assert_eq!(desk.scale, Scale::from_percent(150));
    assert_eq!(desk.base, Path::new("desks"));
    let ant = &desk.guests[1];
    assert_eq!((ant.memory_mib, ant.vcpus, ant.autostart), (1024, 2, false));
    assert_eq!(desk.labels.get(ant.label).unwrap().text, "OPEN");
}

#[test]
fn guests_keep_the_order_of_the_file() {
    let names: Vec<String> = parse(GOOD).unwrap().guests.into_iter().map(|g| g.name).collect();
    assert_eq!(names, ["zebra", "ant"]);
}

#[test]
fn a_marking_is_a_label() {
    let desk = parse(GOOD).unwrap();
    assert_eq!(desk.labels.get(desk.guests[0].label).unwrap().text, "SECRET//GAMMA");
}

#[test]
fn an_unknown_key_is_an_error_with_its_line() {
    let found = faults(&with("layout = \"solo\"", "layuot = \"solo\""));
    assert_eq!(found, ["4: Unknown key layuot in [desk]"]);
}

#[test]
fn an_unknown_table_is_an_error() {
    let found = faults(&format!("{GOOD}\n[network]\n"));
    assert!(found[0].contains("Unknown key network at the top"), "{found:?}");
}

#[test]
fn every_fault_is_reported_at_once() {
    let text = with("layout = \"solo\"", "layout = \"tiled\"")
        .replace("sak = \"Pause\"", "sak = \"A\"")
        .replace("memory = \"1G\"", "memory = \"lots\"")
        .replace("vcpus = 2", "vcpus = 0");
    assert_eq!(faults(&text).len(), 4);
}

#[test]
fn invariant_7_an_unknown_level_or_category_is_refused() {
    for bad in ["COSMIC", "SECRET//OMEGA", "secret", "SECRET//", ""] {
        let found = faults(&with("label = \"SECRET//GAMMA\"", &format!("label = {bad:?}")));
        assert!(found[0].starts_with("18: "), "{bad:?}: {found:?}");
    }
}

#[test]
fn guests_with_names_that_look_alike_are_refused() {
    let found = faults(&with("[guests.ant]", "[guests.Zebra]"));
    assert!(found[0].contains("look alike"), "{found:?}");
}

#[test]
fn names_with_control_or_bidi_characters_are_refused_and_escaped() {
    for bad in ["a\\u202Eb", "a\\nb", "a\\u200Bb", "\\u0430nt"] {
        let error = parse(&with("[guests.ant]", &format!("[guests.\"{bad}\"]"))).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("cannot be used"), "{text}");
        assert!(text.chars().all(|c| c == '\n' || (' '..='~').contains(&c)), "{text:?}");
    }
}

#[test]
fn text_that_is_not_toml_names_its_line() {
    assert!(faults("[desk]\nname = \n")[0].starts_with("2: Not TOML"));
}

#[test]
fn a_label_that_cannot_be_read_is_refused() {
    let text = with("color = \"#004488\"", "color = \"#777777\"\ntext_color = \"#888888\"");
    assert!(faults(&text)[0].contains("cannot be read"), "{:?}", faults(&text));
}

#[test]
fn outputs_have_modes_and_guests() {
    let outputs = "[outputs.DP-1]\nmode = \"1024x768@75\"\nguest = \"ant\"\n\
                   [outputs.card1-HDMI-A-1]\nmode = \"1920x1080\"\n";
    let desk = parse(&format!("{GOOD}{outputs}")).unwrap();
    let ant = desk.guests.iter().position(|guest| guest.name == "ant").unwrap();
    let [first, second] = desk.outputs.as_slice() else { panic!("{:?}", desk.outputs) };
    assert_eq!(first.guest, Some(GuestId(u8::try_from(ant).unwrap())));
    let mode = first.wish.mode.unwrap();
    assert_eq!((mode.size.width, mode.size.height, mode.hertz), (1024, 768, Some(75)));
    assert_eq!((second.wish.connector.as_str(), second.guest), ("card1-HDMI-A-1", None));
    assert_eq!(second.wish.mode.unwrap().hertz, None);
    assert_eq!(desk.screen_of(first.guest.unwrap()), Some(first.wish.output));
    assert_ne!(first.wish.output, second.wish.output);
}

#[test]
fn outputs_that_cannot_be_are_refused() {
    for (outputs, words) in [
        ("[outputs.DP-1]\nmode = \"1024\"", "no mode"),
        ("[outputs.DP-1]\nmode = \"0x768\"", "no mode"),
        ("[outputs.DP-1]\nmode = \"1024x768@\"", "no mode"),
        ("[outputs.DP-1]\nguest = \"bee\"", "no guest \"bee\""),
        ("[outputs.DP-1]\nguest = \"ant\"\n[outputs.DP-2]\nguest = \"ant\"", "another output"),
        ("[outputs.left]", "no name of a screen"),
        ("[outputs.DP-1]\nscale = 2", "scale"),
    ] {
        let found = faults(&format!("{GOOD}{outputs}\n"));
        assert!(found.len() == 1 && found[0].contains(words), "{outputs}: {found:?}");
    }
}

#[test]
fn a_desk_without_guests_is_refused() {
    assert!(faults("[desk]\nname = \"x\"\n")[0].contains("no guests"));
}

#[test]
fn a_missing_file_is_an_error_that_names_it() {
    let error = Desk::read(Path::new("no/such/desk.toml")).unwrap_err().to_string();
    assert!(error.contains("no/such/desk.toml") && error.contains("Check its path"), "{error}");
}

#[test]
fn a_scale_that_is_not_a_number_is_refused() {
    for bad in ["nan", "inf", "0.1", "9"] {
        let found = faults(&with("scale = 1.5", &format!("scale = {bad}")));
        assert!(found[0].contains("scale"), "{bad}: {found:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(\\[(desk|labels|guests|outputs)(\\.[a-z]+)?\\]\n|[a-z]+ = (\"[ -~]*\"|-?[0-9.]+|\\[\\]|true)\n|\\PC*\n){0,12}") {
        let _ = parse(&text);
    }
}

#[test]
fn a_guest_runs_on_its_own_engine_else_on_the_desks_else_on_what_can() {
    use crate::Engine;
    let engines = |desk: &str, guest: &str| {
        let text = with("theme = \"us\"", &format!("theme = \"us\"\n{desk}"));
        let text = text.replace("vcpus = 2", &format!("vcpus = 2\n{guest}"));
        parse(&text).unwrap().guests.into_iter().map(|guest| guest.engine).collect::<Vec<_>>()
    };
    let (kvm, qemu) = (Some(Engine::Kvm), Some(Engine::Qemu));
    for (desk, guest, expected) in [
        ("", "", [None, None]),
        ("engine = \"auto\"", "engine = \"kvm\"", [None, kvm]),
        ("engine = \"qemu\"", "", [qemu, qemu]),
        ("engine = \"qemu\"", "engine = \"kvm\"", [qemu, kvm]),
        ("engine = \"kvm\"", "engine = \"auto\"", [kvm, None]),
    ] {
        assert_eq!(engines(desk, guest), expected, "{desk} {guest}");
    }
}

#[test]
fn there_are_two_engines_and_no_other() {
    for bad in ["engine = \"KVM\"", "engine = \"tcg\"", "engine = \"\""] {
        for at in ["theme = \"us\"", "vcpus = 2"] {
            let found = faults(&with(at, &format!("{at}\n{bad}")));
            assert!(found.len() == 1 && found[0].contains("There is no engine"), "{found:?}");
        }
    }
    assert!(faults(&with("vcpus = 2", "engine = true"))[0].contains("engine"));
    let next = parse(&with("vcpus = 2", "engine = \"x\"")).unwrap_err().faults.remove(0).next;
    assert!(next.contains("\"auto\"") && next.contains("\"kvm\" or \"qemu\""), "{next}");
}

#[test]
fn a_desk_may_ask_for_the_strict_rule_and_keep_wireless_keyboards() {
    let desk =
        |line: &str| parse(&with("theme = \"us\"", &format!("theme = \"us\"\n{line}"))).unwrap();
    let strict = |line: &str| desk(line).strict_devices;
    assert!(desk("wireless = \"keep\"").keep_wireless && !desk("").keep_wireless);
    assert!(!strict("") && !strict("devices = \"split\"") && strict("devices = \"strict\""));
}
