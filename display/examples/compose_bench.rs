//! Times the compositor against a plain copy of the same bytes: a whole 3840x2160 solo frame,
//! and a change of 64x64 pixels in it.
//!
//! `cargo run -p tabard-display --release --example compose_bench`

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

const ROUNDS: usize = 40;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let size = Size { width: 3840, height: 2160 };
    let scale = Scale::from_percent(200).ok_or("No such scale")?;
    let preset = preset("us").ok_or("No preset")?;
    let mut labels = LabelSet::new();
    labels.insert(preset.label("secret", "SECRET")?)?;
    let mut compositor = Compositor::new(labels)?;

    let frame = layout::solo(size, scale);
    let content = frame.content;
    let shape = SurfaceShape::packed(content.width, content.height).ok_or("Empty content")?;
    let (surface, memory) = Surface::create(shape)?;
    let noise: Vec<u8> =
        (0..shape.total_bytes).map(|at| ((at * 2_654_435_761) >> 7) as u8).collect();
    File::from(memory).write_all_at(&noise, 0)?;
    let guest = GuestId(0);
    let (width_px, height_px) = (content.width, content.height);
    let picture = GuestPicture { surface, generation: 0, width_px, height_px, cursor: None };
    let pictures = Pictures::from([(guest, picture)]);
    let mut output = OutputView {
        id: OutputId(0),
        size,
        scale,
        bar: Bar {
            rect: layout::bar(size, scale).0,
            kind: BarKind::TypingInto { name: "notes".into(), label: LabelId(0) },
            left: "Ctrl+Alt+Esc".into(),
            right: "14:07".into(),
            notice: String::new(),
        },
        content: Content::Windows(vec![Window {
            guest,
            name: "notes".into(),
            label: LabelId(0),
            focused: true,
            frame,
            picture: Picture::Live,
        }]),
        pointer: None,
    };

    let whole = [GuestDamage { guest, rect: Rect::new(0, 0, u32::MAX, u32::MAX) }];
    let small = [GuestDamage { guest, rect: Rect::new(1000, 1000, 64, 64) }];
    let mut target = Frame::new(size);
    let source = target.clone();
    let mut plain = source.pixels.clone();
    let (mut copies, mut full, mut dim, mut little) = (vec![], vec![], vec![], vec![]);
    compositor.compose(&output, &pictures, &[], &mut target);
    // Turn about, so that whatever else the machine does hits all of them alike.
    for _ in 0..ROUNDS {
        copies.push(time(|| plain.copy_from_slice(black_box(&source.pixels))));
        full.push(time(|| {
            // The content by damage, and the rest as if it had changed too.
            target.pixels[0] ^= 1;
            compositor.forget(output.id);
            compositor.compose(&output, &pictures, &whole, &mut target);
        }));
        little.push(time(|| {
            compositor.compose(&output, &pictures, &small, &mut target);
        }));
        black_box(&plain);
    }
    if let Content::Windows(windows) = &mut output.content {
        windows[0].focused = false;
    }
    for _ in 0..ROUNDS {
        dim.push(time(|| {
            compositor.forget(output.id);
            compositor.compose(&output, &pictures, &whole, &mut target);
        }));
    }
    let (copy, full) = (median(copies), median(full));
    let (dim, little) = (median(dim), median(little));
    let ratio = |a: Duration, b: Duration| a.as_secs_f64() / b.as_secs_f64();
    println!("plain copy          {copy:>10.1?}");
    println!("compose full        {full:>10.1?}  {:.2} of a copy", ratio(full, copy));
    println!("compose full dimmed {dim:>10.1?}  {:.2} of a copy", ratio(dim, copy));
    println!("compose 64x64       {little:>10.1?}  {:.2} % of full", 100.0 * ratio(little, full));
    Ok(())
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
