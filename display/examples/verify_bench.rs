//! Times the verifier in 1920x1080 and 3840x2160: a desk of three guests, one in words, one guest
//! alone, and the trusted screen with five guests, a full page of text and the login; the first
//! look at a view, and every further one.
//!
//! `cargo run -p tabard-display --release --example verify_bench`

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tabard_display::{Compositor, Frame, Pictures, Verifier};
use tabard_labels::{LabelId, LabelSet, preset};
use tabard_view::{
    Bar, BarKind, Content, FrameSerial, GuestId, Hint, LoginForm, OutputId, OutputView,
    PAGE_COLUMNS, PAGE_LINES, Picture, Pointer, Recipient, Scale, Size, TextKind, TextLine,
    TextPage, TextRun, TrustedBody, TrustedRow, TrustedScreen, View, Window, WindowFrame, layout,
};

const ROUNDS: usize = 101;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hd = Size { width: 1920, height: 1080 };
    let uhd = Size { width: 3840, height: 2160 };
    let twice = Scale::from_percent(200).ok_or("No such scale")?;
    report("1920x1080, desk of 3", &view(hd, Scale::ONE, layout::desk(hd, Scale::ONE, 3)))?;
    report("1920x1080, solo", &view(hd, Scale::ONE, vec![layout::solo(hd, Scale::ONE)]))?;
    report("3840x2160, solo", &view(uhd, twice, vec![layout::solo(uhd, twice)]))?;
    report("3840x2160, desk of 3", &view(uhd, twice, layout::desk(uhd, twice, 3)))?;
    for (name, size, scale) in [("1920x1080", hd, Scale::ONE), ("3840x2160", uhd, twice)] {
        for (what, body) in [("guests", guests(size, scale)), ("text", text()), ("login", login())]
        {
            report(&format!("{name}, {what}"), &trusted(view(size, scale, Vec::new()), body))?;
        }
    }
    Ok(())
}

/// The same with the trusted screen.
fn trusted(mut view: View, body: TrustedBody) -> View {
    view.recipient = Recipient::Trusted;
    for output in &mut view.outputs {
        output.bar.kind = BarKind::Trusted { message: "no guest sees these keys".into() };
        let (title, footer) = ("Go to".to_owned(), "Bench".to_owned());
        let body = body.clone();
        // As many keys as the list of guests has.
        let hint = Hint { key: "Up Down".into(), text: "select a guest".into() };
        let hints = vec![hint; 11];
        output.content = Content::Trusted(TrustedScreen { title, body, hints, footer });
    }
    view
}

fn guests(size: Size, scale: Scale) -> TrustedBody {
    let row = |index: u8| TrustedRow {
        rect: layout::trusted_row(size, scale, index.into()),
        guest: GuestId(index),
        key: (index + 1).to_string(),
        name: format!("guest {index}"),
        label: LabelId(u16::from(index) % 3),
        state: "running".into(),
        live: true,
        remark: "had the keyboard".into(),
        selected: index == 0,
    };
    TrustedBody::Guests((0..5).map(row).collect())
}

fn text() -> TrustedBody {
    let run = TextRun { shown: "abcdefgh ".repeat(PAGE_COLUMNS / 9), kind: TextKind::Plain };
    TrustedBody::Text(TextPage {
        from: ("guest 0".into(), LabelId(0)),
        to: Some(("guest 1".into(), LabelId(1))),
        page: 0,
        pages: 2,
        summary: "20000 bytes".into(),
        lines: vec![TextLine(vec![run]); PAGE_LINES],
        challenge: String::new(),
        typed: 0,
    })
}

fn login() -> TrustedBody {
    TrustedBody::Login(LoginForm {
        user: "ann".into(),
        phrase: "likes rain on tin roofs".into(),
        typed: 9,
        open: true,
        message: String::new(),
    })
}

/// Processor time of this thread, so that a busy machine does not count.
fn used() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn view(size: Size, scale: Scale, frames: Vec<WindowFrame>) -> View {
    let words = Picture::Words { title: "stopped".into(), detail: "Ctrl+Alt+Esc".into() };
    let window = |(index, frame): (u8, WindowFrame)| Window {
        guest: GuestId(index),
        name: format!("guest {index}"),
        label: LabelId(index.into()),
        focused: index == 0,
        frame,
        picture: if index == 1 { words.clone() } else { Picture::Live },
    };
    let kind = BarKind::TypingInto { name: "guest 0".into(), label: LabelId(0) };
    let output = OutputView {
        id: OutputId(0),
        size,
        scale,
        bar: Bar {
            rect: layout::bar(size, scale).0,
            kind,
            left: "Ctrl+Alt+Esc".into(),
            right: "14:07".into(),
            notice: "a word of news".into(),
        },
        content: Content::Windows((0..).zip(frames).map(window).collect()),
        pointer: Some(Pointer { x: 100, y: 20, over: None }),
    };
    let recipient = Recipient::Guest(GuestId(0));
    View { serial: FrameSerial(1), recipient, outputs: vec![output] }
}

fn report(what: &str, view: &View) -> Result<(), Box<dyn std::error::Error>> {
    let preset = preset("us").ok_or("No preset")?;
    let mut labels = LabelSet::new();
    for marking in ["SECRET//ALPHA", "UNCLASSIFIED", "TOP SECRET"] {
        labels.insert(preset.label(marking, marking)?)?;
    }
    let mut frame = Frame::default();
    let pictures = Pictures::new();
    let output = view.outputs.first().ok_or("No output")?;
    Compositor::new(labels.clone())?.compose(output, &pictures, &[], &mut frame);
    let mut verifier = Verifier::new(labels)?;
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = used();
        verifier.verify(view, output, &pictures, &frame)?;
        times.push(used().saturating_sub(begin));
    }
    let first = times.remove(0);
    times.sort();
    let at = |percent: usize| times.get(times.len() * percent / 100).copied();
    let (median, late) = (at(50).unwrap_or_default(), at(95).unwrap_or_default());
    println!("{what:<22} first {first:>9.1?}   then median {median:>9.1?}, p95 {late:>9.1?}");
    Ok(())
}
