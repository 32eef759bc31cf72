//! Random desks, driven through the real monitor and drawn by the real compositor.

use std::fs::File;
use std::os::unix::fs::FileExt;

use proptest::prelude::*;
use tabard_display::{
    Compositor, CursorImage, Frame, GuestDamage, GuestPicture, Pictures, Surface, SurfaceShape,
    Verifier,
};
use tabard_input::{Chord, KeyCode, SourceId};
use tabard_labels::{
    AccessClass, Appearance, Compartment, Label, LabelId, LabelSet, Pattern, Rgb, Shape, preset,
};
use tabard_trusted_path::{
    Authority, Clip, Digest, Effect, Ending, Event, GuestConfig, GuestReport, LayoutMode,
    LockCause, LoginConfig, Monitor, MonitorConfig, Policy, Question, ShownText, Timer, UserConfig,
    text_page, text_pages,
};
use tabard_view::{Content, GuestId, OutputId, Rect, Scale, Size, TrustedBody, View};

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
    Listen(u8, bool),
    Offer(u8, usize),
    Ask(u8),
    /// One key after the other, as a user who does something whole.
    Keys(&'static [KeyCode]),
    /// Whatever timer waits longest runs out.
    Elapse,
    /// The last password that was asked about is right, or is not.
    Password(bool),
    Lock,
}

/// What guests offer and ask: from nothing to many pages of all that is shown in its own way.
fn a_text() -> impl Strategy<Value = String> {
    let run = prop_oneof![
        6 => "[ -~]{1,90}",
        2 => prop::char::range('\u{a0}', '\u{ff}').prop_map(String::from),
        2 => Just("\n".to_owned()),
        1 => any::<char>().prop_map(String::from),
        1 => (any::<char>(), 20..99usize).prop_map(|(letter, count)| letter.to_string().repeat(count)),
    ];
    prop::collection::vec(run, 0..40).prop_map(|runs| runs.concat())
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
        KeyCode::I,
        KeyCode::L,
        KeyCode::Y,
        // Every letter of the challenge of the texts below.
        KeyCode::E,
        KeyCode::C,
        KeyCode::V,
        KeyCode::A,
        KeyCode::PAGE_DOWN,
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
        1 => (0..3u8, any::<bool>()).prop_map(|(guest, there)| Move::Listen(guest, there)),
        2 => (0..3u8, 0..TEXTS).prop_map(|(guest, text)| Move::Offer(guest, text)),
        2 => (0..3u8).prop_map(Move::Ask),
        2 => prop::sample::select(vec![REVIEW, QUESTION, RELEASE]).prop_map(Move::Keys),
        2 => Just(Move::Elapse),
        3 => any::<bool>().prop_map(Move::Password),
        1 => Just(Move::Lock),
    ]
}

/// The text of the first guest for the second, which is below it.
const REVIEW: &[KeyCode] =
    &[KeyCode::ESC, KeyCode::HOME, KeyCode::C, KeyCode::DOWN, KeyCode::V, KeyCode::PAGE_DOWN];
const QUESTION: &[KeyCode] = &[KeyCode::A, KeyCode::PAGE_DOWN, KeyCode::PAGE_DOWN];
/// Part of the challenge, or all of it at the last page.
const RELEASE: &[KeyCode] = &[KeyCode::PAGE_DOWN, KeyCode::E, KeyCode::E];

/// Texts of one desk.
const TEXTS: usize = 3;

/// What the session knows: texts, and what the monitor waits for.
struct Session {
    texts: [String; TEXTS],
    timers: Vec<Timer>,
    ticket: u32,
    questions: u32,
}

impl Session {
    fn heard(&mut self, effects: &[Effect]) {
        for effect in effects {
            match effect {
                Effect::Timer { timer, .. } => self.timers.push(*timer),
                Effect::CheckPassword { ticket, .. } => self.ticket = *ticket,
                _ => {}
            }
        }
    }

    fn clip(&self, text: usize) -> Clip {
        let (digest, pages) = (Digest([16 * text as u8; 32]), text_pages(&self.texts[text]));
        Clip { digest, bytes: self.texts[text].len() as u32, pages }
    }

    /// The view, with the lines of an open text.
    fn view(&self, monitor: &Monitor) -> View {
        let mut view = monitor.view();
        let text = match monitor.shown_text() {
            Some(ShownText::Clip(digest)) => &self.texts[usize::from(digest.0[0] / 16)],
            // Every guest asks the same.
            Some(ShownText::Question(_)) => &self.texts[0],
            None => return view,
        };
        for output in &mut view.outputs {
            if let Content::Trusted(screen) = &mut output.content
                && let TrustedBody::Text(page) = &mut screen.body
            {
                page.lines = text_page(text, page.page);
            }
        }
        view
    }

    fn events(&mut self, step: &Move) -> Vec<Event> {
        match *step {
            Move::Listen(guest, listens) => vec![Event::Listens { guest: GuestId(guest), listens }],
            Move::Offer(guest, text) => {
                vec![Event::Offered { guest: GuestId(guest), clip: Some(self.clip(text)) }]
            }
            Move::Ask(guest) => {
                self.questions += 1;
                let question = Question { number: self.questions, pages: self.clip(0).pages };
                vec![Event::Asked { guest: GuestId(guest), question }]
            }
            Move::Keys(keys) => {
                let chord = events(&Move::Chord).into_iter().filter(|_| keys != RELEASE);
                chord.chain(keys.iter().flat_map(|key| events(&Move::Key(*key)))).collect()
            }
            Move::Elapse if self.timers.is_empty() => Vec::new(),
            Move::Elapse => vec![Event::Elapsed(self.timers.remove(0))],
            Move::Password(right) => {
                // A letter, Enter, and what the session answers to the check that comes of it.
                let typed = [KeyCode::A, KeyCode::ENTER].map(Move::Key);
                let mut all: Vec<Event> = typed.iter().flat_map(events).collect();
                all.push(Event::PasswordChecked { ticket: self.ticket + 1, right });
                all
            }
            Move::Lock => vec![Event::Lock(LockCause::Suspend)],
            ref other => events(other),
        }
    }
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
        _ => Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_right_frame_is_never_refused(
        colors in prop::array::uniform16(0..0x0100_0000u32),
        names in prop::collection::btree_set("[A-Za-z0-9][!-~]{0,18}( [!-~]{1,18})?", 1..9),
        which in prop::collection::vec(0..16u16, 9),
        solo in any::<bool>(),
        own in [prop::option::of(0..4u16), prop::option::of(0..4u16)],
        notice in prop_oneof![Just(String::new()), "[A-Za-z ]{1,60}"],
        footer in "[a-z ]{0,30}",
        (size, scale) in (a_size(), a_scale()),
        moves in prop::collection::vec(a_move(), 0..28),
        texts in prop::array::uniform3(a_text()),
        users in prop::collection::vec(("[a-zA-Z ]{1,30}", "[ -~]{0,60}"), 0..3),
    ) {
        let labels = labels(&colors);
        let guests = names.into_iter().zip(which).zip(0..).map(|((name, label), index)| GuestConfig {
            name,
            label: LabelId(label),
            // The first is above all others, so that there is something to review.
            class: if index == 0 { AccessClass::SYSTEM_HIGH } else { AccessClass::default() },
            autostart: label % 4 != 0,
            restart: false,
            emulated: label % 3 == 0,
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
        let (chord, policy) = (Chord::default(), Policy { downgrade: true, ..Policy::default() });
        let authority = Authority { clearance: Compartment::TOP, downgrade: true };
        let users = users.into_iter().map(|(name, phrase)| UserConfig { name, authority, phrase, failures: 0 });
        let login = LoginConfig { users: users.collect(), ..LoginConfig::default() };
        let has_users = !login.users.is_empty();
        let config = MonitorConfig {
            guests,
            layout,
            chord,
            notice,
            footer,
            policy,
            login,
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
        let mut session = Session { texts, timers: Vec::new(), ticket: 0, questions: 0 };
        let listening = [0, 1, 2].map(|guest| Move::Listen(guest, true));
        // Most of what there is to see is behind a right password.
        let begin = has_users.then_some(Move::Password(true));
        let start = first.iter().chain(&running).chain(&listening).chain(&begin);
        for step in start.chain(&moves) {
            for event in session.events(step) {
                session.heard(&monitor.step(event));
                let view = session.view(&monitor);
                for output in &view.outputs {
                    let frame = &mut frames[usize::from(output.id.0)];
                    compositor.compose(output, &pictures, &damage, frame);
                    let found = verifier.verify(&view, output, &pictures, frame);
                    prop_assert_eq!(found, Ok(()), "{:?}", output);
                    let shown = Event::Presented { output: output.id, serial: view.serial };
                    session.heard(&monitor.step(shown));
                }
            }
        }
    }
}
