//! A drawing as a list of strokes, so that it can be drawn again at another size of the screen.

use alloc::vec::Vec;
use embedded_graphics::prelude::Point;

/// Segments kept: what a machine of 32 MiB holds beside its picture.
const MAX_SEGMENTS: usize = 250_000;

/// The colours, by number.
pub const COLORS: [u32; 6] = [0xf2f2ee, 0xe3b34c, 0x5aa9d6, 0xe8716a, 0x7cc08a, 0xb48ce0];

/// The widths of a stroke in pixels.
pub const WIDTHS: [u32; 4] = [2, 4, 8, 16];

/// A straight piece of a stroke.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Where the segment before it in its stroke starts; where there is none, as `from`.
    pub before: (i16, i16),
    /// Where it starts.
    pub from: (i16, i16),
    /// Where it ends.
    pub to: (i16, i16),
    /// Index into [`COLORS`].
    pub color: u8,
    /// Index into [`WIDTHS`].
    pub width: u8,
}

impl Segment {
    /// The points before its start, at its start and at its end.
    pub fn points(&self) -> [Point; 3] {
        [self.before, self.from, self.to].map(|(x, y)| Point::new(x.into(), y.into()))
    }

    /// Colour as 0xRRGGBB.
    pub fn rgb(&self) -> u32 {
        COLORS.get(usize::from(self.color)).copied().unwrap_or(COLORS[0])
    }

    /// Width in pixels.
    pub fn pixels(&self) -> u32 {
        WIDTHS.get(usize::from(self.width)).copied().unwrap_or(WIDTHS[0])
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
    last: Option<[(i16, i16); 2]>,
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

    /// Moves the pen to a point and draws; the first point after [`Drawing::lift`] is a dot.
    pub fn draw_to(&mut self, x: i32, y: i32) -> Segment {
        let clamp = |value: i32| value.clamp(i16::MIN.into(), i16::MAX.into()) as i16;
        let to = (clamp(x), clamp(y));
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

    /// Draws a view of mountains, a sun and a sail to fill a picture of `width` * `height`.
    pub fn demo(&mut self, width: u32, height: u32) {
        // Points are given on a sheet of 1000 * 600.
        let scale = (width as f32 / 1000.0).min(height as f32 / 600.0);
        let left = (width as f32 - 1000.0 * scale) / 2.0;
        let top = (height as f32 - 600.0 * scale) / 2.0;
        let pen = if scale < 0.9 { 0 } else { 1 };
        let mut path = |color: u8, width: u8, points: &[(f32, f32)]| {
            (self.color, self.width) = (color, width);
            self.lift();
            for (x, y) in points {
                self.draw_to((left + x * scale) as i32, (top + y * scale) as i32);
            }
        };
        let mountains: [&[(f32, f32)]; 4] = [
            &[(60., 400.), (180., 300.), (235., 335.), (380., 150.), (520., 330.), (590., 400.)],
            &[(470., 268.), (610., 110.), (700., 225.), (745., 190.), (930., 400.)],
            &[(325., 220.), (352., 206.), (378., 228.), (402., 204.), (432., 218.)],
            &[(556., 172.), (585., 160.), (612., 184.), (634., 162.), (655., 168.)],
        ];
        path(2, pen + 1, mountains[0]);
        path(2, pen + 1, mountains[1]);
        path(0, pen, mountains[2]);
        path(0, pen, mountains[3]);
        path(2, pen, &[(30., 400.), (970., 400.)]);
        path(1, pen + 1, &circle((835., 120.), 48., 48));
        for ray in circle((0., 0.), 1., 12) {
            let at = |radius: f32| (835. + ray.0 * radius, 120. + ray.1 * radius);
            path(1, pen, &[at(64.), at(84.)]);
        }
        path(3, pen + 1, &[(250., 478.), (430., 478.), (395., 512.), (285., 512.), (250., 478.)]);
        path(0, pen, &[(340., 478.), (340., 352.), (425., 462.), (340., 462.)]);
        path(0, pen, &[(328., 372.), (328., 462.), (268., 462.), (328., 372.)]);
        for (x, y, waves) in [(120., 535., 7), (520., 470., 6), (600., 540., 8)] {
            path(4, pen, &wave((x, y), waves));
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
    use super::{Drawing, MAX_SEGMENTS};

    #[test]
    fn undo_takes_back_one_stroke() {
        let mut drawing = Drawing::default();
        drawing.draw_to(1, 1);
        drawing.draw_to(2, 2);
        drawing.lift();
        drawing.draw_to(5, 5);
        drawing.undo();
        assert_eq!(drawing.segments().len(), 2);
    }

    #[test]
    fn a_stroke_continues_where_it_was() {
        let mut drawing = Drawing::default();
        drawing.draw_to(1, 1);
        assert_eq!(drawing.draw_to(2, 3).from, (1, 1));
        drawing.lift();
        assert_eq!(drawing.draw_to(9, 9).from, (9, 9));
    }

    #[test]
    fn memory_is_bounded() {
        let mut drawing = Drawing::default();
        for x in 0..MAX_SEGMENTS as i32 + 10 {
            drawing.draw_to(x % 100, 0);
        }
        assert!(drawing.segments().len() <= MAX_SEGMENTS);
    }

    #[test]
    fn the_demo_fits_small_pictures() {
        let mut drawing = Drawing::default();
        drawing.demo(320, 200);
        let inside = |(x, y): (i16, i16)| (0..320).contains(&x) && (0..200).contains(&y);
        assert!(drawing.segments().iter().all(|segment| inside(segment.to)));
    }
}
