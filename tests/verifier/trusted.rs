//! Trusted screens that show something else than the view says: what the user decides by.

use proptest::prelude::*;
use tabard_display::{Compositor, Frame, Mismatch, Verifier};
use tabard_labels::LabelId;
use tabard_view::{
    Content, GuestId, Hint, LoginForm, Scale, Size, TextKind, TextLine, TextPage, TextRun,
    TrustedBody, TrustedRow, TrustedScreen, View, layout,
};

use super::desks::pictures;
use super::faults::{labels, view};

/// The trusted screen of the other tests, in a size that a page of text needs.
fn screen(body: TrustedBody, percent: u16) -> View {
    let mut view = view(1, 2);
    let scale = Scale::from_percent(percent).unwrap();
    let size = Size { width: scale.px(1280), height: scale.px(800) };
    let output = &mut view.outputs[0];
    (output.size, output.scale, output.bar.rect) = (size, scale, layout::bar(size, scale).0);
    let (title, footer) = ("Release this text?".to_owned(), "The desk".to_owned());
    output.content = Content::Trusted(TrustedScreen { title, body, hints: hints(), footer });
    view
}

/// More than go into one line, as below a question.
fn hints() -> Vec<Hint> {
    let hint = |key: &str, text: &str| Hint { key: key.to_owned(), text: text.to_owned() };
    let mut hints = vec![hint("Y", "answer yes"), hint("N", "answer no"), hint("Esc", "later")];
    hints.extend((0..12).map(|_| hint("Up Down", "select a guest")));
    hints
}

fn guests(percent: u16) -> TrustedBody {
    let scale = Scale::from_percent(percent).unwrap();
    let size = Size { width: scale.px(1280), height: scale.px(800) };
    let row = |index: u8| TrustedRow {
        rect: layout::trusted_row(size, scale, index.into()),
        guest: GuestId(index),
        key: (index + 1).to_string(),
        name: ["mail", "plans", "web"][usize::from(index)].to_owned(),
        label: LabelId(index.into()),
        state: "running".into(),
        live: true,
        remark: if index == 0 { "had the keyboard".into() } else { String::new() },
        selected: index == 0,
    };
    TrustedBody::Guests((0..3).map(row).collect())
}

fn run(kind: TextKind, shown: &str) -> TextRun {
    TextRun { shown: shown.to_owned(), kind }
}

fn page(to: bool) -> TextPage {
    TextPage {
        from: ("plans".into(), LabelId(0)),
        to: to.then(|| ("web".into(), LabelId(1))),
        page: 1,
        pages: 2,
        summary: "45 bytes, SHA-256 00ff".into(),
        lines: vec![
            TextLine(vec![
                run(TextKind::Plain, "Bring  the l"),
                run(TextKind::Marked, "\u{ef}"),
                run(TextKind::Plain, "st 0f names"),
                run(TextKind::Break, "\\n"),
            ]),
            TextLine(vec![run(TextKind::Warning, "<U+202E>"), run(TextKind::Plain, "now")]),
        ],
        challenge: if to { "E R T U".into() } else { String::new() },
        typed: u8::from(to),
    }
}

fn form() -> LoginForm {
    LoginForm {
        user: "ann".into(),
        phrase: "likes rain".into(),
        typed: 3,
        open: true,
        message: String::new(),
    }
}

/// What the verifier says of a frame that shows `drawn` where it must show `right`.
fn verdict(right: &View, drawn: &View) -> Result<(), Mismatch> {
    let mut frame = Frame::default();
    let mut compositor = Compositor::new(labels(|_| ())).unwrap();
    compositor.compose(&drawn.outputs[0], &pictures(), &[], &mut frame);
    let mut verifier = Verifier::new(labels(|_| ())).unwrap();
    verifier.verify(right, &right.outputs[0], &pictures(), &frame)
}

/// What it is called, and what it does to a body.
type Change<T> = (&'static str, fn(&mut T));

/// Each change of the body is seen, at both scales; the body itself is not refused.
fn all_seen<T: Clone>(
    right: impl Fn(u16) -> T,
    body: impl Fn(T) -> TrustedBody,
    changes: &[Change<T>],
) {
    for percent in [100, 200] {
        let good = screen(body(right(percent)), percent);
        assert_eq!(verdict(&good, &good), Ok(()));
        for (what, change) in changes {
            let mut wrong = right(percent);
            change(&mut wrong);
            let verdict = verdict(&good, &screen(body(wrong), percent));
            assert!(matches!(verdict, Err(Mismatch::Pixel { .. })), "{what}: {verdict:?}");
        }
    }
}

fn rows(body: &mut TrustedBody) -> &mut Vec<TrustedRow> {
    match body {
        TrustedBody::Guests(rows) => rows,
        _ => unreachable!(),
    }
}

#[test]
fn a_wrong_guest_in_the_list_is_seen() {
    all_seen(
        guests,
        |body| body,
        &[
            ("name", |body| rows(body)[1].name = "p1ans".into()),
            ("label", |body| rows(body)[1].label = LabelId(2)),
            ("no such label", |body| rows(body)[1].label = LabelId(9)),
            ("key", |body| rows(body)[1].key = "3".into()),
            ("state", |body| rows(body)[2].state = "paused".into()),
            ("dead", |body| rows(body)[2].live = false),
            ("remark", |body| rows(body)[1].remark = "its text is taken".into()),
            ("selected", |body| {
                rows(body)[0].selected = false;
                rows(body)[1].selected = true;
            }),
            ("two selected", |body| rows(body)[2].selected = true),
            ("one pixel down", |body| rows(body)[1].rect.y += 1),
            ("one pixel to the right", |body| rows(body)[2].rect.x += 1),
            ("gone", |body| drop(rows(body).pop())),
            ("another order", |body| {
                let [first, second] = [rows(body)[0].rect, rows(body)[1].rect];
                (rows(body)[0].rect, rows(body)[1].rect) = (second, first);
            }),
        ],
    );
}

#[test]
fn a_wrong_text_under_review_is_seen() {
    all_seen(
        |_| page(true),
        TrustedBody::Text,
        &[
            ("whose", |page| page.from.0 = "p1ans".into()),
            ("from where", |page| page.from.1 = LabelId(2)),
            ("for whom", |page| page.to = Some(("mail".into(), LabelId(1)))),
            ("to where", |page| page.to = Some(("web".into(), LabelId(2)))),
            ("for nobody", |page| page.to = None),
            ("one letter", |page| page.lines[0].0[2].shown = "st of names".into()),
            ("one space", |page| page.lines[0].0[0].shown = "Bring the l".into()),
            ("a tab for a space", |page| page.lines[0].0[0].kind = TextKind::Marked),
            ("no mark", |page| page.lines[0].0[1].kind = TextKind::Plain),
            ("another mark", |page| page.lines[0].0[1].shown = "\u{ee}".into()),
            ("no end of line", |page| drop(page.lines[0].0.pop())),
            ("a warning in plain", |page| page.lines[1].0[0].kind = TextKind::Plain),
            ("another number", |page| page.lines[1].0[0].shown = "<U+202D>".into()),
            ("no warning", |page| drop(page.lines[1].0.remove(0))),
            ("the last line", |page| drop(page.lines.pop())),
            ("a line more", |page| page.lines.push(page.lines[1].clone())),
            ("another page", |page| page.page = 0),
            ("fewer pages", |page| page.pages = 1),
            ("another digest", |page| page.summary = "45 bytes, SHA-256 00fe".into()),
            ("another challenge", |page| page.challenge = "E R T I".into()),
            ("no challenge", |page| page.challenge.clear()),
            ("more typed", |page| page.typed = 2),
        ],
    );
}

#[test]
fn a_wrong_question_or_login_is_seen() {
    all_seen(
        |_| page(false),
        TrustedBody::Text,
        &[
            ("whose", |page| page.from.0 = "web".into()),
            ("a letter", |page| page.lines[1].0[1].shown = "not".into()),
            ("an offer to release", |page| page.to = Some(("web".into(), LabelId(1)))),
        ],
    );
    all_seen(
        |_| form(),
        TrustedBody::Login,
        &[
            ("user", |form| form.user = "bob".into()),
            ("phrase", |form| form.phrase = "likes ra1n".into()),
            ("no phrase", |form| form.phrase.clear()),
            ("typed", |form| form.typed = 2),
            ("closed", |form| form.open = false),
            ("a message", |form| form.message = "That was not it".into()),
        ],
    );
}

#[test]
fn a_wrong_hint_is_seen() {
    fn hints(screen: &mut TrustedScreen) -> &mut Vec<Hint> {
        &mut screen.hints
    }
    let changes: [Change<TrustedScreen>; 7] = [
        ("yes for no", |screen| hints(screen)[0].text = "answer no".into()),
        ("another key", |screen| hints(screen)[1].key = "Y".into()),
        ("swapped", |screen| hints(screen).swap(0, 1)),
        ("none", |screen| hints(screen).clear()),
        ("not offered", |screen| drop(hints(screen).remove(1))),
        ("one more", |screen| hints(screen).truncate(14)),
        ("one letter", |screen| hints(screen)[14].text = "select a quest".into()),
    ];
    // Below a text is room for one line of them.
    let question: fn(u16) -> TrustedBody = |_| TrustedBody::Text(page(false));
    let login: fn(u16) -> TrustedBody = |_| TrustedBody::Login(form());
    for (body, percent, seen) in [(guests as _, 100, 7), (question, 200, 5), (login, 125, 7)] {
        let right = screen(body(percent), percent);
        assert_eq!(verdict(&right, &right), Ok(()));
        for (what, change) in &changes[..seen] {
            let mut wrong = right.clone();
            match &mut wrong.outputs[0].content {
                Content::Trusted(screen) => change(screen),
                _ => unreachable!(),
            }
            let verdict = verdict(&right, &wrong);
            assert!(matches!(verdict, Err(Mismatch::Pixel { .. })), "{what}: {verdict:?}");
        }
    }
}

#[test]
fn another_title_or_footer_is_seen() {
    let right = screen(guests(100), 100);
    let changes: [fn(&mut TrustedScreen); 2] =
        [|screen| screen.title = "A guest asks".into(), |screen| screen.footer = "Tbe desk".into()];
    for change in changes {
        let mut wrong = right.clone();
        match &mut wrong.outputs[0].content {
            Content::Trusted(screen) => change(screen),
            _ => unreachable!(),
        }
        assert!(matches!(verdict(&right, &wrong), Err(Mismatch::Pixel { .. })));
    }
}

#[test]
fn a_view_whose_rows_or_lines_are_out_of_place_is_refused() {
    let mut moved = guests(100);
    rows(&mut moved)[1].rect.y += 1;
    let mut long = page(true);
    long.lines = vec![TextLine::default(); 15];
    let mut wide = page(true);
    wide.lines[0].0[0].shown = "x".repeat(73);
    for body in [moved, TrustedBody::Text(long), TrustedBody::Text(wide)] {
        let view = screen(body, 100);
        assert!(matches!(verdict(&view, &view), Err(Mismatch::View { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Between the lines of a text, beside them and in every cell.
    #[test]
    fn no_single_foreign_pixel_passes_in_a_text(
        places in prop::collection::vec((90..1190u32, 160..640u32), 40..100),
        review in any::<bool>(),
    ) {
        let view = screen(TrustedBody::Text(page(review)), 100);
        let output = &view.outputs[0];
        let mut frame = Frame::default();
        Compositor::new(labels(|_| ())).unwrap().compose(output, &pictures(), &[], &mut frame);
        let mut verifier = Verifier::new(labels(|_| ())).unwrap();
        for (x, y) in places {
            let right = std::mem::replace(&mut frame.row_mut(y, x, 1)[0], 0x00ff_00ff);
            let verdict = verifier.verify(&view, output, &pictures(), &frame);
            let found = matches!(verdict, Err(Mismatch::Pixel { x: at_x, y: at_y, .. })
                if (at_x, at_y) == (x, y));
            prop_assert!(found, "{x},{y}: {:?}", verdict);
            frame.row_mut(y, x, 1)[0] = right;
        }
    }
}
