//! Opens the window with one empty screen and prints every event as a line: for looking at what
//! a display delivers. Closing the window ends it.
//!
//! `cargo run -p tabard-display --features window --example window_probe`

use std::sync::Arc;

use tabard_display::window::{WindowOptions, WindowPresenter};
use tabard_display::{FrameRequest, Pictures, PresenterEvent, RawInput};
use tabard_labels::LabelSet;
use tabard_view::{
    Bar, BarKind, Content, FrameSerial, OutputView, Pointer, Recipient, Size, View, layout,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = Size { width: 800, height: 500 };
    let labels = LabelSet::new();
    let options = WindowOptions { title: "window probe".into(), size, scale: None, labels };
    let (window, frames) = WindowPresenter::new(options)?;
    let (events, received) = crossbeam_channel::bounded(64);
    let session = std::thread::spawn(move || {
        let mut screen = None;
        let mut pointer = None;
        let mut serial = 0;
        for event in received {
            println!("{event:?}");
            match event {
                PresenterEvent::OutputAdded { output, size, scale }
                | PresenterEvent::OutputResized { output, size, scale } => {
                    screen = Some((output, size, scale));
                }
                PresenterEvent::Input(RawInput::Pointer { x, y, .. }) => {
                    pointer = Some(Pointer { x, y, over: None });
                }
                PresenterEvent::CloseRequested | PresenterEvent::Failed(_) => break,
                _ => continue,
            }
            let Some((id, size, scale)) = screen else { continue };
            serial += 1;
            let bar = Bar {
                rect: layout::bar(size, scale).0,
                kind: BarKind::Nobody { message: "Window probe".into() },
                left: String::new(),
                right: String::new(),
                notice: "A window on a desktop is not a trusted path".into(),
            };
            let output = OutputView { id, size, scale, bar, content: Content::Blank, pointer };
            let view = View {
                serial: FrameSerial(serial),
                recipient: Recipient::Nobody,
                outputs: vec![output],
            };
            let view = Arc::new(view);
            frames.send(FrameRequest { view, pictures: Pictures::new(), damage: Vec::new() });
        }
    });
    window.run(events.into())?;
    session.join().map_err(|_| "The session failed")?;
    Ok(())
}
