//! What it costs to compose a frame of 4K, beside a plain copy of the same bytes.

use std::fs::File;
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use tabard_display::{
    Compositor, Frame, GuestDamage, GuestPicture, Pictures, Surface, SurfaceShape,
};
use tabard_labels::{LabelId, LabelSet, preset};
use tabard_view::{
    Bar, BarKind, Content, GuestId, OutputId, OutputView, Picture, Rect, Scale, Size, Window,
    layout,
};

use crate::Fault;
use crate::figure::{Limit, Promise, percentile_ms};

const SIZE: Size = Size { width: 3840, height: 2160 };
const GUEST: GuestId = GuestId(0);
const ROUNDS: usize = 100;

/// What is measured here.
pub const FIGURES: [Promise; 2] = [
    Promise::new("compose_4k_full", "ms", Limit::Most(1.3)).beside("memcpy"),
    Promise::new("compose_4k_damage_64px", "ms", Limit::Most(0.02)).beside("compose_4k_full"),
];

/// Measures [`FIGURES`].
pub fn measure() -> Result<(), Fault> {
    let scale = Scale::from_percent(200).ok_or("No such scale")?;
    let mut labels = LabelSet::new();
    let label = labels.insert(preset("us").ok_or("No preset")?.label("secret", "SECRET")?)?;
    let mut compositor = Compositor::new(labels)?;
    let output = output(scale, label);
    let pictures = pictures(layout::solo(SIZE, scale).content.size())?;

    let whole = [GuestDamage { guest: GUEST, rect: Rect::new(0, 0, u32::MAX, u32::MAX) }];
    let small = [GuestDamage { guest: GUEST, rect: Rect::new(1000, 1000, 64, 64) }];
    let mut frame = Frame::new(SIZE);
    let mut copy = frame.pixels.clone();
    let (mut copies, mut fulls, mut smalls) = (Vec::new(), Vec::new(), Vec::new());
    compositor.compose(&output, &pictures, &[], &mut frame);
    // In turns, so that whatever else the machine does hits all of them alike.
    for _ in 0..ROUNDS {
        copies.push(time(|| copy.copy_from_slice(black_box(&frame.pixels))));
        black_box(&copy);
        fulls.push(time(|| {
            // A screen that it does not know is drawn whole.
            compositor.forget(output.id);
            compositor.compose(&output, &pictures, &whole, &mut frame);
        }));
        smalls.push(time(|| {
            compositor.compose(&output, &pictures, &small, &mut frame);
        }));
    }
    let [copy, full, small] = [copies, fulls, smalls].map(|times| percentile_ms(&times, 0.5));
    FIGURES[0].print(full, Some(copy));
    FIGURES[1].print(small, Some(full));
    Ok(())
}

/// One guest that fills the screen.
fn output(scale: Scale, label: LabelId) -> OutputView {
    let name = "notes".to_owned();
    OutputView {
        id: OutputId(0),
        size: SIZE,
        scale,
        bar: Bar {
            rect: layout::bar(SIZE, scale).0,
            kind: BarKind::TypingInto { name: name.clone(), label },
            left: "Ctrl+Alt+Esc".to_owned(),
            right: "14:07Z".to_owned(),
            notice: String::new(),
        },
        content: Content::Windows(vec![Window {
            guest: GUEST,
            name,
            label,
            focused: true,
            frame: layout::solo(SIZE, scale),
            picture: Picture::Live,
        }]),
        pointer: None,
    }
}

/// A surface that is full of noise.
fn pictures(size: Size) -> Result<Pictures, Fault> {
    let shape = SurfaceShape::packed(size.width, size.height).ok_or("No such surface")?;
    let (surface, memory) = Surface::create(shape)?;
    let noise: Vec<u8> = (0..shape.total_bytes)
        .map(|at| (at.wrapping_mul(0x9e37_79b9) >> 13).to_le_bytes()[0])
        .collect();
    File::from(memory).write_all_at(&noise, 0)?;
    let (width_px, height_px) = (size.width, size.height);
    let picture = GuestPicture { surface, generation: 0, width_px, height_px, cursor: None };
    Ok(Pictures::from([(GUEST, picture)]))
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
