//! What must hold of every picture: a guest's pixels stay in the guest's rectangle (invariant 6),
//! and drawing only what changed gives the same picture as drawing all of it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proptest::prelude::*;
use tabard_display::headless::{Headless, HeadlessHandle};
use tabard_display::{
    Compositor, CursorImage, Frame, FrameRequest, FrameSender, GuestDamage, GuestPicture, Pictures,
    PresenterEvent, Surface, SurfaceShape,
};
use tabard_labels::{LabelId, LabelSet, preset};
use tabard_view::{
    Bar, BarKind, Content, FrameSerial, GuestId, Hint, OutputId, OutputView, Picture, Pointer,
    Recipient, Rect, Scale, Size, TrustedBody, TrustedRow, TrustedScreen, View, Window, layout,
};

/// A colour that Tabard never draws, and what becomes of it in a window without focus.
const MAGENTA: u32 = 0x00ff_00ff;

fn labels() -> LabelSet {
    let preset = preset("us").unwrap();
    let long = "TOP SECRET//SCI/ALPHA/BRAVO/CHARLIE/DELTA/ECHO/FOXTROT/GOLF/HOTEL";
    let mut labels = LabelSet::new();
    for marking in ["UNCLASSIFIED", "SECRET//ALPHA", "TOP SECRET", long] {
        labels.insert(preset.label(marking, marking).unwrap()).unwrap();
    }
    labels
}

/// A guest that fills picture and cursor with one colour, and claims any size.
fn guest(color: u32, width: u32, height: u32, cursor: bool) -> GuestPicture {
    let shape = SurfaceShape::packed(width, height).unwrap();
    let (surface, memory) = Surface::create(shape).unwrap();
    let pixel = (color | 0xff00_0000).to_le_bytes();
    let pixels = usize::try_from(shape.total_bytes / 4).unwrap();
    File::from(memory).write_all_at(&pixel.repeat(pixels), 0).unwrap();
    let cursor = cursor.then_some(CursorImage { hot_x: 20, hot_y: 30, serial: 1 });
    GuestPicture { surface, generation: 1, width_px: u32::MAX, height_px: u32::MAX, cursor }
}

fn pictures() -> Pictures {
    let sizes = [(300, 200), (1000, 900), (5, 5), (640, 480)];
    let guests = (0u8..).zip(sizes);
    guests.map(|(id, (w, h))| (GuestId(id), guest(MAGENTA, w, h, id != 3))).collect()
}

prop_compose! {
    fn any_picture()(kind in 0..5u8, words in "[a-z ]{0,40}") -> Picture {
        match kind {
            0 => Picture::Words { title: words.clone(), detail: words },
            1 => Picture::Veiled { title: words },
            _ => Picture::Live,
        }
    }
}

prop_compose! {
    fn any_output()(
        (width, height) in (300..900u32, 200..700u32),
        resized in prop::bool::weighted(0.2),
        percent in prop::sample::select(vec![100, 125, 150, 200]),
        rescaled in prop::bool::weighted(0.2),
        content in 0..6u8,
        count in 1..4usize,
        focus in 0..4usize,
        pictures in prop::collection::vec(any_picture(), 4),
        bar in 0..3u8,
        name in "[a-z0-9-]{1,32}",
        (left, right, notice) in ("[a-z+]{0,30}", "[0-9:]{0,5}", "[a-z ]{0,60}"),
        pointer in prop::option::of((0..900u32, 0..700u32, prop::option::of(0..4u8))),
    ) -> OutputView {
        let size = if resized { Size { width, height } } else { Size { width: 800, height: 600 } };
        let scale = Scale::from_percent(if rescaled { percent } else { 100 }).unwrap();
        let frames = if content == 0 {
            vec![layout::solo(size, scale)]
        } else {
            layout::desk(size, scale, count)
        };
        let window = |(index, frame): (usize, &tabard_view::WindowFrame)| Window {
            guest: GuestId(index as u8),
            name: name.clone(),
            label: LabelId(index as u16),
            focused: index == focus,
            frame: *frame,
            picture: pictures[index].clone(),
        };
        let windows = frames.iter().enumerate().map(window).collect();
        let hint = Hint { key: "Esc".into(), text: notice.clone() };
        let row = |index: usize| TrustedRow {
            rect: layout::trusted_row(size, scale, index),
            guest: GuestId(index as u8),
            key: index.to_string(),
            name: name.clone(),
            label: LabelId(index as u16),
            state: "running".into(),
            live: index.is_multiple_of(2),
            remark: notice.clone(),
            selected: index == focus,
        };
        let body = match focus {
            3 => TrustedBody::Help(vec![hint.clone(); count * 3]),
            _ => TrustedBody::Guests((0..count).map(row).collect()),
        };
        let hints = vec![hint; 5];
        let trusted = TrustedScreen { title: name.clone(), body, hints, footer: left.clone() };
        let kind = match bar {
            0 => BarKind::TypingInto { name: name.clone(), label: LabelId(focus as u16) },
            1 => BarKind::Trusted { message: notice.clone() },
            _ => BarKind::Nobody { message: notice.clone() },
        };
        OutputView {
            id: OutputId(0),
            size,
            scale,
            bar: Bar { rect: layout::bar(size, scale).0, kind, left, right, notice },
            content: match content {
                4 => Content::Trusted(trusted),
                5 => Content::Blank,
                _ => Content::Windows(windows),
            },
            pointer: pointer.map(|(x, y, over)| Pointer { x, y, over: over.map(GuestId) }),
        }
    }
}

/// The first pixel outside all contents that looks like a guest's: magenta as it is, or blended
/// with anything dark, which is red and blue without green.
fn guest_pixel_outside(output: &OutputView, frame: &Frame) -> Option<(u32, u32, u32)> {
    let guest_like = |pixel: u32| {
        let [_, red, green, blue] = pixel.to_be_bytes();
        red > 0x60 && blue > 0x60 && green < 0x20
    };
    let inside = |x, y| output.windows().iter().any(|window| window.frame.content.contains(x, y));
    (0..frame.size.height).find_map(|y| {
        let row = (0u32..).zip(frame.row(y, 0, u32::MAX));
        let mut outside = row.filter(|(x, pixel)| guest_like(**pixel) && !inside(*x, y));
        outside.next().map(|(x, pixel)| (*pixel, x, y))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn invariant_6_guest_pixels_stay_in_the_guests_rectangle(output in any_output()) {
        let mut compositor = Compositor::new(labels()).unwrap();
        let mut frame = Frame::default();
        let everywhere = Rect::new(0, 0, u32::MAX, u32::MAX);
        let damage: Vec<_> =
            (0..4).map(|id| GuestDamage { guest: GuestId(id), rect: everywhere }).collect();
        let pictures = pictures();
        compositor.compose(&output, &pictures, &damage, &mut frame);
        prop_assert_eq!(guest_pixel_outside(&output, &frame), None);

        // The guest's own cursor, half out of its corners.
        for window in output.windows().iter().take(2) {
            let content = window.frame.content;
            let last = |start: u32, end: u32| end.saturating_sub(1).max(start);
            let end = (last(content.x, content.right()), last(content.y, content.bottom()));
            for (x, y) in [(content.x, content.y), end] {
                let pointer = Some(Pointer { x, y, over: Some(window.guest) });
                let output = OutputView { pointer, ..output.clone() };
                compositor.compose(&output, &pictures, &damage, &mut frame);
                prop_assert_eq!(guest_pixel_outside(&output, &frame), None);
            }
        }
    }

    #[test]
    fn drawing_what_changed_equals_drawing_all(
        outputs in prop::collection::vec(any_output(), 1..6),
        hits in prop::collection::vec((0..4u8, 0..900u32, 0..700u32, 1..200u32), 0..6),
    ) {
        let pictures = pictures();
        let damage: Vec<_> = hits
            .into_iter()
            .map(|(id, x, y, side)| GuestDamage {
                guest: GuestId(id),
                rect: Rect::new(x, y, side, side),
            })
            .collect();
        let mut compositor = Compositor::new(labels()).unwrap();
        let mut other = Compositor::new(labels()).unwrap();
        let mut frame = Frame::default();
        for output in &outputs {
            let before = frame.clone();
            let changed = compositor.compose(output, &pictures, &damage, &mut frame);

            let mut anew = Frame::default();
            other.compose(output, &pictures, &[], &mut anew);
            prop_assert!(frame == anew);
            // Nothing differs from the frame before but what the damage covers.
            if before.size == frame.size {
                for y in 0..frame.size.height {
                    if before.row(y, 0, u32::MAX) == frame.row(y, 0, u32::MAX) {
                        continue;
                    }
                    for x in 0..frame.size.width {
                        let same = before.pixel(x, y) == frame.pixel(x, y);
                        prop_assert!(
                            same || changed.rects().iter().any(|rect| rect.contains(x, y))
                        );
                    }
                }
            }
        }
    }
}

fn solo(size: Size, label: u16) -> OutputView {
    let scale = Scale::ONE;
    OutputView {
        id: OutputId(0),
        size,
        scale,
        bar: Bar {
            rect: layout::bar(size, scale).0,
            kind: BarKind::TypingInto { name: "notes".into(), label: LabelId(label) },
            left: "Ctrl+Alt+Esc".into(),
            right: "14:07".into(),
            notice: "a word of news".into(),
        },
        content: Content::Windows(vec![Window {
            guest: GuestId(0),
            name: "notes".into(),
            label: LabelId(label),
            focused: true,
            frame: layout::solo(size, scale),
            picture: Picture::Live,
        }]),
        pointer: None,
    }
}

const SIZE: Size = Size { width: 1280, height: 800 };

fn texts_of(output: &OutputView) -> Vec<tabard_display::DrawnText> {
    let mut compositor = Compositor::new(labels()).unwrap();
    compositor.compose(output, &Pictures::new(), &[], &mut Frame::default());
    compositor.drawn_texts(output.id)
}

#[test]
fn the_bar_names_the_focus_and_its_label() {
    let texts = texts_of(&solo(SIZE, 1));
    let bar = layout::bar(SIZE, Scale::ONE).0;
    for wanted in ["TYPING INTO notes · SECRET//ALPHA", "a word of news", "14:07"] {
        assert!(texts.iter().any(|drawn| drawn.text == wanted && bar.covers(drawn.rect)));
    }
}

#[test]
fn a_marking_is_whole_on_every_ordinary_width() {
    let labels = labels();
    for width in [640, 800, 1280, 1920] {
        for label in 0..4 {
            let output = solo(Size { width, ..SIZE }, label);
            let marking = &labels.get(LabelId(label)).unwrap().text;
            let wears = |drawn: &&tabard_display::DrawnText| {
                drawn.text.replace(' ', "").contains(&marking.replace(' ', ""))
            };
            assert_eq!(texts_of(&output).iter().filter(wears).count(), 2, "{marking} at {width}");
        }
    }
}

#[test]
fn texts_in_the_bar_never_cover_each_other() {
    for width in (320..1400).step_by(40) {
        for label in 0..4 {
            let output = solo(Size { width, ..SIZE }, label);
            let texts = texts_of(&output);
            let bar: Vec<_> =
                texts.iter().filter(|drawn| output.bar.rect.covers(drawn.rect)).collect();
            for (index, one) in bar.iter().enumerate() {
                for two in &bar[index + 1..] {
                    assert!(one.rect.intersect(two.rect).is_empty(), "{one:?} {two:?}");
                }
            }
        }
    }
}

#[test]
fn banners_are_pixel_for_pixel_those_of_a_view_without_a_guest() {
    let output = solo(SIZE, 1);
    let mut with = Frame::default();
    Compositor::new(labels()).unwrap().compose(&output, &pictures(), &[], &mut with);
    let mut without = Frame::default();
    Compositor::new(labels()).unwrap().compose(&output, &Pictures::new(), &[], &mut without);
    let window = &output.windows()[0].frame;
    for banner in [output.bar.rect, window.bottom] {
        for y in banner.y..banner.bottom() {
            assert_eq!(with.row(y, 0, u32::MAX), without.row(y, 0, u32::MAX));
        }
    }
}

#[test]
fn nothing_is_drawn_when_nothing_changed() {
    let (output, pictures) = (solo(SIZE, 1), pictures());
    let mut compositor = Compositor::new(labels()).unwrap();
    let mut frame = Frame::default();
    compositor.compose(&output, &pictures, &[], &mut frame);
    assert!(compositor.compose(&output, &pictures, &[], &mut frame).rects().is_empty());
}

#[test]
fn a_frame_that_the_compositor_does_not_know_is_drawn_whole() {
    let (output, pictures) = (solo(SIZE, 1), pictures());
    let mut compositor = Compositor::new(labels()).unwrap();
    let (mut first, mut second) = (Frame::default(), Frame::new(SIZE));
    compositor.compose(&output, &pictures, &[], &mut first);
    compositor.compose(&output, &pictures, &[], &mut second);
    assert!(first == second);
}

struct Screens {
    frames: FrameSender,
    handle: HeadlessHandle,
    events: crossbeam_channel::Receiver<PresenterEvent>,
    thread: std::thread::JoinHandle<()>,
}

fn screens() -> Screens {
    let (frames, requests) = FrameSender::channel(None);
    let (sender, events) = crossbeam_channel::bounded(16);
    let (handle, thread) =
        Headless::spawn(&[(SIZE, Scale::ONE)], labels(), requests, sender.into()).unwrap();
    let added = PresenterEvent::OutputAdded { output: OutputId(0), size: SIZE, scale: Scale::ONE };
    assert_eq!(events.recv().unwrap(), added);
    Screens { frames, handle, events, thread }
}

fn request(serial: u64) -> FrameRequest {
    let view = View {
        serial: FrameSerial(serial),
        recipient: Recipient::Guest(GuestId(0)),
        outputs: vec![solo(SIZE, 1)],
    };
    FrameRequest { view: Arc::new(view), pictures: Pictures::new(), damage: Vec::new() }
}

fn presented(serial: u64) -> PresenterEvent {
    PresenterEvent::Presented { output: OutputId(0), serial: FrameSerial(serial) }
}

#[test]
fn headless_confirms_what_its_snapshot_shows() {
    let screens = screens();
    let watch = screens.handle.watch().unwrap();
    screens.frames.send(request(7));
    assert_eq!(screens.events.recv().unwrap(), presented(7));
    assert_eq!(watch.recv().unwrap(), FrameSerial(7));
    let snapshot = screens.handle.snapshot(OutputId(0)).unwrap();
    assert_eq!((snapshot.serial, snapshot.frame.size), (FrameSerial(7), SIZE));
    assert!(snapshot.texts.iter().any(|drawn| drawn.text == "TYPING INTO notes · SECRET//ALPHA"));
    drop(screens.frames);
    screens.thread.join().unwrap();
    assert!(screens.handle.snapshot(OutputId(0)).is_err());
}

#[test]
fn a_held_confirmation_comes_when_it_is_let_go() {
    let screens = screens();
    let watch = screens.handle.watch().unwrap();
    screens.handle.hold(true).unwrap();
    // The answer shows that the command before it has been obeyed.
    screens.handle.snapshot(OutputId(0)).unwrap();
    screens.frames.send(request(8));
    watch.recv().unwrap();
    assert!(screens.events.try_recv().is_err());
    screens.handle.hold(false).unwrap();
    assert_eq!(screens.events.recv().unwrap(), presented(8));
}

#[test]
fn a_view_of_another_size_is_not_confirmed() {
    let screens = screens();
    let watch = screens.handle.watch().unwrap();
    let size = Size { width: 800, height: 600 };
    screens.handle.resize(OutputId(0), size, Scale::ONE).unwrap();
    let resized = PresenterEvent::OutputResized { output: OutputId(0), size, scale: Scale::ONE };
    assert_eq!(screens.events.recv().unwrap(), resized);
    screens.frames.send(request(9));
    watch.recv().unwrap();
    assert!(screens.events.try_recv().is_err());
    assert!(screens.handle.snapshot(OutputId(0)).unwrap().view.is_none());
}
