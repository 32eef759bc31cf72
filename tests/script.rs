//! `tabard test`: real desks, passing and failing scripts, what each leaves behind.

mod common;

use std::path::Path;
use std::process::Output;

use common::{tabard_on_engine, vmm};
use tabard_display::read_png;

fn run(folder: &Path, script: &str) -> Output {
    vmm();
    std::fs::write(folder.join("desk.toml"), common::DESK).unwrap();
    std::fs::write(folder.join("s.tabard"), script).unwrap();
    tabard_on_engine("test")
        .args(["s.tabard", "--out", "out", "--junit", "junit.xml"])
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_script_that_passes_says_so_and_leaves_pictures_and_junit() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(
        folder.path(),
        "desk desk.toml\nsize 1024x768\nwait-for serial alpha \"\\\"ready\\\"\"\n\
         wait-for serial bravo \"\\\"ready\\\"\"\nswitch bravo\nwait-for stable\nmark\ntype \"hi\"\n\
         wait-for serial bravo \"\\\"code\\\":23\"\nexpect no-event alpha\n\
         expect banner bravo \"UNCLASSIFIED\"\nexpect focus bravo\nshot all.png\n",
    );

    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
    let summary = text(&output.stdout) + &text(&output.stderr);
    assert!(summary.contains("passed, 0 failed"), "{summary}");
    let picture = read_png(&folder.path().join("out/all.png")).unwrap();
    assert_eq!((picture.size.width, picture.size.height), (1024, 768));
    let junit = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains("<testsuite") && junit.contains("failures=\"0\""), "{junit}");
}

#[test]
fn a_script_that_fails_shows_where_and_what_it_saw() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(
        folder.path(),
        "desk desk.toml\nwait-for serial alpha \"\\\"ready\\\"\"\nexpect focus bravo\n",
    );

    assert_eq!(output.status.code(), Some(1));
    let summary = text(&output.stdout) + &text(&output.stderr);
    assert!(summary.contains("s.tabard:3") && summary.contains("1 failed"), "{summary}");
    assert!(folder.path().join("out/fail-3-actual.png").is_file());
    let junit = std::fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    assert!(junit.contains("<failure"), "{junit}");
}

#[test]
fn a_region_that_differs_leaves_the_expected_picture_and_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = tabard_display::Frame::new(tabard_view::Size { width: 64, height: 32 });
    other.pixels.fill(0x0012_3456);
    tabard_display::write_png(&folder.path().join("region.png"), &other).unwrap();
    let output = run(
        folder.path(),
        "desk desk.toml\nwait-for serial alpha \"\\\"ready\\\"\"\nexpect region 0 0 64 32 region.png\n",
    );

    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    for picture in ["actual", "region", "expected", "difference"] {
        let path = folder.path().join(format!("out/fail-3-{picture}.png"));
        assert!(path.is_file(), "{}", path.display());
    }
}

#[test]
fn a_wait_that_never_comes_ends_at_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        run(folder.path(), "desk desk.toml\nwait-for text \"no such words\" within 300ms\n");
    assert_eq!(output.status.code(), Some(1));
    assert!((text(&output.stdout) + &text(&output.stderr)).contains("no such words"));
}

#[test]
fn an_evaluator_runs_hostile_guests_by_script_and_every_frame_is_judged() {
    let out = tempfile::tempdir().unwrap();
    vmm();
    let output = tabard_on_engine("test")
        .args(["tests/scripts/hostile.tabard", "--out"])
        .arg(out.path())
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();

    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    let line = said.lines().find(|line| line.contains("frames judged")).unwrap();
    assert!(!line.contains(": 0 frames") && line.contains(" 0 violations, 3 asks"), "{line}");
}
