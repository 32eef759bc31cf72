//! Volumes through the real programs: what a desk refuses, and what a guest can do to an image.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use rustix::fs::{FlockOperation, flock};
use tabard::session::desk::Desk;
use tabard::session::{StartError, check_guests};

/// A desk with a volume of SECRET for a guest of this label.
fn desk(folder: &Path, guest: &str) -> Desk {
    let text = format!(
        "[desk]\nname = \"Volumes\"\ntheme = \"us\"\n[volumes.data]\npath = \"data.img\"\n\
         label = \"SECRET\"\n[guests.one]\nlabel = {guest:?}\nkernel = \"builtin:probe\"\n\
         memory = \"64M\"\nvolumes = [\"data\"]\n"
    );
    let file = folder.join("desk.toml");
    fs::write(&file, &text).unwrap();
    Desk::parse(&text, &file).unwrap()
}

fn refusal(desk: &Desk) -> String {
    check_guests(desk, None).unwrap_err().to_string()
}

#[test]
fn an_image_that_is_no_disk_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), "SECRET");
    let image = folder.path().join("data.img");

    assert!(refusal(&desk).contains("desk.toml:4: Volume \"data\": Cannot open"));
    for bytes in [0, 511, 513] {
        fs::write(&image, vec![0; bytes]).unwrap();
        assert!(refusal(&desk).contains("which is no disk"), "{bytes}");
    }
    fs::remove_file(&image).unwrap();
    fs::create_dir(&image).unwrap();
    assert!(refusal(&desk).contains("not a regular file"));
}

#[test]
fn one_file_under_two_names_is_refused_whatever_the_way_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("data.img"), [0; 512]).unwrap();
    fs::hard_link(path.join("data.img"), path.join("hard.img")).unwrap();
    std::os::unix::fs::symlink("data.img", path.join("soft.img")).unwrap();
    for other in ["hard.img", "soft.img", "./data.img"] {
        let mut desk = desk(path, "SECRET");
        let mut second = desk.volumes[0].clone();
        second.name = "second".to_owned();
        second.path = other.into();
        desk.volumes.push(second);

        assert!(refusal(&desk).contains("one file has one label"), "{other}");
    }
}

#[test]
fn a_volume_that_another_program_writes_is_not_started_and_can_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    let desk = desk(folder.path(), "SECRET");
    let image = folder.path().join("data.img");
    fs::write(&image, [0; 512]).unwrap();
    let other = fs::File::options().write(true).open(&image).unwrap();
    flock(&other, FlockOperation::LockExclusive).unwrap();

    let refused = start(&desk, folder.path()).err().unwrap().to_string();

    assert!(refused.contains("is in use by another tabard"), "{refused}");
    check_guests(&desk, None).unwrap();
    drop(other);
    start(&desk, folder.path()).unwrap();
}

#[test]
fn a_reader_starts_beside_a_writer() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.img"), [0; 512]).unwrap();
    let writer = desk(folder.path(), "SECRET");
    let _writing = start(&writer, folder.path()).unwrap();

    let reader = desk(folder.path(), "TOP SECRET");

    start(&reader, folder.path()).unwrap();
    assert!(start(&writer, folder.path()).is_err());
}

fn start(desk: &Desk, logs: &Path) -> Result<tabard::session::Session, StartError> {
    let options = tabard::session::Options {
        vmm: common::vmm(),
        logs: logs.join("logs"),
        notice: String::new(),
    };
    tabard::session::prepare(desk, &options)
}

#[test]
fn check_says_who_may_do_what() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.img"), [0; 512]).unwrap();
    for (label, words) in [("SECRET", "one reads and writes it"), ("TOP SECRET", "one reads it")] {
        desk(folder.path(), label);

        let output = Command::new(common::tabard())
            .arg("check")
            .arg(folder.path().join("desk.toml"))
            .output()
            .unwrap();

        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.contains(words), "{text}");
    }
}
