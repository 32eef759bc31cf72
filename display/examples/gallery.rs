//! Writes pictures of every kind of screen, with invented content, into a directory.
//!
//! `cargo run -p tabard-display --release --example gallery -- DIRECTORY`

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use tabard_display::{Compositor, Frame, GuestPicture, Pictures, Surface, SurfaceShape, write_png};
use tabard_labels::{LabelId, LabelSet, preset};
use tabard_view::{
    Bar, BarKind, Content, GuestId, Hint, OutputId, OutputView, Picture, Pointer, Rect, Scale,
    Size, TextKind, TextLine, TextPage, TextRun, TrustedBody, TrustedRow, TrustedScreen, Window,
    WindowFrame, layout,
};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let directory = std::env::args_os().nth(1).ok_or("Name a directory")?;
    let directory = PathBuf::from(directory);
    std::fs::create_dir_all(&directory)?;
    let labels = labels()?;
    let mut compositor = Compositor::new(labels)?;
    for (name, size, percent) in [
        ("1280", Size { width: 1280, height: 800 }, 100),
        ("1920", Size { width: 1920, height: 1200 }, 150),
        ("2560", Size { width: 2560, height: 1600 }, 200),
        ("640", Size { width: 640, height: 480 }, 100),
    ] {
        let scale = Scale::from_percent(percent).ok_or("No such scale")?;
        let stage = Stage { size, scale };
        for (kind, bar, content, pictures) in stage.screens()? {
            let pointer = Pointer { x: size.width / 3, y: size.height / 2, over: None };
            let output = OutputView {
                id: OutputId(0),
                size,
                scale,
                bar: Bar { rect: layout::bar(size, scale).0, ..bar },
                content,
                pointer: Some(pointer),
            };
            let mut frame = Frame::default();
            compositor.compose(&output, &pictures, &[], &mut frame);
            write_png(&directory.join(format!("{kind}-{name}.png")), &frame)?;
        }
    }
    Ok(())
}

const MARKINGS: [&str; 7] = [
    "SECRET//ALPHA",
    "UNCLASSIFIED",
    "TOP SECRET//ALPHA/BRAVO",
    "CUI",
    "CONFIDENTIAL",
    "TOP SECRET//SCI",
    "TOP SECRET//SCI/ALPHA/BRAVO/CHARLIE/DELTA/ECHO/FOXTROT/GOLF/HOTEL",
];

fn labels() -> Result<LabelSet, Failure> {
    let preset = preset("us").ok_or("No preset")?;
    let mut labels = LabelSet::new();
    for marking in MARKINGS {
        let mut label = preset.label(marking, marking)?;
        if marking.contains("BRAVO") && marking.contains("CHARLIE") {
            label.appearance.pattern = tabard_labels::Pattern::Waves;
        }
        labels.insert(label)?;
    }
    Ok(labels)
}

struct Stage {
    size: Size,
    scale: Scale,
}

type Screen = (&'static str, Bar, Content, Pictures);

const NAMES: [&str; 7] =
    ["notes", "web", "plans", "mail", "archive", "survey", "quarterly-planning-workbench-a12"];

impl Stage {
    fn screens(&self) -> Result<Vec<Screen>, Failure> {
        let mut screens = Vec::new();
        for (kind, count) in [("desk", 3), ("desk-seven", 7)] {
            let frames = layout::desk(self.size, self.scale, count);
            let pictures = pictures(&frames)?;
            let windows = self.windows(&frames, |_| Picture::Live);
            screens.push((kind, typing(0), Content::Windows(windows), pictures));
        }
        let frames = [layout::solo(self.size, self.scale)];
        for (kind, guest) in [("solo", 0u8), ("solo-long", 6)] {
            let mut pictures = pictures(&frames)?;
            let mut windows = self.windows(&frames, |_| Picture::Live);
            for window in &mut windows {
                window.guest = GuestId(guest);
                window.label = LabelId(guest.into());
            }
            if let Some(picture) = pictures.remove(&GuestId(0)) {
                pictures.insert(GuestId(guest), picture);
            }
            let mut bar = typing(guest);
            if guest == 6 {
                bar.notice = "A window on a desktop is not a trusted path".into();
            }
            screens.push((kind, bar, Content::Windows(windows), pictures));
        }
        let frames = layout::desk(self.size, self.scale, 4);
        let windows = self.windows(&frames, |index| match index {
            0 => Picture::Words {
                title: "Stopped".into(),
                detail: "Ctrl+Alt+Esc, then S to start it".into(),
            },
            1 => Picture::Veiled { title: "Paused".into() },
            2 => Picture::Words {
                title: "Could not start".into(),
                detail: "The kernel file is cut short: see the log".into(),
            },
            _ => Picture::Live,
        });
        let mut bar = typing(1);
        bar.kind = BarKind::Nobody { message: "Nobody is listening. Press Ctrl+Alt+Esc".into() };
        bar.notice = "notes has stopped".into();
        let words = Content::Windows(windows);
        screens.push(("words", bar, words, pictures(&frames)?));
        screens.push(("trusted", trusted(), self.list(4), Pictures::new()));
        screens.push(("trusted-seven", trusted(), self.list(7), Pictures::new()));
        screens.push(("help", trusted(), help(), Pictures::new()));
        screens.push(("review", trusted(), review(true), Pictures::new()));
        screens.push(("question", trusted(), review(false), Pictures::new()));
        Ok(screens)
    }

    fn windows(&self, frames: &[WindowFrame], picture: impl Fn(usize) -> Picture) -> Vec<Window> {
        let named = frames.iter().zip(NAMES).enumerate();
        named
            .map(|(index, (frame, name))| Window {
                guest: GuestId(index as u8),
                name: name.into(),
                label: LabelId(index as u16),
                focused: index == 0,
                frame: *frame,
                picture: picture(index),
            })
            .collect()
    }

    fn list(&self, count: usize) -> Content {
        let fit = layout::trusted_rows_that_fit(self.size, self.scale);
        let states = ["running", "running", "starting", "stopped", "running", "paused", "failed"];
        let rows = NAMES.iter().zip(states).take(count.min(fit)).enumerate();
        let row = |(index, (name, state)): (usize, (&&str, &str))| TrustedRow {
            rect: layout::trusted_row(self.size, self.scale, index),
            guest: GuestId(index as u8),
            key: (index + 1).to_string(),
            name: (*name).into(),
            label: LabelId(index as u16),
            state: state.into(),
            live: state == "running",
            remark: if index == 0 { "had the keyboard".into() } else { String::new() },
            selected: index == 0,
        };
        Content::Trusted(TrustedScreen {
            title: "Go to".into(),
            body: TrustedBody::Guests(rows.map(row).collect()),
            hints: hints(&[
                ("Enter", "type into it"),
                ("S", "start or stop"),
                ("R", "reset"),
                ("P", "pause"),
                ("D", "desk or solo"),
                ("?", "all keys"),
                ("Esc", "back"),
            ]),
            footer: "Invented content: no machine is running behind this picture.".into(),
        })
    }
}

fn hints(hints: &[(&str, &str)]) -> Vec<Hint> {
    hints.iter().map(|(key, text)| Hint { key: (*key).into(), text: (*text).into() }).collect()
}

/// A page of a text under review, or of a question.
fn review(release: bool) -> Content {
    let run = |kind, shown: &str| TextRun { shown: shown.into(), kind };
    let plain =
        |text: &str| TextLine(vec![run(TextKind::Plain, text), run(TextKind::Break, "\\n")]);
    let mut lines = vec![plain("Meet at  the bridge."), plain("")];
    lines.push(TextLine(vec![
        run(TextKind::Plain, "Bring "),
        run(TextKind::Warning, "<U+202E><U+0020 x65525>"),
        run(TextKind::Plain, "the list."),
    ]));
    lines.extend((3..14).map(|_| plain(&"abcdefghij ".repeat(7)[..70])));
    let page = TextPage {
        from: ("notes".into(), LabelId(0)),
        to: release.then(|| ("web".into(), LabelId(1))),
        page: 1,
        pages: 2,
        summary: "66012 bytes, SHA-256 0123456789abcdef…".into(),
        lines,
        challenge: if release { "K J R T".into() } else { String::new() },
        typed: 1,
    };
    Content::Trusted(TrustedScreen {
        title: if release { "Release this text?" } else { "A guest asks" }.into(),
        body: TrustedBody::Text(page),
        hints: hints(&[("Left", "page before"), ("Esc", "do not release it")]),
        footer: "Invented content: no machine is running behind this picture.".into(),
    })
}

fn help() -> Content {
    let keys = hints(&[
        ("Ctrl+Alt+Esc", "this screen, from anywhere"),
        ("1 to 9", "type into that guest"),
        ("Up, Down", "select a guest"),
        ("Enter", "type into the selected guest"),
        ("Esc", "back to the guest that had the keyboard"),
        ("S", "start or stop the selected guest"),
        ("R", "reset it"),
        ("P", "pause it or let it go on"),
        ("D", "desk: all side by side; or solo: one fills the screen"),
        ("?", "show this table"),
    ]);
    Content::Trusted(TrustedScreen {
        title: "Every key".into(),
        body: TrustedBody::Help(keys),
        hints: hints(&[("Esc", "back")]),
        footer: "A click on a window that has no focus focuses it and goes to nobody.".into(),
    })
}

fn typing(guest: u8) -> Bar {
    Bar {
        rect: Rect::default(),
        kind: BarKind::TypingInto {
            name: NAMES[usize::from(guest)].into(),
            label: LabelId(guest.into()),
        },
        left: "Ctrl+Alt+Esc".into(),
        right: "14:07".into(),
        notice: String::new(),
    }
}

fn trusted() -> Bar {
    Bar {
        rect: Rect::default(),
        kind: BarKind::Trusted { message: "no guest sees your keys".into() },
        left: "“wet grass, blue bicycle”".into(),
        right: "Esc  back".into(),
        notice: String::new(),
    }
}

/// Pictures that fill the contents: a page with lines of grey, and dark ones with a gradient.
fn pictures(frames: &[WindowFrame]) -> Result<Pictures, Failure> {
    let mut pictures = Pictures::new();
    for (index, frame) in frames.iter().enumerate() {
        let Size { width, height } = frame.content.size();
        let shape = SurfaceShape::packed(width, height).ok_or("Empty content")?;
        let (surface, memory) = Surface::create(shape)?;
        let mut bytes = Vec::new();
        for y in 0..height {
            for x in 0..width {
                let line = y % 32 > 18 && x > 24 && x < (y / 32 * 7919) % 400 + 60 && y < 300;
                let pixel: u32 = match (index % 2, line) {
                    (0, true) => 0x0060_6468,
                    (0, false) => 0x00fa_faf6,
                    (_, true) => 0x0080_c8a0,
                    (_, false) => 0x0008_1016 + (x * 40 / width),
                };
                bytes.extend(pixel.to_le_bytes());
            }
        }
        File::from(memory).write_all_at(&bytes, 0)?;
        let picture = GuestPicture {
            surface: Arc::clone(&surface),
            generation: 0,
            width_px: width,
            height_px: height,
            cursor: None,
        };
        pictures.insert(GuestId(index as u8), picture);
    }
    Ok(pictures)
}
