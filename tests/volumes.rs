//! Volumes through the real programs: what a desk refuses, and what a guest can do to an image.

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::{Stage, key};
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
    for (bytes, words) in [(0, "is empty"), (511, "which is no disk"), (513, "which is no disk")] {
        fs::write(&image, vec![0; bytes]).unwrap();
        assert!(refusal(&desk).contains(words), "{bytes}");
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

/// A way down that no class shows: the one guest writes what the other starts from.
#[test]
fn a_volume_that_a_guest_boots_from_or_the_desk_goes_by_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    fs::write(path.join("data.img"), [0; 512]).unwrap();
    std::os::unix::fs::symlink("data.img", path.join("vmlinuz")).unwrap();
    let change: [fn(&mut Desk); 4] = [
        |desk| desk.guests[0].kernel = "vmlinuz".to_owned(),
        |desk| desk.guests[0].initrd = Some("./data.img".into()),
        |desk| desk.users.passwords = "vmlinuz".into(),
        |desk| desk.audit.file = Some("data.img".into()),
    ];
    for change in change {
        let mut desk = desk(path, "SECRET");
        change(&mut desk);
        assert!(refusal(&desk).contains("decides nothing else"), "{desk:?}");
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
    // Each session has a folder of its own: one audit log has one writer.
    let logs = tempfile::Builder::new().tempdir_in(logs).unwrap().keep();
    tabard::session::prepare(desk, &common::options(common::vmm(), &logs))
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

/// Sectors of the images below.
const SECTORS: usize = 64;

/// A folder with an image full of sevens.
fn image() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("data.img"), [7; SECTORS * 512]).unwrap();
    folder
}

/// A guest of this label with these further keys, that does this to an image of UNCLASSIFIED.
fn guest(folder: &Path, label: &str, more: &str, steps: &str) -> String {
    format!(
        "[desk]\nname = \"Volumes\"\ntheme = \"us\"\n[volumes.data]\npath = {:?}\n\
         label = \"UNCLASSIFIED\"\n[guests.one]\nlabel = {label:?}\nkernel = \"builtin:disk\"\n\
         memory = \"64M\"\nvolumes = [\"data\"]\ncmdline = \"do={steps}\"\n{more}\n",
        folder.join("data.img")
    )
}

/// What the guest says of a step, the first time it says it.
fn step(stage: &Stage, step: &str) -> serde_json::Value {
    steps(stage, step).swap_remove(0)
}

/// Everything that the guest said of a step.
fn steps(stage: &Stage, step: &str) -> Vec<serde_json::Value> {
    let log = stage.serial(0);
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter(|line: &serde_json::Value| line["step"] == step).collect()
}

fn until_done(stage: &Stage, times: usize) {
    stage.until("the guest is done", |stage| {
        stage.serial(0).matches("\"done\":\"disk\"").count() == times
    });
}

#[test]
fn invariant_9_a_secret_guest_reads_an_unclassified_volume_and_cannot_change_it() {
    let folder = image();
    let tries = "0:read:3,0:write:3:9,0:discard:0,0:zeroes:0,0:flush,0:read:3";
    let stage = Stage::new(&guest(folder.path(), "SECRET", "", tries));
    until_done(&stage, 1);

    assert!(stage.serial(0).contains("\"read_only\":true"), "{}", stage.serial(0));
    for (name, status) in [("write:3:9", 1), ("discard:0", 1), ("zeroes:0", 1), ("flush", 0)] {
        assert_eq!(step(&stage, &format!("0:{name}"))["status"], status, "{name}");
    }
    for read in steps(&stage, "0:read:3") {
        assert_eq!((&read["first"], &read["last"]), (&7.into(), &7.into()));
    }
    assert_eq!(fs::read(folder.path().join("data.img")).unwrap(), [7; SECTORS * 512]);
}

/// Sees by `fstat` what any process with the same file sees.
#[test]
fn what_a_guest_reads_and_boots_from_keeps_its_access_time() {
    let folder = image();
    let [volume, initrd, kernel] =
        ["data.img", "initrd", "kernel"].map(|name| folder.path().join(name));
    // The end of an archive, and a kernel that is only loaded and not run.
    fs::write(&initrd, b"070701").unwrap();
    fs::write(&kernel, tabard_guests::builtin("disk").unwrap().elf).unwrap();
    // So long ago that the next read would be written down on any mount that writes reads down.
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    let files = [&volume, &initrd, &kernel].map(|path| {
        let file = fs::File::options().write(true).open(path).unwrap();
        file.set_times(fs::FileTimes::new().set_accessed(old)).unwrap();
        file
    });
    let text = guest(folder.path(), "SECRET", &format!("initrd = {initrd:?}"), "0:read:3");
    let loaded = text.replace("builtin:disk", &kernel.display().to_string());
    let loaded = Desk::parse(&loaded, &folder.path().join("desk.toml")).unwrap();

    let options = common::options(common::vmm(), folder.path());
    check_guests(&loaded, Some(&options)).unwrap();
    let stage = Stage::new(&text);
    until_done(&stage, 1);

    assert_eq!(step(&stage, "0:read:3")["first"], 7);
    for file in files {
        assert_eq!(file.metadata().unwrap().accessed().unwrap(), old, "{file:?}");
    }
}

#[test]
fn a_guest_of_the_same_class_writes_and_what_it_wrote_stays() {
    let folder = image();
    let stage =
        Stage::new(&guest(folder.path(), "UNCLASSIFIED", "", "0:write:3:9,0:flush,0:read:3"));
    until_done(&stage, 1);
    assert_eq!(step(&stage, "0:read:3")["first"], 9);
    stage.harness.stop();

    let mut expected = [7; SECTORS * 512];
    expected[3 * 512..4 * 512].fill(9);
    assert_eq!(fs::read(folder.path().join("data.img")).unwrap(), expected);
}

#[test]
fn a_disposable_guest_begins_anew_after_a_reset_and_after_a_stop() {
    let folder = image();
    let tries = "0:read:3,0:write:3:9,0:read:3";
    let stage = Stage::new(&guest(folder.path(), "SECRET", "disposable = true", tries));
    until_done(&stage, 1);

    for (run, keys) in [(2, &[key::R, key::R][..]), (3, &[key::S, key::S, key::S][..])] {
        stage.sak();
        for code in keys {
            // No key is obeyed before the glass shows what it will do.
            stage.until_open(tabard_view::Recipient::Trusted);
            stage.tap(*code);
        }
        until_done(&stage, run);
    }

    let read: Vec<_> =
        steps(&stage, "0:read:3").iter().map(|line| line["first"].as_u64().unwrap()).collect();
    assert_eq!(read, [7, 9, 7, 9, 7, 9]);
    assert_eq!(fs::read(folder.path().join("data.img")).unwrap(), [7; SECTORS * 512]);
}

/// Whether the host's page cache has the start of this file.
fn is_cached(file: &fs::File) -> bool {
    let mut byte = [0];
    let mut room = [std::io::IoSliceMut::new(&mut byte)];
    rustix::io::preadv2(file, &mut room, 0, rustix::io::ReadWriteFlags::NOWAIT).is_ok()
}

#[test]
fn what_guests_of_several_classes_share_never_comes_into_the_page_cache() {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    fs::write(folder.path().join("data.img"), [7; SECTORS * 512]).unwrap();
    let file = fs::File::open(folder.path().join("data.img")).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    let steps = "0:read:3,0:write:3:9,0:flush,0:zeroes:4,0:read:3,0:read:4,0:read:5";
    let mut text = guest(folder.path(), "UNCLASSIFIED", "", steps);
    for (name, more) in [("reader", ""), ("copier", "disposable = true")] {
        let second = guest(folder.path(), "SECRET", more, steps);
        let (_, second) = second.split_once("[guests.one]").unwrap();
        text.push_str(&format!("[guests.{name}]{second}"));
    }

    let stage = Stage::new(&text);
    for guest in 0..3 {
        stage.until("the guest is done", |stage| stage.serial(guest).contains("\"done\""));
    }

    assert!(!is_cached(&file));
    let (own, copy) = (stage.serial(0), stage.serial(2));
    for read in ["3\",\"status\":0,\"first\":9,\"last\":9", "4\",\"status\":0,\"first\":0"] {
        assert!(own.contains(read) && copy.contains(read), "{own}{copy}");
    }
    stage.harness.stop();
    let mut expected = [7; SECTORS * 512];
    expected[3 * 512..4 * 512].fill(9);
    expected[4 * 512..12 * 512].fill(0);
    assert_eq!(fs::read(folder.path().join("data.img")).unwrap(), expected);
}

/// The highest count that the guest says it has flushed.
fn flushed(stage: &Stage) -> u64 {
    let log = stage.serial(0);
    let lines = log.lines().filter_map(|line| serde_json::from_str(line).ok());
    lines.filter_map(|line: serde_json::Value| line["flushed"].as_u64()).max().unwrap_or(0)
}

#[test]
fn nothing_that_was_flushed_is_lost_when_the_process_is_killed() {
    let folder = image();
    for least in [10, 50, 90] {
        let stage = Stage::new(&guest(folder.path(), "UNCLASSIFIED", "", "0:stream"));
        stage.until("it has flushed enough", |stage| flushed(stage) >= least);
        let process = stage.status().guests[0].1.unwrap();
        let process = rustix::process::Pid::from_raw(process.cast_signed()).unwrap();

        rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();

        stage.until("it is gone", |stage| stage.status().guests[0].1.is_none());
        let last = flushed(&stage);
        let bytes = fs::read(folder.path().join("data.img")).unwrap();
        for count in last.saturating_sub(SECTORS as u64 - 2).max(1)..=last {
            let sector = &bytes[count as usize % SECTORS * 512..][..512];
            // What it had written and not yet said may be there as well, a round further on.
            let said = [count as u8, (count as u8).wrapping_add(SECTORS as u8)];
            let first = sector[0];
            assert!(sector.iter().all(|byte| *byte == first), "{count} of {last} is torn");
            assert!(said.contains(&first), "{count} of {last} is {first}");
        }
    }
}
