//! The page of a trace, in a real browser; and the film of a run, read back.

mod common;

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::Output;

use common::browser::Browser;
use common::{DESK, tabard_on_engine, until, vmm};
use tabard_display::read_png;

/// Arrow keys and others as WebDriver names them.
const LEFT: &str = "\u{e012}";
const RIGHT: &str = "\u{e014}";
const UP: &str = "\u{e013}";
const HOME: &str = "\u{e011}";
/// What a page of a minute may have, in bytes.
const MAX_PAGE_BYTES: u64 = 10_000_000;

fn run(folder: &Path, desk: &str, script: &str) -> Output {
    vmm();
    std::fs::write(folder.join("desk.toml"), desk).unwrap();
    std::fs::write(folder.join("a.tabard"), format!("desk desk.toml\n{script}")).unwrap();
    tabard_on_engine("test")
        .args(["a.tabard", "--out", "out", "--trace", "a.html", "--film", "a.png"])
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn the_trace_of_a_failing_run_opens_in_a_browser_at_the_failure_and_scrubs_by_keyboard() {
    let folder = tempfile::tempdir().unwrap();
    let needles = folder.path().join("needles");
    std::fs::create_dir(&needles).unwrap();
    let mut other = tabard_display::Frame::new(tabard_view::Size { width: 1280, height: 800 });
    let stripe = |at: usize| if (at / 7).is_multiple_of(2) { 0x00ff_ffff } else { 0 };
    other.pixels.iter_mut().enumerate().for_each(|(at, pixel)| *pixel = stripe(at));
    tabard_display::write_png(&needles.join("b.png"), &other).unwrap();
    let needle = r#"{"area":[{"xpos":80,"ypos":80,"width":90,"height":40}],"tags":["button"]}"#;
    std::fs::write(needles.join("b.json"), needle).unwrap();
    let script = "section \"typing\"\nwait-for serial alpha \"\\\"ready\\\"\"\n\
         wait-for serial bravo \"\\\"ready\\\"\"\nswitch alpha\nwait-for stable\nmark\n\
         type \"hello\"\nwait-for serial alpha \"\\\"code\\\":24,\\\"value\\\":0\"\nwait-for stable\n\
         section \"looking\"\nsak\nwait-for needle button within 1s\nmark\n";
    let output = run(folder.path(), DESK, script);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let page = folder.path().join("a.html");
    assert!(page.metadata().unwrap().len() < MAX_PAGE_BYTES);

    let browser = Browser::start();
    browser.open(&page);
    let text = |script: &str| browser.run(script).as_str().unwrap_or_default().to_owned();
    let selected =
        || text("return document.querySelector('[aria-selected=true] code').textContent");
    let frame = || browser.run("return frame").as_u64().unwrap();
    let drawn = |want: u64| {
        until("the frame is drawn", || {
            text("return document.getElementById('glass').dataset.frame || ''") == want.to_string()
        });
        let pixels = "const c = document.getElementById('glass'); \
             const p = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; \
             let sum = 0; for (let i = 0; i < p.length; i += 4) sum = (sum * 31 + p[i] + p[i + 1] * 7 + p[i + 2] * 13) % 1000003; \
             return [c.width, c.height, sum]";
        browser.run(pixels).to_string()
    };

    // The step that failed is open, with its picture, and what it looked for.
    assert_eq!(selected(), "wait-for needle button within 1s");
    let last = frame();
    let trusted = drawn(last);
    assert!(trusted.starts_with("[1280,800,"), "{trusted}");
    let page_text = text("return document.querySelector('main').innerText");
    for words in
        ["No needle \"button\"", "b: ", "what came nearest", "Log of the desk", "attention"]
    {
        assert!(page_text.contains(words), "{words}: {page_text}");
    }
    let loaded = browser.run(
        "return [...document.images].length > 0 && [...document.images].every(i => i.complete && i.naturalWidth > 0)",
    );
    assert_eq!(loaded, true);

    // Frame by frame, and back.
    browser.keys(LEFT);
    assert_eq!(frame(), last - 1);
    assert_ne!(drawn(last - 1), trusted);
    browser.keys(&LEFT.repeat(2));
    assert_eq!(frame(), last - 3);
    browser.keys(&RIGHT.repeat(3));
    assert_eq!(drawn(last), trusted);

    // Step by step: what was typed is in the step that typed it.
    browser.keys("f");
    browser.keys(&UP.repeat(4));
    assert_eq!(selected(), "type \"hello\"");
    let page_text = text("return document.querySelector('main').innerText");
    assert!(page_text.contains("H pressed") && page_text.contains("alpha printed"), "{page_text}");
    browser.keys(HOME);
    assert!(selected().contains("wait-for serial alpha"));
    browser.keys("f");
    assert_eq!(selected(), "wait-for needle button within 1s");
    assert!(browser.picture().starts_with("iVBOR"));
}

#[test]
fn a_film_has_every_frame_and_ends_with_what_the_screen_shows() {
    let folder = tempfile::tempdir().unwrap();
    let script = "size 800x600\nwait-for serial alpha \"\\\"ready\\\"\"\n\
         wait-for serial bravo \"\\\"ready\\\"\"\nswitch alpha\ntype \"hello\"\n\
         wait-for serial alpha \"\\\"code\\\":24,\\\"value\\\":0\"\nsak\nwait-for stable 1s\nshot end.png\n";
    let output = run(folder.path(), DESK, script);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));

    let film = BufReader::new(File::open(folder.path().join("a.png")).unwrap());
    let mut reader = png::Decoder::new(film).read_info().unwrap();
    let (width, height) = reader.info().size();
    assert_eq!((width, height), (800, 600));
    let count = reader.info().animation_control.unwrap().num_frames;
    assert!(count > 5, "{count}");
    let mut screen = vec![0_u32; (width * height) as usize];
    let mut buffer = vec![0; reader.output_buffer_size().unwrap()];
    let mut seconds = 0.0;
    for _ in 0..count {
        reader.next_frame(&mut buffer).unwrap();
        let control = *reader.info().frame_control().unwrap();
        seconds += f64::from(control.delay_num) / f64::from(control.delay_den);
        for (at, pixel) in
            buffer.chunks_exact(4).take((control.width * control.height) as usize).enumerate()
        {
            let [red, green, blue, alpha] = *pixel else { unreachable!() };
            let (x, y) = (at as u32 % control.width, at as u32 / control.width);
            if alpha != 0 {
                screen[((control.y_offset + y) * width + control.x_offset + x) as usize] =
                    u32::from_be_bytes([0, red, green, blue]);
            }
        }
    }
    let end = read_png(&folder.path().join("out/end.png")).unwrap();
    assert!(screen == end.pixels, "the last frame of the film is another picture");
    // The last stable second alone is longer.
    assert!(seconds > 1.0, "{seconds}");
}

#[test]
fn the_page_and_the_film_of_a_guest_that_never_rests_stay_small() {
    let folder = tempfile::tempdir().unwrap();
    let desk = DESK.replacen("builtin:probe", "builtin:flood", 1);
    let output = run(folder.path(), &desk, "wait-for text \"no such words\" within 15s\n");
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));

    let page = std::fs::read_to_string(folder.path().join("a.html")).unwrap();
    assert!((page.len() as u64) < MAX_PAGE_BYTES, "{}", page.len());
    assert!(page.matches("\"whole\":").count() > 20);
    let film = folder.path().join("a.png").metadata().unwrap().len();
    assert!(film < 33 * 1024 * 1024, "{film}");
}
