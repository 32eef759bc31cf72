//! A drawing as a list of strokes on a sheet that is fitted to the screen, whatever its size.

use alloc::vec::Vec;
use embedded_graphics::prelude::Point;

/// Segments kept: what a machine of 32 MiB holds beside its picture.
const MAX_SEGMENTS: usize = 250_000;

/// The colours, by number.
pub const COLORS: [u32; 6] = [0xf2f2ee, 0xe3b34c, 0x5aa9d6, 0xe8716a, 0x7cc08a, 0xb48ce0];

/// The widths of a stroke in sheet units.
pub const WIDTHS: [u32; 4] = [3, 6, 10, 18];

/// Size of the sheet that is always in view, in sheet units.
const SHEET: (f32, f32) = (1000.0, 600.0);
/// Stored steps per sheet unit: a pixel of the widest screen is about two of them.
const STEPS: f32 = 8.0;

/// How the sheet lies on the screen: as large as fits, in the middle.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Pixels per sheet unit.
    scale: f32,
    left: f32,
    top: f32,
}

impl View {
    /// The view of the sheet on `width` * `height` pixels.
    pub fn new(width: u32, height: u32) -> Self {
        let (width, height) = (width.max(1) as f32, height.max(1) as f32);
        let scale = (width / SHEET.0).min(height / SHEET.1);
        let left = (width - SHEET.0 * scale) / 2.0;
        Self { scale, left, top: (height - SHEET.1 * scale) / 2.0 }
    }

    /// The place on the sheet that lies under the pixel.
    pub fn place(&self, x: i32, y: i32) -> Place {
        // `as` stops at the ends of the range, far outside the screen.
        let step = |pixel: i32, start: f32| nearest((pixel as f32 - start) / self.scale * STEPS);
        (step(x, self.left) as i16, step(y, self.top) as i16)
    }

    /// The pixel over the place on the sheet.
    fn pixel(&self, (x, y): Place) -> Point {
        let pixel = |step: i16, start: f32| nearest(f32::from(step) / STEPS * self.scale + start);
        Point::new(pixel(x, self.left), pixel(y, self.top))
    }
}

fn nearest(value: f32) -> i32 {
    (if value < 0.0 { value - 0.5 } else { value + 0.5 }) as i32
}

/// A place on the sheet, in steps.
pub type Place = (i16, i16);

/// A straight piece of a stroke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where the segment before it in its stroke starts; where there is none, as `from`.
    pub before: Place,
    /// Where it starts.
    pub from: Place,
    /// Where it ends.
    pub to: Place,
    /// Index into [`COLORS`].
    pub color: u8,
    /// Index into [`WIDTHS`].
    pub width: u8,
}

impl Segment {
    /// The pixels before its start, at its start and at its end.
    pub fn points(&self, view: View) -> [Point; 3] {
        [self.before, self.from, self.to].map(|place| view.pixel(place))
    }

    /// Colour as 0xRRGGBB.
    pub fn rgb(&self) -> u32 {
        COLORS.get(usize::from(self.color)).copied().unwrap_or(COLORS[0])
    }

    /// Width in pixels, at least 1.
    pub fn pixels(&self, view: View) -> u32 {
        let width = WIDTHS.get(usize::from(self.width)).copied().unwrap_or(WIDTHS[0]);
        nearest(width as f32 * view.scale).max(1) as u32
    }
}

/// The strokes and the pen.
#[derive(Debug)]
pub struct Drawing {
    segments: Vec<Segment>,
    /// The pen's colour, an index into [`COLORS`].
    pub color: u8,
    /// The pen's width, an index into [`WIDTHS`].
    pub width: u8,
    last: Option<[Place; 2]>,
    /// Where in `segments` each stroke starts.
    starts: Vec<usize>,
}

impl Default for Drawing {
    /// Nothing drawn, and a pen of the first colour and the second width.
    fn default() -> Self {
        Self { segments: Vec::new(), color: 0, width: 1, last: None, starts: Vec::new() }
    }
}

impl Drawing {
    /// All segments, the oldest first.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Moves the pen to a place and draws; the first point after [`Drawing::lift`] is a dot.
    pub fn draw_to(&mut self, to: Place) -> Segment {
        if self.segments.len() >= MAX_SEGMENTS {
            // The oldest eighth stays on the glass until the next repaint only.
            self.segments.drain(..MAX_SEGMENTS / 8);
            self.starts.retain(|&start| start >= MAX_SEGMENTS / 8);
            self.starts.iter_mut().for_each(|start| *start -= MAX_SEGMENTS / 8);
        }
        if self.last.is_none() {
            self.starts.push(self.segments.len());
        }
        let [before, from] = self.last.unwrap_or([to, to]);
        self.last = Some([from, to]);
        let segment = Segment { before, from, to, color: self.color, width: self.width };
        self.segments.push(segment);
        segment
    }

    /// Lifts the pen: the next point starts a stroke.
    pub fn lift(&mut self) {
        self.last = None;
    }

    /// Takes back the last stroke.
    pub fn undo(&mut self) {
        let start = self.starts.pop().unwrap_or(0);
        self.segments.truncate(start);
        self.lift();
    }

    /// Takes back all strokes.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.starts.clear();
        self.lift();
    }

    /// Draws a view of mountains, a sun and a sail.
    pub fn demo(&mut self) {
        let (fine, thick) = (0, 1);
        let mut path = |color: u8, width: u8, points: &[(f32, f32)]| {
            (self.color, self.width) = (color, width);
            self.lift();
            for (x, y) in points {
                self.draw_to((nearest(x * STEPS) as i16, nearest(y * STEPS) as i16));
            }
        };
        let mountains: [&[(f32, f32)]; 4] = [
            &[(60., 400.), (180., 300.), (235., 335.), (380., 150.), (520., 330.), (590., 400.)],
            &[(470., 268.), (610., 110.), (700., 225.), (745., 190.), (930., 400.)],
            &[(325., 220.), (352., 206.), (378., 228.), (402., 204.), (432., 218.)],
            &[(556., 172.), (585., 160.), (612., 184.), (634., 162.), (655., 168.)],
        ];
        path(2, thick, mountains[0]);
        path(2, thick, mountains[1]);
        path(0, fine, mountains[2]);
        path(0, fine, mountains[3]);
        path(2, fine, &[(30., 400.), (970., 400.)]);
        path(1, thick, &circle((835., 120.), 48., 48));
        for ray in circle((0., 0.), 1., 12) {
            let at = |radius: f32| (835. + ray.0 * radius, 120. + ray.1 * radius);
            path(1, fine, &[at(64.), at(84.)]);
        }
        path(3, thick, &[(250., 478.), (430., 478.), (395., 512.), (285., 512.), (250., 478.)]);
        path(0, fine, &[(340., 478.), (340., 352.), (425., 462.), (340., 462.)]);
        path(0, fine, &[(328., 372.), (328., 462.), (268., 462.), (328., 372.)]);
        for (x, y, waves) in [(120., 535., 7), (520., 470., 6), (600., 540., 8)] {
            path(4, fine, &wave((x, y), waves));
        }
        (self.color, self.width) = (0, 1);
        self.lift();
    }
}

/// A closed circle in `steps` points.
fn circle(center: (f32, f32), radius: f32, steps: u16) -> Vec<(f32, f32)> {
    let angle = 2.0 * core::f32::consts::PI / f32::from(steps);
    // The first terms of the series are exact enough for one step of at most a twelfth turn.
    let square = angle * angle;
    let sine = angle * (1.0 - square / 6.0 * (1.0 - square / 20.0));
    let cosine = 1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0));
    let (mut x, mut y) = (radius, 0.0);
    let points = (0..=steps).map(|_| {
        let point = (center.0 + x, center.1 + y);
        (x, y) = (x * cosine - y * sine, x * sine + y * cosine);
        point
    });
    points.collect()
}

/// `count` small waves from `start` to the right.
fn wave(start: (f32, f32), count: u16) -> Vec<(f32, f32)> {
    let steps = (0..=count * 8).map(|step| {
        let phase = f32::from(step % 8) / 8.0;
        // A parabola for each half of the wave.
        let half = if phase < 0.5 { phase * 4.0 - 1.0 } else { phase * 4.0 - 3.0 };
        let height = (1.0 - half * half) * if phase < 0.5 { -7.0 } else { 7.0 };
        (start.0 + f32::from(step) * 5.0, start.1 + height)
    });
    steps.collect()
}

#[cfg(test)]
mod tests {
    use super::{Drawing, MAX_SEGMENTS, View};

    #[test]
    fn undo_takes_back_one_stroke() {
        let mut drawing = Drawing::default();
        drawing.draw_to((1, 1));
        drawing.draw_to((2, 2));
        drawing.lift();
        drawing.draw_to((5, 5));
        drawing.undo();
        assert_eq!(drawing.segments().len(), 2);
    }

    #[test]
    fn a_stroke_continues_where_it_was() {
        let mut drawing = Drawing::default();
        drawing.draw_to((1, 1));
        assert_eq!(drawing.draw_to((2, 3)).from, (1, 1));
        drawing.lift();
        assert_eq!(drawing.draw_to((9, 9)).from, (9, 9));
    }

    #[test]
    fn memory_is_bounded() {
        let mut drawing = Drawing::default();
        for x in 0..MAX_SEGMENTS + 10 {
            drawing.draw_to(((x % 100) as i16, 0));
        }
        assert!(drawing.segments().len() <= MAX_SEGMENTS);
    }

    #[test]
    fn what_is_drawn_appears_under_the_pointer() {
        for (width, height) in [(320, 200), (1280, 744), (3840, 2104)] {
            let view = View::new(width, height);
            for (x, y) in [(0, 0), (17, 101), (width as i32 - 1, height as i32 - 1)] {
                let pixel = view.pixel(view.place(x, y));
                assert_eq!((pixel.x, pixel.y), (x, y));
            }
        }
    }

    #[test]
    fn the_demo_fits_small_pictures() {
        let mut drawing = Drawing::default();
        drawing.demo();
        let view = View::new(320, 200);
        for segment in drawing.segments() {
            let [_, _, end] = segment.points(view);
            assert!((0..320).contains(&end.x) && (0..200).contains(&end.y));
        }
    }
}
