//! `tabard test`: real desks, passing and failing scripts, what each leaves behind.

mod common;

use std::path::Path;
use std::process::Output;

use common::{tabard_on_engine, vmm};
use tabard_display::read_png;

fn run(folder: &Path, script: &str) -> Output {
    run_on(folder, common::DESK, script)
}

fn run_on(folder: &Path, desk: &str, script: &str) -> Output {
    vmm();
    std::fs::write(folder.join("desk.toml"), desk).unwrap();
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

/// A folder of one needle: the upper left corner of the screen, as the desk shows it.
fn needle(folder: &Path, area: &str) -> String {
    let script = "desk desk.toml\nsize 1024x768\nwait-for serial alpha \"\\\"ready\\\"\"\n\
         wait-for serial bravo \"\\\"ready\\\"\"\nswitch alpha\nwait-for stable\n";
    let output = run(folder, &format!("{script}shot desk.png\n"));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let needles = folder.join("needles");
    std::fs::create_dir_all(&needles).unwrap();
    std::fs::copy(folder.join("out/desk.png"), needles.join("bar.png")).unwrap();
    std::fs::write(needles.join("bar.json"), format!(r#"{{"area":[{area}],"tags":["the-bar"]}}"#))
        .unwrap();
    script.to_owned()
}

#[test]
fn a_needle_is_found_named_and_clicked() {
    let folder = tempfile::tempdir().unwrap();
    let begin = needle(folder.path(), r#"{"xpos":0,"ypos":0,"width":300,"height":20}"#);
    let script =
        format!("{begin}wait-for needle the-bar\nexpect needle bar\nclick needle the-bar\n");
    let output = run(folder.path(), &script);

    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("line 7: needle bar: 100.0 % at 0,0, click at 150,10"), "{said}");
}

#[test]
fn a_needle_that_is_not_there_leaves_the_nearest_with_its_percentage_and_difference() {
    let folder = tempfile::tempdir().unwrap();
    let begin = needle(folder.path(), r#"{"xpos":0,"ypos":0,"width":300,"height":20}"#);
    let script = format!("{begin}sak\nexpect needle the-bar\n");
    let output = run(folder.path(), &script);

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("The nearest is bar: ") && said.contains("% of 96.0 % at"), "{said}");
    for picture in ["actual", "needle", "nearest", "difference"] {
        let path = folder.path().join(format!("out/fail-8-{picture}.png"));
        assert!(path.is_file(), "{}", path.display());
    }
}

#[test]
fn a_needle_that_cannot_be_used_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("needles")).unwrap();
    std::fs::write(folder.path().join("needles/a.json"), "{}").unwrap();
    let output = run(folder.path(), "desk desk.toml\nwait-for needle a\n");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("s.tabard:2") && said.contains("needles/a.json"), "{said}");
}

/// A desk of a guest that shows what is typed.
const NOTES: &str = "[desk]\nname = \"Test\"\ntheme = \"us\"\n\
    [guests.notes]\nlabel = \"UNCLASSIFIED\"\nkernel = \"builtin:notepad\"\nmemory = \"64M\"\n";

#[test]
fn text_that_a_guest_shows_is_read_by_ocr() {
    let folder = tempfile::tempdir().unwrap();
    let script = "desk desk.toml\nwait-for serial notes \"\\\"ready\\\"\"\nswitch notes\n\
         type \"the quick brown fox\"\n\
         wait-for ocr-text notes \"quick  brown fox\" within 40s\nexpect ocr-text notes \"lazy dogs\"\n";
    let output = run_on(folder.path(), NOTES, script);

    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let said = text(&output.stdout) + &text(&output.stderr);
    assert!(said.contains("4 steps passed, 1 failed"), "{said}");
    let cause = said.lines().find(|line| line.contains("OCR does not read")).unwrap_or_default();
    assert!(cause.contains("lazy dogs") && cause.contains("quick brown fox"), "{said}");
}

#[test]
fn a_language_that_the_reader_does_not_know_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let script = "desk desk.toml\nocr-language eng+tlh\nwait-for ocr-text notes \"wa'\"\n";
    let output = run_on(folder.path(), NOTES, script);

    assert_eq!(output.status.code(), Some(2), "{}", text(&output.stdout));
    let said = text(&output.stderr);
    assert!(said.contains("s.tabard:2") && said.contains("tesseract-ocr-tlh"), "{said}");
    assert!(!folder.path().join("out/logs").exists());
}

/// Plays scripts of these names and texts.
fn run_all(folder: &Path, scripts: &[(&str, &str)], options: &[&str]) -> Output {
    vmm();
    std::fs::write(folder.join("desk.toml"), common::DESK).unwrap();
    for (name, script) in scripts {
        std::fs::write(folder.join(name), format!("desk desk.toml\n{script}")).unwrap();
    }
    tabard_on_engine("test")
        .args(scripts.iter().map(|(name, _)| name))
        .args(["--out", "out"])
        .args(options)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn several_scripts_run_side_by_side_and_are_told_together() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = [
        ("a.tabard", "wait-for focus alpha\nshot a.png\n"),
        ("b.tabard", "wait-for focus alpha\nexpect locked\nmark\n"),
        ("c.tabard", "bogus\n"),
    ];
    let options = ["--jobs", "2", "--json", "r.json", "--tap", "r.tap", "--junit", "r.xml"];
    let output = run_all(folder.path(), &scripts, &options);

    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(2), "{said}{}", text(&output.stderr));
    assert!(said.contains("1 scripts passed, 1 failed, 1 not started"), "{said}");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let json: serde_json::Value = serde_json::from_str(&read("r.json")).unwrap();
    assert_eq!(json["scripts"][1]["steps"][1]["fate"], "failed");
    assert!(json["scripts"][2]["message"].as_str().unwrap().contains("c.tabard:2"));
    assert!(read("r.tap").contains("\n1..6\n") && read("r.xml").contains("errors=\"1\""));
    assert!(folder.path().join("out/a/a.png").is_file());
    assert!(folder.path().join("out/b/fail-3-actual.png").is_file());
}

#[test]
fn a_script_that_fails_is_tried_again_and_a_shard_leaves_the_others_out() {
    let folder = tempfile::tempdir().unwrap();
    let scripts = [("a.tabard", "expect locked\n"), ("b.tabard", "bogus\n")];
    let output = run_all(folder.path(), &scripts, &["--shard", "1/2", "--retry-failed", "1"]);

    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}{}", text(&output.stderr));
    assert!(
        said.contains("a.tabard is tried again") && said.contains("0 scripts passed, 1 failed")
    );
    assert!(folder.path().join("out/a/try-2/fail-2-actual.png").is_file());
}

#[test]
fn a_trace_shows_every_step_with_its_pictures_input_and_lines() {
    let folder = tempfile::tempdir().unwrap();
    let script = "wait-for serial alpha \"\\\"ready\\\"\"\nmark\ntype \"hi\"\n\
         wait-for serial alpha \"\\\"code\\\":23\"\nsak\nexpect focus bravo\nmark\n";
    let output = run_all(folder.path(), &[("a.tabard", script)], &["--trace", "t.html"]);

    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let page = std::fs::read_to_string(folder.path().join("t.html")).unwrap();
    let (_, data) = page.split_once("id=\"data\">").unwrap();
    let data: serde_json::Value =
        serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap();
    let steps = data["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 7);
    let fate = |step: usize| steps[step]["fate"].as_str().unwrap();
    assert_eq!((fate(4), fate(5), fate(6)), ("passed", "failed", "not run"));
    assert_eq!(steps[2]["input"].as_array().unwrap().len(), 4);
    assert!(steps[4]["changed"]["pixels"].as_u64().unwrap() > 0);
    assert!(steps[2]["input"][0]["glass_ms"].is_number(), "{}", steps[2]["input"]);
    assert!(steps[4]["input"][0]["glass_ms"].is_number(), "{}", steps[4]["input"]);
    assert!(data["serial"].to_string().contains("code"), "{}", data["serial"]);
    let kinds: Vec<&str> =
        data["log"].as_array().unwrap().iter().map(|one| one["kind"].as_str().unwrap()).collect();
    assert!(kinds.contains(&"attention"), "{kinds:?}");
    let frames = data["frames"].as_array().unwrap();
    assert!(frames[0]["whole"].as_bool().unwrap() && frames.len() > 3);
    assert!(frames[0]["png"].as_str().unwrap().starts_with("iVBOR"));
}

#[test]
fn a_script_includes_repeats_and_skips_aloud() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("part.tabard"), "echo \"${WHO} ${round}\"\n").unwrap();
    let script = "wait-for focus alpha\nrepeat 2\ninclude part.tabard\nend\n\
         only-if host no-such-program\nexpect locked\nmark\nend\n";
    let output = run_all(folder.path(), &[("a.tabard", script)], &["--set", "WHO=some body"]);

    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", text(&output.stderr));
    assert!(said.contains("some body 1\nsome body 2\n"), "{said}");
    assert!(said.contains("line 7: skipped, only if the host has no-such-program"), "{said}");
    assert!(said.contains("3 steps passed, 0 failed, 2 skipped"), "{said}");
}

#[test]
fn another_program_plays_steps_by_json_lines() {
    use std::io::Write;
    use std::process::Stdio;

    let folder = tempfile::tempdir().unwrap();
    vmm();
    std::fs::write(folder.path().join("desk.toml"), common::DESK).unwrap();
    let mut child = tabard_on_engine("test")
        .args(["--serve", "--desk", "desk.toml", "--out", "out"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let requests = [
        r#"{"id": 1, "step": "wait-for focus alpha\\nmark\\necho \"here\""}"#,
        r#"{"id": "b", "step": "bogus"}"#,
        "no json",
        r#"{"id": 3, "step": "expect locked"}"#,
        r#"{"id": 4, "step": "sak"}"#,
        r#"{"end": true}"#,
    ];
    let mut input = child.stdin.take().unwrap();
    for request in requests {
        writeln!(input, "{}", request.replace("\\\\", "\\")).unwrap();
    }
    let output = child.wait_with_output().unwrap();

    let said = text(&output.stdout);
    let answers: Vec<serde_json::Value> =
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 6, "{said}");
    assert_eq!(answers[0]["guests"][1]["name"], "bravo");
    assert_eq!((&answers[1]["fate"], &answers[1]["said"][0]), (&"passed".into(), &"here".into()));
    assert_eq!(answers[1]["steps"].as_array().unwrap().len(), 3);
    assert!(answers[2]["faults"][0].as_str().unwrap().contains("request:1"), "{said}");
    assert_eq!((&answers[2]["id"], &answers[3]["fate"]), (&"b".into(), &"fault".into()));
    assert_eq!(answers[4]["steps"][0]["cause"], "The screen is not locked");
    assert_eq!(answers[5]["fate"], "passed");
    assert_eq!(output.status.code(), Some(1));
}
