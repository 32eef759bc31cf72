//! Every frame of a run, each as what changed since the one before: for the page of a trace and for
//! a film. It is bounded: what was shown longest ago goes first.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use tabard_display::Frame;
use tabard_display::headless::{Inspected, Inspector};
use tabard_view::{FrameSerial, OutputId, Rect, Size};

/// Frames that wait to be packed; the screens wait beyond it.
const QUEUE: usize = 16;
/// So many frames after a whole one comes the next whole one, to begin from.
const WHOLE_EVERY: u32 = 48;
/// Larger changes are packed faster and not as small.
const LARGE_PIXELS: usize = 300_000;
/// What is said about a frame is at most so long, in bytes.
const ABOUT_BYTES: usize = 160;
/// A pixel of a change that did not change: no colour, and transparent.
const SAME: [u8; 4] = [0; 4];

/// A frame of one screen.
#[derive(Debug, Clone)]
pub(crate) struct Shot {
    /// When it was made, before the glass confirmed it.
    pub(crate) at: Instant,
    /// The number of its view.
    pub(crate) serial: FrameSerial,
    /// The screen.
    pub(crate) screen: OutputId,
    /// The size of the screen.
    pub(crate) size: Size,
    /// Whether it is the whole picture.
    pub(crate) whole: bool,
    /// Where the change is; empty if nothing changed.
    pub(crate) rect: Rect,
    /// The change as a PNG of 8-bit RGBA, transparent where nothing changed; empty if nothing did.
    pub(crate) png: Arc<[u8]>,
}

impl Shot {
    /// What it counts, in bytes: its picture, and what is said about it.
    fn bytes(&self) -> usize {
        self.png.len() + ABOUT_BYTES
    }
}

/// What was kept.
#[derive(Debug, Default)]
struct Kept {
    shots: Vec<Shot>,
    bytes: usize,
    dropped: usize,
}

/// Collects frames.
#[derive(Debug)]
pub(crate) struct Reel {
    kept: Arc<Mutex<Kept>>,
    packing: Option<JoinHandle<()>>,
}

/// A change that is not packed yet.
struct Raw {
    shot: Shot,
    pixels: Vec<u8>,
}

impl Reel {
    /// Begins; the frames come by the inspector, and what is kept of them is at most so long, in bytes.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn begin(limit_bytes: usize) -> std::io::Result<(Self, Inspector)> {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let (sender, receiver) = bounded(QUEUE);
        let keep = Arc::clone(&kept);
        let packing = thread::Builder::new()
            .name("reel".to_owned())
            .spawn(move || pack(&receiver, &keep, limit_bytes))?;
        let mut camera = Camera { last: BTreeMap::new(), sender };
        let inspector: Inspector = Box::new(move |seen| camera.see(seen));
        Ok((Self { kept, packing: Some(packing) }, inspector))
    }

    /// All frames, in the order in which they were made, and how many before them were dropped. The
    /// inspector must be gone.
    pub(crate) fn end(mut self) -> (Vec<Shot>, usize) {
        // A packer that broke has said so; what it packed before is good.
        let _ = self.packing.take().map(JoinHandle::join);
        let mut kept = lock(&self.kept);
        (std::mem::take(&mut kept.shots), kept.dropped)
    }
}

fn lock(kept: &Mutex<Kept>) -> MutexGuard<'_, Kept> {
    // What is inside is valid at every moment, whoever panicked.
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sees frames, and finds what changed in them.
struct Camera {
    /// Of each screen what it shows, and the frames since the last whole one.
    last: BTreeMap<OutputId, (Frame, u32)>,
    sender: Sender<Raw>,
}

impl Camera {
    fn see(&mut self, seen: &Inspected<'_>) {
        let (screen, size) = (seen.output.id, seen.frame.size);
        let known = self
            .last
            .get_mut(&screen)
            .filter(|(last, since)| last.size == size && *since < WHOLE_EVERY);
        let (whole, rect, pixels) = match known {
            Some((last, since)) => {
                *since += 1;
                let rect = changed(last, seen.frame);
                (false, rect, change(last, seen.frame, rect))
            }
            None => {
                let mut first = seen.frame.clone();
                first.pixels.iter_mut().for_each(|pixel| *pixel &= 0x00ff_ffff);
                let pixels = first.pixels.iter().flat_map(|pixel| opaque(*pixel)).collect();
                self.last.insert(screen, (first, 0));
                (true, size.rect(), pixels)
            }
        };
        let shot = Shot {
            at: Instant::now(),
            serial: seen.view.serial,
            screen,
            size,
            whole,
            rect,
            png: Arc::default(),
        };
        // A packer that broke keeps nothing any more.
        let _ = self.sender.send(Raw { shot, pixels });
    }
}

/// The rectangle around all pixels that differ.
fn changed(last: &Frame, frame: &Frame) -> Rect {
    let mut rect = Rect::default();
    for y in 0..frame.size.height {
        let (one, other) = (last.row(y, 0, last.size.width), frame.row(y, 0, frame.size.width));
        let differs = |(one, other): (&u32, &u32)| (one ^ other) & 0x00ff_ffff != 0;
        let Some(from) = one.iter().zip(other).position(differs) else { continue };
        let to = one.iter().zip(other).rposition(differs).unwrap_or(from);
        let side = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        rect = rect.union(Rect::new(side(from), y, side(to - from) + 1, 1));
    }
    rect
}

/// What changed in a rectangle, as RGBA; `last` is brought up to date.
fn change(last: &mut Frame, frame: &Frame, rect: Rect) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(rect.width as usize * rect.height as usize * 4);
    for y in rect.y..rect.bottom() {
        let row = frame.row(y, rect.x, rect.width);
        for (old, new) in last.row_mut(y, rect.x, rect.width).iter_mut().zip(row) {
            let new = new & 0x00ff_ffff;
            pixels.extend(if *old == new { SAME } else { opaque(new) });
            *old = new;
        }
    }
    pixels
}

fn opaque(pixel: u32) -> [u8; 4] {
    let [_, red, green, blue] = pixel.to_be_bytes();
    [red, green, blue, u8::MAX]
}

fn pack(from: &Receiver<Raw>, to: &Mutex<Kept>, limit_bytes: usize) {
    for Raw { mut shot, pixels } in from {
        if !shot.rect.is_empty() {
            // What cannot be packed is left out; a frame of any size that a screen has can be.
            let Ok(png) = rgba(shot.rect.size(), &pixels) else { continue };
            shot.png = png.into();
        }
        let mut kept = lock(to);
        kept.bytes += shot.bytes();
        kept.shots.push(shot);
        while kept.bytes > limit_bytes && kept.drop_oldest() {}
    }
}

impl Kept {
    /// Drops all before the second whole frame of the first screen; whether that was possible.
    fn drop_oldest(&mut self) -> bool {
        let begins = |shot: &Shot| shot.whole && shot.screen == OutputId(0);
        let second = self.shots.iter().skip(1).position(begins).map(|at| at + 1);
        let Some(second) = second else { return false };
        self.shots.drain(..second);
        self.dropped += second;
        // Changes of other screens whose whole frame went with it mean nothing any more.
        let mut known = vec![OutputId(0)];
        self.shots.retain(|shot| {
            if shot.whole {
                known.push(shot.screen);
            }
            known.contains(&shot.screen)
        });
        self.bytes = self.shots.iter().map(Shot::bytes).sum();
        true
    }
}

/// Pixels as a PNG of 8-bit RGBA.
///
/// # Errors
/// If there are no pixels, or not as many as the size says.
pub(crate) fn rgba(size: Size, pixels: &[u8]) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, size.width, size.height);
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    let large = pixels.len() / 4 > LARGE_PIXELS;
    encoder.set_compression(if large {
        png::Compression::Fast
    } else {
        png::Compression::Balanced
    });
    let mut writer = encoder.write_header()?;
    writer.write_image_data(pixels)?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The frames as shots, packed, a tenth of a second apart.
    pub(crate) fn shots(frames: &[Frame], limit_bytes: usize) -> (Vec<Shot>, usize) {
        let (sender, receiver) = bounded(QUEUE);
        let kept = Mutex::default();
        let mut last: Option<Frame> = None;
        let begin = Instant::now();
        let packed = thread::scope(|scope| {
            let packing = scope.spawn(|| pack(&receiver, &kept, limit_bytes));
            for (number, frame) in (0_u32..).zip(frames) {
                let known = last.as_mut().filter(|last| last.size == frame.size && number % 4 != 0);
                let (whole, rect, pixels) = match known {
                    Some(last) => {
                        let rect = changed(last, frame);
                        (false, rect, change(last, frame, rect))
                    }
                    None => {
                        let pixels = frame.pixels.iter().flat_map(|pixel| opaque(*pixel));
                        (true, frame.size.rect(), pixels.collect())
                    }
                };
                last = Some(frame.clone());
                let shot = Shot {
                    at: begin + std::time::Duration::from_millis(100) * number,
                    serial: FrameSerial(number.into()),
                    screen: OutputId(0),
                    size: frame.size,
                    whole,
                    rect,
                    png: Arc::default(),
                };
                sender.send(Raw { shot, pixels }).unwrap();
            }
            drop(sender);
            packing.join()
        });
        packed.unwrap();
        let mut kept = kept.into_inner().unwrap();
        (std::mem::take(&mut kept.shots), kept.dropped)
    }

    fn frames(count: u32) -> Vec<Frame> {
        let size = Size { width: 64, height: 48 };
        let one = |number: u32| {
            let mut frame = Frame::new(size);
            let noise =
                |at: usize| (at as u32).wrapping_mul(2_654_435_761).wrapping_add(number) >> 8;
            let all = frame.pixels.iter_mut().enumerate();
            all.for_each(|(at, pixel)| *pixel = noise(at) & 0x00ff_ffff);
            frame.pixels[number as usize] = 0;
            frame
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_change_is_kept_as_its_rectangle() {
        let size = Size { width: 64, height: 48 };
        let mut after = Frame::new(size);
        after.pixels[10 * 64 + 5] = 7;
        after.pixels[12 * 64 + 9] = 7;
        let (shots, _) = shots(&[Frame::new(size), after.clone(), after], 1 << 20);
        assert_eq!(shots[0].rect, size.rect());
        assert_eq!((shots[1].rect, shots[1].whole), (Rect::new(5, 10, 5, 3), false));
        assert!(shots[2].rect.is_empty() && shots[2].png.is_empty());
    }

    #[test]
    fn the_oldest_go_first_and_the_rest_begins_with_a_whole_frame() {
        let all = frames(40);
        let (every, _) = shots(&all, 1 << 24);
        let bytes: usize = every.iter().map(Shot::bytes).sum();
        let (shots, dropped) = shots(&all, bytes / 2);
        let kept: usize = shots.iter().map(Shot::bytes).sum();
        assert!(kept <= bytes / 2 && dropped + shots.len() == 40, "{kept} of {bytes}");
        assert!(shots[0].whole && shots.last().unwrap().serial == FrameSerial(39));
    }
}
