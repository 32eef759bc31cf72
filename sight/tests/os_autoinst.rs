//! Twenty needles in the form of os-autoinst, each judged as it judges: what is found, where it is
//! clicked, and how like it is by its measure, which is written out here a second time and slowly, and
//! which `os_autoinst_figures.py` has from OpenCV.

use std::fs;
use std::path::Path;

use tabard_display::{Frame, read_png, write_png};
use tabard_sight::{Pattern, Set, best};
use tabard_view::{Rect, Size};

const SIZE: Size = Size { width: 320, height: 200 };

/// A needle: its name, areas and tags, how the screen differs from its picture, and what follows.
struct Case {
    name: &'static str,
    json: &'static str,
    screen: fn(&mut Frame),
    found: bool,
    click: (u32, u32),
}

const CASES: [Case; 20] = [
    case(
        "same",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"type":"match"}],"tags":["t"]}"#,
        same,
        true,
        (70, 40),
    ),
    case(
        "moved-within",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"type":"match"}],"tags":["t"]}"#,
        moved_40,
        true,
        (110, 40),
    ),
    case(
        "moved-beyond",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"type":"match"}],"tags":["t"]}"#,
        moved_90,
        false,
        (0, 0),
    ),
    case(
        "margin-300",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"type":"match","margin":300}],"tags":["t"]}"#,
        moved_90,
        true,
        (160, 40),
    ),
    case(
        "margin-0-is-50",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"margin":0}],"tags":["t"]}"#,
        moved_40,
        true,
        (110, 40),
    ),
    case(
        "no-type",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20}],"tags":["t"]}"#,
        same,
        true,
        (70, 40),
    ),
    case(
        "tint-of-15",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"match":100}],"tags":["t"]}"#,
        tinted,
        true,
        (70, 40),
    ),
    case(
        "dot-96",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20}],"tags":["t"]}"#,
        dot,
        false,
        (0, 0),
    ),
    case(
        "dot-50",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"match":50}],"tags":["t"]}"#,
        dot,
        true,
        (70, 40),
    ),
    case(
        "match-0-is-96",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"match":0}],"tags":["t"]}"#,
        dot,
        false,
        (0, 0),
    ),
    case(
        "dot-excluded",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20},{"xpos":48,"ypos":34,"width":14,"height":12,"type":"exclude"}],"tags":["t"]}"#,
        dot,
        true,
        (70, 40),
    ),
    case(
        "excluded-elsewhere",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20},{"xpos":200,"ypos":100,"width":14,"height":12,"type":"exclude"}],"tags":["t"]}"#,
        dot,
        false,
        (0, 0),
    ),
    case(
        "exclude-first",
        r#"{"area":[{"xpos":48,"ypos":34,"width":14,"height":12,"type":"exclude"},{"xpos":40,"ypos":30,"width":60,"height":20}],"tags":["t"]}"#,
        dot,
        true,
        (70, 40),
    ),
    case(
        "two-areas",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20},{"xpos":200,"ypos":120,"width":40,"height":30}],"tags":["t"]}"#,
        same,
        true,
        (220, 135),
    ),
    case(
        "second-gone",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20},{"xpos":200,"ypos":120,"width":40,"height":30}],"tags":["t"]}"#,
        second_gone,
        false,
        (0, 0),
    ),
    case(
        "click-center-first",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"click_point":"center"},{"xpos":200,"ypos":120,"width":40,"height":30}],"tags":["t"]}"#,
        same,
        true,
        (70, 40),
    ),
    case(
        "click-point-moved",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"click_point":{"xpos":5,"ypos":6}}],"tags":["t"]}"#,
        moved_40,
        true,
        (85, 36),
    ),
    case(
        "ocr-decides-nothing",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20},{"xpos":200,"ypos":120,"width":40,"height":30,"type":"ocr"}],"tags":["t"]}"#,
        second_gone,
        true,
        (70, 40),
    ),
    case(
        "nothing-left",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20}],"tags":["t"]}"#,
        black,
        false,
        (0, 0),
    ),
    case(
        "screen-too-small",
        r#"{"area":[{"xpos":40,"ypos":30,"width":60,"height":20,"margin":999}],"tags":["t"]}"#,
        small,
        false,
        (0, 0),
    ),
];

/// Each area by its needle: how like it is in percent, and where, by OpenCV 5.0.0. What is to be found
/// is there; what is not is told of a place that may be another.
const FIGURES: [(&str, f64, u32, u32); 23] = [
    ("same", 100.0000, 40, 30),
    ("moved-within", 100.0000, 80, 30),
    ("moved-beyond", 0.0000, 90, 30),
    ("margin-300", 100.0000, 130, 30),
    ("margin-0-is-50", 100.0000, 80, 30),
    ("no-type", 100.0000, 40, 30),
    ("tint-of-15", 100.0000, 40, 30),
    ("dot-96", 73.2982, 40, 30),
    ("dot-50", 73.2982, 40, 30),
    ("match-0-is-96", 73.2982, 40, 30),
    ("dot-excluded", 100.0000, 40, 30),
    ("excluded-elsewhere", 73.2982, 40, 30),
    ("exclude-first", 100.0000, 40, 30),
    ("two-areas", 100.0000, 40, 30),
    ("two-areas", 100.0000, 200, 120),
    ("second-gone", 100.0000, 40, 30),
    ("second-gone", 0.0000, 200, 120),
    ("click-center-first", 100.0000, 40, 30),
    ("click-center-first", 100.0000, 200, 120),
    ("click-point-moved", 100.0000, 80, 30),
    ("ocr-decides-nothing", 100.0000, 40, 30),
    ("nothing-left", 0.0000, 40, 30),
    ("screen-too-small", 0.0000, 40, 30),
];

const fn case(
    name: &'static str,
    json: &'static str,
    screen: fn(&mut Frame),
    found: bool,
    click: (u32, u32),
) -> Case {
    Case { name, json, screen, found, click }
}

/// A button with a word on it, and a picture further down, on a plain ground.
fn drawn() -> Frame {
    let mut frame = Frame::new(SIZE);
    frame.pixels.fill(0x0040_6080);
    button(&mut frame, 40, 30);
    fill(&mut frame, Rect::new(200, 120, 40, 30), 0x00b0_3020);
    fill(&mut frame, Rect::new(210, 126, 12, 18), 0x0020_e0c0);
    frame
}

fn button(frame: &mut Frame, x: u32, y: u32) {
    fill(frame, Rect::new(x, y, 60, 20), 0x00c0_c0c0);
    for letter in 0..6 {
        fill(frame, Rect::new(x + 8 + letter * 8, y + 5, 2, 10), 0x0010_1010);
        fill(frame, Rect::new(x + 10 + letter * 8, y + 5 + letter, 3, 2), 0x0010_1010);
    }
}

fn fill(frame: &mut Frame, rect: Rect, color: u32) {
    for y in rect.y..rect.bottom() {
        frame.row_mut(y, rect.x, rect.width).fill(color);
    }
}

fn same(_: &mut Frame) {}

fn moved(frame: &mut Frame, by: u32) {
    fill(frame, Rect::new(40, 30, 60, 20), 0x0040_6080);
    button(frame, 40 + by, 30);
}

fn moved_40(frame: &mut Frame) {
    moved(frame, 40);
}

fn moved_90(frame: &mut Frame) {
    moved(frame, 90);
}

fn tinted(frame: &mut Frame) {
    for pixel in &mut frame.pixels {
        *pixel += 0x000f_0f0f;
    }
}

fn dot(frame: &mut Frame) {
    fill(frame, Rect::new(52, 38, 6, 4), 0x0050_5050);
}

fn second_gone(frame: &mut Frame) {
    fill(frame, Rect::new(200, 120, 40, 30), 0x0040_6080);
}

fn black(frame: &mut Frame) {
    frame.pixels.fill(0);
}

fn small(frame: &mut Frame) {
    let mut small = Frame::new(Size { width: 90, height: 60 });
    for y in 0..60 {
        small.row_mut(y, 0, 90).copy_from_slice(frame.row(y, 0, 90));
    }
    *frame = small;
}

/// The measure, without any haste: grey, softened over the whole picture, every place in reach.
fn slowly(needle: &Frame, screen: &Frame, area: Rect, margin: i64, excluded: &[Rect]) -> f64 {
    if !screen.size.rect().covers(area) {
        return 0.0;
    }
    let soft = |frame: &Frame| -> Vec<Vec<i64>> {
        let (width, height) = (i64::from(frame.size.width), i64::from(frame.size.height));
        let grey = |x: i64, y: i64| {
            let mirror = |at: i64, size: i64| {
                if at < 0 {
                    -at
                } else if at >= size {
                    2 * size - 2 - at
                } else {
                    at
                }
            };
            let (x, y) = (mirror(x, width) as u32, mirror(y, height) as u32);
            let pixel = if excluded.iter().any(|rect| rect.contains(x, y)) {
                0x0000_ff00
            } else {
                frame.pixel(x, y).unwrap()
            };
            let [_, red, green, blue] = pixel.to_be_bytes().map(f64::from);
            (0.299 * red + 0.587 * green + 0.114 * blue).round() as i64
        };
        (0..height)
            .map(|y| {
                (0..width)
                    .map(|x| {
                        let mut sum = 8;
                        for (dy, down) in [(-1, 1), (0, 2), (1, 1)] {
                            for (dx, across) in [(-1, 1), (0, 2), (1, 1)] {
                                sum += grey(x + dx, y + dy) * down * across;
                            }
                        }
                        sum / 16
                    })
                    .collect()
            })
            .collect()
    };
    let (object, scene) = (soft(needle), soft(screen));
    let (width, height) = (area.width as usize, area.height as usize);
    let (x, y) = (area.x as usize, area.y as usize);
    let pairs = |left: usize, top: usize| {
        let (object, scene) = (&object, &scene);
        (0..height).flat_map(move |dy| {
            (0..width).map(move |dx| (object[y + dy][x + dx], scene[top + dy][left + dx]))
        })
    };
    let (mut least, mut place) = (i64::MAX, (x, y));
    for top in 0..=scene.len() - height {
        for left in 0..=scene[0].len() - width {
            let away = |one: usize, other: usize| (one as i64 - other as i64).abs();
            if away(left, x) > margin || away(top, y) > margin {
                continue;
            }
            let sum: i64 = pairs(left, top).map(|(one, other)| (one - other).pow(2)).sum();
            if sum < least {
                (least, place) = (sum, (left, top));
            }
        }
    }
    let sum: f64 = pairs(place.0, place.1)
        .filter(|(one, other)| (one - other).abs() >= 16)
        .map(|(one, other)| {
            let step = |value: i64| (value as f64 / 16.0).round();
            ((step(one) - step(other)) * 16.0).powi(2)
        })
        .sum();
    (0.9 + (40.0 - sum / (width * height) as f64) / 380.0).clamp(0.0, 1.0) * 100.0
}

fn set_in(folder: &Path) -> Set {
    for case in &CASES {
        fs::write(folder.join(format!("{}.json", case.name)), case.json).unwrap();
        write_png(&folder.join(format!("{}.png", case.name)), &drawn()).unwrap();
    }
    Set::read(folder).unwrap()
}

#[test]
fn twenty_needles_are_judged_as_os_autoinst_judges_them() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_in(folder.path());
    for case in &CASES {
        let needle = (*set.named(case.name)[0]).clone();
        let picture = read_png(&needle.picture()).unwrap();
        let pattern = Pattern::load(needle).unwrap();
        let mut screen = drawn();
        (case.screen)(&mut screen);

        let verdict = pattern.judge(&screen);

        assert_eq!(verdict.ok(), case.found, "{}: {verdict:?}", case.name);
        if case.found {
            assert_eq!(verdict.click(), Some(case.click), "{}", case.name);
        }
        let excluded: Vec<Rect> = pattern
            .needle
            .areas
            .iter()
            .filter(|area| area.kind == tabard_sight::Kind::Exclude)
            .map(|area| area.rect)
            .collect();
        let figures: Vec<_> = FIGURES.iter().filter(|figure| figure.0 == case.name).collect();
        assert_eq!(figures.len(), verdict.areas.len(), "{}", case.name);
        for (judged, (_, percent, x, y)) in verdict.areas.iter().zip(figures) {
            assert_eq!(judged.ok(), *percent >= judged.wanted, "{}: {judged:?}", case.name);
            if judged.ok() {
                assert!((percent - judged.percent).abs() < 1e-4, "{}: {judged:?}", case.name);
                assert_eq!((judged.found.x, judged.found.y), (*x, *y), "{}", case.name);
            }
        }
        for (area, judged) in pattern.needle.matches().zip(&verdict.areas) {
            let margin = i64::from(area.margin);
            let percent = slowly(&picture, &screen, area.rect, margin, &excluded);
            if percent < judged.wanted {
                // Where nothing is alike, how little is told of a place that may be another.
                assert!(judged.percent < judged.wanted, "{}: {percent} {judged:?}", case.name);
                continue;
            }
            assert!((percent - judged.percent).abs() < 1e-6, "{}: {percent} {judged:?}", case.name);
        }
    }
}

#[test]
fn of_several_with_one_tag_the_best_that_is_there_wins() {
    let folder = tempfile::tempdir().unwrap();
    let set = set_in(folder.path());
    let patterns: Vec<Pattern> =
        set.named("t").into_iter().map(|needle| Pattern::load(needle.clone()).unwrap()).collect();
    assert_eq!(patterns.len(), CASES.len());
    let mut screen = drawn();
    moved_90(&mut screen);
    let found = best(&patterns, &screen).unwrap();
    assert_eq!(found.pattern.needle.name, "margin-300");
    assert!(found.verdict.ok());
}

#[test]
fn as_good_a_needle_that_stands_in_for_a_fault_goes_last_and_then_the_name_decides() {
    let area = r#""area":[{"xpos":40,"ypos":30,"width":60,"height":20}]"#;
    let pattern = |name: &str, properties: &str| {
        let text = format!("{{{area},\"tags\":[\"t\"],\"properties\":[{properties}]}}");
        Pattern::new(tabard_sight::Needle::parse(&text, Path::new(name)).unwrap(), drawn()).unwrap()
    };
    let all = [pattern("a.json", "\"workaround\""), pattern("c.json", ""), pattern("b.json", "")];
    assert_eq!(best(&all, &drawn()).unwrap().pattern.needle.name, "b");
    assert_eq!(best(&all[..1], &drawn()).unwrap().pattern.needle.name, "a");
}

#[test]
fn an_area_outside_its_picture_and_a_needle_without_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.json");
    fs::write(&path, r#"{"area":[{"xpos":300,"ypos":30,"width":60,"height":20}]}"#).unwrap();
    let needle = || Set::read(folder.path()).unwrap().needles[0].clone();
    assert!(Pattern::load(needle()).unwrap_err().to_string().contains("no picture"));
    write_png(&needle().picture(), &drawn()).unwrap();
    let said = Pattern::load(needle()).unwrap_err().to_string();
    assert!(said.contains("area 1 ends at 360,50") && said.contains("320x200"), "{said}");
}
