//! `save` and `from`: what a guest was when it was kept it is again, whoever starts it, and what does
//! not fit is refused with its reason. On the engine that `TABARD_TEST_ENGINE` names.

mod common;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use common::{tabard_on_engine, vmm};

const DESK: &str = "[desk]\nname = \"Notepads\"\ntheme = \"us\"\n\
    [guests.web]\nlabel = \"UNCLASSIFIED\"\nkernel = \"builtin:notepad\"\nmemory = \"32M\"\n\
    cmdline = \"title=Shopping text=Bread%2c\"\n\
    [guests.notes]\nlabel = \"SECRET\"\nkernel = \"builtin:notepad\"\nmemory = \"32M\"\n\
    cmdline = \"title=Notes text=Buy%3a\"\n";

/// Boots both, types into each, and keeps both.
const KEEP: &str = "desk desk.toml\ntimeout 30s\nwait-for serial web \"\\\"ready\\\"\"\n\
    wait-for serial notes \"\\\"ready\\\"\"\nswitch notes\ntype \"tea\"\nwait-for stable\n\
    shot notes.png notes\nsave notes two\nswitch web\ntype \"milk\"\nwait-for stable\n\
    shot kept.png web\nsave web one\nwait-for stable\nshot same.png web\n";

fn play(folder: &Path, desk: &str, script: &str, out: &str) -> Output {
    vmm();
    fs::write(folder.join("desk.toml"), desk).unwrap();
    fs::write(folder.join("s.tabard"), script).unwrap();
    let mut command = tabard_on_engine("test");
    command.args(["s.tabard", "--out", out]).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

fn passes(folder: &Path, desk: &str, script: &str, out: &str) {
    let output = play(folder, desk, script, out);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// What the command says that refuses a start before anything was started.
fn refused(folder: &Path, desk: &str, script: &str) -> String {
    let output = play(folder, desk, script, "refused");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(!folder.join("refused").exists(), "something was started");
    said(&output)
}

fn picture(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap()
}

#[test]
fn text_typed_before_a_save_is_there_after_a_start_and_more_can_be_typed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let go_on = "type \" and jam\"\nwait-for stable\nshot more.png web\n\
        from web one\nwait-for stable\nshot back.png web\n\
        type \" and jam\"\nwait-for stable\nshot again.png web\n";
    passes(folder, DESK, &format!("{KEEP}{go_on}"), "kept");
    let in_kept = |name: &str| picture(folder, &format!("kept/{name}.png"));
    assert_eq!(in_kept("kept"), in_kept("same"));
    assert_ne!(in_kept("kept"), in_kept("more"));
    assert_eq!(in_kept("kept"), in_kept("back"));
    assert_eq!(in_kept("more"), in_kept("again"));

    // In other processes, both at once, and the one is kept anew from there.
    let start = "desk desk.toml\ntimeout 30s\nfrom web one\nfrom notes two\nswitch web\n\
        wait-for stable\nshot kept.png web\ntype \" and jam\"\nwait-for stable\n\
        shot more.png web\nsave web three\nswitch notes\nwait-for stable\n\
        shot notes.png notes\nexpect no-serial web \"ready\"\n";
    passes(folder, DESK, start, "started");
    let started = |name: &str| picture(folder, &format!("started/{name}.png"));
    assert_eq!(started("kept"), in_kept("kept"));
    assert_eq!(started("more"), in_kept("more"));
    assert_eq!(started("notes"), in_kept("notes"));

    let third = "desk desk.toml\ntimeout 30s\nfrom web three\nswitch web\nwait-for stable\n\
        shot three.png web\n";
    passes(folder, DESK, third, "third");
    assert_eq!(picture(folder, "third/three.png"), in_kept("more"));

    // On another screen the guest is told of the new size, and draws for it.
    let wide = "desk desk.toml\nsize 1600x1000\ntimeout 30s\nfrom web one\nswitch web\n\
        wait-for serial web \"\\\"resized\\\"\"\nwait-for stable\n";
    passes(folder, DESK, wide, "wide");
}

#[test]
fn a_guest_that_is_stopped_or_reset_goes_back_to_where_it_was_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = format!(
        "{KEEP}stop web\nfrom web one\nswitch web\nwait-for stable\nshot started.png web\n\
         mark\nreset web\nwait-for serial web \"\\\"ready\\\"\"\nfrom web one\n\
         wait-for stable\nshot again.png web\n"
    );
    passes(folder, DESK, &script, "out");
    assert_eq!(picture(folder, "out/started.png"), picture(folder, "out/kept.png"));
    assert_eq!(picture(folder, "out/again.png"), picture(folder, "out/kept.png"));
}

#[test]
fn what_a_snapshot_does_not_fit_is_named_before_anything_starts() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    passes(folder, DESK, KEEP, "kept");
    let one = folder.join("snapshots/one");
    let from = "desk desk.toml\nfrom web one\nswitch web\n";

    for (desk, words) in [
        (DESK.replace("UNCLASSIFIED", "CONFIDENTIAL"), "its class was"),
        (DESK.replacen("32M", "48M", 1), "its memory was 32 MiB, and is 48 MiB now"),
        (DESK.replacen("builtin:notepad", "builtin:probe", 1), "its kernel was"),
        (DESK.replacen("Bread", "Cake", 1), "its command line was"),
        (DESK.replacen("memory", "vcpus = 2\nmemory", 1), "its number of processors was 1"),
        (DESK.replacen("memory", "display = \"basic\"\nmemory", 1), "its devices was virtio-gpu"),
    ] {
        let said = refused(folder, &desk, from);
        assert!(said.contains("s.tabard:2") && said.contains(words), "{words}: {said}");
    }
    // One guest is not the other, though both are notepads.
    let said = refused(folder, DESK, "desk desk.toml\nfrom web two\nswitch web\n");
    assert!(said.contains("its class was"), "{said}");
    assert!(refused(folder, DESK, "desk desk.toml\nfrom web none\n").contains("no snapshot"));
    let said = refused(folder, DESK, "desk desk.toml\nfrom web one\nfrom web one\n");
    assert!(said.contains("s.tabard:3") && said.contains("already"), "{said}");

    // Another program, another engine, another version of it.
    let manifest = fs::read_to_string(one.join("manifest.json")).unwrap();
    let value: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    for (field, words) in [
        ("program", "its program (tabard-vmm) was other"),
        ("engine", "its engine was other, and is"),
        ("engine_version", "its engine's version was other"),
    ] {
        let mut changed = value.clone();
        changed["machine"][field] = "other".into();
        fs::write(one.join("manifest.json"), changed.to_string()).unwrap();
        assert!(refused(folder, DESK, from).contains(words), "{words}");
    }
    fs::write(one.join("manifest.json"), &manifest).unwrap();

    // Files that were changed, cut, or opened to others.
    for name in ["memory", "state"] {
        let bytes = fs::read(one.join(name)).unwrap();
        let file = fs::File::options().write(true).open(one.join(name)).unwrap();
        let at = bytes.iter().position(|byte| *byte != 0).unwrap();
        file.write_all_at(&[!bytes[at]], at as u64).unwrap();
        assert!(refused(folder, DESK, from).contains("was changed after"));
        file.write_all_at(&[bytes[at]], at as u64).unwrap();
        file.set_len(bytes.len() as u64 - 1).unwrap();
        assert!(refused(folder, DESK, from).contains("it was cut or grew"));
        fs::write(one.join(name), &bytes).unwrap();
    }
    fs::set_permissions(&one, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(refused(folder, DESK, from).contains("chmod -R go="));
    fs::set_permissions(&one, fs::Permissions::from_mode(0o700)).unwrap();
    passes(folder, DESK, from, "well");
}

/// A state that is none, with digests that are right: the guest's process refuses it and says so.
#[test]
fn a_state_that_makes_no_sense_is_refused_by_the_process_and_ends_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    passes(folder, DESK, KEEP, "kept");
    let one = folder.join("snapshots/one");
    let state = fs::read_to_string(one.join("state")).unwrap();
    let manifest = fs::read_to_string(one.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    for wrong in [
        "{}".to_owned(),
        state.replacen("\"slots\":[", "\"slots\":[null,", 1),
        state.replacen("\"transferred\":[0,0,", "\"transferred\":[9,9,4000000000,", 1),
    ] {
        assert_ne!(wrong, state);
        fs::write(one.join("state"), &wrong).unwrap();
        let mut manifest = manifest.clone();
        manifest["files"]["state"]["bytes"] = wrong.len().into();
        manifest["files"]["state"]["sha256"] = digest(wrong.as_bytes()).into();
        fs::write(one.join("manifest.json"), manifest.to_string()).unwrap();

        let script = "desk desk.toml\nwait-for serial web \"\\\"ready\\\"\"\n\
            wait-for serial notes \"\\\"ready\\\"\"\nfrom web one\n";
        let output = play(folder, DESK, script, "refused");
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("Not started: the state in it makes no sense"));
        // The other guest lives, and what is said of the one is said in order: nothing panicked.
        let messages = fs::read_to_string(folder.join("refused/logs/web.messages")).unwrap();
        assert!(!messages.contains("panicked"), "{messages}");
    }
}

/// As the folder of a snapshot has it: where each page is, and the page.
fn digest(bytes: &[u8]) -> String {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for (page, at) in bytes.chunks(4096).zip((0u64..).step_by(4096)) {
        hash.update(at.to_le_bytes());
        hash.update(page);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One that the user has paused stays so, and goes on from there, as does the one that starts from it.
#[test]
fn a_paused_guest_is_kept_and_goes_on_when_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = "desk desk.toml\ntimeout 30s\nwait-for serial web \"\\\"ready\\\"\"\n\
        switch web\ntype \"milk\"\nwait-for stable web\npause web\nsave web still\nresume web\n\
        switch web\ntype \" and jam\"\nwait-for stable web\nshot here.png web\n";
    passes(folder, DESK, script, "out");
    let script = "desk desk.toml\ntimeout 30s\nfrom web still\nswitch web\n\
        type \" and jam\"\nwait-for stable web\nshot there.png web\n";
    passes(folder, DESK, script, "out");
    assert_eq!(picture(folder, "out/here.png"), picture(folder, "out/there.png"));
}

#[test]
fn a_volume_that_is_written_for_good_keeps_a_guest_from_being_kept() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.img"), [7; 64 * 512]).unwrap();
    let desk = |more: &str| {
        format!(
            "[desk]\nname = \"Volumes\"\ntheme = \"us\"\n[volumes.data]\npath = \"data.img\"\n\
             label = \"UNCLASSIFIED\"\n[guests.one]\nlabel = \"UNCLASSIFIED\"\n\
             kernel = \"builtin:disk\"\nmemory = \"64M\"\nvolumes = [\"data\"]\n\
             cmdline = \"do=0:write:3:9,0:read:3\"\n{more}\n"
        )
    };
    let script = "desk desk.toml\ntimeout 30s\nwait-for serial one \"\\\"done\\\"\"\nsave one it\n";
    let output = play(folder.path(), &desk(""), script, "out");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("make the guest disposable"), "{}", said(&output));
    assert!(!folder.path().join("snapshots/it").exists());

    // What is forgotten is kept with the guest, in a file of its own.
    passes(folder.path(), &desk("disposable = true"), script, "kept");
    let overlay = fs::read(folder.path().join("snapshots/it/overlay-0")).unwrap();
    assert!(overlay.windows(512).any(|sector| sector == [9; 512]));
    let from = "desk desk.toml\ntimeout 30s\nfrom one it\nexpect no-serial one \"done\"\n";
    passes(folder.path(), &desk("disposable = true"), from, "from");
    // And the guest that starts from there has it: it is kept once more.
    let again = "desk desk.toml\ntimeout 30s\nfrom one it\nsave one again\n";
    passes(folder.path(), &desk("disposable = true"), again, "again");
    assert_eq!(fs::read(folder.path().join("snapshots/again/overlay-0")).unwrap(), overlay);

    // An image that was changed meanwhile is another one to the guest.
    fs::write(folder.path().join("data.img"), [8; 64 * 512]).unwrap();
    let said = refused_from(folder.path(), &desk("disposable = true"), from);
    assert!(said.contains("its devices was virtio-gpu, data (copy, 32768 bytes"), "{said}");
}

fn refused_from(folder: &Path, desk: &str, script: &str) -> String {
    let output = play(folder, desk, script, "again");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    said(&output)
}

#[test]
fn a_display_without_a_driver_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let desk = DESK.replacen("memory", "display = \"basic\"\nmemory", 1);
    let script = "desk desk.toml\ntimeout 30s\nwait-for running web\n\
        wait-for serial notes \"\\\"ready\\\"\"\nsave web it\n";
    let output = play(folder.path(), &desk, script, "out");
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("a display without a driver"), "{}", said(&output));
}
