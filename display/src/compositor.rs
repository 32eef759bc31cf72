//! Draws views into frames, anew only where something changed. A guest's pixels come from shared
//! memory and only into its content rectangle; all else comes from the view and the labels, and
//! is drawn over them (invariant 6).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tabard_labels::LabelSet;
use tabard_view::{OutputId, OutputView, Rect, Scale, Size};

use crate::font::{FontError, Fonts, Weight};
use crate::paint::{Align, Mixer, Painter, Tools, fill};
use crate::pointer::{self, PointerImage};
use crate::region::{Damage, subtract};
use crate::scene::{self, Drawing, GuestPart, Part, What};
use crate::{
    CURSOR_SIDE, DrawnText, Frame, GuestDamage, Pictures, art, bar, login, text_page, theme,
    trusted,
};

/// Above so many kept drawings, or pixels in them (16 MiB), those that are on no screen are
/// dropped; a clock would otherwise fill the memory with bars of minutes past.
const MAX_KEPT: usize = 512;
const MAX_KEPT_PIXELS: usize = 4 << 20;

/// Something of Tabard's own, ready to be copied.
struct Strip {
    frame: Frame,
    texts: Vec<DrawnText>,
}

type StripKey = (Drawing, Size, Scale);

/// What a frame of an output holds.
struct Known {
    stamp: u64,
    scale: Scale,
    parts: Vec<Part>,
}

/// Draws the views of any number of outputs.
pub struct Compositor {
    labels: LabelSet,
    tools: Tools,
    strips: HashMap<StripKey, Arc<Strip>>,
    pointers: HashMap<PointerImage, Arc<Frame>>,
    outputs: HashMap<OutputId, Known>,
}

impl Compositor {
    /// A compositor for views that use these labels.
    ///
    /// # Errors
    ///
    /// [`FontError`] if a built-in font cannot be read.
    pub fn new(labels: LabelSet) -> Result<Self, FontError> {
        Ok(Self {
            labels,
            tools: Tools { fonts: Fonts::new()?, mixer: Mixer::new() },
            strips: HashMap::new(),
            pointers: HashMap::new(),
            outputs: HashMap::new(),
        })
    }

    /// The faces of its text, for the verifier.
    pub(crate) fn share_fonts(&self) -> Fonts {
        self.tools.fonts.share()
    }

    /// Brings `frame` up to date with `output` and returns what changed in it. Hand in the same
    /// frame for the same output each time; any other frame is drawn whole. `damage` is what
    /// guests have drawn since the last time.
    pub fn compose(
        &mut self,
        output: &OutputView,
        pictures: &Pictures,
        damage: &[GuestDamage],
        frame: &mut Frame,
    ) -> Damage {
        let screen = output.size.rect();
        let parts = scene::parts(output, pictures);
        let mut changed = Damage::default();
        let known = self.outputs.get(&output.id).filter(|known| {
            known.stamp == frame.stamp && frame.size == output.size && known.scale == output.scale
        });
        match known {
            Some(known) => {
                let gone = known.parts.iter().filter(|part| !parts.contains(part));
                let new = parts.iter().filter(|part| !known.parts.contains(part));
                gone.chain(new).for_each(|part| changed.add(part.rect.intersect(screen)));
            }
            None => {
                if frame.size != output.size {
                    *frame = Frame::new(output.size);
                }
                changed.add(screen);
            }
        }
        for one in damage {
            for part in &parts {
                if let What::Guest(guest) = &part.what
                    && guest.guest == one.guest
                {
                    let moved = one.rect.moved(part.rect.x, part.rect.y);
                    changed.add(moved.intersect(part.rect).intersect(screen));
                }
            }
        }
        for rect in changed.rects() {
            self.paint(*rect, output.scale, &parts, pictures, frame);
        }
        frame.stamp = next_stamp();
        let known = Known { stamp: frame.stamp, scale: output.scale, parts };
        self.outputs.insert(output.id, known);
        self.tidy();
        changed
    }

    /// The texts that Tabard itself drew on this output at the last composition, in drawing
    /// order; none if there was none.
    pub fn drawn_texts(&mut self, output: OutputId) -> Vec<DrawnText> {
        let Some(known) = self.outputs.get(&output) else { return Vec::new() };
        let mut texts = Vec::new();
        for part in &known.parts {
            let What::Drawn(drawing) = &part.what else { continue };
            let key = (drawing.clone(), part.rect.size(), known.scale);
            let Some(strip) = self.strips.get(&key) else { continue };
            texts.extend(strip.texts.iter().map(|drawn| {
                let rect = drawn.rect.moved(part.rect.x, part.rect.y);
                DrawnText { rect, text: drawn.text.clone() }
            }));
        }
        texts
    }

    /// Forgets an output that is gone.
    pub fn forget(&mut self, output: OutputId) {
        self.outputs.remove(&output);
    }

    /// Draws everything that lies in `rect`.
    fn paint(
        &mut self,
        rect: Rect,
        scale: Scale,
        parts: &[Part],
        pictures: &Pictures,
        frame: &mut Frame,
    ) {
        let mut bare = vec![rect];
        for part in parts {
            if !matches!(part.what, What::Pointer { .. }) {
                bare = subtract(&bare, part.rect);
            }
        }
        for rest in bare {
            fill(frame, rest, theme::BACKGROUND);
        }
        for part in parts {
            let clip = part.rect.intersect(rect);
            if clip.is_empty() {
                continue;
            }
            match &part.what {
                What::Guest(guest) => copy_guest(frame, guest, part.rect, clip, pictures),
                What::Solid(color) => fill(frame, clip, *color),
                What::Drawn(drawing) => {
                    let strip = self.strip(drawing, part.rect.size(), scale);
                    copy_strip(frame, &strip.frame, part.rect, clip);
                }
                What::Pointer { image, corner } => {
                    let image = self.pointer(*image, pictures);
                    pointer::draw(frame, &image, *corner, clip);
                }
            }
        }
    }

    fn strip(&mut self, drawing: &Drawing, size: Size, scale: Scale) -> Arc<Strip> {
        let key = (drawing.clone(), size, scale);
        if let Some(strip) = self.strips.get(&key) {
            return Arc::clone(strip);
        }
        let ground = match drawing {
            Drawing::Words { .. } => theme::PANEL,
            _ => theme::BACKGROUND,
        };
        let mut painter = Painter::new(&mut self.tools, scale, size, ground);
        let labels = &self.labels;
        match drawing {
            Drawing::Bar(bar) => bar::draw(&mut painter, bar, labels),
            Drawing::Banner { name, label } => {
                art::strip(&mut painter, size.rect(), name, labels.get(*label));
            }
            Drawing::Border(label) => {
                let (look, _) = art::look(labels.get(*label));
                painter.fill(size.rect(), look.color.to_u32());
            }
            Drawing::Title(text) => {
                let face = (Weight::Bold, 32, 16);
                painter.fitted(size.rect(), Align::Left, text, face, theme::TEXT);
            }
            Drawing::Footer(text) => {
                let face = (Weight::Regular, theme::SMALL_TEXT, 10);
                painter.fitted(size.rect(), Align::Left, text, face, theme::TEXT_DIM);
            }
            Drawing::Row(row) => trusted::row(&mut painter, row, labels),
            Drawing::Hints(hints) => trusted::hints(&mut painter, hints),
            Drawing::TextPage(page) => text_page::draw(&mut painter, page, labels),
            Drawing::Login(form) => login::draw(&mut painter, form),
            Drawing::Help(hints) => trusted::help(&mut painter, hints),
            Drawing::Words { title, detail } => trusted::words(&mut painter, title, detail),
            Drawing::Plate(title) => trusted::plate(&mut painter, title),
            Drawing::Hatch => {
                art::hatch(&mut painter, size.rect(), theme::PANEL, theme::HATCH);
            }
        }
        let strip = Arc::new(Strip { frame: painter.frame, texts: painter.texts });
        self.strips.insert(key, Arc::clone(&strip));
        strip
    }

    /// A pointer's image. A guest's is read when its number is new, so that what is on the
    /// screen does not change under a number that stays.
    fn pointer(&mut self, image: PointerImage, pictures: &Pictures) -> Arc<Frame> {
        if let Some(frame) = self.pointers.get(&image) {
            return Arc::clone(frame);
        }
        let frame = Arc::new(match image {
            PointerImage::Arrow(scale) => pointer::arrow(scale),
            PointerImage::Guest(guest, ..) => {
                let size = Size { width: CURSOR_SIDE, height: CURSOR_SIDE };
                pictures.get(&guest).map_or_else(Frame::default, |picture| Frame {
                    size,
                    pixels: picture.surface.cursor(),
                    stamp: 0,
                })
            }
        });
        self.pointers.insert(image, Arc::clone(&frame));
        frame
    }

    /// Drops drawings and images that are on no screen once there are many.
    fn tidy(&mut self) {
        let pixels: usize = self.strips.values().map(|strip| strip.frame.pixels.len()).sum();
        if self.strips.len() > MAX_KEPT || pixels > MAX_KEPT_PIXELS {
            let outputs = &self.outputs;
            self.strips.retain(|(drawing, size, scale), _| {
                outputs.values().any(|known| {
                    let same = |part: &Part| {
                        part.rect.size() == *size
                            && matches!(&part.what, What::Drawn(drawn) if drawn == drawing)
                    };
                    known.scale == *scale && known.parts.iter().any(same)
                })
            });
        }
        if self.pointers.len() > MAX_KEPT {
            self.pointers.clear();
        }
    }
}

/// A number that no frame has or had.
fn next_stamp() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Copies a guest's pixels; what it does not scan out is void.
fn copy_guest(frame: &mut Frame, part: &GuestPart, content: Rect, clip: Rect, pictures: &Pictures) {
    let picture = pictures.get(&part.guest);
    let x = clip.x.saturating_sub(content.x);
    for row in clip.y..clip.bottom() {
        let y = row.saturating_sub(content.y);
        let line = frame.row_mut(row, clip.x, clip.width);
        let mut copied = 0;
        if let Some(picture) = picture.filter(|picture| y < picture.height_px) {
            let width = line.len().min(picture.width_px.saturating_sub(x) as usize);
            let shown = line.get_mut(..width).unwrap_or_default();
            copied = if part.dim {
                picture.surface.dim_row(y, x, shown)
            } else {
                picture.surface.copy_row(y, x, shown)
            };
        }
        line.get_mut(copied..).unwrap_or_default().fill(theme::VOID);
    }
}

fn copy_strip(frame: &mut Frame, strip: &Frame, place: Rect, clip: Rect) {
    for row in clip.y..clip.bottom() {
        let y = row.saturating_sub(place.y);
        let source = strip.row(y, clip.x.saturating_sub(place.x), clip.width);
        let target = frame.row_mut(row, clip.x, clip.width);
        for (to, from) in target.iter_mut().zip(source) {
            *to = *from;
        }
    }
}
