//! The judge of every frame: what the glass says of the recipient is true, on every screen, and
//! no guest has a pixel outside of its rectangle. It shares no state with the session and decides
//! nothing; tests and scripts hang it into the headless presenter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tabard_display::headless::{Inspected, Inspector};
use tabard_display::{Compositor, FontError, Frame, Pictures};
use tabard_labels::LabelId;
use tabard_view::{
    BarKind, Content, GuestId, OutputId, OutputView, Picture, Pointer, Recipient, Rect,
};

use crate::session::desk::Desk;

/// Violations that are kept in words; the others are only counted.
const KEPT: usize = 20;

/// What the oracle has found.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// Frames that it looked at.
    pub frames: u64,
    /// Rules that a frame broke.
    pub violations: u64,
    /// The first of them, in words.
    pub words: Vec<String>,
    /// For each time the user asked for the trusted screen: how long it took until it was in a
    /// frame of every screen.
    pub sak: Vec<Duration>,
}

/// What a frame is held against.
#[derive(Default)]
struct State {
    findings: Findings,
    /// While the user does not switch, every frame must name this one.
    only: Option<Recipient>,
    /// When the user asked for the trusted screen, until it is there.
    asked: Option<Instant>,
    /// Whether it is there.
    open: bool,
}

/// Judges frames. Clones share what was found.
#[derive(Clone, Default)]
pub struct Oracle {
    state: Arc<Mutex<State>>,
}

impl Oracle {
    /// The inspector to start the headless presenter of this desk with.
    ///
    /// # Errors
    /// If the fonts for the picture that frames are compared with cannot be read.
    pub fn inspector(&self, desk: &Desk) -> Result<Inspector, FontError> {
        let mut judge = Judge {
            guests: desk.guests.iter().map(|guest| (guest.name.clone(), guest.label)).collect(),
            compositor: Compositor::new(desk.labels.clone())?,
            references: HashMap::new(),
        };
        let oracle = self.clone();
        Ok(Box::new(move |inspected| {
            let broken = judge.look(inspected);
            oracle.note(inspected, broken);
        }))
    }

    /// From now on until [`Oracle::may_switch`], every frame must name this recipient: the glass
    /// has named it, and the user does not switch.
    pub fn only(&self, recipient: Recipient) {
        self.lock().only = Some(recipient);
    }

    /// The user is about to switch.
    pub fn may_switch(&self) {
        self.lock().only = None;
    }

    /// The user presses the secure-attention key now. While the trusted screen is there, no frame
    /// has to come of it.
    pub fn asked(&self) {
        let mut state = self.lock();
        state.only = None;
        state.asked = (!state.open).then(Instant::now);
    }

    /// What was found so far.
    #[must_use]
    pub fn findings(&self) -> Findings {
        self.lock().findings.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // What is inside is valid at every moment, whoever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, inspected: &Inspected<'_>, mut broken: Vec<String>) {
        let mut state = self.lock();
        let recipient = inspected.view.recipient;
        if let Some(only) = state.only.filter(|only| *only != recipient) {
            broken.push(format!("the frame names {recipient:?}, but the user is at {only:?}"));
        }
        let last = inspected.view.outputs.last().is_some_and(|last| last.id == inspected.output.id);
        if last {
            state.open = recipient == Recipient::Trusted;
        }
        if last
            && state.open
            && let Some(asked) = state.asked.take()
        {
            state.findings.sak.push(asked.elapsed());
        }
        let findings = &mut state.findings;
        findings.frames = findings.frames.saturating_add(1);
        for words in broken {
            findings.violations = findings.violations.saturating_add(1);
            if findings.words.len() < KEPT {
                let (screen, serial) = (inspected.output.id.0, inspected.view.serial.0);
                findings.words.push(format!("Screen {screen}, view {serial}: {words}"));
            }
        }
    }
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Oracle").field(&self.lock().findings).finish()
    }
}

/// What frames are compared with: the desk file, and the same view drawn without any guest.
struct Judge {
    guests: Vec<(String, LabelId)>,
    compositor: Compositor,
    references: HashMap<OutputId, (OutputView, Frame)>,
}

impl Judge {
    /// Which rules the frame breaks, in words.
    fn look(&mut self, inspected: &Inspected<'_>) -> Vec<String> {
        let mut broken = Vec::new();
        self.names(inspected, &mut broken);
        self.texts(inspected, &mut broken);
        self.pixels(inspected, &mut broken);
        broken
    }

    /// Bar, windows and recipient are of one mind, and of the desk file's.
    fn names(&self, inspected: &Inspected<'_>, broken: &mut Vec<String>) {
        let (recipient, output) = (inspected.view.recipient, inspected.output);
        let named = match (&output.bar.kind, recipient) {
            (BarKind::TypingInto { name, label }, Recipient::Guest(guest)) => {
                self.is(guest, name, *label)
            }
            (BarKind::Trusted { .. }, Recipient::Trusted) => {
                !matches!(output.content, Content::Windows(_))
            }
            (BarKind::Nobody { .. }, Recipient::Nobody) => true,
            _ => false,
        };
        if !named {
            broken.push(format!("the bar says {:?} to {recipient:?}", output.bar.kind));
        }
        for window in output.windows() {
            if !self.is(window.guest, &window.name, window.label) {
                broken
                    .push(format!("{:?} stands in the window of {:?}", window.name, window.guest));
            }
            if window.focused != (recipient == Recipient::Guest(window.guest)) {
                broken.push(format!("the ring of {:?} is wrong for {recipient:?}", window.guest));
            }
        }
    }

    fn is(&self, guest: GuestId, name: &str, label: LabelId) -> bool {
        self.guests
            .get(usize::from(guest.0))
            .is_some_and(|known| known.0 == name && known.1 == label)
    }

    /// What was drawn as letters says so too.
    fn texts(&self, inspected: &Inspected<'_>, broken: &mut Vec<String>) {
        let Recipient::Guest(guest) = inspected.view.recipient else { return };
        let Some((name, _)) = self.guests.get(usize::from(guest.0)) else { return };
        let bar = inspected.output.bar.rect;
        let said: Vec<&str> = inspected
            .texts
            .iter()
            .filter(|drawn| bar.covers(drawn.rect))
            .map(|drawn| drawn.text.as_str())
            .collect();
        // Names that do not fit are drawn shortened; the first letters are always there.
        let start: String = name.chars().take(4).collect();
        let whole = said.join(" ");
        if !whole.contains("TYPING INTO") || !whole.contains(&start) {
            broken.push(format!("the bar is drawn as {said:?}, but {name} receives input"));
        }
    }

    /// Outside of the guests' rectangles the frame is what the view alone makes it.
    fn pixels(&mut self, inspected: &Inspected<'_>, broken: &mut Vec<String>) {
        let (output, frame) = (inspected.output, inspected.frame);
        if frame.size != output.size {
            return broken
                .push(format!("the frame has {:?}, the screen {:?}", frame.size, output.size));
        }
        let mut plain = output.clone();
        plain.pointer = output.pointer.and_then(|pointer| own_pointer(pointer, inspected));
        let (_, reference) = self
            .references
            .entry(output.id)
            .and_modify(|(known, reference)| {
                if *known != plain {
                    self.compositor.compose(&plain, &Pictures::new(), &[], reference);
                    known.clone_from(&plain);
                }
            })
            .or_insert_with(|| {
                let mut reference = Frame::new(plain.size);
                self.compositor.compose(&plain, &Pictures::new(), &[], &mut reference);
                (plain.clone(), reference)
            });
        let mut guests: Vec<Rect> = output
            .windows()
            .iter()
            .filter(|window| !matches!(window.picture, Picture::Words { .. }))
            .map(|window| window.frame.content)
            .collect();
        guests.sort_by_key(|content| content.x);
        if let Some((x, y)) = first_difference(frame, reference, &guests) {
            broken.push(format!("the pixel at {x}, {y} is not the view's"));
        }
    }
}

/// Tabard's own arrow, if it is what is drawn; a guest's image stays in the guest's rectangle.
fn own_pointer(pointer: Pointer, inspected: &Inspected<'_>) -> Option<Pointer> {
    let of_guest = pointer.over.is_some_and(|guest| {
        let window = inspected.output.windows().iter().find(|window| window.guest == guest);
        let image = inspected.pictures.get(&guest).is_some_and(|picture| picture.cursor.is_some());
        image
            && window.is_some_and(|window| {
                window.picture == Picture::Live
                    && window.frame.content.contains(pointer.x, pointer.y)
            })
    });
    (!of_guest).then_some(Pointer { over: None, ..pointer })
}

/// The first pixel outside of `guests`, sorted by their left edges, that differs.
fn first_difference(frame: &Frame, reference: &Frame, guests: &[Rect]) -> Option<(u32, u32)> {
    let width = usize::try_from(frame.size.width).unwrap_or(usize::MAX).max(1);
    let rows = frame.pixels.chunks(width).zip(reference.pixels.chunks(width));
    for (y, (row, expected)) in (0..).zip(rows) {
        if row == expected {
            continue;
        }
        let mut from = 0;
        let beside = guests.iter().filter(|guest| guest.contains(guest.x, y));
        let ends = beside.map(|guest| (guest.x, guest.right())).chain([(frame.size.width, 0)]);
        for (end, next) in ends {
            let place = |x: u32| usize::try_from(x).unwrap_or(usize::MAX);
            let gap = place(from)..place(end).max(place(from));
            let (pixels, wanted) = (row.get(gap.clone()), expected.get(gap));
            if pixels != wanted {
                let pairs = pixels.into_iter().flatten().zip(wanted.into_iter().flatten());
                let same = pairs.take_while(|(pixel, wanted)| pixel == wanted).count();
                return Some((from.saturating_add(u32::try_from(same).unwrap_or(0)), y));
            }
            from = next;
        }
    }
    (frame.pixels.len() != reference.pixels.len()).then_some((0, 0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::session::desk::GuestSpec;
    use tabard_view::{Bar, FrameSerial, Scale, Size, View, Window, layout};

    const SIZE: Size = Size { width: 8, height: 4 };

    fn differing(x: u32, y: u32) -> (Frame, Frame) {
        let mut frame = Frame::new(SIZE);
        frame.pixels[(y * SIZE.width + x) as usize] = 1;
        (frame, Frame::new(SIZE))
    }

    #[test]
    fn a_pixel_inside_a_guest_is_the_guests_own() {
        let (frame, reference) = differing(3, 2);
        let guests = [Rect::new(1, 1, 1, 2), Rect::new(3, 2, 2, 1)];
        assert_eq!(first_difference(&frame, &reference, &guests), None);
    }

    #[test]
    fn a_pixel_beside_above_or_behind_the_guests_is_found() {
        let guests = [Rect::new(1, 1, 2, 2), Rect::new(4, 1, 2, 2)];
        for place in [(0, 1), (3, 1), (6, 2), (7, 3), (4, 0)] {
            let (frame, reference) = differing(place.0, place.1);
            assert_eq!(first_difference(&frame, &reference, &guests), Some(place));
        }
    }

    const DESK: &str = r#"
[desk]
name = "Two"
theme = "us"
[guests.one]
label = "SECRET"
kernel = "builtin:probe"
[guests.two]
label = "UNCLASSIFIED"
kernel = "builtin:probe"
"#;

    /// Shows the first guest alone, its picture over all of its window; `change` may spoil view
    /// and frame before the oracle looks at them.
    fn judged(change: impl FnOnce(&mut View, &mut Frame)) -> Findings {
        let desk = Desk::parse(DESK, Path::new("two.toml")).unwrap();
        let (size, scale) = (Size { width: 640, height: 480 }, Scale::ONE);
        let (bar, _) = layout::bar(size, scale);
        let [one, two] = [&desk.guests[0], &desk.guests[1]];
        let kind = BarKind::TypingInto { name: one.name.clone(), label: one.label };
        let text = String::new;
        let window = |guest, spec: &GuestSpec, frame| Window {
            guest: GuestId(guest),
            name: spec.name.clone(),
            label: spec.label,
            focused: guest == 0,
            frame,
            picture: Picture::Live,
        };
        let frames = layout::desk(size, scale, 2);
        let windows = vec![window(0, one, frames[0]), window(1, two, frames[1])];
        let output = OutputView {
            id: OutputId(0),
            size,
            scale,
            bar: Bar { rect: bar, kind, left: text(), right: text(), notice: text() },
            content: Content::Windows(windows),
            pointer: None,
        };
        let recipient = Recipient::Guest(GuestId(0));
        let mut view = View { serial: FrameSerial(1), recipient, outputs: vec![output] };
        let mut compositor = Compositor::new(desk.labels.clone()).unwrap();
        let mut frame = Frame::new(size);
        compositor.compose(&view.outputs[0], &Pictures::new(), &[], &mut frame);
        let texts = compositor.drawn_texts(OutputId(0));
        change(&mut view, &mut frame);
        let oracle = Oracle::default();
        oracle.inspector(&desk).unwrap()(&Inspected {
            view: &view,
            output: &view.outputs[0],
            pictures: &Pictures::new(),
            frame: &frame,
            texts,
        });
        oracle.findings()
    }

    #[test]
    fn a_true_frame_is_passed_whatever_guests_paint_in_their_windows() {
        let findings = judged(|view, frame| {
            let inside = view.outputs[0].windows()[0].frame.content;
            frame.pixels[(inside.y * 640 + inside.x) as usize] = 0x00c8_102e;
        });
        assert_eq!((findings.frames, findings.violations), (1, 0), "{:?}", findings.words);
    }

    #[test]
    fn a_recipient_that_bar_and_ring_do_not_name_is_found() {
        let findings = judged(|view, _| view.recipient = Recipient::Guest(GuestId(1)));
        // The bar, the letters in it, and both rings.
        assert_eq!(findings.violations, 4, "{:?}", findings.words);
    }

    #[test]
    fn a_banner_with_another_guests_label_is_found() {
        let findings = judged(|view, _| {
            let Content::Windows(windows) = &mut view.outputs[0].content else { unreachable!() };
            windows[0].label = windows[1].label;
        });
        assert!(findings.violations >= 2, "{:?}", findings.words);
    }

    #[test]
    fn one_pixel_of_a_guest_in_a_banner_is_found() {
        let findings = judged(|view, frame| {
            let banner = view.outputs[0].windows()[0].frame.top;
            frame.pixels[(banner.y * 640 + banner.x) as usize] ^= 1;
        });
        assert_eq!(findings.violations, 1, "{:?}", findings.words);
    }
}
