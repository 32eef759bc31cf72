//! Compositors that draw wrongly, each in its own way. They are made here, around the real one:
//! the programs have no hook for them.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::bounded;
use proptest::prelude::*;
use tabard::harness::Harness;
use tabard::run::{REFUSED_STATUS, status};
use tabard::session::Outcome;
use tabard::session::desk::Desk;
use tabard_display::headless::Headless;
use tabard_display::{
    CheckedCompositor, Compose, Compositor, Damage, DrawnText, Frame, FrameRequest, FrameSender,
    GuestDamage, Mismatch, Pictures, PresenterEvent, Verifier,
};
use tabard_labels::{Label, LabelId, LabelSet, Pattern, Shape, preset};
use tabard_view::{
    Bar, BarKind, Content, FrameSerial, GuestId, OutputId, OutputView, Picture, Pointer, Recipient,
    Rect, Scale, Size, TrustedBody, TrustedRow, TrustedScreen, View, Window, layout,
};

use super::common;
use super::desks::pictures;

/// A colour that neither Tabard nor any label of the preset has, nor what lies between them.
const MAGENTA: u32 = 0x00ff_00ff;
const SIZE: Size = Size { width: 1000, height: 640 };
const SCREEN: OutputId = OutputId(0);

/// What the compositor does wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    BarMissing,
    UpperBannerMissing,
    LowerBannerMissing,
    WrongLabel,
    WrongName,
    MarkingCut,
    WrongPattern,
    WrongShape,
    BannerOnePixelToTheRight,
    BannerOnePixelDown,
    BarOnePixelToTheLeft,
    BarNamesAnother,
    BarSaysTrusted,
    BorderOfAnother,
    RingOnAnother,
    GuestOverBanner,
    GuestOverBorder,
    GuestBesideItsWindow,
    GuestInPlaceOfWords,
    Stale,
    StaleUnderTheTrustedBar,
    AnotherSize,
    CursorOverBanner,
}

const FAULTS: [Fault; 23] = [
    Fault::BarMissing,
    Fault::UpperBannerMissing,
    Fault::LowerBannerMissing,
    Fault::WrongLabel,
    Fault::WrongName,
    Fault::MarkingCut,
    Fault::WrongPattern,
    Fault::WrongShape,
    Fault::BannerOnePixelToTheRight,
    Fault::BannerOnePixelDown,
    Fault::BarOnePixelToTheLeft,
    Fault::BarNamesAnother,
    Fault::BarSaysTrusted,
    Fault::BorderOfAnother,
    Fault::RingOnAnother,
    Fault::GuestOverBanner,
    Fault::GuestOverBorder,
    Fault::GuestBesideItsWindow,
    Fault::GuestInPlaceOfWords,
    Fault::Stale,
    Fault::StaleUnderTheTrustedBar,
    Fault::AnotherSize,
    Fault::CursorOverBanner,
];

/// The labels of these tests; `mend` changes each of them.
pub fn labels(mend: impl Fn(&mut Label)) -> LabelSet {
    let preset = preset("us").unwrap();
    let mut labels = LabelSet::new();
    for marking in ["SECRET//ALPHA", "UNCLASSIFIED", "TOP SECRET"] {
        let mut label = preset.label(marking, marking).unwrap();
        mend(&mut label);
        labels.insert(label).unwrap();
    }
    labels
}

/// The real compositor with a fault, from the moment that it is armed.
struct Faulty {
    right: Compositor,
    /// The same with the fault in its labels.
    wrong: Compositor,
    fault: Fault,
    armed: Arc<AtomicBool>,
}

impl Faulty {
    fn new(fault: Fault, armed: Arc<AtomicBool>) -> Self {
        let wrong = labels(|label| match fault {
            Fault::WrongPattern => {
                let bars = label.appearance.pattern == Pattern::Bars;
                label.appearance.pattern = if bars { Pattern::Waves } else { Pattern::Bars };
            }
            Fault::WrongShape => {
                let disc = label.appearance.shape == Shape::Disc;
                label.appearance.shape = if disc { Shape::Ring } else { Shape::Disc };
            }
            Fault::MarkingCut => {
                label.text = label.text.replace("//ALPHA", "");
            }
            _ => {}
        });
        let right = Compositor::new(labels(|_| ())).unwrap();
        Self { right, wrong: Compositor::new(wrong).unwrap(), fault, armed }
    }

    /// Draws this instead of what was asked for.
    fn instead(
        &mut self,
        output: &OutputView,
        pictures: &Pictures,
        frame: &mut Frame,
        change: impl Fn(&mut OutputView, &mut Vec<Window>),
    ) {
        let mut output = output.clone();
        let mut windows = output.windows().to_vec();
        change(&mut output, &mut windows);
        if let Content::Windows(shown) = &mut output.content {
            *shown = windows;
        }
        self.wrong.compose(&output, pictures, &[], frame);
    }
}

fn fill(frame: &mut Frame, rect: Rect, color: u32) {
    (rect.y..rect.bottom()).for_each(|y| frame.row_mut(y, rect.x, rect.width).fill(color));
}

/// Moves what is in `rect` by so many pixels; the edge that is left keeps its old pixels.
fn shift(frame: &mut Frame, rect: Rect, right: i64, down: i64) {
    let before = frame.clone();
    for y in rect.y..rect.bottom() {
        for x in rect.x..rect.right() {
            let from = (i64::from(x) - right, i64::from(y) - down);
            let (from_x, from_y) = (from.0.max(0) as u32, from.1.max(0) as u32);
            if rect.contains(from_x, from_y) {
                frame.row_mut(y, x, 1)[0] = before.pixel(from_x, from_y).unwrap();
            }
        }
    }
}

impl Compose for Faulty {
    fn compose(
        &mut self,
        output: &OutputView,
        pictures: &Pictures,
        damage: &[GuestDamage],
        frame: &mut Frame,
    ) -> Damage {
        let whole = || {
            let mut damage = Damage::default();
            damage.add(output.size.rect());
            damage
        };
        let armed = self.armed.load(Ordering::SeqCst);
        if armed && self.fault == Fault::Stale {
            return Damage::default();
        }
        let before = frame.clone();
        let changed = self.right.compose(output, pictures, damage, frame);
        if !armed {
            return changed;
        }
        let bar = output.bar.rect;
        let parts = output.windows().first().map(|window| window.frame);
        match (self.fault, parts) {
            (Fault::BarMissing, _) => fill(frame, bar, 0x0010_1215),
            (Fault::BarOnePixelToTheLeft, _) => shift(frame, bar, -1, 0),
            (Fault::BarSaysTrusted, _) => {
                self.instead(output, pictures, frame, |output, _| {
                    output.bar.kind = BarKind::Trusted { message: String::new() };
                });
            }
            (Fault::AnotherSize, _) => {
                *frame = Frame::new(Size { width: SIZE.width + 1, ..SIZE });
            }
            (Fault::StaleUnderTheTrustedBar, _) => {
                for y in bar.bottom()..output.size.height {
                    frame.row_mut(y, 0, u32::MAX).copy_from_slice(before.row(y, 0, u32::MAX));
                }
            }
            (Fault::WrongPattern | Fault::WrongShape | Fault::MarkingCut, _) => {
                self.instead(output, pictures, frame, |_, _| ());
            }
            (Fault::BarNamesAnother, Some(_)) => {
                self.instead(output, pictures, frame, |output, windows| {
                    let Window { name, label, .. } = windows[0].clone();
                    output.bar.kind = BarKind::TypingInto { name, label };
                });
            }
            (Fault::WrongLabel, Some(_)) => {
                self.instead(output, pictures, frame, |_, windows| windows[1].label = LabelId(0));
            }
            (Fault::WrongName, Some(_)) => {
                self.instead(output, pictures, frame, |_, windows| {
                    windows[1].name = "bravp".into()
                });
            }
            (Fault::RingOnAnother, Some(_)) => {
                self.instead(output, pictures, frame, |_, windows| {
                    windows.iter_mut().for_each(|window| window.focused ^= true);
                });
            }
            (Fault::GuestInPlaceOfWords, Some(_)) => {
                self.instead(output, pictures, frame, |_, windows| {
                    windows.iter_mut().for_each(|window| window.picture = Picture::Live);
                });
            }
            (Fault::UpperBannerMissing, Some(parts)) => fill(frame, parts.top, 0x00c8_102e),
            (Fault::LowerBannerMissing, Some(parts)) => fill(frame, parts.bottom, 0x0010_1215),
            (Fault::BannerOnePixelToTheRight, Some(parts)) => shift(frame, parts.top, 1, 0),
            (Fault::BannerOnePixelDown, Some(parts)) => shift(frame, parts.bottom, 0, 1),
            (Fault::BorderOfAnother, Some(parts)) => {
                let y = parts.content.y;
                let height = parts.content.height;
                fill(frame, Rect { y, height, width: 2, ..parts.border }, 0x0000_7a33);
            }
            (Fault::GuestOverBanner, Some(parts)) => {
                fill(frame, Rect { width: 3, height: 1, ..parts.bottom }, MAGENTA);
            }
            (Fault::GuestOverBorder, Some(parts)) => {
                fill(
                    frame,
                    Rect { width: parts.content.width + 1, height: 1, ..parts.content },
                    MAGENTA,
                );
            }
            (Fault::GuestBesideItsWindow, Some(parts)) => {
                fill(frame, Rect::new(parts.outer.right() + 1, parts.outer.y, 1, 1), MAGENTA);
            }
            (Fault::CursorOverBanner, Some(parts)) => {
                fill(frame, Rect::new(parts.content.x, parts.content.y - 8, 8, 16), MAGENTA);
            }
            (_, None) => {}
            (Fault::Stale, _) => unreachable!(),
        }
        whole()
    }

    fn drawn_texts(&mut self, output: OutputId) -> Vec<DrawnText> {
        self.right.drawn_texts(output)
    }

    fn forget(&mut self, output: OutputId) {
        self.right.forget(output);
    }
}

/// Two guests on a desk; the recipient is the first, the second or, as 2, the trusted screen.
pub fn view(serial: u64, recipient: u8) -> View {
    let scale = Scale::ONE;
    let trusted = recipient == 2;
    let names = ["alpha", "bravo"];
    let picture = |index: usize| match index {
        0 => Picture::Live,
        _ => Picture::Words { title: "stopped".into(), detail: "Ctrl+Alt+Esc".into() },
    };
    let frames = layout::desk(SIZE, scale, 2);
    let window = |(index, frame): (usize, _)| Window {
        guest: GuestId(index as u8),
        name: names[index].to_owned(),
        label: LabelId(index as u16),
        focused: index == usize::from(recipient),
        frame,
        picture: picture(index),
    };
    let row = TrustedRow {
        rect: layout::trusted_row(SIZE, scale, 0),
        guest: GuestId(0),
        key: "1".into(),
        name: "alpha".into(),
        label: LabelId(0),
        state: "running".into(),
        live: true,
        remark: String::new(),
        selected: true,
    };
    let screen = TrustedScreen {
        title: "Go to".into(),
        body: TrustedBody::Guests(vec![row]),
        hints: Vec::new(),
        footer: String::new(),
    };
    let kind = match names.get(usize::from(recipient)) {
        Some(name) => {
            BarKind::TypingInto { name: (*name).to_owned(), label: LabelId(recipient.into()) }
        }
        None => BarKind::Trusted { message: String::new() },
    };
    let bar = Bar {
        rect: layout::bar(SIZE, scale).0,
        kind,
        left: "Ctrl+Alt+Esc".into(),
        right: "14:07".into(),
        notice: String::new(),
    };
    let output = OutputView {
        id: SCREEN,
        size: SIZE,
        scale,
        bar,
        content: if trusted {
            Content::Trusted(screen)
        } else {
            Content::Windows(frames.into_iter().enumerate().map(window).collect())
        },
        pointer: Some(Pointer { x: 500, y: 30, over: None }),
    };
    let recipient = if trusted { Recipient::Trusted } else { Recipient::Guest(GuestId(recipient)) };
    View { serial: FrameSerial(serial), recipient, outputs: vec![output] }
}

fn request(view: View) -> FrameRequest {
    FrameRequest { view: Arc::new(view), pictures: pictures(), damage: Vec::new() }
}

fn checked(fault: Fault, armed: &Arc<AtomicBool>) -> CheckedCompositor<Faulty> {
    let verifier = Verifier::new(labels(|_| ())).unwrap();
    CheckedCompositor::with(Faulty::new(fault, Arc::clone(armed)), verifier)
}

#[test]
fn every_fault_of_the_compositor_is_caught() {
    for fault in FAULTS {
        let armed = Arc::new(AtomicBool::new(false));
        let mut compositor = checked(fault, &armed);
        let mut frame = Frame::default();
        let first = request(view(1, 0));
        compositor.compose(&first, &first.view.outputs[0], &mut frame).unwrap();

        armed.store(true, Ordering::SeqCst);
        let next = request(view(2, if fault == Fault::StaleUnderTheTrustedBar { 2 } else { 1 }));
        let refused = compositor.compose(&next, &next.view.outputs[0], &mut frame);

        assert!(refused.is_err(), "{fault:?} passed");
        assert!(frame.pixels.iter().all(|pixel| *pixel == 0), "{fault:?} is on the screen");
        // Nothing is shown any more, right or wrong.
        armed.store(false, Ordering::SeqCst);
        assert_eq!(compositor.compose(&first, &first.view.outputs[0], &mut frame), refused);
    }
}

#[test]
fn a_view_that_contradicts_itself_is_refused() {
    let mut verifier = Verifier::new(labels(|_| ())).unwrap();
    let mut compositor = Compositor::new(labels(|_| ())).unwrap();
    let right = view(1, 0);
    let mut changed: Vec<(&str, View)> = Vec::new();
    let mut change = |what, change: &dyn Fn(&mut View)| {
        let mut view = right.clone();
        change(&mut view);
        changed.push((what, view));
    };
    fn windows(view: &mut View) -> &mut Vec<Window> {
        match &mut view.outputs[0].content {
            Content::Windows(windows) => windows,
            _ => unreachable!(),
        }
    }
    change("recipient", &|view| view.recipient = Recipient::Guest(GuestId(1)));
    change("nobody", &|view| view.recipient = Recipient::Nobody);
    change("trusted", &|view| view.recipient = Recipient::Trusted);
    change("two rings", &|view| windows(view)[1].focused = true);
    change("no ring", &|view| windows(view)[0].focused = false);
    change("name", &|view| windows(view)[0].name = "bravo".into());
    change("label", &|view| windows(view)[0].label = LabelId(1));
    change("unknown label", &|view| windows(view)[1].label = LabelId(9));
    change("bar too low", &|view| view.outputs[0].bar.rect.y = 1);
    change("bar too narrow", &|view| view.outputs[0].bar.rect.width -= 1);
    change("thin banner", &|view| windows(view)[0].frame.top.height -= 1);
    change("no banner", &|view| windows(view)[0].frame.top.height = 0);
    change("content over banner", &|view| windows(view)[0].frame.content.y -= 1);
    change("content over border", &|view| windows(view)[0].frame.content.width += 1);
    change("windows meet", &|view| {
        let frame = windows(view)[0].frame;
        windows(view)[1].frame = frame;
    });
    change("over the bar", &|view| {
        let frame = &mut windows(view)[0].frame;
        for rect in [
            &mut frame.outer,
            &mut frame.border,
            &mut frame.top,
            &mut frame.content,
            &mut frame.bottom,
        ] {
            rect.y -= 40;
        }
    });
    for (what, view) in changed {
        let mut frame = Frame::default();
        compositor.compose(&view.outputs[0], &pictures(), &[], &mut frame);
        let verdict = verifier.verify(&view, &view.outputs[0], &pictures(), &frame);
        assert!(matches!(verdict, Err(Mismatch::View { .. })), "{what}: {verdict:?}");
    }
    let mut frame = Frame::default();
    compositor.compose(&right.outputs[0], &pictures(), &[], &mut frame);
    assert_eq!(verifier.verify(&right, &right.outputs[0], &pictures(), &frame), Ok(()));
}

#[test]
fn a_screen_of_another_guest_names_who_receives_input() {
    let mut verifier = Verifier::new(labels(|_| ())).unwrap();
    let mut compositor = Compositor::new(labels(|_| ())).unwrap();
    let mut right = view(1, 0);
    let bravo = right.outputs[0].windows()[1].clone();
    let frame = layout::desk(SIZE, right.outputs[0].scale, 1)[0];
    let content = Content::Windows(vec![Window { frame, ..bravo.clone() }]);
    let first = right.outputs[0].clone();
    right.outputs.push(OutputView { id: OutputId(1), content, pointer: None, ..first.clone() });
    let mut verify = |view: &View| {
        let mut frame = Frame::default();
        compositor.compose(&view.outputs[1], &pictures(), &[], &mut frame);
        verifier.verify(view, &view.outputs[1], &pictures(), &frame)
    };
    let mut changed: Vec<(&str, View)> = Vec::new();
    let mut change = |what, change: &dyn Fn(&mut View)| {
        let mut view = right.clone();
        change(&mut view);
        changed.push((what, view));
    };
    let names =
        |name: &str, label| BarKind::TypingInto { name: name.into(), label: LabelId(label) };
    change("its own guest", &|view| view.outputs[1].bar.kind = names("bravo", 1));
    change("another label", &|view| view.outputs[1].bar.kind = names("alpha", 1));
    change("the trusted path", &|view| {
        view.outputs[1].bar.kind = BarKind::Trusted { message: String::new() };
    });
    change("no ring anywhere", &|view| {
        view.outputs[0].content = view.outputs[1].content.clone();
    });
    change("no banner below the bar", &|view| {
        let frame = layout::solo(SIZE, first.scale);
        view.outputs[1].content = Content::Windows(vec![Window { frame, ..bravo.clone() }]);
    });
    change("the recipient without a ring", &|view| {
        let alpha = Window { focused: false, ..first.windows()[0].clone() };
        view.outputs[1].content = Content::Windows(vec![alpha]);
    });
    change("nothing", &|view| view.outputs[1].content = Content::Blank);

    assert_eq!(verify(&right), Ok(()));
    for (what, view) in changed {
        let verdict = verify(&view);
        assert!(matches!(verdict, Err(Mismatch::View { .. })), "{what}: {verdict:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn no_single_foreign_pixel_passes(
        recipient in 0..3u8,
        places in prop::collection::vec((0..SIZE.width, 0..SIZE.height, any::<bool>()), 50..200),
    ) {
        let view = view(1, recipient);
        let output = &view.outputs[0];
        let mut frame = Frame::default();
        Compositor::new(labels(|_| ())).unwrap().compose(output, &pictures(), &[], &mut frame);
        let mut verifier = Verifier::new(labels(|_| ())).unwrap();
        for (x, y, in_bar) in places {
            let y = if in_bar { y % output.bar.rect.height } else { y };
            let of_guest = output.windows().iter().any(|window| {
                window.picture == Picture::Live && window.frame.content.contains(x, y)
            });
            let row = layout::trusted_row(SIZE, Scale::ONE, 0);
            let below = recipient == 2 && y >= output.bar.rect.bottom();
            if of_guest || (below && !row.contains(x, y)) {
                continue;
            }
            let right = std::mem::replace(&mut frame.row_mut(y, x, 1)[0], MAGENTA);
            let verdict = verifier.verify(&view, output, &pictures(), &frame);
            let found = matches!(verdict, Err(Mismatch::Pixel { x: at_x, y: at_y, .. })
                if (at_x, at_y) == (x, y));
            prop_assert!(found, "{:?}", verdict);
            frame.row_mut(y, x, 1)[0] = right;
        }
        prop_assert_eq!(verifier.verify(&view, output, &pictures(), &frame), Ok(()));
    }
}

#[test]
fn a_refused_frame_blanks_every_screen_and_is_never_confirmed() {
    let armed = Arc::new(AtomicBool::new(false));
    let (frames, requests) = FrameSender::channel(None);
    let (sender, events) = bounded(16);
    let on_thread = Arc::clone(&armed);
    let (handle, thread) = Headless::spawn_with(
        &[(SIZE, Scale::ONE), (SIZE, Scale::ONE)],
        move || Ok(checked(Fault::GuestOverBanner, &on_thread)),
        requests,
        sender.into(),
        None,
    )
    .unwrap();
    let two = |serial| {
        let mut view = view(serial, 0);
        let second = OutputView { id: OutputId(1), pointer: None, ..view.outputs[0].clone() };
        view.outputs.push(second);
        request(view)
    };
    frames.send(two(1));
    let shown = |event: &PresenterEvent| matches!(event, PresenterEvent::Presented { .. });
    assert_eq!(events.iter().take(4).filter(shown).count(), 2);

    armed.store(true, Ordering::SeqCst);
    frames.send(two(2));

    assert!(matches!(events.recv().unwrap(), PresenterEvent::FrameRefused(_)));
    for output in [OutputId(0), OutputId(1)] {
        let snapshot = handle.snapshot(output).unwrap();
        assert!(snapshot.frame.pixels.iter().all(|pixel| *pixel == 0));
    }
    drop(frames);
    thread.join().unwrap();
    assert!(!events.iter().any(|event| shown(&event)), "it was confirmed");
}

/// A real session with real guests, whose compositor goes wrong while it runs.
fn faulty_session() -> Outcome {
    let logs = tempfile::tempdir().unwrap();
    let desk = Desk::parse(common::DESK, Path::new("test.toml")).unwrap();
    let vmm = common::vmm();
    let options = common::options(vmm, logs.path());
    let armed = Arc::new(AtomicBool::new(false));
    let (labels, on_thread) = (desk.labels.clone(), Arc::clone(&armed));
    let compositor = move || {
        let mut faulty = Faulty::new(Fault::BarOnePixelToTheLeft, on_thread);
        faulty.right = Compositor::new(labels.clone())?;
        Ok(CheckedCompositor::with(faulty, Verifier::new(labels)?))
    };
    let outputs = [(common::SIZE, Scale::ONE)];
    let harness = Harness::start_with(&desk, &outputs, options, None, compositor).unwrap();
    assert!(harness.wait(common::LIMIT, |harness| harness.status().input_open));
    armed.store(true, Ordering::SeqCst);
    // The pointer moves, so there is a new frame.
    harness.input(tabard_display::RawInput::Pointer { output: SCREEN, x: 9, y: 300 });
    assert!(harness.wait(common::LIMIT, Harness::ended));
    let outcome = harness.stop();
    let log = std::fs::read_to_string(logs.path().join("audit.jsonl")).unwrap();
    assert!(log.lines().any(|line| line.contains("frame-refused")), "{log}");
    outcome
}

#[test]
#[ignore = "ends its process: run by the next test in one of its own"]
fn in_a_process_of_its_own() {
    let outcome = faulty_session();
    assert!(matches!(outcome, Outcome::Refused(_)), "{outcome:?}");
    let code = status(&outcome);
    assert_eq!(code, std::process::ExitCode::from(REFUSED_STATUS));
    std::process::exit(REFUSED_STATUS.into());
}

#[test]
fn a_session_whose_frame_is_refused_ends_with_a_status_of_its_own() {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::in_a_process_of_its_own", "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(
        said.contains("ended with blank screens") && said.contains("the trusted bar"),
        "{said}"
    );
}
