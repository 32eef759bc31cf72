//! Random desks, driven through the real monitor and drawn by the real compositor.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tabard_display::{
    Compositor, CursorImage, Frame, GuestDamage, GuestPicture, Pictures, Surface, SurfaceShape,
    Verifier,
};
use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{Appearance, Label, LabelId, LabelSet, Pattern, Rgb, Shape, preset};
use tabard_trusted_path::{
    Ending, Event, GuestConfig, GuestReport, LayoutMode, Monitor, MonitorConfig, Policy,
};
use tabard_view::{GuestId, OutputId, Rect, Scale, Size};

const PATTERNS: [Pattern; 8] = [
    Pattern::Plain,
    Pattern::Bars,
    Pattern::Chevrons,
    Pattern::Dots,
    Pattern::Checks,
    Pattern::Diagonals,
    Pattern::Waves,
    Pattern::Grid,
];
const SHAPES: [Shape; 8] = [
    Shape::Square,
    Shape::Bar,
    Shape::Ring,
    Shape::Disc,
    Shape::Triangle,
    Shape::Diamond,
    Shape::Cross,
    Shape::Star,
];

/// Words that cannot be taken for one another.
const WORDS: [&str; 16] = [
    "APPLE", "BREAD", "CHAIR", "DRUM", "EAGLE", "FLUTE", "GRAPE", "HOUSE", "INK", "JADE", "KNIFE",
    "LEMON", "MOUSE", "NIGHT", "OCEAN", "PEARL",
];

/// Every pattern with two shapes, every shape with two patterns, in any colour.
pub fn labels(colors: &[u32; 16]) -> LabelSet {
    let plain = preset("plain").unwrap().label("WORK", "WORK").unwrap();
    let mut labels = LabelSet::new();
    for (index, color) in colors.iter().enumerate() {
        let (pattern, shape) = (PATTERNS[index % 8], SHAPES[(index + index / 8) % 8]);
        let word = WORDS[index];
        let text = match index % 4 {
            0 => word.to_owned(),
            1 => format!("{word}-LEVEL//ALPHA/BRAVO/CHARLIE/DELTA/ECHO/FOXTROT/GOLF"),
            2 => format!("{word}-AND-A-LONG-WORD-THAT-HAS-NO-BREAK-AT-ALL"),
            _ => format!("VERY {word} INDEED"),
        };
        let label = Label {
            name: word.to_owned(),
            text,
            appearance: Appearance::new(Rgb::from_u32(*color), None, pattern, shape),
            ..plain.clone()
        };
        labels.insert(label).unwrap();
    }
    labels
}

/// A guest that fills its surface, cursor included, with one colour, top byte and all.
fn picture(color: u32, cursor: bool) -> GuestPicture {
    let shape = SurfaceShape::packed(300, 200).unwrap();
    let (surface, memory) = Surface::create(shape).unwrap();
    let pixel = (color | 0xff00_0000).to_le_bytes();
    let pixels = usize::try_from(shape.total_bytes / 4).unwrap();
    File::from(memory).write_all_at(&pixel.repeat(pixels), 0).unwrap();
    let cursor = cursor.then_some(CursorImage { hot_x: 20, hot_y: 30, serial: 1 });
    GuestPicture { surface, generation: 1, width_px: u32::MAX, height_px: u32::MAX, cursor }
}

pub fn pictures() -> Pictures {
    (0..4).map(|id| (GuestId(id), picture(0x00ff_00ff, id != 1))).collect()
}

#[derive(Debug, Clone)]
enum Move {
    Key(KeyCode),
    Chord,
    Report(u8, GuestReport),
    Point(OutputId, u32, u32),
    Click,
    Screen(OutputId, Size, Scale),
    Unplug(OutputId),
    Clock(u16),
}

fn a_scale() -> impl Strategy<Value = Scale> {
    let percent = prop_oneof![
        6 => prop::sample::select(vec![100u16, 125, 150, 200]),
        1 => 50..=400u16,
    ];
    percent.prop_map(|percent| Scale::from_percent(percent).unwrap())
}

fn a_size() -> impl Strategy<Value = Size> {
    prop_oneof![
        2 => Just(Size { width: 1280, height: 800 }),
        4 => (200..1500u32, 150..900u32).prop_map(|(width, height)| Size { width, height }),
        1 => (1..400u32, 1..300u32).prop_map(|(width, height)| Size { width, height }),
    ]
}

fn an_output() -> impl Strategy<Value = OutputId> {
    prop_oneof![4 => Just(OutputId(0)), 1 => Just(OutputId(1))]
}

fn a_move() -> impl Strategy<Value = Move> {
    let key = prop::sample::select(vec![
        KeyCode::DIGIT_1,
        KeyCode::DIGIT_2,
        KeyCode::DIGIT_3,
        KeyCode::ENTER,
        KeyCode::DOWN,
        KeyCode::S,
        KeyCode::R,
        KeyCode::P,
        KeyCode::D,
        KeyCode::H,
        KeyCode::Q,
        KeyCode::ESC,
    ]);
    let report = prop_oneof![
        3 => Just(GuestReport::Running),
        2 => Just(GuestReport::Paused),
        1 => Just(GuestReport::Stopped(Ending::TripleFault)),
        1 => Just(GuestReport::Stopped(Ending::ProtocolViolation)),
    ];
    prop_oneof![
        6 => key.prop_map(Move::Key),
        4 => Just(Move::Chord),
        4 => (0..9u8, report).prop_map(|(guest, report)| Move::Report(guest, report)),
        4 => (an_output(), 0..1500u32, 0..900u32).prop_map(|(id, x, y)| Move::Point(id, x, y)),
        2 => Just(Move::Click),
        2 => (an_output(), a_size(), a_scale()).prop_map(|(id, size, scale)| {
            Move::Screen(id, size, scale)
        }),
        1 => an_output().prop_map(Move::Unplug),
        1 => (0..1440u16).prop_map(Move::Clock),
    ]
}

fn events(step: &Move) -> Vec<Event> {
    let source = SourceId(0);
    let key = |code, pressed| Event::Key { source, code, pressed };
    match *step {
        Move::Key(code) => vec![key(code, true), key(code, false)],
        Move::Chord => {
            let chord = [KeyCode::LEFT_CTRL, KeyCode::LEFT_ALT, KeyCode::ESC];
            chord
                .map(|code| key(code, true))
                .into_iter()
                .chain([Event::SourceLost(source)])
                .collect()
        }
        Move::Report(guest, report) => vec![Event::Guest { guest: GuestId(guest), report }],
        Move::Point(output, x, y) => vec![Event::Pointer { source, output, x, y }],
        Move::Click => {
            let button = |pressed| Event::Button { source, code: 0x110, pressed };
            vec![button(true), button(false)]
        }
        Move::Screen(output, size, scale) => vec![Event::OutputAdded { output, size, scale }],
        Move::Unplug(output) => vec![Event::OutputRemoved(output)],
        Move::Clock(minute_of_day) => vec![Event::Clock { minute_of_day }],
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_right_frame_is_never_refused(
        colors in prop::array::uniform16(0..0x0100_0000u32),
        names in prop::collection::btree_set("[A-Za-z0-9äß][ -~·é]{0,40}", 1..9),
        which in prop::collection::vec(0..16u16, 9),
        solo in any::<bool>(),
        own in [prop::option::of(0..4u16), prop::option::of(0..4u16)],
        notice in prop_oneof![Just(String::new()), "[A-Za-z ]{1,60}"],
        footer in "[a-z ]{0,30}",
        (size, scale) in (a_size(), a_scale()),
        moves in prop::collection::vec(a_move(), 0..24),
    ) {
        let labels = labels(&colors);
        let guests = names.into_iter().zip(which).map(|(name, label)| GuestConfig {
            name,
            label: LabelId(label),
            class: tabard_labels::AccessClass::default(),
            autostart: label % 4 != 0,
            restart: false,
            screen: None,
        });
        let mut guests: Vec<GuestConfig> = guests.collect();
        // Some guests have a screen for themselves.
        for (screen, guest) in [OutputId(0), OutputId(1)].into_iter().zip(own) {
            let guest = guest.and_then(|guest| guests.get_mut(usize::from(guest)));
            if let Some(guest) = guest {
                guest.screen = Some(screen);
            }
        }
        let layout = if solo { LayoutMode::Solo } else { LayoutMode::Desk };
        let (chord, policy) = (Chord::default(), Policy::default());
        let config = MonitorConfig {
            guests,
            layout,
            chord,
            notice,
            footer,
            policy,
            login: Default::default(),
        };
        let mut monitor = Monitor::new(config).unwrap();
        let mut compositor = Compositor::new(labels.clone()).unwrap();
        let mut verifier = Verifier::new(labels).unwrap();
        let mut frames = [Frame::default(), Frame::default()];
        let pictures = pictures();
        let everywhere = Rect::new(0, 0, u32::MAX, u32::MAX);
        let damage: Vec<_> =
            (0..4).map(|id| GuestDamage { guest: GuestId(id), rect: everywhere }).collect();
        let first = [Move::Screen(OutputId(0), size, scale)];
        let running = [0, 1, 2].map(|guest| Move::Report(guest, GuestReport::Running));
        for step in first.iter().chain(&running).chain(&moves) {
            for event in events(step) {
                monitor.step(event);
                let view = monitor.view();
                for output in &view.outputs {
                    let frame = &mut frames[usize::from(output.id.0)];
                    compositor.compose(output, &pictures, &damage, frame);
                    prop_assert_eq!(verifier.verify(&view, output, &pictures, frame), Ok(()));
                    monitor.step(Event::Presented { output: output.id, serial: view.serial });
                }
            }
        }
    }
}
