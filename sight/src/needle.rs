//! Judges a picture by needles: whether one is in it, how like, where, and where to click.

use std::path::PathBuf;

use tabard_display::{Frame, PngError, read_png};
use tabard_view::{Rect, Size};

use crate::form::{Area, Click, Kind, Needle};
use crate::grey::Grey;
use crate::search::search;

/// Why the picture of a needle cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// It cannot be read.
    #[error("The needle {name} has no picture that can be read beside its description")]
    Picture {
        /// The needle.
        name: String,
        /// Why.
        source: PngError,
    },
    /// An area ends outside of it.
    #[error(
        "{}: area {area} ends at {},{}, outside the picture, which has {}x{} pixels. Mend the area, or take the picture anew",
        file.display(), rect.right(), rect.bottom(), size.width, size.height
    )]
    Outside {
        /// The description.
        file: PathBuf,
        /// The number of the area, from 1.
        area: usize,
        /// The area.
        rect: Rect,
        /// The size of the picture.
        size: Size,
    },
}

/// A needle with its picture.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// Its description.
    pub needle: Needle,
    /// Its picture.
    pub picture: Frame,
    /// Each area that must be found, in grey.
    parts: Vec<(Area, Grey)>,
    excluded: Vec<Rect>,
}

/// How an area was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct AreaVerdict {
    /// Where it was in the needle's picture.
    pub home: Rect,
    /// Where it is most like in the picture that was judged.
    pub found: Rect,
    /// How like it is there, in percent.
    pub percent: f64,
    /// How like it must be.
    pub wanted: f64,
    /// Where a click goes, if the needle is clicked by this area.
    pub click: Option<Click>,
}

impl AreaVerdict {
    /// Whether it is like enough.
    #[must_use]
    pub fn ok(&self) -> bool {
        // The same rounding as where a percentage is written.
        self.percent + 1e-9 >= self.wanted
    }
}

/// How a needle was judged.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// Its areas that must be found, in their order.
    pub areas: Vec<AreaVerdict>,
}

impl Verdict {
    /// Whether every area is like enough.
    #[must_use]
    pub fn ok(&self) -> bool {
        self.areas.iter().all(AreaVerdict::ok)
    }

    /// The mean of the squared shares that are missing: 0 is perfect, 1 is nothing alike.
    #[must_use]
    pub fn error(&self) -> f64 {
        let squares: f64 = self.areas.iter().map(|area| (1.0 - area.percent / 100.0).powi(2)).sum();
        squares / self.areas.len().max(1) as f64
    }

    /// How like it is as a whole, in percent: that of its area that is least so.
    #[must_use]
    pub fn percent(&self) -> f64 {
        self.areas.iter().map(|area| area.percent).fold(100.0, f64::min)
    }

    /// The area that lacks most of what it must have.
    #[must_use]
    pub fn worst(&self) -> Option<&AreaVerdict> {
        let lacks = |area: &AreaVerdict| area.wanted - area.percent;
        self.areas.iter().max_by(|one, other| lacks(one).total_cmp(&lacks(other)))
    }

    /// Where a click on it goes: the click point, else the middle of the last area.
    #[must_use]
    pub fn click(&self) -> Option<(u32, u32)> {
        let area = self.areas.iter().find(|area| area.click.is_some()).or(self.areas.last())?;
        let (x, y) = match area.click {
            Some(Click::At(x, y)) => (x, y),
            Some(Click::Center) | None => (area.found.width / 2, area.found.height / 2),
        };
        Some((area.found.x.saturating_add(x), area.found.y.saturating_add(y)))
    }
}

impl Pattern {
    /// Reads the picture of a needle.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn load(needle: Needle) -> Result<Self, PatternError> {
        let picture = read_png(&needle.picture())
            .map_err(|source| PatternError::Picture { name: needle.name.clone(), source })?;
        Self::new(needle, picture)
    }

    /// A needle with this picture.
    ///
    /// # Errors
    /// [`PatternError::Outside`].
    pub fn new(needle: Needle, picture: Frame) -> Result<Self, PatternError> {
        let size = picture.size;
        let outside = |area: &Area| !size.rect().covers(area.rect);
        if let Some((index, area)) = needle.areas.iter().enumerate().find(|(_, area)| outside(area))
        {
            let (file, rect) = (needle.file.clone(), area.rect);
            return Err(PatternError::Outside { file, area: index + 1, rect, size });
        }
        let of = |kind: Kind| needle.areas.iter().filter(move |area| area.kind == kind);
        let excluded: Vec<Rect> = of(Kind::Exclude).map(|area| area.rect).collect();
        let parts = of(Kind::Match)
            .map(|area| (area.clone(), Grey::of(&picture, area.rect, &excluded)))
            .collect();
        Ok(Self { needle, picture, parts, excluded })
    }

    /// Looks for the needle in a picture.
    #[must_use]
    pub fn judge(&self, picture: &Frame) -> Verdict {
        let areas = self.parts.iter().map(|(area, part)| {
            let home = area.rect;
            let mut verdict = AreaVerdict {
                home,
                found: home,
                percent: 0.0,
                wanted: area.percent,
                click: area.click,
            };
            if !picture.size.rect().covers(home) {
                return verdict;
            }
            let window = around(home, area.margin).intersect(picture.size.rect());
            let scene = Grey::of(picture, window, &self.excluded);
            let at = ((home.x - window.x) as usize, (home.y - window.y) as usize);
            if let Some(place) = search(&scene, part, at, area.percent / 100.0) {
                verdict.found.x = window.x.saturating_add(place.x as u32);
                verdict.found.y = window.y.saturating_add(place.y as u32);
                verdict.percent = place.similarity * 100.0;
            }
            verdict
        });
        Verdict { areas: areas.collect() }
    }
}

fn around(rect: Rect, margin: u32) -> Rect {
    let (left, top) = (rect.x.saturating_sub(margin), rect.y.saturating_sub(margin));
    let (right, bottom) =
        (rect.right().saturating_add(margin), rect.bottom().saturating_add(margin));
    Rect::new(left, top, right - left, bottom - top)
}

/// A needle and how it was judged.
#[derive(Debug, Clone)]
pub struct Judged<'p> {
    /// The needle.
    pub pattern: &'p Pattern,
    /// How.
    pub verdict: Verdict,
}

/// Judges a picture by several needles: the best of those that are in it, else the one that comes
/// nearest. One that stands in for a known fault goes after another as good, then the name decides.
#[must_use]
pub fn best<'p>(
    patterns: impl IntoIterator<Item = &'p Pattern>,
    picture: &Frame,
) -> Option<Judged<'p>> {
    let judged =
        patterns.into_iter().map(|pattern| Judged { pattern, verdict: pattern.judge(picture) });
    judged.min_by(|one, other| {
        let order = other.verdict.ok().cmp(&one.verdict.ok());
        let order = order.then(one.verdict.error().total_cmp(&other.verdict.error()));
        let (one, other) = (&one.pattern.needle, &other.pattern.needle);
        order.then(one.workaround.cmp(&other.workaround)).then_with(|| one.name.cmp(&other.name))
    })
}
