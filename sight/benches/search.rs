//! How long a needle of 200x60 pixels takes to be found, or not to be found, anywhere in a picture
//! of 1920x1080. Prints one JSON object a line. The limit of 20 ms is for each.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tabard_display::Frame;
use tabard_sight::{Needle, Pattern};
use tabard_view::{Rect, Size};

const SIZE: Size = Size { width: 1920, height: 1080 };
const LIMIT_MS: f64 = 20.0;
const ROUNDS: u32 = 30;

fn main() {
    let desktop = desktop();
    let home = Rect::new(300, 200, 200, 60);
    let description = format!(
        r#"{{"area":[{{"xpos":{},"ypos":{},"width":{},"height":{},"margin":2000}}],"tags":["a"]}}"#,
        home.x, home.y, home.width, home.height
    );
    let needle = Needle::parse(&description, Path::new("a.json")).expect("a description");
    let pattern = Pattern::new(needle, desktop.clone()).expect("a picture");

    let mut moved = Frame::new(SIZE);
    shift(&desktop, &mut moved, 700, 400);
    let mut changed = desktop.clone();
    paint(&mut changed, Rect::new(300, 200, 120, 60), 0x0020_2020);
    let blank = Frame::new(SIZE);
    for (name, picture) in
        [("at_home", &desktop), ("moved", &moved), ("not_there", &changed), ("blank", &blank)]
    {
        let (mut percent, mut found) = (0.0, (0, 0));
        // The kernel counts in ticks: only many rounds together are exact.
        let begin = on_processor();
        let mut least = Duration::MAX;
        for _ in 0..ROUNDS {
            let round = Instant::now();
            let verdict = black_box(pattern.judge(black_box(picture)));
            least = least.min(round.elapsed());
            percent = verdict.percent();
            found =
                verdict.areas.first().map(|area| (area.found.x, area.found.y)).unwrap_or_default();
        }
        let took = on_processor().saturating_sub(begin);
        let each_ms = took.as_secs_f64() * 1000.0 / f64::from(ROUNDS);
        let least_ms = least.as_secs_f64() * 1000.0;
        println!(
            "{{\"figure\":\"needle_search_{name}\",\"ms\":{each_ms:.2},\"least_ms\":{least_ms:.2},\"limit_ms\":{LIMIT_MS},\
             \"percent\":{percent:.1},\"x\":{},\"y\":{}}}",
            found.0, found.1
        );
    }
}

/// How long this thread has had a processor: what other programs take does not count.
fn on_processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// A desktop of windows full of lines of words: what makes a search slow is what looks alike.
fn desktop() -> Frame {
    let mut frame = Frame::new(SIZE);
    paint(&mut frame, SIZE.rect(), 0x0030_5070);
    for (left, top, ground, ink) in [
        (80, 60, 0x00ff_ffff, 0x0020_2020),
        (1000, 90, 0x0010_1014, 0x00d0_d0d0),
        (500, 600, 0x00f0_f0f0, 0x0000_0060),
    ] {
        paint(&mut frame, Rect::new(left, top, 840, 24), 0x0060_6068);
        paint(&mut frame, Rect::new(left, top + 24, 840, 420), ground);
        let mut seed = left;
        for line in 0..24 {
            for column in 0..100 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if seed >> 29 == 0 {
                    continue;
                }
                for stroke in 0..4 {
                    let bits = seed >> (stroke * 5);
                    let (x, y) = (left + 8 + column * 8 + (bits & 3), top + 30 + line * 17);
                    let rect = match bits & 4 {
                        0 => Rect::new(x, y + (bits >> 3 & 3), 1, 9),
                        _ => Rect::new(x, y + (bits >> 2 & 7), 5, 1),
                    };
                    paint(&mut frame, rect, ink);
                }
            }
        }
    }
    frame
}

fn paint(frame: &mut Frame, rect: Rect, color: u32) {
    for y in rect.y..rect.bottom() {
        frame.row_mut(y, rect.x, rect.width).fill(color);
    }
}

fn shift(from: &Frame, to: &mut Frame, right: u32, down: u32) {
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            let pixel = from.pixel(x, y).unwrap_or_default();
            to.row_mut((y + down) % SIZE.height, (x + right) % SIZE.width, 1).fill(pixel);
        }
    }
}
